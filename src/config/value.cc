#include "config/value.h"

#include <charconv>
#include <cmath>

namespace weir {
namespace {

struct ByteUnit {
    std::string_view name;
    std::uint64_t bytes;
};
// The binary ones first and from large to small: printing takes the first that divides.
constexpr ByteUnit byte_units[] = {{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10},
                                   {"TB", 1'000'000'000'000}, {"GB", 1'000'000'000}, {"MB", 1'000'000}, {"KB", 1000},
                                   {"kB", 1000}, {"B", 1}};
constexpr std::size_t binary_units = 4;

template <class T>
std::optional<T> whole(std::string_view text) {
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

std::optional<bool> as_boolean(const Value& value) {
    if (value.kind == Value::Kind::boolean) return value.boolean;
    if (!value.loose) return std::nullopt;
    std::string word(trimmed(value.text));
    for (char& c : word)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (word == "true" || word == "1" || word == "yes" || word == "on") return true;
    if (word == "false" || word == "0" || word == "no" || word == "off") return false;
    return std::nullopt;
}

std::optional<std::int64_t> as_integer(const Value& value) {
    if (value.kind == Value::Kind::integer) return value.integer;
    if (value.loose) return whole<std::int64_t>(trimmed(value.text));
    return std::nullopt;
}

std::optional<double> as_real(const Value& value) {
    std::optional<double> number;
    if (value.kind == Value::Kind::real) number = value.real;
    if (value.kind == Value::Kind::integer) number = static_cast<double>(value.integer);
    if (value.loose) number = whole<double>(trimmed(value.text));
    if (number && !std::isfinite(*number)) return std::nullopt;
    return number;
}

std::optional<std::string> as_text(const Value& value) {
    if (value.loose || value.kind == Value::Kind::text) return value.text;
    return std::nullopt;
}

std::optional<Duration> as_duration(const Value& value) {
    if (value.bare_seconds)
        if (const auto seconds = as_integer(value); seconds && *seconds >= 0 && *seconds < 1'000'000'000)
            return std::chrono::seconds(*seconds);
    const auto text = as_text(value);
    return text ? parse_duration(trimmed(*text)) : std::nullopt;
}

std::optional<std::uint64_t> as_bytes(const Value& value) {
    if (const auto number = as_integer(value)) return *number < 0 ? std::nullopt : std::optional<std::uint64_t>(*number);
    const auto text = as_text(value);
    if (!text) return std::nullopt;
    const std::string_view all = trimmed(*text);
    const std::size_t digits = std::min(all.find_first_not_of("0123456789"), all.size());
    const auto number = whole<std::uint64_t>(all.substr(0, digits));
    const std::string_view name = trimmed(all.substr(digits));
    for (const ByteUnit& unit : byte_units) {
        std::uint64_t bytes;
        if (number && unit.name == name && !__builtin_mul_overflow(*number, unit.bytes, &bytes) && bytes < 1ull << 62) return bytes;
    }
    return std::nullopt;
}

std::optional<std::vector<std::string>> as_texts(const Value& value) {
    std::vector<std::string> texts;
    if (value.kind == Value::Kind::list) {
        for (const Value& item : value.list) {
            auto text = as_text(item);
            if (!text) return std::nullopt;
            texts.push_back(std::move(*text));
        }
        return texts;
    }
    if (!value.loose) return std::nullopt;
    for (std::string_view rest = value.text;;) {
        const std::size_t comma = std::min(rest.find(','), rest.size());
        if (const auto part = trimmed(rest.substr(0, comma)); !part.empty()) texts.emplace_back(part);
        if (comma == rest.size()) return texts;
        rest.remove_prefix(comma + 1);
    }
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            constexpr char hex[] = "0123456789abcdef";
            out += "\\u00";
            out += hex[static_cast<unsigned char>(c) >> 4];
            out += hex[c & 15];
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string without_secrets(std::string url) {
    constexpr std::string_view mask = "[secret]";
    if (const std::size_t slashes = url.find("//"); slashes != std::string::npos) {
        const std::size_t begin = slashes + 2, end = std::min(url.find_first_of("/?#", begin), url.size());
        const std::size_t at = url.substr(0, end).rfind('@'), colon = url.find(':', begin);
        if (at != std::string::npos && at >= begin && colon < at) url.replace(colon + 1, at - colon - 1, mask);
    }
    for (std::size_t at = url.find('?'); at != std::string::npos; at = url.find('&', at + 1)) {
        const std::size_t equals = url.find('=', at);
        if (equals == std::string::npos) break;
        std::string name = url.substr(at + 1, equals - at - 1);
        for (char& c : name)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        bool telling = name == "sig" || name == "code";
        for (const char* word : {"token", "key", "secret", "pass", "auth"}) telling |= name.find(word) != std::string::npos;
        if (telling) url.replace(equals + 1, std::min(url.find('&', equals), url.size()) - equals - 1, mask);
    }
    return url;
}

std::string bytes_text(std::uint64_t bytes) {
    for (std::size_t i = 0; i < binary_units && bytes > 0; ++i)
        if (bytes % byte_units[i].bytes == 0) return '"' + std::to_string(bytes / byte_units[i].bytes) + std::string(byte_units[i].name) + '"';
    return std::to_string(bytes);
}

std::string shown(const Value& value) {
    constexpr std::size_t longest = 80;
    if (value.loose || value.kind == Value::Kind::text) {
        if (value.text.size() <= longest) return quoted(value.text);
        std::size_t end = longest;
        while (end > 0 && (static_cast<unsigned char>(value.text[end]) & 0xc0) == 0x80) --end;  // not inside a character
        return quoted(value.text.substr(0, end)) + "...";
    }
    switch (value.kind) {
        case Value::Kind::boolean: return value.boolean ? "true" : "false";
        case Value::Kind::integer: return std::to_string(value.integer);
        case Value::Kind::real: {
            char digits[32];
            return {digits, std::to_chars(digits, digits + sizeof digits, value.real).ptr};
        }
        case Value::Kind::list: {
            std::string out = "[";
            for (std::size_t i = 0; i < value.list.size(); ++i) {
                if (out.size() > longest) return out + ", ...]";
                out += (i ? ", " : "") + shown(value.list[i]);
            }
            return out + "]";
        }
        case Value::Kind::table: return "a table";
        default: return value.text;
    }
}

}  // namespace weir
