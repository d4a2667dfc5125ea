#include "net/reactor.h"

#include <doctest/doctest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/prng.h"

using namespace weir;
using namespace weir::net;

namespace {

struct Pair {
    int fds[2];
    Pair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0); }
    ~Pair() {
        ::close(fds[0]);
        ::close(fds[1]);
    }
    void say() { REQUIRE(::write(fds[1], "x", 1) == 1); }
};

struct Watch final : Pollable {
    std::function<void(std::uint32_t)> fn;
    void on_ready(std::uint32_t events) override { fn(events); }
};

}  // namespace

TEST_CASE("reactor: a timer fires once, when its time has come on the clock that was handed in") {
    ManualClock clock;
    Reactor reactor(clock);
    int fired = 0;
    Timer timer(reactor, [&] { ++fired; });
    timer.start(10s);
    clock.advance(9'999'999us);
    reactor.turn();
    CHECK(fired == 0);
    clock.advance(1us);
    reactor.turn();
    CHECK(fired == 1);
    CHECK(!timer.armed());
    clock.advance(10s);
    reactor.turn();
    CHECK(fired == 1);
}

TEST_CASE("reactor: timers fire in the order of their deadlines, whatever was started, moved and cancelled between") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        ManualClock clock;
        Reactor reactor(clock);
        struct Entry {
            std::unique_ptr<Timer> timer;
            std::optional<Duration> at;
        };
        std::vector<Entry> entries(40);
        std::vector<std::size_t> fired;
        for (std::size_t i = 0; i < entries.size(); ++i)
            entries[i].timer = std::make_unique<Timer>(reactor, [&, i] { fired.push_back(i); });
        for (int step = 0; step < 200; ++step) {
            const auto i = prng.below(entries.size());
            if (prng.chance(0.3)) {
                entries[i].timer->cancel();
                entries[i].at.reset();
            } else {
                const Duration after(prng.below(1'000'000));
                entries[i].timer->start(after);
                entries[i].at = clock.monotonic() + after;
            }
            CHECK(entries[i].timer->armed() == entries[i].at.has_value());
            if (prng.chance(0.1)) {
                clock.advance(Duration(prng.below(50'000)));
                fired.clear();
                reactor.turn();
                for (std::size_t k = 1; k < fired.size(); ++k) CHECK(*entries[fired[k - 1]].at <= *entries[fired[k]].at);
                for (std::size_t k = 0; k < entries.size(); ++k) {
                    const bool due = entries[k].at && *entries[k].at <= clock.monotonic();
                    CHECK(due == (std::count(fired.begin(), fired.end(), k) == 1));
                    if (due) entries[k].at.reset();
                }
            }
        }
    }
}

TEST_CASE("reactor: a timer may start itself again and end another from its call") {
    ManualClock clock;
    Reactor reactor(clock);
    int first = 0, second = 0;
    std::unique_ptr<Timer> other;
    Timer timer(reactor, [&] {
        if (++first < 3) timer.start(1s);
        other.reset();
    });
    other = std::make_unique<Timer>(reactor, [&] { ++second; });
    timer.start(1s);
    other->start(1s);
    for (int i = 0; i < 5; ++i) {
        clock.advance(1s);
        reactor.turn();
    }
    CHECK(first == 3);
    CHECK(second == 0);
}

TEST_CASE("reactor: what other threads post runs on its thread, in each one's order, none lost") {
    SystemClock clock;
    Reactor reactor(clock);
    constexpr int kThreads = 4, kEach = 2000;
    std::vector<int> seen[kThreads];
    std::atomic<int> wrong_thread{0};
    int left = kThreads * kEach;
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < kEach; ++i)
                while (!reactor.post([&, t, i] {
                    if (!reactor.in_thread()) ++wrong_thread;
                    seen[t].push_back(i);
                    if (--left == 0) reactor.stop();
                })) std::this_thread::yield();
        });
    reactor.run();
    CHECK(wrong_thread == 0);
    for (const auto& order : seen) {
        CHECK(order.size() == kEach);
        CHECK(std::is_sorted(order.begin(), order.end()));
    }
}

TEST_CASE("reactor: at the bound of posted functions the next is refused, not queued") {
    ManualClock clock;
    Reactor reactor(clock, {.events_max = 16, .posts_max = 3});
    int ran = 0;
    for (int i = 0; i < 3; ++i) CHECK(reactor.post([&] { ++ran; }));
    CHECK_FALSE(reactor.post([&] { ++ran; }));
    reactor.turn();
    CHECK(ran == 3);
    CHECK(reactor.post([&] { ++ran; }));
}

TEST_CASE("reactor: a signal raised many times before the reactor looks is seen once, and again when raised again") {
    ManualClock clock;
    Reactor reactor(clock);
    int seen = 0;
    Signal signal(reactor, [&] { ++seen; });
    for (int i = 0; i < 1000; ++i) signal.raise();
    reactor.turn();
    CHECK(seen == 1);
    reactor.turn();
    CHECK(seen == 1);
    signal.raise();
    reactor.turn();
    CHECK(seen == 2);
}

TEST_CASE("reactor: no raise is lost between threads") {
    SystemClock clock;
    Reactor reactor(clock);
    std::atomic<int> published{0};
    int seen = 0;
    constexpr int kLast = 20'000;
    Signal signal(reactor, [&] {
        seen = published.load();
        if (seen == kLast) reactor.stop();
    });
    std::jthread thread([&] {
        for (int i = 1; i <= kLast; ++i) {
            published.store(i);
            signal.raise();
        }
    });
    reactor.run();
    CHECK(seen == kLast);
}

TEST_CASE("reactor: a signal that goes while raised is not called") {
    ManualClock clock;
    Reactor reactor(clock);
    int seen = 0;
    {
        Signal signal(reactor, [&] { ++seen; });
        signal.raise();
    }
    auto second = std::make_unique<Signal>(reactor, [&] { ++seen; });
    Signal first(reactor, [&] { second.reset(); });
    first.raise();
    second->raise();
    reactor.turn();
    CHECK(seen == 0);
}

TEST_CASE("reactor: what a turn still holds for a descriptor that was removed is not delivered") {
    ManualClock clock;
    Reactor reactor(clock);
    Pair a, b;
    int calls = 0;
    Watch on_a, on_b;
    // Whichever comes first removes both.
    const auto fn = [&](std::uint32_t) {
        ++calls;
        reactor.remove(a.fds[0], on_a);
        reactor.remove(b.fds[0], on_b);
    };
    on_a.fn = on_b.fn = fn;
    reactor.add(a.fds[0], on_a, EPOLLIN);
    reactor.add(b.fds[0], on_b, EPOLLIN);
    a.say();
    b.say();
    reactor.turn();
    reactor.turn();
    CHECK(calls == 1);
}

TEST_CASE("reactor: hooks run at the end of a turn, after descriptors, posts and timers") {
    ManualClock clock;
    Reactor reactor(clock);
    std::string order;
    Pair pair;
    Watch watch;
    watch.fn = [&](std::uint32_t) { order += "descriptor "; reactor.remove(pair.fds[0], watch); };
    reactor.add(pair.fds[0], watch, EPOLLIN);
    TurnHook one(reactor, [&] { order += "hook "; });
    TurnHook two(reactor, [&] { order += "hook2 "; });
    Timer timer(reactor, [&] { order += "timer "; });
    timer.start(0s);
    CHECK(reactor.post([&] { order += "post "; }));
    pair.say();
    reactor.turn();
    CHECK(order == "descriptor post timer hook hook2 ");
}

TEST_CASE("reactor: a stop that came before run ends it at once, and the run after that goes on") {
    SystemClock clock;
    Reactor reactor(clock);
    reactor.stop();
    reactor.run();
    CHECK(reactor.turns() == 0);
    std::jthread thread([&] { while (!reactor.post([&] { reactor.stop(); })) std::this_thread::yield(); });
    reactor.run();
    CHECK(reactor.turns() > 0);
}
