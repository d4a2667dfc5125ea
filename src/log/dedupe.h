#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "event/event.h"

namespace weir {

/// Which ids a stream has seen lately (decisions.md 4): an id that comes again within the horizon is the same event again.
///
/// Ids are kept as 128-bit fingerprints; that two different ids of a horizon share one has odds below 10^-28.
/// Bound: `ids_max`, the oldest are forgotten. Thread: the writer's. Cost: 70 to 120 bytes an id, 20 to 60 ns a look.
class Dedupe {
public:
    struct Fingerprint {
        std::uint64_t low = 0, high = 0;
        bool operator==(const Fingerprint&) const = default;
    };
    static Fingerprint fingerprint(std::string_view id);

    Dedupe(Duration horizon, std::uint64_t ids_max) : horizon_(horizon), ids_max_(ids_max) {}

    /// The seq that the id was given first.
    std::optional<Seq> find(const Fingerprint& id) const;
    /// `id` is not known yet; `committed` never decreases.
    void add(const Fingerprint& id, Seq seq, Timestamp committed);
    /// Forgets the newest `count` again (as far as they did not expire meanwhile): their commit failed.
    void undo(std::size_t count);
    /// Forgets what is older than the horizon at `now`, and what is above the bound.
    void expire(Timestamp now);
    std::size_t size() const { return order_.size(); }

private:
    struct Slot {
        Fingerprint id;
        std::uint64_t seq = 0;  ///< 0: free
    };
    struct Entry {
        Fingerprint id;
        Timestamp committed;
    };
    std::size_t home(const Fingerprint& id) const { return id.low & (slots_.size() - 1); }
    void grow();
    void erase(const Fingerprint& id);

    Duration horizon_;
    std::uint64_t ids_max_;
    std::vector<Slot> slots_;  ///< open addressing, a power of two, at most half full
    std::deque<Entry> order_;  ///< oldest first
};

}  // namespace weir
