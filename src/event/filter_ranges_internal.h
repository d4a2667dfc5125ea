#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/assert.h"
#include "event/filter_index.h"

namespace weir::filtering {

/// Ranges of one path, each for one filter: which of them hold a value? A tree of ranges sorted by their lower bound, each node with the
/// largest upper bound below it, laid out in one array and built anew at the first question after a change.
template <class Key>
class Ranges {
public:
    struct Range {
        std::optional<Key> lower, upper;
        FilterIndex::Id id;
    };
    bool empty() const { return ranges_.empty(); }
    void add(Range range) {
        ranges_.push_back(std::move(range));
        sorted_ = false;
    }
    void remove(FilterIndex::Id id) {
        const auto at = std::find_if(ranges_.begin(), ranges_.end(), [&](const Range& r) { return r.id == id; });
        WEIR_ASSERT(at != ranges_.end());
        *at = std::move(ranges_.back());
        ranges_.pop_back();
        sorted_ = false;
    }
    /// Bounds count as inside: whoever asks checks the filter itself.
    template <class Value, class Found>
    void each(const Value& value, const Found& found) {
        if (!sorted_) sort();
        visit(0, ranges_.size(), value, found);
    }

private:
    void sort() {
        std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.lower < b.lower; });  // none first
        largest_.resize(ranges_.size());
        build(0, ranges_.size());
        sorted_ = true;
    }
    /// The index of the range with the largest upper bound (none is larger than any) of [from, to), kept at its middle.
    std::size_t build(std::size_t from, std::size_t to) {
        const std::size_t middle = from + (to - from) / 2;
        std::size_t best = middle;
        auto better = [&](std::size_t other) {
            if (ranges_[best].upper && (!ranges_[other].upper || *ranges_[best].upper < *ranges_[other].upper)) best = other;
        };
        if (from < middle) better(build(from, middle));
        if (middle + 1 < to) better(build(middle + 1, to));
        return largest_[middle] = static_cast<std::uint32_t>(best);
    }
    template <class Value, class Found>
    void visit(std::size_t from, std::size_t to, const Value& value, const Found& found) {
        while (from < to) {
            const std::size_t middle = from + (to - from) / 2;
            const auto& most = ranges_[largest_[middle]].upper;
            if (most && *most < value) return;
            visit(from, middle, value, found);
            const Range& range = ranges_[middle];
            if (range.lower && *range.lower > value) return;
            if (!range.upper || !(*range.upper < value)) found(range.id);
            from = middle + 1;
        }
    }
    std::vector<Range> ranges_;
    std::vector<std::uint32_t> largest_;
    bool sorted_ = true;
};

}  // namespace weir::filtering
