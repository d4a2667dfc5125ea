#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/signals.h"
#include "app/commands/verbs.h"
#include "app/server.h"
#include "base/clock.h"
#include "base/diag.h"

namespace weir {

int run_serve(int argc, char** argv) {
    CLI::App app{
        "Records feeds, computes windows, writes files and serves clients, until SIGTERM or Ctrl-C.\n\n"
        "  weir serve -c examples/zurich-pools.toml",
        "weir serve"};
    ConfigArguments arguments;
    arguments.declare(app);
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    auto config = arguments.load(app.remaining());
    if (!config.ok()) return report(config.error());
    diag::configure(config->options.diag);
    for (const std::string& note : config->notes) diag::warn(note);

    // Before any thread starts, so that all of them leave these signals to this one.
    SignalWait signals({SIGINT, SIGTERM, SIGHUP});
    static const SystemClock clock;
    auto server = Server::start(*std::move(config), clock);
    if (!server.ok()) {
        diag::error(server.error().message);
        return exit_failed;
    }
    for (;;) {
        const int signal = signals.wait();
        if (signal != SIGHUP) break;
        auto again = arguments.load(app.remaining());
        if (again.ok())
            (*server)->reload(*std::move(again));
        else
            diag::error("configuration not reloaded, the old one stays in force: " + again.error().message);
    }
    diag::info("stopping");
    (*server)->stop();
    diag::info("stopped");
    return exit_done;
}

}  // namespace weir
