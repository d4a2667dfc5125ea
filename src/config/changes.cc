#include "config/option_path.h"

namespace weir {

std::vector<ConfigChange> changes(const Config& from, const Config& to) {
    std::map<std::string, ConfigChange> found;
    for (const Option& option : option_table()) {
        std::map<std::string, const void*> before, after;
        option.section->each(from.options, [&](const Parts& names, const void* owner) { before[path_of(option.parts, names)] = owner; });
        option.section->each(to.options, [&](const Parts& names, const void* owner) { after[path_of(option.parts, names)] = owner; });
        for (const auto& [path, owner] : before) {
            const auto other = after.find(path);
            // A section that came or went: each of its options did.
            if (other == after.end())
                found[path] = {path, true};
            else if (!option.equal(owner, other->second))
                found[path] = {path, option.when == When::restart};
        }
        for (const auto& [path, owner] : after)
            if (!before.contains(path)) found[path] = {path, true};
    }
    std::vector<ConfigChange> all;
    for (auto& [path, change] : found) all.push_back(std::move(change));
    return all;
}

void take_reloadable(Config& running, const Config& fresh) {
    for (const Option& option : option_table()) {
        if (option.when != When::reload) continue;
        option.section->each(running.options, [&](const Parts& names, const void*) {
            option.section->each(fresh.options, [&](const Parts& other, const void* from) {
                if (other == names) option.assign(option.section->locate(running.options, names), from);
            });
        });
    }
}

}  // namespace weir
