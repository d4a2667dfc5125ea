#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace weir {

/// `[spc]`: statistical process control in the stream.
struct SpcOptions {
    bool enabled = true;
    std::uint32_t history = 10'000;  ///< samples of a characteristic that can still be judged anew
    std::vector<std::string> sources;  ///< streams that characteristics may take samples from, beside those of the feeds
    std::map<std::string, std::string> reason_codes;  ///< what an acknowledgement may give as a reason, and what it means; empty: `standard_reason_codes`

    const std::map<std::string, std::string>& reasons() const { return reason_codes.empty() ? standard_reason_codes() : reason_codes; }
    static const std::map<std::string, std::string>& standard_reason_codes() {
        static const std::map<std::string, std::string> codes = {
            {"tool_wear", "Tool wear"},           {"tool_change", "Tool changed"},         {"material", "Material or lot"},
            {"setup", "Setup or adjustment"},     {"operator", "Operator"},                {"method", "Method or procedure"},
            {"measurement", "Measurement error"}, {"environment", "Environment"},          {"maintenance", "Maintenance"},
            {"process_adjusted", "Process adjusted"}, {"false_alarm", "False alarm"}};
        return codes;
    }
    bool operator==(const SpcOptions&) const = default;
};

/// `[[characteristics]]`: what is watched, as a client would put it over REST.
struct CharacteristicOptions {
    std::int64_t id = 0;
    std::string name, unit, path;
    std::string chart = "i_mr";
    std::int64_t subgroup_size = 0;  ///< 0: usual for the chart
    std::string stream, key, value, size_field, nominal_field, part_sigma_field;
    std::optional<double> lsl, usl, target;
    std::optional<double> centre, sigma, sigma_z, lcl, ucl;
    double limit_sigmas = 3;
    std::int64_t phase1_samples = 25;
    bool phase1_exclude = false;
    std::string phase1_method = "standard";
    std::string from;
    std::vector<std::string> rules = {"nelson"};
    std::map<std::string, std::string> rule_parameters;  ///< rule id to JSON
    double lambda = 0.2, k = 0.5, h = 5, head_start = 0;
    bool reset_after_signal = false;
    Duration expected_every{0};
    bool requires_ack = false;
    bool operator==(const CharacteristicOptions&) const = default;
};

using CharacteristicTable = std::vector<CharacteristicOptions>;

}  // namespace weir
