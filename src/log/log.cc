#include "log/log.h"

#include <condition_variable>
#include <mutex>

namespace weir {

Result<Committed> Log::commit(Commit commit) {
    std::mutex mutex;
    std::condition_variable answered;
    std::optional<Result<Committed>> answer;
    submit(std::move(commit), [&](Result<Committed> result) {
        std::lock_guard lock(mutex);
        answer = std::move(result);
        answered.notify_one();
    });
    std::unique_lock lock(mutex);
    answered.wait(lock, [&] { return answer.has_value(); });
    return *std::move(answer);
}

Result<Left> read_left(Log& log, const std::vector<StreamName>& streams, CommitNo after, std::size_t events_max) {
    Left left;
    std::vector<StreamName> whole;
    for (const StreamName& stream : streams) {
        if (auto info = log.info(stream); info && info->removed_commit > after) left.holes.push_back(*std::move(info));
        else whole.push_back(stream);
    }
    CommitNo end = left.holes.empty() ? after : left.holes.front().removed_commit;
    for (const StreamInfo& hole : left.holes) end = std::min(end, hole.removed_commit);
    left.upto = end;
    if (whole.empty()) return left;  // none named would be all of them
    WEIR_TRY(left.batches, log.read_commits(whole, after, events_max));
    const std::size_t found = left.batches.size();
    if (!left.holes.empty()) std::erase_if(left.batches, [&](const BatchPtr& batch) { return batch->commit > end; });
    if (!left.batches.empty() && left.batches.size() == found) left.upto = left.batches.back()->commit;
    return left;
}

}  // namespace weir
