#include "analytics/subgroup.h"

#include "base/assert.h"

namespace weir::analytics {

double mean_of(std::span<const double> values) noexcept {
    WEIR_ASSERT(!values.empty());
    const double first = values.front();
    double sum = 0;
    for (double value : values) sum += value - first;
    return first + sum / static_cast<double>(values.size());
}

double range_of(std::span<const double> values) noexcept {
    WEIR_ASSERT(!values.empty());
    double low = values.front(), high = low;
    for (double value : values) {
        low = std::min(low, value);
        high = std::max(high, value);
    }
    return high - low;
}

double standard_deviation_of(std::span<const double> values) noexcept {
    if (values.size() < 2) return 0;
    const double mean = mean_of(values);
    double squares = 0, rest = 0;
    for (double value : values) {
        squares += (value - mean) * (value - mean);
        rest += value - mean;  // what rounding of the mean left over
    }
    const auto count = static_cast<double>(values.size());
    return std::sqrt(std::max(0.0, squares - rest * rest / count) / (count - 1));
}

}  // namespace weir::analytics
