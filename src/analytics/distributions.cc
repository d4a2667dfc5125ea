#include "analytics/distributions.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "base/assert.h"

namespace weir::analytics {

double log_gamma(double x) noexcept {
    double lift = 0;
    for (; x < 16; x += 1) lift += std::log(x);
    const double inverse = 1 / x, square = inverse * inverse;
    const double series =
        inverse * (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260 - square * (1.0 / 1680 - square * (1.0 / 1188 - square * 691.0 / 360360)))));
    return (x - 0.5) * std::log(x) - x + 0.5 * std::log(2 * std::numbers::pi) + series - lift;
}

namespace {

/// P(a, x), the regularised lower incomplete gamma function.
double gamma_p(double a, double x) noexcept {
    if (x <= 0) return 0;
    const double scale = std::exp(a * std::log(x) - x - log_gamma(a));
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (double k = a + 1; std::abs(term) > std::abs(sum) * 1e-17; k += 1) sum += term *= x / k;
        return sum * scale;
    }
    const double tiny = std::numeric_limits<double>::min() / std::numeric_limits<double>::epsilon();
    double b = x + 1 - a, c = 1 / tiny, d = 1 / b, fraction = d;
    for (int i = 1; i < 100'000; ++i) {
        const double an = -i * (i - a);
        b += 2;
        d = an * d + b;
        if (std::abs(d) < tiny) d = tiny;
        c = b + an / c;
        if (std::abs(c) < tiny) c = tiny;
        d = 1 / d;
        const double step = d * c;
        fraction *= step;
        if (std::abs(step - 1) < 1e-16) break;
    }
    return 1 - scale * fraction;
}

}  // namespace

double normal_cdf(double z) noexcept { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

double normal_quantile(double probability) noexcept {
    WEIR_ASSERT(probability > 0 && probability < 1);
    const double q = probability - 0.5;
    if (std::abs(q) <= 0.425) {
        const double r = 0.180625 - q * q;
        return q *
               (((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r + 45921.953931549871457) * r + 13731.693765509461125) * r +
                  1971.5909503065514427) * r + 133.14166789178437745) * r + 3.387132872796366608) /
               (((((((5226.495278852545925 * r + 28729.085735721942674) * r + 39307.89580009271061) * r + 21213.794301586595867) * r + 5394.1960214247511077) * r +
                  687.1870074920579083) * r + 42.313330701600911252) * r + 1);
    }
    double r = std::sqrt(-std::log(q < 0 ? probability : 1 - probability)), z = 0;
    if (r <= 5) {
        r -= 1.6;
        z = (((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r + 1.27045825245236838258) * r + 3.64784832476320460504) * r +
               5.7694972214606914055) * r + 4.6303378461565452959) * r + 1.42343711074968357734) /
            (((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r + 0.14810397642748007459) * r + 0.68976733498510000455) * r +
               1.6763848301838038494) * r + 2.05319162663775882187) * r + 1);
    } else {
        r -= 5;
        z = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r + 0.026532189526576123093) * r + 0.29656057182850489123) * r +
               1.7848265399172913358) * r + 5.4637849111641143699) * r + 6.6579046435011037772) /
            (((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r + 7.868691311456132591e-4) * r + 0.0148753612908506148525) * r +
               0.13692988092273580531) * r + 0.59983220655588793769) * r + 1);
    }
    return q < 0 ? -z : z;
}

double chi_squared_cdf(double x, double degrees_of_freedom) noexcept {
    WEIR_ASSERT(degrees_of_freedom > 0);
    return gamma_p(degrees_of_freedom / 2, x / 2);
}

double chi_squared_quantile(double probability, double degrees_of_freedom) noexcept {
    WEIR_ASSERT(probability > 0 && probability < 1);
    WEIR_ASSERT(degrees_of_freedom > 0);
    const double half = degrees_of_freedom / 2, ninth = 2 / (9 * degrees_of_freedom);
    double x = degrees_of_freedom * std::pow(1 - ninth + normal_quantile(probability) * std::sqrt(ninth), 3);
    // Below one degree of freedom the cube can be negative: the leading term of the density starts there.
    if (!(x > 0)) x = 2 * std::exp((std::log(probability) + log_gamma(half + 1)) / half);
    double low = 0, high = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 200; ++i) {
        const double error = chi_squared_cdf(x, degrees_of_freedom) - probability;
        (error > 0 ? high : low) = x;
        const double density = 0.5 * std::exp((half - 1) * std::log(x / 2) - x / 2 - log_gamma(half));
        double next = x - error / density;
        // A Newton step that leaves the bracket is replaced by its middle (or by doubling while there is no upper end).
        if (!(next > low && next < high)) next = std::isinf(high) ? x * 2 : (low + high) / 2;
        if (std::abs(next - x) <= 1e-15 * x) return next;
        x = next;
    }
    return x;
}

}  // namespace weir::analytics
