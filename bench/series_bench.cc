// Thirty days of one key of 32, drawn from five-minute windows (issue: under 1 s): the time of GET /api/v1/series without the socket.
//
//     build/bench/series_bench [days] [keys]
//
// The log holds a reading a minute a key and the closed windows of each key, as the window processor writes them. Cold is the first
// question to a log that was just opened.
#include <ctime>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/clock.h"
#include "gateway/http/series.h"
#include "log/sqlite_log.h"

using namespace weir;

namespace {
/// CPU time of the process, so that what else the machine does is not measured.
double cpu_ms() { return static_cast<double>(std::clock()) * 1000 / CLOCKS_PER_SEC; }
}  // namespace

int main(int argc, char** argv) {
    const int days = argc > 1 ? std::atoi(argv[1]) : 30, keys = argc > 2 ? std::atoi(argv[2]) : 32;
    const SystemClock clock;
    const std::string folder = (std::filesystem::temp_directory_path() / "weir-series-bench").string();
    std::filesystem::remove_all(folder);
    const Timestamp begin = "2026-01-01T00:00:00Z"_utc, end = begin + Duration(86'400'000'000LL * days);
    auto open = [&] {
        SqliteLog::Setup setup;
        setup.options.path = folder;
        setup.options.durability = Durability::process;
        setup.clock = &clock;
        return SqliteLog::open(std::move(setup)).value();
    };
    {
        auto log = open();
        std::uint64_t n = 0;
        for (Timestamp t = begin; t < end; t = t + Duration(300'000'000)) {
            Commit commit;
            commit.at = t;
            commit.appends.resize(2);
            Append& readings = commit.appends[0];
            readings.stream = "pools";
            Append& windows = commit.appends[1];
            windows.stream = "pools.5min";
            for (int k = 0; k < keys; ++k) {
                const std::string key = "SSD-" + std::to_string(k);
                auto add = [&](Append& append, const char* type, Timestamp time, const std::string& data) {
                    EventView event;
                    const std::string id = std::to_string(++n);
                    event.id = id;
                    event.type = type;
                    event.key = key;
                    event.source = "bench";
                    event.data = data;
                    event.time = event.ingested = time;
                    append.events.add(event);
                };
                for (int m = 0; m < 5; ++m)
                    add(readings, "reading", t + Duration(60'000'000LL * m),
                        R"({"uid":")" + key + R"(","currentfill":)" + std::to_string((n * 7919) % 300) + R"(,"maxspace":300})");
                add(windows, "window", t,
                    R"({"window":{"name":"5min","kind":"tumbling","start":")" + to_rfc3339(t) + R"(","end":")" + to_rfc3339(t + Duration(300'000'000)) +
                        R"(","duration_seconds":300,"closed_at":")" + to_rfc3339(t + Duration(310'000'000)) + R"(","cut":null},"stream":"pools","key":")" + key +
                        R"(","field":"/currentfill","revision":0,"statistics":{"count":5,"min":)" + std::to_string(n % 50) +
                        R"(,"max":52,"avg":48.3,"median":48,"first":45,"last":52,"stddev":2.1,"p95":52,"distinct_changes":7,"trend":{"slope_per_minute":1.2,"direction":"rising"},"exact":true},)"
                        R"("coverage":{"expected":5,"received":5,"missing":0,"rejected":0,"rejected_reasons":{},"late":0,"duplicates":0,"ratio":1.0,"complete":true,"connected_seconds":300,"sources":{"websocket":5},"interval_ms":60000,"interval_learned":false,"gaps":[],"reason":null},"first_seq":1,"last_seq":5})");
            }
            if (!log->commit(std::move(commit)).ok()) return 1;
        }
        log->stop();
    }
    auto log = open();
    WindowInfo window;
    window.name = "5min";
    window.stream = "pools";
    window.output = "pools.5min";
    window.field = "/currentfill";
    window.kind = "tumbling";
    window.size = Duration(300'000'000);
    SeriesRequest request;
    request.stream = "pools";
    request.key = "SSD-7";
    request.field = *JsonPointer::parse("/currentfill");
    request.from = begin;
    request.to = end;
    request.points = 1000;
    for (int round = 0; round < 4; ++round) {
        const auto start = clock.monotonic();
        const double cpu = cpu_ms();
        const HttpAnswer answer = answer_series(*log, request, {window});
        std::printf("%d days of 1 key of %d, %s: %.0f ms (%.0f ms of CPU), %zu bytes\n", days, keys, round ? "warm" : "cold", static_cast<double>((clock.monotonic() - start).count()) / 1000, cpu_ms() - cpu,
                    answer.body.size());
    }
    request.from = end - Duration(86'400'000'000LL);
    const auto start = clock.monotonic();
    const HttpAnswer answer = answer_series(*log, request, {window});
    if (answer.body.size() < 1000) std::printf("%s\n", answer.body.c_str());
    std::printf("1 day, raw does not fit: %.0f ms, %zu bytes\n", static_cast<double>((clock.monotonic() - start).count()) / 1000, answer.body.size());
    log.reset();
    std::filesystem::remove_all(folder);
}
