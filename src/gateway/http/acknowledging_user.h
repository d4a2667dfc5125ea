#pragma once
#include "event/json.h"
#include "gateway/auth/authenticator.h"
#include "gateway/http/push.h"

namespace weir {

/// Whoever acknowledges or shelves is the holder of the token, whatever the request says: whom it names stands beside as `on_behalf_of`. Where nobody
/// knows who that is (without authentication), the request is believed.
void name_user(const Identity& who, Json& acknowledgement);
/// The same for such commands among events that are pushed to their streams.
void name_user(const Identity& who, std::string_view stream, PushedEvents& pushed);

}  // namespace weir
