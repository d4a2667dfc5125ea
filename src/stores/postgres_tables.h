#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/store_options.h"
#include "event/event.h"
#include "event/json_path.h"

namespace weir {

/// Where a column's value comes from.
struct ColumnSource {
    enum class Part : std::uint8_t { pointer, id, type, key, source, time, ingested, seq, epoch, stream, data, now };
    /// What a value must be, to be written at all: another one becomes NULL, since `data` has it anyway. `any`: the text as it is; what
    /// the column does not take makes a poison row.
    enum class Kind : std::uint8_t { any, text, integer, number, boolean, time, json };
    std::string column;  ///< its name, not quoted
    Part part = Part::pointer;
    Kind kind = Kind::any;
    std::optional<JsonPath> path = std::nullopt;
};

/// A table that events become rows of.
struct TableShape {
    std::string table;                    ///< with its schema, not quoted
    std::vector<ColumnSource> columns;
    std::vector<std::string> conflict;    ///< columns of the key; empty: plain inserts
    std::vector<std::string> keep;        ///< columns that a conflict leaves as they are
    bool partitioned = false;             ///< by `time`
};

/// The generic tables (decisions.md 29), one for each kind of fact; which one is decided by the event's type. Common columns: time,
/// ingested, stream, epoch, seq, id, key, data; the others are read from `data`. In docs/postgresql.md.
enum class GenericTable : std::uint8_t { events, windows, samples, violations, acknowledgements, alerts, predictions };
constexpr std::size_t generic_table_count = 7;
GenericTable generic_table_of(std::string_view event_type);
std::string_view name_of(GenericTable table);
TableShape generic_shape(GenericTable table, std::string_view schema);

/// Source 002's table with its 28 columns (S2-8, S2-R8), of the records of randomuser.me; key: the user's uuid.
TableShape incoming_users_shape(std::string_view table);
/// Its statements, each of which may run again.
std::string create_incoming_users(std::string_view table);

/// Pointers and @parts of a `[[stores.<name>.mapped]]`. Error `bad_pointer`.
Result<TableShape> mapped_shape(const MappedTable& mapped);

/// Statements that bring weir's own schema from one version to the next, in order; the first makes version 1.
std::vector<std::string> migrations(std::string_view schema);

/// A piece of time that one partition holds: [from, to).
struct PartitionRange {
    Timestamp from, to;
    auto operator<=>(const PartitionRange&) const = default;
};
/// The month or day around a moment.
PartitionRange partition_around(Timestamp moment, PartitionBy by);
/// `events_2026_02`, `events_2026_02_17`; with the exact bounds where it is neither.
std::string partition_name(std::string_view table, const PartitionRange& range);

}  // namespace weir
