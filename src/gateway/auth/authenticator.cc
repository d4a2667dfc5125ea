#include "gateway/auth/authenticator.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/backoff.h"
#include "base/diag.h"
#include "base/filesystem.h"
#include "event/excerpt.h"
#include "gateway/auth/jwt.h"
#include "net/http_client.h"
#include "net/signature.h"
#include "net/socket_address.h"

namespace weir {
namespace {

constexpr Duration kRefetch = 10s;      ///< least time between two fetches for the sake of an unknown key
constexpr Duration kKeysAgeMax = 24h;
constexpr std::size_t kWaitingMax = 1024, kLimitsMax = 10'000;

std::string hexadecimal(std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        out += digits[static_cast<unsigned char>(c) >> 4];
        out += digits[static_cast<unsigned char>(c) & 15];
    }
    return out;
}

std::string digest_of(std::string_view salt, std::string_view token) {
    const net::Sha256 digest = net::sha256(std::string(salt) + std::string(token));
    return hexadecimal({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

Result<std::string> read_file(const std::string& path) { return Filesystem().read(path, 1 << 20); }

}  // namespace

std::string hash_token(std::string_view token, std::string_view salt) { return "sha256:" + std::string(salt) + ":" + digest_of(salt, token); }

bool token_matches(std::string_view hash, std::string_view token) {
    constexpr std::string_view prefix = "sha256:";
    if (!hash.starts_with(prefix)) return false;
    hash.remove_prefix(prefix.size());
    const auto colon = hash.find(':');
    const std::string_view salt = colon == std::string_view::npos ? std::string_view() : hash.substr(0, colon);
    const std::string_view digest = colon == std::string_view::npos ? hash : hash.substr(colon + 1);
    return net::equal_in_constant_time(digest_of(salt, token), digest);
}

bool needs_auth(const GatewayOptions& options) {
    if (options.require_auth != RequireAuth::automatic) return options.require_auth == RequireAuth::yes;
    net::ListenAddress address;
    address.host = options.host;
    return !options.tokens.empty() || options.jwt.configured() || !address.is_loopback();
}

bool is_safe_key_url(std::string_view url) {
    if (url.starts_with("https://")) return true;
    constexpr std::string_view plain = "http://";
    if (!url.starts_with(plain)) return false;
    std::string_view host = url.substr(plain.size());
    host = host.substr(0, host.find_first_of("/?#"));
    if (host.find('@') != std::string_view::npos) return false;
    if (host.starts_with('[')) host = host.substr(1, host.find(']') == std::string_view::npos ? host.size() : host.find(']') - 1);
    else host = host.substr(0, host.find(':'));
    const auto ip = net::IpAddress::parse(host);
    return host == "localhost" || (ip.known && ip.is_loopback());
}

struct Authenticator::State {
    struct StaticToken {
        std::string name, hash;
        std::shared_ptr<std::atomic<bool>> revoked;
        IdentityPtr identity;
    };
    /// All that a configuration says. Never changes once it is made.
    struct Table {
        GatewayOptions options;
        bool required = false;
        std::vector<StaticToken> tokens;
        std::vector<TrustedKey> keys;
        std::string key_texts;  ///< what the keys were read from: a change revokes
        JwtRules rules;
        std::shared_ptr<std::atomic<bool>> jwt_revoked;
    };
    using TablePtr = std::shared_ptr<const Table>;
    struct Waiting {
        std::string token;
        net::Reactor& reactor;
        Done done;
    };
    struct Fetched {
        std::vector<TrustedKey> keys;
        std::optional<Duration> at;     ///< when they came, monotonic
        std::optional<Duration> tried;  ///< when the last fetch began
        Duration next{0};               ///< when the next one is due
        bool in_flight = false, stopped = false;
        std::vector<Waiting> waiting;
        Backoff backoff{{.first = 1s, .cap = 300s, .reset_after = 0s}, 1};
    };

    explicit State(const Clock& c) : clock(c), anyone(std::make_shared<Identity>()) {
        auto all = std::make_shared<Identity>();
        all->name = "anyone";
        all->permissions = Permissions::all();
        anyone = std::move(all);
    }

    static Result<std::shared_ptr<Table>> read(const GatewayOptions& options, const Table* before);
    Answer answer(const Table& t, std::string_view token, bool& may_fetch);
    Answer answer_jwt(const Table& t, std::string_view token, bool& may_fetch);
    std::shared_ptr<TokenLimits> limits_of(const GatewayOptions& options, const std::string& name);
    void fetch_if_due(bool unknown_key);
    void fetched(Result<net::HttpClientResponse> response);
    TablePtr current() const {
        return table.with([](const TablePtr& t) { return t; });
    }

    const Clock& clock;
    IdentityPtr anyone;
    Guarded<TablePtr> table;
    Guarded<Fetched> keys;
    Guarded<std::map<std::string, std::shared_ptr<TokenLimits>>> limits;
    std::unique_ptr<net::HttpClient> client;  ///< where keys have a URL
};

Result<std::shared_ptr<Authenticator::State::Table>> Authenticator::State::read(const GatewayOptions& options, const Table* before) {
    auto table = std::make_shared<Table>();
    table->options = options;
    table->required = needs_auth(options);
    for (const auto& [name, row] : options.tokens) {
        auto permissions = Permissions::of(row);
        if (!permissions.ok()) return std::move(permissions).error().within("gateway.tokens." + name);
        // The same row keeps its identity, and with it its connections and what they share.
        const StaticToken* same = nullptr;
        if (before)
            for (const auto& old : before->tokens)
                if (old.name == name && old.hash == row.hash.reveal() && old.identity->permissions == *permissions) same = &old;
        if (same) {
            table->tokens.push_back(*same);
            continue;
        }
        StaticToken token{.name = name, .hash = row.hash.reveal(), .revoked = std::make_shared<std::atomic<bool>>(false), .identity = {}};
        auto identity = std::make_shared<Identity>();
        identity->name = "token " + name;
        identity->holder = name;
        identity->permissions = *std::move(permissions);
        identity->limits = std::make_shared<TokenLimits>(options);
        identity->revoked = token.revoked;
        token.identity = std::move(identity);
        table->tokens.push_back(std::move(token));
    }
    const JwtOptions& jwt = options.jwt;
    if (!jwt.secret.empty()) {
        auto key = net::VerifyingKey::from_secret(jwt.secret.reveal());
        if (!key.ok()) return std::move(key).error().within("gateway.jwt.secret");
        table->keys.push_back({.id = {}, .key = *std::move(key)});
        table->key_texts += jwt.secret.reveal();
    }
    for (const auto& file : jwt.key_files) {
        auto text = read_file(file);
        if (!text.ok()) return std::move(text).error().within("gateway.jwt.key_files");
        auto key = net::VerifyingKey::from_pem(*text);
        if (!key.ok()) return std::move(key).error().within("gateway.jwt.key_files: " + file);
        table->keys.push_back({.id = {}, .key = *std::move(key)});
        table->key_texts += *text;
    }
    if (!jwt.jwks_file.empty()) {
        auto text = read_file(jwt.jwks_file);
        if (!text.ok()) return std::move(text).error().within("gateway.jwt.jwks_file");
        auto keys = parse_jwk_set(*text, Symmetric::take);
        if (!keys.ok()) return std::move(keys).error().within("gateway.jwt.jwks_file: " + jwt.jwks_file);
        if (keys->empty()) return Error{"bad_key_set", "gateway.jwt.jwks_file: " + jwt.jwks_file + " holds no key that weir can check signatures with"};
        for (auto& key : *keys) table->keys.push_back(std::move(key));
        table->key_texts += *text;
    }
    if (!jwt.jwks_url.empty() && !is_safe_key_url(jwt.jwks_url))
        return Error{"unsafe_url", "gateway.jwt.jwks_url is not https: whoever stands between could hand out keys of their own; allowed: https, or http to this machine"};
    table->rules = {.issuers = jwt.issuers, .audiences = jwt.audiences, .leeway = jwt.leeway};
    const bool same = before && before->options.jwt == jwt && before->key_texts == table->key_texts;
    table->jwt_revoked = same ? before->jwt_revoked : std::make_shared<std::atomic<bool>>(false);
    return table;
}

std::shared_ptr<TokenLimits> Authenticator::State::limits_of(const GatewayOptions& options, const std::string& name) {
    return limits.with([&](auto& map) {
        // Kept when nobody uses them: who sends each request on a connection of its own has one bucket still.
        const Duration now = clock.monotonic();
        const auto is_full = [now](const TokenBucket& bucket) { return bucket.full(now); };
        if (map.size() >= kLimitsMax)
            std::erase_if(map, [&](const auto& item) { return item.second.use_count() == 1 && item.second->publish.with(is_full) && item.second->acknowledge.with(is_full); });
        // Should ten thousand be busy at once, newcomers share one: a bound, and no way to get around a limit.
        auto& slot = map[map.size() >= kLimitsMax && !map.contains(name) ? std::string() : name];
        if (!slot) slot = std::make_shared<TokenLimits>(options);
        return slot;
    });
}

Authenticator::Answer Authenticator::State::answer(const Table& t, std::string_view token, bool& may_fetch) {
    if (token.empty() || token.size() > Jws::token_bytes_max) return {nullptr, "no token, or one longer than 16 KiB"};
    if (const auto row = find_row(t.tokens.size(), [&](std::size_t i) { return token_matches(t.tokens[i].hash, token); })) return {t.tokens[*row].identity, {}};
    if (!t.options.jwt.configured()) return {nullptr, "unknown token"};
    return answer_jwt(t, token, may_fetch);
}

Authenticator::Answer Authenticator::State::answer_jwt(const Table& t, std::string_view token, bool& may_fetch) {
    const auto jws = Jws::parse(token);
    if (!jws.ok()) return {nullptr, jws.error().code == "malformed" ? "unknown token" : jws.error().message};
    auto verified = verify_jws(*jws, t.keys);
    if (!verified.ok() && !t.options.jwt.jwks_url.empty()) {
        const auto now = clock.monotonic();
        const auto fetched_keys = keys.with([&](const Fetched& f) { return f.at && now - *f.at < kKeysAgeMax ? f.keys : std::vector<TrustedKey>(); });
        auto again = verify_jws(*jws, fetched_keys);
        if (again.ok() || verified.error().code == "unknown_key") verified = std::move(again);
    }
    if (!verified.ok()) {
        may_fetch = verified.error().code == "unknown_key";
        return {nullptr, verified.error().message};
    }
    const auto claims = check_claims(jws->payload, t.rules, clock.now());
    if (!claims.ok()) return {nullptr, claims.error().message};
    const Json* claim = claims->all.find(t.options.jwt.claim);
    if (!claim) return {nullptr, "the token has no `" + t.options.jwt.claim + "`: it allows nothing"};
    auto permissions = Permissions::of_claim(*claim);
    if (!permissions.ok()) return {nullptr, permissions.error().message};
    auto identity = std::make_shared<Identity>();
    identity->name = "jwt " + cut(claims->subject, 128);
    identity->holder = cut(claims->subject, 128);
    identity->permissions = *std::move(permissions);
    identity->expires = claims->expires;
    identity->limits = limits_of(t.options, claims->issuer + '\n' + claims->subject);
    identity->revoked = t.jwt_revoked;
    return {std::move(identity), {}};
}

void Authenticator::State::fetch_if_due(bool unknown_key) {
    const TablePtr t = current();
    if (t->options.jwt.jwks_url.empty()) return;
    const Duration now = clock.monotonic();
    const bool go = keys.with([&](Fetched& f) {
        if (f.in_flight || f.stopped || !(unknown_key || now >= f.next)) return false;
        f.in_flight = true;
        f.tried = now;
        return true;
    });
    if (!go) return;
    net::HttpClientRequest request;
    request.url = t->options.jwt.jwks_url;
    request.headers = {{"Accept", "application/jwk-set+json, application/json"}};
    request.body_bytes_max = 1 << 20;
    request.same_host_only = true;
    request.tls_ca_file = t->options.jwt.jwks_ca_file;
    client->start(std::move(request), [this](Result<net::HttpClientResponse> response) { fetched(std::move(response)); });
}

/// On the HTTP client's thread.
void Authenticator::State::fetched(Result<net::HttpClientResponse> response) {
    const TablePtr t = current();
    const std::string where = "gateway.jwt.jwks_url " + net::shown_url(t->options.jwt.jwks_url);
    Result<std::vector<TrustedKey>> found = Error{"bad_key_set", ""};
    if (!response.ok()) found = response.error();
    else if (response->status != 200) found = Error{"bad_key_set", "it answered " + std::to_string(response->status)};
    else found = parse_jwk_set(response->body, Symmetric::refuse);
    if (found.ok() && found->empty()) found = Error{"bad_key_set", "it holds no key that weir can check signatures with"};
    const Duration now = clock.monotonic();
    Duration wait{0};
    auto waiting = keys.with([&](Fetched& f) {
        f.in_flight = false;
        if (found.ok()) {
            f.keys = *found;
            f.at = now;
            f.backoff.reset();
            f.next = now + t->options.jwt.jwks_refresh;
        } else {
            wait = f.backoff.failed();
            f.next = now + wait;
        }
        return std::exchange(f.waiting, {});
    });
    if (found.ok()) diag::debug(where + ": " + std::to_string(found->size()) + " keys");
    else diag::warn(where + ": " + found.error().message + "; the keys that are there hold for a day, next try in " + to_text(wait));
    for (auto& one : waiting) {
        bool ignored = false;
        Answer made = answer(*t, one.token, ignored);
        // A reactor that takes no post has stopped, and the connection with it.
        (void)one.reactor.post([done = std::move(one.done), made = std::move(made)] { done(made); });
    }
}

Result<std::unique_ptr<Authenticator>> Authenticator::make(const GatewayOptions& options, const Clock& clock) {
    WEIR_TRY(auto table, State::read(options, nullptr));
    auto state = std::make_shared<State>(clock);
    if (table->required && table->tokens.empty() && !options.jwt.configured()) diag::warn("gateway: a token is required and none is configured: everybody is refused");
    state->table.with([&](State::TablePtr& t) { t = std::move(table); });
    if (!options.jwt.jwks_url.empty()) state->client = std::make_unique<net::HttpClient>();
    std::unique_ptr<Authenticator> made(new Authenticator(std::move(state)));
    made->poll();
    return made;
}

Authenticator::Authenticator(std::shared_ptr<State> state) : state_(std::move(state)) {}
Authenticator::~Authenticator() { stop(); }

void Authenticator::stop() {
    state_->keys.with([](State::Fetched& f) {
        f.stopped = true;
        f.waiting.clear();
    });
    state_->client.reset();
}

bool Authenticator::required() const { return state_->current()->required; }
IdentityPtr Authenticator::anyone() const { return state_->anyone; }

bool Authenticator::check(std::string_view token, net::Reactor& reactor, Done done) {
    bool may_fetch = false;
    const auto table = state_->current();
    Answer answer = state_->answer(*table, token, may_fetch);
    if (!answer.identity && may_fetch && !table->options.jwt.jwks_url.empty()) {
        const Duration now = state_->clock.monotonic();
        const bool waits = state_->keys.with([&](State::Fetched& f) {
            const bool may = f.in_flight || !f.tried || now - *f.tried >= kRefetch;
            if (!may || f.stopped || f.waiting.size() >= kWaitingMax) return false;
            f.waiting.push_back({std::string(token), reactor, done});
            return true;
        });
        if (waits) {
            state_->fetch_if_due(true);
            return false;
        }
    }
    done(answer);
    return true;
}

Result<void> Authenticator::reload(const GatewayOptions& options) {
    const auto before = state_->current();
    WEIR_TRY(auto table, State::read(options, before.get()));
    table->required = before->required;  // whether a token is asked for is decided at the start
    for (const auto& old : before->tokens) {
        const bool stays = std::any_of(table->tokens.begin(), table->tokens.end(), [&](const auto& row) { return row.identity == old.identity; });
        if (!stays) old.revoked->store(true);
    }
    if (table->jwt_revoked != before->jwt_revoked) before->jwt_revoked->store(true);
    const bool first_url = !options.jwt.jwks_url.empty() && before->options.jwt.jwks_url.empty();
    if (first_url || before->options.jwt.jwks_url != options.jwt.jwks_url) table->options.jwt.jwks_url = before->options.jwt.jwks_url;  // at the next start
    state_->table.with([&](State::TablePtr& t) { t = std::move(table); });
    return ok();
}

void Authenticator::poll() { state_->fetch_if_due(false); }

}  // namespace weir
