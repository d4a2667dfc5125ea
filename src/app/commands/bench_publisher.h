#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "app/commands/bench_producer.h"
#include "base/clock.h"
#include "net/http_client.h"

namespace weir {

/// Padding for an event's data of `due_us` and `pad`, so that what a subscriber of the broadcast dialect gets for it has `message_bytes`.
std::string bench_padding(std::size_t message_bytes);

/// Sends events to a weir by HTTP. While `under_way_max` requests wait for their answers, events that fall due gather and leave together in
/// the next one. What is refused for a while (429, 503) is sent again.
class BenchPublisher final : public BenchProducer {
public:
    struct Options {
        std::string url;    ///< of the POST
        std::string token;
        std::size_t message_bytes = 200;  ///< of what a subscriber gets for it
        double rate = 50;   ///< events a second
        std::size_t under_way_max = 8;
        std::size_t events_a_request_max = 1000;
        /// Not 0: flat out instead of at the rate, with at most so many events that `received` (by the slowest, since the start) has not reached.
        std::uint64_t ahead_max = 0;
        std::function<std::uint64_t()> received = nullptr;
    };
    BenchPublisher(Options options, const Clock& clock);

    bool publish(std::uint64_t events, Measured measured, const std::atomic<bool>& interrupted) override;
    std::uint64_t acknowledged() const override { return acknowledged_; }
    std::uint64_t requests() const override { return requests_; }
    std::uint64_t refusals() const override { return refusals_; }
    const std::string& problem() const override { return problem_; }

private:
    void send(std::string body);
    void answered(Result<net::HttpClientResponse> answer, const std::string& body);

    const Options options_;
    const Clock& clock_;
    const std::string run_;  ///< makes the ids of this run its own
    const std::string pad_;
    std::uint64_t next_id_ = 0, sent_ = 0;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t under_way_ = 0;
    std::uint64_t acknowledged_ = 0, requests_ = 0, refusals_ = 0;
    std::vector<std::string> again_;  ///< bodies to be sent once more
    std::string problem_;
    net::HttpClient client_;  ///< last: its answers come until it is gone
};

}  // namespace weir
