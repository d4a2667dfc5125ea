#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"

namespace weir {

/// `[forecasts.<name>]`: forecasts of one number of a window, made each time one closes, as events on the stream `predictions`.
struct ForecastOptions {
    std::string window;             ///< name of a `[windows.*]`, tumbling or hopping
    std::string statistic = "avg";  ///< a number of its statistics
    std::uint32_t horizon = 12;     ///< steps ahead; a step is from one window's start to the next one's
    Duration season{0};             ///< a multiple of a step; 0: none
    double level = 0.9;             ///< of the intervals
    std::vector<std::string> keys;  ///< only these; empty: all
    std::vector<std::string> models = {"ses", "damped", "theta"};  ///< beside the naive forecasts, which always stand
    bool operator==(const ForecastOptions&) const = default;

    static constexpr std::int64_t season_steps_max = 2016;  ///< a week of five minutes
};

using ForecastTable = std::map<std::string, ForecastOptions>;  ///< by name

}  // namespace weir
