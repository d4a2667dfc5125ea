#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "event/event.h"
#include "event/filter.h"
#include "log/log.h"

namespace weir {

/// The newest event of each key of each stream, in memory: what a page that opens shows first (`/api/v1/keys`), without a read of the disk.
///
/// Kept from the tail; what came before this process is read from the log in the background, newest first, and never replaces what is
/// newer. Bounds: `keys_max` keys a stream and `bytes_max` in all; further keys are counted and left out.
/// Thread: the reactor's. Cost: one search in a map an event.
class LatestEvents {
public:
    static constexpr std::size_t keys_max = 2000;
    static constexpr std::size_t bytes_max = 8 << 20;

    struct Entry {
        Seq seq;
        Timestamp time;
        std::string data;
    };
    struct Stream {
        std::map<std::string, Entry, std::less<>> keys;
        Epoch epoch;
        Seq head;  ///< read up to here
        std::uint64_t left_out = 0;
    };

    void add(const StreamName& stream, Epoch epoch, Seq seq, const EventView& event);
    /// The head of a stream of which no event was seen yet.
    void set_head(const StreamName& stream, Epoch epoch, Seq head);
    const Stream* find(std::string_view stream) const;

private:
    std::map<StreamName, Stream, std::less<>> streams_;
    std::size_t bytes_ = 0;
};

/// The newest event of each key among a stream's last events (at most `events_max`), for `add`: read from the log, so not on a reactor.
struct LatestFound {
    EventList events;
    std::vector<Seq> seqs;
    /// Of each characteristic the newest event, and the newest that says its path: what the hub learns from.
    EventList characteristics;
};
/// With a filter, the newest that it lets through.
LatestFound read_latest(Log& log, const StreamInfo& info, std::size_t events_max, const Filter& filter = {});

}  // namespace weir
