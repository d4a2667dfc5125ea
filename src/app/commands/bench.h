#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "app/commands/bench_subscribers.h"
#include "config/log_options.h"

namespace CLI {
class App;
}

namespace weir {

/// `weir bench log`: how many events a second the log acknowledges.
struct BenchLog {
    std::uint64_t events = 1'000'000, group = 1000, under_way = 4;
    std::size_t size = 300;
    Durability durability = Durability::full;
    std::string folder;
    bool json = false;

    void declare(CLI::App& app);
    int run();  ///< an ExitCode
};

/// `weir bench fanout`, `ingest` and `idle`: from an event's due moment to its subscribers, and what a subscriber costs the server.
struct BenchFanout {
    SubscriberOptions load;
    double rate = 50, seconds = 10, warm_up = 1;
    std::size_t size = 200;
    std::uint64_t ahead = 0;  ///< not 0: flat out, so many events ahead of the subscribers
    std::string url;          ///< of a server that runs already; empty: an own one
    std::string path = "/feed/bench";
    std::string publish_url;  ///< where events go; empty: the stream `bench` of the server
    bool from_feed = false;   ///< instead: the own server has a feed that taps a WebSocket of the bench
    std::string token;
    int server_pid = 0;
    Durability durability = Durability::process;
    std::string folder;
    std::vector<std::string> set;  ///< options of the own server: `gateway.duty=3`
    bool pin = false;
    bool json = false;

    void declare(CLI::App& app);       ///< for `fanout`
    void declare_ingest(CLI::App& app);
    void declare_idle(CLI::App& app);
    int run();   ///< an ExitCode
    int idle();  ///< an ExitCode
};

/// `weir bench`; argv[0] is the verb, the answer an ExitCode.
int run_bench(int argc, char** argv);

/// Set by Ctrl-C and SIGTERM: benches end early and tidy up.
extern std::atomic<bool> bench_interrupted;

}  // namespace weir
