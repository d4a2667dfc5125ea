#include "processors/processor.h"

#include <map>
#include <set>

namespace weir {

void Output::add(const StreamName& stream, const EventView& event) {
    auto it = std::find_if(appends_.begin(), appends_.end(), [&](const Append& a) { return a.stream == stream; });
    if (it == appends_.end()) {
        appends_.push_back({stream, {}, {}});
        it = appends_.end() - 1;
    }
    it->events.add(event);
    ++event_count_;
}

std::vector<Append> Output::take() {
    event_count_ = 0;
    return std::exchange(appends_, {});
}

namespace {

__extension__ using Wide = unsigned __int128;

Wide hash_of(std::initializer_list<std::string_view> parts) {
    constexpr Wide prime = (Wide{1} << 88) + 0x13b;
    Wide hash = (Wide{0x6c62272e07bb0142} << 64) | 0x62b821756295c58d;
    const auto byte = [&](unsigned char c) { hash = (hash ^ c) * prime; };
    for (const std::string_view part : parts) {
        for (std::size_t i = 0, n = part.size(); i < 4; ++i) byte(static_cast<unsigned char>(n >> (8 * i)));
        for (const char c : part) byte(static_cast<unsigned char>(c));
    }
    return hash;
}

}  // namespace

std::string derived_id(std::initializer_list<std::string_view> parts) {
    const Wide hash = hash_of(parts);
    return to_text(Epoch{static_cast<std::uint64_t>(hash >> 64)}) + to_text(Epoch{static_cast<std::uint64_t>(hash)});
}

std::uint64_t derived_hash(std::initializer_list<std::string_view> parts) {
    const Wide hash = hash_of(parts);
    return static_cast<std::uint64_t>(hash >> 64) ^ static_cast<std::uint64_t>(hash);
}

namespace {

// Depth first over streams; `path` is how we came here.
bool find_cycle(const StreamName& stream, const std::multimap<StreamName, std::pair<std::string, StreamName>>& edges,
                std::set<StreamName>& finished, std::vector<StreamName>& path) {
    const bool seen = std::find(path.begin(), path.end(), stream) != path.end();
    path.push_back(stream);
    if (seen) return true;
    if (!finished.contains(stream)) {
        const auto [from, to] = edges.equal_range(stream);
        for (auto it = from; it != to; ++it)
            if (find_cycle(it->second.second, edges, finished, path)) return true;
        finished.insert(stream);
    }
    path.pop_back();
    return false;
}

}  // namespace

Result<void> check_streams(const std::vector<const Processor*>& processors) {
    std::multimap<StreamName, std::pair<std::string, StreamName>> edges;
    std::set<std::string> names;
    for (const Processor* p : processors) {
        if (!names.insert(p->name()).second)
            return Error{"duplicate_processor", "two processors are named " + p->name() + "; names must be unique"};
        for (const auto& in : p->inputs())
            for (const auto& out : p->outputs()) edges.emplace(in, std::pair(p->name(), out));
    }
    std::set<StreamName> finished;
    for (const auto& [stream, edge] : edges) {
        std::vector<StreamName> path;
        if (!find_cycle(stream, edges, finished, path)) continue;
        path.erase(path.begin(), std::find(path.begin(), path.end(), path.back()));
        std::string text;
        for (const auto& step : path) text += (text.empty() ? "" : " -> ") + step;
        return Error{"stream_cycle", "processors would feed themselves: " + text + "; let one of them write to another stream"};
    }
    return ok();
}

}  // namespace weir
