#include <unistd.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "app/commands/bench.h"
#include "app/commands/bench_histogram.h"
#include "app/commands/bench_server.h"
#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "base/clock.h"
#include "base/prng.h"
#include "event/json.h"
#include "log/sqlite_log.h"

namespace weir {

void BenchLog::declare(CLI::App& app) {
    app.add_option("--events", events, "How many")->capture_default_str()->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
    app.add_option("--group", group, "Events of one commit")->capture_default_str()->check(CLI::Range(1, 1400));
    app.add_option("--under-way", under_way, "Commits that wait for their answer at once")->capture_default_str()->check(CLI::Range(1, 1000));
    app.add_option("--size", size, "Bytes of an event: id, key and data")->capture_default_str()->check(CLI::Range(100, 100'000));
    app.add_option("--durability", durability, "full: survives loss of power; process: a crash of weir")
        ->transform(CLI::CheckedTransformer(std::map<std::string, Durability>{{"full", Durability::full}, {"process", Durability::process}}))
        ->default_str("full");
    app.add_option("--folder", folder, "Where the log is made, and removed afterwards: the disk that is measured (default: the system's for temporary files)");
    app.add_flag("--json", json, "For machines");
}

int BenchLog::run() {
    auto scratch = ScratchFolder::make(folder);
    if (!scratch.ok()) return report(scratch.error());
    const SystemClock clock;
    SqliteLog::Setup setup;
    setup.options.path = (scratch->path() / "log").string();
    setup.options.durability = durability;
    setup.clock = &clock;
    auto log = SqliteLog::open(std::move(setup));
    if (!log.ok()) return report(log.error());

    // 32 keys, ids that count up as a feed's do, and data of which no two in a block are alike.
    Prng prng(1);
    std::vector<std::string> data(4096);
    for (std::string& text : data) {
        text = "{\"currentfill\":" + std::to_string(prng.below(500)) + ",\"session\":\"";
        while (text.size() + 40 < size) text += static_cast<char>('a' + prng.below(26));
        text += "\"}";
    }
    std::mutex mutex;
    std::condition_variable answered;
    std::uint64_t waiting = 0, bytes = 0;
    std::string problem;
    LatencyHistogram latency;
    const double cpu = process_cpu_ns(::getpid());
    const Duration start = clock.monotonic();
    std::uint64_t done = 0;
    while (done < events && !bench_interrupted) {
        const std::uint64_t end = std::min(done + group, events);
        Append append{"bench", {}, {}};
        append.events.reserve(end - done, (end - done) * (size + 16));
        const Timestamp now = clock.now();
        for (; done < end; ++done) {
            const std::string id = "bench/1/" + std::to_string(done), key = "SSD-" + std::to_string(done % 32);
            append.events.add({id, "reading", key, "push", data[done % data.size()], now, now});
        }
        bytes += append.events.text_bytes();
        Commit commit;
        commit.appends.push_back(std::move(append));
        {
            std::unique_lock lock(mutex);
            answered.wait(lock, [&] { return waiting < under_way; });
            if (!problem.empty()) break;
            ++waiting;
        }
        const Duration sent = clock.monotonic();
        (*log)->submit(std::move(commit), [&, sent](Result<Committed> result) {
            std::lock_guard lock(mutex);
            if (!result.ok()) problem = result.error().message;
            latency.add((clock.monotonic() - sent).count());
            --waiting;
            answered.notify_one();
        });
    }
    {
        std::unique_lock lock(mutex);
        answered.wait(lock, [&] { return waiting == 0; });
    }
    const double seconds = static_cast<double>((clock.monotonic() - start).count()) / 1e6;
    const double cpu_seconds = (process_cpu_ns(::getpid()) - cpu) / 1e9;
    (*log)->stop();
    if (!problem.empty()) {
        std::fprintf(stderr, "weir bench: %s\n", problem.c_str());
        return exit_failed;
    }
    const double rate = static_cast<double>(done) / seconds, count = static_cast<double>(done);
    if (json) {
        std::string out;
        JsonWriter writer(out);
        writer.object().member("bench", "log").member("events", done).member("event_bytes", static_cast<double>(bytes) / count).member("group", group);
        writer.member("under_way", under_way).member("durability", durability == Durability::full ? "full" : "process");
        writer.member("events_per_second", rate).member("cpu_ns_per_event", cpu_seconds * 1e9 / count).member("p50_ms", latency.quantile_ms(0.5));
        writer.member("p99_ms", latency.quantile_ms(0.99)).member("p999_ms", latency.quantile_ms(0.999)).member("machine", machine_line()).end();
        std::printf("%s\n", out.c_str());
    } else {
        std::printf("log: %llu events of %.0f bytes in groups of %llu, %llu groups under way, durability %s\n", static_cast<unsigned long long>(done),
                    static_cast<double>(bytes) / count, static_cast<unsigned long long>(group), static_cast<unsigned long long>(under_way),
                    durability == Durability::full ? "full" : "process");
        std::printf("  %.0f events/s acknowledged (%.1f MB/s), %.0f ns of CPU an event\n", rate, static_cast<double>(bytes) / seconds / 1e6,
                    cpu_seconds * 1e9 / count);
        std::printf("  a group's answer: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms\n", latency.quantile_ms(0.5), latency.quantile_ms(0.99),
                    latency.quantile_ms(0.999));
        std::printf("  on %s\n", machine_line().c_str());
    }
    return bench_interrupted ? exit_failed : exit_done;
}

}  // namespace weir
