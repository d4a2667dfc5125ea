#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace weir {

/// Position of an event in its stream: 1 for the first, growing by one an event. 0 is "before the first".
struct Seq {
    std::uint64_t value = 0;
    auto operator<=>(const Seq&) const = default;
    Seq operator+(std::uint64_t n) const { return {value + n}; }
};

/// One incarnation of the log: a client that holds a position of another epoch is told that there is a gap.
/// Random 64 bits, printed as 16 hexadecimal digits.
struct Epoch {
    std::uint64_t value = 0;
    auto operator<=>(const Epoch&) const = default;
};
std::string to_text(Epoch epoch);

/// Number of a commit of the log: one total order over all its streams (decisions.md 2). 0 is "before the first".
struct CommitNo {
    std::uint64_t value = 0;
    auto operator<=>(const CommitNo&) const = default;
};

/// A stream's name: 1 to 128 of `A-Z a-z 0-9 . _ - /`, checked where it enters. A leading `_` is weir's own.
using StreamName = std::string;
bool is_stream_name(std::string_view name);

/// A fact at a time (spec.md, Vocabulary), as it is read: all texts belong to the list or batch it came from.
struct EventView {
    std::string_view id;      ///< idempotency key, unique within its stream; at most 255 bytes; never empty once logged
    std::string_view type;    ///< what kind of fact: `reading`, `window`, `user_action`; at most 255 bytes
    std::string_view key;     ///< which thing it is about: `SSD-7`; may be empty; at most 255 bytes
    std::string_view source;  ///< what took it: `websocket`, `http`, `html`, `push`, `replay`, `simulate`, a processor's name
    std::string_view data;    ///< the text of one JSON object, valid UTF-8, without line breaks; at most 256 KiB
    Timestamp time;           ///< when it happened at the source
    Timestamp ingested;       ///< when weir took it
};

/// Events in one piece of memory, appended one after another: the form in which they cross threads.
///
/// Thread: one owner while it grows; immutable and shared afterwards. Cost: one append to a text and 40 bytes an event.
class EventList {
public:
    std::size_t size() const { return records_.size(); }
    bool empty() const { return records_.empty(); }
    /// Bytes of all texts.
    std::size_t text_bytes() const { return text_.size(); }

    void reserve(std::size_t events, std::size_t text_bytes) {
        records_.reserve(events);
        text_.reserve(text_bytes);
    }
    /// Copies the texts. They must be within the sizes that EventView names (WEIR_ASSERT), and may not point into this list.
    void add(const EventView& event);

    EventView operator[](std::size_t i) const {
        const Record& r = records_[i];
        const char* p = text_.data() + r.offset;
        EventView e;
        e.id = {p, r.id};
        e.type = {p += r.id, r.type};
        e.key = {p += r.type, r.key};
        e.source = {p += r.key, r.source};
        e.data = {p += r.source, r.data};
        e.time = r.time;
        e.ingested = r.ingested;
        return e;
    }

    /// So that `for (EventView event : list)` works.
    class Iterator {
    public:
        Iterator(const EventList* list, std::size_t i) : list_(list), i_(i) {}
        EventView operator*() const { return (*list_)[i_]; }
        Iterator& operator++() {
            ++i_;
            return *this;
        }
        bool operator==(const Iterator& other) const { return i_ == other.i_; }

    private:
        const EventList* list_;
        std::size_t i_;
    };
    Iterator begin() const { return {this, 0}; }
    Iterator end() const { return {this, size()}; }

private:
    struct Record {
        Timestamp time, ingested;
        std::uint64_t offset;
        std::uint32_t data;
        std::uint8_t id, type, key, source;
    };
    std::vector<Record> records_;
    std::string text_;
};

/// What a feed tells about its stream beside the events themselves (decisions.md 6): why readings are missing, and what
/// state the feed is in. Kept in the log with the commit that it came with, so that nothing of a window is computed from
/// outside the log. Takes no `seq`, and is not sent to clients of the stream.
struct Notes {
    /// Messages or readings that were refused. `key` and `time` where they could be read; else the commit's time counts.
    struct Rejected {
        std::string reason;  ///< `missing_value`, `not_a_number`, `null`, `malformed`, `future`, `no_key`, ...
        std::string key;
        std::optional<Timestamp> time;
        std::uint32_t count = 1;
    };
    /// Repeats of an id within the horizon that the log dropped, per key. Filled by the log.
    struct Duplicate {
        std::string key;
        Timestamp time;
        std::uint32_t count = 1;
    };
    /// A feed changed state (spec.md 1): `live`, `degraded`, `polled`, `stale`, `down`; `cause` is one of `connecting`,
    /// `upstream_silent`, `upstream_closed`, `weir_down`, `clock_step`, `source_changed`, `recovered`, `stopped`.
    struct FeedState {
        std::string feed, state, cause, source;
        Timestamp time;  ///< since when; the moment of the last reading where silence is the cause
        std::string detail;
    };
    /// The expected spacing of readings, set or learned: so that coverage replays.
    struct Interval {
        std::string feed;
        Duration spacing{};
        bool learned = false;
    };
    std::vector<Rejected> rejected;
    std::vector<Duplicate> duplicates;
    std::vector<FeedState> feed_states;
    std::vector<Interval> intervals;

    bool empty() const { return rejected.empty() && duplicates.empty() && feed_states.empty() && intervals.empty(); }
};

}  // namespace weir
