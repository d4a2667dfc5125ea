#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {

/// Numbers about weir itself, printed at `/metrics` in the Prometheus text format.
/// Names are most significant word first with the unit last: `weir_log_commit_seconds`, `weir_feed_messages_total`.
/// Thread: any; a Counter is one atomic. References stay valid as long as the Metrics they came from.
class Metrics {
public:
    using Labels = std::vector<std::pair<std::string, std::string>>;

    class Counter {
    public:
        void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
        std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

    private:
        std::atomic<std::uint64_t> value_{0};
    };
    class Gauge {
    public:
        void set(double v) noexcept { value_.store(v, std::memory_order_relaxed); }
        double value() const noexcept { return value_.load(std::memory_order_relaxed); }

    private:
        std::atomic<double> value_{0};
    };
    /// Fixed buckets, upper bounds rising; +Inf is implied.
    class Histogram {
    public:
        explicit Histogram(std::vector<double> bounds);
        void observe(double v) noexcept;
        void print(std::string& out, std::string_view name, std::string_view labels) const;

    private:
        std::vector<double> bounds_;
        std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
        std::atomic<std::uint64_t> count_{0};
        std::atomic<double> sum_{0};
    };

    /// The same name and labels give the same object again.
    Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
    Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> bounds, const Labels& labels = {});

    /// A number that is computed when asked for. `read` may be called from any thread until it is removed: keep the
    /// returned handle as long as what `read` refers to.
    class Handle {
    public:
        Handle() = default;
        ~Handle() { reset(); }
        Handle(Handle&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), id_(other.id_) {}
        Handle& operator=(Handle&& other) noexcept {
            reset();
            owner_ = std::exchange(other.owner_, nullptr);
            id_ = other.id_;
            return *this;
        }
        void reset();

    private:
        friend class Metrics;
        Handle(Metrics* owner, std::uint64_t id) : owner_(owner), id_(id) {}
        Metrics* owner_ = nullptr;
        std::uint64_t id_ = 0;
    };
    enum class Kind : std::uint8_t { counter, gauge };
    [[nodiscard]] Handle computed(Kind kind, std::string_view name, std::string_view help, const Labels& labels,
                                  std::function<double()> read);

    /// Prometheus text exposition format 0.0.4.
    std::string print() const;
    /// (name with labels, value) of every counter and gauge: for the `metrics` subscription.
    std::vector<std::pair<std::string, double>> snapshot() const;

private:
    struct Family {
        std::string help;
        const char* type;
        std::map<std::string, std::unique_ptr<Counter>> counters;
        std::map<std::string, std::unique_ptr<Gauge>> gauges;
        std::map<std::string, std::unique_ptr<Histogram>> histograms;
        std::map<std::uint64_t, std::pair<std::string, std::function<double()>>> computed;
    };
    Family& family(std::string_view name, std::string_view help, const char* type);

    mutable std::mutex mutex_;
    std::map<std::string, Family, std::less<>> families_;
    std::uint64_t next_id_ = 1;
};

}  // namespace weir
