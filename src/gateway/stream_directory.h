#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/feed_options.h"
#include "config/log_options.h"
#include "config/window_options.h"
#include "event/event.h"

namespace weir {

/// What is known of streams before an event is in them: their names, and which subscription type each answers to (decisions.md 21).
/// Immutable; thread: any.
class StreamDirectory {
public:
    /// `computed`: streams that hold what weir computes, beside those of the windows.
    StreamDirectory(const StreamTable& streams, const WindowTable& windows, const FeedTable& feeds, const std::vector<std::string_view>& computed = {});

    /// The configured type; else a window's output is aggregations, `system_status`, `alerts`, `predictions` and `metrics` (also with
    /// `.` and more behind) are what they are called, and everything else is data.
    StreamType type_of(std::string_view stream) const;
    /// What people see: the configured label, else the name.
    std::string_view label(std::string_view stream) const;
    /// Streams that are weir's own business (`_state/...`): never listed, never subscribed.
    static bool is_hidden(std::string_view stream) { return stream.starts_with('_'); }
    /// Streams that hold what weir computes (windows, judged samples): nobody else writes there.
    bool is_computed(std::string_view stream) const { return computed_.contains(stream); }
    /// Streams that exist by configuration, whether an event is in them yet or not; ordered.
    const std::vector<StreamName>& configured() const { return configured_; }
    /// The JSON Pointer that a window's statistics are about; where it has none of its own the feed's value. May be empty.
    std::string field_of(const WindowOptions& window) const;

private:
    StreamTable streams_;
    FeedTable feeds_;
    std::map<StreamName, StreamType, std::less<>> types_;
    std::set<StreamName, std::less<>> computed_;
    std::vector<StreamName> configured_;
};

}  // namespace weir
