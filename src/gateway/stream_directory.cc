#include "gateway/stream_directory.h"

#include <set>

namespace weir {

StreamDirectory::StreamDirectory(const StreamTable& streams, const WindowTable& windows, const FeedTable& feeds, const std::vector<std::string_view>& computed)
    : streams_(streams), feeds_(feeds) {
    for (const auto stream : computed) computed_.emplace(stream);
    std::set<StreamName> names;
    for (const auto& [name, feed] : feeds) names.insert(feed.stream.empty() ? name : feed.stream);
    for (const auto& [name, window] : windows) {
        const StreamName output = window.output.empty() ? window.stream + "." + name : window.output;
        types_[output] = StreamType::aggregations;
        computed_.insert(output);
        names.insert(output);
    }
    for (const auto& [name, options] : streams) {
        if (options.type) types_[name] = *options.type;
        names.insert(name);
    }
    for (const auto& name : names)
        if (!is_hidden(name)) configured_.push_back(name);
}

StreamType StreamDirectory::type_of(std::string_view stream) const {
    if (const auto at = types_.find(stream); at != types_.end()) return at->second;
    const std::pair<std::string_view, StreamType> own[] = {{"system_status", StreamType::system_status},
                                                           {"alerts", StreamType::alerts},
                                                           {"spc.violations", StreamType::alerts},
                                                           {"predictions", StreamType::predictions},
                                                           {"metrics", StreamType::metrics}};
    for (const auto& [name, type] : own)
        if (stream == name || (stream.starts_with(name) && stream[name.size()] == '.')) return type;
    return StreamType::data;
}

std::string_view StreamDirectory::label(std::string_view stream) const {
    const auto at = streams_.find(std::string(stream));
    return at == streams_.end() || at->second.label.empty() ? stream : std::string_view(at->second.label);
}

std::string StreamDirectory::field_of(const WindowOptions& window) const {
    if (!window.value.empty()) return window.value;
    for (const auto& [name, feed] : feeds_)
        if ((feed.stream.empty() ? name : feed.stream) == window.stream && !feed.decode.value.empty()) return feed.decode.value[0];
    return {};
}

}  // namespace weir
