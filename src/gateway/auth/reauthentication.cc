#include "gateway/auth/reauthentication.h"

#include "gateway/auth/audit.h"
#include "gateway/dialects/dialect.h"
#include "gateway/hub.h"
#include "gateway/session_cold.h"

namespace weir {

void reauthenticate(Session& session, std::string token) {
    Hub& hub = session.hub();
    if (!hub.authenticator().required()) return session.dialect().authenticated(session, true);
    const bool at_once = hub.authenticator().check(token, hub.reactor(), [&hub, number = session.number()](const Authenticator::Answer& answer) {
        Session* found = hub.find(number);
        if (!found || found->connection().closing()) return;
        const bool right = answer.identity && answer.identity->holds(hub.clock().now());
        const std::string peer = found->connection().peer().to_text();
        if (right) {
            audit(Audit::note, {.what = "reauth_ok", .peer = peer, .who = answer.identity->name});
            LostRights lost;
            if (const auto* rooms = found->rooms()) lost.groups.assign(rooms->groups.begin(), rooms->groups.end());
            lost.ids = found->become(answer.identity);
            if (found->rooms()) lost.groups.clear();  // it is in them still
            found->dialect().authenticated(*found, true);
            if (!lost.ids.empty() || !lost.groups.empty()) found->dialect().lost(*found, lost);
        } else {
            audit(Audit::warning, {.what = "reauth_failed", .peer = peer, .who = found->identity()->name, .detail = answer.why});
            hub.count(GatewayError::auth_failed);
            found->dialect().authenticated(*found, false);
        }
        if (!found->connection().closing()) found->connection().resume_reading();
    });
    if (!at_once) session.connection().pause_reading();
}

}  // namespace weir
