#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/guarded.h"
#include "base/result.h"
#include "config/gateway_options.h"
#include "gateway/auth/permissions.h"
#include "gateway/auth/token_bucket.h"
#include "net/reactor.h"

namespace weir {

/// What all connections and requests of one token share; of a JWT, of all with one issuer and subject.
struct TokenLimits {
    explicit TokenLimits(const GatewayOptions& options) : publish(TokenBucket(options.publish_limit_per_minute)), acknowledge(TokenBucket(options.acknowledge_limit_per_minute)) {}
    Guarded<TokenBucket> publish, acknowledge;
};

/// Who somebody is, and what that allows. Thread: any.
struct Identity {
    std::string name;         ///< for audit lines: `token wall`, `jwt alice`; never a token
    std::string holder;       ///< who that is, for records: `wall`, `alice`; empty: nobody knows
    Permissions permissions;
    Timestamp expires = Timestamp::max();
    std::shared_ptr<TokenLimits> limits;      ///< null: none
    std::shared_ptr<const std::atomic<bool>> revoked;  ///< becomes true when the token leaves the configuration; null: never

    bool holds(Timestamp now) const { return now < expires && !(revoked && revoked->load(std::memory_order_relaxed)); }
};
using IdentityPtr = std::shared_ptr<const Identity>;

/// Whether gateway.require_auth asks for a token (decisions.md 16): `auto` is off while weir listens on loopback and knows no token.
bool needs_auth(const GatewayOptions& options);

/// Whether a key set may be fetched from there: https, or http to this machine.
bool is_safe_key_url(std::string_view url);

/// Tells by a token who its holder is: static tokens (known by salted hashes, compared in constant time, all of them for every token) and JWT
/// (`[gateway.jwt]`). Without authentication everybody is `anyone`.
///
/// A JWT's keys come from a secret, PEM files, a JWK Set file, and a JWK Set at a URL: that one is fetched at the start and every `jwks_refresh`; a token that names a key
/// which is not there waits for one more fetch, at most one in 10 s (a rotation), and is refused after it. Keys that could not be renewed for a day are not
/// believed any more.
/// Thread: any.
class Authenticator {
public:
    struct Answer {
        IdentityPtr identity;  ///< null: refused
        std::string why;       ///< for the audit line, never for the client
    };
    using Done = std::function<void(const Answer&)>;

    /// Errors: `bad_filter` and the like for a token's row, `bad_key`, `weak_key`, `bad_key_set`, `unsafe_url`, and the file's, with the option's path.
    static Result<std::unique_ptr<Authenticator>> make(const GatewayOptions& options, const Clock& clock);
    ~Authenticator();

    bool required() const;
    /// Whoever comes while authentication is off.
    IdentityPtr anyone() const;
    /// Calls `done` once: at once, or later on `reactor` when keys must be fetched first. True when it was at once.
    bool check(std::string_view token, net::Reactor& reactor, Done done);
    /// Reads tokens and keys again. What is no longer there, or allows something else, is revoked. On an error all stays as it was.
    Result<void> reload(const GatewayOptions& options);
    /// Once a second: fetches keys when it is time.
    void poll();
    /// Answers what waits with no, and ends fetching. No `done` comes after it.
    void stop();

private:
    struct State;
    explicit Authenticator(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

/// Which of `rows` a token is, by `matches(i)`. Asks all of them whatever they answer, so that the time tells nothing of which one it is.
template <class Matches>
std::optional<std::size_t> find_row(std::size_t rows, Matches&& matches) {
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < rows; ++i)
        if (matches(i)) found = i;
    return found;
}

/// A token's row of the configuration for `secret`: `sha256:<salt>:<digest>`, both hexadecimal.
std::string hash_token(std::string_view token, std::string_view salt);
/// Whether `token` is the one of that row. Also reads `sha256:<digest>` without a salt.
bool token_matches(std::string_view hash, std::string_view token);

}  // namespace weir
