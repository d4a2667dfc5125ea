// permessage-deflate of one message to many sessions: deflated once for all, as the gateway does it, beside deflated for each session, by a compressor
// that all share or (as most servers do it) by one of its own that keeps its context. The shared one comes in two kinds: with weir's settings (level 1, a window of 12 bits), and
// with zlib's own (level 6, 15 bits, memory level 8), as servers have it that set nothing: that is the peer of performance.md's T8.
//
//     deflate_bench [--connections 500] [--rate 50] [--seconds 4] [--rounds 9]
//
// The server is a child process on core 0, the load on core 1; the ways take turns within a round, and the first is run again at its end as the
// control. Both are weir's own server, sockets and zlib, and the message is an event of 298 bytes as the analytics dialect sends it, another each time.
// `plain` is the same without compression. Figures: CPU nanoseconds of the server a delivery (user and system), median over the rounds, and the ratios.
#include <fcntl.h>
#include <sys/epoll.h>

#include <cstdio>

#include "server_process.h"
#include "net/http_server.h"

using namespace weir;
using namespace weir::net;
using namespace weir::bench;

namespace {

struct Options {
    int connections = 500, rate = 50, seconds = 4, rounds = 9;
} options;

enum class Way : std::uint8_t { once, each, defaults, own, plain };

std::string event_text(std::uint64_t n) {
    char text[400];
    const int size = std::snprintf(
        text, sizeof text,
        "{\"type\":\"data\",\"data\":{\"event\":{\"event_id\":\"pools/%llu\",\"event_type\":\"reading\",\"user_id\":null,\"timestamp\":\"2026-03-01T10:%02llu:%02llu.000Z\",\"payload\":"
        "{\"uid\":\"SSD-%llu\",\"name\":\"Hallenbad Oerlikon\",\"currentfill\":%llu,\"maxspace\":250}},\"subscription_type\":\"events\"},\"subscription_id\":\"s-1f9c\",\"metadata\":{\"seq\":%llu}}",
        static_cast<unsigned long long>(n), static_cast<unsigned long long>(n / 60 % 60), static_cast<unsigned long long>(n % 60), static_cast<unsigned long long>(n % 32),
        static_cast<unsigned long long>(n * 7919 % 251), static_cast<unsigned long long>(n));
    return {text, static_cast<std::size_t>(size)};
}

/// Sends an event to every session `rate` times a second, for ever.
template <Way way>
void serve(int ready) {
    struct Fan final : HttpHandler, ConnectionHandler {
        std::vector<Connection*> sessions;
        std::vector<std::unique_ptr<Deflater>> deflaters;
        std::string frame;
        void on_request(HttpExchange& exchange) override {
            if (way == Way::own) deflaters.push_back(std::make_unique<Deflater>(15, Deflater::Context::kept));
            sessions.push_back(&exchange.accept_websocket({.handler = *this}));
        }
        void on_message(Connection&, MessageKind, std::string_view) override {}
        void on_writable(Connection& connection) override { connection.try_write(frame); }
        void on_closed(Connection& connection, const Closed&) override { std::erase(sessions, &connection); }
    } fan;
    SystemClock clock;
    Reactor reactor(clock);
    ServerOptions server_options;
    server_options.connections_max = 19'900;
    HttpServer server(reactor, server_options, fan);
    Deflater deflater, common(15, Deflater::Context::dropped, 6);
    std::string packed, own_frame;
    std::uint64_t n = 0;
    std::function<void()> tick;
    Timer timer(reactor, [&] { tick(); });
    tick = [&] {
        timer.start(Duration(1'000'000 / options.rate));
        const std::string text = event_text(++n);
        fan.frame.clear();
        packed.clear();
        if (way == Way::once) {
            const bool smaller = deflater.deflate(text, packed);
            append_frame(fan.frame, Opcode::text, smaller ? packed : text, smaller ? Compressed::yes : Compressed::no);
        } else if (way == Way::plain) {
            append_frame(fan.frame, Opcode::text, text);
        }
        for (std::size_t i = 0; i < fan.sessions.size(); ++i) {
            Connection& session = *fan.sessions[i];
            if (way == Way::each) {
                session.send(MessageKind::text, text);
            } else if (way == Way::own || way == Way::defaults) {
                packed.clear();
                const bool smaller = (way == Way::own ? *fan.deflaters[i] : common).deflate(text, packed);
                own_frame.clear();  // not `frame`, which on_writable sends to whoever is flushed
                append_frame(own_frame, Opcode::text, smaller ? packed : text, smaller ? Compressed::yes : Compressed::no);
                session.send_encoded(own_frame);
            } else {
                session.mark_dirty();
            }
        }
    };
    timer.start(1s);
    tell_port(ready, server.listen({.host = "127.0.0.1", .port = 0, .unix_path = {}}, {})->port);
    reactor.run();
}

/// Server CPU a delivery; 0 if something went wrong.
double measure(void (*way)(int), bool deflate) {
    Server server(way);
    pin(1);
    const int epoll = ::epoll_create1(0);
    std::vector<int> fds;
    for (int i = 0; i < options.connections; ++i) {
        const int fd = connect_websocket(server.port, deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
        if (fd < 0) return 0;
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        fds.push_back(fd);
    }
    // At k = 1 a message of this size is one read: the pace of the server makes it so.
    static char buffer[65536];
    epoll_event events[256];
    std::uint64_t deliveries = 0;
    const auto read_for = [&](std::chrono::milliseconds time) {
        const auto end = std::chrono::steady_clock::now() + time;
        while (std::chrono::steady_clock::now() < end) {
            const int n = ::epoll_wait(epoll, events, 256, 10);
            for (int i = 0; i < n; ++i) {
                // Counted by frames, so that two in one read are two.
                const ssize_t got = ::recv(events[i].data.fd, buffer, sizeof buffer, 0);
                for (std::size_t at = 0; got > 0 && at < static_cast<std::size_t>(got); ++deliveries) {
                    const auto size = frame_bytes({buffer + at, static_cast<std::size_t>(got) - at});
                    if (size == 0) break;
                    at += static_cast<std::size_t>(size);
                }
            }
        }
    };
    read_for(std::chrono::milliseconds(1200));
    deliveries = 0;
    const double cpu = server.cpu_ns();
    read_for(std::chrono::milliseconds(options.seconds * 1000));
    const double used = server.cpu_ns() - cpu;
    for (const int fd : fds) ::close(fd);
    ::close(epoll);
    return deliveries > 0 ? used / static_cast<double>(deliveries) : 0;
}

void print(const char* name, const std::vector<double>& ns, const std::vector<double>& ratio) {
    std::printf("  %-26s %7.0f ns CPU a delivery  once/this %.3f (%.3f to %.3f)\n", name, median(ns), median(ratio), *std::min_element(ratio.begin(), ratio.end()),
                *std::max_element(ratio.begin(), ratio.end()));
}

}  // namespace

int main(int argc, char** argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const int value = std::atoi(argv[i + 1]);
        (name == "--connections" ? options.connections : name == "--rate" ? options.rate : name == "--seconds" ? options.seconds : options.rounds) = value;
    }
    ::signal(SIGPIPE, SIG_IGN);
    constexpr std::size_t kWays = 6;
    std::vector<double> ns[kWays], ratio[kWays];
    for (int round = 0; round < options.rounds; ++round) {
        const double figures[kWays] = {measure(serve<Way::once>, true), measure(serve<Way::each>, true), measure(serve<Way::defaults>, true), measure(serve<Way::own>, true),
                                       measure(serve<Way::plain>, false), measure(serve<Way::once>, true)};
        for (std::size_t i = 0; i < kWays; ++i) {
            if (figures[i] == 0) return std::fprintf(stderr, "deflate_bench: a round failed\n"), 1;
            ns[i].push_back(figures[i]);
            ratio[i].push_back(figures[0] / figures[i]);
        }
    }
    std::printf("deflate: %d connections, %d messages a second of %zu bytes, %d rounds\n", options.connections, options.rate, event_text(1).size(), options.rounds);
    const char* const names[kWays] = {"deflated once", "for each session, shared", "the same, zlib's settings", "for each session, own", "plain", "deflated once, control"};
    for (std::size_t i = 0; i < kWays; ++i) print(names[i], ns[i], ratio[i]);
    return 0;
}
