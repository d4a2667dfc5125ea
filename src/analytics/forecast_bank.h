#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analytics/exponential_smoothing.h"

namespace weir::analytics {

/// The models of a Forecaster, run along a series: each family is run with a few fixed parameters side by side, and for each step ahead
/// the one that has erred least at that step lately is the family's forecast. So no parameter is fitted at a moment that chance would pick,
/// a point costs the same whenever it comes, and short and long horizons may want different smoothing.
///
/// With a season of m steps: the seasonal naive forecast repeats the last value of the same place in the season; smoothing and theta
/// run on what is left of a value less the profile of the season (an exponential mean of value less the mean of the last m); the damped
/// trend has seasons of its own (exponential_smoothing.h). They begin when one whole season has been seen. A place of the season that
/// never had a value has no forecast: NaN.
///
/// Values: finite, in the series' unit, one a step; a step without one passes in all models. Thread: one owner.
/// Cost: O(22 horizon + season) a step; memory 8 (8 season + 49 horizon) bytes.
class ForecastBank {
public:
    static constexpr std::array<double, 8> alphas{0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0};
    static constexpr std::size_t damped_count = 6;
    static constexpr double profile_rate = 0.2;

    /// `season`: in steps, at least 2; 0: none. `discount`: what an error counts after one more outcome, below 1.
    ForecastBank(std::uint32_t horizon, std::uint32_t season, double discount);

    /// The next step of the series. What the models said of it is judged first.
    void add(std::optional<double> value);
    /// Whether models are there, beyond the seasonal naive.
    bool begun() const { return begun_; }
    /// Steps ahead count from 1 to the horizon; NaN: no forecast.
    double seasonal_naive(std::uint32_t steps) const;
    double smoothing(std::uint32_t steps) const;
    double damped(std::uint32_t steps) const;
    double theta(std::uint32_t steps) const;

    /// State in parts, each changed ones only: `h` what changes always, `s<n>` 64 places of the season, `o<n>` 4 past steps.
    void save(std::vector<std::pair<std::string, std::string>>& parts);
    /// False: another form. Parts may come in any order.
    bool load(std::string_view name, std::string_view bytes);
    /// About what `save` would give; and what one step adds to the head.
    std::size_t unsaved_bytes() const;
    static std::size_t step_bytes() { return 8 * (season_chunk * place_size + origin_chunk * origin_size); }
    static std::size_t memory_bytes(std::uint32_t horizon, std::uint32_t season) { return 8 * (std::size_t{season} * 8 + std::size_t{horizon} * 49); }

private:
    static constexpr std::size_t alpha_count = alphas.size(), family_errors = 2 * alpha_count + damped_count;
    static constexpr std::size_t origin_size = alpha_count + 1 + 2 * damped_count;
    static constexpr std::size_t place_size = 2 + damped_count;  ///< last value, profile, seasons of the damped trends
    static constexpr std::size_t season_chunk = 64, origin_chunk = 4;


    double* place(std::uint64_t step) { return &season_table_[(season_ == 0 ? 0 : step % season_) * place_size]; }
    const double* place(std::uint64_t step) const { return &season_table_[(season_ == 0 ? 0 : step % season_) * place_size]; }
    double profile(std::uint64_t step) const { return season_ == 0 ? 0 : place(step)[1]; }
    std::size_t best(std::size_t family_begin, std::size_t family_size, std::uint32_t steps) const;
    void judge(double value);
    void begin(double value);
    void add_to_season(double value);
    void add_to_models(std::optional<double> value);
    void remember();
    double slope() const;
    double damping(std::size_t i, std::uint32_t steps) const { return damping_[i * horizon_ + steps - 1]; }

    std::uint32_t horizon_, season_;
    double discount_, slope_discount_;
    std::uint64_t now_ = 0;    ///< steps so far; the newest has this number
    std::uint64_t since_ = 0;  ///< models exist since this step; meaningful once begun
    bool begun_ = false;
    double reference_ = 0;     ///< the slope's sums are taken around it
    std::array<double, alpha_count> levels_{};
    std::array<double, 5> sums_{};  ///< of the discounted regression on age: 1, age, age^2, z, age z
    std::array<DampedTrend, damped_count> damped_;
    std::vector<double> damping_;       ///< damped_count x horizon: `damping_sum`, which does not change
    std::vector<double> season_table_;  ///< season x place_size
    std::vector<double> origins_;       ///< horizon x origin_size, by step modulo the horizon
    std::vector<double> errors_;        ///< family_errors x horizon: discounted absolute errors
    std::vector<bool> season_changed_, origin_changed_;  ///< by chunk
};

}  // namespace weir::analytics
