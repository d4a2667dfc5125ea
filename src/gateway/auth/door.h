#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "gateway/audience.h"
#include "gateway/auth/authenticator.h"
#include "gateway/errors.h"
#include "net/connection.h"
#include "net/http_parser.h"

namespace weir {

class Hub;

/// The token that a request brings: `Authorization: Bearer …`, else `?token=…`; empty if none.
std::string token_of(const net::HttpRequest& request);
/// The token that an `auth` message brings: `data.token` or `token`; empty if none.
std::string token_of(const Json& message);

/// Where WebSocket connections wait that have not shown a right token yet. What waits here is no session: it has no subscriptions, and nothing of
/// the log is within its reach.
///
/// Answers `ping`, takes `auth`; everything else is refused with `auth_required`. Behind an `auth` nothing is read until its result is there, so later messages find
/// a session. A message longer than `message_bytes_max` ends it with 1009, and more than `kept_bytes_max` of answers that are not read with 1013. After `auth_failed` the socket stays, for another try, until gateway.auth_timeout: then 1008; so does the tenth refusal. In the broadcast
/// dialect nothing is ever said, so the first wrong token ends it.
/// Thread: the reactor's.
class Doors {
public:
    struct Visitor {
        DialectKind dialect = DialectKind::analytics;
        bool cbor = false;  ///< speaks weir.cbor
        std::string path;  ///< where it wants to go; for the owner
        std::string peer;
    };
    /// Makes a session of the connection: sets its handler, and tells it that it is authenticated.
    using Admit = std::function<void(net::Connection&, const Visitor&, const IdentityPtr&)>;
    static constexpr std::uint32_t refusals_max = 10;
    /// Room for the longest token and what is around it: strangers may not make weir keep messages as long as sessions may.
    static constexpr std::size_t message_bytes_max = 24 * 1024;
    static constexpr std::size_t kept_bytes_max = 64 * 1024;  ///< of answers that a stranger does not read: those to all that one read brings have room

    Doors(Hub& hub, Authenticator& authenticator, Admit admit);
    ~Doors();

    /// The handler for a connection that is about to be accepted; `wait` follows at once. The hub has room for it.
    net::ConnectionHandler& open(Visitor visitor);
    /// `failed`: it came with a token that is none.
    void wait(net::Connection& connection, net::ConnectionHandler& door, bool failed);
    /// Once a second: closes whom the time has run out for.
    void sweep();
    std::size_t size() const { return doors_.size(); }

private:
    class Door;
    void refuse(Door& door, GatewayError error, std::string_view detail = {});
    void check(Door& door, std::string token);
    void failed(Door& door, std::string_view why);
    void close(Door& door, GatewayError error);

    Hub& hub_;
    Authenticator& authenticator_;
    Admit admit_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Door>> doors_;
    std::uint64_t next_ = 1;
};

}  // namespace weir
