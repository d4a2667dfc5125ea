#include "stores/postgres_statements.h"

#include <algorithm>

#include "stores/postgres_connection.h"

namespace weir {
namespace {

std::string columns_of(const TableShape& shape) {
    std::string list;
    for (const ColumnSource& column : shape.columns) list += (list.empty() ? "" : ", ") + sql_name(column.column);
    return list;
}

bool contains(const std::vector<std::string>& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); }

}  // namespace

PostgresTarget postgres_target(TableShape made_of, StreamName stream, std::size_t number) {
    PostgresTarget target;
    target.shape = std::move(made_of);
    target.stream = std::move(stream);
    const TableShape& shape = target.shape;
    const std::string table = sql_table(shape.table), list = columns_of(shape);
    target.copy = "COPY " + table + " (" + list + ") FROM STDIN";
    if (shape.conflict.empty()) return target;
    // A temporary table with the columns' types and without constraints; the number of the row tells which of two of one key came last.
    const std::string name = sql_name("weir_rows_" + std::to_string(number)), stage = "pg_temp." + name;
    target.stage = "CREATE TEMP TABLE " + name + " ON COMMIT DROP AS SELECT " + list + ", 0::bigint AS weir_row FROM " + table + " WITH NO DATA";
    target.copy_stage = "COPY " + stage + " (" + list + ", weir_row) FROM STDIN";
    std::string key, updates, selected;
    for (const std::string& column : shape.conflict) key += (key.empty() ? "" : ", ") + sql_name(column);
    for (const ColumnSource& column : shape.columns) {
        const std::string quoted = sql_name(column.column);
        const bool kept = contains(shape.keep, column.column);
        // Of a kept column the first row's value counts, as it would if the rows came one by one.
        selected += (selected.empty() ? "" : ", ") + (kept ? "first_value(" + quoted + ") OVER (PARTITION BY " + key + " ORDER BY weir_row)" : quoted);
        if (!kept && !contains(shape.conflict, column.column)) updates += (updates.empty() ? "" : ", ") + quoted + " = EXCLUDED." + quoted;
    }
    target.merge = "INSERT INTO " + table + " (" + list + ") SELECT DISTINCT ON (" + key + ") " + selected + " FROM " + stage + " ORDER BY " + key +
                   ", weir_row DESC ON CONFLICT (" + key + ") DO " + (updates.empty() ? "NOTHING" : "UPDATE SET " + updates);
    target.drop_stage = "DROP TABLE " + stage;
    return target;
}

}  // namespace weir
