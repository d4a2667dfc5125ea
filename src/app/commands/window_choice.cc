#include "app/commands/window_choice.h"

#include <cstdio>

namespace weir {

bool choose_tumbling_window(const char* command, const WindowTable& windows, std::string& name) {
    if (name.empty() && windows.size() == 1) name = windows.begin()->first;
    if (windows.contains(name) && windows.at(name).kind == WindowKind::tumbling) return true;
    std::fprintf(stderr, "weir %s: --window is \"%s\"; allowed, the tumbling windows of the configuration:", command, name.c_str());
    for (const auto& [known, options] : windows)
        if (options.kind == WindowKind::tumbling) std::fprintf(stderr, " %s", known.c_str());
    std::fprintf(stderr, "\n");
    return false;
}

}  // namespace weir
