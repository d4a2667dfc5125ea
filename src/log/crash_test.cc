// A child appends, merges and retires, and is killed: at named points, within checkpoints, at any moment. What it told its parent
// was acknowledged must be there exactly once (S1, decisions.md 34).
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/failpoint.h"
#include "base/prng.h"
#include "log/faulty_vfs.h"
#include "log/log_conformance.h"
#include "log/log_test_support.h"
#include "log/sqlite_log.h"
#include "log/verify.h"

using namespace weir;

namespace {

struct Acknowledged {
    std::uint64_t run, n, seq;
};

SqliteLog::Setup setup_of(const std::string& folder, const Clock& clock) {
    SqliteLog::Setup setup;
    setup.options.path = folder;
    setup.options.durability = Durability::process;  // what a kill may take; power is not cut here
    setup.options.merge_bytes = 6000;
    setup.options.merge_after = 1s;
    setup.clock = &clock;
    setup.keep_every = Duration(0);
    return setup;
}

/// In the child: appends until it is killed. Never returns.
[[noreturn]] void run_child(const std::string& folder, std::uint64_t run, int pipe, const std::string& vfs, std::uint64_t limit) {
    ManualClock clock("2026-02-17T00:00:00Z"_utc + Duration(static_cast<std::int64_t>(run) * 3'600'000'000));
    auto setup = setup_of(folder, clock);
    setup.vfs = vfs;
    setup.streams["short"].retention_events = 40;
    auto log = SqliteLog::open(setup);
    if (!log) {
        std::fprintf(stderr, "%s\n", log.error().message.c_str());
        ::_exit(3);
    }
    Prng prng(run);
    for (std::uint64_t n = 0; n < limit; ++n) {
        Commit commit;
        commit.appends.push_back({"pools", {}, {}});
        commit.appends.push_back({"short", {}, {}});
        const std::string id = std::to_string(run) + "/" + std::to_string(n);
        TestEvent event{id, "k", "{\"t\":\"" + std::string(prng.below(400), 'x') + "\"}"};
        commit.appends[0].events.add(event.view());
        commit.appends[1].events.add(event.view());
        commit.reader = "copy";
        commit.position = CommitNo{run * 1'000'000 + n};
        commit.state = {{"last", id}};
        const auto done = [run, n, pipe](Result<Committed> result) {
            if (!result) ::_exit(4);
            const Acknowledged a{run, n, result->appended[0].seqs[0].value};
            if (::write(pipe, &a, sizeof a) != sizeof a) ::_exit(5);
        };
        clock.advance(100ms);
        if (n % 7 == 0) {
            auto result = (*log)->commit(std::move(commit));
            done(std::move(result));
        } else {
            (*log)->submit(std::move(commit), done);
        }
        if (n % 50 == 49 && !(*log)->keep().ok()) ::_exit(6);
    }
    ::_exit(7);  // the point was never reached
}

class Crashes {
public:
    /// Runs a child until it is killed: by `arm` from within, or after `kill_after`.
    template <class Arm>
    bool round(Arm&& arm, std::optional<std::chrono::microseconds> kill_after = std::nullopt, const std::string& vfs = {}, std::uint64_t limit = 3000) {
        ++run_;
        int ends[2];
        REQUIRE(::pipe(ends) == 0);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            ::close(ends[0]);
            arm();
            run_child(folder_.path(), run_, ends[1], vfs, limit);
        }
        ::close(ends[1]);
        const auto start = std::chrono::steady_clock::now();
        bool killed = false;
        Acknowledged a{};
        // The child is killed while it works, counted from its first answer: it is not the start that is tried here.
        while (::read(ends[0], &a, sizeof a) == sizeof a) {
            acknowledged_.push_back(a);
            if (kill_after && !killed && std::chrono::steady_clock::now() - start > *kill_after) {
                ::kill(child, SIGKILL);
                killed = true;
            }
        }
        ::close(ends[0]);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        const bool was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (!was_killed) CHECK(WEXITSTATUS(status) == 7);
        check();
        return was_killed;
    }

    void check() {
        ManualClock clock("2026-02-17T00:50:00Z"_utc + Duration(static_cast<std::int64_t>(run_) * 3'600'000'000));
        auto report = verify_log(folder_.path());
        // Killed while the file was made, there is no log yet, and nothing was acknowledged.
        if (!report && report.error().code == "not_found" && acknowledged_.empty()) return;
        REQUIRE_MESSAGE(report.ok(), (report.ok() ? std::string() : report.error().message));
        for (const auto& problem : report->problems) FAIL_CHECK(problem.stream << ": " << problem.what);
        auto log = SqliteLog::open(setup_of(folder_.path(), clock));
        REQUIRE_MESSAGE(log.ok(), (log.ok() ? std::string() : log.error().message));
        auto batches = (*log)->read("pools", {1}, 10'000'000);
        REQUIRE(batches.ok());
        std::map<std::string, std::uint64_t> there;
        std::uint64_t expected = 1, last_n = 0;
        std::string last;
        for (const auto& batch : *batches)
            for (std::size_t i = 0; i < batch->events.size(); ++i) {
                REQUIRE(batch->seq_of(i).value == expected++);
                last = std::string(batch->events[i].id);
                REQUIRE(there.emplace(last, batch->seq_of(i).value).second);
            }
        for (const auto& a : acknowledged_) {
            const auto found = there.find(std::to_string(a.run) + "/" + std::to_string(a.n));
            REQUIRE(found != there.end());
            REQUIRE(found->second == a.seq);
        }
        // Position and state are those of the newest event that is there, acknowledged or not: one commit, one truth.
        if (!last.empty()) {
            const auto state = *(*log)->state("copy");
            REQUIRE(state.size() == 1);
            CHECK(state[0].second == last);
            last_n = std::stoull(last.substr(last.find('/') + 1));
            CHECK((*(*log)->position("copy"))->value == std::stoull(last) * 1'000'000 + last_n);
        }
        // The same process goes on, as a restarted one would.
        REQUIRE((*log)->commit(commit_of("other", {{"after " + std::to_string(run_)}})).ok());
    }
    std::size_t acknowledged() const { return acknowledged_.size(); }

private:
    TemporaryFolder folder_;
    std::vector<Acknowledged> acknowledged_;
    std::uint64_t run_ = 0;
};

}  // namespace

TEST_CASE("log: killed at a named point, every acknowledged event is there exactly once") {
    for (const char* point : {"log.before_commit", "log.after_commit", "log.merge_before_commit", "log.merge_after_commit", "log.retire_before_commit",
                              "log.retire_after_commit", "log.before_checkpoint", "log.after_checkpoint"}) {
        CAPTURE(std::string(point));
        Crashes crashes;
        for (const std::uint32_t count : {1, 2, 5}) {
            CAPTURE(count);
            // A point that is never reached would prove nothing.
            CHECK(crashes.round([&] { failpoint::arm(point, count); }, std::nullopt, {}, 100'000));
        }
        CHECK(crashes.acknowledged() > 0);
    }
}

TEST_CASE("log: killed within a checkpoint, with a part of it in the file, every acknowledged event is there exactly once") {
    Crashes crashes;
    // The first few are the making of the file.
    for (const std::uint64_t operation : {10, 11, 20, 40, 80, 150}) {
        CAPTURE(operation);
        CHECK(crashes.round(
            [&] {
                (void)FaultyVfs::name();
                FaultyVfs::plan(FaultyVfs::Fault::kill, operation, 1, FaultyVfs::Files::database);
            },
            std::nullopt, FaultyVfs::name(), 100'000));
    }
    CHECK(crashes.acknowledged() > 0);
}

TEST_CASE("log: killed at any write or sync of its files, checkpoints included, every acknowledged event is there exactly once") {
    Crashes crashes;
    Prng prng(11);
    int killed = 0;
    for (int i = 0; i < 25; ++i) {
        const std::uint64_t operation = 1 + (i < 12 ? static_cast<std::uint64_t>(i) * 3 : prng.below(3000));
        killed += crashes.round(
            [&] {
                (void)FaultyVfs::name();
                FaultyVfs::plan(FaultyVfs::Fault::kill, operation, 1);
            },
            std::nullopt, FaultyVfs::name(), 1500);
    }
    CHECK(killed >= 20);
    CHECK(crashes.acknowledged() > 0);
}

TEST_CASE("log: killed at any moment, every acknowledged event is there exactly once") {
    Crashes crashes;
    Prng prng(12);
    for (int i = 0; i < 15; ++i) crashes.round([] {}, std::chrono::microseconds(10'000 + prng.below(60'000)), {}, 1'000'000);
    CHECK(crashes.acknowledged() > 0);
}
