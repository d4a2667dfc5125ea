// A log and a gateway and nothing else, for the gateway's conformance tests: `gateway_server <folder> [option=value...]`. Prints
// `port <n>` when it listens; ends on SIGTERM by draining. A line `append <stream> <type> <key> <json>` on stdin appends an event as a feed
// would; `-` is no key.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <thread>

#include "base/clock.h"
#include "gateway/auth/authenticator.h"
#include "gateway/gateway.h"
#include "log/sqlite_log.h"

using namespace weir;

int main(int argc, char** argv) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    Gateway::Setup setup;
    setup.version = "test";
    setup.options.port = 0;
    setup.metrics_interval = Duration(0);
    LogOptions log_options;
    log_options.path = argv[1];
    log_options.durability = Durability::process;
    for (int i = 2; i < argc; ++i) {
        const std::string_view option = argv[i];
        const auto equals = option.find('=');
        const std::string name(option.substr(0, equals)), value(option.substr(equals + 1));
        auto& o = setup.options;
        if (name == "root") o.root = value;
        else if (name == "port") o.port = static_cast<std::uint16_t>(std::stoi(value));
        else if (name == "max_connections") o.max_connections = static_cast<std::uint32_t>(std::stoul(value));
        else if (name == "rate_limit_per_minute") o.rate_limit_per_minute = static_cast<std::uint32_t>(std::stoul(value));
        else if (name == "metrics_interval_ms") setup.metrics_interval = Duration(std::stoll(value) * 1000);
        else if (name == "publish_limit_per_minute") o.publish_limit_per_minute = static_cast<std::uint32_t>(std::stoul(value));
        else if (name == "max_message_size") o.max_message_size = std::stoull(value);
        else if (name == "session_queue_bytes") o.session_queue_bytes = std::stoull(value);
        else if (name == "ring_bytes") o.ring_bytes = std::stoull(value);
        else if (name == "groups_max") o.groups_max = static_cast<std::uint32_t>(std::stoul(value));
        else if (name == "group_unacked_bytes") o.group_unacked_bytes = std::stoull(value);
        else if (name == "group_timeout_ms") o.group_timeout = Duration(std::stoll(value) * 1000);
        else if (name == "group_keep_ms") o.group_keep = Duration(std::stoll(value) * 1000);
        else if (name == "spc_timeout_ms") o.spc_timeout = Duration(std::stoll(value) * 1000);
        else if (name == "drain_timeout_ms") o.drain_timeout = Duration(std::stoll(value) * 1000);
        else if (name == "compression") o.compression = value == "none" ? Compression::none : Compression::deflate;
        else if (name == "reactors") o.reactors = static_cast<std::uint32_t>(std::stoul(value));
        else if (name == "allowed_origin") o.allowed_origins = std::vector<std::string>{value};
        else if (name == "token") o.tokens[value] = TokenOptions{.hash = Secret(hash_token(value, "5a17")), .types = {}, .streams = {}, .filter = {}, .publish = true, .acknowledge = true, .administer = true};
        else if (name == "bounded_token") {  // text@stream
            const auto at = value.find('@');
            o.tokens[value] = TokenOptions{.hash = Secret(hash_token(value.substr(0, at), "5a17")), .types = {}, .streams = {value.substr(at + 1)}, .filter = {}, .publish = true, .acknowledge = false, .administer = false};
        } else if (name == "auth_timeout_ms") o.auth_timeout = Duration(std::stoll(value) * 1000);
        else if (name == "ping_interval_ms") o.ping_interval = Duration(std::stoll(value) * 1000);
        else if (name == "stream") setup.streams[value];
        else if (name == "aggregations") setup.streams[value].type = StreamType::aggregations;
        else if (name == "retention_events") log_options.retention.events = std::stoull(value);
        else if (name == "tail_bytes") log_options.tail_bytes = std::stoull(value);
        else if (name == "window") {  // name:stream:field, five minutes, as `<stream>.<name>`
            const auto a = value.find(':'), b = value.find(':', a + 1);
            WindowOptions window;
            window.stream = value.substr(a + 1, b - a - 1);
            window.value = value.substr(b + 1);
            setup.windows[value.substr(0, a)] = window;
        } else {
            std::fprintf(stderr, "gateway_server: unknown option %s\n", name.c_str());
            return 2;
        }
    }
    const SystemClock clock;
    Metrics metrics;
    StatusBoard status;
    SqliteLog::Setup log_setup;
    log_setup.options = log_options;
    log_setup.streams = setup.streams;
    log_setup.clock = &clock;
    log_setup.metrics = &metrics;
    auto log = SqliteLog::open(std::move(log_setup));
    if (!log.ok()) {
        std::fprintf(stderr, "gateway_server: %s\n", log.error().message.c_str());
        return 1;
    }
    auto gateway = Gateway::start({**log, status, metrics, clock}, std::move(setup));
    if (!gateway.ok()) {
        std::fprintf(stderr, "gateway_server: %s\n", gateway.error().message.c_str());
        return 1;
    }
    (*gateway)->ready();
    status.post("feeds/pools", R"({"stream":"pools","state":"live"})");
    std::printf("port %u\n", (*gateway)->port());
    std::fflush(stdout);

    std::thread appender([&] {
        std::string line;
        std::uint64_t n = 0;
        while (std::getline(std::cin, line)) {
            std::string word[4];
            std::size_t at = 0;
            for (auto& w : word) {
                const auto space = std::min(line.find(' ', at), line.size());
                w = line.substr(at, space - at);
                at = std::min(space + 1, line.size());
            }
            Commit commit;
            auto& append = commit.appends.emplace_back();
            append.stream = word[1];
            EventView event;
            const std::string id = "test/" + std::to_string(::getpid()) + "/" + std::to_string(++n), data = line.substr(at);
            const std::string key = word[3] == "-" ? "" : word[3];
            event.id = id;
            event.type = word[2];
            event.key = key;
            event.source = "simulate";
            event.data = data;
            event.time = event.ingested = clock.now();
            append.events.add(event);
            (void)(*log)->commit(std::move(commit));
        }
    });
    appender.detach();
    int signal = 0;
    sigwait(&signals, &signal);
    (*gateway)->drain();
    (*gateway)->stop();
    (*log)->stop();
    std::fflush(stdout);
    std::_Exit(0);  // the appender waits for a line that never comes
}
