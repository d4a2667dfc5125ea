// Fault sweep: the 1st, 2nd, 3rd ... write or sync of the log's files fails, until a run passes without being hit.
#include <doctest/doctest.h>

#include "log/faulty_vfs.h"
#include "log/log_conformance.h"
#include "log/log_test_support.h"
#include "log/sqlite_log.h"
#include "log/verify.h"

using namespace weir;

namespace {

using Fault = FaultyVfs::Fault;

struct Run {
    TemporaryFolder folder;
    ManualClock clock{"2026-02-17T00:00:00Z"_utc};
    SqliteLog::Setup setup;
    std::map<std::string, std::uint64_t> acknowledged;  // id to seq
    std::vector<std::string> refused;
    std::vector<std::string> codes;
    std::uint64_t position = 0;

    Run() {
        setup.options.path = folder.path();
        setup.options.tail_bytes = 0;
        setup.options.merge_bytes = 4096;
        setup.options.merge_after = 1min;
        setup.clock = &clock;
        setup.vfs = FaultyVfs::name();
        setup.keep_every = Duration(0);
    }

    void append(SqliteLog& log, int n, std::size_t data_bytes) {
        Commit commit;
        commit.appends.push_back({"pools", {}, {}});
        commit.appends.push_back({"s" + std::to_string(n % 5), {}, {}});
        std::vector<std::string> ids;
        for (int i = 0; i < 3; ++i) {
            ids.push_back(std::to_string(n) + "/" + std::to_string(i));
            TestEvent event{ids.back(), "k", "{\"t\":\"" + std::string(data_bytes, static_cast<char>('a' + n % 26)) + "\"}"};
            commit.appends[0].events.add(event.view());
        }
        commit.reader = "reader";
        commit.position = CommitNo{static_cast<std::uint64_t>(n)};
        commit.expected_position = CommitNo{position};  // what was refused has not moved it
        clock.advance(10s);
        auto done = log.commit(std::move(commit));
        if (done) {
            for (std::size_t i = 0; i < ids.size(); ++i) acknowledged[ids[i]] = done->appended[0].seqs[i].value;
            position = static_cast<std::uint64_t>(n);
        } else {
            refused.insert(refused.end(), ids.begin(), ids.end());
            codes.push_back(done.error().code);
        }
    }

    void check(const Log& reading, const char* when) const {
        CAPTURE(when);
        Log& log = const_cast<Log&>(reading);
        std::map<std::string, std::uint64_t> there;
        auto batches = log.read("pools", {1}, 1'000'000);
        REQUIRE_MESSAGE(batches.ok(), (batches.ok() ? std::string() : batches.error().message));
        std::uint64_t expected = 1;
        for (const auto& batch : *batches)
            for (std::size_t i = 0; i < batch->events.size(); ++i) {
                REQUIRE(batch->seq_of(i).value == expected++);
                REQUIRE(there.emplace(std::string(batch->events[i].id), batch->seq_of(i).value).second);
            }
        for (const auto& [id, seq] : acknowledged) {
            REQUIRE(there.contains(id));
            REQUIRE(there[id] == seq);
        }
        for (const auto& id : refused) REQUIRE_FALSE(there.contains(id));
        if (position > 0) REQUIRE((*log.position("reader"))->value == position);
    }
};

/// Commits, merges, and goes on after the fault; true when the fault was hit.
bool sweep_step(Fault fault, std::uint64_t first, std::uint64_t count, std::vector<std::string>& codes) {
    CAPTURE(static_cast<int>(fault));
    CAPTURE(first);
    CAPTURE(count);
    Run run;
    // Under `full` each commit syncs, which only the failing of syncs needs.
    run.setup.options.durability = fault == Fault::sync_error ? Durability::full : Durability::process;
    bool hit = false;
    {
        auto opened = SqliteLog::open(run.setup);
        REQUIRE(opened.ok());
        SqliteLog& log = **opened;
        FaultyVfs::plan(fault, first, count);
        for (int n = 1; n <= 12; ++n) run.append(log, n, n % 4 == 0 ? 6000 : 50);
        (void)log.keep().ok();
        for (int n = 13; n <= 16; ++n) run.append(log, n, 50);
        hit = FaultyVfs::hits() > 0;
        FaultyVfs::plan(Fault::none, 0, 0);
        run.check(log, "before going on");
        // There is room again: the same log goes on.
        const std::size_t acknowledged = run.acknowledged.size();
        run.append(log, 17, 50);
        REQUIRE(run.acknowledged.size() == acknowledged + 3);
        auto kept = log.keep();
        REQUIRE_MESSAGE(kept.ok(), (kept.ok() ? std::string() : kept.error().message));
        run.check(log, "after going on");
    }
    codes.insert(codes.end(), run.codes.begin(), run.codes.end());
    auto report = verify_log(run.folder.path());
    REQUIRE(report.ok());
    for (const auto& problem : report->problems) FAIL_CHECK(problem.stream << ": " << problem.what);
    run.setup.vfs.clear();
    auto again = SqliteLog::open(run.setup);
    REQUIRE(again.ok());
    run.check(**again, "after a restart");
    return hit;
}

}  // namespace

TEST_CASE("log: whichever write fails, what was acknowledged is there once, what was refused is not, and the log goes on") {
    for (const std::uint64_t count : {1, 7}) {
        for (const auto& [fault, code] : {std::pair(Fault::disk_full, "disk_full"), std::pair(Fault::write_error, "io_error"), std::pair(Fault::sync_error, "io_error")}) {
            std::vector<std::string> codes;
            std::uint64_t first = 1;
            while (sweep_step(fault, first, count, codes)) first += first < 30 ? 1 : 9;
            CHECK(first > 15);
            CHECK_FALSE(codes.empty());
            for (const auto& found : codes) CHECK(found == code);
        }
    }
}

TEST_CASE("log: a folder that cannot be written, or a file that is none of SQLite's, stops the start with a clear error") {
    TemporaryFolder folder;
    ManualClock clock;
    SqliteLog::Setup setup;
    setup.clock = &clock;
    setup.options.path = "/proc/none/here";
    CHECK(SqliteLog::open(setup).error().code == "not_found");
    setup.options.path = folder.path();
    FILE* file = std::fopen((folder.path() + "/log.db").c_str(), "w");
    REQUIRE(file);
    std::fputs("this is not a database, but long enough to be looked at as one: it has more than a hundred bytes in its only line", file);
    std::fclose(file);
    CHECK(SqliteLog::open(setup).error().code == "damaged");
}
