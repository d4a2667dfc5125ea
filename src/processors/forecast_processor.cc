#include "processors/forecast_processor.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "base/diag.h"
#include "processors/forecast_document.h"

namespace weir {
namespace {

// Another number wherever the formulas or the document change: states of an old one would go on with what was never computed.
constexpr std::string_view formulas = "1";

constexpr std::size_t memory_max = 192 << 20, snapshot_max = 15 << 20;
// A batch of windows is at most what a commit of derived events holds, and each key in it makes a series to save.
constexpr std::size_t batch_windows = 450, series_max = 10'000;

analytics::ForecasterOptions model_options(const ForecastOptions& o, const WindowOptions& window) {
    const Duration step = window.kind == WindowKind::hopping ? window.hop : window.size;
    const auto has = [&](std::string_view model) { return std::find(o.models.begin(), o.models.end(), model) != o.models.end(); };
    return {.horizon = o.horizon, .season = static_cast<std::uint32_t>(o.season / step), .level = o.level, .smoothing = has("ses"), .damped = has("damped"), .theta = has("theta")};
}

std::size_t most_keys(const analytics::ForecasterOptions& options) {
    std::size_t keys = std::min(series_max, memory_max / analytics::Forecaster::memory_bytes(options));
    const std::size_t step = analytics::Forecaster::step_bytes(options);
    if (step * batch_windows > snapshot_max) keys = std::min(keys, snapshot_max / step);
    return std::max<std::size_t>(keys, 1);
}

std::uint64_t version_of(const std::string& forecast, const ForecastOptions& o, const WindowOptions& w) {
    std::string text(formulas);
    text += ";" + forecast + ";" + o.window + ";" + o.statistic + ";" + std::to_string(o.horizon) + ";" + to_text(o.season) + ";";
    append_json_number(text, o.level);
    for (const auto& key : o.keys) append_json_string(text, key);
    for (const auto& model : o.models) append_json_string(text, model);
    text += ";" + w.output + ";" + std::to_string(static_cast<int>(w.kind)) + ";" + to_text(w.size) + ";" + to_text(w.hop) + ";" + to_text(w.offset) + ";" +
            w.zone.name() + ";" + (w.schedule ? w.schedule->text() : "");
    return derived_hash({text});
}

}  // namespace

ForecastProcessor::ForecastProcessor(std::string forecast, ForecastOptions options, WindowOptions window)
    : forecast_(std::move(forecast)),
      name_("forecast/" + forecast_),
      options_(std::move(options)),
      window_(std::move(window)),
      bounds_(window_),
      model_options_(model_options(options_, window_)),
      statistic_(*JsonPath::parse("/statistics/" + options_.statistic)),
      count_(*JsonPath::parse("/statistics/count")),
      version_(version_of(forecast_, options_, window_)),
      inputs_{window_.output},
      outputs_{StreamName(predictions)},
      keys_max_(most_keys(model_options_)) {
    WEIR_ASSERT(!bounds_.is_session());
}

void ForecastProcessor::process(const Batch& batch, Output& output) {
    for (const EventView event : batch.events)
        if (event.type == "window") take_window(event, output);
}

std::uint64_t ForecastProcessor::steps_between(Timestamp from, Timestamp to) const {
    // Days of a zone and schedules are counted one by one; a silence of so many of them is cut short anyway.
    std::uint64_t steps = 0;
    if (window_.schedule || !window_.zone.is_utc()) {
        for (; from < to && steps <= 100'000; ++steps) from = bounds_.next_start(from);
        return steps;
    }
    const Duration step = window_.kind == WindowKind::hopping ? window_.hop : window_.size;
    return static_cast<std::uint64_t>((to - from) / step);
}

ForecastProcessor::Series* ForecastProcessor::series_of(std::string_view key, const EventView& event, bool has_value) {
    if (const auto at = series_.find(key); at != series_.end()) return &at->second;
    // The window of the whole feed (key "") tells of rejected readings: it is a series where something was counted in it.
    if (!has_value || (key.empty() && window_.per_key && count_.number(event.data).value_or(0) == 0)) return nullptr;
    if (series_.size() >= keys_max_) {
        if (!std::exchange(told_, true))
            diag::warn("processor " + name_ + ": there are more than " + std::to_string(keys_max_) + " keys; \"" + std::string(key) + "\" and those that follow have no forecast (forecasts." +
                       forecast_ + ".keys chooses, a shorter horizon makes room)");
        return nullptr;
    }
    return &series_.try_emplace(std::string(key), model_options_).first->second;
}

void ForecastProcessor::take_window(const EventView& event, Output& output) {
    if (!options_.keys.empty() && std::find(options_.keys.begin(), options_.keys.end(), event.key) == options_.keys.end()) return;
    const std::optional<double> value = statistic_.number(event.data);
    Series* series = series_of(event.key, event, value.has_value());
    if (!series) return;
    if (series->start != Timestamp()) {
        if (event.time <= series->start) {
            ++ignored_;
            return;
        }
        std::uint64_t silent = steps_between(series->start, event.time) - 1;
        // What is left out are whole seasons, so that the series stays in its place in them.
        const std::uint64_t season = std::max(model_options_.season, 1u);
        if (silent > silence_steps_max) silent = silence_steps_max - season + (silent - silence_steps_max) % season;
        for (; silent > 0; --silent) series->forecaster.add(std::nullopt);
    }
    series->start = event.time;
    const analytics::Forecast forecast = series->forecaster.add(value);
    series->changed = true;
    unsaved_bytes_ -= series->unsaved;
    unsaved_bytes_ += series->unsaved = series->forecaster.unsaved_bytes();

    ForecastFacts facts{.name = forecast_,
                        .window = options_.window,
                        .stream = window_.output,
                        .statistic = options_.statistic,
                        .key = event.key,
                        .level = options_.level,
                        .made_at = event.ingested,
                        .start = event.time,
                        .value = value,
                        .targets = {}};
    facts.targets.reserve(options_.horizon);
    for (Timestamp target = event.time; facts.targets.size() < options_.horizon;) facts.targets.push_back(target = bounds_.next_start(target));
    const std::string data = forecast_document(facts, forecast);
    const std::string id = derived_id({name_, to_text(Epoch{version_}), event.key, to_text(Epoch{static_cast<std::uint64_t>(event.time.micros())})});
    EventView prediction;
    prediction.id = id;
    prediction.type = "prediction";
    prediction.key = event.key;
    prediction.source = name_;
    prediction.data = data;
    prediction.time = bounds_.end(event.time);
    prediction.ingested = event.ingested;
    output.add(outputs_.front(), prediction);
}

}  // namespace weir
