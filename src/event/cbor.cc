#include "event/cbor.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "event/json.h"

namespace weir {
namespace {

constexpr int kDepthMax = 64;

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

/// Half precision (IEEE 754 binary16) of a float that it holds exactly.
bool to_half(float value, std::uint16_t& half) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000, mantissa = bits & 0x7fffff;
    const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127;
    if ((bits & 0x7fffffff) == 0) return half = static_cast<std::uint16_t>(sign), true;
    if (exponent > 15) return false;
    if (exponent >= -14) {
        if (mantissa & 0x1fff) return false;
        return half = static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(exponent + 15) << 10 | mantissa >> 13), true;
    }
    if (exponent < -24) return false;
    const int shift = -exponent - 1;  // subnormal: the leading one becomes a digit like any
    const std::uint32_t full = mantissa | 0x800000;
    if (full & ((1U << shift) - 1)) return false;
    return half = static_cast<std::uint16_t>(sign | full >> shift), true;
}

double from_half(std::uint16_t half) {
    const int exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
    const double value = exponent == 0 ? std::ldexp(mantissa, -24) : exponent == 31 ? (mantissa ? NAN : INFINITY) : std::ldexp(mantissa + 1024, exponent - 25);
    return half & 0x8000 ? -value : value;
}

void append_double(std::string& out, double value) {
    const auto single = static_cast<float>(value);
    if (static_cast<double>(single) == value) {
        std::uint16_t half;
        if (to_half(single, half)) {
            out += '\xf9';
            append_big_endian(out, half, 2);
        } else {
            out += '\xfa';
            append_big_endian(out, std::bit_cast<std::uint32_t>(single), 4);
        }
        return;
    }
    out += '\xfb';
    append_big_endian(out, std::bit_cast<std::uint64_t>(value), 8);
}

void append_number(std::string& out, const Json& json) {
    const std::string& text = json.number_text();
    if (text.find_first_of(".eE") == std::string::npos) {
        const bool negative = text[0] == '-';
        std::uint64_t magnitude = 0;
        const char* end = text.data() + text.size();
        if (std::from_chars(text.data() + negative, end, magnitude).ec == std::errc() && !(negative && magnitude == 0))
            return append_cbor_head(out, negative ? 1 : 0, negative ? magnitude - 1 : magnitude);
    }
    append_double(out, json.as_double());
}

/// Whether it is UTF-8 (RFC 3629).
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
        const unsigned char lead = byte(i);
        const std::size_t more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : lead >> 3 == 30 ? 3 : 4;
        if (more == 4 || i + more >= text.size() + (more == 0)) return false;
        std::uint32_t point = more == 0 ? lead : lead & (0x3f >> more);
        for (std::size_t k = 1; k <= more; ++k) {
            if (byte(i + k) >> 6 != 2) return false;
            point = point << 6 | (byte(i + k) & 0x3f);
        }
        constexpr std::uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
        i += more + 1;
    }
    return true;
}

std::string base64url(std::string_view bytes) {
    constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string out;
    std::uint32_t waiting = 0;
    int bits = 0;
    for (const char c : bytes) {
        waiting = waiting << 8 | static_cast<unsigned char>(c);
        for (bits += 8; bits >= 6; bits -= 6) out += digits[waiting >> (bits - 6) & 0x3f];
    }
    if (bits > 0) out += digits[waiting << (6 - bits) & 0x3f];
    return out;
}

class Reader {
public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}

    Result<Json> whole() {
        WEIR_TRY(Json json, item(0));
        if (at_ != bytes_.size()) return bad("something follows the item");
        return json;
    }

private:
    struct Head {
        int major, info;
        std::uint64_t argument;
        bool indefinite() const { return info == 31; }
    };

    Error bad(const char* what) const { return {"malformed_cbor", std::string(what) + " at byte " + std::to_string(at_)}; }
    std::size_t left() const { return bytes_.size() - at_; }

    Result<Head> head() {
        if (left() == 0) return bad("the input ends");
        const auto initial = static_cast<unsigned char>(bytes_[at_++]);
        Head head{initial >> 5, initial & 31, static_cast<std::uint64_t>(initial & 31)};
        if (head.info < 24) return head;
        if (head.info == 31) {
            if (head.major < 2 || head.major == 6) return bad("an indefinite length where there is none");
            return head;
        }
        if (head.info > 27) return bad("a reserved length");
        const std::size_t size = std::size_t(1) << (head.info - 24);
        if (left() < size) return bad("the input ends");
        head.argument = 0;
        for (std::size_t i = 0; i < size; ++i) head.argument = head.argument << 8 | static_cast<unsigned char>(bytes_[at_++]);
        return head;
    }

    bool at_break() {
        if (left() == 0 || bytes_[at_] != '\xff') return false;
        ++at_;
        return true;
    }

    Result<std::string> text_of(const Head& first) {
        std::string out;
        if (!first.indefinite()) {
            if (first.argument > left()) return bad("a string is longer than the input");
            out = bytes_.substr(at_, first.argument);
            if (first.major == 3 && !is_utf8(out)) return bad("a text is no UTF-8");
            at_ += first.argument;
            return out;
        }
        while (!at_break()) {
            WEIR_TRY(const Head chunk, head());
            if (chunk.major != first.major || chunk.indefinite()) return bad("a chunk is no string of its kind");
            WEIR_TRY(const std::string piece, text_of(chunk));
            out += piece;
        }
        return out;
    }

    static Json number(double value) { return std::isfinite(value) ? Json::number(value) : Json(); }

    Result<Json> item(int depth) {
        if (depth > kDepthMax) return bad("more than 64 levels");
        WEIR_TRY(const Head first, head());
        switch (first.major) {
            case 0: return Json::number_from_text(std::to_string(first.argument));
            case 1:
                if (first.argument == ~std::uint64_t(0)) return Json::number_from_text("-18446744073709551616");
                return Json::number_from_text("-" + std::to_string(first.argument + 1));
            case 2: {
                WEIR_TRY(const std::string bytes, text_of(first));
                return Json::string(base64url(bytes));
            }
            case 3: {
                WEIR_TRY(std::string text, text_of(first));
                return Json::string(std::move(text));
            }
            case 4: return array(first, depth);
            case 5: return map(first, depth);
            case 6: return item(depth + 1);
            default: break;
        }
        switch (first.info) {
            case 20: return Json::boolean(false);
            case 21: return Json::boolean(true);
            case 22:
            case 23: return Json();
            case 24:
                if (first.argument < 32) return bad("a simple value in two bytes that fits into one");
                return Json();
            case 25: return number(from_half(static_cast<std::uint16_t>(first.argument)));
            case 26: return number(std::bit_cast<float>(static_cast<std::uint32_t>(first.argument)));
            case 27: return number(std::bit_cast<double>(first.argument));
            case 31: return bad("a break where nothing is open");
            default: return Json();  // a simple value that JSON has not
        }
    }

    Result<Json> array(const Head& first, int depth) {
        // Each item takes a byte at least: what a head claims beyond that is a lie.
        if (!first.indefinite() && first.argument > left()) return bad("an array is longer than the input");
        std::vector<Json> items;
        for (std::uint64_t i = 0; first.indefinite() ? !at_break() : i < first.argument; ++i) {
            WEIR_TRY(Json one, item(depth + 1));
            items.push_back(std::move(one));
        }
        return Json::array(std::move(items));
    }

    Result<Json> map(const Head& first, int depth) {
        if (!first.indefinite() && first.argument > left() / 2) return bad("a map is longer than the input");
        std::vector<Json::Member> members;
        for (std::uint64_t i = 0; first.indefinite() ? !at_break() : i < first.argument; ++i) {
            WEIR_TRY(const Head key, head());
            if (key.major != 3) return bad("a map's key is no text");
            WEIR_TRY(std::string name, text_of(key));
            WEIR_TRY(Json one, item(depth + 1));
            members.emplace_back(std::move(name), std::move(one));
        }
        return Json::object(std::move(members));
    }

    std::string_view bytes_;
    std::size_t at_ = 0;
};

}  // namespace

void append_cbor_head(std::string& out, int major, std::uint64_t argument) {
    const auto initial = [&](int info) { out += static_cast<char>(major << 5 | info); };
    if (argument < 24) return initial(static_cast<int>(argument));
    const int size = argument <= 0xff ? 0 : argument <= 0xffff ? 1 : argument <= 0xffffffff ? 2 : 3;
    initial(24 + size);
    append_big_endian(out, argument, 1 << size);
}

void append_cbor_text(std::string& out, std::string_view text) {
    append_cbor_head(out, 3, text.size());
    out += text;
}

bool append_cbor_of(std::string& out, std::string_view json) {
    const auto parsed = Json::parse(json, Json::own_levels_max);
    if (parsed.ok()) append_cbor(out, *parsed);
    return parsed.ok();
}

void append_cbor(std::string& out, const Json& json) {
    switch (json.kind()) {
        case Json::Kind::null: out += '\xf6'; return;
        case Json::Kind::boolean: out += json.as_boolean() ? '\xf5' : '\xf4'; return;
        case Json::Kind::number: return append_number(out, json);
        case Json::Kind::string: return append_cbor_text(out, json.as_string());
        case Json::Kind::array:
            append_cbor_head(out, 4, json.items().size());
            for (const Json& one : json.items()) append_cbor(out, one);
            return;
        case Json::Kind::object:
            append_cbor_head(out, 5, json.members().size());
            for (const auto& [name, value] : json.members()) {
                append_cbor_text(out, name);
                append_cbor(out, value);
            }
            return;
    }
}

Result<Json> read_cbor(std::string_view bytes) { return Reader(bytes).whole(); }

}  // namespace weir
