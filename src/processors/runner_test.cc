#include "processors/runner.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/diag.h"
#include "base/prng.h"
#include "log/sqlite_log.h"
#include "processors/feed_status_processor.h"
#include "processors/forecast_processor.h"
#include "processors/window_test_support.h"

using namespace weir;

namespace {

const Timestamp origin = "2026-02-17T10:00:00Z"_utc;

class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "weir-runner-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    std::string path;
};

/// A log that the process can be killed on the way to, or whose disk is full for a while.
class FragileLog final : public Log {
public:
    explicit FragileLog(Log& log) : log_(log) {}
    std::function<bool()> dies;   ///< asked at each commit: from then on nothing arrives
    std::function<bool(const Commit&)> fails;
    std::string unreadable;  ///< the code that reading fails with
    bool stateless = false;  ///< state cannot be read
    std::size_t commits = 0;

    void submit(Commit commit, Done done) override {
        if (!dead && dies && dies()) dead = true;
        if (dead) return done(Error{"closed", "the process is gone"});
        if (fails && fails(commit)) return done(Error{"disk_full", "no space left"});
        ++commits;
        log_.submit(std::move(commit), std::move(done));
    }
    bool try_submit(Commit& commit, Done done) override { return log_.try_submit(commit, std::move(done)); }
    Result<std::vector<BatchPtr>> read(std::string_view s, Seq from, std::size_t n) override { return log_.read(s, from, n); }
    Result<std::vector<BatchPtr>> read_before(std::string_view s, Seq b, std::size_t n) override { return log_.read_before(s, b, n); }
    Result<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>& s, CommitNo a, std::size_t n) override {
        if (!unreadable.empty()) return Error{unreadable, "as the test wants it"};
        return log_.read_commits(s, a, n);
    }
    bool in_tail(CommitNo after) override { return log_.in_tail(after); }
    Result<Found> find(std::string_view s, const TimeRange& r) override { return log_.find(s, r); }
    Result<Seq> seq_at(std::string_view s, Timestamp t) override { return log_.seq_at(s, t); }
    std::vector<StreamInfo> streams() override { return log_.streams(); }
    std::optional<StreamInfo> info(std::string_view s) override { return log_.info(s); }
    CommitNo head() override { return log_.head(); }
    std::vector<std::pair<Epoch, Seq>> epochs(std::string_view s) override { return log_.epochs(s); }
    Result<std::optional<CommitNo>> position(std::string_view r) override { return log_.position(r); }
    Result<SavedState> state(std::string_view r) override {
        if (stateless) return Error{"io_error", "as the test wants it"};
        return log_.state(r);
    }
    std::unique_ptr<Wake> on_commit(std::function<void(CommitNo)> wake) override { return log_.on_commit(std::move(wake)); }
    bool dead = false;

private:
    Log& log_;
};

// Short, where the whole texts would fill pages.
std::string first_difference(const std::string& a, const std::string& b) {
    if (a == b) return "";
    const auto at = static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin()).first - a.begin());
    const auto from = at < 200 ? 0 : at - 200;
    return a.substr(from, 500) + "\n--- instead of ---\n" + b.substr(from, 500);
}

WindowOptions one_minute() {
    auto options = five_minutes();
    options.size = 1min;
    options.output = "pools.1min";
    return options;
}

WindowOptions ten_minutes() {
    auto options = five_minutes();
    options.stream = "pools.1min";
    options.size = 10min;
    options.output = "pools.10min";
    return options;
}

struct House {
    Folder folder;
    ManualClock clock{origin};
    Metrics metrics;
    StatusBoard status;
    std::unique_ptr<SqliteLog> log;
    RunnerOptions options;
    WindowOptions window = five_minutes();
    StreamTable streams;
    std::uint64_t tail_bytes;

    explicit House(StreamTable with = {}, std::uint64_t tail = LogOptions().tail_bytes) : streams(std::move(with)), tail_bytes(tail) {
        open();
        options.announce_restart = false;
        options.snapshot_events = 40;
        options.snapshot_interval = 3min;
    }
    void open() {
        LogOptions log_options;
        log_options.path = folder.path;
        log_options.durability = Durability::process;
        log_options.tail_bytes = tail_bytes;
        log_options.merge_after = 1s;
        SqliteLog::Setup setup;
        setup.options = log_options;
        setup.clock = &clock;
        setup.epoch_seed = 1;
        setup.boot_id = "boot";
        setup.streams = streams;
        setup.keep_every = Duration(0);
        auto opened = SqliteLog::open(std::move(setup));
        REQUIRE(opened.ok());
        log = *std::move(opened);
    }
    std::unique_ptr<Runner> runner(Log& on) {
        auto r = std::make_unique<Runner>(on, clock, metrics, status, options);
        r->add(std::make_unique<WindowProcessor>("5min", window, std::vector{*JsonPath::parse("/v")}));
        r->add(std::make_unique<WindowProcessor>("1min", one_minute(), std::vector{*JsonPath::parse("/v")}));
        r->add(std::make_unique<WindowProcessor>("10min", ten_minutes(), std::vector{*JsonPath::parse("/statistics/avg")}));
        ForecastOptions forecast;
        forecast.window = "1min";
        forecast.horizon = 2;
        r->add(std::make_unique<ForecastProcessor>("soon", forecast, one_minute()));
        return r;
    }
    void feed(Timestamp t, Prng& prng) {
        Commit commit;
        Append append{"pools", {}, {}};
        for (const char* key : {"SSD-4", "SSD-7"}) {
            std::string data = "{\"v\":" + std::to_string(prng.below(90)) + "}";
            const std::string id = std::string(key) + "/" + std::to_string(t.micros());
            EventView e;
            e.id = id, e.type = "reading", e.key = key, e.source = "websocket", e.data = data, e.ingested = t;
            e.time = prng.chance(0.1) ? t - 14s : t;
            append.events.add(e);
        }
        commit.appends.push_back(std::move(append));
        const auto done = log->commit(std::move(commit));
        REQUIRE(done.ok());
    }
    /// Until nothing is due and nothing is left.
    static void work(Runner& runner, FragileLog* fragile = nullptr) {
        for (int i = 0; i < 20; ++i) {
            runner.poll();
            if (fragile && fragile->dead) return;
            runner.settle();
        }
    }
    std::string bytes(std::string_view stream) {
        std::string all;
        for (Seq from{1};;) {
            auto read = log->read(stream, from, 1000);
            if (!read.ok() || read->empty()) return all;
            for (const auto& batch : *read) {
                if (batch->events.empty()) continue;
                for (std::size_t i = 0; i < batch->events.size(); ++i) {
                    const auto e = batch->events[i];
                    all += std::to_string(batch->seq_of(i).value) + std::string(e.id) + std::string(e.data) + to_rfc3339(e.ingested) + "\n";
                }
                from = batch->seq_of(batch->events.size());
            }
        }
    }
    std::string outputs() { return bytes("pools.5min") + bytes("pools.1min") + bytes("pools.10min") + bytes("predictions"); }
    /// What a processor makes of its input as it stands in the log, shown to it straight through, and its part of `outputs`: the log has
    /// just that, whatever happened on the way. (An output's ids, data and times; its seqs count from 1.)
    std::string derived_afresh(const char* name, WindowOptions of, const char* value) {
        WindowProcessor processor(name, of, {*JsonPath::parse(value)});
        if (of.stream != "pools") processor.input_is_derived(of.stream);
        Output output;
        for (CommitNo at{};;) {
            const auto read = log->read_commits(processor.inputs(), at, 1000);
            REQUIRE(read.ok());
            if (read->empty()) break;
            for (const auto& batch : *read) processor.process(*batch, output);
            at = read->back()->commit;
        }
        std::string all;
        std::uint64_t seq = 0;
        for (const Append& append : output.take())
            for (const EventView e : append.events) all += std::to_string(++seq) + std::string(e.id) + std::string(e.data) + to_rfc3339(e.ingested) + "\n";
        return all;
    }
    void check_derived() {
        CHECK(first_difference(bytes("pools.5min"), derived_afresh("5min", window, "/v")) == "");
        CHECK(first_difference(bytes("pools.1min"), derived_afresh("1min", one_minute(), "/v")) == "");
        CHECK(first_difference(bytes("pools.10min"), derived_afresh("10min", ten_minutes(), "/statistics/avg")) == "");
    }
    /// An event of its own commit: `<stream><n>`.
    void append(const std::string& stream, int n) {
        Commit commit;
        commit.appends.push_back({stream, {}, {}});
        const std::string id = stream + std::to_string(n);
        EventView e;
        e.id = id, e.type = "reading", e.source = "push", e.data = "{}", e.time = e.ingested = clock.now();
        commit.appends.back().events.add(e);
        REQUIRE(log->commit(std::move(commit)).ok());
    }
};

std::string straight_run(int minutes) {
    House house;
    FragileLog log(*house.log);
    auto runner = house.runner(log);
    REQUIRE(runner->prepare().ok());
    Prng prng(77);
    for (Timestamp t = origin; t < origin + std::chrono::minutes(minutes); t = t + 5s) {
        house.clock.advance_to(t);
        house.feed(t, prng);
        House::work(*runner);
    }
    return house.outputs();
}

}  // namespace

TEST_CASE("runner: killed at random commits, each derived event is there once, with the bytes of a run without kills (D2)") {
    const std::string straight = straight_run(40);
    CHECK(straight.size() > 10'000);
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        CAPTURE(seed);
        House house;
        if (seed == 2) house.options.commit_bytes = 600;  // every output in several commits
        Prng prng(77), chance(seed);
        auto log = std::make_unique<FragileLog>(*house.log);
        int kills = 0;
        log->dies = [&] { return chance.chance(0.2); };
        auto runner = house.runner(*log);
        const auto prepare = [&] {
            // Its own first commits are let through: an empty log has nothing to lose.
            auto dies = std::exchange(log->dies, nullptr);
            REQUIRE(runner->prepare().ok());
            log->dies = dies;
        };
        prepare();
        for (Timestamp t = origin; t < origin + 40min; t = t + 5s) {
            house.clock.advance_to(t);
            house.feed(t, prng);
            House::work(*runner, log.get());
            while (log->dead) {
                ++kills;
                auto dies = log->dies;
                runner->settle();  // what was on its way arrives before the next process looks
                runner.reset();
                log = std::make_unique<FragileLog>(*house.log);
                log->dies = dies;
                runner = house.runner(*log);
                prepare();
                House::work(*runner, log.get());
            }
        }
        CHECK(kills > 15);
        CHECK(first_difference(house.outputs(), straight) == "");
    }
}

TEST_CASE("runner: an output that was refused is not passed by those behind it, also when weir is killed before it tries again (D2)") {
    int lost_chances = 0;
    for (const std::size_t commit_bytes : {std::size_t{400 * 1024}, std::size_t{600}}) {  // whole outputs; each in several commits
        // The nth commit of derived events is refused, all after it are taken; then the process is gone.
        for (int nth = 1;; ++nth) {
            CAPTURE(commit_bytes);
            CAPTURE(nth);
            House house;
            house.options.commit_bytes = commit_bytes;
            house.options.snapshot_events = 1'000'000;  // a snapshot would wait for the answers, and see the refusal
            house.options.snapshot_interval = 24h;
            Prng prng(77);
            FragileLog log(*house.log);
            auto runner = house.runner(log);
            REQUIRE(runner->prepare().ok());
            int count = 0;
            bool refused = false;
            std::size_t taken_behind = 0;
            log.fails = [&](const Commit& commit) {
                if (commit.reader.empty() || commit.appends.empty()) return false;
                if (++count == nth) return refused = true;
                if (refused) ++taken_behind;
                return false;
            };
            // All readings first, so that one poll has many outputs on their way at once.
            for (Timestamp t = origin; t < origin + 12min; t = t + 5s) {
                house.clock.advance_to(t);
                house.feed(t, prng);
            }
            runner->poll();
            if (taken_behind > 0) ++lost_chances;
            log.dead = true;
            runner->settle();
            runner.reset();
            if (!refused) {
                CHECK(nth > 12);
                break;
            }
            FragileLog again(*house.log);
            runner = house.runner(again);
            REQUIRE(runner->prepare().ok());
            House::work(*runner);
            CHECK(house.log->info("pools.5min")->head.value >= 4);
            house.check_derived();
        }
    }
    CHECK(lost_chances > 20);
}

TEST_CASE("runner: a disk that is full for a while costs nothing but time, for every output to the byte") {
    for (const bool ticks_too : {false, true}) {
        CAPTURE(ticks_too);
        House house;
        FragileLog log(*house.log);
        auto runner = house.runner(log);
        REQUIRE(runner->prepare().ok());
        Prng prng(77);
        bool full = false;
        std::size_t refused = 0;
        log.fails = [&](const Commit& commit) {
            const bool fails = full && (ticks_too || !commit.reader.empty());
            refused += fails;
            return fails;
        };
        for (Timestamp t = origin; t < origin + 20min; t = t + 5s) {
            house.clock.advance_to(t);
            full = t >= origin + 6min && t < origin + 9min;
            house.feed(t, prng);
            House::work(*runner);
        }
        CHECK(refused > 0);
        CHECK(house.log->info("pools.5min")->head.value >= 6);
        CHECK(house.log->info("pools.1min")->head.value >= 38);
        // Not compared with a run whose disk had room: ticks that could not be written are not made up for, so the input is another.
        house.check_derived();
    }
}

TEST_CASE("runner: single commits that fail are made up for, none twice, each to the byte") {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        CAPTURE(seed);
        House house;
        if (seed == 2) house.options.commit_bytes = 600;
        if (seed == 3) house.options.pending_max = 1;
        FragileLog log(*house.log);
        auto runner = house.runner(log);
        REQUIRE(runner->prepare().ok());
        Prng prng(77), chance(seed);
        std::size_t refused = 0;
        log.fails = [&](const Commit&) {
            const bool fails = chance.chance(0.2);
            refused += fails;
            return fails;
        };
        for (Timestamp t = origin; t < origin + 30min; t = t + 5s) {
            house.clock.advance_to(t);
            house.feed(t, prng);
            House::work(*runner);
        }
        log.fails = nullptr;
        house.clock.advance(60s);
        House::work(*runner);
        CHECK(refused > 8);
        CHECK(house.log->info("pools.1min")->head.value >= 58);
        house.check_derived();
    }
}

TEST_CASE("runner: the same recorded input gives the same bytes, however readers group it, at any pace, on any number of threads (D11, spec 8)") {
    // As it was recorded: readings, some late, a silence, and the ticks of that time.
    std::vector<BatchPtr> recorded;
    {
        House house;
        auto runner = house.runner(*house.log);
        REQUIRE(runner->prepare().ok());
        Prng prng(3);
        for (Timestamp t = origin; t < origin + 40min; t = t + 5s) {
            house.clock.advance_to(t);
            if (t < origin + 17min || t > origin + 26min) house.feed(t, prng);
            House::work(*runner);
        }
        const auto read = house.log->read_commits({"pools"}, CommitNo{}, 1'000'000);
        REQUIRE(read.ok());
        recorded = *read;
        CHECK(std::count_if(recorded.begin(), recorded.end(), [](const auto& batch) { return batch->is_tick(); }) >= 8);
    }
    struct Way {
        std::size_t read_events, pending_max;
        std::uint64_t snapshot_events, tail_bytes;
        bool merged;     ///< the log's small blocks are made large ones first
        bool threads;    ///< each processor on one of its own, while the input still comes
        int in_flight;   ///< commits of input that are sent before anybody looks
    };
    std::string expected;
    std::uint64_t over_head = 0;
    for (const Way& way : {Way{10'000, 64, 20'000, 8 << 20, false, false, 1}, Way{1, 1, 7, 8 << 20, false, false, 1}, Way{1, 64, 40, 0, true, false, 1'000'000},
                           Way{10'000, 64, 1'000'000, 0, true, false, 1'000'000}, Way{3, 2, 40, 4096, false, false, 37}, Way{10'000, 64, 20'000, 8 << 20, false, true, 1},
                           Way{1, 3, 11, 4096, false, true, 50}}) {
        CAPTURE(way.read_events);
        CAPTURE(way.threads);
        CAPTURE(way.in_flight);
        House house({}, way.tail_bytes);
        house.options.read_events = way.read_events;
        house.options.pending_max = way.pending_max;
        house.options.snapshot_events = way.snapshot_events;
        std::vector<std::unique_ptr<Runner>> runners;
        const auto add = [&](const char* name, WindowOptions options, bool alone, const char* value = "/v") {
            if (alone || runners.empty()) runners.push_back(std::make_unique<Runner>(*house.log, house.clock, house.metrics, house.status, house.options));
            runners.back()->add(std::make_unique<WindowProcessor>(name, std::move(options), std::vector{*JsonPath::parse(value)}));
        };
        auto hopping = five_minutes();
        hopping.kind = WindowKind::hopping, hopping.hop = 1min, hopping.output = "pools.10min";
        add("5min", house.window, false);
        add("1min", one_minute(), way.threads);
        // Windows over windows: when their input was written depends on how far the recording had been read by then.
        auto over = ten_minutes();
        over.output = "pools.over";
        add("over", over, false, "/statistics/avg");
        add("10min", hopping, way.threads);
        for (auto& runner : runners) REQUIRE((way.threads ? runner->start() : runner->prepare()).ok());
        const auto head = [&](const char* stream) {
            const auto info = house.log->info(stream);
            return info ? info->head.value : 0;
        };
        // The clock stands still: only the log's times count.
        int sent = 0;
        for (const BatchPtr& batch : recorded) {
            Commit commit;
            commit.at = batch->commit_time;
            commit.appends.push_back({"pools", batch->events, batch->notes});
            REQUIRE(house.log->commit(std::move(commit)).ok());
            if (!way.threads && ++sent % way.in_flight == 0) House::work(*runners.front());
        }
        if (way.merged) REQUIRE(house.log->keep().ok());
        if (!way.threads) House::work(*runners.front());
        for (auto& runner : runners) {
            while (way.threads && (runner->position() < house.log->info("pools")->last_commit || head("pools.over") < over_head)) std::this_thread::yield();
            runner->stop();
        }
        const std::string outputs = house.outputs() + house.bytes("pools.over");
        if (expected.empty()) expected = outputs, over_head = head("pools.over");
        CHECK(over_head >= 6);
        CHECK(expected.size() > 50'000);
        CHECK(first_difference(outputs, expected) == "");
    }
}

TEST_CASE("runner: retention keeps what a restart shows again, from the snapshot on") {
    const std::string straight = straight_run(45);
    StreamTable streams;
    streams["pools"].retention_events = 60;  // two and a half minutes
    House house(streams, 0);
    house.options.snapshot_events = 500;
    house.options.snapshot_interval = 24h;
    house.log->hold_for("window/5min", {"pools"}, Runner::snapshot_key);
    house.log->hold_for("window/1min", {"pools"}, Runner::snapshot_key);
    FragileLog log(*house.log);
    auto runner = house.runner(log);
    REQUIRE(runner->prepare().ok());
    Prng prng(77);
    const auto feed = [&](Timestamp from, Timestamp to) {
        for (Timestamp t = from; t < to; t = t + 5s) {
            house.clock.advance_to(t);
            house.feed(t, prng);
            House::work(*runner);
        }
    };
    feed(origin, origin + 39min);
    REQUIRE(house.log->keep().ok());
    // A snapshot was taken and may be passed; the position is far ahead of it.
    const Seq first = house.log->info("pools")->first;
    CHECK(first > Seq{400});
    CHECK(first < Seq{600});
    CHECK(house.log->info("pools")->head > Seq{900});
    // A killed process takes no last snapshot.
    log.dead = true;
    runner.reset();
    FragileLog again(*house.log);
    runner = house.runner(again);
    REQUIRE(runner->prepare().ok());
    feed(origin + 39min, origin + 45min);
    CHECK(first_difference(house.outputs(), straight) == "");
    for (const char* name : {"window/5min", "window/1min", "window/10min"})
        CHECK(house.metrics.counter("weir_processor_gaps_total", "", {{"processor", name}}).value() == 0);
}

namespace {

/// Answers each event with one, and notes what it was shown since it was made.
class Noting final : public Processor {
public:
    explicit Noting(std::string& shown, std::string name = "noting", std::vector<StreamName> inputs = {"a", "b", "c"})
        : shown_(shown), name_(std::move(name)), inputs_(std::move(inputs)) {}
    const std::string& name() const override { return name_; }
    std::uint64_t version() const override { return 1; }
    const std::vector<StreamName>& inputs() const override { return inputs_; }
    const std::vector<StreamName>& outputs() const override { return outputs_; }
    Result<void> restore(const SavedState&) override { return ok(); }
    std::vector<StatePut> save() override { return {}; }
    void process(const Batch& batch, Output& output) override {
        for (const EventView e : batch.events) {
            shown_ += std::string(e.id) + " ";
            output.add("answers", e);
        }
    }

private:
    std::string& shown_;
    std::string name_;
    std::vector<StreamName> inputs_, outputs_{"answers"};
};

}  // namespace

TEST_CASE("runner: where retention went past a snapshot, what is left of each stream is shown again, and the gap is counted") {
    StreamTable streams;
    streams["a"].retention_events = 6;
    streams["c"].retention_events = 3;
    House house(streams, 0);
    house.options.snapshot_events = 1'000'000;
    house.options.snapshot_interval = 24h;
    const auto append = [&](const std::string& stream, int n) { house.append(stream, n); };
    const auto noting = [&](std::string& shown) {
        auto runner = std::make_unique<Runner>(*house.log, house.clock, house.metrics, house.status, house.options);
        runner->add(std::make_unique<Noting>(shown));
        REQUIRE(runner->prepare().ok());
        return runner;
    };
    const auto gaps = [&] { return house.metrics.counter("weir_processor_gaps_total", "", {{"processor", "noting"}}).value(); };
    std::string shown;
    {
        auto runner = noting(shown);
        for (int n = 1; n <= 9; ++n)
            for (const char* stream : {"a", "b", "c"}) append(stream, n);
        House::work(*runner);
    }
    CHECK(gaps() == 0);
    CHECK(house.log->info("answers")->head == Seq{27});
    REQUIRE(house.log->keep().ok());
    REQUIRE(house.log->info("a")->first == Seq{4});
    REQUIRE(house.log->info("c")->first == Seq{7});
    shown.clear();
    auto runner = noting(shown);
    CHECK(shown == "b1 b2 b3 a4 b4 a5 b5 a6 b6 a7 b7 c7 a8 b8 c8 a9 b9 c9 ");
    CHECK(gaps() == 1);
    append("a", 10);
    House::work(*runner);
    CHECK(shown.ends_with("c9 a10 "));
    CHECK(house.log->info("answers")->head == Seq{28});
    CHECK(gaps() == 1);
}

TEST_CASE("runner: what failed is said: reading, a commit, or restoring") {
    House house;
    FragileLog log(*house.log);
    auto runner = house.runner(log);
    REQUIRE(runner->prepare().ok());
    const std::string lines = house.folder.path + "/lines";
    diag::configure({.level = diag::Level::info, .format = diag::Format::text, .file = lines});
    log.unreadable = "io_error";
    runner->poll();
    runner->poll();  // notes when to try again
    log.stateless = true;
    house.clock.advance(10s);
    runner->poll();
    log.unreadable.clear(), log.stateless = false;
    runner->poll();
    house.clock.advance(40s);
    log.fails = [](const Commit& commit) { return !commit.reader.empty(); };
    Prng prng(1);
    for (const auto minutes : {0min, 20min}) {
        house.clock.advance(minutes);
        house.feed(house.clock.now(), prng);
        runner->poll();
    }
    diag::configure({});
    std::ifstream file(lines);
    const std::string said((std::istreambuf_iterator<char>(file)), {});
    CAPTURE(said);
    const auto read = said.find("processors: the log could not be read (io_error: as the test wants it); they go on");
    const auto restored = said.find("processors: window/5min could not be restored from the log (io_error: as the test wants it); they go on");
    const auto refused = said.find("processors: the log refused a commit (disk_full: no space left); they go on");
    CHECK(read < restored);
    CHECK(restored < refused);
    CHECK(refused != std::string::npos);
}

TEST_CASE("runner: retention that goes past a processor is a told gap; what is left is read, and who reads another stream misses nothing") {
    StreamTable streams;
    streams["pools"].retention_events = 120;  // the last minutes
    House house(streams, 0);  // what is in memory would still be read
    const auto processors = [&](Log& log) {
        auto runner = std::make_unique<Runner>(log, house.clock, house.metrics, house.status, house.options);
        runner->add(std::make_unique<WindowProcessor>("1min", one_minute(), std::vector{*JsonPath::parse("/v")}));
        auto other = one_minute();
        other.stream = "line", other.output = "line.1min";
        runner->add(std::make_unique<WindowProcessor>("line", other, std::vector{*JsonPath::parse("/v")}));
        REQUIRE(runner->prepare().ok());
        return runner;
    };
    Prng prng(7);
    const auto feed = [&](int from, int to) {
        for (Timestamp t = origin + std::chrono::minutes(from); t < origin + std::chrono::minutes(to); t = t + 5s) {
            house.clock.advance_to(t);
            house.feed(t, prng);
            Commit commit;
            commit.appends.push_back({"line", {}, {}});
            const std::string id = to_rfc3339(t);
            EventView e;
            e.id = id, e.type = "reading", e.key = "L", e.source = "push", e.data = "{\"v\":1}", e.time = e.ingested = t;
            commit.appends.back().events.add(e);
            REQUIRE(house.log->commit(std::move(commit)).ok());
        }
    };
    {
        auto runner = processors(*house.log);
        feed(0, 3);
        House::work(*runner);
    }
    // Nobody processes for half an hour, and nobody holds retention back.
    feed(3, 30);
    REQUIRE(house.log->keep().ok());
    REQUIRE(house.log->info("pools")->first.value > 300);
    auto runner = processors(*house.log);
    House::work(*runner);
    CHECK(house.metrics.counter("weir_processor_gaps_total", "", {{"processor", "window/1min"}}).value() == 1);
    CHECK(house.metrics.counter("weir_processor_gaps_total", "", {{"processor", "window/line"}}).value() == 0);
    const auto received = [&](const char* stream, int minute) {
        std::int64_t count = -1;
        const auto read = house.log->read(stream, Seq{1}, 100'000);
        REQUIRE(read.ok());
        for (const auto& batch : *read)
            for (const EventView e : batch->events)
                if (e.time == origin + std::chrono::minutes(minute) && e.key != "SSD-4" && !e.key.empty())
                    count = *Json::parse(e.data)->find("statistics")->find("count")->as_integer();
        return count;
    };
    for (int minute = 0; minute < 29; ++minute) CHECK(received("line.1min", minute) == 12);
    CHECK(received("pools.1min", 1) > 5);  // some come late, and count a minute earlier
    CHECK(received("pools.1min", 28) > 5);  // what was kept is not skipped
    CHECK(received("pools.1min", 15) <= 0);
    feed(30, 33);
    House::work(*runner);
    CHECK(received("pools.1min", 31) > 5);
}

TEST_CASE("runner: of streams that retention has cut at different places each is shown from where it begins, to whoever reads it") {
    StreamTable streams;
    streams["a"].retention_events = 6;
    streams["c"].retention_events = 3;
    House house(streams, 0);
    std::map<std::string, std::string> shown;
    const std::map<std::string, std::vector<StreamName>> readers{{"of a", {"a"}}, {"of c", {"c"}}, {"of d", {"d"}}, {"of both", {"a", "c"}}};
    const auto running = [&] {
        auto runner = std::make_unique<Runner>(*house.log, house.clock, house.metrics, house.status, house.options);
        for (const auto& [name, inputs] : readers) runner->add(std::make_unique<Noting>(shown[name], name, inputs));
        REQUIRE(runner->prepare().ok());
        return runner;
    };
    const auto gaps = [&](const std::string& name) { return house.metrics.counter("weir_processor_gaps_total", "", {{"processor", name}}).value(); };
    running();  // from here on
    const auto append = [&](const std::string& stream, int n) { house.append(stream, n); };
    for (int n = 1; n <= 9; ++n) append("a", n), append("c", n);
    REQUIRE(house.log->keep().ok());
    REQUIRE(house.log->info("a")->first == Seq{4});
    REQUIRE(house.log->info("c")->first == Seq{7});
    shown.clear();
    auto runner = running();
    House::work(*runner);
    CHECK(shown["of a"] == "a4 a5 a6 a7 a8 a9 ");
    CHECK(shown["of c"] == "c7 c8 c9 ");
    CHECK(shown["of d"] == "");
    CHECK(shown["of both"] == "a4 a5 a6 a7 c7 a8 c8 a9 c9 ");
    CHECK(gaps("of a") == 1);
    CHECK(gaps("of c") == 1);
    CHECK(gaps("of d") == 0);
    CHECK(gaps("of both") == 1);
    append("d", 1);
    House::work(*runner);
    CHECK(shown["of d"] == "d1 ");
}

TEST_CASE("runner: input without output is not answered by a commit, and snapshots are rare") {
    House house;
    house.options.snapshot_events = 1'000'000;
    house.options.snapshot_interval = 24h;
    FragileLog log(*house.log);
    Runner runner(log, house.clock, house.metrics, house.status, house.options);
    runner.add(std::make_unique<WindowProcessor>("5min", five_minutes(), std::vector{*JsonPath::parse("/v")}));
    REQUIRE(runner.prepare().ok());
    const auto before = log.commits;
    Prng prng(1);
    for (Timestamp t = origin; t < origin + 5min; t = t + 5s) {
        house.clock.advance_to(t);
        house.feed(t, prng);
        House::work(runner);
    }
    CHECK(log.commits == before);
    house.clock.advance_to(origin + 5min + 10s);
    House::work(runner);
    CHECK(log.commits > before);
    CHECK(house.log->info("pools.5min")->head.value == 2);
}

TEST_CASE("runner: a quiet stream gets a tick at most 100 ms after something is due (decisions.md 7, D4)") {
    House house;
    FragileLog log(*house.log);
    auto runner = house.runner(log);
    REQUIRE(runner->prepare().ok());
    Prng prng(1);
    house.feed(origin, prng);
    for (Timestamp t = origin; t < origin + 6min; t = t + 50ms) {
        house.clock.advance_to(t);
        runner->poll();
        runner->settle();
    }
    const auto read = house.log->read("pools.5min", Seq{1}, 10);
    REQUIRE(read.ok());
    REQUIRE(!read->empty());
    const auto window = read->front()->events[0];
    CHECK(window.ingested >= origin + 5min + 10s);
    CHECK(window.ingested <= origin + 5min + 10s + 100ms);
}

TEST_CASE("runner: a changed configuration is a new version that starts now, or rebuilds on request (decisions.md 3)") {
    House house;
    Prng prng(1);
    {
        FragileLog log(*house.log);
        auto runner = house.runner(log);
        REQUIRE(runner->prepare().ok());
        for (Timestamp t = origin; t < origin + 11min; t = t + 5s) {
            house.clock.advance_to(t);
            house.feed(t, prng);
            House::work(*runner);
        }
    }
    const auto head = house.log->info("pools.5min")->head;
    auto changed = five_minutes();
    changed.lateness = 20s;
    for (const bool rebuild : {false, true}) {
        FragileLog log(*house.log);
        Runner runner(log, house.clock, house.metrics, house.status, house.options);
        if (rebuild) changed.lateness = 30s;
        runner.add(std::make_unique<WindowProcessor>("5min", changed, std::vector{*JsonPath::parse("/v")}),
                   rebuild ? Start{Start::At::commit, CommitNo{0}} : Start{});
        REQUIRE(runner.prepare().ok());
        House::work(runner);
        if (!rebuild) CHECK(house.log->info("pools.5min")->head == head);
        else CHECK(house.log->info("pools.5min")->head > head);
    }
}

TEST_CASE("runner: processors that would feed themselves are refused, and the message names the path") {
    House house;
    Runner runner(*house.log, house.clock, house.metrics, house.status);
    auto a = five_minutes(), b = five_minutes();
    a.stream = "x", a.output = "y";
    b.stream = "y", b.output = "x";
    runner.add(std::make_unique<WindowProcessor>("a", a, std::vector{*JsonPath::parse("/v")}));
    runner.add(std::make_unique<WindowProcessor>("b", b, std::vector{*JsonPath::parse("/v")}));
    const auto refused = runner.prepare();
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == "stream_cycle");
    CHECK(refused.error().message.find("x -> y -> x") != std::string::npos);
}

TEST_CASE("runner: with its own thread it works off what is committed, and a stop leaves a snapshot of everything") {
    House house;
    {
        auto runner = house.runner(*house.log);
        REQUIRE(runner->start().ok());
        Prng prng(77);
        for (Timestamp t = origin; t < origin + 20min; t = t + 5s) {
            house.clock.advance_to(t);
            house.feed(t, prng);
        }
        runner->stop();
    }
    const auto state = house.log->state("window/5min");
    REQUIRE(state.ok());
    std::string snapshot;
    for (const auto& [key, value] : *state)
        if (key == "@snapshot") snapshot = value;
    CHECK(std::stoull(snapshot) == (*house.log->position("window/5min"))->value);
    CHECK(house.log->info("pools.5min")->head.value >= 6);
}

TEST_CASE("feed status: a feed's states become events of system_status, once each (decisions.md 6)") {
    House house;
    FragileLog log(*house.log);
    Runner runner(log, house.clock, house.metrics, house.status, house.options);
    runner.add(std::make_unique<FeedStatusProcessor>(std::vector<StreamName>{"pools"}));
    REQUIRE(runner.prepare().ok());
    Commit commit;
    Append append{"pools", {}, {}};
    append.notes.feed_states.push_back({"pool", "down", "upstream_closed", "websocket", origin, "code 1006"});
    commit.appends.push_back(std::move(append));
    REQUIRE(house.log->commit(std::move(commit)).ok());
    House::work(runner);
    const auto read = house.log->read("system_status", Seq{1}, 10);
    REQUIRE(read.ok());
    REQUIRE(read->size() == 1);
    const auto e = read->front()->events[0];
    CHECK(e.type == "feed_status");
    CHECK(e.key == "pool");
    CHECK(e.data ==
          R"({"feed":"pool","stream":"pools","state":"down","cause":"upstream_closed","source":"websocket","since":"2026-02-17T10:00:00.000Z","detail":"code 1006"})");
}
