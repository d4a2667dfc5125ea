#include "app/commands/commands.h"

#include "app/commands/bench.h"
#include "app/commands/spc.h"
#include "app/commands/verbs.h"

namespace weir {
namespace {

constexpr Command table[] = {
    {"serve", "record feeds, compute windows, write files, serve clients", run_serve},
    {"check", "check a configuration and print what is in force", run_check},
    {"collect", "collect one window and exit: for timers", run_collect},
    {"function", "the custom handler of an Azure function with a timer", run_function},
    {"replay", "play a recording: --serve stands in for the pool feed", run_replay},
    {"import", "take old recordings into streams, windows and files, as history", run_import},
    {"simulate", "print simulated messages", run_simulate},
    {"consume", "write what a weir, or any JSON WebSocket, sends into PostgreSQL", run_consume},
    {"tail", "follow a stream of a weir, or any WebSocket", run_tail},
    {"publish", "send events to a weir from stdin, until acknowledged", run_publish},
    {"export", "write a stream of a log as NDJSON or CSV", run_export},
    {"compare", "compare two records of one source: what each has caught, gaps, cost", run_compare},
    {"spc", "a control chart of a CSV file, in the terminal, as SVG, HTML or JSON", run_spc},
    {"bench", "measure the log, fan-out, latency and memory on this machine", run_bench},
    {"token", "make and check the tokens that clients show", run_token},
    {"verify", "check every block of a log; --repair", run_verify},
};

}  // namespace

std::span<const Command> commands() { return table; }

}  // namespace weir
