#include "processors/alert_rule.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "event/event.h"

namespace weir {
namespace {

Error wrong(std::string_view member, const Json* found, std::string_view allowed) {
    return {"bad_rule", "`" + std::string(member) + "` is " + (found ? found->text().substr(0, 100) : std::string("missing")) + "; allowed: " + std::string(allowed)};
}

/// Reads members one after the other; the first mistake stays.
class Members {
public:
    explicit Members(const Json& json) : json_(json) {}

    void text(const char* name, std::string& out) {
        if (const Json* found = at(name)) found->is_string() ? void(out = found->as_string()) : fail(name, found, "a text");
    }
    void number(const char* name, std::optional<double>& out) {
        if (const Json* found = at(name)) found->is_number() && std::isfinite(found->as_double()) ? void(out = found->as_double()) : fail(name, found, "a finite number");
    }
    void flag(const char* name, bool& out) {
        if (const Json* found = at(name)) found->is_boolean() ? void(out = found->as_boolean()) : fail(name, found, "true or false");
    }
    void count(const char* name, std::uint32_t& out) {
        const Json* found = at(name);
        if (!found) return;
        const auto value = found->as_integer();
        if (value && *value >= 1 && *value <= 1'000'000) out = static_cast<std::uint32_t>(*value);
        else fail(name, found, "a whole number from 1 to 1000000");
    }
    void duration(const char* name, Duration& out) {
        const Json* found = at(name);
        if (!found) return;
        const auto value = found->is_string() ? parse_duration(found->as_string()) : std::nullopt;
        if (value && *value >= Duration(0)) out = *value;
        else fail(name, found, "a duration such as 30s");
    }
    template <class E>
    void word(const char* name, E& out, std::span<const std::string_view> words) {
        const Json* found = at(name);
        if (!found) return;
        const auto known = found->is_string() ? std::find(words.begin(), words.end(), found->as_string()) : words.end();
        if (known != words.end()) return void(out = static_cast<E>(known - words.begin()));
        std::string allowed;
        for (const auto word : words) allowed.append(allowed.empty() ? "" : ", ").append(word);
        fail(name, found, allowed);
    }
    void texts(const char* name, std::vector<std::string>& out) {
        const Json* found = at(name);
        if (!found) return;
        if (!found->is_array()) return fail(name, found, "a list of texts");
        for (const Json& item : found->items()) {
            if (!item.is_string()) return fail(name, found, "a list of texts");
            out.push_back(item.as_string());
        }
    }
    void labels(const char* name, std::map<std::string, std::string>& out) {
        const Json* found = at(name);
        if (!found) return;
        if (!found->is_object()) return fail(name, found, "an object of texts");
        for (const auto& [label, value] : found->members()) {
            if (!value.is_string()) return fail(name, found, "an object of texts");
            out[label] = value.as_string();
        }
    }
    void fail(std::string_view name, const Json* found, std::string_view allowed) {
        if (!error_) error_ = wrong(name, found, allowed);
    }
    const std::optional<Error>& error() const { return error_; }

private:
    const Json* at(const char* name) const {
        const Json* found = json_.find(name);
        return found && !found->is_null() ? found : nullptr;
    }

    const Json& json_;
    std::optional<Error> error_;
};

}  // namespace

Json AlertRule::json_of(const std::string& name, const AlertOptions& o, const std::vector<std::string>& values) {
    Json json = Json::object();
    const auto text = [&](const char* member, std::string_view value) {
        if (!value.empty()) json.set(member, Json::string(std::string(value)));
    };
    const auto number = [&](const char* member, const std::optional<double>& value) {
        if (value) json.set(member, Json::number(*value));
    };
    const auto duration = [&](const char* member, Duration value) {
        if (value > Duration(0)) json.set(member, Json::string(to_text(value)));
    };
    const auto texts = [&](const char* member, const std::vector<std::string>& list) {
        std::vector<Json> items;
        for (const auto& item : list) items.push_back(Json::string(item));
        if (!items.empty()) json.set(member, Json::array(std::move(items)));
    };
    const bool is_number = o.kind == AlertKind::threshold || o.kind == AlertKind::rate;
    text("name", name);
    text("kind", alert_kinds[static_cast<std::size_t>(o.kind)]);
    text("stream", o.stream);
    texts("keys", o.keys);
    json.set("per_key", Json::boolean(o.per_key));
    if (is_number) {
        texts("values", values);
        text("condition", alert_conditions[static_cast<std::size_t>(o.condition)]);
        number("level", o.level);
        number("clear", o.clear);
        json.set("count", Json::integer(o.count));
    }
    if (o.kind == AlertKind::rate) duration("over", o.over), duration("per", o.per);
    if (o.kind == AlertKind::violation) text("from_severity", alert_severities[static_cast<std::size_t>(o.from_severity)]);
    duration("for", o.holds);
    duration("resolve_after", o.resolve_after);
    duration("refire_after", o.refire_after);
    text("severity", alert_severities[static_cast<std::size_t>(o.severity)]);
    if (o.escalate_after > Duration(0)) {
        duration("escalate_after", o.escalate_after);
        text("escalate_to", alert_severities[static_cast<std::size_t>(o.escalate_to)]);
    }
    text("title", o.title);
    if (!o.labels.empty()) {
        Json labels = Json::object();
        for (const auto& [label, value] : o.labels) labels.set(label, Json::string(value));
        json.set("labels", std::move(labels));
    }
    if (o.tell_pending) json.set("tell_pending", Json::boolean(true));
    return json;
}

Result<AlertRule> AlertRule::parse(const Json& json) {
    if (!json.is_object()) return wrong("rule", &json, "an object");
    AlertRule rule;
    AlertOptions& o = rule.options;
    std::vector<std::string> values;
    Members read(json);
    read.text("name", rule.name);
    read.word("kind", o.kind, alert_kinds);
    read.text("stream", o.stream);
    read.texts("keys", o.keys);
    read.flag("per_key", o.per_key);
    read.texts("values", values);
    read.word("condition", o.condition, alert_conditions);
    read.number("level", o.level);
    read.number("clear", o.clear);
    read.count("count", o.count);
    read.duration("over", o.over);
    read.duration("per", o.per);
    read.word("from_severity", o.from_severity, alert_severities);
    read.duration("for", o.holds);
    read.duration("resolve_after", o.resolve_after);
    read.duration("refire_after", o.refire_after);
    read.word("severity", o.severity, alert_severities);
    read.duration("escalate_after", o.escalate_after);
    read.word("escalate_to", o.escalate_to, alert_severities);
    read.text("title", o.title);
    read.labels("labels", o.labels);
    read.flag("tell_pending", o.tell_pending);
    const bool is_number = o.kind == AlertKind::threshold || o.kind == AlertKind::rate;
    const bool has_sides = o.condition == AlertCondition::above || o.condition == AlertCondition::below;
    // A name is part of keys and of state.
    if (rule.name.empty() || rule.name.size() > 64 || rule.name.find('/') != std::string::npos) read.fail("name", json.find("name"), "1 to 64 bytes without a slash");
    if (!is_stream_name(o.stream)) read.fail("stream", json.find("stream"), "a stream's name");
    if (is_number && !o.level) read.fail("level", nullptr, "a finite number");
    if (is_number && values.empty()) read.fail("values", json.find("values"), "at least one JSON Pointer");
    if (is_number && o.clear && o.level && (!has_sides || (o.condition == AlertCondition::above ? *o.clear > *o.level : *o.clear < *o.level)))
        read.fail("clear", json.find("clear"), "a level on the good side of `level`, with above or below");
    if (o.kind == AlertKind::rate && (o.over == Duration(0) || o.per == Duration(0))) read.fail("over", json.find("over"), "a duration above 0, as `per`");
    if (o.kind == AlertKind::silence && o.holds == Duration(0)) read.fail("for", json.find("for"), "a duration above 0");
    if (read.error()) return *read.error();
    for (const auto& pointer : values) {
        WEIR_TRY(auto path, JsonPath::parse(pointer));
        rule.values.push_back(std::move(path));
    }
    std::sort(o.keys.begin(), o.keys.end());
    rule.title = Label(o.title);
    rule.text = json.text();
    return rule;
}

bool AlertRule::wants(std::string_view key) const {
    return options.keys.empty() || std::binary_search(options.keys.begin(), options.keys.end(), key, std::less<>());
}

}  // namespace weir
