#pragma once
#include <functional>
#include <optional>
#include <string>

#include "base/diag.h"
#include "base/time.h"

namespace weir {

/// Diagnostic lines about one thing, at most one a second however much happens (S0-R12). What comes too soon waits, the newest in place of those before
/// it, so that the last line always tells how things stand; it says how many were left out.
///
/// Thread: one owner. Time: the monotonic clock's, handed in; call `due` a few times a second.
class SpacedLines {
public:
    static constexpr Duration spacing = 1s;
    using Write = std::function<void(diag::Level, const std::string&)>;
    explicit SpacedLines(Write write) : write_(std::move(write)) {}

    void tell(diag::Level level, std::string line, Duration now) {
        if (waiting_) ++left_out_;
        waiting_ = Line{level, std::move(line)};
        due(now);
    }
    void due(Duration now) {
        if (!waiting_ || (last_ && now - *last_ < spacing)) return;
        if (left_out_ > 0) waiting_->text += " (" + std::to_string(left_out_) + (left_out_ == 1 ? " more line held back)" : " more lines held back)");
        write_(waiting_->level, waiting_->text);
        waiting_.reset();
        left_out_ = 0;
        last_ = now;
    }

private:
    struct Line {
        diag::Level level;
        std::string text;
    };
    Write write_;
    std::optional<Line> waiting_;
    std::optional<Duration> last_;
    std::uint64_t left_out_ = 0;
};

}  // namespace weir
