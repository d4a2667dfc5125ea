#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "event/json.h"
#include "net/signature.h"

namespace weir {

class Log;

/// What a client had subscribed to, signed, so that one text brings all of it back after a dropped connection, on a restarted server too (S3-31;
/// decisions.md 19). It gives no rights: whoever brings it authenticates first, and each subscription is checked as if asked for anew.
///
/// `base64url(json).base64url(HMAC-SHA-256)`; the JSON holds a version, the dialect, what was subscribed, and up to where the log had been handed out:
/// streams that appear later are read from there. Clients keep it as it is.
class ResumeTokens {
public:
    /// The key lives in the log beside the streams, made at the first start: tokens outlive the process, and end with the log.
    /// Errors: the log's; `no_randomness`.
    static Result<ResumeTokens> open(Log& log);
    explicit ResumeTokens(net::SigningKey key) : key_(std::move(key)) {}

    struct Content {
        Timestamp at;  ///< commit time up to which events were handed out
        Json subscriptions;
    };
    std::string make(std::string_view dialect, const Content& content) const;
    /// Error `bad_resume_token`: damaged, of another log, or of another dialect.
    Result<Content> read(std::string_view dialect, std::string_view token) const;

private:
    net::SigningKey key_;
};

}  // namespace weir
