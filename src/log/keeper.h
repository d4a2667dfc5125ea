#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/guarded.h"
#include "base/mailbox.h"
#include "base/metrics.h"
#include "config/log_options.h"
#include "log/block_readers.h"
#include "log/writer.h"

namespace weir {

/// What retention keeps for a reader (Log::hold_for).
struct Hold {
    std::vector<StreamName> streams;
    std::string state_key;
};
using Holds = std::map<std::string, Hold, std::less<>>;  ///< by reader

/// Keeps a log's file in shape: merges small blocks into large, better compressed ones, and retires what is too old.
///
/// It reads, decodes and encodes on its own thread and connection; only the exchange of rows is a transaction of the writer.
/// Merging moves no seq and loses no commit, time, tick or note: a merged block holds a mark for each commit.
/// Thread: its own, every `every`; `run_once` may also be called by a test when `every` is 0.
class Keeper {
public:
    struct Setup {
        LogOptions options;
        StreamTable streams;
        const Clock* clock;
        Metrics* metrics;
        std::shared_ptr<BlockReaders> readers;  ///< the log's: each round lets go of what was not used since the last
        Duration every;  ///< 0: only when `run_once` is called
    };
    /// `reader` is the keeper's own, without a cache: what is merged is read once.
    Keeper(Setup setup, Writer& writer, std::unique_ptr<BlockReader> reader, const Guarded<Holds>& holds);
    ~Keeper();

    /// All that is due now. Errors: as Writer and BlockReader; what was done stays done.
    Result<void> run_once();
    void stop();

private:
    Result<void> run_all(const Holds& holds);
    Result<void> give_memory_back();
    Result<void> merge(const StreamRow& stream);
    Result<void> exchange(const StreamRow& stream, const std::vector<BlockRow>& blocks);
    Result<void> retire(const StreamRow& stream, const Holds& holds);

    Setup setup_;
    Writer& writer_;
    std::unique_ptr<BlockReader> reader_;
    const Guarded<Holds>& holds_;
    std::map<std::uint32_t, CommitNo> merged_;  ///< by stream: up to here there is nothing to merge any more
    std::atomic<bool> stopping_{false};
    std::uint64_t merged_bytes_ = 0;         ///< decoded and encoded for merging in this round
    Metrics::Counter &blocks_merged_, &events_retired_;
    Mailbox<int> stop_;
    Guarded<bool> round_{false};  ///< held for a whole round: two at once would exchange the same blocks
    std::thread thread_;
};

}  // namespace weir
