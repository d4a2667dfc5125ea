#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "log/log.h"
#include "stores/copy_row.h"
#include "stores/postgres_partitions.h"
#include "stores/postgres_statements.h"

namespace weir {

/// A position in one epoch of a stream.
struct StreamPlace {
    std::string epoch;
    std::uint64_t seq = 0;
    std::uint64_t turn = 0;  ///< of a stream's epochs the one that was written last has the highest
    bool operator==(const StreamPlace&) const = default;
};
/// Of each stream at least one, by `turn`. Those of former epochs stay: their events may be read again, as after the database was away.
using StreamPlaces = std::map<StreamName, std::vector<StreamPlace>>;

/// nullptr when nothing of that epoch is there.
const StreamPlace* find_place(const StreamPlaces& places, const StreamName& stream, std::string_view epoch);

/// Where an event comes from, when it is not this log's own place that counts.
struct EventOrigin {
    StreamName stream;
    StreamPlace place;
};
using OriginOf = std::function<EventOrigin(const Batch& batch, std::size_t i)>;

/// What one transaction writes: events, encoded as the rows of each table, and the position after them.
struct RowChunk {
    struct Row {
        std::uint32_t batch, event;
        std::size_t end;  ///< where it ends in the text
    };
    struct Piece {
        std::size_t target = 0;
        std::string text;  ///< in the form of COPY
        std::vector<Row> rows;
    };
    struct Dead {
        std::uint32_t batch, event;
        std::size_t target;
        std::string reason;
    };
    std::vector<BatchPtr> batches;
    CommitNo upto{};            ///< the log's position after it
    std::vector<Piece> pieces;  ///< one a target
    std::vector<Dead> dead;     ///< rows that are refused, by weir or by the database
    std::vector<std::pair<std::uint32_t, std::uint32_t>> events;  ///< batch, event: what is written
    StreamPlaces places;        ///< after it
    std::map<std::string, PostgresPartitions::Ranges> partitions;  ///< that it needs and that are not there
    std::uint64_t expired = 0;  ///< events older than the retention
};

/// Events into rows: what the database has is left out, what a table cannot hold is put with the dead.
///
/// Thread: its store's. Cost: one pass over each event and table.
class RowEncoder {
public:
    struct Setup {
        const std::vector<PostgresTarget>& targets;  ///< the generic tables by their number, if any, then the mapped ones
        std::size_t generic = 0;                     ///< how many of them are generic
        const PostgresPartitions& partitions;
        Duration retention{0};
        Log& log;
        const Clock& clock;
        OriginOf origin;  ///< unset: the log's own places
        std::function<bool(const StreamName&)> reads;  ///< whose events are for this store
    };
    explicit RowEncoder(Setup setup) : setup_(std::move(setup)) {}

    /// `batches`: whole, in commit order. `places`: what is in the database by then.
    RowChunk encode(std::vector<BatchPtr> batches, CommitNo upto, const StreamPlaces& places) const;

private:
    Seq done_of(const Batch& batch, const std::string& epoch, const StreamPlaces& places) const;
    void encode(RowChunk& chunk, std::size_t batch) const;
    void encode(RowChunk& chunk, std::size_t target, std::uint32_t batch, std::uint32_t event, const RowOrigin& origin) const;
    bool has_partition(RowChunk& chunk, const TableShape& shape, Timestamp time, std::string& reason) const;

    const Setup setup_;
};

}  // namespace weir
