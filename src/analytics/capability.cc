#include "analytics/capability.h"

#include "analytics/distributions.h"
#include "analytics/subgroup.h"
#include "base/assert.h"

namespace weir::analytics {

namespace {

constexpr double alpha = 0.05;

CapabilityIndex chi_squared_interval(double value, double degrees_of_freedom) {
    const double low = chi_squared_quantile(alpha / 2, degrees_of_freedom), high = chi_squared_quantile(1 - alpha / 2, degrees_of_freedom);
    return {value, value * std::sqrt(low / degrees_of_freedom), value * std::sqrt(high / degrees_of_freedom)};
}

/// Bissell, written so that an index of 0 or below has its interval too.
CapabilityIndex normal_interval(double value, double count, double z) {
    const double half = z * std::sqrt(1 / (9 * count) + value * value / (2 * (count - 1)));
    return {value, value - half, value + half};
}

struct Family {
    std::optional<CapabilityIndex> p, lower, upper, k, m;
};

Family family(const ProcessSummary& process, const SpecificationLimits& limits, double sigma) {
    Family result;
    const auto n = static_cast<double>(process.count);
    const double one_sided = normal_quantile(1 - alpha), two_sided = normal_quantile(1 - alpha / 2);
    if (limits.lsl) result.lower = normal_interval((process.mean - *limits.lsl) / (3 * sigma), n, one_sided);
    if (limits.usl) result.upper = normal_interval((*limits.usl - process.mean) / (3 * sigma), n, one_sided);
    const double smaller = std::min(result.lower ? result.lower->value : result.upper->value, result.upper ? result.upper->value : result.lower->value);
    result.k = normal_interval(smaller, n, two_sided);
    if (limits.lsl && limits.usl) {
        const double value = (*limits.usl - *limits.lsl) / (6 * sigma);
        result.p = chi_squared_interval(value, n - 1);
        const double off = (process.mean - *limits.target) / sigma, off2 = off * off;
        result.m = chi_squared_interval(value / std::sqrt(1 + off2), n * (1 + off2) / (1 + 2 * off2));
    }
    return result;
}

}  // namespace

Result<Capability> capability(const ProcessSummary& process, const SpecificationLimits& limits) {
    if (!limits.lsl && !limits.usl) return Error{"no_limits", "capability needs a lower or an upper specification limit; neither is given"};
    for (const auto& number : {limits.lsl, limits.usl, limits.target, std::optional(process.mean), std::optional(process.sigma_within), std::optional(process.sigma_overall)}) {
        if (number && !std::isfinite(*number)) return Error{"not_finite", "a specification limit, target, mean or sigma is not a finite number"};
    }
    if (limits.lsl && limits.usl && !(*limits.lsl < *limits.usl)) {
        return Error{"limits_out_of_order", "the lower specification limit (" + std::to_string(*limits.lsl) + ") must be below the upper one (" +
                                                std::to_string(*limits.usl) + ")"};
    }
    if (process.count < 2) return Error{"too_few_readings", "capability needs at least 2 readings; found " + std::to_string(process.count)};
    if (!(process.sigma_within > 0 && process.sigma_overall > 0)) return Error{"no_variation", "the readings show no variation, so that no index is defined"};

    Capability result;
    result.process = process;
    result.limits = limits;
    if (!limits.target && limits.lsl && limits.usl) result.limits.target = *limits.lsl + (*limits.usl - *limits.lsl) / 2;
    const Family within = family(process, result.limits, process.sigma_within), overall = family(process, result.limits, process.sigma_overall);
    result.cp = within.p, result.cp_l = within.lower, result.cp_u = within.upper, result.cp_k = within.k, result.cpm = within.m;
    result.pp = overall.p, result.pp_l = overall.lower, result.pp_u = overall.upper, result.pp_k = overall.k, result.ppm = overall.m;
    const auto n = static_cast<double>(process.count);
    if (limits.lsl) {
        result.expected_below = normal_cdf((*limits.lsl - process.mean) / process.sigma_within);
        result.observed_below = static_cast<double>(process.below_count) / n;
    }
    if (limits.usl) {
        result.expected_above = normal_cdf((process.mean - *limits.usl) / process.sigma_within);
        result.observed_above = static_cast<double>(process.above_count) / n;
    }
    return result;
}

void CapabilityTracker::add(std::span<const double> values) noexcept {
    WEIR_ASSERT(!values.empty());
    for (double value : values) {
        ++count_;
        const double step = value - mean_;
        // The first reading becomes the mean itself: 0 + (x - 0) / 1 is exact.
        mean_ += step / static_cast<double>(count_);
        squares_ += step * (value - mean_);
        if (limits_.lsl && value < *limits_.lsl) ++below_;
        if (limits_.usl && value > *limits_.usl) ++above_;
    }
    const auto n = values.size();
    if (n == 1) {
        if (last_was_single_) {
            moving_ranges_ += std::abs(values[0] - last_single_);
            ++moving_range_count_;
        }
        last_single_ = values[0];
    } else if (n <= static_cast<std::size_t>(table_->size_max())) {
        const auto& constants = table_->of(static_cast<int>(n));
        spreads_ += within_ == Within::range ? range_of(values) / constants.d2 : standard_deviation_of(values) / constants.c4;
        ++spread_count_;
    }
    last_was_single_ = n == 1;
}

ProcessSummary CapabilityTracker::summary() const noexcept {
    ProcessSummary result{.count = count_, .mean = mean_, .below_count = below_, .above_count = above_};
    if (count_ >= 2) result.sigma_overall = std::sqrt(squares_ / static_cast<double>(count_ - 1));
    if (spread_count_ > 0) result.sigma_within = spreads_ / static_cast<double>(spread_count_);
    else if (moving_range_count_ > 0) result.sigma_within = moving_ranges_ / static_cast<double>(moving_range_count_) / table_->of(2).d2;
    return result;
}

}  // namespace weir::analytics
