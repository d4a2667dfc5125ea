#pragma once
#include <span>
#include <string>
#include <string_view>

namespace weir {

/// The candidate most like `word` (fewest insertions, deletions, replacements and swaps of neighbours; case and `-` for `_` count
/// nothing), for "did you mean". Empty if none is near: more than a third of the word, at least 2, would have to change.
/// Cost: the product of the lengths, for each candidate; for mistakes only.
std::string_view nearest_spelling(std::string_view word, std::span<const std::string> candidates);

}  // namespace weir
