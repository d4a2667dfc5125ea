#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/socket_address.h"

namespace weir::net {

/// Addresses that share their first bits: `10.0.0.0/8`, `2001:db8::/32`, a single address, or `unix` for the peers of a Unix socket.
struct IpBlock {
    IpAddress base;
    int bits = 128;  ///< of the 16 bytes
    bool is_unix = false;

    /// Error: `bad_address`.
    static Result<IpBlock> parse(std::string_view text);
    bool contains(const IpAddress& ip) const noexcept;
};

bool is_in(const std::vector<IpBlock>& blocks, const IpAddress& ip) noexcept;

/// What a proxy says of its client in front of a connection.
/// Source: The PROXY protocol, versions 1 and 2, haproxy.org/download/2.9/doc/proxy-protocol.txt.
struct ProxyHeader {
    static constexpr std::size_t bytes_max = 4096;  ///< a longer one (with extensions) is refused

    std::size_t size = 0;               ///< bytes that it takes
    std::optional<PeerAddress> client;  ///< none: the proxy speaks for itself (LOCAL), or does not say (UNKNOWN)

    /// Of the first bytes of a connection. nullopt: more are needed. Error: `bad_proxy_header`.
    static Result<std::optional<ProxyHeader>> parse(std::string_view bytes);
};

/// The client that X-Forwarded-For names: the last address that no trusted proxy has (each proxy adds whom it heard from at the end, so what stands
/// before that is the client's own word). `peer` where nothing can be told.
IpAddress forwarded_client(std::string_view x_forwarded_for, const IpAddress& peer, const std::vector<IpBlock>& trusted);

}  // namespace weir::net
