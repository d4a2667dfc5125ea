#include "base/zone.h"

#include <doctest/doctest.h>

using namespace weir;

namespace {
Zone zone(const char* name) {
    auto found = Zone::find(name);
    REQUIRE(found.ok());
    return *found;
}
}  // namespace

TEST_CASE("zone: a day in Europe/Zurich has 23 hours when clocks go forward, 25 when they go back, else 24 (decisions.md 14)") {
    const Zone zurich = zone("Europe/Zurich");
    struct Day {
        Timestamp inside, start;
        Duration length;
    };
    const Day days[] = {{"2026-03-29T10:00:00Z"_utc, "2026-03-28T23:00:00Z"_utc, 23h},
                        {"2026-10-25T10:00:00Z"_utc, "2026-10-24T22:00:00Z"_utc, 25h},
                        {"2026-02-17T10:00:00Z"_utc, "2026-02-16T23:00:00Z"_utc, 24h},
                        {"2025-12-31T23:00:00Z"_utc, "2025-12-31T23:00:00Z"_utc, 24h}};
    for (const Day& day : days) {
        CHECK(zurich.start_of_day(day.inside) == day.start);
        CHECK(zurich.start_of_next_day(day.inside) == day.start + day.length);
        CHECK(zurich.start_of_day(day.start) == day.start);
        CHECK(zurich.start_of_day(day.start - Duration(1)) < day.start);
    }
}

TEST_CASE("zone: local date and time of a moment") {
    const Zone zurich = zone("Europe/Zurich");
    const CivilTime summer = zurich.to_local("2026-07-31T22:30:15.25Z"_utc);
    CHECK(summer.month == 8);
    CHECK(summer.day == 1);
    CHECK(summer.hour == 0);
    CHECK(summer.minute == 30);
    CHECK(summer.second == 15);
    CHECK(summer.micros == 250'000);
    CHECK(summer.weekday == 6);
    CHECK(zurich.offset("2026-01-01T00:00:00Z"_utc) == 1h);
    CHECK(zone("America/New_York").offset("1969-12-31T23:59:59.5Z"_utc) == -5h);
}

TEST_CASE("zone: a local time that is shown twice means the first, one that is never shown the moment of the jump") {
    const Zone zurich = zone("Europe/Zurich");
    CHECK(zurich.from_local(2026, 10, 25, 2, 30) == "2026-10-25T00:30:00Z"_utc);
    CHECK(zurich.from_local(2026, 3, 29, 2, 30) == "2026-03-29T01:00:00Z"_utc);
    CHECK(zurich.next_change("2026-02-01T00:00:00Z"_utc) == "2026-03-29T01:00:00Z"_utc);
}

TEST_CASE("zone: every moment lies in its day, in zones that are hard on days too") {
    // São Paulo's clocks once went forward at midnight, Samoa left out a whole day, St. John's put clocks back just after midnight.
    for (const char* name : {"America/Sao_Paulo", "Pacific/Apia", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"}) {
        const Zone z = zone(name);
        for (Timestamp t = "2006-01-01T00:00:00Z"_utc; t < "2012-02-01T00:00:00Z"_utc; t = t + Duration(1'777'777'777)) {
            const Timestamp start = z.start_of_day(t), next = z.start_of_next_day(t);
            if (!(start <= t && t < next && z.start_of_day(next) == next && z.start_of_day(next - Duration(1)) == start)) {
                CAPTURE(name);
                FAIL(to_rfc3339(t));
            }
        }
    }
}

TEST_CASE("zone: UTC is the default, and days in it have 24 hours through every change elsewhere") {
    CHECK(zone("UTC") == Zone());
    CHECK(Zone().name() == "UTC");
    CHECK(Zone().start_of_day("2026-03-29T23:59:59.999999Z"_utc) == "2026-03-29T00:00:00Z"_utc);
    CHECK(Zone().start_of_next_day("2026-03-29T00:00:00Z"_utc) == "2026-03-30T00:00:00Z"_utc);
}

TEST_CASE("zone: an unknown name is an error that names what was meant") {
    const auto wrong = Zone::find("Europe/Zürich");
    REQUIRE(!wrong.ok());
    CHECK(wrong.error().code == "unknown_zone");
    CHECK(wrong.error().message == "time zone \"Europe/Zürich\" is not in the system's zone data; did you mean Europe/Zurich?");
    CHECK(Zone::find("europe/zurich").error().message.find("did you mean Europe/Zurich?") != std::string::npos);
    CHECK(!Zone::find("").ok());
    CHECK(!Zone::find("../../etc/passwd").ok());
}
