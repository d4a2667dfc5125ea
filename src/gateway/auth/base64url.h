#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace weir {

/// base64url without padding, as JOSE writes bytes (RFC 7515, 2). `decode` takes exactly what `encode` makes: no padding, no blanks, no stray
/// bits behind the last byte, so that a token has one spelling. Pure; thread: any.
std::string base64url_encode(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace weir
