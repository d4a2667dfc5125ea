#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "config/feed_options.h"
#include "event/event.h"

namespace weir {

class Source;

/// What a source reports, all from the reactor's thread. Any of these calls may stop the source, none may destroy it.
class SourceListener {
public:
    /// A connection is open, or a poll was answered after a failure. Ids of events start over.
    virtual void on_connected(Source& source) = 0;
    /// One message as it came; `at` is when it arrived (for a recording: when it had arrived).
    virtual void on_message(Source& source, std::string_view text, Timestamp at) = 0;
    /// An event that a recording holds decoded.
    virtual void on_event(Source& source, const EventView& event) = 0;
    /// The source is well but has nothing new (304).
    virtual void on_alive(Source& source) = 0;
    /// The connection ended, could not be made, or a poll failed. The source tries again by itself.
    virtual void on_failed(Source& source, const Error& error) = 0;
    /// A recording tells that time has passed without a message.
    virtual void on_time(Source& source, Timestamp now) = 0;
    /// There is nothing more to come: a recording's end, or an error, and the rest of it cannot be read.
    virtual void on_finished(Source& source, const Result<void>& end) = 0;

protected:
    ~SourceListener() = default;
};

/// One way to a feed's data. It connects, polls and retries (with backoff) by itself from `start` to `stop`; which source counts is
/// the SourceChain's business, what a message means the Decoder's.
///
/// Thread: the feed's reactor. Time comes from that reactor's clock.
class Source {
public:
    struct Health {
        enum class State : std::uint8_t { idle, connecting, connected, waiting };
        State state = State::idle;
        std::uint64_t failures = 0;  ///< since the start of weir
        std::uint64_t connections = 0;
        std::string last_error;
        std::optional<Timestamp> next_try;  ///< while waiting
    };

    virtual ~Source() = default;
    virtual void start(SourceListener& listener) = 0;
    /// Ends at once; nothing is reported any more.
    virtual void stop() = 0;
    /// The connection is open but taken for dead: end it and try again, as after a failure. Reports on_failed.
    virtual void give_up(const Error& why) = 0;
    /// Backpressure: no messages between these two; what the peer sends meanwhile waits with the peer.
    virtual void pause() = 0;
    virtual void resume() = 0;

    virtual SourceKind kind() const = 0;
    /// How often messages come by the source's own doing (polls); 0 where the peer decides.
    virtual Duration spacing() const { return Duration(0); }
    virtual bool is_polled() const { return false; }
    /// What people see: the url without secrets, the file.
    virtual std::string shown() const = 0;
    const Health& health() const { return health_; }

protected:
    Health health_;
};

/// `websocket`, `http`, ...: as events and statuses name it.
std::string_view to_text(SourceKind kind);
std::string_view to_text(Source::Health::State state);

}  // namespace weir
