#include "event/decoder_items_internal.h"

#include <charconv>

#include "base/assert.h"
#include "event/excerpt.h"
#include "event/json.h"
#include "event/json_path.h"

namespace weir::decoding {
namespace {

constexpr std::size_t data_max = 256 * 1024;
// Distinct (reason, key, time) of one message that are told apart; what is beyond is counted by reason only.
constexpr std::size_t rejections_max = 256;

/// A JSON number that a double can hold, as quickly as the usual ones allow.
bool is_finite_number(std::string_view text) {
    if (!is_json_number(text)) return false;
    if (text.size() < 300 && text.find_first_of("eE") == std::string_view::npos) return true;
    return parse_json_number(text).has_value();
}

std::string pointer_of(const std::vector<std::string>& paths, const Found& found) {
    const std::string& path = paths[static_cast<std::size_t>(found.rank)];
    return path.empty() ? "the item" : path;
}
std::string shown(const Found& found) {
    switch (found.text.front()) {
        case '"': return found.text.size() == 2 ? "the empty text" : "the text \"" + excerpt(found.between_quotes(), 40) + "\"";
        case '{': return "an object";
        case '[': return "an array";
        default: return excerpt(found.text, 40);
    }
}
std::string one_of(const std::vector<std::string>& paths) {
    std::string out;
    for (const auto& path : paths) out += (out.empty() ? "" : " or ") + path;
    return out;
}

}  // namespace

Items::Items(const DecodeRules& rules) : rules_(rules), wanted_keys_(rules.keys) { std::sort(wanted_keys_.begin(), wanted_keys_.end()); }

void Items::begin_message(const Decoder::Arrival& arrival) {
    outcome_ = {};
    arrival_ = &arrival;
    item_count_ = 0;
    text.clear();
    names_.clear();
    staged_.clear();
    rejected_.clear();
}

void Items::begin(Again again) {
    key_ = value_ = id_ = {};
    times_.fill({});
    value_numeric_ = false;
    if (again == Again::no) ++item_count_;
}

bool Items::is_wanted(const Found& found) {
    if (!found.present()) return true;  // told apart as `no_key`
    std::string_view plain = found.text;
    if (found.is_string()) {
        plain = found.between_quotes();
        if (plain.find('\\') != std::string_view::npos) {
            scratch_.clear();
            append_unescaped(scratch_, plain);
            plain = scratch_;
        }
    }
    return std::binary_search(wanted_keys_.begin(), wanted_keys_.end(), plain);
}

void Items::reject(const char* reason, std::string_view item_key, std::optional<Timestamp> time, std::string_view what) {
    ++outcome_.rejected;
    if (outcome_.problem.empty()) {
        if (item_count_ > 0) outcome_.problem = "item " + std::to_string(item_count_ - 1) + ", ";
        outcome_.problem += what;
    }
    if (!rejected_.empty() && rejected_.back().reason == reason && rejected_.back().key == item_key && rejected_.back().time == time) {
        ++rejected_.back().count;
        return;
    }
    if (rejected_.size() >= rejections_max) {
        for (auto& r : rejected_) {
            if (r.reason == reason && r.key.empty() && !r.time) {
                ++r.count;
                return;
            }
        }
        rejected_.push_back({reason, "", std::nullopt, 1});  // at most one for each reason
        return;
    }
    rejected_.push_back({reason, std::string(item_key), time, 1});
}

std::optional<Timestamp> Items::read_time(const Found& found) const {
    if (!found.present()) return std::nullopt;
    std::string_view plain = found.is_string() ? found.between_quotes() : found.text;
    if (rules_.time_format == DecodeRules::TimeFormat::rfc3339) return found.is_string() ? parse_rfc3339(plain, Offset::optional) : std::nullopt;
    const auto number = parse_json_number(plain);
    if (!number) return std::nullopt;
    const double micros = *number * (rules_.time_format == DecodeRules::TimeFormat::unix_s ? 1e6 : 1e3);
    if (!(micros >= static_cast<double>(Timestamp::min().micros()) && micros < static_cast<double>(Timestamp::max().micros()))) return std::nullopt;
    return Timestamp::from_micros(std::llround(micros));
}

/// Turns what the walk found into a staged event, or a rejection. `data` is in `text` from `data_at` on.
void Items::finish(std::size_t data_at) {
    std::optional<Timestamp> time;
    for (const auto& found : times_)
        if ((time = read_time(found))) break;

    const auto names_at = names_.size();
    std::size_t key_size = 0;
    const auto drop = [&](const char* reason, std::string_view what) {
        reject(reason, std::string_view(names_).substr(names_at, key_size), time, what);
        text.resize(data_at);
        names_.resize(names_at);
    };
    if (!rules_.key.empty()) {
        if (!key_.present()) return drop("no_key", one_of(rules_.key) + " is not there, expected the key");
        const char c = key_.text.front();
        const bool number = c == '-' || (c >= '0' && c <= '9');
        if (!key_.is_string() && !number) return drop("bad_key", pointer_of(rules_.key, key_) + " is " + shown(key_) + ", expected a text or a number as key");
        if (key_.is_string())
            append_unescaped(names_, key_.between_quotes());
        else
            names_ += key_.text;
        if (names_.size() - names_at > texts_max) return drop("bad_key", pointer_of(rules_.key, key_) + " is longer than 255 bytes");
        const std::string_view key_text = std::string_view(names_).substr(names_at);
        if (key_text.empty()) return drop("bad_key", pointer_of(rules_.key, key_) + " is the empty text, expected a key");
        if (!wanted_keys_.empty() && !std::binary_search(wanted_keys_.begin(), wanted_keys_.end(), key_text)) {
            ++outcome_.unwanted;
            text.resize(data_at);
            names_.resize(names_at);
            return;
        }
        key_size = key_text.size();
    }
    if (!rules_.value.empty()) {
        if (!value_.present()) return drop("missing_value", one_of(rules_.value) + " is not there, expected a number");
        if (value_.text == "null") return drop("null", pointer_of(rules_.value, value_) + " is null, expected a number");
        const bool as_text = value_.is_string() && value_numeric_;
        if (!is_finite_number(as_text ? value_.between_quotes() : value_.text))
            return drop("not_a_number", pointer_of(rules_.value, value_) + " is " + shown(value_) + ", expected a number");
    }
    Staged s{names_at, names_.size() - names_at, names_.size(), 0, data_at, text.size() - data_at, false, time.value_or(arrival_->at)};
    if (s.data_size > data_max) return drop("too_large", "the item is " + std::to_string(s.data_size) + " bytes, at most 262144 are kept");
    if (id_.present() && id_.text != "null") {
        const char c = id_.text.front();
        if (id_.is_string())
            append_unescaped(names_, id_.between_quotes());
        else if (c == '-' || (c >= '0' && c <= '9'))
            names_ += id_.text;
        s.id_size = names_.size() - s.id;
        if (s.id_size == 0 || s.id_size > texts_max) return drop("bad_id", rules_.id + " is " + shown(id_) + ", expected a text or number of 1 to 255 bytes as id");
        s.has_id = true;
    }
    staged_.push_back(s);
}

void Items::finish_bare(std::size_t data_at, char kind, const Node& root) {
    const bool scalar = kind != '[';
    if (!scalar || root.value == no_rank) {
        text.resize(data_at);
        reject("not_an_object", "", std::nullopt, std::string("it is ") + (scalar ? "no object" : "an array") + ", expected an object");
        return;
    }
    text.insert(data_at, "{\"value\":");
    text.put('}');
    finish(data_at);
}

void Items::finish_unwanted(std::size_t data_at) {
    ++outcome_.unwanted;
    text.resize(data_at);
}

void Items::malformed(std::string_view message) {
    staged_.clear();
    rejected_.clear();
    outcome_ = {};
    item_count_ = 0;
    reject("malformed", "", std::nullopt, "not JSON: " + excerpt(message));
}

Decoder::Outcome Items::commit(EventList& events, Notes& notes) {
    const Decoder::Arrival& arrival = *arrival_;
    text.flush();
    if (events.empty())
        events.reserve(staged_.size(), text.size() + names_.size() + staged_.size() * (arrival.id_prefix.size() + rules_.type.size() + arrival.source.size() + 12));
    char id[256];
    std::memcpy(id, arrival.id_prefix.data(), arrival.id_prefix.size());
    for (const auto& staged : staged_) {
        EventView event;
        if (staged.has_id) {
            event.id = std::string_view(names_).substr(staged.id, staged.id_size);
        } else {
            const auto end = std::to_chars(id + arrival.id_prefix.size(), id + sizeof id, (*arrival.next_number)++).ptr;
            event.id = {id, static_cast<std::size_t>(end - id)};
        }
        event.type = rules_.type;
        event.key = std::string_view(names_).substr(staged.key, staged.key_size);
        event.source = arrival.source;
        event.data = std::string_view(text.text()).substr(staged.data, staged.data_size);
        event.time = staged.time;
        event.ingested = arrival.at;
        events.add(event);
    }
    outcome_.events = static_cast<std::uint32_t>(staged_.size());
    for (auto& r : rejected_) notes.rejected.push_back(std::move(r));
    return std::move(outcome_);
}

}  // namespace weir::decoding
