#pragma once
#include <string>
#include <vector>

#include "analytics/feed_comparison.h"
#include "base/clock.h"
#include "base/result.h"
#include "event/json_path.h"

namespace weir {

/// Where the readings of a record stand.
struct CompareFields {
    std::vector<JsonPointer> key, value, time;  ///< first that is there; of a log's or an export's events the event's own key and time
};

struct CompareInput {
    std::string name, form;  ///< as it was named; `recording`, `stream`, `documents`
    analytics::FeedRecord readings;
    std::uint64_t bytes = 0;    ///< of the readings as weir stores them: time, value, source
    std::uint64_t skipped = 0;  ///< lines or documents without a reading
};

/// `file` (NDJSON or CSV, plain or .gz), `folder:stream` of a log that is not in use, or a folder of window documents (profiles weir, s0, s1-raw).
/// Errors: those of Recording and SqliteLog; `no_readings`.
Result<CompareInput> read_compare_input(const std::string& name, const CompareFields& fields, const Clock& clock);

}  // namespace weir
