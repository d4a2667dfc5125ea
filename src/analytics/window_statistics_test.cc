#include "analytics/window_statistics.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/prng.h"

using namespace weir;
using namespace weir::analytics;

namespace {

WindowStatistics of(const std::vector<double>& values, Duration spacing = 5s, std::uint32_t exact_max = 100'000) {
    WindowStatistics s(exact_max);
    Timestamp t = "2026-02-17T10:00:00Z"_utc;
    for (const double v : values) {
        s.add(t, v);
        t = t + spacing;
    }
    return s;
}

// -log10 of the relative error: NIST's measure of how many digits are right.
double digits(double found, double certified) {
    return found == certified ? 15 : std::min(15.0, -std::log10(std::abs(found - certified) / std::abs(certified)));
}

std::vector<double> alternating(double middle, double below, double above) {
    std::vector<double> values{middle};
    for (int i = 0; i < 500; ++i) {
        values.push_back(below);
        values.push_back(above);
    }
    return values;
}

// Michelson's speed of light, 1879, in thousands of km/s: NIST StRD's Michelso.
std::vector<double> michelson() {
    std::vector<double> values;
    for (const int x :
         {850, 740, 900, 1070, 930, 850, 950, 980, 980, 880, 1000, 980, 930, 650, 760, 810, 1000, 1000, 960, 960, 960, 940, 960, 940, 880,
          800, 850, 880, 900,  840, 830, 790, 810, 880, 880, 830,  800, 790, 760, 800, 880, 880,  880,  860, 720, 720, 620, 860, 970, 950,
          880, 910, 850, 870,  840, 840, 850, 840, 840, 840, 890,  810, 810, 820, 800, 770, 760,  740,  750, 760, 910, 920, 890, 860, 880,
          720, 840, 850, 850,  780, 890, 840, 780, 810, 760, 810,  790, 810, 820, 850, 870, 870,  810,  740, 810, 940, 950, 800, 810, 870})
        values.push_back((299'000 + x) / 1000.0);
    return values;
}

// Slow and obvious: in long double, from the definition.
struct Twin {
    long double avg = 0, stddev = 0, median = 0, p95 = 0;
    explicit Twin(std::vector<double> v) {
        std::sort(v.begin(), v.end());
        const auto n = static_cast<long double>(v.size());
        for (const double x : v) avg += static_cast<long double>(x) / n;
        long double squares = 0;
        for (const double x : v) squares += (x - avg) * (x - avg);
        if (v.size() > 1) stddev = std::sqrt(squares / (n - 1));
        const auto at = [&](long double p) {
            const long double h = (n - 1) * p;
            const auto i = static_cast<std::size_t>(h);
            return i + 1 < v.size() ? v[i] + (h - static_cast<long double>(i)) * (static_cast<long double>(v[i + 1]) - v[i])
                                    : static_cast<long double>(v[i]);
        };
        median = at(0.5L);
        p95 = at(0.95L);
    }
};

}  // namespace

TEST_CASE("window statistics: the readings of source 000's shape give its numbers (S0-12, S0-13)") {
    const auto s = of({45, 45, 46, 46, 45, 47, 47, 48, 48, 49, 49, 50}).summary();
    CHECK(s.count == 12);
    CHECK(*s.min == 45);
    CHECK(*s.max == 50);
    CHECK(*s.first == 45);
    CHECK(*s.last == 50);
    CHECK(*s.median == 47);
    CHECK(*s.avg == doctest::Approx(47.0833333333333));
    CHECK(s.distinct_changes == 6);
    REQUIRE(s.trend);
    CHECK(s.trend->direction == Direction::rising);
    CHECK(s.exact);
}

TEST_CASE("window statistics: the median of an even count is the mean of the middle two, or the upper with the switch (C-6, S0-15)") {
    const auto s = of({1, 2, 10, 20});
    CHECK(*s.summary().median == 6);
    CHECK(*s.summary(MedianKind::upper).median == 10);
    CHECK(*of({3, 1, 2}).summary(MedianKind::upper).median == 2);
}

TEST_CASE("window statistics: nothing gives null, one reading has no deviation and no trend, and 0 is a reading") {
    const auto none = WindowStatistics().summary();
    CHECK(none.count == 0);
    CHECK_FALSE(none.min);
    CHECK_FALSE(none.avg);
    CHECK_FALSE(none.trend);
    const auto one = of({0}).summary();
    CHECK(one.count == 1);
    CHECK(*one.avg == 0);
    CHECK(*one.median == 0);
    CHECK(*one.p95 == 0);
    CHECK_FALSE(one.stddev);
    CHECK_FALSE(one.trend);
    const auto zeros = of({0, 0, 0, 0}).summary();
    CHECK(*zeros.stddev == 0);
    CHECK(zeros.trend->slope_per_minute == 0);
    CHECK(zeros.trend->direction == Direction::steady);
}

TEST_CASE("window statistics: NIST StRD univariate data sets, certified mean and standard deviation") {
    struct Row {
        const char* name;
        std::vector<double> values;
        double mean, stddev, digits;
    };
    // The digits asked of NumAcc3 and 4 are those that survive writing 1000000.1 and 10000000.1 as doubles at all.
    const Row rows[] = {
        {"NumAcc1", {10000001, 10000003, 10000002}, 10000002, 1, 15},
        {"NumAcc2", alternating(1.2, 1.1, 1.3), 1.2, 0.1, 14},
        {"NumAcc3", alternating(1000000.2, 1000000.1, 1000000.3), 1000000.2, 0.1, 9},
        {"NumAcc4", alternating(10000000.2, 10000000.1, 10000000.3), 10000000.2, 0.1, 8},
        {"Michelso", michelson(), 299.852400000000, 0.0790105478190518, 13},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        const auto s = of(row.values).summary();
        CHECK(digits(*s.avg, row.mean) >= 14);
        CHECK(digits(*s.stddev, row.stddev) >= row.digits);
        // Folded, the same numbers to a little less.
        const auto folded = of(row.values, 5s, 2).summary();
        CHECK_FALSE(folded.exact);
        CHECK(digits(*folded.avg, row.mean) >= 13);
        CHECK(digits(*folded.stddev, row.stddev) >= std::min(row.digits, 11.0));
    }
}

TEST_CASE("window statistics: an offset of 1e9 changes neither deviation nor slope") {
    Prng prng(7);
    std::vector<double> plain, offset;
    for (int i = 0; i < 500; ++i) {
        plain.push_back(static_cast<double>(prng.below(1024)) / 8 + i);
        offset.push_back(plain.back() + 1e9);  // exact: eighths fit
    }
    const auto a = of(plain).summary(), b = of(offset).summary();
    CHECK(*a.stddev == doctest::Approx(*b.stddev).epsilon(1e-14));
    CHECK(a.trend->slope_per_minute == doctest::Approx(b.trend->slope_per_minute).epsilon(1e-14));
    CHECK(*b.avg == *a.avg + 1e9);
}

TEST_CASE("window statistics: equal to a slow twin over random windows, to the last digits") {
    Prng prng(42);
    for (int round = 0; round < 500; ++round) {
        CAPTURE(round);
        std::vector<double> v;
        const auto n = 1 + prng.below(200);
        const double scale = std::pow(10, prng.uniform() * 12 - 6), offset = prng.normal() * scale * 100;
        for (std::uint64_t i = 0; i < n; ++i) v.push_back(offset + prng.normal() * scale);
        const Twin twin(v);
        const auto s = of(v).summary();
        const auto close = [&](double found, long double wanted) {
            return std::abs(static_cast<long double>(found) - wanted) <= 1e-13L * std::max(std::abs(wanted), static_cast<long double>(scale));
        };
        CHECK(close(*s.avg, twin.avg));
        CHECK(close(*s.median, twin.median));
        CHECK(close(*s.p95, twin.p95));
        if (n > 1) CHECK(close(*s.stddev, twin.stddev));
    }
}

TEST_CASE("window statistics: any order of arrival gives the same bits (D3)") {
    Prng prng(3);
    for (int round = 0; round < 200; ++round) {
        std::vector<TimedValue> readings;
        for (std::uint64_t i = 0, n = 2 + prng.below(60); i < n; ++i)
            readings.push_back({Timestamp::from_seconds(static_cast<std::int64_t>(prng.below(100))), prng.normal() * 0.1});
        const auto summary_of = [&] {
            WindowStatistics s;
            for (const auto& r : readings) s.add(r.time, r.value);
            return s.summary();
        };
        const auto before = summary_of();
        for (std::size_t i = readings.size() - 1; i > 0; --i) std::swap(readings[i], readings[prng.below(i + 1)]);
        const auto after = summary_of();
        CHECK(*before.avg == *after.avg);
        CHECK(before.stddev == after.stddev);
        CHECK(before.trend == after.trend);
        CHECK(before.first == after.first);
        CHECK(before.last == after.last);
        CHECK(before.distinct_changes == after.distinct_changes);
    }
}

TEST_CASE("window statistics: panes merged are the window") {
    Prng prng(11);
    WindowStatistics whole, merged;
    for (int pane = 0; pane < 12; ++pane) {
        WindowStatistics part;
        for (int i = 0; i < 60; ++i) {
            const Timestamp t = Timestamp::from_seconds(pane * 300 + i * 5);
            const double v = prng.normal();
            whole.add(t, v);
            part.add(t, v);
        }
        merged.merge(part);
    }
    CHECK(*whole.summary().avg == *merged.summary().avg);
    CHECK(whole.summary().trend == merged.summary().trend);
}

TEST_CASE("window statistics: above the exact size quantiles keep the stated error, the rest its value") {
    Prng prng(5);
    std::vector<double> v;
    for (int i = 0; i < 300'000; ++i) v.push_back(std::exp(prng.normal()) + i * 1e-6);
    WindowStatistics exact = of(v, 1s, 1'000'000), folded = of(v, 1s, 10'000);
    const auto a = exact.summary(), b = folded.summary();
    CHECK_FALSE(b.exact);
    CHECK(b.count == a.count);
    CHECK(b.min == a.min);
    CHECK(b.max == a.max);
    CHECK(b.first == a.first);
    CHECK(b.last == a.last);
    CHECK(b.distinct_changes == a.distinct_changes);
    CHECK(*b.avg == doctest::Approx(*a.avg).epsilon(1e-12));
    CHECK(*b.stddev == doctest::Approx(*a.stddev).epsilon(1e-11));
    CHECK(b.trend->slope_per_minute == doctest::Approx(a.trend->slope_per_minute).epsilon(1e-9));
    std::sort(v.begin(), v.end());
    for (const auto& [p, found] : {std::pair(0.5, *b.median), std::pair(0.95, *b.p95)}) {
        const auto rank = static_cast<double>(std::lower_bound(v.begin(), v.end(), found) - v.begin());
        CHECK(std::abs(rank / 300'000 - p) <= b.rank_error + 1e-5);
    }
    CHECK(b.rank_error < 0.006);

    // A snapshot of it goes on like the original.
    WindowStatistics restored(10'000);
    REQUIRE(restored.load_folded(folded.save_folded()));
    restored.add("2027-01-01T00:00:00Z"_utc, 3);
    folded.add("2027-01-01T00:00:00Z"_utc, 3);
    CHECK(restored.save_folded() == folded.save_folded());
    CHECK_FALSE(restored.load_folded("short"));
}
