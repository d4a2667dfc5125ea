#include "analytics/quantile_sketch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "analytics/bytes.h"
#include "base/assert.h"

namespace weir::analytics {

QuantileSketch::QuantileSketch(std::uint32_t level_values) : level_values_(level_values), levels_(1) {
    WEIR_ASSERT(level_values >= 2);
}

void QuantileSketch::add(double value) {
    WEIR_ASSERT(std::isfinite(value));
    levels_[0].values.push_back(value);
    ++count_;
    if (levels_[0].values.size() >= level_values_) compact(0);
}

void QuantileSketch::compact(std::size_t level) {
    for (; level < levels_.size() && levels_[level].values.size() >= level_values_; ++level) {
        if (level + 1 == levels_.size()) levels_.emplace_back();
        Level& from = levels_[level];
        std::sort(from.values.begin(), from.values.end());
        // An odd value out stays behind: what moves up must stand for exactly as many readings as it did below.
        std::optional<double> rest;
        if (from.values.size() % 2 != 0) {
            rest = from.values.back();
            from.values.pop_back();
        }
        auto& up = levels_[level + 1].values;
        for (std::size_t i = from.odd ? 1 : 0; i < from.values.size(); i += 2) up.push_back(from.values[i]);
        from.odd = !from.odd;
        from.values.clear();
        if (rest) from.values.push_back(*rest);
        error_ += std::uint64_t{1} << level;
    }
}

void QuantileSketch::merge(const QuantileSketch& other) {
    if (levels_.size() < other.levels_.size()) levels_.resize(other.levels_.size());
    for (std::size_t h = 0; h < other.levels_.size(); ++h)
        levels_[h].values.insert(levels_[h].values.end(), other.levels_[h].values.begin(), other.levels_[h].values.end());
    count_ += other.count_;
    error_ += other.error_;
    for (std::size_t h = 0; h < levels_.size(); ++h)
        if (levels_[h].values.size() >= level_values_) compact(h);
}

double QuantileSketch::quantile(double p) const {
    WEIR_ASSERT(count_ > 0);
    std::vector<std::pair<double, std::uint64_t>> weighted;
    for (std::size_t h = 0; h < levels_.size(); ++h)
        for (const double value : levels_[h].values) weighted.emplace_back(value, std::uint64_t{1} << h);
    std::sort(weighted.begin(), weighted.end());
    const double wanted = p * static_cast<double>(count_);
    std::uint64_t rank = 0;
    for (const auto& [value, weight] : weighted) {
        rank += weight;
        if (static_cast<double>(rank) >= wanted) return value;
    }
    return weighted.back().first;
}

void QuantileSketch::save(std::string& out) const {
    put_raw(out, level_values_);
    put_raw(out, count_);
    put_raw(out, error_);
    put_raw(out, static_cast<std::uint32_t>(levels_.size()));
    for (const Level& level : levels_) {
        put_raw(out, static_cast<std::uint8_t>(level.odd));
        put_raw(out, static_cast<std::uint32_t>(level.values.size()));
        for (const double value : level.values) put_raw(out, value);
    }
}

std::optional<QuantileSketch> QuantileSketch::load(std::string_view& in) {
    std::uint32_t level_values = 0, levels = 0;
    std::uint64_t count = 0, error = 0;
    if (!take_raw(in, level_values) || !take_raw(in, count) || !take_raw(in, error) || !take_raw(in, levels)) return std::nullopt;
    if (level_values < 2 || levels < 1 || levels > 64) return std::nullopt;
    QuantileSketch sketch(level_values);
    sketch.count_ = count;
    sketch.error_ = error;
    sketch.levels_.resize(levels);
    for (Level& level : sketch.levels_) {
        std::uint8_t odd = 0;
        std::uint32_t size = 0;
        if (!take_raw(in, odd) || !take_raw(in, size) || in.size() / sizeof(double) < size) return std::nullopt;
        level.odd = odd != 0;
        level.values.resize(size);
        for (double& value : level.values)
            if (!take_raw(in, value)) return std::nullopt;
    }
    return sketch;
}

}  // namespace weir::analytics
