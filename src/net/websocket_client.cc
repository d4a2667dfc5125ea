#include "net/websocket_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "base/assert.h"
#include "net/http_client.h"
#include "net/reactor.h"
#include "net/resolver.h"
#include "net/tls_client.h"
#include "net/websocket_deflate.h"
#include "net/websocket_handshake.h"

namespace weir::net {
namespace {

constexpr Duration address_patience = 2s;  // for one address while there are others
constexpr std::size_t head_bytes_max = 16 * 1024, read_bytes = 64 * 1024, read_bytes_per_turn = 1024 * 1024;

void random_bytes(unsigned char* to, int size) { WEIR_ASSERT(::RAND_bytes(to, size) == 1); }

bool is_visible_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

std::string WebSocketUrl::authority() const {
    const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
    return port == (secure ? 443 : 80) ? name : name + ":" + std::to_string(port);
}

Result<WebSocketUrl> WebSocketUrl::parse(std::string_view text) {
    const auto bad = [&](std::string_view why) { return Error{"bad_url", "\"" + shown_url(text) + "\" " + std::string(why)}; };
    WebSocketUrl url;
    std::string_view rest = text;
    const auto scheme = rest.substr(0, std::min(rest.find("://"), rest.size()));
    if (equals_ignoring_case(scheme, "ws") || equals_ignoring_case(scheme, "http"))
        url.secure = false;
    else if (equals_ignoring_case(scheme, "wss") || equals_ignoring_case(scheme, "https"))
        url.secure = true;
    else
        return bad("is no ws:// or wss:// address");
    rest.remove_prefix(scheme.size() + 3);
    if (!is_visible_ascii(rest)) return bad("holds a blank or a character that must be percent-encoded");
    const auto end = std::min(rest.find_first_of("/?#"), rest.size());
    std::string_view authority = rest.substr(0, end);
    std::string_view target = rest.substr(end);
    target = target.substr(0, std::min(target.find('#'), target.size()));
    url.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
    if (authority.find('@') != std::string_view::npos) return bad("holds a user or password; use a token or a header instead");
    std::string_view port;
    if (authority.starts_with('[')) {
        const auto close = authority.find(']');
        if (close == std::string_view::npos) return bad("has an IPv6 address without its closing bracket");
        url.host = authority.substr(1, close - 1);
        port = authority.substr(close + 1);
    } else {
        const auto colon = std::min(authority.find(':'), authority.size());
        url.host = authority.substr(0, colon);
        port = authority.substr(colon);
    }
    if (url.host.empty()) return bad("names no host");
    url.port = url.secure ? 443 : 80;
    if (!port.empty()) {
        const char* last = port.data() + port.size();
        const auto [p, e] = std::from_chars(port.data() + 1, last, url.port);
        if (port.front() != ':' || e != std::errc() || p != last || url.port == 0) return bad("has a port that is no number from 1 to 65535");
    }
    return url;
}

/// Lives as long as the client or a call into it: the client may be destroyed by its own callback.
struct WebSocketClient::Core final : Pollable, std::enable_shared_from_this<Core> {
    enum class State : std::uint8_t { resolving, connecting, securing, handshake, open, closing, dead };

    Reactor& reactor;
    WebSocketClientOptions options;
    Callbacks callbacks;
    std::function<void()> drained;
    State state = State::resolving;
    WebSocketUrl url;
    ClientHandshake handshake;
    std::string key;

    std::unique_ptr<Resolution> resolution;
    std::vector<SocketTarget> targets;
    std::size_t target = 0;
    std::string connect_problem;
    int fd = -1;
    std::uint32_t watched = 0;
    std::optional<TlsClient> tls;

    std::string out;        ///< bytes for the socket
    std::size_t out_at = 0;
    std::string in;         ///< handshake, then plaintext behind TLS
    WebSocketDecoder decoder{Role::client};
    std::unique_ptr<Inflater> inflater;

    bool paused = false, saw_close = false, sent_close = false, awaiting_pong = false;
    bool detached = false;  ///< out of the reactor's sight: it would report the same end of a paused socket again and again
    CloseCode close_code = CloseCode::abnormal;
    std::string close_reason;
    Duration last_input{0};
    Timer timer, address_timer, again;

    Core(Reactor& r, WebSocketClientOptions o, Callbacks c)
        : reactor(r), options(std::move(o)), callbacks(std::move(c)), timer(r, [this] { with_life(&Core::on_timer); }),
          address_timer(r, [this] { with_life(&Core::on_address_timer); }), again(r, [this] { with_life(&Core::go_on); }) {}
    ~Core() { drop_socket(); }

    void with_life(void (Core::*what)()) {
        const auto self = shared_from_this();
        if (state != State::dead) (this->*what)();
    }

    // ---- connecting

    void start() {
        auto parsed = WebSocketUrl::parse(options.url);
        last_input = reactor.clock().monotonic();
        timer.start(options.connect_timeout);
        if (!parsed.ok()) {
            start_error = parsed.error();
            timer.start(Duration(0));
            return;
        }
        url = std::move(*parsed);
        resolution = std::make_unique<Resolution>(reactor, url.host, url.port, [this](Result<std::vector<SocketTarget>> found) {
            const auto self = shared_from_this();
            if (state != State::resolving) return;
            if (!found.ok()) return fail(std::move(found).error());
            targets = std::move(*found);
            state = State::connecting;
            connect_next();
        });
    }
    std::optional<Error> start_error;

    /// The port is chosen at connect, by both addresses: so each local address has all ports for itself.
    bool bind_to(const std::string& address) {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        sockaddr_in from{};
        from.sin_family = AF_INET;
        if (::inet_pton(AF_INET, address.c_str(), &from.sin_addr) != 1) {
            errno = EINVAL;
            return false;
        }
        return ::bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0;
    }

    void connect_next() {
        drop_socket();
        while (target < targets.size()) {
            const auto& to = targets[target++];
            fd = ::socket(to.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            if (fd < 0) {
                connect_problem = std::string("no socket: ") + std::strerror(errno);
                continue;
            }
            const int on = 1;
            ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            if (!options.local_address.empty() && to.family == AF_INET && !bind_to(options.local_address)) {
                connect_problem = "cannot connect from " + options.local_address + ": " + std::strerror(errno);
                continue;
            }
            const int done = ::connect(fd, reinterpret_cast<const sockaddr*>(to.address.get()), to.address_bytes);
            if (done == 0 || errno == EINPROGRESS) {
                watched = EPOLLOUT;
                reactor.add(fd, *this, watched);
                if (target < targets.size()) address_timer.start(address_patience);
                return;
            }
            connect_problem = std::strerror(errno);
            drop_socket();
        }
        fail({"connect_failed", shown_url(options.url) + " could not be reached: " + connect_problem});
    }

    void on_address_timer() {
        if (state != State::connecting) return;
        connect_problem = "no answer";
        connect_next();
    }

    void connected() {
        int problem = 0;
        socklen_t size = sizeof problem;
        ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size);
        if (problem != 0) {
            connect_problem = std::strerror(problem);
            return connect_next();
        }
        address_timer.cancel();
        targets.clear();
        unsigned char random[16];
        random_bytes(random, sizeof random);
        key = websocket_key({reinterpret_cast<const char*>(random), sizeof random});
        handshake.host = url.authority();
        handshake.target = url.target;
        handshake.subprotocols = options.subprotocols;
        handshake.offer_deflate = options.deflate;
        for (const auto& [name, value] : options.headers) append_header(handshake.extra, name, value);
        state = State::handshake;
        if (url.secure) {
            auto made = TlsClient::make({options.tls_verify, options.tls_ca_file}, url.host);
            if (!made.ok()) return fail(std::move(made).error());
            tls.emplace(std::move(*made));
        }
        send_bytes(websocket_client_request(handshake, key));
    }

    // ---- bytes

    void drop_socket() {
        if (fd < 0) return;
        if (!detached) reactor.remove(fd, *this);
        ::close(fd);
        fd = -1;
        detached = false;
    }

    void watch() {
        if (fd < 0 || state == State::connecting) return;
        std::uint32_t wanted = (paused ? 0u : static_cast<std::uint32_t>(EPOLLIN)) | (out_at < out.size() ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
        if (detached) {
            if (paused) return;
            detached = false;
            watched = wanted;
            reactor.add(fd, *this, watched);
            return;
        }
        if (wanted == watched) return;
        watched = wanted;
        reactor.modify(fd, *this, watched);
    }

    void send_bytes(std::string_view plain) {
        if (!tls) {
            out += plain;
        } else if (auto sent = tls->send(plain); !sent.ok()) {
            return fail(std::move(sent).error());
        }
        flush();
    }

    void flush() {
        if (tls) {
            out += tls->output();
            tls->output().clear();
        }
        const bool had = out_at < out.size();
        while (out_at < out.size()) {
            const auto n = ::send(fd, out.data() + out_at, out.size() - out_at, MSG_NOSIGNAL);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
            if (n < 0) return ended(std::string("writing failed: ") + std::strerror(errno));
            out_at += static_cast<std::size_t>(n);
        }
        if (out_at == out.size()) {
            out.clear();
            out_at = 0;
            if (out.capacity() > 1 << 20) out.shrink_to_fit();
            watch();
            if (had && drained && state == State::open) drained();
            return;
        }
        if (out_at > 1 << 20) {
            out.erase(0, out_at);
            out_at = 0;
        }
        watch();
    }

    void on_ready(std::uint32_t events) override {
        const auto self = shared_from_this();
        if (state == State::dead) return;
        if (state == State::connecting) return connected();
        if (events & EPOLLOUT) flush();
        if (state == State::dead) return;
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
            if (!paused) return read_on();
            // What came before the end is still there to be read, later.
            if (events & (EPOLLHUP | EPOLLERR)) {
                reactor.remove(fd, *this);
                detached = true;
            }
        }
    }

    void go_on() {
        if (in.empty() || state == State::handshake || plaintext()) read_on();
    }

    void read_on() {
        static thread_local std::vector<char> buffer(read_bytes + WebSocketDecoder::kPadding);
        for (std::size_t taken = 0; !paused && fd >= 0;) {
            const auto n = ::recv(fd, buffer.data(), read_bytes, 0);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
            if (n < 0) return ended(std::string("reading failed: ") + std::strerror(errno));
            if (n == 0) return ended("the peer ended the connection without a close frame");
            last_input = reactor.clock().monotonic();
            awaiting_pong = false;
            if (!take({buffer.data(), static_cast<std::size_t>(n)})) return;
            taken += static_cast<std::size_t>(n);
            // The rest has to wait for the others; the socket is level-triggered, so the next turn comes by itself.
            if (taken >= read_bytes_per_turn) return;
        }
    }

    /// False when the client is dead.
    bool take(std::span<char> bytes) {
        if (tls) {
            const auto before = in.size();
            auto received = tls->receive({bytes.data(), bytes.size()}, in);
            if (!received.ok()) {
                flush();
                if (state == State::dead) return false;
                if (state == State::handshake) return fail(std::move(received).error()), false;
                return ended(received.error().message), false;
            }
            if (!tls->output().empty()) flush();
            if (state == State::dead) return false;
            const bool over = tls->ended();
            if (in.size() > before || state != State::handshake) {
                if (!plaintext()) return false;
            }
            if (over) return ended("the peer ended the connection without a close frame"), false;
            return true;
        }
        if (state == State::handshake || !in.empty()) {
            in.append(bytes.data(), bytes.size());
            return plaintext();
        }
        return frames(bytes);
    }

    /// Works on `in`.
    bool plaintext() {
        if (state == State::handshake) {
            const auto end = in.find("\r\n\r\n");
            if (end == std::string::npos) {
                if (in.size() > head_bytes_max) return fail({"bad_response", "the server's answer to the WebSocket handshake is longer than 16 KiB"}), false;
                return true;
            }
            const std::string head_text = in.substr(0, end + 4);
            in.erase(0, end + 4);
            if (!opened(head_text)) return false;
        }
        if (in.empty() || paused) return true;
        std::string now = std::move(in);
        in.clear();
        const auto size = now.size();
        now.resize(size + WebSocketDecoder::kPadding);
        return frames({now.data(), size});
    }

    bool opened(const std::string& head_text) {
        auto head = parse_response_head(head_text);
        if (!head.ok()) return fail(std::move(head).error()), false;
        auto agreed = check_websocket_response(*head, key, handshake);
        if (!agreed.ok()) return fail(std::move(agreed).error().within(shown_url(options.url))), false;
        if (agreed->deflate)
            inflater = std::make_unique<Inflater>(agreed->deflate->server_max_window_bits,
                                                  agreed->deflate->server_no_context_takeover ? Deflater::Context::dropped : Deflater::Context::kept);
        state = State::open;
        timer.cancel();
        arm_ping();
        const std::string name = agreed->subprotocol;
        if (callbacks.on_open) callbacks.on_open(name);
        return state != State::dead;
    }

    /// Followed by kPadding readable bytes.
    bool frames(std::span<char> input) {
        const WebSocketLimits limits{options.message_bytes_max};
        while (true) {
            if (paused) {
                // What was read already is kept; it is at most one buffer.
                in.append(input.data(), input.size());
                return true;
            }
            const auto event = decoder.next(input, limits, inflater.get());
            switch (event.kind) {
                case WebSocketDecoder::Kind::more: return true;
                case WebSocketDecoder::Kind::text:
                    if (state == State::open && callbacks.on_text) callbacks.on_text(event.data);
                    break;
                case WebSocketDecoder::Kind::binary:
                    if (state == State::open && callbacks.on_binary) callbacks.on_binary(event.data);
                    break;
                case WebSocketDecoder::Kind::ping:
                    if (!sent_close) send_frame(Opcode::pong, std::string(event.data));
                    break;
                case WebSocketDecoder::Kind::pong: break;
                case WebSocketDecoder::Kind::close:
                    saw_close = true;
                    close_code = event.code;
                    close_reason = event.data;
                    if (!sent_close) {
                        sent_close = true;
                        send_frame(Opcode::close, close_payload(event.code, {}));
                        if (state == State::dead) return false;
                    }
                    return ended({}), false;
                case WebSocketDecoder::Kind::error: {
                    close_code = event.code;
                    close_reason = event.data;
                    saw_close = true;  // the reason is ours; no later one replaces it
                    if (!sent_close) {
                        sent_close = true;
                        send_frame(Opcode::close, close_payload(event.code, event.data));
                    }
                    return ended({}), false;
                }
            }
            if (state == State::dead) return false;
        }
    }

    void send_frame(Opcode opcode, std::string_view payload) {
        std::uint32_t mask;
        random_bytes(reinterpret_cast<unsigned char*>(&mask), sizeof mask);
        if (!tls) {
            append_masked_frame(out, opcode, payload, mask);
            flush();
            return;
        }
        std::string frame;
        append_masked_frame(frame, opcode, payload, mask);
        send_bytes(frame);
    }

    // ---- time

    void arm_ping() {
        if (options.ping_interval > Duration(0)) timer.start(options.ping_interval);
    }
    void on_timer() {
        if (start_error) return fail(*start_error);
        if (state == State::closing) return ended("the peer did not answer our close frame");
        if (state != State::open)
            return fail({"timeout", shown_url(options.url) + " did not " + (state == State::resolving ? "resolve" : state == State::connecting ? "connect" : "answer the handshake") + " in " +
                                        to_text(options.connect_timeout)});
        if (paused) return arm_ping();
        const Duration quiet = reactor.clock().monotonic() - last_input;
        if (awaiting_pong) {
            if (quiet >= options.ping_timeout) return ended("no answer to a ping in " + to_text(options.ping_timeout));
            awaiting_pong = false;
        }
        if (quiet >= options.ping_interval) {
            awaiting_pong = true;
            timer.start(options.ping_timeout);
            send_frame(Opcode::ping, {});
            return;
        }
        timer.start(options.ping_interval - quiet);
    }

    // ---- the end

    void bury() {
        state = State::dead;
        drop_socket();
        timer.cancel();
        address_timer.cancel();
        again.cancel();
        resolution.reset();
    }
    /// Before the opening.
    void fail(Error error) {
        if (state == State::dead) return;
        if (state == State::open || state == State::closing) return ended(error.message);
        bury();
        const auto call = std::move(callbacks.on_error);
        if (call) call(error);
    }
    /// After the opening; before it, an error.
    void ended(std::string why) {
        if (state == State::dead) return;
        if (state != State::open && state != State::closing) return fail({"connect_failed", shown_url(options.url) + ": " + why});
        bury();
        const auto call = std::move(callbacks.on_close);
        if (!call) return;
        if (saw_close)
            call(close_code, close_reason);
        else
            call(CloseCode::abnormal, why);
    }
};

WebSocketClient::WebSocketClient(Reactor& reactor, WebSocketClientOptions options, Callbacks callbacks)
    : core_(std::make_shared<Core>(reactor, std::move(options), std::move(callbacks))) {
    core_->start();
}

WebSocketClient::~WebSocketClient() {
    core_->bury();
    // Not destroyed here: this may be a callback of the core's, or of one of its timers.
    Reactor& reactor = core_->reactor;
    (void)reactor.post([core = std::move(core_)] {});
}

bool WebSocketClient::is_open() const { return core_->state == Core::State::open; }

bool WebSocketClient::send_text(std::string_view text) {
    if (!is_open() || pending_bytes() + text.size() > core_->options.send_buffer_bytes_max) return false;
    const auto core = core_;
    core->send_frame(Opcode::text, text);
    return true;
}
bool WebSocketClient::send_binary(std::string_view bytes) {
    if (!is_open() || pending_bytes() + bytes.size() > core_->options.send_buffer_bytes_max) return false;
    const auto core = core_;
    core->send_frame(Opcode::binary, bytes);
    return true;
}
std::size_t WebSocketClient::pending_bytes() const { return core_->out.size() - core_->out_at; }
void WebSocketClient::on_drained(std::function<void()> drained) { core_->drained = std::move(drained); }

void WebSocketClient::close(CloseCode code, std::string_view reason) {
    const auto core = core_;
    if (core->state != Core::State::open) return;
    core->state = Core::State::closing;
    core->sent_close = true;
    core->timer.start(core->options.close_timeout);
    if (core->paused) resume_reading();
    if (core->state == Core::State::closing) core->send_frame(Opcode::close, close_payload(code, reason));
}

void WebSocketClient::pause_reading() {
    core_->paused = true;
    core_->watch();
}
void WebSocketClient::resume_reading() {
    if (!core_->paused) return;
    core_->paused = false;
    core_->watch();
    // What waits here must not wait for the peer's next byte; and not be handed out from within this call.
    if (!core_->in.empty()) core_->again.start(Duration(0));
}
bool WebSocketClient::paused() const { return core_->paused; }
Duration WebSocketClient::last_input() const { return core_->last_input; }

}  // namespace weir::net
