#pragma once
#include <atomic>
#include <cstdint>
#include <string_view>

/// Named points at which a test kills the process (decisions.md 34): `WEIR_FAILPOINT("log.before_commit");`
/// Nothing is armed outside tests; the cost is then one load. Thread: any.
namespace weir::failpoint {

/// Kills this process with SIGKILL the `count`-th time that the point is passed. One point is armed at a time.
/// `name` must live as long as the process.
void arm(const char* name, std::uint32_t count = 1) noexcept;
void disarm() noexcept;
/// How often the armed point was passed.
std::uint32_t passed() noexcept;

namespace detail {
extern std::atomic<const char*> armed;
void pass(const char* name) noexcept;
}  // namespace detail

}  // namespace weir::failpoint

#define WEIR_FAILPOINT(name)                                                                     \
    do {                                                                                         \
        if (__builtin_expect(::weir::failpoint::detail::armed.load(std::memory_order_relaxed) != nullptr, 0)) \
            ::weir::failpoint::detail::pass(name);                                               \
    } while (false)
