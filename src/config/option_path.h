#pragma once
#include <string>
#include <vector>

#include "config/option.h"

/// Paths that somebody wrote (`feeds`, `pools`, `interval`) against the patterns of the option table (`feeds.*.interval`). For src/config
/// only. Thread: any. Cost: a walk over the rows of one section.
namespace weir {

using Parts = std::vector<std::string>;

/// What stands at a path: an option, something above options, or nothing.
struct Match {
    const Option* option = nullptr;
    bool above = false;         ///< options stand below it
    bool array_below = false;   ///< as an array of tables
    Parts pattern;              ///< of the path itself
    Parts names;                ///< what stands for `*` and `#`
};
Match match(const Parts& path);

/// The names that may stand after `path`.
Parts names_below(const Parts& path);

}  // namespace weir
