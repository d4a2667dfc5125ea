#include "feeds/feeds.h"

#include <future>

#include "feeds/feed.h"
#include "net/http_client.h"
#include "net/reactor.h"

namespace weir {

struct Feeds::Parts {
    explicit Parts(const Clock& clock) : reactor(clock) {}
    net::Reactor reactor;
    net::HttpClient http;
    std::vector<std::unique_ptr<Feed>> feeds;
    std::thread thread;
    std::mutex mutex;
    std::condition_variable ended;
    std::size_t stopped = 0;
    bool started = false, over = false;
};

Feeds::Feeds(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Feeds::~Feeds() { stop(); }

Result<std::unique_ptr<Feeds>> Feeds::make(Setup setup) {
    auto parts = std::make_unique<Parts>(*setup.clock);
    std::uint64_t number = 0;
    for (const auto& [name, options] : setup.table) {
        Feed::Setup one;
        one.name = name;
        one.options = options;
        one.log = setup.log;
        one.reactor = &parts->reactor;
        one.http = &parts->http;
        one.board = setup.board;
        one.metrics = setup.metrics;
        one.seed = setup.seed + 1000 * ++number;
        one.times = setup.recorded_times ? Feed::Times::recorded : Feed::Times::log;
        one.progress = setup.progress;
        WEIR_TRY(auto feed, Feed::make(std::move(one)));
        parts->feeds.push_back(std::move(feed));
    }
    return std::unique_ptr<Feeds>(new Feeds(std::move(parts)));
}

void Feeds::start() {
    Parts& p = *parts_;
    if (p.started) return;
    p.started = true;
    for (auto& feed : p.feeds) feed->start();
    p.thread = std::thread([&p] { p.reactor.run(); });
}

Result<bool> Feeds::finished() {
    // Shared: the reactor's thread may still be inside `set_value` when this one has its answer and returns.
    const auto answer = std::make_shared<std::promise<Result<bool>>>();
    auto known = answer->get_future();
    const bool posted = parts_->reactor.post([this, answer] {
        Result<bool> all = true;
        for (const auto& feed : parts_->feeds) {
            const auto one = feed->finished();
            if (all.ok() && (!one.ok() || !*one)) all = one;
        }
        answer->set_value(std::move(all));
    });
    return posted ? known.get() : Result<bool>(false);
}

void Feeds::stop(Duration patience) {
    Parts& p = *parts_;
    if (!p.started || p.over) return;
    p.over = true;
    (void)p.reactor.post([&p] {
        for (auto& feed : p.feeds) {
            feed->stop([&p] {
                std::lock_guard lock(p.mutex);
                ++p.stopped;
                p.ended.notify_one();
            });
        }
    });
    {
        std::unique_lock lock(p.mutex);
        p.ended.wait_for(lock, patience, [&] { return p.stopped == p.feeds.size(); });
    }
    p.reactor.stop();
    p.thread.join();
    p.feeds.clear();
}

}  // namespace weir
