#pragma once
#include <string>

#include "config/window_options.h"

namespace weir {

/// Whether `name` (from --window; empty: the only window there is, and then set to it) is a tumbling window of the configuration. Where it
/// is none, says so on stderr, with those that are.
bool choose_tumbling_window(const char* command, const WindowTable& windows, std::string& name);

}  // namespace weir
