#include "base/heap.h"

#include <doctest/doctest.h>

using namespace weir;

TEST_CASE("heap: memory goes back when much was let go of and the burst is over, and once") {
    // Whatever other cases of this program left.
    heap::let_go(heap::settle_bytes);
    while (heap::settle()) {}
    (void)heap::settle();

    heap::let_go(heap::settle_bytes - 1);
    CHECK_FALSE(heap::settle());  // it has just come
    CHECK_FALSE(heap::settle());  // too little
    heap::let_go(1);
    CHECK_FALSE(heap::settle());
    heap::let_go(heap::settle_bytes);
    CHECK_FALSE(heap::settle());  // still coming
    CHECK(heap::settle());
    CHECK_FALSE(heap::settle());
}
