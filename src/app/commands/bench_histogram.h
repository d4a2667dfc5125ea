#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace weir {

/// How often which latency was seen: microseconds, in buckets that grow with the value, so that a quantile is at most 1.6 % too high and
/// never too low. Plain memory: it may lie in a page that processes share (one writes; read it when that one is done).
/// Range: above 2^36 us (19 h) counts as that. Cost: 14 KB; `add` is a shift and an increment.
class LatencyHistogram {
public:
    void add(std::int64_t micros) { ++counts_[bucket(micros < 0 ? 0 : static_cast<std::uint64_t>(micros))]; }
    void add(const LatencyHistogram& other) {
        for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
    }
    std::uint64_t count() const {
        std::uint64_t all = 0;
        for (const auto n : counts_) all += n;
        return all;
    }
    /// The value that a share `q` of all is not above, as the upper edge of its bucket, in milliseconds. 0 when there is none.
    double quantile_ms(double q) const {
        const std::uint64_t all = count();
        if (all == 0) return 0;
        const auto wanted = static_cast<std::uint64_t>(q * static_cast<double>(all));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < kBuckets; ++i)
            if ((seen += counts_[i]) > wanted || seen == all) return static_cast<double>(upper_edge(i)) / 1e3;
        return 0;
    }

private:
    static constexpr std::size_t kExact = 128, kSteps = 64, kHighest = 36;
    static constexpr std::size_t kBuckets = kExact + (kHighest - 7) * kSteps;

    static std::size_t bucket(std::uint64_t v) {
        if (v < kExact) return v;
        const auto power = static_cast<std::size_t>(std::bit_width(v)) - 1;
        if (power >= kHighest) return kBuckets - 1;
        return kExact + (power - 7) * kSteps + ((v >> (power - 6)) & (kSteps - 1));
    }
    static std::uint64_t upper_edge(std::size_t i) {
        if (i < kExact) return i;
        const std::size_t power = (i - kExact) / kSteps + 7, step = (i - kExact) % kSteps;
        return ((kSteps + step + 1) << (power - 6)) - 1;
    }

    std::array<std::uint64_t, kBuckets> counts_{};
};

}  // namespace weir
