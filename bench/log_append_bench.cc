// T11: events a second that the log acknowledges after fsync, in groups, beside SQLite with a row an event and a unique index
// over ids, which is what people write first. Both in one run, rounds interleaved (A, B, A again as the control).
//
//   log_append_bench [--rounds 9] [--events 200000] [--group 1000] [--ids counted|random] [--folder /tmp] [--peer no]
#include <sqlite3.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/clock.h"
#include "base/mailbox.h"
#include "base/prng.h"
#include "log/sqlite_log.h"

using namespace weir;

namespace {

struct Options {
    std::size_t rounds = 9, events = 200'000, group = 1000;
    bool random_ids = false;
    bool with_peer = true;  // without: for a profiler
    std::string folder = "/tmp";
};

// 300 bytes an event: 32 different keys, a JSON object that changes with each event, and ids that count up (a feed's) or
// are drawn (those that clients bring, as UUIDs are).
struct Input {
    std::vector<std::string> ids, keys, data;
    Input(std::size_t events, std::uint64_t seed, bool random_ids) {
        Prng prng(seed);
        for (std::size_t i = 0; i < events; ++i) {
            if (random_ids) {
                char text[33];
                std::snprintf(text, sizeof text, "%016lx%016lx", prng.next(), prng.next());
                ids.push_back(text);
            } else {
                ids.push_back("bench/" + std::to_string(seed) + "/" + std::to_string(i));
            }
            keys.push_back("SSD-" + std::to_string(i % 32));
            std::string json = "{\"currentfill\":" + std::to_string(prng.below(500)) + ",\"session\":\"";
            while (json.size() < 258) json += static_cast<char>('a' + prng.below(26));
            data.push_back(json + "\"}");
        }
    }
};

double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Measured {
    double rate;
    std::vector<double> milliseconds;  // from submitting a group to its answer
};

Measured through_the_log(const Options& options, const Input& input) {
    const std::string folder = options.folder + "/weir-bench-log";
    std::filesystem::remove_all(folder);
    SystemClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder;
    setup.clock = &clock;
    auto log = SqliteLog::open(setup);
    if (!log) {
        std::fprintf(stderr, "%s\n", log.error().message.c_str());
        std::exit(1);
    }
    Measured measured{};
    std::mutex mutex;
    std::condition_variable answered;
    std::size_t left = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < input.ids.size(); i += options.group) {
        const std::size_t end = std::min(i + options.group, input.ids.size());
        Append append{"bench", {}, {}};
        append.events.reserve(end - i, (end - i) * 300);
        const Timestamp now = clock.now();
        for (std::size_t k = i; k < end; ++k)
            append.events.add({input.ids[k], "reading", input.keys[k], "push", input.data[k], now, now});
        Commit commit;
        commit.appends.push_back(std::move(append));
        {
            // Four groups under way: what a handful of feeds, or one that does not wait for each answer, comes to.
            std::unique_lock lock(mutex);
            answered.wait(lock, [&] { return left < 4; });
            ++left;
        }
        const auto sent = std::chrono::steady_clock::now();
        (*log)->submit(std::move(commit), [&, sent](Result<Committed> result) {
            if (!result) {
                std::fprintf(stderr, "%s\n", result.error().message.c_str());
                std::exit(1);
            }
            std::lock_guard lock(mutex);
            measured.milliseconds.push_back(seconds_since(sent) * 1e3);
            --left;
            answered.notify_one();
        });
    }
    {
        std::unique_lock lock(mutex);
        answered.wait(lock, [&] { return left == 0; });
    }
    measured.rate = static_cast<double>(input.ids.size()) / seconds_since(start);
    (*log)->stop();
    log.value().reset();
    std::filesystem::remove_all(folder);
    return measured;
}

double row_per_event(const Options& options, const Input& input) {
    const std::string file = options.folder + "/weir-bench-rows.db";
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(file + end);
    sqlite3* db = nullptr;
    const auto must = [&](int code) {
        if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return;
        std::fprintf(stderr, "%s\n", sqlite3_errmsg(db));
        std::exit(1);
    };
    must(sqlite3_open(file.c_str(), &db));
    must(sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                          "CREATE TABLE event (seq INTEGER PRIMARY KEY, stream TEXT NOT NULL, id TEXT NOT NULL, type TEXT, key TEXT, source TEXT, time INTEGER, ingested INTEGER, data TEXT, "
                          "UNIQUE (stream, id))",
                      nullptr, nullptr, nullptr));
    sqlite3_stmt* insert = nullptr;
    must(sqlite3_prepare_v2(db, "INSERT INTO event (stream, id, type, key, source, time, ingested, data) VALUES ('bench',?,'reading',?,'push',?,?,?) ON CONFLICT DO NOTHING", -1, &insert, nullptr));
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < input.ids.size(); i += options.group) {
        must(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr));
        for (std::size_t k = i; k < std::min(i + options.group, input.ids.size()); ++k) {
            const auto text = [&](int n, const std::string& s) { sqlite3_bind_text(insert, n, s.data(), static_cast<int>(s.size()), SQLITE_STATIC); };
            text(1, input.ids[k]);
            text(2, input.keys[k]);
            sqlite3_bind_int64(insert, 3, static_cast<sqlite3_int64>(k));
            sqlite3_bind_int64(insert, 4, static_cast<sqlite3_int64>(k));
            text(5, input.data[k]);
            must(sqlite3_step(insert));
            sqlite3_reset(insert);
        }
        must(sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr));
    }
    const double rate = static_cast<double>(input.ids.size()) / seconds_since(start);
    sqlite3_finalize(insert);
    sqlite3_close(db);
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(file + end);
    return rate;
}

double quantile(std::vector<double> values, double q) {
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, static_cast<std::size_t>(q * static_cast<double>(values.size())))];
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const auto number = [&] { return static_cast<std::size_t>(std::strtoull(argv[i + 1], nullptr, 10)); };
        if (name == "--rounds") options.rounds = number();
        if (name == "--events") options.events = number();
        if (name == "--group") options.group = number();
        if (name == "--ids") options.random_ids = std::string_view(argv[i + 1]) == "random";
        if (name == "--folder") options.folder = argv[i + 1];
        if (name == "--peer") options.with_peer = std::string_view(argv[i + 1]) != "no";
    }
    std::vector<double> logs, rows, ratios, controls, milliseconds;
    for (std::size_t round = 0; round < options.rounds; ++round) {
        const Input input(options.events, round + 1, options.random_ids);
        const Measured a = through_the_log(options, input);
        const double b = options.with_peer ? row_per_event(options, input) : 1;
        const Measured again = through_the_log(options, input);
        logs.push_back(a.rate);
        rows.push_back(b);
        ratios.push_back(a.rate / b);
        controls.push_back(again.rate / a.rate);
        milliseconds.insert(milliseconds.end(), a.milliseconds.begin(), a.milliseconds.end());
        std::printf("round %2zu: log %9.0f events/s, rows %9.0f, ratio %5.2f, control A/A %4.2f\n", round + 1, a.rate, b, a.rate / b, again.rate / a.rate);
        std::fflush(stdout);
    }
    std::printf("median: log %.0f events/s, rows %.0f, ratio %.2f (quartiles %.2f to %.2f), control %.2f (%.2f to %.2f)\n", quantile(logs, 0.5),
                quantile(rows, 0.5), quantile(ratios, 0.5), quantile(ratios, 0.25), quantile(ratios, 0.75), quantile(controls, 0.5),
                quantile(controls, 0.25), quantile(controls, 0.75));
    std::printf("group of %zu, at most 4 under way, answered after fsync: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms\n", options.group,
                quantile(milliseconds, 0.5), quantile(milliseconds, 0.99), quantile(milliseconds, 0.999));
}
