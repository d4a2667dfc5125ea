#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "event/event.h"
#include "event/filter.h"

namespace weir {

/// Finds which of many filters an event matches, without asking each of them.
///
/// The event is parsed once; a trie of the paths that filters name picks their values out on the way, and each value is looked up
/// in that path's tables: a hash of equal values, sorted bounds, prefixes by length. A filter stands in the tables with the part of it that is
/// rarest (an equality before a prefix before a range); the rest of it is checked only when that part holds.
///
/// Cost: one pass over the event, a hash lookup a wanted path that the event has, and what the candidates cost. 10,000 different equality
/// filters: under 1 us an event (bench/filter_bench.cc; target 3 us). Filters that only say what must not be (`not`, `"exists": false`)
/// have no such part and are evaluated for each event.
/// Thread: one owner.
class FilterIndex {
public:
    using Id = std::uint32_t;

    FilterIndex();
    ~FilterIndex();
    FilterIndex(const FilterIndex&) = delete;
    FilterIndex& operator=(const FilterIndex&) = delete;

    /// Ids are small and used again.
    Id add(const Filter& filter);
    void remove(Id id);
    std::size_t size() const;

    /// The filters that match, each once, in no order; valid until the next call. `event.data` must be a JSON object; of one
    /// that is not, only filters without paths into it match.
    std::span<const Id> match(std::string_view stream, const EventView& event);

    /// Events whose data could not be read.
    std::uint64_t malformed() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace weir
