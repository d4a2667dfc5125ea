#include "analytics/trend.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "base/prng.h"

using namespace weir;
using namespace weir::analytics;

namespace {

std::vector<TimedValue> every_5s(const std::vector<double>& values) {
    std::vector<TimedValue> readings;
    for (std::size_t i = 0; i < values.size(); ++i)
        readings.push_back({Timestamp::from_seconds(static_cast<std::int64_t>(1'771'322'400 + 5 * i)), values[i]});
    return readings;
}

double share_called_a_trend(double phi, std::size_t n) {
    Prng prng(17);
    int called = 0;
    constexpr int rounds = 4000;
    for (int round = 0; round < rounds; ++round) {
        std::vector<double> v;
        double x = prng.normal() / std::sqrt(1 - phi * phi);
        for (std::size_t i = 0; i < n; ++i) {
            v.push_back(x);
            x = phi * x + prng.normal();
        }
        if (trend(every_5s(v))->direction != Direction::steady) ++called;
    }
    return static_cast<double>(called) / rounds;
}

}  // namespace

TEST_CASE("trend: the slope of NIST StRD's Norris (certified 1.00211681802045)") {
    const double data[][2] = {
        {0.1, 0.2},     {338.8, 337.4}, {118.1, 118.2}, {888.0, 884.6}, {9.2, 10.1},    {228.1, 226.5}, {668.5, 666.3},
        {998.5, 996.3}, {449.1, 448.6}, {778.9, 777.0}, {559.2, 558.2}, {0.3, 0.4},     {0.1, 0.6},     {778.1, 775.5},
        {668.8, 666.9}, {339.3, 338.0}, {448.9, 447.5}, {10.8, 11.6},   {557.7, 556.0}, {228.3, 228.1}, {998.0, 995.8},
        {888.8, 887.6}, {119.6, 120.2}, {0.3, 0.3},     {0.6, 0.3},     {557.6, 556.8}, {339.3, 339.1}, {888.0, 887.2},
        {998.5, 999.0}, {778.9, 779.0}, {10.2, 11.1},   {117.6, 118.3}, {228.9, 229.2}, {668.4, 669.1}, {449.2, 448.9},
        {0.2, 0.5}};
    std::vector<TimedValue> readings;
    for (const auto& [y, x] : data)
        readings.push_back({Timestamp::from_micros(static_cast<std::int64_t>(std::llround(x * 60e6))), y});
    const auto found = trend(readings);
    REQUIRE(found);
    CHECK(std::abs(found->slope_per_minute - 1.00211681802045) < 1e-13);
    CHECK(found->direction == Direction::rising);
}

TEST_CASE("trend: Student's t against its table (two-sided 5 %)") {
    // Critical values: Abramowitz and Stegun, table 26.10.
    for (const auto& [freedom, critical] : {std::pair(1.0, 12.7062047362), {2.0, 4.30265272975}, {5.0, 2.57058183564},
                                            {10.0, 2.22813885199}, {30.0, 2.04227245630}, {120.0, 1.97993040505}, {1000.0, 1.96233908}})
        CHECK(student_t_two_sided(critical, freedom) == doctest::Approx(0.05).epsilon(1e-7));
    CHECK(student_t_two_sided(0, 5) == doctest::Approx(1));
}

TEST_CASE("trend: an exact line rises or falls, equal values are steady, one moment has no slope") {
    const auto line = trend(every_5s({1, 2, 3, 4}));
    CHECK(line->slope_per_minute == doctest::Approx(12));
    CHECK(line->direction == Direction::rising);
    CHECK(trend(every_5s({4, 3, 2, 1}))->direction == Direction::falling);
    CHECK(trend(every_5s({0.1, 0.1, 0.1}))->slope_per_minute == 0);
    CHECK(trend(every_5s({0.1, 0.1, 0.1}))->direction == Direction::steady);
    CHECK(trend(every_5s({1, 9}))->direction == Direction::steady);  // two readings prove nothing
    CHECK_FALSE(trend(every_5s({1})));
    const std::vector<TimedValue> same{{Timestamp::from_seconds(5), 1}, {Timestamp::from_seconds(5), 2}};
    CHECK_FALSE(trend(same));
}

TEST_CASE("trend: white noise is called a trend in 5 % of windows, and readings that hang together hardly more often") {
    CHECK(share_called_a_trend(0, 60) < 0.06);
    CHECK(share_called_a_trend(0, 60) > 0.01);
    CHECK(share_called_a_trend(0.5, 60) < 0.08);
    CHECK(share_called_a_trend(0.8, 60) < 0.09);
    CHECK(share_called_a_trend(0.8, 240) < 0.08);
}

TEST_CASE("trend: a pool that fills by a person a minute under noise of two is seen to fill") {
    Prng prng(8);
    int seen = 0;
    for (int round = 0; round < 200; ++round) {
        std::vector<double> v;
        for (int i = 0; i < 60; ++i) v.push_back(50 + i * 5 / 60.0 + prng.normal() * 2);
        seen += trend(every_5s(v))->direction == Direction::rising;
    }
    CHECK(seen > 190);
}
