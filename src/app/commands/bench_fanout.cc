#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "app/commands/bench.h"
#include "app/commands/bench_feed.h"
#include "app/commands/bench_publisher.h"
#include "app/commands/bench_server.h"
#include "app/commands/bench_subscribers.h"
#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "base/clock.h"
#include "event/json.h"
#include "net/websocket_client.h"

namespace weir {
namespace {

constexpr Duration patience = 10s;  // without a further delivery or connection, then that was all

std::string config_of(const BenchFanout& bench, const BenchFeed* feed) {
    std::string config = "[log]\npath = \"@FOLDER@/data\"\ndurability = \"";
    config += bench.durability == Durability::full ? "full" : "process";
    config += "\"\n[gateway]\nenable_rate_limiting = false\nmax_connections = " + std::to_string(bench.load.connections + 16);
    if (!feed) return config + "\n[streams.bench]\n";
    return config + "\n[feeds.bench]\n[[feeds.bench.sources]]\nkind = \"websocket\"\nurl = \"" + feed->url() + "\"\n";
}

/// The server of a bench: its own, or the one that was named.
struct Target {
    std::optional<BenchServer> own;
    std::string http, websocket;  ///< addresses without a path
    pid_t pid = 0;
};

Result<Target> target_of(const BenchFanout& bench, const BenchFeed* feed = nullptr) {
    Target target;
    if (bench.url.empty()) {
        WEIR_TRY(auto folder, ScratchFolder::make(bench.folder));
        std::vector<std::string> arguments;
        for (const auto& one : bench.set) arguments.insert(arguments.end(), {"--set", one});
        WEIR_TRY(auto server, BenchServer::start(std::move(folder), config_of(bench, feed), arguments, bench.pin));
        target.own.emplace(std::move(server));
        target.http = target.own->address();
        target.websocket = "ws" + target.http.substr(4);
        target.pid = target.own->pid();
        return target;
    }
    WEIR_TRY(const auto parsed, net::WebSocketUrl::parse(bench.url));
    target.http = (parsed.secure ? "https://" : "http://") + parsed.authority();
    target.websocket = (parsed.secure ? "wss://" : "ws://") + parsed.authority();
    target.pid = bench.server_pid;
    return target;
}

net::HttpClientRequest get(const BenchFanout& bench, std::string url) {
    net::HttpClientRequest request;
    request.url = std::move(url);
    if (!bench.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + bench.token);
    return request;
}

/// The newest number of the stream before the bench; 0 where there is none yet, or the server is no weir.
std::uint64_t head_of(const BenchFanout& bench, const Target& target, net::HttpClient& client) {
    const auto answer = client.fetch(get(bench, target.http + "/api/v1/streams/bench"));
    if (!answer.ok() || answer->status != 200) return 0;
    const auto parsed = Json::parse(answer->body);
    const Json* head = parsed.ok() ? parsed->find("head_seq") : nullptr;
    return static_cast<std::uint64_t>(head ? head->as_integer().value_or(0) : 0);
}

/// How often the server has called send; nullopt where it does not tell.
std::optional<double> sends_of(const BenchFanout& bench, const Target& target, net::HttpClient& client) {
    const auto answer = client.fetch(get(bench, target.http + "/metrics"));
    constexpr std::string_view name = "\nweir_gateway_sends_total ";
    if (!answer.ok() || answer->status != 200) return std::nullopt;
    const auto at = answer->body.find(name);
    if (at == std::string::npos) return std::nullopt;
    return std::strtod(answer->body.c_str() + at + name.size(), nullptr);
}

/// Waits for what grows, until it has reached `wanted`, nothing has come for `patience`, or Ctrl-C. False if it was not reached.
template <class F>
bool reach(const Clock& clock, std::uint64_t wanted, F&& now) {
    std::uint64_t last = 0;
    Duration grew = clock.monotonic();
    for (;;) {
        const std::uint64_t have = now();
        if (have >= wanted) return true;
        if (have != last) grew = clock.monotonic();
        last = have;
        if (bench_interrupted || clock.monotonic() - grew > patience) return false;
        ::usleep(1'000);
    }
}

bool connect_all(const Clock& clock, BenchSubscribers& subscribers, std::uint32_t connections) {
    reach(clock, connections, [&] { return std::uint64_t{subscribers.opened()} + subscribers.failed(); });
    return subscribers.opened() == connections;
}

int not_connected(BenchSubscribers& subscribers, std::uint32_t connections) {
    const std::uint32_t opened = subscribers.opened();
    subscribers.finish(0);
    std::fprintf(stderr, "weir bench: %u of %u subscribers are connected. %s\n", opened, connections, subscribers.total().problem);
    return exit_failed;
}

}  // namespace

void BenchFanout::declare(CLI::App& app) {
    declare_idle(app);
    app.add_option("--rate", rate, "Events a second")->capture_default_str()->check(CLI::Range(0.1, 1e6));
    app.add_option("--size", size, "Bytes of the message that a subscriber gets")->capture_default_str()->check(CLI::Range(100, 200'000));
    app.add_option("--seconds", seconds, "Length of what is measured")->capture_default_str()->check(CLI::Range(0.1, 86'400.0));
    app.add_option("--warm-up", warm_up, "Seconds at the same rate before")->capture_default_str()->check(CLI::Range(0.0, 3600.0));
    app.add_option("--publish-url", publish_url, "Where to POST the events, where that is not the stream `bench` of the server");
    app.add_option("--ahead", ahead,
                   "Flat out: rate times seconds events as fast as they are taken, at most so many ahead of what all subscribers together have got.\n"
                   "Latencies count from the sending then");
    app.add_option("--stalled", load.stalled, "Of the subscribers: those that read nothing. Figures are of the others")->capture_default_str();
    app.add_option("--slow", load.slow, "Of the subscribers: those that read a hundredth of what comes. Figures are of the others")->capture_default_str();
    app.add_flag("--deflate", load.deflate, "Subscribers offer permessage-deflate");
    app.add_option("--hello", load.hello, "What a subscriber sends first, where the server is another than weir; \\r\\n for the end of a line");
    app.add_option("--durability", durability, "Of the own server: full or process")
        ->transform(CLI::CheckedTransformer(std::map<std::string, Durability>{{"full", Durability::full}, {"process", Durability::process}}))
        ->default_str("process");
}

void BenchFanout::declare_ingest(CLI::App& app) {
    declare(app);
    app.add_flag("--from-feed", from_feed, "Readings come from a WebSocket that a feed of the own server taps, instead of by HTTP")->excludes("--url")->excludes("--publish-url")->excludes("--ahead");
}

void BenchFanout::declare_idle(CLI::App& app) {
    app.add_option("--connections", load.connections, "WebSocket subscribers")->capture_default_str()->check(CLI::Range(1, 1'000'000));
    app.add_option("--processes", load.processes, "Processes that the subscribers are spread over")->capture_default_str()->check(CLI::Range(1, 1000));
    app.add_option("--sources", load.sources, "Local addresses, 127.0.0.1 and on, that they connect from: one has some 28,000 ports")
        ->capture_default_str()
        ->check(CLI::Range(1, 65'000));
    app.add_option("--url", url, "A server that runs already: ws://127.0.0.1:8765 (default: an own one on a free port)");
    app.add_option("--path", path, "Of the broadcast on that server")->capture_default_str();
    app.add_option("--server-pid", server_pid, "With --url: the process whose CPU and memory are measured");
    app.add_option("--token", token, "Access token")->envname("WEIR_TOKEN");
    app.add_option("--folder", folder, "Where the own server has its log (default: the system's for temporary files)");
    app.add_option("--set", set, "An option of the own server: --set gateway.duty=3. May be repeated");
    app.add_flag("--pin", pin, "The own server has the first processor for itself, and the subscribers the others")->excludes("--url");
    app.add_flag("--json", json, "For machines");
}

int BenchFanout::run() {
    if (std::uint64_t{load.stalled} + load.slow >= load.connections) {
        std::fprintf(stderr, "weir bench fanout: --stalled and --slow are of the %u --connections, and some must be left to be measured\n", load.connections);
        return exit_misused;
    }
    load.slow_per_second = rate / 100;
    for (std::size_t at = 0; (at = load.hello.find("\\r\\n", at)) != std::string::npos;) load.hello.replace(at, 4, "\r\n");
    const std::uint32_t connections = load.connections, good_ones = load.good();
    // First of all, while there is one thread.
    BenchSubscribers subscribers(load);
    const SystemClock clock;
    std::unique_ptr<BenchFeed> feed;
    if (from_feed) {
        auto made = BenchFeed::make({.message_bytes = size, .rate = rate}, clock);
        if (!made.ok()) return report(made.error());
        feed = *std::move(made);
    }
    auto target = target_of(*this, feed.get());
    if (!target.ok()) return report(target.error());
    if (feed) feed->start();
    net::HttpClient client;
    const std::uint64_t head = head_of(*this, *target, client);
    const double resident = target->pid ? process_resident_bytes(target->pid) : 0;
    subscribers.connect(target->websocket + path, token, head + 1);
    if (!connect_all(clock, subscribers, connections)) return not_connected(subscribers, connections);
    const double session_bytes = target->pid ? (process_resident_bytes(target->pid) - resident) / connections : 0;

    std::optional<BenchPublisher> by_http;
    if (!feed) {
        by_http.emplace(BenchPublisher::Options{.url = publish_url.empty() ? target->http + "/api/v1/streams/bench/events" : publish_url,
                                                .token = token, .message_bytes = size, .rate = rate, .ahead_max = ahead,
                                                 .received = [&] { return subscribers.delivered() / good_ones; }}, clock);
    }
    BenchProducer& publisher = feed ? static_cast<BenchProducer&>(*feed) : *by_http;
    const auto delivered_all = [&] { return reach(clock, publisher.acknowledged() * good_ones, [&] { return subscribers.delivered(); }); };
    bool good = publisher.publish(std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rate * warm_up)), BenchProducer::Measured::no, bench_interrupted);
    good = good && delivered_all();
    const std::uint64_t warm = publisher.acknowledged(), warm_requests = publisher.requests(), warm_delivered = subscribers.delivered();
    const auto sends = good ? sends_of(*this, *target, client) : std::nullopt;
    const double cpu = target->pid ? process_cpu_ns(target->pid) : 0, load_cpu = subscribers.cpu_ns();
    const double resident_before = target->pid ? process_resident_bytes(target->pid) : 0;
    const Duration start = clock.monotonic();
    good = good && publisher.publish(std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rate * seconds)), BenchProducer::Measured::yes, bench_interrupted);
    const bool all = good && delivered_all();
    const double took = static_cast<double>((clock.monotonic() - start).count()) / 1e6;
    const double server_cpu = target->pid ? process_cpu_ns(target->pid) - cpu : 0, subscribers_cpu = subscribers.cpu_ns() - load_cpu;
    const double grown = target->pid ? process_resident_bytes(target->pid) - resident_before : 0;
    const auto sends_after = good ? sends_of(*this, *target, client) : std::nullopt;
    const std::uint64_t events = publisher.acknowledged() - warm, requests = publisher.requests() - warm_requests;
    subscribers.finish(head + publisher.acknowledged());
    if (!publisher.problem().empty()) {
        std::fprintf(stderr, "weir bench: %s\n", publisher.problem().c_str());
        return exit_failed;
    }
    const SubscriberTally& total = subscribers.total();
    const auto deliveries = static_cast<double>(total.delivered - warm_delivered);
    const double per_delivery = deliveries > 0 ? server_cpu / deliveries : 0;
    // Answers to the publisher are sends too.
    const double share = sends && sends_after ? deliveries / std::max(1.0, *sends_after - *sends - static_cast<double>(requests)) : 0;
    const LatencyHistogram& latency = total.latency;
    if (json) {
        std::string out;
        JsonWriter writer(out);
        writer.object().member("bench", "fanout").member("from", from_feed ? "feed" : "http").member("connections", connections).member("rate", rate).member("size", size).member("events", events);
        writer.member("requests", requests).member("refusals", publisher.refusals()).member("seconds", took).member("deliveries", deliveries);
        writer.member("deliveries_per_second", deliveries / took).member("p50_ms", latency.quantile_ms(0.5)).member("p99_ms", latency.quantile_ms(0.99));
        writer.member("p999_ms", latency.quantile_ms(0.999)).member("missing", total.missing).member("duplicates", total.duplicates).member("lost", total.lost.load());
        writer.member("stalled", load.stalled).member("slow", load.slow).member("slow_lost", total.slow_lost).member("memory_grown_bytes", grown);
        writer.member("server_cpu_ns_per_delivery", per_delivery).member("server_cores", server_cpu / took / 1e9).member("deliveries_per_send", share);
        writer.member("subscribers_cores", subscribers_cpu / took / 1e9).member("bytes_per_session", session_bytes).member("machine", machine_line()).end();
        std::printf("%s\n", out.c_str());
    } else {
        std::printf("%s: %u subscribers x %.4g events/s of %zu bytes, %llu events in %llu requests, %.1f s\n", from_feed ? "from a feed's socket" : "fanout", connections, rate, size,
                    static_cast<unsigned long long>(events), static_cast<unsigned long long>(requests), took);
        std::printf("  %.0f deliveries/s; from when it was due: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms\n", deliveries / took, latency.quantile_ms(0.5),
                    latency.quantile_ms(0.99), latency.quantile_ms(0.999));
        std::printf("  missing %llu, duplicates %llu, subscribers lost %u, requests refused for a while %llu\n", static_cast<unsigned long long>(total.missing),
                    static_cast<unsigned long long>(total.duplicates), total.lost.load(), static_cast<unsigned long long>(publisher.refusals()));
        if (target->pid) {
            std::printf("  server: %.0f ns of CPU a delivery (log and HTTP included), %.2f cores", per_delivery, server_cpu / took / 1e9);
            if (share > 0) std::printf(", %.2f deliveries a send", share);
            std::printf("; %.0f bytes a session\n", session_bytes);
        }
        std::printf("  subscribers took %.2f cores; on %s\n", subscribers_cpu / took / 1e9, machine_line().c_str());
        if (load.stalled + load.slow > 0)
            std::printf("  beside them %u that read nothing and %u that read a hundredth: %u of these were ended; the server grew by %.1f MB\n", load.stalled,
                        load.slow, total.slow_lost, grown / 1e6);
        if (total.lost > 0) std::printf("  first subscriber lost: %s\n", total.problem);
    }
    return all && total.missing == 0 && total.duplicates == 0 ? exit_done : exit_failed;
}

int BenchFanout::idle() {
    const std::uint32_t connections = load.connections;
    BenchSubscribers subscribers(load);
    auto target = target_of(*this);
    if (!target.ok()) return report(target.error());
    if (!target->pid) {
        std::fprintf(stderr, "weir bench idle: with --url, --server-pid must say whose memory is measured\n");
        return exit_misused;
    }
    const SystemClock clock;
    const double resident = process_resident_bytes(target->pid), cpu = process_cpu_ns(target->pid);
    subscribers.connect(target->websocket + path, token, 1);
    if (!connect_all(clock, subscribers, connections)) return not_connected(subscribers, connections);
    const double opening = (process_cpu_ns(target->pid) - cpu) / connections;
    const double quiet_from = process_cpu_ns(target->pid);
    const Duration start = clock.monotonic();
    while (!bench_interrupted && clock.monotonic() - start < 5s) ::usleep(20'000);
    const double took = static_cast<double>((clock.monotonic() - start).count());
    const double cores = (process_cpu_ns(target->pid) - quiet_from) / 1e3 / took;
    const double bytes = (process_resident_bytes(target->pid) - resident) / connections;  // of idle ones, not of their handshakes
    if (json) {
        std::string out;
        JsonWriter writer(out);
        writer.object().member("bench", "idle").member("connections", connections).member("bytes_per_session", bytes);
        writer.member("cpu_ns_per_opening", opening).member("server_cores", cores).member("machine", machine_line()).end();
        std::printf("%s\n", out.c_str());
    } else {
        std::printf("idle: %u subscribers: %.0f bytes of the server's memory each, %.0f us of CPU to open one; %.3f cores while nothing is sent\n", connections,
                    bytes, opening / 1e3, cores);
        std::printf("  on %s\n", machine_line().c_str());
    }
    return exit_done;
}

}  // namespace weir
