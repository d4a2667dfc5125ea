#include "processors/characteristic.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "event/event.h"

namespace weir {

using analytics::ChartKind;
using analytics::RuleId;

namespace {

constexpr std::array<Characteristic::Charts, 15> plans{{
    {"xbar_r", ChartKind::xbar, ChartKind::range},
    {"xbar_s", ChartKind::xbar, ChartKind::standard_deviation},
    {"i_mr", ChartKind::individuals, ChartKind::moving_range},
    {"xbar", ChartKind::xbar, std::nullopt},
    {"individuals", ChartKind::individuals, std::nullopt},
    {"p", ChartKind::p, std::nullopt},
    {"np", ChartKind::np, std::nullopt},
    {"c", ChartKind::c, std::nullopt},
    {"u", ChartKind::u, std::nullopt},
    {"laney_p", ChartKind::laney_p, std::nullopt},
    {"laney_u", ChartKind::laney_u, std::nullopt},
    {"ewma", ChartKind::ewma, std::nullopt},
    {"cusum", ChartKind::cusum, std::nullopt},
    {"short_run_deviation", ChartKind::short_run_deviation, std::nullopt},
    {"short_run_z", ChartKind::short_run_z, std::nullopt},
}};

constexpr std::array<std::string_view, 4> severity_words{"INFO", "WARNING", "CRITICAL", "FATAL"};
constexpr std::array<std::string_view, 5> method_words{"standard", "mean_range", "mean_standard_deviation", "moving_range", "sample_standard_deviation"};

Error wrong(std::string_view member, const Json* found, std::string_view allowed) {
    std::string text = found ? found->text() : std::string("missing");
    if (text.size() > 100) {
        text.resize(97);
        text += "...";
    }
    return {"bad_characteristic", "`" + std::string(member) + "` is " + text + "; allowed: " + std::string(allowed)};
}

/// Takes members of one object, remembers which, and keeps the first mistake.
class Members {
public:
    Members(const Json& json, std::string prefix) : json_(json), prefix_(std::move(prefix)) {}

    const Json* take(std::string_view name) {
        taken_.push_back(name);
        const Json* found = json_.find(name);
        return found && !found->is_null() ? found : nullptr;
    }
    void number(std::string_view name, double& out, bool positive = false) {
        const Json* found = take(name);
        if (!found) return;
        const double value = found->as_double();
        if (!found->is_number() || !std::isfinite(value) || (positive && !(value > 0))) return fail(name, found, positive ? "a number above 0" : "a finite number");
        out = value;
    }
    void number(std::string_view name, std::optional<double>& out) {
        double value = 0;
        if (!json_.find(name) || json_.find(name)->is_null()) {
            taken_.push_back(name);
            return;
        }
        number(name, value);
        out = value;
    }
    template <class Integer>
    void integer(std::string_view name, Integer& out, std::int64_t low, std::int64_t high) {
        const Json* found = take(name);
        if (!found) return;
        const auto value = found->is_number() ? found->as_integer() : std::nullopt;
        if (!value || *value < low || *value > high) return fail(name, found, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
        out = static_cast<Integer>(*value);
    }
    void text(std::string_view name, std::string& out, std::size_t bytes_max = 255) {
        const Json* found = take(name);
        if (!found) return;
        if (!found->is_string() || found->as_string().size() > bytes_max) return fail(name, found, "a text of at most " + std::to_string(bytes_max) + " bytes");
        out = found->as_string();
    }
    void flag(std::string_view name, bool& out) {
        const Json* found = take(name);
        if (!found) return;
        if (!found->is_boolean()) return fail(name, found, "true or false");
        out = found->as_boolean();
    }
    void pointer(std::string_view name, std::optional<JsonPath>& out) {
        std::string text;
        if (!json_.find(name) || json_.find(name)->is_null()) {
            taken_.push_back(name);
            return;
        }
        this->text(name, text);
        auto path = JsonPath::parse(text);
        if (!path.ok()) return fail(name, json_.find(name), "a JSON Pointer such as /value");
        out = *std::move(path);
    }
    void fail(std::string_view name, const Json* found, const std::string& allowed) {
        if (!error_) error_ = wrong(prefix_ + std::string(name), found, allowed);
    }
    void fail(Error error) {
        if (!error_) error_ = std::move(error);
    }
    Result<void> finish() {
        for (const auto& [name, value] : json_.members()) {
            if (std::find(taken_.begin(), taken_.end(), name) != taken_.end()) continue;
            std::string allowed;
            for (const auto known : taken_) allowed.append(allowed.empty() ? "" : ", ").append(known);
            fail(Error{"bad_characteristic", "`" + prefix_ + name.substr(0, 64) + "` is not known; allowed: " + allowed});
            break;
        }
        if (error_) return *error_;
        return ok();
    }

private:
    const Json& json_;
    std::string prefix_;
    std::vector<std::string_view> taken_;
    std::optional<Error> error_;
};

std::optional<SpcSeverity> severity_named(std::string_view word) {
    for (std::size_t i = 0; i < severity_words.size(); ++i)
        if (word == severity_words[i]) return static_cast<SpcSeverity>(i);
    return std::nullopt;
}

Result<void> read_rule(const Json& item, Characteristic& c) {
    if (item.is_string() && (item.as_string() == "nelson" || item.as_string() == "western_electric")) {
        const bool nelson = item.as_string() == "nelson";
        for (int id = nelson ? 1 : 21; id <= (nelson ? 8 : 24); ++id) c.rules[static_cast<RuleId>(id)].on = true;
        return ok();
    }
    const Json* number = item.is_object() ? item.find("id") : &item;
    const auto id = number && number->is_number() ? number->as_integer() : std::nullopt;
    const auto rule = id && *id > 0 && *id < 100 ? analytics::rule_with_id(static_cast<int>(*id)) : std::nullopt;
    if (!rule)
        return wrong("rules", &item, "\"nelson\", \"western_electric\", a rule's id (1 to 8, 9 to 12, 21 to 24), or {\"id\", \"on\", \"points\", \"needed\", \"sigmas\", \"severity\"}");
    if (!analytics::rule_applies(*rule, c.charts.main) && (!c.charts.spread || !analytics::rule_applies(*rule, *c.charts.spread)))
        return Error{"rule_does_not_apply", "rule " + std::to_string(*id) + " means nothing on a chart of kind " + std::string(c.charts.name)};
    auto& parameters = c.rules[*rule];
    parameters.on = true;
    if (!item.is_object()) return ok();
    Members members(item, "rules.");
    std::string severity;
    (void)members.take("id");
    members.flag("on", parameters.on);
    members.integer("points", parameters.points, 1, analytics::rule_points_max);
    members.integer("needed", parameters.needed, 1, analytics::rule_points_max);
    members.number("sigmas", parameters.sigmas, true);
    members.text("severity", severity);
    if (!severity.empty()) {
        const auto found = severity_named(severity);
        if (!found) members.fail("severity", item.find("severity"), "INFO, WARNING, CRITICAL, FATAL");
        else c.severities[*rule] = *found;
    }
    return members.finish();
}

}  // namespace

std::string_view spc_severity_name(SpcSeverity severity) { return severity_words[static_cast<std::size_t>(severity)]; }

std::optional<analytics::SigmaMethod> sigma_method_named(std::string_view name) {
    for (std::size_t i = 0; i < method_words.size(); ++i)
        if (name == method_words[i]) return static_cast<analytics::SigmaMethod>(i);
    return std::nullopt;
}

Result<analytics::ControlLimits> parse_control_limits(const Json& json, const Characteristic& c) {
    if (!json.is_object()) return wrong("limits", &json, "an object {\"centre\", \"sigma\"} or {\"centre\", \"lcl\", \"ucl\"}");
    Members members(json, "limits.");
    analytics::ControlLimits limits{.limit_sigmas = c.limit_sigmas};
    std::optional<double> centre, sigma, lcl, ucl;
    members.number("centre", centre);
    members.number("sigma", sigma);
    members.number("lcl", lcl);
    members.number("ucl", ucl);
    members.number("sigma_z", limits.sigma_z, true);
    WEIR_CHECK_OK(members.finish());
    if (!centre && lcl && ucl) centre = *lcl + (*ucl - *lcl) / 2;
    if (!centre && c.charts.main != ChartKind::short_run_z) return wrong("limits.centre", nullptr, "a finite number");
    limits.centre = centre.value_or(0);
    if (c.counts()) {
        if (sigma || lcl || ucl) return Error{"bad_characteristic", "`limits` of a " + std::string(c.charts.name) + " chart follow from its centre; allowed: centre, sigma_z"};
        const bool items = c.charts.main == ChartKind::p || c.charts.main == ChartKind::np || c.charts.main == ChartKind::laney_p;
        limits.sigma = std::sqrt(std::max(0.0, items ? limits.centre * (1 - limits.centre) : limits.centre));
    } else if (sigma) {
        if (lcl || ucl) return Error{"bad_characteristic", "`limits` have `sigma` as well as `lcl` or `ucl`; allowed: one or the other"};
        limits.sigma = *sigma;
    } else if (lcl && ucl) {
        const double up = *ucl - limits.centre, down = limits.centre - *lcl;
        if (!(up > 0) || std::abs(up - down) > 1e-9 * std::max(std::abs(up), std::abs(limits.centre)))
            return Error{"bad_characteristic", "`limits.lcl` and `limits.ucl` must lie as far below as above the centre"};
        // They are drawn for means of the usual subgroup; sigma is that of single readings.
        limits.sigma = (*ucl - *lcl) / 2 / c.limit_sigmas * std::sqrt(static_cast<double>(c.subgroup_size));
    } else if (c.charts.main == ChartKind::short_run_z) {
        limits.sigma = 1;
    } else {
        return wrong("limits.sigma", nullptr, "a number above 0 (the standard deviation of single readings), or lcl and ucl");
    }
    for (int chart = 0; chart < c.chart_count(); ++chart) WEIR_CHECK_OK(analytics::check_setup(c.setup(chart, limits)));
    return limits;
}

Result<Characteristic> Characteristic::parse(const Json& json) {
    if (!json.is_object()) return Error{"bad_characteristic", "a characteristic is an object"};
    Characteristic c;
    c.json = json;
    Members members(json, "");
    if (!members.take("id")) return wrong("id", nullptr, "a whole number from 1 to 9007199254740991");
    members.integer("id", c.id, 1, static_cast<std::int64_t>(spc_id_max));
    members.text("name", c.name);
    members.text("unit", c.unit, 32);
    members.text("path", c.path);
    std::string chart = "i_mr";
    members.text("chart", chart);
    const auto plan = std::find_if(plans.begin(), plans.end(), [&](const Charts& p) { return p.name == chart; });
    if (plan == plans.end()) {
        std::string allowed;
        for (const auto& p : plans) allowed.append(allowed.empty() ? "" : ", ").append(p.name);
        return wrong("chart", json.find("chart"), allowed);
    }
    c.charts = *plan;
    const bool one = c.counts() || c.charts.main == ChartKind::individuals;
    c.subgroup_size = one || c.charts.main == ChartKind::ewma || c.charts.main == ChartKind::cusum ? 1 : 5;
    const bool spread = c.charts.spread && c.charts.spread != ChartKind::moving_range;
    members.integer("subgroup_size", c.subgroup_size, spread ? 2 : 1,
                    c.counts() ? 1'000'000'000 : one ? 1 : static_cast<std::int64_t>(values_max));
    if (const Json* spec = members.take("spec")) {
        if (!spec->is_object()) return wrong("spec", spec, "an object {\"lsl\", \"usl\", \"target\"}");
        Members limits(*spec, "spec.");
        limits.number("lsl", c.spec.lsl);
        limits.number("usl", c.spec.usl);
        limits.number("target", c.spec.target);
        WEIR_CHECK_OK(limits.finish());
        if (c.spec.lsl && c.spec.usl && !(*c.spec.lsl < *c.spec.usl)) return wrong("spec.lsl", spec->find("lsl"), "a number below spec.usl");
    }
    members.number("limit_sigmas", c.limit_sigmas, true);
    if (const Json* phase1 = members.take("phase1")) {
        if (!phase1->is_object()) return wrong("phase1", phase1, "an object {\"samples\", \"exclude_out_of_control\", \"method\"}");
        Members options(*phase1, "phase1.");
        options.integer("samples", c.phase1_samples, 0, 1000);
        options.flag("exclude_out_of_control", c.phase1_exclude);
        std::string method = "standard";
        options.text("method", method);
        if (const auto found = sigma_method_named(method)) c.method = *found;
        else options.fail("method", phase1->find("method"), "standard, mean_range, mean_standard_deviation, moving_range, sample_standard_deviation");
        WEIR_CHECK_OK(options.finish());
        if (c.phase1_samples == 1) return wrong("phase1.samples", phase1->find("samples"), "0, or 2 to 1000");
    }
    if (const Json* ewma = members.take("ewma")) {
        Members options(*ewma, "ewma.");
        options.number("lambda", c.ewma.lambda);
        WEIR_CHECK_OK(options.finish());
    }
    if (const Json* cusum = members.take("cusum")) {
        Members options(*cusum, "cusum.");
        options.number("k", c.cusum.k);
        options.number("h", c.cusum.h);
        options.number("head_start", c.cusum.head_start);
        options.flag("reset_after_signal", c.cusum.reset_after_signal);
        WEIR_CHECK_OK(options.finish());
    }
    const Json* rules = members.take("rules");
    if (!rules) {
        WEIR_CHECK_OK(read_rule(Json::string("nelson"), c));
    } else if (!rules->is_array()) {
        return wrong("rules", rules, "a list such as [\"nelson\"] or [1, 2, {\"id\": 3, \"points\": 7}]");
    } else {
        for (const Json& item : rules->items()) WEIR_CHECK_OK(read_rule(item, c));
    }
    // A sum of the past has its own two rules, always.
    for (const RuleId id : {RuleId::ewma_upper, RuleId::ewma_lower, RuleId::cusum_upper, RuleId::cusum_lower}) c.rules[id].on = true;
    WEIR_CHECK_OK(analytics::check_rules(c.rules));
    c.spread_rules = c.rules;
    c.rules.keep_applying_to(c.charts.main);
    if (c.charts.spread) c.spread_rules.keep_applying_to(*c.charts.spread);
    if (const Json* source = members.take("source")) {
        if (!source->is_object()) return wrong("source", source, "an object {\"stream\", \"key\", \"value\", \"size\", \"nominal\", \"part_sigma\"}");
        Members options(*source, "source.");
        std::optional<JsonPath> value;
        std::string stream, key;
        std::optional<JsonPath> size, nominal, part_sigma;
        options.text("stream", stream, 128);
        options.text("key", key);
        options.pointer("value", value);
        options.pointer("size", size);
        options.pointer("nominal", nominal);
        options.pointer("part_sigma", part_sigma);
        WEIR_CHECK_OK(options.finish());
        if (!is_stream_name(stream)) return wrong("source.stream", source->find("stream"), "a stream's name");
        if (!value) return wrong("source.value", nullptr, "a JSON Pointer such as /value");
        c.source = Source{std::move(stream), std::move(key), *std::move(value), std::move(size), std::move(nominal), std::move(part_sigma)};
    }
    if (const Json* every = members.take("expected_every")) {
        const auto duration = every->is_string() ? parse_duration(every->as_string()) : std::nullopt;
        if (!duration || *duration > 366 * 24h || (*duration > 0s && *duration < 1s)) return wrong("expected_every", every, "a duration such as \"30s\", 1s to 366d, or \"0s\"");
        c.expected_every = *duration;
    }
    members.flag("requires_ack", c.requires_ack);
    const Json* limits = members.take("limits");
    (void)members.take("from");
    WEIR_CHECK_OK(members.finish());
    if (c.charts.main == ChartKind::short_run_z && !limits) c.given = analytics::ControlLimits{.centre = 0, .sigma = 1, .limit_sigmas = c.limit_sigmas};
    if (limits) {
        WEIR_TRY(c.given, parse_control_limits(*limits, c));
    } else {
        // Limits to come will be usable; what else the setup says must be so now.
        for (int i = 0; i < c.chart_count(); ++i)
            WEIR_CHECK_OK(analytics::check_setup(c.setup(i, {.centre = 0.5, .sigma = 0.5, .limit_sigmas = c.limit_sigmas})));
    }
    return c;
}

SpcSeverity Characteristic::severity(RuleId rule) const {
    if (const auto at = severities.find(rule); at != severities.end()) return at->second;
    return analytics::rule_info(rule).severity == analytics::Severity::critical ? SpcSeverity::critical : SpcSeverity::warning;
}

analytics::ChartSetup Characteristic::setup(int chart, const analytics::ControlLimits& limits) const {
    return {.kind = kind(chart), .limits = limits, .ewma = ewma, .cusum = cusum};
}

bool Characteristic::judges_like(const Characteristic& other) const {
    return charts == other.charts && unit == other.unit && given == other.given && limit_sigmas == other.limit_sigmas && rules == other.rules &&
           spread_rules == other.spread_rules && severities == other.severities && ewma.lambda == other.ewma.lambda && cusum.k == other.cusum.k &&
           cusum.h == other.cusum.h && cusum.head_start == other.cusum.head_start && cusum.reset_after_signal == other.cusum.reset_after_signal;
}

}  // namespace weir
