#pragma once
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "analytics/chart_point.h"
#include "analytics/control_chart_constants.h"
#include "base/result.h"

namespace weir::analytics {

/// What the lines of a chart are made from, estimated (phase_one.h) or given. Plain numbers, so that they can be versioned and kept.
struct ControlLimits {
    /// Variables charts: mean of single readings (R and S: not used, their centre is d2 sigma and c4 sigma). p, np and Laney's p':
    /// fraction nonconforming. c: mean count. u and Laney's u': nonconformities per unit. Short run: mean deviation.
    double centre = 0;
    /// Variables charts: standard deviation of single readings, > 0. Attribute charts derive theirs from the centre.
    double sigma = 0;
    double limit_sigmas = 3;  ///< distance from centre to limit, in sigma of the statistic, > 0
    double sigma_z = 1;       ///< Laney's factor: variation between samples over the variation within; 1 elsewhere

    bool operator==(const ControlLimits&) const = default;
};

/// One sample as it arrives. `values` is looked at during the call only.
struct Sample {
    /// Variables charts: the subgroup's readings. Attribute charts: one value, the count.
    std::span<const double> values;
    /// Attribute charts: how many were inspected, or how many units (need not be whole); not used by c.
    double size = 1;
    /// Short run charts: the part's nominal (Z chart: its mean) and, for the Z chart, its sigma.
    double nominal = 0;
    double part_sigma = 1;
};

struct EwmaOptions {
    double lambda = 0.2;  ///< weight of the newest sample, in (0, 1]
};

struct CusumOptions {
    double k = 0.5;           ///< allowance, in sigma of the plotted mean: half the shift to be found
    double h = 5;             ///< decision interval, in sigma of the plotted mean
    double head_start = 0;    ///< where both sums start (fast initial response: h / 2), 0 to h
    bool reset_after_signal = false;  ///< after a signal both sums start again at head_start
};

/// A chart and its lines: what a characteristic is configured with.
struct ChartSetup {
    ChartKind kind = ChartKind::individuals;
    ControlLimits limits{};
    EwmaOptions ewma{};
    CusumOptions cusum{};
};

/// Refuses what no chart of this kind can place: `no_values`, `not_finite`, `subgroup_size_out_of_range`, `count_out_of_range`,
/// `size_out_of_range`, `part_sigma_not_positive`. The message says what was found and what is allowed.
/// `subgroup_size_max` is that of the constants' table (R and S charts only).
Result<void> check_sample(ChartKind kind, const Sample& sample, int subgroup_size_max = subgroup_size_limit);

/// The setup's own numbers: `limits_not_usable`, `option_out_of_range`.
Result<void> check_setup(const ChartSetup& setup);

// The streaming types, one a family. Each is a plain value: a copy is a snapshot of its state.
// Made from a checked setup; `add` wants a checked sample (WEIR_ASSERT). O(1) a sample (O(n) in the subgroup), no allocation.
// Thread: one owner.

/// Mean of a subgroup of any size, single readings included: centre -/+ L sigma / sqrt(n).
/// Source: Montgomery, Introduction to Statistical Quality Control, 8th ed., sections 6.2 and 6.4.
class MeanChart {
public:
    explicit MeanChart(const ControlLimits& limits) : limits_(limits) {}
    ChartPoint add(std::span<const double> values) const noexcept;
    /// A single reading: `add` of a subgroup of one.
    ChartPoint add(double value) const noexcept { return place(value, limits_.centre, limits_.sigma, limits_.limit_sigmas); }

private:
    ControlLimits limits_;
};

/// Range or standard deviation of a subgroup of 2 to table.size_max() readings.
///     R: d2(n) sigma -/+ L d3(n) sigma      S: c4(n) sigma -/+ L sigma sqrt(1 - c4(n)^2)      never below 0
/// Source: Montgomery, sections 6.2 and 6.3. The table must outlive nothing: what is needed is copied.
class SpreadChart {
public:
    /// `kind`: range or standard_deviation.
    SpreadChart(ChartKind kind, const ControlLimits& limits, const ConstantsTable& table);
    ChartPoint add(std::span<const double> values) const noexcept;
    int subgroup_size_max() const noexcept { return static_cast<int>(lines_->size()) + 1; }

private:
    struct Line {
        double centre, sigma;
    };
    bool range_;
    double limit_sigmas_;
    std::shared_ptr<const std::vector<Line>> lines_;  // [n - 2], in the characteristic's unit; one for all copies, as there can be a thousand
};

/// |x[i] - x[i-1]| of single readings: d2(2) sigma -/+ L d3(2) sigma, never below 0. Source: Montgomery, section 6.4.
class MovingRangeChart {
public:
    explicit MovingRangeChart(const ControlLimits& limits) : limits_(limits) {}
    /// nullopt at the first reading, which has no neighbour.
    std::optional<ChartPoint> add(double value) noexcept;
    /// The next reading follows a gap: no range is taken across it.
    void forget() noexcept { has_last_ = false; }

    struct State {
        double last = 0;
        bool has_last = false;
        bool operator==(const State&) const = default;
    };
    State state() const noexcept { return {last_, has_last_}; }
    void restore(const State& state) noexcept { last_ = state.last, has_last_ = state.has_last; }

private:
    ControlLimits limits_;
    double last_ = 0;
    bool has_last_ = false;
};

/// p, np, c, u and Laney's p' and u'.
///     p: centre -/+ L sigma_z sqrt(centre (1 - centre) / n)     np: n times that     c: centre -/+ L sqrt(centre)
///     u: centre -/+ L sigma_z sqrt(centre / n)
/// Never below 0; p and np never above what was inspected.
/// Source: Montgomery, sections 7.2 and 7.3; Laney, "Improved control charts for attributes", Quality Engineering 14 (2002).
class AttributeChart {
public:
    AttributeChart(ChartKind kind, const ControlLimits& limits) : kind_(kind), limits_(limits) {}
    ChartPoint add(double count, double size) const noexcept;

private:
    ChartKind kind_;
    ControlLimits limits_;
};

/// z[i] = lambda x[i] + (1 - lambda) z[i-1], z[0] = centre, with limits that hold at this i, not the steady state's:
///     var[i] = lambda^2 sigma^2 / n[i] + (1 - lambda)^2 var[i-1]
/// For equal subgroups that is sigma^2/n * lambda/(2 - lambda) * (1 - (1 - lambda)^(2i)).
/// Source: Montgomery, section 9.2.
class EwmaChart {
public:
    EwmaChart(const ControlLimits& limits, const EwmaOptions& options) : limits_(limits), lambda_(options.lambda), state_{limits.centre, 0} {}
    ChartPoint add(std::span<const double> values) noexcept;
    ChartPoint add(double mean, double n) noexcept;

    /// What a checkpoint keeps.
    struct State {
        double z = 0, variance = 0;  ///< variance of z, in the unit's square
        bool operator==(const State&) const = default;
    };
    const State& state() const noexcept { return state_; }
    void restore(const State& state) noexcept { state_ = state; }

private:
    ControlLimits limits_;
    double lambda_;
    State state_;
};

/// One step of the tabular CUSUM, in sigma of the plotted mean.
struct CusumPoint {
    double standardised = 0;  ///< y = (x - centre) sqrt(n) / sigma
    double upper = 0;         ///< >= 0
    double lower = 0;         ///< <= 0
    bool signal_upper = false, signal_lower = false;
    /// The side that is further out, between -h and h; zones are thirds of h.
    ChartPoint point;
};

///     upper[i] = max(0, upper[i-1] + y[i] - k)      lower[i] = -max(0, -lower[i-1] - y[i] - k)
/// A signal when upper > h or lower < -h. Source: Montgomery, section 9.1; head start: Lucas and Crosier, Technometrics 24 (1982).
class CusumChart {
public:
    CusumChart(const ControlLimits& limits, const CusumOptions& options)
        : limits_(limits), options_(options), state_{options.head_start, -options.head_start} {}
    CusumPoint add(std::span<const double> values) noexcept;
    CusumPoint add(double mean, double n) noexcept;

    struct State {
        double upper = 0, lower = 0;
        bool operator==(const State&) const = default;
    };
    const State& state() const noexcept { return state_; }
    void restore(const State& state) noexcept { state_ = state; }

private:
    ControlLimits limits_;
    CusumOptions options_;
    State state_;
};

/// Many parts on one chart: the mean's deviation from the part's nominal, or (Z) that deviation in the part's own sigma, which has
/// centre 0 and sigma 1. Source: Montgomery, section 10.1; Wheeler, Short Run SPC (1991).
class ShortRunChart {
public:
    ShortRunChart(ChartKind kind, const ControlLimits& limits) : z_(kind == ChartKind::short_run_z), limits_(limits) {}
    ChartPoint add(std::span<const double> values, double nominal, double part_sigma) const noexcept;

private:
    bool z_;
    ControlLimits limits_;
};

/// Any of these behind one door, which also checks: what processors and `weir spc` use.
///
/// Samples in event-time order (decisions.md 25). Thread: one owner. Cost: O(1) a sample, no allocation once made.
class ControlChart {
public:
    /// `table` serves R and S charts; other kinds ignore it. Errors: those of check_setup.
    static Result<ControlChart> with(const ChartSetup& setup, const ConstantsTable& table);

    /// nullopt for the first reading of a moving range. Errors: those of check_sample; the chart is as it was before.
    Result<std::optional<ChartPoint>> add(const Sample& sample);

    /// What the next point depends on beside its own sample: EWMA z and variance, CUSUM both sums, moving range the last reading;
    /// zeros for charts without a memory. A chart of the same setup that restores it goes on to the last bit.
    struct State {
        double first = 0, second = 0;
        bool operator==(const State&) const = default;
    };
    State state() const noexcept;
    void restore(const State& state) noexcept;

    const ChartSetup& setup() const noexcept { return setup_; }
    /// Both sums, for a CUSUM: those of the last sample.
    const CusumPoint& last_cusum() const noexcept { return last_cusum_; }

private:
    using Any = std::variant<MeanChart, SpreadChart, MovingRangeChart, AttributeChart, EwmaChart, CusumChart, ShortRunChart>;
    ControlChart(const ChartSetup& setup, Any chart, int size_max) : setup_(setup), chart_(std::move(chart)), size_max_(size_max) {}

    ChartSetup setup_;
    Any chart_;
    int size_max_;
    CusumPoint last_cusum_;
};

/// d2(2) and d3(2) in closed form, for moving ranges of two.
inline constexpr double d2_of_two = 1.1283791670955125739;   // 2 / sqrt(pi)
inline constexpr double d3_of_two = 0.85250246642742173;     // sqrt(2 - 4 / pi)

}  // namespace weir::analytics
