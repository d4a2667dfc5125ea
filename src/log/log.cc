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

}  // namespace weir
