#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/diag.h"
#include "base/result.h"
#include "net/reactor.h"
#include "net/socket_address.h"

namespace weir::net {

struct ListenOptions {
    int backlog = 1024;
    /// Several listeners on one port, one a reactor: the kernel shares new connections out (SO_REUSEPORT). Only the first
    /// of them may be `first`: it looks whether another process has the port, which SO_REUSEPORT would hide.
    enum class Share : std::uint8_t { no, first, more } share = Share::no;
    int unix_mode = 0660;           ///< permissions of a Unix socket's file
    std::size_t accepts_per_turn = 64;
    Duration pause = 200ms;         ///< how long accepting rests when descriptors or memory run out
};

/// Accepts connections on a TCP port or Unix socket and hands each descriptor (non-blocking, close-on-exec, TCP_NODELAY) on.
///
/// When the process runs out of descriptors, accepting rests for `pause` instead of spinning; the clients wait in the
/// kernel's queue. Thread: the reactor's.
class Listener final : private Pollable {
public:
    /// The taker owns `fd`.
    using Accept = std::function<void(int fd, const PeerAddress& peer)>;

    /// Errors: `address_in_use`, `address_not_available`, `permission_denied`, `listen_failed`. The message says what to do.
    static Result<std::unique_ptr<Listener>> open(Reactor& reactor, const ListenAddress& address, ListenOptions options,
                                                  Accept accept);
    ~Listener();

    /// The address with the port that was chosen where 0 was asked for.
    const ListenAddress& address() const noexcept { return address_; }
    /// Stop and start accepting; connections wait in the kernel's queue meanwhile.
    void pause();
    void resume();
    std::uint64_t accepted() const noexcept { return accepted_; }
    /// How often accepting rested because descriptors or memory ran out.
    std::uint64_t exhausted() const noexcept { return exhausted_; }

private:
    Listener(Reactor& reactor, ListenAddress address, ListenOptions options, Accept accept);
    void on_ready(std::uint32_t events) override;

    Reactor& reactor_;
    ListenAddress address_;
    const ListenOptions options_;
    Accept accept_;
    int fd_ = -1;
    bool watching_ = false;
    Timer retry_;
    diag::RateLimiter warnings_{10'000'000};
    std::uint64_t accepted_ = 0, exhausted_ = 0;
};

}  // namespace weir::net
