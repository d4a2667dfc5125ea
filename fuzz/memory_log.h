#pragma once
#include <algorithm>
#include <deque>
#include <map>
#include <mutex>

#include "log/empty_log.h"

namespace weir::fuzz {

/// The log as the gateway sees it: a few streams in memory, of each the newest events only, so that positions before what is kept are met often.
/// A commit is true when `submit` returns. Streams that are not there are refused: foreign names must not make a run grow.
class MemoryLog final : public EmptyLog {
public:
    static constexpr std::size_t kept_max = 24;  ///< batches of a stream
    static constexpr Epoch epoch{7}, older{3};

    /// `before`: how many events of each stream are of an older epoch, `older`.
    MemoryLog(const std::vector<StreamName>& names, Timestamp start, std::uint64_t before = 0) : before_(before), now_(start) {
        for (const auto& name : names) streams_[name];
    }

    bool try_submit(Commit& commit, Done done) override {
        std::unique_lock lock(mutex_);
        for (const auto& append : commit.appends)
            if (!streams_.contains(append.stream)) return lock.unlock(), done(Error{"bad_stream_name", "there is no such stream"}), true;
        Committed committed;
        committed.commit = head_ = CommitNo{head_.value + 1};
        committed.time = now_ = now_ + 1ms;
        for (const auto& append : commit.appends) {
            Stream& stream = streams_.find(append.stream)->second;
            auto batch = std::make_shared<Batch>();
            batch->stream = append.stream;
            batch->epoch = epoch;
            batch->first_seq = stream.next;
            batch->commit = head_;
            batch->commit_time = now_;
            Appended& appended = committed.appended.emplace_back();
            appended.stream = append.stream;
            appended.epoch = epoch;
            for (const EventView event : append.events) {
                if (const auto known = stream.ids.find(event.id); known != stream.ids.end()) {
                    appended.seqs.push_back(known->second);
                    ++appended.duplicates;
                    continue;
                }
                stream.ids.emplace(event.id, stream.next);
                appended.seqs.push_back(stream.next);
                batch->events.add(event);
                stream.next = stream.next + 1;
            }
            if (batch->events.empty()) continue;
            stream.batches.push_back(std::move(batch));
            while (stream.batches.size() > kept_max) {
                stream.removed = stream.batches.front()->commit;
                for (const EventView event : stream.batches.front()->events) stream.ids.erase(std::string(event.id));
                stream.batches.pop_front();
            }
        }
        lock.unlock();
        done(committed);
        if (wake_) wake_(committed.commit);
        return true;
    }

    Result<std::vector<BatchPtr>> read(std::string_view name, Seq from, std::size_t events_max) override {
        std::lock_guard lock(mutex_);
        std::vector<BatchPtr> found;
        const auto at = streams_.find(name);
        if (at == streams_.end()) return found;
        if (from < at->second.first()) return Error{"gap", "kept from " + std::to_string(at->second.first().value)};
        std::size_t events = 0;
        for (const auto& batch : at->second.batches)
            if (batch->first_seq + batch->events.size() > from && events < events_max) {
                found.push_back(batch);
                events += batch->events.size();
            }
        return found;
    }
    Result<std::vector<BatchPtr>> read_before(std::string_view name, Seq before, std::size_t) override {
        std::lock_guard lock(mutex_);
        std::vector<BatchPtr> found;
        if (const auto at = streams_.find(name); at != streams_.end())
            for (const auto& batch : at->second.batches)
                if (batch->first_seq < before) found.push_back(batch);
        return found;
    }
    Result<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>& names, CommitNo after, std::size_t) override {
        std::lock_guard lock(mutex_);
        std::map<CommitNo, std::vector<BatchPtr>> ordered;
        for (const auto& [name, stream] : streams_) {
            if (!names.empty() && std::find(names.begin(), names.end(), name) == names.end()) continue;
            if (stream.removed > after) return Error{"gap", "removed"};
            for (const auto& batch : stream.batches)
                if (batch->commit > after) ordered[batch->commit].push_back(batch);
        }
        std::vector<BatchPtr> found;
        for (auto& [commit, batches] : ordered) found.insert(found.end(), batches.begin(), batches.end());
        return found;
    }
    Result<Seq> seq_at(std::string_view name, Timestamp t) override {
        std::lock_guard lock(mutex_);
        const auto at = streams_.find(name);
        if (at == streams_.end()) return Seq{1};
        for (const auto& batch : at->second.batches)
            if (batch->commit_time >= t) return batch->first_seq;
        return at->second.next;
    }
    bool in_tail(CommitNo) override { return true; }
    std::vector<StreamInfo> streams() override {
        std::vector<StreamInfo> infos;
        for (const auto& [name, stream] : streams_) infos.push_back(*info(name));
        return infos;
    }
    std::optional<StreamInfo> info(std::string_view name) override {
        std::lock_guard lock(mutex_);
        const auto at = streams_.find(name);
        if (at == streams_.end()) return std::nullopt;
        StreamInfo info;
        info.name = at->first;
        info.epoch = epoch;
        info.first = at->second.first();
        info.head = Seq{at->second.next.value - 1};
        info.last_commit = at->second.batches.empty() ? CommitNo{} : at->second.batches.back()->commit;
        info.removed_commit = at->second.removed;
        return info;
    }
    CommitNo head() override {
        std::lock_guard lock(mutex_);
        return head_;
    }
    std::vector<std::pair<Epoch, Seq>> epochs(std::string_view) override {
        if (before_ == 0) return {{epoch, Seq{1}}};
        return {{older, Seq{1}}, {epoch, Seq{before_ + 1}}};
    }

private:
    struct Stream {
        std::deque<BatchPtr> batches;
        std::map<std::string, Seq, std::less<>> ids;  ///< of what is kept
        Seq next{1};
        CommitNo removed;
        Seq first() const { return batches.empty() ? next : batches.front()->first_seq; }
    };
    const std::uint64_t before_;
    std::mutex mutex_;  ///< history is read on the pool's thread
    std::map<StreamName, Stream, std::less<>> streams_;
    CommitNo head_;
    Timestamp now_;
};

}  // namespace weir::fuzz
