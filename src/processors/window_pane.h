#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "analytics/window_statistics.h"
#include "event/event.h"

namespace weir {

/// What was read of one stretch of time (a window, or where windows overlap a pane) for one key.
struct WindowPane {
    analytics::WindowStatistics statistics;
    std::map<std::string, std::uint32_t, std::less<>> sources;   ///< readings by what took them
    std::map<std::string, std::uint32_t, std::less<>> rejected;  ///< by reason
    std::vector<Timestamp> rejected_at;                          ///< where known, at most 1000
    std::uint64_t duplicates = 0, late = 0;
    Seq first_seq, last_seq;  ///< of its readings
    Timestamp first, last;    ///< times of its readings
    bool changed = true;      ///< since the last save
    std::size_t saved_readings = 0;

    void read(Timestamp time, double value, std::string_view source, Seq seq);
    std::uint64_t rejected_count() const;
    void merge(const WindowPane& other);
};

}  // namespace weir
