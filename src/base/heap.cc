#include "base/heap.h"

#include <malloc.h>

#include <atomic>
#include <cstdint>

namespace weir::heap {
namespace {

std::atomic<std::uint64_t> let_go_of{0}, at_last_call{0}, given_back{0};

}  // namespace

void arrange() noexcept { ::mallopt(M_ARENA_MAX, 2); }

void let_go(std::size_t bytes) noexcept { let_go_of.fetch_add(bytes, std::memory_order_relaxed); }

bool settle() noexcept {
    const std::uint64_t now = let_go_of.load(std::memory_order_relaxed);
    const bool is_quiet = at_last_call.exchange(now, std::memory_order_relaxed) == now;
    std::uint64_t before = given_back.load(std::memory_order_relaxed);
    if (!is_quiet || now - before < settle_bytes) return false;
    // Of two threads that come at once one does it.
    if (!given_back.compare_exchange_strong(before, now, std::memory_order_relaxed)) return false;
    ::malloc_trim(0);
    return true;
}

}  // namespace weir::heap
