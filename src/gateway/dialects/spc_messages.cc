#include "gateway/dialects/spc_messages.h"

#include "event/json.h"
#include "event/json_path.h"

namespace weir::spc_messages {
namespace {

using Members = std::span<const std::string_view>;
constexpr std::string_view sample_members[] = {"sample_id", "characteristic_id", "timestamp", "value", "zone", "in_control"};
constexpr std::string_view violation_members[] = {"violation_id", "characteristic_id", "sample_id", "rule_id", "rule_name", "severity"};
constexpr std::string_view ack_members[] = {"violation_id", "characteristic_id", "acknowledged", "ack_user", "ack_reason"};

Members members_of(std::string_view type) {
    if (type == "sample") return sample_members;
    if (type == "violation") return violation_members;
    if (type == "ack_update") return ack_members;
    return {};
}

constexpr std::string_view own_types[] = {"sample_moved", "violation_withdrawn", "collection_missed", "collection_resumed", "characteristic", "capability", "gathering"};
bool is_own_type(std::string_view type) { return std::find(std::begin(own_types), std::end(own_types), type) != std::end(own_types); }

void append_ids(JsonWriter& json, std::span<const std::uint64_t> ids) {
    json.name("characteristic_ids").array();
    for (const auto id : ids) json.value(id);
    json.end();
}

}  // namespace

bool is_spc_type(std::string_view type) { return type == "sample" || type == "violation" || type == "ack_update" || is_own_type(type); }

std::optional<std::uint64_t> characteristic_id(std::string_view data) {
    static const JsonPath path(*JsonPointer::parse("/characteristic_id"));
    const auto number = path.number(data);
    if (!number || *number < 0 || *number >= 0x1p53 || *number != std::floor(*number)) return std::nullopt;
    return static_cast<std::uint64_t>(*number);
}

void append_event(std::string& out, const EventPosition& position, const EventView& event) {
    if (is_own_type(event.type)) {
        JsonWriter json(out);
        json.object().member("type", event.type).name("payload").raw(event.data);
        json.name("metadata").object().member("stream", position.stream).member("seq", position.seq.value).member("epoch", to_text(position.epoch)).end().end();
        return;
    }
    const auto data = Json::parse(event.data);
    const Json nothing = Json::object();
    const Json& from = data.ok() ? *data : nothing;
    const Members members = members_of(event.type);
    std::string value;
    JsonWriter json(out);
    json.object().member("type", event.type).name("payload").object();
    for (const auto member : members) {
        if (const Json* found = from.find(member)) {
            value.clear();
            found->print(value);
            json.name(member).raw(value);
        } else if (member == "timestamp") {
            json.member(member, to_rfc3339_short(event.time));
        } else {
            json.name(member).null();
        }
    }
    json.end();
    bool details = false;
    for (const auto& [name, found] : from.members()) {
        if (std::find(members.begin(), members.end(), name) != members.end()) continue;
        if (!details) json.name("details").object();
        details = true;
        value.clear();
        found.print(value);
        json.name(name).raw(value);
    }
    if (details) json.end();
    json.name("metadata").object().member("stream", position.stream).member("seq", position.seq.value).member("epoch", to_text(position.epoch)).end();
    json.end();
}

void append_pong(std::string& out) { out += R"({"type":"pong"})"; }

void append_auth_success(std::string& out, std::string_view client_id) {
    JsonWriter json(out);
    json.object().member("type", "auth_success").member("client_id", client_id).end();
}

namespace {

void append_confirmation(std::string& out, std::string_view type, std::span<const std::uint64_t> ids, std::span<const std::string> groups) {
    JsonWriter json(out);
    append_ids(json.object().member("type", type), ids);
    if (!groups.empty()) {
        json.name("groups").array();
        for (const auto& group : groups) json.value(group);
        json.end();
    }
    json.end();
}

}  // namespace

void append_subscribed(std::string& out, std::span<const std::uint64_t> ids, std::span<const std::string> groups) {
    append_confirmation(out, "subscribed", ids, groups);
}

void append_unsubscribed(std::string& out, std::span<const std::uint64_t> ids, std::span<const std::string> groups) {
    append_confirmation(out, "unsubscribed", ids, groups);
}

void append_resume_token(std::string& out, std::string_view token) {
    JsonWriter(out).object().member("type", "resume_token").member("token", token).end();
}

void append_resumed(std::string& out, std::span<const std::uint64_t> ids, std::span<const std::string> groups) {
    append_confirmation(out, "resumed", ids, groups);
}

void append_error(std::string& out, GatewayError error, std::string_view detail, std::span<const std::uint64_t> ids,
                  std::optional<std::int64_t> retry_after_ms) {
    JsonWriter json(out);
    json.object().member("type", "error").member("message", row(error).text).member("code", row(error).code);
    if (!detail.empty()) json.member("detail", detail);
    if (!ids.empty()) append_ids(json, ids);
    if (retry_after_ms) json.member("retry_after_ms", *retry_after_ms);
    json.end();
}

void append_notice(std::string& out, const EventView& event) {
    JsonWriter(out).object().member("type", "notice").name("payload").raw(event.data).end();
}

void append_gap(std::string& out, std::string_view stream, Epoch epoch, std::optional<Seq> from, std::optional<Seq> to, std::string_view reason) {
    JsonWriter json(out);
    const auto seq = [](const std::optional<Seq>& s) { return s ? std::optional<std::uint64_t>(s->value) : std::nullopt; };
    json.object().member("type", "gap").member("stream", stream).member("epoch", to_text(epoch));
    json.member("from_seq", seq(from)).member("to_seq", seq(to)).member("reason", reason).end();
}

}  // namespace weir::spc_messages
