#pragma once
// For tests only: a log with hand-made windows, and a store on it.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "log/log_test_support.h"
#include "log/sqlite_log.h"
#include "stores/blob_store.h"
#include "stores/folder_store.h"

namespace weir {

/// Files below a folder, by name, with their bytes: temporary ones too.
inline std::map<std::string, std::string> files_below(const std::string& folder) {
    std::map<std::string, std::string> files;
    std::error_code missing;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, missing)) {
        if (!entry.is_regular_file()) continue;
        std::ostringstream bytes;
        bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
        files[std::filesystem::relative(entry.path(), folder).string()] = bytes.str();
    }
    return files;
}

inline std::string names_of_files(const std::map<std::string, std::string>& files) {
    std::string names;
    for (const auto& [name, bytes] : files) names += (names.empty() ? "" : " ") + name;
    return names;
}

/// Where two folders differ, for messages: empty when they are the same.
inline std::string difference(const std::map<std::string, std::string>& found, const std::map<std::string, std::string>& expected) {
    std::string text;
    for (const auto& [name, bytes] : expected)
        if (!found.contains(name)) text += "missing " + name + "\n";
        else if (found.at(name) != bytes) text += "other bytes in " + name + ": " + found.at(name) + "\n expected " + bytes + "\n";
    for (const auto& [name, bytes] : found)
        if (!expected.contains(name)) text += "too many: " + name + "\n";
    return text;
}

/// The data of a window event as the window processor writes it (docs/http-api.md), with invented statistics.
struct MadeWindow {
    std::string name = "5min", key = "SSD-7", field = "/currentfill";
    Timestamp start = "2026-02-17T10:00:00Z"_utc, end = "2026-02-17T10:05:00Z"_utc;
    int revision = 0;
    std::uint64_t first_seq = 0, last_seq = 0;
    std::string statistics = R"({"count":0,"min":null,"max":null,"avg":null,"median":null,"first":null,"last":null})";
    std::string reason;

    std::string text() const {
        std::string out;
        JsonWriter json(out);
        json.object().name("window").object().member("name", name).member("kind", "tumbling").member("start", start).member("end", end);
        json.member("duration_seconds", static_cast<double>((end - start).count()) / 1e6).end();
        json.member("stream", "pools").member("key", key).member("field", field).member("revision", revision);
        json.name("statistics").raw(statistics).name("coverage").object().name("reason");
        if (reason.empty()) json.null();
        else json.value(reason);
        json.end().name("first_seq");
        if (first_seq > 0) json.value(first_seq).member("last_seq", last_seq);
        else json.null().name("last_seq").null();
        json.end();
        return out;
    }
};

/// A log in a folder of its own, and readings and windows to put into it.
class LogRig {
public:
    explicit LogRig(StreamTable streams = {}, std::uint64_t tail_bytes = 8 << 20) {
        SqliteLog::Setup setup;
        setup.options.tail_bytes = tail_bytes;
        setup.options.path = folder_.path() + "/log";
        setup.options.durability = Durability::process;
        setup.streams = std::move(streams);
        setup.clock = &clock;
        setup.keep_every = Duration(0);
        setup.epoch_seed = 7;
        auto opened = SqliteLog::open(std::move(setup));
        REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? std::string() : opened.error().message));
        log_ = *std::move(opened);
    }
    SqliteLog& log() { return *log_; }
    std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

    /// Appends one reading and gives its seq.
    std::uint64_t read(const std::string& key, Timestamp time, const std::string& value, const std::string& stream = "pools") {
        const std::string data = R"({"uid":")" + key + R"(","currentfill":)" + value + R"(,"occupancy_percentage":60})";
        const std::string id = "r" + std::to_string(++readings_);
        EventView event;
        event.id = id;
        event.type = "reading";
        event.key = key;
        event.source = "websocket";
        event.data = data;
        event.time = event.ingested = time;
        return append(stream, {event});
    }
    /// Appends windows in one commit.
    void close(const std::vector<MadeWindow>& windows, const std::string& stream = "pools.5min") {
        std::vector<std::string> texts, ids;
        for (const MadeWindow& w : windows) {
            texts.push_back(w.text());
            ids.push_back("w" + std::to_string(++closed_));
        }
        std::vector<EventView> events;
        for (std::size_t i = 0; i < windows.size(); ++i) {
            EventView event;
            event.id = ids[i];
            event.type = "window";
            event.key = windows[i].key;
            event.source = "window/5min";
            event.data = texts[i];
            event.time = windows[i].start;
            event.ingested = clock.now();
            events.push_back(event);
        }
        append(stream, events);
    }
    std::uint64_t append(const std::string& stream, const std::vector<EventView>& events) {
        Commit commit;
        commit.appends.push_back({stream, {}, {}});
        for (const EventView& event : events) commit.appends.back().events.add(event);
        const auto committed = log_->commit(std::move(commit));
        REQUIRE_MESSAGE(committed.ok(), (committed.ok() ? std::string() : committed.error().message));
        return committed->appended.front().seqs.front().value;
    }

    ManualClock clock{"2026-02-17T12:00:00Z"_utc};

private:
    TemporaryFolder folder_;
    std::unique_ptr<SqliteLog> log_;
    std::uint64_t readings_ = 0, closed_ = 0;
};

/// A store on such a log, its numbers, and what it shows.
struct StoreRig {
    std::string name = "files";
    StoreOptions options;
    std::vector<BlobSource> sources{{"5min", "pools.5min", "pools", {*JsonPath::parse("/currentfill")}}};
    Metrics metrics;
    StatusBoard board;

    std::unique_ptr<BlobStore> make(LogRig& rig, Filesystem filesystem = {}) {
        auto store = std::make_unique<BlobStore>(name, options, sources, std::make_unique<FolderStore>(options.path, std::move(filesystem), Fsync::no),
                                                 rig.log(), rig.clock, metrics, board, 1);
        REQUIRE(store->prepare().ok());
        return store;
    }
    /// A new store writes what is due, and ends.
    void run(LogRig& rig) { CHECK_FALSE(make(rig)->poll().has_value()); }
    Json status() const {
        const auto posted = board.read("stores/");
        REQUIRE(posted.size() == 1);
        return *Json::parse(posted.front().second);
    }
    std::uint64_t counted(const std::string& metric) { return metrics.counter(metric, "", {{"store", name}}).value(); }
};

}  // namespace weir
