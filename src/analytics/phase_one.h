#pragma once
#include <span>
#include <vector>

#include "analytics/control_chart.h"
#include "base/result.h"

namespace weir::analytics {

/// How sigma within is estimated from samples.
enum class SigmaMethod : std::uint8_t {
    standard,                   ///< what the chart's textbook form uses: see `estimate`
    mean_range,                 ///< mean of R[i] / d2(n[i])
    mean_standard_deviation,    ///< mean of s[i] / c4(n[i])
    moving_range,               ///< mean of |x[i] - x[i-1]| / d2(2)
    sample_standard_deviation,  ///< s of all readings / c4(N)
};

struct PhaseOneOptions {
    SigmaMethod method = SigmaMethod::standard;
    double limit_sigmas = 3;
    /// Leave out the samples beyond the limits, estimate again, and so on until none is beyond.
    bool exclude_out_of_control = false;
    int rounds_max = 100;  ///< a bound, not a setting: each round but the last excludes a sample
};

/// What phase I found.
struct PhaseOne {
    ControlLimits limits;
    std::vector<std::size_t> excluded;  ///< positions in the given samples, rising
    int rounds = 1;                     ///< estimates made
};

/// Limits from a stretch of samples (phase I), oldest first.
///
/// centre: mean of all readings (xbar, R, S, EWMA, CUSUM, individuals, short run deviation: of the deviations), or total count over total
/// size (attribute charts). sigma by `method`, whose standard is mean_standard_deviation for S, mean_range where samples have several
/// readings, moving_range where they have one. A subgroup of one reading adds to the centre and not to sigma within.
/// Laney's sigma_z: mean moving range of (p[i] - centre) / sigma_p[i], over d2(2).
/// A moving range is taken between neighbouring samples only: never across an excluded one.
/// For a chart of means a sample goes out too when its range (or standard deviation) does, since that widens the limits.
/// The Z chart needs no phase I: each sample brings its part's numbers.
///
/// Errors: those of check_sample, with the sample's position from 1; `too_few_samples` under 2 (or fewer left by exclusion);
/// `no_variation` if sigma would be 0; `method_not_usable`.
/// Thread: pure function. Cost: O(readings) a round; allocates.
Result<PhaseOne> estimate(ChartKind kind, std::span<const Sample> samples, const ConstantsTable& table, const PhaseOneOptions& options = {});

}  // namespace weir::analytics
