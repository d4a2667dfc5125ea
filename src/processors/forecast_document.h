#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analytics/forecaster.h"
#include "base/time.h"

namespace weir {

/// What a forecast is of. The texts belong to the caller.
struct ForecastFacts {
    std::string_view name, window, stream, statistic, key;
    double level = 0.9;
    Timestamp made_at;
    Timestamp start;               ///< of the newest window that is known
    std::optional<double> value;   ///< of that window
    std::vector<Timestamp> targets;  ///< starts of the windows that are forecast
};

/// The `data` of a prediction (docs/formats/predictions.md): about 130 bytes a step and 700 beside them.
std::string forecast_document(const ForecastFacts& facts, const analytics::Forecast& forecast);

}  // namespace weir
