#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::analytics {

/// How far a forecast may be off, from how far those before it were: for each step ahead, the half-width that a part `level` of the
/// errors kept for that step stayed within.
///
/// Split conformal: of n absolute errors the ceil((n + 1) level)-th smallest covers the next outcome with probability `level`, whatever the
/// distribution, as long as errors stay alike. nullopt while n is too small for that (below level / (1 - level)).
/// Errors do not stay alike over a day and a year; so the level asked of the quantile is moved by each outcome, adaptive conformal inference:
///     miss := miss + rate ((1 - level) - [outcome outside])
/// which makes the long-run coverage tend to `level` for any series at all.
/// Sources: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World (2005); Gibbs and Candes, NeurIPS 34 (2021), equation 2.
///
/// Errors in the series' unit. Thread: one owner. Cost: `half_width` O(kept); memory 8 kept x horizon bytes.
class ForecastInterval {
public:
    static constexpr double rate = 0.02, miss_min = 0.001, miss_max = 0.5;

    ForecastInterval(std::uint32_t horizon, std::uint32_t kept, double level);

    std::optional<double> half_width(std::uint32_t steps) const;
    /// What an interval that was given for this many steps ahead came to.
    void outcome(std::uint32_t steps, bool inside);
    /// The absolute errors of one outcome by steps ahead, from 1; NaN where there was no forecast.
    void add(std::span<const double> errors);

    /// State in parts, changed ones only: `i` what changes always, `e<n>` 8 outcomes.
    void save(std::vector<std::pair<std::string, std::string>>& parts);
    bool load(std::string_view name, std::string_view bytes);
    /// About what `save` would give; and what one outcome adds to the head.
    std::size_t unsaved_bytes() const;
    static std::size_t step_bytes(std::uint32_t horizon) { return 8 * std::size_t{horizon} * chunk_rows; }
    static std::size_t memory_bytes(std::uint32_t horizon, std::uint32_t kept) { return 8 * std::size_t{horizon} * (kept + 1); }

private:
    static constexpr std::size_t chunk_rows = 8;
    std::uint32_t horizon_, kept_;
    double level_;
    std::uint64_t added_ = 0;
    std::vector<double> miss_;    ///< by steps ahead: what part the quantile leaves outside
    std::vector<double> errors_;  ///< kept x horizon, a ring of outcomes
    std::vector<bool> changed_;
};

/// The ceil((n + 1) level)-th smallest of `errors` (reordered), at most the largest; nullopt where even `least_level` asks for more than n.
std::optional<double> conformal_quantile(std::span<double> errors, double level, double least_level);

}  // namespace weir::analytics
