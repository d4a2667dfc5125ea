#include "analytics/forecast_interval.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analytics/bytes.h"
#include "base/assert.h"

namespace weir::analytics {
namespace {

// 20 errors at 0.9 ask for the 19th: 21 * 0.9 is 18.9 and must not become 18.900000000000002's neighbour where it is whole.
std::size_t rank(std::size_t n, double level) { return static_cast<std::size_t>(std::ceil(static_cast<double>(n + 1) * level - 1e-9)); }

}  // namespace

std::optional<double> conformal_quantile(std::span<double> errors, double level, double least_level) {
    if (errors.empty() || rank(errors.size(), least_level) > errors.size()) return std::nullopt;
    const auto at = errors.begin() + static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(rank(errors.size(), level), 1, errors.size()) - 1);
    std::nth_element(errors.begin(), at, errors.end());
    return *at;
}

ForecastInterval::ForecastInterval(std::uint32_t horizon, std::uint32_t kept, double level)
    : horizon_(horizon),
      kept_(kept),
      level_(level),
      miss_(horizon, 1 - level),
      errors_(std::size_t{horizon} * kept, std::numeric_limits<double>::quiet_NaN()),
      changed_((kept + chunk_rows - 1) / chunk_rows, false) {
    WEIR_ASSERT(horizon > 0 && kept > 0 && level > 0 && level < 1);
}

std::optional<double> ForecastInterval::half_width(std::uint32_t steps) const {
    std::vector<double> errors;
    errors.reserve(kept_);
    for (std::size_t row = 0; row < kept_; ++row)
        if (const double error = errors_[row * horizon_ + steps - 1]; !std::isnan(error)) errors.push_back(error);
    return conformal_quantile(errors, 1 - miss_[steps - 1], level_);
}

void ForecastInterval::outcome(std::uint32_t steps, bool inside) {
    double& miss = miss_[steps - 1];
    miss = std::clamp(miss + rate * (1 - level_ - (inside ? 0 : 1)), miss_min, miss_max);
}

void ForecastInterval::add(std::span<const double> errors) {
    WEIR_ASSERT(errors.size() == horizon_);
    const std::size_t row = added_++ % kept_;
    std::copy(errors.begin(), errors.end(), errors_.begin() + static_cast<std::ptrdiff_t>(row * horizon_));
    changed_[row / chunk_rows] = true;
}

std::size_t ForecastInterval::unsaved_bytes() const {
    const auto changed = static_cast<std::size_t>(std::count(changed_.begin(), changed_.end(), true));
    return 8 * (1 + miss_.size() + changed * chunk_rows * horizon_);
}

void ForecastInterval::save(std::vector<std::pair<std::string, std::string>>& parts) {
    std::string head;
    put_raw(head, added_);
    for (const double miss : miss_) put_raw(head, miss);
    parts.emplace_back("i", std::move(head));
    const std::size_t chunk = chunk_rows * horizon_;
    for (std::size_t i = 0; i < changed_.size(); ++i) {
        if (!changed_[i]) continue;
        changed_[i] = false;
        std::string bytes;
        for (std::size_t j = i * chunk; j < std::min(errors_.size(), (i + 1) * chunk); ++j) put_raw(bytes, errors_[j]);
        parts.emplace_back("e" + std::to_string(i), std::move(bytes));
    }
}

bool ForecastInterval::load(std::string_view name, std::string_view bytes) {
    bool good = true;
    if (name == "i") {
        good = take_raw(bytes, added_);
        for (double& miss : miss_) good = good && take_raw(bytes, miss);
        return good && bytes.empty();
    }
    std::size_t index = 0;
    if (name.size() < 2 || name[0] != 'e') return false;
    for (const char digit : name.substr(1)) {
        if (digit < '0' || digit > '9' || index > changed_.size()) return false;
        index = index * 10 + static_cast<std::size_t>(digit - '0');
    }
    if (index >= changed_.size()) return false;
    changed_[index] = false;
    const std::size_t chunk = chunk_rows * horizon_;
    for (std::size_t j = index * chunk; j < std::min(errors_.size(), (index + 1) * chunk); ++j) good = good && take_raw(bytes, errors_[j]);
    return good && bytes.empty();
}

}  // namespace weir::analytics
