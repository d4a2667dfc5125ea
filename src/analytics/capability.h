#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "analytics/control_chart_constants.h"
#include "base/result.h"

namespace weir::analytics {

/// What the customer allows, in the characteristic's unit. At least one limit. 0 is a limit and a target like any other.
struct SpecificationLimits {
    std::optional<double> lsl{}, usl{};
    std::optional<double> target{};  ///< the middle of the limits, if both are given and this is not
};

/// What the process does.
struct ProcessSummary {
    std::int64_t count = 0;    ///< readings, >= 2
    double mean = 0;
    double sigma_within = 0;   ///< from ranges or standard deviations of subgroups, > 0
    double sigma_overall = 0;  ///< of all readings, with n - 1, > 0
    std::int64_t below_count = 0, above_count = 0;  ///< readings outside the limits (on a limit is inside)
};

/// An index with the interval that holds it at 95 %.
struct CapabilityIndex {
    double value = 0, low = 0, high = 0;
};

/// Capability of one characteristic. An index that one-sided limits do not define is absent, never 0.
///     Cp = (USL - LSL) / (6 sigma)   Cp_l, Cp_u = (mean - LSL), (USL - mean) / (3 sigma)   Cp_k = the smaller of the two
///     Cpm = Cp / sqrt(1 + ((mean - target) / sigma)^2)      Pp...: the same with the overall sigma
/// Intervals: chi-squared with n - 1 (Cp) or Boyles' degrees of freedom (Cpm), Bissell's normal approximation (Cp_k; one-sided 95 % for
/// Cp_l and Cp_u), as qcc has them. They take sigma for one with n - 1 degrees of freedom: for sigma within from ranges that is a
/// little narrow. Sources: Chou, Owen and Borrego, JQT 22 (1990); Bissell, Applied Statistics 39 (1990); Boyles, JQT 23 (1991).
struct Capability {
    ProcessSummary process;
    SpecificationLimits limits;  ///< with the target that was used
    std::optional<CapabilityIndex> cp, cp_l, cp_u, cp_k, cpm;
    std::optional<CapabilityIndex> pp, pp_l, pp_u, pp_k, ppm;
    /// Fractions outside: of a normal distribution with sigma within, and of the readings. Absent where there is no limit.
    std::optional<double> expected_below, expected_above, observed_below, observed_above;
};

/// Errors: `no_limits`, `limits_out_of_order`, `not_finite`, `too_few_readings` under 2, `no_variation` if a sigma is 0.
/// Thread: pure function. Cost: a few microseconds (ten quantiles).
Result<Capability> capability(const ProcessSummary& process, const SpecificationLimits& limits);

/// Keeps a ProcessSummary as samples arrive, for a running Cp, Cpk, Pp, Ppk.
///
/// sigma within: mean of R/d2(n) over subgroups of two and more, or of s/c4(n), as the chart of the samples has it; else mean moving range/d2(2).
/// Overall: Welford's sums, so that 1e9 + noise keeps the noise. A plain value: a copy is a snapshot. `table` outlives it.
/// Thread: one owner. Cost: O(n) in the subgroup, no allocation.
class CapabilityTracker {
public:
    enum class Within : std::uint8_t { range, standard_deviation };
    CapabilityTracker(const SpecificationLimits& limits, const ConstantsTable& table, Within within = Within::range) : limits_(limits), table_(&table), within_(within) {}

    /// `values`: finite, not empty. A subgroup larger than the table adds nothing to sigma within.
    void add(std::span<const double> values) noexcept;

    ProcessSummary summary() const noexcept;
    /// Errors: those of capability().
    Result<Capability> capability() const { return analytics::capability(summary(), limits_); }

private:
    SpecificationLimits limits_;
    const ConstantsTable* table_;
    Within within_;
    std::int64_t count_ = 0, below_ = 0, above_ = 0;
    double mean_ = 0, squares_ = 0;
    double spreads_ = 0, moving_ranges_ = 0;  ///< the sum of what each subgroup says of sigma within
    std::int64_t spread_count_ = 0, moving_range_count_ = 0;
    double last_single_ = 0;
    bool last_was_single_ = false;
};

}  // namespace weir::analytics
