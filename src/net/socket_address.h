#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

struct sockaddr_storage;

namespace weir::net {

/// An IPv4 or IPv6 address, kept as 16 bytes (IPv4 as ::ffff:a.b.c.d, so that one host has one form), or none (Unix sockets).
struct IpAddress {
    std::array<std::uint8_t, 16> bytes{};
    bool known = false;

    bool is_v4() const noexcept;
    /// 127.0.0.0/8, ::1, and a Unix socket's peer.
    bool is_loopback() const noexcept;
    std::string to_text() const;  ///< "192.0.2.1", "2001:db8::1", "unix"
    bool operator==(const IpAddress&) const = default;

    /// nullopt-like: `known` is false for a text that is not an address.
    static IpAddress parse(std::string_view text);
};

/// The other end of a connection.
struct PeerAddress {
    IpAddress ip;
    std::uint16_t port = 0;
    std::string to_text() const;  ///< "192.0.2.1:4711", "[2001:db8::1]:4711", "unix"
};

/// Where to listen: an IP address or `localhost` with a port (0: any free one), or the path of a Unix socket.
struct ListenAddress {
    std::string host;         ///< "127.0.0.1", "::", "localhost" (becomes 127.0.0.1); empty for a Unix socket
    std::uint16_t port = 0;
    std::string unix_path;
    std::string to_text() const;  ///< "127.0.0.1:8765", "[::1]:8765", "unix:/run/weir.sock"

    /// Parses what `to_text` prints. Errors: `bad_address`.
    static Result<ListenAddress> parse(std::string_view text);
    bool is_loopback() const noexcept;
};

PeerAddress peer_of(int fd);
PeerAddress to_peer(const ::sockaddr_storage& storage);

}  // namespace weir::net
