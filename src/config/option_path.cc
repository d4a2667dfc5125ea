#include "config/option_path.h"

namespace weir {

Match match(const Parts& path) {
    Match found;
    for (const Option& option : option_table()) {
        const Parts pattern = pattern_parts(option.path);
        if (pattern.size() < path.size()) continue;
        Parts names;
        bool same = true;
        for (std::size_t i = 0; i < path.size() && same; ++i) {
            if (pattern[i] == "*" || pattern[i] == "#") {
                const bool number = !path[i].empty() && path[i].size() <= 3 && path[i].find_first_not_of("0123456789") == std::string::npos;
                same = pattern[i] == "*" || number;
                names.push_back(path[i]);
            } else {
                same = pattern[i] == path[i];
            }
        }
        if (!same) continue;
        found.pattern.assign(pattern.begin(), pattern.begin() + static_cast<std::ptrdiff_t>(path.size()));
        found.names = std::move(names);
        if (pattern.size() == path.size()) {
            found.option = &option;
            return found;
        }
        found.above = true;
        if (pattern[path.size()] == "#") found.array_below = true;
    }
    return found;
}

Parts names_below(const Parts& path) {
    Parts names;
    const std::size_t depth = path.size();
    for (const Option& option : option_table()) {
        const Parts pattern = pattern_parts(option.path);
        if (pattern.size() <= depth || pattern[depth] == "*" || pattern[depth] == "#") continue;
        bool same = true;
        for (std::size_t i = 0; i < depth && same; ++i) same = pattern[i] == "*" || pattern[i] == "#" || pattern[i] == path[i];
        if (same && std::find(names.begin(), names.end(), pattern[depth]) == names.end()) names.push_back(pattern[depth]);
    }
    return names;
}

}  // namespace weir
