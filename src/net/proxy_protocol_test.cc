#include "net/proxy_protocol.h"

#include <doctest/doctest.h>

#include "base/prng.h"

using namespace weir;
using namespace weir::net;

namespace {

std::string client(std::string_view bytes) {
    const auto header = ProxyHeader::parse(bytes);
    if (!header.ok()) return "error";
    if (!header->has_value()) return "more";
    return (*header)->client ? (*header)->client->to_text() : "none";
}

/// Version 2 of `address` (addresses and ports) behind the command and family bytes.
std::string binary(char command, char family, const std::string& address) {
    std::string bytes("\r\n\r\n\0\r\nQUIT\n", 12);
    bytes += command;
    bytes += family;
    bytes += static_cast<char>(address.size() >> 8);
    bytes += static_cast<char>(address.size());
    return bytes + address;
}

std::vector<IpBlock> blocks(std::initializer_list<const char*> texts) {
    std::vector<IpBlock> found;
    for (const char* text : texts) found.push_back(*IpBlock::parse(text));
    return found;
}

std::string forwarded(std::string_view list, const char* peer, const std::vector<IpBlock>& trusted) { return forwarded_client(list, IpAddress::parse(peer), trusted).to_text(); }

}  // namespace

TEST_CASE("PROXY protocol: both versions name the client, in however many pieces they come (S2-22)") {
    const std::string v4 = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", v6 = "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n";
    CHECK(client(v4 + "GET /") == "192.0.2.1:56324");
    CHECK(client(v6) == "[2001:db8::1]:1");
    CHECK(client("PROXY UNKNOWN\r\n") == "none");
    CHECK(client("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\nrest") == "none");
    const std::string b4 = binary('\x21', '\x11', std::string("\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb", 12));
    const std::string b6 = binary('\x21', '\x21', std::string("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16) + std::string(16, '\0') + std::string("\x00\x07\x01\xbb", 4) + "extension");
    CHECK(client(b4 + "GET /") == "192.0.2.1:56324");
    CHECK(client(b6) == "[2001:db8::1]:7");
    CHECK(client(binary('\x20', '\x00', "")) == "none");
    CHECK(client(binary('\x21', '\x31', std::string(216, 'x'))) == "none");
    for (const std::string& whole : {v4, v6, b4, b6}) {
        for (std::size_t n = 0; n < whole.size(); ++n) CHECK(client(whole.substr(0, n)) == "more");
        CHECK((*ProxyHeader::parse(whole + "behind"))->size == whole.size());
    }
}

TEST_CASE("PROXY protocol: anything else is refused, and nothing reads past what is there") {
    for (const std::string& wrong :
         {std::string("GET / HTTP/1.1\r\n"), std::string("PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n"), std::string("PROXY TCP4 2001:db8::1 ::1 1 2\r\n"), std::string("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"),
          std::string("PROXY TCP4 192.0.2.1 198.51.100.7 65536 1\r\n"), "PROXY UNKNOWN " + std::string(200, 'x') + "\r\n", binary('\x31', '\x11', std::string(12, 'x')), binary('\x22', '\x11', std::string(12, 'x')),
          binary('\x21', '\x11', "short"), binary('\x21', '\x21', std::string(35, 'x')), binary('\x21', '\x11', std::string(5000, 'x')), std::string("\x16\x03\x01")})
        CHECK(client(wrong) == "error");
    Prng chance(2);
    for (int n = 0; n < 20'000; ++n) {
        std::string bytes = chance.next() % 2 ? "PROXY " : std::string("\r\n\r\n\0\r\nQUIT\n", 12);
        for (std::uint64_t more = chance.next() % 60; more-- > 0;) bytes += static_cast<char>(chance.next());
        const auto header = ProxyHeader::parse(bytes);
        if (header.ok() && header->has_value()) CHECK((*header)->size <= bytes.size());
    }
}

TEST_CASE("address blocks: a CIDR block holds what shares its bits") {
    CHECK(is_in(blocks({"10.0.0.0/8"}), IpAddress::parse("10.255.0.1")));
    CHECK_FALSE(is_in(blocks({"10.0.0.0/8"}), IpAddress::parse("11.0.0.1")));
    CHECK(is_in(blocks({"192.0.2.128/25"}), IpAddress::parse("192.0.2.200")));
    CHECK_FALSE(is_in(blocks({"192.0.2.128/25"}), IpAddress::parse("192.0.2.100")));
    CHECK(is_in(blocks({"2001:db8::/33"}), IpAddress::parse("2001:db8:7fff::1")));
    CHECK_FALSE(is_in(blocks({"2001:db8::/33"}), IpAddress::parse("2001:db8:8000::1")));
    CHECK(is_in(blocks({"192.0.2.1"}), IpAddress::parse("::ffff:192.0.2.1")));
    CHECK(is_in(blocks({"0.0.0.0/0"}), IpAddress::parse("8.8.8.8")));
    CHECK_FALSE(is_in(blocks({"0.0.0.0/0"}), IpAddress::parse("2001:db8::1")));
    CHECK(is_in(blocks({"unix"}), IpAddress()));
    CHECK_FALSE(is_in(blocks({"::/0"}), IpAddress()));
    for (const char* wrong : {"", "10.0.0.0/33", "10.0.0/8", "2001:db8::/129", "10.0.0.0/", "example.org", "10.0.0.0/-1"}) CHECK_FALSE(IpBlock::parse(wrong).ok());
}

TEST_CASE("X-Forwarded-For: only what a trusted proxy added is believed") {
    const auto trusted = blocks({"10.0.0.0/8", "192.0.2.9"});
    CHECK(forwarded("203.0.113.5", "10.0.0.1", trusted) == "203.0.113.5");
    CHECK(forwarded("203.0.113.5", "198.51.100.1", trusted) == "198.51.100.1");  // not from a proxy: its word is nothing
    CHECK(forwarded("1.1.1.1, 203.0.113.5, 192.0.2.9", "10.0.0.1", trusted) == "203.0.113.5");  // 1.1.1.1 is the client's own invention
    CHECK(forwarded("203.0.113.5:4711", "10.0.0.1", trusted) == "203.0.113.5");
    CHECK(forwarded("[2001:db8::5]:4711", "10.0.0.1", trusted) == "2001:db8::5");
    CHECK(forwarded("2001:db8::5", "10.0.0.1", trusted) == "2001:db8::5");
    for (const char* none : {"", " ", "unknown", ",", "10.0.0.7, garbage"}) CHECK(forwarded(none, "10.0.0.1", trusted) == "10.0.0.1");
    CHECK(forwarded("10.0.0.3, 10.0.0.2", "10.0.0.1", trusted) == "10.0.0.3");
}
