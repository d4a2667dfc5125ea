#include "analytics/feed_comparison.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace weir::analytics {
namespace {

struct Seen {
    Timestamp time;
    double value;
    std::size_t side;
};

struct Run {
    double value;
    Timestamp start;
    std::array<bool, 2> seen{};
};

std::optional<std::pair<Timestamp, Timestamp>> bounds_of(const FeedRecord& record) {
    std::optional<std::pair<Timestamp, Timestamp>> bounds;
    for (const auto& [key, readings] : record)
        for (const FeedReading& r : readings) {
            if (!bounds) bounds = {r.time, r.time};
            bounds->first = std::min(bounds->first, r.time);
            bounds->second = std::max(bounds->second, r.time);
        }
    return bounds;
}

void add_gaps(RecordSummary& summary, const std::set<Timestamp>& moments, const FeedComparison& all, const ComparisonOptions& options) {
    std::vector<Duration> spacings;
    for (auto at = moments.begin(); at != moments.end(); ++at)
        if (const auto next = std::next(at); next != moments.end()) spacings.push_back(*next - *at);
    if (!spacings.empty()) {
        std::sort(spacings.begin(), spacings.end());
        const std::size_t half = spacings.size() / 2;
        summary.median_spacing = spacings.size() % 2 ? spacings[half] : (spacings[half - 1] + spacings[half]) / 2;
    }
    summary.gap_limit = options.gap ? *options.gap : 3 * summary.median_spacing.value_or(all.to - all.from);
    Timestamp last = all.from;
    const auto silence = [&](Timestamp until) {
        const Duration length = until - last;
        last = until;
        if (length <= summary.gap_limit) return;
        ++summary.gaps;
        summary.gap_total += length;
        summary.gap_longest = std::max(summary.gap_longest, length);
    };
    for (const Timestamp moment : moments) silence(moment);
    silence(all.to);
}

// Adds a key's changes and who caught them, and how long the two agreed.
void add_key(FeedComparison& all, std::vector<Seen>& seen, Duration tolerance, Duration& known, double& same, double& difference) {
    std::stable_sort(seen.begin(), seen.end(), [](const Seen& x, const Seen& y) { return x.time != y.time ? x.time < y.time : x.side < y.side; });
    std::vector<Run> runs;
    std::array<std::optional<double>, 2> held;
    Timestamp since;
    const auto hold_until = [&](Timestamp t) {
        if (held[0] && held[1] && t > since) {
            const auto length = static_cast<double>((t - since).count());
            known += t - since;
            if (*held[0] == *held[1]) same += length;
            difference += length * std::abs(*held[0] - *held[1]);
        }
        since = t;
    };
    for (const Seen& s : seen) {
        hold_until(s.time);
        held[s.side] = s.value;
        if (runs.empty() || s.value != runs.back().value) {
            const bool is_late = runs.size() >= 2 && runs[runs.size() - 2].value == s.value && s.time - runs.back().start <= tolerance && !runs.back().seen[s.side];
            if (is_late) {
                runs[runs.size() - 2].seen[s.side] = true;
                continue;
            }
            runs.push_back({s.value, s.time});
        }
        runs.back().seen[s.side] = true;
    }
    hold_until(all.to);
    for (std::size_t i = 1; i < runs.size(); ++i) {
        ++all.changes;
        for (std::size_t side = 0; side < 2; ++side) ++(runs[i].seen[side] ? all.records[side].caught : all.records[side].missed);
    }
}

}  // namespace

std::optional<FeedComparison> compare_feeds(const FeedRecord& a, const FeedRecord& b, const ComparisonOptions& options) {
    const auto bounds_a = bounds_of(a), bounds_b = bounds_of(b);
    if (!bounds_a || !bounds_b) return std::nullopt;
    FeedComparison all;
    all.from = options.from.value_or(std::max(bounds_a->first, bounds_b->first));
    all.to = options.to.value_or(std::min(bounds_a->second, bounds_b->second));
    if (all.to <= all.from) return std::nullopt;

    std::map<std::string, std::vector<Seen>> keys;
    std::array<std::set<Timestamp>, 2> moments, windows;
    for (std::size_t side = 0; side < 2; ++side)
        for (const auto& [key, readings] : side == 0 ? a : b)
            for (const FeedReading& r : readings) {
                // The end of what both cover is a reading of one of them, and counts; an end that was asked for does not.
                if (r.time < all.from || r.time > all.to || (options.to && r.time == all.to)) continue;
                keys[key].push_back({r.time, r.value, side});
                moments[side].insert(r.time);
                windows[side].insert(r.time.floor_to(options.window));
                ++all.records[side].readings;
            }
    all.keys = keys.size();
    Duration known{0};
    double same = 0, difference = 0;
    for (auto& [key, seen] : keys) add_key(all, seen, options.tolerance, known, same, difference);
    if (known > Duration(0)) {
        all.agreement = same / static_cast<double>(known.count());
        all.mean_difference = difference / static_cast<double>(known.count());
    }
    for (std::size_t side = 0; side < 2; ++side) {
        RecordSummary& record = all.records[side];
        if (all.changes > 0) record.capture_rate = static_cast<double>(record.caught) / static_cast<double>(all.changes);
        record.windows_with_readings = windows[side].size();
        add_gaps(record, moments[side], all, options);
    }
    return all;
}

}  // namespace weir::analytics
