#pragma once
#include <cstddef>
#include <span>

namespace weir::analytics {

/// Simple exponential smoothing: level = level + alpha (y - level), and every step ahead is the last level.
/// Source: Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 2nd ed., section 7.1.
///
/// Values are in the series' own unit; oldest first; finite. Thread: any. Cost: O(1) a value.
struct Smoothing {
    double alpha = 0.5;  ///< 0 to 1
    double level = 0;    ///< before the first value: where it starts
    void add(double value) { level += alpha * (value - level); }
    double forecast() const { return level; }
};

/// The alpha and the starting level with the least sum of squared one-step errors, run to the end of `values`.
struct SmoothingFit {
    double alpha = 0, first_level = 0, squared_error = 0;
    Smoothing end;
};
/// `values`: at least one. For an alpha the best starting level has a closed form, since each error is linear in it; alpha itself is
/// searched: 99 values of a grid, then golden section around the best of them. Cost: O(150 n), no allocation.
SmoothingFit fit_smoothing(std::span<const double> values);

/// The theta method: the mean of the line through the series (theta 0), extrapolated, and of simple exponential smoothing of the series
/// with doubled curvature (theta 2). It equals smoothing with a drift of half the line's slope b (Hyndman and Billah 2003):
///     level + b / 2 (steps - 1 + 1 / alpha - (1 - alpha)^n / alpha)
/// where the level starts at the first value. With `n` long the last term is nothing.
/// Sources: Assimakopoulos and Nikolopoulos, Int. J. Forecasting 16 (2000), 521; Hyndman and Billah, Int. J. Forecasting 19 (2003), 287.
double theta_drift(double slope, double alpha, std::size_t steps);
double theta_drift(double slope, double alpha, std::size_t steps, std::size_t n);

/// Theta as the M4 competition's benchmark has it: both lines apart, alpha fitted on the second.
struct ThetaFit {
    double intercept = 0, slope = 0;  ///< line through (1, y1), (2, y2), ...
    std::size_t count = 0;
    SmoothingFit second;              ///< of 2 y - line
    double forecast(std::size_t steps) const;
};
/// `values`: at least two. Cost: as `fit_smoothing`, and one copy.
ThetaFit fit_theta(std::span<const double> values);

/// Exponential smoothing with a damped trend and an additive season, in its error-correction form:
///     e = y - (level + phi trend + season);  level += phi trend + alpha e;  trend = phi trend + beta e;  season += gamma e
/// and k steps ahead level + (phi + ... + phi^k) trend + season of that step. phi = 1 is Holt's linear trend; beta is alpha beta*.
/// Sources: Gardner and McKenzie, Management Science 31 (1985), 1237; Hyndman and Athanasopoulos, sections 7.2, 7.3 and 7.5.
struct DampedTrend {
    double alpha = 0.5, beta = 0.05, phi = 0.9, gamma = 0.1;
    double level = 0, trend = 0;
    /// `season`: that of this step; 0 without one. It is corrected in place.
    void add(double value, double& season) {
        const double error = value - (level + phi * trend + season);
        pass();
        level += alpha * error;
        trend += beta * error;
        season += gamma * error;
    }
    /// A step without a value.
    void pass() {
        trend *= phi;
        level += trend;
    }
    /// Without the season.
    double forecast(std::size_t steps) const;
};

/// phi + phi^2 + ... + phi^steps.
double damping_sum(double phi, std::size_t steps);

}  // namespace weir::analytics
