#include "gateway/auth/jwt.h"

#include <algorithm>
#include <cmath>

#include "gateway/auth/base64url.h"

namespace weir {
namespace {

using net::SignatureAlgorithm;

constexpr std::size_t kKeysMax = 100;  ///< of a set: each may cost a verification

std::optional<SignatureAlgorithm> algorithm_of(std::string_view name) {
    for (const auto algorithm : {SignatureAlgorithm::hs256, SignatureAlgorithm::rs256, SignatureAlgorithm::es256, SignatureAlgorithm::eddsa})
        if (algorithm_name(algorithm) == name) return algorithm;
    return std::nullopt;
}

Error malformed(const char* what) { return {"malformed", what}; }

std::optional<std::string> bytes_member(const Json& key, std::string_view name) {
    const auto text = key.find_string(name);
    return text ? base64url_decode(*text) : std::nullopt;
}

bool is_for_signatures(const Json& key) {
    if (const Json* use = key.find("use"); use && !(use->is_string() && use->as_string() == "sig")) return false;
    if (const Json* operations = key.find("key_ops")) {
        const auto& items = operations->items();
        return std::any_of(items.begin(), items.end(), [](const Json& item) { return item.is_string() && (item.as_string() == "verify" || item.as_string() == "sign"); });
    }
    return true;
}

Result<net::VerifyingKey> read_key(const Json& key, Symmetric symmetric) {
    const auto type = key.find_string("kty").value_or(""), curve = key.find_string("crv").value_or("");
    const auto x = bytes_member(key, "x"), y = bytes_member(key, "y");
    if (type == "RSA") {
        const auto n = bytes_member(key, "n"), e = bytes_member(key, "e");
        if (n && e) return net::VerifyingKey::from_rsa(*n, *e);
    } else if (type == "EC" && curve == "P-256" && x && y) {
        return net::VerifyingKey::from_p256(*x, *y);
    } else if (type == "OKP" && curve == "Ed25519" && x) {
        return net::VerifyingKey::from_ed25519(*x);
    } else if (type == "oct" && symmetric == Symmetric::take) {
        if (const auto k = bytes_member(key, "k")) return net::VerifyingKey::from_secret(*k);
    }
    return Error{"bad_key", "not a key that weir can check signatures with"};
}

/// Seconds since 1970, possibly with a fraction (RFC 7519, 2), as a time; nullopt where it is none that a clock can show.
std::optional<Timestamp> numeric_date(const Json& claim) {
    if (!claim.is_number()) return std::nullopt;
    const double seconds = claim.as_double();
    if (!std::isfinite(seconds) || seconds < 0 || seconds > 253'402'300'799.0) return std::nullopt;  // the year 9999
    return Timestamp::from_micros(static_cast<std::int64_t>(seconds * 1e6));
}

bool is_any_of(const std::vector<std::string>& allowed, std::string_view text) { return std::find(allowed.begin(), allowed.end(), text) != allowed.end(); }

bool names_us(const Json& audience, const std::vector<std::string>& ours) {
    if (audience.is_string()) return is_any_of(ours, audience.as_string());
    const auto& items = audience.items();
    return std::any_of(items.begin(), items.end(), [&](const Json& item) { return item.is_string() && is_any_of(ours, item.as_string()); });
}

}  // namespace

std::string_view algorithm_name(SignatureAlgorithm algorithm) {
    constexpr std::string_view names[] = {"HS256", "RS256", "ES256", "EdDSA"};
    return names[static_cast<std::size_t>(algorithm)];
}

Result<Jws> Jws::parse(std::string_view token) {
    if (token.size() > token_bytes_max) return malformed("the token is longer than 16 KiB");
    const auto first = token.find('.'), second = first == std::string_view::npos ? first : token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return malformed("not three parts with dots between them");
    const auto head = base64url_decode(token.substr(0, first));
    auto payload = base64url_decode(token.substr(first + 1, second - first - 1));
    auto signature = base64url_decode(token.substr(second + 1));
    if (!head || !payload || !signature) return malformed("a part is not base64url");
    const auto header = Json::parse(*head);
    if (!header.ok() || !header->is_object()) return malformed("the header is no JSON object");
    // Of a repeated member the last one counts, here as in every other reader of ours (RFC 7515, 4).
    const auto name = header->find_string("alg");
    const auto algorithm = name ? algorithm_of(*name) : std::nullopt;
    if (!algorithm) return Error{"algorithm", "the algorithm is none of HS256, RS256, ES256, EdDSA"};
    if (header->find("crit")) return Error{"critical", "the header names extensions that must be understood"};
    Jws jws{.algorithm = *algorithm, .key_id = {}, .signed_part = token.substr(0, second), .payload = *std::move(payload), .signature = *std::move(signature)};
    if (const Json* id = header->find("kid")) {
        if (!id->is_string()) return malformed("`kid` is no text");
        jws.key_id = id->as_string();
    }
    return jws;
}

Result<std::vector<TrustedKey>> parse_jwk_set(std::string_view json, Symmetric symmetric) {
    const auto set = Json::parse(json);
    const Json* list = set.ok() ? set->find("keys") : nullptr;
    if (!list || !list->is_array()) return Error{"bad_key_set", "not a JWK Set: an object with `keys`"};
    std::vector<TrustedKey> keys;
    for (const Json& item : list->items()) {
        if (keys.size() == kKeysMax) break;
        if (!is_for_signatures(item)) continue;
        auto key = read_key(item, symmetric);
        if (!key.ok()) continue;
        if (const Json* algorithm = item.find("alg"); algorithm && !(algorithm->is_string() && algorithm->as_string() == algorithm_name(key->algorithm()))) continue;
        TrustedKey trusted{.id = {}, .key = *std::move(key)};
        if (const auto id = item.find_string("kid")) trusted.id = *id;
        keys.push_back(std::move(trusted));
    }
    return keys;
}

Result<void> verify_jws(const Jws& jws, const std::vector<TrustedKey>& keys) {
    bool asked = false;
    for (const TrustedKey& trusted : keys) {
        if (trusted.key.algorithm() != jws.algorithm) continue;
        if (trusted.id && jws.key_id && *trusted.id != *jws.key_id) continue;
        asked = true;
        if (trusted.key.verify(jws.signed_part, jws.signature)) return ok();
    }
    if (!asked) return Error{"unknown_key", "no key of this algorithm and name"};
    return Error{"signature", "the signature is wrong"};
}

Result<JwtClaims> check_claims(std::string_view payload, const JwtRules& rules, Timestamp now) {
    auto claims = Json::parse(payload);
    if (!claims.ok() || !claims->is_object()) return malformed("the claims are no JSON object");
    const Json* exp = claims->find("exp");
    const auto expires = exp ? numeric_date(*exp) : std::nullopt;
    if (!expires) return malformed("`exp` is missing or no time");
    if (now >= *expires + rules.leeway) return Error{"expired", "the token has expired"};
    for (const char* name : {"nbf", "iat"}) {
        const Json* claim = claims->find(name);
        if (!claim) continue;
        const auto time = numeric_date(*claim);
        if (!time) return malformed("`nbf` or `iat` is no time");
        if (now + rules.leeway < *time) return Error{"not_yet", "the token is not valid yet"};
    }
    const Json* issuer = claims->find("iss");
    if (issuer && !issuer->is_string()) return malformed("`iss` is no text");
    if (!rules.issuers.empty() && !(issuer && is_any_of(rules.issuers, issuer->as_string()))) return Error{"issuer", "the issuer is not trusted"};
    // A token that is for somebody must be for us (RFC 7519, 4.1.3).
    const Json* audience = claims->find("aud");
    if ((audience || !rules.audiences.empty()) && !(audience && names_us(*audience, rules.audiences))) return Error{"audience", "the token is for another audience"};
    JwtClaims checked;
    checked.expires = *expires + rules.leeway;
    if (issuer) checked.issuer = issuer->as_string();
    if (const Json* subject = claims->find("sub")) {
        if (!subject->is_string()) return malformed("`sub` is no text");
        checked.subject = subject->as_string();
    }
    checked.all = *std::move(claims);
    return checked;
}

Result<std::string> sign_jwt(const net::SigningKey& key, const Json& claims, const std::optional<std::string>& key_id) {
    Json header = Json::object();
    header.set("alg", Json::string(std::string(algorithm_name(key.algorithm()))));
    header.set("typ", Json::string("JWT"));
    if (key_id) header.set("kid", Json::string(*key_id));
    std::string token = base64url_encode(header.text()) + '.' + base64url_encode(claims.text());
    WEIR_TRY(const std::string signature, key.sign(token));
    return token + '.' + base64url_encode(signature);
}

}  // namespace weir
