#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "stores/postgres_tables.h"

namespace weir {

/// Where an event has its place: what `@stream`, `@epoch` and `@seq` are, and what a position in the database counts by.
struct RowOrigin {
    std::string_view stream, epoch;
    Seq seq;
};

/// Appends one event as a row of COPY's text format (PostgreSQL manual, COPY, "Text Format"), newline included.
///
/// A JSON text becomes its characters, a number keeps the digits that it was written with (a numeric column holds all of them), true and false as
/// they are, null or nothing NULL, an object or array its JSON text. Columns of kind json get the JSON text itself.
/// Error `bad_row`, and `out` as it was: a NUL character, which PostgreSQL cannot store; nothing in a column of the conflict key.
/// Thread: any. Cost: one pass over `data` up to the value for each pointer; no allocation for texts without escapes.
Result<void> append_copy_row(std::string& out, const TableShape& shape, const EventView& event, const RowOrigin& origin);

/// A field's characters with what COPY gives a meaning escaped.
void append_copy_text(std::string& out, std::string_view text);

}  // namespace weir
