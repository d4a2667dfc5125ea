#include <doctest/doctest.h>

#include "base/prng.h"
#include "processors/spc_test_support.h"

using namespace weir;

namespace {

double number(const Json& from, const char* name) { return from.find(name) && from.find(name)->is_number() ? from.find(name)->as_double() : std::nan(""); }

}  // namespace

TEST_CASE("spc: capability takes sigma within as the chart does: from ranges, or from standard deviations, of subgroups of any size (S3-R13: n > 10 crashed)") {
    for (const auto& [chart, size] : {std::pair("xbar_r", 4), std::pair("xbar_s", 4), std::pair("xbar_s", 25), std::pair("xbar_r", 60), std::pair("xbar_s", 400)}) {
        CAPTURE(chart);
        CAPTURE(size);
        SpcRig rig;
        const std::string more = std::string(R"("chart":")") + chart + R"(","subgroup_size":)" + std::to_string(size) + R"(,"phase1":{"samples":10},"spec":{"lsl":4,"usl":16})";
        REQUIRE(rig.ask("create_characteristic", define(1, more)).ok());
        Prng prng(11);
        for (int i = 0; i < 10; ++i) {
            std::vector<double> values;
            for (int k = 0; k < size; ++k) values.push_back(10 + 2 * prng.normal());
            REQUIRE(rig.sample(1, i + 1, at(i), values) == "");
        }
        const auto found = rig.ask("capability", R"({"characteristic_id":1})");
        REQUIRE(found.ok());
        REQUIRE(rig.processor->chart(1)->current().limits);
        // The very samples that the limits come from.
        CHECK(number(*found, "sigma_within") == doctest::Approx(rig.processor->chart(1)->current().limits->sigma).epsilon(1e-12));
        CHECK(number(*found->find("cp"), "value") == doctest::Approx(12 / (6 * number(*found, "sigma_within"))));
        CHECK(number(*found, "count") == 10 * size);
    }
}

TEST_CASE("spc: capability with one limit, or a limit and target of 0, leaves out what is not defined (S3-R13)") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("limits":{"centre":0,"sigma":1},"spec":{"lsl":0,"target":0})")).ok());
    for (int i = 0; i < 20; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {(i * 7 % 5 - 2) / 2.0}) == "");
    const auto found = rig.ask("capability", R"({"characteristic_id":1})");
    REQUIRE(found.ok());
    for (const char* absent : {"cp", "cp_u", "cpm", "pp", "pp_u", "ppm"}) CHECK(found->find(absent)->is_null());
    CHECK(std::abs(number(*found->find("cpk"), "value")) < 1e-12);
    CHECK(std::abs(number(*found->find("cp_l"), "value")) < 1e-12);
    CHECK(number(*found->find("cpk"), "low") < 0);
    CHECK(number(*found, "observed_below") == 0.4);
    CHECK(number(*found, "expected_below") == doctest::Approx(0.5));
    CHECK(found->find("expected_above")->is_null());
    // Without any limit there is none, and counts have none.
    REQUIRE(rig.ask("create_characteristic", define(2, R"("limits":{"centre":0,"sigma":1})")).ok());
    CHECK(rig.ask("capability", R"({"characteristic_id":2})").error().code == "no_limits");
    REQUIRE(rig.ask("create_characteristic", define(3, R"("chart":"c","limits":{"centre":4})")).ok());
    CHECK(rig.ask("capability", R"({"characteristic_id":3})").error().code == "counts_have_no_capability");
}
