#include "analytics/exponential_smoothing.h"

#include <cmath>
#include <vector>

#include "base/assert.h"

namespace weir::analytics {
namespace {

// With level l0 at the start the error at step t is (y - level) of a start at 0, less l0 (1 - alpha)^t: least squares in l0.
SmoothingFit at_alpha(std::span<const double> values, double alpha) {
    const double around = values.front();  // an offset of 1e9 costs no digits
    double level = 0, power = 1, cross = 0, square = 0, total = 0;
    for (const double value : values) {
        const double error = value - around - level;
        cross += error * power;
        square += power * power;
        total += error * error;
        level += alpha * error;
        power *= 1 - alpha;
    }
    const double first = cross / square;
    const double squared_error = total - cross * first;
    return {alpha, around + first, squared_error < 0 ? 0 : squared_error, {alpha, around + level + first * power}};
}

}  // namespace

SmoothingFit fit_smoothing(std::span<const double> values) {
    WEIR_ASSERT(!values.empty());
    SmoothingFit best = at_alpha(values, 0.01);
    for (int percent = 2; percent < 100; ++percent) {
        const SmoothingFit fit = at_alpha(values, percent / 100.0);
        if (fit.squared_error < best.squared_error) best = fit;
    }
    const double golden = (std::sqrt(5.0) - 1) / 2;
    double low = best.alpha - 0.01 + 1e-4, high = best.alpha + 0.01 - 1e-4;
    for (int i = 0; i < 24; ++i) {
        const SmoothingFit one = at_alpha(values, high - golden * (high - low)), other = at_alpha(values, low + golden * (high - low));
        if (one.squared_error <= other.squared_error) high = other.alpha;
        else low = one.alpha;
        const SmoothingFit& better = one.squared_error <= other.squared_error ? one : other;
        if (better.squared_error < best.squared_error) best = better;
    }
    return best;
}

double theta_drift(double slope, double alpha, std::size_t steps) { return slope / 2 * (static_cast<double>(steps) - 1 + 1 / alpha); }

double theta_drift(double slope, double alpha, std::size_t steps, std::size_t n) {
    return slope / 2 * (static_cast<double>(steps) - 1 + (1 - std::pow(1 - alpha, static_cast<double>(n))) / alpha);
}

double ThetaFit::forecast(std::size_t steps) const {
    return (intercept + slope * static_cast<double>(count + steps) + second.end.forecast()) / 2;
}

ThetaFit fit_theta(std::span<const double> values) {
    WEIR_ASSERT(values.size() >= 2);
    ThetaFit fit;
    fit.count = values.size();
    const double n = static_cast<double>(fit.count), middle = (n + 1) / 2;
    double mean = 0, cross = 0;
    for (const double value : values) mean += value / n;
    for (std::size_t i = 0; i < values.size(); ++i) cross += (static_cast<double>(i + 1) - middle) * (values[i] - mean);
    fit.slope = cross / (n * (n * n - 1) / 12);
    fit.intercept = mean - fit.slope * middle;
    std::vector<double> second(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) second[i] = 2 * values[i] - (fit.intercept + fit.slope * static_cast<double>(i + 1));
    fit.second = fit_smoothing(second);
    return fit;
}

double damping_sum(double phi, std::size_t steps) {
    double sum = 0, power = 1;
    for (std::size_t i = 0; i < steps; ++i) sum += power *= phi;
    return sum;
}

double DampedTrend::forecast(std::size_t steps) const { return level + damping_sum(phi, steps) * trend; }

}  // namespace weir::analytics
