#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace weir {

/// One prepared statement of a Database. Bind, `step` until it says no more row, `reset`.
/// Texts and blobs of a row are valid until the next step or reset. Thread: that of its Database.
class Statement {
public:
    Statement() = default;
    Statement(sqlite3* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}
    ~Statement();
    Statement(Statement&& other) noexcept
        : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}
    Statement& operator=(Statement&& other) noexcept {
        std::swap(database_, other.database_);
        std::swap(statement_, other.statement_);
        return *this;
    }

    /// Parameters count from 1. The text or blob must live until the step that uses it is over.
    Statement& bind(int parameter, std::int64_t value);
    Statement& bind(int parameter, std::uint64_t value) { return bind(parameter, static_cast<std::int64_t>(value)); }
    Statement& bind(int parameter, int value) { return bind(parameter, static_cast<std::int64_t>(value)); }
    Statement& bind(int parameter, std::string_view text);
    Statement& bind_blob(int parameter, std::string_view bytes);
    Statement& bind_null(int parameter);

    /// True when there is a row. Errors as `Database`.
    Result<bool> step();
    /// Steps to the end, whatever the rows are, and resets.
    Result<void> run();
    void reset();

    std::int64_t integer(int column) const;
    std::uint64_t number(int column) const { return static_cast<std::uint64_t>(integer(column)); }
    std::string_view text(int column) const;  ///< also for blobs; empty for NULL
    bool is_null(int column) const;

private:
    sqlite3* database_ = nullptr;
    sqlite3_stmt* statement_ = nullptr;
};

/// Resets a statement at the end of a scope, so that an early return keeps no read transaction open.
class Use {
public:
    explicit Use(Statement& statement) : statement_(statement) {}
    ~Use() { statement_.reset(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Statement* operator->() { return &statement_; }
    Statement& operator*() { return statement_; }

private:
    Statement& statement_;
};

/// A connection to an SQLite file.
///
/// Errors: `disk_full`, `io_error`, `locked` (another program holds the file), `read_only`, `damaged`, `not_found`. The message
/// names the file and what SQLite said. Thread: one at a time.
class Database {
public:
    enum class Mode : std::uint8_t { read_only, read_write };

    /// `vfs`: empty for the system's own; tests put one that fails in between.
    static Result<Database> open(const std::string& file, Mode mode, const std::string& vfs = {});
    ~Database();
    Database(Database&& other) noexcept
        : database_(std::exchange(other.database_, nullptr)), file_(std::move(other.file_)), wal_pages_(std::move(other.wal_pages_)) {}
    Database& operator=(Database&& other) noexcept {
        std::swap(database_, other.database_);
        std::swap(file_, other.file_);
        std::swap(wal_pages_, other.wal_pages_);
        return *this;
    }

    Result<void> run(const std::string& sql);
    Result<Statement> prepare(std::string_view sql);
    /// The first column of the first row; nullopt without a row.
    Result<std::optional<std::int64_t>> integer(std::string_view sql);
    Result<std::optional<std::string>> text(std::string_view sql);
    /// Rows touched by the last statement that changed something.
    std::int64_t changes() const;
    /// False while a transaction is open.
    bool is_idle() const;
    const std::string& file() const { return file_; }
    /// Frees the pages that the connection holds without need: whatever comes next reads them anew.
    void shrink();

    /// SQLite starts no checkpoint of its own any more when this connection commits: its owner looks at `wal_pages`.
    void checkpoint_by_hand();
    /// Pages in the WAL as of this connection's newest commit, since `checkpoint_by_hand`.
    int wal_pages() const { return *wal_pages_; }
    struct Checkpoint {
        int pages = 0;    ///< in the WAL
        int in_file = 0;  ///< of them, in the file; all: the next commit begins the WAL anew
    };
    /// Moves what is in the WAL into the file and syncs both, as far as no reader still needs the file as it is. Nobody waits
    /// for it, commits of other connections go on meanwhile. The connection must have read something before.
    /// Errors: as above; `locked` while another connection does it.
    Result<Checkpoint> checkpoint();

private:
    Database(sqlite3* database, std::string file) : database_(database), file_(std::move(file)) {}

    sqlite3* database_ = nullptr;
    std::string file_;
    std::unique_ptr<int> wal_pages_ = std::make_unique<int>(0);  ///< SQLite holds its address
};

}  // namespace weir
