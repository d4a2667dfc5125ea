#pragma once
// For tests only: a PostgreSQL of one's own, on a unix socket in a temporary folder, gone with the process. Needs Debian's `postgresql` and `pgbouncer`.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "log/log_test_support.h"
#include "log/sqlite_log.h"
#include "stores/postgres_store.h"

namespace weir {

/// Debian keeps the server's programs out of the path.
inline std::string postgres_program(const std::string& name) {
    std::vector<std::string> found;
    std::error_code missing;
    for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", missing)) {
        const auto path = version.path() / "bin" / name;
        if (std::filesystem::exists(path)) found.push_back(path.string());
    }
    REQUIRE_MESSAGE(!found.empty(), ("no " + name + " below /usr/lib/postgresql: run scripts/dependencies test"));
    std::sort(found.begin(), found.end());
    return found.back();
}

class TestCluster {
public:
    /// The one of this process.
    static TestCluster& get() {
        static TestCluster cluster;
        return cluster;
    }
    ~TestCluster() {
        if (owner_ != ::getpid()) return;  // a forked child
        end(bouncer_, SIGTERM);
        end(server_, SIGQUIT);
    }

    std::string url(const std::string& database, const std::string& user = "weir") const { return "postgresql://" + user + "@/" + database + "?host=" + folder_.path(); }
    /// The same through pgbouncer in transaction mode, with one connection for all.
    std::string bouncer_url(const std::string& database) {
        if (bouncer_ == 0) {
            std::ofstream(folder_.path() + "/bouncer.ini") << "[databases]\n* = host=" << folder_.path() << " port=5432 user=weir\n[pgbouncer]\nunix_socket_dir=" << folder_.path()
                                                           << "\nlisten_addr=\nlisten_port=6432\nauth_type=any\npool_mode=transaction\ndefault_pool_size=1\nserver_reset_query=DISCARD ALL\n"
                                                           << "server_reset_query_always=1\nlogfile=" << folder_.path() << "/bouncer.log\n";
            bouncer_ = run({"/usr/sbin/pgbouncer", "-q", folder_.path() + "/bouncer.ini"});
            until([&] { return std::filesystem::exists(folder_.path() + "/.s.PGSQL.6432"); });
        }
        return url(database) + "&port=6432";
    }
    /// A database with nothing in it.
    std::string create() {
        const std::string name = "d" + std::to_string(++databases_);
        sql("postgres", "CREATE DATABASE " + name);
        return name;
    }
    PostgresConnection::Rows sql(const std::string& database, const std::string& text) {
        auto connection = connect(database);
        auto rows = connection->query(text);
        REQUIRE_MESSAGE(rows.ok(), (rows.ok() ? std::string() : rows.error().message + " in " + text));
        return *std::move(rows);
    }
    std::unique_ptr<PostgresConnection> connect(const std::string& database) {
        PostgresConnection::Setup setup;
        setup.url = url(database);
        setup.clock = &clock_;
        auto opened = PostgresConnection::open(setup);
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? std::string() : opened.error().message));
        return *std::move(opened);
    }
    /// The first column of the first row.
    std::string one(const std::string& database, const std::string& text) {
        const auto rows = sql(database, text);
        return rows.empty() ? "" : rows[0].at(0).value_or("NULL");
    }

    /// As kill -9 of everything, with a recovery at the next start.
    void crash() { end(server_, SIGQUIT); }
    void start() {
        server_ = run({postgres_program("postgres"), "-D", folder_.path() + "/data"});
        until([&] {
            PostgresConnection::Setup setup;
            setup.url = url("postgres");
            setup.clock = &clock_;
            return PostgresConnection::open(setup).ok();
        });
    }

    /// Waits for a condition; a broken test ends after a minute.
    static void until(const std::function<bool()>& condition) {
        for (int i = 0; i < 6000; ++i) {
            if (condition()) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        FAIL("a condition did not become true");
    }

private:
    TestCluster() : owner_(::getpid()) {
        if (const passwd* user = ::geteuid() == 0 ? ::getpwnam("nobody") : nullptr) {
            uid_ = user->pw_uid;
            gid_ = user->pw_gid;
            REQUIRE(::chown(folder_.path().c_str(), uid_, gid_) == 0);
        }
        const pid_t made = run({postgres_program("initdb"), "-D", folder_.path() + "/data", "-U", "weir", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"});
        int status = 0;
        REQUIRE(::waitpid(made, &status, 0) == made);
        REQUIRE(status == 0);
        std::ofstream(folder_.path() + "/data/postgresql.conf", std::ios::app)
            << "listen_addresses=''\nunix_socket_directories='" << folder_.path() << "'\nfsync=off\nshared_buffers=16MB\nmax_connections=40\nautovacuum=off\n";
        std::ofstream(folder_.path() + "/data/pg_hba.conf") << "local all with_password scram-sha-256\nlocal all all trust\n";
        start();
    }
    // Without root's rights, which the server refuses; it ends when this process does.
    pid_t run(const std::vector<std::string>& command) const {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child > 0) return child;
        if (uid_ != 0 && (::setgroups(0, nullptr) != 0 || ::setgid(gid_) != 0 || ::setuid(uid_) != 0)) ::_exit(126);
        if (::chdir("/") != 0) ::_exit(126);
        ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
        const int sink = ::open((folder_.path() + "/output").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
        ::dup2(sink, 1);
        ::dup2(sink, 2);
        std::vector<char*> arguments;
        for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
        arguments.push_back(nullptr);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    static void end(pid_t& child, int signal) {
        if (child == 0) return;
        ::kill(child, signal);
        int status = 0;
        ::waitpid(child, &status, 0);
        child = 0;
    }

    TemporaryFolder folder_;
    SystemClock clock_;
    const pid_t owner_;
    uid_t uid_ = 0;
    gid_t gid_ = 0;
    pid_t server_ = 0, bouncer_ = 0;
    int databases_ = 0;
};

/// A log in a folder that outlives it, and a store on it.
class RowRig {
public:
    explicit RowRig(const std::string& path, const Clock& clock, StreamTable streams = {}, std::optional<std::uint64_t> tail_bytes = {}) : clock_(clock) {
        SqliteLog::Setup setup;
        setup.streams = std::move(streams);
        if (tail_bytes) setup.options.tail_bytes = *tail_bytes;
        setup.options.path = path;
        setup.options.durability = Durability::process;
        setup.clock = &clock;
        setup.keep_every = Duration(0);
        auto opened = SqliteLog::open(std::move(setup));
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? std::string() : opened.error().message));
        log_ = *std::move(opened);
    }
    SqliteLog& log() { return *log_; }

    struct Made {
        std::string id, type = "reading", key = "SSD-7", data = R"({"currentfill":45})";
        std::string time = "2026-02-17T10:00:00Z";
    };
    void append(const std::string& stream, const std::vector<Made>& made) {
        Commit commit;
        commit.appends.push_back({stream, {}, {}});
        for (const Made& m : made) {
            EventView event;
            event.id = m.id, event.type = m.type, event.key = m.key, event.source = "push", event.data = m.data;
            event.time = *parse_rfc3339(m.time);
            event.ingested = clock_.now();
            commit.appends.back().events.add(event);
        }
        const auto committed = log_->commit(std::move(commit));
        REQUIRE_MESSAGE(committed.ok(), (committed.ok() ? std::string() : committed.error().message));
    }
    void tick(const std::string& stream) {
        Commit commit;
        commit.appends.push_back({stream, {}, {}});
        REQUIRE(log_->commit(std::move(commit)).ok());
    }
    /// `count` readings in commits of at most `each`.
    void fill(const std::string& stream, int count, int each = 10) {
        for (int done = 0; done < count;) {
            std::vector<Made> made;
            for (int i = 0; i < each && done < count; ++i, ++done) made.push_back({.id = "r" + std::to_string(++filled_), .data = R"({"currentfill":)" + std::to_string(filled_) + "}"});
            append(stream, made);
        }
    }

    std::unique_ptr<PostgresStore> store(PostgresStore::Setup setup, const Clock* clock = nullptr) {
        if (setup.name.empty()) setup.name = "warehouse";
        if (setup.owner.empty()) setup.owner = "owner" + std::to_string(++owners_);
        auto made = PostgresStore::make(std::move(setup), {*log_, clock ? *clock : clock_, metrics, board, 1});
        REQUIRE(made.ok());
        REQUIRE((*made)->prepare().ok());
        return *std::move(made);
    }
    static PostgresStore::Setup to(const std::string& url) {
        PostgresStore::Setup setup;
        setup.options.kind = StoreKind::postgresql;
        setup.options.url = Secret(url);
        return setup;
    }
    std::uint64_t counted(const std::string& metric, const std::string& store = "warehouse") { return metrics.counter(metric, "", {{"store", store}}).value(); }
    std::string status(const std::string& member, const std::string& store = "warehouse") {
        const auto posted = board.read("stores/" + store);
        REQUIRE(!posted.empty());
        const auto parsed = Json::parse(posted.front().second);
        const Json* found = parsed->find(member);
        return !found ? "" : found->is_string() ? found->as_string() : found->text();
    }
    /// `seq:id` of all events of a stream, as the log has them.
    std::string logged(const std::string& stream) {
        std::string text;
        const auto batches = log_->read(stream, Seq{1}, 1'000'000);
        REQUIRE(batches.ok());
        for (const BatchPtr& batch : *batches)
            for (std::size_t i = 0; i < batch->events.size(); ++i) text += std::to_string(batch->seq_of(i).value) + ":" + std::string(batch->events[i].id) + " ";
        return text;
    }

    Metrics metrics;
    StatusBoard board;

private:
    const Clock& clock_;
    std::unique_ptr<SqliteLog> log_;
    int filled_ = 0;
    static inline std::atomic<int> owners_{0};
};

}  // namespace weir
