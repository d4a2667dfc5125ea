#include "log/sqlite_log.h"

#include <doctest/doctest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>

#include "log/faulty_vfs.h"
#include "log/log_conformance.h"
#include "base/mailbox.h"
#include "log/log_test_support.h"
#include "log/verify.h"

using namespace weir;

namespace {

class SqliteFixture final : public LogFixture {
public:
    explicit SqliteFixture(std::uint64_t tail_bytes) : tail_bytes_(tail_bytes) { open(); }
    Log& log() override { return *log_; }
    ManualClock& clock() override { return clock_; }
    void restart() override {
        log_.reset();
        open();
    }

private:
    void open() {
        SqliteLog::Setup setup;
        setup.options.path = folder_.path();
        setup.options.tail_bytes = tail_bytes_;
        setup.clock = &clock_;
        auto opened = SqliteLog::open(setup);
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? std::string() : opened.error().message));
        log_ = std::move(opened).value();
    }
    TemporaryFolder folder_;
    ManualClock clock_{"2026-02-17T12:00:00Z"_utc};
    std::uint64_t tail_bytes_;
    std::unique_ptr<SqliteLog> log_;
};

}  // namespace

TEST_CASE("log: the embedded log keeps what `Log` promises, from its tail in memory") {
    check_log_conformance([] { return std::make_unique<SqliteFixture>(8 << 20); });
}

TEST_CASE("log: the embedded log keeps what `Log` promises, from disk alone") {
    check_log_conformance([] { return std::make_unique<SqliteFixture>(0); });
}

TEST_CASE("log: what a commit may hold does not hang on the size of blocks: feeds and clients split by one size") {
    TemporaryFolder folder;
    ManualClock clock{"2026-02-17T12:00:00Z"_utc};
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.options.tail_bytes = 0;
    setup.options.block_bytes = setup.options.merge_bytes = 4096;
    setup.clock = &clock;
    auto opened = SqliteLog::open(setup);
    REQUIRE(opened.ok());
    Log& log = **opened;
    std::vector<TestEvent> many;
    for (int i = 0; i < 40; ++i) many.push_back({std::to_string(i), "k", "{\"t\":\"" + std::string(10'000, 'x') + "\"}"});
    REQUIRE(log.commit(commit_of("pools", many)).ok());
    REQUIRE(log.commit(commit_of("pools", {{"after"}})).ok());
    std::size_t read = 0;
    while (read < 41) {
        const auto part = log.read("pools", Seq{read + 1}, 100);
        REQUIRE(part.ok());
        REQUIRE_FALSE(part->empty());
        for (const auto& batch : *part) read += batch->events.size();
    }
    CHECK(read == 41);
}

TEST_CASE("log: a second process on a folder is refused, and told which one holds it (decisions.md 10)") {
    TemporaryFolder folder;
    ManualClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.clock = &clock;
    auto first = SqliteLog::open(setup);
    REQUIRE(first.ok());
    auto second = SqliteLog::open(setup);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == "in_use");
    CHECK(second.error().message.find(std::to_string(::getpid())) != std::string::npos);
    (*first)->stop();
    first.value().reset();
    CHECK(SqliteLog::open(setup).ok());
}

TEST_CASE("log: after stop, commits are answered with `closed`") {
    TemporaryFolder folder;
    ManualClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.clock = &clock;
    auto log = SqliteLog::open(setup);
    REQUIRE(log.ok());
    (*log)->stop();
    CHECK((*log)->commit(commit_of("pools", {{"a"}})).error().code == "closed");
}

TEST_CASE("log: a new epoch begins when the machine restarted without a clean stop, under `process` only (decisions.md 5)") {
    for (const Durability durability : {Durability::full, Durability::process}) {
        for (const bool clean : {true, false}) {
            TemporaryFolder folder, copy;
            ManualClock clock;
            SqliteLog::Setup setup;
            setup.options.path = folder.path();
            setup.options.durability = durability;
            setup.clock = &clock;
            setup.boot_id = "first";
            Epoch before;
            {
                auto log = SqliteLog::open(setup);
                REQUIRE(log.ok());
                REQUIRE((*log)->commit(commit_of("pools", {{"a"}, {"b"}})).ok());
                before = (*log)->info("pools")->epoch;
                if (clean) (*log)->stop();
                // What a machine that stops here would find on its disk.
                std::filesystem::copy(folder.path(), copy.path(), std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
            }
            setup.options.path = copy.path();
            setup.boot_id = "second";
            auto log = SqliteLog::open(setup);
            REQUIRE(log.ok());
            const bool is_new = durability == Durability::process && !clean;
            CHECK(((*log)->info("pools")->epoch != before) == is_new);
            const auto epochs = (*log)->epochs("pools");
            REQUIRE(epochs.size() == (is_new ? 2U : 1U));
            CHECK(epochs.front() == std::pair(before, Seq{1}));
            if (is_new) CHECK(epochs.back().second == Seq{3});
            REQUIRE((*log)->commit(commit_of("pools", {{"c"}})).ok());
            auto batches = (*log)->read("pools", {1}, 100);
            REQUIRE(batches.ok());
            CHECK(ids_of(*batches) == "1:a 2:b 3:c");
            CHECK(batches->front()->epoch == before);
            CHECK((batches->back()->epoch != before) == is_new);
        }
    }
}

TEST_CASE("log: another program that holds the file makes commits fail with `locked`, and no longer than it does") {
    TemporaryFolder folder;
    ManualClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.clock = &clock;
    setup.keep_every = Duration(0);
    auto log = SqliteLog::open(setup);
    REQUIRE(log.ok());
    REQUIRE((*log)->commit(commit_of("pools", {{"a"}})).ok());
    sqlite3* other = nullptr;
    REQUIRE(sqlite3_open((folder.path() + "/log.db").c_str(), &other) == SQLITE_OK);
    REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
    CHECK((*log)->commit(commit_of("pools", {{"b"}})).error().code == "locked");
    CHECK((*log)->read("pools", {1}, 10).ok());
    sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr);
    sqlite3_close(other);
    CHECK((*log)->commit(commit_of("pools", {{"b"}}))->appended[0].seqs[0] == Seq{2});
}

namespace {

void run_sql(const std::string& folder, const char* sql) {
    sqlite3* file = nullptr;
    REQUIRE(sqlite3_open((folder + "/log.db").c_str(), &file) == SQLITE_OK);
    CAPTURE(sql);
    CHECK(sqlite3_exec(file, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(file);
}

/// Each stream in the file with its number, as `1:pools 2:line`.
std::string stream_numbers(const std::string& folder) {
    sqlite3* file = nullptr;
    REQUIRE(sqlite3_open((folder + "/log.db").c_str(), &file) == SQLITE_OK);
    std::string text;
    const auto add = [](void* to, int, char** columns, char**) {
        auto& all = *static_cast<std::string*>(to);
        all += (all.empty() ? "" : " ") + std::string(columns[0]) + ":" + columns[1];
        return 0;
    };
    CHECK(sqlite3_exec(file, "SELECT number, name FROM stream ORDER BY number", add, &text, nullptr) == SQLITE_OK);
    sqlite3_close(file);
    return text;
}

}  // namespace

TEST_CASE("log: new streams whose first commit failed leave no hole in the numbers, and the log opens again") {
    TemporaryFolder folder;
    ManualClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.clock = &clock;
    setup.vfs = FaultyVfs::name();
    {
        auto log = SqliteLog::open(setup);
        REQUIRE(log.ok());
        REQUIRE((*log)->commit(commit_of("pools", {{"a"}})).ok());
        FaultyVfs::plan(FaultyVfs::Fault::disk_full, 1, 1'000'000);
        Commit both = commit_of("lost", {{"a"}});
        both.appends.push_back(append_of("later", {{"a"}}));
        CHECK((*log)->commit(std::move(both)).error().code == "disk_full");
        FaultyVfs::plan(FaultyVfs::Fault::none, 0, 0);
        CHECK((*log)->commit(commit_of("line", {{"a"}})).ok());
        CHECK((*log)->commit(commit_of("later", {{"a"}}))->appended[0].seqs[0] == Seq{1});
        CHECK((*log)->keep().ok());
    }
    CHECK(stream_numbers(folder.path()) == "1:pools 2:line 3:later");
    auto again = SqliteLog::open(setup);
    REQUIRE(again.ok());
    CHECK((*again)->commit(commit_of("line", {{"a"}, {"b"}}))->appended[0].duplicates == 1);
    CHECK_FALSE((*again)->info("lost"));
}

TEST_CASE("log: a new stream that only a refused commit named leaves no hole in the numbers") {
    TemporaryFolder folder;
    ManualClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.clock = &clock;
    {
        auto log = SqliteLog::open(setup);
        REQUIRE(log.ok());
        REQUIRE((*log)->commit(commit_of("pools", {{"a"}})).ok());
    }
    // Its ids cannot be read back, so each commit to it is refused after what stands before it was named.
    run_sql(folder.path(), "UPDATE body SET bytes = zeroblob(length(bytes))");
    {
        auto log = SqliteLog::open(setup);
        REQUIRE(log.ok());
        Commit both = commit_of("lost", {{"a"}});
        both.appends.push_back(append_of("pools", {{"b"}}));
        CHECK((*log)->commit(std::move(both)).error().code == "damaged");
        CHECK((*log)->commit(commit_of("line", {{"a"}})).ok());
    }
    CHECK(stream_numbers(folder.path()) == "1:pools 2:line");
    CHECK(SqliteLog::open(setup).ok());
}

TEST_CASE("log: a file with a hole in the numbers of its streams opens, and is kept and written as any other") {
    TemporaryFolder folder;
    ManualClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.options.merge_after = 1min;
    setup.keep_every = Duration(0);
    setup.clock = &clock;
    {
        auto log = SqliteLog::open(setup);
        REQUIRE(log.ok());
        for (const char* name : {"gone", "pools", "gone-too", "line"}) REQUIRE((*log)->commit(commit_of(name, {{"a"}})).ok());
    }
    run_sql(folder.path(),
            "DELETE FROM body WHERE id IN (SELECT body FROM block WHERE stream IN (1, 3)); DELETE FROM block WHERE stream IN (1, 3);"
            "DELETE FROM stream_epoch WHERE stream IN (1, 3); DELETE FROM stream WHERE number IN (1, 3)");
    {
        auto log = SqliteLog::open(setup);
        REQUIRE(log.ok());
        CHECK((*log)->commit(commit_of("line", {{"a"}, {"b"}}))->appended[0].duplicates == 1);
        CHECK((*log)->commit(commit_of("pools", {{"b"}}))->appended[0].seqs[0] == Seq{2});
        CHECK((*log)->commit(commit_of("new", {{"a"}})).ok());
        // Merging is a task of the writer, which goes over all streams.
        clock.advance(10min);
        CHECK((*log)->keep().ok());
        CHECK(ids_of(*(*log)->read("pools", {1}, 10)) == "1:a 2:b");
    }
    CHECK(stream_numbers(folder.path()) == "2:pools 4:line 5:new");
    const auto report = verify_log(folder.path());
    REQUIRE(report.ok());
    CHECK(report->problems.empty());
    auto again = SqliteLog::open(setup);
    REQUIRE(again.ok());
    CHECK(ids_of(*(*again)->read("line", {1}, 10)) == "1:a 2:b");
}

TEST_CASE("log: a full mailbox refuses try_submit and leaves the commit with its owner") {
    TemporaryFolder folder;
    ManualClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.options.durability = Durability::process;
    setup.options.queue_bytes = 2000;
    setup.clock = &clock;
    auto opened = SqliteLog::open(setup);
    REQUIRE(opened.ok());
    SqliteLog& log = **opened;
    // The writer is held up in the answer to a first commit, so that what follows waits in the mailbox.
    Mailbox<int> go(1), held(1);
    log.submit(commit_of("pools", {{"first"}}), [&](Result<Committed>) {
        (void)held.send(1);
        (void)go.receive();
    });
    (void)held.receive();
    std::atomic<int> answered{0};
    int accepted = 0;
    Commit commit;
    while (true) {
        commit = commit_of("pools", {{std::to_string(accepted), "k", "{\"t\":\"" + std::string(300, 'x') + "\"}"}});
        if (!log.try_submit(commit, [&](Result<Committed> result) { answered += result.ok(); })) break;
        ++accepted;
        REQUIRE(accepted < 100);
    }
    CHECK(accepted > 2);
    REQUIRE(commit.appends.size() == 1);
    CHECK(commit.appends[0].events[0].id == std::to_string(accepted));
    (void)go.send(1);
    CHECK(log.commit(std::move(commit)).ok());
    CHECK(answered == accepted);
}

TEST_CASE("log: readers of many threads see whole commits while the log is written and merged") {
    TemporaryFolder folder;
    SystemClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.options.durability = Durability::process;
    setup.options.tail_bytes = 20'000;
    setup.options.merge_bytes = 5000;
    setup.options.merge_after = Duration(0);
    setup.clock = &clock;
    setup.keep_every = 1ms;
    auto opened = SqliteLog::open(setup);
    REQUIRE(opened.ok());
    SqliteLog& log = **opened;
    constexpr std::uint64_t commits = 2000;
    std::vector<std::thread> readers;
    std::atomic<int> wrong{0};
    for (int r = 0; r < 3; ++r)
        readers.emplace_back([&, r] {
            CommitNo after{};
            std::uint64_t a = 0, b = 0;
            while (after < CommitNo{commits}) {
                auto batches = log.read_commits({"a", "b"}, after, static_cast<std::size_t>(1 + r * 40));
                if (!batches) {
                    ++wrong;
                    return;
                }
                for (const auto& batch : *batches) {
                    std::uint64_t& count = batch->stream == "a" ? a : b;
                    if (batch->first_seq.value != count + 1) ++wrong;
                    count += batch->events.size();
                    after = batch->commit;
                }
                if (a != after.value || b != 2 * after.value) ++wrong;
                if (!log.read_before("b", {b + 1}, 5).ok() || log.streams().size() > 2) ++wrong;
            }
        });
    std::vector<std::thread> writers;
    for (std::uint64_t w = 0; w < 2; ++w)
        writers.emplace_back([&, w] {
            for (std::uint64_t n = 0; n < commits / 2; ++n) {
                const std::string id = std::to_string(w) + "/" + std::to_string(n);
                Commit commit;
                commit.appends.push_back(append_of("a", {{id}}));
                commit.appends.push_back(append_of("b", {{id + "x"}, {id + "y"}}));
                if (n % 10 == 0) {
                    if (!log.commit(std::move(commit)).ok()) ++wrong;
                } else {
                    log.submit(std::move(commit), [&](Result<Committed> result) { wrong += !result.ok(); });
                }
            }
        });
    for (auto& thread : writers) thread.join();
    for (auto& thread : readers) thread.join();
    CHECK(wrong == 0);
    opened.value().reset();
    auto report = verify_log(folder.path());
    REQUIRE(report.ok());
    for (const auto& problem : report->problems) FAIL_CHECK(problem.stream << ": " << problem.what);
    CHECK(report->events == 3 * commits);
}
