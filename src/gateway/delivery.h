#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weir {

class Json;
class JsonWriter;
struct Audience;
struct Subscription;

/// How a subscription's events reach one session (spec.md 5): all of them, or fewer, or in batches; and what happens when more
/// waits than gateway.session_queue_bytes. The members can be combined.
///
///     {"conflate": true, "max_rate": 10, "batch_ms": 250, "at_bound": "drop_oldest"}
struct DeliveryPolicy {
    enum class AtBound : std::uint8_t { disconnect, drop_oldest, conflate };

    bool conflate = false;   ///< of what waits, only the newest of each key
    double max_rate = 0;     ///< at most so many events a second; 0: no limit. Above it the newest go, older ones are dropped
    Duration batch{0};       ///< one message with all that came in this time; 0: a message each
    AtBound at_bound = AtBound::disconnect;

    /// Every event, at once, or none any more: nothing has to be watched over.
    bool plain() const { return !conflate && max_rate == 0 && batch == Duration(0) && at_bound == AtBound::disconnect; }
    /// Error `bad_delivery`, naming the member.
    static Result<DeliveryPolicy> parse(const Json& json);
    void print(JsonWriter& json) const;
    bool operator==(const DeliveryPolicy&) const = default;
};

/// What a session keeps for a subscription with a policy: it holds no frame either, only knows which of those in the rings to skip.
/// At any time an event of the subscription is delivered, merged, dropped, or lies between the cursor and the ring's end.
/// Thread: the reactor's. Memory: this, and while it conflates 16 bytes and more a key that waits.
struct Governor {
    struct Part {
        Audience* audience;
        std::unordered_map<std::uint64_t, std::uint64_t> newest;  ///< by key: the newest waiting frame; while conflating
        std::uint64_t scanned = 0;     ///< frames before it are in `newest`, or behind the cursor
        bool conflating = false;
    };
    Subscription* subscription = nullptr;
    DeliveryPolicy policy;
    std::vector<Part> parts;
    double tokens = 1;          ///< of max_rate
    Duration tokens_at{0};
    Duration batch_due{0};
    std::uint64_t delivered = 0, merged = 0, dropped = 0;
    std::uint64_t told = 0;     ///< merged + dropped that the client knows of
    Duration tell_at{0};

    Part& part(const Audience& audience);
    bool superseded(const Part& part, std::uint64_t frame, std::uint64_t key) const;
    /// Tokens at `now`; at least one when an event may go.
    void refill(Duration now);
    /// When there is a token again.
    Duration next_token() const;
};

}  // namespace weir
