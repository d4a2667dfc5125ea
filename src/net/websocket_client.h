#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/websocket_codec.h"

namespace weir::net {

class Reactor;

struct WebSocketClientOptions {
    std::string url;                                           ///< ws or wss
    std::vector<std::pair<std::string, std::string>> headers;  ///< sent with the handshake
    std::vector<std::string> subprotocols;                     ///< offered, in this order
    Duration connect_timeout = 10s;                            ///< from the call to the end of the handshake
    Duration ping_interval = 20s;                              ///< of silence from the peer, then a ping; 0: never
    Duration ping_timeout = 10s;                               ///< from the ping to any byte from the peer
    Duration close_timeout = 5s;                               ///< from our close frame to the peer's
    std::size_t message_bytes_max = 4 * 1024 * 1024;           ///< a larger one: closed with 1009
    std::size_t send_buffer_bytes_max = 16 * 1024 * 1024;      ///< waiting to be sent; above, `send` refuses
    bool deflate = true;                                       ///< offers permessage-deflate for what comes; what goes is sent plain
    bool tls_verify = true;
    std::string tls_ca_file;                                   ///< PEM; empty: the system's authorities
    std::string local_address;                                 ///< IPv4 that it connects from, for more connections than one has ports; empty: any
};

/// A WebSocket to the outside: feeds, and the commands that talk to a weir (tail, publish, consume, bench).
///
/// `on_open` once, then `on_text` and `on_binary`, then exactly one of `on_close` (it had been open) and `on_error` (it never was). After that
/// one the client does nothing any more; for another try make another client. Any callback may send, close or destroy the client.
///
/// Errors of `on_error`: `bad_url`, `resolve_failed`, `connect_failed`, `tls_failed`, `timeout`, `refused` (another status than 101, or a
/// redirect, which is not followed), `bad_handshake`, `bad_extension`, `bad_response`. Of `on_close`: the peer's code where it sent
/// one; 1006 for an end without a close frame and for a ping that was not answered; 1002, 1007, 1009 where the peer broke the
/// protocol.
///
/// Thread: the reactor's; the callbacks too. Destroying it ends the connection at once (say `close` before, for manners).
/// Addresses of a name are tried one after another, each for at most 2 s while there are more.
class WebSocketClient {
public:
    struct Callbacks {
        std::function<void(std::string_view subprotocol)> on_open;
        std::function<void(std::string_view text)> on_text;      ///< valid UTF-8; valid during the call
        std::function<void(std::string_view bytes)> on_binary;   ///< may be unset: ignored
        std::function<void(CloseCode code, std::string_view reason)> on_close;
        std::function<void(const Error& error)> on_error;
    };
    /// Starts connecting; callbacks come from later turns only, never from within this call.
    WebSocketClient(Reactor& reactor, WebSocketClientOptions options, Callbacks callbacks);
    ~WebSocketClient();
    WebSocketClient(const WebSocketClient&) = delete;
    WebSocketClient& operator=(const WebSocketClient&) = delete;

    bool is_open() const;
    /// Queues one message. False, and nothing queued, before the opening, after a close, or when send_buffer_bytes_max would wait.
    bool send_text(std::string_view text);
    bool send_binary(std::string_view bytes);
    /// Bytes that the kernel has not taken yet: for producers that pace themselves.
    std::size_t pending_bytes() const;
    /// Called (on the reactor's thread) each time the last pending byte was taken.
    void on_drained(std::function<void()> drained);
    /// Sends a close frame behind what waits; on_close follows when the peer has answered, or after close_timeout.
    void close(CloseCode code = CloseCode::normal, std::string_view reason = {});
    /// Backpressure: nothing is read while paused, so the peer's sending stalls in the end. Pings of ours rest meanwhile.
    void pause_reading();
    void resume_reading();
    bool paused() const;
    /// When the last byte came, on the clock's monotonic scale.
    Duration last_input() const;

private:
    struct Core;
    std::shared_ptr<Core> core_;
};

/// The parts of a ws, wss, http or https url. Errors: `bad_url`.
struct WebSocketUrl {
    bool secure = false;
    std::string host;    ///< without brackets
    std::uint16_t port = 0;
    std::string target;  ///< path and query, at least "/"
    std::string authority() const;  ///< for the Host header: brackets around IPv6, the port where it is not the usual one
    static Result<WebSocketUrl> parse(std::string_view url);
};

}  // namespace weir::net
