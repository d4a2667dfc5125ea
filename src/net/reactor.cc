#include "net/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "base/assert.h"

namespace weir::net {

/// The eventfd that ends a wait, and whether it is set already: a wake that is under way is not sent again.
struct Reactor::Wakeup final : Pollable {
    int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    std::atomic<bool> set{false};

    ~Wakeup() { ::close(fd); }
    void on_ready(std::uint32_t) override {
        std::uint64_t count;
        [[maybe_unused]] const auto n = ::read(fd, &count, sizeof count);
    }
};

/// What epoll_wait answered and has not been delivered yet.
struct Reactor::Batch {
    std::vector<epoll_event> events;
    std::size_t next = 0, count = 0;
};

Reactor::Reactor(const Clock& clock, Options options)
    : clock_(clock), options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)), wakeup_(std::make_unique<Wakeup>()),
      now_(clock.monotonic()), batch_(std::make_unique<Batch>()) {
    WEIR_ASSERT(epoll_ >= 0);
    WEIR_ASSERT(wakeup_->fd >= 0);
    batch_->events.resize(options_.events_max);
    add(wakeup_->fd, *wakeup_, EPOLLIN);
}

Reactor::~Reactor() {
    WEIR_ASSERT(heap_.empty());  // a Timer outlives its reactor
    WEIR_ASSERT(hooks_.empty());
    ::close(epoll_);
}

void Reactor::add(int fd, Pollable& pollable, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &pollable;
    const int failed = ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    WEIR_ASSERT(failed == 0);
}

void Reactor::modify(int fd, Pollable& pollable, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &pollable;
    const int failed = ::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
    WEIR_ASSERT(failed == 0);
}

void Reactor::remove(int fd, Pollable& pollable) {
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    for (std::size_t i = batch_->next; i < batch_->count; ++i)
        if (batch_->events[i].data.ptr == &pollable) batch_->events[i].data.ptr = nullptr;
}

void Reactor::wake() noexcept {
    if (wakeup_->set.exchange(true, std::memory_order_acq_rel)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(wakeup_->fd, &one, sizeof one);
}

void Reactor::run() {
    while (!stopping_.load(std::memory_order_acquire)) turn(Duration::max());
    stopping_.store(false, std::memory_order_release);
}

void Reactor::stop() noexcept {
    stopping_.store(true, std::memory_order_release);
    wake();
}

bool Reactor::post(std::function<void()> fn) {
    {
        std::lock_guard lock(posts_mutex_);
        if (posts_.size() >= options_.posts_max) return false;
        posts_.push_back(std::move(fn));
    }
    wake();
    return true;
}

int Reactor::wait(Duration wait_max) {
    Duration wait = again_ ? Duration(0) : wait_max;
    again_ = false;
    if (!heap_.empty() && wait > Duration(0))
        wait = std::clamp(heap_.front().at - clock_.monotonic(), Duration(0), wait);
    const int most = static_cast<int>(batch_->events.size());
    if (wait == Duration::max()) return ::epoll_wait(epoll_, batch_->events.data(), most, -1);
    if (wait == Duration(0)) return ::epoll_wait(epoll_, batch_->events.data(), most, 0);
    const timespec left{.tv_sec = wait.count() / 1'000'000, .tv_nsec = wait.count() % 1'000'000 * 1000};
    const int n = ::epoll_pwait2(epoll_, batch_->events.data(), most, &left, nullptr);
    if (n >= 0 || errno != ENOSYS) return n;
    // A kernel before 5.11: whole milliseconds, rounded up so that a timer is not waited for in a busy loop.
    const std::int64_t ms = std::min<std::int64_t>((wait.count() + 999) / 1000, 3'600'000);
    return ::epoll_wait(epoll_, batch_->events.data(), most, static_cast<int>(ms));
}

void Reactor::turn(Duration wait_max) {
    owner_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    const int n = wait(wait_max);
    now_ = clock_.monotonic();
    ++turns_;
    gathering_ = true;
    batch_->count = n > 0 ? static_cast<std::size_t>(n) : 0;
    for (batch_->next = 0; batch_->next < batch_->count;) {
        const epoll_event event = batch_->events[batch_->next++];
        if (event.data.ptr) static_cast<Pollable*>(event.data.ptr)->on_ready(event.events);
    }
    batch_->count = 0;
    run_posts();
    run_timers();
    gathering_ = false;
    for (std::size_t i = 0; i < hooks_.size(); ++i) hooks_[i]->fn_();
}

void Reactor::run_posts() {
    if (!wakeup_->set.load(std::memory_order_acquire)) return;
    // Cleared before the lists are taken: whoever adds to them afterwards wakes again.
    wakeup_->set.store(false, std::memory_order_seq_cst);
    {
        std::lock_guard lock(posts_mutex_);
        posts_running_.swap(posts_);
        raised_running_.swap(raised_);
    }
    for (std::size_t i = 0; i < raised_running_.size(); ++i) {
        Signal* signal = std::exchange(raised_running_[i], nullptr);
        if (!signal) continue;  // it went meanwhile
        signal->raised_.store(false, std::memory_order_seq_cst);
        signal->fn_();
    }
    raised_running_.clear();
    for (auto& fn : posts_running_) fn();
    posts_running_.clear();
}

void Reactor::run_timers() {
    while (!heap_.empty() && heap_.front().at <= now_) {
        Timer& timer = *heap_.front().timer;
        disarm(timer);
        timer.fn_();
    }
}

void Reactor::heap_place(std::size_t i, const Armed& armed) {
    heap_[i] = armed;
    armed.timer->place_ = i;
}

void Reactor::heap_up(std::size_t i) {
    const Armed armed = heap_[i];
    for (; i > 0 && before(armed, heap_[(i - 1) / 2]); i = (i - 1) / 2) heap_place(i, heap_[(i - 1) / 2]);
    heap_place(i, armed);
}

void Reactor::heap_down(std::size_t i) {
    const Armed armed = heap_[i];
    for (std::size_t child; (child = 2 * i + 1) < heap_.size(); i = child) {
        if (child + 1 < heap_.size() && before(heap_[child + 1], heap_[child])) ++child;
        if (!before(heap_[child], armed)) break;
        heap_place(i, heap_[child]);
    }
    heap_place(i, armed);
}

void Reactor::arm(Timer& timer, Duration at) {
    if (timer.armed()) disarm(timer);
    heap_.push_back({at, timer_order_++, &timer});
    heap_up(heap_.size() - 1);
}

void Reactor::disarm(Timer& timer) {
    const std::size_t i = timer.place_;
    timer.place_ = Timer::kNotArmed;
    const Armed last = heap_.back();
    heap_.pop_back();
    if (i == heap_.size()) return;
    heap_place(i, last);
    heap_up(i);
    heap_down(last.timer->place_);
}

void Timer::start(Duration after) { reactor_.arm(*this, reactor_.clock_.monotonic() + after); }

void Timer::cancel() {
    if (armed()) reactor_.disarm(*this);
}

void Signal::raise() noexcept {
    if (raised_.exchange(true, std::memory_order_seq_cst)) return;
    {
        std::lock_guard lock(reactor_.posts_mutex_);
        reactor_.raised_.push_back(this);
    }
    reactor_.wake();
}

Signal::~Signal() {
    std::lock_guard lock(reactor_.posts_mutex_);
    std::erase(reactor_.raised_, this);
    for (auto& raised : reactor_.raised_running_)
        if (raised == this) raised = nullptr;
}

TurnHook::TurnHook(Reactor& reactor, std::function<void()> fn) : reactor_(reactor), fn_(std::move(fn)) {
    reactor_.hooks_.push_back(this);
}

TurnHook::~TurnHook() { std::erase(reactor_.hooks_, this); }

}  // namespace weir::net
