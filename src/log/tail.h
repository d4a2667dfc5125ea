#pragma once
#include <deque>
#include <map>
#include <optional>

#include "base/guarded.h"
#include "log/log.h"

namespace weir {

/// The newest batches of all streams in memory: what readers near the head are served from (decisions.md 8).
///
/// Bound: bytes; the oldest whole commits leave, and their readers find them in blocks. So do, above `idle_bytes`, those of more than
/// `age_max` ago: who reads along is not so far behind, and a slow feed would fill the bound with hours that nobody asks for.
/// Each answer is nullopt when it reaches behind what is here. Thread: any; the writer publishes. Cost: one lock a call, a shared pointer a batch.
class Tail {
public:
    static constexpr Duration age_max = 5min;
    static constexpr std::size_t idle_bytes = 1024 * 1024;

    /// `head`: the newest commit that is already on disk, and each stream's next seq.
    Tail(std::size_t bytes_max, CommitNo head, std::map<StreamName, Seq, std::less<>> next_seqs);

    /// The commits of one group, in order; `head` is the newest of them, also when it brought no batch.
    void publish(const std::vector<BatchPtr>& batches, CommitNo head);

    CommitNo head() const;
    bool covers(CommitNo after) const;
    std::size_t bytes() const;

    std::optional<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>& streams, CommitNo after, std::size_t events_max) const;
    std::optional<std::vector<BatchPtr>> read(std::string_view stream, Seq from, std::size_t events_max) const;
    std::optional<std::vector<BatchPtr>> read_before(std::string_view stream, Seq before, std::size_t events_max) const;

private:
    struct StreamTail {
        std::deque<BatchPtr> batches;
        Seq begin{1};  ///< every event from here on is here
    };
    struct State {
        std::deque<BatchPtr> batches;  ///< of all streams, in commit order
        std::map<StreamName, StreamTail, std::less<>> streams;
        CommitNo floor;  ///< every commit after this one is here
        CommitNo head;
        std::size_t bytes = 0;
    };
    const std::size_t bytes_max_;
    Guarded<State> state_;
};

/// Events [begin, end) of a batch as a batch of its own; the batch itself where that is all of it.
BatchPtr slice(const BatchPtr& batch, std::size_t begin, std::size_t end);
/// Memory that a batch takes, about.
std::size_t memory_of(const Batch& batch);

}  // namespace weir
