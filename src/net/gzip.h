#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::net {

/// Gzip (RFC 1952) of a whole text. No time and no name in the header: the same text gives the same bytes, so that a file that is
/// written again is the same file. Level 6. Thread: any.
std::string gzip(std::string_view text);

/// The text of a gzip file, of several members too. Errors: `bad_gzip` for damaged or cut bytes; `too_large` above `bytes_max`, which
/// bounds what a bomb can do. Thread: any.
Result<std::string> gunzip(std::string_view bytes, std::size_t bytes_max);

/// Whether these are the first bytes of a gzip file.
bool is_gzip(std::string_view bytes);

}  // namespace weir::net
