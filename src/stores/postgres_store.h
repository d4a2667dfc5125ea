#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/store_options.h"
#include "stores/postgres_connection.h"
#include "stores/postgres_partitions.h"
#include "stores/row_chunk.h"
#include "stores/store_worker.h"

namespace weir {

/// Streams to tables of PostgreSQL 13 or newer (docs/postgresql.md, decisions.md 29): the generic tables, and mapped tables.
///
/// **Exactly once.** Rows and position are one transaction. The position is a seq of each stream's epochs; it is read back from the database
/// after every connect, and what it covers is never written again, whatever was lost on the way: weir, the connection in mid-COPY, the
/// server, the answer to a COMMIT. The store's own row is locked by each transaction and names its owner: a second weir that writes
/// under the same name takes over, and the first one stops writing (`fenced`).
///
/// **A poison row** (a type that does not fit, a NUL character, a constraint) does not stop the rest: the transaction is tried again with savepoints, halving
/// until the row is found (or the server names it), and the row goes to the stream `_dead/<store>` with the reason.
///
/// **While the server works on one transaction, the next is encoded**, if a whole batch waits. A batch is at most `batch_events` events, and fewer where they
/// are large: it grows from 64 after each start, doubling, while its rows stay below 4 MiB. Two are in memory.
///
/// **A backlog does not wait for the database's disk**: a transaction behind which another one follows at once commits without waiting for its
/// flush (`synchronous_commit = off`, for it alone), but one a second and the last one. If the server crashes, PostgreSQL forgets the last transactions whole, position and
/// rows together, and they are written again: the log's own position, which retention waits for, only ever covers what has been flushed.
///
/// Thread: StoreWorker's. Kill points: `store.before_rows`, `store.in_rows`, `store.before_commit`, `store.in_commit`,
/// `store.after_commit`, and those of StoreWorker.
class PostgresStore final : public StoreWorker {
public:
    using Place = StreamPlace;
    using Origin = EventOrigin;
    struct Setup {
        std::string name;
        StoreOptions options;
        std::string owner;  ///< unlike that of any other process: the app draws it
        /// For `weir consume`: the place in the other weir's stream. Unset: the log's own.
        OriginOf origin = {};
        /// Several processes share the work and the position: each event is written by the one that locks it first. Needs `origin`.
        bool shared = false;
        /// After each connect, on the worker's thread: how far the database is, in the epoch of each stream that was written last.
        std::function<void(const std::map<StreamName, Place>&)> connected = {};
        /// After the commit, on the worker's thread, in order.
        std::function<void(const EventView&, const StreamName& stream, std::uint64_t seq)> written = {};
    };
    /// Error: `bad_pointer` of a mapped column.
    static Result<std::unique_ptr<PostgresStore>> make(Setup setup, const Surroundings& around);
    ~PostgresStore() override;

private:
    PostgresStore(Setup setup, std::vector<TableShape> mapped, std::vector<StreamName> streams, const Surroundings& around);
    Result<bool> step() override;
    Result<bool> step_connected();
    void ended() override;
    void show(JsonWriter& json) const override;
    std::string_view kind() const override { return "postgresql"; }

    Result<void> connect();
    Result<void> make_tables();
    Result<void> claim();
    Result<void> begin();
    std::string begin_sql() const;
    CommitNo first_commit_after(CommitNo stored);
    bool has_removed(const StreamInfo& info, const StreamPlaces& places) const;

    Result<RowChunk> read_chunk(CommitNo after, const StreamPlaces& places);
    void read_ahead(const RowChunk& chunk);
    Result<void> write(RowChunk& chunk);
    Result<void> write_once(RowChunk& chunk, bool careful);
    Result<void> see_what_others_wrote(RowChunk& chunk);
    Result<void> wait_for_others(const RowChunk& chunk);
    Result<void> write_rows(const PostgresTarget& target, std::string_view text, const std::string& opening, const std::function<void()>& meanwhile);
    Result<void> write_rows_again(const PostgresTarget& target, std::string_view text);
    Result<void> write_carefully(RowChunk& chunk, const RowChunk::Piece& piece);
    void tell(const RowChunk& chunk);
    Result<StreamPlaces> stored_places();
    Result<void> check_owner(const PostgresConnection::Rows& rows);
    Result<void> check_begun(const PostgresConnection::Rows& rows);
    Error taken_back();

    Result<void> make_partitions(const RowChunk& chunk);
    Result<void> maintain();
    Result<void> keep_position(bool now);
    Result<void> flush_commits();

    Setup setup_;
    std::vector<PostgresTarget> targets_;  ///< the generic tables by their number, if any, then the mapped ones
    std::size_t generic_ = 0;              ///< how many of them are generic
    PostgresPartitions partitions_;
    std::unique_ptr<RowEncoder> encoder_;
    std::unique_ptr<PostgresConnection> connection_;
    bool claimed_ = false, fenced_ = false;
    bool surprised_ = false;  ///< the connection broke while in use, and a new one has been tried at once
    StreamPlaces places_;            ///< what the database has
    std::uint64_t stored_ = 0;       ///< the commit number in the store's row, unless members of a group share that
    std::optional<std::pair<StreamName, std::uint64_t>> hole_;  ///< stream and place of the group behind which this member lacks something
    Duration hole_since_{0};
    std::optional<RowChunk> ahead_;  ///< encoded while the server was at work on the one before; it goes on from there
    std::size_t batch_events_;       ///< of the next batch, at most
    bool unflushed_ = false;         ///< a crash of the server may take back some of what has been committed
    CommitNo kept_{};                ///< position that the log knows
    Duration kept_at_{0}, maintained_at_{0};  ///< monotonic
    Metrics::Counter &rows_, &transactions_, &dead_, &expired_;
    Metrics::Histogram& seconds_;
    std::string last_dead_;
    diag::RateLimiter dead_warnings_{60'000'000}, maintenance_warnings_{60'000'000};
};

}  // namespace weir
