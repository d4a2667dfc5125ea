#pragma once
#include <string>

namespace weir {

class Session;

/// A live session has sent `auth` (S4-9): with a right token it goes on as that token's holder, keeping the subscriptions that the token covers; with a wrong one it stays who
/// it is. Nothing it sends is read until the result is there. Without authentication whatever it sent is right (S4-R6 is the bug that this is not).
/// Its dialect tells it. Thread: the reactor's.
void reauthenticate(Session& session, std::string token);

}  // namespace weir
