// How soon a large log is ready: fills one (default 1 GB), then measures opening it, the first append (which reads back a
// horizon of ids), reading the newest events, the oldest, and one day by key; while nothing of it is in the process.
//
//   log_start_bench [--bytes 1000000000] [--folder /tmp]
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/clock.h"
#include "base/prng.h"
#include "log/sqlite_log.h"

using namespace weir;

namespace {

template <class Work>
auto timed(const char* what, Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    auto result = work();
    std::printf("%-52s %8.1f ms\n", what, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    if (!result.ok()) {
        std::fprintf(stderr, "%s\n", result.error().message.c_str());
        std::exit(1);
    }
    return std::move(result).value();
}

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t bytes = 1'000'000'000;
    std::string folder = "/tmp";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::string_view(argv[i]) == "--bytes") bytes = std::strtoull(argv[i + 1], nullptr, 10);
        if (std::string_view(argv[i]) == "--folder") folder = argv[i + 1];
    }
    folder += "/weir-bench-start";
    std::filesystem::remove_all(folder);
    SystemClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder;
    setup.options.durability = Durability::process;
    setup.options.merge = false;  // a log of many blocks is the harder case
    setup.clock = &clock;
    Timestamp at = clock.now() - 24h;
    const Timestamp begin = at;
    std::uint64_t n = 0;
    {
        auto log = timed("open an empty folder", [&] { return SqliteLog::open(setup); });
        Prng prng(1);
        while (log->info("bench").value_or(StreamInfo{}).bytes < bytes) {
            Append append{"bench", {}, {}};
            for (int i = 0; i < 200; ++i) {
                std::string data = "{\"v\":" + std::to_string(prng.below(500)) + ",\"text\":\"";
                while (data.size() < 250) data += static_cast<char>('0' + prng.below(75));
                for (char& c : data) c = c == '\\' ? '_' : c;
                data += "\"}";
                append.events.add({"bench/1/" + std::to_string(++n), "reading", "SSD-" + std::to_string(n % 32), "push", data, at, at});
            }
            Commit commit;
            commit.appends.push_back(std::move(append));
            commit.at = at = at + 1s;
            if (n % 20'000 == 0) {
                if (!log->commit(std::move(commit)).ok()) return 1;
            } else {
                log->submit(std::move(commit), {});
            }
        }
        log->stop();
    }
    std::printf("%llu events, file of %.0f MB\n", static_cast<unsigned long long>(n), static_cast<double>(std::filesystem::file_size(folder + "/log.db")) / 1e6);
    auto log = timed("open", [&] { return SqliteLog::open(setup); });
    timed("newest 1,000 events", [&] { return log->read_before("bench", {n + 1}, 1000); });
    timed("oldest 1,000 events", [&] { return log->read("bench", {1}, 1000); });
    timed("first append (reads back 100,000 ids)", [&] {
        Commit commit;
        commit.appends.push_back({"bench", {}, {}});
        commit.appends[0].events.add({"new", "reading", "SSD-7", "push", "{}", at, at});
        commit.at = at;
        return log->commit(std::move(commit));
    });
    timed("one key within one minute in the middle", [&] { return log->find("bench", {begin + (at - begin) / 2, begin + (at - begin) / 2 + 1min, "SSD-7", 10'000}); });
    timed("seq at a time in the middle", [&] { return log->seq_at("bench", begin + (at - begin) / 2); });
    log.reset();
    std::filesystem::remove_all(folder);
}
