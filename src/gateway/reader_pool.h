#pragma once
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/mailbox.h"

namespace weir {

/// A few threads that may wait for the disk, so that reactors never do (decisions.md 8): history, pages of events, series.
///
/// Each has a mailbox of its own; a task goes to the shortest. At the bound a task is refused, and whoever asked says `busy`.
/// Thread: any may submit; start and stop from one.
class ReaderPool {
public:
    using Task = std::function<void()>;

    explicit ReaderPool(std::size_t threads = 2, std::size_t waiting_max = 256);
    ~ReaderPool() { stop(); }

    [[nodiscard]] bool submit(Task task);
    std::size_t waiting() const;
    /// Tasks that wait are dropped; those that run are waited for.
    void stop();

private:
    struct Worker {
        explicit Worker(std::size_t capacity) : mailbox(capacity) {}
        Mailbox<Task> mailbox;
        std::atomic<std::size_t> load{0};
        std::thread thread;
    };
    std::vector<std::unique_ptr<Worker>> workers_;
    std::atomic<bool> stopping_{false};
};

}  // namespace weir
