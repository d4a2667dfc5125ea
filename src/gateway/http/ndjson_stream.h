#pragma once
#include <memory>
#include <string>

#include "gateway/http/event_pages.h"
#include "gateway/reader_pool.h"
#include "net/http_server.h"

namespace weir {

/// A long answer of events, one a line: pieces are read by the pool, and the next one only when the client has taken the last
/// (so a slow client costs one piece of memory). Thread: the reactor's; lives as long as its exchange.
class NdjsonStream : public std::enable_shared_from_this<NdjsonStream> {
public:
    static void start(net::HttpExchange& exchange, Log& log, ReaderPool& pool, EventPage page);

private:
    NdjsonStream(net::HttpExchange& exchange, Log& log, ReaderPool& pool, EventPage page);
    void ask();
    void arrived(Result<NdjsonPiece> piece);
    void write();

    net::Reactor& reactor_;
    net::HttpExchangeRef exchange_;
    Log& log_;
    ReaderPool& pool_;
    EventPage page_;
    NdjsonPiece piece_;
};

}  // namespace weir
