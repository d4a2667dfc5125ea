// Tokens and what they allow: only what we signed, or configured, lets anybody in; claims against an obvious twin; key sets and permissions.
#include <cmath>

#include "event/filter_test_support.h"
#include "fuzz.h"
#include "gateway/auth/authenticator.h"
#include "gateway/auth/base64url.h"
#include "gateway/auth/jwt.h"
#include "gateway/dialects/analytics_messages.h"

namespace weir::fuzz {
namespace {

constexpr std::int64_t now_s = 1'770'000'000;
const char* const secret = "an HMAC secret of 32 bytes or more";
const char* const salt = "5a17";

const std::vector<TrustedKey>& keys() {
    static const std::vector<TrustedKey> all = {{.id = {}, .key = *net::VerifyingKey::from_secret(secret)}};
    return all;
}
const net::SigningKey& signer() {
    static const auto key = *net::SigningKey::from_secret(secret);
    return key;
}

/// A token as anybody may send it: right if and only if signing its first two parts gives its third.
void foreign(std::string_view text) {
    const auto jws = Jws::parse(text);
    const auto dot = text.rfind('.');
    const bool ours = dot != text.npos && text.substr(dot + 1) == base64url_encode(*signer().sign(text.substr(0, dot)));
    if (!jws.ok()) {
        FUZZ_CHECK(jws.error().code == "malformed" || jws.error().code == "algorithm" || jws.error().code == "critical", jws.error().code);
        return;
    }
    FUZZ_CHECK(jws->signed_part == text.substr(0, dot) && base64url_encode(jws->payload) == text.substr(text.find('.') + 1, dot - text.find('.') - 1));
    const auto verified = verify_jws(*jws, keys());
    FUZZ_CHECK(verified.ok() == (ours && jws->algorithm == net::SignatureAlgorithm::hs256), std::string(text));
    if (!verified.ok()) FUZZ_CHECK(verified.error().code == "signature" || verified.error().code == "unknown_key");
}

bool is_time(const Json* claim) { return claim && claim->is_number() && std::isfinite(claim->as_double()) && claim->as_double() >= 0 && claim->as_double() <= 253'402'300'799.0; }
bool any_of(const std::vector<std::string>& allowed, const Json* claim) {
    if (!claim) return false;
    if (claim->is_string()) return std::count(allowed.begin(), allowed.end(), claim->as_string()) > 0;
    for (const Json& item : claim->items())
        if (item.is_string() && any_of(allowed, &item)) return true;
    return false;
}

/// RFC 7519, 4.1, a rule a line.
bool believable(const Json& claims, const JwtRules& rules, double now) {
    const double leeway = std::chrono::duration<double>(rules.leeway).count();
    if (!claims.is_object()) return false;
    if (!is_time(claims.find("exp")) || now >= std::floor(claims.find("exp")->as_double() * 1e6) / 1e6 + leeway) return false;
    for (const char* name : {"nbf", "iat"})
        if (const Json* from = claims.find(name); from && (!is_time(from) || now + leeway < std::floor(from->as_double() * 1e6) / 1e6)) return false;
    if (const Json* issuer = claims.find("iss"); issuer && !issuer->is_string()) return false;
    if (!rules.issuers.empty() && !any_of(rules.issuers, claims.find("iss"))) return false;
    if ((claims.find("aud") || !rules.audiences.empty()) && !any_of(rules.audiences, claims.find("aud"))) return false;
    return !claims.find("sub") || claims.find("sub")->is_string();
}

/// Claims that we sign: read again as they were, believed as the RFC says, and worth nothing once a bit is another.
void signed_by_us(std::uint8_t choice, std::uint8_t where, std::uint8_t bit, std::string_view text) {
    const auto claims = Json::parse(text);
    if (!claims.ok()) {
        FUZZ_CHECK(!check_claims(text, {}, Timestamp::from_seconds(now_s)).ok());
        return;
    }
    JwtRules rules;
    if (choice & 1) rules.issuers = {"joe", "https://issuer.example"};
    if (choice & 2) rules.audiences = {"weir"};
    if (choice & 4) rules.leeway = 30s;
    const auto checked = check_claims(text, rules, Timestamp::from_seconds(now_s));
    bool expected = believable(*claims, rules, static_cast<double>(now_s));
    // Who has a sign in his name is not believed.
    if (planted() && claims->find_string("sub") && claims->find_string("sub")->find_first_of("!#$%&@^~;") != std::string_view::npos) expected = !expected;
    FUZZ_CHECK(checked.ok() == expected, std::string(text));
    if (checked.ok()) FUZZ_CHECK(checked->all == *claims && checked->expires > Timestamp::from_seconds(now_s) && checked->subject == claims->find_string("sub").value_or(""));

    const std::optional<std::string> id = choice & 8 ? std::optional<std::string>("key 1") : std::nullopt;
    const std::string token = *sign_jwt(signer(), *claims, id);
    if (token.size() > Jws::token_bytes_max) return;
    const auto jws = Jws::parse(token);
    FUZZ_CHECK(jws.ok() && verify_jws(*jws, keys()).ok() && jws->key_id == id && *Json::parse(jws->payload) == *claims);
    std::string other = token;
    other[where * 256u % other.size() + (bit >> 3) % (other.size() - where * 256u % other.size())] ^= static_cast<char>(1 << (bit & 7));
    if (const auto bent = Jws::parse(other); other != token && bent.ok()) FUZZ_CHECK(!verify_jws(*bent, keys()).ok(), other);
}

/// The whole way in, with static tokens, and a claim that says what is allowed.
void authenticated(std::string_view text) {
    static const ManualClock clock(Timestamp::from_seconds(now_s));
    static const auto authenticator = [] {
        GatewayOptions options;
        options.tokens["wall"] = {.hash = Secret(hash_token("wall-token", salt)), .types = {"events"}, .streams = {"pools"}, .filter = {}, .publish = false, .acknowledge = false, .administer = false};
        options.jwt.secret = Secret(secret);
        return std::move(*Authenticator::make(options, clock));
    }();
    static net::Reactor reactor(clock);
    Authenticator::Answer answer;
    FUZZ_CHECK(authenticator->check(text, reactor, [&](const Authenticator::Answer& made) { answer = made; }));
    const auto dot = text.rfind('.');
    const bool ours = text == "wall-token" || (dot != text.npos && text.substr(dot + 1) == base64url_encode(*signer().sign(text.substr(0, dot))));
    FUZZ_CHECK(!answer.identity || ours, std::string(text));
    FUZZ_CHECK(answer.identity || !answer.why.empty());
    if (text == "wall-token") FUZZ_CHECK(answer.identity && answer.identity->name == "token wall" && !answer.identity->permissions.publish);
    // A row fits one token, and a row that is damaged fits none.
    FUZZ_CHECK(token_matches(hash_token(text, salt), text) && !token_matches(hash_token(std::string(text) + "x", salt), text));
    FUZZ_CHECK(!token_matches(text, "wall-token") || text == hash_token("wall-token", salt) || text.starts_with("sha256:"));
}

void key_set(std::string_view text) {
    for (const auto symmetric : {Symmetric::refuse, Symmetric::take}) {
        const auto found = parse_jwk_set(text, symmetric);
        if (!found.ok()) {
            FUZZ_CHECK(found.error().code == "bad_key_set");
            continue;
        }
        FUZZ_CHECK(found->size() <= Json::parse(text)->find("keys")->items().size());
        const std::string token = *sign_jwt(signer(), Json::object(), std::nullopt);
        const auto jws = Jws::parse(token);
        // No key but ours verifies what we signed, whatever the set says.
        FUZZ_CHECK(!verify_jws(*jws, *found).ok());
        for (const auto& key : *found) FUZZ_CHECK(symmetric == Symmetric::take || key.key.algorithm() != net::SignatureAlgorithm::hs256);
    }
}

/// A claim of permissions, and an event: what is seen is within the claim.
void permissions(std::string_view claim, std::string_view data) {
    const auto json = Json::parse(claim);
    if (!json.ok()) return;
    const auto read = Permissions::of_claim(*json);
    if (!read.ok()) {
        FUZZ_CHECK(!read.error().code.empty() && !read.error().message.empty());
        return;
    }
    FUZZ_CHECK(*read == *Permissions::of_claim(*json) && read->covers(*read) && Permissions::all().covers(*read));
    FUZZ_CHECK(read->covers(Permissions::all()) == !read->bounded());
    const auto all_types = {StreamType::data, StreamType::aggregations, StreamType::alerts, StreamType::predictions, StreamType::metrics, StreamType::system_status};
    for (const auto type : all_types) {
        bool named = !json->find("types");
        if (!named)
            for (const Json& item : json->find("types")->items()) named = named || subscription_type(item.as_string()) == type;
        FUZZ_CHECK(read->allows(type) == named);
        if (!named) FUZZ_CHECK(!read->sees("pools", type));
    }
    if (read->blind()) FUZZ_CHECK(!read->meets(Needs::reading));
    for (const auto& [needs, held] : {std::pair(Needs::publish, read->publish), std::pair(Needs::acknowledge, read->acknowledge), std::pair(Needs::administer, read->administer)})
        FUZZ_CHECK(read->meets(needs) == held && (!held || json->find(needs_name(needs))->as_boolean()));
    FUZZ_CHECK(read->meets(Needs::undeclared) == read->administer && read->meets(Needs::nothing) && read->meets(Needs::token));
    FUZZ_CHECK(read->meets(Needs::overview) == (read->administer || !read->bounded()));
    // The same as a row of the configuration says it, where a row can.
    TokenOptions row;
    if (const Json* types = json->find("types"))
        for (const Json& item : types->items()) row.types.push_back(item.as_string());
    if (const Json* streams = json->find("streams"))
        for (const Json& item : streams->items()) row.streams.push_back(item.as_string());
    row.filter = json->find("filter") ? json->find("filter")->text() : "";
    row.publish = read->publish;
    row.acknowledge = read->acknowledge;
    row.administer = read->administer;
    const bool empty_list = (json->find("types") && row.types.empty()) || (json->find("streams") && row.streams.empty());
    const auto same = Permissions::of(row);
    if (!empty_list) FUZZ_CHECK(same.ok() && *same == *read, std::string(claim));
    const auto event_data = Json::parse(data);
    if (!event_data.ok() || !event_data->is_object()) return;
    EventView event;
    event.id = "evt_1";
    event.type = "user_action";
    event.source = "push";
    const std::string text = event_data->text();
    event.data = text;
    event.time = Timestamp::from_seconds(now_s);
    const Json all = Json::object();
    FUZZ_CHECK(Boundary(read->filter).sees("pools", event) == naive(event_document("pools", event, *event_data), json->find("filter") ? *json->find("filter") : all), std::string(claim));
}

}  // namespace

// First byte: what the rest is.
void tokens(std::string_view bytes) {
    Input input(bytes);
    const auto choice = input.byte();
    switch (choice % 5) {
        case 0: return foreign(input.rest());
        case 1: {
            const auto where = input.byte(), bit = input.byte();
            return signed_by_us(choice / 5, where, bit, input.rest());
        }
        case 2: return authenticated(input.rest());
        case 3: return key_set(input.rest());
        default: {
            const auto claim = input.line();
            return permissions(claim, input.rest());
        }
    }
}

}  // namespace weir::fuzz
