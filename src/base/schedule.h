#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "base/zone.h"

namespace weir {

/// When something recurs: six fields of NCRONTAB, or an interval.
///
///     {second} {minute} {hour} {day} {month} {day-of-week}       `0 */5 * * * *` is every five minutes
///
/// A field is `*`, a number, a name (`JAN`, `MON`; months and days only, any case, whole names too), a range `1-5`, a step
/// `*/5` or `10-40/10` (`10/5` is from 10 to the field's end), or a list of those. Days of the week run from 0 = Sunday; 7 is
/// not Sunday. Where day and day-of-week are both restricted, both must match, as in Azure (unlike Unix cron).
/// An interval (`5min`) fires at the multiples of itself since 1970 UTC.
///
/// In a named zone the fields mean local time. A schedule with every hour (`*`) goes by what clocks show, also through an hour that
/// comes twice, and an hour that is skipped is skipped. One with fixed hours fires once for each time on the clock: at the first of
/// two, and at the jump for what it skips.
///
/// Source: NCRONTAB, https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer.
/// Thread: any (immutable). Cost: `next` steps over fields, not seconds; about a microsecond.
class Schedule {
public:
    /// Reads either form. Errors: `bad_schedule`, whose message names the field, what was found and what is allowed; a schedule
    /// that never fires (30 February) is one.
    static Result<Schedule> parse(std::string_view text, Zone zone = {});
    /// `interval` is above 0.
    static Schedule every(Duration interval);

    /// The first time after `after`, itself excluded. Timestamp::max() if there is none before the year 10000.
    Timestamp next(Timestamp after) const;

    /// The least time between two firings, over the whole cycle of the calendar (400 years); clock changes are left out.
    /// Cost: up to some milliseconds; for checks at the start.
    Duration shortest_spacing() const;

    /// As it was written.
    const std::string& text() const { return text_; }
    Zone zone() const { return zone_; }

    bool operator==(const Schedule&) const = default;

private:
    Schedule() = default;
    bool matches_day(const CivilTime& day) const;
    std::int64_t next_match(std::int64_t local_second) const;

    std::string text_;
    Zone zone_;
    Duration interval_{0};       ///< 0: the fields below hold
    std::uint64_t seconds_ = 0;  ///< bit n: second n fires
    std::uint64_t minutes_ = 0;
    std::uint32_t hours_ = 0;
    std::uint32_t days_ = 0;    ///< bits 1 to 31
    std::uint16_t months_ = 0;  ///< bits 1 to 12
    std::uint8_t weekdays_ = 0;
};

}  // namespace weir
