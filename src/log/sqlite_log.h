#pragma once
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/metrics.h"
#include "config/log_options.h"
#include "log/log.h"

namespace weir {

/// The embedded log: streams in one SQLite file in one folder (decisions.md 1 to 11, docs/formats/log-block.md).
///
///     auto log = SqliteLog::open({.options = options.log, .streams = options.streams, .clock = &clock, .metrics = &metrics});
///
/// Threads of its own: the writer, and the keeper that merges and retires blocks. Every method may be called from any thread.
class SqliteLog final : public Log {
public:
    struct Setup {
        LogOptions options;       ///< `path` is the folder; it is made if it is not there
        StreamTable streams;      ///< retention where it differs from the log's
        const Clock* clock = nullptr;
        Metrics* metrics = nullptr;  ///< null: counted for nobody
        Duration keep_every = 5s;    ///< how often blocks are merged and retired; 0: only when `keep` is called
        std::uint64_t epoch_seed = 0;  ///< a new epoch is drawn from it; 0: from the system's chance
        std::string boot_id;           ///< of this start of the machine; empty: asked from the kernel
        std::string vfs;               ///< SQLite's way to files; empty: the system's. Tests let it fail
    };

    /// Errors: `in_use` naming the process that has the folder; `newer_format`; `damaged`; those of the disk.
    static Result<std::unique_ptr<SqliteLog>> open(Setup setup);
    ~SqliteLog() override;

    /// Refuses new commits, finishes those that wait, closes the files. Idempotent; the destructor does it too.
    void stop();

    /// Merges and retires what is due now, and waits for it: for tests and tools.
    Result<void> keep();

    void submit(Commit commit, Done done) override;
    [[nodiscard]] bool try_submit(Commit& commit, Done done) override;
    Result<std::vector<BatchPtr>> read(std::string_view stream, Seq from, std::size_t events_max) override;
    Result<std::vector<BatchPtr>> read_before(std::string_view stream, Seq before, std::size_t events_max) override;
    Result<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>& streams, CommitNo after, std::size_t events_max) override;
    bool in_tail(CommitNo after) override;
    Result<Found> find(std::string_view stream, const TimeRange& range) override;
    Result<Seq> seq_at(std::string_view stream, Timestamp t) override;
    std::vector<StreamInfo> streams() override;
    std::optional<StreamInfo> info(std::string_view stream) override;
    CommitNo head() override;
    std::vector<std::pair<Epoch, Seq>> epochs(std::string_view stream) override;
    void hold_for(std::string_view reader, std::vector<StreamName> streams, std::string_view state_key = {}) override;
    Result<std::optional<CommitNo>> position(std::string_view reader) override;
    Result<std::vector<std::pair<std::string, std::string>>> state(std::string_view reader) override;
    [[nodiscard]] std::unique_ptr<Wake> on_commit(std::function<void(CommitNo)> wake) override;

private:
    struct Parts;
    explicit SqliteLog(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace weir
