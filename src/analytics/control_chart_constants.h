#pragma once
#include <span>
#include <vector>

#include "base/result.h"

namespace weir::analytics {

/// The constants of control charts for subgroups of `n` normal readings, in units of the process sigma.
///
/// d2, d3: mean and standard deviation of the range. c4: mean of the standard deviation (with n - 1). The rest follows:
///     A = 3/sqrt(n)   A2 = A/d2   A3 = A/c4   E2 = 3/d2
///     B5, B6 = c4 -/+ 3 sqrt(1 - c4^2)   B3, B4 = B5/c4, B6/c4   D1, D2 = d2 -/+ 3 d3   D3, D4 = D1/d2, D2/d2
/// Lower ones are never below 0. Names as in ISO 7870-2 and in Montgomery, Introduction to Statistical Quality Control, appendix VI.
struct ControlChartConstants {
    int n = 0;
    double d2 = 0, d3 = 0, c4 = 0;
    double A = 0, A2 = 0, A3 = 0;
    double B3 = 0, B4 = 0, B5 = 0, B6 = 0;
    double D1 = 0, D2 = 0, D3 = 0, D4 = 0;
    double E2 = 0;
};

/// No chart of ranges or standard deviations is made for larger subgroups; a larger one is refused, not approximated.
inline constexpr int subgroup_size_limit = 1000;

/// Mean of the standard deviation of n normal readings, in sigma; any n >= 2 (series in 1/n above subgroup_size_limit).
double c4_of(int n) noexcept;

/// The constants for n = 2 .. size_max, computed (not tabulated), kept by whoever needs them.
///
/// d2 and d3 come from integrals over the range distribution of n normal readings (`.cc` has the quadrature), c4 from
/// gamma functions; the error is below 1e-12 for each.
/// Thread: immutable once made. Cost: about 4 ms for size_max 25, 25 ms for 1000, all sizes together; a look-up is an index.
class ConstantsTable {
public:
    /// Errors: `subgroup_size_out_of_range` unless 2 <= size_max <= subgroup_size_limit.
    static Result<ConstantsTable> up_to(int size_max);

    /// For n = 2 .. 25 with the d2 and d3 that R's qcc has built in (three digits, and seven of which the last four are off), so that its
    /// results and those of books with three-digit tables can be reproduced to the last digit. c4 is computed, as qcc does.
    static ConstantsTable as_in_qcc();

    int size_max() const noexcept { return static_cast<int>(constants_.size()) + 1; }
    /// 2 <= n <= size_max().
    const ControlChartConstants& of(int n) const noexcept;
    std::span<const ControlChartConstants> all() const noexcept { return constants_; }

private:
    std::vector<ControlChartConstants> constants_;  // [n - 2]
};

}  // namespace weir::analytics
