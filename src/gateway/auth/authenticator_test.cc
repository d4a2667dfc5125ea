#include "gateway/auth/authenticator.h"

#include <doctest/doctest.h>

#include "base/prng.h"
#include "event/json.h"
#include "gateway/auth/jwt.h"

using namespace weir;

namespace {

const Timestamp start = Timestamp::from_seconds(1'700'000'000);
const std::string jwt_secret = "an HMAC secret of 32 bytes or more";

/// A token `name` whose text is `text`.
TokenOptions token(const std::string& text) {
    TokenOptions options;
    options.hash = Secret(hash_token(text, "00ff"));
    return options;
}

struct World {
    ManualClock clock{start};
    net::Reactor reactor{clock};
    std::unique_ptr<Authenticator> authenticator;

    explicit World(const GatewayOptions& options) : authenticator(std::move(Authenticator::make(options, clock)).value()) {}
    Authenticator::Answer ask(std::string_view text) {
        Authenticator::Answer answer;
        CHECK(authenticator->check(text, reactor, [&](const Authenticator::Answer& a) { answer = a; }));
        return answer;
    }
    std::string who(std::string_view text) {
        const auto answer = ask(text);
        return answer.identity ? answer.identity->name : "";
    }
};

std::string jwt(const std::string& claims) { return *sign_jwt(*net::SigningKey::from_secret(jwt_secret), *Json::parse(claims), {}); }

EventView event_of(std::string_view key, std::string_view data) {
    EventView event;
    event.id = "1";
    event.type = "reading";
    event.key = key;
    event.data = data;
    return event;
}

}  // namespace

TEST_CASE("authenticator: a static token is known by its salted hash, and by nothing else (S2-20)") {
    // SHA-256 of "abc": FIPS 180-4, appendix B.1.
    CHECK(token_matches("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc"));
    CHECK(hash_token("abc", "") == "sha256::ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hash_token("abc", "00") != hash_token("abc", "01"));
    GatewayOptions options;
    options.tokens["wall"] = token("a random token");
    options.tokens["desk"] = token("another random token");
    World world(options);
    CHECK(world.who("a random token") == "token wall");
    CHECK(world.who("another random token") == "token desk");
    for (const std::string& wrong : {std::string(), std::string("A random token"), std::string("a random token "), options.tokens["wall"].hash.reveal(), std::string(100'000, 'a')})
        CHECK(world.who(wrong).empty());
}

TEST_CASE("authenticator: `auto` asks for a token off loopback and as soon as one is configured (decisions.md 16, S4-16)") {
    GatewayOptions options;
    CHECK_FALSE(needs_auth(options));
    options.host = "0.0.0.0";
    CHECK(needs_auth(options));
    options.require_auth = RequireAuth::no;
    CHECK_FALSE(needs_auth(options));
    options = {};
    options.tokens["a"] = token("a");
    CHECK(needs_auth(options));
    options = {};
    options.jwt.secret = Secret(jwt_secret);
    CHECK(needs_auth(options));
    options = {};
    options.require_auth = RequireAuth::yes;
    CHECK(needs_auth(options));
    CHECK(World(options).who("").empty());  // no default credentials: nobody gets in
    CHECK(World(options).who("admin").empty());
}

TEST_CASE("authenticator: a JWT's permissions stand in its claim; without one, or with one that is not understood, it allows nothing (S3-28, S3-R11)") {
    GatewayOptions options;
    options.jwt.secret = Secret(jwt_secret);
    World world(options);
    const auto good = world.ask(jwt(R"({"exp":1700000100,"sub":"alice","weir":{"types":["events"],"streams":["b","a"],"filter":{"metadata.key":"K"},"publish":true}})"));
    REQUIRE(good.identity);
    CHECK(good.identity->name == "jwt alice");
    const Permissions& may = good.identity->permissions;
    CHECK(may.publish);
    CHECK_FALSE((may.administer || may.acknowledge));
    CHECK(may.sees("a", StreamType::data));
    CHECK_FALSE(may.sees("a", StreamType::alerts));
    CHECK_FALSE(may.sees("c", StreamType::data));
    CHECK(good.identity->expires == start + 130s);  // leeway included
    CHECK(good.identity->holds(start + 129s));
    CHECK_FALSE(good.identity->holds(start + 130s));
    CHECK(world.ask(jwt(R"({"exp":1700000100,"weir":{}})")).identity->permissions.types == 0x3f);
    CHECK(world.ask(jwt(R"({"exp":1700000100,"weir":{"types":[],"streams":[]}})")).identity->permissions == Permissions());
    for (const char* claim : {"", R"(,"weir":null)", R"(,"weir":true)", R"(,"weir":{"filters":{}})", R"(,"weir":{"filter":{"a":{"like":1}}})", R"(,"weir":{"types":["evnts"]})",
                              R"(,"weir":{"publish":"yes"})", R"(,"weir":{"streams":"a"})", R"(,"weir":[])"}) {
        CAPTURE(claim);
        CHECK_FALSE(world.ask(jwt(std::string(R"({"exp":1700000100,"sub":"x")") + claim + "}")).identity);
    }
    // The same holder has one bucket, however many tokens he shows, and whether or not he is there all the time.
    const auto again = world.ask(jwt(R"({"exp":1700000200,"sub":"alice","weir":{"publish":true}})"));
    CHECK(again.identity->limits == good.identity->limits);
}

TEST_CASE("authenticator: who sends each request on a connection of its own has one bucket still; another holder has another (S2-22, decisions.md 22)") {
    GatewayOptions options;
    options.jwt.secret = Secret(jwt_secret);
    options.publish_limit_per_minute = 5;
    World world(options);
    const auto let_in = [&](const std::string& subject) {
        // Nothing holds the identity between two requests.
        const auto identity = world.ask(jwt(R"({"exp":1700000100,"sub":")" + subject + R"(","weir":{"publish":true}})")).identity;
        return !identity->limits->publish.with([&](TokenBucket& bucket) { return bucket.take(world.clock.monotonic()); });
    };
    for (int i = 0; i < 5; ++i) CHECK(let_in("alice"));
    CHECK_FALSE(let_in("alice"));
    CHECK(let_in("bob"));
    // Ten thousand others do not make it be forgotten before it is full again.
    for (int i = 0; i < 10'001; ++i) CHECK(let_in("other-" + std::to_string(i)));
    CHECK_FALSE(let_in("alice"));
}

TEST_CASE("authenticator: every row is asked whichever it is, so that the time tells nothing") {
    for (std::size_t right = 0; right <= 7; ++right) {
        std::size_t asked = 0;
        const auto found = find_row(7, [&](std::size_t i) { return ++asked, i == right; });
        CHECK(asked == 7);
        CHECK(found == (right < 7 ? std::optional(right) : std::nullopt));
    }
    GatewayOptions options;
    for (int i = 0; i < 9; ++i) options.tokens["t" + std::to_string(i)] = token("text " + std::to_string(i));
    World world(options);
    for (int i = 0; i < 9; ++i) CHECK(world.who("text " + std::to_string(i)) == "token t" + std::to_string(i));
}

TEST_CASE("authenticator: a reload revokes what has gone or changed, and leaves the rest alone") {
    GatewayOptions options;
    options.tokens["gone"] = token("gone");
    options.tokens["changed"] = token("changed");
    options.tokens["same"] = token("same");
    options.jwt.secret = Secret(jwt_secret);
    World world(options);
    const auto gone = world.ask("gone").identity, changed = world.ask("changed").identity, same = world.ask("same").identity;
    const auto signed_one = world.ask(jwt(R"({"exp":1700000100,"weir":{}})")).identity;
    GatewayOptions later = options;
    later.tokens.erase("gone");
    later.tokens["changed"].streams = {"a"};
    later.tokens["new"] = token("new");
    REQUIRE(world.authenticator->reload(later).ok());
    CHECK_FALSE(gone->holds(start));
    CHECK_FALSE(changed->holds(start));
    CHECK(same->holds(start));
    CHECK(signed_one->holds(start));
    CHECK(world.who("gone").empty());
    CHECK(world.ask("same").identity == same);
    CHECK(world.who("new") == "token new");
    CHECK(world.ask("changed").identity->permissions.streams == std::vector<StreamName>{"a"});
    GatewayOptions broken = later;
    broken.tokens["new"].filter = "{";
    CHECK_FALSE(world.authenticator->reload(broken).ok());
    CHECK(world.who("new") == "token new");  // all stays as it was
    later.jwt.secret = Secret("another HMAC secret of 32 bytes, too");
    REQUIRE(world.authenticator->reload(later).ok());
    CHECK_FALSE(signed_one->holds(start));
}

TEST_CASE("authenticator: a key set comes over https, or from this machine") {
    for (const char* url : {"https://issuer.example/jwks", "http://127.0.0.1:8080/jwks", "http://localhost/jwks", "http://[::1]:1/"}) CHECK(is_safe_key_url(url));
    for (const char* url : {"http://issuer.example/jwks", "http://127.0.0.1.evil.example/", "http://localhost.evil.example/", "http://localhost@evil.example/", "ftp://localhost/", "file:///etc/keys", ""})
        CHECK_FALSE(is_safe_key_url(url));
    GatewayOptions options;
    options.jwt.jwks_url = "http://issuer.example/jwks";
    ManualClock clock;
    CHECK(Authenticator::make(options, clock).error().code == "unsafe_url");
}

TEST_CASE("permissions: what one covers of another is what it would let through itself") {
    TokenOptions row;
    row.streams = {"a", "b"};
    row.filter = R"({"metadata.key":"K"})";
    const Permissions bounded = *Permissions::of(row), all = Permissions::all(), none;
    CHECK(all.covers(bounded));
    CHECK(all.covers(all));
    CHECK(bounded.covers(bounded));
    CHECK_FALSE(bounded.covers(all));
    CHECK_FALSE(none.covers(bounded));
    CHECK(all.covers(none));
    row.streams = {"a"};
    CHECK(bounded.covers(*Permissions::of(row)));
    row.filter.clear();
    CHECK_FALSE(bounded.covers(*Permissions::of(row)));
    CHECK_FALSE(all.bounded());
    CHECK(bounded.bounded());
    CHECK(none.bounded());
    row.filter = "{\"a\":{\"b\":1}}";
    CHECK_FALSE(Permissions::of(row).ok());
    row.filter.clear();
    row.types = {"evnts"};
    CHECK_FALSE(Permissions::of(row).ok());
}

TEST_CASE("permissions: a boundary is asked for each event, of whatever stream") {
    Boundary boundary(*Filter::parse_text(R"({"metadata.key":"K","payload.n":{"gte":5}})"));
    CHECK(boundary.sees("s", event_of("K", R"({"n":5})")));
    CHECK_FALSE(boundary.sees("s", event_of("K", R"({"n":4})")));
    CHECK_FALSE(boundary.sees("s", event_of("L", R"({"n":5})")));
    CHECK_FALSE(boundary.sees("s", event_of("K", R"({})")));
    CHECK(Boundary(Filter()).sees("s", event_of("", "{}")));
}

TEST_CASE("token bucket: so many a minute, that many at once after a rest, and a debt for what is larger (S4-19, C-34)") {
    TokenBucket bucket(60);
    Duration now = 100s;
    for (int i = 0; i < 60; ++i) CHECK_FALSE(bucket.take(now));
    const auto wait = bucket.take(now);
    REQUIRE(wait);
    CHECK(*wait > 999ms);
    CHECK(*wait < 1002ms);
    CHECK_FALSE(bucket.take(now + *wait));
    now += *wait + 3600s;
    CHECK_FALSE(bucket.take(now, 120));  // more than there ever is: taken, and owed
    CHECK(bucket.take(now + 60s));
    CHECK_FALSE(bucket.take(now + 62s));
}
