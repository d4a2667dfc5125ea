#include "net/utf8.h"

#include <cstddef>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace weir::net {
namespace {

/// Within a character: how many bytes follow, and what the next one may be. The first byte decides (RFC 3629, section 4).
enum State : std::uint8_t {
    between = 0,
    one_more,        // 80..BF
    two_more,
    three_more,
    after_e0,        // A0..BF, then one: shorter would be overlong
    after_ed,        // 80..9F, then one: higher would be a surrogate
    after_f0,        // 90..BF, then two: lower would be overlong
    after_f4,        // 80..8F, then two: higher is above U+10FFFF
    wrong,
};

constexpr std::uint8_t first(unsigned char c) {
    if (c < 0x80) return between;
    if (c < 0xc2) return wrong;
    if (c < 0xe0) return one_more;
    if (c == 0xe0) return after_e0;
    if (c == 0xed) return after_ed;
    if (c < 0xf0) return two_more;
    if (c == 0xf0) return after_f0;
    if (c < 0xf4) return three_more;
    return c == 0xf4 ? after_f4 : wrong;
}

constexpr std::uint8_t follow(std::uint8_t state, unsigned char c) {
    const auto in = [c](unsigned char low, unsigned char high, std::uint8_t then) -> std::uint8_t {
        return c >= low && c <= high ? then : static_cast<std::uint8_t>(wrong);
    };
    switch (state) {
        case one_more: return in(0x80, 0xbf, between);
        case two_more: return in(0x80, 0xbf, one_more);
        case three_more: return in(0x80, 0xbf, two_more);
        case after_e0: return in(0xa0, 0xbf, one_more);
        case after_ed: return in(0x80, 0x9f, one_more);
        case after_f0: return in(0x90, 0xbf, two_more);
        case after_f4: return in(0x80, 0x8f, two_more);
        default: return wrong;
    }
}

/// The length of the run of ASCII at the front, in whole blocks.
std::size_t ascii_blocks(const char* data, std::size_t size) noexcept {
    std::size_t i = 0;
#ifdef __SSE2__
    for (; i + 16 <= size; i += 16)
        if (_mm_movemask_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(data + i)))) return i;
#else
    for (; i + 8 <= size; i += 8) {
        std::uint64_t word;
        std::memcpy(&word, data + i, 8);
        if (word & 0x8080808080808080u) return i;
    }
#endif
    return i;
}

}  // namespace

bool Utf8Checker::add(std::string_view piece) noexcept {
    std::uint8_t state = state_;
    for (std::size_t i = 0; i < piece.size();) {
        if (state == between) {
            i += ascii_blocks(piece.data() + i, piece.size() - i);
            // Up to the next block byte by byte: text that is not ASCII seldom goes back to it for long.
            for (std::size_t end = std::min(i + 16, piece.size()); i < end; ++i) {
                const auto c = static_cast<unsigned char>(piece[i]);
                state = state == between ? first(c) : follow(state, c);
                if (state == wrong) {
                    state_ = wrong;
                    return false;
                }
            }
        } else {
            state = follow(state, static_cast<unsigned char>(piece[i++]));
            if (state == wrong) break;
        }
    }
    state_ = state;
    return state != wrong;
}

bool is_valid_utf8(std::string_view text) noexcept {
    Utf8Checker checker;
    return checker.add(text) && checker.complete();
}

}  // namespace weir::net
