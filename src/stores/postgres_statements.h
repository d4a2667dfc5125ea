#pragma once
#include <string>

#include "event/event.h"
#include "stores/postgres_tables.h"

namespace weir {

/// A table that a store writes, with the statements that write it. Without a conflict key rows go straight into the table (`copy`); with one they go into
/// a temporary table and are merged from there: `stage`, `copy_stage`, `merge`, and `drop_stage` where a transaction needs it again (decisions.md 29).
struct PostgresTarget {
    TableShape shape;
    StreamName stream;  ///< of a mapped table; empty: of all streams
    std::string copy, stage, copy_stage, merge, drop_stage;
};

/// `number`: unlike that of the store's other targets; it names the temporary table.
PostgresTarget postgres_target(TableShape shape, StreamName stream, std::size_t number);

}  // namespace weir
