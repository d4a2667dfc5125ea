#include "gateway/http/endpoints.h"

#include <doctest/doctest.h>

#include <set>

using namespace weir;

namespace {

/// `/a/{name}/b` with something in the name's place.
std::string filled(std::string_view form, std::string_view with) {
    std::string path;
    for (std::size_t at = 0; at < form.size();) {
        if (form[at] != '{') {
            path += form[at++];
            continue;
        }
        path += with;
        at = form.find('}', at) + 1;
    }
    return path;
}

std::string upper(std::string_view method) {
    std::string text;
    for (const char c : method) text += static_cast<char>(c - 'a' + 'A');
    return text;
}

}  // namespace

TEST_CASE("endpoints: each one, and each message of a client, says what it needs (S4-R5, D7): what does not is for who may administer") {
    for (const auto& endpoint : endpoints()) {
        CAPTURE(std::string(endpoint.id));
        CHECK(endpoint.needs != Needs::undeclared);
        // Whatever changes something asks for more than being let in.
        if (endpoint.method != "get") CHECK(std::set{Needs::publish, Needs::acknowledge, Needs::administer}.contains(endpoint.needs));
    }
    for (const auto& message : dialect_messages()) {
        CAPTURE(std::string(message.dialect) + " " + std::string(message.name));
        if (message.from == DialectMessage::From::client) CHECK(message.needs != Needs::undeclared);
    }
    Permissions none, reader, bounded, administrator;
    reader.types = 0x3f;
    reader.every_stream = true;
    bounded = reader;
    bounded.every_stream = false;
    bounded.streams = {"a"};
    administrator.administer = true;
    for (const auto& [who, met] : {std::pair(none, std::set{Needs::nothing, Needs::token}), std::pair(bounded, std::set{Needs::nothing, Needs::token, Needs::reading}),
                                   std::pair(reader, std::set{Needs::nothing, Needs::token, Needs::reading, Needs::overview}),
                                   std::pair(administrator, std::set{Needs::nothing, Needs::token, Needs::overview, Needs::administer, Needs::undeclared})})
        for (int i = 0; i <= static_cast<int>(Needs::administer); ++i) {
            CAPTURE(needs_name(static_cast<Needs>(i)));
            CHECK(who.meets(static_cast<Needs>(i)) == met.contains(static_cast<Needs>(i)));
        }
}

TEST_CASE("endpoints: a request finds the row that is meant, or is told which methods there are") {
    for (const auto& endpoint : endpoints())
        for (const char* with : {"x", "%2e%2E", "a.b-c_d", "events"}) {
            const std::string path = filled(endpoint.path, with);
            CAPTURE(path);
            const auto found = find_endpoint(upper(endpoint.method), path);
            REQUIRE(found.endpoint);
            CHECK(found.endpoint->id == endpoint.id);
            CHECK(found.allowed.find(upper(endpoint.method)) != std::string::npos);
            if (endpoint.method == "get") CHECK(find_endpoint("HEAD", path).endpoint == found.endpoint);
            CHECK_FALSE(find_endpoint("BREW", path).endpoint);
            CHECK_FALSE(find_endpoint("get", path).endpoint);  // methods are case-sensitive (RFC 9110, 9.1)
            CHECK(find_endpoint("BREW", path).allowed == found.allowed);
        }
    // Only a stream's name holds slashes, and `/events` behind it is not of the name.
    CHECK(find_endpoint("GET", "/api/v1/streams/plant/line/2").endpoint->id == "getStream");
    CHECK(find_endpoint("BREW", "/api/v1/streams/plant/events").allowed == "GET, HEAD, POST");
    CHECK(find_endpoint("GET", "/api/v1/streams/plant/line/2/events").endpoint->id == "listEvents");
    CHECK_FALSE(find_endpoint("POST", "/api/v1/streams/plant/line/2").endpoint);
    for (const char* path : {"/api/v1/windows/a/b", "/api/v1/sessions/a/b", "/api/v1/streams/", "/api/v1/windows/", "/api/v1", "/api/v1/statusx", "/api/v1/status/", "/stats/", "//stats", "", "/"}) {
        CAPTURE(path);
        const auto found = find_endpoint("GET", path);
        CHECK_FALSE(found.endpoint);
        CHECK(found.allowed.empty());
    }
}

TEST_CASE("endpoints: what is in no row of the table is no message") {
    CHECK(message_needs("analytics", "publish") == Needs::publish);
    CHECK(message_needs("analytics", "subscribe") == Needs::reading);
    CHECK(message_needs("spc", "ping") == Needs::nothing);
    for (const char* type : {"pong", "data", "Publish", "", "publish ", "acknowledge"}) CHECK_FALSE(message_needs("analytics", type));
    CHECK_FALSE(message_needs("spc", "publish"));
    CHECK_FALSE(message_needs("broadcast", "publish"));
}
