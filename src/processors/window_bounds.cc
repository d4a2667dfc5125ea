#include "processors/window_bounds.h"

#include "base/assert.h"

namespace weir {
namespace {

constexpr Duration day = 24h;

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

// Number of a civil day since 1970-01-01.
std::int64_t day_number(const CivilTime& c) { return from_civil(c.year, c.month, c.day).micros() / day.count(); }

}  // namespace

WindowBounds::WindowBounds(const WindowOptions& options) : options_(options), step_(options.size) {
    if (is_session()) {
        WEIR_ASSERT(options.gap > Duration(0));
        return;
    }
    WEIR_ASSERT(options.size > Duration(0));
    if (options.kind == WindowKind::hopping) {
        WEIR_ASSERT(options.hop > Duration(0));
        WEIR_ASSERT(options.size % options.hop == Duration(0));
        step_ = options.hop;
    } else if (!options.schedule && !options.zone.is_utc() && options.size % day == Duration(0)) {
        days_ = static_cast<int>(options.size / day);
    }
}

Timestamp WindowBounds::day_group(Timestamp t, bool next) const {
    const Timestamp shifted = t - options_.offset;
    const std::int64_t number = floor_div(day_number(options_.zone.to_local(shifted)), days_) + (next ? 1 : 0);
    const CivilTime c = to_civil(Timestamp::from_micros(number * days_ * day.count()));
    return options_.zone.from_local(c.year, c.month, c.day) + options_.offset;
}

Timestamp WindowBounds::first_ending_after(Timestamp t) const {
    if (options_.schedule) return options_.schedule->next(t - options_.size);
    if (by_day()) return day_group(t, false);
    const Timestamp latest = (t - options_.offset).floor_to(step_) + options_.offset;
    return latest - (options_.size - step_);
}

Timestamp WindowBounds::next_start(Timestamp start) const {
    if (options_.schedule) return options_.schedule->next(start);
    if (by_day()) return day_group(start, true);
    return start + step_;
}

Timestamp WindowBounds::end(Timestamp start) const { return by_day() ? day_group(start, true) : start + options_.size; }

std::optional<Timestamp> WindowBounds::pane(Timestamp t) const {
    if (options_.kind == WindowKind::hopping) return (t - options_.offset).floor_to(step_) + options_.offset;
    const Timestamp start = first_ending_after(t);
    return start <= t ? std::optional(start) : std::nullopt;
}

Duration WindowBounds::longest() const {
    if (is_session()) return options_.gap;
    return by_day() ? options_.size + 1h : options_.size;
}

}  // namespace weir
