#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "config/secret.h"
#include "log/log.h"

namespace weir {

/// Taps another weir, or any WebSocket that sends JSON objects, into a log: the first half of `weir consume` (decisions.md 28).
///
/// **A weir** agrees to the subprotocol `weir.json`. Its events are then asked for at `/stream`, behind the last one that is known, so nothing
/// is missed while the connection was away, as long as that weir keeps it. They keep their stream, type, key and time; their id here is
/// `weir:<epoch>/<seq>`, which is their place there (`place_of`).
/// **A foreign socket** has no past: what it sends counts from its receipt on. Objects with a `type` of `welcome` are greetings; all others
/// are events of the stream `records`. Where they carry `stream_sequence`, a jump in it is told.
///
/// Connections are made again after 1 s, 2 s, ... up to 30 s, with jitter. Each turn's messages are one commit; while the log refuses, nothing is
/// read, and the peer waits.
///
/// Thread: its own, from `start` to `stop`; the observer's calls come from it.
class Consumer {
public:
    struct Place {
        std::string epoch;
        std::uint64_t seq = 0;
        bool operator==(const Place&) const = default;
    };
    struct Observer {
        std::function<void(bool weir)> connected;
        std::function<void(std::string_view message)> greeted;
        std::function<void(const Error& why, Duration wait)> lost;
        std::function<void(std::string_view what)> gap;
    };
    struct Setup {
        std::string url;
        Secret token;
        std::string stream;      ///< of a weir: only this one; empty: all data streams, or the one that the url names
        std::uint64_t last = 0;  ///< of a weir, the first time: begin this many events back
        Log* log = nullptr;
        const Clock* clock = nullptr;
        std::uint64_t seed = 0;
        /// How far the other side's streams are known; nullopt: not to be told yet (asked again a second later).
        std::function<std::optional<std::map<StreamName, Place>>()> known;
        Observer observer;
    };

    /// How far the other side's streams are known: what this log has, or else the database, whichever is further. nullopt while the database
    /// has not answered and the log alone does not tell: it is empty, or all that a stream had is written and retired.
    static std::optional<std::map<StreamName, Place>> known_by(Log& log, const std::optional<std::map<StreamName, Place>>& database);

    explicit Consumer(Setup setup);
    ~Consumer();
    void start();
    void stop();

    /// The place in the other weir's stream that an id stands for; nullopt for an id of another kind.
    static std::optional<Place> place_of(std::string_view id);
    static constexpr const char* foreign_stream = "records";

private:
    struct Core;
    std::unique_ptr<Core> core_;
};

}  // namespace weir
