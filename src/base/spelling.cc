#include "base/spelling.h"

#include <algorithm>
#include <vector>

namespace weir {
namespace {

char folded(char c) {
    if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

// Optimal string alignment: Levenshtein's distance with swaps of neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const bool same = folded(a[i - 1]) == folded(b[j - 1]);
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
            if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]))
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, above);
        std::swap(above, row);
    }
    return above[b.size()];
}

}  // namespace

std::string_view nearest_spelling(std::string_view word, std::span<const std::string> candidates) {
    // A word of any length is compared with its first 100 characters: this runs on foreign text.
    word = word.substr(0, 100);
    std::string_view best;
    std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        // At least as many changes as the lengths differ by: most candidates need no looking at.
        if (std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size()) >= least) continue;
        const std::size_t d = distance(word, candidate);
        if (d < least && d < std::max(word.size(), candidate.size())) {
            least = d;
            best = candidate;
        }
    }
    return best;
}

}  // namespace weir
