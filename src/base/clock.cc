#include "base/clock.h"

namespace weir {

Timestamp SystemClock::now() const {
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return Timestamp::from_micros(std::chrono::duration_cast<Duration>(since_1970).count());
}

Duration SystemClock::monotonic() const {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace weir
