#pragma once
#include <atomic>
#include <cstdint>
#include <string>

namespace weir {

/// What brings the events of a bench into a weir, at a steady rate. Each carries the moment when it should have been sent, so that whatever
/// holds up the sender, the server or the network is in the latency. Thread: main, but for what each says.
class BenchProducer {
public:
    enum class Measured : bool { no, yes };

    virtual ~BenchProducer() = default;
    /// Sends `events`, and waits until the server has them where it tells. False for what does not pass; `problem` says what.
    virtual bool publish(std::uint64_t events, Measured measured, const std::atomic<bool>& interrupted) = 0;
    /// Events that should reach every subscriber.
    virtual std::uint64_t acknowledged() const = 0;
    virtual std::uint64_t requests() const = 0;
    virtual std::uint64_t refusals() const = 0;
    virtual const std::string& problem() const = 0;
};

}  // namespace weir
