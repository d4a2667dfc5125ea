#pragma once
#include <map>
#include <string>

#include "stores/postgres_connection.h"
#include "stores/postgres_tables.h"

namespace weir {

/// Which partitions the generic tables have, as `<schema>.partitions` tells; making those that are missing, dropping those that are too old.
///
/// Thread: one owner.
class PostgresPartitions {
public:
    using Ranges = std::map<Timestamp, Timestamp>;  ///< start to end, without overlap
    static bool covers(const Ranges& ranges, Timestamp moment);

    PostgresPartitions(std::string schema, PartitionBy by, Duration timeout) : schema_(std::move(schema)), by_(by), timeout_(timeout) {}

    /// After a connect: somebody else may have made or dropped some.
    Result<void> load(PostgresConnection& connection);
    const Ranges& of(const std::string& table) const;
    /// The calendar's partition around `moment`. What is made may be shorter, between neighbours of another length.
    PartitionRange around(Timestamp moment) const { return partition_around(moment, by_); }
    Result<void> make(PostgresConnection& connection, const std::string& table, Timestamp moment);
    /// Drops what ended by `end`; the names of what was dropped. A partition that somebody reads stays for the next time: `refused` says so.
    struct Dropped {
        std::vector<std::string> names;
        std::string refused;
    };
    Result<Dropped> drop_until(PostgresConnection& connection, Timestamp end);

private:
    std::string lock_timeout() const;

    const std::string schema_;
    const PartitionBy by_;
    const Duration timeout_;
    std::map<std::string, Ranges> ranges_;  ///< by table
};

}  // namespace weir
