#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "analytics/window_statistics.h"
#include "event/event.h"
#include "event/json.h"

namespace weir {

/// A stretch of a window in which at least one expected reading is missing.
struct WindowGap {
    Timestamp from, to;
    std::string cause;
    bool operator==(const WindowGap&) const = default;
};

/// What a window document says behind its head: statistics and coverage (docs/http-api.md).
struct WindowFacts {
    analytics::StatisticsSummary statistics;
    std::optional<std::uint64_t> expected, missing;  ///< nullopt while no interval is known
    std::map<std::string, std::uint32_t, std::less<>> rejected;  ///< by reason
    std::uint64_t late = 0, duplicates = 0;
    bool complete = false;
    Duration connected{0};
    std::map<std::string, std::uint32_t, std::less<>> sources;  ///< readings by what took them
    std::optional<Duration> interval;
    bool interval_learned = false;
    std::vector<WindowGap> gaps;
    std::optional<std::string> reason;  ///< of an empty window
    std::optional<std::pair<Seq, Seq>> seqs;
};
/// `{"statistics":{…},"coverage":{…},"first_seq":…,"last_seq":…}`
std::string window_body(const WindowFacts& facts);

/// A reading as it stands in a window's file.
struct WindowReading {
    Timestamp time;
    double value = 0;
    std::string source;
};

/// The document of one window that two logs have seen a part of each (decisions.md 12): statistics of all its readings (`readings`:
/// those of both, each once), with a coverage that claims no more than both know. Missing is what still is; a gap is where neither
/// has readings; `rejected`, `late` and `duplicates` are the larger of the two, since both may have seen the same; `cut` only if both are.
/// Seqs are null: they would be of different logs. The order of the two makes no difference.
/// Error `bad_window` where they are no documents of the same window.
Result<std::string> join_windows(const Json& one, const Json& other, std::span<const WindowReading> readings, std::uint64_t revision,
                                 analytics::MedianKind median, std::uint32_t exact_max);

}  // namespace weir
