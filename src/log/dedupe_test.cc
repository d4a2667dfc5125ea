#include "log/dedupe.h"

#include <doctest/doctest.h>

#include "base/prng.h"

using namespace weir;

TEST_CASE("dedupe: agrees with a plain map through adding, expiring and undoing") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        constexpr std::uint64_t ids_max = 300;
        Dedupe dedupe(10min, ids_max);
        struct Known {
            std::string id;
            std::uint64_t seq;
            Timestamp at;
        };
        std::deque<Known> model;
        Timestamp now = Timestamp::from_seconds(1'000'000);
        std::uint64_t seq = 0;
        for (int step = 0; step < 4000; ++step) {
            const std::string id = std::to_string(prng.below(600));
            const auto known = std::find_if(model.begin(), model.end(), [&](const Known& k) { return k.id == id; });
            const auto found = dedupe.find(Dedupe::fingerprint(id));
            REQUIRE(found.has_value() == (known != model.end()));
            if (found) {
                REQUIRE(found->value == known->seq);
            } else {
                dedupe.add(Dedupe::fingerprint(id), Seq{++seq}, now);
                model.push_back({id, seq, now});
            }
            if (prng.chance(0.05)) {
                const std::size_t count = std::min<std::size_t>(prng.below(20), model.size());
                dedupe.undo(count);
                model.resize(model.size() - count);
            }
            if (prng.chance(0.05)) {
                now = now + Duration(static_cast<std::int64_t>(prng.below(300'000'000)));
                dedupe.expire(now);
                while (!model.empty() && (model.size() > ids_max || model.front().at < now - 10min)) model.pop_front();
            }
            REQUIRE(dedupe.size() == model.size());
        }
    }
}
