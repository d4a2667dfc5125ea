#pragma once
// What connection*.cc, http_exchange.cc and http_server.cc share and nobody else includes: the parts of a connection and of a server
// that exist only while they are needed.
#include <openssl/ssl.h>

#include "net/http_server.h"
#include "net/websocket_deflate.h"

namespace weir::net {

constexpr long kAgain = -1, kBroken = -2;  ///< of reading and writing, beside a number of bytes

struct Connection::Http {
    Http(Connection& connection, const HttpLimits& limits) : parser(limits), exchange(connection) {}
    HttpParser parser;
    HttpExchange exchange;
    bool head_begun = false;  ///< head_timeout runs
    bool body_paused = false;
};

struct Connection::Tls {
    explicit Tls(void* session) : ssl(static_cast<SSL*>(session)) {}
    ~Tls() { ::SSL_free(ssl); }
    Tls(const Tls&) = delete;
    Tls& operator=(const Tls&) = delete;
    SSL* ssl;
};

/// The part of a connection that an idle one does not have. Freed as a whole when all of it is empty.
struct Connection::Cold {
    std::string out;               ///< for the kernel: encrypted where there is TLS; from out_start on
    std::size_t out_start = 0;
    std::string in;                ///< came, and must wait: for an answer, for resume_reading
    std::unique_ptr<WebSocketDecoder> decoder;  ///< in the middle of a frame or message
    std::unique_ptr<Inflater> inflater;         ///< where the client keeps its context
    std::unique_ptr<Tls> tls;
    std::unique_ptr<Http> http;

    std::size_t waiting() const { return out.size() - out_start; }
    void clear_out() {
        std::string().swap(out);  // assigning an empty one would keep the memory
        out_start = 0;
    }
};

/// What one connection at a time uses while it is being served: shared by all of a server.
struct HttpServer::Scratch {
    explicit Scratch(std::size_t receive_bytes) : receive(receive_bytes + WebSocketDecoder::kPadding) {}
    std::vector<char> receive;
    std::string cork;              ///< output of the connection that is being served, sent in one call when that is done
    WebSocketDecoder decoder;      ///< idle between connections
    std::size_t frames = 0;        ///< decoded for the connection that is being served, this turn
    std::unique_ptr<Inflater> inflater;
    Deflaters deflaters;
    std::string deflated, record;
    std::vector<std::unique_ptr<Connection::Http>> retired;  ///< of upgraded connections, freed when nobody is inside any more
};

struct HttpServer::Ended {
    ConnectionHandler* handler;
    Connection* connection;
    Closed::By by;
    CloseCode code;
    std::string reason;
    std::function<void()> gone;  ///< of an exchange
};

}  // namespace weir::net
