#include "analytics/capability.h"

#include <doctest/doctest.h>

#include "analytics/distributions.h"
#include "analytics/spc_reference_for_tests.h"
#include "analytics/subgroup.h"
#include "base/prng.h"

using namespace weir::analytics;

namespace {

const ConstantsTable& qcc() {
    static const ConstantsTable table = ConstantsTable::as_in_qcc();
    return table;
}

std::optional<double> maybe(const nlohmann::json& value) { return value.is_null() ? std::nullopt : std::optional(value.get<double>()); }

void check_index(const nlohmann::json& element, const char* name, const std::optional<CapabilityIndex>& found) {
    CAPTURE(name);
    const auto expected = maybe(element["indices"][name]);
    REQUIRE(found.has_value() == expected.has_value());
    if (!found) return;
    const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-9 * std::abs(b); };
    CHECK(near(found->value, *expected));
    CHECK(near(found->low, element["ci95"][name][0].get<double>()));
    CHECK(near(found->high, element["ci95"][name][1].get<double>()));
}

/// qcc prints an expected fraction below 0.01 % as 0.
void check_expected(const nlohmann::json& percent, const std::optional<double>& found) {
    REQUIRE(found.has_value() == !percent.is_null());
    if (!found) return;
    if (percent == 0) CHECK(*found * 100 < 0.01);
    else CHECK(std::abs(*found * 100 / percent.get<double>() - 1) < 1e-9);
}

}  // namespace

TEST_CASE("capability: every index, interval and fraction of charts.json, to 1e-9 (D8)") {
    int charts = 0;
    for (const auto& element : reference::json("charts.json")) {
        if (element["chart"] != "capability") continue;
        const std::string id = element["id"];
        CAPTURE(id);
        ++charts;
        SpecificationLimits limits{.lsl = maybe(element["lsl"]), .usl = maybe(element["usl"])};
        if (limits.lsl && limits.usl) limits.target = maybe(element["target"]);
        CapabilityTracker tracker(limits, qcc());
        const reference::Table data = reference::table("datasets/" + element["dataset"].get<std::string>() + ".csv");
        const reference::Samples samples = element["dataset"] == "pistonrings" ? reference::grouped(data.column("sample"), data.column("diameter"))
                                                                               : reference::singles(data.column("Volume"));
        std::size_t readings = 0;
        for (const auto& values : samples.values) {
            if (readings >= element["n"].get<std::size_t>()) break;
            tracker.add(values);
            readings += values.size();
        }
        ProcessSummary summary = tracker.summary();
        // README, "sample standard deviation / c4 where noted": this one.
        if (id == "volume_cap") summary.sigma_within = summary.sigma_overall / c4_of(20);
        const auto found = capability(summary, limits);
        REQUIRE(found.ok());
        CHECK(found->process.count == element["n"].get<int>());
        CHECK(std::abs(found->process.mean / element["center"].get<double>() - 1) < 1e-12);
        CHECK(std::abs(found->process.sigma_within / element["std_dev_within"].get<double>() - 1) < 1e-9);
        CHECK(std::abs(found->process.sigma_overall / element["std_dev_overall"].get<double>() - 1) < 1e-9);
        check_index(element, "Cp", found->cp);
        check_index(element, "Cp_l", found->cp_l);
        check_index(element, "Cp_u", found->cp_u);
        check_index(element, "Cp_k", found->cp_k);
        check_index(element, "Cpm", found->cpm);
        check_index(element, "Pp", found->pp);
        check_index(element, "Pp_l", found->pp_l);
        check_index(element, "Pp_u", found->pp_u);
        check_index(element, "Pp_k", found->pp_k);
        check_index(element, "Ppm", found->ppm);
        check_expected(element["expected_below_pct"], found->expected_below);
        check_expected(element["expected_above_pct"], found->expected_above);
        const auto observed = [](const nlohmann::json& percent, const std::optional<double>& fraction) {
            REQUIRE(fraction.has_value() == !percent.is_null());
            if (fraction) CHECK(std::abs(*fraction * 100 - percent.get<double>()) < 1e-12);
        };
        observed(element["observed_below_pct"], found->observed_below);
        observed(element["observed_above_pct"], found->observed_above);
    }
    CHECK(charts == 5);
}

TEST_CASE("capability: the interval of Cp has n - 1 degrees of freedom (S3-R13)") {
    const auto found = capability({.count = 20, .mean = 0, .sigma_within = 1, .sigma_overall = 1}, {.lsl = -3, .usl = 3});
    REQUIRE(found.ok());
    // 19 degrees of freedom: chi-squared quantiles 8.906516 and 32.852327 (any table).
    CHECK(found->cp->low == doctest::Approx(std::sqrt(8.90651648 / 19)).epsilon(1e-8));
    CHECK(found->cp->high == doctest::Approx(std::sqrt(32.85232686 / 19)).epsilon(1e-8));
}

TEST_CASE("capability: a target or a limit of 0 is one (S3-R13: target 0 was rejected as missing)") {
    const ProcessSummary process{.count = 50, .mean = 1, .sigma_within = 1, .sigma_overall = 1};
    const auto centred = capability(process, {.lsl = -2, .usl = 4}), at_zero = capability(process, {.lsl = -2, .usl = 4, .target = 0});
    REQUIRE(at_zero.ok());
    CHECK(at_zero->limits.target == 0);
    CHECK(centred->cpm->value == doctest::Approx(1));
    CHECK(at_zero->cpm->value == doctest::Approx(1 / std::sqrt(2.0)));
    const auto zero_limit = capability(process, {.lsl = 0});
    REQUIRE(zero_limit.ok());
    CHECK(zero_limit->cp_l->value == doctest::Approx(1.0 / 3));
    CHECK_FALSE(zero_limit->cp.has_value());
    CHECK_FALSE(zero_limit->expected_above.has_value());
}

TEST_CASE("capability: an index of 0 or below has a finite interval around it") {
    for (double mean : {3.0, 4.5}) {
        const auto found = capability({.count = 30, .mean = mean, .sigma_within = 1, .sigma_overall = 1}, {.usl = 3});
        REQUIRE(found.ok());
        CHECK(found->cp_k->value <= 0);
        CHECK(found->cp_k->low < found->cp_k->value);
        CHECK(found->cp_k->high > found->cp_k->value);
        CHECK(std::isfinite(found->cp_k->high));
    }
}

TEST_CASE("capability: what cannot be computed is refused with the reason") {
    const ProcessSummary process{.count = 50, .mean = 1, .sigma_within = 1, .sigma_overall = 1};
    CHECK(capability(process, {}).error().code == "no_limits");
    CHECK(capability(process, {.lsl = 2, .usl = 2}).error().code == "limits_out_of_order");
    CHECK(capability(process, {.lsl = std::nan("")}).error().code == "not_finite");
    CHECK(capability({.count = 1, .mean = 1, .sigma_within = 1, .sigma_overall = 1}, {.lsl = 0}).error().code == "too_few_readings");
    CHECK(capability({.count = 9, .mean = 1, .sigma_within = 0, .sigma_overall = 1}, {.lsl = 0}).error().code == "no_variation");
}

TEST_CASE("capability: the running summary is that of all readings at once, 1e9 away too") {
    weir::Prng prng(6);
    for (double offset : {0.0, 1e9}) {
        CapabilityTracker tracker({.lsl = offset - 2, .usl = offset + 2}, qcc());
        std::vector<double> all;
        int below = 0, above = 0;
        for (int i = 0; i < 1000; ++i) {
            double values[4];
            for (double& value : values) {
                value = offset + std::round(prng.normal() * 1024) / 1024;
                all.push_back(value);
                below += value < offset - 2;
                above += value > offset + 2;
            }
            tracker.add(values);
        }
        const ProcessSummary summary = tracker.summary();
        CHECK(std::abs(summary.mean - mean_of(all)) < 1e-6);
        CHECK(std::abs(summary.sigma_overall / standard_deviation_of(all) - 1) < 1e-6);
        CHECK(std::abs(summary.sigma_within - 1) < 0.05);
        REQUIRE(tracker.capability().ok());
        CHECK(tracker.capability()->cp->value == doctest::Approx(2 / (3 * summary.sigma_within)));
        CHECK(summary.below_count == below);
        CHECK(summary.above_count == above);
    }
}

// Published quantiles: Abramowitz and Stegun tables 26.1, 26.8; R 4.3 qnorm and qchisq for the fractional one.
TEST_CASE("distributions: quantiles agree with published ones, and undo the distribution functions") {
    CHECK(normal_quantile(0.975) == doctest::Approx(1.9599639845400545).epsilon(1e-14));
    CHECK(normal_quantile(0.95) == doctest::Approx(1.6448536269514722).epsilon(1e-14));
    CHECK(normal_quantile(0.5) == 0);
    CHECK(normal_quantile(1e-10) == doctest::Approx(-6.361340902404056).epsilon(1e-13));
    CHECK(chi_squared_quantile(0.95, 1) == doctest::Approx(3.841458820694124).epsilon(1e-12));
    CHECK(chi_squared_quantile(0.025, 10) == doctest::Approx(3.246972780236842).epsilon(1e-12));
    CHECK(chi_squared_quantile(0.5, 2) == doctest::Approx(2 * std::log(2.0)).epsilon(1e-13));
    for (double degrees : {0.3, 1.0, 2.5, 19.0, 124.0, 83.437, 5000.0, 1e6}) {
        for (double probability : {0.001, 0.025, 0.3, 0.5, 0.975, 0.9999}) {
            CAPTURE(degrees);
            CAPTURE(probability);
            const double quantile = chi_squared_quantile(probability, degrees);
            CHECK(std::abs(chi_squared_cdf(quantile, degrees) - probability) < 1e-12 * (degrees > 1e3 ? 100 : 1));
        }
    }
    for (double z = -8; z < 8; z += 0.37) CHECK(std::abs(normal_quantile(normal_cdf(z)) - z) < 1e-13 * std::exp(z > 0 ? z * z / 2 : 0) + 1e-13 * std::abs(z));
}
