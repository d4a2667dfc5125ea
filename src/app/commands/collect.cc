#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/signals.h"
#include "app/commands/verbs.h"
#include "app/commands/window_choice.h"
#include "app/server.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/schedule.h"
#include "event/json.h"

namespace weir {
namespace {

constexpr Duration look_again = 100ms;
// How long the collector before may still be busy: its window's lateness, and its files.
constexpr Duration patience_for_folder = 60s;

enum class Outcome : std::uint8_t { collected, interrupted };

// One line a key, as people who watch a timer's output want it: count, coverage, the numbers (S0-14, S0-26).
void print_window(const EventView& event) {
    const auto document = Json::parse(event.data);
    if (!document.ok()) return;
    const auto text = [&](const char* pointer) {
        const auto parsed = JsonPointer::parse(pointer);
        const Json* found = parsed.ok() ? parsed->find(*document) : nullptr;
        return !found || found->is_null() ? std::string("-") : found->is_string() ? found->as_string() : found->text();
    };
    const auto average = JsonPointer::parse("/statistics/avg");
    const Json* avg = average.ok() ? average->find(*document) : nullptr;
    char rounded[32] = "-";
    if (avg && avg->is_number()) std::snprintf(rounded, sizeof rounded, "%.1f", avg->as_double());
    std::printf("%s to %s %s: %s of %s readings, min=%s, max=%s, avg=%s, median=%s\n", text("/window/start").c_str(), text("/window/end").c_str(),
                event.key.empty() ? "(all)" : std::string(event.key).c_str(), text("/coverage/received").c_str(), text("/coverage/expected").c_str(),
                text("/statistics/min").c_str(), text("/statistics/max").c_str(), rounded, text("/statistics/median").c_str());
}

Result<std::unique_ptr<Server>> start_when_free(const Config& config, const Clock& clock, SignalWait& signals) {
    for (Duration waited{0};; waited += look_again) {
        auto server = Server::start(config, clock);
        if (server.ok() || server.error().code != "in_use" || waited >= patience_for_folder) return server;
        if (signals.wait_for(look_again)) return server;
    }
}

Result<Outcome> collect_one(const Config& config, const std::string& name, const Clock& clock, SignalWait& signals) {
    const WindowOptions& window = config.options.windows.at(name);
    const Timestamp start = (clock.now() - window.offset).floor_to(window.size) + window.offset;
    WEIR_TRY(auto server, start_when_free(config, clock, signals));
    const auto closed = [&] {
        const auto info = server->log().info(window.output);
        return info && info->last_time && *info->last_time >= start && clock.now() >= start + window.size + window.lateness && server->caught_up();
    };
    while (!closed())
        if (signals.wait_for(look_again)) {
            server->stop();
            return Outcome::interrupted;
        }
    const auto found = server->log().find(window.output, {.from = start, .to = start + Duration(1), .key = std::nullopt, .events_max = 10'000});
    if (found.ok())
        for (std::size_t i = 0; i < found->size(); ++i) print_window(found->event(i));
    std::fflush(stdout);
    server->stop();
    if (!found.ok()) return found.error();
    return Outcome::collected;
}

}  // namespace

int run_collect(int argc, char** argv) {
    CLI::App app{
        "Taps the feeds until the window that is open now has closed, writes its files, prints it, and exits: for timers and\n"
        "serverless hosts. Nobody is served. With --every it stays and does so at each time of a schedule. `weir serve` loses nothing\n"
        "between two windows; this does lose what is sent while it does not run, and says so in the windows' coverage.\n\n"
        "  weir collect -c weir.toml --window 5min\n"
        "  weir collect -c weir.toml --window 5min --every '0 */15 * * * *'",
        "weir collect"};
    ConfigArguments arguments;
    arguments.declare(app);
    std::string name, every;
    app.add_option("--window", name, "Which of the configured windows (default: the only one)");
    app.add_option("--every", every, "Six-field schedule (second minute hour day month weekday) or a duration");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    auto config = arguments.load(app.remaining());
    if (!config.ok()) return report(config.error());
    config->options.gateway.enabled = false;
    diag::configure(config->options.diag);
    const auto& windows = config->options.windows;
    if (!choose_tumbling_window("collect", windows, name)) return exit_misused;
    std::optional<Schedule> schedule;
    if (!every.empty()) {
        const auto spacing = parse_duration(every);
        auto parsed = spacing ? Result<Schedule>(Schedule::every(*spacing)) : Schedule::parse(every);
        if (!parsed.ok()) return report(std::move(parsed).error().within("weir collect: --every"));
        schedule = *std::move(parsed);
        if (schedule->shortest_spacing() < windows.at(name).size) {
            std::fprintf(stderr, "weir collect: --every \"%s\" fires every %s, more often than window %s is long (%s)\n", every.c_str(),
                         to_text(schedule->shortest_spacing()).c_str(), name.c_str(), to_text(windows.at(name).size).c_str());
            return exit_misused;
        }
    }

    SignalWait signals({SIGINT, SIGTERM});
    static const SystemClock clock;
    for (;;) {
        if (schedule) {
            const Timestamp next = schedule->next(clock.now());
            while (clock.now() < next)
                if (signals.wait_for(std::min<Duration>(next - clock.now(), 1s))) return exit_done;
            // A machine that slept, or a window before that took too long (S0-10).
            if (clock.now() - next > 1s) diag::warn("collect: past due by " + to_text(clock.now() - next));
        }
        const auto outcome = collect_one(*config, name, clock, signals);
        if (!outcome.ok()) return report(outcome.error());
        if (*outcome == Outcome::interrupted) return exit_failed;
        if (!schedule) return exit_done;
    }
}

}  // namespace weir
