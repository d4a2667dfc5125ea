#include "log/verify.h"

#include <doctest/doctest.h>
#include <sqlite3.h>

#include "log/log_conformance.h"
#include "log/log_test_support.h"
#include "log/sqlite_log.h"

using namespace weir;

namespace {

void run_sql(const std::string& folder, const std::string& sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open((folder + "/log.db").c_str(), &db) == SQLITE_OK);
    const int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr);
    CAPTURE(sql);
    REQUIRE_MESSAGE(code == SQLITE_OK, sqlite3_errmsg(db));
    sqlite3_close(db);
}

struct Filled {
    TemporaryFolder folder;
    ManualClock clock{"2026-02-17T00:00:00Z"_utc};
    SqliteLog::Setup setup;
    Epoch epoch;

    Filled() {
        setup.options.path = folder.path();
        setup.options.durability = Durability::process;
        setup.options.tail_bytes = 0;
        setup.clock = &clock;
        setup.keep_every = Duration(0);
        auto log = SqliteLog::open(setup);
        REQUIRE(log.ok());
        for (int c = 0; c < 10; ++c) {
            std::vector<TestEvent> events;
            for (int i = 0; i < 10; ++i) events.push_back({std::to_string(c) + "x" + std::to_string(i)});
            REQUIRE((*log)->commit(commit_of("pools", events)).ok());
            REQUIRE((*log)->commit(commit_of("alerts", {{std::to_string(c)}})).ok());
            clock.advance(1min);
        }
        epoch = (*log)->info("pools")->epoch;
    }
};

}  // namespace

TEST_CASE("verify: a whole log has nothing wrong, and is counted") {
    Filled filled;
    std::uint64_t calls = 0;
    auto report = verify_log(filled.folder.path(), [&](std::uint64_t done, std::uint64_t all) {
        CHECK(done <= all);
        ++calls;
    });
    REQUIRE(report.ok());
    CHECK(report->ok());
    CHECK(report->streams == 2);
    CHECK(report->events == 110);
    CHECK(report->commits == 20);
    CHECK(calls == report->blocks);
    CHECK(verify_log(filled.folder.path() + "/none").error().code == "not_found");
}

TEST_CASE("verify: names each block that is wrong, where and how") {
    struct Case {
        const char* sql;
        const char* word;
    };
    for (const Case& c : {Case{"UPDATE body SET bytes = zeroblob(length(bytes)) WHERE id = 5", "checksum"},
                          Case{"UPDATE block SET count = count + 1 WHERE first_seq = 21 AND stream = 1", "checksum"},
                          Case{"UPDATE block SET min_time = min_time - 1 WHERE first_seq = 21 AND stream = 1", "checksum"},
                          Case{"DELETE FROM body WHERE id = 5", "missing"},
                          Case{"DELETE FROM block WHERE first_seq = 21 AND stream = 1", "begins at seq 31, expected 21"},
                          Case{"DELETE FROM block WHERE first_seq = 91 AND stream = 1", "end before seq 91"},
                          Case{"UPDATE stream SET head_seq = 99 WHERE number = 1", "head is 99"},
                          Case{"UPDATE stream SET bytes = 7 WHERE number = 1", "bytes"},
                          Case{"UPDATE block SET epoch = 9 WHERE first_seq = 21 AND stream = 1", "epoch"}}) {
        CAPTURE(c.sql);
        Filled filled;
        run_sql(filled.folder.path(), c.sql);
        auto report = verify_log(filled.folder.path());
        REQUIRE(report.ok());
        REQUIRE_FALSE(report->ok());
        bool named = false;
        for (const auto& problem : report->problems) named = named || problem.what.find(c.word) != std::string::npos;
        CHECK_MESSAGE(named, report->problems.front().what);
    }
}

TEST_CASE("log: a damaged block is an error to who reads it, and to nobody else") {
    Filled filled;
    run_sql(filled.folder.path(), "UPDATE body SET bytes = zeroblob(length(bytes)) WHERE id = (SELECT body FROM block WHERE stream = 1 AND first_seq = 21)");
    auto log = SqliteLog::open(filled.setup);
    REQUIRE(log.ok());
    CHECK((*log)->read("pools", {21}, 5).error().code == "damaged");
    CHECK((*log)->read("pools", {1}, 20).ok());
    CHECK((*log)->read("pools", {31}, 100).ok());
    CHECK((*log)->read("alerts", {1}, 100).ok());
    CHECK((*log)->commit(commit_of("alerts", {{"new"}})).ok());
}

TEST_CASE("repair: cuts a stream before its damage, only on request, and begins a new epoch (decisions.md 5)") {
    Filled filled;
    const std::string& folder = filled.folder.path();
    run_sql(folder, "UPDATE body SET bytes = zeroblob(length(bytes)) WHERE id = (SELECT body FROM block WHERE stream = 1 AND first_seq = 81)");
    const auto dry = repair_log(folder, 1, DryRun::yes);
    REQUIRE(dry.ok());
    REQUIRE(dry->cuts.size() == 1);
    CHECK(dry->cuts[0].stream == "pools");
    CHECK(dry->cuts[0].first_seq == Seq{81});
    CHECK(dry->cuts[0].head_before == Seq{100});
    CHECK(dry->epoch == filled.epoch);
    CHECK_FALSE(verify_log(folder)->ok());

    const auto repaired = repair_log(folder, 1, DryRun::no);
    REQUIRE(repaired.ok());
    CHECK(repaired->epoch != filled.epoch);
    const auto report = verify_log(folder);
    for (const auto& problem : report->problems) FAIL_CHECK(problem.stream << ": " << problem.what);
    auto log = SqliteLog::open(filled.setup);
    REQUIRE(log.ok());
    CHECK((*log)->info("pools")->head == Seq{80});
    CHECK((*log)->epochs("pools") == std::vector<std::pair<Epoch, Seq>>{{filled.epoch, Seq{1}}, {repaired->epoch, Seq{81}}});
    CHECK((*log)->epochs("alerts").back() == std::pair(repaired->epoch, Seq{11}));
    // What was cut may come again, and is not taken for a repeat.
    const auto again = (*log)->commit(commit_of("pools", {{"8x0"}}));
    REQUIRE(again.ok());
    CHECK(again->appended[0].seqs[0] == Seq{81});
    CHECK(again->appended[0].epoch == repaired->epoch);
    CHECK(repair_log(folder, 1, DryRun::yes).error().code == "in_use");
    log.value().reset();
    CHECK(repair_log(folder, 1, DryRun::no)->cuts.empty());
}

TEST_CASE("log: a folder restored from a backup gets a new epoch on request") {
    Filled filled;
    const auto epoch = begin_new_epoch(filled.folder.path(), 3);
    REQUIRE(epoch.ok());
    auto log = SqliteLog::open(filled.setup);
    REQUIRE(log.ok());
    CHECK((*log)->info("pools")->epoch == *epoch);
    CHECK((*log)->epochs("pools").back() == std::pair(*epoch, Seq{101}));
}

TEST_CASE("log: a file of a later weir is refused by name, not misread") {
    Filled filled;
    run_sql(filled.folder.path(), "PRAGMA user_version=99");
    CHECK(SqliteLog::open(filled.setup).error().code == "newer_format");
}
