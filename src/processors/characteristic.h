#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "analytics/capability.h"
#include "analytics/control_chart.h"
#include "analytics/phase_one.h"
#include "analytics/run_rules.h"
#include "base/result.h"
#include "base/time.h"
#include "event/json.h"
#include "event/json_path.h"

namespace weir {

/// How bad a violation is, on one ordered scale (C-30). The word is what clients see.
enum class SpcSeverity : std::uint8_t { info, warning, critical, fatal };
std::string_view spc_severity_name(SpcSeverity severity);  ///< `INFO`, `WARNING`, `CRITICAL`, `FATAL`

/// Ids of characteristics, samples and violations: integers that a JavaScript number holds, 1 to 2^53 - 1.
inline constexpr std::uint64_t spc_id_max = (std::uint64_t{1} << 53) - 1;

/// What is watched on a chart, as it was defined: by `[[characteristics]]`, over REST, or by any event of type `put_characteristic`
/// (docs/http-api.md has the members). Plain values, read once from its JSON.
struct Characteristic {
    /// Readings in a sample at most: there are constants for so many.
    static constexpr std::size_t values_max = analytics::subgroup_size_limit;

    /// A word of configuration, and the one or two charts that it means.
    struct Charts {
        std::string_view name;  ///< `xbar_r`, `xbar_s`, `i_mr`, `p`, ..., `short_run_z`
        analytics::ChartKind main{};
        std::optional<analytics::ChartKind> spread{};
        bool operator==(const Charts& other) const { return name == other.name; }
    };
    /// Where samples come from beside REST: a field of a stream's events.
    struct Source {
        std::string stream, key;        ///< only events with this key; empty: all
        JsonPath value;                 ///< a number, or an array of numbers
        std::optional<JsonPath> size, nominal, part_sigma;
    };

    std::uint64_t id = 0;
    std::string name, unit, path;
    Charts charts{};
    std::size_t subgroup_size = 1;      ///< what is usual; attribute charts: size where a sample gives none
    analytics::SpecificationLimits spec{};
    std::optional<analytics::ControlLimits> given{};
    double limit_sigmas = 3;
    std::size_t phase1_samples = 25;    ///< without given limits: they are estimated when so many samples are there; 0: only on request
    bool phase1_exclude = false;
    analytics::SigmaMethod method = analytics::SigmaMethod::standard;
    analytics::RuleSettings rules{}, spread_rules{};
    std::map<analytics::RuleId, SpcSeverity> severities;
    analytics::EwmaOptions ewma{};
    analytics::CusumOptions cusum{};
    std::optional<Source> source;
    Duration expected_every{0};         ///< a sample is missed after one and a half of it; 0: never
    bool requires_ack = false;

    Json json;                          ///< as it was given

    /// Errors, each with the member, what was found and what is allowed: `bad_characteristic`, and those of check_setup, check_rules.
    static Result<Characteristic> parse(const Json& json);

    SpcSeverity severity(analytics::RuleId rule) const;
    /// The setup of one of its charts (0: main, 1: spread) with these limits.
    analytics::ChartSetup setup(int chart, const analytics::ControlLimits& limits) const;
    int chart_count() const { return charts.spread ? 2 : 1; }
    analytics::ChartKind kind(int chart) const { return chart == 0 ? charts.main : *charts.spread; }
    const analytics::RuleSettings& rules_of(int chart) const { return chart == 0 ? rules : spread_rules; }
    /// Whether single readings are gathered until they are a subgroup.
    bool gathers() const { return !counts() && subgroup_size > 1; }
    bool counts() const { return charts.main >= analytics::ChartKind::p && charts.main <= analytics::ChartKind::laney_u; }
    /// Whether a sample would be judged alike under both: what needs no new version.
    bool judges_like(const Characteristic& other) const;
};

/// `limits` of a definition or command: {centre, sigma} or {centre, lcl, ucl}, and sigma_z; for counts the centre alone.
/// Errors: `bad_characteristic`; those of check_setup.
Result<analytics::ControlLimits> parse_control_limits(const Json& json, const Characteristic& characteristic);

/// Words for analytics::SigmaMethod: `standard`, `mean_range`, ...; nullopt for another.
std::optional<analytics::SigmaMethod> sigma_method_named(std::string_view name);

}  // namespace weir
