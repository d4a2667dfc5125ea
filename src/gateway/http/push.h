#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/auth/permissions.h"
#include "gateway/http/answer.h"
#include "log/log.h"

namespace weir {

class Json;

/// Events that a client pushes (spec.md 1, `push`): read, checked, and handed to the log. Source of an event is `push`.
struct PushedEvents {
    struct Rejected {
        std::size_t index;
        GatewayError error;
        std::string detail;
    };
    EventList events;
    std::vector<std::size_t> indexes;  ///< of `events`, in what was sent
    std::vector<Rejected> rejected;
    std::size_t count = 0;             ///< sent in all
};

/// `body` is an event, an array of events, or with `ndjson` one a line: `{"type","key","id","time","data":{...}}`, all but `data`
/// optional. What an event of `GET .../events` has besides is ignored (`seq`, `epoch`, `stream`, `source`, `ingested`); any other member is a
/// mistake. `next_id` makes ids for events without one. Error: `malformed_json`, where nothing of the body is readable.
/// A million bytes take some 20 ms: not on a reactor.
Result<PushedEvents> read_pushed(std::string_view body, bool ndjson, Timestamp now, const std::function<std::string()>& next_id);

/// The same for an event, or an array of them, that was parsed already (a `publish` over WebSocket).
PushedEvents read_pushed(const Json& events, Timestamp now, const std::function<std::string()>& next_id);

/// What an event of this type needs to be pushed to this stream: an acknowledgement is an event too (`acknowledge`), and so are the commands on `spc.in` that define
/// characteristics and limits (`administer`).
Needs needs_of(std::string_view stream, std::string_view event_type);
/// The first of these that `who` does not meet. Who sees only a part of the characteristics may push samples, and commands only through the SPC endpoints.
std::optional<Needs> missing_for(const Permissions& who, std::string_view stream, const PushedEvents& pushed);

/// What the log said of pushed events: an error, or `{"accepted","duplicates","rejected","events":[{"seq","duplicate"}]}`.
struct PushAnswer {
    std::optional<GatewayError> error;
    std::string detail;
    std::string body;
    bool nothing_taken = false;
};

HttpAnswer http_answer(PushAnswer made);

/// Hands them to the log's writer, all of them at once, without waiting for room: for reactors. False, and `done` never called, when there is none.
/// `done` runs on the writer's thread.
[[nodiscard]] bool push_now(Log& log, const StreamName& stream, std::shared_ptr<PushedEvents> pushed, std::function<void(PushAnswer)> done);

/// Commits them in pieces that the log takes, and answers `{"accepted","duplicates","rejected","events":[{"seq","duplicate"}]}` through
/// `done`, on any thread. `busy` when the writer's mailbox is full. May wait for room for the second piece: not on a reactor.
void push(Log& log, const StreamName& stream, std::shared_ptr<PushedEvents> pushed, std::function<void(HttpAnswer)> done);

}  // namespace weir
