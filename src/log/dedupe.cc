#include "log/dedupe.h"

#include <xxhash.h>

#include "base/assert.h"

namespace weir {

Dedupe::Fingerprint Dedupe::fingerprint(std::string_view id) {
    const XXH128_hash_t hash = XXH3_128bits(id.data(), id.size());
    return {hash.low64, hash.high64};
}

std::optional<Seq> Dedupe::find(const Fingerprint& id) const {
    if (slots_.empty()) return std::nullopt;
    for (std::size_t i = home(id); slots_[i].seq != 0; i = (i + 1) & (slots_.size() - 1))
        if (slots_[i].id == id) return Seq{slots_[i].seq};
    return std::nullopt;
}

void Dedupe::add(const Fingerprint& id, Seq seq, Timestamp committed) {
    WEIR_ASSERT(seq.value != 0);
    if ((order_.size() + 1) * 2 > slots_.size()) grow();
    std::size_t i = home(id);
    while (slots_[i].seq != 0) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {id, seq.value};
    order_.push_back({id, committed});
}

void Dedupe::undo(std::size_t count) {
    for (; count > 0 && !order_.empty(); --count) {
        erase(order_.back().id);
        order_.pop_back();
    }
}

void Dedupe::expire(Timestamp now) {
    while (!order_.empty() && (order_.size() > ids_max_ || order_.front().committed < now - horizon_)) {
        erase(order_.front().id);
        order_.pop_front();
    }
}

void Dedupe::grow() {
    std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
        if (slot.seq == 0) continue;
        std::size_t i = home(slot.id);
        while (slots_[i].seq != 0) i = (i + 1) & (slots_.size() - 1);
        slots_[i] = slot;
    }
}

void Dedupe::erase(const Fingerprint& id) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t hole = home(id);
    while (!(slots_[hole].id == id && slots_[hole].seq != 0)) {
        WEIR_ASSERT(slots_[hole].seq != 0);
        hole = (hole + 1) & mask;
    }
    // What stands behind the hole moves up unless its home lies between: a search stops at the first free slot.
    for (std::size_t i = (hole + 1) & mask; slots_[i].seq != 0; i = (i + 1) & mask) {
        const std::size_t from_home = (i - home(slots_[i].id)) & mask, from_hole = (i - hole) & mask;
        if (from_home < from_hole) continue;
        slots_[hole] = slots_[i];
        hole = i;
    }
    slots_[hole].seq = 0;
}

}  // namespace weir
