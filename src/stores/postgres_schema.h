#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "stores/postgres_connection.h"
#include "stores/postgres_tables.h"

namespace weir {

/// Makes weir's own tables in `schema`, or brings those of an older weir to this one's version, and makes the tables of `presets` that are missing. Who
/// begins at the same time waits, and finds the work done (advisory lock). True: something was made.
/// Errors: `newer_schema` where a newer weir has been at work, and those of PostgresConnection.
Result<bool> migrate_schema(PostgresConnection& connection, const std::string& schema, const std::vector<std::string>& presets);

/// Looks at a table that is not weir's own, and fills in of which kind its columns are. Error `no_table`, before a row is refused for it: the table or a
/// column is missing, or one that nothing is mapped to takes no NULL. `option`: what to correct, for the message.
Result<void> describe_table(PostgresConnection& connection, TableShape& shape, const std::string& option);

}  // namespace weir
