#include "processors/window_pane.h"

#include <algorithm>

namespace weir {

void WindowPane::read(Timestamp time, double value, std::string_view source, Seq seq) {
    if (statistics.empty()) {
        first = last = time;
        first_seq = last_seq = seq;
    }
    first = std::min(first, time);
    last = std::max(last, time);
    first_seq = std::min(first_seq, seq);
    last_seq = std::max(last_seq, seq);
    statistics.add(time, value);
    if (const auto it = sources.find(source); it != sources.end()) ++it->second;
    else sources.emplace(source, 1);
    changed = true;
}

std::uint64_t WindowPane::rejected_count() const {
    std::uint64_t sum = 0;
    for (const auto& [reason, count] : rejected) sum += count;
    return sum;
}

void WindowPane::merge(const WindowPane& other) {
    if (!other.statistics.empty()) {
        if (statistics.empty()) {
            first = other.first, last = other.last, first_seq = other.first_seq, last_seq = other.last_seq;
        } else {
            first = std::min(first, other.first), last = std::max(last, other.last);
            first_seq = std::min(first_seq, other.first_seq), last_seq = std::max(last_seq, other.last_seq);
        }
        statistics.merge(other.statistics);
    }
    for (const auto& [source, count] : other.sources) sources[source] += count;
    for (const auto& [reason, count] : other.rejected) rejected[reason] += count;
    rejected_at.insert(rejected_at.end(), other.rejected_at.begin(), other.rejected_at.end());
    duplicates += other.duplicates;
    late += other.late;
    changed = true;
}

}  // namespace weir
