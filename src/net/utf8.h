#pragma once
#include <cstdint>
#include <string_view>

namespace weir::net {

/// Checks UTF-8 as it comes in pieces, and says no at the first byte that cannot be part of a valid text (RFC 3629: no overlong
/// forms, no surrogates, nothing above U+10FFFF). Cost: 16 bytes a step for ASCII.
class Utf8Checker {
public:
    /// False as soon as the text is wrong; it stays so.
    bool add(std::string_view piece) noexcept;
    /// Whether the text may end here: not within a character.
    bool complete() const noexcept { return state_ == 0; }
    void reset() noexcept { state_ = 0; }

private:
    std::uint8_t state_ = 0;  ///< 0: between characters; see utf8.cc
};

bool is_valid_utf8(std::string_view text) noexcept;

}  // namespace weir::net
