#include "stores/postgres_schema.h"

#include <algorithm>
#include <map>

namespace weir {
namespace {

Result<bool> exists(PostgresConnection& connection, const std::string& quoted_table) {
    WEIR_TRY(const auto known, connection.query("SELECT to_regclass(" + sql_literal(quoted_table) + ") IS NOT NULL"));
    return known.at(0).at(0) == "t";
}

Result<std::size_t> version_of(PostgresConnection& connection, const std::string& versions) {
    WEIR_TRY(const bool known, exists(connection, versions));
    if (!known) return std::size_t{0};
    WEIR_TRY(const auto found, connection.query("SELECT coalesce(max(version), 0) FROM " + versions));
    return static_cast<std::size_t>(std::stoull(found.at(0).at(0).value_or("0")));
}

Result<std::vector<std::string>> missing_of(PostgresConnection& connection, const std::vector<std::string>& tables) {
    std::vector<std::string> missing;
    for (const std::string& table : tables) {
        WEIR_TRY(const bool known, exists(connection, sql_table(table)));
        if (!known) missing.push_back(table);
    }
    return missing;
}

Result<void> run(PostgresConnection& connection, const std::string& sql) {
    auto done = connection.query(sql);
    return done.ok() ? ok() : Result<void>(std::move(done).error());
}

}  // namespace

Result<bool> migrate_schema(PostgresConnection& connection, const std::string& name, const std::vector<std::string>& presets) {
    const std::string schema = sql_name(name), versions = schema + ".migrations";
    const auto steps = migrations(name);
    WEIR_TRY(std::size_t at, version_of(connection, versions));
    WEIR_TRY(auto missing, missing_of(connection, presets));
    if (at > steps.size())
        return Error{"newer_schema", "schema " + name + " has version " + std::to_string(at) + ", this weir knows " + std::to_string(steps.size()) + "; run a newer weir"};
    if (at == steps.size() && missing.empty()) return false;
    // One at a time: who waited looks again.
    WEIR_CHECK_OK(run(connection, "BEGIN;SELECT pg_advisory_xact_lock(hashtext(" + sql_literal("weir " + name) + "))"));
    WEIR_TRY(const auto there, connection.query("SELECT to_regnamespace(" + sql_literal(schema) + ") IS NOT NULL"));
    if (there.at(0).at(0) != "t") WEIR_CHECK_OK(run(connection, "CREATE SCHEMA " + schema));
    WEIR_CHECK_OK(run(connection, "CREATE TABLE IF NOT EXISTS " + versions + " (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"));
    WEIR_TRY(at, version_of(connection, versions));
    for (; at < steps.size(); ++at) WEIR_CHECK_OK(run(connection, steps[at] + "INSERT INTO " + versions + " (version) VALUES (" + std::to_string(at + 1) + ")"));
    WEIR_TRY(missing, missing_of(connection, presets));
    for (const std::string& preset : missing) WEIR_CHECK_OK(run(connection, create_incoming_users(preset)));
    WEIR_CHECK_OK(run(connection, "COMMIT"));
    return true;
}

Result<void> describe_table(PostgresConnection& connection, TableShape& shape, const std::string& option) {
    WEIR_TRY(const auto columns, connection.query("SELECT attname, atttypid::regtype::text, attnotnull AND NOT atthasdef AND attidentity = '' FROM pg_attribute WHERE attrelid = to_regclass(" +
                                                  sql_literal(sql_table(shape.table)) + ") AND attnum > 0 AND NOT attisdropped"));
    if (columns.empty()) return Error{"no_table", "table " + shape.table + " does not exist; create it, or correct " + option + " table"};
    std::map<std::string, std::string> types;
    for (const auto& row : columns) types[row.at(0).value_or("")] = row.at(1).value_or("");
    for (ColumnSource& column : shape.columns) {
        const auto found = types.find(column.column);
        if (found == types.end()) return Error{"no_table", "table " + shape.table + " has no column " + column.column + "; add it, or correct the mapping"};
        if (column.part == ColumnSource::Part::pointer) column.kind = found->second == "jsonb" || found->second == "json" ? ColumnSource::Kind::json : ColumnSource::Kind::any;
    }
    for (const auto& row : columns) {
        const std::string name = row.at(0).value_or("");
        const bool mapped = std::any_of(shape.columns.begin(), shape.columns.end(), [&](const ColumnSource& c) { return c.column == name; });
        if (row.at(2) == "t" && !mapped)
            return Error{"no_table", "column " + name + " of table " + shape.table + " is NOT NULL, has no default and nothing is mapped to it; every row would be refused"};
    }
    return ok();
}

}  // namespace weir
