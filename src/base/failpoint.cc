#include "base/failpoint.h"

#include <csignal>

#include <cstring>

namespace weir::failpoint {
namespace detail {

std::atomic<const char*> armed{nullptr};
static std::atomic<std::uint32_t> left{0}, seen{0};

void pass(const char* name) noexcept {
    const char* wanted = armed.load(std::memory_order_acquire);
    if (wanted == nullptr || std::strcmp(wanted, name) != 0) return;
    seen.fetch_add(1, std::memory_order_relaxed);
    if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) std::raise(SIGKILL);
}

}  // namespace detail

void arm(const char* name, std::uint32_t count) noexcept {
    detail::left.store(count, std::memory_order_relaxed);
    detail::seen.store(0, std::memory_order_relaxed);
    detail::armed.store(name, std::memory_order_release);
}

void disarm() noexcept { detail::armed.store(nullptr, std::memory_order_release); }

std::uint32_t passed() noexcept { return detail::seen.load(std::memory_order_relaxed); }

}  // namespace weir::failpoint
