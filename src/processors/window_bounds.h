#pragma once
#include <optional>

#include "base/time.h"
#include "config/window_options.h"

namespace weir {

/// Where windows begin and end: on the wall clock, whenever the process started (S0-8, C-1, C-4). A window is half-open, [start, end).
///
/// - tumbling: starts at the multiples of `size` since 1970 UTC, moved by `offset`; with sizes of whole days at midnight of `zone`, so
///   that a day has 23 or 25 hours where clocks change; with a `schedule` at its firings.
/// - hopping: starts at the multiples of `hop`.
/// - session: bounds come from the readings; only `is_session` is asked then.
///
/// Windows are named by their starts. Thread: any (immutable). Cost: a division; in zones and schedules about a microsecond.
class WindowBounds {
public:
    explicit WindowBounds(const WindowOptions& options);

    bool is_session() const { return options_.kind == WindowKind::session; }
    /// Start of the first window that ends after `t`. It holds `t`, unless it begins later, as it may with a schedule.
    Timestamp first_ending_after(Timestamp t) const;
    Timestamp next_start(Timestamp start) const;
    Timestamp end(Timestamp start) const;
    /// Start of the stretch of time around `t` whose readings share all their windows; nullopt where no window holds `t`.
    /// The window itself where windows do not overlap.
    std::optional<Timestamp> pane(Timestamp t) const;
    /// End of the last window that holds the pane.
    Timestamp last_end(Timestamp pane) const { return end(pane); }
    /// The longest that a window can be; for bounds of memory.
    Duration longest() const;

private:
    bool by_day() const { return days_ > 0; }
    Timestamp day_group(Timestamp t, bool next) const;

    WindowOptions options_;
    Duration step_;  ///< distance of starts
    int days_ = 0;   ///< size in days of the zone; 0: plain time
};

}  // namespace weir
