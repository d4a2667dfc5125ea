#include "processors/forecast_document.h"

#include <cmath>

#include "base/assert.h"
#include "event/json.h"

namespace weir {
namespace {

// Ratios and weights: three digits say all that they can.
std::optional<double> short_number(std::optional<double> value) { return value ? std::optional(std::round(*value * 1000) / 1000) : std::nullopt; }

std::string reason_of(const analytics::SwitchedOff& off) {
    if (!off.naive_ratio)
        return off.outcomes < analytics::Forecaster::proved_after
                   ? "known by " + std::to_string(off.outcomes) + " outcomes; " + std::to_string(analytics::Forecaster::proved_after) + " are needed"
                   : "the naive forecast has no error";
    const auto times = [](double ratio) {
        std::string text;
        append_json_number(text, std::round(ratio * 1000) / 1000);
        return text;
    };
    if (*off.naive_ratio >= 1) return "its error is " + times(*off.naive_ratio) + " times that of the naive forecast";
    if (off.seasonal_ratio && *off.seasonal_ratio >= 1) return "its error is " + times(*off.seasonal_ratio) + " times that of the seasonal naive forecast";
    if (off.model == analytics::ForecastModel::ensemble) return "no model takes part that is better than both naive forecasts";
    return "it is better than both naive forecasts at no step ahead";
}

}  // namespace

std::string forecast_document(const ForecastFacts& facts, const analytics::Forecast& forecast) {
    WEIR_ASSERT(facts.targets.size() == forecast.steps.size() && !forecast.steps.empty());
    using analytics::to_text;
    const auto& first = forecast.steps.front();
    std::string data;
    JsonWriter json(data);
    json.object().member("name", facts.name).member("stream", facts.stream).member("window", facts.window).member("key", facts.key);
    json.member("statistic", facts.statistic).member("made_at", facts.made_at);
    json.name("from").object().member("start", facts.start).member("value", facts.value).end();
    json.member("model", to_text(forecast.model));
    json.member("target", facts.targets.front()).member("value", first.value).member("lower", first.lower).member("upper", first.upper).member("naive", first.naive);

    json.name("weights").object();
    for (std::size_t i = 0; i < forecast.weights.size(); ++i)
        if (forecast.weights[i] > 0) json.member(to_text(static_cast<analytics::ForecastModel>(i)), short_number(forecast.weights[i]));
    json.end().name("switched_off").array();
    for (const auto& off : forecast.switched_off) {
        json.object().member("model", to_text(off.model)).member("reason", reason_of(off));
        json.member("naive_ratio", short_number(off.naive_ratio)).member("seasonal_naive_ratio", short_number(off.seasonal_ratio)).end();
    }
    json.end().name("steps").array();
    for (std::size_t i = 0; i < forecast.steps.size(); ++i) {
        const auto& step = forecast.steps[i];
        json.object().member("target", facts.targets[i]).member("value", step.value).member("lower", step.lower).member("upper", step.upper);
        json.member("naive", step.naive).member("model", to_text(step.model)).end();
    }
    const auto& score = forecast.score;
    json.end().name("score").object().member("mase", short_number(score.mase)).member("naive_mase", short_number(score.naive_mase));
    json.member("seasonal_naive_mase", short_number(score.seasonal_naive_mase)).member("coverage", short_number(score.coverage)).member("level", facts.level);
    json.member("n", score.count).member("intervals", score.interval_count).member("total", score.total).end().end();
    return data;
}

}  // namespace weir
