#include "analytics/trend.h"

#include <algorithm>
#include <cmath>

#include "analytics/distributions.h"

namespace weir::analytics {
namespace {

constexpr double significance = 0.05;
constexpr double micros_per_minute = 60e6;

// Continued fraction of the regularised incomplete beta function, by Lentz's method.
double beta_fraction(double a, double b, double x) {
    constexpr double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    if (std::abs(d) < tiny) d = tiny;
    d = 1 / d;
    double fraction = d;
    for (int m = 1; m <= 10'000; ++m) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 + even * d;
        if (std::abs(d) < tiny) d = tiny;
        c = 1 + even / c;
        if (std::abs(c) < tiny) c = tiny;
        d = 1 / d;
        fraction *= d * c;
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 + odd * d;
        if (std::abs(d) < tiny) d = tiny;
        c = 1 + odd / c;
        if (std::abs(c) < tiny) c = tiny;
        d = 1 / d;
        const double step = d * c;
        fraction *= step;
        if (std::abs(step - 1) < 1e-13) break;
    }
    return fraction;
}

double incomplete_beta(double a, double b, double x) {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    const double front = std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log1p(-x));
    if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

}  // namespace

const char* to_text(Direction direction) {
    switch (direction) {
        case Direction::rising: return "rising";
        case Direction::falling: return "falling";
        case Direction::steady: break;
    }
    return "steady";
}

double student_t_two_sided(double t, double freedom) {
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t));
}

std::optional<Trend> trend(std::span<const TimedValue> by_time) {
    if (by_time.size() < 2) return std::nullopt;
    const auto n = static_cast<double>(by_time.size());
    // Both coordinates are measured from the first reading: an offset of 1e9 would otherwise cost nine digits, and equal
    // values must give a slope of exactly 0.
    const Timestamp t0 = by_time.front().time;
    const double x0 = by_time.front().value;
    const auto minutes = [&](const TimedValue& r) { return static_cast<double>((r.time - t0).count()) / micros_per_minute; };

    double mean_t = 0, mean_x = 0;
    for (const TimedValue& r : by_time) {
        mean_t += minutes(r);
        mean_x += r.value - x0;
    }
    mean_t /= n;
    mean_x /= n;
    double stt = 0, stx = 0;
    for (const TimedValue& r : by_time) {
        const double t = minutes(r) - mean_t;
        stt += t * t;
        stx += t * (r.value - x0 - mean_x);
    }
    if (!(stt > 0)) return std::nullopt;

    Trend found{stx / stt, Direction::steady};
    if (!std::isfinite(found.slope_per_minute)) return std::nullopt;
    if (found.slope_per_minute == 0) {
        found.slope_per_minute = 0;  // never -0
        return found;
    }
    double squares = 0, lagged = 0, previous = 0;
    for (std::size_t i = 0; i < by_time.size(); ++i) {
        const double e = by_time[i].value - x0 - mean_x - found.slope_per_minute * (minutes(by_time[i]) - mean_t);
        squares += e * e;
        if (i > 0) lagged += e * previous;
        previous = e;
    }
    const double r = squares > 0 ? lagged / squares : 0;
    const double corrected = std::clamp(r + (2 + 4 * r) / n, 0.0, 0.999);
    // Readings on an exact line have no residuals but rounding, whose autocorrelation means nothing.
    const bool on_a_line = squares <= 1e-24 * found.slope_per_minute * found.slope_per_minute * stt;
    const double effective = on_a_line ? n : n * (1 - corrected) / (1 + corrected);
    if (effective < 3) return found;
    const double error = std::sqrt(squares / (effective - 2) / stt);
    const bool significant =
        on_a_line || student_t_two_sided(found.slope_per_minute / error, effective - 2) < significance;
    if (significant) found.direction = found.slope_per_minute > 0 ? Direction::rising : Direction::falling;
    return found;
}

}  // namespace weir::analytics
