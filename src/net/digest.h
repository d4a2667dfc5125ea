#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "net/signature.h"

namespace weir::net {

// What requests are signed and checked with. Digests are raw bytes; `hex` and `base64` print them. Thread: any.

std::string md5(std::string_view bytes);  ///< 16 bytes; only where a protocol wants it as a checksum. For `sha256` see net/signature.h
std::string hmac_sha256(std::string_view key, std::string_view text);  ///< 32 bytes

std::string hex(std::string_view bytes);     ///< in lower case
std::string base64(std::string_view bytes);  ///< RFC 4648, 4, with padding
std::string hex(const Sha256& digest);
std::string base64(const Sha256& digest);
/// nullopt for anything but whole, padded base64 without blanks.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace weir::net
