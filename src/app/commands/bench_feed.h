#pragma once
#include <memory>

#include "app/commands/bench_producer.h"
#include "base/clock.h"
#include "base/result.h"

namespace weir {

/// An outside source as a feed taps it: a WebSocket server that sends one reading a message, at a steady rate. So the latency of a bench
/// begins at the feed's socket and has in it all of a reading's way (ARCHITECTURE.md). Events that fall due together leave one after the other.
///
/// Make it, start the server whose feed has `url`, then `start`. Thread: a reactor of its own.
class BenchFeed final : public BenchProducer {
public:
    struct Options {
        std::size_t message_bytes = 200;  ///< of what a subscriber gets for it
        double rate = 1000;               ///< events a second
    };
    /// Listens on a free port of loopback; whoever connects waits for `start`.
    static Result<std::unique_ptr<BenchFeed>> make(Options options, const Clock& clock);
    ~BenchFeed() override;

    const std::string& url() const;
    void start();

    bool publish(std::uint64_t events, Measured measured, const std::atomic<bool>& interrupted) override;
    std::uint64_t acknowledged() const override { return sent_; }
    std::uint64_t requests() const override { return 0; }
    std::uint64_t refusals() const override { return 0; }
    const std::string& problem() const override { return problem_; }

private:
    struct Server;
    BenchFeed(Options options, const Clock& clock, std::unique_ptr<Server> server);

    const Options options_;
    const Clock& clock_;
    std::unique_ptr<Server> server_;
    std::string pad_, problem_;
    std::uint64_t sent_ = 0;
};

}  // namespace weir
