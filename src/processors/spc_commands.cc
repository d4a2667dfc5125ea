// What an SpcProcessor does with a command, and what it answers. Samples are commands too, but for the answer: spc_processor.cc.
#include <algorithm>

#include "processors/spc_documents.h"
#include "processors/spc_members.h"
#include "processors/spc_processor.h"

namespace weir {

using namespace members;
using namespace spc_members;

namespace {

constexpr std::size_t versions_max = 1000, violations_of_one_command_max = 10'000;

std::string id_text(std::uint64_t id) { return std::to_string(id); }

}  // namespace

void SpcProcessor::take_command(const EventView& event) {
    const auto data = Json::parse(event.data);
    const auto outcome = data.ok() ? run(event, *data) : Outcome(data.error());
    if (outcome.ok() && event.type == "put_sample") return;
    std::string text;
    JsonWriter json(text);
    json.object().member("command", event.id).member("type", event.type).member("ok", outcome.ok());
    if (outcome.ok()) {
        json.name("result").raw(outcome->empty() ? "{}" : *outcome);
    } else {
        json.member("code", outcome.error().code).member("message", outcome.error().message);
        if (data.ok())
            for (const char* name : {"characteristic_id", "sample_id"})
                if (const Json* id = data->find(name); id && id->as_integer()) json.member(name, *id->as_integer());
    }
    json.end();
    tell(answers_out, "answer", event.id, "answer", event.time, text);
}

SpcProcessor::Outcome SpcProcessor::run(const EventView& event, const Json& data) {
    if (event.type == "put_sample") return put_sample(event, data);
    if (event.type == "flush") return std::string();
    if (event.type == "acknowledge") return acknowledge(event, data);
    if (event.type == "correct_sample") return correct(data, std::nullopt);
    if (event.type == "exclude_sample") return correct(data, true);
    if (event.type == "include_sample") return correct(data, false);
    if (event.type == "create_characteristic" || event.type == "put_characteristic") return put_characteristic(event, data, false);
    if (event.type == "change_characteristic") return put_characteristic(event, data, true);
    if (event.type == "retire_characteristic") return retire(data);
    if (event.type == "set_limits") return set_limits(event, data);
    if (event.type == "estimate_limits") return estimate(event, data);
    if (event.type == "capability") return capability(data);
    return Error{"unknown_command", "`" + std::string(event.type.substr(0, 64)) +
                                        "` is no command; allowed: create_characteristic, put_characteristic, change_characteristic, retire_characteristic, put_sample, "
                                        "correct_sample, exclude_sample, include_sample, set_limits, estimate_limits, acknowledge, capability, flush"};
}

Result<SpcProcessor::Watched*> SpcProcessor::watched(const Json& data, bool also_retired) {
    WEIR_TRY(const auto id, id_of(data, "characteristic_id"));
    const auto at = watched_.find(id);
    if (at == watched_.end()) return Error{"unknown_characteristic", "there is no characteristic " + id_text(id)};
    if (at->second.retired && !also_retired) return Error{"characteristic_retired", "characteristic " + id_text(id) + " is retired; put it again to go on"};
    return &at->second;
}

SpcProcessor::Outcome SpcProcessor::put_characteristic(const EventView& event, const Json& data, bool change) {
    Json definition = data;
    Timestamp from = event.time;
    if (change) {
        WEIR_TRY(Watched* const w, watched(data, true));
        const Json* changes = member(data, "change");
        if (!changes || !changes->is_object()) return wrong("change", changes, "an object with the members to change");
        definition = w->chart->definition().json;
        for (const auto& [name, value] : changes->members()) {
            if (name == "id") return wrong("change.id", &value, "nothing: an id stays");
            if (value.is_null()) std::erase_if(definition.members(), [&](const auto& m) { return m.first == name; });
            else definition.set(name, value);
        }
    }
    const std::uint64_t hash = derived_hash({definition.text()});
    WEIR_TRY(from, time_of(definition, "from", from));
    std::erase_if(definition.members(), [](const auto& m) { return m.first == "from"; });
    WEIR_TRY(auto parsed, Characteristic::parse(definition));
    if (parsed.source && std::find(inputs_.begin() + 1, inputs_.end(), parsed.source->stream) == inputs_.end()) {
        std::string allowed;
        for (std::size_t i = 1; i < inputs_.size(); ++i) allowed.append(allowed.empty() ? "" : ", ").append(inputs_[i]);
        return Error{"unknown_source", "`source.stream` is " + parsed.source->stream + "; allowed: " + (allowed.empty() ? "none" : allowed) + " (spc.sources names more)"};
    }
    const std::uint64_t id = parsed.id;
    auto at = watched_.find(id);
    const bool configured = event.source == "config";
    // Configuration speaks when it changes: what was changed over REST since stays.
    if (configured && at != watched_.end() && at->second.config_hash == hash) return std::string();
    if (event.type == "create_characteristic" && at != watched_.end())
        return Error{"characteristic_exists", "characteristic " + id_text(id) + " is there already" + (at->second.retired ? " (retired)" : "") + "; put or change it instead"};
    if (at == watched_.end()) {
        if (watched_.size() >= characteristics_max) return Error{"too_many_characteristics", "there are " + std::to_string(characteristics_max) + " characteristics; allowed: no more"};
        at = watched_.emplace(id, Watched()).first;
        at->second.chart = std::make_unique<SpcChart>(std::move(parsed), options_.history, table_, unsaved_bytes_);
        at->second.last_arrival = now_;
    } else if (at->second.chart->versions().size() >= versions_max && !parsed.judges_like(at->second.chart->definition())) {
        return Error{"too_many_versions", "characteristic " + id_text(id) + " has " + std::to_string(versions_max) + " versions of its limits; allowed: no more"};
    } else {
        const Characteristic& before = at->second.chart->definition();
        // What was gathered for another chart or in another unit is no part of a subgroup now.
        if (parsed.charts != before.charts || parsed.unit != before.unit || parsed.subgroup_size != before.subgroup_size) drop_gathered(at->second);
        at->second.chart->redefine(std::move(parsed), from, *this);
    }
    Watched& w = at->second;
    w.retired = false;
    if (configured) w.config_hash = hash;
    route();
    tell_characteristic(w);
    std::string text;
    JsonWriter(text).object().member("characteristic_id", id).member("limits_version", w.chart->current().number).end();
    return text;
}

SpcProcessor::Outcome SpcProcessor::retire(const Json& data) {
    WEIR_TRY(Watched* const w, watched(data));
    w->retired = true;
    drop_gathered(*w);
    route();
    tell_characteristic(*w);
    return std::string();
}

SpcProcessor::Outcome SpcProcessor::set_limits(const EventView& event, const Json& data) {
    WEIR_TRY(Watched* const w, watched(data));
    const Json* limits = member(data, "limits");
    if (!limits) return wrong("limits", nullptr, "an object {\"centre\", \"sigma\"} or {\"centre\", \"lcl\", \"ucl\"}");
    WEIR_TRY(const auto given, parse_control_limits(*limits, w->chart->definition()));
    WEIR_TRY(const auto from, time_of(data, "apply_from", event.time));
    if (w->chart->versions().size() >= versions_max) return Error{"too_many_versions", "allowed: " + std::to_string(versions_max)};
    WEIR_CHECK_OK(w->chart->set_limits(given, from, R"({"kind":"given"})", *this));
    tell_characteristic(*w);
    std::string text;
    JsonWriter json(text);
    spc_documents::print_limits(json, w->chart->current());
    return text;
}

SpcProcessor::Outcome SpcProcessor::estimate(const EventView&, const Json& data) {
    WEIR_TRY(Watched* const w, watched(data));
    WEIR_TRY(const auto from, time_of(data, "from", Timestamp::min()));
    WEIR_TRY(const auto to, time_of(data, "to", Timestamp::max()));
    WEIR_TRY(const auto apply_from, time_of(data, "apply_from", from));
    const Characteristic& c = w->chart->definition();
    analytics::PhaseOneOptions options{.method = c.method, .limit_sigmas = c.limit_sigmas};
    if (const Json* method = member(data, "method")) {
        const auto named = method->is_string() ? sigma_method_named(method->as_string()) : std::nullopt;
        if (!named) return wrong("method", method, "standard, mean_range, mean_standard_deviation, moving_range, sample_standard_deviation");
        options.method = *named;
    }
    WEIR_TRY(options.exclude_out_of_control, flag_of(data, "exclude_out_of_control"));
    WEIR_TRY(const bool dry, flag_of(data, "dry_run"));
    WEIR_TRY(const auto found, w->chart->estimate(from, to, options));
    if (w->chart->versions().size() >= versions_max) return Error{"too_many_versions", "allowed: " + std::to_string(versions_max)};
    std::string text;
    JsonWriter answer(text);
    if (dry) {
        const auto& limits = found.phase1.limits;
        answer.object().name("version").null().name("origin").raw(SpcChart::origin_of(found)).member("centre", limits.centre).member("sigma", limits.sigma).end();
        return text;
    }
    WEIR_CHECK_OK(w->chart->set_limits(found.phase1.limits, apply_from, SpcChart::origin_of(found), *this));
    tell_characteristic(*w);
    spc_documents::print_limits(answer, w->chart->current());
    return text;
}

SpcProcessor::Outcome SpcProcessor::correct(const Json& data, std::optional<bool> excluded) {
    WEIR_TRY(Watched* const w, watched(data, true));
    WEIR_TRY(const auto sample, id_of(data, "sample_id"));
    SpcChart::Correction correction;
    correction.excluded = excluded;
    if (!excluded) {
        if (const Json* value = member(data, member(data, "values") ? "values" : "value")) {
            WEIR_TRY(correction.values, values_from(*value));
        }
        WEIR_TRY(correction.size, number_of(data, "size"));
        WEIR_TRY(correction.nominal, number_of(data, "nominal"));
        WEIR_TRY(correction.part_sigma, number_of(data, "part_sigma"));
        if (member(data, "timestamp")) {
            WEIR_TRY(correction.time, time_of(data, "timestamp", Timestamp()));
        }
    }
    w->changed = true;
    const std::size_t versions = w->chart->versions().size();
    WEIR_CHECK_OK(w->chart->correct(sample, correction, *this));
    if (w->chart->versions().size() != versions) tell_characteristic(*w);
    const SpcRecord* record = w->chart->find(sample);
    std::string text;
    JsonWriter json(text);
    json.object().member("sample_id", sample).member("revision", record->revision).member("excluded", record->sample.excluded);
    json.member("in_control", record->in_control()).end();
    return text;
}

SpcProcessor::Outcome SpcProcessor::acknowledge(const EventView& event, const Json& data) {
    SpcAcknowledgement ack;
    ack.time = event.time;
    WEIR_TRY(auto said, acknowledgement_of(data, options_.reasons()));
    ack.user = std::move(said.user), ack.on_behalf_of = std::move(said.on_behalf_of), ack.reason = std::move(said.reason), ack.code = std::move(said.code);
    WEIR_TRY(const bool exclude, flag_of(data, "exclude_sample"));

    std::vector<std::uint64_t> ids;
    const Json* list = member(data, "violation_ids");
    const bool bulk = list || !member(data, "violation_id");
    if (list) {
        if (!list->is_array() || list->items().empty() || list->items().size() > violations_of_one_command_max) return wrong("violation_ids", nullptr, "a list of 1 to 10000 ids");
        for (const Json& item : list->items()) {
            const auto id = item.is_number() ? item.as_integer() : std::nullopt;
            if (!id || *id < 1) return wrong("violation_ids", &item, "whole numbers from 1 to 9007199254740991");
            ids.push_back(static_cast<std::uint64_t>(*id));
        }
    } else if (!bulk) {
        WEIR_TRY(const auto id, id_of(data, "violation_id"));
        ids.push_back(id);
    } else {
        // All open ones of a characteristic.
        WEIR_TRY(Watched* const w, watched(data, true));
        for (const auto& [id, v] : w->chart->violations())
            if (!v.ack && !v.withdrawn && ids.size() < violations_of_one_command_max) ids.push_back(id);
    }
    std::string done = "[", refused = "[";
    for (const std::uint64_t id : ids) {
        const auto owner = owners_.find(id);
        Result<const SpcViolation*> acknowledged = Error{"unknown_violation", "there is no violation " + id_text(id)};
        Watched* w = nullptr;
        if (owner != owners_.end()) {
            w = &watched_.at(owner->second);
            acknowledged = w->chart->acknowledge(id, ack);
        }
        if (!acknowledged.ok()) {
            if (!bulk) return acknowledged.error();
            if (refused.size() > 1) refused += ',';
            JsonWriter(refused).object().member("violation_id", id).member("code", acknowledged.error().code).member("message", acknowledged.error().message).end();
            continue;
        }
        w->changed = true;
        if (done.size() > 1) done += ',';
        done += id_text(id);
        text_.clear();
        JsonWriter json(text_);
        json.object().member("violation_id", id).member("characteristic_id", owner->second).member("acknowledged", true).member("ack_user", ack.user).member("ack_reason", ack.reason);
        if (!ack.on_behalf_of.empty()) json.member("ack_on_behalf_of", ack.on_behalf_of);
        json.name("reason_code");
        if (ack.code.empty()) json.null();
        else json.value(ack.code);
        json.member("ack_time", ack.time).member("withdrawn", (*acknowledged)->withdrawn).end();
        const std::uint64_t sample = (*acknowledged)->sample;
        // At the violation's own time, so that a stretch of time tells all of a violation; when it was acknowledged stands in it.
        tell(violations_out, "ack_update", id_text(owner->second), id_text(id), (*acknowledged)->time, text_);
        if (exclude && w->chart->find(sample)) {
            SpcChart::Correction correction;
            correction.excluded = true;
            (void)w->chart->correct(sample, correction, *this);
        }
    }
    std::string text;
    JsonWriter(text).object().name("acknowledged").raw(done + "]").name("refused").raw(refused + "]").end();
    return text;
}

SpcProcessor::Outcome SpcProcessor::capability(const Json& data) {
    WEIR_TRY(Watched* const w, watched(data, true));
    WEIR_TRY(const auto from, time_of(data, "from", Timestamp::min()));
    WEIR_TRY(const auto to, time_of(data, "to", Timestamp::max()));
    const bool all = !member(data, "from") && !member(data, "to");
    WEIR_TRY(const auto result, all ? w->chart->capability() : w->chart->capability(from, to));
    std::string text;
    spc_documents::capability(text, w->chart->definition(), result);
    return text;
}

}  // namespace weir
