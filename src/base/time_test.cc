#include "base/time.h"

#include <doctest/doctest.h>

#include "base/prng.h"

using namespace weir;

TEST_CASE("time: prints three digits of a second, six where needed") {
    CHECK(to_rfc3339(Timestamp::from_micros(0)) == "1970-01-01T00:00:00.000Z");
    CHECK(to_rfc3339(Timestamp::from_micros(1)) == "1970-01-01T00:00:00.000001Z");
    CHECK(to_rfc3339_short("2026-02-17T10:00:00Z"_utc) == "2026-02-17T10:00:00Z");
    CHECK(to_rfc3339(Timestamp::from_micros(-1)) == "1969-12-31T23:59:59.999999Z");
}

TEST_CASE("time: reads every form of RFC 3339 and refuses what is not a date") {
    CHECK(parse_rfc3339("2025-11-12T14:40:57+01:00") == "2025-11-12T13:40:57Z"_utc);
    CHECK(parse_rfc3339("2024-02-29 23:59:59.5-00:30") == "2024-03-01T00:29:59.500Z"_utc);
    CHECK(parse_rfc3339("2016-12-31T23:59:60Z") == "2017-01-01T00:00:00Z"_utc);
    CHECK(parse_rfc3339("2026-01-01T00:00:00", Offset::optional) == "2026-01-01T00:00:00Z"_utc);
    for (const char* bad : {"", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-13-01T00:00:00Z",
                            "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Zx", "2026-01-01", "n/a", "2026-01-01T00:00:00+1:00",
                            "0000-01-01T00:00:00+00:01"})
        CHECK_MESSAGE(!parse_rfc3339(bad), bad);
}

TEST_CASE("time: every printed moment reads back as itself") {
    Prng prng(1);
    for (int i = 0; i < 100'000; ++i) {
        const auto span = static_cast<std::uint64_t>(Timestamp::max().micros() - Timestamp::min().micros());
        const Timestamp t = Timestamp::from_micros(Timestamp::min().micros() + static_cast<std::int64_t>(prng.below(span)));
        REQUIRE(parse_rfc3339(to_rfc3339(t)) == t);
        const CivilTime c = to_civil(t);
        REQUIRE(from_civil(c.year, c.month, c.day, c.hour, c.minute, c.second, c.micros) == t);
    }
}

TEST_CASE("time: a leap second at the end of the year 9999 is no time that could be printed") {
    CHECK(!parse_rfc3339("9999-12-31T23:59:60Z"));
    CHECK(!parse_rfc3339("9999-12-31T23:59:60", Offset::optional));
    CHECK(parse_rfc3339("9999-12-31T23:59:60+00:01").has_value());
    CHECK(to_rfc3339(*parse_rfc3339("2016-12-31T23:59:60Z")) == "2017-01-01T00:00:00.000Z");
}

TEST_CASE("time: a moment before 1970 floors downwards") {
    CHECK(Timestamp::from_micros(-1).floor_to(5min) == Timestamp::from_micros(-300'000'000));
    CHECK("2026-02-17T10:05:00Z"_utc.floor_to(5min) == "2026-02-17T10:05:00Z"_utc);
    CHECK("2026-02-17T10:04:59.999999Z"_utc.floor_to(5min) == "2026-02-17T10:00:00Z"_utc);
}

TEST_CASE("time: weekdays count from Sunday") {
    CHECK(to_civil("2026-02-15T00:00:00Z"_utc).weekday == 0);
    CHECK(to_civil("1969-12-31T00:00:00Z"_utc).weekday == 3);
}

TEST_CASE("time: durations carry their unit, and a bare number is refused") {
    CHECK(parse_duration("5min") == 5min);
    CHECK(parse_duration("1h30min") == 90min);
    CHECK(parse_duration("0s") == 0s);
    for (const char* bad : {"", "5", "min", "5 s", "-5s", "5.5s", "1h30", "99999999999999999s", "300000000000d"})
        CHECK_MESSAGE(!parse_duration(bad), bad);
    CHECK(to_text(90min) == "1h30min");
    CHECK(to_text(1500ms) == "1s500ms");
    CHECK(parse_duration(to_text(Duration(123'456'789'012))) == Duration(123'456'789'012));
}
