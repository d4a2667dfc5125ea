#include "net/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>

namespace weir::net {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

bool IpAddress::is_v4() const noexcept { return known && std::equal(kMapped.begin(), kMapped.end(), bytes.begin()); }

bool IpAddress::is_loopback() const noexcept {
    if (!known) return true;
    if (is_v4()) return bytes[12] == 127;
    return std::all_of(bytes.begin(), bytes.end() - 1, [](auto b) { return b == 0; }) && bytes[15] == 1;
}

std::string IpAddress::to_text() const {
    if (!known) return "unix";
    char text[INET6_ADDRSTRLEN];
    if (is_v4())
        ::inet_ntop(AF_INET, bytes.data() + 12, text, sizeof text);
    else
        ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
    return text;
}

IpAddress IpAddress::parse(std::string_view text) {
    IpAddress ip;
    const std::string terminated(text);
    if (::inet_pton(AF_INET, terminated.c_str(), ip.bytes.data() + 12) == 1) {
        std::copy(kMapped.begin(), kMapped.end(), ip.bytes.begin());
        ip.known = true;
    } else if (::inet_pton(AF_INET6, terminated.c_str(), ip.bytes.data()) == 1) {
        ip.known = true;
    }
    return ip;
}

std::string PeerAddress::to_text() const {
    if (!ip.known) return "unix";
    return (ip.is_v4() ? ip.to_text() : "[" + ip.to_text() + "]") + ":" + std::to_string(port);
}

std::string ListenAddress::to_text() const {
    if (!unix_path.empty()) return "unix:" + unix_path;
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

Result<ListenAddress> ListenAddress::parse(std::string_view text) {
    const Error bad{"bad_address", "\"" + std::string(text) +
                                       "\" is not an address to listen on; allowed: 127.0.0.1:8765, [::1]:8765, localhost:8765, "
                                       "unix:/path/to/socket"};
    ListenAddress address;
    if (text.starts_with("unix:")) {
        address.unix_path = text.substr(5);
        if (address.unix_path.empty() || address.unix_path.size() >= sizeof(sockaddr_un::sun_path)) return bad;
        return address;
    }
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return bad;
    std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc() || end != port.data() + port.size() || port.empty()) return bad;
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string_view::npos)
        return bad;
    if (host != "localhost" && !IpAddress::parse(host).known) return bad;
    address.host = host;
    return address;
}

bool ListenAddress::is_loopback() const noexcept {
    return !unix_path.empty() || host == "localhost" || (IpAddress::parse(host).known && IpAddress::parse(host).is_loopback());
}

PeerAddress to_peer(const sockaddr_storage& storage) {
    PeerAddress peer;
    if (storage.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
        std::copy(kMapped.begin(), kMapped.end(), peer.ip.bytes.begin());
        std::memcpy(peer.ip.bytes.data() + 12, &v4.sin_addr, 4);
        peer.port = ntohs(v4.sin_port);
        peer.ip.known = true;
    } else if (storage.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
        std::memcpy(peer.ip.bytes.data(), &v6.sin6_addr, 16);
        peer.port = ntohs(v6.sin6_port);
        peer.ip.known = true;
    }
    return peer;
}

PeerAddress peer_of(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (fd < 0 || ::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return {};
    return to_peer(storage);
}

}  // namespace weir::net
