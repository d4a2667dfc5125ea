#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

struct sockaddr_storage;

namespace weir::net {

class Reactor;

/// An address to connect to.
struct SocketTarget {
    std::shared_ptr<const sockaddr_storage> address;
    std::uint32_t address_bytes = 0;
    int family = 0;
};

/// One look-up of a host's addresses, away from the reactor's thread: getaddrinfo may take half a minute. Numbers need no look-up and
/// are answered in the reactor's next turn.
///
/// `done` runs on the reactor's thread, unless the Resolution is destroyed before. Errors: `resolve_failed`.
/// Thread: the reactor's. Each look-up of a name is a short-lived thread of its own: a feed makes one a connection, and one slow
/// name server does not hold up the others.
class Resolution {
public:
    using Done = std::function<void(Result<std::vector<SocketTarget>>)>;
    Resolution(Reactor& reactor, std::string host, std::uint16_t port, Done done);
    ~Resolution();
    Resolution(const Resolution&) = delete;
    Resolution& operator=(const Resolution&) = delete;

private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
};

}  // namespace weir::net
