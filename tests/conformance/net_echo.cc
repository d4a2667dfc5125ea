// An echo server on weir's serving floor, for the conformance test (net_echo_test.py) and for benchmarks.
//
//     net_echo [--listen 127.0.0.1:0] [--cert file --key file] [--max-message bytes] [--no-deflate] [--ping ms] [--connections n]
//
// Prints the address that it listens on as its first line and serves until its stdin ends. WebSocket at any path echoes messages of both
// kinds; `/close/<code>` closes with that code; GET /hello, POST /body (answers the body), GET /stream (chunks), GET /late (answers from a timer).
#include <csignal>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <unistd.h>

#include "net/http_server.h"

using namespace weir;
using namespace weir::net;

namespace {

class Echo final : public HttpHandler, public ConnectionHandler {
public:
    explicit Echo(Reactor& reactor) : late_(reactor, [this] { answer_late(); }) {}

    void on_request(HttpExchange& exchange) override {
        const HttpRequest& request = exchange.request();
        if (exchange.upgrade() == UpgradeCheck::good) {
            const auto offered = offered_subprotocols(request);
            Connection& connection = exchange.accept_websocket({.handler = *this, .subprotocol = offered.empty() ? "" : offered.front()});
            if (const auto path = request.path; path.starts_with("/close/"))
                connection.close(CloseCode(static_cast<std::uint16_t>(std::atoi(std::string(path.substr(7)).c_str()))), "as asked");
            return;
        }
        if (exchange.upgrade() != UpgradeCheck::not_upgrade)
            return exchange.respond(exchange.upgrade() == UpgradeCheck::bad_version ? 426 : 400, {{"Sec-WebSocket-Version", "13"}}, "not a WebSocket handshake\n");
        if (request.path == "/hello") return exchange.respond(200, {{"Content-Type", "text/plain"}}, "hello\n");
        if (request.path == "/body")
            return exchange.read_body(1 << 20, [](HttpExchange& e, std::string_view body) { e.respond(200, {}, body); });
        if (request.path == "/stream") {
            exchange.begin(200, {{"Content-Type", "text/plain"}});
            for (int i = 0; i < 10; ++i) exchange.write("piece " + std::to_string(i) + "\n");
            return exchange.finish();
        }
        if (request.path == "/late") {
            waiting_.push_back(exchange.ref());
            return late_.start(10ms);
        }
        exchange.respond(404, {}, "no such path\n");
    }

    void on_message(Connection& connection, MessageKind kind, std::string_view payload) override {
        if (!connection.send(kind, payload)) connection.abort();
    }
    void on_closed(Connection&, const Closed&) override {}

private:
    void answer_late() {
        for (const auto& ref : waiting_)
            if (HttpExchange* exchange = ref.get()) exchange->respond(200, {}, "late\n");
        waiting_.clear();
    }
    std::vector<HttpExchangeRef> waiting_;
    Timer late_;
};

/// Ends the program when whoever started it goes away.
class Stdin final : public Pollable {
public:
    explicit Stdin(Reactor& reactor) : reactor_(reactor) {
        pollfd probe{0, POLLIN, 0};
        ::poll(&probe, 1, 0);
        reactor_.add(0, *this, 1 /* EPOLLIN */);
    }
    ~Stdin() { reactor_.remove(0, *this); }
    void on_ready(std::uint32_t) override {
        char buffer[64];
        if (::read(0, buffer, sizeof buffer) <= 0) reactor_.stop();
    }

private:
    Reactor& reactor_;
};

}  // namespace

int main(int argc, char** argv) {
    ListenAddress address{.host = "127.0.0.1", .port = 0, .unix_path = {}};
    ServerOptions options;
    options.connections_max = 20'000;
    TlsOptions tls;
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : "";
        if (name == "--no-deflate") {
            options.deflate.enabled = false;
            continue;
        }
        ++i;
        if (name == "--listen") {
            auto parsed = ListenAddress::parse(value);
            if (!parsed) return std::fprintf(stderr, "%s\n", parsed.error().message.c_str()), 2;
            address = *parsed;
        } else if (name == "--cert") {
            tls.certificate_file = value;
        } else if (name == "--key") {
            tls.key_file = value;
        } else if (name == "--max-message") {
            options.websocket.message_bytes_max = static_cast<std::size_t>(std::atoll(value));
            options.send_buffer_bytes_max = 2 * options.websocket.message_bytes_max;
        } else if (name == "--ping") {
            options.ping_interval = options.ping_timeout = std::chrono::milliseconds(std::atoi(value));
            options.sweep_interval = 20ms;
        } else {
            return std::fprintf(stderr, "net_echo: unknown option %s\n", argv[i - 1]), 2;
        }
    }
    std::signal(SIGPIPE, SIG_IGN);
    SystemClock clock;
    Reactor reactor(clock);
    std::shared_ptr<TlsServerContext> context;
    if (!tls.certificate_file.empty()) {
        auto loaded = TlsServerContext::load(tls);
        if (!loaded) return std::fprintf(stderr, "%s\n", loaded.error().message.c_str()), 1;
        context = *loaded;
    }
    Echo echo(reactor);
    HttpServer server(reactor, options, echo, context);
    const auto listening = server.listen(address);
    if (!listening) return std::fprintf(stderr, "%s\n", listening.error().message.c_str()), 1;
    std::printf("%s\n", listening->to_text().c_str());
    std::fflush(stdout);
    Stdin input(reactor);
    reactor.run();
    return 0;
}
