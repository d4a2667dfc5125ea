#include <simdjson.h>

#include <charconv>

#include "event/json.h"

namespace weir {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The end of the JSON number at the start of `p`, or nullptr when there is none.
const char* number_end(const char* p, const char* end) {
    if (p < end && *p == '-') ++p;
    if (p == end || !is_digit(*p)) return nullptr;
    if (*p == '0')
        ++p;
    else
        while (p < end && is_digit(*p)) ++p;
    if (p < end && *p == '.') {
        if (++p == end || !is_digit(*p)) return nullptr;
        while (p < end && is_digit(*p)) ++p;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        if (++p < end && (*p == '+' || *p == '-')) ++p;
        if (p == end || !is_digit(*p)) return nullptr;
        while (p < end && is_digit(*p)) ++p;
    }
    return p;
}

/// Four hexadecimal digits, or -1.
int hex4(std::string_view text) {
    if (text.size() < 4) return -1;
    int v = 0;
    const auto [p, e] = std::from_chars(text.data(), text.data() + 4, v, 16);
    return e == std::errc() && p == text.data() + 4 && text[0] != '-' ? v : -1;
}

void append_utf8(std::string& out, std::uint32_t c) {
    const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xc0 | c >> 6), put(0x80 | (c & 63));
    } else if (c < 0x10000) {
        put(0xe0 | c >> 12), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
    } else {
        put(0xf0 | c >> 18), put(0x80 | (c >> 12 & 63)), put(0x80 | (c >> 6 & 63)), put(0x80 | (c & 63));
    }
}

/// Drops all but the last of members with one name; the last takes the first one's place, as Json::set would do it.
void keep_last_of_each(std::vector<Json::Member>& members) {
    std::unordered_map<std::string_view, std::size_t> first;
    bool repeated = false;
    if (members.size() <= 32) {
        for (std::size_t i = 1; i < members.size() && !repeated; ++i)
            for (std::size_t j = 0; j < i; ++j) repeated |= members[j].first == members[i].first;
    } else {
        for (const auto& member : members) repeated |= !first.emplace(member.first, 0).second;
    }
    if (!repeated) return;
    first.clear();
    // The names in `first` point into `kept`, which must not move.
    std::vector<Json::Member> kept;
    kept.reserve(members.size());
    for (auto& member : members) {
        if (const auto it = first.find(member.first); it != first.end()) {
            kept[it->second].second = std::move(member.second);
        } else {
            kept.push_back(std::move(member));
            first.emplace(kept.back().first, kept.size() - 1);
        }
    }
    members = std::move(kept);
}

/// Recursive descent over the whole text. Written here rather than on simdjson, whose values forget how a number was written.
class Parser {
public:
    Parser(std::string_view text, int levels_max) : start_(text.data()), p_(start_), end_(start_ + text.size()), levels_max_(levels_max) {}

    Result<Json> document() {
        Json root;
        if (value(root, 0)) {
            blank();
            if (p_ == end_) return root;
            fail("the end of the text");
        }
        return Error{"malformed_json", std::move(problem_)};
    }

private:
    bool fail(std::string_view expected) {
        if (problem_.empty()) {
            problem_ = "not JSON: at byte " + std::to_string(p_ - start_) + " expected " + std::string(expected) + ", found ";
            if (p_ == end_)
                problem_ += "the end";
            else if (*p_ > ' ' && *p_ < 0x7f)
                problem_ += std::string("'") + *p_ + "'";
            else
                problem_ += "byte " + std::to_string(static_cast<unsigned char>(*p_));
        }
        return false;
    }
    void blank() {
        while (p_ < end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t')) ++p_;
    }
    bool take(char c) {
        blank();
        if (p_ == end_ || *p_ != c) return false;
        ++p_;
        return true;
    }
    bool word(std::string_view expected) {
        if (!std::string_view(p_, static_cast<std::size_t>(end_ - p_)).starts_with(expected)) return fail(expected);
        p_ += expected.size();
        return true;
    }
    /// `p_` is behind the opening quote.
    bool string(std::string& out) {
        const char* from = p_;
        bool escaped = false;
        for (; p_ < end_ && *p_ != '"'; ++p_) {
            if (static_cast<unsigned char>(*p_) < 0x20) return fail("no bare control character in a string");
            if (*p_ == '\\') {
                escaped = true;
                if (++p_ == end_) break;
            }
        }
        if (p_ == end_) return fail("'\"'");
        const std::string_view between(from, static_cast<std::size_t>(p_ - from));
        if (!escaped)
            out = between;
        else if (!append_unescaped(out, between))
            return fail("an escape that RFC 8259 knows before this quote");
        ++p_;
        return true;
    }
    bool value(Json& out, int depth) {
        if (depth > levels_max_) return fail("at most " + std::to_string(levels_max_) + " levels");
        blank();
        if (p_ == end_) return fail("a value");
        switch (*p_) {
            case '{': return ++p_, object(out, depth);
            case '[': return ++p_, array(out, depth);
            case '"': {
                ++p_;
                std::string text;
                if (!string(text)) return false;
                out = Json::string(std::move(text));
                return true;
            }
            case 't': out = Json::boolean(true); return word("true");
            case 'f': out = Json::boolean(false); return word("false");
            case 'n': out = Json(); return word("null");
            default: {
                const char* end = number_end(p_, end_);
                if (!end) return fail("a value");
                out = Json::number_from_text(std::string(p_, end));
                p_ = end;
                return true;
            }
        }
    }
    bool array(Json& out, int depth) {
        out = Json::array();
        if (take(']')) return true;
        do {
            out.items().emplace_back();
            if (!value(out.items().back(), depth + 1)) return false;
        } while (take(','));
        return take(']') || fail("',' or ']'");
    }
    bool object(Json& out, int depth) {
        out = Json::object();
        if (take('}')) return true;
        do {
            // Spelled out for clang, which asks what a pair of the yet incomplete Json can do, and keeps the answer.
            auto& member = out.members().emplace_back(std::string(), Json());
            if (!take('"')) return fail("a member's name");
            if (!string(member.first)) return false;
            if (!take(':')) return fail("':'");
            if (!value(member.second, depth + 1)) return false;
        } while (take(','));
        if (!take('}')) return fail("',' or '}'");
        keep_last_of_each(out.members());
        return true;
    }

    const char* start_;
    const char* p_;
    const char* end_;
    int levels_max_;
    std::string problem_;
};

}  // namespace

bool is_json_number(std::string_view text) {
    const char* end = text.data() + text.size();
    return number_end(text.data(), end) == end && !text.empty();
}

bool append_unescaped(std::string& out, std::string_view between_quotes) {
    const std::size_t before = out.size();
    const auto refuse = [&] {
        out.resize(before);
        return false;
    };
    for (std::size_t i = 0; i < between_quotes.size(); ++i) {
        const std::size_t plain = std::min(between_quotes.find('\\', i), between_quotes.size());
        out.append(between_quotes, i, plain - i);
        i = plain;
        if (i == between_quotes.size()) break;
        if (++i == between_quotes.size()) return refuse();
        switch (between_quotes[i]) {
            case '"': out += '"'; break;
            case '\\': out += '\\'; break;
            case '/': out += '/'; break;
            case 'b': out += '\b'; break;
            case 'f': out += '\f'; break;
            case 'n': out += '\n'; break;
            case 'r': out += '\r'; break;
            case 't': out += '\t'; break;
            case 'u': {
                const int high = hex4(between_quotes.substr(i + 1));
                if (high < 0 || (high >= 0xdc00 && high < 0xe000)) return refuse();
                i += 4;
                auto code = static_cast<std::uint32_t>(high);
                if (high >= 0xd800 && high < 0xdc00) {
                    if (!between_quotes.substr(i + 1).starts_with("\\u")) return refuse();
                    const int low = hex4(between_quotes.substr(i + 3));
                    if (low < 0xdc00 || low >= 0xe000) return refuse();
                    i += 6;
                    code = 0x10000 + ((code & 0x3ff) << 10 | (static_cast<std::uint32_t>(low) & 0x3ff));
                }
                append_utf8(out, code);
                break;
            }
            default: return refuse();
        }
    }
    return true;
}

Result<Json> Json::parse(std::string_view text, int levels_max) {
    if (!simdjson::validate_utf8(text.data(), text.size())) return Error{"malformed_json", "not JSON: not valid UTF-8"};
    return Parser(text, levels_max).document();
}

}  // namespace weir
