#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace weir::net {

/// What the reactor calls when a descriptor is ready. `events` are EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR.
class Pollable {
public:
    virtual void on_ready(std::uint32_t events) = 0;

protected:
    ~Pollable() = default;
};

/// One thread's event loop: an epoll descriptor, timers, messages from other threads, and work at the end of a turn.
///
/// A turn: wait; descriptors; posted functions and signals; timers; turn hooks. What happens in a turn is only noted, and
/// the hooks do it all at once: that is how all pending frames of a session leave in one send (performance.md, 3).
///
/// Thread: `run` or `turn` make the calling thread the reactor's; everything here belongs to that thread except `post`,
/// `stop` and Signal::raise, which any thread may call. Before the first turn any one thread may set things up.
/// Cost: one clock reading and one epoll_wait a turn; a timer is O(log n); no allocation in a turn.
class Reactor {
public:
    struct Options {
        std::size_t events_max = 512;        ///< descriptors looked at in one turn
        std::size_t posts_max = 1 << 16;     ///< functions waiting to be run; at the bound `post` refuses
    };

    explicit Reactor(const Clock& clock) : Reactor(clock, Options{}) {}
    Reactor(const Clock& clock, Options options);
    ~Reactor();
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;

    /// Turns until `stop`. A stop that came before `run` counts: `run` returns at once, and the next one runs again.
    void run();
    /// Ends `run` after the current turn. Thread: any.
    void stop() noexcept;
    /// One turn that waits at most `wait_max` of real time (0: not at all). For tests and for owners with a loop of their
    /// own; timers follow the Clock, so a test advances a ManualClock and calls this.
    void turn(Duration wait_max = Duration(0));

    /// Runs `fn` on the reactor's thread in its next turn. Thread: any. Many posts cost one wake.
    /// False when `posts_max` functions wait already; `fn` is gone then.
    [[nodiscard]] bool post(std::function<void()> fn);

    /// Watches `fd`; `events` as for epoll_ctl (EPOLLET for edges). Aborts on a descriptor that cannot be watched.
    void add(int fd, Pollable& pollable, std::uint32_t events);
    void modify(int fd, Pollable& pollable, std::uint32_t events);
    /// Call before `fd` is closed or `pollable` goes: what this turn still holds for it is not delivered.
    void remove(int fd, Pollable& pollable);

    /// The monotonic clock as it was when this turn began to work: good enough for stamps, and free.
    Duration now() const noexcept { return now_; }
    const Clock& clock() const noexcept { return clock_; }
    /// The next turn does not wait: there is work left over.
    void again() noexcept { again_ = true; }
    /// Whether a turn is under way and has not come to its hooks: what is noted now is seen by them.
    bool gathering() const noexcept { return gathering_; }
    bool in_thread() const noexcept { return owner_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }
    std::uint64_t turns() const noexcept { return turns_; }

private:
    friend class Timer;
    friend class Signal;
    friend class TurnHook;
    struct Armed {
        Duration at;
        std::uint64_t order;  ///< equal deadlines fire in the order in which they were set
        class Timer* timer;
    };
    struct Wakeup;

    void wake() noexcept;
    void run_posts();
    void run_timers();
    int wait(Duration wait_max);
    static bool before(const Armed& a, const Armed& b) { return a.at != b.at ? a.at < b.at : a.order < b.order; }
    void heap_place(std::size_t i, const Armed& armed);
    void heap_up(std::size_t i);
    void heap_down(std::size_t i);
    void arm(class Timer& timer, Duration at);
    void disarm(class Timer& timer);

    const Clock& clock_;
    const Options options_;
    int epoll_ = -1;
    std::unique_ptr<Wakeup> wakeup_;
    Duration now_;
    bool again_ = false, gathering_ = false;
    std::uint64_t turns_ = 0;
    std::atomic<bool> stopping_{false};
    std::atomic<std::thread::id> owner_{};

    struct Batch;
    std::unique_ptr<Batch> batch_;
    std::vector<Armed> heap_;
    std::uint64_t timer_order_ = 0;
    std::vector<class TurnHook*> hooks_;

    std::mutex posts_mutex_;
    std::vector<std::function<void()>> posts_, posts_running_;
    std::vector<class Signal*> raised_, raised_running_;
};

/// Calls `fn` once, some time after `start`. Owned by whoever wants to be called; the destructor cancels.
/// For few things (a feed's reconnect, a listener's pause); connections have a coarse sweep instead (http_server.h).
/// Thread: the reactor's. Cost: `start` and `cancel` O(log n) of the timers armed, no allocation.
class Timer {
public:
    Timer(Reactor& reactor, std::function<void()> fn) : reactor_(reactor), fn_(std::move(fn)) {}
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// Fires once, `after` from now (clock, not turn). A timer that is armed already is moved.
    void start(Duration after);
    void cancel();
    bool armed() const noexcept { return place_ != kNotArmed; }

private:
    friend class Reactor;
    static constexpr std::size_t kNotArmed = ~std::size_t(0);
    Reactor& reactor_;
    std::function<void()> fn_;
    std::size_t place_ = kNotArmed;
};

/// Lets any thread say "there is something for you": however often it is raised before the reactor looks, `fn` runs once.
/// This is how the log wakes a gateway. No allocation. Make and destroy it on the reactor's thread, or while that does not run; it outlives its raisers.
class Signal {
public:
    Signal(Reactor& reactor, std::function<void()> fn) : reactor_(reactor), fn_(std::move(fn)) {}
    ~Signal();
    Signal(const Signal&) = delete;
    Signal& operator=(const Signal&) = delete;

    /// Thread: any. Cost: one atomic when it is raised already.
    void raise() noexcept;

private:
    friend class Reactor;
    Reactor& reactor_;
    std::function<void()> fn_;
    std::atomic<bool> raised_{false};
};

/// Calls `fn` at the end of each turn, in the order in which hooks were made. A hook that leaves work behind calls
/// Reactor::again or starts a Timer. Thread: the reactor's.
class TurnHook {
public:
    TurnHook(Reactor& reactor, std::function<void()> fn);
    ~TurnHook();
    TurnHook(const TurnHook&) = delete;
    TurnHook& operator=(const TurnHook&) = delete;

private:
    friend class Reactor;
    Reactor& reactor_;
    std::function<void()> fn_;
};

}  // namespace weir::net
