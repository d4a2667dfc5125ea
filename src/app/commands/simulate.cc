#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/verbs.h"
#include "base/clock.h"
#include "event/json.h"
#include "feeds/generators.h"

namespace weir {

int run_simulate(int argc, char** argv) {
    CLI::App app{
        "Prints simulated messages, one a line, as {\"received\",\"message\"}: a recording for `weir import`, a replay source, or tests. The\n"
        "same seed and times give the same lines. With --live it goes on in real time.\n\n"
        "  weir simulate day --keys SSD-7,SSD-4 --from 2026-02-17T00:00:00Z --for 24h --every 5s > day.ndjson",
        "weir simulate"};
    std::string generator, from, length = "1h", every = "5s";
    bool live = false;
    SourceOptions options;
    app.add_option("generator", generator, "day (visitors of a pool), line (a production line with special causes), users, walk, sine or constant")
        ->required()
        ->check(CLI::IsMember({"day", "line", "users", "walk", "sine", "constant"}));
    app.add_option("--keys", options.keys, "Series, separated by commas")->delimiter(',')->capture_default_str();
    app.add_option("--low", options.low, "Lowest value")->capture_default_str();
    app.add_option("--high", options.high, "Highest value; the capacity of a pool")->capture_default_str();
    app.add_option("--seed", options.seed, "Same seed, same readings")->capture_default_str();
    app.add_option("--from", from, "Time of the first message (default: now)");
    app.add_option("--for", length, "How long")->capture_default_str();
    app.add_option("--every", every, "Spacing of the messages")->capture_default_str();
    app.add_flag("--live", live, "One message each --every, in real time");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;

    static const SystemClock clock;
    const auto spacing = parse_duration(every), span = parse_duration(length);
    const auto begin = from.empty() ? std::optional(clock.now()) : parse_rfc3339(from, Offset::optional);
    if (!spacing || *spacing < 1ms || !span || !begin) {
        std::fprintf(stderr, "weir simulate: --every and --for are durations such as 5s and 24h, --from a time such as 2026-02-17T00:00:00Z\n");
        return exit_misused;
    }
    for (const auto& [name, value] : {std::pair("day", Generator::day), std::pair("line", Generator::line), std::pair("users", Generator::users),
                                      std::pair("walk", Generator::walk), std::pair("sine", Generator::sine), std::pair("constant", Generator::constant)})
        if (generator == name) options.generator = value;
    const auto messages = MessageGenerator::make(options);
    std::string line;
    for (Timestamp at = *begin; at < *begin + *span; at = at + *spacing) {
        if (live) {
            const Duration wait = at - clock.now();
            if (wait > Duration(0)) ::usleep(static_cast<useconds_t>(wait.count()));
        }
        line.clear();
        JsonWriter(line).object().member("received", at).name("message").raw(messages->message(at)).end();
        if (std::printf("%s\n", line.c_str()) < 0 || (live && std::fflush(stdout) != 0)) return exit_failed;
    }
    return std::fflush(stdout) == 0 ? exit_done : exit_failed;
}

}  // namespace weir
