#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/diag.h"
#include "base/guarded.h"
#include "base/mailbox.h"
#include "base/metrics.h"
#include "base/result.h"
#include "log/database.h"

namespace weir {

/// Moves what the writer has put into the WAL over into the file, on a thread of its own, so that no commit waits while some
/// megabytes go to the disk.
///
/// While it works the writer goes on and the WAL grows; only when all of it is in the file does SQLite begin it anew. So it
/// works in rounds, each of what came during the last, and leaves the writer a rest of `rest_pages` at most, whose
/// checkpoint takes a millisecond or two. A WAL of `wal_pages_max`, when rounds cannot keep up or a reader holds them back, is
/// the writer's to checkpoint too, once the round that is under way is over: all that came of that is as slow as without this thread.
///
/// Thread: `after_commit` is the writer's. Errors, of either thread, are counted and warned of, at most one line a minute:
/// nothing is lost with them, the WAL has everything, and grows until a checkpoint succeeds.
class Checkpointer {
public:
    static constexpr int begin_pages = 1000;     ///< 4 MB
    static constexpr int rest_pages = 250;       ///< 1 MB
    static constexpr int wal_pages_max = 16000;  ///< 64 MB

    /// `vfs` as Database::open.
    static Result<std::unique_ptr<Checkpointer>> start(const std::string& file, const std::string& vfs, const Clock& clock, Metrics& metrics);
    ~Checkpointer();

    /// Wakes the thread when there is enough in the WAL, and does the writer's own checkpoint, over its connection, when that is due.
    void after_commit(Database& writer);
    /// Ends a round that is under way; closes the connection. Idempotent.
    void stop();

private:
    Checkpointer(Database database, const Clock& clock, Metrics& metrics);
    void loop();
    bool is_writers_turn(int wal_pages);
    /// nullopt when it failed, or another connection is at it.
    std::optional<Database::Checkpoint> checkpoint(Database& database, Metrics::Counter& count);

    std::optional<Database> database_;
    const Clock& clock_;
    Metrics::Counter &by_thread_, &by_writer_, &failures_;
    Guarded<bool> one_at_a_time_{false};  ///< SQLite would turn the second away, and the WAL had no bound
    Guarded<diag::RateLimiter> limiter_{diag::RateLimiter(60'000'000)};
    Mailbox<int> wake_;
    std::atomic<bool> working_{false};
    std::atomic<bool> left_a_rest_{false};
    std::thread thread_;
};

}  // namespace weir
