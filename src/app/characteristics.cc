#include "app/characteristics.h"

#include <algorithm>
#include <charconv>

namespace weir {

std::vector<StreamName> spc_sources(const Options& options) {
    std::vector<StreamName> streams;
    const auto add = [&](const StreamName& stream) {
        if (!stream.empty() && std::find(streams.begin(), streams.end(), stream) == streams.end()) streams.push_back(stream);
    };
    for (const auto& [name, feed] : options.feeds) add(feed.stream);
    for (const auto& stream : options.spc.sources) add(stream);
    for (const auto& characteristic : options.characteristics) add(characteristic.stream);
    return streams;
}

Result<Json> definition_of(const CharacteristicOptions& o) {
    Json json = Json::object();
    const auto text = [](Json& to, const char* name, const std::string& value) {
        if (!value.empty()) to.set(name, Json::string(value));
    };
    const auto number = [](Json& to, const char* name, const std::optional<double>& value) {
        if (value) to.set(name, Json::number(*value));
    };
    const auto set = [&](const char* name, Json object) {
        if (!object.members().empty()) json.set(name, std::move(object));
    };
    json.set("id", Json::integer(o.id));
    text(json, "name", o.name);
    text(json, "unit", o.unit);
    text(json, "path", o.path);
    text(json, "chart", o.chart);
    text(json, "from", o.from);
    if (o.subgroup_size > 0) json.set("subgroup_size", Json::integer(o.subgroup_size));
    Json spec = Json::object(), limits = Json::object(), source = Json::object();
    number(spec, "lsl", o.lsl), number(spec, "usl", o.usl), number(spec, "target", o.target);
    set("spec", std::move(spec));
    number(limits, "centre", o.centre), number(limits, "sigma", o.sigma), number(limits, "sigma_z", o.sigma_z), number(limits, "lcl", o.lcl), number(limits, "ucl", o.ucl);
    set("limits", std::move(limits));
    if (o.limit_sigmas != 3) json.set("limit_sigmas", Json::number(o.limit_sigmas));
    Json phase1 = Json::object();
    phase1.set("samples", Json::integer(o.phase1_samples));
    phase1.set("exclude_out_of_control", Json::boolean(o.phase1_exclude));
    if (o.phase1_method != "standard") phase1.set("method", Json::string(o.phase1_method));
    set("phase1", std::move(phase1));
    if (!o.stream.empty()) {
        text(source, "stream", o.stream), text(source, "key", o.key), text(source, "value", o.value), text(source, "size", o.size_field);
        text(source, "nominal", o.nominal_field), text(source, "part_sigma", o.part_sigma_field);
        json.set("source", std::move(source));
    }
    std::vector<Json> rules;
    for (const std::string& rule : o.rules) {
        std::int64_t id = 0;
        const auto [end, error] = std::from_chars(rule.data(), rule.data() + rule.size(), id);
        rules.push_back(error == std::errc() && end == rule.data() + rule.size() ? Json::integer(id) : Json::string(rule));
    }
    for (const auto& [rule, parameters] : o.rule_parameters) {
        std::int64_t id = 0;
        (void)std::from_chars(rule.data(), rule.data() + rule.size(), id);
        WEIR_TRY(Json item, Json::parse(parameters));
        if (!item.is_object()) return Error{"bad_characteristic", "`rule_parameters` of rule " + rule + " is " + parameters + "; allowed: a JSON object"};
        item.set("id", Json::integer(id));
        rules.push_back(std::move(item));
    }
    json.set("rules", Json::array(std::move(rules)));
    if (o.chart == "ewma") {
        Json ewma = Json::object();
        ewma.set("lambda", Json::number(o.lambda));
        set("ewma", std::move(ewma));
    }
    if (o.chart == "cusum") {
        Json cusum = Json::object();
        cusum.set("k", Json::number(o.k));
        cusum.set("h", Json::number(o.h));
        cusum.set("head_start", Json::number(o.head_start));
        cusum.set("reset_after_signal", Json::boolean(o.reset_after_signal));
        set("cusum", std::move(cusum));
    }
    if (o.expected_every > 0s) json.set("expected_every", Json::string(to_text(o.expected_every)));
    if (o.requires_ack) json.set("requires_ack", Json::boolean(true));
    WEIR_TRY(const auto checked, Characteristic::parse(json));
    (void)checked;
    return json;
}

Result<void> put_configured(const Config& config, Log& log, Timestamp now, std::optional<Timestamp> at) {
    const auto& all = config.options.characteristics;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::string place = "characteristics[" + std::to_string(i) + "]";
        auto definition = definition_of(all[i]);
        if (!definition.ok()) return std::move(definition).error().within(config.where(place) + place);
        const std::string data = definition->text();
        const std::string id = "config/" + std::to_string(all[i].id) + "/" + to_text(Epoch{derived_hash({data})}) + "/" + std::to_string(now.micros());
        EventView event;
        event.id = id;
        event.type = "put_characteristic";
        event.source = "config";
        event.data = data;
        event.time = event.ingested = now;
        Commit commit;
        commit.at = at;
        commit.appends.push_back({StreamName(SpcProcessor::input), {}, {}});
        commit.appends[0].events.add(event);
        WEIR_TRY(const auto done, log.commit(std::move(commit)));
        (void)done;
    }
    return ok();
}

Result<Start> spc_start(Log& log) {
    WEIR_TRY(const auto position, log.position("spc"));
    if (!position) return Start{};
    return Start{.at = Start::At::commit, .after = {}};
}

}  // namespace weir
