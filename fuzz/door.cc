// The door, before anybody has shown a token: whoever stands there and says anything is answered as the protocol says, hears of no event, and is let in by a right token alone.
#include "fuzz.h"
#include "gateway/auth/door.h"
#include "gateway/session.h"
#include "gateway_world.h"
#include "net/utf8.h"

namespace weir::fuzz {
namespace {

std::string code_of(const Json& message, DialectKind dialect) {
    const Json* data = dialect == DialectKind::analytics ? message.find("data") : &message;
    return data ? text_of(*data, "code") : std::string();
}

/// `Authorization` and `?token=`: what is taken for a token is in the request.
void request_token(std::string_view header, std::string_view query) {
    net::HttpRequest request;
    request.query = query;
    FUZZ_CHECK(token_of(request) == request.query_parameter("token").value_or(""));
    request.headers.push_back({"authorization", header});
    const std::string token = token_of(request);
    const bool bearer = header.size() > 7 && net::equals_ignoring_case(header.substr(0, 7), "bearer ");
    FUZZ_CHECK(bearer ? header.ends_with(token) && !token.starts_with(' ') : token == "?", std::string(header));
}

}  // namespace

// First byte: bits 0 and 1 the dialect (3: a request's header and query instead, a line each), bit 2 CBOR, bit 3: it came with a wrong token. Then a line each: `~<n>` waits for n tenths of a second,
// `=<n>` is a message of n bytes, `!` and what follows is a binary message, anything else a text.
void door(std::string_view bytes) {
    Input input(bytes);
    const auto choice = input.byte();
    if ((choice & 3) == 3) {
        const auto header = input.line();
        return request_token(header, input.rest());
    }
    const DialectKind dialect = choice & 1 ? DialectKind::spc : choice & 2 ? DialectKind::broadcast : DialectKind::analytics;
    const bool silent = dialect == DialectKind::broadcast, cbor = choice & 4 && !silent, wrong = choice & 8;
    GatewayWorld& w = GatewayWorld::of_target();
    std::uint32_t refusals = 0;
    std::vector<Json> said = w.knock(dialect, cbor, wrong);
    // What a message that is no token, or (`failed`) one that is wrong, has for an answer.
    const auto refused = [&](bool failed) {
        ++refusals;
        if (silent && failed) refusals = Doors::refusals_max;
        if (refusals >= Doors::refusals_max) {
            FUZZ_CHECK(said.empty() && w.closed == net::CloseCode::policy_violation);
            return;
        }
        FUZZ_CHECK(!w.closed && said.size() == (silent ? 0U : 1U));
        if (silent) return;
        const std::string type = text_of(said[0], "type"), code = code_of(said[0], dialect);
        FUZZ_CHECK(type == (failed && dialect == DialectKind::analytics ? "auth_failed" : "error") && code == (failed ? "auth_failed" : "auth_required"), said[0].text());
    };
    if (wrong) refused(true);
    else FUZZ_CHECK(said.empty());
    Duration waited{0};
    bool let_in = false;
    for (int steps = 0; steps < 24 && !input.rest().empty() && !w.closed && !let_in; ++steps) {
        const std::string line(input.line());
        FUZZ_CHECK(w.at_door() && w.places() == 1 && w.hub.counts().sessions == 0 && w.hub.counts().subscriptions == 0);
        if (line.starts_with('~')) {
            const Duration time = std::atoi(line.c_str() + 1) % 1000 * 100ms;
            Seq seq;
            FUZZ_CHECK(w.append("events", "t", "k", R"({"site":"A"})", seq).empty());
            said = w.wait(time);
            waited += time;
            FUZZ_CHECK(said.empty() && w.closed == (waited >= 30s ? std::optional(net::CloseCode::policy_violation) : std::nullopt));
            continue;
        }
        const bool binary = line.starts_with('!');
        std::string message = binary ? line.substr(1) : line;
        if (line.starts_with('=')) message.assign(static_cast<std::size_t>(std::atoi(line.c_str() + 1)) % 40'000, 'x');
        if (!binary && !net::is_valid_utf8(message)) continue;  // ends a connection before the door sees it (RFC 6455, 8.1)
        said = w.say(binary ? net::Opcode::binary : net::Opcode::text, message);
        if (message.size() > Doors::message_bytes_max) {
            FUZZ_CHECK(said.empty() && w.closed == net::CloseCode::message_too_big);
            continue;
        }
        const auto read = !binary ? Json::parse(message) : cbor ? read_cbor(message) : Result<Json>(Error{"binary", ""});
        const std::string type = read.ok() ? text_of(*read, "type") : std::string();
        if (type == "ping" && !silent) {
            bool answered = !w.closed && said.size() == 1 && text_of(said[0], "type") == "pong";
            if (planted() && message.find_first_of("!#$%&@^~;") != std::string::npos) answered = !answered;
            FUZZ_CHECK(answered, message);
            continue;
        }
        if (type != "auth") {
            refused(false);
            continue;
        }
        const Json* data = read->find("data");
        const Json* token = data ? data->find("token") : nullptr;
        if (!token || !token->is_string()) token = read->find("token");
        const std::string shown = token && token->is_string() ? token->as_string() : std::string();
        if (shown != GatewayWorld::every_token && shown != GatewayWorld::bounded_token && shown != GatewayWorld::blind_token) {
            refused(true);
            continue;
        }
        let_in = true;
        if (silent && shown == GatewayWorld::blind_token) {
            FUZZ_CHECK(said.empty() && w.closed == net::CloseCode::policy_violation);
            continue;
        }
        FUZZ_CHECK(!w.closed && w.session() && said.size() == 1 && text_of(said[0], "type") == (silent ? "welcome" : "auth_success"));
        FUZZ_CHECK(w.session()->identity()->name == "token " + shown && w.hub.counts().sessions == 1 && w.places() == 1);
    }
    FUZZ_CHECK(let_in || w.hub.counts().sessions == 0);
    FUZZ_CHECK(w.at_door() == (!let_in && !w.closed));
    w.hang_up();
    FUZZ_CHECK(!w.at_door() && w.places() == 0 && w.hub.counts().sessions == 0 && w.hub.counts().subscriptions == 0 && w.hub.counts().audiences == 0);
}

}  // namespace weir::fuzz
