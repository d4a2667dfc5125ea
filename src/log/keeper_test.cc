// Merging and retention, through the log's own interface.
#include <doctest/doctest.h>

#include "base/prng.h"
#include "log/log_conformance.h"
#include "log/log_test_support.h"
#include "log/sqlite_log.h"
#include "log/verify.h"

using namespace weir;

namespace {

struct Opened {
    TemporaryFolder folder;
    ManualClock clock{"2026-02-17T00:00:00Z"_utc};
    Metrics metrics;
    SqliteLog::Setup setup;
    std::unique_ptr<SqliteLog> log;

    Opened() {
        setup.options.path = folder.path();
        setup.options.tail_bytes = 0;  // everything is read from disk
        setup.clock = &clock;
        setup.metrics = &metrics;
        setup.keep_every = Duration(0);
        setup.options.durability = Durability::process;  // these tests lose no power, and commit thousands of times
    }
    void open() {
        log.reset();
        auto opened = SqliteLog::open(setup);
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? std::string() : opened.error().message));
        log = std::move(opened).value();
    }
    void keep() {
        auto kept = log->keep();
        REQUIRE_MESSAGE(kept.ok(), (kept.ok() ? std::string() : kept.error().message));
    }
    void check_verified() {
        auto report = verify_log(folder.path());
        REQUIRE(report.ok());
        for (const auto& problem : report->problems) FAIL_CHECK(problem.stream << ": " << problem.what);
    }
};

// All that a reader could tell two logs apart by.
std::string printed(const std::vector<BatchPtr>& batches) {
    std::string text;
    for (const auto& batch : batches) {
        text += batch->stream + " " + to_text(batch->epoch) + " " + std::to_string(batch->first_seq.value) + " " + std::to_string(batch->commit.value) + " " +
                to_rfc3339(batch->commit_time) + ":";
        for (const EventView e : batch->events) {
            text += " " + std::string(e.id) + "," + std::string(e.key) + "," + std::string(e.data) + "," + to_rfc3339(e.time) + "," + to_rfc3339(e.ingested);
        }
        text += " r" + std::to_string(batch->notes.rejected.size()) + " d" + std::to_string(batch->notes.duplicates.size()) + "\n";
    }
    return text;
}

}  // namespace

TEST_CASE("log: merged blocks take at most 12 bytes a pool reading on disk (decisions.md 1)") {
    // A day of 32 pools every 4 s would be 690,000 readings; six hours show the same. 87 % of readings repeat the last value.
    Opened o;
    o.open();
    Prng prng(7);
    std::vector<int> fill(32, 100);
    std::uint64_t n = 0;
    constexpr int rounds = 6 * 900;
    for (int round = 0; round < rounds; ++round) {
        Commit commit;
        commit.appends.push_back({"pools", {}, {}});
        const Timestamp now = o.clock.now();
        for (int pool = 0; pool < 32; ++pool) {
            int& people = fill[static_cast<std::size_t>(pool)];
            if (prng.chance(0.13)) people = std::max(0, people + static_cast<int>(prng.below(7)) - 3);
            const std::string key = "POOL-" + std::to_string(pool + 1), id = "pools/1/" + std::to_string(++n);
            const std::string data = "{\"uid\":\"" + key + "\",\"name\":\"Hallenbad Nummer " + std::to_string(pool) + "\",\"currentfill\":" + std::to_string(people) +
                                     ",\"maxspace\":" + std::to_string(200 + pool) + ",\"freespace\":" + std::to_string(200 + pool - people) + "}";
            if (round == 0 && pool == 0) MESSAGE("a reading is " << data.size() << " bytes of JSON");
            commit.appends[0].events.add({id, "reading", key, "websocket", data, now, now});
        }
        // Arrival jitters by some milliseconds, to the microsecond.
        o.clock.advance(4s + Duration(static_cast<std::int64_t>(prng.below(20'000)) - 10'000));
        REQUIRE(o.log->commit(std::move(commit)).ok());
    }
    const std::uint64_t readings = rounds * 32;
    const double fresh = static_cast<double>(o.log->info("pools")->bytes) / static_cast<double>(readings);
    o.clock.advance(1h);
    o.keep();
    o.log->stop();
    auto report = verify_log(o.folder.path());
    REQUIRE(report.ok());
    CHECK(report->problems.empty());
    CHECK(report->events == readings);
    const double merged = static_cast<double>(report->stored_bytes + report->blocks * 250) / static_cast<double>(readings);
    MESSAGE(readings << " readings: fresh " << fresh << " bytes each, merged " << merged << " bytes each in " << report->blocks << " blocks");
    CHECK(merged <= 12);
}

TEST_CASE("log: merging changes nothing that a reader can see, also in steps and after restarts") {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        CAPTURE(seed);
        Opened o;
        o.setup.options.merge_bytes = 4000;
        o.open();
        Prng prng(seed);
        const std::vector<StreamName> streams{"a", "b", "quiet"};
        std::uint64_t n = 0;
        std::string before;
        for (int step = 0; step < 700; ++step) {
            Commit commit;
            const StreamName& stream = streams[prng.below(3)];
            commit.appends.push_back({stream, {}, {}});
            if (stream != "quiet")
                for (std::uint64_t i = prng.below(6); i > 0; --i) {
                    const std::string id = "f/1/" + std::to_string(++n), data = "{\"v\":" + std::to_string(prng.below(100)) + "}";
                    commit.appends[0].events.add({id, "reading", "k" + std::to_string(prng.below(4)), "push", data, o.clock.now(), o.clock.now()});
                }
            if (prng.chance(0.05)) commit.appends[0].notes.rejected.push_back({"malformed", "", o.clock.now(), 1});
            REQUIRE(o.log->commit(std::move(commit)).ok());
            o.clock.advance(Duration(static_cast<std::int64_t>(prng.below(20'000'000))));
            if (prng.chance(0.02)) o.keep();
            if (prng.chance(0.01)) o.open();
        }
        auto all = o.log->read_commits({}, {0}, 1'000'000);
        REQUIRE(all.ok());
        before = printed(*all);
        REQUIRE(all->size() == 700);
        const auto blocks_before = verify_log(o.folder.path())->blocks;
        o.clock.advance(1h);
        o.keep();
        o.keep();
        const auto blocks_after = verify_log(o.folder.path())->blocks;
        CHECK(blocks_after < 3 * 64 + 20);  // a stream keeps at most 64 that do not fill one yet
        CHECK(blocks_after <= blocks_before);
        CHECK(printed(*o.log->read_commits({}, {0}, 1'000'000)) == before);
        o.check_verified();
        o.open();
        o.keep();
        CHECK(printed(*o.log->read_commits({}, {0}, 1'000'000)) == before);
        // In small steps, too.
        std::string stepwise;
        CommitNo after{};
        while (true) {
            auto part = o.log->read_commits({}, after, 1 + prng.below(30));
            REQUIRE(part.ok());
            if (part->empty()) break;
            stepwise += printed(*part);
            after = part->back()->commit;
        }
        CHECK(stepwise == before);
    }
}

TEST_CASE("log: ticks of a quiet stream end up in a handful of rows") {
    Opened o;
    o.open();
    for (int i = 0; i < 5000; ++i) {
        Commit tick;
        tick.appends.push_back({"quiet", {}, {}});
        if (i % 1000 == 999)
            REQUIRE(o.log->commit(std::move(tick)).ok());
        else
            o.log->submit(std::move(tick), {});
        o.clock.advance(1s);
    }
    o.clock.advance(1h);
    o.keep();
    auto report = verify_log(o.folder.path());
    REQUIRE(report.ok());
    CHECK(report->commits == 5000);
    CHECK(report->blocks <= 64);
    CHECK(o.log->info("quiet")->bytes < 5000 * 12);
    CHECK(o.log->read_commits({"quiet"}, {0}, 100'000)->size() == 5000);
}

namespace {

// 100 commits of 10 events, one a minute, that are not merged.
void fill(Opened& o) {
    o.setup.options.merge = false;
    o.open();
    for (int c = 0; c < 100; ++c) {
        std::vector<TestEvent> events;
        for (int i = 0; i < 10; ++i) {
            TestEvent event{std::to_string(c * 10 + i + 1)};
            event.time = o.clock.now();
            events.push_back(event);
        }
        REQUIRE(o.log->commit(commit_of("pools", events)).ok());
        o.clock.advance(1min);
    }
}

}  // namespace

TEST_CASE("log: retention by count, age and size removes whole blocks, rounded towards keeping") {
    SUBCASE("count") {
        Opened o;
        o.setup.streams["pools"].retention_events = 55;
        fill(o);
        o.keep();
        CHECK(o.log->info("pools")->first == Seq{941});  // 60 events stay: 50 would be fewer than 55
    }
    SUBCASE("age") {
        Opened o;
        o.setup.options.retention.age = 30min + 30s;
        fill(o);
        o.keep();
        const auto info = *o.log->info("pools");
        CHECK(info.first == Seq{701});
        CHECK(info.first_time == o.clock.now() - 30min);
        CHECK(info.last_time == o.clock.now() - 1min);
        // Nothing young enough is left after a day; the head stays, and seqs go on behind it.
        o.clock.advance(24h);
        o.keep();
        CHECK(o.log->info("pools")->first == Seq{1001});
        CHECK(o.log->info("pools")->head == Seq{1000});
        CHECK_FALSE(o.log->info("pools")->first_time.has_value());
        o.open();
        CHECK(o.log->commit(commit_of("pools", {{"next"}}))->appended[0].seqs[0] == Seq{1001});
    }
    SUBCASE("size") {
        Opened o;
        fill(o);
        const std::uint64_t all = o.log->info("pools")->bytes;
        o.setup.streams["pools"].retention_bytes = all / 2;
        o.open();
        o.keep();
        const std::uint64_t left = o.log->info("pools")->bytes;
        CHECK(left >= all / 2);
        CHECK(left < all / 2 + 1000);
    }
}

TEST_CASE("log: who asks for what retention removed is told so with `gap`, and where it goes on") {
    Opened o;
    o.setup.streams["pools"].retention_events = 100;
    fill(o);
    o.keep();
    for (int round = 0; round < 2; ++round) {
        const auto info = *o.log->info("pools");
        REQUIRE(info.first == Seq{901});
        CHECK(info.removed_commit == CommitNo{90});
        const auto old = o.log->read("pools", {900}, 10);
        REQUIRE_FALSE(old.ok());
        CHECK(old.error().code == "gap");
        CHECK(old.error().message.find("901") != std::string::npos);
        CHECK(o.log->read("pools", {901}, 10).ok());
        CHECK(o.log->read_commits({"pools"}, {89}, 10).error().code == "gap");
        CHECK(o.log->read_commits({}, {0}, 10).error().code == "gap");
        CHECK((*o.log->read_commits({"pools"}, info.removed_commit, 10)).front()->first_seq == Seq{901});
        CHECK((*o.log->read_before("pools", {902}, 10)).front()->first_seq == Seq{901});
        CHECK(*o.log->seq_at("pools", Timestamp()) == Seq{901});
        o.check_verified();
        o.open();
    }
}

TEST_CASE("log: retention waits for the readers that are registered, up to the hard size") {
    Opened o;
    o.setup.streams["pools"].retention_events = 100;
    fill(o);
    o.log->hold_for("windows", {"pools"});
    o.log->hold_for("elsewhere", {"alerts"});
    o.keep();
    CHECK(o.log->info("pools")->first == Seq{1});  // it has read nothing yet
    Commit position;
    position.reader = "windows";
    position.position = CommitNo{50};
    REQUIRE(o.log->commit(std::move(position)).ok());
    o.keep();
    CHECK(o.log->info("pools")->first == Seq{501});
    SUBCASE("the hard size ends the wait") {
        o.setup.streams["pools"].retention_hard_bytes = o.log->info("pools")->bytes - 1000;
        o.open();
        o.log->hold_for("windows", {"pools"});
        o.keep();
        const Seq first = o.log->info("pools")->first;
        CHECK(first > Seq{501});
        CHECK(first < Seq{901});
    }
    SUBCASE("what a reader goes back to by its state is kept too") {
        o.log->hold_for("windows", {"pools"}, "@back");
        const auto move = [&](std::uint64_t to, std::optional<std::string> back) {
            Commit commit;
            commit.reader = "windows";
            commit.position = CommitNo{to};
            if (back) commit.state.push_back({"@back", back});
            REQUIRE(o.log->commit(std::move(commit)).ok());
            o.keep();
        };
        move(80, std::nullopt);
        CHECK(o.log->info("pools")->first == Seq{501});  // nothing there yet
        move(80, "60");
        CHECK(o.log->info("pools")->first == Seq{601});
        move(70, "75");
        CHECK(o.log->info("pools")->first == Seq{701});
        move(100, "not a number");
        CHECK(o.log->info("pools")->first == Seq{701});
    }
    SUBCASE("a reader that is gone is not waited for") {
        o.log->hold_for("windows", {});
        o.keep();
        CHECK(o.log->info("pools")->first == Seq{901});
    }
}
