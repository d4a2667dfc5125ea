#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diag.h"
#include "base/result.h"
#include "net/connection.h"
#include "net/http_parser.h"
#include "net/listener.h"
#include "net/proxy_protocol.h"
#include "net/reactor.h"
#include "net/tls_context.h"
#include "net/websocket_deflate.h"
#include "net/websocket_handshake.h"

namespace weir::net {

/// Every bound of a server. A timeout of 0 means none. Times are kept to `sweep_interval`: a timeout comes up to that much late.
struct ServerOptions {
    // Connections. Above a bound a plaintext connection is answered 503 (429 for the address) and closed.
    std::size_t connections_max = 10'000;
    std::size_t connections_per_address_max = 0;     ///< 0: no bound; loopback, Unix sockets and trusted proxies are not counted
    /// Proxies in front: their connections are counted by what they say of their clients (HttpExchange::set_client, or with `proxy_protocol` a PROXY
    /// header, which each of their connections begins with then).
    std::vector<IpBlock> trusted_proxies = {};
    bool proxy_protocol = false;

    // HTTP.
    HttpLimits http;
    Duration head_timeout = 10s;          ///< from the connection (TLS handshake included) or the first byte of a request to the end of its head
    Duration keep_alive_timeout = 75s;    ///< between requests
    Duration body_timeout = 30s;          ///< without a byte of the body
    Duration answer_timeout = 60s;        ///< from the end of the request to respond/begin; then 503
    std::size_t discard_bytes_max = 1 << 20;  ///< of a body that nobody asked for; above: answered, then closed
    std::size_t response_buffer_bytes = 256 * 1024;  ///< while more waits HttpExchange::write refuses, and no further request of the connection is begun

    // WebSocket.
    WebSocketLimits websocket;
    DeflatePolicy deflate;
    std::size_t deflate_min_bytes = 128;  ///< smaller messages of Connection::send go uncompressed
    Duration ping_interval = 20s;         ///< of silence from the peer, then a ping
    Duration ping_timeout = 10s;          ///< from the ping to any byte from the peer; then the connection ends
    Duration close_timeout = 10s;         ///< from our close frame to the peer's

    // Both.
    Duration write_timeout = 30s;         ///< without a byte taken by the kernel while something waits
    Duration linger = 2s;                 ///< how long a refused peer may go on sending before it is cut off
    std::size_t send_buffer_bytes_max = 1 << 20;  ///< kept for Connection::send; above, send refuses
    std::size_t receive_buffer_bytes = 64 * 1024; ///< one for the whole server
    std::size_t read_bytes_per_turn = 256 * 1024; ///< of one connection; the rest has to wait for the others. A frame counts 64 beside its bytes: small ones cost as much as others
    int socket_send_buffer = 0;           ///< SO_SNDBUF; 0: the kernel's own sizing

    // Flush passes: the next one starts no sooner than `flush_duty` times what the last one used after that one's start (1: at
    // once; 3: a third of the core), and never later than `flush_latency_max` (performance.md, 3). What it used is told by `thread_time`,
    // the CPU time of the reactor's thread; without it by the clock, which on a shared core also counts others' work.
    double flush_duty = 1;
    Duration (*thread_time)() = nullptr;
    Duration flush_latency_max = 50ms;
    /// Called at the end of each pass: every connection that had something when it began has been asked to write. Between its slices sockets are read.
    std::function<void()> flushed = {};

    Duration sweep_interval = 500ms;
};

/// Counted by the server since its start. Thread: the reactor's; read it between turns.
struct ServerStatistics {
    std::uint64_t accepted = 0, refused = 0, closed = 0;
    std::uint64_t requests = 0, upgrades = 0, request_errors = 0;
    std::uint64_t messages_in = 0, messages_sent = 0;   ///< sent: by Connection::send only
    std::uint64_t bytes_in = 0, bytes_out = 0, reads = 0, sends = 0, sends_blocked = 0;
    std::uint64_t protocol_errors = 0, timeouts = 0;
    std::size_t open = 0, open_websockets = 0, open_streams = 0;
};

/// Names an exchange without keeping it: `get` is null once it is answered or its client has gone. Thread: carry it anywhere
/// (Reactor::post it back), `get` on the reactor's.
class HttpExchangeRef {
public:
    HttpExchangeRef() = default;
    HttpExchange* get() const noexcept;

private:
    friend class HttpExchange;
    ConnectionRef connection_;
    std::uint32_t number_ = 0;
};

struct WebSocketAccept {
    ConnectionHandler& handler;
    std::string_view subprotocol = {};              ///< only one that was offered (offered_subprotocols), or empty
    std::span<const HttpHeader> headers = {};       ///< further ones for the 101
    bool deflate = true;                            ///< false: not even if offered
    bool pings = true;                              ///< false: the owner sees to silence itself
};

/// One request and its answer. Handed to HttpHandler::on_request; lives until the answer is complete or the client is gone.
///
/// In on_request, either answer, or accept_websocket, or begin_stream, or ask for the body, or keep a ref() and answer later on
/// the same thread. An exchange that is answered by nothing gets 503 after answer_timeout.
/// Thread: the reactor's. Requests that the client sent behind this one wait for its answer.
class HttpExchange {
public:
    using Headers = std::initializer_list<HttpHeader>;

    /// Views stay valid as long as the exchange.
    const HttpRequest& request() const noexcept;
    PeerAddress peer() const;
    PeerAddress socket_peer() const;  ///< the other end of the socket, which may be a proxy
    /// The connection is this client's, by the word of a trusted proxy: it is counted as its, and `peer` says so. False when this
    /// address has connections_per_address_max already.
    bool set_client(const IpAddress& client);
    bool secure() const noexcept;   ///< over TLS
    HttpExchangeRef ref() noexcept;
    Reactor& reactor() const noexcept;

    // The body. Ask in on_request; an Expect: 100-continue is answered by asking.

    /// Calls `done` with the whole body. Larger than `bytes_max`: HttpHandler::on_body_too_large answers, `done` is not called.
    void read_body(std::size_t bytes_max, std::function<void(HttpExchange&, std::string_view body)> done);
    /// Calls `piece` for each piece as it comes, at last with `last` (whose piece may be empty).
    void stream_body(std::size_t bytes_max, std::function<void(HttpExchange&, std::string_view piece, bool last)> piece);
    /// Lets the client wait: no pieces come until `resume_body`. Whoever can only say later what is to become of the body pauses it in on_request,
    /// and asks for it behind `resume_body`; a body that nobody has asked for when it comes is dropped.
    void pause_body();
    void resume_body();

    // The answer. Content-Length, Transfer-Encoding, Connection and Date are set here, the rest is the caller's. HEAD is seen to.

    /// A header of the answer whatever it will be and whoever makes it; not of a WebSocket's. Before the answer.
    void add_header(std::string_view name, std::string_view value);

    void respond(int status, Headers headers, std::string_view body) { respond_with(status, {headers.begin(), headers.size()}, body); }
    void respond_with(int status, std::span<const HttpHeader> headers, std::string_view body);
    /// An answer in pieces: chunked, or until the end of the connection for HTTP/1.0.
    void begin(int status, Headers headers) { begin_with(status, {headers.begin(), headers.size()}); }
    void begin_with(int status, std::span<const HttpHeader> headers);
    /// Takes all of `data`, or nothing (false) while response_buffer_bytes wait: `drained` is then called when there is room.
    bool write(std::string_view data);
    void on_drained(std::function<void(HttpExchange&)> drained);
    void finish();
    /// Ends the connection within the answer: the client sees that this is not all of it. After `begin`.
    void cut();
    /// Called if the client goes before the answer is complete; not if this side ended it. The exchange is gone after it.
    void on_gone(std::function<void()> gone);
    bool begun() const noexcept { return begun_; }

    // Turning the connection into something else. The exchange is gone after these.

    /// Whether this asks for a WebSocket, rightly or wrongly.
    UpgradeCheck upgrade() const;
    /// 101; upgrade() must be `good`. Frames may be sent at once, and close() says no with a code.
    Connection& accept_websocket(const WebSocketAccept& accept);
    /// An answer that `handler` writes through Connection::try_write from shared memory (SSE). `chunked` says that it will write
    /// whole chunks (append_http_chunk); else the end of the connection ends the body. Connection::close ends it; it adds the
    /// last chunk itself. No keep-alive after it.
    Connection& begin_stream(int status, Headers headers, ConnectionHandler& handler, bool chunked = false);

private:
    friend class Connection;
    friend class HttpServer;
    friend class HttpExchangeRef;
    enum class Body : std::uint8_t { undecided, collecting, streaming, discarding, done };

    explicit HttpExchange(Connection& connection) : connection_(connection) {}
    static HttpExchange* current(Connection& connection, std::uint32_t number) noexcept;
    void start();
    void reset();
    void want_body(Body how, std::size_t bytes_max);
    void body_piece(std::string_view piece);
    void body_complete();
    void append_head(std::string& out, int status, std::span<const HttpHeader> headers, std::optional<std::uint64_t> length,
                     bool chunked, bool close);
    void answered();
    void keep_head();
    bool waits_for_answer() const noexcept { return active_ && body_ == Body::done && !finished_; }

    Connection& connection_;
    HttpRequest request_;
    std::string kept_head_, body_text_, added_headers_;
    std::size_t body_bytes_max_ = 0, body_bytes_ = 0;
    std::function<void(HttpExchange&, std::string_view)> collected_;
    std::function<void(HttpExchange&, std::string_view, bool)> piece_;
    std::function<void(HttpExchange&)> drained_;
    std::function<void()> gone_;
    std::uint32_t number_ = 0;   ///< refs of other numbers mean an exchange that is over
    Body body_ = Body::done;
    bool active_ = false, begun_ = false, finished_ = false, chunked_ = false;
    bool close_after_ = false, wants_drained_ = false, continue_sent_ = false;
};

/// Decides about requests. Thread: the reactor's.
class HttpHandler {
public:
    /// The head of a request is there. It may be answered before its body comes.
    virtual void on_request(HttpExchange& exchange) = 0;
    /// The body is larger than was asked for: answers with 413, at once. Override it where errors have a form of their own.
    virtual void on_body_too_large(HttpExchange& exchange, std::size_t bytes_max);

protected:
    ~HttpHandler() = default;
};

/// Serves HTTP/1.1 and WebSocket on a reactor: accepted sockets, their table, the flush pass, the sweep of timeouts.
/// One a reactor; several may share a port (ListenOptions::Share).
///
/// Thread: the reactor's; make and destroy it there or while it does not run. The destructor ends every connection (on_closed is called).
/// Cost: idle, one pass over the table each sweep_interval (a few ns a connection).
class HttpServer {
public:
    /// `tls`: null for plaintext. `handler` outlives the server.
    HttpServer(Reactor& reactor, ServerOptions options, HttpHandler& handler, std::shared_ptr<TlsServerContext> tls = nullptr);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Listens; more than once for more than one address. The errors are Listener::open's.
    Result<ListenAddress> listen(const ListenAddress& address, ListenOptions options = {});
    /// Serves a socket that is connected already (a test's socketpair, a passed descriptor). Owns `fd` from here on; null when refused.
    Connection* adopt(int fd, const PeerAddress& peer);

    /// Shutdown, first step: closes the listeners, tells every WebSocket 1001, ends streams and idle connections, lets answers
    /// finish. `open()` falls to 0; who has not gone by a deadline of the owner's is ended by `end_all`.
    void drain(CloseCode code = CloseCode::going_away, std::string_view reason = "server is shutting down");
    void end_all();

    std::size_t open() const noexcept { return statistics_.open; }
    const ServerStatistics& statistics() const noexcept { return statistics_; }
    const ServerOptions& options() const noexcept { return options_; }
    /// Limits and timeouts may change while serving (reload); they hold for what happens next.
    void set_options(const ServerOptions& options);
    Reactor& reactor() const noexcept { return reactor_; }

private:
    friend class Connection;
    friend class HttpExchange;
    struct Scratch;
    struct AddressCount {
        IpAddress ip;
        std::uint32_t count = 0;
    };

    void refuse(int fd, int status, const char* what, const IpAddress& client);
    static constexpr const char* kAddressFull = "connections_per_address_max are open from its address";
    /// What `refuse` does but for closing: counts it, tells the operator who it was, and the client why.
    void tell_refused(int fd, int status, const char* what, const IpAddress& client);
    Connection* take_slot();
    /// The slot of an address, with one more connection; nullopt above the bound. 0 for a Unix socket.
    std::optional<std::uint32_t> enter_address(const IpAddress& ip);
    void leave_address(std::uint32_t slot);
    bool count_as(Connection& connection, const IpAddress& ip);
    std::uint32_t now_ms() const noexcept;
    std::string_view date();
    void flush_slice();
    void end_of_turn();
    void report_ended();
    void sweep();
    template <class F>
    void each(F&& f);
    /// Work that was noted when no hook of this turn will see it: the next turn must not wait.
    void wake_if_late() {
        if (!reactor_.gathering()) reactor_.again();
    }

    Reactor& reactor_;
    ServerOptions options_;
    HttpHandler& handler_;
    std::shared_ptr<TlsServerContext> tls_;
    std::vector<std::unique_ptr<Listener>> listeners_;

    static constexpr std::size_t kPage = 64;
    std::vector<std::unique_ptr<Connection[]>> pages_;
    std::vector<Connection*> free_;       ///< slots to use again
    struct Ended;
    std::vector<Ended> ended_, ended_now_;            ///< on_closed at the end of this turn
    std::vector<Connection*> dead_;                   ///< slots to free after that
    std::vector<Connection*> dirty_, flushing_;  ///< for the next pass; in the one under way
    std::size_t flush_next_ = 0;          ///< of flushing_
    std::vector<Connection*> reading_;    ///< used up their share of the turn, or resumed
    std::vector<Connection*> reading_now_;
    std::vector<AddressCount> addresses_;
    std::vector<std::uint32_t> free_addresses_;
    struct IpHash {
        std::size_t operator()(const IpAddress& ip) const noexcept;
    };
    std::unordered_map<IpAddress, std::uint32_t, IpHash> address_slots_;

    std::unique_ptr<Scratch> scratch_;    ///< receive buffer, cork, shared (de)compressors
    Connection* corked_ = nullptr;        ///< whose output gathers in the cork
    bool draining_ = false;
    Duration start_;
    Duration flush_not_before_{0}, flush_begin_{0}, flush_used_{0};
    std::uint32_t exchange_number_ = 0;
    std::int64_t date_second_ = -1;
    std::string date_;
    ServerStatistics statistics_;
    diag::RateLimiter refusals_{10'000'000};
    Timer sweep_timer_, flush_timer_;
    TurnHook hook_;
};

}  // namespace weir::net
