#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/decoder.h"
#include "event/decoder_tree_internal.h"

namespace weir::decoding {

inline constexpr std::size_t texts_max = 255, times_max = 8;

/// A scalar, array or object as it stands in the message.
struct Found {
    int rank = no_rank;
    std::string_view text;
    bool present() const { return rank != no_rank; }
    bool is_string() const { return text.front() == '"'; }
    std::string_view between_quotes() const { return text.substr(1, text.size() - 2); }
};

/// The text of all `data`, written by extending a piece of the message as long as what comes is what stands there next: a compact
/// item whose numbers are numbers is copied in one go.
class Copier {
public:
    void slice(std::string_view piece) {
        if (piece.data() != to_) {
            flush();
            from_ = piece.data();
        }
        to_ = piece.data() + piece.size();
    }
    void put(char c) {
        if (from_ != to_ && *to_ == c) {
            ++to_;
        } else {
            flush();
            text_ += c;
        }
    }
    void put(std::string_view literal) {
        flush();
        text_ += literal;
    }
    std::size_t size() const { return text_.size() + static_cast<std::size_t>(to_ - from_); }
    void resize(std::size_t size) {
        flush();
        text_.resize(size);
    }
    void insert(std::size_t at, std::string_view literal) {
        flush();
        text_.insert(at, literal);
    }
    /// Must come before the message's memory changes.
    void flush() {
        if (from_ != to_) text_.append(from_, to_);
        from_ = to_ = nullptr;
    }
    void clear() {
        from_ = to_ = nullptr;
        text_.clear();
    }
    const std::string& text() const { return text_; }

private:
    std::string text_;
    const char* from_ = nullptr;
    const char* to_ = nullptr;
};

/// The items of one message: what the walk over each found becomes an event, or a rejection that says why not.
///
/// For each item: `begin`, then the walk writes what is to be kept to `text` and tells `note` what the rules want, then `finish`, or one of the ways not
/// to. `commit` hands over the whole message's events; `malformed` forgets them. Thread: one owner.
class Items {
public:
    /// `rules` outlive it.
    explicit Items(const DecodeRules& rules);

    Copier text;  ///< `data` of all staged events, one after another

    void begin_message(const Decoder::Arrival& arrival);
    /// The next item. The same again (`Again::yes`) where it is walked a second time.
    enum class Again : std::uint8_t { no, yes };
    void begin(Again again);

    /// A place that the rules name was found; `token` is as it stands in the message, of arrays and objects their first character.
    void note(const Node& node, std::string_view token) {
        note(key_, node.key, token);
        if (node.value <= value_.rank && node.value != no_rank) value_numeric_ = is_numeric(&node);
        note(value_, node.value, token);
        if (node.id) id_ = {0, token};
        if (node.time != no_rank) times_[static_cast<std::size_t>(node.time)] = {node.time, token};
    }
    bool is_numeric(const Node* node) const { return rules_.numeric_text || (node && node->numeric); }
    /// False once a key was found that is none of the wanted ones.
    bool may_be_wanted() { return wanted_keys_.empty() || is_wanted(key_); }
    bool wants_some_keys_only() const { return !wanted_keys_.empty(); }

    /// An object; its `data` is in `text` from `data_at` on.
    void finish(std::size_t data_at);
    /// No object: a reading where the value is the item itself, else refused. `kind` is its first character.
    void finish_bare(std::size_t data_at, char kind, const Node& root);
    /// It has another key.
    void finish_unwanted(std::size_t data_at);
    void reject(const char* reason, std::string_view item_key, std::optional<Timestamp> time, std::string_view what);

    void malformed(std::string_view message);
    Decoder::Outcome commit(EventList& events, Notes& notes);

private:
    struct Staged {
        std::size_t key, key_size, id, id_size, data, data_size;
        bool has_id;
        Timestamp time;
    };

    static void note(Found& found, int rank, std::string_view token) {
        if (rank == no_rank || rank > found.rank) return;
        found = {rank, token};
    }
    bool is_wanted(const Found& found);
    std::optional<Timestamp> read_time(const Found& found) const;

    const DecodeRules& rules_;
    std::vector<std::string> wanted_keys_;  ///< sorted
    std::string names_;                     ///< keys and ids of all staged events
    std::string scratch_;
    std::vector<Staged> staged_;

    // Of the item at hand.
    Found key_, value_, id_;
    std::array<Found, times_max> times_;
    bool value_numeric_ = false;

    // Of the message at hand.
    const Decoder::Arrival* arrival_ = nullptr;
    Decoder::Outcome outcome_;
    std::vector<Notes::Rejected> rejected_;
    std::size_t item_count_ = 0;
};

}  // namespace weir::decoding
