// Against a real PostgreSQL: what becomes of events in its tables, and of rows that it does not take.
#include "stores/postgres_test_support.h"

using namespace weir;

namespace {

TestCluster& cluster() { return TestCluster::get(); }

struct Rig : TemporaryFolder {
    ManualClock clock{"2026-02-17T12:00:00Z"_utc};
    RowRig rows{path() + "/log", clock};
    std::string database = cluster().create();
    PostgresStore::Setup setup = RowRig::to(cluster().url(database));
    std::string one(const std::string& sql) { return cluster().one(database, sql); }
    std::string written(const std::string& stream = "pools", const std::string& order = "seq") {
        return one("SELECT string_agg(seq || ':' || id || ' ', '' ORDER BY " + order + ") FROM weir.events WHERE stream = '" + stream + "'");
    }
    MappedTable& map(const std::string& table, std::map<std::string, std::string> columns, std::vector<std::string> conflict = {}) {
        setup.options.tables = false;
        setup.options.mapped.push_back({.stream = "users", .table = table, .conflict = std::move(conflict), .columns = std::move(columns)});
        return setup.options.mapped.back();
    }
    void run() {
        auto store = rows.store(setup);
        const auto again = store->poll();
        INFO(rows.status("last_error"));
        CHECK_FALSE(again.has_value());
    }
    /// The message of a store that cannot go on.
    std::string refused() {
        auto store = rows.store(setup);
        CHECK(store->poll().has_value());
        CHECK(rows.status("state") == "failing");
        return rows.status("last_error");
    }
};

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string user(const std::string& uuid, const std::string& first, const std::string& more = "") {
    return R"({"gender":"female","name":{"title":"Miss","first":")" + first + R"(","last":"Çetin"},"location":{"street":{"number":9617,"name":"Hauptstrasse"},"city":"Zürich",)"
           R"("state":"ZH","country":"Switzerland","postcode":"0042","coordinates":{"latitude":"17.2334","longitude":"88.9196"},"timezone":{"offset":"+4:30","description":"Kabul"}},)"
           R"("email":"a@example.com","login":{"uuid":")" + uuid + R"(","username":"blueelephant921"},"dob":{"date":"1992-02-07T17:56:13.316Z","age":34},)"
           R"("registered":{"date":"2016-03-25T07:13:10.667Z","age":10},"phone":"005-7","cell":"0964","picture":{"large":"l","medium":"m","thumbnail":"t"},"nat":"CH")" + more + "}";
}
const std::string uuid_a = "2d5afd5e-a598-469f-9933-4edba18bcefb", uuid_b = "9c8897d8-6122-47fc-9fe6-31a352b801d1";

}  // namespace

TEST_CASE("postgres: every event is in its table, with all of its text, its numbers and its microseconds (decisions.md 29)") {
    Rig rig;
    rig.rows.append("pools", {{.id = "a", .data = R"({"n":9007199254740993,"x":0.1234567890123456789012345,"t":"tab\tback\\slash \"q\" 日本 😀\nline"})", .time = "2026-02-17T10:00:00.123456Z"},
                              {.id = "b\\N", .type = "other", .key = "", .data = "{}"}});
    rig.rows.append("pools.5min", {{.id = "w", .type = "window", .data = R"({"window":{"name":"5min","start":"2026-02-17T10:00:00.000Z","end":"2026-02-17T10:05:00.000Z"},"stream":"pools","revision":2,)"
                                                                         R"("statistics":{"count":3,"min":45,"max":47,"avg":46.5,"median":null},"coverage":{"ratio":0.75,"complete":false,"reason":null}})"}});
    rig.rows.append("spc", {{.id = "s", .type = "sample", .data = R"({"sample_id":9007199254740991,"characteristic_id":1,"value":10.5,"zone":"zone_c_upper","in_control":true})"},
                            {.id = "v", .type = "violation", .data = R"({"violation_id":5,"characteristic_id":1,"rule_id":"one","severity":"critical"})"},
                            {.id = "k", .type = "ack_update", .data = R"({"violation_id":5,"acknowledged":true,"ack_user":"kim"})"}});
    rig.rows.append("alerts", {{.id = "l", .type = "alert", .data = R"({"name":"full","state":"firing","value":99})"}});
    rig.rows.append("predictions", {{.id = "p", .type = "prediction", .data = R"({"value":50,"target":"2026-02-17T11:00:00Z"})"}});
    rig.run();
    CHECK(rig.one("SELECT string_agg(id, ',' ORDER BY seq) FROM weir.events") == "a,b\\N");
    CHECK(rig.one("SELECT data->>'t' FROM weir.events WHERE id = 'a'") == "tab\tback\\slash \"q\" 日本 😀\nline");
    CHECK(rig.one("SELECT (data->>'n') || ' ' || (data->>'x') FROM weir.events WHERE id = 'a'") == "9007199254740993 0.1234567890123456789012345");
    CHECK(rig.one("SELECT extract(microseconds FROM time) FROM weir.events WHERE id = 'a'") == "123456");
    CHECK(rig.one("SELECT key || type || source FROM weir.events WHERE seq = 2") == "otherpush");
    CHECK(rig.one("SELECT name || count || min || avg || coverage || complete || revision || (median IS NULL) || input FROM weir.windows") == "5min34546.50.75false2truepools");
    CHECK(rig.one("SELECT sample_id || zone || in_control FROM weir.samples") == "9007199254740991zone_c_uppertrue");
    // What does not fit a column of the generic tables is still in `data`.
    CHECK(rig.one("SELECT (rule_id IS NULL) || severity || (data->>'rule_id') FROM weir.violations") == "truecriticalone");
    CHECK(rig.one("SELECT acknowledged || ack_user FROM weir.acknowledgements") == "truekim");
    CHECK(rig.one("SELECT name || state || value FROM weir.alerts") == "fullfiring99");
    CHECK(rig.one("SELECT value || ' ' || (target = '2026-02-17T11:00:00Z') FROM weir.predictions") == "50 true");
    CHECK(rig.rows.status("behind") == "0");
    CHECK(rig.rows.counted("weir_store_rows_total") == 8);
}

TEST_CASE("postgres: weir's own streams stay out, and so do streams that are not asked for") {
    Rig rig;
    rig.rows.append("_state/x", {{.id = "1"}});
    rig.rows.append("pools", {{.id = "2"}});
    rig.rows.append("other", {{.id = "3"}});
    SUBCASE("all but its own") {
        rig.run();
        CHECK(rig.one("SELECT string_agg(stream, ',' ORDER BY stream) FROM weir.events") == "other,pools");
    }
    SUBCASE("by name") {
        rig.setup.options.streams = {"other"};
        rig.run();
        CHECK(rig.one("SELECT string_agg(stream, ',' ORDER BY stream) FROM weir.events") == "other");
    }
}

TEST_CASE("postgres: source 002's table has its 28 columns, a repeat updates them all, and created_at stays (S2-8, S2-R8, C-23)") {
    Rig rig;
    rig.setup.options.tables = false;
    rig.map("", {}).preset = MappedPreset::incoming_users;
    // The same user twice in one batch: the later counts, and it is one row.
    rig.rows.append("users", {{.id = "1", .type = "user", .data = user(uuid_a, "Ann")}, {.id = "2", .type = "user", .data = user(uuid_b, "Bob")}, {.id = "3", .type = "user", .data = user(uuid_a, "Anna")}});
    rig.run();
    CHECK(rig.one("SELECT count(*) FROM information_schema.columns WHERE table_name = 'incoming_users'") == "29");  // 28 that are written, and created_at
    CHECK(rig.one("SELECT string_agg(first_name, ',' ORDER BY first_name) FROM public.incoming_users") == "Anna,Bob");
    CHECK(rig.one("SELECT street_number || postcode || latitude || age || (date_of_birth = '1992-02-07T17:56:13.316Z') || nationality FROM public.incoming_users LIMIT 1") == "9617004217.233434trueCH");
    CHECK(rig.one("SELECT count(*) FROM public.incoming_users WHERE num_nulls(user_uuid, gender, title, first_name, last_name, email, username, date_of_birth, age, registered_date, registered_age, phone, cell, "
                  "nationality, street_number, street_name, city, state, country, postcode, latitude, longitude, timezone_offset, timezone_description, picture_large, picture_medium, picture_thumbnail, synced_at) = 0") == "2");
    const std::string created = rig.one("SELECT created_at FROM public.incoming_users WHERE first_name = 'Anna'");
    rig.rows.append("users", {{.id = "4", .type = "user", .data = user(uuid_a, "Zoë")}});
    rig.run();
    CHECK(rig.one("SELECT first_name FROM public.incoming_users WHERE user_uuid = '" + uuid_a + "'") == "Zoë");
    CHECK(rig.one("SELECT created_at FROM public.incoming_users WHERE first_name = 'Zoë'") == created);
    CHECK(rig.one("SELECT synced_at > created_at FROM public.incoming_users WHERE first_name = 'Zoë'") == "t");
    // Indexes on created_at, country and gender (S2-R10).
    CHECK(rig.one("SELECT count(*) FROM pg_indexes WHERE tablename = 'incoming_users'") == "4");
    // S2-17, as the document has them.
    CHECK(rig.one("SELECT first_name, last_name, country, created_at\nFROM public.incoming_users\nORDER BY created_at DESC\nLIMIT 10;") != "");
    CHECK(rig.one("SELECT COUNT(*)\nFROM public.incoming_users\nWHERE created_at >= NOW() - INTERVAL '1 minute';") == "2");
}

TEST_CASE("postgres: a mapped table takes what its columns can hold, exactly (S2-24)") {
    Rig rig;
    cluster().sql(rig.database, "CREATE TABLE t (id text PRIMARY KEY, big bigint, exact numeric, doc jsonb, flag boolean, at timestamptz, seq bigint, note text, created_at timestamptz)");
    rig.map("public.t", {{"id", "/id"}, {"big", "/big"}, {"exact", "/exact"}, {"doc", "/doc"}, {"flag", "/flag"}, {"at", "@time"}, {"seq", "@seq"}, {"note", "/doc"}, {"created_at", "@time"}}, {"id"});
    rig.rows.append("users", {{.id = "1", .data = R"({"id":"a","big":9223372036854775807,"exact":123456789012345678901234567890.000000000000000000001,"doc":{"b":[1,"x\\"]},"flag":false})"},
                              {.id = "2", .data = R"({"id":7})", .time = "2026-02-17T10:00:01Z"},
                              {.id = "3", .data = R"({"id":"a","big":1})", .time = "2026-02-17T10:00:02Z"}});
    rig.setup.options.batch_events = 2;
    rig.run();
    CHECK(rig.one("SELECT string_agg(id || ':' || coalesce(big::text, '-') || ':' || coalesce(exact::text, '-'), ' ' ORDER BY id) FROM t") == "7:-:- a:1:-");
    CHECK(rig.one("SELECT extract(second FROM created_at)::int || ' ' || extract(second FROM at)::int || ' ' || seq FROM t WHERE id = 'a'") == "0 2 3");
    rig.rows.append("users", {{.id = "4", .data = R"({"id":"b","exact":123456789012345678901234567890.000000000000000000001,"doc":{"b":[1,"x\\"]}})"}});
    rig.run();
    CHECK(rig.one("SELECT exact || ' ' || (doc->'b'->>1) || ' ' || note FROM t WHERE id = 'b'") == "123456789012345678901234567890.000000000000000000001 x\\ {\"b\":[1,\"x\\\\\"]}");
}

TEST_CASE("postgres: a poison row goes to the dead letters with its reason, and the rest of its batch is written (S2-R8)") {
    Rig rig;
    cluster().sql(rig.database, "CREATE TABLE t (id text PRIMARY KEY, n integer CHECK (n < 100))");
    bool keyed = false;
    SUBCASE("plain inserts") {}
    SUBCASE("with a key") { keyed = true; }
    rig.map("public.t", {{"id", "/id"}, {"n", "/n"}}, keyed ? std::vector<std::string>{"id"} : std::vector<std::string>{});
    std::vector<RowRig::Made> made;
    for (int i = 0; i < 40; ++i) {
        std::string n = std::to_string(i);
        if (i == 7) n = "\"seven\"";            // a type that does not fit
        if (i == 8) n = "99999999999";          // too large
        if (i == 20) n = "100";                 // a constraint
        std::string id = i == 30 ? "a\\u0000b" : i == 39 ? std::string(9000, 'x') + std::to_string(i) : "id" + std::to_string(i);  // NUL; 9000 equal letters compress into the index
        made.push_back({.id = std::to_string(i), .data = R"({"id":")" + id + R"(","n":)" + n + "}"});
    }
    if (keyed) made.push_back({.id = "40", .data = R"({"n":1})"});  // nothing in the key
    rig.rows.append("users", made);
    rig.run();
    CHECK(rig.one("SELECT count(*) FROM t") == "36");
    const auto letters = *rig.rows.log().read("_dead/warehouse", Seq{1}, 100);
    std::map<std::string, std::string> reasons;
    for (const BatchPtr& batch : letters)
        for (const EventView event : batch->events) {
            const auto data = *Json::parse(event.data);
            reasons[data.find("id")->as_string()] = data.find("reason")->as_string();
        }
    CHECK(reasons.size() == (keyed ? 5 : 4));
    CHECK(contains(reasons["7"], "invalid input syntax for type integer"));
    CHECK(contains(reasons["8"], "out of range"));
    CHECK(contains(reasons["20"], "violates check constraint"));
    CHECK(contains(reasons["30"], "NUL"));
    if (keyed) CHECK(contains(reasons["40"], "of the table's key"));
    CHECK(rig.rows.counted("weir_store_dead_letters_total") == reasons.size());
    // A second run repeats nothing.
    rig.run();
    CHECK(rig.rows.log().info("_dead/warehouse")->head.value == reasons.size());
}

TEST_CASE("postgres: jsonb refuses NUL and half surrogates, and a time far away has no partition; the rest is there") {
    Rig rig;
    rig.rows.append("pools", {{.id = "good"}, {.id = "nul", .data = R"({"t":"a\u0000b"})"}, {.id = "half", .data = R"({"t":"\ud800"})"}, {.id = "not", .data = R"({"t":"\\u0000"})"},
                              {.id = "far", .time = "2999-01-01T00:00:00Z"}, {.id = "old", .time = "1969-12-31T23:59:59Z"}, {.id = "end"}});
    rig.run();
    CHECK(rig.one("SELECT string_agg(id, ',' ORDER BY seq) FROM weir.events") == "good,not,end");
    CHECK(rig.rows.log().info("_dead/warehouse")->head.value == 4);
}

TEST_CASE("postgres: what is wrong is said with what to do, nothing is lost, and it goes on when it is right (S2-18)") {
    Rig rig;
    rig.rows.fill("pools", 3);
    SUBCASE("no server") {
        rig.setup.options.url = Secret("postgresql://weir:s3cret@/x?host=/nowhere");
        const std::string said = rig.refused();
        CHECK(contains(said, "cannot be reached"));
        CHECK(contains(said, "is the server running"));
        CHECK_FALSE(contains(said, "s3cret"));
        CHECK(rig.rows.status("behind") == "3");  // though it has not come to read one of them
    }
    SUBCASE("no database") {
        rig.setup.options.url = Secret(cluster().url("absent"));
        CHECK(contains(rig.refused(), "create the database, or correct the url"));
    }
    SUBCASE("a wrong password") {
        cluster().sql("postgres", "DROP ROLE IF EXISTS with_password");
        cluster().sql("postgres", "CREATE ROLE with_password LOGIN PASSWORD 'right' SUPERUSER");
        rig.setup.options.url = Secret(cluster().url(rig.database, "with_password"));
        rig.setup.options.password = Secret("wr0ng");
        const std::string said = rig.refused();
        CHECK(contains(said, "check the user and the password"));
        CHECK_FALSE(contains(said, "wr0ng"));
        rig.setup.options.password = Secret("right");
    }
    SUBCASE("no permission") {
        cluster().sql("postgres", "DROP ROLE IF EXISTS guest");
        cluster().sql("postgres", "CREATE ROLE guest LOGIN");
        rig.setup.options.url = Secret(cluster().url(rig.database, "guest"));
        CHECK(contains(rig.refused(), "the user needs CREATE"));
    }
    SUBCASE("no table, no column, a column that stays empty") {
        rig.map("public.absent", {{"id", "@id"}}).stream = "pools";
        CHECK(contains(rig.refused(), "table public.absent does not exist"));
        cluster().sql(rig.database, "CREATE TABLE public.absent (n int, must int NOT NULL)");
        CHECK(contains(rig.refused(), "has no column id"));
        cluster().sql(rig.database, "ALTER TABLE public.absent ADD id text");
        CHECK(contains(rig.refused(), "NOT NULL, has no default"));
        return;
    }
    SUBCASE("a locked table") {
        rig.run();
        rig.rows.fill("pools", 2);
        rig.setup.options.timeout = 200ms;
        auto other = cluster().connect(rig.database);
        REQUIRE(other->query("BEGIN;LOCK TABLE weir.events").ok());
        CHECK(contains(rig.refused(), "another session holds a lock"));
        rig.setup.options.timeout = 30s;
    }
    SUBCASE("a full disk") {
        // A real one cannot be had here without mounting: a trigger gives the server's own code for it.
        rig.run();
        rig.rows.fill("pools", 2);
        cluster().sql(rig.database, "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END$$;"
                                    "CREATE TRIGGER full_disk BEFORE INSERT ON weir.events FOR EACH ROW EXECUTE FUNCTION full_disk()");
        CHECK(contains(rig.refused(), "the database's disk is full: make room there"));
        cluster().sql(rig.database, "DROP TRIGGER full_disk ON weir.events");
    }
    if (!contains(rig.setup.options.url.reveal(), rig.database) || contains(rig.setup.options.url.reveal(), "guest")) rig.setup.options.url = Secret(cluster().url(rig.database));
    rig.run();
    CHECK(rig.written() == rig.rows.logged("pools"));
}

TEST_CASE("postgres: the url of a database is shown without user and password, and a bad one is not quoted") {
    CHECK(PostgresConnection::shown("postgresql://analytics_user:analytics_pass@localhost:5433/analytics") == "localhost:5433/analytics");
    Rig rig;
    rig.setup.options.url = Secret("postgresql://u:geheim@h:port:bad/x?y");
    rig.rows.fill("pools", 1);
    CHECK_FALSE(contains(rig.refused(), "geheim"));
    for (const auto& [part, text] : rig.rows.board.read()) CHECK_FALSE(contains(text, "geheim"));
}

TEST_CASE("postgres: partitions are made ahead, dropped when they are too old, and a change from months to days leaves no hole") {
    Rig rig;
    const auto partitions = [&] { return rig.one("SELECT string_agg(name, ' ' ORDER BY starts) FROM weir.partitions WHERE parent = 'weir.events'"); };
    rig.rows.append("pools", {{.id = "1", .time = "2025-11-30T23:59:59.999999Z"}, {.id = "2", .time = "2026-02-17T10:00:00Z"}});
    rig.run();
    CHECK(partitions() == "events_2025_11 events_2026_02 events_2026_03");
    rig.setup.options.partition = PartitionBy::day;
    rig.rows.append("pools", {{.id = "3", .time = "2026-01-31T10:00:00Z"}, {.id = "4", .time = "2026-02-18T10:00:00Z"}, {.id = "5", .time = "2026-04-01T00:00:00Z"}});
    rig.run();
    CHECK(partitions() == "events_2025_11 events_2026_01_31 events_2026_02 events_2026_03 events_2026_04_01");
    CHECK(rig.one("SELECT count(*) FROM weir.events") == "5");
    rig.setup.options.retention = 60 * 24h;
    rig.rows.append("pools", {{.id = "6", .time = "2025-11-29T10:00:00Z"}});
    rig.run();
    CHECK(partitions() == "events_2026_01_31 events_2026_02 events_2026_03 events_2026_04_01");
    CHECK(rig.one("SELECT string_agg(id, ',' ORDER BY seq) FROM weir.events") == "2,3,4,5");
    CHECK(rig.rows.counted("weir_store_expired_total") == 1);
    // Months later, without an event in between.
    auto store = rig.rows.store(rig.setup);
    CHECK_FALSE(store->poll().has_value());
    rig.clock.advance(120 * 24h);
    store->poll();
    CHECK(contains(partitions(), "events_2026_06_17 events_2026_06_18"));
    CHECK_FALSE(contains(partitions(), "events_2026_03"));
}

TEST_CASE("postgres: two that begin at once make the tables once (advisory lock)") {
    Rig rig;
    rig.rows.fill("pools", 5);
    PostgresStore::Setup a = rig.setup, b = rig.setup;
    a.name = "a";
    b.name = "b";
    auto first = rig.rows.store(a), second = rig.rows.store(b);
    std::thread other([&] { second->poll(); });
    first->poll();
    other.join();
    CHECK(rig.rows.status("last_error", "a") == "null");
    CHECK(rig.rows.status("last_error", "b") == "null");
    CHECK(rig.one("SELECT count(*) FROM weir.events") == "10");
    CHECK(rig.one("SELECT string_agg(version::text, ',' ORDER BY version) FROM weir.migrations") == "1,2");
}

TEST_CASE("postgres: large events are written in small batches, so that a backlog of them takes no more memory than one of small ones") {
    Rig rig;
    rig.setup.options.batch_events = 1000;
    const std::string large(100'000, 'x');
    for (int i = 0; i < 300; ++i) rig.rows.append("pools", {{.id = "l" + std::to_string(i), .data = R"({"t":")" + large + "\"}"}});
    rig.run();
    CHECK(rig.one("SELECT count(*) FROM weir.events") == "300");
    // 64 of them are 6.4 MB already; from then on 4 MiB at most are 41.
    CHECK(rig.rows.counted("weir_store_transactions_total") >= 1 + (300 - 64) / 42);
    rig.rows.fill("small", 3000, 100);
    const auto before = rig.rows.counted("weir_store_transactions_total");
    rig.run();
    CHECK(rig.one("SELECT count(*) FROM weir.events WHERE stream = 'small'") == "3000");
    CHECK(rig.rows.counted("weir_store_transactions_total") - before <= 8);  // 64 and more, doubling
}

TEST_CASE("postgres: what retention removes after it was written is no gap, whatever the commit number says; what it removes before is one") {
    Rig rig;
    StreamTable streams;
    streams["pools"].retention_age = 1h;
    RowRig rows(rig.path() + "/short", rig.clock, streams, 0);
    const auto run = [&] {
        auto store = rows.store(rig.setup);
        CHECK_FALSE(store->poll().has_value());
        rows.log().hold_for("store/warehouse", {});  // what is removed below is beyond the hard size, or long written
    };
    rows.fill("other", 5);
    rows.fill("pools", 20);
    run();
    std::uint64_t gaps = 0;
    SUBCASE("ticks only since") {}
    SUBCASE("the commit number is of no use") { cluster().sql(rig.database, "INSERT INTO weir.positions (store, stream, epoch, seq) VALUES ('warehouse', 'gone', 'e', 1)"); }
    SUBCASE("events since") {
        rows.fill("pools", 3);
        gaps = 1;
    }
    for (int i = 0; i < 5; ++i) rows.tick("pools");
    rig.clock.advance(2 * 24h);
    REQUIRE(rows.log().keep().ok());
    REQUIRE(rows.log().info("pools")->first.value > 20);
    rows.fill("other", 2);
    run();
    CHECK(rows.counted("weir_store_gaps_total") == gaps);
    CHECK(rig.written("other") == rows.logged("other"));
}
