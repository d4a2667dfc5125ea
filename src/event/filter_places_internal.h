#pragma once
#include <simdjson.h>

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir::filtering {

inline constexpr std::uint32_t kNone = ~std::uint32_t(0);

struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
};
template <class T>
using ByText = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

struct Value {
    enum class Kind : std::uint8_t { null, boolean, number, text, time, array, object };
    Kind kind = Kind::null;
    bool truth = false;
    long double number = 0;
    std::string_view text;
};

/// A place where an event may have a value: an own field of it, or a member somewhere in its data.
struct Node {
    std::uint64_t stamp = 0;  ///< the event that has it
    Value value;
    std::uint32_t parent = kNone;
    std::uint32_t users = 0;  ///< children, and paths that end here
    std::string name;
    ByText<std::uint32_t> children;
    std::vector<std::uint32_t> paths;  ///< that may find their value here
};

/// The own fields of an event, as nodes that are always there.
enum Field : std::uint32_t { field_id, field_type, field_time, field_stream, field_key, field_source, field_data, field_count };

/// The places in an event that filters name, as a trie, and what the event at hand has there.
///
/// A place is a number. The event's data is parsed once, and only along the trie. Thread: one owner.
class Places {
public:
    Places() : nodes_(field_count) {}

    // Which places there are.

    /// Where a path may find its value, best first; made if they are new. Each is to be held for the path and let go with it.
    std::vector<std::uint32_t> candidates_of(const std::vector<std::string>& steps);
    void hold(std::uint32_t place, std::uint32_t path);
    void let_go(std::uint32_t place, std::uint32_t path);
    const std::vector<std::uint32_t>& paths(std::uint32_t place) const { return nodes_[place].paths; }

    // What the event at hand has there.

    void begin_event() {
        ++stamp_;
        touched_.clear();
    }
    std::uint64_t stamp() const { return stamp_; }
    bool has(std::uint32_t place) const { return nodes_[place].stamp == stamp_; }
    const Value& value(std::uint32_t place) const { return nodes_[place].value; }
    /// Places with a path that were set; some may have been forgotten since.
    const std::vector<std::uint32_t>& touched() const { return touched_; }

    void set(std::uint32_t node, Value value) {
        nodes_[node].stamp = stamp_;
        nodes_[node].value = value;
        if (!nodes_[node].paths.empty()) touched_.push_back(node);
    }
    void set_text(std::uint32_t node, std::string_view text) {
        if (!nodes_[node].paths.empty()) set(node, {.kind = Value::Kind::text, .text = text});
    }
    /// Reads the event's data where some path looks into it; false, and nothing of it found, when it is no JSON object.
    bool read_data(std::string_view data);

private:
    std::uint32_t child(std::uint32_t parent, const std::string& name);
    void release(std::uint32_t number);
    void add_candidates(std::vector<std::uint32_t>& candidates, std::uint32_t node, const std::vector<std::string>& steps, std::size_t from);
    void forget(std::uint32_t node);
    bool walk(simdjson::ondemand::object object, std::uint32_t node);
    bool read(std::string_view data);

    std::vector<Node> nodes_;
    std::vector<std::uint32_t> free_nodes_;
    std::uint64_t stamp_ = 0;
    std::vector<std::uint32_t> touched_;
    simdjson::ondemand::parser parser_;
    std::string padded_;
};

}  // namespace weir::filtering
