#pragma once
#include <cstddef>

/// The heap of this process, which all its parts share.
///
/// The allocator keeps what is freed for whoever asks next. A server that works in bursts (merging, a rush of handshakes, a look far back)
/// would so keep the memory of its largest burst for years. Whoever has let go of much says so, and whoever has a quiet moment now and then
/// calls `settle`. Thread: any.
namespace weir::heap {

/// Less than this is not worth the looking through: `settle` leaves it.
inline constexpr std::size_t settle_bytes = 1024 * 1024;

/// Once, before other threads start: all threads share two arenas. The allocator's own choice, eight a processor, keeps free memory apart
/// by the thread that freed it, which cost a weir of ten threads some megabytes and gained it nothing that could be measured.
void arrange() noexcept;

/// So much, about, was freed and is not going to be needed again soon. Cost: one addition.
void let_go(std::size_t bytes) noexcept;

/// Gives free pages back to the system when at least `settle_bytes` were let go of since that was done last, and nothing since the
/// last call: within a burst it would only slow that down. True if it did. Cost: some milliseconds for a heap of 100 MB, else two loads.
bool settle() noexcept;

}  // namespace weir::heap
