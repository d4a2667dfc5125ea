#pragma once
#include <memory>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/status_board.h"
#include "config/feed_options.h"
#include "log/log.h"

namespace weir {

/// All configured feeds, on one thread with one reactor.
///
///     auto feeds = Feeds::make({.table = options.feeds, .log = log.get(), .clock = &clock, ...});     feeds->start();     feeds->stop();
///
/// Thread: made, started and stopped by the app's thread.
class Feeds {
public:
    struct Setup {
        FeedTable table;
        Log* log = nullptr;
        const Clock* clock = nullptr;
        StatusBoard* board = nullptr;
        Metrics* metrics = nullptr;
        std::uint64_t seed = 0;  ///< of all jitter; the app draws it
        bool recorded_times = false;  ///< commits bear the recordings' times (Feed::Times::recorded): for history that is imported
        std::string progress;         ///< with them: who counts the commits (Feed::Setup::progress); for a table of one feed
    };
    /// Errors: those of Feed::make.
    static Result<std::unique_ptr<Feeds>> make(Setup setup);
    ~Feeds();

    void start();
    /// Whether every feed has played its recording to the end and the log has it all. Between start and stop; waits for a turn.
    /// Error: that of a feed whose recording cannot be read to its end; what came before is in the log.
    Result<bool> finished();
    /// Ends all feeds; each commits a `stopped` state. Returns when the log has answered, after `patience` at the latest.
    /// Idempotent; the destructor does it too.
    void stop(Duration patience = 5s);

private:
    struct Parts;
    explicit Feeds(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace weir
