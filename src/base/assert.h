#pragma once

namespace weir {

/// Prints file, line and the broken condition to stderr and aborts: the process restarts from its log, which is safer
/// than going on with a state that cannot be.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace weir

/// A bug here, not bad input: on in release builds too. One condition each.
#define WEIR_ASSERT(condition) \
    (__builtin_expect(static_cast<bool>(condition), 1) ? void(0) : ::weir::assertion_failed(#condition, __FILE__, __LINE__))
