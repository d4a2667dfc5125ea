#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/guarded.h"
#include "base/mailbox.h"
#include "base/metrics.h"
#include "config/log_options.h"
#include "log/block_rows.h"
#include "log/checkpointer.h"
#include "log/dedupe.h"
#include "log/log.h"
#include "log/schema.h"
#include "log/tail.h"

namespace weir {

/// What every thread may look at: each stream's info and epochs, as of the newest group of commits.
struct Catalog {
    struct Entry {
        StreamInfo info;
        std::vector<std::pair<Epoch, Seq>> epochs;
    };
    std::map<StreamName, Entry, std::less<>> streams;
};

/// Who is called after each group of commits.
struct Listeners {
    std::map<std::uint64_t, std::function<void(CommitNo)>> calls;
    std::uint64_t next_id = 1;
};

/// The one thread that writes to a log's file.
///
/// It takes everything that waits in its mailbox, makes it one transaction of SQLite (a stream's part of it is one block),
/// and when that is on disk publishes the batches to the tail, wakes listeners and answers. Merging and retention hand it
/// their short transactions, so that nobody else ever writes.
///
/// Bound: `queue_bytes` of waiting events; `submit` then waits, `try_submit` refuses. Thread: any may submit.
class Writer {
public:
    struct Setup {
        LogOptions options;
        std::string vfs;  ///< as Database::open
        const Clock* clock;
        Metrics* metrics;
        LogRow log;
        std::uint32_t epoch_number;
        Epoch epoch;
        std::vector<StreamRow> streams;
        std::int64_t next_body;
    };
    static Result<std::unique_ptr<Writer>> start(Database database, Setup setup, Tail& tail, Guarded<Catalog>& catalog,
                                                 std::shared_ptr<Guarded<Listeners>> listeners);
    ~Writer();

    void submit(Commit commit, Log::Done done);
    bool try_submit(Commit& commit, Log::Done& done);
    /// Runs something in a transaction of its own on the writer's thread, and waits for it: merging and retention.
    Result<void> run(std::function<Result<void>(Writer&)> task);
    /// Refuses new work, finishes what waits, closes the file in order. Idempotent.
    void stop();

    // For tasks, on the writer's thread:
    BlockRows& rows() { return *rows_; }
    Database& database() { return database_; }
    StreamRow* stream(std::uint32_t number);
    Result<void> put_stream(const StreamRow& row) { return streams_table_->put(row); }
    std::int64_t next_body() { return next_body_++; }

private:
    struct Stream {
        StreamRow row;
        bool stored = false;  ///< its row is in the file
        bool ids_read = false;
        Dedupe dedupe;
    };
    struct Request {
        Commit commit;
        Log::Done done;
        std::function<Result<void>(Writer&)> task;
        std::function<void(Result<void>)> task_done;
    };
    /// A stream's part of the group that is being written, and what to go back to if that fails.
    struct Staged {
        Stream* stream;
        StreamRow before;
        std::vector<BatchPtr> batches;
        std::size_t ids_added = 0;
    };

    Writer(Database database, Setup setup, Tail& tail, Guarded<Catalog>& catalog, std::shared_ptr<Guarded<Listeners>> listeners);
    void loop();
    void write_group(std::vector<Request>& requests);
    void run_task(Request& request);
    using Moved = std::vector<std::pair<std::string, CommitNo>>;  ///< readers of a group, with where they stood before
    Result<Committed> stage(Commit& commit, Timestamp now, std::map<Stream*, Staged>& staged, std::vector<BatchPtr>& batches, Moved& moved);
    Appended stage_append(Append& append, Stream& stream, std::map<Stream*, Staged>& staged, CommitNo commit, Timestamp time,
                          std::vector<BatchPtr>& batches);
    Result<void> store(std::map<Stream*, Staged>& staged, const std::vector<Request>& requests, const std::vector<Result<Committed>>& answers);
    Result<void> store_stream(Staged& staged);
    Result<void> read_ids(Stream& stream);
    Stream& stream_named(const StreamName& name);
    Stream& add_stream(StreamRow row);
    std::uint32_t last_number() const { return by_number_.empty() ? 0 : by_number_.rbegin()->first; }
    /// Forgets the streams behind this number, none of which is stored, so that the next new one gets theirs.
    void forget_streams_after(std::uint32_t number);
    void publish_info(const std::vector<Stream*>& streams);

    Database database_;
    std::unique_ptr<Checkpointer> checkpointer_;
    std::optional<BlockRows> rows_;
    std::optional<StreamRows> streams_table_;
    Statement begin_, commit_, rollback_, put_log_, put_epoch_, put_position_, put_state_, remove_state_;
    Setup setup_;
    Tail& tail_;
    Guarded<Catalog>& catalog_;
    std::shared_ptr<Guarded<Listeners>> listeners_;
    Mailbox<Request> mailbox_;

    LogRow log_;
    std::int64_t next_body_;
    std::map<std::string, CommitNo, std::less<>> positions_;  ///< of all readers, as of the newest commit that was staged
    std::map<StreamName, std::unique_ptr<Stream>, std::less<>> streams_;
    std::map<std::uint32_t, Stream*> by_number_;  ///< some may be missing: files of earlier versions have such holes

    Metrics::Counter &commits_, &events_, &duplicates_, &failures_;
    Metrics::Histogram& commit_seconds_;
    Metrics::Handle queue_gauge_;
    std::thread thread_;
};

}  // namespace weir
