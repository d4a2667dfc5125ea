#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/secret.h"

namespace weir {

/// One connection to PostgreSQL: statements and COPY, one after another, each with an end in sight. Only the simple protocol, no named
/// statements and nothing that a session would have to keep, so that pgbouncer in transaction mode may stand between.
///
///     WEIR_TRY(auto connection, PostgresConnection::open({.url = options.url, ...}));
///     WEIR_TRY(auto rows, connection->query("SELECT 1"));
///
/// **Errors** say what to do; a password is in none of them. Codes: `bad_url`, `connect_failed`, `bad_password`, `no_database`, `no_tls`, `no_permission`,
/// `no_table`, `disk_full`, `locked` (a lock, a deadlock), `timeout`, `connection_lost`, `bad_row` (the data: `failure().line` tells which
/// row of a COPY), `closing` (the caller's `is_over`), `postgres` for the rest.
///
/// Thread: one owner. Cost: a round trip a call; a COPY is written in pieces while the server reads.
class PostgresConnection {
public:
    struct Setup {
        std::string url;         ///< `postgresql://user:password@host:5432/database?sslmode=require`
        std::string password;    ///< in place of the one in `url`; without either libpq reads PGPASSWORD and PGPASSFILE
        std::string ca_file;     ///< PEM; empty: that of libpq, else the system's
        std::string application;  ///< what pg_stat_activity shows
        Duration timeout{30s};   ///< for connecting; for a call that the server does not end by itself, as much again
        const Clock* clock = nullptr;
        std::function<bool()> is_over;  ///< asked several times a second while waiting; true ends the wait
    };
    using Row = std::vector<std::optional<std::string>>;
    using Rows = std::vector<Row>;
    /// What the server said of the last failure.
    struct Failure {
        std::string sqlstate;
        std::string text;      ///< primary message, and the detail
        std::size_t line = 0;  ///< row of the COPY, from 1; 0: not said
    };

    static Result<std::unique_ptr<PostgresConnection>> open(const Setup& setup);
    /// `host:port/database`, for people; no user, no password. "?" where the url is none.
    static std::string shown(const std::string& url);
    ~PostgresConnection();
    PostgresConnection(const PostgresConnection&) = delete;
    PostgresConnection& operator=(const PostgresConnection&) = delete;

    /// One or several statements; the rows of the last one that has some.
    Result<Rows> query(const std::string& sql);
    /// One or several statements, the last of which is a `COPY ... FROM STDIN`; the rows of the last one before it that has some. What must follow is `copy_rows`.
    Result<Rows> start_copy(const std::string& sql);
    /// The rows, in text format, to the end. `meanwhile` is called once, when they are on their way and the server is at work.
    Result<void> copy_rows(std::string_view rows, const std::function<void()>& meanwhile = {});
    /// `query` in two parts: between them the server works, and the caller may too.
    Result<void> send(const std::string& sql);
    Result<Rows> receive();

    const Failure& failure() const { return failure_; }
    int server_version() const;  ///< 150004

private:
    struct Handle;
    PostgresConnection(std::unique_ptr<Handle> handle, const Setup& setup);
    Result<void> wait(bool for_writing, Duration deadline);
    Result<void> flush(Duration deadline);
    /// Whatever the server answers, up to the end of the answer. `copying`: a COPY that waits for rows is the end.
    Result<Rows> collect(Duration deadline, bool copying);
    Error fail(const char* message);
    Error lost();

    std::unique_ptr<Handle> handle_;
    const Setup setup_;
    const std::string shown_;
    Failure failure_;
};

/// A text as an SQL literal or a quoted name, whatever it holds (zero bytes apart, which no text of ours has).
std::string sql_literal(std::string_view text);
std::string sql_name(std::string_view name);
/// `public.incoming_users` to `"public"."incoming_users"`.
std::string sql_table(std::string_view name);

}  // namespace weir
