#include "net/resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include "net/reactor.h"

namespace weir::net {
namespace {

Result<std::vector<SocketTarget>> look_up(const std::string& host, std::uint16_t port, int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | flags;
    addrinfo* list = nullptr;
    if (const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list); code != 0)
        return Error{"resolve_failed", "the name " + host + " could not be resolved: " + ::gai_strerror(code)};
    std::vector<SocketTarget> targets;
    for (const addrinfo* a = list; a; a = a->ai_next) {
        auto address = std::make_shared<sockaddr_storage>();
        std::memcpy(address.get(), a->ai_addr, a->ai_addrlen);
        targets.push_back({std::move(address), a->ai_addrlen, a->ai_family});
    }
    ::freeaddrinfo(list);
    if (targets.empty()) return Error{"resolve_failed", "the name " + host + " has no address"};
    return targets;
}

}  // namespace

/// What the thread of the look-up and the Resolution share. `reactor` is null once nobody waits: the reactor may be gone then.
struct Resolution::Shared {
    std::mutex mutex;
    Reactor* reactor = nullptr;
    Done done;
};

Resolution::Resolution(Reactor& reactor, std::string host, std::uint16_t port, Done done) : shared_(std::make_shared<Shared>()) {
    shared_->reactor = &reactor;
    shared_->done = std::move(done);
    const auto deliver = [shared = shared_](Result<std::vector<SocketTarget>> result) {
        auto box = std::make_shared<Result<std::vector<SocketTarget>>>(std::move(result));
        std::lock_guard lock(shared->mutex);
        if (!shared->reactor) return;
        (void)shared->reactor->post([shared, box] {
            Done call;
            {
                std::lock_guard inner(shared->mutex);
                if (!shared->reactor) return;
                shared->reactor = nullptr;
                call = std::move(shared->done);
            }
            call(std::move(*box));
        });
    };
    if (auto numeric = look_up(host, port, AI_NUMERICHOST); numeric.ok()) {
        deliver(std::move(numeric));
        return;
    }
    std::thread([host = std::move(host), port, deliver] { deliver(look_up(host, port, AI_ADDRCONFIG)); }).detach();
}

Resolution::~Resolution() {
    std::lock_guard lock(shared_->mutex);
    shared_->reactor = nullptr;
}

}  // namespace weir::net
