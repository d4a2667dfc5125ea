#include "base/zone.h"

#include <date/tz.h>

#include <vector>

#include "base/assert.h"
#include "base/spelling.h"

namespace weir {
namespace {

constexpr std::int64_t micros_per_second = 1'000'000;

const date::time_zone& of(const void* zone) { return *static_cast<const date::time_zone*>(zone); }

date::sys_seconds to_seconds(Timestamp t) {
    return date::sys_seconds(std::chrono::seconds(t.floor_to(1s).micros() / micros_per_second));
}

Timestamp to_timestamp(date::sys_seconds t) {
    // The data's last period ends at the end of date's own range, which microseconds cannot hold.
    const std::int64_t seconds = t.time_since_epoch().count();
    if (seconds >= Timestamp::max().micros() / micros_per_second) return Timestamp::max();
    if (seconds <= Timestamp::min().micros() / micros_per_second) return Timestamp::min();
    return Timestamp::from_seconds(seconds);
}

}  // namespace

Result<Zone> Zone::find(std::string_view name) {
    if (name == "UTC" || name == "Etc/UTC" || name == "Z") return Zone();
    try {
        const date::tzdb& data = date::get_tzdb();
        try {
            const date::time_zone* zone = date::locate_zone(name);
            // The zone's rules are read on their first use: a damaged file shows here, not in the middle of a day.
            zone->get_info(date::sys_seconds());
            return Zone(zone);
        } catch (const std::exception&) {
            std::vector<std::string> names{"UTC"};
            for (const auto& zone : data.zones) names.push_back(zone.name());
            const std::string_view near = nearest_spelling(name, names);
            return Error{"unknown_zone", "time zone \"" + std::string(name) + "\" is not in the system's zone data" +
                                             (near.empty() ? "; allowed: UTC or a name such as Europe/Zurich"
                                                           : "; did you mean " + std::string(near) + "?")};
        }
    } catch (const std::exception& e) {
        return Error{"zone_data", "the system's zone data cannot be read (" + std::string(e.what()) +
                                      "); install the package tzdata, or use UTC"};
    }
}

std::string Zone::name() const { return zone_ ? of(zone_).name() : "UTC"; }

Duration Zone::offset(Timestamp t) const { return zone_ ? Duration(of(zone_).get_info(to_seconds(t)).offset) : Duration(0); }

CivilTime Zone::to_local(Timestamp t) const { return to_civil(t + offset(t)); }

Timestamp Zone::next_change(Timestamp t) const {
    return zone_ ? to_timestamp(of(zone_).get_info(to_seconds(t)).end) : Timestamp::max();
}

Timestamp Zone::from_local(int year, int month, int day, int hour, int minute, int second) const {
    const Timestamp shown = from_civil(year, month, day, hour, minute, second);
    if (!zone_) return shown;
    const date::local_seconds local(to_seconds(shown).time_since_epoch());
    const date::local_info info = of(zone_).get_info(local);
    if (info.result == date::local_info::nonexistent) return to_timestamp(info.first.end);
    return shown - Duration(info.first.offset);
}

Timestamp Zone::start_of_day(Timestamp t) const {
    const CivilTime c = to_local(t);
    // Where clocks were once put back from just after midnight, the end of the day before is shown again after the new day has
    // begun. A day begins once, so that moment belongs to the new day.
    const Timestamp next = from_local(c.year, c.month, c.day + 1);
    return next <= t ? next : from_local(c.year, c.month, c.day);
}

Timestamp Zone::start_of_next_day(Timestamp t) const {
    const CivilTime c = to_local(t);
    for (int days = 1;; ++days)
        if (const Timestamp next = from_local(c.year, c.month, c.day + days); next > t) return next;
}

}  // namespace weir
