#include "base/paged_table.h"

#include <doctest/doctest.h>

#include "base/prng.h"

using namespace weir;

namespace {
/// Knows how many of its kind there are.
struct Counted {
    explicit Counted(std::uint64_t v) : value(v) { ++alive; }
    ~Counted() { --alive; }
    Counted(const Counted&) = delete;
    std::uint64_t value;
    static inline int alive = 0;
};
}  // namespace

TEST_CASE("paged table: whatever comes and goes, what is there is found at its slot and address, and nothing else") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Prng chance(seed);
        {
            PagedTable<Counted, 8> table;
            std::map<std::uint32_t, std::pair<Counted*, std::uint64_t>> model;
            for (std::uint64_t step = 0; step < 2'000; ++step) {
                if (model.empty() || chance.below(100) < 55) {
                    const std::uint32_t slot = table.next_slot();
                    Counted& made = table.emplace(step);
                    REQUIRE(model.emplace(slot, std::pair(&made, step)).second);
                } else {
                    auto at = std::next(model.begin(), static_cast<long>(chance.below(model.size())));
                    table.erase(at->first);
                    CHECK(table.find(at->first) == nullptr);
                    model.erase(at);
                }
                REQUIRE(table.size() == model.size());
                REQUIRE(Counted::alive == static_cast<int>(model.size()));
            }
            std::size_t seen = 0;
            table.each([&](Counted& one) { seen += one.value < 2'000; });
            CHECK(seen == model.size());
            for (const auto& [slot, known] : model) {
                CHECK(table.find(slot) == known.first);
                CHECK(known.first->value == known.second);
            }
        }
        CHECK(Counted::alive == 0);
    }
}

TEST_CASE("paged table: an object may be ended by whoever is shown it, and its slot is the next to be taken") {
    PagedTable<Counted, 4> table;
    for (std::uint64_t i = 0; i < 10; ++i) table.emplace(i);
    table.each([&](Counted& one) {
        if (one.value % 2) table.erase(static_cast<std::uint32_t>(one.value));
    });
    CHECK(table.size() == 5);
    CHECK(table.next_slot() == 9);
    CHECK(table.emplace(77).value == 77);
    CHECK(table.find(9)->value == 77);
    CHECK(table.find(1'000) == nullptr);
}
