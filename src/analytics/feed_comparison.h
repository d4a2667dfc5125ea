#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace weir::analytics {

/// What two records of one source hold over the same time: how much each has caught of what the source did, and where each was silent.
///
/// The source's *changes* are those of both records together: all readings of a key in order of time, and a change wherever the value
/// is another than before. A record has caught a change if one of its readings shows the new value before the next change. A reading that still
/// shows the value before, at most `tolerance` after the other record saw it change, is late and no change of its own.
/// A value that came and went unseen by both is in neither number: what is stated is a lower bound of what was missed.
///
/// A *gap* is a silence of the whole record (all keys) longer than `gap`, the edges of the time included.
///
/// Thread: any. Cost: O(n log n) in readings.
struct FeedReading {
    Timestamp time;
    double value;
};
using FeedRecord = std::map<std::string, std::vector<FeedReading>>;  ///< by key, in any order

struct ComparisonOptions {
    std::optional<Timestamp> from, to;  ///< default: what both cover
    Duration tolerance{5'000'000};
    std::optional<Duration> gap;        ///< default: three times the record's own median spacing
    Duration window{300'000'000};       ///< for `windows_with_readings`
};

struct RecordSummary {
    std::uint64_t readings = 0, caught = 0, missed = 0;
    std::optional<double> capture_rate;       ///< caught of all changes; nullopt without a change
    std::optional<Duration> median_spacing;   ///< between moments with readings; nullopt under two
    Duration gap_limit{0}, gap_total{0}, gap_longest{0};
    std::uint64_t gaps = 0;
    std::uint64_t windows_with_readings = 0;  ///< what a store writes
};

struct FeedComparison {
    Timestamp from, to;
    std::uint64_t keys = 0, changes = 0;
    std::array<RecordSummary, 2> records;
    /// Of the time in which both knew a value, summed over keys: the share in which it was the same, and the mean absolute difference.
    std::optional<double> agreement, mean_difference;
};

/// nullopt when the two have no time in common, or one is empty.
std::optional<FeedComparison> compare_feeds(const FeedRecord& a, const FeedRecord& b, const ComparisonOptions& options);

}  // namespace weir::analytics
