#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "base/time.h"
#include "config/feed_options.h"

namespace weir {

/// Makes the messages of a simulated source, one after another: same seed and times, same messages. All say that they are simulated.
///
///     walk, sine, constant   [{"key":K,"value":V,"simulated":true}, ...]
///     day                    [{"uid":K,"name":"K (simulated)","freespace":F,"maxspace":M,"currentfill":"N"}, ...], the pool feed's shape, `high` the
///                            capacity; opens at 6, closes at 22, Swiss winter time
///     line                   [{"key":K,"value":mean,"values":[five],"cause":null or what was put in,"simulated":true}, ...]; causes in
///                            turn: outlier, shift, drift, alternation, stratification, mixture, spread
///     users                  {"results":[{"login":{"uuid":...},"name":...,...}],"info":{...,"simulated":true}}, randomuser.me's shape
///
/// Thread: one owner.
class MessageGenerator {
public:
    virtual ~MessageGenerator() = default;
    virtual std::string message(Timestamp at) = 0;
    static std::unique_ptr<MessageGenerator> make(const SourceOptions& options);
};

/// A UUID of version 4 (RFC 4122) by chance.
std::string random_uuid(Prng& prng);

/// Visitors of one pool over its days: opens empty at 6, fills, empties by 22; a little different each day and each pool.
class PoolDay {
public:
    PoolDay(std::uint64_t seed, int capacity);
    /// Moves to `at`, which does not go back; how many are in.
    int visitors(Timestamp at);
    int capacity() const { return capacity_; }

private:
    Prng prng_;
    int capacity_;
    double visitors_ = 0, popularity_;
    std::optional<Timestamp> last_;
};

}  // namespace weir
