#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "config/log_options.h"
#include "event/event.h"
#include "log/database.h"
#include "log/log.h"

namespace weir {

/// The tables of a log's file (docs/formats/log-block.md), and how a connection to it is set up.

/// The file within a log's folder.
std::string log_file(const std::string& folder);

/// Opens for writing; a new file gets its tables. Errors: as Database; `newer_format` for a file of a later weir.
Result<Database> open_for_writing(const std::string& folder, Durability durability, const std::string& vfs);
Result<Database> open_for_reading(const std::string& folder, const std::string& vfs);

/// The table's one row about the log as a whole.
struct LogRow {
    CommitNo head;
    Timestamp head_time;
    std::string boot_id;  ///< of the machine's start under which the log was last open
    bool clean = true;    ///< whether it was closed in order
    bool process_durability = false;
};
Result<LogRow> read_log_row(Database& database);
Result<void> write_log_row(Database& database, const LogRow& row);

/// Every epoch of the file, oldest first: `value` by number, which counts from 1.
Result<std::vector<Epoch>> read_epochs(Database& database);
/// Begins a new epoch for every stream, behind its head.
Result<void> begin_epoch(Database& database, Epoch epoch);

/// What is kept about each stream beside its blocks.
struct StreamRow {
    std::uint32_t number = 0;
    StreamName name;
    Seq first{1};             ///< oldest event that is still there; head + 1 when there is none
    Seq head;
    CommitNo last_commit;     ///< of the newest block
    CommitNo removed_commit;  ///< retention has removed everything up to and with this commit
    std::uint64_t bytes = 0;  ///< of all blocks, headers included
    std::optional<Timestamp> min_time, max_time;
};

StreamInfo info_of(const StreamRow& row, Epoch epoch);

/// Reads and writes StreamRows over one connection.
class StreamRows {
public:
    static Result<StreamRows> prepare(Database& database);

    Result<std::vector<StreamRow>> all();
    Result<std::optional<StreamRow>> find(std::string_view name);
    Result<void> put(const StreamRow& row);

private:
    Statement all_, find_, put_;
};

/// Rough cost of a block's row beside its body: what counts as bytes of a stream with it.
inline constexpr std::uint64_t block_row_bytes = 120;

}  // namespace weir
