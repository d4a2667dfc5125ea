#include "stores/blob_store.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "log/sqlite_log.h"
#include "net/gzip.h"
#include "stores/folder_store.h"
#include "stores/service_test_support.h"

using namespace weir;

namespace {

const Timestamp ten = "2026-02-17T10:00:00Z"_utc;

struct House {
    std::string path = [] {
        std::string name = (std::filesystem::temp_directory_path() / "weir-blobs-XXXXXX").string();
        return std::string(::mkdtemp(name.data()));
    }();
    ManualClock clock{ten + 10min};  // windows are closed behind their readings
    Metrics metrics;
    StatusBoard status;
    std::unique_ptr<SqliteLog> log;
    StoreOptions options;
    Filesystem::Fault fault;
    BlobJoin join;
    /// What a service beside the folder holds, which must be the same (issue 5, "Blob stores").
    std::shared_ptr<std::map<std::string, MemoryService::Object>> objects = std::make_shared<std::map<std::string, MemoryService::Object>>();
    std::function<MemoryService::Fault()> remote_fault;

    explicit House(std::uint64_t epoch_seed = 7) { open(epoch_seed, "log"); }
    ~House() {
        log.reset();
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    void open(std::uint64_t epoch_seed, const std::string& folder) {
        LogOptions log_options;
        log_options.path = path + "/" + folder;
        log_options.durability = Durability::process;
        SqliteLog::Setup setup;
        setup.options = log_options;
        setup.clock = &clock;
        setup.epoch_seed = epoch_seed;
        setup.boot_id = "boot";
        auto opened = SqliteLog::open(std::move(setup));
        REQUIRE(opened.ok());
        log = *std::move(opened);
    }
    std::unique_ptr<BlobStore> store() {
        std::vector<BlobSource> sources{{"5min", "pools.5min", "pools", {*JsonPath::parse("/v")}, join}};
        auto made = std::make_unique<BlobStore>("files", options, sources, std::make_unique<FolderStore>(path + "/out", Filesystem(fault), Fsync::no),
                                                *log, clock, metrics, status);
        REQUIRE(made->prepare().ok());
        return made;
    }
    std::unique_ptr<BlobStore> remote() {
        std::vector<BlobSource> sources{{"5min", "pools.5min", "pools", {*JsonPath::parse("/v")}, join}};
        auto service = std::make_unique<MemoryService>();
        service->objects = objects;
        service->fault = remote_fault;
        StoreOptions of_service = options;
        of_service.kind = StoreKind::azure;
        auto made = std::make_unique<BlobStore>("remote", of_service, sources, std::make_unique<ServiceStore>(std::move(service), std::make_shared<ScriptedTransport>()),
                                                *log, clock, metrics, status);
        REQUIRE(made->prepare().ok());
        return made;
    }
    /// Both stores write what is due, and then hold the same: names, and bytes but for gzip by header.
    void write() {
        store()->poll();
        remote()->poll();
        check_remote();
    }
    void check_remote() {
        std::vector<std::string> names;
        for (const auto& [name, object] : *objects) {
            names.push_back(name);
            const std::string there = *Filesystem().read(path + "/out/" + name);
            CHECK_MESSAGE((object.bytes == there || (!net::is_gzip(there) && *net::gunzip(object.bytes, 1 << 20) == there)), name);
        }
        CHECK(names == files());
    }
    void readings(std::string_view key, std::initializer_list<int> values, Timestamp from = ten) {
        Append append{"pools", {}, {}};
        Timestamp t = from;
        for (const int v : values) {
            const std::string data = "{\"v\":" + std::to_string(v) + "}", id = std::string(key) + to_rfc3339(t);
            EventView e;
            e.id = id, e.type = "reading", e.key = key, e.source = "websocket", e.data = data, e.time = t, e.ingested = t + 20ms;
            append.events.add(e);
            t = t + 5s;
        }
        Commit commit;
        commit.appends.push_back(std::move(append));
        REQUIRE(log->commit(std::move(commit)).ok());
    }
    void window(std::string_view key, int count, int revision, std::uint64_t last_seq, Timestamp start = ten) {
        std::string data;
        JsonWriter json(data);
        json.object().name("window").object().member("name", "5min").member("kind", "tumbling").member("start", start).member("end", start + 5min);
        json.member("duration_seconds", 300).member("closed_at", start + 310s).name("cut").null().end();
        json.member("stream", "pools").member("key", key).member("field", "/v").member("revision", revision).name("statistics").object();
        json.member("count", count);
        for (const char* name : {"min", "max", "avg", "median", "last"}) {
            json.name(name);
            if (count > 0) json.value(48.5);
            else json.null();
        }
        json.end().member("last_seq", last_seq).end();
        const std::string id = std::string(key) + to_rfc3339(start) + "/" + std::to_string(revision);
        EventView e;
        e.id = id, e.type = "window", e.key = key, e.source = "window/5min", e.data = data, e.time = start, e.ingested = start + 310s;
        Append append{"pools.5min", {}, {}};
        append.events.add(e);
        Commit commit;
        commit.appends.push_back(std::move(append));
        REQUIRE(log->commit(std::move(commit)).ok());
    }
    std::vector<std::string> files() {
        std::vector<std::string> found;
        if (!std::filesystem::exists(path + "/out")) return found;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(path + "/out"))
            if (entry.is_regular_file()) found.push_back(std::filesystem::relative(entry.path(), path + "/out").string());
        std::sort(found.begin(), found.end());
        return found;
    }
    std::string read(const std::string& name) {
        auto bytes = Filesystem().read(path + "/out/" + name);
        REQUIRE(bytes.ok());
        if (!net::is_gzip(*bytes)) return *bytes;
        return *net::gunzip(*bytes, 1 << 20);
    }
};

}  // namespace

TEST_CASE("blobs: profile s0 is source 000's document, to the member (S0-29, S0-30)") {
    House house;
    house.options.profile = BlobProfile::s0;
    house.options.layout = BlobLayout::raw;
    house.options.prefix = "scraped-data/";
    house.readings("SSD-7", {45, 45, 46});
    house.window("SSD-7", 3, 0, 3);
    house.store()->poll();
    CHECK(house.read("scraped-data/2026-02-17/10-00-to-10-05.json") ==
          R"({"window":{"start":"2026-02-17T10:00:00Z","end":"2026-02-17T10:05:00Z","duration_seconds":300},)"
          R"("updates":[{"occupancy":45,"timestamp":"2026-02-17T10:00:00Z"},{"occupancy":45,"timestamp":"2026-02-17T10:00:05Z"},)"
          R"({"occupancy":46,"timestamp":"2026-02-17T10:00:10Z"}],"statistics":{"count":3,"min":48.5,"max":48.5,"avg":48.5,"median":48.5}})");
}

TEST_CASE("blobs: profiles s1-raw and s1-summary are source 001's documents (S1-15, S1-16, S1-17)") {
    House house;
    house.options.profile = BlobProfile::s1_raw;
    house.options.layout = BlobLayout::hybrid;
    house.readings("SSD-7", {45, 46}, ten + 2123ms);
    house.window("SSD-7", 2, 0, 2);
    house.store()->poll();
    CHECK(house.read("raw-events/2026-02-17/10-00-to-10-05.json.gz") ==
          R"({"window":{"start":"2026-02-17T10:00:00Z","end":"2026-02-17T10:05:00Z"},)"
          R"("events":[{"occupancy":45,"timestamp":"2026-02-17T10:00:02.123Z"},{"occupancy":46,"timestamp":"2026-02-17T10:00:07.123Z"}],)"
          R"("statistics":{"count":2,"min":48.5,"max":48.5,"avg":48.5}})");
    CHECK(house.read("summaries/2026-02-17/10-00.json") ==
          R"({"timestamp":"2026-02-17T10:05:00Z","window_duration_minutes":5,"occupancy":{"current":48.5,"min":48.5,"max":48.5,"avg":48.5,"samples":2}})");
    House summary;
    summary.options.profile = BlobProfile::s1_summary;
    summary.options.layout = BlobLayout::summary;
    summary.window("SSD-7", 2, 0, 2);
    summary.store()->poll();
    CHECK(summary.read("2026-02-17/10-00-summary.json").starts_with(R"({"timestamp":"2026-02-17T10:05:00Z")"));
}

TEST_CASE("blobs: profile weir writes empty windows with their reason, source profiles warn and save nothing (C-15, S0-32)") {
    House house;
    house.window("SSD-7", 0, 0, 0);
    house.store()->poll();
    CHECK(house.files() == std::vector<std::string>{"raw-events/2026-02-17/10-00-to-10-05.json.gz", "summaries/2026-02-17/10-00.json"});
    House s0;
    s0.options.profile = BlobProfile::s0;
    s0.window("SSD-7", 0, 0, 0);
    s0.store()->poll();
    CHECK(s0.files().empty());
}

TEST_CASE("blobs: up to four keys have folders above the date, more are one object a window (decisions.md 13)") {
    House few;
    few.options.layout = BlobLayout::raw;
    few.readings("SSD-4", {1});
    few.readings("a/b", {2});
    few.window("SSD-4", 1, 0, 1);
    few.window("a/b", 1, 0, 2);
    few.store()->poll();
    CHECK(few.files() == std::vector<std::string>{"SSD-4/2026-02-17/10-00-to-10-05.json", "a%2Fb/2026-02-17/10-00-to-10-05.json"});
    House many;
    many.options.layout = BlobLayout::raw;
    for (const char* key : {"k1", "k2", "k3", "k4", "k5"}) many.readings(key, {7});
    for (std::uint64_t i = 1; i <= 5; ++i) many.window("k" + std::to_string(i), 1, 0, i);
    many.store()->poll();
    CHECK(many.files() == std::vector<std::string>{"2026-02-17/10-00-to-10-05.json"});
    const auto bundle = Json::parse(many.read("2026-02-17/10-00-to-10-05.json"));
    REQUIRE(bundle.ok());
    CHECK(bundle->find("results")->items().size() == 5);
    CHECK(bundle->find("results")->items()[4].find("readings")->items().size() == 1);
    many.readings("k6", {7});  // a key that comes later joins it
    many.window("k6", 1, 0, 6);
    many.store()->poll();
    CHECK(Json::parse(many.read("2026-02-17/10-00-to-10-05.json"))->find("results")->items().size() == 6);
}

TEST_CASE("blobs: a higher revision replaces, a repeat changes nothing, another epoch gets a sibling (decisions.md 12)") {
    House house;
    house.options.layout = BlobLayout::raw;
    house.readings("SSD-7", {1, 2});
    house.window("SSD-7", 2, 0, 2);
    house.store()->poll();
    const std::string first = house.read("2026-02-17/10-00-to-10-05.json");
    house.readings("SSD-7", {3}, ten + 1min);  // late: not in revision 0, whenever that is written
    {
        // The position was lost: everything is written once more.
        Commit commit;
        commit.reader = "store/files";
        commit.position = CommitNo{0};
        REQUIRE(house.log->commit(std::move(commit)).ok());
        house.store()->poll();
        CHECK(house.read("2026-02-17/10-00-to-10-05.json") == first);
    }
    house.window("SSD-7", 3, 1, 3);
    house.store()->poll();
    const std::string second = house.read("2026-02-17/10-00-to-10-05.json");
    CHECK(Json::parse(second)->find("readings")->items().size() == 3);
    house.open(99, "other-log");
    house.readings("SSD-7", {5});
    house.window("SSD-7", 1, 0, 1);
    house.store()->poll();
    CHECK(house.read("2026-02-17/10-00-to-10-05.json") == second);
    CHECK(house.files().size() == 2);
    CHECK(house.files()[1].starts_with("2026-02-17/10-00-to-10-05~"));
}

namespace {

/// What processors/window_document does, as far as a store sees it: a document of the window for all readings.
BlobJoin count_join() {
    return [](const Json& one, const Json& other, const std::vector<BlobReading>& readings, std::uint64_t revision) -> Result<std::string> {
        if (!(*one.find("window") == *other.find("window"))) return Error{"bad_window", "two windows"};
        Json joined = one;
        std::erase_if(joined.members(), [](const Json::Member& m) { return m.first == "epoch" || m.first == "joined" || m.first == "readings" || m.first == "last_seq"; });
        joined.set("revision", Json::integer(static_cast<std::int64_t>(revision)));
        Json statistics = Json::object();
        statistics.set("count", Json::integer(static_cast<std::int64_t>(readings.size())));
        joined.set("statistics", statistics);
        return joined.text();
    };
}

std::string ids_in(const std::string& document) {
    std::string ids;
    const auto json = Json::parse(document);
    for (const Json& r : json->find("readings")->items()) ids += std::string(*r.find_string("id")).substr(19, 5) + "=" + r.find("value")->number_text() + " ";
    return ids;
}

const char* const raw = "raw-events/2026-02-17/10-00-to-10-05.json.gz";
const char* const summary = "summaries/2026-02-17/10-00.json";

}  // namespace

TEST_CASE("blobs: what two logs have of a window is joined by the ids of the readings, in any order to the same bytes (decisions.md 12)") {
    // The log of before, and one that was restored from a backup of a minute in: both took on from there what the other one has not.
    std::map<std::string, std::string> first_way;
    for (const bool swapped : {false, true}) {
        CAPTURE(swapped);
        House house(1);
        house.join = count_join();
        const auto before = [&] {
            house.readings("SSD-7", {1, 2, 3});            // 10:00:00 to 10:00:10
            house.readings("SSD-7", {4, 5}, ten + 60s);    // only here
            house.window("SSD-7", 5, 0, 5);
            house.write();
        };
        const auto restored = [&] {
            house.readings("SSD-7", {1, 2, 3});
            house.readings("SSD-7", {6}, ten + 120s);
            house.window("SSD-7", 4, 0, 4);
            house.write();
        };
        house.log.reset();
        house.open(swapped ? 2 : 1, "one");
        swapped ? restored() : before();
        house.log.reset();
        house.open(swapped ? 1 : 2, "two");
        swapped ? before() : restored();

        REQUIRE(house.files() == std::vector<std::string>{raw, summary});
        CHECK(ids_in(house.read(raw)) == "00:00=1 00:05=2 00:10=3 01:00=4 01:05=5 02:00=6 ");
        const auto document = Json::parse(house.read(raw)), sum = Json::parse(house.read(summary));
        CHECK(document->find("statistics")->find("count")->as_integer() == 6);
        CHECK(document->find("epoch")->is_null());
        REQUIRE(document->find("joined")->items().size() == 2);
        CHECK(document->find("revision")->as_integer() == 1);
        CHECK(sum->find("statistics")->find("count")->as_integer() == 6);
        CHECK_FALSE(sum->find("readings"));
        std::map<std::string, std::string> found{{raw, house.read(raw)}, {summary, house.read(summary)}};
        if (!swapped) first_way = found;
        CHECK(found == first_way);

        // The same again changes nothing; a correction of either log is joined too, and never replaces what the other has.
        for (const char* reader : {"store/files", "store/remote"}) {
            Commit again;
            again.reader = reader;
            again.position = CommitNo{0};
            REQUIRE(house.log->commit(std::move(again)).ok());
        }
        house.write();
        CHECK(house.read(raw) == found[raw]);
        CHECK(house.read(summary) == found[summary]);
        house.readings("SSD-7", {7}, ten + 180s);
        house.window("SSD-7", 6, 1, house.log->info("pools")->head.value);
        house.write();
        CHECK(ids_in(house.read(raw)) == "00:00=1 00:05=2 00:10=3 01:00=4 01:05=5 02:00=6 03:00=7 ");
        CHECK(Json::parse(house.read(summary))->find("statistics")->find("count")->as_integer() == 7);
        CHECK(Json::parse(house.read(raw))->find("revision")->as_integer() == 2);
    }
}

TEST_CASE("blobs: where one log has all that the other has, its document stands as it is") {
    for (const bool larger_first : {false, true}) {
        House house(1);
        house.join = count_join();
        for (const bool larger : {larger_first, !larger_first}) {
            house.log.reset();
            house.open(larger ? 1 : 2, larger ? "one" : "two");
            house.readings("SSD-7", {1, 2});
            if (larger) house.readings("SSD-7", {3}, ten + 60s);
            house.window("SSD-7", larger ? 3 : 2, 0, larger ? 3 : 2);
            house.write();
        }
        REQUIRE(house.files() == std::vector<std::string>{raw, summary});
        CHECK(ids_in(house.read(raw)) == "00:00=1 00:05=2 01:00=3 ");
        CHECK(Json::parse(house.read(raw))->find_string("epoch").has_value());
        CHECK(Json::parse(house.read(summary))->find("statistics")->find("count")->as_integer() == 3);
    }
}

TEST_CASE("blobs: killed between the two objects of a joined window, the next start brings the summary to the raw one's state (D2)") {
    House house(1);
    house.join = count_join();
    house.readings("SSD-7", {1, 2});
    house.readings("SSD-7", {3}, ten + 60s);
    house.window("SSD-7", 3, 0, 3);
    house.write();
    house.log.reset();
    house.open(2, "two");
    house.readings("SSD-7", {1, 2});
    house.readings("SSD-7", {4}, ten + 120s);
    house.window("SSD-7", 3, 0, 3);
    house.write();
    REQUIRE(Json::parse(house.read(summary))->find("epoch")->is_null());
    // Now this log gets what the other had, too: its document alone holds everything.
    house.readings("SSD-7", {3}, ten + 60s);
    house.window("SSD-7", 4, 1, 4);
    house.fault = [](FilePoint point, const std::string& name) { return point == FilePoint::create_temporary && name.ends_with("10-00.json") ? ENOSPC : 0; };
    house.store()->poll();
    CHECK(Json::parse(house.read(raw))->find_string("epoch").has_value());
    CHECK(Json::parse(house.read(summary))->find("epoch")->is_null());
    house.fault = nullptr;
    house.store()->poll();
    // The service takes the raw object (look, write) and does not answer for the summary; the same store tries again, or a new one.
    for (const bool same_store : {true, false}) {
        const auto before = *house.objects;
        int calls = 0;
        house.remote_fault = [&] { return ++calls == 3 ? MemoryService::Fault::before : MemoryService::Fault::none; };
        const auto first = house.remote();
        const auto next = first->poll();
        REQUIRE(next.has_value());
        CHECK(house.objects->at(raw).bytes != before.at(raw).bytes);
        CHECK(house.objects->at(summary).bytes == before.at(summary).bytes);
        house.clock.advance_to(*next);
        const auto again = same_store ? nullptr : house.remote();
        (again ? again : first)->poll();
        house.check_remote();
        if (!same_store) break;
        *house.objects = before;
        Commit back;
        back.reader = "store/remote";
        back.position = CommitNo{0};
        REQUIRE(house.log->commit(std::move(back)).ok());
    }
    CHECK(house.files() == std::vector<std::string>{raw, summary});
    CHECK(Json::parse(house.read(summary))->find("statistics")->find("count")->as_integer() == 4);
    CHECK(ids_in(house.read(raw)) == "00:00=1 00:05=2 01:00=3 02:00=4 ");
}

TEST_CASE("blobs: two logs of one feed whose readings have no ids of their own are not added up, but stand side by side") {
    House house(1);
    house.join = count_join();
    house.readings("SSD-7", {1, 2, 3});
    house.window("SSD-7", 3, 0, 3);
    house.write();
    house.log.reset();
    house.open(2, "two");
    house.readings("SSD-7", {1, 2, 3}, ten + 300ms);  // the same, taken a little later and numbered by another weir
    house.window("SSD-7", 3, 0, 3);
    // Also when it is killed between its raw object and its summary: the other's summary is not replaced by the next start.
    const std::string theirs = house.read(summary);
    house.fault = [](FilePoint point, const std::string& name) { return point == FilePoint::create_temporary && name.find("/summaries/") != name.npos ? ENOSPC : 0; };
    house.store()->poll();
    CHECK(house.files().size() == 3);
    house.fault = nullptr;
    house.store()->poll();
    int calls = 0;  // look; look and write of the sibling; look at the summary
    house.remote_fault = [&] { return ++calls == 4 ? MemoryService::Fault::before : MemoryService::Fault::none; };
    const auto remote = house.remote();
    const auto next = remote->poll();
    REQUIRE(next.has_value());
    CHECK(house.objects->size() == 3);
    house.clock.advance_to(*next);
    remote->poll();
    house.check_remote();
    CHECK(house.read(summary) == theirs);
    CHECK(house.files().size() == 4);
    CHECK(Json::parse(house.read(raw))->find("readings")->items().size() == 3);
}

TEST_CASE("blobs: where one id stands for two readings, ids say nothing, and the two logs stand side by side") {
    House house(1);
    house.join = count_join();
    house.readings("SSD-7", {1, 2, 3});
    house.window("SSD-7", 3, 0, 3);
    house.write();
    house.log.reset();
    house.open(2, "two");
    house.readings("SSD-7", {1, 9});  // 10:00:05 is 9 here
    house.readings("SSD-7", {4}, ten + 60s);
    house.window("SSD-7", 3, 0, 3);
    house.write();
    CHECK(house.files().size() == 4);
    CHECK(ids_in(house.read(raw)) == "00:00=1 00:05=2 00:10=3 ");
}

TEST_CASE("blobs: bundles of two logs are joined key by key") {
    House house(1);
    house.join = count_join();
    house.options.bundle = Bundle::always;
    house.options.layout = BlobLayout::raw;
    for (const int log : {1, 2}) {
        house.log.reset();
        house.open(static_cast<std::uint64_t>(log), std::to_string(log));
        house.readings("both", {1, 2});
        house.readings("both", {log}, ten + log * 60s);
        house.window("both", 3, 0, 3);
        house.readings("only-" + std::to_string(log), {9});
        house.window("only-" + std::to_string(log), 1, 0, 4);
        house.write();
    }
    REQUIRE(house.files().size() == 1);
    const auto bundle = Json::parse(house.read(house.files()[0]));
    const auto& results = bundle->find("results")->items();
    REQUIRE(results.size() == 3);
    CHECK(results[0].find("readings")->items().size() == 4);
    CHECK(results[0].find("joined")->items().size() == 2);
    CHECK(*results[1].find_string("key") == "only-1");
    CHECK(results[1].find_string("epoch") != results[2].find_string("epoch"));
    CHECK(bundle->find("epoch")->is_null());
}

TEST_CASE("blobs: another log that writes between the look and the rename loses nothing (decisions.md 12)") {
    for (const bool there_before : {false, true}) {
        CAPTURE(there_before);
        House house(1);
        house.join = count_join();
        house.options.layout = BlobLayout::raw;
        const std::string file = "2026-02-17/10-00-to-10-05.json";
        house.readings("SSD-7", {1, 2});
        house.window("SSD-7", 2, 0, 2);
        house.store()->poll();
        const std::string first = house.read(file);
        house.readings("SSD-7", {3}, ten + 60s);
        house.window("SSD-7", 3, 1, 3);
        house.store()->poll();
        const std::string second = house.read(file);
        house.log.reset();
        const std::string full_name = house.path + "/out/" + file;
        if (there_before) REQUIRE(Filesystem().write_atomically(full_name, first).ok());
        else REQUIRE(Filesystem().remove(full_name).ok());
        house.open(2, "two");
        house.readings("SSD-7", {4}, ten + 120s);
        house.window("SSD-7", 1, 0, 1);
        int times = 0;
        house.fault = [&](FilePoint point, const std::string& name) {
            // Its revision 1 comes at the last moment.
            if (point == FilePoint::rename && name == full_name && times++ == 0) REQUIRE(Filesystem().write_atomically(full_name, second).ok());
            return 0;
        };
        house.store()->poll();
        CHECK(times == 2);
        CHECK(ids_in(house.read(file)) == "00:00=1 00:05=2 01:00=3 02:00=4 ");
    }
}

TEST_CASE("blobs: whatever step of the disk fails, the next try ends with the same files (D2, decisions.md 34)") {
    for (const BlobProfile profile : {BlobProfile::s0, BlobProfile::weir}) {
    std::string wanted;
    for (int fail_at = -1; fail_at < 80; ++fail_at) {
        CAPTURE(fail_at);
        House house;
        house.options.profile = profile;
        house.readings("SSD-7", {45, 46, 47});
        house.window("SSD-7", 3, 0, 3);
        house.window("SSD-7", 3, 1, 3);
        house.window("SSD-7", 0, 0, 0, ten + 5min);
        int step = 0;
        bool hit = false;
        house.fault = [&](FilePoint, const std::string&) {
            if (step++ != fail_at) return 0;
            hit = true;
            return ENOSPC;
        };
        auto store = house.store();
        store->poll();
        if (hit) CHECK(store->position().value < house.log->head().value);
        store.reset();  // killed
        house.fault = nullptr;
        store = house.store();
        store->poll();
        CHECK(*house.log->position("store/files") == store->position());
        std::string all;
        for (const auto& name : house.files()) all += name + "\n" + house.read(name) + "\n";
        if (fail_at < 0) wanted = all;
        CHECK(all == wanted);
        if (fail_at >= 0 && !hit) break;
    }
    CHECK(!wanted.empty());
    }
}

TEST_CASE("blobs: names say where a window begins and ends, also with seconds, over midnight, and where clocks go back") {
    BlobName name;
    name.layout = BlobLayout::raw;
    CHECK(raw_name(name, ten, ten + 5min) == "2026-02-17/10-00-to-10-05.json");
    CHECK(raw_name(name, ten + 30s, ten + 60s) == "2026-02-17/10-00-30-to-10-01-00.json");
    CHECK(raw_name(name, "2026-02-17T23:55:00Z"_utc, "2026-02-18T00:00:00Z"_utc) == "2026-02-17/23-55-to-00-00.json");
    CHECK(raw_name(name, "2026-02-28T23:00:00Z"_utc, "2026-03-01T01:00:00Z"_utc) == "2026-02-28/23-00-to-2026-03-01-01-00.json");
    CHECK(raw_name(name, "2026-02-17T00:00:00Z"_utc, "2026-02-18T00:00:00Z"_utc) == "2026-02-17/00-00-to-00-00.json");
    name.window = "5min";
    name.key = "Zürich 1";
    CHECK(raw_name(name, ten, ten + 5min) == "Z%C3%BCrich%201/2026-02-17/10-00-to-10-05-5min.json");
    BlobName local;
    local.layout = BlobLayout::summary;
    local.zone = *Zone::find("Europe/Zurich");
    CHECK(summary_name(local, "2026-10-25T00:00:00Z"_utc) == "2026-10-25/02-00-summary.json");
    CHECK(summary_name(local, "2026-10-25T01:00:00Z"_utc) == "2026-10-25/02-00+0100-summary.json");
    CHECK(path_step("..") == "%2E.");
    CHECK(path_step("") == "%");
    CHECK(path_step("a%b") == "a%25b");
}
