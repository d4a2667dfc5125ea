#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/config.h"
#include "log/log.h"

namespace weir {

/// `weir serve`: builds the parts in the order of the path of an event, and stops them in reverse.
///
///     log, processors, stores, gateway, feeds        start: who reads stands before who writes
///     feeds, gateway, processors, stores, log        stop: nothing new, then each works off what the one before left
///
/// Thread: one owner.
class Server {
public:
    /// `history`: nobody is served, and the feeds' recordings are played as fast as they are taken, in their own times.
    enum class Mode : std::uint8_t { live, history };

    /// Everything runs when it returns. The error names the part: folder in use, port in use, a cycle of streams.
    /// `progress`: with `history`, the reader in the log that counts the commits of the recording (Feed::Setup::progress).
    static Result<std::unique_ptr<Server>> start(Config config, const Clock& clock, Mode mode = Mode::live, std::string progress = {});
    ~Server();

    Log& log();
    /// Whether all recordings have been played and are in the log. Error: one of them cannot be read to its end; what came before is in the log.
    Result<bool> feeds_finished();
    /// Whether processors and stores have done all that the log holds for them.
    bool caught_up();
    /// What the parts say of themselves, as JSON objects by name: `feeds/pools`.
    std::vector<std::pair<std::string, std::string>> status(std::string_view prefix) const;

    /// Takes over what may change while running, and says what needs a restart.
    void reload(Config config);
    /// Clean end: feeds say goodbye in the log, clients get 1001, files and positions are written. Idempotent.
    void stop();

private:
    struct Parts;
    explicit Server(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace weir
