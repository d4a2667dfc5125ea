// What an AlertProcessor does with a command, and what it answers.
#include <algorithm>

#include "processors/alert_documents.h"
#include "processors/alert_processor.h"
#include "processors/members.h"

namespace weir {

using namespace members;

void AlertProcessor::take_command(const EventView& event) {
    const auto data = Json::parse(event.data);
    const auto outcome = data.ok() ? run(event, *data) : Outcome(data.error());
    std::string text;
    JsonWriter json(text);
    json.object().member("command", event.id).member("type", event.type).member("ok", outcome.ok());
    if (outcome.ok()) json.name("result").raw(outcome->empty() ? "{}" : *outcome);
    else json.member("code", outcome.error().code).member("message", outcome.error().message);
    json.end();
    tell(answers_out, "answer", event.id, "answer", event.time, text);
}

AlertProcessor::Outcome AlertProcessor::run(const EventView& event, const Json& data) {
    if (event.type == "acknowledge") return acknowledge(event, data);
    if (event.type == "shelve") return shelve(event, data);
    if (event.type == "unshelve") return unshelve(data);
    if (event.type == "put_rules") return put_rules(data);
    return Error{"unknown_command", "`" + std::string(event.type.substr(0, 64)) + "` is no command; allowed: acknowledge, shelve, unshelve, put_rules"};
}

// Rules.

/// All or nothing: of a set with a mistake the one before stays.
AlertProcessor::Outcome AlertProcessor::put_rules(const Json& data) {
    const Json* list = member(data, "rules");
    if (!list || !list->is_array() || list->items().size() > rules_max) return wrong("rules", nullptr, "a list of at most " + std::to_string(rules_max) + " rules");
    std::map<std::string, AlertRule> rules;
    for (const Json& item : list->items()) {
        WEIR_TRY(AlertRule rule, AlertRule::parse(item));
        if (rules.contains(rule.name)) return Error{"bad_rule", "there are two rules `" + rule.name + "`"};
        if (std::find(inputs_.begin() + 1, inputs_.end(), rule.options.stream) == inputs_.end())
            return Error{"bad_rule", "rule `" + rule.name + "` looks at " + rule.options.stream + ", which no configured rule does; a stream is added by configuration"};
        rules.emplace(rule.name, std::move(rule));
    }
    std::vector<std::string> gone;
    for (const auto& [name, watch] : watches_)
        if (const auto at = rules.find(name); at == rules.end() || at->second.text != watch->rule.text) gone.push_back(name);
    for (const auto& name : gone) drop(name);
    for (auto& [name, rule] : rules) {
        if (const auto known = watches_.find(name); known != watches_.end()) {
            // weir was not there to hear: what was silent meanwhile need not have been.
            for (auto& [key, signal] : known->second->signals) signal.excuse_until(now_), signal.changed = true;
            continue;
        }
        auto watch = std::make_unique<Watch>();
        watch->rule = std::move(rule);
        // A history begins without a time: what it waits for, it waits for from its first event on.
        if (now_ == Timestamp()) watch->expects = true;
        else expect_keys(*watch);
        watches_.emplace(name, std::move(watch));
    }
    rules_changed_ = true;
    route();
    std::string text;
    JsonWriter(text).object().member("rules", rules.size()).end();
    return text;
}

void AlertProcessor::drop(const std::string& name) {
    Watch& watch = *watches_.at(name);
    for (auto& [place, alert] : watch.alerts) {
        if (alert.open()) alert.subject.message = "its rule was changed or removed";
        alert.end(watch.rule, now_, *this);
        told_.erase({alert.told_at, alert.id()});
        by_id_.erase(alert.id());
        removed_.push_back("a/" + name + '/' + place);
    }
    for (const auto& [key, signal] : watch.signals) removed_.push_back("s/" + name + '/' + key);
    watches_.erase(name);
}

/// Keys that are named are missed even if they never come; and where there is one alert for all, anything is.
void AlertProcessor::expect_keys(Watch& watch) {
    if (watch.rule.options.kind != AlertKind::silence) return;
    const auto expect = [&](const std::string& key) {
        auto& signal = watch.signals.try_emplace(key, AlertSignal(now_)).first->second;
        queue(watch, key, signal);
    };
    if (!watch.rule.options.per_key) return expect("");
    for (const auto& key : watch.rule.options.keys) expect(key);
}

void AlertProcessor::route() {
    routes_.clear();
    for (const auto& [name, watch] : watches_) routes_.emplace(watch->rule.options.stream, watch.get());
}

// What people do.

Result<AlertProcessor::Found> AlertProcessor::alert_of(const Json& data) {
    const Json* id = member(data, "alert_id");
    if (!id || !id->is_string()) return wrong("alert_id", id, "an alert's id");
    const auto found = by_id_.find(id->as_string());
    if (found == by_id_.end()) return Error{"unknown_alert", "there is no alert " + id->as_string().substr(0, 64) + ", or a later one has taken its place"};
    return found->second;
}

AlertProcessor::Outcome AlertProcessor::as_it_is(const Found& found, AlertChange change) {
    std::string text;
    alert_documents::alert(text, found.watch->rule, *found.alert, change, now_);
    queue(*found.watch, *found.alert);
    return text;
}

AlertProcessor::Outcome AlertProcessor::acknowledge(const EventView& event, const Json& data) {
    WEIR_TRY(const Found found, alert_of(data));
    WEIR_TRY(const auto said, acknowledgement_of(data, reasons_));
    WEIR_CHECK_OK(found.alert->acknowledge(found.watch->rule, {said.user, said.on_behalf_of, said.reason, said.code, event.time}, *this));
    return as_it_is(found, AlertChange::acknowledged);
}

AlertProcessor::Outcome AlertProcessor::shelve(const EventView& event, const Json& data) {
    WEIR_TRY(const Found found, alert_of(data));
    WEIR_TRY(const std::string user, text_of(data, "user", 255, true));
    WEIR_TRY(const std::string reason, text_of(data, "reason", 1024, false));
    const Json *wait = member(data, "for"), *until = member(data, "until");
    if ((wait != nullptr) == (until != nullptr)) return wrong("for", wait, "either `for`, a duration such as 1h, or `until`, a time");
    Timestamp end;
    if (wait) {
        const auto duration = wait->is_string() ? parse_duration(wait->as_string()) : std::nullopt;
        if (!duration || *duration <= Duration(0) || *duration > shelf_max) return wrong("for", wait, "a duration up to " + to_text(shelf_max) + ", such as 1h");
        end = event.time + *duration;
    } else {
        WEIR_TRY(end, time_of(data, "until", Timestamp()));
        if (end <= event.time || end - event.time > shelf_max) return wrong("until", until, "a time to come, at most " + to_text(shelf_max) + " ahead");
    }
    found.alert->shelve(found.watch->rule, {end, user, reason}, now_, *this);
    return as_it_is(found, AlertChange::shelved);
}

AlertProcessor::Outcome AlertProcessor::unshelve(const Json& data) {
    WEIR_TRY(const Found found, alert_of(data));
    WEIR_CHECK_OK(found.alert->unshelve(found.watch->rule, now_, *this));
    return as_it_is(found, AlertChange::unshelved);
}

}  // namespace weir
