#include "event/decoder.h"

// simdjson checks its own steps unless told not to; on the path of every reading that costs a third of its time.
#if !defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)
#define NDEBUG
#endif
#include <simdjson.h>

#include "base/assert.h"
#include "event/decoder_items_internal.h"
#include "event/json.h"

namespace weir {
namespace {

using namespace decoding;

namespace ondemand = simdjson::ondemand;

constexpr int depth_max = 64;

std::string_view trimmed(std::string_view token) {
    if (token.back() > ' ') return token;
    while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' || token.back() == '\t')) token.remove_suffix(1);
    return token;
}

std::uint64_t name_hash(std::string_view name) {
    std::uint64_t h = 0xcbf29ce484222325 ^ name.size();
    std::size_t i = 0;
    for (; i + 8 <= name.size(); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, name.data() + i, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15;
        h ^= h >> 29;
    }
    for (; i < name.size(); ++i) h = (h ^ static_cast<unsigned char>(name[i])) * 0x100000001b3;
    return h;
}

/// Where the string that starts behind `from` ends (on its quote); the text is known to be closed.
const char* closing_quote(const char* from, bool& escaped) {
    for (; *from != '"'; ++from) {
        if (*from == '\\') {
            escaped = true;
            ++from;
        }
    }
    return from;
}

}  // namespace

struct Decoder::State {
    const DecodeRules rules;
    const RuleTree tree;
    Items items;

    ondemand::parser parser;
    std::string padded;
    std::string scratch;
    std::vector<std::uint64_t> member_hashes;
    bool repeated_member = false;  ///< of the item at hand
    bool is_alone = false;         ///< the item is the whole message: what follows it is looked at, so it is walked to its end

    State(DecodeRules r, RuleTree t) : rules(std::move(r)), tree(std::move(t)), items(rules) {}

    enum class Walk : std::uint8_t { done, malformed, unwanted };

    const Node* child_named(const Node* node, std::string_view between_quotes, bool escaped) {
        if (!node) return nullptr;
        if (escaped) {
            scratch.clear();
            if (!append_unescaped(scratch, between_quotes)) return nullptr;  // the walk refuses it itself
            between_quotes = scratch;
        }
        return tree.child(*node, between_quotes);
    }

    /// Copies one value to `text` (where `keep`), checks it and notes what the rules want of it.
    Walk walk(ondemand::value v, const Node* node, bool keep, int depth) {
        if (depth > depth_max) return Walk::malformed;
        std::string_view token = v.raw_json_token();
        if (token.empty()) return Walk::malformed;
        const char* start = token.data();
        if (*start != '{' && *start != '[') {
            // The token ends where the next one starts. simdjson takes a text before a colon for a name, here too.
            const char next = start[token.size()];
            if (next != ',' && next != '}' && next != ']') return Walk::malformed;
        }
        switch (*start) {
            case '{':
            case '[': {
                const auto from = items.text.size();
                const auto walked = *start == '{' ? walk_object(v, start, node, keep, depth) : walk_array(v, start, node, keep, depth);
                if (walked != Walk::done) return walked;
                // A wanted field that is no scalar: present, and wrong. One character tells what it is.
                if (node && node->wanted_below) items.note(*node, {start, 1});
                if (!keep && !(node && node->kept_below)) items.text.resize(from);
                return Walk::done;
            }
            case '"': {
                token = trimmed(token);
                bool escaped = false;
                const char* close = closing_quote(token.data() + 1, escaped);
                if (close != token.data() + token.size() - 1) return Walk::malformed;
                if (escaped) {
                    scratch.clear();
                    if (!append_unescaped(scratch, token.substr(1, token.size() - 2))) return Walk::malformed;
                }
                break;
            }
            case 't':
                token = trimmed(token);
                if (token != "true") return Walk::malformed;
                break;
            case 'f':
                token = trimmed(token);
                if (token != "false") return Walk::malformed;
                break;
            case 'n':
                token = trimmed(token);
                if (token != "null") return Walk::malformed;
                break;
            default:
                token = trimmed(token);
                if (!is_json_number(token)) return Walk::malformed;
        }
        if (node && node->wanted_below) items.note(*node, token);
        if (keep) append_scalar(token, node);
        return Walk::done;
    }

    void append_scalar(std::string_view token, const Node* node) {
        if (token.front() == '"' && items.is_numeric(node) && is_json_number(token.substr(1, token.size() - 2)))
            token = token.substr(1, token.size() - 2);
        items.text.slice(token);
    }

    Walk walk_object(ondemand::value v, const char* v_start, const Node* node, bool keep, int depth) {
        ondemand::object object;
        if (v.get_object().get(object)) return Walk::malformed;
        const bool write = keep || (node && node->kept_below);
        const auto hashes = member_hashes.size();
        if (write) items.text.slice({v_start, 1});
        bool first = true;
        for (auto result : object) {
            ondemand::field field;
            if (std::move(result).get(field)) return Walk::malformed;
            const char* name = field.key().raw();
            bool escaped = false;
            const char* close = closing_quote(name, escaped);
            const char* colon = close + 1;
            while (*colon == ' ' || *colon == '\n' || *colon == '\r' || *colon == '\t') ++colon;
            if (*colon != ':') return Walk::malformed;
            const std::string_view between(name, static_cast<std::size_t>(close - name));
            const Node* child = child_named(node, between, escaped);
            if (escaped) {
                scratch.clear();
                if (!append_unescaped(scratch, between)) return Walk::malformed;
            }
            const bool keep_child = keep || (child && child->keep);
            const bool write_child = keep_child || (child && child->kept_below);
            if (!write_child && !(child && child->wanted_below)) continue;  // unread, and so only roughly checked
            member_hashes.push_back(name_hash(escaped ? std::string_view(scratch) : between));
            const auto before = items.text.size();
            if (write_child) {
                if (!first) items.text.put(',');
                items.text.slice({name - 1, between.size() + 2});
                items.text.put(':');
            }
            const auto value_at = items.text.size();
            if (const auto walked = walk(field.value(), child, keep_child, depth + 1); walked != Walk::done) return walked;
            if (write_child) {
                if (items.text.size() == value_at)
                    items.text.resize(before);  // nothing of it was to be kept: a scalar where the rules have an object
                else
                    first = false;
            }
            // The rest of an item that nobody wants is not worth a look.
            if (!is_alone && child && child->key != no_rank && rules.key.size() == 1 && !items.may_be_wanted()) return Walk::unwanted;
        }
        if (write) items.text.put('}');
        note_repeated(hashes);
        return Walk::done;
    }

    /// Equal hashes are taken for equal names: the slow path that follows is right for either.
    void note_repeated(std::size_t from) {
        const auto begin = member_hashes.begin() + static_cast<std::ptrdiff_t>(from);
        if (member_hashes.size() - from <= 16) {
            for (auto i = begin; i != member_hashes.end(); ++i)
                for (auto j = begin; j != i; ++j) repeated_member |= *i == *j;
        } else {
            std::sort(begin, member_hashes.end());
            repeated_member |= std::adjacent_find(begin, member_hashes.end()) != member_hashes.end();
        }
        member_hashes.resize(from);
    }

    Walk walk_array(ondemand::value v, const char* v_start, const Node* node, bool keep, int depth) {
        ondemand::array array;
        if (v.get_array().get(array)) return Walk::malformed;
        // An element is kept with its whole array: alone it would have another place than the pointer says.
        const bool write = keep || (node && node->kept_below);
        if (write) items.text.slice({v_start, 1});
        std::size_t i = 0;
        for (auto result : array) {
            ondemand::value element;
            if (std::move(result).get(element)) return Walk::malformed;
            const Node* child = node ? tree.child(*node, i) : nullptr;
            if (write && i > 0) items.text.put(',');
            ++i;
            if (const auto walked = walk(element, child, write, depth + 1); walked != Walk::done) return walked;
        }
        if (write) items.text.put(']');
        return Walk::done;
    }

    void begin_item(Items::Again again) {
        items.begin(again);
        repeated_member = false;
        member_hashes.clear();
    }

    /// False when the message is malformed. Called again by itself for an item with repeated members, rewritten.
    bool item(ondemand::value v) {
        begin_item(Items::Again::no);
        const auto data_at = items.text.size();
        const std::string_view token = v.raw_json_token();
        if (token.empty()) return false;
        const bool keep_all = rules.keep.empty();
        if (token.front() == '{') {
            switch (walk_object(v, token.data(), &tree.root(), keep_all, 1)) {
                case Walk::malformed: return false;
                case Walk::unwanted:
                    items.finish_unwanted(data_at);
                    return true;
                case Walk::done: break;
            }
            if (repeated_member) return item_again({token.data(), static_cast<std::size_t>(padded.data() + padded.size() - token.data())}, data_at);
            if (!keep_all && !tree.root().kept_below) items.text.put("{}");
            items.finish(data_at);
            return true;
        }
        if (const auto walked = walk(v, &tree.root(), true, 1); walked == Walk::malformed) return false;
        items.finish_bare(data_at, token.front(), tree.root());
        return true;
    }

    /// An item with a member twice: read by the parser that lets the last one win, printed, and walked again. Rare, so slow is fine.
    bool item_again(std::string_view from_here, std::size_t data_at) {
        items.text.resize(data_at);
        // The item's end: its braces are known to match, since the walk came through.
        int depth = 0;
        std::size_t size = 0;
        do {
            const char c = from_here[size];
            if (c == '"') {
                bool escaped = false;
                size = static_cast<std::size_t>(closing_quote(from_here.data() + size + 1, escaped) - from_here.data());
            }
            depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
            ++size;
        } while (depth > 0);
        const auto parsed = Json::parse(from_here.substr(0, size));
        if (!parsed.ok()) return false;
        simdjson::padded_string rewritten(parsed->text());
        ondemand::parser second;
        ondemand::document document;
        ondemand::value v;
        if (second.iterate(rewritten).get(document) || document.get_value().get(v)) return false;
        begin_item(Items::Again::yes);
        const auto walked = walk_object(v, v.raw_json_token().data(), &tree.root(), rules.keep.empty(), 1);
        if (walked == Walk::malformed) return false;
        if (walked == Walk::unwanted) {
            items.finish_unwanted(data_at);
            return true;
        }
        if (!rules.keep.empty() && !tree.root().kept_below) items.text.put("{}");
        items.finish(data_at);
        items.text.flush();
        return true;
    }

    bool message(std::string_view m) {
        const auto first = m.find_first_not_of(" \n\r\t");
        if (first == std::string_view::npos) return false;
        if (m[first] != '{' && m[first] != '[') return bare_message(m);
        padded.resize(m.size() + simdjson::SIMDJSON_PADDING);
        std::memcpy(padded.data(), m.data(), m.size());
        // What follows the text must not look like its continuation.
        std::memset(padded.data() + m.size(), 0, simdjson::SIMDJSON_PADDING);
        ondemand::document document;
        if (parser.iterate(padded.data(), m.size(), padded.size()).get(document)) return false;
        ondemand::value root;
        if (rules.items.empty()) {
            if (document.get_value().get(root)) return false;
        } else if (const auto error = document.at_pointer(rules.items).get(root); error) {
            if (error != simdjson::NO_SUCH_FIELD && error != simdjson::INDEX_OUT_OF_BOUNDS && error != simdjson::INVALID_JSON_POINTER &&
                error != simdjson::INCORRECT_TYPE)
                return false;
            // Either there is nothing at the pointer or the text is broken before it: the strict parser knows.
            if (!Json::parse(m).ok()) return false;
            items.reject("no_items", "", std::nullopt, rules.items + " is not there, expected the items");
            return true;
        }
        const std::string_view token = root.raw_json_token();
        if (token.empty()) return false;
        is_alone = token.front() != '[';
        if (!is_alone) {
            ondemand::array array;
            if (root.get_array().get(array)) return false;
            for (auto result : array) {
                ondemand::value v;
                if (std::move(result).get(v)) return false;
                if (!item(v)) return false;
            }
        } else if (!item(root)) {
            return false;
        }
        return !rules.items.empty() || document.current_location().error() == simdjson::OUT_OF_BOUNDS;
    }

    /// A message that is one scalar.
    bool bare_message(std::string_view m) {
        const auto parsed = Json::parse(m);
        if (!parsed.ok()) return false;
        begin_item(Items::Again::no);
        const auto data_at = items.text.size();
        padded = parsed->text();
        items.note(tree.root(), padded);
        append_scalar(padded, &tree.root());
        items.finish_bare(data_at, padded.front(), tree.root());
        return true;
    }
};

Decoder::Decoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;
Decoder::~Decoder() = default;
const DecodeRules& Decoder::rules() const { return state_->rules; }

Result<Decoder> Decoder::make(DecodeRules rules) {
    if (rules.type.size() > texts_max) return Error{"bad_type", "the event type is longer than 255 bytes"};
    if (rules.time.size() > times_max) return Error{"bad_pointer", "at most 8 paths for the time"};
    WEIR_TRY(auto tree, RuleTree::make(rules));
    if (!rules.items.empty()) {
        if (auto pointer = JsonPointer::parse(rules.items); !pointer.ok()) return std::move(pointer).error();
    }
    return Decoder(std::make_unique<State>(std::move(rules), std::move(tree)));
}

Decoder::Outcome Decoder::decode(std::string_view message, const Arrival& arrival, EventList& events, Notes& notes) {
    WEIR_ASSERT(arrival.id_prefix.size() <= 200);
    WEIR_ASSERT(arrival.next_number);
    State& s = *state_;
    s.items.begin_message(arrival);
    if (!s.message(message)) s.items.malformed(message);
    return s.items.commit(events, notes);
}

}  // namespace weir
