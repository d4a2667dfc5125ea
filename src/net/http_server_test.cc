#include "net/http_server.h"

#include <signal.h>

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/diag.h"
#include "base/prng.h"

using namespace weir;
using namespace weir::net;

namespace {

// The TLS peers of net's tests let OpenSSL write to their sockets, which raises SIGPIPE when the other side has gone; what weir itself
// sends never does (MSG_NOSIGNAL, memory BIOs).
[[maybe_unused]] const auto sigpipe_ignored = ::signal(SIGPIPE, SIG_IGN);


/// A session of the tests: notes what it is told, does what it is given.
struct Session final : ConnectionHandler {
    std::function<void(Connection&, std::string_view)> message = [](Connection&, std::string_view) {};
    std::function<void(Connection&)> writable = [](Connection&) {};
    std::vector<std::string> messages, pongs;
    int writables = 0, closes = 0;
    Closed::By by{};
    CloseCode code{};
    std::string reason;

    void on_message(Connection& connection, MessageKind, std::string_view payload) override {
        messages.emplace_back(payload);
        message(connection, payload);
    }
    void on_writable(Connection& connection) override {
        ++writables;
        writable(connection);
    }
    void on_pong(Connection&, std::string_view payload) override { pongs.emplace_back(payload); }
    void on_closed(Connection&, const Closed& closed) override {
        ++closes;
        by = closed.by;
        code = closed.code;
        reason = closed.reason;
    }
};

struct World;

struct Client {
    World* world;
    int fd;
    Connection* connection;
    Client(World& w, int socket, Connection* c) : world(&w), fd(socket), connection(c) {}
    Client(Client&& other) noexcept : world(other.world), fd(std::exchange(other.fd, -1)), connection(other.connection) {}
    ~Client() { hang_up(); }
    void hang_up() {
        if (fd >= 0) ::close(std::exchange(fd, -1));
    }
    void say(std::string_view bytes) { REQUIRE(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())); }
    /// At most `most` bytes of what came; `ended` tells whether the server has closed.
    std::string take(std::size_t most = ~std::size_t(0)) {
        std::string out;
        char buffer[65536];
        while (out.size() < most) {
            const ssize_t n = ::recv(fd, buffer, std::min(sizeof buffer, most - out.size()), 0);
            if (n <= 0) {
                ended = n == 0 || errno != EAGAIN;
                break;
            }
            out.append(buffer, static_cast<std::size_t>(n));
        }
        return out;
    }
    std::string hear();
    std::string ask(std::string_view bytes) {
        say(bytes);
        return hear();
    }
    void upgrade(std::string_view extension = "") {
        std::string request = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        if (!extension.empty()) request.append("Sec-WebSocket-Extensions: ").append(extension).append("\r\n");
        const std::string answer = ask(request + "\r\n");
        REQUIRE_MESSAGE(answer.starts_with("HTTP/1.1 101 "), answer);
    }
    bool ended = false;
};

struct World final : HttpHandler {
    ManualClock clock{Timestamp::from_seconds(1'784'000'000)};
    Reactor reactor{clock};
    Session session;
    std::function<void(HttpExchange&)> request;
    std::function<void(HttpExchange&, std::size_t)> too_large;
    std::shared_ptr<TlsServerContext> tls;
    std::unique_ptr<HttpServer> server;

    explicit World(ServerOptions options = {}, std::shared_ptr<TlsServerContext> context = nullptr) : tls(std::move(context)) {
        server = std::make_unique<HttpServer>(reactor, options, *this, tls);
    }
    void on_request(HttpExchange& exchange) override {
        if (request) return request(exchange);
        if (exchange.upgrade() == UpgradeCheck::good)
            exchange.accept_websocket({.handler = session});
        else
            exchange.respond(200, {}, "hello");
    }
    void on_body_too_large(HttpExchange& exchange, std::size_t bytes_max) override {
        too_large ? too_large(exchange, bytes_max) : HttpHandler::on_body_too_large(exchange, bytes_max);
    }
    Client connect(std::string_view ip = "", int buffer = 0) {
        int fds[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
        if (buffer) ::setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        Connection* connection = server->adopt(fds[0], {.ip = IpAddress::parse(ip), .port = 1});
        return Client(*this, fds[1], connection);
    }
    void turns(int n = 4) {
        for (int i = 0; i < n; ++i) reactor.turn();
    }
    /// Time goes on and the sweep sees it.
    void pass(Duration d) {
        clock.advance(d);
        turns();
        clock.advance(server->options().sweep_interval);
        turns();
    }
};

std::string Client::hear() {
    world->turns();
    return take();
}

std::string masked(int first, std::string_view payload) {
    std::string out;
    append_masked_frame(out, Opcode::text, payload, 0x12345678);
    out[0] = static_cast<char>(first);
    return out;
}

std::string frame(Opcode opcode, std::string_view payload) {
    std::string out;
    append_frame(out, opcode, payload);
    return out;
}

std::string close_frame(CloseCode code, std::string_view reason = "") { return frame(Opcode::close, close_payload(code, reason)); }

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

}  // namespace

TEST_CASE("server: all that a session has pending leaves in one send at the end of the turn") {
    World world;
    Client client = world.connect();
    client.upgrade();
    std::string ring;
    for (int i = 0; i < 500; ++i) append_frame(ring, Opcode::text, "event " + std::to_string(i));
    std::size_t position = 0;
    world.session.writable = [&](Connection& connection) { position += connection.try_write(std::string_view(ring).substr(position)); };
    const auto sends = world.server->statistics().sends;
    for (int i = 0; i < 500; ++i) client.connection->mark_dirty();
    client.connection->send(MessageKind::text, "first");
    CHECK(client.hear() == frame(Opcode::text, "first") + ring);
    CHECK(world.server->statistics().sends - sends == 1);
    CHECK(world.session.writables == 1);
    CHECK(position == ring.size());
}

TEST_CASE("server: what is sent while a read is served leaves in one send when it is done") {
    World world;
    world.session.message = [](Connection& connection, std::string_view payload) { connection.send(MessageKind::text, payload); };
    Client client = world.connect();
    client.upgrade();
    std::string in, out;
    for (int i = 0; i < 16; ++i) {
        in += masked(0x81, std::to_string(i));
        append_frame(out, Opcode::text, std::to_string(i));
    }
    const auto sends = world.server->statistics().sends;
    CHECK(client.ask(in) == out);
    CHECK(world.server->statistics().sends - sends == 1);
}

TEST_CASE("server: however little the kernel takes, frames stay whole, pongs find their place, and the owner's position is between two frames") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        World world;
        Client client = world.connect("", 4096);
        client.upgrade();
        // A ring in two pieces, as it is when it wraps.
        std::string ring;
        std::vector<std::size_t> boundaries{0};
        std::vector<std::string> expected;
        for (int i = 0; i < 60; ++i) {
            std::string payload = std::to_string(i) + std::string(prng.below(prng.chance(0.1) ? 70'000 : 400), static_cast<char>('a' + i % 26));
            append_frame(ring, Opcode::text, payload);
            boundaries.push_back(ring.size());
            expected.push_back(payload);
        }
        const std::size_t wrap = prng.below(ring.size());
        std::size_t position = 0;
        world.session.writable = [&](Connection& connection) {
            std::vector<iovec> pieces;
            if (position < wrap) pieces.push_back({ring.data() + position, wrap - position});
            const std::size_t from = std::max(position, wrap);
            // Some pieces are empty, and some are many.
            for (std::size_t at = from; at < ring.size();) {
                const std::size_t n = std::min(ring.size() - at, prng.below(30'000));
                pieces.push_back({ring.data() + at, n});
                at += n;
            }
            const std::size_t taken = connection.try_write(pieces);
            position += taken;
            CHECK(std::binary_search(boundaries.begin(), boundaries.end(), position));
            CHECK((position == ring.size() || connection.blocked()));
            CHECK(connection.pending_bytes() < 72'000);  // at most one cut frame and a few pongs
        };
        client.connection->mark_dirty();
        WebSocketDecoder decoder(Role::client);
        const WebSocketLimits limits;
        std::vector<std::string> texts;
        int pings = 0, pongs = 0, own = 0, own_seen = 0;
        for (int step = 0; step < 20'000 && (texts.size() < expected.size() || pongs < pings || own_seen < own); ++step) {
            if (prng.chance(0.05) && pings < 40) {
                client.say(masked(0x89, "ping " + std::to_string(pings++)));
            }
            if (prng.chance(0.02) && own < 10) client.connection->send_encoded(frame(Opcode::binary, "own " + std::to_string(own++)));
            world.reactor.turn();
            std::string got = client.take(prng.below(9000));
            got.resize(got.size() + WebSocketDecoder::kPadding);
            std::span<char> input(got.data(), got.size() - WebSocketDecoder::kPadding);
            for (;;) {
                const auto event = decoder.next(input, limits);
                if (event.kind == WebSocketDecoder::Kind::more) break;
                REQUIRE(event.kind != WebSocketDecoder::Kind::error);
                if (event.kind == WebSocketDecoder::Kind::text) texts.emplace_back(event.data);
                if (event.kind == WebSocketDecoder::Kind::pong) CHECK(event.data == "ping " + std::to_string(pongs++));
                if (event.kind == WebSocketDecoder::Kind::binary) CHECK(event.data == "own " + std::to_string(own_seen++));
            }
        }
        CHECK(texts == expected);
        CHECK(pongs == pings);
        CHECK(own_seen == own);
        CHECK(client.connection->pending_bytes() == 0);
    }
}

TEST_CASE("server: a peer that pings and does not read gets a bounded number of pongs, and send says when its bound is reached") {
    ServerOptions options;
    options.send_buffer_bytes_max = 10'000;
    World world(options);
    Client client = world.connect("", 4096);
    client.upgrade();
    for (int i = 0; i < 2000; ++i) {
        client.say(masked(0x89, std::string(125, 'p')));
        world.turns(1);
    }
    CHECK(client.connection->blocked());
    CHECK(client.connection->pending_bytes() <= 10'000);
    bool refused = false;
    for (int i = 0; i < 100 && !refused; ++i) refused = !client.connection->send(MessageKind::text, std::string(1000, 'x'));
    CHECK(refused);
    CHECK(client.connection->pending_bytes() <= 10'000);
}

TEST_CASE("server: a peer that takes nothing is ended after write_timeout, one that takes a little now and then is not") {
    ServerOptions options;
    options.ping_interval = 0s;
    World world(options);
    Client client = world.connect("", 4096);
    client.upgrade();
    const std::string ring = frame(Opcode::binary, std::string(400'000, 'x'));
    client.connection->send_encoded(ring);
    world.turns();
    REQUIRE(client.connection->blocked());
    for (int i = 0; i < 10; ++i) {
        world.pass(20s);
        CHECK(world.session.closes == 0);
        client.take(20'000);  // all that is there: a Unix socket says that it has room only when it is nearly empty
        world.turns();
    }
    world.pass(options.write_timeout);
    CHECK(world.session.closes == 1);
    CHECK(world.session.by == Closed::By::timeout);
    CHECK(world.server->open() == 0);
}

TEST_CASE("server: silence is asked about; any byte is life; no answer ends the connection (S4-26, C-26)") {
    World world;
    Client client = world.connect();
    client.upgrade();
    world.pass(20s);
    CHECK(client.take() == frame(Opcode::ping, ""));
    client.say(masked(0x81, "alive"));
    world.turns();
    world.pass(9s);
    CHECK(client.take().empty());
    world.pass(12s);
    CHECK(client.take() == frame(Opcode::ping, ""));
    world.pass(10s);
    CHECK(world.session.closes == 1);
    CHECK(world.session.by == Closed::By::timeout);
    CHECK(client.take() == close_frame(CloseCode::internal_error, "no answer to a ping"));
    CHECK(client.ended);
}

TEST_CASE("server: a close of ours tells the owner at once and waits for the peer's until close_timeout") {
    World world;
    Client client = world.connect(), second = world.connect();
    client.upgrade();
    const ConnectionRef ref = client.connection->ref();
    client.connection->close(CloseCode::policy_violation, "no");
    CHECK(world.session.closes == 0);  // never from within the call
    CHECK(client.hear() == close_frame(CloseCode::policy_violation, "no"));
    CHECK(world.session.closes == 1);
    CHECK(world.session.by == Closed::By::us);
    CHECK(!client.ended);
    CHECK(client.connection->send(MessageKind::text, "too late"));
    CHECK(client.ask(masked(0x81, "ignored")).empty());
    CHECK(world.session.messages.empty());
    CHECK(client.ask(masked(0x88, close_payload(CloseCode::policy_violation, ""))).empty());
    CHECK(client.ended);
    CHECK(ref.get() == nullptr);

    second.upgrade();
    second.connection->close(CloseCode::normal);
    world.turns();
    CHECK(world.server->open() == 1);
    world.pass(10s);
    CHECK(world.server->open() == 0);
    CHECK(world.session.closes == 2);
}

TEST_CASE("server: how a connection ended is told exactly once") {
    World world;
    const auto run = [&](auto&& how) {
        world.session = Session();
        Client client = world.connect();
        client.upgrade();
        how(client);
        world.turns();
        client.hang_up();
        world.turns();
        CHECK(world.session.closes == 1);
        CHECK(world.server->open() == 0);
    };
    run([](Client& c) { c.say(masked(0x88, close_payload(CloseCode::going_away, "bye"))); });
    CHECK(world.session.by == Closed::By::peer);
    CHECK(world.session.code == CloseCode::going_away);
    CHECK(world.session.reason == "bye");
    run([](Client& c) { c.hang_up(); });
    CHECK(world.session.code == CloseCode::abnormal);
    CHECK(world.session.by == Closed::By::peer);
    run([](Client& c) { c.say(masked(0x83, "")); });
    CHECK(world.session.by == Closed::By::error);
    CHECK(world.session.code == CloseCode::protocol_error);
    run([](Client& c) { c.connection->abort(); });
    CHECK(world.session.by == Closed::By::us);
    run([](Client& c) {
        c.connection->abort();
        c.connection->close(CloseCode::normal);
        c.connection->abort();
    });
    run([&](Client& c) {
        world.session.message = [](Connection& connection, std::string_view) { connection.abort(); };
        c.say(masked(0x81, "a") + masked(0x81, "b"));
    });
    CHECK(world.session.messages == std::vector<std::string>{"a"});
}

TEST_CASE("server: a paused connection reads nothing, and all of it when it goes on") {
    World world;
    world.session.message = [](Connection& connection, std::string_view payload) {
        if (payload == "stop") connection.pause_reading();
    };
    Client client = world.connect();
    client.upgrade();
    client.ask(masked(0x81, "a") + masked(0x81, "stop") + masked(0x81, "b") + masked(0x81, "c").substr(0, 4));
    client.ask(masked(0x81, "c").substr(4));
    CHECK(world.session.messages == std::vector<std::string>{"a", "stop"});
    client.connection->resume_reading();
    world.turns();
    CHECK(world.session.messages == std::vector<std::string>{"a", "stop", "b", "c"});
}

TEST_CASE("server: a peer that sends without end does not keep the others waiting") {
    ServerOptions options;
    options.receive_buffer_bytes = 4096;
    options.read_bytes_per_turn = 4096;
    World world(options);
    Client busy = world.connect(), other = world.connect();
    busy.upgrade();
    other.upgrade();
    std::string flood;
    while (flood.size() < 100'000) flood += masked(0x81, std::string(100, 'f'));
    busy.say(flood);
    other.say(masked(0x81, "other"));
    world.reactor.turn();
    const auto& seen = world.session.messages;
    CHECK(std::find(seen.begin(), seen.end(), "other") != seen.end());
    CHECK(seen.size() < 500);
    for (int i = 0; i < 100; ++i) world.reactor.turn();
    CHECK(seen.size() == 1 + flood.size() / masked(0x81, std::string(100, 'f')).size());
}

TEST_CASE("server: a peer that sends the smallest frames without end keeps the others waiting no longer than one with large ones") {
    ServerOptions options;
    options.receive_buffer_bytes = 4096;
    options.read_bytes_per_turn = 64 * 1024;
    World world(options);
    Client busy = world.connect();
    busy.upgrade();
    std::string flood;
    constexpr std::size_t pings = 9000;
    for (std::size_t i = 0; i < pings; ++i) flood += masked(0x89, "");
    busy.say(flood);
    const auto answered = [&] { return busy.take().size() / 2; };
    world.reactor.turn();
    std::size_t pongs = answered();
    CHECK(pongs > 500);
    CHECK(pongs < 3000);  // two turns of it
    for (int i = 0; i < 200; ++i) world.reactor.turn(), pongs += answered();
    CHECK(pongs == pings);
}

TEST_CASE("server: who asks and is done sending gets the whole answer (RFC 9112, 9.6)") {
    for (const std::size_t size : std::initializer_list<std::size_t>{5, 300'000, 4'000'000}) {
        CAPTURE(size);
        World world;
        const std::string body(size, 'b');
        world.request = [&](HttpExchange& exchange) { exchange.respond(200, {}, body); };
        Client client = world.connect("", 8192);
        client.say("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        ::shutdown(client.fd, SHUT_WR);
        std::string answer;
        for (int i = 0; i < 5000 && !client.ended; ++i) {
            world.reactor.turn();
            answer += client.take();
        }
        CHECK(answer.starts_with("HTTP/1.1 200 "));
        CHECK(answer.ends_with("\r\n\r\n" + body));
        CHECK(world.server->open() == 0);
    }
}

TEST_CASE("server: a compressed frame is inflated, and messages of ours are compressed only where that was agreed and pays") {
    World world;
    world.session.message = [](Connection& connection, std::string_view payload) { connection.send(MessageKind::text, payload); };
    Client plain = world.connect(), packed = world.connect(), small = world.connect();
    plain.upgrade();
    packed.upgrade("permessage-deflate; client_max_window_bits");
    small.upgrade("permessage-deflate; server_max_window_bits=10");
    CHECK(plain.connection->deflate_window() == 0);
    CHECK(packed.connection->deflate_window() == 12);
    CHECK(small.connection->deflate_window() == 9);
    const std::string message(1000, 'm');
    CHECK(plain.ask(masked(0x81, message)) == frame(Opcode::text, message));
    std::string compressed, expected;
    REQUIRE(Deflater().deflate(message, compressed));
    append_frame(expected, Opcode::text, compressed, Compressed::yes);
    CHECK(packed.ask(masked(0xc1, compressed)) == expected);
    CHECK(packed.ask(masked(0x81, "short")) == frame(Opcode::text, "short"));
    // What repeats from further back than the small window holds tells the two compressors apart.
    std::string far;
    for (int i = 0; far.size() < 400; ++i) far += std::to_string(i * i);
    far += far;
    std::string expected_small;
    for (const auto& [window, out] : {std::pair{12, &expected}, std::pair{9, &expected_small}}) {
        compressed.clear();
        out->clear();
        REQUIRE(Deflater(window).deflate(far, compressed));
        append_frame(*out, Opcode::text, compressed, Compressed::yes);
    }
    CHECK(expected != expected_small);
    CHECK(packed.ask(masked(0x81, far)) == expected);
    CHECK(small.ask(masked(0x81, far)) == expected_small);
}

TEST_CASE("server: flush passes are bounded by the duty, and never later than the latency cap (performance.md 3)") {
    ServerOptions options;
    options.flush_duty = 3;
    options.flush_latency_max = 5ms;
    World world(options);
    Client client = world.connect();
    client.upgrade();
    Duration cost = 1ms;
    world.session.writable = [&](Connection&) { world.clock.advance(cost); };
    const auto passes_within = [&](Duration time) {
        const int before = world.session.writables;
        const Duration end = world.clock.monotonic() + time;
        while (world.clock.monotonic() < end) {
            client.connection->mark_dirty();
            world.reactor.turn();
            world.clock.advance(100us);
        }
        return world.session.writables - before;
    };
    const int third = passes_within(300ms);
    CHECK(third >= 90);
    CHECK(third <= 101);
    cost = 4ms;  // three times that is above the cap
    const int capped = passes_within(500ms);
    CHECK(capped >= 95);
    CHECK(capped <= 101);
}

TEST_CASE("server: between the slices of a long flush pass sockets are read, and what is marked meanwhile goes along with those whose turn is still to come") {
    int passes = 0;
    ServerOptions options;
    options.flushed = [&] { ++passes; };
    World world(options);
    std::vector<Client> clients;
    for (int i = 0; i < 100; ++i) {
        clients.push_back(world.connect());
        clients.back().upgrade();
    }
    world.session.writable = [&](Connection&) { world.clock.advance(50us); };
    const auto mark_all = [&] {
        for (Client& client : clients) client.connection->mark_dirty();
    };
    world.turns();
    const int before = world.session.writables;
    const auto asked = [&] { return world.session.writables - before; };
    passes = 0;
    mark_all();
    world.reactor.turn();
    CHECK(asked() > 0);
    CHECK(asked() < 50);
    clients[99].say(masked(0x81, "hello"));
    world.reactor.turn();
    CHECK(world.session.messages == std::vector<std::string>{"hello"});
    CHECK(asked() < 50);
    CHECK(passes == 0);
    mark_all();
    const int again = asked();  // those that have been asked already
    while (passes == 0) world.reactor.turn();
    CHECK(asked() == 100);
    while (passes == 1) world.reactor.turn();
    CHECK(asked() == 100 + again);
    world.turns();
    CHECK(asked() == 100 + again);
}

TEST_CASE("server: slow heads, idle connections, slow bodies and answers that do not come are ended (slowloris)") {
    World world;
    world.request = [](HttpExchange& exchange) {
        if (exchange.request().path == "/body") exchange.read_body(100, [](HttpExchange& e, std::string_view body) { e.respond(200, {}, body); });
        if (exchange.request().path == "/") exchange.respond(200, {}, "");
    };
    {
        Client silent = world.connect(), slow = world.connect();
        slow.say("GET / HT");
        world.turns();
        world.pass(5s);
        slow.say("T");  // a byte now and then does not help
        world.pass(5s);
        CHECK(silent.hear().empty());
        CHECK(silent.ended);
        CHECK(slow.hear().starts_with("HTTP/1.1 408 "));
    }
    {
        Client idle = world.connect();
        CHECK(idle.ask(kGet).starts_with("HTTP/1.1 200 OK"));
        world.pass(70s);
        CHECK(idle.hear().empty());
        CHECK(!idle.ended);
        world.pass(5s);
        CHECK(idle.hear().empty());
        CHECK(idle.ended);
    }
    {
        Client slow = world.connect();
        slow.say("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123");
        world.turns();
        world.pass(29s);
        slow.say("4");
        world.turns();
        world.pass(29s);
        CHECK(slow.hear().empty());
        world.pass(1s);
        CHECK(slow.hear().starts_with("HTTP/1.1 408 "));
    }
    {
        Client waiting = world.connect();
        waiting.say("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
        world.turns();
        world.pass(60s);
        CHECK(waiting.hear().starts_with("HTTP/1.1 503 "));
    }
    world.pass(100s);
    CHECK(world.server->open() == 0);
}

TEST_CASE("server: above connections_max and above the bound for an address a connection is told so and closed (S2-22)") {
    ServerOptions options;
    options.connections_max = 3;
    options.connections_per_address_max = 2;
    World world(options);
    Client a = world.connect("192.0.2.1"), b = world.connect("192.0.2.1"), c = world.connect("192.0.2.1");
    CHECK(c.connection == nullptr);
    CHECK(c.hear().starts_with("HTTP/1.1 429 "));
    CHECK(c.ended);
    Client d = world.connect("192.0.2.2"), e = world.connect("192.0.2.3");
    CHECK(d.connection != nullptr);
    CHECK(e.hear().starts_with("HTTP/1.1 503 "));
    a.hang_up();
    world.turns();
    Client f = world.connect("192.0.2.1");
    CHECK(f.connection != nullptr);
    CHECK(f.ask(kGet).ends_with("hello"));
    CHECK(world.server->statistics().refused == 2);
}

TEST_CASE("server: an address that a PROXY header names is bound like one that connects itself, and whoever is refused is named") {
    const std::string lines = "/tmp/weir-http-server-test-" + std::to_string(::getpid());
    diag::configure({.level = diag::Level::info, .format = diag::Format::text, .file = lines});
    ServerOptions options;
    options.connections_per_address_max = 1;
    options.proxy_protocol = true;
    options.trusted_proxies = {*IpBlock::parse("10.0.0.1")};
    World world(options);
    const std::string said = "PROXY TCP4 203.0.113.9 10.0.0.2 4711 80\r\n" + std::string(kGet);
    Client a = world.connect("10.0.0.1");
    CHECK(a.ask(said).ends_with("hello"));
    Client b = world.connect("10.0.0.1");
    CHECK(b.ask(said).starts_with("HTTP/1.1 429 "));
    CHECK(b.ended);
    world.turns();
    CHECK(world.server->statistics().refused == 1);
    CHECK(world.server->open() == 1);
    Client c = world.connect("192.0.2.1"), d = world.connect("192.0.2.1");
    CHECK(d.hear().starts_with("HTTP/1.1 429 "));
    CHECK(world.server->statistics().refused == 2);
    diag::flush();
    std::ifstream in(lines);
    const std::string told{std::istreambuf_iterator<char>(in), {}};
    CHECK(told.find("a connection of 203.0.113.9 was refused: connections_per_address_max are open from its address (1 since the start)") != std::string::npos);
    diag::configure({});
    ::unlink(lines.c_str());
}

TEST_CASE("server: an answer given before the body goes out, whatever the body turns out to be") {
    World world;
    world.request = [](HttpExchange& exchange) { exchange.respond(401, {}, "who?"); };
    for (const bool at_once : {true, false}) {
        Client client = world.connect();
        const std::string head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", body = "no size\r\n";
        client.say(at_once ? head + body : head);
        const std::string answer = client.hear();
        CHECK(answer.starts_with("HTTP/1.1 401 "));
        CHECK(answer.ends_with("\r\n\r\nwho?"));
        if (!at_once) CHECK(client.ask(body).empty());
        CHECK(client.ended);
    }
    world.pass(100s);
    CHECK(world.server->open() == 0);
}

TEST_CASE("server: an answer may come later, and a client that has gone is noticed") {
    World world;
    HttpExchangeRef ref;
    int gone = 0;
    std::string path;
    world.request = [&](HttpExchange& exchange) {
        ref = exchange.ref();
        exchange.on_gone([&] { ++gone; });
    };
    {
        Client client = world.connect();
        client.say("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
        CHECK(client.hear().empty());
        REQUIRE(ref.get());
        CHECK(ref.get()->request().path == "/a");
        CHECK(ref.get()->request().header("host") == "h");
        const HttpExchangeRef first = ref;
        ref.get()->respond(200, {}, "A");
        CHECK(first.get() == nullptr);
        CHECK(client.hear().ends_with("\r\n\r\nA"));
        REQUIRE(ref.get());
        CHECK(ref.get()->request().path == "/b");
        ref.get()->respond(200, {}, "B");
        CHECK(client.hear().ends_with("\r\n\r\nB"));
        CHECK(gone == 0);
    }
    world.turns();
    {
        Client client = world.connect();
        client.ask(kGet);
        REQUIRE(ref.get());
        client.hang_up();
        world.turns();
        CHECK(gone == 1);
        CHECK(ref.get() == nullptr);
    }
    {
        // An upgrade may be decided later, too; what the client has sent meanwhile is not lost.
        Client client = world.connect();
        client.say("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + masked(0x81, "early"));
        world.turns();
        Connection& connection = ref.get()->accept_websocket({.handler = world.session});
        connection.send(MessageKind::text, "welcome");
        CHECK(client.hear().ends_with("\r\n\r\n" + frame(Opcode::text, "welcome")));
        CHECK(world.session.messages == std::vector<std::string>{"early"});
    }
}

TEST_CASE("server: a body is bounded, a streamed one can be held back") {
    World world;
    std::string got;
    bool last = false;
    HttpExchangeRef ref;
    world.request = [&](HttpExchange& exchange) {
        ref = exchange.ref();
        if (exchange.request().path == "/small") return exchange.read_body(5, [](HttpExchange& e, std::string_view body) { e.respond(200, {}, body); });
        exchange.stream_body(1000, [&](HttpExchange& e, std::string_view piece, bool end) {
            got += piece;
            last = end;
            if (piece.ends_with("!")) e.pause_body();
            if (end) e.respond(200, {}, "done");
        });
    };
    Client client = world.connect();
    CHECK(client.ask("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345").ends_with("12345"));
    CHECK(client.ask("POST /stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabc!\r\n3\r\ndef\r\n").empty());
    client.ask("0\r\n\r\n");
    CHECK(got == "abc!");
    ref.get()->resume_body();
    CHECK(client.hear().ends_with("done"));
    CHECK(got == "abc!def");
    CHECK(last);
    CHECK(client.ask("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n0\r\n\r\n").starts_with("HTTP/1.1 413 "));
    CHECK(client.ended);
    Client other = world.connect();
    CHECK(other.ask("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n").starts_with("HTTP/1.1 413 "));
}

TEST_CASE("server: a header that was added stands in the answer, however that is made, and in no other") {
    World world;
    world.request = [](HttpExchange& exchange) {
        if (exchange.request().path != "/plain") exchange.add_header("Vary", "Origin");
        if (exchange.request().path != "/pieces") return exchange.respond(200, {{"ETag", "1"}}, "whole");
        exchange.begin(200, {});
        exchange.write("pieces");
        exchange.finish();
    };
    Client client = world.connect();
    for (const char* path : {"/whole", "/plain", "/pieces", "/plain"}) {
        const std::string answer = client.ask("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n");
        CHECK((answer.find("\r\nVary: Origin\r\n") != std::string::npos) == (std::string_view(path) != "/plain"));
    }
}

TEST_CASE("server: a body that is too large is answered in the handler's words, whether its length was said or not") {
    World world;
    world.request = [](HttpExchange& exchange) { exchange.read_body(5, [](HttpExchange& e, std::string_view body) { e.respond(200, {}, body); }); };
    world.too_large = [](HttpExchange& exchange, std::size_t bytes_max) { exchange.respond(413, {{"Content-Type", "application/json"}}, "{\"max\":" + std::to_string(bytes_max) + "}"); };
    for (const char* request : {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n0\r\n\r\n"}) {
        Client client = world.connect();
        const std::string answer = client.ask(request);
        CHECK(answer.starts_with("HTTP/1.1 413 "));
        CHECK(answer.ends_with("{\"max\":5}"));
        CHECK(client.ended);
    }
}

TEST_CASE("server: a body that is held back behind its last byte is over when it goes on, and one that is held back before its first is asked for later") {
    World world;
    HttpExchangeRef waiting;
    int over = 0;
    world.request = [&](HttpExchange& exchange) {
        waiting = exchange.ref();
        exchange.stream_body(10, [&](HttpExchange& e, std::string_view piece, bool last) {
            if (!last) return e.pause_body();
            ++over;
            CHECK(piece.empty());
            e.respond(200, {}, "streamed");
        });
    };
    Client client = world.connect();
    CHECK(client.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc") == "");
    REQUIRE(waiting.get());
    waiting.get()->resume_body();
    CHECK(client.hear().ends_with("streamed"));
    CHECK(over == 1);

    world.request = [&](HttpExchange& exchange) {
        waiting = exchange.ref();
        exchange.pause_body();
    };
    for (const char* body : {"Content-Length: 3\r\n\r\nabc", "Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "\r\n"}) {
        CAPTURE(body);
        CHECK(client.ask(std::string("POST / HTTP/1.1\r\nHost: x\r\n") + body) == "");
        REQUIRE(waiting.get());
        waiting.get()->resume_body();
        waiting.get()->read_body(10, [](HttpExchange& e, std::string_view text) { e.respond(200, {}, "<" + std::string(text) + ">"); });
        CHECK(client.hear().ends_with(std::string_view(body).find("abc") != std::string_view::npos ? "<abc>" : "<>"));
    }
    // One that nobody asks for does not stand in the way of the next request.
    CHECK(client.ask("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc") == "");
    waiting.get()->resume_body();
    waiting.get()->respond(200, {}, "at once");
    CHECK(client.hear().ends_with("at once"));
    CHECK(!waiting.get());
    world.request = nullptr;
    CHECK(client.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("hello"));
}

TEST_CASE("server: a request that breaks while its answer is under way ends the connection, not in a second answer") {
    World world;
    world.request = [](HttpExchange& exchange) {
        exchange.begin(200, {});
        exchange.write("begun");
    };
    Client client = world.connect();
    CHECK(client.ask("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").ends_with("5\r\nbegun\r\n"));
    CHECK(client.ask("not a chunk\r\n").empty());
    CHECK(client.ended);
}

TEST_CASE("server: an answer in pieces stops at its bound and goes on when the client has read") {
    ServerOptions options;
    options.response_buffer_bytes = 10'000;
    World world(options);
    int next = 0;
    std::size_t most = 0;
    world.request = [&](HttpExchange& exchange) {
        exchange.begin(200, {});
        const auto more = [&](HttpExchange& e) {
            while (next < 500 && e.write(std::string(1000, static_cast<char>('a' + next % 26)))) ++next;
            if (next == 500) e.finish();
        };
        exchange.on_drained(more);
        more(exchange);
    };
    Client client = world.connect("", 4096);
    client.say(kGet);
    std::string got;
    for (int i = 0; i < 5000 && !got.ends_with("0\r\n\r\n"); ++i) {
        world.turns(2);
        most = std::max(most, client.connection->pending_bytes());
        got += client.take(3000);
    }
    CHECK(got.ends_with("0\r\n\r\n"));
    CHECK(std::count(got.begin(), got.end(), 'a') >= 1000 * 20);
    CHECK(most < 12'000);
    CHECK(client.ask(kGet).starts_with("HTTP/1.1 200"));
}

TEST_CASE("server: who sends request after request and reads no answer fills one bounded buffer, and gets all of them when it reads (issue 3, pipelined)") {
    for (const bool later : {false, true}) {
        CAPTURE(later);
        ServerOptions options;
        options.response_buffer_bytes = 8 * 1024;
        World world(options);
        std::vector<HttpExchangeRef> waiting;
        const std::string body(3000, 'b');
        world.request = [&](HttpExchange& exchange) {
            if (later) waiting.push_back(exchange.ref());
            else exchange.respond(200, {}, body);
        };
        const auto answer_all = [&] {
            for (const auto& ref : std::exchange(waiting, {}))
                if (HttpExchange* exchange = ref.get()) exchange->respond(200, {}, body);
        };
        Client client = world.connect("", 4096);
        constexpr std::size_t requests = 400;
        std::string all;
        for (std::size_t i = 0; i < requests; ++i) all += "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        client.say(all);
        for (int i = 0; i < 50; ++i) {
            answer_all();
            world.turns();
            REQUIRE(client.connection->pending_bytes() < options.response_buffer_bytes + body.size() + 512);
        }
        CHECK(world.server->statistics().requests < 20);
        std::string got;
        for (int i = 0; i < 20'000 && world.server->statistics().requests < requests; ++i) {
            got += client.take(1000);
            answer_all();
            world.turns(2);
            REQUIRE(client.connection->pending_bytes() < options.response_buffer_bytes + body.size() + 512);
        }
        for (int i = 0; i < 100; ++i) {
            answer_all();
            got += client.hear();
        }
        std::size_t answers = 0;
        for (std::size_t at = 0; (at = got.find("HTTP/1.1 200 ", at)) != std::string::npos; ++at) ++answers;
        CHECK(answers == requests);
        CHECK(got.ends_with(body));
    }
}

TEST_CASE("server: a stream is written from shared memory and ends with its last chunk") {
    World world;
    std::string events;
    append_http_chunk(events, "data: 1\n\n");
    append_http_chunk(events, "data: 2\n\n");
    world.request = [&](HttpExchange& exchange) {
        exchange.begin_stream(200, {{"Content-Type", "text/event-stream"}}, world.session, true).mark_dirty();
    };
    std::size_t position = 0;
    world.session.writable = [&](Connection& connection) { position += connection.try_write(std::string_view(events).substr(position)); };
    Client client = world.connect();
    const std::string head = client.ask(kGet);
    CHECK(head.ends_with("\r\n\r\n" + events));
    client.connection->close(CloseCode::normal);
    CHECK(client.hear() == kLastHttpChunk);
    CHECK(client.ended);
    CHECK(world.session.closes == 1);
    client.hang_up();
    world.turns();
    Client gone = world.connect();
    gone.ask(kGet);
    gone.hang_up();
    world.turns();
    CHECK(world.session.closes == 2);
    CHECK(world.session.by == Closed::By::peer);
    CHECK(world.server->open() == 0);
}

TEST_CASE("server: draining says 1001 to sessions, lets answers finish and refuses the rest") {
    World world;
    HttpExchangeRef ref;
    world.request = [&](HttpExchange& exchange) {
        if (exchange.upgrade() == UpgradeCheck::good)
            exchange.accept_websocket({.handler = world.session});
        else if (exchange.request().path == "/late")
            ref = exchange.ref();
        else
            exchange.respond(200, {}, "");
    };
    Client session = world.connect(), idle = world.connect(), late = world.connect();
    session.upgrade();
    idle.ask(kGet);
    late.ask("GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    world.server->drain();
    CHECK(session.hear() == close_frame(CloseCode::going_away, "server is shutting down"));
    CHECK(idle.hear().empty());
    CHECK(idle.ended);
    Client refused = world.connect();
    CHECK(refused.hear().starts_with("HTTP/1.1 503 "));
    ref.get()->respond(200, {}, "late");
    const std::string answer = late.hear();
    CHECK(answer.find("Connection: close") != std::string::npos);
    CHECK(answer.ends_with("late"));
    CHECK(late.ended);
    session.say(masked(0x88, close_payload(CloseCode::going_away, "")));
    late.hang_up();
    world.turns();
    CHECK(world.server->open() == 0);
}

TEST_CASE("server: what goes when the server goes is told so") {
    World world;
    Client client = world.connect();
    client.upgrade();
    world.server.reset();
    CHECK(world.session.closes == 1);
}

TEST_CASE("server: random bytes to any state end in order, never in a crash or a leak of connections") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        Prng prng(seed);
        World world;
        world.session.message = [&](Connection& connection, std::string_view payload) {
            if (prng.chance(0.1)) connection.close(CloseCode::normal);
            if (prng.chance(0.05)) connection.abort();
            connection.send(MessageKind::binary, payload);
        };
        world.request = [&](HttpExchange& exchange) {
            if (exchange.upgrade() == UpgradeCheck::good)
                exchange.accept_websocket({.handler = world.session});
            else if (prng.chance(0.3))
                exchange.read_body(50, [](HttpExchange& e, std::string_view body) { e.respond(200, {}, body); });
            else
                exchange.respond(200, {}, "x");
        };
        Client client = world.connect();
        const std::vector<std::string> parts = {
            std::string(kGet), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789",
            "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            masked(0x81, "text"), masked(0x89, "ping"), masked(0x01, "part"), masked(0x80, "rest"), masked(0xc1, "\xf2\x48\xcd\xc9\xc9\x07"),
            masked(0x88, close_payload(CloseCode::normal, ""))};
        for (int i = 0; i < 30; ++i) {
            std::string part = parts[prng.below(parts.size())];
            if (prng.chance(0.05)) part[prng.below(part.size())] = static_cast<char>(prng.next());
            if (::send(client.fd, part.data(), prng.chance(0.1) ? prng.below(part.size()) : part.size(), MSG_NOSIGNAL) < 0) break;
            if (prng.chance(0.5)) world.turns(1);
            if (prng.chance(0.1)) world.pass(Duration(prng.below(30'000'000)));
            client.take(prng.below(1000));
        }
        client.hang_up();
        world.turns(8);
        world.pass(200s);
        world.pass(200s);
        CHECK_MESSAGE(world.server->open() == 0, seed);
        CHECK(world.server->statistics().upgrades == static_cast<std::uint64_t>(world.session.closes));
    }
}

namespace {

/// Writes a self-signed certificate of that name and its key.
void make_certificate(const std::string& folder, const char* name) {
    EVP_PKEY* key = ::EVP_EC_gen("P-256");
    X509* certificate = ::X509_new();
    ::X509_set_version(certificate, 2);
    ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), 1);
    ::X509_gmtime_adj(::X509_getm_notBefore(certificate), 0);
    ::X509_gmtime_adj(::X509_getm_notAfter(certificate), 3600);
    ::X509_set_pubkey(certificate, key);
    ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(certificate), "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    ::X509_set_issuer_name(certificate, ::X509_get_subject_name(certificate));
    ::X509_sign(certificate, key, ::EVP_sha256());
    std::FILE* file = std::fopen((folder + "/cert.pem").c_str(), "w");
    ::PEM_write_X509(file, certificate);
    std::fclose(file);
    file = std::fopen((folder + "/key.pem").c_str(), "w");
    ::PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    ::X509_free(certificate);
    ::EVP_PKEY_free(key);
}

struct TlsClient {
    SSL_CTX* context = ::SSL_CTX_new(::TLS_client_method());
    SSL* ssl = ::SSL_new(context);
    World& world;
    Client client;
    explicit TlsClient(World& w, int buffer = 0) : world(w), client(w.connect("", buffer)) {
        ::SSL_set_fd(ssl, client.fd);
        ::SSL_set_connect_state(ssl);
    }
    ~TlsClient() {
        ::SSL_free(ssl);
        ::SSL_CTX_free(context);
    }
    void say(std::string_view text) {
        for (int i = 0; i < 50; ++i) {
            if (::SSL_write(ssl, text.data(), static_cast<int>(text.size())) > 0) return;
            world.turns(1);
        }
        FAIL("TLS did not come about");
    }
    std::string hear(std::size_t most = 1 << 20) {
        std::string out(most, '\0');
        world.turns();
        const int n = ::SSL_read(ssl, out.data(), static_cast<int>(most));
        out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
        return out;
    }
    std::string name() {
        X509* certificate = ::SSL_get1_peer_certificate(ssl);
        char text[64] = "";
        if (certificate) ::X509_NAME_get_text_by_NID(::X509_get_subject_name(certificate), NID_commonName, text, sizeof text);
        ::X509_free(certificate);
        return text;
    }
};

}  // namespace

TEST_CASE("tls: a reloaded certificate serves new connections, old ones go on, and a bad one changes nothing (S2-21)") {
    char folder[] = "/tmp/weir-tls-XXXXXX";
    REQUIRE(::mkdtemp(folder));
    const std::string at = folder;
    const TlsOptions options{.certificate_file = at + "/cert.pem", .key_file = at + "/key.pem"};
    const auto missing = TlsServerContext::load(options);
    REQUIRE(!missing.ok());
    CHECK(missing.error().code == "bad_certificate");
    CHECK(missing.error().message.starts_with(at + "/cert.pem is not a PEM certificate: "));
    make_certificate(at, "first");
    auto context = TlsServerContext::load(options);
    REQUIRE(context.ok());
    World world({}, *context);
    TlsClient first(world);
    first.say(kGet);
    CHECK(first.hear().ends_with("hello"));
    CHECK(first.name() == "first");
    make_certificate(at, "second");
    REQUIRE((*context)->reload().ok());
    TlsClient second(world);
    second.say(kGet);
    CHECK(second.hear().ends_with("hello"));
    CHECK(second.name() == "second");
    first.say(kGet);
    CHECK(first.hear().ends_with("hello"));
    std::fclose(std::fopen((at + "/key.pem").c_str(), "w"));
    CHECK(!(*context)->reload().ok());
    TlsClient third(world);
    third.say(kGet);
    CHECK(third.hear().ends_with("hello"));
    CHECK(third.name() == "second");
    std::filesystem::remove_all(at);
}

TEST_CASE("tls: a ring is written in whole frames through a kernel that takes little") {
    char folder[] = "/tmp/weir-tls-XXXXXX";
    REQUIRE(::mkdtemp(folder));
    make_certificate(folder, "x");
    auto context = TlsServerContext::load({.certificate_file = std::string(folder) + "/cert.pem", .key_file = std::string(folder) + "/key.pem"});
    REQUIRE(context.ok());
    World world({}, *context);
    TlsClient client(world, 4096);
    client.say("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    REQUIRE(client.hear().starts_with("HTTP/1.1 101 "));
    std::string ring;
    std::vector<std::size_t> boundaries{0};
    for (int i = 0; i < 300; ++i) {
        append_frame(ring, Opcode::binary, std::string(static_cast<std::size_t>(i) * 10, static_cast<char>(i)));
        boundaries.push_back(ring.size());
    }
    std::size_t position = 0;
    world.session.writable = [&](Connection& connection) {
        position += connection.try_write(std::string_view(ring).substr(position));
        CHECK(std::binary_search(boundaries.begin(), boundaries.end(), position));
        CHECK(connection.pending_bytes() < 100'000);
    };
    client.client.connection->mark_dirty();
    std::string got;
    for (int i = 0; i < 2000 && got.size() < ring.size(); ++i) got += client.hear(10'000);
    CHECK(got == ring);
    std::filesystem::remove_all(folder);
}
