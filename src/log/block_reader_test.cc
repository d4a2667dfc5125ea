#include "log/block_reader.h"

#include <doctest/doctest.h>

using namespace weir;

TEST_CASE("log: decoded blocks that nobody asks for any more leave memory, those in use stay") {
    BlockCache cache(1000);
    const auto block = std::make_shared<const std::vector<BatchPtr>>();
    cache.put(1, block, 100);
    cache.put(2, block, 100);
    CHECK_FALSE(cache.forget_unused());  // both have just come
    CHECK(cache.find(2) != nullptr);
    CHECK(cache.forget_unused());
    CHECK(cache.find(1) == nullptr);
    CHECK(cache.find(2) != nullptr);
    // Its bytes have left the count too: there is room again.
    cache.put(3, block, 900);
    CHECK(cache.find(2) != nullptr);
    CHECK(cache.find(3) != nullptr);
}
