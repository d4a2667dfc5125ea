#pragma once
#include "base/prng.h"
#include "base/time.h"

namespace weir {

/// How long to wait before the next try: doubles from `first` to `cap`, each drawn between half and all of it (jitter, so
/// that a thousand clients do not return in one instant). A period of health of `reset_after` starts over.
/// Thread: one owner.
class Backoff {
public:
    struct Options {
        Duration first = 1s;
        Duration cap = 60s;
        Duration reset_after = 30s;
    };
    Backoff(Options options, std::uint64_t seed) : options_(options), prng_(seed), next_(options.first) {}

    /// The wait before the next try.
    Duration failed() {
        const Duration whole = next_;
        next_ = std::min(next_ * 2, options_.cap);
        const auto half = whole.count() / 2;
        return Duration(half + static_cast<std::int64_t>(prng_.uniform() * static_cast<double>(whole.count() - half)));
    }
    /// Tell how long the last connection was healthy; long enough starts over.
    void was_healthy_for(Duration healthy) {
        if (healthy >= options_.reset_after) next_ = options_.first;
    }
    /// A server named the wait itself (Retry-After); the next own wait is not shorter for it.
    void reset() { next_ = options_.first; }

private:
    Options options_;
    Prng prng_;
    Duration next_;
};

}  // namespace weir
