#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::analytics {

/// Quantiles of any number of values in bounded memory, with an error that is known, not only probable.
///
/// Levels of at most `level_values` values; a value on level h stands for 2^h readings. A full level is sorted and every
/// second value moves up, even and odd ones by turns. One such step moves the rank of any value by at most 2^h, so
///     |rank of the answer - rank asked for| <= sum of 2^h over all steps <= count * log2(count / level_values) / level_values
/// which is 0.44 % of a million readings and 0.93 % of a thousand million with the default. `rank_error` is the sum itself.
/// The same values in the same order give the same answers: there is no chance in it.
/// Source: Manku, Rajagopalan, Lindsay, "Approximate medians and other quantiles in one pass", SIGMOD 1998; the levels are as in
/// Karnin, Lang, Liberty, "Optimal quantile approximation in streams", FOCS 2016.
///
/// Thread: one owner. Cost: amortised O(log level_values) an `add`; at most 8 bytes * level_values * levels (300 KB at 10^9).
class QuantileSketch {
public:
    explicit QuantileSketch(std::uint32_t level_values = 2048);

    /// `value` is finite.
    void add(double value);
    void merge(const QuantileSketch& other);

    std::uint64_t count() const { return count_; }
    /// Bound on the error of a rank, as a part of `count`: 0.004 is "the 95th percentile is between the 94.6th and the 95.4th".
    double rank_error() const { return count_ == 0 ? 0 : static_cast<double>(error_) / static_cast<double>(count_); }
    /// The value at part `p` (0 to 1) of the sorted readings: the smallest one whose rank reaches p * count. `count` > 0.
    double quantile(double p) const;

    void save(std::string& out) const;
    /// Reads what `save` wrote off the front of `in`; nullopt for anything else.
    static std::optional<QuantileSketch> load(std::string_view& in);

private:
    void compact(std::size_t level);

    struct Level {
        std::vector<double> values;
        bool odd = false;  ///< which half moves up next
    };
    std::uint32_t level_values_;
    std::uint64_t count_ = 0;
    std::uint64_t error_ = 0;
    std::vector<Level> levels_;
};

}  // namespace weir::analytics
