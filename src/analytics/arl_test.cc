#include <doctest/doctest.h>

#include "analytics/control_chart.h"
#include "analytics/run_rules.h"
#include "analytics/spc_reference_for_tests.h"
#include "base/prng.h"

using namespace weir::analytics;

namespace {

struct Average {
    double mean = 0, standard_error = 0;
};

/// Runs of independent normal readings with a shift, each until `signals(reading)` says so.
template <class Start>
Average average_run_length(std::uint64_t seed, int runs, double shift, Start&& start) {
    weir::Prng prng(seed);
    double sum = 0, squares = 0;
    for (int run = 0; run < runs; ++run) {
        auto signals = start();
        double length = 1;
        while (!signals(shift + prng.normal())) ++length;
        sum += length;
        squares += length * length;
    }
    const double mean = sum / runs;
    return {mean, std::sqrt((squares / runs - mean * mean) / (runs - 1))};
}

}  // namespace

// arl.json: R spc 0.6.7. 38 simulated means against it: beyond 4 standard errors none is expected by chance (probability 0.0024 together),
// and the seeds are fixed.
TEST_CASE("average run lengths of CUSUM, EWMA and Shewhart charts are the published ones, within four standard errors (D8)") {
    const int runs = std::getenv("WEIR_NIGHTLY") != nullptr ? 200'000 : 5'000;
    const ControlLimits standard{.centre = 0, .sigma = 1};
    std::uint64_t seed = 2024;
    int rows = 0;
    for (const auto& row : reference::json("arl.json")) {
        const std::string chart = row["chart"], text = row.dump();
        CAPTURE(text);
        const double shift = row["shift"];
        Average found;
        ++seed;
        if (chart == "cusum") {
            const CusumOptions options{.k = row["k"], .h = row["h"]};
            const bool both = row["sided"] == "two";
            found = average_run_length(seed, runs, shift, [&] {
                return [chart = CusumChart(standard, options), both](double x) mutable {
                    const CusumPoint point = chart.add(x, 1);
                    return point.signal_upper || (both && point.signal_lower);
                };
            });
        } else if (chart == "ewma") {
            ControlLimits limits = standard;
            limits.limit_sigmas = row["L"];
            const EwmaOptions options{.lambda = row["lambda"]};
            found = average_run_length(seed, runs, shift, [&] {
                EwmaChart ewma(limits, options);
                ewma.restore({0, options.lambda / (2 - options.lambda)});  // the table's limits are the steady state's
                return [ewma](double x) mutable {
                    const ChartPoint point = ewma.add(x, 1);
                    return point.zone == Zone::beyond_ucl || point.zone == Zone::beyond_lcl;
                };
            });
        } else {
            found = average_run_length(seed, runs, shift, [&] {
                return [chart = MeanChart(standard), run = RunRules([] {
                            RuleSettings settings;
                            settings[RuleId::nelson_1].on = true;
                            return settings;
                        }())](double x) mutable { return run.add(chart.add(x)).any(); };
            });
        }
        CHECK(std::abs(found.mean - row["arl"].get<double>()) < 4 * found.standard_error);
        CHECK(found.standard_error < 0.03 * found.mean);
        ++rows;
    }
    CHECK(rows == 38);
}

// Champ and Woodall, "Exact results for Shewhart control charts with supplementary runs rules", Technometrics 29 (1987), table 1:
// in control, rules 1 and 4 (8 on one side) together 152.73; all four 91.75. Their rules 2 and 3 do not ask that the last
// point be beyond; a pattern is first completed by one that is, so first signals agree, but for windows not yet full at the start.
TEST_CASE("average run lengths of the Western Electric rules are Champ and Woodall's, within four standard errors (D8)") {
    const int runs = std::getenv("WEIR_NIGHTLY") != nullptr ? 200'000 : 20'000;
    const auto in_control = [&](std::initializer_list<int> rules_on, std::uint64_t seed) {
        RuleSettings settings;
        for (int rule : rules_on) settings[static_cast<RuleId>(20 + rule)].on = true;
        return average_run_length(seed, runs, 0, [&] {
            return [chart = MeanChart({.centre = 0, .sigma = 1}), run = RunRules(settings)](double x) mutable { return run.add(chart.add(x)).any(); };
        });
    };
    const Average one_and_four = in_control({1, 4}, 7), all = in_control({1, 2, 3, 4}, 8);
    CHECK(std::abs(one_and_four.mean - 152.73) < 4 * one_and_four.standard_error);
    CHECK(std::abs(all.mean - 91.75) < 4 * all.standard_error);
}
