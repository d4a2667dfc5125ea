#include "log/tail.h"

#include "log/block.h"

namespace weir {

BatchPtr slice(const BatchPtr& batch, std::size_t begin, std::size_t end) {
    if (begin == 0 && end == batch->events.size()) return batch;
    auto part = std::make_shared<Batch>();
    part->stream = batch->stream;
    part->epoch = batch->epoch;
    part->first_seq = batch->seq_of(begin);
    part->commit = batch->commit;
    part->commit_time = batch->commit_time;
    part->notes = batch->notes;
    for (std::size_t i = begin; i < end; ++i) part->events.add(batch->events[i]);
    return part;
}

std::size_t memory_of(const Batch& batch) {
    return sizeof(Batch) + 64 + batch.stream.size() + raw_size_of(batch.events, batch.notes) + batch.events.size() * 32;
}

Tail::Tail(std::size_t bytes_max, CommitNo head, std::map<StreamName, Seq, std::less<>> next_seqs) : bytes_max_(bytes_max) {
    state_.with([&](State& s) {
        s.floor = s.head = head;
        for (auto& [name, next] : next_seqs) s.streams[name].begin = next;
    });
}

void Tail::publish(const std::vector<BatchPtr>& batches, CommitNo head) {
    // What leaves is destroyed outside the lock: freeing a large batch takes longer than the rest of this.
    std::vector<BatchPtr> left;
    state_.with([&](State& s) {
        for (const auto& batch : batches) {
            s.batches.push_back(batch);
            s.streams[batch->stream].batches.push_back(batch);
            s.bytes += memory_of(*batch);
        }
        s.head = head;
        const auto is_old = [&] { return s.bytes > idle_bytes && s.batches.back()->commit_time - s.batches.front()->commit_time > age_max; };
        while (!s.batches.empty() && (s.bytes > bytes_max_ || is_old())) {
            const CommitNo gone = s.batches.front()->commit;
            while (!s.batches.empty() && s.batches.front()->commit == gone) {
                BatchPtr batch = std::move(s.batches.front());
                s.batches.pop_front();
                StreamTail& stream = s.streams[batch->stream];
                stream.begin = batch->seq_of(batch->events.size());
                stream.batches.pop_front();
                s.bytes -= memory_of(*batch);
                left.push_back(std::move(batch));
            }
            s.floor = gone;
        }
    });
}

CommitNo Tail::head() const {
    return state_.with([](const State& s) { return s.head; });
}
bool Tail::covers(CommitNo after) const {
    return state_.with([&](const State& s) { return after >= s.floor; });
}
std::size_t Tail::bytes() const {
    return state_.with([](const State& s) { return s.bytes; });
}

std::optional<std::vector<BatchPtr>> Tail::read_commits(const std::vector<StreamName>& streams, CommitNo after, std::size_t events_max) const {
    return state_.with([&](const State& s) -> std::optional<std::vector<BatchPtr>> {
        if (after < s.floor) return std::nullopt;
        std::vector<BatchPtr> found;
        std::size_t events = 0;
        // True when the batch belongs to a commit that does not fit any more.
        const auto take = [&](const BatchPtr& batch) {
            if (events >= events_max && found.back()->commit != batch->commit) return false;
            found.push_back(batch);
            events += std::max<std::size_t>(1, batch->events.size());
            return true;
        };
        const auto begin_of = [&](const std::deque<BatchPtr>& batches) {
            return std::upper_bound(batches.begin(), batches.end(), after, [](CommitNo c, const BatchPtr& b) { return c < b->commit; });
        };
        events_max = std::max<std::size_t>(events_max, 1);
        if (streams.empty()) {
            for (auto it = begin_of(s.batches); it != s.batches.end() && take(*it); ++it) {}
            return found;
        }
        using It = std::deque<BatchPtr>::const_iterator;
        std::vector<std::pair<It, It>> cursors;
        for (const auto& name : streams) {
            const auto stream = s.streams.find(name);
            if (stream == s.streams.end()) continue;
            const It it = begin_of(stream->second.batches);
            if (it != stream->second.batches.end()) cursors.emplace_back(it, stream->second.batches.end());
        }
        while (!cursors.empty()) {
            // Within a commit in the order of `streams`. Readers follow a handful of streams: a heap would not pay.
            auto next = std::min_element(cursors.begin(), cursors.end(), [](const auto& a, const auto& b) { return (*a.first)->commit < (*b.first)->commit; });
            if (!take(*next->first)) break;
            if (++next->first == next->second) cursors.erase(next);
        }
        return found;
    });
}

std::optional<std::vector<BatchPtr>> Tail::read(std::string_view stream, Seq from, std::size_t events_max) const {
    auto found = state_.with([&](const State& s) -> std::optional<std::vector<BatchPtr>> {
        const auto it = s.streams.find(stream);
        if (it == s.streams.end() || from < it->second.begin) return std::nullopt;
        const auto& batches = it->second.batches;
        auto b = std::upper_bound(batches.begin(), batches.end(), from, [](Seq seq, const BatchPtr& x) { return seq < x->first_seq; });
        if (b != batches.begin()) --b;
        // Ticks share their seq with the batch that comes next: step back over none, forward over all.
        std::vector<BatchPtr> found_batches;
        std::size_t events = 0;
        for (; b != batches.end(); ++b) {
            const Seq end = (*b)->seq_of((*b)->events.size());
            if ((*b)->events.empty() || end <= from) continue;
            const std::size_t count = end.value - std::max(from, (*b)->first_seq).value;
            if (events > 0 && events + count > events_max) break;
            found_batches.push_back(*b);
            events += count;
        }
        return found_batches;
    });
    if (found && !found->empty() && found->front()->first_seq < from) {
        const BatchPtr first = found->front();
        found->front() = slice(first, from.value - first->first_seq.value, first->events.size());
    }
    return found;
}

std::optional<std::vector<BatchPtr>> Tail::read_before(std::string_view stream, Seq before, std::size_t events_max) const {
    if (events_max == 0) return std::vector<BatchPtr>();
    auto found = state_.with([&](const State& s) -> std::optional<std::vector<BatchPtr>> {
        const auto it = s.streams.find(stream);
        if (it == s.streams.end()) return std::nullopt;
        const auto& batches = it->second.batches;
        std::vector<BatchPtr> newest_first;
        std::size_t events = 0;
        for (auto b = batches.rbegin(); b != batches.rend() && events < events_max; ++b) {
            if ((*b)->events.empty() || (*b)->first_seq >= before) continue;
            newest_first.push_back(*b);
            events += std::min(before, (*b)->seq_of((*b)->events.size())).value - (*b)->first_seq.value;
        }
        // Fewer than asked for are all there are only when the stream begins here.
        if (events < events_max && it->second.begin > Seq{1}) return std::nullopt;
        return std::vector<BatchPtr>(newest_first.rbegin(), newest_first.rend());
    });
    if (!found || found->empty()) return found;
    BatchPtr& last = found->back();
    if (last->seq_of(last->events.size()) > before) last = slice(last, 0, before.value - last->first_seq.value);
    std::size_t events = 0;
    for (const auto& batch : *found) events += batch->events.size();
    if (events > events_max) found->front() = slice(found->front(), events - events_max, found->front()->events.size());
    return found;
}

}  // namespace weir
