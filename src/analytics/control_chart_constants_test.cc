#include "analytics/control_chart_constants.h"

#include <doctest/doctest.h>

#include "analytics/spc_reference_for_tests.h"

using namespace weir::analytics;

// d2, d3, c4 to 18 digits by mpmath (Gauss-Legendre over the joint density of the smallest and largest reading): another
// quadrature in another arithmetic.
TEST_CASE("control chart constants: integrated, they agree with 18-digit arithmetic to 1e-12 (D8)") {
    const auto table = ConstantsTable::up_to(1000);
    REQUIRE(table.ok());
    struct Row {
        int n;
        double d2, d3, c4;
    };
    for (const Row& row : {Row{2, 1.12837916709551257, 0.85250246642742173, 0.797884560802865356},
             Row{3, 1.69256875064326886, 0.888368004045204289, 0.886226925452758014},
             Row{5, 2.32592894728103923, 0.864081941099504074, 0.939985602986625188},
             Row{10, 3.07750546167034571, 0.797050673519411245, 0.972659274121588243},
             Row{25, 3.93062921950711316, 0.708440765888655027, 0.989640375585703084},
             Row{100, 5.01518727288336875, 0.605179109487853783, 0.997477976071263511},
             Row{1000, 6.48287153826688172, 0.496735185782848526, 0.999749781101513203}}) {
        CAPTURE(row.n);
        const ControlChartConstants& c = table->of(row.n);
        CHECK(std::abs(c.d2 / row.d2 - 1) < 1e-12);
        CHECK(std::abs(c.d3 / row.d3 - 1) < 1e-12);
        CHECK(std::abs(c.c4 / row.c4 - 1) < 1e-12);
    }
}

// The reference's d2 and d3 come from a range distribution that is itself only good to about 1e-8 (2/sqrt(pi) is 1.12837916709551257,
// the file says ...571; it drifts to 1.1e-8 at n = 25, where ours agree with mpmath). Its c4 column is good to its last digit.
TEST_CASE("control chart constants: every entry of control_chart_constants.csv, to what that file is good for (D8)") {
    const auto table = ConstantsTable::up_to(25);
    REQUIRE(table.ok());
    const reference::Table csv = reference::table("control_chart_constants.csv");
    REQUIRE(csv.rows.size() == 24);
    for (const auto& row : csv.rows) {
        const ControlChartConstants& c = table->of(static_cast<int>(row[0]));
        CAPTURE(c.n);
        const double from_range[] = {c.d2, c.d3, c.A2, c.D2, c.D4, c.E2}, from_range_file[] = {row[1], row[2], row[5], row[12], row[14], row[15]};
        for (int i = 0; i < 6; ++i) CHECK(std::abs(from_range[i] / from_range_file[i] - 1) < (c.n <= 5 ? 2e-11 : 1e-7));
        // Small differences of large numbers: absolute.
        CHECK(std::abs(c.D1 - row[11]) < 3e-7);
        CHECK(std::abs(c.D3 - row[13]) < 1e-7);
        const double from_gamma[] = {c.c4, c.A, c.A3, c.B3, c.B4, c.B5, c.B6}, from_gamma_file[] = {row[3], row[4], row[6], row[7], row[8], row[9], row[10]};
        for (int i = 0; i < 7; ++i) CHECK(std::abs(from_gamma[i] - from_gamma_file[i]) < 1e-13);
    }
}

// Montgomery, Introduction to Statistical Quality Control, appendix VI: printed to three and four digits.
TEST_CASE("control chart constants: the textbook's digits") {
    const auto table = ConstantsTable::up_to(10);
    REQUIRE(table.ok());
    const auto rounded = [](double value, double digits) { return std::round(value * digits) / digits; };
    const ControlChartConstants& five = table->of(5);
    CHECK(rounded(five.d2, 1e3) == 2.326);
    CHECK(rounded(five.d3, 1e3) == 0.864);
    CHECK(rounded(five.c4, 1e4) == 0.94);
    CHECK(rounded(five.A2, 1e3) == 0.577);
    CHECK(rounded(five.A3, 1e3) == 1.427);
    CHECK(rounded(five.B4, 1e3) == 2.089);
    CHECK(rounded(five.D4, 1e3) == 2.114);
    CHECK(five.D3 == 0);
    CHECK(five.B3 == 0);
    CHECK(rounded(table->of(10).D3, 1e3) == 0.223);
}

TEST_CASE("control chart constants: c4 goes on smoothly where the recursion ends") {
    for (int n : {subgroup_size_limit, subgroup_size_limit + 1, 5000}) {
        const double expected = 1 - 1.0 / (4.0 * n) - 7.0 / (32.0 * n * n) - 19.0 / (128.0 * n * n * n);
        CHECK(std::abs(c4_of(n) - expected) < 1e-12);
    }
}

TEST_CASE("control chart constants: a size out of bounds is refused, with what is allowed") {
    for (int n : {-1, 0, 1, subgroup_size_limit + 1}) {
        const auto table = ConstantsTable::up_to(n);
        REQUIRE_FALSE(table.ok());
        CHECK(table.error().code == "subgroup_size_out_of_range");
        CHECK(table.error().message.find("2 to 1000") != std::string::npos);
    }
    CHECK(ConstantsTable::up_to(2)->size_max() == 2);
}
