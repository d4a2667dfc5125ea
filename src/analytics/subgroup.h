#pragma once
#include <span>

namespace weir::analytics {

/// Statistics of one subgroup (sample) of readings: not empty, finite.
///
/// All are taken from differences to the first reading, so that 1e9 + noise keeps the noise's digits, and equal readings have
/// exactly their own value as mean and exactly 0 as range and standard deviation.
/// Thread: pure functions. Cost: one or two passes.

double mean_of(std::span<const double> values) noexcept;
/// Largest less smallest.
double range_of(std::span<const double> values) noexcept;
/// With n - 1 (decisions.md 32); 0 for one value.
double standard_deviation_of(std::span<const double> values) noexcept;

}  // namespace weir::analytics
