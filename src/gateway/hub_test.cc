// The hub and its sessions on one reactor that the test turns, on a log in memory and a clock that goes on whenever somebody looks at it.
#include "gateway/hub.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "event/json.h"
#include "gateway/auth/authenticator.h"
#include "gateway/auth/door.h"
#include "gateway/dialects/dialects.h"
#include "gateway/groups.h"
#include "log/empty_log.h"
#include "net/http_server.h"
#include "net/websocket_codec.h"

using namespace weir;

namespace {

/// Looking at it takes time: so a flush pass over some dozens of sessions has several slices.
class SteppingClock final : public Clock {
public:
    Timestamp now() const override { return Timestamp::from_seconds(1'770'000'000) + monotonic(); }
    Duration monotonic() const override { return Duration(at_ += 100); }

private:
    mutable std::int64_t at_ = 0;
};

/// One stream in memory.
class OneStream final : public EmptyLog {
public:
    void append(std::size_t events, std::size_t data_bytes) {
        auto batch = std::make_shared<Batch>();
        batch->stream = "events";
        batch->epoch = Epoch{7};
        batch->first_seq = Seq{events_ + 1};
        batch->commit = CommitNo{batches_.size() + 1};
        batch->commit_time = "2026-02-17T10:00:00Z"_utc;
        const std::string data = "{\"text\":\"" + std::string(data_bytes, 'x') + "\"}";
        for (std::size_t i = 0; i < events; ++i) {
            const std::string id = std::to_string(++events_);
            EventView event;
            event.id = id;
            event.type = "reading";
            event.data = data;
            batch->events.add(event);
        }
        batches_.push_back(std::move(batch));
        if (wake_) wake_(CommitNo{batches_.size()});
    }

    Result<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>&, CommitNo after, std::size_t) override {
        return std::vector<BatchPtr>(batches_.begin() + static_cast<std::ptrdiff_t>(after.value), batches_.end());
    }
    bool in_tail(CommitNo) override { return true; }
    std::vector<StreamInfo> streams() override { return {*info("events")}; }
    std::optional<StreamInfo> info(std::string_view stream) override {
        StreamInfo info;
        info.name = stream;
        info.epoch = Epoch{7};
        info.first = Seq{1};
        info.head = Seq{events_};
        return info;
    }
    CommitNo head() override { return CommitNo{batches_.size()}; }
    std::vector<std::pair<Epoch, Seq>> epochs(std::string_view) override { return {{Epoch{7}, Seq{1}}}; }

private:
    std::vector<BatchPtr> batches_;
    std::uint64_t events_ = 0;
};

/// A client at the other end of a socketpair.
struct Client {
    explicit Client(int socket) : fd(socket) {}
    Client(const Client&) = delete;
    ~Client() {
        if (fd >= 0) ::close(fd);
    }
    void put(std::string_view bytes) { REQUIRE(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())); }
    void say(std::string_view text) {
        std::string frame;
        net::append_masked_frame(frame, net::Opcode::text, text, 0x5a3c0f96);
        put(frame);
    }
    /// Reads all that has come.
    void hear() {
        static std::vector<char> buffer(65536 + net::WebSocketDecoder::kPadding);
        for (;;) {
            const ssize_t n = ::recv(fd, buffer.data(), 65536, 0);
            if (n <= 0) return;
            std::span<char> bytes(buffer.data(), static_cast<std::size_t>(n));
            if (head) {
                bytes = bytes.subspan(std::string_view(bytes.data(), bytes.size()).find("\r\n\r\n") + 4);
                head = false;
            }
            while (!bytes.empty()) {
                const auto event = decoder.next(bytes, {});
                if (event.kind == net::WebSocketDecoder::Kind::more) break;
                REQUIRE(event.kind != net::WebSocketDecoder::Kind::error);
                if (event.kind == net::WebSocketDecoder::Kind::close) closed = event.code;
                if (event.kind != net::WebSocketDecoder::Kind::text) continue;
                last = event.data;
                longest = std::max(longest, last.size());
                if (heard) heard(last);
                if (last.find("\"type\":\"data\"") != std::string::npos) ++events;
            }
        }
    }
    int fd;
    bool head = true;
    net::WebSocketDecoder decoder{net::Role::client};
    std::optional<net::CloseCode> closed;
    std::size_t events = 0, longest = 0;
    std::string last;
    std::function<void(const std::string&)> heard;
};

struct World final : net::HttpHandler {
    static GatewayOptions open(GatewayOptions o) {
        o.require_auth = RequireAuth::no;
        return o;
    }
    explicit World(GatewayOptions o = {})
        : options(open(std::move(o))), reactor(clock), directory({{"events", {}}}, {}, {}), pool(1, 64), resume(*net::SigningKey::from_secret("0123456789abcdef0123456789abcdef")),
          authenticator(std::move(*Authenticator::make(options, clock))), groups(std::move(*Groups::open(log, options))),
          hub({reactor, log, clock, pool, directory, options, sessions, resume, *authenticator, *groups}, 1), dialect(make_analytics_dialect(hub)), spc(make_spc_dialect(hub)), doors(hub, *authenticator, [](net::Connection&, const Doors::Visitor&, const IdentityPtr&) { REQUIRE_MESSAGE(false, "nobody is let in"); }) {
        net::ServerOptions serving;
        serving.deflate.enabled = false;
        serving.ping_interval = Duration(0);
        serving.flushed = [this] { hub.flushed(); };
        server = std::make_unique<net::HttpServer>(reactor, serving, *this);
    }
    ~World() {
        server->end_all();
        reactor.turn();
        reactor.turn();
        pool.stop();
    }
    void on_request(net::HttpExchange& exchange) override {
        if (exchange.request().path == "/door") {
            net::ConnectionHandler& door = doors.open({.dialect = DialectKind::analytics, .cbor = false, .path = "/", .peer = "192.0.2.1"});
            return doors.wait(exchange.accept_websocket({.handler = door}), door, false);
        }
        Session& session = hub.open(exchange.request().path == "/ws" ? *spc : *dialect, authenticator->anyone());
        session.start(exchange.accept_websocket({.handler = session}));
    }
    std::unique_ptr<Client> connect(std::string_view path = "/", int buffer = 0) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        if (buffer) ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        last_connected = server->adopt(ends[0], {});
        REQUIRE(last_connected);
        auto client = std::make_unique<Client>(ends[1]);
        client->put("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        return client;
    }
    std::string ask(Client& client, std::string_view text) {
        client.say(text);
        for (int i = 0; i < 4; ++i) reactor.turn();
        client.hear();
        return client.last;
    }

    SteppingClock clock;
    GatewayOptions options;
    net::Reactor reactor;
    OneStream log;
    StreamDirectory directory;
    ReaderPool pool;
    ResumeTokens resume;
    std::unique_ptr<Authenticator> authenticator;
    std::unique_ptr<Groups> groups;
    std::atomic<std::size_t> sessions{0};
    Hub hub;
    std::unique_ptr<Dialect> dialect, spc;
    Doors doors;
    std::unique_ptr<net::HttpServer> server;
    net::Connection* last_connected = nullptr;
};

}  // namespace

TEST_CASE("hub: nobody who reads all that comes is closed as slow, also where a burst comes in the middle of a flush pass") {
    World world;
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 64; ++i) {
        clients.push_back(world.connect());
        CHECK(world.ask(*clients.back(), R"({"type":"subscribe","data":{"type":"events"}})").find("subscribed") != std::string::npos);
    }
    const auto all = [&](auto&& is) { return std::all_of(clients.begin(), clients.end(), is); };
    const auto turn = [&] {
        world.reactor.turn();
        for (const auto& client : clients) client->hear();
    };
    std::size_t events = 1;
    world.log.append(1, 10);
    turn();
    REQUIRE(clients.front()->events + clients.back()->events == 1);  // the pass is under way
    for (int burst = 0; burst < 2; ++burst, events += 1000) world.log.append(1000, 1000);
    for (int turns = 0; turns < 10'000 && !all([&](const auto& c) { return c->events == events || c->closed; }); ++turns) turn();
    CHECK(all([](const auto& c) { return !c->closed; }));
    CHECK(all([&](const auto& c) { return c->events == events; }));
    CHECK(world.hub.counts().sessions == clients.size());
}

TEST_CASE("spc: what a message names twice is named once, and what is not held costs an unsubscribe nothing") {
    GatewayOptions options;
    options.subscriptions_per_session = 3;
    World world(options);
    const auto client = world.connect("/ws");
    CHECK(world.ask(*client, R"({"type":"subscribe","characteristic_ids":[2,1,2,1,1],"groups":["a","a/","a"]})") == R"({"type":"error","message":"Characteristics not available","code":"unknown_ids","characteristic_ids":[2,1]})");
    CHECK(world.hub.counts().subscriptions == 2);
    CHECK(world.ask(*client, R"({"type":"subscribe","characteristic_ids":[1,2,3,4]})").find("too_many_subscriptions") != std::string::npos);
    CHECK(world.ask(*client, R"({"type":"subscribe","characteristic_ids":[1,2,3,3]})").find(R"("characteristic_ids":[1,2,3])") != std::string::npos);
    CHECK(world.hub.counts().subscriptions == 3);
    CHECK(world.ask(*client, R"({"type":"unsubscribe","characteristic_ids":[9,2,9,2],"groups":["b","a","a"]})") == R"({"type":"unsubscribed","characteristic_ids":[9,2],"groups":["b","a"]})");
    CHECK(world.hub.counts().subscriptions == 2);
    CHECK(world.ask(*client, R"({"type":"unsubscribe","characteristic_ids":[1,3]})") == R"({"type":"unsubscribed","characteristic_ids":[1,3]})");
    CHECK(world.hub.counts().subscriptions == 0);
}

TEST_CASE("hub: no batch is longer than a message may be, also where one event nearly fills it") {
    GatewayOptions options;
    options.max_message_size = 4096;
    World world(options);
    const auto client = world.connect();
    CHECK(world.ask(*client, R"({"type":"subscribe","data":{"type":"events","delivery":{"batch_ms":1}}})").find("subscribed") != std::string::npos);
    std::size_t batches = 0;
    for (std::size_t bytes = 3400; bytes < 4096; ++bytes) {
        world.log.append(1, bytes);
        client->last.clear();
        while (client->last.empty()) {
            world.reactor.turn();
            client->hear();
        }
        batches += client->last.find("\"type\":\"batch\"") != std::string::npos;
    }
    CHECK(batches > 0);
    CHECK(client->longest <= 4096);

    // An id that is longer as it is written.
    std::string id;
    for (int i = 0; i < 128; ++i) id += "\\u0001";
    const auto other = world.connect();
    CHECK(world.ask(*other, R"({"type":"subscribe","data":{"type":"events","delivery":{"batch_ms":1}},"subscription_id":")" + id + "\"}").find("subscribed") != std::string::npos);
    other->longest = 0;
    for (std::size_t bytes = 1; bytes < 200; ++bytes) {
        world.log.append(5, bytes);
        for (int turns = 0; turns < 10; ++turns) {
            world.reactor.turn();
            other->hear();
        }
    }
    CHECK(other->longest > 3000);
    CHECK(other->longest <= 4096);
}

TEST_CASE("hub: a session with many subscriptions to the same events gets each event once for each of them, event by event") {
    GatewayOptions options;
    options.enable_rate_limiting = false;
    World world(options);
    const auto client = world.connect();
    const std::size_t subscriptions = 200;
    for (std::size_t i = 0; i < subscriptions; ++i)
        CHECK(world.ask(*client, R"({"type":"subscribe","data":{"type":"events"},"subscription_id":"own )" + std::to_string(i) + "\"}").find("subscribed") != std::string::npos);
    std::vector<std::pair<std::string, std::int64_t>> got, wanted;
    client->heard = [&](const std::string& text) {
        const auto json = Json::parse(text);
        got.emplace_back(json->find_string("subscription_id").value_or(""), json->find("metadata")->find("seq")->as_integer().value_or(0));
    };
    for (std::int64_t seq = 1; seq <= 60; ++seq)
        for (std::size_t i = 0; i < subscriptions; ++i) wanted.emplace_back("own " + std::to_string(i), seq);
    world.log.append(60, 50);
    for (int turns = 0; turns < 1000 && got.size() < wanted.size(); ++turns) {
        world.reactor.turn();
        client->hear();
    }
    CHECK(got == wanted);
}

TEST_CASE("door: little is kept for a stranger who reads nothing, whatever he asks") {
    for (const net::Opcode opcode : {net::Opcode::ping, net::Opcode::text}) {
        CAPTURE(static_cast<int>(opcode));
        World world;
        const auto stranger = world.connect("/door", 4096);
        world.reactor.turn();
        stranger->hear();
        std::string frames;
        for (int i = 0; i < 400; ++i) net::append_masked_frame(frames, opcode, opcode == net::Opcode::ping ? std::string(100, 'p') : R"({"type":"ping"})", 0x5a3c0f96);
        const auto there = world.last_connected->ref();
        std::size_t most = 0;
        for (int i = 0; i < 100 && there.get() && !there.get()->closing(); ++i) {
            (void)!::send(stranger->fd, frames.data(), frames.size(), MSG_NOSIGNAL);
            world.reactor.turn();
            if (i == 0) CHECK(!there.get()->closing());
            if (there.get()) most = std::max(most, there.get()->pending_bytes());
        }
        CHECK(most > 0);
        CHECK(most <= Doors::kept_bytes_max + 200);  // and a close frame
        // Who asks in so many words is told why it ends.
        CHECK(world.doors.size() == (opcode == net::Opcode::text ? 0 : 1));
        CHECK(world.hub.counts().errors["slow_reader"] == (opcode == net::Opcode::text ? 1 : 0));
    }
}
