#pragma once
#include <optional>
#include <string>

#include "event/filter.h"
#include "gateway/http/answer.h"
#include "log/log.h"
#include "net/http_parser.h"

namespace weir {

/// What `GET /api/v1/streams/{stream}/events` asks for (docs/http-api.md).
struct EventPage {
    static constexpr std::size_t limit_default = 100, limit_max = 10'000;
    static constexpr std::size_t searched_max = 200'000;  ///< events looked at for one page when a key is asked for, or a token has a filter

    StreamName stream;
    std::optional<Seq> after, before;
    std::optional<Timestamp> from, to;
    std::optional<std::string> key;
    Filter boundary;  ///< of the token: nothing outside it is shown
    std::size_t limit = limit_default;
    bool ndjson = false;
};

/// The error's message is a `detail` for `bad_request`.
Result<EventPage> read_event_page(const net::HttpRequest& request, StreamName stream);

/// One page as JSON. Reads the log: not on a reactor.
HttpAnswer answer_events(Log& log, const EventPage& page);

/// The next lines of an NDJSON answer, up to about `bytes_max`; moves `page` on. `done` when there are no more. Reads the log.
struct NdjsonPiece {
    std::string lines;
    bool done = false;
};
Result<NdjsonPiece> next_ndjson(Log& log, EventPage& page, std::size_t bytes_max);

}  // namespace weir
