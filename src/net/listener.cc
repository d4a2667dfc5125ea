#include "net/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir::net {
namespace {

/// A descriptor that is closed unless it is released.
struct Descriptor {
    int fd;
    explicit Descriptor(int value) : fd(value) {}
    ~Descriptor() {
        if (fd >= 0) ::close(fd);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int release() { return std::exchange(fd, -1); }
};

Error listen_error(const ListenAddress& address, int number) {
    const std::string where = "cannot listen on " + address.to_text() + ": ";
    switch (number) {
        case EADDRINUSE:
            return {"address_in_use",
                    where + "address already in use; stop the other process (" +
                        (address.unix_path.empty() ? "ss -ltnp 'sport = :" + std::to_string(address.port) + "' names it"
                                                   : "ss -lxp names it") +
                        ") or choose another " + (address.unix_path.empty() ? "port" : "path")};
        case EADDRNOTAVAIL:
            return {"address_not_available", where + "this machine has no such address; allowed: one of its own, or 0.0.0.0 or :: for all"};
        case EACCES:
        case EPERM:
            return {"permission_denied",
                    where + "permission denied; " + (address.unix_path.empty() ? "ports below 1024 need CAP_NET_BIND_SERVICE"
                                                                               : "the folder must be writable")};
        default: return {"listen_failed", where + std::strerror(number)};
    }
}

struct Endpoint {
    sockaddr_storage storage{};
    socklen_t size = 0;
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Endpoint endpoint_of(const ListenAddress& address) {
    Endpoint endpoint;
    if (!address.unix_path.empty()) {
        auto& un = reinterpret_cast<sockaddr_un&>(endpoint.storage);
        un.sun_family = AF_UNIX;
        std::memcpy(un.sun_path, address.unix_path.data(), std::min(address.unix_path.size(), sizeof un.sun_path - 1));
        endpoint.size = sizeof un;
        return endpoint;
    }
    const IpAddress ip = IpAddress::parse(address.host == "localhost" ? "127.0.0.1" : address.host);
    if (ip.is_v4()) {
        auto& v4 = reinterpret_cast<sockaddr_in&>(endpoint.storage);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(address.port);
        std::memcpy(&v4.sin_addr, ip.bytes.data() + 12, 4);
        endpoint.size = sizeof v4;
    } else if (ip.known) {
        auto& v6 = reinterpret_cast<sockaddr_in6&>(endpoint.storage);
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(address.port);
        std::memcpy(&v6.sin6_addr, ip.bytes.data(), 16);
        endpoint.size = sizeof v6;
    }
    return endpoint;
}

int open_socket(int family) { return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

void set_on(int fd, int level, int option) {
    const int one = 1;
    ::setsockopt(fd, level, option, &one, sizeof one);
}

/// Whether somebody serves the Unix socket; a file that a killed process left behind answers nobody.
bool is_served(const ListenAddress& address) {
    Endpoint endpoint = endpoint_of(address);
    Descriptor probe(open_socket(AF_UNIX));
    return probe.fd >= 0 && (::connect(probe.fd, endpoint.get(), endpoint.size) == 0 || errno == EAGAIN);
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(Reactor& reactor, const ListenAddress& address, ListenOptions options,
                                                 Accept accept) {
    const bool unix = !address.unix_path.empty();
    if (unix && address.unix_path.size() >= sizeof(sockaddr_un::sun_path))
        return Error{"bad_address", "cannot listen on " + address.to_text() + ": the path is longer than " +
                                        std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes"};
    Endpoint endpoint = endpoint_of(address);
    if (endpoint.size == 0)
        return Error{"bad_address", "cannot listen on " + address.to_text() + ": not an IP address"};
    if (unix) {
        struct stat file {};
        if (::stat(address.unix_path.c_str(), &file) == 0) {
            if (!S_ISSOCK(file.st_mode)) return Error{"address_in_use", "cannot listen on " + address.to_text() + ": the file is there and is no socket"};
            if (is_served(address)) return listen_error(address, EADDRINUSE);
            ::unlink(address.unix_path.c_str());
        }
    }
    if (options.share == ListenOptions::Share::first && !unix && address.port != 0) {
        // With SO_REUSEPORT two processes of one user would quietly halve the clients between them.
        Descriptor probe(open_socket(endpoint.storage.ss_family));
        if (probe.fd < 0) return listen_error(address, errno);
        set_on(probe.fd, SOL_SOCKET, SO_REUSEADDR);
        if (::bind(probe.fd, endpoint.get(), endpoint.size) != 0) return listen_error(address, errno);
    }

    Descriptor socket(open_socket(endpoint.storage.ss_family));
    if (socket.fd < 0) return listen_error(address, errno);
    if (!unix) {
        set_on(socket.fd, SOL_SOCKET, SO_REUSEADDR);
        if (options.share != ListenOptions::Share::no) set_on(socket.fd, SOL_SOCKET, SO_REUSEPORT);
        set_on(socket.fd, IPPROTO_TCP, TCP_NODELAY);  // accepted sockets inherit it: no system call for each
        // "::" means all of this machine's addresses, IPv4 too, whatever the system's default is.
        const int only = address.host != "::";
        if (endpoint.storage.ss_family == AF_INET6) ::setsockopt(socket.fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    }
    if (::bind(socket.fd, endpoint.get(), endpoint.size) != 0) return listen_error(address, errno);
    if (unix) ::chmod(address.unix_path.c_str(), static_cast<mode_t>(options.unix_mode));
    if (::listen(socket.fd, options.backlog) != 0) return listen_error(address, errno);

    ListenAddress chosen = address;
    if (!unix) {
        Endpoint bound;
        bound.size = sizeof bound.storage;
        ::getsockname(socket.fd, bound.get(), &bound.size);
        chosen.port = to_peer(bound.storage).port;
    }
    std::unique_ptr<Listener> listener(new Listener(reactor, std::move(chosen), options, std::move(accept)));
    listener->fd_ = socket.release();
    listener->resume();
    return listener;
}

Listener::Listener(Reactor& reactor, ListenAddress address, ListenOptions options, Accept accept)
    : reactor_(reactor), address_(std::move(address)), options_(options), accept_(std::move(accept)),
      retry_(reactor, [this] { resume(); }) {}

Listener::~Listener() {
    pause();
    if (fd_ >= 0) ::close(fd_);
    if (!address_.unix_path.empty()) ::unlink(address_.unix_path.c_str());
}

void Listener::pause() {
    retry_.cancel();
    if (std::exchange(watching_, false)) reactor_.remove(fd_, *this);
}

void Listener::resume() {
    retry_.cancel();
    // Level-triggered: what this turn leaves in the queue comes up again in the next.
    if (!std::exchange(watching_, true)) reactor_.add(fd_, *this, EPOLLIN);
}

void Listener::on_ready(std::uint32_t) {
    for (std::size_t i = 0; i < options_.accepts_per_turn && watching_; ++i) {
        sockaddr_storage storage{};
        socklen_t size = sizeof storage;
        const int fd = ::accept4(fd_, reinterpret_cast<sockaddr*>(&storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            ++accepted_;
            accept_(fd, to_peer(storage));
            continue;
        }
        switch (errno) {
            case EAGAIN: return;
            case EMFILE:
            case ENFILE:
            case ENOBUFS:
            case ENOMEM: {
                const int number = errno;
                ++exhausted_;
                if (warnings_.admit(reactor_.now().count()))
                    diag::warn("listener " + address_.to_text() + " cannot accept: " + std::strerror(number) + "; accepting rests for " +
                               to_text(options_.pause) + ", clients wait in the kernel's queue (" +
                               std::to_string(exhausted_) + " times since the start)");
                pause();
                retry_.start(options_.pause);
                return;
            }
            default: break;  // ECONNABORTED and what Linux passes on from the network: that client is gone, the next one is not
        }
    }
}

}  // namespace weir::net
