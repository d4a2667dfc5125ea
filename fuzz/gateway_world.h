#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/diag.h"
#include "event/cbor.h"
#include "event/json.h"
#include "fuzz.h"
#include "gateway/auth/authenticator.h"
#include "gateway/auth/door.h"
#include "gateway/dialects/dialects.h"
#include "gateway/groups.h"
#include "gateway/group_home.h"
#include "gateway/hub.h"
#include "memory_log.h"
#include "net/http_server.h"
#include "net/websocket_codec.h"

namespace weir::fuzz {

inline std::string text_of(const Json& message, std::string_view member) { return std::string(message.find_string(member).value_or("")); }

/// A gateway's hub with one client at the other end of a socketpair, all on the caller's thread (history is read by a pool of one): what the targets of the dialects talk to.
///
/// Limits of rate are off, and nothing is said that is too long: whatever a client says then, its connection must stay.
/// It lives for some hundred inputs, and each must leave it as it found it; that is one of the properties.
class GatewayWorld final : private net::HttpHandler {
public:
    static constexpr const char* streams[] = {"events", "alerts", "metrics", "spc", "notices"};
    static constexpr const char* every_token = "every-token";    ///< may do everything
    static constexpr const char* bounded_token = "bounded-token";  ///< sees a part of `events` and `spc`, may publish
    static constexpr const char* blind_token = "blind-token";    ///< sees no stream that there is

    /// A target's own. What happened before must not decide about an input: a new one now and then, and what an input finds is what the last one
    /// had to leave.
    static GatewayWorld& of_target() {
        static std::unique_ptr<GatewayWorld> one;
        static int inputs = 0;
        if (inputs++ % 500 == 0) one = nullptr, one = std::make_unique<GatewayWorld>();
        return *one;
    }

    GatewayWorld()
        : clock(Timestamp::from_seconds(1'770'000'000)), reactor(clock), log({std::begin(streams), std::end(streams)}, clock.now()), options_(make_options()), directory_(table(), {}, {}), pool_(1, 64),
          resume_(*net::SigningKey::from_secret("0123456789abcdef0123456789abcdef")), authenticator_(std::move(*Authenticator::make(options_, clock))), groups_(std::move(*Groups::open(log, options_))),
          hub({reactor, log, clock, pool_, directory_, options_, sessions_, resume_, *authenticator_, *groups_}, 1), dialects_{make_analytics_dialect(hub), make_spc_dialect(hub), make_broadcast_dialect(hub, "events", {})},
          doors_(hub, *authenticator_, [this](net::Connection& connection, const Doors::Visitor&, const IdentityPtr& who) { admit(connection, who); }), server_(reactor, server_options(), *this) {}
    ~GatewayWorld() {
        hang_up();
        server_.end_all();
        settle();
        pool_.stop();
    }

    /// A client that has shown this token and is in its session.
    Session& connect(DialectKind kind, std::string_view token, bool cbor) {
        identity_ = nullptr;
        authenticator_->check(token, reactor, [this](const Authenticator::Answer& answer) { identity_ = answer.identity; });
        FUZZ_CHECK(identity_ != nullptr);
        call(kind, cbor);
        FUZZ_CHECK(session_ && !head_);
        return *session_;
    }
    /// A client that has shown none, or (`wrong`) one that is none, and stands at the door; gives what it is told.
    std::vector<Json> knock(DialectKind kind, bool cbor, bool wrong) {
        identity_ = nullptr;
        wrong_ = wrong;
        call(kind, cbor);
        return std::exchange(heard_, {});
    }
    bool at_door() const { return doors_.size() > 0; }
    Session* session() const { return session_; }  ///< once it has been let in
    std::size_t places() const { return sessions_.load(); }  ///< that it takes

private:
    void call(DialectKind kind, bool cbor) {
        hang_up();
        int ends[2];
        FUZZ_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        kind_ = kind;
        cbor_ = cbor;
        FUZZ_CHECK(server_.adopt(ends[0], {}) != nullptr);
        fd_ = ends[1];
        decoder_ = net::WebSocketDecoder(net::Role::client);
        closed.reset();
        heard_.clear();
        write("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
        head_ = true;
        settle();
        FUZZ_CHECK(!head_);
    }

public:
    bool connected() const { return fd_ >= 0 && !closed && session_; }
    void hang_up() {
        if (fd_ < 0) return;
        ::close(fd_);
        fd_ = -1;
        session_ = nullptr;
        settle();
    }

    /// Sends one message, and gives all that is said until nothing moves any more.
    std::vector<Json> say(net::Opcode opcode, std::string_view message) {
        std::string frame;
        net::append_masked_frame(frame, opcode, message, 0x5a3c0f96);
        write(frame);
        settle();
        return std::exchange(heard_, {});
    }
    /// An event as a feed writes it, with an id of its own; gives what is said of it.
    std::vector<Json> append(std::string_view stream, std::string_view type, std::string_view key, std::string_view data, Seq& seq) {
        Commit commit;
        auto& append = commit.appends.emplace_back();
        append.stream = stream;
        const std::string id = "feed/" + std::to_string(++appended_);
        EventView event;
        event.id = id;
        event.type = type;
        event.key = key;
        event.source = "simulate";
        event.data = data;
        event.time = event.ingested = clock.now();
        append.events.add(event);
        log.submit(std::move(commit), [&](const Result<Committed>& done) { seq = done->appended[0].seqs[0]; });
        settle();
        return std::exchange(heard_, {});
    }
    std::uint64_t appended() const { return appended_; }  ///< number in the id of the last event
    std::vector<Json> wait(Duration time) {
        clock.advance(time);
        reactor.turn(Duration(0));
        doors_.sweep();
        settle();
        return std::exchange(heard_, {});
    }

    /// Groups outlive their members, but not an input.
    void forget_groups() {
        for (const auto& group : groups_->list()) {
            FUZZ_CHECK(group.members == 0 && groups_->forget(group.name), group.name);
            groups_->home(group.name).tell([this, name = group.name] { groups_->home(name).remove(name); });
        }
        settle();
    }

    ManualClock clock;
    net::Reactor reactor;
    MemoryLog log;

private:
    GatewayOptions options_;
    StreamDirectory directory_;
    ReaderPool pool_;
    ResumeTokens resume_;
    std::unique_ptr<Authenticator> authenticator_;
    std::unique_ptr<Groups> groups_;
    std::atomic<std::size_t> sessions_{0};

public:
    Hub hub;
    std::optional<net::CloseCode> closed;  ///< by the server, and with what

private:
    static StreamTable table() {
        StreamTable table;
        for (const char* name : streams) table[name];
        return table;
    }
    static GatewayOptions make_options() {
        static const bool quiet = (diag::configure({.level = diag::Level::off, .format = diag::Format::text, .file = {}}), true);
        (void)quiet;
        GatewayOptions options;
        options.max_message_size = 65536;
        options.ring_bytes = 256 * 1024;
        options.compression = Compression::none;
        options.enable_rate_limiting = false;
        options.subscriptions_per_session = 6;
        options.spc_timeout = Duration(0);
        options.tokens[every_token] = {.hash = Secret(hash_token(every_token, "5a17")), .types = {}, .streams = {}, .filter = {}, .publish = true, .acknowledge = true, .administer = true};
        options.tokens[bounded_token] = {.hash = Secret(hash_token(bounded_token, "5a17")), .types = {"events"}, .streams = {"events", "spc"}, .filter = R"({"site":"A"})", .publish = true, .acknowledge = false, .administer = false};
        options.tokens[blind_token] = {.hash = Secret(hash_token(blind_token, "5a17")), .types = {"events"}, .streams = {"none"}, .filter = {}, .publish = false, .acknowledge = false, .administer = false};
        return options;
    }
    static net::ServerOptions server_options() {
        net::ServerOptions server;
        server.websocket.message_bytes_max = 65536;
        server.deflate.enabled = false;
        server.ping_interval = Duration(0);
        server.write_timeout = Duration(0);
        server.flush_duty = 0;
        server.flush_latency_max = Duration(0);
        return server;
    }

    void on_request(net::HttpExchange& exchange) override {
        FUZZ_CHECK(exchange.upgrade() == net::UpgradeCheck::good);
        if (!identity_) {
            net::ConnectionHandler& door = doors_.open({.dialect = kind_, .cbor = cbor_, .path = "/", .peer = "192.0.2.1"});
            return doors_.wait(exchange.accept_websocket({.handler = door, .subprotocol = {}}), door, wrong_);
        }
        Session& session = hub.open(*dialects_[static_cast<std::size_t>(kind_)], identity_);
        net::Connection& connection = exchange.accept_websocket({.handler = session, .subprotocol = {}});
        session_ = &session;
        session.start(connection, cbor_ ? Session::Encoding::cbor : Session::Encoding::json);
    }

    void admit(net::Connection& connection, const IdentityPtr& who) {
        Session& session = hub.open(*dialects_[static_cast<std::size_t>(kind_)], who);
        connection.set_handler(session);
        session_ = &session;
        session.start(connection, cbor_ ? Session::Encoding::cbor : Session::Encoding::json);
        session.dialect().authenticated(session, true);
    }

    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return;  // it has hung up, which `closed` says
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
    }

    /// Turns until nothing moves: what a turn notes is done in the next, and the pool posts its answers back.
    void settle() {
        for (int quiet = 0; quiet < 3; ++quiet) {
            while (pool_.waiting() > 0) std::this_thread::yield(), quiet = 0;
            reactor.turn(Duration(0));
            if (fd_ >= 0 && hear()) quiet = 0;
        }
    }

    bool hear() {
        bool any = false;
        for (;;) {
            const ssize_t n = ::recv(fd_, buffer_.data(), buffer_.size() - net::WebSocketDecoder::kPadding, 0);
            if (n < 0) return any;
            if (n == 0) {
                if (!closed) closed = net::CloseCode::abnormal;
                session_ = nullptr;
                return false;
            }
            any = true;
            std::span<char> bytes(buffer_.data(), static_cast<std::size_t>(n));
            if (head_) {
                const std::string_view text(bytes.data(), bytes.size());
                const auto end = text.find("\r\n\r\n");
                FUZZ_CHECK(text.starts_with("HTTP/1.1 101 ") && end != text.npos, std::string(text));
                bytes = bytes.subspan(end + 4);
                head_ = false;
            }
            while (!bytes.empty()) {
                const auto event = decoder_.next(bytes, {});
                using Kind = net::WebSocketDecoder::Kind;
                if (event.kind == Kind::more) break;
                FUZZ_CHECK(event.kind != Kind::error, std::string(event.data));
                if (event.kind == Kind::close) {
                    closed = event.code;
                    session_ = nullptr;
                    continue;
                }
                FUZZ_CHECK(event.kind == (cbor_ ? Kind::binary : Kind::text));
                auto read = cbor_ ? read_cbor(event.data) : Json::parse(event.data);
                FUZZ_CHECK(read.ok() && read->is_object(), std::string(event.data));
                heard_.push_back(*std::move(read));
            }
        }
    }

    std::unique_ptr<Dialect> dialects_[3];
    Doors doors_;
    net::HttpServer server_;
    DialectKind kind_ = DialectKind::analytics;
    bool cbor_ = false, head_ = false, wrong_ = false;
    IdentityPtr identity_;
    Session* session_ = nullptr;
    int fd_ = -1;
    std::vector<char> buffer_ = std::vector<char>(16 * 1024 + net::WebSocketDecoder::kPadding);
    net::WebSocketDecoder decoder_{net::Role::client};
    std::vector<Json> heard_;
    std::uint64_t appended_ = 0;
};

}  // namespace weir::fuzz
