#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/connection.h"

namespace weir {

class Session;
enum class DialectKind : std::uint8_t;

/// What ended when a session showed a token that allows less.
struct LostRights {
    std::vector<std::string> ids;     ///< subscriptions
    std::vector<std::string> groups;  ///< rooms of the spc dialect
};

/// One of the wire protocols: what a new session is told, and what its messages mean. Data messages are not its business: the hub
/// encodes those once per audience. One object serves all sessions of a reactor. Thread: the reactor's.
class Dialect {
public:
    virtual ~Dialect() = default;
    virtual DialectKind kind() const = 0;
    virtual void opened(Session& session) = 0;
    virtual void message(Session& session, net::MessageKind kind, std::string_view payload) = 0;
    /// It has shown a token, for the first time or again, and `right` says whether that was one. Broadcast never says anything.
    virtual void authenticated(Session& session, bool right) { (void)session, (void)right; }
    /// What has ended because the new token does not cover the old one.
    virtual void lost(Session& session, const LostRights& lost) { (void)session, (void)lost; }
    /// Whether a session without a data message for gateway.spc_timeout is stale (decisions.md 22).
    virtual bool needs_heartbeat() const { return false; }
};

}  // namespace weir
