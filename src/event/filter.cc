#include "event/filter.h"

#include <charconv>
#include <cstdlib>

#include "event/excerpt.h"
#include "event/json.h"

namespace weir {
namespace {

using Condition = FilterCondition;
using Kind = FilterCondition::Kind;

void append_path(std::string& out, const std::vector<std::string>& steps) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (i) out += '.';
        for (const char c : steps[i]) {
            if (c == '.' || c == '\\') out += '\\';
            out += c;
        }
    }
}

std::string path_text(const std::vector<std::string>& steps) {
    std::string text;
    append_path(text, steps);
    return text;
}

void append_value(std::string& out, const FilterValue& value) {
    switch (value.kind) {
        case FilterValue::Kind::null: out += "null"; return;
        case FilterValue::Kind::boolean: out += value.truth ? "true" : "false"; return;
        case FilterValue::Kind::text: append_json_string(out, value.text); return;
        case FilterValue::Kind::time:
            append_json_string(out, to_rfc3339(Timestamp::from_micros(static_cast<std::int64_t>(value.number))));
            return;
        case FilterValue::Kind::number: {
            const long double v = value.number;
            if (v >= -0x1p63L && v < 0x1p64L && v == std::floor(v))
                out += v < 0 ? std::to_string(static_cast<std::int64_t>(v)) : std::to_string(static_cast<std::uint64_t>(v));
            else if (std::isinf(v))
                out += v < 0 ? "-1e999" : "1e999";  // beyond a double; the printer of numbers would say null, which is another filter
            else
                append_json_number(out, static_cast<double>(v));
            return;
        }
    }
}

bool before(const FilterValue& a, const FilterValue& b) {
    if (a.kind != b.kind) return a.kind < b.kind;
    if (a.truth != b.truth) return a.truth < b.truth;
    if (a.number != b.number) return a.number < b.number;
    return a.text < b.text;
}

const char* operator_name(Kind kind) {
    switch (kind) {
        case Kind::greater: return "gt";
        case Kind::greater_equal: return "gte";
        case Kind::less: return "lt";
        case Kind::less_equal: return "lte";
        case Kind::prefix: return "prefix";
        default: return "exists";
    }
}

void print(std::string& out, const Condition& c);

/// What stands behind the path: `5`, `[1,2]` or `{"gt":5}`.
void print_leaf_value(std::string& out, const Condition& c) {
    if (c.kind == Kind::equals) {
        if (c.values.size() == 1) return append_value(out, c.values[0]);
        out += '[';
        for (std::size_t i = 0; i < c.values.size(); ++i) {
            if (i) out += ',';
            append_value(out, c.values[i]);
        }
        out += ']';
        return;
    }
    out += "{\"";
    out += operator_name(c.kind);
    out += "\":";
    c.kind == Kind::exists ? out += "true" : (append_value(out, c.values[0]), out);
    out += '}';
}

void print_list(std::string& out, const char* name, const std::vector<Condition>& children) {
    out += "{\"";
    out += name;
    out += "\":[";
    for (std::size_t i = 0; i < children.size(); ++i) {
        if (i) out += ',';
        print(out, children[i]);
    }
    out += "]}";
}

/// Leaves of different paths read best as the flat object that people write; everything else is an explicit `and`.
bool is_flat(const std::vector<Condition>& children) {
    for (std::size_t i = 0; i < children.size(); ++i)
        if (!children[i].is_leaf() || (i && children[i].path == children[i - 1].path)) return false;
    return true;
}

void print(std::string& out, const Condition& c) {
    switch (c.kind) {
        case Kind::all: out += "{}"; return;
        case Kind::none: out += "{\"or\":[]}"; return;
        case Kind::either: return print_list(out, "or", c.children);
        case Kind::negated:
            out += "{\"not\":";
            print(out, c.children[0]);
            out += '}';
            return;
        case Kind::both:
            if (!is_flat(c.children)) return print_list(out, "and", c.children);
            out += '{';
            for (std::size_t i = 0; i < c.children.size(); ++i) {
                if (i) out += ',';
                append_json_string(out, path_text(c.children[i].path));
                out += ':';
                print_leaf_value(out, c.children[i]);
            }
            out += '}';
            return;
        default:
            out += '{';
            append_json_string(out, path_text(c.path));
            out += ':';
            print_leaf_value(out, c);
            out += '}';
    }
}

std::string text_of(const Condition& c) {
    std::string text;
    print(text, c);
    return text;
}

/// Joins conditions into the one canonical form: flat, sorted, without repeats.
Condition join(Kind kind, std::vector<Condition> parts) {
    const Kind neutral = kind == Kind::both ? Kind::all : Kind::none;
    const Kind absorbing = kind == Kind::both ? Kind::none : Kind::all;
    std::vector<Condition> flat;
    for (auto& part : parts) {
        if (part.kind == absorbing) return {.kind = absorbing, .path = {}, .values = {}, .children = {}};
        if (part.kind == neutral) continue;
        if (part.kind == kind)
            std::move(part.children.begin(), part.children.end(), std::back_inserter(flat));
        else
            flat.push_back(std::move(part));
    }
    std::vector<std::pair<std::string, std::size_t>> order;
    for (std::size_t i = 0; i < flat.size(); ++i) order.emplace_back(text_of(flat[i]), i);
    std::sort(order.begin(), order.end());
    Condition joined{.kind = kind, .path = {}, .values = {}, .children = {}};
    for (std::size_t i = 0; i < order.size(); ++i)
        if (i == 0 || order[i].first != order[i - 1].first) joined.children.push_back(std::move(flat[order[i].second]));
    if (joined.children.empty()) return {.kind = neutral, .path = {}, .values = {}, .children = {}};
    if (joined.children.size() == 1) return std::move(joined.children[0]);
    return joined;
}

Condition negate(Condition c) {
    if (c.kind == Kind::all) return {.kind = Kind::none, .path = {}, .values = {}, .children = {}};
    if (c.kind == Kind::none) return {};
    if (c.kind == Kind::negated) return std::move(c.children[0]);
    Condition negated{.kind = Kind::negated, .path = {}, .values = {}, .children = {}};
    negated.children.push_back(std::move(c));
    return negated;
}

class Reader {
public:
    Result<Condition> read(const Json& filter, std::size_t depth) {
        if (!filter.is_object()) return Error{"bad_filter", "a filter is an object of paths, `and`, `or` and `not`"};
        if (depth > Filter::kDepthMax) return too_large("nested deeper than", Filter::kDepthMax);
        std::vector<Condition> parts;
        for (const auto& [name, value] : filter.members()) {
            if (name == "and" || name == "or") {
                WEIR_TRY(auto joined, read_list(name, value, depth));
                parts.push_back(std::move(joined));
            } else if (name == "not") {
                WEIR_TRY(auto inner, read(value, depth + 1));
                parts.push_back(negate(std::move(inner)));
            } else {
                WEIR_TRY(auto leaf, read_path(name, value));
                parts.push_back(std::move(leaf));
            }
        }
        return join(Kind::both, std::move(parts));
    }

private:
    static Error too_large(const char* what, std::size_t limit) {
        return {"filter_too_large", "the filter is " + std::string(what) + " " + std::to_string(limit)};
    }
    static std::string quoted(std::string_view text) {
        std::string out;
        append_json_string(out, cut(text, 100));
        return out;
    }

    Result<Condition> read_list(const std::string& name, const Json& value, std::size_t depth) {
        if (!value.is_array()) return Error{"bad_filter", "`" + name + "` takes a list of filters"};
        std::vector<Condition> parts;
        for (const Json& item : value.items()) {
            WEIR_TRY(auto part, read(item, depth + 1));
            parts.push_back(std::move(part));
        }
        return join(name == "and" ? Kind::both : Kind::either, std::move(parts));
    }

    static Result<std::vector<std::string>> read_steps(const std::string& text) {
        if (text.empty()) return Error{"bad_path", "a path may not be empty"};
        std::vector<std::string> steps(1);
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '.') {
                if (steps.size() == Filter::kPathStepsMax) return too_large("has a path of more steps than", Filter::kPathStepsMax);
                steps.emplace_back();
            } else if (text[i] == '\\') {
                if (++i == text.size() || (text[i] != '.' && text[i] != '\\'))
                    return Error{"bad_path", "path " + quoted(text) + ": a backslash stands before a dot or a backslash only"};
                steps.back() += text[i];
            } else {
                steps.back() += text[i];
            }
        }
        return steps;
    }

    Result<FilterValue> read_value(const std::string& path, bool is_time, const Json& json) {
        if (++values_ > Filter::kValuesMax) return too_large("holding more values than", Filter::kValuesMax);
        FilterValue value;
        if (is_time) {
            const auto time = json.is_string() ? parse_rfc3339(json.as_string(), Offset::optional) : std::nullopt;
            if (!time) return Error{"bad_filter", "`timestamp` is compared with RFC 3339 times such as \"2026-02-17T10:00:00Z\""};
            value.kind = FilterValue::Kind::time;
            value.number = static_cast<long double>(time->micros());
            return value;
        }
        switch (json.kind()) {
            case Json::Kind::null: break;
            case Json::Kind::boolean:
                value.kind = FilterValue::Kind::boolean;
                value.truth = json.as_boolean();
                break;
            case Json::Kind::number:
                value.kind = FilterValue::Kind::number;
                value.number = filter_number(json.number_text());
                break;
            case Json::Kind::string:
                value.kind = FilterValue::Kind::text;
                value.text = json.as_string();
                break;
            default:
                return Error{"bad_filter", "at " + quoted(path) + ": a list holds texts, numbers, true, false or null"};
        }
        return value;
    }

    Result<Condition> read_path(const std::string& path, const Json& value) {
        WEIR_TRY(auto steps, read_steps(path));
        const bool is_time = steps.size() == 1 && steps[0] == "timestamp";
        if (value.is_object()) return read_operators(path, steps, is_time, value);
        if (++conditions_ > Filter::kConditionsMax) return too_large("made of more conditions than", Filter::kConditionsMax);
        Condition leaf{.kind = Kind::equals, .path = std::move(steps), .values = {}, .children = {}};
        if (!value.is_array()) {
            WEIR_TRY(auto one, read_value(path, is_time, value));
            leaf.values.push_back(std::move(one));
            return leaf;
        }
        for (const Json& item : value.items()) {
            WEIR_TRY(auto one, read_value(path, is_time, item));
            leaf.values.push_back(std::move(one));
        }
        if (leaf.values.empty()) return Condition{.kind = Kind::none, .path = {}, .values = {}, .children = {}};
        std::sort(leaf.values.begin(), leaf.values.end(), before);
        leaf.values.erase(std::unique(leaf.values.begin(), leaf.values.end()), leaf.values.end());
        return leaf;
    }

    Result<Condition> read_operators(const std::string& path, const std::vector<std::string>& steps, bool is_time, const Json& value) {
        if (value.members().empty())
            return Error{"bad_filter", "at " + quoted(path) + ": an object holds operators (gt, gte, lt, lte, prefix, exists), this one none"};
        std::vector<Condition> parts;
        for (const auto& [name, operand] : value.members()) {
            if (++conditions_ > Filter::kConditionsMax) return too_large("made of more conditions than", Filter::kConditionsMax);
            Condition leaf{.kind = Kind::exists, .path = steps, .values = {}, .children = {}};
            if (name == "exists") {
                if (!operand.is_boolean()) return Error{"bad_filter", "at " + quoted(path) + ": `exists` takes true or false"};
                parts.push_back(operand.as_boolean() ? std::move(leaf) : negate(std::move(leaf)));
                continue;
            }
            if (name == "gt") leaf.kind = Kind::greater;
            else if (name == "gte") leaf.kind = Kind::greater_equal;
            else if (name == "lt") leaf.kind = Kind::less;
            else if (name == "lte") leaf.kind = Kind::less_equal;
            else if (name == "prefix") leaf.kind = Kind::prefix;
            else
                return Error{"unknown_operator", "at " + quoted(path) + ": unknown operator " + quoted(name) +
                                                     "; allowed: gt, gte, lt, lte, prefix, exists (a nested field is written " +
                                                     quoted(path + "." + name) + ")"};
            if (leaf.kind == Kind::prefix && (is_time || !operand.is_string()))
                return Error{"bad_filter", "at " + quoted(path) + ": `prefix` takes a text" + (is_time ? ", and not on `timestamp`" : "")};
            if (!operand.is_string() && !operand.is_number())
                return Error{"bad_filter", "at " + quoted(path) + ": `" + name + "` takes a number or a text"};
            WEIR_TRY(auto one, read_value(path, is_time, operand));
            leaf.values.push_back(std::move(one));
            parts.push_back(std::move(leaf));
        }
        return join(Kind::both, std::move(parts));
    }

    std::size_t conditions_ = 0, values_ = 0;
};

}  // namespace

long double filter_number(std::string_view text) {
    const char* end = text.data() + text.size();
    std::int64_t i;
    if (const auto [p, e] = std::from_chars(text.data(), end, i); e == std::errc() && p == end) return static_cast<long double>(i);
    std::uint64_t u;
    if (const auto [p, e] = std::from_chars(text.data(), end, u); e == std::errc() && p == end) return static_cast<long double>(u);
    double d = 0;
    if (const auto [p, e] = std::from_chars(text.data(), end, d); e == std::errc::result_out_of_range)
        d = std::strtod(std::string(text).c_str(), nullptr);  // gives the infinity or the 0 that it is
    return static_cast<long double>(d) + 0.0L;  // -0 is 0
}

namespace {

constexpr std::size_t kPartBytes = 64;

std::size_t part_count(const FilterCondition& condition) {
    std::size_t count = 1 + condition.values.size();
    for (const auto& child : condition.children) count += part_count(child);
    return count;
}

}  // namespace

std::size_t Filter::weight() const { return matches_all() ? 0 : canonical_.size() + kPartBytes * part_count(root_); }

Filter::Filter(FilterCondition root) : root_(std::move(root)), canonical_(text_of(root_)) {}

Result<Filter> Filter::parse(const Json& filter) {
    WEIR_TRY(auto root, Reader().read(filter, 1));
    return Filter(std::move(root));
}

Result<Filter> Filter::parse_text(std::string_view json) {
    WEIR_TRY(auto parsed, Json::parse(json));
    return parse(parsed);
}

Filter Filter::and_also(const Filter& other) const {
    std::vector<FilterCondition> parts{root_, other.root_};
    return Filter(join(Kind::both, std::move(parts)));
}

}  // namespace weir
