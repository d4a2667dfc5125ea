#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/verbs.h"
#include "base/clock.h"
#include "base/filesystem.h"
#include "event/excerpt.h"
#include "event/json.h"
#include "gateway/auth/authenticator.h"
#include "gateway/auth/base64url.h"
#include "gateway/auth/jwt.h"
#include "gateway/dialects/analytics_messages.h"
#include "net/signature.h"

namespace weir {
namespace {

constexpr std::size_t kTokenBytes = 32, kSaltBytes = 8;

std::string hexadecimal(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
        out += digits;
    }
    return out;
}

/// `-`: the first line of stdin, so that no token need stand in the list of processes.
std::string given_or_stdin(const std::string& text) {
    if (text != "-") return text;
    std::string line;
    std::getline(std::cin, line);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    return line;
}

std::string permissions_text(const Permissions& may) {
    std::string out;
    JsonWriter json(out);
    json.object().name("types").array();
    for (const auto type : {StreamType::data, StreamType::aggregations, StreamType::alerts, StreamType::predictions, StreamType::metrics, StreamType::system_status})
        if (may.allows(type)) json.value(subscription_type_name(type));
    json.end();
    if (!may.every_stream) {
        json.name("streams").array();
        for (const auto& stream : may.streams) json.value(stream);
        json.end();
    }
    if (!may.filter.matches_all()) json.name("filter").raw(may.filter.canonical());
    json.member("publish", may.publish).member("acknowledge", may.acknowledge).member("administer", may.administer).end();
    return out;
}

int make(const std::string& name) {
    const auto secret = net::random_bytes(kTokenBytes), salt = net::random_bytes(kSaltBytes);
    if (!secret.ok() || !salt.ok()) return report(secret.ok() ? salt.error() : secret.error());
    const std::string token = "weir_" + base64url_encode(*secret);
    std::printf("%s\n", token.c_str());
    std::fprintf(stderr, "That is the token, shown this once. It goes to whoever uses it; this into the configuration:\n\n");
    std::printf("\n[gateway.tokens.%s]\nhash = \"%s\"\n", name.c_str(), hash_token(token, hexadecimal(*salt)).c_str());
    std::fprintf(stderr, "\n# types, streams, filter bound what it sees; publish, acknowledge, administer = true allow more.\n");
    return exit_done;
}

/// Who a configuration takes the token for.
int check(const Config& config, const std::string& token) {
    static const SystemClock clock;
    GatewayOptions options = config.options.gateway;
    if (!options.jwt.jwks_url.empty()) {
        std::fprintf(stderr, "gateway.jwt.jwks_url is not asked here: only static tokens and the keys in files count\n");
        options.jwt.jwks_url.clear();
    }
    auto authenticator = Authenticator::make(options, clock);
    if (!authenticator.ok()) return report(authenticator.error());
    net::Reactor reactor(clock);
    int code = exit_failed;
    (*authenticator)->check(token, reactor, [&](const Authenticator::Answer& answer) {
        if (!answer.identity) {
            std::fprintf(stderr, "refused: %s\n", excerpt(answer.why, 1000).c_str());
            return;
        }
        std::printf("%s\n%s\n", excerpt(answer.identity->name, 200).c_str(), permissions_text(answer.identity->permissions).c_str());
        if (answer.identity->expires != Timestamp::max()) std::printf("until %s\n", to_rfc3339(answer.identity->expires).c_str());
        code = exit_done;
    });
    return code;
}

Result<net::SigningKey> signing_key(const std::string& pem_file, const std::string& secret_file) {
    WEIR_TRY(std::string text, Filesystem().read(pem_file.empty() ? secret_file : pem_file, 1 << 20));
    if (!pem_file.empty()) return net::SigningKey::from_pem(text);
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return net::SigningKey::from_secret(text);
}

int sign(const net::SigningKey& key, const std::string& claims_text, Duration lifetime, const std::string& key_id) {
    auto claims = Json::parse(claims_text);
    if (!claims.ok() || !claims->is_object()) return report({"bad_claims", "--claims is no JSON object, such as {\"sub\":\"wall\",\"weir\":{\"types\":[\"events\"]}}"});
    const std::int64_t now = SystemClock().now().micros() / 1'000'000;
    if (!claims->find("iat")) claims->set("iat", Json::integer(now));
    if (!claims->find("exp")) claims->set("exp", Json::integer(now + lifetime.count() / 1'000'000));
    if (const Json* claim = claims->find("weir"); claim) {
        if (const auto may = Permissions::of_claim(*claim); !may.ok()) return report(may.error());
    } else {
        std::fprintf(stderr, "note: without a claim `weir` a weir allows nothing to it\n");
    }
    const auto token = sign_jwt(key, *claims, key_id.empty() ? std::nullopt : std::optional(key_id));
    if (!token.ok()) return report(token.error());
    std::printf("%s\n", token->c_str());
    return exit_done;
}

/// What a JWT says, whether or not it is right.
int inspect(const std::string& token) {
    const auto jws = Jws::parse(token);
    if (!jws.ok()) return report({jws.error().code, "not a JWT that weir would read: " + jws.error().message});
    std::printf("algorithm %s", std::string(algorithm_name(jws->algorithm)).c_str());
    if (jws->key_id) std::printf(", key %s", jws->key_id->c_str());
    const auto claims = Json::parse(jws->payload);
    std::printf("\n%s\n", claims.ok() ? claims->text().c_str() : "the claims are no JSON");
    std::fprintf(stderr, "its signature was not looked at: `weir token check` does that\n");
    return exit_done;
}

}  // namespace

int run_token(int argc, char** argv) {
    CLI::App app{
        "Makes and checks the tokens that clients show.\n\n"
        "  weir token make wall                                a static token, and its line for the configuration\n"
        "  weir token check -c weir.toml < token.txt           who that is, and what it may do\n"
        "  weir token sign --key issuer.pem --for 1h --claims '{\"sub\":\"wall\",\"weir\":{\"types\":[\"events\"]}}'\n"
        "  weir token inspect < token.txt                      what a JWT says",
        "weir token"};
    app.require_subcommand(1);
    std::string name = "name", token = "-", pem_file, secret_file, claims = "{}", lifetime = "1h", key_id;
    ConfigArguments arguments;
    auto* make_verb = app.add_subcommand("make", "A new static token: 256 random bits, printed once, and its salted hash");
    make_verb->add_option("name", name, "Its name in the configuration")->check([](const std::string& text) {
        return text.empty() || text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != std::string::npos ? "letters, digits, _ and -" : "";
    });
    auto* check_verb = app.add_subcommand("check", "Who a configuration takes a token for; exit code 1 if for nobody");
    check_verb->add_option("token", token, "The token; - is stdin");
    arguments.declare(*check_verb);
    check_verb->allow_extras();
    auto* sign_verb = app.add_subcommand("sign", "A JWT, signed with your key");
    auto* key_option = sign_verb->add_option("--key", pem_file, "PEM file of a private key: RSA, P-256 or Ed25519");
    sign_verb->add_option("--secret-file", secret_file, "File with the secret of HS256")->excludes(key_option);
    sign_verb->add_option("--claims", claims, "JSON object; iat and exp are added where they are missing");
    sign_verb->add_option("--for", lifetime, "How long it holds, such as 15min");
    sign_verb->add_option("--kid", key_id, "Name of the key");
    auto* inspect_verb = app.add_subcommand("inspect", "What a JWT says");
    inspect_verb->add_option("token", token, "The token; - is stdin");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;

    if (*make_verb) return make(name);
    if (*inspect_verb) return inspect(given_or_stdin(token));
    if (*check_verb) {
        const auto config = arguments.load(check_verb->remaining());
        return config.ok() ? check(*config, given_or_stdin(token)) : report(config.error());
    }
    if (pem_file.empty() && secret_file.empty()) {
        std::fprintf(stderr, "weir token sign: --key or --secret-file is needed\n");
        return exit_misused;
    }
    const auto duration = parse_duration(lifetime);
    if (!duration || duration->count() <= 0) {
        std::fprintf(stderr, "weir token sign: --for is \"%s\"; allowed: a duration such as 15min, 1h, 7d\n", lifetime.c_str());
        return exit_misused;
    }
    const auto key = signing_key(pem_file, secret_file);
    if (!key.ok()) return report(key.error());
    return sign(*key, claims, *duration, key_id);
}

}  // namespace weir
