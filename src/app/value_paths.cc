#include "app/value_paths.h"

namespace weir {

std::vector<std::string> value_pointers(const std::string& own, const std::string& stream, const FeedTable& feeds) {
    if (!own.empty()) return {own};
    std::vector<std::string> pointers;
    for (const auto& [name, feed] : feeds)
        if (feed.stream == stream) pointers.insert(pointers.end(), feed.decode.value.begin(), feed.decode.value.end());
    return pointers;
}

Result<std::vector<JsonPath>> value_paths(const std::string& own, const std::string& stream, const FeedTable& feeds) {
    std::vector<JsonPath> paths;
    for (const std::string& pointer : value_pointers(own, stream, feeds)) {
        WEIR_TRY(auto path, JsonPath::parse(pointer));
        paths.push_back(std::move(path));
    }
    return paths;
}

}  // namespace weir
