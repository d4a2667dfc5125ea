#pragma once
#include <string>
#include <string_view>

namespace weir {

/// The first `bytes_max` bytes of a foreign text as one line for a diagnostic: cut between characters, control characters and
/// bytes that are no UTF-8 as `?`, `...` behind it where something was cut (S0-21).
std::string excerpt(std::string_view text, std::size_t bytes_max = 100);

/// At most the first `bytes_max` bytes of a UTF-8 text, cut between characters and otherwise as they are: for what is repeated to whoever sent it.
std::string cut(std::string_view text, std::size_t bytes_max);

}  // namespace weir
