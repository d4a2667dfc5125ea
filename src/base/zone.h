#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace weir {

/// A named time zone (`Europe/Zurich`), for days, opening hours and clocks on a page. The log is always UTC (decisions.md 14).
///
/// A value as small as a pointer; the default is UTC. Rules come from the system's zone data (/usr/share/zoneinfo).
/// Thread: any. Cost: about 100 ns a conversion, no allocation after the zone's first use.
class Zone {
public:
    Zone() = default;  ///< UTC

    /// Errors: `unknown_zone` if the system's zone data has no such name, `zone_data` if that data cannot be read.
    static Result<Zone> find(std::string_view name);

    std::string name() const;
    bool is_utc() const { return zone_ == nullptr; }

    /// What clocks in the zone show at `t`.
    CivilTime to_local(Timestamp t) const;
    /// Local time minus UTC at `t`; east is positive.
    Duration offset(Timestamp t) const;

    /// The moment when clocks in the zone show this. Shown twice (clocks put back): the first. Never shown (clocks put
    /// forward): the moment of the jump. The fields are in their usual ranges, except that `day` may pass the month's end.
    Timestamp from_local(int year, int month, int day, int hour = 0, int minute = 0, int second = 0) const;

    /// The first moment of the local day that holds `t`, and of the day after: start <= t < next. A day has 23 or 25 hours where
    /// clocks change.
    Timestamp start_of_day(Timestamp t) const;
    Timestamp start_of_next_day(Timestamp t) const;

    /// The next moment after `t` at which the offset may change; Timestamp::max() if there is none. The system's data ends in 2037.
    Timestamp next_change(Timestamp t) const;

    bool operator==(const Zone&) const = default;

private:
    explicit Zone(const void* zone) : zone_(zone) {}
    const void* zone_ = nullptr;  ///< a date::time_zone, which lives as long as the process; null is UTC
};

}  // namespace weir
