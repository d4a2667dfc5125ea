#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analytics/quantile_sketch.h"
#include "analytics/trend.h"
#include "base/time.h"

namespace weir::analytics {

/// `exact`: the mean of the middle two where the count is even. `upper`: the upper of the two, as source 000 has it (C-6).
enum class MedianKind : std::uint8_t { exact, upper };

/// What is said about the readings of one window; without readings all numbers are nullopt.
struct StatisticsSummary {
    std::uint64_t count = 0;
    std::optional<double> min, max, avg, median, first, last;
    std::optional<double> stddev;  ///< with n - 1; nullopt for a single reading
    std::optional<double> p95;     ///< type 7: h = (n - 1) p, linear between neighbours (Hyndman and Fan 1996)
    std::uint64_t distinct_changes = 0;  ///< how often a reading differs from the one before it in time
    std::optional<Trend> trend;
    bool exact = true;      ///< false: median and p95 are from a sketch
    double rank_error = 0;  ///< bound on the error of their ranks, as a part of count
};

/// Statistics of the readings of a window, added in any order.
///
/// Up to `exact_max` readings all are kept, and put in order of (time, value) before anything is computed: so the answer does not
/// depend on the order of arrival, down to the last bit. Above it they are folded into moments (Welford; Chan, Golub, LeVeque 1979), a
/// QuantileSketch and at most 512 means of neighbours for the trend's error: count, min, max, first and last stay exact, avg, stddev
/// and slope agree to rounding, median and p95 keep the sketch's stated error, distinct_changes counts in order of arrival.
/// 0 is a reading. An offset of 1e9 costs no digits: everything is computed around the first reading.
///
/// Thread: one owner. Cost: 16 bytes a reading while exact, `summary` O(n log n); about 100 KB once folded.
class WindowStatistics {
public:
    explicit WindowStatistics(std::uint32_t exact_max = 100'000) : exact_max_(exact_max) {}

    /// `value` is finite: the decoder refuses NaN and infinity before this.
    void add(Timestamp time, double value);
    /// The readings of both. Bounds of memory are this one's.
    void merge(const WindowStatistics& other);

    std::uint64_t count() const { return folded_ ? folded_->moments.n : readings_.size(); }
    bool empty() const { return count() == 0; }
    bool exact() const { return folded_ == nullptr; }
    /// The readings in order of arrival while `exact`, else none.
    std::span<const TimedValue> readings() const { return readings_; }
    /// Forgets the readings, to keep a closed window small; only valid before the next use is destruction or assignment.
    void release() { readings_ = {}, folded_.reset(); }

    StatisticsSummary summary(MedianKind median = MedianKind::exact) const;

    /// The folded form as bytes, for a snapshot; empty while `exact` (the readings are the state then).
    std::string save_folded() const;
    [[nodiscard]] bool load_folded(std::string_view bytes);

private:
    /// Moments of (time in minutes since `origin`, value), without cancellation.
    struct Moments {
        std::uint64_t n = 0;
        double mean_t = 0, mean_x = 0, stt = 0, sxx = 0, stx = 0;
        void add(double t, double x);
        void merge(const Moments& other);
    };
    struct Part {  ///< the mean of some neighbours in time
        double n = 0, t = 0, x = 0;
    };
    struct Folded {
        Moments moments;
        Timestamp origin;
        TimedValue first, last;
        double min = 0, max = 0, latest_value = 0;
        std::uint64_t distinct_changes = 0;
        std::uint64_t part_size = 1;
        std::vector<Part> parts;
        QuantileSketch sketch;
        void add(Timestamp time, double value);
        void merge(const Folded& other);
        void halve_parts();
    };
    void fold();

    std::uint32_t exact_max_;
    std::vector<TimedValue> readings_;
    std::unique_ptr<Folded> folded_;
};

}  // namespace weir::analytics
