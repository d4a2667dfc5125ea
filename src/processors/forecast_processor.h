#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "analytics/forecaster.h"
#include "config/forecast_options.h"
#include "config/window_options.h"
#include "event/json_path.h"
#include "processors/processor.h"
#include "processors/window_bounds.h"

namespace weir {

/// Forecasts of one number of a window, per key, each time one closes (spec.md 4, D16): events on the stream `predictions`, `type`
/// "prediction", `key` the window's, `time` its end, `data` the forecast with its score so far (docs/formats/predictions.md).
///
/// A key's series begins with its first window that has a value. An empty window passes: nothing is scored, and the next steps are said
/// all the same. So do windows that are not written (`keep_empty`), without an event each; of a silence of more than 4032 steps whole
/// seasons are left out.
///
/// **Revisions**: what counts is how a window closed first. What was said from it has been published, and a score that moved afterwards
/// would not be one of what clients had; so a corrected window changes neither. A window that is written later than the next one
/// of its key is left out too. Both are counted in `ignored`.
///
/// **Bound**: `keys_max` series: 192 MiB of them (5,800 with 12 steps, 60 with 200), at most 10,000, and no more than a commit holds of those
/// that one batch of windows changes. Keys beyond it have no forecast; a diagnostic says so once.
///
/// Thread: the runner's. Cost: some 10 us a window with 12 steps (analytics/forecaster.h). No ticks: windows bring the time.
class ForecastProcessor final : public Processor {
public:
    static constexpr std::string_view predictions = "predictions";
    static constexpr std::uint64_t silence_steps_max = 4032;

    /// `window`: the options of `options.window`, with `output` set; no session.
    ForecastProcessor(std::string forecast, ForecastOptions options, WindowOptions window);

    const std::string& name() const override { return name_; }
    std::uint64_t version() const override { return version_; }
    const std::vector<StreamName>& inputs() const override { return inputs_; }
    const std::vector<StreamName>& outputs() const override { return outputs_; }

    Result<void> restore(const SavedState& state) override;
    void process(const Batch& batch, Output& output) override;
    std::vector<StatePut> save() override;
    std::size_t unsaved_bytes() const override { return unsaved_bytes_; }

    std::size_t keys_max() const { return keys_max_; }
    /// Windows that came after the next one of their key, or again.
    std::uint64_t ignored() const { return ignored_; }

private:
    struct Series {
        explicit Series(const analytics::ForecasterOptions& options) : forecaster(options) {}
        analytics::Forecaster forecaster;
        Timestamp start;  ///< of the newest window
        std::size_t unsaved = 0;
        bool changed = true;
    };

    void take_window(const EventView& event, Output& output);
    Series* series_of(std::string_view key, const EventView& event, bool has_value);
    std::uint64_t steps_between(Timestamp from, Timestamp to) const;

    std::string forecast_, name_;
    ForecastOptions options_;
    WindowOptions window_;
    WindowBounds bounds_;
    analytics::ForecasterOptions model_options_;
    JsonPath statistic_, count_;
    std::uint64_t version_;
    std::vector<StreamName> inputs_, outputs_;
    std::size_t keys_max_;
    std::map<std::string, Series, std::less<>> series_;
    std::size_t unsaved_bytes_ = 0;
    std::uint64_t ignored_ = 0;
    bool told_ = false;  ///< that there are too many keys
};

}  // namespace weir
