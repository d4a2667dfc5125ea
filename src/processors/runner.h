#pragma once
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mailbox.h"
#include "base/metrics.h"
#include "base/status_board.h"
#include "log/log.h"
#include "processors/processor.h"

namespace weir {

/// Where a processor begins that has no saved state, or state of another version.
struct Start {
    enum class At : std::uint8_t { now, commit };
    At at = At::now;
    CommitNo after{};  ///< with `commit`: everything after this one; 0 is all that is kept. A rebuild.
};

struct RunnerOptions {
    std::uint64_t snapshot_events = 20'000;  ///< a snapshot is due after this many input events ...
    Duration snapshot_interval = 5min;       ///< ... or this much time of the log, whichever is first
    std::size_t snapshot_bytes = 4 << 20;    ///< ... or when it would hold as much (Processor::unsaved_bytes); a commit holds 16 MiB
    std::size_t read_events = 10'000;        ///< events a read; at least one commit
    std::size_t pending_max = 64;            ///< commits on their way to the log; at the bound the runner waits
    std::size_t commit_bytes = 400 * 1024;   ///< a larger output goes in several commits (exactly once all the same)
    Duration tick_spacing = 50ms;            ///< least time between two ticks of one stream
    bool announce_restart = true;            ///< tell streams with state that weir was down until now ...
    std::vector<StreamName> told_by_feeds{}; ///< ... but these, whose feeds say so themselves
};

/// Runs processors: reads their streams in commit order, commits what they derive.
///
/// **One commit = derived events + position** (+ now and then the changed keys of state), one for each input commit that gave any
/// output; nothing is written for an input that gave none. After a crash a processor's last snapshot is restored, the
/// input from there to the committed position is shown to it again with its output discarded, and then it goes on: so each
/// derived event is there exactly once, with the bytes it would have had without the crash. The ids of derived events make the
/// log's deduplication a second net. Commits are submitted without waiting for the one before.
///
/// **Time** comes from the log's commit times only. When a stream is quiet and something is due on it, the runner commits a tick
/// (an empty Append), at most `tick_spacing` after it is due.
///
/// When a commit fails (`disk_full`) nothing more is submitted, and what is on its way behind it is refused: each commit says where it
/// expects its reader's position. So the position in the log never passes an output that is not there, whatever happens before the
/// next try. When the log has answered everything, all processors are restored as on a start, and go on, after 1 s, 2 s, ... 30 s.
/// Snapshots are waited for, and so are the parts of one large output, whose position does not move.
///
/// **Retention** that goes past a processor (a stream's hard size) is a gap: it is counted (`weir_processor_gaps_total`), said, and the
/// processor goes on with the first commit behind what was removed; likewise where it went past a snapshot, of what is shown again.
///
/// Reader state in the log beside the processor's own keys: `@version` (16 hexadecimal digits), `@snapshot` (commit number up to which
/// the saved state holds), `@partial` (`<commit> <n>`: n events of this commit's output are in the log already).
///
/// Thread: `start` makes one thread for all its processors; without it the owner calls `poll`. Cost: one read of the log's tail a wake.
class Runner {
public:
    /// Of a processor's state: the commit up to which it holds. The input behind it is read again after a crash, so retention must keep
    /// it (Log::hold_for): it may be far behind the position.
    static constexpr std::string_view snapshot_key = "@snapshot";

    Runner(Log& log, const Clock& clock, Metrics& metrics, StatusBoard& status, RunnerOptions options = {});
    ~Runner();
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;

    /// In configuration order: that is the order of their commits. Before `prepare`.
    void add(std::unique_ptr<Processor> processor, Start start = {});

    /// Checks the streams, restores all processors and shows them what they have seen since. Errors: `stream_cycle`,
    /// `duplicate_processor`, and the log's.
    Result<void> prepare();

    /// Works off what the log holds now and commits ticks that are due. Returns when to call again if nothing is
    /// committed before; nullopt: only then. Never waits except for room in the log.
    std::optional<Timestamp> poll();
    /// Waits until the log has answered every commit and tick. False if a commit failed.
    bool settle();

    /// `prepare`, then a thread that polls.
    Result<void> start();
    /// Ends the thread after the batch in hand; works off what is in the log by then and takes a last snapshot, so that the next start is quick.
    void stop();

    /// Everything up to this commit has been read by all processors.
    CommitNo position() const;

private:
    struct Slot {
        std::unique_ptr<Processor> processor;
        Start start;
        std::string reader;
        CommitNo position{};   ///< processed up to here (the log may lag by what is on its way)
        CommitNo told{};       ///< up to here it has been said what retention removed
        CommitNo submitted{};  ///< position that the last commit on its way to the log will leave there
        CommitNo snapshot{};   ///< saved state holds up to here
        Timestamp snapshot_time;
        bool has_snapshot_time = false;
        std::uint64_t events_since_snapshot = 0;
        std::uint64_t partial_skip = 0;  ///< events of the next output that are in the log already
        CommitNo partial_commit{};
        Metrics::Counter* events_in = nullptr;
        Metrics::Counter* events_out = nullptr;
        Metrics::Counter* gaps = nullptr;
        Metrics::Gauge* at = nullptr;
    };
    struct Answer {
        StreamName tick;  ///< the stream, where it was a tick; else empty
        bool good = false;
        Error error;
    };

    /// Whether one of the processors writes this stream.
    bool is_derived(const StreamName& stream) const;
    Result<void> restore(Slot& slot);
    Result<void> replay(Slot& slot, CommitNo from, CommitNo to);
    /// Shows all processors what is after the lowest position. Returns whether there was anything.
    Result<bool> work();
    /// The last commit of which retention has removed something in one of these streams.
    CommitNo removed_upto(const std::vector<StreamName>& streams) const;
    /// Says, and counts, what processors will not see of these streams: each once.
    void tell_holes(const std::vector<StreamInfo>& holes);
    void process_commit(Slot& slot, const std::vector<BatchPtr>& batches, std::size_t begin, std::size_t end);
    void submit(Commit commit);
    /// Of the slot's reader, refused unless everything before it has been taken.
    static Commit fenced(Slot& slot);
    void tick(Timestamp now, std::optional<Timestamp>& next);
    void take_answers(bool wait);
    void snapshot_all();
    /// `what` did not work, as a part of a sentence.
    void fail(std::string_view what, const Error& error);
    void post_status();
    void loop();

    Log& log_;
    const Clock& clock_;
    Metrics& metrics_;
    StatusBoard& status_;
    RunnerOptions options_;
    std::vector<Slot> slots_;
    std::vector<StreamName> inputs_;
    // Callbacks of the log may outlive the runner: they own the mailbox with it.
    std::shared_ptr<Mailbox<Answer>> answers_;
    std::size_t pending_ = 0;
    std::size_t ticks_pending_ = 0;
    std::map<StreamName, Timestamp> ticks_;  ///< when the tick on its way was sent
    bool failed_ = false;
    std::optional<Duration> retry_at_;  ///< monotonic
    Duration retry_wait_ = 1s;
    std::shared_ptr<Mailbox<CommitNo>> wakes_;
    std::unique_ptr<Log::Wake> wake_;
    std::atomic<bool> stopping_{false};
    std::atomic<std::uint64_t> position_{0};
    Timestamp status_posted_;
    std::thread thread_;
};

}  // namespace weir
