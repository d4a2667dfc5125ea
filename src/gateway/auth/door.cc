#include "gateway/auth/door.h"

#include <vector>

#include "base/assert.h"
#include "event/cbor.h"
#include "event/json.h"
#include "gateway/auth/audit.h"
#include "gateway/dialects/analytics_messages.h"
#include "gateway/dialects/spc_messages.h"
#include "gateway/hub.h"

namespace weir {

std::string token_of(const net::HttpRequest& request) {
    constexpr std::string_view scheme = "bearer ";
    if (const auto header = request.header("Authorization")) {
        if (header->size() > scheme.size() && net::equals_ignoring_case(header->substr(0, scheme.size()), scheme)) {
            std::string_view token = header->substr(scheme.size());
            while (token.starts_with(' ')) token.remove_prefix(1);
            return std::string(token);
        }
        return "?";  // another scheme: a refusal, not nobody
    }
    return request.query_parameter("token").value_or("");
}

std::string token_of(const Json& message) {
    const Json* data = message.find("data");
    for (const Json* at : {data ? data->find("token") : nullptr, message.find("token")})
        if (at && at->is_string()) return at->as_string();
    return {};
}

class Doors::Door final : public net::ConnectionHandler {
public:
    Door(Doors& doors, Visitor v, std::uint64_t n, Duration u) : visitor(std::move(v)), number(n), until(u), doors_(doors) {}

    void on_message(net::Connection&, net::MessageKind kind, std::string_view payload) override {
        const bool binary = kind == net::MessageKind::binary;
        const auto message = !binary ? Json::parse(payload) : visitor.cbor ? read_cbor(payload) : Result<Json>(Error{"binary", ""});
        const auto type = message.ok() ? message->find_string("type").value_or("") : std::string_view();
        if (type == "auth") return doors_.check(*this, token_of(*message));
        if (type == "ping" && visitor.dialect != DialectKind::broadcast) {
            std::string text;
            visitor.dialect == DialectKind::spc ? spc_messages::append_pong(text) : analytics_messages::append_pong(text);
            return say(text);
        }
        doors_.refuse(*this, GatewayError::auth_required);
    }
    std::size_t message_bytes_max() const override { return Doors::message_bytes_max; }
    std::size_t kept_bytes_max() const override { return Doors::kept_bytes_max; }
    void on_closed(net::Connection&, const net::Closed&) override {
        doors_.hub_.left_door();
        const std::uint64_t own = number;
        doors_.doors_.erase(own);  // destroys this
    }

    void say(std::string_view json) {
        std::string binary;
        const bool sent = !visitor.cbor ? connection->send(net::MessageKind::text, json) : !append_cbor_of(binary, json) || connection->send(net::MessageKind::binary, binary);
        if (!sent) doors_.close(*this, GatewayError::slow_reader);
    }

    const Visitor visitor;
    const std::uint64_t number;
    const Duration until;
    net::Connection* connection = nullptr;
    std::uint32_t refusals = 0;

private:
    Doors& doors_;
};

Doors::Doors(Hub& hub, Authenticator& authenticator, Admit admit) : hub_(hub), authenticator_(authenticator), admit_(std::move(admit)) {}
Doors::~Doors() { WEIR_ASSERT(doors_.empty()); }

net::ConnectionHandler& Doors::open(Visitor visitor) {
    const std::uint64_t number = next_++;
    auto door = std::make_unique<Door>(*this, std::move(visitor), number, hub_.reactor().now() + hub_.options().auth_timeout);
    auto& made = *door;
    doors_.emplace(number, std::move(door));
    hub_.came_to_door();
    return made;
}

void Doors::wait(net::Connection& connection, net::ConnectionHandler& handler, bool wrong_token) {
    Door& door = static_cast<Door&>(handler);
    door.connection = &connection;
    if (wrong_token) failed(door, {});
}

void Doors::close(Door& door, GatewayError error) {
    hub_.count(error);
    door.connection->close(static_cast<net::CloseCode>(row(error).close_code ? row(error).close_code : 1008), row(error).text);
}

/// Says no, and ends it at the tenth time.
void Doors::refuse(Door& door, GatewayError error, std::string_view detail) {
    hub_.count(error);
    if (++door.refusals >= refusals_max) {
        audit(Audit::warning, {.what = "refused", .peer = door.visitor.peer, .path = door.visitor.path, .detail = "ten refusals before authentication"});
        return close(door, GatewayError::abuse);
    }
    std::string text;
    switch (door.visitor.dialect) {
        case DialectKind::analytics: analytics_messages::append_error(text, error, {.detail = detail}); break;
        case DialectKind::spc: spc_messages::append_error(text, error, detail); break;
        default: return;
    }
    door.say(text);
}

void Doors::failed(Door& door, std::string_view why) {
    // A token in the request was noted where it was checked.
    if (!why.empty()) audit(Audit::warning, {.what = "auth_failed", .peer = door.visitor.peer, .path = door.visitor.path, .detail = why});
    if (door.visitor.dialect == DialectKind::broadcast) return close(door, GatewayError::auth_failed);
    if (door.visitor.dialect != DialectKind::analytics || door.refusals + 1 >= refusals_max) return refuse(door, GatewayError::auth_failed);
    ++door.refusals;
    hub_.count(GatewayError::auth_failed);
    std::string text;
    analytics_messages::append_auth_failed(text);
    door.say(text);
}

void Doors::check(Door& door, std::string token) {
    net::Connection& connection_there = *door.connection;
    const bool at_once = authenticator_.check(token, hub_.reactor(), [this, number = door.number, ref = door.connection->ref()](const Authenticator::Answer& answer) {
        const auto at = doors_.find(number);
        net::Connection* connection = ref.get();
        if (at == doors_.end() || !connection || connection->closing()) return;
        if (!answer.identity || !answer.identity->holds(hub_.clock().now())) {
            failed(*at->second, answer.why.empty() ? "the token has expired" : answer.why);
            if (!connection->closing()) connection->resume_reading();
            return;
        }
        const std::unique_ptr<Door> door_there = std::move(at->second);
        doors_.erase(at);
        hub_.left_door();
        admit_(*connection, door_there->visitor, answer.identity);
        if (!connection->closing()) connection->resume_reading();
    });
    // The door may be gone already. What comes behind the token waits with it.
    if (!at_once) connection_there.pause_reading();
}

void Doors::sweep() {
    const Duration now = hub_.reactor().now();
    for (const auto& [number, door] : doors_) {
        if (now < door->until || !door->connection || door->connection->closing()) continue;
        audit(Audit::warning, {.what = "auth_timeout", .peer = door->visitor.peer, .path = door->visitor.path});
        close(*door, GatewayError::auth_timeout);
    }
}

}  // namespace weir
