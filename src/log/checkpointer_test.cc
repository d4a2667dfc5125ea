#include "log/checkpointer.h"

#include <doctest/doctest.h>

#include "base/prng.h"
#include "log/faulty_vfs.h"
#include "log/log_conformance.h"
#include "log/log_test_support.h"
#include "log/schema.h"
#include "log/sqlite_log.h"
#include "log/verify.h"

using namespace weir;

namespace {

constexpr std::uint64_t page_bytes = 4096;
constexpr std::uint64_t wal_bytes_max = (Checkpointer::wal_pages_max + 200) * page_bytes;  // and one group of commits

template <class T>
T must(Result<T> result) {
    REQUIRE_MESSAGE(result.ok(), (result.ok() ? std::string() : result.error().message));
    return std::move(result).value();
}

// What does not shrink, 250 KB a commit.
class Load {
public:
    explicit Load(const std::string& vfs = {}) {
        SqliteLog::Setup setup;
        setup.vfs = vfs;
        setup.metrics = &metrics_;
        setup.options.path = folder_.path();
        setup.options.durability = Durability::process;
        setup.clock = &clock_;
        setup.keep_every = Duration(0);
        log_ = must(SqliteLog::open(std::move(setup)));
        Prng prng(3);
        while (text_.size() < 250'000) text_ += static_cast<char>('#' + prng.below(56));  // neither a quote nor a backslash
        text_ += '"';
    }
    void write(std::uint64_t megabytes) {
        for (std::uint64_t i = 0; i < megabytes * 4; ++i) commit();
    }
    void commit() { must(log_->commit(commit_of("s", {{std::to_string(++events_), "", text_}}))); }
    std::uint64_t checkpoints(const char* by) { return metrics_.counter("weir_log_checkpoints_total", "", {{"by", by}}).value(); }
    std::uint64_t failures() { return metrics_.counter("weir_log_checkpoint_failures_total", "").value(); }
    std::uint64_t wal_bytes() const { return std::filesystem::file_size(log_file(folder_.path()) + "-wal"); }
    const std::string& folder() const { return folder_.path(); }
    void close() { log_.reset(); }

private:
    TemporaryFolder folder_;
    Metrics metrics_;
    ManualClock clock_{"2026-02-17T12:00:00Z"_utc};
    std::string text_ = "\"";
    std::uint64_t events_ = 0;
    std::unique_ptr<SqliteLog> log_;
};

}  // namespace

TEST_CASE("log: the write-ahead log stays below its bound while events come without a pause, and nothing is left in it at the end") {
    Load load;
    for (int i = 0; i < 4; ++i) {
        load.write(20);
        CHECK(load.wal_bytes() <= wal_bytes_max);
    }
    // The thread does the work: a round or more for each small rest that it leaves to the writer.
    CHECK(load.checkpoints("checkpointer") > 0);
    CHECK(load.checkpoints("writer") <= load.checkpoints("checkpointer"));
    CHECK(load.failures() == 0);
    load.close();
    CHECK_FALSE(std::filesystem::exists(log_file(load.folder()) + "-wal"));
    auto report = verify_log(load.folder());
    REQUIRE(report.ok());
    CHECK(report->problems.empty());
}

TEST_CASE("log: a reader that stays makes the write-ahead log wait, and when it has gone the log is small again") {
    Load load;
    load.write(1);
    {
        Database reader = must(open_for_reading(load.folder(), {}));
        REQUIRE(reader.run("BEGIN").ok());
        const auto seen = must(reader.integer("SELECT count(*) FROM block"));
        load.write(90);
        CHECK(load.wal_bytes() > 90'000'000);  // held back: it could not begin anew
        CHECK(must(reader.integer("SELECT count(*) FROM block")) == seen);
    }
    load.write(70);
    // A file keeps its length when it begins anew; journal_size_limit cuts it then.
    CHECK(load.wal_bytes() <= wal_bytes_max);
}

TEST_CASE("log: while checkpoints fail every commit is acknowledged, each failure is counted, and afterwards the write-ahead log is small again") {
    Load load(FaultyVfs::name());
    load.write(1);
    FaultyVfs::plan(FaultyVfs::Fault::disk_full, 1, 1'000'000, FaultyVfs::Files::database);
    load.write(70);
    CHECK(load.failures() > 0);
    CHECK(load.wal_bytes() > Checkpointer::wal_pages_max * page_bytes);
    // From here on the writer does a checkpoint of its own behind each commit, and tells of it too: the thread has one left at most, and one under way.
    const std::uint64_t before = load.failures();
    for (int i = 0; i < 10; ++i) load.commit();
    CHECK(load.failures() >= before + 9 - 2);
    FaultyVfs::plan(FaultyVfs::Fault::none, 0, 0);
    load.write(70);
    CHECK(load.wal_bytes() <= wal_bytes_max);
    load.close();
    auto report = verify_log(load.folder());
    REQUIRE(report.ok());
    CHECK(report->problems.empty());
}
