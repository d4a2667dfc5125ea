#pragma once
#include <cstdint>
#include <string>
#include <string_view>

/// Diagnostics: lines for the operator, on stderr or in a file, as text or JSON. (`log` is the log of events.)
/// Thread: any. A line is one sentence without a newline; secrets never reach it.
namespace weir::diag {

enum class Level : std::uint8_t { debug, info, warn, error, off };
enum class Format : std::uint8_t { text, json };

struct Options {
    Level level = Level::info;
    Format format = Format::text;
    std::string file;  ///< empty: stderr
};

/// At the start, before there are other threads.
void configure(const Options& options);
/// Thread: any.
void set_level(Level level);

bool enabled(Level level) noexcept;
void write(Level level, std::string_view message);
inline void debug(std::string_view message) { if (enabled(Level::debug)) write(Level::debug, message); }
inline void info(std::string_view message) { if (enabled(Level::info)) write(Level::info, message); }
inline void warn(std::string_view message) { if (enabled(Level::warn)) write(Level::warn, message); }
inline void error(std::string_view message) { if (enabled(Level::error)) write(Level::error, message); }
void flush();

/// Lets at most one line a `period` through for one cause, and tells how many it held back: a peer that fails a
/// thousand times a second must not fill the disk with lines. Time is handed in (microseconds, monotonic). Thread: one owner.
class RateLimiter {
public:
    explicit RateLimiter(std::int64_t period_micros = 1'000'000) : period_(period_micros) {}
    /// True when the line may be written; `held_back` then holds how many were not since the last one.
    bool admit(std::int64_t monotonic_micros) {
        if (started_ && monotonic_micros - last_ < period_) {
            ++pending_;
            return false;
        }
        started_ = true;
        last_ = monotonic_micros;
        held_back = pending_;
        pending_ = 0;
        return true;
    }
    std::uint64_t held_back = 0;

private:
    std::int64_t period_, last_ = 0;
    std::uint64_t pending_ = 0;
    bool started_ = false;
};

}  // namespace weir::diag
