#include "stores/webhook_alert.h"

#include <algorithm>

#include "event/json.h"

namespace weir {
namespace {

constexpr const char* not_ended = "0001-01-01T00:00:00Z";

using Texts = std::map<std::string, std::string>;

std::string text_member(const Json& data, std::string_view name) { return std::string(data.find_string(name).value_or("")); }

bool is_set(const Json& data, std::string_view name) {
    const Json* found = data.find(name);
    return found && !found->is_null();
}

void write(JsonWriter& json, std::string_view name, const Texts& texts) {
    json.name(name).object();
    for (const auto& [key, value] : texts) json.member(key, value);
    json.end();
}

/// What is the same in all.
Texts common(std::span<const WebhookAlert* const> alerts, Texts WebhookAlert::*texts) {
    Texts same = alerts.front()->*texts;
    for (const WebhookAlert* alert : alerts)
        std::erase_if(same, [&](const auto& entry) {
            const auto found = (alert->*texts).find(entry.first);
            return found == (alert->*texts).end() || found->second != entry.second;
        });
    return same;
}

AlertNews news_of(const Json& data) {
    const std::string state = text_member(data, "state"), change = text_member(data, "change");
    const bool shelved = is_set(data, "shelved_until") && change != "unshelved";
    if (change == "resolved" && state == "resolved") return shelved ? AlertNews::resolved_while_shelved : AlertNews::resolved;
    const bool rings = change == "firing" || change == "escalated" || change == "unshelved";
    return rings && state == "firing" && !shelved ? AlertNews::firing : AlertNews::none;
}

}  // namespace

Result<ReadAlert> read_alert(std::string_view text) {
    WEIR_TRY(const Json data, Json::parse(text, Json::own_levels_max));
    for (const char* name : {"id", "rule", "state", "change"})
        if (text_member(data, name).empty()) return Error{"bad_alert", std::string("/") + name + " is missing, or no text; expected an alert (docs/webhooks.md)"};
    ReadAlert read;
    read.news = news_of(data);
    WebhookAlert& alert = read.alert;
    alert.id = text_member(data, "id");
    alert.rule = text_member(data, "rule");
    alert.firing = text_member(data, "state") != "resolved";
    if (const Json* labels = data.find("labels"))
        for (const auto& [name, value] : labels->members()) alert.labels[name] = value.is_string() ? value.as_string() : value.text();
    // A label of the rule does not hide what the alert is.
    alert.labels["alertname"] = alert.rule;
    for (const char* name : {"severity", "stream", "key"})
        if (auto value = text_member(data, name); !value.empty()) alert.labels[name] = std::move(value);
    if (auto title = text_member(data, "title"); !title.empty()) alert.annotations["summary"] = std::move(title);
    if (auto message = text_member(data, "message"); !message.empty()) alert.annotations["description"] = std::move(message);
    alert.starts = text_member(data, "triggered_at");
    if (alert.starts.empty()) alert.starts = text_member(data, "pending_at");
    if (alert.starts.empty()) alert.starts = not_ended;
    if (!alert.firing) alert.ends = text_member(data, "resolved_at");
    if (alert.ends.empty()) alert.ends = not_ended;
    return read;
}

std::string alert_json(const WebhookAlert& alert) {
    std::string text;
    JsonWriter json(text);
    json.object().member("status", alert.firing ? "firing" : "resolved");
    write(json, "labels", alert.labels);
    write(json, "annotations", alert.annotations);
    json.member("startsAt", alert.starts).member("endsAt", alert.ends).member("generatorURL", "").member("fingerprint", alert.id).end();
    return text;
}

AlertEnvelope alert_envelope(const std::string& receiver, std::span<const WebhookAlert* const> alerts) {
    const std::string& rule = alerts.front()->rule;
    std::string group = "{}:{alertname=";
    append_json_string(group, rule);
    group += "}";
    AlertEnvelope envelope;
    JsonWriter json(envelope.before);
    json.object().member("version", "4").member("groupKey", group).member("truncatedAlerts", 0);
    const bool fires = std::any_of(alerts.begin(), alerts.end(), [](const WebhookAlert* alert) { return alert->firing; });
    json.member("status", fires ? "firing" : "resolved").member("receiver", receiver);
    write(json, "groupLabels", {{"alertname", rule}});
    write(json, "commonLabels", common(alerts, &WebhookAlert::labels));
    write(json, "commonAnnotations", common(alerts, &WebhookAlert::annotations));
    json.member("externalURL", "").name("alerts").array();
    envelope.behind = "]}";
    return envelope;
}

}  // namespace weir
