#include "feeds/learned_interval.h"

namespace weir {

std::optional<Duration> LearnedInterval::message(Timestamp at) {
    constexpr std::size_t spacings_max = 200, first_known = 10, look_every = 20;
    if (!last_) {
        last_ = at;
        return std::nullopt;
    }
    const auto spacing = (at - *last_).count();
    last_ = at;
    if (spacing <= 0) return std::nullopt;  // a clock that stepped back, or two messages in one moment
    if (spacings_.size() < spacings_max)
        spacings_.push_back(spacing);
    else
        spacings_[next_++ % spacings_max] = spacing;
    ++count_;
    if (count_ < first_known || (known_ && count_ % look_every != 0)) return std::nullopt;
    auto sorted = spacings_;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    auto median = *middle;
    if (sorted.size() % 2 == 0) median = (median + *std::max_element(sorted.begin(), middle)) / 2;
    if (known_ && std::abs(median - known_->count()) * 10 <= known_->count()) return std::nullopt;
    known_ = Duration(median);
    return known_;
}

}  // namespace weir
