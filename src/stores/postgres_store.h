#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/store_options.h"
#include "stores/copy_row.h"
#include "stores/postgres_connection.h"
#include "stores/postgres_tables.h"
#include "stores/store_worker.h"

namespace weir {

/// Streams to tables of PostgreSQL 13 or newer (docs/postgresql.md, decisions.md 29): the generic tables, and mapped tables.
///
/// **Exactly once.** Rows and position are one transaction. The position is (epoch, seq) of each stream; it is read back from the database
/// after every connect, and what it covers is never written again, whatever was lost on the way: weir, the connection in mid-COPY, the
/// server, the answer to a COMMIT. The store's own row is locked by each transaction and names its owner: a second weir that writes
/// under the same name takes over, and the first one stops writing (`fenced`).
///
/// **A poison row** (a type that does not fit, a NUL character, a constraint) does not stop the rest: the transaction is tried again with savepoints, halving
/// until the row is found (or the server names it), and the row goes to the stream `_dead/<store>` with the reason.
///
/// **While one transaction commits, the next is encoded.** A batch is at most `batch_events` events; two are in memory.
///
/// Thread: StoreWorker's. Kill points: `store.before_rows`, `store.in_rows`, `store.before_commit`, `store.in_commit`,
/// `store.after_commit`, and those of StoreWorker.
class PostgresStore final : public StoreWorker {
public:
    /// A position in one stream.
    struct Place {
        std::string epoch;
        std::uint64_t seq = 0;
    };
    /// Where an event comes from, when it is not this log's own place that counts.
    struct Origin {
        StreamName stream;
        Place place;
    };
    struct Setup {
        std::string name;
        StoreOptions options;
        std::string owner;  ///< unlike that of any other process: the app draws it
        /// For `weir consume`: the place in the other weir's stream. Unset: the log's own.
        std::function<Origin(const Batch& batch, std::size_t i)> origin = {};
        /// Several processes share the work and the position: each event is written by the one that locks it first. Needs `origin`.
        bool shared = false;
        /// After each connect, on the worker's thread: how far the database is.
        std::function<void(const std::map<StreamName, Place>&)> connected = {};
        /// After the commit, on the worker's thread, in order.
        std::function<void(const EventView&, const StreamName& stream, std::uint64_t seq)> written = {};
    };
    /// Error: `bad_pointer` of a mapped column.
    static Result<std::unique_ptr<PostgresStore>> make(Setup setup, const Surroundings& around);
    ~PostgresStore() override;

private:
    struct Target {
        TableShape shape;
        StreamName stream;  ///< of a mapped table; empty: of all streams
        std::string copy, stage, copy_stage, merge, drop_stage;
    };
    struct Row {
        std::uint32_t batch, event;
        std::size_t end;  ///< where it ends in the text
    };
    struct Piece {
        std::size_t target = 0;
        std::string text;
        std::vector<Row> rows;
    };
    struct Dead {
        std::uint32_t batch, event;
        std::size_t target;
        std::string reason;
    };
    struct Chunk {
        Next next;
        std::vector<Piece> pieces;
        std::vector<Dead> dead;
        std::vector<std::pair<std::uint32_t, std::uint32_t>> events;  ///< batch, event: what is written
        std::map<StreamName, Place> places;  ///< after it
        std::map<std::string, std::map<Timestamp, Timestamp>> partitions;  ///< that it needs and that are not there
        std::uint64_t expired = 0;
    };

    PostgresStore(Setup setup, std::vector<TableShape> mapped, std::vector<StreamName> streams, const Surroundings& around);
    Result<bool> step() override;
    Result<bool> step_connected();
    std::vector<StreamName> held() const override;
    void ended() override;
    void show(JsonWriter& json) const override;
    std::string_view kind() const override { return "postgresql"; }

    Result<void> connect();
    Result<void> migrate();
    Result<void> describe_targets();
    Result<void> claim();
    Result<void> begin();
    CommitNo first_commit_after(CommitNo stored);

    Result<Chunk> read_chunk(CommitNo after);
    void encode(Chunk& chunk, std::size_t batch);
    void encode(Chunk& chunk, std::size_t target, std::uint32_t batch, std::uint32_t event, const RowOrigin& origin);
    Result<void> write(Chunk& chunk);
    Result<void> write_once(Chunk& chunk, bool careful);
    Result<void> write_rows(const Target& target, std::string_view text, bool careful);
    Result<void> write_carefully(Chunk& chunk, const Piece& piece);
    Result<void> bury(const Chunk& chunk);
    Result<void> check_owner(const PostgresConnection::Rows& rows) const;

    Result<void> make_partitions(const Chunk& chunk);
    Result<void> make_partition(const std::string& table, Timestamp moment);
    Result<void> maintain();
    Result<void> keep_position(bool now);
    void hold_new_streams();

    Setup setup_;
    std::vector<Target> targets_;  ///< the generic tables by their number, if any, then the mapped ones
    std::size_t generic_ = 0;      ///< how many of them are generic
    std::unique_ptr<PostgresConnection> connection_;
    bool claimed_ = false, fenced_ = false;
    bool surprised_ = false;  ///< the connection broke while in use, and a new one has been tried at once
    std::map<StreamName, Place> places_;
    std::map<std::string, std::map<Timestamp, Timestamp>> partitions_;  ///< by table: start, end
    std::optional<Chunk> ahead_;  ///< encoded while the one before committed
    CommitNo kept_{};             ///< position that the log knows
    Duration kept_at_{0}, maintained_at_{0};  ///< monotonic
    std::vector<StreamName> holding_;
    Metrics::Counter &rows_, &transactions_, &dead_, &expired_;
    Metrics::Histogram& seconds_;
    std::string last_dead_;
    diag::RateLimiter dead_warnings_{60'000'000}, maintenance_warnings_{60'000'000};
};

}  // namespace weir
