#include "event/json_path.h"

#include <charconv>

namespace weir {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// A place in a text that is JSON; every step is checked against the end, so that other bytes only lead nowhere.
struct Scanner {
    const char* p;
    const char* end;

    bool at(char c) const { return p < end && *p == c; }
    void blank() {
        while (p < end && is_blank(*p)) ++p;
    }
    /// Steps over a string, `p` on its opening quote. What stands between the quotes.
    std::string_view string() {
        const char* from = ++p;
        while (const void* quote = p < end ? std::memchr(p, '"', static_cast<std::size_t>(end - p)) : nullptr) {
            p = static_cast<const char*>(quote);
            const char* before = p++;
            while (before > from && before[-1] == '\\') --before;
            if ((p - 1 - before) % 2 == 0) return {from, static_cast<std::size_t>(p - 1 - from)};
        }
        p = end;
        return {};
    }
    /// Steps over any value.
    void value() {
        if (p >= end) return;
        if (*p == '"') {
            string();
        } else if (*p == '{' || *p == '[') {
            int depth = 0;
            while (p < end) {
                if (*p == '"') {
                    string();
                    continue;
                }
                if (*p == '{' || *p == '[') ++depth;
                if ((*p == '}' || *p == ']') && --depth == 0) {
                    ++p;
                    return;
                }
                ++p;
            }
        } else {
            while (p < end && *p != ',' && *p != '}' && *p != ']' && !is_blank(*p)) ++p;
        }
    }
};

bool same_name(std::string_view between_quotes, std::string_view name, bool escapes) {
    if (!escapes || between_quotes.find('\\') == std::string_view::npos) return between_quotes == name;
    std::string plain;
    return append_unescaped(plain, between_quotes) && plain == name;
}

}  // namespace

Result<JsonPath> JsonPath::parse(std::string_view text) {
    WEIR_TRY(const auto pointer, JsonPointer::parse(text));
    return JsonPath(pointer);
}

JsonPath::JsonPath(const JsonPointer& pointer) : pointer_(pointer) {
    for (const auto& name : pointer.steps()) {
        Step step{name, std::nullopt};
        std::size_t index;
        const char* end = name.data() + name.size();
        const auto [p, e] = std::from_chars(name.data(), end, index);
        if (e == std::errc() && p == end && (name.size() == 1 || name[0] != '0')) step.index = index;
        steps_.push_back(std::move(step));
    }
}

std::optional<std::string_view> JsonPath::find(std::string_view json) const {
    if (json.empty()) return std::nullopt;
    Scanner at{json.data(), json.data() + json.size()};
    at.blank();
    const bool escapes = std::memchr(json.data(), '\\', json.size()) != nullptr;
    for (const auto& step : steps_) {
        const bool in_array = at.at('[');
        if (!in_array && !at.at('{')) return std::nullopt;
        if (in_array && !step.index) return std::nullopt;
        const char close = in_array ? ']' : '}';
        ++at.p;
        at.blank();
        bool found = false;
        for (std::size_t i = 0; at.p < at.end && *at.p != close; ++i) {
            if (in_array) {
                found = i == *step.index;
            } else {
                if (*at.p != '"') return std::nullopt;
                const auto name = at.string();
                at.blank();
                if (!at.at(':')) return std::nullopt;
                ++at.p;
                at.blank();
                found = same_name(name, step.name, escapes);
            }
            if (found) break;
            const char* before = at.p;
            at.value();
            at.blank();
            if (at.at(',')) ++at.p;
            at.blank();
            if (at.p == before) return std::nullopt;
        }
        if (!found) return std::nullopt;
    }
    const char* from = at.p;
    at.value();
    if (at.p == from) return std::nullopt;
    return std::string_view(from, static_cast<std::size_t>(at.p - from));
}

std::optional<double> JsonPath::number(std::string_view json) const {
    const auto found = find(json);
    return found ? parse_json_number(*found) : std::nullopt;
}

std::optional<std::string> JsonPath::string(std::string_view json) const {
    const auto found = find(json);
    if (!found || found->size() < 2 || found->front() != '"') return std::nullopt;
    std::string plain;
    if (!append_unescaped(plain, found->substr(1, found->size() - 2))) return std::nullopt;
    return plain;
}

std::optional<double> parse_json_number(std::string_view text) {
    // from_chars also takes `inf`, `nan` and `.5`, which are no JSON.
    if (!is_json_number(text)) return std::nullopt;
    double v;
    const auto [p, e] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (e == std::errc()) return v;
    // Out of range: too large is no reading, too small is 0.
    v = std::strtod(std::string(text).c_str(), nullptr);
    return std::isfinite(v) ? std::optional(v) : std::nullopt;
}

}  // namespace weir
