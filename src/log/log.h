#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "event/event.h"

namespace weir {

/// What one writer wants appended to one stream. Without events and notes it is a **tick**: it bears the commit's time to the
/// readers of a quiet stream, so that its windows close (decisions.md 7).
struct Append {
    StreamName stream;
    EventList events;
    Notes notes;
};

/// One changed key of a reader's state; without a value the key is removed.
struct StatePut {
    std::string key;
    std::optional<std::string> value;
};

/// What becomes true together or not at all: events of several streams, how far a reader has come, and its changed state
/// (decisions.md 3). At most 512 KiB for JetStream's sake: split events, never a reader's output of one input.
struct Commit {
    std::vector<Append> appends;
    std::string reader;                    ///< whose `position` and `state` these are; empty for none
    std::optional<CommitNo> position;      ///< everything up to and with this commit has been read
    /// Where the reader believes that its position stands in the log (0: it has none yet): else the commit is refused. So of several commits
    /// on their way none is taken behind one that was refused, and of two workers of one reader only one goes on (decisions.md 9).
    std::optional<CommitNo> expected_position{};
    std::vector<StatePut> state;
    std::optional<Timestamp> at;           ///< commit time of a replay or import; else the log's clock. Never decreases within a stream's log.
};

/// Where an append's events ended up: `seqs[i]` is event i's, the first one's if its id was there already.
struct Appended {
    StreamName stream;
    Epoch epoch;
    std::vector<Seq> seqs;
    std::uint32_t duplicates = 0;
};

struct Committed {
    CommitNo commit;
    Timestamp time;
    std::vector<Appended> appended;  ///< in the order of Commit::appends
};

/// One stream's part of one commit, as readers get it: immutable, shared, parsed once.
struct Batch {
    StreamName stream;
    Epoch epoch;
    Seq first_seq;          ///< seq of events[0]; of the next event to come where there are none
    CommitNo commit;
    Timestamp commit_time;  ///< never decreases from commit to commit
    EventList events;       ///< empty for a tick
    Notes notes;

    Seq seq_of(std::size_t i) const { return first_seq + i; }
    bool is_tick() const { return events.empty() && notes.empty(); }
};
using BatchPtr = std::shared_ptr<const Batch>;

struct StreamInfo {
    StreamName name;
    Epoch epoch;
    Seq first;                 ///< oldest event that is still there; head + 1 when there is none
    Seq head;                  ///< newest event; 0 when there never was one
    std::uint64_t bytes = 0;   ///< on disk
    std::optional<Timestamp> first_time, last_time;  ///< smallest and largest event time of what is there
    CommitNo last_commit;
    CommitNo removed_commit;   ///< retention has removed everything up to and with this one: where a reader goes on after `gap`
};

/// Streams on disk: order and durability (decisions.md 1 to 11).
///
/// **Acknowledged means committed**: when `done` is called with a value, the events survive a crash of the process (durability
/// `process`) or loss of power (`full`). Only what NATS JetStream can do too is in this interface.
///
/// Thread: any. `commit` callbacks run on the writer's thread and must be short. Readers' calls run on the caller's thread:
/// what the bounded tail in memory holds costs no disk; the rest reads and decodes blocks, so not on a reactor.
class Log {
public:
    using Done = std::function<void(Result<Committed>)>;

    virtual ~Log() = default;

    /// Hands a commit to the writer; commits of one caller keep their order. Waits while the writer's mailbox is full.
    /// Errors (in `done`): `disk_full`, `io_error`, `locked`, `closed`, `too_large`, `bad_stream_name`, `bad_event` (one without an id),
    /// `damaged` (the stream's newest blocks cannot be read, so repeats cannot be told), `stale_position` (the reader is not at
    /// `expected_position`); nothing of the commit is true then.
    /// From `done` or a wake, which run on the writer's thread, only `try_submit`: waiting there for room would wait for itself.
    virtual void submit(Commit commit, Done done) = 0;
    /// The same, but false (and `done` never called) when the mailbox is full: for reactors, which may not wait.
    [[nodiscard]] virtual bool try_submit(Commit& commit, Done done) = 0;
    /// `submit`, and waits for the answer.
    Result<Committed> commit(Commit commit);

    /// Up to `events_max` events (at least one batch, if there is one) of one stream from `from` on, oldest first. Error
    /// `gap` when `from` is older than what is kept: its message names the first seq that is still there.
    virtual Result<std::vector<BatchPtr>> read(std::string_view stream, Seq from, std::size_t events_max) = 0;
    /// The same backwards for pages of history: the newest `events_max` events with a seq below `before`, oldest first.
    virtual Result<std::vector<BatchPtr>> read_before(std::string_view stream, Seq before, std::size_t events_max) = 0;
    /// Batches (ticks included) of several streams in commit order, all after commit `after`; empty when there is none yet.
    /// Whole commits only. No stream named: all of them, new ones included (the gateway follows the whole log). `gap` when
    /// retention has removed something after `after`.
    virtual Result<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>& streams, CommitNo after, std::size_t events_max) = 0;
    /// Whether `read_commits` after this commit is answered from the tail in memory, without touching the disk: what a reactor asks
    /// before it reads; a worker of the reader pool reads for it otherwise (decisions.md 8).
    virtual bool in_tail(CommitNo after) {
        (void)after;
        return false;
    }
    /// Events of one stream whose time is in [from, to), in seq order, only those of `key` where one is given. `events_max` bounds the
    /// answer; what is searched is bounded by the blocks' own time bounds and key dictionaries.
    struct TimeRange {
        Timestamp from, to;
        std::optional<std::string> key;
        std::size_t events_max;
        Seq after{};  ///< go on behind this seq: pages
    };
    struct Found {
        std::vector<std::pair<Seq, std::size_t>> positions;  ///< seq, and index into `batches`' events (see `event`)
        std::vector<BatchPtr> batches;                       ///< one for each position, shared
        bool more = false;                                   ///< the bound was reached
        std::size_t size() const { return positions.size(); }
        EventView event(std::size_t i) const { return batches[i]->events[positions[i].second]; }
    };
    virtual Result<Found> find(std::string_view stream, const TimeRange& range) = 0;
    /// The first seq whose commit time is not before `t`; head + 1 if there is none.
    virtual Result<Seq> seq_at(std::string_view stream, Timestamp t) = 0;

    virtual std::vector<StreamInfo> streams() = 0;
    virtual std::optional<StreamInfo> info(std::string_view stream) = 0;
    virtual CommitNo head() = 0;
    /// (epoch, first seq of it) of a stream, oldest first: what a position of an older epoch means.
    virtual std::vector<std::pair<Epoch, Seq>> epochs(std::string_view stream) = 0;

    /// Retention keeps what this reader's position has not passed in these streams, up to the stream's hard size; a reader without a
    /// position has passed nothing. Holds for as long as the log is open; an empty list ends it. (A position alone does not tell
    /// which streams its reader reads, nor whether there still is such a reader.)
    /// `state_key`: a key of the reader's state whose value is the number of a commit. What it has not passed is kept too, for readers that
    /// go back there after a crash; without such a value nothing is passed.
    virtual void hold_for(std::string_view reader, std::vector<StreamName> streams, std::string_view state_key = {}) {
        (void)reader;
        (void)streams;
        (void)state_key;
    }
    /// A reader's committed position and state; nullopt when it never committed one.
    virtual Result<std::optional<CommitNo>> position(std::string_view reader) = 0;
    virtual Result<std::vector<std::pair<std::string, std::string>>> state(std::string_view reader) = 0;

    /// Calls `wake` on the writer's thread after each group of commits, until the handle is destroyed: set a flag or post,
    /// then `read_commits`. One wake per reader thread (decisions.md 8).
    class Wake {
    public:
        virtual ~Wake() = default;
    };
    [[nodiscard]] virtual std::unique_ptr<Wake> on_commit(std::function<void(CommitNo)> wake) = 0;
};

/// What retention has left of some streams behind a commit, up to the nearest end of a hole.
struct Left {
    std::vector<BatchPtr> batches;  ///< of the streams without a hole, whole commits, in order
    CommitNo upto;                  ///< up to here that is all: the last batch where there may be more, else the end of the nearest hole
    std::vector<StreamInfo> holes;  ///< the streams with one: behind `after` up to `removed_commit` they have nothing
};

/// For a reader that `read_commits` has answered with `gap`: to be worked off, and then read on behind `upto`, by `read_commits` again. A stream has
/// nothing before its hole's end; up to the nearest such end the others have all. Then that stream is one of them: nothing that is kept is skipped.
/// `streams` names at least one. Error: `read_commits`' own, also `gap` where retention goes on meanwhile.
Result<Left> read_left(Log& log, const std::vector<StreamName>& streams, CommitNo after, std::size_t events_max);

}  // namespace weir
