#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "event/event.h"

namespace weir {

/// What a stream's notes tell about its source over time: when it was connected, why not, when weir itself was down, when the
/// clock stepped, and how often readings are expected. Windows take their coverage from it (D1, decisions.md 6).
///
/// Thread: one owner. Cost: a handful of entries for each disturbance; what is older than `forget` is dropped.
class FeedTimeline {
public:
    /// A feed's note with the time of its commit and of the commit before it on this stream. The cause `weir_down` means that nobody
    /// read since that commit; without one (`before` is nullopt) nothing is known to be missing.
    void note(const Notes::FeedState& state, Timestamp commit_time, std::optional<Timestamp> before);
    void interval(const Notes::Interval& interval);
    /// From when on weir knows of this stream. Earlier is "not started".
    void started(Timestamp t) { started_ = t, changed_ = true; }
    std::optional<Timestamp> started() const { return started_; }

    std::optional<Duration> spacing() const { return spacing_; }
    bool spacing_learned() const { return learned_; }

    /// Time in [from, to) when a source was connected and weir was there to listen.
    Duration connected(Timestamp from, Timestamp to) const;
    /// What explains that nothing was read in [from, to): the cause that covers most of it; nullopt where nothing is known.
    std::optional<std::string> cause(Timestamp from, Timestamp to) const;
    /// The longest that weir, or the source after being closed, was away in [from, to), and whether a stop on purpose began it.
    struct Outage {
        Duration longest{0};
        bool stopped = false;
    };
    Outage outage(Timestamp from, Timestamp to) const;
    struct Step {
        Timestamp at;
        std::string detail;
    };
    std::vector<Step> clock_steps(Timestamp from, Timestamp to) const;

    void forget(Timestamp before);
    bool changed() const { return changed_; }
    std::string save();
    [[nodiscard]] bool load(std::string_view json);

private:
    struct Entry {
        Timestamp from;
        bool connected;
        std::string cause;
    };
    struct Span {
        Timestamp from, to;
        std::string cause;
    };
    /// Stretches of [from, to) without connection, with their causes, in order, not overlapping.
    std::vector<Span> gaps(Timestamp from, Timestamp to) const;

    std::map<std::string, std::vector<Entry>> feeds_;
    std::vector<Span> down_;
    std::vector<Step> steps_;
    std::optional<Timestamp> started_;
    std::optional<Duration> spacing_;
    bool learned_ = false, changed_ = false;
};

}  // namespace weir
