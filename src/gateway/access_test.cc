#include "gateway/access.h"

#include <doctest/doctest.h>

using namespace weir;

namespace {
std::optional<GatewayError> check(std::string_view host, std::optional<std::string_view> origin, GatewayOptions options = {}, bool auth = false) {
    net::HttpRequest request;
    if (!host.empty()) request.headers.push_back({"host", host});
    if (origin) request.headers.push_back({"Origin", *origin});
    return check_access(request, options, auth);
}
}  // namespace

TEST_CASE("access: without a token only loopback, addresses and named hosts are answered: no name of a stranger's leads here (decision 16)") {
    for (const char* host : {"localhost", "localhost:8765", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8765", "[::1]:8765", "192.0.2.7:8765", "[2001:db8::1]"})
        CHECK_FALSE(check(host, std::nullopt));
    for (const char* host : {"evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example", "weir.example", ""})
        CHECK(check(host, std::nullopt) == (*host ? std::optional(GatewayError::host_not_allowed) : std::nullopt));
    GatewayOptions named;
    named.hosts = {"weir.example"};
    CHECK_FALSE(check("weir.example:8765", std::nullopt, named));
    CHECK(check("evil.example", std::nullopt, named));
    CHECK_FALSE(check("evil.example", std::nullopt, {}, true));
}

TEST_CASE("access: without a token only the same host's pages and programs without an Origin (C-36, S4-25)") {
    CHECK_FALSE(check("127.0.0.1:8765", "http://127.0.0.1:8765"));
    CHECK_FALSE(check("localhost", "http://localhost:80"));
    CHECK_FALSE(check("localhost:443", "https://localhost"));
    for (const char* origin : {"http://evil.example", "http://127.0.0.1:9999", "null", "", "file://", "http://127.0.0.1:87650"})
        CHECK(check("127.0.0.1:8765", origin) == GatewayError::origin_not_allowed);
    CHECK_FALSE(check("127.0.0.1:8765", "http://evil.example", {}, true));
}

TEST_CASE("access: allowed_origins decides where it is set, with or without a token (S4-16, S4-21)") {
    GatewayOptions any, one;
    any.allowed_origins = std::vector<std::string>{"*"};
    one.allowed_origins = std::vector<std::string>{"https://wall.example"};
    CHECK_FALSE(check("127.0.0.1", "http://evil.example", any));
    CHECK_FALSE(check("127.0.0.1", "https://wall.example", one));
    CHECK(check("127.0.0.1", "http://wall.example", one) == GatewayError::origin_not_allowed);
    CHECK(check("127.0.0.1", "http://evil.example", one, true) == GatewayError::origin_not_allowed);
    CHECK_FALSE(check("127.0.0.1", std::nullopt, one));
}
