#include "log/database.h"

#include <sqlite3.h>

#include "base/assert.h"

namespace weir {
namespace {

const char* code_of(int sqlite) {
    switch (sqlite & 0xff) {
        case SQLITE_FULL: return "disk_full";
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return "locked";
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH: return "read_only";
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB: return "damaged";
        case SQLITE_CANTOPEN: return "not_found";
        default: return "io_error";
    }
}

const char* advice_of(int sqlite) {
    switch (sqlite & 0xff) {
        case SQLITE_FULL: return "; nothing of this commit was kept; free some space";
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return "; another program holds the file";
        case SQLITE_READONLY:
        case SQLITE_PERM: return "; allow this user to write the folder and its files";
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB: return "; `weir verify` says what is left";
        default: return "";
    }
}

enum class Advice : bool { none, of_commit };

Error error_of(sqlite3* database, int code, std::string_view what = {}, Advice advice = Advice::of_commit) {
    const char* file = database ? sqlite3_db_filename(database, "main") : nullptr;
    std::string message = std::string("log file ") + (file ? file : "?") + ": " +
                          (database ? sqlite3_errmsg(database) : sqlite3_errstr(code)) + " (SQLite " +
                          std::to_string(database ? sqlite3_extended_errcode(database) : code) + ")";
    if (!what.empty()) message += " in \"" + std::string(what.substr(0, 60)) + "\"";
    if (advice == Advice::of_commit) message += advice_of(code);
    return {code_of(code), std::move(message)};
}

}  // namespace

Statement::~Statement() { sqlite3_finalize(statement_); }

// A bind fails only for a parameter that does not exist, or without memory: the first is a bug here.
Statement& Statement::bind(int parameter, std::int64_t value) {
    WEIR_ASSERT(sqlite3_bind_int64(statement_, parameter, value) == SQLITE_OK);
    return *this;
}
Statement& Statement::bind(int parameter, std::string_view text) {
    WEIR_ASSERT(sqlite3_bind_text64(statement_, parameter, text.data() ? text.data() : "", text.size(), SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK);
    return *this;
}
Statement& Statement::bind_blob(int parameter, std::string_view bytes) {
    WEIR_ASSERT(sqlite3_bind_blob64(statement_, parameter, bytes.data() ? bytes.data() : "", bytes.size(), SQLITE_STATIC) == SQLITE_OK);
    return *this;
}
Statement& Statement::bind_null(int parameter) {
    WEIR_ASSERT(sqlite3_bind_null(statement_, parameter) == SQLITE_OK);
    return *this;
}

Result<bool> Statement::step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return error_of(database_, code, sqlite3_sql(statement_));
}

Result<void> Statement::run() {
    Result<void> result;
    while (true) {
        auto row = step();
        if (!row) result = std::move(row).error();
        if (!row || !*row) break;
    }
    reset();
    return result;
}

void Statement::reset() {
    if (statement_) sqlite3_reset(statement_);
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }
std::string_view Statement::text(int column) const {
    const void* bytes = sqlite3_column_blob(statement_, column);
    return {static_cast<const char*>(bytes), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}
bool Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

Result<Database> Database::open(const std::string& file, Mode mode, const std::string& vfs) {
    sqlite3* raw = nullptr;
    const int flags = SQLITE_OPEN_NOMUTEX | (mode == Mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    const int code = sqlite3_open_v2(file.c_str(), &raw, flags, vfs.empty() ? nullptr : vfs.c_str());
    Database database(raw, file);
    if (code != SQLITE_OK) return error_of(raw, code, file);
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, 5000);
    return database;
}

Database::~Database() { sqlite3_close_v2(database_); }

Result<void> Database::run(const std::string& sql) {
    const int code = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return error_of(database_, code, sql);
    return ok();
}

Result<Statement> Database::prepare(std::string_view sql) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(database_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return error_of(database_, code, sql);
    return Statement(database_, statement);
}

Result<std::optional<std::int64_t>> Database::integer(std::string_view sql) {
    WEIR_TRY(Statement statement, prepare(sql));
    WEIR_TRY(const bool row, statement.step());
    if (!row) return std::optional<std::int64_t>();
    return std::optional<std::int64_t>(statement.integer(0));
}

Result<std::optional<std::string>> Database::text(std::string_view sql) {
    WEIR_TRY(Statement statement, prepare(sql));
    WEIR_TRY(const bool row, statement.step());
    if (!row) return std::optional<std::string>();
    return std::optional<std::string>(statement.text(0));
}

void Database::shrink() { sqlite3_db_release_memory(database_); }

std::int64_t Database::changes() const { return sqlite3_changes64(database_); }
void Database::checkpoint_by_hand() {
    // Takes the place of the hook behind wal_autocheckpoint.
    const auto hook = [](void* pages, sqlite3*, const char*, int count) {
        *static_cast<int*>(pages) = count;
        return SQLITE_OK;
    };
    sqlite3_wal_hook(database_, hook, wal_pages_.get());
}

Result<Database::Checkpoint> Database::checkpoint() {
    Checkpoint checkpoint;
    const int code = sqlite3_wal_checkpoint_v2(database_, "main", SQLITE_CHECKPOINT_PASSIVE, &checkpoint.pages, &checkpoint.in_file);
    if (code != SQLITE_OK) return error_of(database_, code, {}, Advice::none);
    // To a connection that has read nothing yet the file has no WAL, and its checkpoint would do nothing and say it was good.
    if (checkpoint.pages < 0) return Error{"io_error", "log file " + file_ + ": a checkpoint over a connection that does not know the write-ahead log"};
    return checkpoint;
}

bool Database::is_idle() const { return sqlite3_get_autocommit(database_) != 0; }

}  // namespace weir
