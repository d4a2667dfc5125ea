#include "analytics/feed_comparison.h"

#include <doctest/doctest.h>

using namespace weir;
using namespace weir::analytics;

namespace {

const Timestamp ten = "2026-02-17T10:00:00Z"_utc;

std::vector<FeedReading> every(Duration spacing, std::initializer_list<double> values, Duration first = 0s) {
    std::vector<FeedReading> out;
    for (const double value : values) out.push_back({ten + first + static_cast<std::int64_t>(out.size()) * spacing, value});
    return out;
}

}  // namespace

// By hand: the source goes 45 46 45 47 in a minute; a record every 5 s sees all three changes, one every 30 s only the last value.
TEST_CASE("compare: a slow record misses the changes between its readings (S1-22, S1-23)") {
    const FeedRecord quick{{"SSD-7", every(5s, {45, 45, 46, 46, 45, 45, 47, 47, 47, 47, 47, 47, 47})}};  // 10:00:00 .. 10:01:00
    const FeedRecord slow{{"SSD-7", every(30s, {45, 47, 47})}};
    const auto compared = compare_feeds(quick, slow, {.from = {}, .to = {}, .gap = {}});
    REQUIRE(compared.has_value());
    CHECK(compared->from == ten);
    CHECK(compared->to == ten + 1min);
    CHECK(compared->changes == 3);
    CHECK(compared->records[0].readings == 13);
    CHECK(compared->records[0].caught == 3);
    CHECK(compared->records[0].missed == 0);
    CHECK(*compared->records[0].capture_rate == 1.0);
    CHECK(compared->records[1].readings == 3);
    CHECK(compared->records[1].caught == 1);
    CHECK(compared->records[1].missed == 2);
    CHECK(*compared->records[1].capture_rate == doctest::Approx(1.0 / 3));
    CHECK(*compared->records[0].median_spacing == 5s);
    CHECK(*compared->records[1].median_spacing == 30s);
    // Both say 45 for 10 s, then 46 against 45 for 10 s, 45 for 10 s, and 47 for 30 s: 50 of 60 s are the same, and 10 s differ by 1.
    CHECK(*compared->agreement == doctest::Approx(50.0 / 60));
    CHECK(*compared->mean_difference == doctest::Approx(10.0 / 60));
    CHECK(compared->records[0].gaps == 0);
}

TEST_CASE("compare: a record that is a little late has caught the change, and adds none") {
    const FeedRecord prompt{{"k", every(10s, {1, 2, 2, 1})}};
    // 0.5 s after the other has said 2 this one still says 1, and 2 at its next reading.
    const FeedRecord late{{"k", {{ten, 1}, {ten + 10s + 500ms, 1}, {ten + 20s, 2}, {ten + 30s, 1}}}};
    const auto compared = compare_feeds(prompt, late, {.from = {}, .to = {}, .tolerance = 1s, .gap = {}});
    CHECK(compared->changes == 2);
    CHECK(compared->records[0].missed == 0);
    CHECK(compared->records[1].missed == 0);
    // Without tolerance the same reading is a change back, and one forth again: 2, 1, 2, 1.
    const auto strict = compare_feeds(prompt, late, {.from = {}, .to = {}, .tolerance = 0s, .gap = {}});
    CHECK(strict->changes == 4);
}

TEST_CASE("compare: gaps are silences of the whole record, the edges included; a bound that was asked for ends them") {
    FeedRecord a{{"x", every(10s, {1, 1, 1, 1, 1, 1, 1})}};  // to 10:01:00
    FeedRecord b{{"x", {{ten, 1}, {ten + 10s, 1}}}, {"y", {{ten + 20s, 5}, {ten + 55s, 5}}}};
    const auto compared = compare_feeds(a, b, {.from = ten, .to = ten + 90s, .gap = 30s});
    CHECK(compared->records[0].gaps == 0);
    CHECK(compared->records[1].gaps == 2);  // 10:00:20 to 10:00:55, and from there to 10:01:30
    CHECK(compared->records[1].gap_total == 70s);
    CHECK(compared->records[1].gap_longest == 35s);
    CHECK(compared->keys == 2);
}

TEST_CASE("compare: 0 is a value, windows with readings are counted, and nothing in common is nothing") {
    const FeedRecord hourly{{"k", {{ten, 0}, {ten + 1h, 3}, {ten + 2h, 0}}}};
    const FeedRecord steady{{"k", every(5min, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0})}};
    const auto compared = compare_feeds(hourly, steady, {.from = {}, .to = {}, .gap = {}});
    CHECK(compared->changes == 2);
    CHECK(compared->records[0].missed == 0);
    CHECK(compared->records[0].windows_with_readings == 3);
    CHECK(compared->records[1].windows_with_readings == 25);
    CHECK_FALSE(compare_feeds(hourly, {}, {.from = {}, .to = {}, .gap = {}}).has_value());
    CHECK_FALSE(compare_feeds(hourly, {{"k", {{ten + 3h, 1}, {ten + 4h, 1}}}}, {.from = {}, .to = {}, .gap = {}}).has_value());
}

TEST_CASE("compare: the order in which readings are given does not matter, and the two sides change places") {
    const FeedRecord a{{"k", every(7s, {1, 2, 3, 3, 2, 1, 5, 5})}}, b{{"k", every(11s, {1, 3, 2, 5, 5})}};
    FeedRecord shuffled{{"k", {a.at("k").rbegin(), a.at("k").rend()}}};
    const ComparisonOptions options{.from = {}, .to = {}, .tolerance = 0s, .gap = {}};
    const auto one = compare_feeds(a, b, options), two = compare_feeds(shuffled, b, options), mirrored = compare_feeds(b, a, options);
    CHECK(one->changes == two->changes);
    CHECK(one->records[0].caught == two->records[0].caught);
    CHECK(one->changes == mirrored->changes);
    CHECK(one->records[0].caught == mirrored->records[1].caught);
    CHECK(*one->agreement == doctest::Approx(*mirrored->agreement));
}
