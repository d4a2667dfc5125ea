// How an AlertProcessor stands in the log:
//
//     m                  how many events there are on the stream of alerts
//     r                  the rules (JSON)
//     s/<rule>/<key>     what is known of a key (alert_signal.cc)
//     a/<rule>/<place>   an alert (alert.cc)
#include "processors/alert_processor.h"
#include "processors/state_bytes.h"

namespace weir {

std::vector<StatePut> AlertProcessor::save() {
    unsaved_ = 0;
    std::map<std::string, std::optional<std::string>> puts;
    for (std::string& key : std::exchange(removed_, {})) puts[std::move(key)] = std::nullopt;
    std::string count;
    analytics::put_raw(count, told_count_);
    puts["m"] = std::move(count);
    if (std::exchange(rules_changed_, false)) {
        std::string rules;
        JsonWriter json(rules);
        json.array();
        for (const auto& [name, watch] : watches_) json.raw(watch->rule.text);
        json.end();
        puts["r"] = std::move(rules);
    }
    for (auto& [name, watch] : watches_) {
        for (auto& [key, signal] : watch->signals)
            if (std::exchange(signal.changed, false)) puts["s/" + name + '/' + key] = signal.save();
        for (auto& [place, alert] : watch->alerts)
            if (std::exchange(alert.changed, false)) puts["a/" + name + '/' + place] = alert.save();
    }
    std::vector<StatePut> all;
    for (auto& [key, value] : puts) all.push_back({key, std::move(value)});
    return all;
}

Result<void> AlertProcessor::restore(const SavedState& state) {
    watches_.clear(), routes_.clear(), by_id_.clear(), told_.clear(), removed_.clear();
    told_count_ = 0;
    rules_changed_ = false;
    const Error bad{"bad_state", "the saved state of alerts cannot be read"};
    // Rules first: the rest is theirs.
    for (const auto& [key, value] : state) {
        if (key != "r") continue;
        WEIR_TRY(const Json rules, Json::parse(value));
        for (const Json& item : rules.items()) {
            WEIR_TRY(AlertRule rule, AlertRule::parse(item));
            auto watch = std::make_unique<Watch>();
            watch->rule = std::move(rule);
            const std::string name = watch->rule.name;
            watches_.emplace(name, std::move(watch));
        }
    }
    for (const auto& [key, value] : state) {
        if (key == "r") continue;
        if (key == "m") {
            Taker in{value};
            told_count_ = in.number<std::uint64_t>();
            if (!in.good) return bad;
            continue;
        }
        const std::size_t slash = key.find('/', 2);
        const auto at = slash == std::string::npos ? watches_.end() : watches_.find(key.substr(2, slash - 2));
        if (at == watches_.end()) return bad;
        Watch& watch = *at->second;
        const std::string rest = key.substr(slash + 1);
        if (key[0] == 's') {
            auto signal = AlertSignal::restore(value);
            if (!signal) return bad;
            auto& known = watch.signals.emplace(rest, *std::move(signal)).first->second;
            if (known.holds()) ++watch.holding[std::string(watch.rule.place_of(rest))];
            queue(watch, rest, known);
        } else {
            auto alert = Alert::restore(rest, value);
            if (!alert) return bad;
            auto& known = watch.alerts.emplace(rest, *std::move(alert)).first->second;
            queue(watch, known);
        }
    }
    for (const auto& [name, watch] : watches_)
        for (auto& [place, alert] : watch->alerts) {
            by_id_[alert.id()] = {watch.get(), &alert};
            if (alert.open() && alert.told_at > 0) told_.emplace(alert.told_at, alert.id());
        }
    route();
    return ok();
}

}  // namespace weir
