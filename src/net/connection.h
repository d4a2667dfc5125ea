#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "net/reactor.h"
#include "net/socket_address.h"
#include "net/websocket_codec.h"

namespace weir::net {

class Connection;
class HttpExchange;
class HttpServer;

enum class MessageKind : std::uint8_t { text, binary };

/// How a connection ended.
struct Closed {
    enum class By : std::uint8_t {
        peer,     ///< a close frame or the end of the stream from the other side
        us,       ///< close() or abort()
        error,    ///< the peer broke the protocol, or the socket failed
        timeout,  ///< no answer to a ping, no progress in writing, no answer to our close frame
    };
    By by = By::peer;
    CloseCode code = CloseCode::abnormal;  ///< the peer's code where it sent one, else ours; 1006 without a close frame
    std::string_view reason;               ///< valid during the call
};

/// What the owner of a session implements. All calls come from the reactor's thread; any of them may send, close or abort.
class ConnectionHandler {
public:
    /// A whole message. `payload` is valid during the call, and WebSocketDecoder::kPadding readable bytes follow it. Never called on streams, nor after close().
    virtual void on_message(Connection& connection, MessageKind kind, std::string_view payload) = 0;
    /// Write what is pending with `try_write`: called once in the flush pass at the end of a turn in which `mark_dirty` was
    /// called or the socket got room again. Not called while blocked(), nor after close() on a WebSocket.
    virtual void on_writable(Connection& connection) { (void)connection; }
    virtual void on_pong(Connection& connection, std::string_view payload) { (void)connection, (void)payload; }
    /// Where its messages may be less long than ServerOptions::websocket says; asked before each.
    virtual std::size_t message_bytes_max() const { return ~std::size_t(0); }
    /// Where less may be kept for a peer that does not read than ServerOptions::send_buffer_bytes_max says, pongs included.
    virtual std::size_t kept_bytes_max() const { return ~std::size_t(0); }
    /// Always called exactly once, and always the last call; the handler may destroy itself in it.
    /// `connection` is dead: only ref() of it means anything. Called at the end of a turn, never from within a call of the owner's.
    virtual void on_closed(Connection& connection, const Closed& closed) = 0;

protected:
    ~ConnectionHandler() = default;
};

/// Names a connection without keeping it: `get` is null once it has ended. Trivially copyable. Thread: carry it anywhere, `get` on the reactor's.
class ConnectionRef {
public:
    ConnectionRef() = default;
    Connection* get() const noexcept;
    bool operator==(const ConnectionRef&) const = default;

private:
    friend class Connection;
    Connection* connection_ = nullptr;
    std::uint32_t generation_ = 0;
};

/// One accepted socket, whatever it speaks at the moment: HTTP, then WebSocket or a stream (SSE, NDJSON). Lives in its HttpServer's
/// dense table; its address is stable until on_closed.
///
/// What it is for the owner of a session, over plaintext and TLS alike:
///
///     send(kind, payload)   a small message of its own: encoded, put behind what waits, sent at the end of the turn (or, from within
///                           on_message, when the read is done), kept here if the kernel does not take it.
///     mark_dirty()          "I have something in shared memory": on_writable comes once at the end of the turn, and there
///     try_write(pieces)     sends straight from that memory, in one system call together with what waits.
///
/// Thread: the reactor's. Memory: this object (64 bytes) while idle; a cold part only while something is pending, half received,
/// or encrypted.
class Connection final : private Pollable {
public:
    Connection() = default;
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Sending. All of it is quietly ignored once the connection is closing.

    /// Queues one message. Compressed where permessage-deflate was agreed and it pays. On a stream: the bytes as they are.
    /// False, and nothing queued, when something waits already and it would become more than ServerOptions::send_buffer_bytes_max:
    /// the owner decides what that means.
    bool send(MessageKind kind, std::string_view payload);
    /// The same for bytes that are encoded already: one or more whole frames (append_frame), on a stream anything.
    bool send_encoded(std::string_view frames);
    /// Sends what waits here and then `pieces`, which are whole unmasked frames, in one gathered call; returns how many bytes
    /// of `pieces` are taken: the owner moves its position by that.
    ///
    /// On a WebSocket the position is then always between two frames: of a frame that the kernel took half of, the rest is copied and
    /// kept here, so that pongs and closes find a place and the owner may skip frames, whoever reads slowly. So at most one
    /// frame is copied for a connection that cannot take more. On a stream the number is the kernel's, and keeping to whole
    /// units is the owner's business (`send_encoded` the rest of the cut one).
    /// Less than all means blocked(): on_writable comes when there is room. 0 at once while blocked.
    std::size_t try_write(std::span<const iovec> pieces);
    std::size_t try_write(std::string_view bytes) {
        const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
        return try_write(std::span<const iovec>(&piece, 1));
    }
    /// Asks for on_writable at the end of this turn. Cheap, and as often as you like. While blocked it changes nothing:
    /// on_writable comes anyway.
    void mark_dirty();
    /// The kernel took less than there was; nothing can be written until it has room.
    bool blocked() const noexcept { return flag(kBlocked); }
    /// Bytes kept here because the kernel did not take them yet.
    std::size_t pending_bytes() const noexcept;
    void ping(std::string_view payload = {});

    // Ending.

    /// WebSocket: sends a close frame behind what waits here. Stream: its last chunk. on_closed comes at the end of this turn; the
    /// socket itself goes when the peer has answered, or after close_timeout, without the owner.
    void close(CloseCode code, std::string_view reason = {});
    /// Ends at once and sends nothing. on_closed follows at the end of the turn.
    void abort();
    bool closing() const noexcept { return state_ >= State::closing; }

    // Receiving.

    /// Stops and starts reading from the socket: the peer's sending stalls meanwhile, pongs included. Pings of ours are not sent while paused.
    void pause_reading();
    void resume_reading();

    // Knowing.

    /// When the last byte came, on the reactor's monotonic clock, to a millisecond.
    Duration last_input() const noexcept;
    PeerAddress peer() const;         ///< also once the socket is gone; behind a trusted proxy the client, with port 0
    bool secure() const noexcept { return flag(kTls); }
    bool is_websocket() const noexcept { return flag(kWebSocket); }
    /// The window of the Deflater (context dropped) whose frames may be sent to this one: the policy's, or `DeflatePolicy::small_window_bits`; 0: none.
    int deflate_window() const noexcept { return deflate_window_; }
    ConnectionHandler* handler() const noexcept { return handler_; }
    /// Hands the connection to another owner; never null.
    void set_handler(ConnectionHandler& handler) noexcept { handler_ = &handler; }
    Reactor& reactor() const noexcept;
    HttpServer& server() const noexcept { return *server_; }
    ConnectionRef ref() noexcept;

private:
    friend class HttpServer;
    friend class HttpExchange;
    friend class ConnectionRef;
    struct Cold;
    struct Http;
    struct Tls;
    struct Bio;
    enum class State : std::uint8_t { free, proxy, http, websocket, stream, closing, lingering, dead };
    enum Flag : std::uint16_t {
        kBlocked = 1,          // the kernel's buffer is full
        kDirty = 2,            // in the server's flush list
        kTls = 4,
        kChunked = 8,          // a stream whose end wants a last chunk
        kWebSocket = 16,
        kDeadline = 64,        // deadline_ means something
        kPaused = 128,         // reading is paused by the owner
        kInputWaits = 256,     // an edge came while reading was paused, or the turn's share was used up
        kPeerDone = 512,       // the peer sent its last byte
        kAwaitingPong = 1024,
        kEndAfterFlush = 2048,
        kClosedByPeer = 4096,
        kNoPings = 8192,
        kInReadList = 16384,
        kServing = 32768,      // input is being taken: what is done now is noticed by that loop
    };
    bool flag(Flag f) const noexcept { return flags_ & f; }
    void set(Flag f, bool on = true) noexcept {
        flags_ = static_cast<std::uint16_t>(on ? flags_ | f : flags_ & ~f);
    }

    void on_ready(std::uint32_t events) override;
    enum class From : std::uint8_t { client, proxy };
    bool start(int fd, From from, std::uint32_t address, std::uint16_t port);
    bool take_proxy_header();
    bool start_tls();
    Cold& cold();
    void shrink();
    bool alive() const noexcept { return state_ != State::free && state_ != State::dead; }
    // Input.
    bool can_read() const noexcept;
    void serve_input(bool ended);
    void read_all(bool ended);
    long receive(char* to, std::size_t size);
    void take_input(std::span<char> input);
    void take_http(std::span<char>& input);
    void take_frames(std::span<char>& input);
    void take_close(CloseCode code, std::string_view reason);
    void input_ended();
    void schedule_read();
    // Output.
    void append(std::string_view bytes);
    void append_waiting(std::string_view bytes);
    bool room_for(std::size_t bytes) const noexcept;
    void want_flush();
    void flush();
    void flush_from_pass();
    void after_flush();
    std::size_t write_pieces(std::span<const iovec> pieces, bool frames);
    std::size_t write_plain(std::span<const iovec> pieces, bool frames);
    std::size_t write_tls(std::span<const iovec> pieces, bool frames);
    void send_waiting();
    long kernel_send(const iovec* pieces, std::size_t count);
    void took(std::size_t bytes, std::size_t offered);
    void encrypt(std::string_view bytes);
    // Ending.
    void fail(CloseCode code, std::string_view why);
    void notify(Closed::By by, CloseCode code, std::string_view reason);
    void end(Closed::By by, CloseCode code, std::string_view reason);
    void end_after_flush();
    void linger();
    void release();
    void set_deadline(Duration after) noexcept;
    void deadline_passed();
    void sweep(std::uint32_t now_ms);
    // HTTP.
    void http_error(int status, const char* why);
    void exchange_done();
    void leave_http();
    void start_websocket(ConnectionHandler& handler, bool pings);
    void start_stream(ConnectionHandler& handler, bool chunked);

    HttpServer* server_ = nullptr;
    ConnectionHandler* handler_ = nullptr;
    std::unique_ptr<Cold> cold_;
    int fd_ = -1;
    std::uint32_t generation_ = 0;
    std::uint32_t last_input_ms_ = 0;   ///< on the server's millisecond clock, as are the next two
    std::uint32_t deadline_ms_ = 0;
    std::uint32_t blocked_ms_ = 0;      ///< when the kernel last took something, while blocked
    std::uint32_t address_ = 0;         ///< slot in the server's table of addresses; 0: a Unix socket, or a proxy that has named nobody yet
    std::uint16_t flags_ = 0;
    std::uint16_t port_ = 0;            ///< of the peer; 0: a proxy told of the client
    State state_ = State::free;
    std::uint8_t deflate_window_ = 0;
};
static_assert(sizeof(Connection) <= 64, "an idle session pays this");

inline Connection* ConnectionRef::get() const noexcept {
    return connection_ && connection_->generation_ == generation_ && connection_->alive() ? connection_ : nullptr;
}

}  // namespace weir::net
