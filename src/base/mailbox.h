#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

namespace weir {

/// A bounded queue between threads: many senders, one receiver that takes everything there is at once.
///
/// At the bound `try_send` refuses and `send` waits: the sender decides which. After `close`, sends are refused and the
/// receiver still gets what is there. The capacity counts values, or whatever `cost` is measured in (bytes); a value that
/// costs more than all of it enters alone. Thread: any. Cost: one lock a send, one a batch received.
template <class T>
class Mailbox {
public:
    explicit Mailbox(std::size_t capacity) : capacity_(capacity) {}

    /// False when full or closed; `value` is left untouched then.
    [[nodiscard]] bool try_send(T&& value, std::size_t cost = 1) {
        {
            std::lock_guard lock(mutex_);
            if (closed_ || !has_room(cost)) return false;
            used_ += cost;
            queue_.push_back(std::move(value));
        }
        arrived_.notify_one();
        return true;
    }

    /// Waits for room. False only when closed.
    [[nodiscard]] bool send(T&& value, std::size_t cost = 1) {
        {
            std::unique_lock lock(mutex_);
            room_.wait(lock, [&] { return closed_ || has_room(cost); });
            if (closed_) return false;
            used_ += cost;
            queue_.push_back(std::move(value));
        }
        arrived_.notify_one();
        return true;
    }

    /// Everything there is, oldest first; waits until there is something, `timeout` is over or the mailbox is closed.
    std::vector<T> receive(std::chrono::microseconds timeout) {
        std::vector<T> taken;
        {
            std::unique_lock lock(mutex_);
            arrived_.wait_for(lock, timeout, [&] { return closed_ || !queue_.empty(); });
            take(taken);
        }
        if (!taken.empty()) room_.notify_all();
        return taken;
    }

    std::vector<T> receive() {
        std::vector<T> taken;
        {
            std::unique_lock lock(mutex_);
            arrived_.wait(lock, [&] { return closed_ || !queue_.empty(); });
            take(taken);
        }
        if (!taken.empty()) room_.notify_all();
        return taken;
    }

    /// Everything there is now, without waiting.
    std::vector<T> poll() {
        std::vector<T> taken;
        {
            std::lock_guard lock(mutex_);
            take(taken);
        }
        if (!taken.empty()) room_.notify_all();
        return taken;
    }

    void close() {
        {
            std::lock_guard lock(mutex_);
            closed_ = true;
        }
        arrived_.notify_all();
        room_.notify_all();
    }

    bool closed() const {
        std::lock_guard lock(mutex_);
        return closed_;
    }
    std::size_t size() const {
        std::lock_guard lock(mutex_);
        return queue_.size();
    }
    std::size_t capacity() const { return capacity_; }
    /// The cost of everything that waits.
    std::size_t used() const {
        std::lock_guard lock(mutex_);
        return used_;
    }

private:
    bool has_room(std::size_t cost) const { return queue_.empty() || used_ + cost <= capacity_; }
    void take(std::vector<T>& taken) {
        taken.reserve(queue_.size());
        for (auto& value : queue_) taken.push_back(std::move(value));
        queue_.clear();
        used_ = 0;
    }

    mutable std::mutex mutex_;
    std::condition_variable arrived_, room_;
    std::deque<T> queue_;
    const std::size_t capacity_;
    std::size_t used_ = 0;
    bool closed_ = false;
};

}  // namespace weir
