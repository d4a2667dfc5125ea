// The promise of a store: whatever happens to it, the files are those of a run that nothing happened to.
#include <doctest/doctest.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "net/gzip.h"
#include "stores/stores_test_support.h"

using namespace weir;

namespace {

const Timestamp ten = "2026-02-17T10:00:00Z"_utc;

/// Three readings of a key from `start` on, and the window that counts them, all but closed.
MadeWindow read_window(LogRig& rig, const std::string& key, Timestamp start, int first_value) {
    MadeWindow made;
    made.key = key;
    made.start = start;
    made.end = start + 5min;
    for (int i = 0; i < 3; ++i) {
        made.last_seq = rig.read(key, start + i * 10s, std::to_string(first_value + i));
        if (i == 0) made.first_seq = made.last_seq;
    }
    const auto number = [&](int more) { return std::to_string(first_value + more); };
    made.statistics = R"({"count":3,"min":)" + number(0) + R"(,"max":)" + number(2) + R"(,"avg":)" + number(1) + R"(,"median":)" + number(1) +
                      R"(,"first":)" + number(0) + R"(,"last":)" + number(2) + "}";
    return made;
}

/// Closes what can happen, one commit after the other: keys together and apart, revisions, empty windows, a window of the whole feed, a
/// fifth key that makes a bundle of folders, a session that grows, midnight. `after` is called behind each commit.
template <class After>
void a_morning(LogRig& rig, After after) {
    const auto close = [&](const std::vector<MadeWindow>& windows) {
        rig.close(windows);
        after();
    };
    const MadeWindow first = read_window(rig, "SSD-7", ten, 45);
    close({read_window(rig, "SSD-4", ten, 0), first});
    MadeWindow feed;
    feed.key = "";
    feed.reason = "all_rejected";
    close({feed});
    MadeWindow corrected = first;
    corrected.last_seq = rig.read("SSD-7", ten + 25s, "48");
    corrected.revision = 1;
    corrected.statistics = R"({"count":4,"min":45,"max":48,"avg":46.5,"median":46.5,"first":45,"last":48})";
    close({corrected});
    // A key that is alone at first, then one of two, then of five.
    close({read_window(rig, "A", ten + 5min, 1)});
    close({read_window(rig, "B", ten + 5min, 2)});
    close({read_window(rig, "Zürich/1", ten + 5min, 3), read_window(rig, "D", ten + 5min, 4), read_window(rig, "E", ten + 5min, 5)});
    MadeWindow empty;
    empty.start = ten + 10min;
    empty.end = ten + 15min;
    empty.reason = "upstream_silent";
    close({empty});
    MadeWindow session = read_window(rig, "SSD-7", ten + 20min, 9);
    close({session});
    session.end = ten + 27min;
    session.revision = 1;
    close({session});
    close({read_window(rig, "SSD-7", ten - 10h - 5min, 3)});
}

void a_morning(LogRig& rig) {
    a_morning(rig, [] {});
}

std::map<std::string, std::string> undisturbed(LogRig& rig, const StoreOptions& options) {
    StoreRig reference;
    reference.name = "reference";
    reference.options = options;
    reference.options.path = rig.path("reference");
    reference.run(rig);
    return files_below(reference.options.path);
}

const std::vector<StoreOptions> kinds_of_options = [] {
    std::vector<StoreOptions> all(3);
    all[1].bundle = Bundle::never;
    all[2].profile = BlobProfile::s0;
    all[2].layout = BlobLayout::raw;
    return all;
}();

/// Thrown out of a step of file work: everything stays as it is there, a half-written temporary file too, like after a kill.
struct Killed {};

}  // namespace

TEST_CASE("blob store: the files do not depend on how often it ran while windows were closed (D2)") {
    for (const StoreOptions& options : kinds_of_options) {
        LogRig rig;
        StoreRig each, twice;
        each.options = twice.options = options;
        each.options.path = rig.path("each");
        twice.name = "twice";
        twice.options.path = rig.path("twice");
        int n = 0;
        a_morning(rig, [&] {
            each.run(rig);
            if (++n % 2 == 0) twice.run(rig);
        });
        twice.run(rig);
        const auto expected = undisturbed(rig, options);
        CHECK(difference(files_below(each.options.path), expected) == "");
        CHECK(difference(files_below(twice.options.path), expected) == "");
        CHECK(each.counted("weir_store_objects_siblings_total") == 0);
    }
}

TEST_CASE("blob store: a name that is not asked for any more goes, what a stream of one key is called stays (S0-30)") {
    LogRig rig;
    a_morning(rig);
    StoreOptions options;
    options.layout = BlobLayout::summary;
    CHECK(names_of_files(undisturbed(rig, options)) ==
          "%/2026-02-17/10-00-summary.json 2026-02-16/23-55-summary.json 2026-02-17/10-05-summary.json 2026-02-17/10-10-summary.json "
          "2026-02-17/10-20-summary.json SSD-4/2026-02-17/10-00-summary.json SSD-7/2026-02-17/10-00-summary.json");
    LogRig one;
    StoreRig raw;
    raw.options.path = one.path("out");
    raw.options.layout = BlobLayout::raw;
    MadeWindow session = read_window(one, "SSD-7", ten, 45), feed;
    feed.key = "";
    one.close({session, feed});
    raw.run(one);
    CHECK(names_of_files(files_below(raw.options.path)) == "%/2026-02-17/10-00-to-10-05.json 2026-02-17/10-00-to-10-05.json");
    session.end = ten + 7min;
    session.revision = 1;
    one.close({session});
    raw.run(one);
    CHECK(names_of_files(files_below(raw.options.path)) == "%/2026-02-17/10-00-to-10-05.json 2026-02-17/10-00-to-10-07.json");
}

TEST_CASE("blob store: killed at any step of its file work, it leaves the files of a run that was not (D2, decisions.md 34)") {
    for (const StoreOptions& options : kinds_of_options) {
        LogRig rig;
        a_morning(rig);
        const auto expected = undisturbed(rig, options);
        REQUIRE(expected.size() >= 6);
        std::set<std::string> hit;
        int runs = 0;
        for (bool done = false; !done; ++runs) {
            CAPTURE(runs);
            StoreRig store;
            store.name = "run-" + std::to_string(runs);
            store.options = options;
            store.options.path = rig.path(store.name);
            int left = runs;
            try {
                const auto killed = store.make(rig, Filesystem([&](FilePoint point, const std::string&) -> int {
                                                   if (left-- > 0) return 0;
                                                   hit.emplace(to_text(point));
                                                   throw Killed();
                                               }));
                killed->poll();
                done = true;
            } catch (const Killed&) {
            }
            store.run(rig);
            REQUIRE(difference(files_below(store.options.path), expected) == "");
        }
        for (const char* point : {"create_folder", "create_temporary", "write_temporary", "rename"}) CHECK_MESSAGE(hit.contains(point), point);
    }
}

TEST_CASE("blob store: killed at any step while windows are still being closed, it ends with the same files (D2)") {
    LogRig whole;
    a_morning(whole);
    const auto expected = undisturbed(whole, {});
    int kill_at = 0;
    for (bool killed = true; killed; kill_at += 3) {
        CAPTURE(kill_at);
        LogRig rig;
        StoreRig store;
        store.options.path = rig.path("out");
        int left = kill_at;
        killed = false;
        const auto make = [&] {
            return store.make(rig, Filesystem([&](FilePoint, const std::string&) -> int {
                                  if (left-- == 0) throw Killed();
                                  return 0;
                              }));
        };
        auto running = make();
        a_morning(rig, [&] {
            try {
                running->poll();
            } catch (const Killed&) {
                killed = true;
                running = make();  // and the next window closes before it has caught up
            }
        });
        running->poll();
        CHECK(difference(files_below(store.options.path), expected) == "");
    }
    CHECK(kill_at > 30);
}

TEST_CASE("blob store: when any step fails once, the next try writes what was due (C-14)") {
    LogRig rig;
    a_morning(rig);
    const auto expected = undisturbed(rig, {});
    bool failed = true;
    for (int n = 0; failed; ++n) {
        CAPTURE(n);
        StoreRig store;
        store.name = "run-" + std::to_string(n);
        store.options.path = rig.path(store.name);
        int left = n;
        failed = false;
        const auto running = store.make(rig, Filesystem([&](FilePoint, const std::string&) -> int {
                                            if (left-- != 0) return 0;
                                            failed = true;
                                            return EIO;
                                        }));
        while (const auto next = running->poll()) rig.clock.advance_to(*next);
        CHECK(difference(files_below(store.options.path), expected) == "");
        CHECK(store.counted("weir_store_failures_total") == (failed ? 1 : 0));
    }
}

TEST_CASE("blob store: a full disk means lag, and says so; with room again everything is there (S0-R11)") {
    LogRig rig;
    StoreRig store;
    store.options.path = rig.path("out");
    bool full = true;
    const auto running = store.make(rig, Filesystem([&](FilePoint point, const std::string&) { return full && point == FilePoint::write_temporary ? ENOSPC : 0; }));
    rig.close({read_window(rig, "SSD-7", ten, 45)});
    const auto first = running->poll();
    REQUIRE(first.has_value());
    CHECK(*first >= rig.clock.now() + 500ms);
    CHECK(*first <= rig.clock.now() + 1s);
    CHECK(store.status().find_string("state") == "failing");
    CHECK(store.status().find("behind")->as_double() == 1);
    CHECK(store.status().find_string("last_error")->find("No space") != std::string::npos);
    CHECK(store.status().find_string("next_try") == to_rfc3339(*first));
    CHECK(running->poll() == first);  // before its time there is no other try
    CHECK(store.counted("weir_store_failures_total") == 1);
    // The wall clock may step: the wait does not become longer.
    rig.clock.step_wall(-1h);
    CHECK(*running->poll() <= rig.clock.now() + 1s);
    Duration longest{};
    for (int i = 0; i < 20; ++i) {
        rig.close({read_window(rig, "SSD-7", ten + 5min * (i + 1), i)});
        const auto next = running->poll();
        REQUIRE(next.has_value());
        longest = std::max(longest, *next - rig.clock.now());
        rig.clock.advance_to(*next);
    }
    CHECK(longest <= 60s);
    CHECK(longest >= 30s);
    CHECK(files_below(store.options.path).empty());
    full = false;
    while (const auto next = running->poll()) rig.clock.advance_to(*next);
    CHECK(files_below(store.options.path).size() == 2 * 21);
    CHECK(store.status().find_string("state") == "running");
    CHECK(store.status().find("last_error")->is_null());
    CHECK(store.status().find("behind")->as_double() == 0);
}

TEST_CASE("blob store: retention waits for it, readings included; beyond the hard size it writes what is left and says so (C-15)") {
    std::uint64_t tail_bytes = 0;
    SUBCASE("from disk") {}
    SUBCASE("while the log's memory still knows the events") { tail_bytes = 8 << 20; }
    StreamTable streams;
    streams["pools.5min"].retention_events = 1;
    streams["pools"].retention_events = 1;
    LogRig rig(streams, tail_bytes);
    StoreRig store;
    store.options.path = rig.path("out");
    store.options.layout = BlobLayout::raw;
    store.sources.push_back({"1h", "pools.1h", "pools", {*JsonPath::parse("/currentfill")}});
    const auto running = store.make(rig);
    for (int i = 0; i < 3; ++i) rig.close({read_window(rig, "SSD-7", ten + i * 5min, i)});
    REQUIRE(rig.log().keep().ok());
    CHECK(rig.log().info("pools.5min")->first.value == 1);
    CHECK(rig.log().info("pools")->first.value == 1);
    CHECK_FALSE(running->poll().has_value());
    CHECK(files_below(store.options.path).size() == 3);

    rig.log().hold_for("store/files", {});  // as if the stream were beyond its hard size
    MadeWindow hour;
    hour.name = "1h";
    hour.end = ten + 1h;
    rig.close({read_window(rig, "SSD-7", ten + 15min, 3)});
    rig.close({hour}, "pools.1h");
    for (int i = 4; i < 8; ++i) rig.close({read_window(rig, "SSD-7", ten + i * 5min, i)});
    REQUIRE(rig.log().keep().ok());
    REQUIRE(rig.log().info("pools.5min")->first.value > 4);
    CHECK_FALSE(running->poll().has_value());
    CHECK(store.counted("weir_store_gaps_total") >= 1);
    const auto files = files_below(store.options.path);
    CHECK(files.contains("2026-02-17/10-00-to-11-00-1h.json"));
    CHECK(files.contains("2026-02-17/10-35-to-10-40-5min.json"));
    CHECK_FALSE(files.contains("2026-02-17/10-15-to-10-20-5min.json"));
}

TEST_CASE("blob store: a window of whose readings retention has removed some is written with those that are left, and that is told once") {
    StreamTable streams;
    streams["pools"].retention_events = 1;
    LogRig rig(streams, 0);
    StoreRig store;
    store.options.path = rig.path("out");
    store.options.layout = BlobLayout::raw;
    const auto running = store.make(rig);
    rig.close({read_window(rig, "SSD-7", ten, 45)});
    CHECK_FALSE(running->poll().has_value());
    CHECK(store.counted("weir_store_gaps_total") == 0);

    // The store has written all windows that there are, so nothing holds the readings of one that is still open.
    const MadeWindow open = read_window(rig, "SSD-7", ten + 5min, 50);
    MadeWindow empty;
    empty.start = ten + 2h, empty.end = ten + 2h + 5min;
    rig.close({empty});
    CHECK_FALSE(running->poll().has_value());
    CHECK(store.counted("weir_store_gaps_total") == 0);
    REQUIRE(rig.log().keep().ok());
    const std::uint64_t left = rig.log().info("pools")->head.value - rig.log().info("pools")->first.value + 1;
    REQUIRE(left < 3);
    rig.close({open});
    CHECK_FALSE(running->poll().has_value());
    CHECK(store.counted("weir_store_gaps_total") == 1);
    const auto file = Json::parse(files_below(store.options.path).at("2026-02-17/10-05-to-10-10.json"));
    REQUIRE(file.ok());
    CHECK(file->find("readings")->items().size() == left);
}

TEST_CASE("blob store: every statistic can be had again from the readings in the raw file, and only those it counts are there (S1-18, S1-20)") {
    LogRig rig;
    StoreRig store;
    store.options.path = rig.path("out");
    MadeWindow made = read_window(rig, "SSD-7", ten, 45);
    const Timestamp noon = rig.clock.now();
    rig.clock.advance(1min);
    MadeWindow later = read_window(rig, "SSD-7", noon, 45);
    rig.read("SSD-7", noon + 4min, "99");  // ahead of its commit: the window refused it as `future`
    later.last_seq = rig.read("SSD-7", noon + 30s, "48");
    rig.close({made});
    rig.read("SSD-7", ten + 40s, "99");  // came too late
    rig.close({later});
    store.run(rig);
    const auto files = files_below(store.options.path);
    const Json raw = *Json::parse(*net::gunzip(files.at("raw-events/2026-02-17/10-00-to-10-05.json.gz"), 1 << 20));
    double sum = 0, smallest = 1e9, largest = 0;
    for (const Json& reading : raw.find("readings")->items()) {
        const double value = reading.find("value")->as_double();
        sum += value, smallest = std::min(smallest, value), largest = std::max(largest, value);
    }
    const Json& statistics = *raw.find("statistics");
    REQUIRE(raw.find("readings")->items().size() == 3);
    CHECK(sum / 3 == statistics.find("avg")->as_double());
    CHECK(smallest == statistics.find("min")->as_double());
    CHECK(largest == statistics.find("max")->as_double());
    const std::string other = *net::gunzip(files.at("raw-events/2026-02-17/12-00-to-12-05.json.gz"), 1 << 20);
    CHECK(Json::parse(other)->find("readings")->items().size() == 4);
    CHECK(other.find("\"value\":99") == std::string::npos);
}

TEST_CASE("blob store: a key of the greatest length has a file like any other, and an event that is no window is counted") {
    LogRig rig;
    StoreRig store;
    store.options.path = rig.path("out");
    store.options.folder_per_key = true;
    EventView foreign;
    foreign.id = "x";
    foreign.type = "window";
    foreign.source = "push";
    foreign.data = R"({"window":{"name":"5min"}})";
    foreign.time = ten;
    rig.append("pools.5min", {foreign});
    rig.close({read_window(rig, std::string(255, '/'), ten, 1)});
    store.run(rig);
    CHECK(files_below(store.options.path).size() == 2);
    CHECK(store.counted("weir_store_bad_events_total") == 1);
}

TEST_CASE("blob store: what somebody else put under its name stays, and is not removed either (decisions.md 12)") {
    LogRig rig;
    StoreRig store;
    store.options.path = rig.path("out");
    store.options.layout = BlobLayout::raw;
    const Filesystem files;
    REQUIRE(files.create_folders(store.options.path + "/2026-02-17").ok());
    REQUIRE(files.write_atomically(store.options.path + "/2026-02-17/10-00-to-10-05.json", "{\"from\":\"elsewhere\"}").ok());
    MadeWindow session = read_window(rig, "SSD-7", ten, 45);
    rig.close({session});
    store.run(rig);
    CHECK(files_below(store.options.path).size() == 2);
    session.end = ten + 7min;
    session.revision = 1;
    rig.close({session});
    store.run(rig);
    const auto there = files_below(store.options.path);
    CHECK(names_of_files(there) == "2026-02-17/10-00-to-10-05.json 2026-02-17/10-00-to-10-07.json");
    CHECK(there.at("2026-02-17/10-00-to-10-05.json") == "{\"from\":\"elsewhere\"}");
}

TEST_CASE("blob store: what is in the log when it is stopped is written before it ends; a stopped store stops again") {
    LogRig rig;
    StoreRig store;
    store.options.path = rig.path("out");
    const auto running = store.make(rig);
    REQUIRE(running->start().ok());
    rig.close({read_window(rig, "SSD-7", ten, 45)});
    running->stop();
    running->stop();
    CHECK(files_below(store.options.path).size() == 2);
    CHECK(store.status().find_string("state") == "stopped");
}

TEST_CASE("blob store: a stop that takes too long leaves the rest to the next start, with the same files (D2)") {
    LogRig rig;
    for (int i = 0; i < 20; ++i) rig.close({read_window(rig, "SSD-7", ten + 5min * i, i)});
    const auto expected = undisturbed(rig, {});
    StoreRig store;
    store.options.path = rig.path("out");
    std::atomic<bool> stopping = false;
    // A slow disk: a second a file, once it is being stopped.
    const auto slow = store.make(rig, Filesystem([&](FilePoint point, const std::string&) {
                                     while (!stopping) std::this_thread::yield();
                                     if (point == FilePoint::rename) rig.clock.advance(1s);
                                     return 0;
                                 }));
    REQUIRE(slow->start().ok());
    std::thread stopper([&] { slow->stop(); });
    while (!slow->is_stopping()) std::this_thread::yield();
    stopping = true;
    stopper.join();
    const auto files = files_below(store.options.path);
    CHECK(files.size() >= 4);
    CHECK(files.size() <= 10);
    store.run(rig);
    CHECK(difference(files_below(store.options.path), expected) == "");
}
