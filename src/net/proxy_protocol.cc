#include "net/proxy_protocol.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace weir::net {
namespace {

constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kLineMax = 107;  // version 1, with its CRLF

Error bad(const char* what) { return {"bad_proxy_header", what}; }

std::uint16_t big_endian(std::string_view bytes) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 | static_cast<unsigned char>(bytes[1]));
}

std::optional<std::uint16_t> port_of(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return port;
}

Result<std::optional<ProxyHeader>> parse_line(std::string_view bytes) {
    const auto end = bytes.substr(0, kLineMax).find("\r\n");
    if (end == std::string_view::npos) {
        if (bytes.size() >= kLineMax) return bad("the line does not end");
        return std::optional<ProxyHeader>();
    }
    std::string_view line = bytes.substr(0, end);
    ProxyHeader header{.size = end + 2, .client = {}};
    line.remove_prefix(6);
    if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return std::optional(header);
    std::vector<std::string_view> words;
    while (true) {
        const auto blank = line.find(' ');
        words.push_back(line.substr(0, blank));
        if (blank == std::string_view::npos) break;
        line.remove_prefix(blank + 1);
    }
    if (words.size() != 5 || (words[0] != "TCP4" && words[0] != "TCP6")) return bad("not `PROXY TCP4|TCP6 from to port port`");
    const IpAddress from = IpAddress::parse(words[1]), to = IpAddress::parse(words[2]);
    const auto port = port_of(words[3]), other = port_of(words[4]);
    if (!from.known || !to.known || !port || !other || from.is_v4() != (words[0] == "TCP4")) return bad("an address or port is none");
    header.client = PeerAddress{.ip = from, .port = *port};
    return std::optional(header);
}

Result<std::optional<ProxyHeader>> parse_binary(std::string_view bytes) {
    if (bytes.size() < 16) return std::optional<ProxyHeader>();
    const unsigned version = static_cast<unsigned char>(bytes[12]), family = static_cast<unsigned char>(bytes[13]);
    if (version >> 4 != 2 || (version & 15) > 1) return bad("an unknown version or command");
    const std::size_t length = big_endian(bytes.substr(14));
    if (16 + length > ProxyHeader::bytes_max) return bad("longer than 4096 bytes");
    if (bytes.size() < 16 + length) return std::optional<ProxyHeader>();
    ProxyHeader header{.size = 16 + length, .client = {}};
    if ((version & 15) == 0) return std::optional(header);  // LOCAL: a health check of the proxy's own
    const std::string_view rest = bytes.substr(16, length);
    PeerAddress client;
    client.ip.known = true;
    if (family >> 4 == 1) {
        if (length < 12) return bad("too short for its addresses");
        client.ip.bytes[10] = client.ip.bytes[11] = 0xff;
        std::memcpy(client.ip.bytes.data() + 12, rest.data(), 4);
        client.port = big_endian(rest.substr(8));
    } else if (family >> 4 == 2) {
        if (length < 36) return bad("too short for its addresses");
        std::memcpy(client.ip.bytes.data(), rest.data(), 16);
        client.port = big_endian(rest.substr(32));
    } else {
        return std::optional(header);  // unspecified, or a Unix socket
    }
    header.client = client;
    return std::optional(header);
}

/// `192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]`, `[2001:db8::1]:4711`, `2001:db8::1`.
IpAddress address_of(std::string_view text) {
    if (text.starts_with('[')) return IpAddress::parse(text.substr(1, std::min(text.find(']'), text.size()) - 1));
    const auto ip = IpAddress::parse(text);
    return ip.known ? ip : IpAddress::parse(text.substr(0, text.find(':')));
}

}  // namespace

Result<IpBlock> IpBlock::parse(std::string_view text) {
    IpBlock block;
    if (text == "unix") {
        block.is_unix = true;
        return block;
    }
    const auto slash = text.find('/');
    block.base = IpAddress::parse(text.substr(0, slash));
    const Error wrong{"bad_address", "\"" + std::string(text) + "\" is no address or block; allowed: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32, unix"};
    if (!block.base.known) return wrong;
    if (slash == std::string_view::npos) return block;
    const auto bits = port_of(text.substr(slash + 1));
    const int most = block.base.is_v4() ? 32 : 128;
    if (!bits || *bits > most) return wrong;
    block.bits = 128 - most + *bits;
    return block;
}

bool IpBlock::contains(const IpAddress& ip) const noexcept {
    if (is_unix || !ip.known) return is_unix && !ip.known;
    const std::size_t whole = static_cast<std::size_t>(bits) / 8;
    if (!std::equal(base.bytes.begin(), base.bytes.begin() + static_cast<std::ptrdiff_t>(whole), ip.bytes.begin())) return false;
    const int rest = bits % 8;
    return rest == 0 || ((base.bytes[whole] ^ ip.bytes[whole]) >> (8 - rest)) == 0;
}

bool is_in(const std::vector<IpBlock>& blocks, const IpAddress& ip) noexcept {
    return std::any_of(blocks.begin(), blocks.end(), [&](const IpBlock& block) { return block.contains(ip); });
}

Result<std::optional<ProxyHeader>> ProxyHeader::parse(std::string_view bytes) {
    constexpr std::string_view line = "PROXY ";
    if (bytes.starts_with(line)) return parse_line(bytes);
    if (bytes.starts_with(kSignature2)) return parse_binary(bytes);
    if (line.starts_with(bytes) || kSignature2.starts_with(bytes)) return std::optional<ProxyHeader>();
    return bad("the connection does not begin with a PROXY header");
}

IpAddress forwarded_client(std::string_view list, const IpAddress& peer, const std::vector<IpBlock>& trusted) {
    IpAddress client = peer;
    while (is_in(trusted, client) && !list.empty()) {
        const auto comma = list.rfind(',');
        std::string_view last = comma == std::string_view::npos ? list : list.substr(comma + 1);
        list = comma == std::string_view::npos ? std::string_view() : list.substr(0, comma);
        while (!last.empty() && (last.front() == ' ' || last.front() == '\t')) last.remove_prefix(1);
        while (!last.empty() && (last.back() == ' ' || last.back() == '\t')) last.remove_suffix(1);
        const auto ip = address_of(last);
        if (!ip.known) break;
        client = ip;
    }
    return client;
}

}  // namespace weir::net
