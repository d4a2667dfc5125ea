// `weir import` in a process of its own, killed at named points and started again: the log, the windows and the files are those of an
// import that nobody disturbed (D2, decisions.md 34).
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "app/commands/verbs.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/filesystem.h"
#include "event/json.h"
#include "log/sqlite_log.h"
#include "log/verify.h"
#include "net/gzip.h"

using namespace weir;

namespace {

const Timestamp ten = "2026-02-17T10:00:00Z"_utc;

class Place {
public:
    Place() {
        char name[] = "/tmp/weir-import-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path = name;
        write_config("");
    }
    ~Place() { std::filesystem::remove_all(path); }
    /// Three pools every ten seconds, with late ones, gaps and lines that are none.
    void write_recording(int minutes, const std::string& name = "old.ndjson") {
        std::ofstream out(path + "/" + name);
        for (int s = 0; s < minutes * 60; s += 10) {
            const Timestamp t = ten + std::chrono::seconds(s);
            if (s % 600 >= 480) continue;  // silent for two minutes of every ten
            if (s % 370 == 100) out << "not a line of a recording\n";
            for (int pool = 1; pool <= 3; ++pool) {
                const Timestamp at = s % 130 == 0 && pool == 2 ? t - 14s : t;
                out << R"({"received":")" << to_rfc3339(t) << R"(","message":{"uid":"P)" << pool << R"(","v":)" << (s / 10 * pool) % 83 << R"(,"t":")" << to_rfc3339(at)
                    << "\"}}\n";
            }
        }
    }
    /// The same, packed. `kept`: how much of the bytes.
    void pack(const std::string& from, const std::string& to, double kept) {
        std::string bytes = net::gzip(*Filesystem().read(path + "/" + from));
        bytes.resize(static_cast<std::size_t>(static_cast<double>(bytes.size()) * kept));
        REQUIRE(Filesystem().write_atomically(path + "/" + to, bytes).ok());
    }
    enum class Files : bool { no, yes };
    void write_config(const std::string& more, Files files = Files::yes) {
        std::ofstream(path + "/weir.toml") << "[log]\npath = \"" << path << "/log\"\ndurability = \"process\"\n"
                                           << "[feeds.pools]\n[[feeds.pools.sources]]\nkind = \"websocket\"\nurl = \"ws://127.0.0.1:1/\"\n"
                                           << "[feeds.pools.decode]\nkey = [\"/uid\"]\nvalue = [\"/v\"]\ntime = [\"/t\"]\n" << more
                                           << "[windows.5min]\nstream = \"pools\"\n[windows.1min]\nstream = \"pools\"\nsize = \"1min\"\n"
                                           << (files == Files::no ? "" : "[stores.files]\nkind = \"folder\"\npath = \"" + path + "/files\"\n");
    }
    enum class End { done, failed, killed, other };
    /// In a child: this process has no threads to lose.
    End import(const char* point = nullptr, std::uint32_t count = 1, const std::string& name = "old.ndjson") {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            const int to = ::open((path + "/said").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
            ::dup2(to, 1);
            ::dup2(to, 2);
            if (point) failpoint::arm(point, count);
            std::vector<std::string> words{"import", "-c", path + "/weir.toml", path + "/" + name};
            std::vector<char*> argv;
            for (auto& word : words) argv.push_back(word.data());
            argv.push_back(nullptr);
            ::_exit(run_import(static_cast<int>(words.size()), argv.data()));
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGKILL ? End::killed : End::other;
        return WEXITSTATUS(status) == 0 ? End::done : End::failed;
    }
    std::string said() const { return *Filesystem().read(path + "/said"); }

    /// Every event of the data and of the windows, with seq, and every file, with what it holds; the log's epoch taken out.
    std::map<std::string, std::string> everything() {
        std::map<std::string, std::string> all;
        const ManualClock clock(ten);
        SqliteLog::Setup setup;
        setup.options.path = path + "/log";
        setup.clock = &clock;
        setup.keep_every = Duration(0);
        auto log = SqliteLog::open(std::move(setup));
        REQUIRE(log.ok());
        for (const char* stream : {"pools", "pools.5min", "pools.1min"}) {
            const auto read = (*log)->read(stream, Seq{1}, 10'000'000);
            REQUIRE(read.ok());
            for (const auto& batch : *read)
                for (std::size_t i = 0; i < batch->events.size(); ++i) {
                    const EventView e = batch->events[i];
                    char seq[24];
                    std::snprintf(seq, sizeof seq, "%08llu", static_cast<unsigned long long>(batch->seq_of(i).value));
                    all[std::string(stream) + " " + seq] = std::string(e.id) + " " + std::string(e.key) + " " + to_rfc3339(e.time) + " " +
                                                           to_rfc3339(e.ingested) + " " + std::string(e.data);
                    // When what is derived was committed depends on how far the readings were by then; nothing is computed from it here.
                    if (std::string_view(stream) == "pools") all[std::string(stream) + " " + seq] += to_rfc3339(batch->commit_time);
                }
        }
        const std::string epoch = to_text((*log)->info("pools")->epoch);
        std::error_code none;  // where there is no store of files
        for (const auto& entry : std::filesystem::recursive_directory_iterator(path + "/files", none)) {
            if (!entry.is_regular_file()) continue;
            std::string bytes = *Filesystem().read(entry.path());
            if (net::is_gzip(bytes)) bytes = *net::gunzip(bytes, 1 << 24);
            for (auto at = bytes.find(epoch); at != bytes.npos; at = bytes.find(epoch)) bytes.replace(at, epoch.size(), "EPOCH");
            all["file " + std::filesystem::relative(entry.path(), path + "/files").string()] = bytes;
        }
        return all;
    }
    std::string path;
};

std::string first_difference(const std::map<std::string, std::string>& found, const std::map<std::string, std::string>& expected) {
    for (const auto& [name, text] : expected) {
        const auto it = found.find(name);
        if (it == found.end()) return "missing: " + name;
        if (it->second != text) return name + "\n  " + it->second.substr(0, 1500) + "\n  instead of\n  " + text.substr(0, 1500);
    }
    for (const auto& [name, text] : found)
        if (!expected.contains(name)) return "too much: " + name;
    return "";
}

}  // namespace

TEST_CASE("import: killed at a named point and started again, log, windows and files are those of an undisturbed one (D2, decisions.md 34)") {
    constexpr int minutes = 34;
    Place quiet;
    quiet.write_recording(minutes);
    REQUIRE_MESSAGE(quiet.import() == Place::End::done, quiet.said());
    const auto expected = quiet.everything();
    CHECK(std::count_if(expected.begin(), expected.end(), [](const auto& e) { return e.first.starts_with("pools 0"); }) > 480);
    CHECK(std::count_if(expected.begin(), expected.end(), [](const auto& e) { return e.first.starts_with("pools.5min"); }) >= 18);
    CHECK(std::count_if(expected.begin(), expected.end(), [](const auto& e) { return e.first.starts_with("file "); }) >= 100);

    // The recording has no ticks: they come on a grid of its own time, so a silent window closes in the silence (decisions.md 7).
    int silent = 0;
    for (const auto& [name, text] : expected) {
        if (!name.starts_with("pools.1min")) continue;
        const auto document = Json::parse(text.substr(text.find('{')));
        REQUIRE(document.ok());
        if (document->find("statistics")->find("count")->as_integer() != 0 || document->find("revision")->as_integer() != 0) continue;
        const Json& window = *document->find("window");
        const auto closed = parse_rfc3339(*window.find_string("closed_at")), end = parse_rfc3339(*window.find_string("end"));
        REQUIRE((closed && end));
        CHECK(*closed - *end >= 10s);
        CHECK(*closed - *end <= 15s);
        ++silent;
    }
    CHECK(silent >= 9);

    struct Point {
        const char* name;
        std::vector<std::uint32_t> counts;
    };
    // State is saved each three hours of a history, and commits are few: their points want a longer one.
    constexpr int hours = 10;
    Place long_quiet;
    long_quiet.write_config("", Place::Files::no);
    long_quiet.write_recording(hours * 60);
    REQUIRE_MESSAGE(long_quiet.import() == Place::End::done, long_quiet.said());
    const auto expected_of_long = long_quiet.everything();

    for (const Point& point : {Point{"store.before_object", {1, 17}}, Point{"store.after_object", {1, 30}}, Point{"store.before_position", {1, 1}},
                               Point{"store.after_position", {1}}, Point{"file.before_rename", {1, 25}}, Point{"file.after_rename", {1, 25}},
                               Point{"runner.before_output", {1, 9}}, Point{"runner.after_output", {1, 9}}, Point{"runner.before_snapshot", {1, 2}},
                               Point{"runner.after_snapshot", {1, 2}}, Point{"log.before_commit", {2, 9}}, Point{"log.after_commit", {2, 9}},
                               Point{"import.before_done", {1}}}) {
        CAPTURE(std::string(point.name));
        const std::string_view name = point.name;
        const bool is_long = name.ends_with("_snapshot") || name.starts_with("log.");
        Place place;
        if (is_long) place.write_config("", Place::Files::no);
        place.write_recording(is_long ? hours * 60 : minutes);
        for (const std::uint32_t count : point.counts) {
            CAPTURE(count);
            const auto end = place.import(point.name, count);
            // A point that was not hit proves nothing.
            CHECK_MESSAGE(end == Place::End::killed, place.said());
        }
        CHECK_MESSAGE(place.import() == Place::End::done, place.said());
        CHECK(first_difference(place.everything(), is_long ? expected_of_long : expected) == "");
        const auto report = verify_log(place.path + "/log");
        REQUIRE(report.ok());
        CHECK(report->problems.empty());
    }
}

TEST_CASE("import: a file is taken once, and one that was cut short only goes on with the same bytes and rules (decisions.md 4)") {
    Place place;
    place.write_recording(12);
    REQUIRE(place.import("log.after_commit", 4) == Place::End::killed);
    const std::string bytes = *Filesystem().read(place.path + "/old.ndjson");
    // Another line at its begin would shift all that follows.
    REQUIRE(Filesystem().write_atomically(place.path + "/old.ndjson", bytes.substr(bytes.find('\n') + 1)).ok());
    CHECK(place.import() == Place::End::failed);
    CHECK(place.said().find("cut short") != std::string::npos);
    REQUIRE(Filesystem().write_atomically(place.path + "/old.ndjson", bytes).ok());
    place.write_config("keys = [\"P1\"]\n");
    CHECK(place.import() == Place::End::failed);
    place.write_config("");
    CHECK_MESSAGE(place.import() == Place::End::done, place.said());
    CHECK(place.said().find("goes on where that ended") != std::string::npos);
    const auto all = place.everything();
    CHECK(place.import() == Place::End::failed);
    CHECK(place.said().find("imported into feed pools already") != std::string::npos);
    CHECK(first_difference(place.everything(), all) == "");
    Place quiet;
    quiet.write_recording(12);
    REQUIRE(quiet.import() == Place::End::done);
    CHECK(first_difference(all, quiet.everything()) == "");
}

TEST_CASE("import: a file that cannot be read to its end fails, and goes on there once it is repaired (decisions.md 4)") {
    constexpr int minutes = 12 * 60;
    Place place;
    place.write_config("", Place::Files::no);
    place.write_recording(minutes);
    place.pack("old.ndjson", "old.gz", 0.8);
    CHECK(place.import(nullptr, 1, "old.gz") == Place::End::failed);
    CHECK_MESSAGE(place.said().find("damaged") != std::string::npos, place.said());
    const auto part = place.everything();
    CHECK(part.size() > 1000);
    // Still damaged: nothing is twice.
    CHECK(place.import(nullptr, 1, "old.gz") == Place::End::failed);
    CHECK(first_difference(place.everything(), part) == "");
    // Another recording is no repaired one.
    place.write_recording(minutes / 2, "other.ndjson");
    const std::string other = *Filesystem().read(place.path + "/other.ndjson");
    REQUIRE(Filesystem().write_atomically(place.path + "/other.ndjson", other.substr(other.find('\n') + 1)).ok());
    place.pack("other.ndjson", "old.gz", 1);
    CHECK(place.import(nullptr, 1, "old.gz") == Place::End::failed);
    CHECK(place.said().find("cut short") != std::string::npos);

    place.pack("old.ndjson", "old.gz", 1);
    CHECK_MESSAGE(place.import(nullptr, 1, "old.gz") == Place::End::done, place.said());
    const auto all = place.everything();
    CHECK(place.import(nullptr, 1, "old.gz") == Place::End::failed);
    CHECK(place.said().find("already") != std::string::npos);
    Place quiet;
    quiet.write_config("", Place::Files::no);
    quiet.write_recording(minutes);
    quiet.pack("old.ndjson", "old.gz", 1);
    REQUIRE_MESSAGE(quiet.import(nullptr, 1, "old.gz") == Place::End::done, quiet.said());
    CHECK(first_difference(all, quiet.everything()) == "");
}
