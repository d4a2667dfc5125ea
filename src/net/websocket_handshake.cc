#include "net/websocket_handshake.h"

#include <openssl/sha.h>

#include "net/digest.h"

namespace weir::net {
namespace {

/// The base64 form of 16 bytes: 22 characters and `==`.
bool is_key(std::string_view key) {
    if (key.size() != 24 || !key.ends_with("==")) return false;
    for (const char c : key.substr(0, 22))
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/')) return false;
    return true;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

}  // namespace

std::string websocket_accept_key(std::string_view key) {
    const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    ::SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    return base64({reinterpret_cast<const char*>(digest), sizeof digest});
}

UpgradeCheck check_upgrade(const HttpRequest& request) {
    if (!request.header_has_token("Upgrade", "websocket")) return UpgradeCheck::not_upgrade;
    if (!request.header_has_token("Connection", "upgrade") || request.method != "GET" || request.minor_version != 1 || request.has_body())
        return UpgradeCheck::bad_request;
    if (request.header("Sec-WebSocket-Version") != "13") return UpgradeCheck::bad_version;
    const auto key = request.header("Sec-WebSocket-Key");
    return key && is_key(*key) ? UpgradeCheck::good : UpgradeCheck::bad_request;
}

std::vector<std::string_view> offered_subprotocols(const HttpRequest& request) {
    std::vector<std::string_view> offered;
    for (const auto& header : request.headers) {
        if (!equals_ignoring_case(header.name, "Sec-WebSocket-Protocol")) continue;
        std::string_view rest = header.value;
        for (;;) {
            const auto comma = rest.find(',');
            if (const auto name = trim(rest.substr(0, comma)); !name.empty()) offered.push_back(name);
            if (comma == std::string_view::npos) break;
            rest.remove_prefix(comma + 1);
        }
    }
    return offered;
}

std::string websocket_key(std::string_view sixteen_random_bytes) { return base64(sixteen_random_bytes); }

std::string websocket_client_request(const ClientHandshake& handshake, std::string_view key) {
    std::string request = "GET " + handshake.target + " HTTP/1.1\r\n";
    append_header(request, "Host", handshake.host);
    request += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    append_header(request, "Sec-WebSocket-Key", key);
    if (!handshake.subprotocols.empty()) {
        std::string names;
        for (const auto& name : handshake.subprotocols) names += (names.empty() ? "" : ", ") + name;
        append_header(request, "Sec-WebSocket-Protocol", names);
    }
    if (handshake.offer_deflate) append_header(request, "Sec-WebSocket-Extensions", deflate_offer());
    return request + handshake.extra + "\r\n";
}

Result<ClientAgreement> check_websocket_response(const HttpResponseHead& head, std::string_view key, const ClientHandshake& handshake) {
    const auto bad = [](std::string_view what) { return Error{"bad_handshake", "the server's answer to the WebSocket handshake " + std::string(what)}; };
    if (head.status != 101)
        return Error{"refused", "the server answered the WebSocket handshake with " + std::to_string(head.status) + " " + std::string(head.reason)};
    if (!head.header_has_token("Upgrade", "websocket")) return bad("lacks `Upgrade: websocket`");
    if (!head.header_has_token("Connection", "upgrade")) return bad("lacks `Connection: Upgrade`");
    if (head.header("Sec-WebSocket-Accept") != websocket_accept_key(key)) return bad("has a wrong Sec-WebSocket-Accept");
    ClientAgreement agreement;
    if (const auto name = head.header("Sec-WebSocket-Protocol")) {
        if (std::find(handshake.subprotocols.begin(), handshake.subprotocols.end(), *name) == handshake.subprotocols.end())
            return bad("names a subprotocol that was not offered");
        agreement.subprotocol = *name;
    }
    if (const auto extensions = head.header("Sec-WebSocket-Extensions")) {
        if (!handshake.offer_deflate) return bad("names an extension that was not offered");
        WEIR_TRY(agreement.deflate, read_deflate_response(*extensions));
    }
    return agreement;
}

}  // namespace weir::net
