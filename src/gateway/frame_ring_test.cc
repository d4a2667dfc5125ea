#include "gateway/frame_ring.h"

#include <doctest/doctest.h>

#include <cstring>
#include <deque>
#include <string>

#include "base/prng.h"

using namespace weir;

namespace {
void put(FrameRing& ring, std::uint64_t order, const std::string& frame) {
    std::memcpy(ring.append(order, frame.size()), frame.data(), frame.size());
}
std::string all(const FrameRing& ring, std::uint64_t from, std::uint64_t to) {
    std::string text;
    while (from < to) {
        iovec pieces[2];
        const std::size_t n = ring.gather(from, to, pieces, from);
        for (std::size_t i = 0; i < n; ++i) text.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
    }
    return text;
}
}  // namespace

TEST_CASE("frame ring: frames come out as they went in, in at most two pieces, however it wraps, grows and drops") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        Prng chance(seed);
        FrameRing ring(8192);
        std::deque<std::pair<std::uint64_t, std::string>> model;  // order, frame
        std::uint64_t first = 0, next = 0, order = 0, model_bytes = 0;
        for (int step = 0; step < 300; ++step) {
            order += 1 + chance.below(3);
            std::string frame(1 + chance.below(chance.chance(0.05) ? 5000 : 300), static_cast<char>('a' + next % 26));
            if (ring.tight(frame.size()) && chance.chance(0.7) && next > first) {
                const std::uint64_t keep = first + chance.below(next - first + 1);
                ring.release_before(keep);
            }
            put(ring, order, frame);
            model.emplace_back(order, frame);
            model_bytes += frame.size();
            ++next;
            REQUIRE(ring.end() == next);
            while (first < ring.begin()) {
                model_bytes -= model.front().second.size();
                model.pop_front();
                ++first;
            }
            REQUIRE(ring.capacity() <= 8192);
            const std::uint64_t from = first + chance.below(next - first + 1);
            std::string expected;
            for (std::uint64_t i = from; i < next; ++i) expected += model[i - first].second;
            REQUIRE(all(ring, from, next) == expected);
            REQUIRE(ring.bytes_from(from) == expected.size());
            iovec pieces[3];
            std::uint64_t covered;
            CHECK(ring.gather(from, next, pieces, covered) <= 2);
            CHECK(covered == next);
            const std::uint64_t wanted = model.front().first + chance.below(order);
            std::uint64_t place = first;
            while (place < next && model[place - first].first < wanted) ++place;
            CHECK(ring.find_order(first, wanted) == place);
        }
    }
}

TEST_CASE("frame ring: what nobody needs costs nothing") {
    FrameRing ring(1 << 20);
    CHECK(ring.capacity() == 0);
    for (int i = 0; i < 100; ++i) put(ring, 1, std::string(1000, 'x'));
    CHECK(ring.capacity() >= 100'000);
    ring.shrink();
    CHECK(ring.capacity() >= 100'000);
    ring.release_before(ring.end());
    ring.shrink();
    CHECK(ring.capacity() == 0);
    put(ring, 2, "y");
    CHECK(all(ring, ring.end() - 1, ring.end()) == "y");
}
