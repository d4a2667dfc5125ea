#include "stores/postgres_connection.h"

#include <libpq-fe.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace weir {
namespace {

constexpr std::size_t copy_piece_bytes = 256 * 1024;
constexpr Duration look_up = 100ms;  // how often a wait asks whether it is over

struct FreeResult {
    void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, FreeResult>;
struct FreeOptions {
    void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using OptionList = std::unique_ptr<PQconninfoOption, FreeOptions>;

OptionList parse_url(const std::string& url) {
    char* problem = nullptr;
    OptionList options(PQconninfoParse(url.c_str(), &problem));
    PQfreemem(problem);  // it may quote the url, password and all
    return options;
}

std::string option_of(const OptionList& options, std::string_view keyword) {
    for (const PQconninfoOption* o = options.get(); o && o->keyword; ++o)
        if (keyword == o->keyword && o->val) return o->val;
    return {};
}

// One line, without what libpq puts before and behind.
std::string one_line(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\n' || c == '\t') {
            if (!out.empty() && out.back() != ' ') out += ' ';
        } else {
            out += c;
        }
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

std::string field(const PGresult* result, int code) {
    const char* text = PQresultErrorField(result, code);
    return text ? one_line(text) : std::string();
}

// `COPY events, line 57, column data: "..."`
std::size_t line_of(const std::string& context) {
    const std::size_t copy = context.find("COPY "), found = context.find(", line ", copy);
    if (copy == std::string::npos || found == std::string::npos) return 0;
    std::size_t line = 0;
    std::from_chars(context.data() + found + 7, context.data() + context.size(), line);
    return line;
}

// libpq before 16 knows no authorities but those of a file (`~/.postgresql/root.crt`); what else in weir speaks TLS trusts the system's.
const char* system_authorities() {
    if (const char* home = std::getenv("HOME"); home && ::access((std::string(home) + "/.postgresql/root.crt").c_str(), R_OK) == 0) return nullptr;
    for (const char* file : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"})
        if (::access(file, R_OK) == 0) return file;
    return nullptr;
}

struct Meaning {
    std::string_view sqlstate;  ///< or how it begins
    const char* code;
    const char* advice;
};
// What the owner of the database can do. The first that fits.
constexpr Meaning meanings[] = {
    {"28", "bad_password", "check the user and the password (the url, DB_PASSWORD or PGPASSFILE) and pg_hba.conf"},
    {"3D000", "no_database", "create the database, or correct the url"},
    {"42501", "no_permission", "the user needs CREATE and TEMP on the database, and INSERT, UPDATE and SELECT on the tables"},
    {"25006", "no_permission", "the server takes no writes (a standby?); name the primary in the url"},
    {"42P01", "no_table", "create the table, or correct its name"},
    {"42703", "no_table", "the table lacks a column that is mapped to"},
    {"42P10", "no_table", "ON CONFLICT needs a unique index or primary key on just these columns"},
    {"3F000", "no_table", "create the schema, or correct its name"},
    {"53100", "disk_full", "the database's disk is full: make room there"},
    {"53300", "connect_failed", "the server has no connection left: raise max_connections, or put pgbouncer in front"},
    {"53", "disk_full", "the server is short of something"},
    {"55P03", "locked", "another session holds a lock on the table: see pg_stat_activity"},
    {"40", "locked", "another session was in the way"},
    {"57014", "timeout", "pg_stat_activity and pg_locks show what it waits for; if it is only slow, raise the store's timeout"},
    {"57P", "connection_lost", "the server is stopping or starting"},
    {"08", "connection_lost", "the connection broke"},
    {"22", "bad_row", ""},
    {"23", "bad_row", ""},
    {"54", "bad_row", ""},
    {"P0001", "bad_row", ""},
};

// A connection that is refused has no SQLSTATE, only libpq's words (those of libpq 13 to 17, in English). The first that fits.
struct Refusal {
    std::string_view said;
    const char* code;
    const char* advice;
};
constexpr const char* no_tls_file = "name the PEM file of the authority that signed the server's certificate in tls_ca_file";
constexpr Refusal refusals[] = {
    {"password authentication failed", "bad_password", meanings[0].advice},
    {"no password supplied", "bad_password", meanings[0].advice},
    {"no encryption", "no_tls", "the server wants TLS: add ?sslmode=require to the url"},
    {"no pg_hba.conf entry", "bad_password", meanings[0].advice},
    {"role \"", "bad_password", meanings[0].advice},
    {"permission denied for database", "no_permission", "GRANT CONNECT, CREATE, TEMP ON DATABASE to the user"},
    {"is not currently accepting connections", "connect_failed", "its owner has closed it (ALTER DATABASE ... ALLOW_CONNECTIONS)"},
    {"database \"", "no_database", meanings[1].advice},
    {"no such database", "no_database", "pgbouncer does not know it: add it to [databases] there, or correct the url"},
    {"server does not support SSL", "no_tls", "switch TLS on there (ssl = on), or, on a network that you trust, say sslmode=disable in the url"},
    {"does not match host name", "no_tls", "put the name that the certificate is for into the url, or sslmode=verify-ca"},
    {"certificate verify failed", "no_tls", no_tls_file},
    {"root certificate file", "no_tls", no_tls_file},
    {"could not translate host name", "connect_failed", "check the host's name in the url, and this machine's resolver"},
    {"too many clients", "connect_failed", "raise max_connections there, or put pgbouncer in front"},
    {"remaining connection slots", "connect_failed", "raise max_connections there, or put pgbouncer in front"},
    {"the database system is", "connect_failed", "it is starting, stopping or recovering, and will answer when that is done"},
    {"", "connect_failed", "is the server running, and the address right?"},
};

const Meaning* meaning_of(std::string_view sqlstate) {
    for (const Meaning& meaning : meanings)
        if (sqlstate.starts_with(meaning.sqlstate)) return &meaning;
    return nullptr;
}

}  // namespace

struct PostgresConnection::Handle {
    PGconn* connection = nullptr;
    ~Handle() {
        if (connection) PQfinish(connection);
    }
};

std::string sql_literal(std::string_view text) {
    std::string out = text.find('\\') == std::string_view::npos ? "'" : " E'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') out += c;
        out += c;
    }
    return out + "'";
}

std::string sql_name(std::string_view name) {
    std::string out = "\"";
    for (const char c : name) {
        if (c == '"') out += c;
        out += c;
    }
    return out + "\"";
}

std::string sql_table(std::string_view name) {
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos) return sql_name(name);
    return sql_name(name.substr(0, dot)) + "." + sql_name(name.substr(dot + 1));
}

std::string PostgresConnection::shown(const std::string& url) {
    const OptionList options = parse_url(url);
    if (!options) return "?";
    const auto or_else = [&](const char* keyword, const char* standard) {
        std::string text = option_of(options, keyword);
        return text.empty() ? std::string(standard) : text;
    };
    return or_else("host", "localhost") + ":" + or_else("port", "5432") + "/" + or_else("dbname", "postgres");
}

PostgresConnection::PostgresConnection(std::unique_ptr<Handle> handle, const Setup& setup)
    : handle_(std::move(handle)), setup_(setup), shown_(shown(setup.url)) {}

PostgresConnection::~PostgresConnection() = default;

int PostgresConnection::server_version() const { return PQserverVersion(handle_->connection); }

Result<std::unique_ptr<PostgresConnection>> PostgresConnection::open(const Setup& setup) {
    const OptionList options = parse_url(setup.url);
    const char* const authorities = system_authorities();
    if (!options) return Error{"bad_url", "the url of the database cannot be read; allowed: postgresql://user@host:5432/database (special characters in it as %40)"};
    std::vector<const char*> names, values;
    const auto add = [&](const char* name, const char* value) {
        names.push_back(name);
        values.push_back(value);
    };
    const std::string seconds = std::to_string(std::max<std::int64_t>(1, setup.timeout.count() / 1'000'000)),
                      millis = std::to_string(std::max<std::int64_t>(1000, setup.timeout.count() / 1000));
    // What is unacknowledged for that long is a dead network, not a slow server.
    add("tcp_user_timeout", millis.c_str());
    add("fallback_application_name", setup.application.c_str());
    if (!setup.ca_file.empty()) add("sslrootcert", setup.ca_file.c_str());
    else if (authorities && option_of(options, "sslmode").starts_with("verify") && !std::getenv("PGSSLROOTCERT")) add("sslrootcert", authorities);
    for (const PQconninfoOption* o = options.get(); o->keyword; ++o)
        if (o->val) add(o->keyword, o->val);
    if (!setup.password.empty()) add("password", setup.password.c_str());
    add("client_encoding", "UTF8");
    names.push_back(nullptr);
    values.push_back(nullptr);

    auto handle = std::make_unique<Handle>();
    handle->connection = PQconnectStartParams(names.data(), values.data(), 0);
    std::unique_ptr<PostgresConnection> connection(new PostgresConnection(std::move(handle), setup));
    PGconn* c = connection->handle_->connection;
    if (!c) return Error{"connect_failed", "no memory for a connection"};
    const auto refused = [&] {
        std::string text = one_line(PQerrorMessage(c));
        for (const std::string& secret : {setup.password, option_of(options, "password")})
            for (std::size_t at; !secret.empty() && (at = text.find(secret)) != std::string::npos;) text.replace(at, secret.size(), "[secret]");
        const Refusal& refusal = *std::find_if(std::begin(refusals), std::end(refusals), [&](const Refusal& r) { return text.find(r.said) != std::string::npos; });
        return Error{refusal.code, "PostgreSQL at " + connection->shown_ + " cannot be reached: " + text + "; " + refusal.advice};
    };
    if (PQstatus(c) == CONNECTION_BAD) return refused();
    const Duration deadline = setup.clock->monotonic() + setup.timeout;
    for (PostgresPollingStatusType status = PGRES_POLLING_WRITING; status != PGRES_POLLING_OK; status = PQconnectPoll(c)) {
        if (status == PGRES_POLLING_FAILED) return refused();
        auto waited = connection->wait(status == PGRES_POLLING_WRITING, deadline);
        if (!waited.ok()) {
            if (waited.error().code == "timeout")
                return Error{"timeout", "PostgreSQL at " + connection->shown_ + " did not answer in " + to_text(setup.timeout) + "; is the address right?"};
            return std::move(waited).error();
        }
    }
    PQsetnonblocking(c, 1);
    // Notices are for people at a terminal.
    PQsetNoticeReceiver(c, [](void*, const PGresult*) {}, nullptr);
    return connection;
}

Error PostgresConnection::lost() {
    failure_ = {"08006", one_line(PQerrorMessage(handle_->connection)), 0};
    return {"connection_lost", "PostgreSQL at " + shown_ + " is gone: " + failure_.text};
}

Error PostgresConnection::fail(const char* message) {
    const Meaning* meaning = meaning_of(failure_.sqlstate);
    std::string text = "PostgreSQL at " + shown_ + ": " + message + " (SQLSTATE " + failure_.sqlstate + ")";
    if (meaning && *meaning->advice) text += std::string("; ") + meaning->advice;
    return {meaning ? meaning->code : "postgres", std::move(text)};
}

Result<void> PostgresConnection::wait(bool for_writing, Duration deadline) {
    for (;;) {
        if (setup_.is_over && setup_.is_over()) return Error{"closing", "the store is stopping"};
        pollfd ready{PQsocket(handle_->connection), static_cast<short>(for_writing ? POLLIN | POLLOUT : POLLIN), 0};
        if (ready.fd < 0) return lost();
        const int found = ::poll(&ready, 1, static_cast<int>(look_up.count() / 1000));
        if (found > 0) return ok();
        if (setup_.clock->monotonic() >= deadline) {
            failure_ = {"", "timeout", 0};
            return Error{"timeout", "PostgreSQL at " + shown_ + " did not answer in " + to_text(setup_.timeout * 2)};
        }
    }
}

Result<void> PostgresConnection::flush(Duration deadline) {
    for (;;) {
        const int left = PQflush(handle_->connection);
        if (left == 0) return ok();
        if (left < 0) return lost();
        WEIR_CHECK_OK(wait(true, deadline));
        if (!PQconsumeInput(handle_->connection)) return lost();
    }
}

Result<void> PostgresConnection::send(const std::string& sql) {
    if (!PQsendQuery(handle_->connection, sql.c_str())) return lost();
    return flush(setup_.clock->monotonic() + setup_.timeout * 2);
}

Result<PostgresConnection::Rows> PostgresConnection::receive() { return collect(setup_.clock->monotonic() + setup_.timeout * 2, false); }

Result<PostgresConnection::Rows> PostgresConnection::query(const std::string& sql) {
    WEIR_CHECK_OK(send(sql));
    return receive();
}

Result<PostgresConnection::Rows> PostgresConnection::collect(Duration deadline, bool copying) {
    PGconn* c = handle_->connection;
    Rows rows;
    std::optional<Error> error;
    for (;;) {
        while (PQisBusy(c)) {
            WEIR_CHECK_OK(wait(false, deadline));
            if (!PQconsumeInput(c)) return lost();
        }
        const ResultHandle result(PQgetResult(c));
        if (!result) break;
        const ExecStatusType status = PQresultStatus(result.get());
        if (status == PGRES_COPY_IN) {
            if (copying) return rows;
            // A statement of ours that should not have been a COPY: end it rather than wait for ever.
            PQputCopyEnd(c, "unexpected");
            continue;
        }
        if (status == PGRES_TUPLES_OK) {
            rows.clear();
            for (int r = 0; r < PQntuples(result.get()); ++r) {
                Row& row = rows.emplace_back();
                for (int f = 0; f < PQnfields(result.get()); ++f) {
                    if (PQgetisnull(result.get(), r, f)) row.emplace_back();
                    else row.emplace_back(std::in_place, PQgetvalue(result.get(), r, f), static_cast<std::size_t>(PQgetlength(result.get(), r, f)));
                }
            }
        } else if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
            failure_.sqlstate = field(result.get(), PG_DIAG_SQLSTATE);
            failure_.text = field(result.get(), PG_DIAG_MESSAGE_PRIMARY);
            if (const std::string detail = field(result.get(), PG_DIAG_MESSAGE_DETAIL); !detail.empty()) failure_.text += ": " + detail;
            failure_.line = line_of(field(result.get(), PG_DIAG_CONTEXT));
            if (failure_.sqlstate.empty()) error = lost();
            else error = fail(failure_.text.c_str());
        }
        if (PQstatus(c) == CONNECTION_BAD) return error ? *error : lost();
    }
    if (error) return *std::move(error);
    return rows;
}

Result<PostgresConnection::Rows> PostgresConnection::start_copy(const std::string& sql) {
    const Duration deadline = setup_.clock->monotonic() + setup_.timeout * 2;
    WEIR_CHECK_OK(send(sql));
    return collect(deadline, true);
}

Result<void> PostgresConnection::copy_rows(std::string_view rows, const std::function<void()>& meanwhile) {
    PGconn* c = handle_->connection;
    const Duration deadline = setup_.clock->monotonic() + setup_.timeout * 2;
    while (!rows.empty()) {
        const std::string_view piece = rows.substr(0, copy_piece_bytes);
        const int taken = PQputCopyData(c, piece.data(), static_cast<int>(piece.size()));
        // The server has refused a row already: its answer says which.
        if (taken < 0) break;
        if (taken == 0) {
            WEIR_CHECK_OK(wait(true, deadline));
            if (!PQconsumeInput(c)) return lost();
            continue;
        }
        rows.remove_prefix(piece.size());
        if (PQflush(c) < 0) return lost();
    }
    while (rows.empty() && PQputCopyEnd(c, nullptr) == 0) WEIR_CHECK_OK(wait(true, deadline));
    WEIR_CHECK_OK(flush(deadline));
    // What the kernel's buffers hold, and the answer, are still the server's to work on.
    if (meanwhile) meanwhile();
    WEIR_TRY([[maybe_unused]] const auto end, collect(deadline, false));
    if (!rows.empty()) return lost();
    return ok();
}

}  // namespace weir
