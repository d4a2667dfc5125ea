#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analytics/forecast_bank.h"
#include "analytics/forecast_interval.h"

namespace weir::analytics {

enum class ForecastModel : std::uint8_t { naive, seasonal_naive, smoothing, damped, theta, ensemble };
constexpr std::size_t forecast_model_count = 6, forecast_member_count = 5;  ///< all but the ensemble are its members
/// `naive`, `seasonal_naive`, `ses`, `damped`, `theta`, `ensemble`.
std::string_view to_text(ForecastModel model);

struct ForecasterOptions {
    std::uint32_t horizon = 12;  ///< steps
    std::uint32_t season = 0;    ///< steps, at least 2; 0: none
    double level = 0.9;          ///< of the intervals
    bool smoothing = true, damped = true, theta = true;  ///< what is tried beside the naive forecasts
};

/// One step of a forecast.
struct ForecastStep {
    ForecastModel model = ForecastModel::naive;
    double value = 0, naive = 0;
    std::optional<double> lower, upper;  ///< both or none: none until enough outcomes are known
};

/// Why a model has no part in a forecast, over all its steps.
struct SwitchedOff {
    ForecastModel model;
    std::uint64_t outcomes = 0;             ///< of its most tried step
    std::optional<double> naive_ratio;      ///< its mean error as a part of the naive forecast's; nullopt where too few are known
    std::optional<double> seasonal_ratio;   ///< of the seasonal naive forecast's
};

/// How forecasts that were given have done, over the last `kept` outcomes and all steps ahead. nullopt: nothing to say it from.
struct ForecastScore {
    std::optional<double> mase, naive_mase, seasonal_naive_mase, coverage;
    std::uint64_t count = 0, interval_count = 0;  ///< forecasts that met their outcome; those of them with an interval
    std::uint64_t total = 0;                      ///< the first since the beginning
};

struct Forecast {
    ForecastModel model = ForecastModel::naive;  ///< `ensemble` where it stands at any step
    std::vector<ForecastStep> steps;             ///< 1 step ahead first
    std::array<double, forecast_member_count> weights{};  ///< in the ensemble, mean over the steps; adds up to 1
    std::vector<SwitchedOff> switched_off;
    ForecastScore score;
};

/// Forecasts of one series, made anew at each step, with what is known of their own errors.
///
/// At each step ahead by itself:
/// - each model's absolute errors are summed with those of the naive and the seasonal naive forecast for the same outcomes, discounted by
///   1 - 1 / max(100, season), at most 500. A model takes part where, over 20 outcomes at least, it errs less than both. Its weight is
///   (its error / naive error)^-2 (Bates and Granger 1969, with absolute errors); the naive forecasts are always members.
/// - what the ensemble would have said is held to the same rule: where it is not better than both, the better of the naive forecasts stands.
/// - the interval comes from the errors of what was given (forecast_interval.h): the last max(100, season), at most 336, outcomes.
/// All values are rounded, before they are given and scored, to about 1/1000 of the usual change between steps.
///
/// MASE = mean |error| / mean |one season's change| (one step's without a season), the latter discounted as above: 1 is as good as the
/// naive forecast one season ahead. It is a mean over all steps ahead, as in the M4 competition.
/// Sources: Hyndman and Koehler, Int. J. Forecasting 22 (2006), 679; Bates and Granger, Oper. Res. Q. 20 (1969), 451.
///
/// Deterministic: the same values give the same bytes, also over save and load. Thread: one owner.
/// Cost: O(horizon (30 + kept) + season) a step, 7 us for 12 steps; memory `memory_bytes`, 33 KB for 12 steps and no season.
class Forecaster {
public:
    static constexpr std::uint64_t proved_after = 20;  ///< outcomes

    explicit Forecaster(const ForecasterOptions& options);

    /// The next step's value, finite; nullopt: it has none, and time moves on. The first must have one.
    Forecast add(std::optional<double> value);

    /// State in parts, changed ones only; names are at most 8 characters. `load` is for a fresh Forecaster of the same options.
    std::vector<std::pair<std::string, std::string>> save();
    bool load(std::string_view name, std::string_view bytes);
    static std::size_t memory_bytes(const ForecasterOptions& options);
    /// About what `save` would give.
    std::size_t unsaved_bytes() const;
    /// The same after one step.
    static std::size_t step_bytes(const ForecasterOptions& options);

private:
    /// Discounted sums for one model at one step ahead: its own errors beside those of each benchmark, for the same outcomes.
    struct Record {
        std::uint64_t outcomes = 0, seasonal_outcomes = 0;
        double own = 0, naive = 0;
        double seasonal_own = 0, seasonal = 0;
    };
    /// What one outcome was to all the forecasts that were given for it.
    struct Outcome {
        double error = 0, naive_error = 0, seasonal_error = 0;
        std::uint32_t count = 0, seasonal_count = 0, interval_count = 0, inside = 0;
    };
    /// A row of the ring of pending forecasts: what each model said, what was given.
    enum Column : std::uint8_t { combined = 5, given, given_lower, given_upper, column_count };
    static constexpr std::size_t row_chunk = 1, outcome_chunk = 32;

    double* row(std::uint64_t step) { return &rows_[step % options_.horizon * options_.horizon * column_count]; }
    Record& record(ForecastModel model, std::uint32_t steps) { return records_[static_cast<std::size_t>(model) * options_.horizon + steps - 1]; }
    const Record& record(ForecastModel model, std::uint32_t steps) const {
        return records_[static_cast<std::size_t>(model) * options_.horizon + steps - 1];
    }
    bool is_tried(ForecastModel model) const;
    bool is_better(const Record& record) const;
    void judge(double value);
    void judge_step(double value, std::uint32_t steps, const double* said, Outcome& outcome);
    Forecast forecast();
    ForecastStep forecast_step(std::uint32_t steps, double* said, Forecast& forecast);
    std::vector<SwitchedOff> switched_off(bool ensemble_stands) const;
    ForecastScore score() const;
    double rounded(double value) const;

    ForecasterOptions options_;
    std::uint32_t kept_;
    double discount_;
    ForecastBank bank_;
    ForecastInterval interval_;
    std::uint64_t now_ = 0;
    double last_ = 0;                       ///< newest value: the naive forecast
    double change_ = 0, change_weight_ = 0; ///< discounted: one season's change
    double step_change_ = 0, step_weight_ = 0;  ///< the same of one step, for rounding and where there is no season yet
    std::uint64_t outcome_count_ = 0, total_ = 0;
    std::vector<Record> records_;    ///< forecast_model_count x horizon
    std::vector<Outcome> outcomes_;  ///< a ring of `kept_`
    std::vector<double> rows_;       ///< horizon x column_count x horizon
    std::vector<bool> rows_changed_, outcomes_changed_;
};

}  // namespace weir::analytics
