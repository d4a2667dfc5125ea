#include "app/alert_rules.h"

#include <algorithm>

#include "app/value_paths.h"
#include "processors/alert_processor.h"

namespace weir {

std::vector<StreamName> alert_sources(const Options& options) {
    std::vector<StreamName> streams;
    for (const auto& [name, alert] : options.alerts)
        if (std::find(streams.begin(), streams.end(), alert.stream) == streams.end()) streams.push_back(alert.stream);
    return streams;
}

Result<Start> put_alert_rules(const Config& config, Log& log, Timestamp now, std::optional<Timestamp> at) {
    std::vector<Json> rules;
    for (const auto& [name, alert] : config.options.alerts) {
        const std::string place = "alerts." + name;
        Json json = AlertRule::json_of(name, alert, value_pointers(alert.value, alert.stream, config.options.feeds));
        if (const auto rule = AlertRule::parse(json); !rule.ok()) return Error(rule.error()).within(config.where(place) + place);
        rules.push_back(std::move(json));
    }
    Json data = Json::object();
    data.set("rules", Json::array(std::move(rules)));
    const std::string text = data.text();
    if (text.size() > 256 * 1024) return Error{"bad_config", config.where("alerts") + "alerts: the rules take " + std::to_string(text.size()) + " bytes; allowed: 262144"};
    const std::string id = "config/" + to_text(Epoch{derived_hash({text})}) + "/" + std::to_string(now.micros());
    EventView event;
    event.id = id;
    event.type = "put_rules";
    event.source = "config";
    event.data = text;
    event.time = event.ingested = now;
    Commit commit;
    commit.at = at;
    commit.appends.push_back({StreamName(AlertProcessor::input), {}, {}});
    commit.appends[0].events.add(event);
    WEIR_TRY(const auto committed, log.commit(std::move(commit)));
    return Start{.at = Start::At::commit, .after = CommitNo{committed.commit.value - 1}};
}

}  // namespace weir
