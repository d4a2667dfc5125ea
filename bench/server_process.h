#pragma once
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

/// What the benches of net share: a server as a child process on a core of its own, and sockets to it.
namespace weir::bench {

inline void pin(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    ::sched_setaffinity(0, sizeof set, &set);
}

/// A server tells its parent where it listens.
inline void tell_port(int ready, std::uint16_t port) { [[maybe_unused]] const auto n = ::write(ready, &port, sizeof port); }

/// A child on core 0 in which `serve` runs until it is killed.
struct Server {
    pid_t pid;
    std::uint16_t port = 0;
    explicit Server(void (*serve)(int)) {
        int pipe[2];
        [[maybe_unused]] const int made = ::pipe(pipe);
        pid = ::fork();
        if (pid == 0) {
            pin(0);
            serve(pipe[1]);
            ::_exit(0);
        }
        [[maybe_unused]] const auto n = ::read(pipe[0], &port, sizeof port);
        ::close(pipe[0]);
        ::close(pipe[1]);
    }
    ~Server() {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
    double cpu_ns() const {
        double ns = 0;
        std::ifstream("/proc/" + std::to_string(pid) + "/schedstat") >> ns;
        return ns;
    }
    double resident_bytes() const {
        double pages = 0;
        std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
        file >> pages >> pages;
        return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
    }
};

inline constexpr std::string_view kHandshake =
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A blocking socket behind its handshake; -1 if the server refused. `headers`: whole lines.
inline int connect_websocket(std::uint16_t port, std::string_view headers = {}) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0), one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
    const std::string request = std::string(kHandshake).append(headers).append("\r\n");
    ::send(fd, request.data(), request.size(), 0);
    std::string head;
    char c;
    while (!head.ends_with("\r\n\r\n") && ::recv(fd, &c, 1, 0) == 1) head.push_back(c);
    return head.starts_with("HTTP/1.1 101") ? fd : -1;
}

inline double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace weir::bench
