#pragma once
#include <optional>
#include <string_view>

#include "config/gateway_options.h"
#include "gateway/errors.h"
#include "net/http_parser.h"

namespace weir {

/// Who may talk to weir before anything else is asked (decision 16, C-36): a page of another site must not reach a weir on the same
/// machine through its visitor's browser, neither by naming it (Origin) nor by making a name of its own point here (Host).
///
/// Without authentication the Host must be loopback, an IP address or in gateway.hosts, and an Origin must be the same host, unless
/// gateway.allowed_origins says otherwise. With it (no cookie ever authenticates) any Host, and any Origin unless that is set.
/// Pure; thread: any.
std::optional<GatewayError> check_access(const net::HttpRequest& request, const GatewayOptions& options, bool auth);

/// Whether the name or address of a Host header (without its port) is this machine's own: `localhost`, `127.0.0.1`, `[::1]`.
bool is_loopback_host(std::string_view host);

}  // namespace weir
