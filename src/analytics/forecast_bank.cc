#include "analytics/forecast_bank.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analytics/bytes.h"
#include "base/assert.h"

namespace weir::analytics {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

// From a level that hardly moves to one that is nearly the last value; seasons that learn slowly where the level learns fast.
constexpr DampedTrend damped_grid[ForecastBank::damped_count] = {
    {.alpha = 0.03, .beta = 0.001, .phi = 0.98, .gamma = 0.1}, {.alpha = 0.1, .beta = 0.005, .phi = 0.95, .gamma = 0.2},
    {.alpha = 0.3, .beta = 0.03, .phi = 0.9, .gamma = 0.2},    {.alpha = 0.6, .beta = 0.1, .phi = 0.9, .gamma = 0.1},
    {.alpha = 0.9, .beta = 0.1, .phi = 0.8, .gamma = 0.05},    {.alpha = 0.9, .beta = 0.5, .phi = 0.8, .gamma = 0.05},
};

}  // namespace

ForecastBank::ForecastBank(std::uint32_t horizon, std::uint32_t season, double discount)
    : horizon_(horizon),
      season_(season),
      discount_(discount),
      slope_discount_(1 - 1.0 / std::max(100.0, 2.0 * season)),
      season_table_(std::size_t{std::max(season, 1u)} * place_size, none),
      origins_(std::size_t{horizon} * origin_size, none),
      errors_(family_errors * horizon, 0.0),
      season_changed_((std::max(season, 1u) + season_chunk - 1) / season_chunk, false),
      origin_changed_((horizon + origin_chunk - 1) / origin_chunk, false) {
    WEIR_ASSERT(horizon > 0 && season != 1 && discount < 1);
    std::copy(std::begin(damped_grid), std::end(damped_grid), damped_.begin());
    for (const DampedTrend& trend : damped_)
        for (std::uint32_t k = 1; k <= horizon_; ++k) damping_.push_back(damping_sum(trend.phi, k));
    // Without a season there is one place that is always 0.
    if (season_ == 0) std::fill(season_table_.begin(), season_table_.end(), 0.0);
}

void ForecastBank::add(std::optional<double> value) {
    ++now_;
    if (value && begun_) judge(*value);
    // A model that begins at this step has seen it: its first season ends here.
    const bool begins = !begun_ && value && now_ >= season_;
    if (begun_) add_to_models(value);
    if (value && season_ > 0) add_to_season(*value);
    if (begins) begin(*value);
    if (begun_) remember();
}

void ForecastBank::judge(double value) {
    const double* here = place(now_);
    const double left = value - profile(now_);
    for (std::uint32_t k = 1; k <= horizon_ && now_ >= since_ + k; ++k) {
        const double* origin = &origins_[(now_ - k) % horizon_ * origin_size];
        double* error = &errors_[(k - 1) * family_errors];
        if (!std::isnan(left)) {
            for (std::size_t i = 0; i < alpha_count; ++i, ++error) *error = discount_ * *error + std::abs(left - origin[i]);
            for (std::size_t i = 0; i < alpha_count; ++i, ++error)
                *error = discount_ * *error + std::abs(left - origin[i] - theta_drift(origin[alpha_count], alphas[i], k));
        } else {
            error += 2 * alpha_count;
        }
        const double* trend = origin + alpha_count + 1;
        for (std::size_t i = 0; i < damped_count; ++i, ++error, trend += 2) {
            const double e = std::abs(value - (trend[0] + damping(i, k) * trend[1] + here[2 + i]));
            if (!std::isnan(e)) *error = discount_ * *error + e;
        }
    }
}

void ForecastBank::begin(double value) {
    double mean = value;
    if (season_ > 0) {
        double sum = 0;
        std::size_t known = 0;
        for (std::uint32_t i = 0; i < season_; ++i)
            if (const double last = place(i)[0]; !std::isnan(last)) sum += last, ++known;
        mean = sum / static_cast<double>(known);
        for (std::uint32_t i = 0; i < season_; ++i) {
            double* at = place(i);
            std::fill(at + 1, at + place_size, at[0] - mean);
        }
        std::fill(season_changed_.begin(), season_changed_.end(), true);
    }
    reference_ = mean;
    levels_.fill(mean);
    for (DampedTrend& trend : damped_) trend.level = mean;
    begun_ = true;
    since_ = now_;
}

void ForecastBank::add_to_season(double value) {
    double* at = place(now_);
    season_changed_[now_ % season_ / season_chunk] = true;
    at[0] = value;
    if (!begun_) return;
    // The mean of the last season is taken anew each time: a running sum would drift, and this is no more than the season's places.
    double sum = 0;
    std::size_t known = 0;
    for (std::uint32_t i = 0; i < season_; ++i)
        if (const double last = season_table_[i * place_size]; !std::isnan(last)) sum += last, ++known;
    const double deviation = value - sum / static_cast<double>(known);
    at[1] = std::isnan(at[1]) ? deviation : at[1] + profile_rate * (deviation - at[1]);
}

void ForecastBank::add_to_models(std::optional<double> value) {
    auto& [ones, ages, squares, values, products] = sums_;
    squares = slope_discount_ * (squares + 2 * ages + ones);
    ages = slope_discount_ * (ages + ones);
    ones *= slope_discount_;
    products = slope_discount_ * (products + values);
    values *= slope_discount_;
    double* at = place(now_);
    if (!value) {
        for (DampedTrend& trend : damped_) trend.pass();
        return;
    }
    if (const double left = *value - profile(now_); !std::isnan(left)) {
        for (std::size_t i = 0; i < alpha_count; ++i) levels_[i] += alphas[i] * (left - levels_[i]);
        ones += 1;
        values += left - reference_;
    }
    for (std::size_t i = 0; i < damped_count; ++i) {
        double nothing = 0;
        double& season = season_ == 0 ? nothing : at[2 + i];
        if (std::isnan(season)) {
            // The first value of this place of the season: taken to be what the level does not explain.
            damped_[i].pass();
            season = *value - damped_[i].level;
        } else {
            damped_[i].add(*value, season);
        }
    }
}

double ForecastBank::slope() const {
    const auto& [ones, ages, squares, values, products] = sums_;
    const double spread = ones * squares - ages * ages;
    return spread <= 1e-9 * ones * squares || ones < 3 ? 0 : -(ones * products - ages * values) / spread;
}

void ForecastBank::remember() {
    double* origin = &origins_[now_ % horizon_ * origin_size];
    origin = std::copy(levels_.begin(), levels_.end(), origin);
    *origin++ = slope();
    for (const DampedTrend& trend : damped_) *origin++ = trend.level, *origin++ = trend.trend;
    origin_changed_[now_ % horizon_ / origin_chunk] = true;
}

std::size_t ForecastBank::best(std::size_t family_begin, std::size_t family_size, std::uint32_t steps) const {
    const auto from = errors_.begin() + static_cast<std::ptrdiff_t>((steps - 1) * family_errors + family_begin);
    return static_cast<std::size_t>(std::min_element(from, from + static_cast<std::ptrdiff_t>(family_size)) - from);
}

double ForecastBank::seasonal_naive(std::uint32_t steps) const { return season_ == 0 ? none : place(now_ + steps)[0]; }

double ForecastBank::smoothing(std::uint32_t steps) const {
    return begun_ ? levels_[best(0, alpha_count, steps)] + profile(now_ + steps) : none;
}

double ForecastBank::theta(std::uint32_t steps) const {
    if (!begun_) return none;
    const std::size_t i = best(alpha_count, alpha_count, steps);
    return levels_[i] + theta_drift(slope(), alphas[i], steps) + profile(now_ + steps);
}

double ForecastBank::damped(std::uint32_t steps) const {
    if (!begun_) return none;
    const std::size_t i = best(2 * alpha_count, damped_count, steps);
    return damped_[i].level + damping(i, steps) * damped_[i].trend + place(now_ + steps)[2 + i];
}

std::size_t ForecastBank::unsaved_bytes() const {
    const auto changed = [](const std::vector<bool>& chunks) { return static_cast<std::size_t>(std::count(chunks.begin(), chunks.end(), true)); };
    return 8 * (32 + errors_.size() + changed(season_changed_) * season_chunk * place_size + changed(origin_changed_) * origin_chunk * origin_size);
}

void ForecastBank::save(std::vector<std::pair<std::string, std::string>>& parts) {
    std::string head;
    put_raw(head, now_);
    put_raw(head, since_);
    put_raw(head, static_cast<std::uint8_t>(begun_));
    put_raw(head, reference_);
    for (const double level : levels_) put_raw(head, level);
    for (const double sum : sums_) put_raw(head, sum);
    for (const DampedTrend& trend : damped_) put_raw(head, trend.level), put_raw(head, trend.trend);
    for (const double error : errors_) put_raw(head, error);
    parts.emplace_back("h", std::move(head));
    const auto chunks = [&](const char* name, std::vector<bool>& changed, const std::vector<double>& all, std::size_t chunk) {
        for (std::size_t i = 0; i < changed.size(); ++i) {
            if (!changed[i]) continue;
            changed[i] = false;
            std::string bytes;
            for (std::size_t j = i * chunk; j < std::min(all.size(), (i + 1) * chunk); ++j) put_raw(bytes, all[j]);
            parts.emplace_back(name + std::to_string(i), std::move(bytes));
        }
    };
    chunks("s", season_changed_, season_table_, season_chunk * place_size);
    chunks("o", origin_changed_, origins_, origin_chunk * origin_size);
}

bool ForecastBank::load(std::string_view name, std::string_view bytes) {
    bool good = true;
    const auto take = [&](auto& value) { good = good && take_raw(bytes, value); };
    if (name == "h") {
        std::uint8_t begun = 0;
        take(now_), take(since_), take(begun), take(reference_);
        begun_ = begun != 0;
        for (double& level : levels_) take(level);
        for (double& sum : sums_) take(sum);
        for (DampedTrend& trend : damped_) take(trend.level), take(trend.trend);
        for (double& error : errors_) take(error);
        return good && bytes.empty();
    }
    const bool is_season = name.starts_with('s');
    if (!is_season && !name.starts_with('o')) return false;
    std::vector<bool>& changed = is_season ? season_changed_ : origin_changed_;
    std::vector<double>& all = is_season ? season_table_ : origins_;
    const std::size_t chunk = is_season ? season_chunk * place_size : origin_chunk * origin_size;
    std::size_t index = 0;
    for (const char digit : name.substr(1)) {
        if (digit < '0' || digit > '9' || index > changed.size()) return false;
        index = index * 10 + static_cast<std::size_t>(digit - '0');
    }
    if (name.size() < 2 || index >= changed.size()) return false;
    changed[index] = false;
    for (std::size_t j = index * chunk; j < std::min(all.size(), (index + 1) * chunk); ++j) take(all[j]);
    return good && bytes.empty();
}

}  // namespace weir::analytics
