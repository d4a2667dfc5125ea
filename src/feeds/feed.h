#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "base/status_board.h"
#include "config/feed_options.h"
#include "feeds/source.h"
#include "log/log.h"
#include "net/http_client.h"
#include "net/reactor.h"

namespace weir {

/// Taps one outside source and appends what it says to one stream of the log: steps 1 and 2 of a reading's walk.
///
/// - **Sources** by a SourceChain (takeover, return, half-open); every change of state, with its cause, is a note in the data stream, so that
///   windows and `system_status` know it by the log alone.
/// - **Messages** by a Decoder; what is refused is counted, noted and sampled into the diagnostics, at most a line a second.
/// - **Appending** with bounded waiting: what came in one turn of the reactor is one commit. When the log is behind, reading pauses and
///   nothing is dropped. A commit that failed for the disk's sake is sent again until it succeeds; one that the log refuses for
///   good (`too_large`) is dropped, counted and noted as rejected with the reason `not_stored`.
/// - **Ids** where the messages have none: `<feed>/<start of this process, microseconds>-<connection>/<n>`, so no connection ever repeats.
/// - **Interval**: set, or learned as the median spacing of the last 200 messages; noted when first known and when it changes by more
///   than a tenth.
/// - **Start and stop** are noted: `weir_down` for what was missed before, `stopped` at the end.
///
/// Status: `feeds/<name>` on the board, on changes and at most once a second (docs/http-api.md).
/// Thread: the reactor's. Memory: at most `in_flight_bytes_max` plus one message.
class Feed {
public:
    /// Whose time the commits bear: the log's own, or (for `weir replay`) the recording's, one commit a message, so that
    /// any speed gives the same bytes.
    enum class Times : std::uint8_t { log, recorded };
    struct Setup {
        std::string name;
        FeedOptions options;
        Log* log = nullptr;
        net::Reactor* reactor = nullptr;
        net::HttpClient* http = nullptr;  ///< only for polled sources
        StatusBoard* board = nullptr;     ///< may be null
        Metrics* metrics = nullptr;       ///< may be null
        std::uint64_t seed = 0;           ///< of backoff's jitter
        Times times = Times::log;
        /// With `Times::recorded`, a reader in the log whose position is how many commits of the recording are there (a recording gives the
        /// same commits each time). Those are not sent again, so a recording that was cut short goes on where it ended, with each
        /// reading once. Empty: it begins anew.
        std::string progress;
        std::size_t in_flight_bytes_max = 4 * 1024 * 1024;
        /// Tests bring their own sources; else they are made from the options.
        std::function<std::vector<std::unique_ptr<Source>>()> sources;
    };
    /// Errors: those of the decode rules; `bad_feed` for a name above 128 bytes or no source.
    static Result<std::unique_ptr<Feed>> make(Setup setup);
    ~Feed();

    void start();
    /// Ends the sources, commits what is there and a `stopped` state; `done` is called once the log has answered.
    void stop(std::function<void()> done);
    bool stopped() const;
    /// A recording has been played to its end and is in the log. Error: the rest of it cannot be read; what came before is in the log.
    Result<bool> finished() const;

    struct Counts {
        std::uint64_t messages = 0, readings = 0, rejected = 0, unwanted = 0, standby = 0, duplicates = 0, reconnects = 0, failures = 0, dropped = 0;
    };
    const Counts& counts() const;
    std::string status_json() const;

private:
    struct Core;
    explicit Feed(std::shared_ptr<Core> core);
    std::shared_ptr<Core> core_;
};

/// The decode rules that a feed's options ask for.
struct DecodeRules;
DecodeRules decode_rules(const DecodeOptions& options);

/// The source that one `[[feeds.<name>.sources]]` asks for.
std::unique_ptr<Source> make_source(net::Reactor& reactor, net::HttpClient* http, const SourceOptions& options, const FeedOptions& feed, std::uint64_t seed);

}  // namespace weir
