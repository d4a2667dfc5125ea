#pragma once
#include <mutex>
#include <utility>

namespace weir {

/// A value that several threads share, reached only under its lock.
///
///     guarded.with([&](Map& map) { map.erase(name); });
///
/// Keep what happens inside short, and never reach for a second Guarded from within one. Thread: any.
template <class T>
class Guarded {
public:
    Guarded() = default;
    explicit Guarded(T value) : value_(std::move(value)) {}

    template <class Use>
    auto with(Use&& use) {
        std::lock_guard lock(mutex_);
        return std::forward<Use>(use)(value_);
    }
    template <class Use>
    auto with(Use&& use) const {
        std::lock_guard lock(mutex_);
        return std::forward<Use>(use)(value_);
    }

private:
    mutable std::mutex mutex_;
    T value_{};
};

}  // namespace weir
