#include "processors/alert_documents.h"

#include "event/json.h"

namespace weir::alert_documents {
namespace {

std::string text_of(double value) {
    std::string text;
    append_json_number(text, value);
    return text;
}

template <class E>
std::string_view word(E value, const std::string_view* words) {
    return words[static_cast<std::size_t>(value)];
}

}  // namespace

void alert(std::string& out, const AlertRule& rule, const Alert& alert, AlertChange change, Timestamp at) {
    const AlertOptions& o = rule.options;
    const Alert::Subject& subject = alert.subject;
    const bool is_number = o.kind == AlertKind::threshold || o.kind == AlertKind::rate;
    const auto& ack = alert.acknowledged();
    const auto& shelf = alert.shelf();
    out.clear();
    JsonWriter json(out);
    json.object().member("id", alert.id()).member("rule", rule.name).member("name", rule.name).member("title", subject.title);
    json.member("severity", word(alert.severity(rule), alert_severities)).member("state", alert.state()).member("change", to_text(change));
    json.member("stream", o.stream).member("key", subject.key);
    json.member("metric", is_number ? std::string_view(rule.values.front().pointer().text()) : std::string_view());
    json.member("kind", word(o.kind, alert_kinds)).name("condition");
    if (is_number) json.value(word(o.condition, alert_conditions));
    else json.null();
    json.member("threshold", o.level).member("clear", is_number ? std::optional(rule.clear()) : std::nullopt);
    json.member("value", subject.value).member("message", subject.message);
    json.member("pending_at", alert.pending_at()).member("triggered_at", alert.triggered_at()).member("resolved_at", alert.resolved_at());
    const Timestamp until = alert.resolved_at().value_or(at);
    json.member("duration_seconds", alert.triggered_at() && until > *alert.triggered_at() ? static_cast<double>((until - *alert.triggered_at()).count()) / 1e6 : 0.0);
    json.member("acknowledged", ack.has_value());
    const auto text = [&](const char* name, const std::string* value) {
        json.name(name);
        if (value && !value->empty()) json.value(*value);
        else json.null();
    };
    text("ack_user", ack ? &ack->user : nullptr);
    if (ack && !ack->on_behalf_of.empty()) json.member("ack_on_behalf_of", ack->on_behalf_of);
    text("ack_reason", ack ? &ack->reason : nullptr);
    text("ack_reason_code", ack ? &ack->code : nullptr);
    json.member("acknowledged_at", ack ? std::optional(ack->time) : std::nullopt);
    json.member("shelved_until", shelf ? std::optional(shelf->until) : std::nullopt);
    text("shelved_by", shelf ? &shelf->user : nullptr);
    text("shelf_reason", shelf ? &shelf->reason : nullptr);
    json.name("labels").object();
    for (const auto& [label, value] : o.labels) json.member(label, value);
    json.end().name("cause");
    if (subject.seq > 0) json.object().member("stream", subject.stream).member("epoch", subject.epoch).member("seq", subject.seq).end();
    else json.null();
    json.end();
}

std::string message(const AlertRule& rule, const AlertSignal& signal) {
    const AlertOptions& o = rule.options;
    const auto& value = signal.value();
    switch (o.kind) {
        case AlertKind::threshold:
        case AlertKind::rate: {
            constexpr std::string_view stands[] = {"above", "below", "equal to", "not equal to"};
            if (!value) return {};
            const std::string number = text_of(*value), level = text_of(o.level.value_or(0)), stand(word(o.condition, stands));
            const std::string now = o.kind == AlertKind::rate ? "a change of " + number + " in " + to_text(o.per) : number;
            if (!signal.holds()) return now + " is no longer " + stand + ' ' + level;
            // Between the two levels it holds, because it has been beyond.
            const bool between = (o.condition == AlertCondition::above && *value <= *o.level) || (o.condition == AlertCondition::below && *value >= *o.level);
            if (between) return now + " has been " + stand + ' ' + level + ", and is not at " + text_of(rule.clear()) + " yet";
            return now + " is " + stand + ' ' + level;
        }
        case AlertKind::silence: return signal.holds() ? "nothing since " + to_rfc3339(signal.last_time().value_or(signal.last_clock())) : "there is something again";
        case AlertKind::violation: {
            if (!signal.holds()) return "every violation is acknowledged or withdrawn";
            return value == 1 ? "a violation is not acknowledged" : text_of(value.value_or(0)) + " violations are not acknowledged";
        }
    }
    return {};
}

}  // namespace weir::alert_documents
