#pragma once
#include <string>
#include <vector>

#include "config/config.h"

namespace weir {

/// What a start says of the streams that are broadcast, as source 002's server does (S2-13): where, how fast and from what. `address` is where the
/// gateway listens. Nothing where no stream is configured to be broadcast. Urls are shown without user, query and fragment.
std::vector<std::string> broadcast_banner(const Options& options, const std::string& address);

}  // namespace weir
