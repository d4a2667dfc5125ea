#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "base/status_board.h"
#include "config/feed_options.h"
#include "config/gateway_options.h"
#include "config/log_options.h"
#include "config/spc_options.h"
#include "config/window_options.h"
#include "log/log.h"

namespace weir {

/// The WebSocket and HTTP face of weir: one port, three dialects, the API and the page (spec.md 5).
///
/// It follows the log, whoever wrote it, and hands each new event to the sessions that asked for it, encoded once per audience. What a
/// client sends enters the log. Owns its reactor threads (`gateway.reactors`) and a pool of two that read the disk for them.
///
///     auto gateway = Gateway::start({log, status, metrics, clock}, {.options = ..., .version = "0.1.0"});
///     gateway->ready();              // /readyz says so from here on
///     ...
///     gateway->drain();              // on SIGTERM: nobody new, 1001 to all, at most options.drain_timeout
///     gateway->stop();
///
/// Thread: start, drain and stop from one thread (the owner's); the rest from any. What is in Parts outlives it.
class Gateway {
public:
    struct Parts {
        Log& log;
        StatusBoard& status;
        Metrics& metrics;
        const Clock& clock;
    };
    struct Setup {
        GatewayOptions options;
        StreamTable streams;   ///< what the configuration says of streams; a type that is unset is guessed from the writer
        WindowTable windows;   ///< for /api/v1/windows, /api/v1/series and the type of their output streams
        FeedTable feeds;       ///< for the field that a window without one counts
        SpcOptions spc = {};   ///< whether characteristics are answered for, and reason codes
        bool has_alerts = false;  ///< rules are configured: somebody answers what is asked about alerts
        std::string version;
        Duration metrics_interval{0};  ///< weir's own counters into `metrics`, its state into `system_status` (decisions.md 21); 0: neither
    };

    /// Listening when it returns. Errors: `address_in_use`, `permission_denied`, `address_not_available`, `bad_address`,
    /// `bad_certificate`; `too_many_connections` (decisions.md 24); what Authenticator::make says of tokens and keys.
    static Result<std::unique_ptr<Gateway>> start(const Parts& parts, Setup setup);
    /// As `stop` if that was not called.
    ~Gateway();

    /// Where it listens, with the port that was chosen: "127.0.0.1:8765".
    std::string address() const;
    std::uint16_t port() const;

    /// What /readyz says: "" is ready, else why not.
    void ready(std::string why_not = {});

    /// Reads tokens, keys and the certificate again, and takes over limits and timeouts, which hold for what happens next (SIGHUP). `options`: those in force, but for
    /// what the option table says may change. No connection is dropped but those whose token is no longer there, or allows something else now: these
    /// are closed with 1008. What fails stays as it was, and is answered.
    std::vector<Error> reload(const GatewayOptions& options);

    /// Stops listening, tells every session 1001, lets answers finish; returns when all are gone or after options.drain_timeout,
    /// when the rest is cut off.
    void drain();
    /// Ends what is left at once and joins the threads.
    void stop();

private:
    struct Impl;
    explicit Gateway(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir
