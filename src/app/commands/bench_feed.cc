#include "app/commands/bench_feed.h"

#include <thread>

#include "app/commands/bench_publisher.h"
#include "event/json.h"
#include "net/http_server.h"
#include "net/reactor.h"

namespace weir {
namespace {

constexpr Duration patience = 10s;  // until the server's feed has connected

}  // namespace

struct BenchFeed::Server final : net::HttpHandler, net::ConnectionHandler {
    explicit Server(const Clock& clock) : reactor(clock), http(reactor, net::ServerOptions{}, *this) {}

    void on_request(net::HttpExchange& exchange) override {
        if (exchange.upgrade() != net::UpgradeCheck::good) return exchange.respond(404, {}, "");
        feed = exchange.accept_websocket({.handler = *this}).ref();
        connected = true;
    }
    void on_message(net::Connection&, net::MessageKind, std::string_view) override {}
    void on_closed(net::Connection&, const net::Closed&) override { connected = false; }

    void send(const std::string& message) {
        while (!reactor.post([this, message] {
            net::Connection* connection = feed.get();
            if (connection == nullptr || !connection->send(net::MessageKind::text, message)) connected = false;
        }))
            std::this_thread::yield();
    }

    net::Reactor reactor;
    net::HttpServer http;
    net::ConnectionRef feed;
    std::atomic<bool> connected{false};
    std::string url;
    std::thread thread;
};

Result<std::unique_ptr<BenchFeed>> BenchFeed::make(Options options, const Clock& clock) {
    auto server = std::make_unique<Server>(clock);
    WEIR_TRY(const auto where, net::ListenAddress::parse("127.0.0.1:0"));
    WEIR_TRY(const auto bound, server->http.listen(where));
    server->url = "ws://" + bound.to_text() + "/";
    return std::unique_ptr<BenchFeed>(new BenchFeed(options, clock, std::move(server)));
}

BenchFeed::BenchFeed(Options options, const Clock& clock, std::unique_ptr<Server> server)
    : options_(options), clock_(clock), server_(std::move(server)), pad_(bench_padding(options.message_bytes)) {}

BenchFeed::~BenchFeed() {
    if (!server_->thread.joinable()) return;
    server_->reactor.stop();
    server_->thread.join();
}

const std::string& BenchFeed::url() const { return server_->url; }

void BenchFeed::start() {
    server_->thread = std::thread([s = server_.get()] { s->reactor.run(); });
}

bool BenchFeed::publish(std::uint64_t events, Measured measured, const std::atomic<bool>& interrupted) {
    for (const Duration until = clock_.monotonic() + patience; !server_->connected; std::this_thread::sleep_for(1ms)) {
        if (interrupted) return false;
        if (clock_.monotonic() < until) continue;
        problem_ = "the server's feed is not connected to " + url();
        return false;
    }
    const Duration start = clock_.monotonic();
    for (std::uint64_t i = 0; i < events; ++i) {
        const Duration due = start + Duration(static_cast<std::int64_t>(static_cast<double>(i) * 1e6 / options_.rate));
        while (due > clock_.monotonic() && !interrupted) std::this_thread::sleep_for(std::min(due - clock_.monotonic(), Duration(200ms)));
        if (interrupted) return false;
        if (!server_->connected) {
            problem_ = "the server's feed has closed its connection, or does not read";
            return false;
        }
        std::string message;
        JsonWriter(message).object().member("due_us", measured == Measured::yes ? due.count() : 0).member("pad", pad_).end();
        server_->send(message);
        ++sent_;
    }
    return true;
}

}  // namespace weir
