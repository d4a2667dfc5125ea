// The promise of a store: whatever happens to weir, the connection or the server, each event is in the table exactly once, in order.
#include "base/failpoint.h"
#include "stores/postgres_test_support.h"

using namespace weir;

namespace {

TestCluster& cluster() { return TestCluster::get(); }

struct Rig : TemporaryFolder {
    ManualClock clock{"2026-02-17T12:00:00Z"_utc};
    std::string database = cluster().create();
    PostgresStore::Setup setup = RowRig::to(cluster().url(database));
    std::string log_path() const { return path() + "/log"; }
    /// `seq:id` in the order in which they came to lie in the table.
    std::string written(const std::string& stream = "pools", const std::string& order = "ctid") {
        return cluster().one(database, "SELECT string_agg(seq || ':' || id || ' ', '' ORDER BY " + order + ") FROM weir.events WHERE stream = '" + stream + "'");
    }
};

/// Lets something happen the n-th time that somebody asks how late it is: every round trip begins with that.
class EventfulClock final : public Clock {
public:
    EventfulClock(const Clock& clock, std::uint32_t at, std::function<void()> what) : clock_(clock), left_(at), what_(std::move(what)) {}
    Timestamp now() const override { return clock_.now(); }
    Duration monotonic() const override {
        if (left_ > 0 && --left_ == 0) what_();
        return clock_.monotonic();
    }
    bool happened() const { return left_ == 0; }
    /// From now on nothing happens any more.
    void disarm() { what_ = [] {}; }

private:
    const Clock& clock_;
    mutable std::uint32_t left_;
    std::function<void()> what_;
};

void run_out(PostgresStore& store, ManualClock& clock) {
    for (int i = 0; i < 50; ++i) {
        if (!store.poll()) return;
        clock.advance(61s);
    }
    FAIL("the store does not recover");
}

const char* const kill_points[] = {"store.before_rows", "store.in_rows", "store.before_commit", "store.in_commit", "store.after_commit", "store.before_position", "store.after_position"};

}  // namespace

TEST_CASE("postgres: weir killed at each point of its work repeats nothing and loses nothing (decisions.md 29, 34)") {
    const bool nightly = std::getenv("WEIR_NIGHTLY");
    std::uint32_t place = 0;
    for (const char* point : kill_points) {
        ++place;
        for (const std::uint32_t count : {1U, 2U}) {
            if (!nightly && count != place % 2 + 1) continue;  // every point, the first or the second time that it is passed
            CAPTURE(point);
            CAPTURE(count);
            Rig rig;
            rig.setup.options.batch_events = 5;
            { RowRig(rig.log_path(), rig.clock).fill("pools", 20, 5); }
            const pid_t child = ::fork();
            REQUIRE(child >= 0);
            if (child == 0) {
                RowRig rows(rig.log_path(), rig.clock);
                auto store = rows.store(rig.setup);
                failpoint::arm(point, count);
                store->poll();
                // The position is committed once when it idles: what follows gives the second time.
                rows.fill("pools.5min", 5, 5);
                store->poll();
                ::_exit(0);
            }
            int status = 0;
            REQUIRE(::waitpid(child, &status, 0) == child);
            REQUIRE(WIFSIGNALED(status));
            REQUIRE(WTERMSIG(status) == SIGKILL);
            RowRig rows(rig.log_path(), rig.clock);
            auto store = rows.store(rig.setup);
            run_out(*store, rig.clock);
            CHECK(rig.written() == rows.logged("pools"));
            CHECK(store->caught_up());
        }
    }
}

TEST_CASE("postgres: a connection that is cut at any round trip, in mid-COPY or in the COMMIT, costs nothing but a retry") {
    const std::uint32_t step = std::getenv("WEIR_NIGHTLY") ? 1 : 7;
    bool happened = true;
    std::uint32_t at = 1;
    for (; happened; at += step) {
        CAPTURE(at);
        REQUIRE(at < 400);
        Rig rig;
        rig.setup.options.batch_events = 4;
        RowRig rows(rig.log_path(), rig.clock);
        rows.fill("pools", 8, 4);
        auto killer = cluster().connect(rig.database);
        EventfulClock clock(rig.clock, at, [&] {
            REQUIRE(killer->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").ok());
        });
        auto store = rows.store(rig.setup, &clock);
        run_out(*store, rig.clock);
        happened = clock.happened();
        CHECK(rig.written() == rows.logged("pools"));
        store->stop();
        cluster().sql("postgres", "SELECT 1");
        killer.reset();
        cluster().sql("postgres", "DROP DATABASE " + rig.database + " WITH (FORCE)");
    }
    CHECK(at > 15);  // or the sweep has not swept
}

TEST_CASE("postgres: the server killed in the middle and started again has every row once") {
    const int step = std::getenv("WEIR_NIGHTLY") ? 1 : 13;
    bool happened = true;
    for (int at = 10; happened; at += step) {
        CAPTURE(at);
        REQUIRE(at < 400);
        Rig rig;
        rig.setup.options.batch_events = 4;
        RowRig rows(rig.log_path(), rig.clock);
        rows.fill("pools", 8, 4);
        EventfulClock clock(rig.clock, static_cast<std::uint32_t>(at), [&] { cluster().crash(); });
        auto store = rows.store(rig.setup, &clock);
        store->poll();
        happened = clock.happened();
        if (happened) {
            store->poll();
            rows.fill("pools", 4, 4);  // meanwhile the log goes on
            cluster().start();
        }
        clock.disarm();  // the sweep is over when all was done before its turn came
        run_out(*store, rig.clock);
        CHECK(rig.written() == rows.logged("pools"));
    }
}

TEST_CASE("postgres: a database that is away for long costs nothing but lag") {
    Rig rig;
    RowRig rows(rig.log_path(), rig.clock);
    cluster().crash();
    auto store = rows.store(rig.setup);
    for (int hour = 0; hour < 6; ++hour) {
        rows.fill("pools", 500, 50);
        CHECK(store->poll().has_value());
        rig.clock.advance(10min);
    }
    CHECK(rows.status("state") == "failing");
    CHECK(rows.counted("weir_store_failures_total") == 6);
    cluster().start();
    run_out(*store, rig.clock);
    CHECK(rig.written() == rows.logged("pools"));
    CHECK(rows.status("behind") == "0");
    CHECK(rows.counted("weir_store_transactions_total") < 10);  // in batches, not one by one
    // A restart between two events is not even a failure: one new connection at once.
    cluster().crash();
    cluster().start();
    rows.fill("pools", 5);
    CHECK_FALSE(store->poll().has_value());
    CHECK(rows.counted("weir_store_failures_total") == 6);
}

TEST_CASE("postgres: through pgbouncer in transaction mode, with one server connection for two stores") {
    Rig rig;
    rig.setup = RowRig::to(cluster().bouncer_url(rig.database));
    rig.setup.options.batch_events = 10;
    rig.setup.options.mapped.push_back({.stream = "pools", .table = "public.latest", .conflict = {"key"}, .columns = {{"key", "@key"}, {"fill", "/currentfill"}}});
    cluster().sql(rig.database, "CREATE TABLE latest (key text PRIMARY KEY, fill int)");
    RowRig rows(rig.log_path(), rig.clock);
    rows.fill("pools", 60, 10);
    PostgresStore::Setup second = rig.setup;
    second.name = "second";
    auto a = rows.store(rig.setup), b = rows.store(second);
    std::thread other([&] { b->poll(); });
    a->poll();
    other.join();
    rig.clock.advance(1h);
    run_out(*a, rig.clock);
    run_out(*b, rig.clock);
    CHECK(cluster().one(rig.database, "SELECT count(*) || ' ' || count(DISTINCT seq) FROM weir.events") == "120 60");
    CHECK(cluster().one(rig.database, "SELECT fill FROM latest") == "60");
    CHECK(rows.counted("weir_store_dead_letters_total") == 0);
    CHECK(rows.counted("weir_store_failures_total") == 0);
    a->stop();
    b->stop();
}

TEST_CASE("postgres: of two weirs under one name the first stops writing, and says why") {
    Rig rig;
    RowRig first_log(rig.log_path(), rig.clock), second_log(rig.path() + "/other", rig.clock);
    first_log.fill("pools", 5);
    second_log.fill("doors", 5);
    auto first = first_log.store(rig.setup);
    CHECK_FALSE(first->poll().has_value());
    auto second = second_log.store(rig.setup);
    CHECK_FALSE(second->poll().has_value());
    first_log.fill("pools", 5);
    CHECK(first->poll().has_value());
    CHECK(first_log.status("last_error").find("another weir has taken over the name") != std::string::npos);
    rig.clock.advance(10min);
    CHECK(first->poll().has_value());  // nor does it take it back
    CHECK(rig.written("pools") == "1:r1 2:r2 3:r3 4:r4 5:r5 ");
    CHECK(rig.written("doors") == second_log.logged("doors"));
}

TEST_CASE("postgres: a new log under the old name is written whole, though its numbers are the same (decisions.md 5)") {
    Rig rig;
    for (const char* log : {"/first", "/second"}) {
        RowRig rows(rig.path() + log, rig.clock);
        rows.fill("pools", 5);
        auto store = rows.store(rig.setup);
        run_out(*store, rig.clock);
    }
    CHECK(cluster().one(rig.database, "SELECT count(*) || ' ' || count(DISTINCT epoch) FROM weir.events") == "10 2");
}

TEST_CASE("postgres: a log that comes back under its name after another one adds only what is new") {
    Rig rig;
    const auto write = [&](const std::string& log, const std::string& ids, int from, int to) {
        RowRig rows(rig.path() + log, rig.clock);
        for (int i = from; i <= to; ++i) rows.append("pools", {{.id = ids + std::to_string(i)}});
        auto store = rows.store(rig.setup);
        run_out(*store, rig.clock);
        run_out(*rows.store(rig.setup), rig.clock);  // and what the next one reads of the places is right, too
    };
    write("/first", "a", 1, 5);
    write("/second", "b", 1, 90);
    write("/first", "a", 6, 8);
    write("/second", "b", 91, 92);
    write("/first", "a", 9, 9);
    CHECK(cluster().one(rig.database, "SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || count(DISTINCT epoch) FROM weir.events") == "101 101 2");
    CHECK(cluster().one(rig.database, "SELECT string_agg(seq || ' ' || turn, ', ' ORDER BY turn) FROM weir.positions") == "92 3, 9 4");
}

TEST_CASE("postgres: when the other weir has begun a new epoch, what is read again after a reconnect is written once, of both epochs") {
    Rig rig;
    RowRig rows(rig.log_path(), rig.clock);
    std::map<StreamName, PostgresStore::Place> newest;
    rig.setup.origin = [](const Batch& batch, std::size_t i) {
        const std::string id(batch.events[i].id);  // epoch-seq
        return PostgresStore::Origin{"users", {id.substr(0, 2), std::stoull(id.substr(3))}};
    };
    rig.setup.connected = [&](const std::map<StreamName, PostgresStore::Place>& places) { newest = places; };
    const auto append = [&](const std::string& epoch, int from, int to) {
        for (int i = from; i <= to; ++i) rows.append("users", {{.id = epoch + "-" + std::to_string(i)}});
    };
    const auto written = [&] { return cluster().one(rig.database, "SELECT string_agg(id, ' ' ORDER BY ctid) FROM weir.events"); };
    append("e2", 1, 3);
    append("e1", 1, 2);  // by no order of the names
    auto store = rows.store(rig.setup);
    run_out(*store, rig.clock);
    cluster().sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + rig.database + "'");
    append("e1", 3, 3);
    run_out(*store, rig.clock);
    CHECK(written() == "e2-1 e2-2 e2-3 e1-1 e1-2 e1-3");
    run_out(*rows.store(rig.setup), rig.clock);
    CHECK(written() == "e2-1 e2-2 e2-3 e1-1 e1-2 e1-3");
    CHECK(newest.at("users").epoch == "e1");
    CHECK(newest.at("users").seq == 3);
}

TEST_CASE("postgres: the places that an older weir left are valid") {
    Rig rig;
    RowRig rows(rig.log_path(), rig.clock);
    rows.fill("pools", 5);
    run_out(*rows.store(rig.setup), rig.clock);
    cluster().sql(rig.database, "ALTER TABLE weir.positions DROP CONSTRAINT positions_pkey, DROP COLUMN turn, ADD PRIMARY KEY (store, stream); DELETE FROM weir.migrations WHERE version = 2");
    rows.fill("pools", 5);
    run_out(*rows.store(rig.setup), rig.clock);
    CHECK(rig.written() == rows.logged("pools"));
}

TEST_CASE("postgres: two that share a name share the work: each event is written by one of them (C-21)") {
    Rig rig;
    rig.setup.shared = true;
    rig.setup.name = "group";
    rig.setup.options.batch_events = 3;
    std::map<std::string, int> by[2];
    std::vector<std::unique_ptr<RowRig>> rows;
    std::vector<std::unique_ptr<PostgresStore>> stores;
    for (int member = 0; member < 2; ++member) {
        rows.push_back(std::make_unique<RowRig>(rig.path() + "/" + std::to_string(member), rig.clock));
        PostgresStore::Setup setup = rig.setup;
        // The place in the other weir's stream is in the id, as `weir consume` has it.
        setup.origin = [](const Batch& batch, std::size_t i) { return PostgresStore::Origin{"users", {"e", std::stoull(std::string(batch.events[i].id.substr(1)))}}; };
        setup.written = [&by, member](const EventView& event, const StreamName&, std::uint64_t) { ++by[member][std::string(event.id)]; };
        stores.push_back(rows[static_cast<std::size_t>(member)]->store(std::move(setup)));
    }
    for (int round = 0; round < 6; ++round) {
        for (auto& each : rows) each->fill("users", 6, 3);
        CHECK_FALSE(stores[static_cast<std::size_t>(round % 2)]->poll().has_value());
    }
    CHECK_FALSE(stores[0]->poll().has_value());
    CHECK(cluster().one(rig.database, "SELECT count(*) || ' ' || count(DISTINCT seq) || ' ' || max(seq) FROM weir.events") == "36 36 36");
    CHECK(by[0].size() + by[1].size() == 36);
    CHECK(by[0].size() == 18);
}

TEST_CASE("postgres: members that begin a group at one moment leave nothing between their beginnings, and wait for one that is gone only for a while (C-21)") {
    Rig rig;
    rig.setup.shared = true;
    rig.setup.name = "group";
    std::vector<std::unique_ptr<RowRig>> rows;
    std::vector<std::unique_ptr<PostgresStore>> stores;
    const auto append = [&](std::size_t member, int from, int to) {
        std::vector<RowRig::Made> made;
        for (int i = from; i <= to; ++i) made.push_back({.id = "r" + std::to_string(i)});
        rows[member]->append("users", made);
    };
    for (int member = 0; member < 2; ++member) {
        rows.push_back(std::make_unique<RowRig>(rig.path() + "/" + std::to_string(member), rig.clock));
        PostgresStore::Setup setup = rig.setup;
        setup.origin = [](const Batch& batch, std::size_t i) { return PostgresStore::Origin{"users", {"e", std::stoull(std::string(batch.events[i].id.substr(1)))}}; };
        stores.push_back(rows.back()->store(std::move(setup)));
    }
    const auto written = [&] { return cluster().one(rig.database, "SELECT string_agg(seq::text, ' ' ORDER BY seq) FROM weir.events"); };
    append(0, 53, 53);
    CHECK_FALSE(stores[0]->poll().has_value());
    append(1, 55, 56);
    CHECK(stores[1]->poll().has_value());  // it tries again later
    CHECK(written() == "53");
    append(0, 54, 56);
    CHECK_FALSE(stores[0]->poll().has_value());
    CHECK(written() == "53 54 55 56");
    rig.clock.advance(5s);
    run_out(*stores[1], rig.clock);
    append(1, 60, 61);  // the other one had 57 to 59, and never comes back
    CHECK(stores[1]->poll().has_value());
    CHECK(written() == "53 54 55 56");
    rig.clock.advance(11s);
    run_out(*stores[1], rig.clock);
    CHECK(written() == "53 54 55 56 60 61");
}

TEST_CASE("postgres: what a crash of the server takes back of a backlog is written again, and the log's position never covers it (decisions.md 29)") {
    // Nothing flushes for a commit that does not ask for it.
    cluster().sql("postgres", "ALTER SYSTEM SET wal_writer_delay = '10s'");
    cluster().sql("postgres", "SELECT pg_reload_conf()");
    int taken_back = 0;
    for (const std::uint32_t at : {60U, 120U, 200U}) {
        CAPTURE(at);
        Rig rig;
        rig.setup.options.batch_events = 4;
        RowRig rows(rig.log_path(), rig.clock);
        rows.fill("pools", 200, 4);
        EventfulClock clock(rig.clock, at, [&] { cluster().crash(); });
        auto store = rows.store(rig.setup, &clock);
        CHECK(store->poll().has_value());
        REQUIRE(clock.happened());
        cluster().start();
        const auto had = std::stoull(cluster().one(rig.database, "SELECT count(*) FROM weir.events"));
        if (had < 4 * rows.counted("weir_store_transactions_total")) ++taken_back;
        const auto covered = rows.log().position("store/warehouse");
        REQUIRE(covered.ok());
        CHECK(covered->value_or(CommitNo{}).value <= std::stoull(cluster().one(rig.database, "SELECT commit_number FROM weir.stores")));
        run_out(*store, rig.clock);
        CHECK(rig.written("pools", "seq") == rows.logged("pools"));  // a page may have been taken back without what it had grown to
        CHECK(store->caught_up());
    }
    CHECK(taken_back > 0);  // or it has waited for the disk each time
    cluster().sql("postgres", "ALTER SYSTEM RESET wal_writer_delay");
    cluster().sql("postgres", "SELECT pg_reload_conf()");
}

TEST_CASE("postgres: behind a pooler, which keeps the connection, what a crash takes back is noticed and written again (decisions.md 29)") {
    cluster().sql("postgres", "ALTER SYSTEM SET wal_writer_delay = '10s'");
    cluster().sql("postgres", "SELECT pg_reload_conf()");
    int taken_back = 0;
    // The looks at the clock between two transactions come at a few of these.
    for (std::uint32_t at = 60; at < 76; ++at) {
        CAPTURE(at);
        Rig rig;
        rig.setup = RowRig::to(cluster().bouncer_url(rig.database));
        rig.setup.options.batch_events = 4;
        RowRig rows(rig.log_path(), rig.clock);
        rows.fill("pools", 200, 4);
        bool lost = false;
        EventfulClock clock(rig.clock, at, [&] {
            const auto told = 4 * rows.counted("weir_store_transactions_total");
            cluster().crash();
            cluster().start();
            lost = told > std::stoull(cluster().one(rig.database, "SELECT count(*) FROM weir.events"));
        });
        auto store = rows.store(rig.setup, &clock);
        store->poll();
        REQUIRE(clock.happened());
        if (lost) ++taken_back;
        run_out(*store, rig.clock);
        CHECK(rig.written("pools", "seq") == rows.logged("pools"));
        CHECK(store->caught_up());
    }
    CHECK(taken_back > 0);
    cluster().sql("postgres", "ALTER SYSTEM RESET wal_writer_delay");
    cluster().sql("postgres", "SELECT pg_reload_conf()");
}

TEST_CASE("postgres: what has been committed last is flushed before the log's position covers it, also when nothing follows") {
    cluster().sql("postgres", "ALTER SYSTEM SET wal_writer_delay = '10s'");
    cluster().sql("postgres", "SELECT pg_reload_conf()");
    Rig rig;
    rig.setup.options.batch_events = 4;
    RowRig rows(rig.log_path(), rig.clock);
    // Behind the last rows there is more, but nothing that becomes rows: no transaction follows.
    rows.append("_x", {{.id = "x"}});
    rows.fill("pools", 40, 4);
    for (int i = 0; i < 10; ++i) rows.append("_x", {{.id = "a" + std::to_string(i)}, {.id = "b" + std::to_string(i)}, {.id = "c" + std::to_string(i)}, {.id = "d" + std::to_string(i)}});
    auto store = rows.store(rig.setup);
    CHECK_FALSE(store->poll().has_value());
    CHECK(store->caught_up());
    cluster().crash();
    cluster().start();
    CHECK(cluster().one(rig.database, "SELECT count(*) FROM weir.events") == "40");
    cluster().sql("postgres", "ALTER SYSTEM RESET wal_writer_delay");
    cluster().sql("postgres", "SELECT pg_reload_conf()");
}

TEST_CASE("postgres: two that share the work at the same time, with rows that are refused in between, write each event once (C-21)") {
    Rig rig;
    rig.setup.shared = true;
    rig.setup.name = "group";
    rig.setup.options.batch_events = 5;
    std::vector<std::unique_ptr<RowRig>> rows;
    std::vector<std::unique_ptr<PostgresStore>> stores;
    for (int member = 0; member < 2; ++member) {
        rows.push_back(std::make_unique<RowRig>(rig.path() + "/" + std::to_string(member), rig.clock));
        for (int i = 1; i <= 200; i += 5) {
            std::vector<RowRig::Made> made;
            for (int k = i; k < i + 5; ++k) made.push_back({.id = "r" + std::to_string(k), .data = k % 20 == 0 ? R"({"t":"\ud800"})" : "{}"});
            rows.back()->append("users", made);
        }
        PostgresStore::Setup setup = rig.setup;
        setup.origin = [](const Batch& batch, std::size_t i) { return PostgresStore::Origin{"users", {"e", std::stoull(std::string(batch.events[i].id.substr(1)))}}; };
        stores.push_back(rows.back()->store(std::move(setup)));
    }
    std::thread other([&] { (void)stores[1]->poll(); });
    (void)stores[0]->poll();
    other.join();
    rig.clock.advance(10min);
    for (auto& store : stores) run_out(*store, rig.clock);
    CHECK(cluster().one(rig.database, "SELECT count(*) || ' ' || count(DISTINCT seq) || ' ' || max(seq) FROM weir.events") == "190 190 199");
}
