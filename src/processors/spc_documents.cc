#include "processors/spc_documents.h"

#include "analytics/subgroup.h"

namespace weir::spc_documents {

using analytics::ChartPoint;

namespace {

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

void print_index(JsonWriter& json, std::string_view name, const std::optional<analytics::CapabilityIndex>& index) {
    json.name(name);
    if (!index) json.null();
    else json.object().member("value", index->value).member("low", index->low).member("high", index->high).end();
}

}  // namespace

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

void capability(std::string& out, const Characteristic& c, const analytics::Capability& result) {
    out.clear();
    JsonWriter json(out);
    json.object().member("characteristic_id", c.id).member("count", result.process.count).member("mean", result.process.mean);
    json.member("sigma_within", result.process.sigma_within).member("sigma_overall", result.process.sigma_overall);
    json.member("lsl", result.limits.lsl).member("usl", result.limits.usl).member("target", result.limits.target);
    print_index(json, "cp", result.cp), print_index(json, "cp_l", result.cp_l), print_index(json, "cp_u", result.cp_u), print_index(json, "cpk", result.cp_k);
    print_index(json, "cpm", result.cpm);
    print_index(json, "pp", result.pp), print_index(json, "pp_l", result.pp_l), print_index(json, "pp_u", result.pp_u), print_index(json, "ppk", result.pp_k);
    print_index(json, "ppm", result.ppm);
    json.member("expected_below", result.expected_below).member("expected_above", result.expected_above);
    json.member("observed_below", result.observed_below).member("observed_above", result.observed_above).end();
}

void characteristic(std::string& out, const SpcChart& chart, bool retired, bool collection_missed) {
    const Characteristic& c = chart.definition();
    Json definition = c.json;
    definition.set("characteristic_id", Json::integer(static_cast<std::int64_t>(c.id)));
    definition.set("chart", Json::string(std::string(c.charts.name)));
    definition.set("retired", Json::boolean(retired));
    definition.set("collection_missed", Json::boolean(collection_missed));
    out = definition.text();
    out.pop_back();
    out += ",\"rules_on\":[";
    bool first = true;
    for (const auto& rule : analytics::rules()) {
        if (!c.rules[rule.id].on) continue;
        if (!std::exchange(first, false)) out += ',';
        JsonWriter(out).object().member("rule_id", static_cast<int>(rule.id)).member("rule_name", rule.name).member("short_name", rule.short_name)
            .member("description", analytics::rule_description(rule.id, c.rules[rule.id])).member("severity", spc_severity_name(c.severity(rule.id))).end();
    }
    out += "],\"limits_versions\":";
    JsonWriter json(out);
    json.array();
    const auto& versions = chart.versions();
    for (std::size_t i = versions.size() > 50 ? versions.size() - 50 : 0; i < versions.size(); ++i) print_limits(json, versions[i]);
    json.end();
    out += '}';
}

void gathering(std::string& out, const Characteristic& c, const SpcSample& gathered) {
    out.clear();
    JsonWriter json(out);
    json.object().member("characteristic_id", c.id).member("gathered", gathered.values.size()).member("of", c.subgroup_size).name("values").array();
    for (const double v : gathered.values) json.value(v);
    json.end().name("newest");
    if (gathered.values.empty()) json.null();
    else json.value(gathered.time);
    json.end();
}

void sample(std::string& out, const SpcChart& chart, const SpcRecord& record) {
    // What it was judged as: the chart may be another one since.
    const Characteristic& c = chart.version(record.version)->definition;
    const SpcSample& s = record.sample;
    out.clear();
    JsonWriter json(out);
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
}

void sample_moved(std::string& out, const SpcChart& chart, const SpcSample& before, Timestamp to) {
    out.clear();
    JsonWriter(out).object().member("sample_id", before.id).member("characteristic_id", chart.definition().id).member("timestamp", to_rfc3339_short(before.time))
        .member("moved_to", to_rfc3339_short(to)).end();
}

void violation(std::string& out, const SpcChart& chart, const SpcViolation& v, const std::string& samples) {
    const SpcVersion& version = *chart.version(v.version);
    const Characteristic& c = version.definition;
    const auto& info = analytics::rule_info(v.rule);
    const auto& parameters = c.rules_of(v.chart)[v.rule];
    const auto standard = analytics::RuleSettings()[v.rule];
    const bool usual = parameters.points == standard.points && parameters.needed == standard.needed && parameters.sigmas == standard.sigmas;
    const std::string description = analytics::rule_description(v.rule, parameters);
    out.clear();
    JsonWriter json(out);
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
        json.member("ack_user", v.ack->user);
        if (!v.ack->on_behalf_of.empty()) json.member("ack_on_behalf_of", v.ack->on_behalf_of);
        json.member("ack_reason", v.ack->reason).member("ack_time", v.ack->time).name("reason_code");
        if (v.ack->code.empty()) json.null();
        else json.value(v.ack->code);
    }
    json.end();
}

void withdrawal(std::string& out, const SpcChart& chart, const SpcViolation& v) {
    const Characteristic& c = chart.definition();
    out.clear();
    JsonWriter(out).object().member("violation_id", v.id).member("characteristic_id", c.id).member("sample_id", v.sample).member("rule_id", static_cast<int>(v.rule))
        .member("revision", v.revision).member("acknowledged", v.ack.has_value()).end();
}

}  // namespace weir::spc_documents
