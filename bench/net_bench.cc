// Echo and idle memory of net, beside a minimal epoll server and Boost.Beast as in its examples.
//
//     net_bench echo [--connections 50] [--depth 1] [--bytes 200] [--messages 200000] [--rounds 5]
//     net_bench idle [--connections 15000]
//
// The server is a child process on core 0, the load on core 1; servers take turns within a round. Figures: messages a second, and CPU
// nanoseconds of the server a message (/proc/<pid>/schedstat: user and system), median over the rounds. `minimal` does the least that
// can be called an echo server (edge-triggered epoll, one recv and one send a readiness, frames unmasked in place, no checks): what weir
// costs above it is what its checks, limits and accounting cost. The handshake's own memory is part of `idle`.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <boost/beast/websocket.hpp>
#include <cstdio>

#include "server_process.h"
#include "net/http_server.h"

using namespace weir;
using namespace weir::net;
using namespace weir::bench;

namespace {

// Servers. Each writes its port to `ready` and never returns.

void serve_weir(int ready) {
    struct Echo final : HttpHandler, ConnectionHandler {
        void on_request(HttpExchange& exchange) override { exchange.accept_websocket({.handler = *this}); }
        void on_message(Connection& connection, MessageKind kind, std::string_view payload) override { connection.send(kind, payload); }
        void on_closed(Connection&, const Closed&) override {}
    } echo;
    SystemClock clock;
    Reactor reactor(clock);
    ServerOptions options;
    options.connections_max = 19'900;
    HttpServer server(reactor, options, echo);
    tell_port(ready, server.listen({.host = "127.0.0.1", .port = 0, .unix_path = {}}, {})->port);
    reactor.run();
}

int listening(std::uint16_t& port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(fd, 1024);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    return fd;
}

void serve_minimal(int ready) {
    std::uint16_t port;
    const int listener = listening(port), epoll = ::epoll_create1(0);
    tell_port(ready, port);
    const auto watch = [&](int fd, std::uint32_t events) {
        epoll_event event{.events = events, .data = {.fd = fd}};
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener, EPOLLIN);
    std::vector<bool> open(20'000);
    static char in[65536], out[65536 + 4096];
    epoll_event events[512];
    for (;;) {
        const int n = ::epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < n; ++i) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                for (int c; (c = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) watch(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
                continue;
            }
            if (!(events[i].events & EPOLLIN)) continue;
            const ssize_t size = ::recv(fd, in, sizeof in, 0);
            if (size <= 0) {
                if (size == 0) {
                    open[static_cast<std::size_t>(fd)] = false;
                    ::close(fd);
                }
                continue;
            }
            if (!open[static_cast<std::size_t>(fd)]) {
                open[static_cast<std::size_t>(fd)] = true;
                const std::string_view request(in, static_cast<std::size_t>(size));
                const auto at = request.find("Sec-WebSocket-Key: ");
                const std::string answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                                           websocket_accept_key(request.substr(at + 19, 24)) + "\r\n\r\n";
                ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
                continue;
            }
            // Whole frames only: the load's fit the buffer.
            std::size_t to = 0;
            for (std::size_t at = 0; at + 6 <= static_cast<std::size_t>(size);) {
                const auto frame = frame_bytes({in + at, static_cast<std::size_t>(size) - at});
                std::size_t header = static_cast<unsigned char>(in[at + 1] & 0x7f) == 126 ? 4 : 2;
                if (static_cast<unsigned char>(in[at]) >> 4 != 8 || at + frame > static_cast<std::size_t>(size)) break;
                std::uint32_t mask;
                std::memcpy(&mask, in + at + header, 4);
                const std::size_t payload = frame - header - 4;
                apply_mask(in + at + header + 4, payload, mask);
                std::memcpy(out + to, in + at, header);
                out[to + 1] = static_cast<char>(out[to + 1] & 0x7f);
                std::memcpy(out + to + header, in + at + header + 4, payload);
                to += header + payload;
                at += frame;
            }
            ::send(fd, out, to, MSG_NOSIGNAL);
        }
    }
}

void serve_beast(int ready) {
    namespace asio = boost::asio;
    namespace beast = boost::beast;
    using tcp = asio::ip::tcp;
    struct Session : std::enable_shared_from_this<Session> {
        beast::websocket::stream<beast::tcp_stream> ws;
        beast::flat_buffer buffer;
        explicit Session(tcp::socket socket) : ws(std::move(socket)) {}
        void run() {
            ws.set_option(beast::websocket::stream_base::timeout::suggested(beast::role_type::server));
            ws.async_accept([self = shared_from_this()](beast::error_code e) { if (!e) self->read(); });
        }
        void read() {
            ws.async_read(buffer, [self = shared_from_this()](beast::error_code e, std::size_t) {
                if (e) return;
                self->ws.text(self->ws.got_text());
                self->ws.async_write(self->buffer.data(), [self](beast::error_code e2, std::size_t) {
                    self->buffer.consume(self->buffer.size());
                    if (!e2) self->read();
                });
            });
        }
    };
    // The library's own websocket_server_async.cpp: a strand for each session, its suggested timeouts. (It leaves Nagle's algorithm on, which only costs it.)
    asio::io_context io{1};
    tcp::acceptor acceptor(asio::make_strand(io), {asio::ip::address_v4::loopback(), 0});
    tell_port(ready, acceptor.local_endpoint().port());
    std::function<void()> accept = [&] {
        acceptor.async_accept(asio::make_strand(io), [&](beast::error_code e, tcp::socket socket) {
            if (!e) {
                socket.set_option(tcp::no_delay(true));
                std::make_shared<Session>(std::move(socket))->run();
            }
            accept();
        });
    };
    accept();
    io.run();
}

struct Options {
    int connections = 50, depth = 1, bytes = 200, messages = 200'000, rounds = 5;
};

struct Figures {
    double per_second, cpu_ns;
};

Figures echo(const Server& server, const Options& o) {
    std::vector<int> fds;
    const int epoll = ::epoll_create1(0);
    std::string request, one;
    append_masked_frame(one, Opcode::text, std::string(static_cast<std::size_t>(o.bytes), 'e'), 0x12345678);
    for (int i = 0; i < o.depth; ++i) request += one;
    const std::size_t answer = static_cast<std::size_t>(o.depth) * (one.size() - 4);
    std::vector<std::size_t> left(static_cast<std::size_t>(o.connections));
    for (int i = 0; i < o.connections; ++i) {
        const int fd = connect_websocket(server.port);
        if (fd < 0) return {0, 0};
        fds.push_back(fd);
        epoll_event event{.events = EPOLLIN, .data = {.u32 = static_cast<std::uint32_t>(i)}};
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
    static char buffer[65536];
    epoll_event events[256];
    const auto run = [&](int messages) {
        int sent = 0, answered = 0;
        const auto ask = [&](std::size_t i) {
            left[i] = answer;
            sent += o.depth;
            ::send(fds[i], request.data(), request.size(), MSG_NOSIGNAL);
        };
        for (std::size_t i = 0; i < fds.size(); ++i) ask(i);
        while (answered < sent) {
            const int n = ::epoll_wait(epoll, events, 256, 5000);
            if (n <= 0) return false;
            for (int k = 0; k < n; ++k) {
                const std::size_t i = events[k].data.u32;
                const ssize_t got = ::recv(fds[i], buffer, sizeof buffer, 0);
                if (got <= 0) return false;
                left[i] -= static_cast<std::size_t>(got);
                if (left[i] != 0) continue;
                answered += o.depth;
                if (sent < messages) ask(i);
            }
        }
        return true;
    };
    run(o.messages / 10);
    const double cpu = server.cpu_ns();
    const auto start = std::chrono::steady_clock::now();
    const bool good = run(o.messages);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const Figures figures{o.messages / seconds, (server.cpu_ns() - cpu) / o.messages};
    for (const int fd : fds) ::close(fd);
    ::close(epoll);
    return good ? figures : Figures{0, 0};
}

const std::pair<const char*, void (*)(int)> kServers[] = {{"weir", serve_weir}, {"minimal", serve_minimal}, {"beast", serve_beast}};

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    Options o;
    if (what == "idle") o.connections = 15'000;
    for (int i = 2; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const int value = std::atoi(argv[i + 1]);
        (name == "--connections" ? o.connections : name == "--depth" ? o.depth : name == "--bytes" ? o.bytes : name == "--messages" ? o.messages : o.rounds) = value;
    }
    ::signal(SIGPIPE, SIG_IGN);
    if (what == "echo") {
        std::vector<double> rate[3], cpu[3], ratio[3];
        for (int round = 0; round < o.rounds; ++round) {
            double weir_cpu = 0;
            for (std::size_t s = 0; s < 3; ++s) {
                Server server(kServers[s].second);
                pin(1);
                const Figures f = echo(server, o);
                rate[s].push_back(f.per_second);
                cpu[s].push_back(f.cpu_ns);
                if (s == 0) weir_cpu = f.cpu_ns;
                ratio[s].push_back(weir_cpu / f.cpu_ns);
            }
        }
        std::printf("echo: %d connections, depth %d, %d bytes, %d messages, %d rounds\n", o.connections, o.depth, o.bytes, o.messages, o.rounds);
        for (std::size_t s = 0; s < 3; ++s)
            std::printf("  %-8s %9.0f messages/s  %7.0f ns CPU a message  weir/this %.3f (%.3f to %.3f)\n", kServers[s].first, median(rate[s]), median(cpu[s]),
                        median(ratio[s]), *std::min_element(ratio[s].begin(), ratio[s].end()), *std::max_element(ratio[s].begin(), ratio[s].end()));
        return 0;
    }
    if (what == "idle") {
        std::printf("idle: %d upgraded connections\n", o.connections);
        for (const auto& [name, serve] : kServers) {
            Server server(serve);
            for (int i = 0; i < 10; ++i) ::close(connect_websocket(server.port));
            ::usleep(200'000);
            const double before = server.resident_bytes();
            std::vector<int> fds;
            for (int i = 0; i < o.connections; ++i) fds.push_back(connect_websocket(server.port));
            const auto failed = std::count(fds.begin(), fds.end(), -1);
            ::usleep(200'000);
            std::printf("  %-8s %7.0f bytes a connection (%ld failed)\n", name, (server.resident_bytes() - before) / o.connections, static_cast<long>(failed));
            for (const int fd : fds) ::close(fd);
        }
        return 0;
    }
    std::fprintf(stderr, "usage: net_bench echo|idle [options]; see the head of bench/net_bench.cc\n");
    return 2;
}
