#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace weir {

void assertion_failed(const char* condition, const char* file, int line) noexcept {
    std::fprintf(stderr, "weir: internal error at %s:%d: %s does not hold\n", file, line, condition);
    std::abort();
}

}  // namespace weir
