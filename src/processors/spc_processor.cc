#include "processors/spc_processor.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "analytics/subgroup.h"
#include "base/assert.h"

namespace weir {

using analytics::ChartPoint;

namespace {

constexpr std::size_t versions_max = 1000, violations_of_one_command_max = 10'000;

std::string id_text(std::uint64_t id) { return std::to_string(id); }

Error wrong(std::string_view member, const Json* found, std::string_view allowed) {
    std::string text = found ? found->text() : std::string("missing");
    if (text.size() > 100) {
        text.resize(97);
        text += "...";
    }
    return {"bad_command", "`" + std::string(member) + "` is " + text + "; allowed: " + std::string(allowed)};
}

const Json* member(const Json& data, std::string_view name) {
    const Json* found = data.find(name);
    return found && !found->is_null() ? found : nullptr;
}

Result<std::uint64_t> id_of(const Json& data, std::string_view name) {
    const Json* found = member(data, name);
    const auto value = found && found->is_number() ? found->as_integer() : std::nullopt;
    if (!value || *value < 1 || *value > static_cast<std::int64_t>(spc_id_max)) return wrong(name, found, "a whole number from 1 to 9007199254740991");
    return static_cast<std::uint64_t>(*value);
}

Result<std::optional<double>> number_of(const Json& data, std::string_view name) {
    const Json* found = member(data, name);
    if (!found) return std::optional<double>();
    if (!found->is_number() || !std::isfinite(found->as_double())) return wrong(name, found, "a finite number");
    return std::optional(found->as_double());
}

Result<Timestamp> time_of(const Json& data, std::string_view name, Timestamp standard) {
    const Json* found = member(data, name);
    if (!found) return standard;
    const auto time = found->is_string() ? parse_rfc3339(found->as_string(), Offset::optional) : std::nullopt;
    if (!time) return wrong(name, found, "a time such as 2026-02-17T10:00:00Z");
    return *time;
}

Result<std::vector<double>> values_from(const Json& json) {
    std::vector<double> values;
    const auto take = [&](const Json& item) {
        if (!item.is_number() || !std::isfinite(item.as_double())) return false;
        values.push_back(item.as_double());
        return true;
    };
    if (json.is_array()) {
        if (json.items().empty()) return wrong("values", &json, "at least one number");
        if (json.items().size() > Characteristic::values_max)
            return Error{"subgroup_size_out_of_range", "a sample has " + std::to_string(json.items().size()) + " values; allowed: at most " + std::to_string(Characteristic::values_max)};
        for (const Json& item : json.items())
            if (!take(item)) return Error{"not_a_number", "`values` holds " + item.text().substr(0, 100) + "; expected finite numbers"};
    } else if (!take(json)) {
        return Error{"not_a_number", "a value is " + json.text().substr(0, 100) + "; expected a finite number"};
    }
    return values;
}

/// What a sample is called by one number, whether or not there are limits.
double value_of(const Characteristic& c, const SpcSample& s) {
    using analytics::ChartKind;
    switch (c.charts.main) {
        case ChartKind::p:
        case ChartKind::laney_p:
        case ChartKind::u:
        case ChartKind::laney_u: return s.values.front() / s.size;
        case ChartKind::np:
        case ChartKind::c: return s.values.front();
        default: return analytics::mean_of(s.values);
    }
}

void print_lines(JsonWriter& json, const ChartPoint& p) {
    json.member("statistic", p.statistic).member("centre", p.centre).member("lcl", p.lcl).member("ucl", p.ucl).member("zone_width", p.zone_width);
}

void print_limits(JsonWriter& json, const SpcVersion& v) {
    json.object().member("version", v.number).name("from");
    if (v.from == Timestamp::min()) json.null();
    else json.value(v.from);
    json.member("chart", v.definition.charts.name).member("unit", v.definition.unit).name("origin").raw(v.origin);
    if (v.limits) {
        json.member("centre", v.limits->centre).member("sigma", v.limits->sigma).member("limit_sigmas", v.limits->limit_sigmas);
        if (v.limits->sigma_z != 1) json.member("sigma_z", v.limits->sigma_z);
        if (v.definition.charts.main == analytics::ChartKind::ewma) json.member("lambda", v.definition.ewma.lambda);
        if (v.definition.charts.main == analytics::ChartKind::cusum) {
            const auto& cusum = v.definition.cusum;
            json.member("k", cusum.k).member("h", cusum.h).member("head_start", cusum.head_start).member("reset_after_signal", cusum.reset_after_signal);
        }
    } else {
        json.name("centre").null().name("sigma").null();
    }
    json.end();
}

void print_index(JsonWriter& json, std::string_view name, const std::optional<analytics::CapabilityIndex>& index) {
    json.name(name);
    if (!index) json.null();
    else json.object().member("value", index->value).member("low", index->low).member("high", index->high).end();
}

std::string capability_json(const Characteristic& c, const analytics::Capability& result) {
    std::string text;
    JsonWriter json(text);
    json.object().member("characteristic_id", c.id).member("count", result.process.count).member("mean", result.process.mean);
    json.member("sigma_within", result.process.sigma_within).member("sigma_overall", result.process.sigma_overall);
    json.member("lsl", result.limits.lsl).member("usl", result.limits.usl).member("target", result.limits.target);
    print_index(json, "cp", result.cp), print_index(json, "cp_l", result.cp_l), print_index(json, "cp_u", result.cp_u), print_index(json, "cpk", result.cp_k);
    print_index(json, "cpm", result.cpm);
    print_index(json, "pp", result.pp), print_index(json, "pp_l", result.pp_l), print_index(json, "pp_u", result.pp_u), print_index(json, "ppk", result.pp_k);
    print_index(json, "ppm", result.ppm);
    json.member("expected_below", result.expected_below).member("expected_above", result.expected_above);
    json.member("observed_below", result.observed_below).member("observed_above", result.observed_above).end();
    return text;
}

/// The same numbers for every processor; immutable, and milliseconds to make.
const analytics::ConstantsTable& constants() {
    static const analytics::ConstantsTable table = [] {
        auto made = analytics::ConstantsTable::up_to(Characteristic::values_max);
        WEIR_ASSERT(made.ok());
        return *std::move(made);
    }();
    return table;
}

}  // namespace

SpcProcessor::SpcProcessor(const SpcOptions& options, std::vector<StreamName> sources)
    : options_(options),
      inputs_{StreamName(input)},
      outputs_{StreamName(samples_out), StreamName(violations_out), StreamName(characteristics_out), StreamName(answers_out)},
      table_(constants()) {
    for (auto& source : sources)
        if (std::find(inputs_.begin(), inputs_.end(), source) == inputs_.end()) inputs_.push_back(std::move(source));
}

SpcProcessor::~SpcProcessor() = default;

const SpcChart* SpcProcessor::chart(std::uint64_t characteristic) const {
    const auto at = watched_.find(characteristic);
    return at == watched_.end() ? nullptr : at->second.chart.get();
}

void SpcProcessor::process(const Batch& batch, Output& output) {
    output_ = &output;
    now_ = batch.commit_time;
    check_collection();
    const bool commands = batch.stream == input;
    for (std::size_t i = 0; i < batch.events.size(); ++i) {
        cause_ = batch.stream + '/' + to_text(batch.epoch) + '/' + std::to_string(batch.seq_of(i).value);
        told_ = 0;
        if (commands) take_command(batch.events[i]);
        else take_reading(batch.events[i], batch.stream);
    }
    output_ = nullptr;
}

void SpcProcessor::tell(std::string_view stream, std::string_view type, std::string_view key, std::string_view what, Timestamp time, const std::string& data) {
    const std::string id = derived_id({name_, cause_, std::to_string(told_++), what});
    EventView event;
    event.id = id;
    event.type = type;
    event.key = key;
    event.source = name_;
    event.data = data;
    event.time = time;
    event.ingested = now_;
    output_->add(StreamName(stream), event);
}

// Commands.

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
    const std::uint64_t hash = derived_hash({definition.text()});
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
        if (parsed.charts != before.charts || parsed.unit != before.unit || parsed.subgroup_size != before.subgroup_size) at->second.gathered = {};
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
    w->gathered = {};
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
    print_limits(json, w->chart->current());
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
    if (const Json* exclude = member(data, "exclude_out_of_control")) {
        if (!exclude->is_boolean()) return wrong("exclude_out_of_control", exclude, "true or false");
        options.exclude_out_of_control = exclude->as_boolean();
    }
    const Json* dry = member(data, "dry_run");
    WEIR_TRY(const auto found, w->chart->estimate(from, to, options));
    if (w->chart->versions().size() >= versions_max) return Error{"too_many_versions", "allowed: " + std::to_string(versions_max)};
    std::string origin;
    JsonWriter json(origin);
    json.object().member("kind", "estimated").member("samples", found.samples.size()).member("first_sample_id", found.samples.front()).member("last_sample_id", found.samples.back());
    json.name("excluded").array();
    for (const auto id : found.excluded) json.value(id);
    json.end().end();
    std::string text;
    JsonWriter answer(text);
    if (dry && dry->is_boolean() && dry->as_boolean()) {
        const auto& limits = found.phase1.limits;
        answer.object().name("version").null().name("origin").raw(origin).member("centre", limits.centre).member("sigma", limits.sigma).end();
        return text;
    }
    WEIR_CHECK_OK(w->chart->set_limits(found.phase1.limits, apply_from, origin, *this));
    tell_characteristic(*w);
    print_limits(answer, w->chart->current());
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
    const Json *user = member(data, "user"), *reason = member(data, "reason"), *code = member(data, "reason_code"), *exclude = member(data, "exclude_sample");
    if (!user || !user->is_string() || user->as_string().empty() || user->as_string().size() > 255) return wrong("user", user, "a text of 1 to 255 bytes");
    ack.user = user->as_string();
    if (reason && (!reason->is_string() || reason->as_string().size() > 1024)) return wrong("reason", reason, "a text of at most 1024 bytes");
    if (reason) ack.reason = reason->as_string();
    if (code) {
        const auto& codes = options_.reasons();
        const auto known = code->is_string() ? codes.find(code->as_string()) : codes.end();
        if (known == codes.end()) {
            std::string allowed;
            for (const auto& [name, text] : codes) allowed.append(allowed.empty() ? "" : ", ").append(name);
            return wrong("reason_code", code, allowed);
        }
        ack.code = known->first;
        if (ack.reason.empty()) ack.reason = known->second;
    }
    if (ack.reason.empty()) return wrong("reason", reason, "a text, or a reason_code");
    if (exclude && !exclude->is_boolean()) return wrong("exclude_sample", exclude, "true or false");

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
        json.name("reason_code");
        if (ack.code.empty()) json.null();
        else json.value(ack.code);
        json.member("ack_time", ack.time).member("withdrawn", (*acknowledged)->withdrawn).end();
        const std::uint64_t sample = (*acknowledged)->sample;
        tell(violations_out, "ack_update", id_text(owner->second), id_text(id), ack.time, text_);
        if (exclude && exclude->as_boolean() && w->chart->find(sample)) {
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
    return capability_json(w->chart->definition(), result);
}

// Samples.

SpcProcessor::Outcome SpcProcessor::put_sample(const EventView& event, const Json& data) {
    WEIR_TRY(Watched* const w, watched(data));
    SpcSample sample;
    sample.time = event.time;
    if (member(data, "sample_id")) {
        WEIR_TRY(sample.id, id_of(data, "sample_id"));
    } else {
        sample.id = spc_hash({"sample", id_text(w->chart->definition().id), event.id});
    }
    const Json* values = member(data, "values");
    if (!values) values = member(data, "value");
    if (!values) return wrong("values", nullptr, "a list of numbers, or `value`");
    WEIR_TRY(sample.values, values_from(*values));
    WEIR_TRY(const auto size, number_of(data, "size"));
    WEIR_TRY(const auto nominal, number_of(data, "nominal"));
    WEIR_TRY(const auto part_sigma, number_of(data, "part_sigma"));
    sample.size = size.value_or(static_cast<double>(w->chart->definition().counts() ? w->chart->definition().subgroup_size : 1));
    sample.nominal = nominal.value_or(0);
    sample.part_sigma = part_sigma.value_or(1);
    // The same again is no mistake: who was not answered sends it anew. Without a time of its own it has that of its arrival.
    if (const SpcRecord* known = w->chart->find(sample.id)) {
        if (event.time == event.ingested) sample.time = known->sample.time;
        sample.excluded = known->sample.excluded;
        if (sample == known->sample) return Error{"duplicate_sample", "sample " + id_text(sample.id) + " is there already, as it is"};
        sample.excluded = false;
    }
    const bool own_id = member(data, "sample_id");
    WEIR_CHECK_OK(values->is_array() || !w->chart->definition().gathers() ? add(*w, std::move(sample)) : gather(*w, std::move(sample), own_id));
    return std::string();
}

void SpcProcessor::take_reading(const EventView& event, std::string_view stream) {
    const auto [begin, end] = routes_.equal_range(stream);
    for (auto at = begin; at != end; ++at) {
        Watched& w = watched_.at(at->second);
        const Characteristic& c = w.chart->definition();
        const auto& source = *c.source;
        if (!source.key.empty() && source.key != event.key) continue;
        const auto take = [&]() -> Result<void> {
            const auto found = source.value.find(event.data);
            if (!found) return Error{"missing_value", "there is nothing at " + source.value.pointer().text()};
            SpcSample sample;
            WEIR_TRY(const Json json, Json::parse(*found));
            WEIR_TRY(sample.values, values_from(json));
            const auto number = [&](const std::optional<JsonPath>& path, double standard) -> double {
                return path ? path->number(event.data).value_or(std::nan("")) : standard;
            };
            sample.size = number(source.size, static_cast<double>(c.counts() ? c.subgroup_size : 1));
            sample.nominal = number(source.nominal, 0);
            sample.part_sigma = number(source.part_sigma, 1);
            sample.id = spc_hash({"sample", id_text(c.id), event.id});
            sample.time = event.time;
            return json.is_array() || !c.gathers() ? add(w, std::move(sample)) : gather(w, std::move(sample), false);
        };
        if (const auto taken = take(); taken.ok()) {
            w.refusing = false;
        } else if (!std::exchange(w.refusing, true)) {
            w.changed = true;
            std::string text;
            JsonWriter json(text);
            json.object().member("command", event.id).member("type", "reading").member("stream", stream).member("ok", false).member("code", taken.error().code);
            json.member("message", taken.error().message + "; further ones are not told until one is good").member("characteristic_id", c.id).end();
            tell(answers_out, "answer", event.id, "reading" + id_text(c.id), event.time, text);
        }
    }
}

Result<void> SpcProcessor::add(Watched& w, SpcSample sample) {
    const std::size_t versions = w.chart->versions().size();
    WEIR_CHECK_OK(w.chart->add(std::move(sample), *this));
    arrived(w);
    if (w.chart->versions().size() != versions) tell_characteristic(w);
    // Running capability: more rarely as it moves more slowly, so that it costs the same whatever is kept.
    const auto& spec = w.chart->definition().spec;
    if ((spec.lsl || spec.usl) && !w.chart->definition().counts() && ++w.samples_since_capability >= std::max<std::size_t>(20, w.chart->records().size() / 20)) {
        w.samples_since_capability = 0;
        tell_capability(w);
    }
    return ok();
}

void SpcProcessor::arrived(Watched& w) {
    w.changed = true;
    w.last_arrival = now_;
    if (!std::exchange(w.missing, false)) return;
    const auto& c = w.chart->definition();
    text_.clear();
    JsonWriter(text_).object().member("characteristic_id", c.id).member("name", c.name).member("path", c.path).end();
    tell(violations_out, "collection_resumed", id_text(c.id), "resumed", now_, text_);
}

/// A single reading of a subgroup. What is refused leaves what was gathered as it is.
Result<void> SpcProcessor::gather(Watched& w, SpcSample reading, bool has_own_id) {
    const Characteristic& c = w.chart->definition();
    if (std::find(w.reading_ids.begin(), w.reading_ids.end(), reading.id) != w.reading_ids.end()) return Error{"duplicate_sample", "reading " + id_text(reading.id) + " is there already"};
    if (w.chart->find(reading.id)) return Error{"sample_exists", "sample " + id_text(reading.id) + " of characteristic " + id_text(c.id) + " is there already"};
    WEIR_CHECK_OK(analytics::check_sample(c.charts.main, reading.view()));
    SpcSample& gathered = w.gathered;
    if (w.chart->is_too_old(gathered.values.empty() ? reading.time : std::max(gathered.time, reading.time), reading.id))
        return Error{"too_old", "a reading at " + to_rfc3339(reading.time) + " is older than what can still be judged"};
    const auto complete = [&] {
        SpcSample sample = std::move(gathered);
        gathered = {};
        return add(w, std::move(sample));
    };
    // Readings of two parts are no subgroup: what there is of the first is one, if a smaller one.
    if (!gathered.values.empty() && (gathered.nominal != reading.nominal || gathered.part_sigma != reading.part_sigma)) WEIR_CHECK_OK(complete());
    if (gathered.values.empty()) gathered.time = reading.time;
    gathered.id = reading.id;
    gathered.time = std::max(gathered.time, reading.time);
    gathered.nominal = reading.nominal;
    gathered.part_sigma = reading.part_sigma;
    gathered.values.push_back(reading.values.front());
    if (has_own_id) {
        if (w.reading_ids.size() >= reading_ids_max) w.reading_ids.erase(w.reading_ids.begin());
        w.reading_ids.push_back(reading.id);
    }
    arrived(w);
    return gathered.values.size() >= c.subgroup_size ? complete() : ok();
}

void SpcProcessor::tell_capability(Watched& w) {
    const auto result = w.chart->capability();
    if (!result.ok()) return;
    tell(characteristics_out, "capability", id_text(w.chart->definition().id), "capability", now_, capability_json(w.chart->definition(), *result));
}

void SpcProcessor::tell_characteristic(Watched& w) {
    w.changed = true;
    const SpcChart& chart = *w.chart;
    const Characteristic& c = chart.definition();
    Json definition = c.json;
    definition.set("characteristic_id", Json::integer(static_cast<std::int64_t>(c.id)));
    definition.set("chart", Json::string(std::string(c.charts.name)));
    definition.set("retired", Json::boolean(w.retired));
    std::string text = definition.text();
    text.pop_back();
    text += ",\"rules_on\":[";
    bool first = true;
    for (const auto& rule : analytics::rules()) {
        if (!c.rules[rule.id].on) continue;
        if (!std::exchange(first, false)) text += ',';
        JsonWriter(text).object().member("rule_id", static_cast<int>(rule.id)).member("rule_name", rule.name).member("short_name", rule.short_name)
            .member("description", analytics::rule_description(rule.id, c.rules[rule.id])).member("severity", spc_severity_name(c.severity(rule.id))).end();
    }
    text += "],\"limits_versions\":";
    JsonWriter json(text);
    json.array();
    const auto& versions = chart.versions();
    for (std::size_t i = versions.size() > 50 ? versions.size() - 50 : 0; i < versions.size(); ++i) print_limits(json, versions[i]);
    json.end();
    text += '}';
    tell(characteristics_out, "characteristic", id_text(c.id), "characteristic", now_, text);
}

void SpcProcessor::sample_changed(const SpcChart& chart, const SpcRecord& record) {
    const Characteristic& c = chart.definition();
    const SpcSample& s = record.sample;
    text_.clear();
    JsonWriter json(text_);
    json.object().member("sample_id", s.id).member("characteristic_id", c.id).member("timestamp", to_rfc3339_short(s.time)).member("value", value_of(c, s)).name("zone");
    const bool drawn = record.has & 1;
    if (drawn) json.value(analytics::zone_name(record.points[0].zone));
    else json.null();
    json.member("in_control", record.in_control()).name("values").array();
    for (const double v : s.values) json.value(v);
    json.end();
    if (c.counts()) json.member("size", s.size);
    if (c.charts.main == analytics::ChartKind::short_run_deviation || c.charts.main == analytics::ChartKind::short_run_z)
        json.member("nominal", s.nominal).member("part_sigma", s.part_sigma);
    json.member("limits_version", record.version);
    if (drawn) print_lines(json, record.points[0]);
    if (c.charts.main == analytics::ChartKind::cusum && drawn) json.name("cusum").object().member("upper", record.cusum_upper).member("lower", record.cusum_lower).end();
    if (record.has & 2) {
        json.name("spread").object().member("chart", analytics::chart_kind_name(*c.charts.spread));
        print_lines(json, record.points[1]);
        json.member("zone", analytics::zone_name(record.points[1].zone)).end();
    }
    if (!record.in_control()) {
        json.name("signals").array();
        for (int i = 0; i < 2; ++i)
            record.signals[static_cast<std::size_t>(i)].for_each([&](analytics::RuleId rule) {
                const auto& signals = record.signals[static_cast<std::size_t>(i)];
                json.object().member("rule_id", static_cast<int>(rule)).member("chart", analytics::chart_kind_name(c.kind(i)));
                json.member("side", analytics::side_name(signals.side(rule))).member("begins", signals.begins(rule)).end();
            });
        json.end();
    }
    json.member("excluded", s.excluded).member("revision", record.revision).end();
    tell(samples_out, "sample", id_text(c.id), id_text(s.id), s.time, text_);
}

void SpcProcessor::violation_raised(const SpcChart& chart, const SpcViolation& v, const std::string& samples) {
    const SpcVersion& version = *chart.version(v.version);
    const Characteristic& c = version.definition;
    owners_[v.id] = c.id;
    const auto& info = analytics::rule_info(v.rule);
    const auto& parameters = c.rules_of(v.chart)[v.rule];
    const auto standard = analytics::RuleSettings()[v.rule];
    const bool usual = parameters.points == standard.points && parameters.needed == standard.needed && parameters.sigmas == standard.sigmas;
    const std::string description = analytics::rule_description(v.rule, parameters);
    text_.clear();
    JsonWriter json(text_);
    json.object().member("violation_id", v.id).member("characteristic_id", c.id).member("sample_id", v.sample).member("rule_id", static_cast<int>(v.rule));
    json.member("rule_name", usual ? info.name : std::string_view(description)).member("severity", spc_severity_name(c.severity(v.rule)));
    json.member("short_name", info.short_name).member("description", description).member("chart", analytics::chart_kind_name(c.kind(v.chart)));
    json.member("side", analytics::side_name(v.side)).member("timestamp", v.time);
    json.name("parameters").object().member("points", parameters.points).member("needed", parameters.needed).member("sigmas", parameters.sigmas).end();
    json.name("samples").raw(samples).name("limits");
    print_limits(json, version);
    json.member("name", chart.definition().name).member("path", chart.definition().path).member("requires_ack", chart.definition().requires_ack);
    json.member("revision", v.revision).member("acknowledged", v.ack.has_value());
    if (v.ack) {
        json.member("ack_user", v.ack->user).member("ack_reason", v.ack->reason).member("ack_time", v.ack->time).name("reason_code");
        if (v.ack->code.empty()) json.null();
        else json.value(v.ack->code);
    }
    json.end();
    tell(violations_out, "violation", id_text(c.id), id_text(v.id), v.time, text_);
}

void SpcProcessor::violation_withdrawn(const SpcChart& chart, const SpcViolation& v) {
    const Characteristic& c = chart.definition();
    text_.clear();
    JsonWriter(text_).object().member("violation_id", v.id).member("characteristic_id", c.id).member("sample_id", v.sample).member("rule_id", static_cast<int>(v.rule))
        .member("revision", v.revision).member("acknowledged", v.ack.has_value()).end();
    tell(violations_out, "violation_withdrawn", id_text(c.id), id_text(v.id), v.time, text_);
}

void SpcProcessor::route() {
    routes_.clear();
    for (const auto& [id, w] : watched_)
        if (!w.retired && w.chart->definition().source) routes_.emplace(w.chart->definition().source->stream, id);
}

// Missed collections.

void SpcProcessor::check_collection() {
    for (auto& [id, w] : watched_) {
        const Characteristic& c = w.chart->definition();
        if (w.retired || w.missing || c.expected_every == 0s || !w.last_arrival || now_ < missed_at(w)) continue;
        w.missing = w.changed = true;
        cause_ = "missed/" + id_text(id) + '/' + std::to_string(missed_at(w).micros());
        told_ = 0;
        text_.clear();
        JsonWriter json(text_);
        json.object().member("characteristic_id", id).member("name", c.name).member("path", c.path).member("expected_every", to_text(c.expected_every));
        json.member("last_arrival", *w.last_arrival).member("severity", "WARNING").end();
        tell(violations_out, "collection_missed", id_text(id), "missed", missed_at(w), text_);
    }
}

std::optional<Due> SpcProcessor::next_due() const {
    std::optional<Timestamp> at;
    for (const auto& [id, w] : watched_) {
        if (w.retired || w.missing || w.chart->definition().expected_every == 0s || !w.last_arrival) continue;
        const Timestamp due = missed_at(w);
        at = at ? std::min(*at, due) : due;
    }
    if (!at) return std::nullopt;
    return Due{*at, StreamName(input)};
}

// State.

std::vector<StatePut> SpcProcessor::save() {
    unsaved_bytes_ = 0;
    std::vector<StatePut> all;
    std::vector<std::pair<std::string, std::optional<std::string>>> puts;
    for (auto& [id, w] : watched_) {
        if (!std::exchange(w.changed, false)) continue;
        const std::string prefix = id_text(id) + '/';
        std::string text;
        JsonWriter json(text);
        json.object().member("config_hash", to_text(Epoch{w.config_hash})).member("retired", w.retired).member("missing", w.missing).member("refusing", w.refusing);
        json.name("last_arrival");
        if (w.last_arrival) json.value(w.last_arrival->micros());
        else json.null();
        json.member("since_capability", w.samples_since_capability);
        if (!w.gathered.values.empty()) {
            json.name("gathered").object().member("id", w.gathered.id).member("time", w.gathered.time.micros()).member("nominal", w.gathered.nominal).member("part_sigma", w.gathered.part_sigma);
            json.name("values").array();
            for (const double v : w.gathered.values) json.value(v);
            json.end().end();
        }
        if (!w.reading_ids.empty()) {
            json.name("reading_ids").array();
            for (const std::uint64_t reading : w.reading_ids) json.value(reading);
            json.end();
        }
        json.end();
        all.push_back({prefix + "m", std::move(text)});
        puts.clear();
        w.chart->save(puts);
        for (auto& [key, value] : puts) all.push_back({prefix + key, std::move(value)});
    }
    return all;
}

Result<void> SpcProcessor::restore(const SavedState& state) {
    watched_.clear();
    owners_.clear();
    const auto split = [](std::string_view key) {
        std::uint64_t id = 0;
        const auto slash = std::min(key.find('/'), key.size());
        (void)std::from_chars(key.data(), key.data() + slash, id);
        return std::pair(id, key.substr(std::min(slash + 1, key.size())));
    };
    const Error bad{"bad_state", "the saved state of a characteristic cannot be read"};
    // The definition first: it makes the chart.
    for (const auto& [key, value] : state) {
        const auto [id, rest] = split(key);
        if (rest != "d") continue;
        WEIR_TRY(const Json json, Json::parse(value));
        const Json* definition = json.find("definition");
        if (!definition || id == 0) return bad;
        WEIR_TRY(auto parsed, Characteristic::parse(*definition));
        Watched w;
        w.chart = std::make_unique<SpcChart>(std::move(parsed), options_.history, table_, unsaved_bytes_);
        WEIR_CHECK_OK(w.chart->restore(rest, value));
        w.changed = false;
        watched_.emplace(id, std::move(w));
    }
    for (const auto& [key, value] : state) {
        const auto [id, rest] = split(key);
        if (rest == "d") continue;
        const auto at = watched_.find(id);
        if (at == watched_.end()) return bad;
        if (rest != "m") {
            WEIR_CHECK_OK(at->second.chart->restore(rest, value));
            continue;
        }
        WEIR_TRY(const Json json, Json::parse(value));
        Watched& w = at->second;
        const auto flag = [&](const char* name) { return json.find(name) && json.find(name)->as_boolean(); };
        w.retired = flag("retired"), w.missing = flag("missing"), w.refusing = flag("refusing");
        if (const Json* last = json.find("last_arrival"); last && last->as_integer()) w.last_arrival = Timestamp::from_micros(*last->as_integer());
        if (const Json* since = json.find("since_capability")) w.samples_since_capability = static_cast<std::size_t>(since->as_integer().value_or(0));
        if (const Json* gathered = json.find("gathered")) {
            const Json *reading = gathered->find("id"), *time = gathered->find("time"), *nominal = gathered->find("nominal"), *part_sigma = gathered->find("part_sigma"), *values = gathered->find("values");
            if (!reading || !time || !nominal || !part_sigma || !values) return bad;
            w.gathered.id = static_cast<std::uint64_t>(reading->as_integer().value_or(0));
            w.gathered.time = Timestamp::from_micros(time->as_integer().value_or(0));
            w.gathered.nominal = nominal->as_double();
            w.gathered.part_sigma = part_sigma->as_double();
            for (const Json& number : values->items()) w.gathered.values.push_back(number.as_double());
        }
        if (const Json* readings = json.find("reading_ids"))
            for (const Json& reading : readings->items()) w.reading_ids.push_back(static_cast<std::uint64_t>(reading.as_integer().value_or(0)));
        const auto hash = json.find_string("config_hash").value_or("0");
        (void)std::from_chars(hash.data(), hash.data() + hash.size(), w.config_hash, 16);
    }
    for (auto& [id, w] : watched_) {
        WEIR_CHECK_OK(w.chart->judge_restored());
        for (const auto& [violation, v] : w.chart->violations()) owners_[violation] = id;
    }
    route();
    return ok();
}

}  // namespace weir
