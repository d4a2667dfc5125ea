// A week of a 5 s feed (120,960 readings of one key) through five-minute windows, and to files beside the time of writing those files alone.
//     window_replay_bench [rounds]
// Targets: windows below 1 s; with files at most three times the files alone.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "base/prng.h"
#include "log/sqlite_log.h"
#include "processors/runner.h"
#include "processors/window_processor.h"
#include "stores/blob_store.h"
#include "stores/folder_store.h"

using namespace weir;

namespace {

double seconds(const std::function<void()>& work) {
    const auto began = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

// CPU of the whole process, its log's writer included: what a loaded machine does not change much.
double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

double median(std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

constexpr int readings_count = 120'960;
const Timestamp monday = "2026-02-16T00:00:00Z"_utc;

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
    std::vector<double> processor_alone, windows, windows_cpu, files, files_alone;
    std::size_t files_count = 0, files_bytes = 0;
    for (int round = 0; round < rounds; ++round) {
        std::string folder = (std::filesystem::temp_directory_path() / "weir-bench-XXXXXX").string();
        folder = ::mkdtemp(folder.data());
        ManualClock clock(monday);
        Metrics metrics;
        StatusBoard status;
        WindowOptions window;
        window.stream = "pools";
        window.output = "pools.5min";
        const std::vector values{*JsonPath::parse("/currentfill")};
        {
            SqliteLog::Setup setup;
            setup.options.path = folder + "/log";
            setup.options.durability = Durability::process;
            setup.clock = &clock;
            auto log = *SqliteLog::open(std::move(setup));
            // Commits of 200 readings: what merging makes of a feed's small blocks.
            Prng prng(1);
            std::vector<BatchPtr> batches;
            std::uint64_t seq = 1;
            for (int i = 0; i < readings_count;) {
                Append append{"pools", {}, {}};
                if (i == 0) append.notes.intervals.push_back({"pool", 5s, false});
                auto batch = std::make_shared<Batch>();
                batch->stream = "pools";
                batch->first_seq = Seq{seq};
                for (int n = 0; n < 200 && i < readings_count; ++n, ++i, ++seq) {
                    const Timestamp t = monday + 5s * i;
                    const std::string id = "pool/1/" + std::to_string(i),
                                      data = R"({"uid":"SSD-7","name":"Hallenbad Oerlikon","freespace":)" + std::to_string(150 - i % 90) +
                                             R"(,"maxspace":150,"currentfill":)" + std::to_string(prng.below(150)) + "}";
                    EventView e;
                    e.id = id, e.type = "reading", e.key = "SSD-7", e.source = "websocket", e.data = data, e.time = t, e.ingested = t;
                    append.events.add(e);
                    clock.advance_to(t);
                }
                batch->events = append.events;
                batch->notes = append.notes;
                batch->commit_time = clock.now();
                batches.push_back(batch);
                Commit commit;
                commit.appends.push_back(std::move(append));
                if (!log->commit(std::move(commit)).ok()) return 1;
            }
            clock.advance(20s);

            WindowProcessor alone("5min", window, values);
            processor_alone.push_back(seconds([&] {
                Output output;
                for (const auto& batch : batches) alone.process(*batch, output);
            }));

            RunnerOptions options;
            options.announce_restart = false;
            Runner runner(*log, clock, metrics, status, options);
            runner.add(std::make_unique<WindowProcessor>("5min", window, values), Start{Start::At::commit, CommitNo{0}});
            if (!runner.prepare().ok()) return 1;
            const double cpu_before = cpu_seconds();
            windows.push_back(seconds([&] {
                runner.poll();
                runner.settle();
                runner.poll();
                runner.settle();
            }));
            windows_cpu.push_back(cpu_seconds() - cpu_before);

            StoreOptions store_options;
            BlobStore store("files", store_options, {{"5min", "pools.5min", "pools", values}},
                            std::make_unique<FolderStore>(folder + "/out"), *log, clock, metrics, status);
            if (!store.prepare().ok()) return 1;
            files.push_back(seconds([&] { store.poll(); }));
        }
        // The same bytes to the same names, one after another, with the same waits for the disk.
        std::vector<std::pair<std::string, std::string>> objects;
        files_bytes = 0;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder + "/out")) {
            if (!entry.is_regular_file()) continue;
            std::ifstream in(entry.path(), std::ios::binary);
            objects.emplace_back(std::filesystem::relative(entry.path(), folder + "/out").string(),
                                 std::string(std::istreambuf_iterator<char>(in), {}));
            files_bytes += objects.back().second.size();
        }
        std::sort(objects.begin(), objects.end());
        files_count = objects.size();
        const Filesystem disk;
        files_alone.push_back(seconds([&] {
            std::string made;
            for (const auto& [name, bytes] : objects) {
                const std::string path = folder + "/alone/" + name, parent = path.substr(0, path.rfind('/'));
                if (parent != made) (void)disk.create_folders(parent).ok();
                made = parent;
                (void)disk.write_atomically(path, bytes).ok();
            }
        }));
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }
    std::printf("a week of a 5 s feed, %d readings, %d rounds, medians\n", readings_count, rounds);
    std::printf("  windows, processor alone       %8.3f s  (%.0f ns a reading)\n", median(processor_alone), median(processor_alone) * 1e9 / readings_count);
    std::printf("  windows, from log to log       %8.3f s  (target 1 s)\n", median(windows));
    std::printf("  the same, CPU                  %8.3f s\n", median(windows_cpu));
    std::printf("  files (%zu, %.1f MB)            %8.3f s\n", files_count, static_cast<double>(files_bytes) / 1e6, median(files));
    std::printf("  those files alone              %8.3f s\n", median(files_alone));
    std::printf("  (windows + files) / alone      %8.2f    (target 3)\n", (median(windows) + median(files)) / median(files_alone));
    return 0;
}
