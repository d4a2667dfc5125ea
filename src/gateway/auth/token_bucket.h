#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace weir {

/// So many a minute, and that many at once after a rest. Whoever is let in may take more than is there and leaves a debt, so that one large
/// request is never impossible, only followed by a longer wait. Time: monotonic, handed in. Thread: one owner.
class TokenBucket {
public:
    explicit TokenBucket(std::uint32_t per_minute) : per_minute_(per_minute), there_(per_minute) {}

    /// nullopt: taken. Else how long to wait before asking again; nothing is taken then.
    std::optional<Duration> take(Duration now, double count = 1) {
        const double per_micro = per_minute_ / 60e6;
        if (started_) there_ = std::min(per_minute_, there_ + static_cast<double>((now - last_).count()) * per_micro);
        started_ = true;
        last_ = now;
        if (there_ < 1) return Duration(static_cast<std::int64_t>((1 - there_) / per_micro) + 1000);
        there_ -= count;
        return std::nullopt;
    }

    /// Whether one that is made anew would let in no more.
    bool full(Duration now) const { return !started_ || there_ + static_cast<double>((now - last_).count()) * per_minute_ / 60e6 >= per_minute_; }

private:
    double per_minute_, there_;
    Duration last_{0};
    bool started_ = false;
};

}  // namespace weir
