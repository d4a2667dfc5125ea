// Each dialect's messages against its source document: the JSON texts below are those documents' own examples.
#include <doctest/doctest.h>

#include <set>

#include "event/json.h"
#include "gateway/dialects/analytics_messages.h"
#include "gateway/dialects/broadcast_messages.h"
#include "gateway/dialects/spc_messages.h"

using namespace weir;

namespace {

Json parsed(const std::string& text) {
    auto json = Json::parse(text);
    REQUIRE_MESSAGE(json.ok(), text);
    return *json;
}

EventView event(std::string_view type, std::string_view data) {
    EventView e;
    e.id = "evt_123";
    e.type = type;
    e.source = "push";
    e.data = data;
    e.time = "2024-01-01T00:00:00Z"_utc;
    e.ingested = "2024-01-01T00:00:00.250Z"_utc;
    return e;
}
const EventPosition at{"events", Epoch{0xabc}, Seq{7}};

std::string data_message(StreamType type, const EventView& e, std::string_view id = "sub_789") {
    std::string text;
    analytics_messages::append_data_head(text, id);
    analytics_messages::append_data_rest(text, type, at, e);
    return text;
}

template <class Append>
std::string text_of(const Append& append) {
    std::string text;
    append(text);
    return text;
}

}  // namespace

TEST_CASE("errors: each row stands at its place, with a code of its own, and no close without a reason to give") {
    std::set<std::string_view> codes;
    for (const auto& r : gateway_errors()) {
        CHECK(&row(r.error) == &r);
        CHECK(codes.insert(r.code).second);
        CHECK(!r.text.empty());
        CHECK(!r.doc.empty());
        CHECK(r.text.size() <= 123);  // fits into a close frame
    }
    CHECK(codes.size() == static_cast<std::size_t>(GatewayError::count));
    CHECK(row(GatewayError::rate_limited).text == "Rate limit exceeded");
    CHECK(row(GatewayError::unknown_message_type).text == "Unknown message type");
    CHECK(row(GatewayError::auth_failed).text == "Invalid credentials");
    CHECK(row(GatewayError::auth_timeout).close_code == 1008);
    CHECK(row(GatewayError::origin_not_allowed).close_code == 1008);
    CHECK(row(GatewayError::at_capacity).close_code == 1013);
}

TEST_CASE("analytics: a data message is source 004's, with timestamp and position (S4-10, spec.md 5)") {
    const Json message = parsed(data_message(StreamType::data, event("user_action", R"({"user_id":"user_456","x":[1,{"y":"\u00e9"}]})")));
    Json expected = parsed(R"({"type":"data","data":{"event":{"event_id":"evt_123","event_type":"user_action","user_id":"user_456",
        "timestamp":"2024-01-01T00:00:00Z","payload":{"user_id":"user_456","x":[1,{"y":"é"}]}},"subscription_type":"events"},"subscription_id":"sub_789"})");
    REQUIRE(message.find("data"));
    CHECK(message.find("data")->text() == expected.find("data")->text());
    CHECK(message.find_string("type") == "data");
    CHECK(message.find_string("subscription_id") == "sub_789");
    CHECK(message.find_string("timestamp") == "2024-01-01T00:00:00.250Z");
    CHECK(message.find("metadata")->text() == R"({"stream":"events","seq":7,"epoch":"0000000000000abc"})");
}

TEST_CASE("analytics: an event without user_id says null, one with a number or an escaped name says that") {
    auto user = [&](const char* data) { return parsed(data_message(StreamType::data, event("a", data))).find("data")->find("event")->find("user_id")->text(); };
    CHECK(user(R"({"x":1})") == "null");
    CHECK(user(R"({"x":"user_id"})") == "null");
    CHECK(user(R"({"x":{"user_id":5}})") == "null");
    CHECK(user(R"({"user_id":5})") == "5");
    CHECK(user(R"({"user\u005fid":"u"})") == "\"u\"");
    CHECK(user(R"({"user_id":null})") == "null");
}

TEST_CASE("analytics: the other five types carry their data under their own name") {
    const std::pair<StreamType, const char*> names[] = {{StreamType::metrics, "metric"},
                                                        {StreamType::alerts, "alert"},
                                                        {StreamType::predictions, "prediction"},
                                                        {StreamType::aggregations, "aggregation"},
                                                        {StreamType::system_status, "status"}};
    for (const auto& [type, member] : names) {
        const Json message = parsed(data_message(type, event("window", R"({"count":0})")));
        CHECK(message.find("data")->find(member)->text() == R"({"count":0})");
        CHECK(message.find("data")->find_string("subscription_type") == subscription_type_name(type));
        CHECK(subscription_type(subscription_type_name(type)) == type);
    }
    CHECK_FALSE(subscription_type("event"));
}

TEST_CASE("analytics: small messages are the source's, word for word (S4-4, S4-8, S4-11 to S4-13)") {
    using namespace analytics_messages;
    CHECK(text_of([](auto& out) { append_pong(out); }) == R"({"type":"pong"})");
    CHECK(text_of([](auto& out) { append_auth_success(out, "client-uuid"); }) == R"({"type":"auth_success","data":{"client_id":"client-uuid"}})");
    CHECK(parsed(text_of([](auto& out) { append_auth_failed(out); })).find("data")->find_string("error") == "Invalid credentials");
    const Json error = parsed(text_of([](auto& out) { append_error(out, GatewayError::rate_limited, {.retry_after_ms = 1000}); }));
    CHECK(error.find("data")->text() == R"({"error":"Rate limit exceeded","code":"rate_limited","retry_after_ms":1000})");
    CHECK(parsed(text_of([](auto& out) { append_unsubscribed(out, "sub_1"); })).find("data")->find_string("subscription_id") == "sub_1");
    const Json gap = parsed(text_of([](auto& out) {
        append_gap(out, {.subscription_id = "sub_1", .stream = "s", .epoch = {1}, .from = Seq{3}, .to = Seq{9}, .reason = "retention"});
    }));
    CHECK(gap.find("data")->find("from_seq")->as_integer() == 3);
    CHECK(gap.find("data")->find("to_seq")->as_integer() == 9);
}

TEST_CASE("broadcast: the welcome is exactly that of source 002's server (S2-R1)") {
    CHECK(text_of([](auto& out) { broadcast_messages::append_welcome(out, {}, Seq{184}); }) ==
          R"({"type":"welcome","message":"Connected to real-time user stream","total_users_streamed":184,"stream_rate":"1 user/second"})");
}

TEST_CASE("broadcast: a record is the data as it came, with sequence and time behind it, and no type of its own") {
    auto record = [&](const char* data) { return text_of([&](auto& out) { broadcast_messages::append_record(out, Seq{5}, event("user", data)); }); };
    CHECK(record(R"({"name":{"first":"Ana"},"n": 1.50})") ==
          R"({"name":{"first":"Ana"},"n": 1.50,"stream_sequence":5,"server_timestamp":"2024-01-01T00:00:00.250Z"})");
    CHECK(record("{}") == R"({"stream_sequence":5,"server_timestamp":"2024-01-01T00:00:00.250Z"})");
    CHECK(record("{ } ") == R"({"stream_sequence":5,"server_timestamp":"2024-01-01T00:00:00.250Z"})");
}

TEST_CASE("broadcast: a record that was one of a broadcast before has this one's sequence and time, and no member twice") {
    auto record = [&](const char* data) { return text_of([&](auto& out) { broadcast_messages::append_record(out, Seq{5}, event("user", data)); }); };
    constexpr const char* added = R"("stream_sequence":5,"server_timestamp":"2024-01-01T00:00:00.250Z"})";
    CHECK(record(R"({"n":1.50,"stream_sequence":99,"server_timestamp":"x"})") == std::string(R"({"n":1.50,)") + added);
    CHECK(record(R"({"stream_sequence":1})") == std::string("{") + added);
    CHECK(record(R"({"stream\u005fsequence":1,"n":2})") == std::string(R"({"n":2,)") + added);
    // Deeper, or as a value, they are the record's own.
    CHECK(record(R"({"a":{"stream_sequence":1},"b":"server_timestamp"})") == std::string(R"({"a":{"stream_sequence":1},"b":"server_timestamp",)") + added);
}

TEST_CASE("spc: payloads hold exactly the source's members, additions stand beside them (S3-15 to S3-19)") {
    auto message = [&](const char* type, const char* data) {
        return parsed(text_of([&](auto& out) { spc_messages::append_event(out, at, event(type, data)); }));
    };
    const char* sample = R"({"sample_id":123,"characteristic_id":1,"timestamp":"2026-02-02T12:00:00Z","value":10.5,"zone":"zone_c_upper","in_control":true})";
    CHECK(message("sample", sample).find("payload")->text() == sample);
    CHECK_FALSE(message("sample", sample).find("details"));
    const char* violation =
        R"({"violation_id":456,"characteristic_id":1,"sample_id":123,"rule_id":1,"rule_name":"One point beyond 3 sigma","severity":"CRITICAL"})";
    CHECK(message("violation", violation).find("payload")->text() == violation);
    const char* ack = R"({"violation_id":456,"characteristic_id":1,"acknowledged":true,"ack_user":"operator1","ack_reason":"Process adjusted"})";
    CHECK(message("ack_update", ack).find("payload")->text() == ack);

    const Json more = message("sample", R"({"limits":{"ucl":12},"value":0,"characteristic_id":2,"sample_id":9})");
    CHECK(more.find("payload")->text() ==
          R"({"sample_id":9,"characteristic_id":2,"timestamp":"2024-01-01T00:00:00Z","value":0,"zone":null,"in_control":null})");
    CHECK(more.find("details")->text() == R"({"limits":{"ucl":12}})");
    CHECK(more.find_string("type") == "sample");
}

TEST_CASE("spc: confirmations echo the ids, an error has its message at the top (S3-R1, S3-R2, C-25)") {
    const std::uint64_t ids[] = {1, 2, 3};
    CHECK(text_of([&](auto& out) { spc_messages::append_subscribed(out, ids); }) == R"({"type":"subscribed","characteristic_ids":[1,2,3]})");
    CHECK(text_of([&](auto& out) { spc_messages::append_unsubscribed(out, std::span(ids, 1)); }) == R"({"type":"unsubscribed","characteristic_ids":[1]})");
    CHECK(text_of([&](auto& out) { spc_messages::append_error(out, GatewayError::unknown_message_type); }) ==
          R"({"type":"error","message":"Unknown message type","code":"unknown_message_type"})");
    CHECK(text_of([&](auto& out) { spc_messages::append_pong(out); }) == R"({"type":"pong"})");
}

TEST_CASE("spc: an id is an integer below 2^53, of any spelling") {
    CHECK(spc_messages::characteristic_id(R"({"characteristic_id":0})") == 0);
    CHECK(spc_messages::characteristic_id(R"({"a":1,"characteristic_id":9007199254740991})") == 9007199254740991);
    CHECK(spc_messages::characteristic_id(R"({"characteristic_id":5.0})") == 5);
    CHECK_FALSE(spc_messages::characteristic_id(R"({"characteristic_id":9007199254740992})"));
    CHECK_FALSE(spc_messages::characteristic_id(R"({"characteristic_id":-1})"));
    CHECK_FALSE(spc_messages::characteristic_id(R"({"characteristic_id":"1"})"));
    CHECK_FALSE(spc_messages::characteristic_id(R"({"characteristic_id":1.5})"));
    CHECK_FALSE(spc_messages::characteristic_id("{}"));
}
