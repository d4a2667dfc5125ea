#pragma once
#include <memory>
#include <string>

#include "gateway/auth/authenticator.h"
#include "gateway/http/event_pages.h"
#include "gateway/reader_pool.h"
#include "net/http_server.h"

namespace weir {

/// A long answer of events, one a line: pieces are read by the pool, and the next one only when the client has taken the last
/// (so a slow client costs one piece of memory). Should `who` not hold any more, or the log not be read, the connection ends within the
/// answer: the client sees that it is not whole, and the last line's seq says where to go on. Thread: the reactor's; lives as long as its exchange.
class NdjsonStream : public std::enable_shared_from_this<NdjsonStream> {
public:
    struct Parts {
        Log& log;
        ReaderPool& pool;
        const Clock& clock;
    };
    static void start(net::HttpExchange& exchange, const Parts& parts, IdentityPtr who, EventPage page);

private:
    NdjsonStream(net::HttpExchange& exchange, const Parts& parts, IdentityPtr who, EventPage page);
    void ask();
    void arrived(Result<NdjsonPiece> piece);
    void write();

    net::Reactor& reactor_;
    net::HttpExchangeRef exchange_;
    Parts parts_;
    IdentityPtr who_;
    EventPage page_;
    NdjsonPiece piece_;
};

}  // namespace weir
