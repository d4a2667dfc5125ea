#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "event/event.h"
#include "log/log.h"

namespace weir {

/// Where a subscription begins: live (nothing), behind a position of each stream, at a time, or with the last n that match.
struct Since {
    struct Position {
        Epoch epoch;
        Seq seq;  ///< the last one that the client has
        bool operator==(const Position&) const = default;
    };
    using Positions = std::map<StreamName, Position, std::less<>>;
    struct Last {
        std::size_t count;
    };
    using Begin = std::variant<Position, Timestamp, Last>;
    std::variant<std::monostate, Positions, Timestamp, Last> at;
    /// Where streams begin that `Positions` does not name: live, or at a time (what appeared since a resume token was made).
    std::optional<Timestamp> otherwise;

    bool live() const { return at.index() == 0; }
    /// Where one stream begins; nullopt: live.
    std::optional<Begin> begin(std::string_view stream) const;
};

/// The past of one stream that is wanted.
struct HistoryRange {
    StreamName stream;
    Since::Begin begin;
    Seq end{1};   ///< not included: what comes from here on is live
    Epoch epoch;  ///< the present one, as the hub knows it
};

/// What one step of reading brought.
struct HistoryStep {
    struct Frame {
        std::uint32_t size, target;
    };
    struct Gap {
        StreamName stream;
        Epoch epoch;
        std::optional<Seq> from, to;
        const char* reason;
    };
    std::string bytes;           ///< frames, one behind the other
    std::vector<Frame> frames;
    std::vector<Gap> gaps;       ///< missing before the frames
    std::vector<std::uint32_t> too_large;  ///< targets of events that are left out, one for each
    bool done = false;           ///< every range is read to its end
};

/// Reads the past of several streams at once, in the order of their commits, until each reaches its end (decisions.md 2, 19).
///
///     HistoryReader reader(log, ranges, {.target = ..., .encode = ...});
///     while (!(step = reader.step()).done) send(step);
///
/// What is missing (retention, another epoch, a log that cannot be read) becomes a gap in front of what follows it.
/// Thread: one at a time; `step` may wait for the disk, so on the reader pool. Memory: a page of batches a stream.
class HistoryReader {
public:
    static constexpr std::size_t kLastMax = 10'000;       ///< events by `last`
    static constexpr std::size_t kSearchedMax = 500'000;  ///< events looked at to find them
    static constexpr std::size_t kStepBytes = 256 * 1024;

    struct Frames {
        /// Whose the event is, or -1 for nobody's.
        std::function<int(const Batch& batch, std::size_t i)> target;
        /// Appends its frame, ready for the wire. False: no message can hold it, and what was appended, if anything, says so.
        std::function<bool(std::string& out, std::uint32_t target, const Batch& batch, std::size_t i)> encode;
    };
    HistoryReader(Log& log, std::vector<HistoryRange> ranges, Frames frames);

    /// At most so many bytes, and one event more.
    HistoryStep step(std::size_t bytes_max = kStepBytes);
    /// Goes on where it ended, up to a later end: what has become history meanwhile. Between steps only.
    void extend(std::string_view stream, Seq end, Epoch epoch);
    /// One stream more. Between steps only.
    void add(HistoryRange range);
    /// What of a stream comes next: what lies before it was in a step, or is nobody's, or missing. nullopt: nothing was read yet. Between steps only.
    std::optional<Seq> next(std::string_view stream) const;
    std::vector<StreamName> streams() const;

private:
    struct Part {
        HistoryRange range;
        Seq next{1};
        bool begun = false, promised = true;  ///< promised: events before the first that is kept are missed
        std::deque<BatchPtr> batches;
        std::size_t at = 0;  ///< event of batches.front()
    };
    bool fetch(Part& part, HistoryStep& step);
    bool begin(Part& part, HistoryStep& step);
    Result<void> find_begin(Part& part);
    Result<Seq> begin_of_last(const HistoryRange& range, std::size_t count) const;
    void missing(Part& part, std::optional<Seq> from, std::optional<Seq> to, const char* reason);

    Log& log_;
    std::vector<Part> parts_;
    Frames frames_;
    std::size_t page_events_ = 0;
    std::vector<HistoryStep::Gap> gaps_;  ///< found, not told yet
};

}  // namespace weir
