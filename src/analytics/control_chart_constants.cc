#include "analytics/control_chart_constants.h"

#include <numbers>

#include "analytics/distributions.h"
#include "base/assert.h"

namespace weir::analytics {

namespace {

/// Mean and standard deviation of the range W of n standard normal readings, for all n up to size_max in one pass, from its density
///     f_n(w) = n (n - 1) * integral over x of phi(x) phi(x + w) (Phi(x + w) - Phi(x))^(n - 2).
/// The inner integrand is analytic on the whole line and dies as a normal density, so the plain trapezoidal rule converges
/// exponentially. The outer one has an end at 0; w = exp(u - exp(-u)) maps it to the whole line, where the same holds.
/// The variance is summed about the mean: E[W^2] - E[W]^2 would lose two digits at n = 100. One pass serves all n because the base of
/// the power does not depend on n.
struct RangeMoments {
    std::vector<double> mean, deviation;  // [n]
};

RangeMoments range_moments(int size_max) {
    const double inner_step = 1.0 / 12, outer_step = 1.0 / 32, reach = 9;
    const auto count = static_cast<std::size_t>(size_max) + 1;
    const auto phi = [](double x) { return std::exp(-x * x / 2); };  // up to a factor: the densities are normalised below
    std::vector<double> ranges, density;                            // density[k * count + n]: mass at ranges[k], not normalised
    for (double u = -4; u < 2.95; u += outer_step) {
        const double shrink = std::exp(-u), w = std::exp(u - shrink), weight = w * (1 + shrink);
        ranges.push_back(w);
        density.resize(density.size() + count);
        double* mass = &density[density.size() - count];
        // The integrand's middle is at x = -w/2, so that both readings lie within reach.
        for (double x = -w / 2 - reach; x <= -w / 2 + reach; x += inner_step) {
            const double between = normal_cdf(x + w) - normal_cdf(x);
            double power = phi(x) * phi(x + w) * weight;
            for (std::size_t n = 2; n < count; ++n) {
                mass[n] += power;
                power *= between;
                if (power < 1e-40) break;  // the powers only shrink, and n (n - 1) does not bring them back
            }
        }
    }
    RangeMoments moments{std::vector<double>(count), std::vector<double>(count)};
    for (std::size_t n = 2; n < count; ++n) {
        double total = 0, first = 0, second = 0;
        for (std::size_t k = 0; k < ranges.size(); ++k) {
            total += density[k * count + n];
            first += density[k * count + n] * ranges[k];
        }
        const double mean = first / total;
        for (std::size_t k = 0; k < ranges.size(); ++k) second += density[k * count + n] * (ranges[k] - mean) * (ranges[k] - mean);
        moments.mean[n] = mean;
        moments.deviation[n] = std::sqrt(second / total);
    }
    return moments;
}

ControlChartConstants constants_of(int n, double d2, double d3) {
    ControlChartConstants c;
    c.n = n;
    c.d2 = d2;
    c.d3 = d3;
    c.c4 = c4_of(n);
    c.A = 3 / std::sqrt(n);
    c.A2 = c.A / c.d2;
    c.A3 = c.A / c.c4;
    c.E2 = 3 / c.d2;
    const double spread = 3 * std::sqrt(1 - c.c4 * c.c4);
    c.B5 = std::max(0.0, c.c4 - spread);
    c.B6 = c.c4 + spread;
    c.B3 = c.B5 / c.c4;
    c.B4 = c.B6 / c.c4;
    c.D1 = std::max(0.0, c.d2 - 3 * c.d3);
    c.D2 = c.d2 + 3 * c.d3;
    c.D3 = c.D1 / c.d2;
    c.D4 = c.D2 / c.d2;
    return c;
}

}  // namespace

double c4_of(int n) noexcept {
    WEIR_ASSERT(n >= 2);
    if (n > subgroup_size_limit) {
        const double inverse = 1.0 / n;
        return 1 - inverse * (1.0 / 4 + inverse * (7.0 / 32 + inverse * 19.0 / 128));
    }
    // r(n) = Gamma(n/2) / Gamma((n-1)/2) obeys r(n) r(n-1) = (n-2)/2: one rounding a step, and no large gammas.
    double gamma_ratio = 1 / std::sqrt(std::numbers::pi);
    for (int k = 3; k <= n; ++k) gamma_ratio = (k - 2) / 2.0 / gamma_ratio;
    return std::sqrt(2.0 / (n - 1)) * gamma_ratio;
}

Result<ConstantsTable> ConstantsTable::up_to(int size_max) {
    if (size_max < 2 || size_max > subgroup_size_limit) {
        return Error{"subgroup_size_out_of_range", "subgroup size is " + std::to_string(size_max) + "; allowed: 2 to " +
                                                       std::to_string(subgroup_size_limit) + " (use an individuals chart for single readings)"};
    }
    const RangeMoments moments = range_moments(size_max);
    ConstantsTable table;
    for (int n = 2; n <= size_max; ++n) {
        const auto index = static_cast<std::size_t>(n);
        table.constants_.push_back(constants_of(n, moments.mean[index], moments.deviation[index]));
    }
    return table;
}

ConstantsTable ConstantsTable::as_in_qcc() {
    // qcc 3.0, options exp.R.unscaled and se.R.unscaled.
    constexpr double d2[] = {1.128, 1.693, 2.059, 2.326, 2.534, 2.704, 2.847, 2.970, 3.078, 3.173, 3.258, 3.336,
                             3.407, 3.472, 3.532, 3.588, 3.640, 3.689, 3.735, 3.778, 3.819, 3.858, 3.895, 3.931};
    constexpr double d3[] = {0.8525033, 0.8883697, 0.8798108, 0.8640855, 0.8480442, 0.8332108, 0.8198378, 0.8078413, 0.7970584, 0.7873230, 0.7784873, 0.7704257,
                             0.7630330, 0.7562217, 0.7499188, 0.7440627, 0.7386021, 0.7334929, 0.7286980, 0.7241851, 0.7199267, 0.7158987, 0.7120802, 0.7084528};
    ConstantsTable table;
    for (int n = 2; n <= 25; ++n) table.constants_.push_back(constants_of(n, d2[n - 2], d3[n - 2]));
    return table;
}

const ControlChartConstants& ConstantsTable::of(int n) const noexcept {
    WEIR_ASSERT(n >= 2 && n <= size_max());
    return constants_[static_cast<std::size_t>(n) - 2];
}

}  // namespace weir::analytics
