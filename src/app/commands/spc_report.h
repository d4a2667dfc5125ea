#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analytics/capability.h"
#include "analytics/chart_series.h"
#include "app/commands/spc_input.h"

namespace weir {

/// One chart of a report. Individuals bring their moving ranges along.
struct ReportedChart {
    analytics::ChartSeries series;
    std::optional<analytics::ChartSeries> moving_ranges{};
};

/// What `weir spc` found; the four printers below only read it.
struct SpcReport {
    std::string name;   ///< of the data set: the file's name without folder and ending
    std::string title;  ///< for people
    SpcSamples samples;
    std::size_t phase1_first = 0, phase1_count = 0;
    bool given_limits = false;
    std::vector<ReportedChart> charts;
    std::optional<analytics::Capability> capability;
};

/// A run of signals of one rule on one side (decisions.md 25). Positions of samples from 0.
struct ReportedViolation {
    analytics::RuleId rule{};
    std::vector<analytics::RuleId> also{};  ///< rules of the other set that say the same of the same samples (merged ones only)
    analytics::Side side{};
    std::size_t first = 0, last = 0;   ///< samples at which the rule signals
    std::vector<std::size_t> pattern;  ///< samples that completed it
};
std::vector<ReportedViolation> violations_of(const analytics::ChartSeries& series);
/// For people: Nelson's and the Western Electric rules overlap, and one line is enough for both.
std::vector<ReportedViolation> merged_violations_of(const analytics::ChartSeries& series);
/// `1`, or `1, 21` of a merged one.
std::string rule_numbers(const ReportedViolation& violation);

/// `X-bar chart`, `moving ranges`, ...: a heading.
std::string_view chart_title(analytics::ChartKind kind);

/// A number for people: six significant digits.
std::string shown(double value);

/// A list, one element a chart, with the members of tests/data/spc/charts.json and beside them `zones`, `excluded`, `violations` and
/// `sigma_z`. Positions from 1. A rule that was not run has null for its list of signals.
std::string spc_json(const SpcReport& report);

/// For a terminal `columns` wide; `colour`: ANSI escapes.
std::string spc_text(const SpcReport& report, int columns, bool colour);

/// One drawing, charts below each other, complete in itself (no script, no outside font).
std::string spc_svg(const SpcReport& report);

/// The drawing with tables of limits, violations and capability; complete in itself.
std::string spc_html(const SpcReport& report);

}  // namespace weir
