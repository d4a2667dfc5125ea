#include "log/block.h"

#include <doctest/doctest.h>

#include "base/prng.h"
#include "log/block_checksum.h"
#include "log/log_conformance.h"

using namespace weir;

namespace {

bool same(const Notes& a, const Notes& b) {
    std::string x, y;
    encode_notes(x, a);
    encode_notes(y, b);
    return x == y;
}

bool same(const Batch& a, const Batch& b) {
    if (a.stream != b.stream || a.epoch != b.epoch || a.first_seq != b.first_seq || a.commit != b.commit || a.commit_time != b.commit_time) return false;
    if (a.events.size() != b.events.size() || !same(a.notes, b.notes)) return false;
    for (std::size_t i = 0; i < a.events.size(); ++i) {
        const EventView x = a.events[i], y = b.events[i];
        if (x.id != y.id || x.type != y.type || x.key != y.key || x.source != y.source || x.data != y.data || x.time != y.time || x.ingested != y.ingested)
            return false;
    }
    return true;
}

std::string random_text(Prng& prng, std::size_t length_max) {
    std::string text(prng.below(length_max + 1), ' ');
    for (char& c : text) c = static_cast<char>(prng.below(256));
    return text;
}

// Ids of every kind that the runs distinguish: counted, counted with leading zeros, counted past 18 digits, arbitrary.
std::string random_id(Prng& prng, std::uint64_t& counter) {
    switch (prng.below(6)) {
        case 0: return random_text(prng, 255);
        case 1: return "00" + std::to_string(counter++);
        case 2: return "pools/1/" + std::string(prng.below(3), '0') + std::to_string(counter++);
        case 3: return std::to_string(999'999'999'999'999'990 + counter++);
        case 4: return std::string(250, 'x') + std::to_string(counter++ % 100'000);
        default: return "pools/1/" + std::to_string(counter++);
    }
}

std::vector<BatchPtr> random_batches(Prng& prng) {
    std::vector<BatchPtr> batches;
    std::uint64_t seq = 1 + prng.below(1000), commit = 1 + prng.below(1000), counter = prng.below(12);
    Timestamp time = Timestamp::from_micros(static_cast<std::int64_t>(prng.below(1ULL << 51)));
    const std::uint64_t marks = 1 + prng.below(8), keys = 1 + prng.below(150);
    for (std::uint64_t m = 0; m < marks; ++m) {
        auto batch = std::make_shared<Batch>();
        batch->stream = "pools";
        batch->epoch = {7};
        batch->first_seq = {seq};
        batch->commit = {commit};
        batch->commit_time = time;
        const std::uint64_t events = prng.chance(0.3) ? 0 : prng.below(40);
        for (std::uint64_t i = 0; i < events; ++i) {
            const std::string id = random_id(prng, counter), type = prng.chance(0.9) ? "reading" : random_text(prng, 255);
            const std::string key = "k" + std::to_string(prng.below(keys)), source = random_text(prng, 3), data = random_text(prng, 120);
            // Anything from the year 0 to 9999, in any order.
            const auto any_time = [&] {
                if (prng.chance(0.8)) return time + Duration(static_cast<std::int64_t>(prng.below(10'000'000)));
                return Timestamp::min() + Duration(static_cast<std::int64_t>(prng.below(static_cast<std::uint64_t>((Timestamp::max() - Timestamp::min()).count()))));
            };
            batch->events.add({id, type, key, source, data, any_time(), any_time()});
        }
        if (prng.chance(0.3)) {
            batch->notes.rejected.push_back({"not_a_number", random_text(prng, 9), time, 3});
            batch->notes.rejected.push_back({"malformed", "", std::nullopt, 1});
            batch->notes.duplicates.push_back({"k", time - 5s, 2});
            batch->notes.feed_states.push_back({"f", "stale", "upstream_silent", "websocket", time, random_text(prng, 300)});
            batch->notes.intervals.push_back({"f", 5s, prng.chance(0.5)});
        }
        seq += events;
        commit += 1 + prng.below(300);
        time = time + Duration(static_cast<std::int64_t>(prng.below(2) * prng.below(100'000'000)));
        batches.push_back(std::move(batch));
    }
    return batches;
}

}  // namespace

TEST_CASE("block: what goes in comes out, at every level of compression") {
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        const auto batches = random_batches(prng);
        const Block block = encode_block(3, 1, batches, seed % 3 == 0 ? 0 : seed % 3 == 1 ? -5 : 3);
        const auto decoded = decode_block(block.header, block.body, "pools", {7});
        REQUIRE_MESSAGE(decoded.ok(), (decoded.ok() ? std::string() : decoded.error().message));
        REQUIRE(decoded->size() == batches.size());
        for (std::size_t i = 0; i < batches.size(); ++i) REQUIRE(same(*batches[i], *(*decoded)[i]));
        // The ids alone are the same ones.
        const auto ids = decode_ids(block.header, block.body);
        REQUIRE(ids.ok());
        std::size_t n = 0;
        for (const auto& batch : batches)
            for (const EventView event : batch->events) {
                REQUIRE(ids->ids[n] == event.id);
                REQUIRE(ids->commit_times[n] == batch->commit_time);
                REQUIRE(may_hold_key(block.header, event.key));
                ++n;
            }
        REQUIRE(n == ids->ids.size());
    }
}

TEST_CASE("block: two blocks that are merged hold what both held") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Prng prng(seed);
        const auto batches = random_batches(prng);
        if (batches.size() < 2) continue;
        const std::size_t middle = 1 + prng.below(batches.size() - 1);
        std::vector<BatchPtr> merged;
        for (const auto part : {std::span(batches).first(middle), std::span(batches).subspan(middle)}) {
            const Block block = encode_block(1, 1, part, 0);
            auto decoded = decode_block(block.header, block.body, "pools", {7});
            REQUIRE(decoded.ok());
            merged.insert(merged.end(), decoded->begin(), decoded->end());
        }
        const Block once = encode_block(1, 1, batches, 3), twice = encode_block(1, 1, merged, 3);
        CHECK(once.body == twice.body);
        CHECK(once.header.checksum == twice.header.checksum);
    }
}

TEST_CASE("block: a flipped bit anywhere, in the body or in the header, is noticed") {
    Prng prng(5);
    for (int round = 0; round < 20; ++round) {
        Block block = encode_block(3, 1, random_batches(prng), round % 2 == 0 ? 0 : 3);
        if (block.body.empty()) continue;
        for (int flip = 0; flip < 50; ++flip) {
            std::string body = block.body;
            body[prng.below(body.size())] ^= static_cast<char>(1 << prng.below(8));
            REQUIRE(decode_block(block.header, body, "pools", {7}).error().code == "damaged");
        }
        BlockHeader header = block.header;
        header.max_time = header.max_time + 1us;
        CHECK(decode_block(header, block.body, "pools", {7}).error().code == "damaged");
        header = block.header;
        header.first_seq = header.first_seq + 1;
        CHECK(decode_block(header, block.body, "pools", {7}).error().code == "damaged");
        CHECK(decode_block(block.header, block.body.substr(0, block.body.size() / 2), "pools", {7}).error().code == "damaged");
    }
}

TEST_CASE("block: counts of commits that only add up by wrapping around are damage, under a right checksum too") {
    // Two commits of 2^64 - 1 and 2 events in a block that says it holds one.
    std::string body("\x02", 1);
    body += std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10) + std::string("\x02\0\0\0\0\0\0", 7) + std::string(40, '\x01');
    BlockHeader h;
    h.stream = h.epoch = 1;
    h.first_seq = {1};
    h.count = 1;
    h.marks = 2;
    h.format = 1;
    h.raw_bytes = h.stored_bytes = static_cast<std::uint32_t>(body.size());
    h.checksum = checksum_of(h, body);
    const auto read = decode_block(h, body, "pools", {7});
    REQUIRE(!read.ok());
    CHECK(read.error().message.find("commit marks") != std::string::npos);
}

TEST_CASE("block: a key that is not in the block is mostly known not to be") {
    std::vector<TestEvent> events;
    for (int i = 0; i < 32; ++i) events.push_back({std::to_string(i), "SSD-" + std::to_string(i)});
    auto batch = std::make_shared<Batch>();
    batch->first_seq = {1};
    batch->commit = {1};
    batch->events = events_of(events);
    const std::vector<BatchPtr> batches{batch};
    const Block block = encode_block(1, 1, batches, 0);
    int taken = 0;
    for (int i = 0; i < 1000; ++i) taken += may_hold_key(block.header, "other-" + std::to_string(i));
    CHECK(taken < 30);
}

TEST_CASE("block: counted ids take a few bytes for all of them (decisions.md 4)") {
    std::vector<TestEvent> events;
    for (int i = 0; i < 1000; ++i) events.push_back({"pools/17/" + std::to_string(4000 + i), "k", "{}"});
    auto batch = std::make_shared<Batch>();
    batch->first_seq = {1};
    batch->commit = {1};
    batch->events = events_of(events);
    const std::vector<BatchPtr> batches{batch};
    // Two times, the length and the two bytes of data for each event; the rest is once.
    CHECK(encode_block(1, 1, batches, 0).body.size() < 1000 * 5 + 100);
}

TEST_CASE("block: the worked example of docs/formats/log-block.md") {
    auto first = std::make_shared<Batch>();
    first->first_seq = {41};
    first->commit = {7};
    first->commit_time = "2026-02-17T10:00:00Z"_utc;
    TestEvent a{"pools/1/9", "SSD-7", "{\"v\":0}"}, b{"pools/1/10", "SSD-4", "{\"v\":52}"};
    a.time = a.ingested = b.time = first->commit_time;
    b.ingested = first->commit_time + 1ms;
    first->events = events_of({a, b});
    auto tick = std::make_shared<Batch>();
    tick->first_seq = {43};
    tick->commit = {9};
    tick->commit_time = first->commit_time + 100ms;
    const std::vector<BatchPtr> batches{first, tick};
    const Block block = encode_block(1, 1, batches, 0);
    std::string hex;
    for (const char c : block.body) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
        hex += two;
    }
    CHECK(hex == "020200000200a08d060000000000d00f010772656164696e6702055353442d37055353442d3400010109776562736f636b65740108706f6f6c732f312f09020708"
                 "7b2276223a307d7b2276223a35327d");
    CHECK(block.header.checksum == 13828921160161234695ULL);
}
