#include "stores/postgres_partitions.h"

#include <algorithm>
#include <iterator>

namespace weir {

bool PostgresPartitions::covers(const Ranges& ranges, Timestamp moment) {
    auto after = ranges.upper_bound(moment);
    return after != ranges.begin() && moment < (--after)->second;
}

const PostgresPartitions::Ranges& PostgresPartitions::of(const std::string& table) const {
    static const Ranges none;
    const auto found = ranges_.find(table);
    return found == ranges_.end() ? none : found->second;
}

Result<void> PostgresPartitions::load(PostgresConnection& connection) {
    ranges_.clear();
    const std::string schema = sql_name(schema_);
    WEIR_TRY(const auto rows, connection.query("SELECT parent, extract(epoch FROM starts)::bigint, extract(epoch FROM ends)::bigint FROM " + schema +
                                               ".partitions WHERE to_regclass(" + sql_literal(schema + ".") + " || quote_ident(name)) IS NOT NULL"));
    for (const auto& row : rows)
        ranges_[row.at(0).value_or("")][Timestamp::from_seconds(std::stoll(row.at(1).value_or("0")))] = Timestamp::from_seconds(std::stoll(row.at(2).value_or("0")));
    return ok();
}

// Nobody's lock is waited for longer than half of what a write may take.
std::string PostgresPartitions::lock_timeout() const { return "SET LOCAL lock_timeout=" + std::to_string(std::max<std::int64_t>(1, timeout_.count() / 2000)); }

Result<void> PostgresPartitions::make(PostgresConnection& connection, const std::string& table, Timestamp moment) {
    Ranges& there = ranges_[table];
    PartitionRange range = around(moment);
    // Where months became days, or days months: what is left between the neighbours.
    const auto after = there.upper_bound(moment);
    if (after != there.end()) range.to = std::min(range.to, after->first);
    if (after != there.begin()) {
        const auto before = std::prev(after);
        if (moment < before->second) return ok();
        range.from = std::max(range.from, before->second);
    }
    const std::string schema = sql_name(schema_), name = partition_name(table, range);
    const auto bound = [](Timestamp t) { return sql_literal(to_rfc3339_short(t)); };
    const auto made = connection.query(
        "BEGIN;" + lock_timeout() + ";SELECT pg_advisory_xact_lock(hashtext(" + sql_literal("weir " + schema_) +
        "));CREATE TABLE IF NOT EXISTS " + schema + "." + sql_name(name) + " PARTITION OF " + sql_table(table) + " FOR VALUES FROM (" + bound(range.from) + ") TO (" + bound(range.to) +
        ");INSERT INTO " + schema + ".partitions (parent, name, starts, ends) VALUES (" + sql_literal(table) + "," + sql_literal(name) + "," + bound(range.from) + "," + bound(range.to) +
        ") ON CONFLICT DO NOTHING;COMMIT");
    if (!made.ok()) return made.error();
    there[range.from] = range.to;
    return ok();
}

Result<PostgresPartitions::Dropped> PostgresPartitions::drop_until(PostgresConnection& connection, Timestamp end) {
    Dropped dropped;
    const std::string schema = sql_name(schema_);
    for (auto& [table, ranges] : ranges_) {
        while (!ranges.empty() && ranges.begin()->second <= end) {
            const PartitionRange range{ranges.begin()->first, ranges.begin()->second};
            const std::string name = partition_name(table, range);
            const auto done = connection.query("BEGIN;" + lock_timeout() + ";DROP TABLE IF EXISTS " + schema + "." + sql_name(name) + ";DELETE FROM " + schema +
                                               ".partitions WHERE parent = " + sql_literal(table) + " AND starts = " + sql_literal(to_rfc3339_short(range.from)) + ";COMMIT");
            if (!done.ok()) {
                dropped.refused = "partition " + name + " is too old but could not be dropped: " + done.error().message;
                WEIR_TRY([[maybe_unused]] const auto ended, connection.query("ROLLBACK"));
                return dropped;
            }
            ranges.erase(ranges.begin());
            dropped.names.push_back(name);
        }
    }
    return dropped;
}

}  // namespace weir
