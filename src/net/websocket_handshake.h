#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http_parser.h"
#include "net/websocket_deflate.h"

namespace weir::net {

/// The answer to a Sec-WebSocket-Key (RFC 6455, 4.2.2): base64(sha1(key + GUID)).
std::string websocket_accept_key(std::string_view key);

enum class UpgradeCheck : std::uint8_t {
    not_upgrade,      ///< an ordinary request
    good,             ///< may be accepted
    bad_version,      ///< Sec-WebSocket-Version is not 13: answer 426 with `Sec-WebSocket-Version: 13`
    bad_request,      ///< asks for an upgrade in a wrong way (method, version, key, body): answer 400
};
UpgradeCheck check_upgrade(const HttpRequest& request);

/// The subprotocols that a client offered, in its order.
std::vector<std::string_view> offered_subprotocols(const HttpRequest& request);

/// The client's side. `key_bytes`: 16 random bytes. Builds the request; headers as lines `name: value\r\n` may be appended
/// by the caller through `extra`.
struct ClientHandshake {
    std::string host, target = "/";
    std::vector<std::string> subprotocols;
    std::string extra;               ///< further header lines, each ended by CRLF
    bool offer_deflate = true;
};
std::string websocket_client_request(const ClientHandshake& handshake, std::string_view key);
std::string websocket_key(std::string_view sixteen_random_bytes);

struct ClientAgreement {
    std::string subprotocol;
    std::optional<DeflateParameters> deflate;
};
/// Checks the server's 101. Errors: `bad_handshake` with what was wrong, `refused` for another status.
Result<ClientAgreement> check_websocket_response(const HttpResponseHead& head, std::string_view key, const ClientHandshake& handshake);

}  // namespace weir::net
