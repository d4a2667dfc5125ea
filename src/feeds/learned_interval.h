#pragma once
#include <optional>
#include <vector>

#include "base/time.h"

namespace weir {

/// The expected spacing of messages, learned: the median of the last 200 spacings (decisions.md 32), known from the 10th on.
/// Thread: one owner. Cost: O(1) a message, a partial sort of 200 numbers each 20 messages.
class LearnedInterval {
public:
    /// A message came at `at`. The new interval where it has just become known or has changed by more than a tenth.
    std::optional<Duration> message(Timestamp at);
    /// A new connection: the pause before it is no spacing.
    void interrupted() { last_.reset(); }
    std::optional<Duration> known() const { return known_; }

private:
    std::vector<std::int64_t> spacings_;  // micros, a ring of at most 200
    std::size_t next_ = 0;
    std::uint64_t count_ = 0;
    std::optional<Timestamp> last_;
    std::optional<Duration> known_;
};

}  // namespace weir
