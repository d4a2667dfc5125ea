#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "config/gateway_options.h"
#include "event/event.h"
#include "event/label.h"

namespace weir {

/// What the operator is told of one broadcast stream, in the words of source 002:
///
///     Broadcast #123: Jane Doe (Canada) to 2 clients                         each event, where there is a label (S2-14)
///     Stats: 184 users streamed, 2 active clients, 60.0 users/min            each minute (S2-15); the rate of that minute (C-19)
///
/// At most `lines_per_second_max` lines of events a second; what was held back is told in the next one. A minute without an event and
/// without a client has no line. The number of clients is that of the moment: who reads slowly is counted too.
///
/// Thread: one owner. Time: the monotonic clock's, handed in.
class BroadcastReport {
public:
    static constexpr int lines_per_second_max = 100;
    using Line = std::function<void(const std::string&)>;

    BroadcastReport(std::string stream, const BroadcastOptions& options, Duration now, Line line);

    bool tells_events() const { return !label_.empty(); }
    /// One event was handed out. What `tell` needs of it; empty when this event's line is held back, or there is no label.
    std::string event(Seq seq, std::string_view data, Duration now);
    void tell(const std::string& event, std::size_t clients);

    bool due(Duration now) const { return now - since_ >= 60s; }
    void tell_minute(Seq head, std::size_t clients, Duration now);

private:
    std::string stream_;
    Label label_;
    Line line_;
    Duration since_;       ///< of the counts below
    std::uint64_t events_ = 0, held_back_ = 0;
    Duration second_{0};   ///< of `lines_`
    int lines_ = 0;
};

}  // namespace weir
