#pragma once
#include <optional>
#include <span>
#include <vector>

#include "analytics/control_chart.h"
#include "analytics/phase_one.h"
#include "analytics/run_rules.h"
#include "base/result.h"

namespace weir::analytics {

/// What to draw: a whole series of samples on one chart.
struct SeriesRequest {
    ChartKind kind = ChartKind::individuals;
    /// Phase I is [phase1_first, phase1_first + phase1_count) of the samples, 0 = all from phase1_first on. Positions from 0.
    std::size_t phase1_first = 0, phase1_count = 0;
    PhaseOneOptions phase1{};
    std::optional<ControlLimits> given{};  ///< then nothing is estimated
    EwmaOptions ewma{};
    CusumOptions cusum{};
    RuleSettings rules{};  ///< run as they are: `keep_applying_to` is the caller's choice
};

struct SeriesPoint {
    std::size_t sample = 0;  ///< position in the request's samples: a moving range has none for the first
    ChartPoint point;
    Signals signals;
};

/// A signal with its explanation. Positions are those of samples, from 0.
struct SeriesSignal {
    RuleId rule{};
    Side side{};
    bool begins = false;
    std::size_t sample = 0;            ///< which completed (or prolonged) the pattern
    std::vector<std::size_t> pattern;  ///< the samples that form it, oldest first
};

struct ChartSeries {
    ChartSetup setup;
    RuleSettings rules;  ///< that were run
    PhaseOne phase1;  ///< `excluded` counts from the first sample of the series; empty for given limits
    std::vector<SeriesPoint> points;
    std::vector<CusumPoint> cusum;  ///< one a point, for a CUSUM
    std::vector<SeriesSignal> signals;

    /// Positions (of samples, from 0) at which a rule signals.
    std::vector<std::size_t> positions(RuleId rule) const;
};

/// Phase I, chart and rules over a whole series: what `weir spc` prints, and the slow way to what processors do sample by sample.
/// Errors: those of estimate, check_setup, check_rules and check_sample, with the sample's position from 1.
/// Thread: pure function. Cost: O(readings); allocates.
Result<ChartSeries> chart_series(std::span<const Sample> samples, const SeriesRequest& request, const ConstantsTable& table);

}  // namespace weir::analytics
