#include "log/block_reader.h"

#include <doctest/doctest.h>

#include "log/block_readers.h"
#include "log/log_test_support.h"

using namespace weir;

TEST_CASE("log: decoded blocks that nobody asks for any more leave memory, those in use stay") {
    BlockCache cache(1000);
    const auto block = std::make_shared<const std::vector<BatchPtr>>();
    cache.put(1, block, 100);
    cache.put(2, block, 100);
    CHECK(cache.forget_unused() == 0);  // both have just come
    CHECK(cache.find(2) != nullptr);
    CHECK(cache.forget_unused() == 100);
    CHECK(cache.find(1) == nullptr);
    CHECK(cache.find(2) != nullptr);
    // Its bytes have left the count too: there is room again.
    cache.put(3, block, 900);
    CHECK(cache.find(2) != nullptr);
    CHECK(cache.find(3) != nullptr);
}

TEST_CASE("log: of the connections for reading those that nobody needs any more are closed") {
    TemporaryFolder folder;
    REQUIRE(open_for_writing(folder.path(), Durability::process, {}).ok());
    BlockReaders readers(folder.path(), {}, {}, 1000);
    const auto two_at_once = [&] {
        return readers.lend([&](BlockReader&) { return readers.lend([](BlockReader& inner) { return inner.position("nobody"); }); });
    };
    REQUIRE(two_at_once().ok());
    CHECK(readers.idle() == 2);
    CHECK(readers.forget_unused() == 0);  // both have just been used
    CHECK(readers.idle() == 2);
    REQUIRE(readers.lend([](BlockReader& reader) { return reader.position("nobody"); }).ok());
    CHECK(readers.forget_unused() > 0);
    CHECK(readers.idle() == 1);
    REQUIRE(two_at_once().ok());
    CHECK(readers.idle() == 2);
    readers.close();
    CHECK(readers.idle() == 0);
}
