#include "gateway/dialects/analytics_messages.h"

#include "event/json.h"
#include "event/json_path.h"

namespace weir {
namespace {

constexpr std::string_view names[] = {"events", "aggregations", "alerts", "predictions", "metrics", "system_status"};
constexpr std::string_view members[] = {"event", "aggregation", "alert", "prediction", "metric", "status"};

/// `data.user_id` as it is written, or null where there is none (decision 20).
std::string_view user_id(std::string_view data) {
    static const JsonPath path(*JsonPointer::parse("/user_id"));
    // Nearly all events of a feed have none: looking for the bytes is several times cheaper than walking the members.
    if (data.find("user_id") == std::string_view::npos && data.find('\\') == std::string_view::npos) return "null";
    return path.find(data).value_or("null");
}

void append_text(std::string& out, std::string_view before, std::string_view text) {
    out += before;
    append_json_string(out, text);
}

void append_position(std::string& out, const EventPosition& position, std::string_view key) {
    append_text(out, R"("metadata":{"stream":)", position.stream);
    out += ",\"seq\":";
    out += std::to_string(position.seq.value);
    out += ",\"epoch\":\"";
    out += to_text(position.epoch);
    out += '"';
    if (!key.empty()) append_text(out, ",\"key\":", key);
    out += '}';
}

}  // namespace

std::string_view subscription_type_name(StreamType type) { return names[static_cast<std::size_t>(type)]; }

std::optional<StreamType> subscription_type(std::string_view name) {
    for (std::size_t i = 0; i < std::size(names); ++i)
        if (names[i] == name) return static_cast<StreamType>(i);
    return std::nullopt;
}

namespace analytics_messages {

void append_data_head(std::string& out, std::string_view subscription_id) {
    append_text(out, R"({"subscription_id":)", subscription_id);
    out += ',';
}

void append_data_rest(std::string& out, StreamType type, const EventPosition& position, const EventView& event) {
    out += R"("type":"data","data":{")";
    out += members[static_cast<std::size_t>(type)];
    out += "\":";
    if (type == StreamType::data) {
        append_text(out, R"({"event_id":)", event.id);
        append_text(out, ",\"event_type\":", event.type);
        out += ",\"user_id\":";
        out += user_id(event.data);
        out += ",\"timestamp\":\"";
        out += to_rfc3339_short(event.time);  // as source 004 shows it; its envelope has milliseconds (decision 11)
        out += "\",\"payload\":";
        out += event.data;
        out += '}';
    } else {
        out += event.data;
    }
    out += R"(,"subscription_type":")";
    out += names[static_cast<std::size_t>(type)];
    out += "\"},\"timestamp\":\"";
    append_rfc3339(out, event.ingested);
    out += "\",";
    append_position(out, position, event.key);
    out += '}';
}

void append_pong(std::string& out) { out += R"({"type":"pong"})"; }

void append_auth_success(std::string& out, std::string_view client_id) {
    append_text(out, R"({"type":"auth_success","data":{"client_id":)", client_id);
    out += "}}";
}

void append_auth_failed(std::string& out) {
    const auto& r = row(GatewayError::auth_failed);
    append_text(out, R"({"type":"auth_failed","data":{"error":)", r.text);
    append_text(out, ",\"code\":", r.code);
    out += "}}";
}

void append_error(std::string& out, GatewayError error, const ErrorDetail& detail) {
    const auto& r = row(error);
    JsonWriter json(out);
    json.object().member("type", "error").name("data").object().member("error", r.text).member("code", r.code);
    if (!detail.detail.empty()) json.member("detail", detail.detail);
    if (detail.retry_after_ms) json.member("retry_after_ms", *detail.retry_after_ms);
    json.end();
    if (!detail.subscription_id.empty()) json.member("subscription_id", detail.subscription_id);
    if (!detail.metadata.empty()) json.name("metadata").raw(detail.metadata);
    json.end();
}

void append_resume_token(std::string& out, std::string_view token) {
    JsonWriter(out).object().member("type", "resume_token").name("data").object().member("token", token).end().end();
}

void append_resumed(std::string& out, const Resumed& resumed) {
    JsonWriter json(out);
    json.object().member("type", "resumed").name("data").object().name("subscriptions").array();
    // The data of each one's `subscribed`.
    for (const auto& text : resumed.subscribed) json.raw(Json::parse(text)->find("data")->text());
    json.end().name("refused").array();
    for (const auto& refused : resumed.refused) {
        const auto& r = row(refused.error);
        json.object().member("subscription_id", refused.subscription_id).member("error", r.text).member("code", r.code).member("detail", refused.detail).end();
    }
    json.end().end().end();
}

void append_published(std::string& out, std::string_view stream, std::string_view answer, std::string_view metadata) {
    JsonWriter json(out);
    std::string data = "{\"stream\":";
    append_json_string(data, stream);
    data += ',';
    data += answer.substr(1);
    json.object().member("type", "published").name("data").raw(data);
    if (!metadata.empty()) json.name("metadata").raw(metadata);
    json.end();
}

void append_subscribed(std::string& out, const Subscribed& subscribed) {
    JsonWriter json(out);
    json.object().member("type", "subscribed").name("data").object();
    json.member("subscription_id", subscribed.subscription_id).member("type", subscription_type_name(subscribed.type));
    json.name("filters").raw(subscribed.filters);
    json.name("streams").object();
    for (const auto& stream : subscribed.streams)
        json.name(stream.stream).object().member("epoch", to_text(stream.epoch)).member("seq", stream.head.value).end();
    json.end();
    if (!subscribed.delivery.empty()) json.name("delivery").raw(subscribed.delivery);
    if (!subscribed.group.empty()) json.member("group", subscribed.group).member("ack", subscribed.acknowledged);
    if (!subscribed.producer) json.member("producer", "none");
    json.end().member("subscription_id", subscribed.subscription_id).end();
}

void append_updated(std::string& out, std::string_view subscription_id, std::string_view delivery) {
    JsonWriter json(out);
    json.object().member("type", "updated").name("data").object().member("subscription_id", subscription_id).name("delivery").raw(delivery).end();
    json.member("subscription_id", subscription_id).end();
}

void append_unsubscribed(std::string& out, std::string_view subscription_id) {
    JsonWriter json(out);
    json.object().member("type", "unsubscribed").name("data").object().member("subscription_id", subscription_id).end();
    json.member("subscription_id", subscription_id).end();
}

void append_notice(std::string& out, const EventPosition& position, const EventView& event) {
    out += R"({"type":"notice","data":)";
    out += event.data;
    out += ",\"timestamp\":\"";
    append_rfc3339(out, event.ingested);
    out += "\",";
    append_position(out, position, {});
    out += '}';
}

void append_gap(std::string& out, const Gap& gap) {
    JsonWriter json(out);
    json.object().member("type", "gap").name("data").object().member("stream", gap.stream).member("epoch", to_text(gap.epoch));
    auto seq = [](const std::optional<Seq>& s) { return s ? std::optional<std::uint64_t>(s->value) : std::nullopt; };
    json.member("from_seq", seq(gap.from)).member("to_seq", seq(gap.to)).member("reason", gap.reason).end();
    json.member("subscription_id", gap.subscription_id).end();
}

}  // namespace analytics_messages
}  // namespace weir
