#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/prng.h"
#include "base/result.h"
#include "base/time.h"

namespace weir {

/// Readings of one pool as they were recorded: `timestamp,occupancy`, a header line, plain or gzip.
///
/// Played at the time of day at which it was recorded, over and over: what a moment shows is the last reading before the same time
/// on the recording's own day. Errors: `not_found`, `bad_recording` with the line.
class PoolRecording {
public:
    static Result<PoolRecording> load(const std::string& file);

    /// The reading in force at `now`; days are taken in turn, and hours without a recording show 0, as a closed pool does.
    std::int64_t at(Timestamp now) const;
    std::size_t size() const { return readings_.size(); }

private:
    struct Reading {
        Timestamp time;
        std::int64_t value;
    };
    std::vector<Reading> readings_;  ///< in order of time
};

/// The wire form of the pool feed (docs/formats/pool-feed.md): one array of 32 pools, `currentfill` as text. SSD-7 is the recording, all others are
/// simulated by a day of opening, filling and emptying, and say so in their names. Thread: one owner.
class PoolMessages {
public:
    PoolMessages(PoolRecording recording, std::uint64_t seed);
    /// The message of this moment.
    std::string next(Timestamp now);

private:
    struct Pool {
        const char* uid;
        const char* name;
        int capacity;
        bool indoor;
        double level = 0;
        double popularity = 0;
    };
    std::int64_t simulate(Pool& pool, Timestamp now);

    PoolRecording recording_;
    Prng prng_;
    std::vector<Pool> pools_;
    std::optional<Timestamp> last_;
};

/// A stand-in of the pool feed: a WebSocket server that stays silent until a client sends a text (`all`), or half a second has passed, and
/// then sends the array of pools every few seconds until the client goes. For the demo and for tests of feeds.
///
/// Thread: its own reactor; start and stop from one thread.
class PoolServer {
public:
    struct Options {
        std::string listen = "127.0.0.1:8766";
        Duration every = 4s;
        Duration silence = 500ms;
        std::uint64_t seed = 1;
    };
    static Result<std::unique_ptr<PoolServer>> start(Options options, PoolRecording recording, const Clock& clock);
    ~PoolServer();
    void stop();
    /// Where it listens, with the port that was chosen.
    const std::string& address() const;

private:
    struct Impl;
    explicit PoolServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir
