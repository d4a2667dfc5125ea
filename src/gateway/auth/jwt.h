#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "event/json.h"
#include "net/signature.h"

namespace weir {

/// A signed token taken apart (RFC 7515, compact form), its signature not looked at yet. Views are into the token.
struct Jws {
    static constexpr std::size_t token_bytes_max = 16 * 1024;

    net::SignatureAlgorithm algorithm;
    std::optional<std::string> key_id;
    std::string_view signed_part;  ///< what the signature is over
    std::string payload, signature;

    /// Errors: `malformed`; `algorithm` for `none` and every other that weir does not take; `critical` for extensions (RFC 7515, 4.1.11).
    static Result<Jws> parse(std::string_view token);
};

/// A key that tokens may be signed with, and its name where it has one (`kid`).
struct TrustedKey {
    std::optional<std::string> id;
    net::VerifyingKey key;
};

/// Whether a set may hold symmetric keys: one that came over the network may not.
enum class Symmetric : std::uint8_t { refuse, take };

/// The keys of a JWK Set (RFC 7517, RFC 8037) that weir can check signatures with: RSA, P-256, Ed25519, and `oct` for HS256. Others, those for another use and
/// those that are damaged are left out, as RFC 7517, 5 asks. Errors: `bad_key_set` when it is none at all.
Result<std::vector<TrustedKey>> parse_jwk_set(std::string_view json, Symmetric symmetric);

/// Whether some key verifies it. A key is asked only if it is of the token's algorithm, and if both name a key, of that name.
/// Errors: `unknown_key` where no key can be asked; `signature`.
Result<void> verify_jws(const Jws& jws, const std::vector<TrustedKey>& keys);

/// What a token must say to be believed (RFC 7519, 4.1; RFC 8725).
struct JwtRules {
    std::vector<std::string> issuers;    ///< any of; empty: whoever holds the key
    std::vector<std::string> audiences;  ///< any of; empty: a token that names an audience is not for us
    Duration leeway{0};                  ///< for clocks that differ
};

struct JwtClaims {
    std::string subject, issuer;
    Timestamp expires;  ///< leeway included: from this moment on it is no longer believed
    Json all;
};

/// `exp` is required. Errors: `malformed`, `expired`, `not_yet`, `issuer`, `audience`.
Result<JwtClaims> check_claims(std::string_view payload, const JwtRules& rules, Timestamp now);

/// A token made of these claims. Error: `sign_failed`.
Result<std::string> sign_jwt(const net::SigningKey& key, const Json& claims, const std::optional<std::string>& key_id);

std::string_view algorithm_name(net::SignatureAlgorithm algorithm);

}  // namespace weir
