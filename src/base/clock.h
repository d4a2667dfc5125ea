#pragma once
#include <atomic>
#include <chrono>

#include "base/time.h"

namespace weir {

/// Where time comes from. Below `app` nobody asks the system: a Clock or a Timestamp is handed in, so that a test
/// can run a year in a second. Thread: any.
class Clock {
public:
    virtual ~Clock() = default;
    /// Wall clock: may step backwards or forwards.
    virtual Timestamp now() const = 0;
    /// Time since some fixed moment of this process; never steps, never decreases. For durations and timeouts.
    virtual Duration monotonic() const = 0;
};

class SystemClock final : public Clock {
public:
    Timestamp now() const override;
    Duration monotonic() const override;
};

/// A clock that moves when told. Starts at the given moment. Thread: any.
class ManualClock final : public Clock {
public:
    explicit ManualClock(Timestamp start = Timestamp()) : now_(start.micros()) {}
    Timestamp now() const override { return Timestamp::from_micros(now_.load(std::memory_order_acquire)); }
    Duration monotonic() const override { return Duration(monotonic_.load(std::memory_order_acquire)); }

    void advance(Duration d) {
        now_.fetch_add(d.count(), std::memory_order_acq_rel);
        monotonic_.fetch_add(d.count(), std::memory_order_acq_rel);
    }
    void advance_to(Timestamp t) {
        if (t > now()) advance(t - now());
    }
    /// The wall clock steps; the monotonic clock does not.
    void step_wall(Duration d) { now_.fetch_add(d.count(), std::memory_order_acq_rel); }

private:
    std::atomic<std::int64_t> now_;
    std::atomic<std::int64_t> monotonic_{0};
};

}  // namespace weir
