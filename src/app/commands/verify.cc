#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/verbs.h"
#include "base/clock.h"
#include "event/json.h"
#include "log/verify.h"

namespace weir {
namespace {

void print_json(const VerifyReport& found) {
    std::string out;
    JsonWriter json(out);
    json.object().member("ok", found.ok()).member("streams", found.streams).member("blocks", found.blocks).member("commits", found.commits);
    json.member("events", found.events).member("stored_bytes", found.stored_bytes).member("raw_bytes", found.raw_bytes).name("problems").array();
    for (const auto& problem : found.problems) {
        json.object().member("stream", problem.stream).member("first_seq", problem.first_seq.value).member("end_seq", problem.end_seq.value);
        json.member("unreadable", problem.is_unreadable).member("what", problem.what).end();
    }
    json.end().end();
    std::printf("%s\n", out.c_str());
}

void print_text(const VerifyReport& found) {
    for (const auto& problem : found.problems) {
        if (problem.stream.empty())
            std::printf("%s\n", problem.what.c_str());
        else
            std::printf("stream %s, block of seq %llu to %llu: %s\n", problem.stream.c_str(), static_cast<unsigned long long>(problem.first_seq.value),
                        static_cast<unsigned long long>(problem.end_seq.value - 1), problem.what.c_str());
    }
    std::printf("%llu events in %llu blocks of %llu streams, %llu bytes on disk for %llu of text: %s\n", static_cast<unsigned long long>(found.events),
                static_cast<unsigned long long>(found.blocks), static_cast<unsigned long long>(found.streams),
                static_cast<unsigned long long>(found.stored_bytes), static_cast<unsigned long long>(found.raw_bytes),
                found.ok() ? "all of it is right" : (std::to_string(found.problems.size()) + " problems").c_str());
}

int repair(const std::string& folder, DryRun dry_run) {
    // A new epoch needs a number that no other log has: the moment and the process are enough of one.
    const std::uint64_t seed = static_cast<std::uint64_t>(SystemClock().now().micros()) * 65'537 + static_cast<std::uint64_t>(::getpid());
    const auto repaired = repair_log(folder, seed, dry_run);
    if (!repaired.ok()) return report(repaired.error());
    for (const auto& cut : repaired->cuts)
        std::printf("stream %s: %s seq %llu to %llu\n", cut.stream.c_str(), dry_run == DryRun::yes ? "would cut" : "cut",
                    static_cast<unsigned long long>(cut.first_seq.value), static_cast<unsigned long long>(cut.head_before.value));
    if (repaired->cuts.empty()) std::printf("nothing to repair\n");
    return exit_done;
}

}  // namespace

int run_verify(int argc, char** argv) {
    CLI::App app{
        "Reads every block of a log and says what is wrong with it, and where. Changes nothing, unless told to repair.\n\n"
        "  weir verify weir-data",
        "weir verify"};
    std::string folder = "weir-data";
    bool json = false, wants_repair = false, dry_run = false;
    app.add_option("folder", folder, "Folder of the log (log.path)")->capture_default_str();
    app.add_flag("--json", json, "For machines");
    app.add_flag("--repair", wants_repair,
                 "Cut each stream before its first unreadable block and begin a new epoch: what stands behind the damage goes too");
    app.add_flag("--dry-run", dry_run, "With --repair: only say what would be cut");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    if (wants_repair) return repair(folder, dry_run ? DryRun::yes : DryRun::no);

    const bool terminal = ::isatty(STDERR_FILENO) != 0;
    int shown = -1;
    const auto found = verify_log(folder, [&](std::uint64_t done, std::uint64_t all) {
        const int percent = all == 0 ? 100 : static_cast<int>(done * 100 / all);
        if (!terminal || percent == shown) return;
        std::fprintf(stderr, "\r%3d %%", shown = percent);
    });
    if (terminal && shown >= 0) std::fprintf(stderr, "\r      \r");
    if (!found.ok()) return report(found.error());
    json ? print_json(*found) : print_text(*found);
    return found->ok() ? exit_done : exit_failed;
}

}  // namespace weir
