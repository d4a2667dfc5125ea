// Worked examples that are printed in books and handbooks, beside those of tests/data/spc: another person's numbers, to the digits printed.
#include <doctest/doctest.h>

#include "analytics/capability.h"
#include "analytics/chart_series.h"

using namespace weir::analytics;

namespace {

const ConstantsTable& constants() {
    static const ConstantsTable table = std::move(ConstantsTable::up_to(25)).value();
    return table;
}

/// Whether a number is the printed one, which has so many digits behind the point.
bool prints(double found, double printed, int digits) { return std::abs(found - printed) <= 0.5000001 * std::pow(10, -digits); }

ChartSeries chart(ChartKind kind, const std::vector<double>& values, const std::vector<double>& sizes, SeriesRequest request = {}) {
    std::vector<Sample> samples;
    for (std::size_t i = 0; i < values.size(); ++i) samples.push_back({.values = {&values[i], 1}, .size = sizes.empty() ? 1 : sizes[sizes.size() == 1 ? 0 : i]});
    request.kind = kind;
    if (request.rules == RuleSettings()) request.rules = RuleSettings::applying_to(kind);
    auto series = chart_series(samples, request, constants());
    if (!series) FAIL(series.error().message);
    return std::move(series).value();
}

/// Positions from 1 that any rule signals.
std::vector<std::size_t> signals(const ChartSeries& series, RuleId rule) {
    auto positions = series.positions(rule);
    for (auto& position : positions) ++position;
    return positions;
}

}  // namespace

TEST_CASE("published: individuals, NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.2: flow rates (D8)") {
    const auto series = chart(ChartKind::individuals, {49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1}, {});
    const ChartPoint& point = series.points.front().point;
    CHECK(prints(point.centre, 50.81, 2));
    // The handbook takes d2 for 1.128: its limits 55.8041 and 45.8159 lie 0.0017 further out.
    CHECK(prints(point.ucl, 50.81 + 3 * 1.87778 / 1.1283792, 4));
    CHECK(prints(point.ucl, 55.8041 - 0.0017, 4));
    CHECK(prints(point.lcl, 45.8159 + 0.0017, 4));
    CHECK(series.signals.empty());
}

TEST_CASE("published: EWMA, NIST/SEMATECH e-Handbook, 6.3.2.4: lambda 0.3 around 50 (D8)") {
    const std::vector<double> values{52.0, 47.0, 53.0, 49.3, 50.1, 47.0, 51.0, 50.1, 51.2, 50.5, 49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1};
    const double printed[] = {50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33, 50.11, 49.36, 49.52, 50.05, 49.38, 49.92, 50.73, 51.23, 51.94, 51.99};
    const auto series = chart(ChartKind::ewma, values, {}, {.given = ControlLimits{.centre = 50, .sigma = 2.0539}, .ewma = {.lambda = 0.3}});
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(prints(series.points[i].point.statistic, printed[i], 2));
    // The handbook's limits are the steady state's, which the last sample's have come to.
    CHECK(prints(series.points.back().point.ucl, 52.5884, 4));
    CHECK(prints(series.points.back().point.lcl, 47.4115, 3));
    CHECK(series.points.front().point.ucl < 52);
    CHECK(series.signals.empty());
}

TEST_CASE("published: tabular CUSUM, NIST/SEMATECH e-Handbook, 6.3.2.3: k 0.3175, h 4.1959, a shift from group 13 on (D8)") {
    const std::vector<double> values{324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600,
                                     324.625, 325.150, 328.325, 327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350};
    const double high[] = {0, 0, 0, 0, 0.03, 0, 0, 0, 0, 0, 0, 0, 3.01, 4.94, 7.45, 10.63, 11.99, 14.44, 16.00, 19.04};
    const double low[] = {0, 0.01, 0, 0.33, 0, 0, 0.56, 0.72, 0.17, 0.25, 0.31, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    const auto series = chart(ChartKind::cusum, values, {}, {.given = ControlLimits{.centre = 325, .sigma = 1}, .cusum = {.k = 0.3175, .h = 4.1959}});
    for (std::size_t i = 0; i < values.size(); ++i) {
        CAPTURE(i);
        // Printed from rounded halves: 14.445 as 14.44.
        CHECK(std::abs(series.cusum[i].upper - high[i]) <= 0.0051);
        CHECK(std::abs(-series.cusum[i].lower - low[i]) <= 0.0051);
    }
    CHECK(signals(series, RuleId::cusum_upper) == std::vector<std::size_t>{14, 15, 16, 17, 18, 19, 20});
    CHECK(signals(series, RuleId::cusum_lower).empty());
}

TEST_CASE("published: CUSUM with a head start of half of H, Montgomery, section 9.1.5: in control it falls back, shifted by 5 it signals at period 3 (D8)") {
    const SeriesRequest request{.given = ControlLimits{.centre = 100, .sigma = 1}, .cusum = {.k = 3, .h = 12, .head_start = 6}};
    const auto in_control = chart(ChartKind::cusum, {102, 97, 104, 93, 100, 105, 96, 98, 105, 99}, {}, request);
    const double upper[] = {5, 0, 1, 0, 0, 2, 0, 0, 2, 0}, lower[] = {1, 1, 0, 4, 1, 0, 1, 0, 0, 0};
    for (std::size_t i = 0; i < 10; ++i) {
        CHECK(in_control.cusum[i].upper == upper[i]);
        CHECK(in_control.cusum[i].lower == -lower[i]);
    }
    CHECK(in_control.signals.empty());
    const auto shifted = chart(ChartKind::cusum, {107, 102, 109, 98, 105, 110, 101, 103, 110, 104}, {}, request);
    const double risen[] = {10, 9, 15, 10, 12, 19, 17, 17, 24, 25};
    for (std::size_t i = 0; i < 10; ++i) CHECK(shifted.cusum[i].upper == risen[i]);
    CHECK(signals(shifted, RuleId::cusum_upper) == std::vector<std::size_t>{3, 6, 7, 8, 9, 10});  // 12 is on the line: inside
}

TEST_CASE("published: c chart, NIST/SEMATECH e-Handbook, 6.3.3.1: defects on 25 wafers (D8)") {
    const auto series = chart(ChartKind::c, {16, 14, 28, 16, 12, 20, 10, 12, 10, 17, 19, 17, 14, 16, 15, 13, 14, 16, 11, 20, 11, 19, 16, 31, 13}, {});
    const ChartPoint& point = series.points.front().point;
    CHECK(point.centre == 16);
    CHECK(point.ucl == 28);
    CHECK(point.lcl == 4);
    // 28 is on the limit: inside. Only wafer 24 is beyond it.
    CHECK(signals(series, RuleId::nelson_1) == std::vector<std::size_t>{24});
}

TEST_CASE("published: u chart, Montgomery, example 7.4: errors in 20 weeks of 50 shipments (D8)") {
    const auto series = chart(ChartKind::u, {2, 3, 8, 1, 1, 4, 1, 4, 5, 1, 8, 2, 4, 3, 4, 1, 8, 3, 7, 4}, {50});
    const ChartPoint& point = series.points.front().point;
    CHECK(prints(point.centre, 0.0740, 4));
    CHECK(prints(point.ucl, 0.1894, 4));
    CHECK(point.lcl == 0);  // -0.0414 before it is cut off
    CHECK(signals(series, RuleId::nelson_1).empty());
}

TEST_CASE("published: p chart with sample sizes that vary, Montgomery, section 7.2.2: purchase orders, sample 11 is out of control (D8)") {
    const std::vector<double> defective{12, 8, 6, 9, 10, 12, 11, 16, 10, 6, 20, 15, 9, 8, 6, 8, 10, 7, 5, 8, 5, 8, 10, 6, 9};
    const std::vector<double> inspected{100, 80, 80, 100, 110, 110, 100, 100, 90, 90, 110, 120, 120, 120, 110, 80, 80, 80, 90, 100, 100, 100, 100, 90, 90};
    const auto series = chart(ChartKind::p, defective, inspected);
    CHECK(prints(series.points[0].point.centre, 0.0955, 4));  // 234 / 2450
    CHECK(prints(series.points[0].point.ucl, 0.1837, 4));
    CHECK(prints(series.points[1].point.ucl, 0.1941, 4));
    CHECK(prints(series.points[0].point.lcl, 0.0073, 4));
    CHECK(series.points[1].point.lcl == 0);
    CHECK(signals(series, RuleId::nelson_1) == std::vector<std::size_t>{11});
}

TEST_CASE("published: capability, NIST/SEMATECH e-Handbook, 6.1.6: limits 8 and 20, mean 16, s 2 (D8)") {
    const auto found = capability({.count = 50, .mean = 16, .sigma_within = 2, .sigma_overall = 2}, {.lsl = 8, .usl = 20});
    REQUIRE(found.ok());
    CHECK(prints(found->cp->value, 1.0, 4));
    CHECK(prints(found->cp_k->value, 0.6667, 4));
    CHECK(prints(found->cp_u->value, 0.6667, 4));
    CHECK(prints(found->cp_l->value, 1.3333, 4));
    CHECK(prints(found->cpm->value, 0.7071, 4));  // the target is the middle, 14: one sigma away
}

TEST_CASE("published: capability, NIST/SEMATECH e-Handbook, 6.1.6: the interval of Cp for 50 readings and Cp 1 is chi-squared's (D8)") {
    const auto found = capability({.count = 50, .mean = 14, .sigma_within = 2, .sigma_overall = 2}, {.lsl = 8, .usl = 20});
    REQUIRE(found.ok());
    // Chi-squared with 49 degrees of freedom: 31.555 and 70.222.
    CHECK(prints(found->cp->low, std::sqrt(31.5549 / 49), 4));
    CHECK(prints(found->cp->high, std::sqrt(70.2224 / 49), 4));
}
