#include "log/tail.h"

#include <doctest/doctest.h>

using namespace weir;

namespace {

BatchPtr batch_of(std::uint64_t n, Timestamp at, std::size_t bytes) {
    auto batch = std::make_shared<Batch>();
    batch->stream = "pools";
    batch->first_seq = Seq{n};
    batch->commit = CommitNo{n};
    batch->commit_time = at;
    const std::string id = std::to_string(n), data = "\"" + std::string(bytes, 'x') + "\"";
    batch->events.add({.id = id, .type = "reading", .key = "k", .source = "push", .data = data, .time = at, .ingested = at});
    return batch;
}

}  // namespace

TEST_CASE("log: batches of a slow feed leave memory after some minutes, however much room there is, and those of a busy one stay up to the bound") {
    const Timestamp start = "2026-02-17T12:00:00Z"_utc;
    constexpr std::size_t bytes = 100'000;
    const auto held_after = [&](Duration spacing, std::size_t bytes_max) {
        Tail tail(bytes_max, CommitNo{}, {});
        for (std::uint64_t n = 1; n <= 60; ++n) tail.publish({batch_of(n, start + spacing * static_cast<std::int64_t>(n), bytes)}, CommitNo{n});
        CHECK(tail.head() == CommitNo{60});
        CHECK(tail.covers(CommitNo{59}));
        return tail.bytes() / bytes;
    };
    CHECK(held_after(1s, 8 << 20) == 60);   // a minute of them
    CHECK(held_after(1s, 2 << 20) == 20);   // the bound
    CHECK(held_after(20s, 8 << 20) == 16);  // five minutes
    CHECK(held_after(10min, 8 << 20) == 10);  // what it is never worth to be sparing with
}
