#include "gateway/history.h"

#include "base/diag.h"

namespace weir {
namespace {
constexpr std::size_t kPageEvents = 2000, kPageEventsMin = 32;
}

std::optional<Since::Begin> Since::begin(std::string_view stream) const {
    if (const auto* positions = std::get_if<Positions>(&at)) {
        if (const auto found = positions->find(stream); found != positions->end()) return found->second;
        if (otherwise) return *otherwise;
        return std::nullopt;
    }
    if (const auto* time = std::get_if<Timestamp>(&at)) return *time;
    if (const auto* last = std::get_if<Last>(&at)) return *last;
    return std::nullopt;
}

HistoryReader::HistoryReader(Log& log, std::vector<HistoryRange> ranges, Frames frames) : log_(log), frames_(std::move(frames)) {
    for (auto& range : ranges) add(std::move(range));
}

void HistoryReader::add(HistoryRange range) {
    parts_.emplace_back().range = std::move(range);
    page_events_ = std::max(kPageEventsMin, kPageEvents / parts_.size());
}

std::vector<StreamName> HistoryReader::streams() const {
    std::vector<StreamName> names;
    for (const auto& part : parts_) names.push_back(part.range.stream);
    return names;
}

std::optional<Seq> HistoryReader::next(std::string_view stream) const {
    for (const auto& part : parts_)
        if (part.range.stream == stream && part.begun) return part.next;
    return std::nullopt;
}

void HistoryReader::extend(std::string_view stream, Seq end, Epoch epoch) {
    for (auto& part : parts_) {
        if (part.range.stream != stream) continue;
        part.range.end = std::max(part.range.end, end);
        part.range.epoch = epoch;
        part.promised = true;
    }
}

void HistoryReader::missing(Part& part, std::optional<Seq> from, std::optional<Seq> to, const char* reason) {
    gaps_.push_back({part.range.stream, part.range.epoch, from, to, reason});
}

Result<Seq> HistoryReader::begin_of_last(const HistoryRange& range, std::size_t count) const {
    Seq before = range.end, begin = range.end;
    std::size_t found = 0, searched = 0;
    count = std::min(count, kLastMax);
    while (found < count && searched < kSearchedMax && before.value > 1) {
        WEIR_TRY(auto batches, log_.read_before(range.stream, before, kPageEvents));
        if (batches.empty()) break;
        for (std::size_t b = batches.size(); b-- > 0 && found < count;) {
            const Batch& batch = *batches[b];
            for (std::size_t i = batch.events.size(); i-- > 0 && found < count;) {
                if (batch.seq_of(i) >= before) continue;
                ++searched;
                if (frames_.target(batch, i) < 0) continue;
                ++found;
                begin = batch.seq_of(i);
            }
        }
        if (batches.front()->first_seq >= before) break;
        before = batches.front()->first_seq;
    }
    return begin;
}

Result<void> HistoryReader::find_begin(Part& part) {
    const HistoryRange& range = part.range;
    if (const auto* position = std::get_if<Since::Position>(&range.begin)) {
        part.next = position->seq + 1;
        if (position->seq.value == 0) return ok();  // nothing seen of any epoch: nothing can be missing
        if (position->epoch != range.epoch) {
            // What the client saw of an older epoch is still ours up to where the next one begins (decisions.md 5).
            const auto epochs = log_.epochs(range.stream);
            std::size_t i = 0;
            while (i < epochs.size() && epochs[i].first != position->epoch) ++i;
            if (i == epochs.size()) {
                part.next = Seq{1};
                part.promised = false;  // that gap says it all
                missing(part, std::nullopt, std::nullopt, "unknown_epoch");
            } else if (i + 1 < epochs.size() && position->seq >= epochs[i + 1].second) {
                part.next = epochs[i + 1].second;
                missing(part, std::nullopt, std::nullopt, "epoch");
            }
        } else if (part.next > range.end) {
            part.next = range.end;
            missing(part, std::nullopt, std::nullopt, "future_position");
        }
        return ok();
    }
    // Asked by time or count: nothing was promised from before the first that is kept.
    part.promised = false;
    if (const auto* time = std::get_if<Timestamp>(&range.begin)) {
        WEIR_TRY(part.next, log_.seq_at(range.stream, *time));
    } else {
        WEIR_TRY(part.next, begin_of_last(range, std::get<Since::Last>(range.begin).count));
    }
    part.next = std::min(part.next, range.end);
    return ok();
}

/// Gets the part's next batches. False when a gap was found and must be told before anything else of the step.
bool HistoryReader::fetch(Part& part, HistoryStep& step) {
    HistoryRange& range = part.range;
    const std::size_t told = gaps_.size();
    Result<void> read = ok();
    for (int attempt = 0; attempt < 4; ++attempt) {
        if (!part.begun) {
            read = find_begin(part);
            if (!read.ok()) break;
            part.begun = true;
        }
        if (const auto info = log_.info(range.stream); info && info->first > part.next && part.next < range.end) {
            const Seq first = std::min(info->first, range.end);
            if (part.promised) missing(part, part.next, Seq{first.value - 1}, "retention");
            part.next = first;
        }
        part.promised = true;
        if (part.next >= range.end) break;
        auto batches = log_.read(range.stream, part.next, page_events_);
        if (!batches.ok()) {
            read = std::move(batches).error();
            if (read.error().code == "gap") continue;  // retention passed us between asking for the first and reading it
            break;
        }
        read = ok();
        if (batches->empty()) part.next = range.end;
        part.batches.assign(std::make_move_iterator(batches->begin()), std::make_move_iterator(batches->end()));
        part.at = 0;
        break;
    }
    if (!read.ok()) {
        diag::warn("gateway: history of " + range.stream + " from " + std::to_string(part.next.value) + ": " + read.error().message);
        if (part.next < range.end) missing(part, part.next, Seq{range.end.value - 1}, "history_unavailable");
        part.next = range.end;
        part.begun = true;
    }
    return gaps_.size() == told || step.frames.empty();
}

HistoryStep HistoryReader::step(std::size_t bytes_max) {
    HistoryStep step;
    bool clear = true;
    while (clear && step.bytes.size() < bytes_max) {
        // The part whose next batch is the oldest commit: only known when each has one.
        Part* oldest = nullptr;
        for (auto& part : parts_) {
            while (clear && part.batches.empty() && (!part.begun || part.next < part.range.end)) clear = fetch(part, step);
            if (!clear) break;
            if (!part.batches.empty() && (!oldest || part.batches.front()->commit < oldest->batches.front()->commit)) oldest = &part;
        }
        if (!clear) break;
        step.gaps.insert(step.gaps.end(), std::make_move_iterator(gaps_.begin()), std::make_move_iterator(gaps_.end()));
        gaps_.clear();
        if (!oldest) {
            step.done = true;
            break;
        }
        const Batch& batch = *oldest->batches.front();
        bool ended = false;
        for (; oldest->at < batch.events.size() && step.bytes.size() < bytes_max; ++oldest->at) {
            const Seq seq = batch.seq_of(oldest->at);
            if (seq < oldest->next) continue;
            if (seq >= oldest->range.end) {
                ended = true;
                break;
            }
            oldest->next = seq + 1;
            const int target = frames_.target(batch, oldest->at);
            if (target < 0) continue;
            const std::size_t before = step.bytes.size();
            if (!frames_.encode(step.bytes, static_cast<std::uint32_t>(target), batch, oldest->at)) step.too_large.push_back(static_cast<std::uint32_t>(target));
            if (step.bytes.size() > before)
                step.frames.push_back({static_cast<std::uint32_t>(step.bytes.size() - before), static_cast<std::uint32_t>(target)});
        }
        if (ended) {
            oldest->next = std::max(oldest->next, oldest->range.end);
            oldest->batches.clear();
            oldest->at = 0;
        } else if (oldest->at == batch.events.size()) {
            oldest->batches.pop_front();
            oldest->at = 0;
        }
    }
    return step;
}

}  // namespace weir
