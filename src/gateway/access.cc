#include "gateway/access.h"

#include "net/socket_address.h"

namespace weir {
namespace {

using net::equals_ignoring_case;

/// `name:8765` to `name`, `[::1]:8765` to `::1`.
std::string_view without_port(std::string_view authority) {
    if (authority.starts_with('[')) {
        const auto end = authority.find(']');
        return end == std::string_view::npos ? authority : authority.substr(1, end - 1);
    }
    return authority.substr(0, authority.rfind(':'));
}

bool is_address(std::string_view host) { return net::IpAddress::parse(host).known; }

bool is_allowed_host(std::string_view authority, const GatewayOptions& options) {
    const std::string_view host = without_port(authority);
    if (is_address(host) || is_loopback_host(host)) return true;
    for (const auto& name : options.hosts)
        if (equals_ignoring_case(name, host) || equals_ignoring_case(name, authority)) return true;
    return false;
}

bool is_same_host(std::string_view origin, std::string_view host) {
    const auto scheme = origin.find("://");
    if (scheme == std::string_view::npos) return false;  // "null" too
    const std::string_view authority = origin.substr(scheme + 3);
    if (equals_ignoring_case(authority, host)) return true;
    // A browser leaves the port out where it is the scheme's own; some proxies do not.
    const std::string_view standard = equals_ignoring_case(origin.substr(0, scheme), "https") ? ":443" : ":80";
    return equals_ignoring_case(std::string(authority) + std::string(standard), host) ||
           equals_ignoring_case(authority, std::string(host) + std::string(standard));
}

}  // namespace

bool is_loopback_host(std::string_view host) {
    if (equals_ignoring_case(host, "localhost")) return true;
    const auto ip = net::IpAddress::parse(host);
    return ip.known && ip.is_loopback();
}

std::optional<GatewayError> check_access(const net::HttpRequest& request, const GatewayOptions& options, bool auth) {
    const auto host = request.header("Host");
    // HTTP/1.0 knows no Host, and no browser speaks it.
    if (!auth && host && !is_allowed_host(*host, options)) return GatewayError::host_not_allowed;
    const auto origin = request.header("Origin");
    if (!origin) return std::nullopt;
    if (options.allowed_origins) {
        for (const auto& allowed : *options.allowed_origins)
            if (allowed == "*" || equals_ignoring_case(allowed, *origin)) return std::nullopt;
        return GatewayError::origin_not_allowed;
    }
    if (auth || (host && is_same_host(*origin, *host))) return std::nullopt;
    return GatewayError::origin_not_allowed;
}

}  // namespace weir
