// How the state of a ForecastProcessor stands in the log, per key of a window:
//
//     t/<key>           start of the newest window
//     <part>/<key>      a part of its Forecaster (analytics/forecaster_state.cc), so that a snapshot writes what changed
#include "analytics/bytes.h"
#include "processors/forecast_processor.h"
#include "processors/state_bytes.h"

namespace weir {

std::vector<StatePut> ForecastProcessor::save() {
    std::vector<StatePut> puts;
    for (auto& [key, series] : series_) {
        if (!series.changed) continue;
        std::string start;
        analytics::put_raw(start, series.start.micros());
        puts.push_back({"t/" + key, std::move(start)});
        for (auto& [part, bytes] : series.forecaster.save()) puts.push_back({part + "/" + key, std::move(bytes)});
        series.changed = false;
        series.unsaved = 0;
    }
    unsaved_bytes_ = 0;
    return puts;
}

Result<void> ForecastProcessor::restore(const SavedState& state) {
    series_.clear();
    unsaved_bytes_ = 0;
    ignored_ = 0;
    for (const auto& [name, value] : state) {
        const Error bad{"bad_state", "the value of key " + name + " has another form"};
        const std::size_t slash = name.find('/');
        if (slash == std::string::npos) return bad;
        Series& series = series_.try_emplace(name.substr(slash + 1), model_options_).first->second;
        series.changed = false;
        if (name.starts_with("t/")) {
            Taker take{value};
            series.start = take.time();
            if (!take.good || !take.in.empty()) return bad;
        } else if (!series.forecaster.load(std::string_view(name).substr(0, slash), value)) {
            return bad;
        }
    }
    return ok();
}

}  // namespace weir
