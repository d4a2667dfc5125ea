#include "log/schema.h"

namespace weir {
namespace {

constexpr int format_version = 1;

// The header of a block and its body are two rows: a look at headers (by seq, by commit, by time, for retention) then reads
// a dense table, and never pages over bodies.
constexpr std::string_view tables = R"sql(
CREATE TABLE log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    head_commit INTEGER NOT NULL, head_time INTEGER NOT NULL,
    boot_id TEXT NOT NULL, clean INTEGER NOT NULL, process_durability INTEGER NOT NULL);
INSERT INTO log VALUES (1, 0, 0, '', 1, 0);
CREATE TABLE epoch (number INTEGER PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE stream (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    first_seq INTEGER NOT NULL, head_seq INTEGER NOT NULL, last_commit INTEGER NOT NULL, removed_commit INTEGER NOT NULL,
    bytes INTEGER NOT NULL, min_time INTEGER, max_time INTEGER);
CREATE TABLE stream_epoch (
    stream INTEGER NOT NULL, epoch INTEGER NOT NULL, first_seq INTEGER NOT NULL,
    PRIMARY KEY (stream, epoch)) WITHOUT ROWID;
CREATE TABLE block (
    stream INTEGER NOT NULL, last_commit INTEGER NOT NULL, first_commit INTEGER NOT NULL,
    first_seq INTEGER NOT NULL, count INTEGER NOT NULL, marks INTEGER NOT NULL, epoch INTEGER NOT NULL,
    first_commit_time INTEGER NOT NULL, last_commit_time INTEGER NOT NULL,
    min_time INTEGER NOT NULL, max_time INTEGER NOT NULL, min_ingested INTEGER NOT NULL, max_ingested INTEGER NOT NULL,
    raw_bytes INTEGER NOT NULL, stored_bytes INTEGER NOT NULL, format INTEGER NOT NULL, level INTEGER NOT NULL,
    checksum INTEGER NOT NULL, body INTEGER NOT NULL, keys BLOB NOT NULL,
    PRIMARY KEY (stream, last_commit)) WITHOUT ROWID;
CREATE INDEX block_by_seq ON block (stream, first_seq);
CREATE TABLE body (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE reader (name TEXT PRIMARY KEY, position INTEGER) WITHOUT ROWID;
CREATE TABLE state (reader TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (reader, key)) WITHOUT ROWID;
)sql";

// One text of several; operator+ on long constants makes g++ 12 warn of what is not there.
std::string sql(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const auto part : parts) text += part;
    return text;
}

}  // namespace

std::string log_file(const std::string& folder) { return folder + "/log.db"; }

Result<Database> open_for_writing(const std::string& folder, Durability durability, const std::string& vfs) {
    WEIR_TRY(Database database, Database::open(log_file(folder), Database::Mode::read_write, vfs));
    WEIR_TRY(const auto version, database.integer("PRAGMA user_version"));
    if (*version > format_version)
        return Error{"newer_format", "log folder " + folder + " has format " + std::to_string(*version) + "; this weir knows formats up to " +
                                         std::to_string(format_version) + ": use the weir that wrote it, or a newer one"};
    WEIR_TRY(const auto mode, database.text("PRAGMA journal_mode=WAL"));
    // Without the WAL readers and the writer would wait for each other.
    if (!mode || *mode != "wal")
        return Error{"io_error", "log folder " + folder + ": SQLite's write-ahead log does not work on this file system; use a local disk"};
    // Under `process` the WAL is not synced at each commit; a checkpoint still syncs, so that the file stays whole.
    WEIR_CHECK_OK(database.run(durability == Durability::full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
    // Of what a commit touches only the right edges of some trees are touched again by the next. What a large commit needs beyond that
    // stays in memory until it is written at once, and is free again behind it.
    WEIR_CHECK_OK(database.run("PRAGMA cache_size=-1024; PRAGMA cache_spill=0; PRAGMA journal_size_limit=33554432"));
    if (*version == 0) {
        // One transaction, so that a crash leaves no half of a format.
        WEIR_CHECK_OK(database.run(sql({"BEGIN IMMEDIATE;", tables, "PRAGMA user_version=", std::to_string(format_version), ";COMMIT"})));
    }
    return database;
}

Result<Database> open_for_reading(const std::string& folder, const std::string& vfs) {
    WEIR_TRY(Database database, Database::open(log_file(folder), Database::Mode::read_only, vfs));
    WEIR_CHECK_OK(database.run("PRAGMA query_only=1; PRAGMA cache_size=-512"));
    return database;
}

Result<LogRow> read_log_row(Database& database) {
    WEIR_TRY(Statement s, database.prepare("SELECT head_commit, head_time, boot_id, clean, process_durability FROM log"));
    WEIR_TRY(const bool there, s.step());
    if (!there) return Error{"damaged", "log file " + database.file() + ": the row about the log is missing"};
    return LogRow{{s.number(0)}, Timestamp::from_micros(s.integer(1)), std::string(s.text(2)), s.integer(3) != 0, s.integer(4) != 0};
}

Result<void> write_log_row(Database& database, const LogRow& row) {
    WEIR_TRY(Statement s, database.prepare("UPDATE log SET head_commit=?1, head_time=?2, boot_id=?3, clean=?4, process_durability=?5"));
    s.bind(1, row.head.value).bind(2, row.head_time.micros()).bind(3, row.boot_id).bind(4, row.clean ? 1 : 0).bind(5, row.process_durability ? 1 : 0);
    return s.run();
}

Result<std::vector<Epoch>> read_epochs(Database& database) {
    WEIR_TRY(Statement s, database.prepare("SELECT value FROM epoch ORDER BY number"));
    std::vector<Epoch> epochs;
    while (true) {
        WEIR_TRY(const bool there, s.step());
        if (!there) return epochs;
        epochs.push_back({s.number(0)});
    }
}

Result<void> begin_epoch(Database& database, Epoch epoch) {
    WEIR_TRY(Statement insert, database.prepare("INSERT INTO epoch (value) VALUES (?1)"));
    WEIR_CHECK_OK(insert.bind(1, epoch.value).run());
    return database.run("INSERT INTO stream_epoch SELECT number, (SELECT max(number) FROM epoch), head_seq + 1 FROM stream");
}

StreamInfo info_of(const StreamRow& row, Epoch epoch) {
    return {row.name, epoch, row.first, row.head, row.bytes, row.min_time, row.max_time, row.last_commit, row.removed_commit};
}

Result<StreamRows> StreamRows::prepare(Database& database) {
    constexpr std::string_view columns = "SELECT number, name, first_seq, head_seq, last_commit, removed_commit, bytes, min_time, max_time FROM stream ";
    StreamRows rows;
    WEIR_TRY(rows.all_, database.prepare(sql({columns, "ORDER BY number"})));
    WEIR_TRY(rows.find_, database.prepare(sql({columns, "WHERE name = ?1"})));
    WEIR_TRY(rows.put_, database.prepare("INSERT INTO stream VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (number) DO UPDATE SET "
                                         "first_seq=?3, head_seq=?4, last_commit=?5, removed_commit=?6, bytes=?7, min_time=?8, max_time=?9"));
    return rows;
}

static StreamRow row_of(const Statement& s) {
    StreamRow row;
    row.number = static_cast<std::uint32_t>(s.integer(0));
    row.name = s.text(1);
    row.first = {s.number(2)};
    row.head = {s.number(3)};
    row.last_commit = {s.number(4)};
    row.removed_commit = {s.number(5)};
    row.bytes = s.number(6);
    if (!s.is_null(7)) row.min_time = Timestamp::from_micros(s.integer(7));
    if (!s.is_null(8)) row.max_time = Timestamp::from_micros(s.integer(8));
    return row;
}

Result<std::vector<StreamRow>> StreamRows::all() {
    Use s(all_);
    std::vector<StreamRow> rows;
    while (true) {
        WEIR_TRY(const bool there, s->step());
        if (!there) return rows;
        rows.push_back(row_of(*s));
    }
}

Result<std::optional<StreamRow>> StreamRows::find(std::string_view name) {
    Use s(find_);
    s->bind(1, name);
    WEIR_TRY(const bool there, s->step());
    if (!there) return std::optional<StreamRow>();
    return std::optional<StreamRow>(row_of(*s));
}

Result<void> StreamRows::put(const StreamRow& row) {
    put_.bind(1, std::int64_t{row.number}).bind(2, row.name).bind(3, row.first.value).bind(4, row.head.value).bind(5, row.last_commit.value);
    put_.bind(6, row.removed_commit.value).bind(7, row.bytes);
    row.min_time ? put_.bind(8, row.min_time->micros()) : put_.bind_null(8);
    row.max_time ? put_.bind(9, row.max_time->micros()) : put_.bind_null(9);
    return put_.run();
}

}  // namespace weir
