#include "analytics/forecaster.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/assert.h"

namespace weir::analytics {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

std::uint32_t kept_of(const ForecasterOptions& options) { return std::clamp(options.season, 100u, 336u); }
double discount_of(const ForecasterOptions& options) { return 1 - 1.0 / std::clamp(options.season, 100u, 500u); }

constexpr ForecastModel members[forecast_member_count] = {ForecastModel::naive, ForecastModel::seasonal_naive, ForecastModel::smoothing,
                                                          ForecastModel::damped, ForecastModel::theta};

std::optional<double> ratio(double a, double b) { return b > 0 ? std::optional(a / b) : std::nullopt; }

}  // namespace

std::string_view to_text(ForecastModel model) {
    static constexpr std::string_view names[forecast_model_count] = {"naive", "seasonal_naive", "ses", "damped", "theta", "ensemble"};
    return names[static_cast<std::size_t>(model)];
}

Forecaster::Forecaster(const ForecasterOptions& options)
    : options_(options),
      kept_(kept_of(options)),
      discount_(discount_of(options)),
      bank_(options.horizon, options.season, discount_),
      interval_(options.horizon, kept_, options.level),
      records_(forecast_model_count * options.horizon),
      outcomes_(kept_),
      rows_(std::size_t{options.horizon} * column_count * options.horizon, none),
      rows_changed_((options.horizon + row_chunk - 1) / row_chunk, false),
      outcomes_changed_((kept_ + outcome_chunk - 1) / outcome_chunk, false) {}

std::size_t Forecaster::memory_bytes(const ForecasterOptions& o) {
    const std::size_t h = o.horizon;
    return sizeof(Forecaster) + ForecastBank::memory_bytes(o.horizon, o.season) + ForecastInterval::memory_bytes(o.horizon, kept_of(o)) +
           forecast_model_count * h * sizeof(Record) + kept_of(o) * sizeof(Outcome) + h * h * column_count * 8;
}

Forecast Forecaster::add(std::optional<double> value) {
    WEIR_ASSERT(value || now_ > 0);
    ++now_;
    if (value && now_ > 1) {
        judge(*value);
        step_change_ = discount_ * step_change_ + std::abs(*value - last_);
        step_weight_ = discount_ * step_weight_ + 1;
        // One step before this value the bank still knows the last of the same place in the season.
        const double before = options_.season > 0 ? bank_.seasonal_naive(1) : last_;
        if (!std::isnan(before)) {
            change_ = discount_ * change_ + std::abs(*value - before);
            change_weight_ = discount_ * change_weight_ + 1;
        }
    }
    bank_.add(value);
    if (value) last_ = *value;
    return forecast();
}

bool Forecaster::is_tried(ForecastModel model) const {
    switch (model) {
        case ForecastModel::smoothing: return options_.smoothing;
        case ForecastModel::damped: return options_.damped;
        case ForecastModel::theta: return options_.theta;
        case ForecastModel::seasonal_naive: return options_.season > 0;
        case ForecastModel::naive:
        case ForecastModel::ensemble: break;
    }
    return true;
}

bool Forecaster::is_better(const Record& r) const {
    if (r.outcomes < proved_after || !(r.own < r.naive)) return false;
    return options_.season == 0 || (r.seasonal_outcomes >= proved_after && r.seasonal_own < r.seasonal);
}

void Forecaster::judge(double value) {
    std::vector<double> errors(options_.horizon, none);
    Outcome outcome;
    for (std::uint32_t k = 1; k <= options_.horizon && k < now_; ++k) {
        const double* said = row(now_ - k) + std::size_t{k - 1} * column_count;
        judge_step(value, k, said, outcome);
        errors[k - 1] = std::abs(value - said[Column::given]);
    }
    interval_.add(errors);
    const std::size_t at = outcome_count_++ % kept_;
    outcomes_[at] = outcome;
    outcomes_changed_[at / outcome_chunk] = true;
    total_ += outcome.count;
}

void Forecaster::judge_step(double value, std::uint32_t steps, const double* said, Outcome& outcome) {
    const double naive = std::abs(value - said[0]), seasonal = std::abs(value - said[1]);
    for (std::size_t i = 1; i < forecast_model_count; ++i) {
        const double own = std::abs(value - said[i]);
        if (std::isnan(own)) continue;
        Record& r = record(static_cast<ForecastModel>(i), steps);
        ++r.outcomes;
        r.own = discount_ * r.own + own;
        r.naive = discount_ * r.naive + naive;
        if (std::isnan(seasonal)) continue;
        ++r.seasonal_outcomes;
        r.seasonal_own = discount_ * r.seasonal_own + own;
        r.seasonal = discount_ * r.seasonal + seasonal;
    }
    ++outcome.count;
    outcome.error += std::abs(value - said[Column::given]);
    outcome.naive_error += naive;
    if (!std::isnan(seasonal)) outcome.seasonal_error += seasonal, ++outcome.seasonal_count;
    if (std::isnan(said[Column::given_lower])) return;
    const bool inside = value >= said[Column::given_lower] && value <= said[Column::given_upper];
    interval_.outcome(steps, inside);
    ++outcome.interval_count;
    outcome.inside += inside;
}

double Forecaster::rounded(double value) const {
    if (!(step_change_ > 0) || std::isnan(value)) return value;
    // Powers of ten by steps, not by a logarithm, whose last bit differs between libraries.
    double unit = step_change_ / step_weight_ / 1000, scale = 1;
    for (; unit < 1 && scale < 1e12; unit *= 10) scale *= 10;
    if (scale == 1) return std::abs(value) < 1e15 ? std::round(value) : value;
    const double times = value * scale;
    return std::abs(times) < 1e15 ? std::round(times) / scale : value;
}

Forecast Forecaster::forecast() {
    Forecast forecast;
    forecast.steps.reserve(options_.horizon);
    double* said = row(now_);
    for (std::uint32_t k = 1; k <= options_.horizon; ++k, said += column_count) {
        const ForecastStep step = forecast_step(k, said, forecast);
        if (step.model == ForecastModel::ensemble || k == 1) forecast.model = step.model;
        forecast.steps.push_back(step);
    }
    for (const ForecastStep& step : forecast.steps)
        if (step.model == ForecastModel::ensemble) forecast.model = ForecastModel::ensemble;
    for (double& weight : forecast.weights) weight /= options_.horizon;
    forecast.switched_off = switched_off(forecast.model == ForecastModel::ensemble);
    forecast.score = score();
    rows_changed_[now_ % options_.horizon / row_chunk] = true;
    return forecast;
}

ForecastStep Forecaster::forecast_step(std::uint32_t steps, double* said, Forecast& forecast) {
    using enum ForecastModel;
    const double values[forecast_member_count] = {last_, bank_.seasonal_naive(steps), bank_.smoothing(steps), bank_.damped(steps), bank_.theta(steps)};
    double weights[forecast_member_count] = {1};
    double total = 1;
    for (std::size_t i = 0; i < forecast_member_count; ++i) {
        said[i] = is_tried(members[i]) ? rounded(values[i]) : none;
        if (i == 0 || std::isnan(said[i])) continue;
        const Record& r = record(members[i], steps);
        const bool takes_part = members[i] == seasonal_naive ? r.outcomes >= proved_after && r.naive > 0 : is_better(r);
        if (!takes_part) continue;
        const double relative = std::max(r.own / r.naive, 1e-6);
        weights[i] = 1 / (relative * relative);
        total += weights[i];
    }
    double mean = 0;
    for (std::size_t i = 0; i < forecast_member_count; ++i) {
        weights[i] /= total;
        forecast.weights[i] += weights[i];
        if (weights[i] > 0) mean += weights[i] * said[i];
    }
    said[Column::combined] = rounded(mean);

    ForecastStep step;
    step.naive = said[0];
    const Record& of_season = record(seasonal_naive, steps);
    // An ensemble that is left with the naive forecast alone is that, however good it was.
    if (total > 1 && is_better(record(ForecastModel::ensemble, steps))) step.model = ForecastModel::ensemble;
    else if (!std::isnan(said[1]) && of_season.outcomes >= proved_after && of_season.own < of_season.naive) step.model = seasonal_naive;
    step.value = said[static_cast<std::size_t>(step.model)];
    if (const auto half = interval_.half_width(steps)) {
        step.lower = rounded(step.value - *half);
        step.upper = rounded(step.value + *half);
    }
    said[Column::given] = step.value;
    said[Column::given_lower] = step.lower.value_or(none);
    said[Column::given_upper] = step.upper.value_or(none);
    return step;
}

std::vector<SwitchedOff> Forecaster::switched_off(bool ensemble_stands) const {
    std::vector<SwitchedOff> off;
    for (const ForecastModel model : {ForecastModel::smoothing, ForecastModel::damped, ForecastModel::theta, ForecastModel::ensemble}) {
        if (!is_tried(model)) continue;
        Record all;
        bool stands = model == ForecastModel::ensemble && ensemble_stands;
        for (std::uint32_t k = 1; k <= options_.horizon; ++k) {
            const Record& r = record(model, k);
            stands = stands || (model != ForecastModel::ensemble && is_better(r));
            all.outcomes = std::max(all.outcomes, r.outcomes);
            all.seasonal_outcomes = std::max(all.seasonal_outcomes, r.seasonal_outcomes);
            all.own += r.own, all.naive += r.naive;
            all.seasonal_own += r.seasonal_own, all.seasonal += r.seasonal;
        }
        if (stands) continue;
        SwitchedOff why{model, all.outcomes, {}, {}};
        if (all.outcomes >= proved_after) why.naive_ratio = ratio(all.own, all.naive);
        if (all.seasonal_outcomes >= proved_after) why.seasonal_ratio = ratio(all.seasonal_own, all.seasonal);
        off.push_back(why);
    }
    return off;
}

ForecastScore Forecaster::score() const {
    Outcome all;
    std::uint64_t count = 0, seasonal_count = 0, intervals = 0, inside = 0;
    for (const Outcome& o : outcomes_) {
        all.error += o.error, all.naive_error += o.naive_error, all.seasonal_error += o.seasonal_error;
        count += o.count, seasonal_count += o.seasonal_count, intervals += o.interval_count, inside += o.inside;
    }
    ForecastScore score;
    score.count = count;
    score.interval_count = intervals;
    score.total = total_;
    if (intervals > 0) score.coverage = static_cast<double>(inside) / static_cast<double>(intervals);
    if (!(change_ > 0) || count == 0) return score;
    const double change = change_ / change_weight_;
    score.mase = all.error / static_cast<double>(count) / change;
    score.naive_mase = all.naive_error / static_cast<double>(count) / change;
    if (seasonal_count > 0) score.seasonal_naive_mase = all.seasonal_error / static_cast<double>(seasonal_count) / change;
    return score;
}

}  // namespace weir::analytics
