#include "config/option_path.h"

namespace weir {

namespace {

/// Whether `path` is what `pattern` begins with: `*` is any name, `#` a number.
bool begins_with(const Parts& pattern, const Parts& path) {
    if (pattern.size() < path.size()) return false;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (pattern[i] == "*") continue;
        const bool number = !path[i].empty() && path[i].size() <= 3 && path[i].find_first_not_of("0123456789") == std::string::npos;
        if (pattern[i] == "#" ? !number : pattern[i] != path[i]) return false;
    }
    return true;
}

/// The rows that may begin with `path`: those of its first name, for no pattern begins with `*`; all of them for an empty path.
std::span<const Option* const> rows_of(const Parts& path) {
    static const auto by_name = [] {
        std::map<std::string, std::vector<const Option*>> rows;
        for (const Option& option : option_table()) {
            rows[option.parts[0]].push_back(&option);
            rows[""].push_back(&option);
        }
        return rows;
    }();
    const auto at = by_name.find(path.empty() ? "" : path[0]);
    return at == by_name.end() ? std::span<const Option* const>() : at->second;
}

}  // namespace

Match match(const Parts& path) {
    Match found;
    for (const Option* option : rows_of(path)) {
        if (!begins_with(option->parts, path)) continue;
        found.option = option->parts.size() == path.size() ? option : nullptr;
        if (found.option || !found.above) {
            found.pattern.assign(option->parts.begin(), option->parts.begin() + static_cast<std::ptrdiff_t>(path.size()));
            found.names.clear();
            for (std::size_t i = 0; i < path.size(); ++i)
                if (found.pattern[i] == "*" || found.pattern[i] == "#") found.names.push_back(path[i]);
        }
        if (found.option) return found;
        found.above = true;
        if (option->parts[path.size()] == "#") found.array_below = true;
    }
    return found;
}

Parts names_below(const Parts& path) {
    Parts names;
    const std::size_t depth = path.size();
    for (const Option* option : rows_of(path)) {
        const Parts& pattern = option->parts;
        if (pattern.size() <= depth || pattern[depth] == "*" || pattern[depth] == "#") continue;
        bool same = true;
        for (std::size_t i = 0; i < depth && same; ++i) same = pattern[i] == "*" || pattern[i] == "#" || pattern[i] == path[i];
        if (same && std::find(names.begin(), names.end(), pattern[depth]) == names.end()) names.push_back(pattern[depth]);
    }
    return names;
}

}  // namespace weir
