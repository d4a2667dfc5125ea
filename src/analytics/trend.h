#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "base/time.h"

namespace weir::analytics {

struct TimedValue {
    Timestamp time;
    double value = 0;
    bool operator==(const TimedValue&) const = default;
};

enum class Direction : std::uint8_t { steady, rising, falling };
const char* to_text(Direction direction);

struct Trend {
    double slope_per_minute = 0;
    Direction direction = Direction::steady;
    bool operator==(const Trend&) const = default;
};

/// Least-squares slope of the values over time, and whether it differs from zero at 95 % (decisions.md 32).
///
/// Readings of a queue or a crowd hang together: the ordinary error of a slope, which takes them as independent, calls every
/// second drift a trend. Its number of readings is therefore reduced to the effective one,
///     n' = n (1 - r) / (1 + r),   r = lag-1 autocorrelation of the residuals, corrected for its bias of -(2 + 4 r) / n, at least 0,
/// both in the residual variance and in the degrees of freedom (n' - 2) of Student's t. Below n' = 3 nothing is significant.
/// Sources: Santer et al., "Statistical significance of trends", J. Geophys. Res. 105 (2000), 7337, equations 4 to 6; bias:
/// Marriott and Pope, Biometrika 41 (1954), 390. White noise is called a trend in 5 % of windows; AR(1) of 0.8: see trend_test.
///
/// `by_time`: oldest first, finite. nullopt when there are less than two different times: there is no slope then.
/// Cost: O(n), no allocation.
std::optional<Trend> trend(std::span<const TimedValue> by_time);

/// Two-sided p-value of Student's t: the chance of at least |t| with `freedom` > 0 degrees of freedom (not only whole ones).
/// Source: DLMF 8.17, continued fraction 8.17.22. Relative error below 1e-10.
double student_t_two_sided(double t, double freedom);

}  // namespace weir::analytics
