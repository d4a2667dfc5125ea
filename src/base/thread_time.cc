#include "base/thread_time.h"

#include <ctime>

namespace weir {

Duration thread_cpu_time() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return Duration(used.tv_sec * 1'000'000 + used.tv_nsec / 1'000);
}

}  // namespace weir
