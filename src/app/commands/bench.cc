#include "app/commands/bench.h"

#include <signal.h>

#include <CLI/CLI.hpp>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"

namespace weir {

std::atomic<bool> bench_interrupted{false};

int run_bench(int argc, char** argv) {
    CLI::App app{
        "Measures weir on this machine, in a folder and a server of its own that go afterwards. Latencies count from when an event should have been\n"
        "sent. Peers and the figures of one machine: docs/benchmarks.md.\n\n"
        "  weir bench fanout --connections 1000 --rate 50",
        "weir bench"};
    app.require_subcommand(1);
    BenchLog log;
    BenchFanout fanout, ingest, idle;
    ingest.load.connections = 10;
    ingest.rate = 1000;
    idle.load.connections = 15'000;
    CLI::App& log_app = *app.add_subcommand("log", "Events a second that the log acknowledges");
    CLI::App& fanout_app = *app.add_subcommand("fanout", "One stream to many WebSocket subscribers: latency, and CPU of the server a delivery");
    CLI::App& ingest_app = *app.add_subcommand("ingest", "Readings at a high rate to few subscribers: latency");
    CLI::App& idle_app = *app.add_subcommand("idle", "Memory of the server a subscriber to which nothing is sent");
    log.declare(log_app);
    fanout.declare(fanout_app);
    ingest.declare_ingest(ingest_app);
    idle.declare_idle(idle_app);
    if (const auto code = parse_arguments(app, argc, argv)) return *code;

    struct sigaction action {};
    action.sa_handler = [](int) { bench_interrupted = true; };
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    if (log_app.parsed()) return log.run();
    if (fanout_app.parsed()) return fanout.run();
    if (ingest_app.parsed()) return ingest.run();
    return idle.idle();
}

}  // namespace weir
