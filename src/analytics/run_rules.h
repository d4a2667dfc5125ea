#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "analytics/chart_point.h"
#include "base/result.h"

namespace weir::analytics {

/// The rules by their public ids (decisions.md 26). The id is what clients compare; names are for people.
enum class RuleId : std::uint8_t {
    nelson_1 = 1, nelson_2, nelson_3, nelson_4, nelson_5, nelson_6, nelson_7, nelson_8,
    ewma_upper = 9, ewma_lower = 10, cusum_upper = 11, cusum_lower = 12,
    western_electric_1 = 21, western_electric_2, western_electric_3, western_electric_4,
};
inline constexpr int rule_count = 16;

enum class Severity : std::uint8_t { warning, critical };
/// `WARNING`, `CRITICAL`: the words of source 003.
std::string_view severity_name(Severity severity) noexcept;

/// Which way a signal points. Rules 4, 7 and 8 of Nelson have no side.
enum class Side : std::uint8_t { upper, lower, both };
std::string_view side_name(Side side) noexcept;

/// What a rule is called. `name` is source 003's wording where it gives one (rule 1), else in its manner.
struct RuleInfo {
    RuleId id;
    std::string_view name;        ///< `One point beyond 3 sigma`
    std::string_view short_name;  ///< `Outlier`
    Severity severity;
};
/// All rules, in the order of their ids.
std::span<const RuleInfo> rules() noexcept;
const RuleInfo& rule_info(RuleId id) noexcept;
/// The rule with this public id, or nullopt.
std::optional<RuleId> rule_with_id(int id) noexcept;

/// Points that a rule can look back on at most, itself included: each condition's history is one machine word.
inline constexpr int rule_points_max = 64;

/// One rule's switch and numbers. Members that a rule has no use for are ignored.
struct RuleParameters {
    bool on = true;
    int points = 1;     ///< length of the run or window, 2 to rule_points_max
    int needed = 1;     ///< of `points`, how many must lie beyond (Nelson 5 and 6, Western Electric 2 and 3)
    double sigmas = 3;  ///< the line, in zone widths (sigma of the statistic, where limits are at 3 sigma), > 0
    bool operator==(const RuleParameters&) const = default;
};

/// Parameters of all rules, by id. Made with each rule's textbook numbers, and switched on as asked.
class RuleSettings {
public:
    /// All off.
    RuleSettings();
    static RuleSettings nelson();
    static RuleSettings western_electric();
    /// Those of both sets that apply to this kind of chart; EWMA and CUSUM have rules of their own.
    static RuleSettings applying_to(ChartKind kind);

    RuleParameters& operator[](RuleId id) noexcept;
    const RuleParameters& operator[](RuleId id) const noexcept;
    /// Switches off what does not apply to the chart. Only the rules that apply to a chart are run on it (spec.md, section 3).
    RuleSettings& keep_applying_to(ChartKind kind) noexcept;

    bool operator==(const RuleSettings&) const = default;

private:
    std::array<RuleParameters, rule_count> parameters_;
};

/// `option_out_of_range` for the first parameter that no evaluation can have, with the rule and what is allowed.
Result<void> check_rules(const RuleSettings& settings);

/// Whether a rule means anything on this chart.
///     all rules                     xbar, individuals, short run: independent, near normal, symmetric limits
///     Nelson 1-4, W. Electric 1, 4  R, S and attribute charts: zones of a skewed statistic have no known probability
///     Nelson 1, W. Electric 1       moving ranges: neighbours share a reading, so runs come by themselves
///     9, 10 and 11, 12              EWMA and CUSUM: sums of the past, only their limits count
/// Sources: Nelson, Journal of Quality Technology 16 (1984); Minitab's table of tests; jasp-issues #2611, #2809.
bool rule_applies(RuleId id, ChartKind kind) noexcept;

/// What a rule says with these numbers: `9 points in a row on one side of the centre line`.
std::string rule_description(RuleId id, const RuleParameters& parameters);

/// What one point completes or continues: a set of rules, 8 bytes.
class Signals {
public:
    bool any() const noexcept { return fired_ != 0; }
    bool has(RuleId id) const noexcept;
    /// The signal was not there at the point before, or was on the other side: a violation begins (decisions.md 25).
    bool begins(RuleId id) const noexcept;
    Side side(RuleId id) const noexcept;
    /// Calls `visit(RuleId)` for each, in the order of ids.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (std::uint32_t rest = fired_; rest != 0; rest &= rest - 1) visit(rules()[static_cast<std::size_t>(__builtin_ctz(rest))].id);
    }
    bool operator==(const Signals&) const = default;

private:
    friend class RunRules;
    std::uint16_t fired_ = 0, begins_ = 0, upper_ = 0, lower_ = 0;
};

/// Runs of points that chance does not make: Nelson's and the Western Electric rules over one chart's points, in order.
///
/// A rule signals at the point that completes its pattern, and at each later one while the pattern still holds. Comparisons are
/// strict: a value on a line is inside, one on the centre line ends a run on one side, equal neighbours end a trend and an
/// alternation; k of n needs n points to be there; only Nelson 7 counts a value on its line as inside. Lines are each point's own, so sample sizes may vary; trends and
/// alternations compare the statistics as plotted. All rules that fire are reported.
/// Sources: Nelson, "The Shewhart control chart: tests for special causes", Journal of Quality Technology 16 (1984), 237-239;
/// Western Electric, Statistical Quality Control Handbook (1956); conventions: tests/data/spc/README.md.
///
/// A plain value: a copy is a snapshot. Thread: one owner. Cost: O(1) a point, under 100 ns with all rules on (bench/spc_bench), no allocation.
class RunRules {
public:
    /// `settings` has passed check_rules.
    explicit RunRules(const RuleSettings& settings);

    Signals add(const ChartPoint& point) noexcept;

    /// Which of the last points form the pattern of a rule that fired at the newest one: bit 0 is the newest, bit i the one i before.
    std::uint64_t pattern(RuleId id) const noexcept;

    /// Points before the newest that an answer can depend on, beginnings of violations included: to evaluate a point again, start
    /// (or `reset`) that many before it.
    int lookback() const noexcept;
    /// As new: nothing seen yet.
    void reset() noexcept;
    const RuleSettings& settings() const noexcept { return settings_; }

private:
    // Each condition's history, newest point in bit 0.
    struct OneSide {
        std::uint64_t up = 0, down = 0;
    };
    // The line of a rule, and who lay beyond it.
    struct Beyond {
        double sigmas = 0;
        OneSide seen;
        void note(double statistic, double centre, double width) noexcept {
            seen.up = seen.up << 1 | std::uint64_t{statistic > centre + sigmas * width};
            seen.down = seen.down << 1 | std::uint64_t{statistic < centre - sigmas * width};
        }
    };

    RuleSettings settings_;
    std::uint16_t on_ = 0;
    std::array<std::uint64_t, rule_count> window_{};  // low bits set: as many as the rule looks at
    std::array<int, rule_count> needed_{};

    Beyond nelson_1_, nelson_5_, nelson_6_, nelson_7_, nelson_8_, western_1_, western_2_, western_3_;
    OneSide centre_, trend_;
    std::uint64_t alternating_ = 0;
    std::uint64_t seen_ = 0;  // a bit for each point so far: Nelson 7 is a condition that an absent point must not meet
    double last_ = 0;
    Signals last_signals_;
};

}  // namespace weir::analytics
