#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "config/feed_options.h"
#include "event/json_path.h"

namespace weir {

/// Where the number of a window or of an alert stands: what it says itself, else where the feeds of its stream find theirs.
std::vector<std::string> value_pointers(const std::string& own, const std::string& stream, const FeedTable& feeds);
Result<std::vector<JsonPath>> value_paths(const std::string& own, const std::string& stream, const FeedTable& feeds);

}  // namespace weir
