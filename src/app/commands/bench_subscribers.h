#pragma once
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/commands/bench_histogram.h"
#include "base/clock.h"

namespace weir {

/// Who subscribes, and how.
struct SubscriberOptions {
    std::uint32_t connections = 1000;
    std::uint32_t processes = 1;
    std::uint32_t stalled = 0;         ///< of the connections: those that read nothing once they are open
    std::uint32_t slow = 0;            ///< those that read `slow_per_second` messages a second
    double slow_per_second = 1;
    std::uint32_t sources = 1;         ///< addresses from 127.0.0.1 on that they connect from: one has some 28,000 ports
    bool deflate = false;              ///< offers permessage-deflate
    std::string hello;                 ///< sent once a connection is open; empty: nothing
    std::uint32_t good() const { return connections - stalled - slow; }
};

/// What one process of subscribers has seen. Lies in memory that it shares with the bench: the counts may be read at any time, the rest
/// when the process is done.
struct SubscriberTally {
    std::atomic<std::uint32_t> opened{0};      ///< connections that came up
    std::atomic<std::uint32_t> failed{0};      ///< never came up
    std::atomic<std::uint32_t> lost{0};        ///< came up and were ended by the server
    std::uint32_t slow_lost = 0;               ///< of them, those that stalled or read slowly: the counts below are of the others
    std::atomic<std::uint64_t> delivered{0};   ///< events of the bench, warm-up included
    std::uint64_t missing = 0;     ///< numbers of `stream_sequence` that a subscriber never saw
    std::uint64_t duplicates = 0;  ///< those it saw again, or behind a later one
    LatencyHistogram latency;      ///< from `due_us` to the subscriber's callback
    char problem[200] = {};        ///< of the first connection that failed or was lost
};

/// WebSockets in processes of their own, all at one address, which read a broadcast stream whose events carry the moment when they
/// were due (`due_us`, this machine's monotonic clock; 0: not measured) as the first member of their data. A text is one event; in a
/// binary message, as other servers send them, there may be several.
///
/// Make it while the process has one thread (it forks), then `connect`. The children end with their parent.
class BenchSubscribers {
public:
    explicit BenchSubscribers(const SubscriberOptions& options);
    ~BenchSubscribers();
    BenchSubscribers(const BenchSubscribers&) = delete;
    BenchSubscribers& operator=(const BenchSubscribers&) = delete;

    /// Lets all connect to `url` and returns at once; ask `opened` and `failed`. Each expects `first` as the first number.
    void connect(const std::string& url, const std::string& token, std::uint64_t first);
    std::uint32_t opened() const;
    std::uint32_t failed() const;
    std::uint64_t delivered() const;
    double cpu_ns() const;
    /// Ends them. `last`: the last number that each should have seen. What they saw, put together, is in `total` then.
    void finish(std::uint64_t last);
    const SubscriberTally& total() const { return total_; }

private:
    struct Shared;
    void run(std::uint32_t process);

    SubscriberOptions options_;
    Shared* shared_;
    std::size_t shared_bytes_;
    std::vector<pid_t> processes_;
    SubscriberTally total_;
};

}  // namespace weir
