#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/signals.h"
#include "app/commands/verbs.h"
#include "base/clock.h"
#include "feeds/pool_server.h"
#include "feeds/user_server.h"

namespace weir {
namespace {

struct Arguments {
    std::vector<std::string> files;
    std::string listen, every = "4s", per = "300s";
    bool pools = false, users = false;
    std::uint64_t seed = 1, limit = 20'000;
};

/// Says where the stand-in is, and serves until a signal.
template <class Server>
int serve(SignalWait& signals, Result<std::unique_ptr<Server>> server, const char* what, const char* scheme, const char* path) {
    if (!server.ok()) return report(server.error());
    std::fprintf(stderr, "weir replay: %s listens on %s://%s%s\n", what, scheme, (*server)->address().c_str(), path);
    signals.wait();
    (*server)->stop();
    return exit_done;
}

}  // namespace

int run_replay(int argc, char** argv) {
    CLI::App app{
        "Plays recordings as the service that they came from, for demos and tests.\n\n"
        "The pool feed: a WebSocket server that waits for a text and then sends the array of pools every few seconds, SSD-7 as recorded, the\n"
        "others simulated and labelled so.\n"
        "  weir replay --serve 127.0.0.1:8766 demo/ssd7-5s.csv.gz\n\n"
        "The random-user API: an HTTP server that answers with one recorded person after another, and with 429 above its limit.\n"
        "  weir replay --serve 127.0.0.1:8767 --users demo/randomuser-stream1.json.gz",
        "weir replay"};
    Arguments a;
    app.add_option("files", a.files, "CSV of one pool, `timestamp,occupancy`; or bodies of randomuser.me/api; plain or .gz")->required();
    app.add_option("--serve", a.listen, "Address and port to serve at")->required();
    auto* pools = app.add_flag("--pools", a.pools, "As the pool feed (the default)");
    app.add_flag("--users", a.users, "As the random-user API")->excludes(pools);
    app.add_option("--every", a.every, "Pools: spacing of the messages: 4s, 500ms")->capture_default_str();
    app.add_option("--limit", a.limit, "Users: how many one client address gets between two resets")->capture_default_str();
    app.add_option("--per", a.per, "Users: time between two resets")->capture_default_str();
    app.add_option("--seed", a.seed, "Of what is simulated: the same seed, the same visitors and ids")->capture_default_str();
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    const auto spacing = parse_duration(a.every), per = parse_duration(a.per);
    for (const auto& [name, text, value] : {std::tuple("--every", &a.every, spacing), std::tuple("--per", &a.per, per)}) {
        if (value && *value >= 1ms) continue;
        std::fprintf(stderr, "weir replay: %s is \"%s\"; allowed: a duration of at least 1ms, such as 4s or 500ms\n", name, text->c_str());
        return exit_misused;
    }
    if (!a.users && a.files.size() > 1) {
        std::fprintf(stderr, "weir replay: the pool feed is played from one file, %zu were given\n", a.files.size());
        return exit_misused;
    }

    SignalWait signals({SIGINT, SIGTERM});
    static const SystemClock clock;
    if (a.users) {
        auto api = UserApi::load(a.files, {.users = a.limit, .per = *per}, a.seed);
        if (!api.ok()) return report(api.error());
        return serve(signals, UserServer::start(a.listen, *std::move(api), clock), "the random-user API's stand-in", "http", "/api/");
    }
    auto recording = PoolRecording::load(a.files.front());
    if (!recording.ok()) return report(recording.error());
    return serve(signals, PoolServer::start({.listen = a.listen, .every = *spacing, .seed = a.seed}, *std::move(recording), clock), "the pool feed's stand-in", "ws", "/api");
}

}  // namespace weir
