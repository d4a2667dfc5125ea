#include "base/schedule.h"

#include <doctest/doctest.h>

#include <set>

#include "base/prng.h"

using namespace weir;

namespace {

Schedule schedule(std::string_view text, const char* zone = "UTC") {
    auto parsed = Schedule::parse(text, Zone::find(zone).value());
    if (!parsed.ok()) FAIL(parsed.error().message);
    return *parsed;
}

std::string problem(std::string_view text) {
    const auto parsed = Schedule::parse(text);
    return parsed.ok() ? "" : parsed.error().message;
}

/// Six sets of values and a text that means them, made together: the twin below never sees the parser.
struct Sample {
    std::string text;
    std::set<int> values[6];

    bool matches(const CivilTime& c) const {
        const int fields[] = {c.second, c.minute, c.hour, c.day, c.month, c.weekday};
        for (int i = 0; i < 6; ++i)
            if (!values[i].count(fields[i])) return false;
        return true;
    }
};

int between(Prng& prng, int low, int high) { return low + static_cast<int>(prng.uniform() * (high - low + 1)); }

Sample random_sample(Prng& prng, bool often) {
    constexpr int first[] = {0, 0, 0, 1, 1, 0}, last[] = {59, 59, 23, 31, 12, 6};
    constexpr const char* months[] = {"JAN", "feb", "Mar", "APR", "may", "June", "JUL", "aug", "SEP", "oct", "NOV", "December"};
    constexpr const char* days[] = {"SUN", "mon", "Tue", "wednesday", "THU", "fri", "SAT"};
    const auto word = [&](int field, int value) {
        if (field == 4 && prng.uniform() < 0.5) return std::string(months[value - 1]);
        if (field == 5 && prng.uniform() < 0.5) return std::string(days[value]);
        return std::to_string(value);
    };
    Sample sample;
    for (int i = 0; i < 6; ++i) {
        if (i) sample.text += ' ';
        // Dates are left free mostly, so that the twin need not step through years.
        if (prng.uniform() < (i >= 3 ? 0.8 : often ? 0.3 : 0.1)) {
            sample.text += '*';
            for (int v = first[i]; v <= last[i]; ++v) sample.values[i].insert(v);
            continue;
        }
        for (int items = between(prng, 1, 3); items > 0; --items) {
            const int a = between(prng, first[i], last[i]), b = between(prng, a, last[i]), step = between(prng, 1, 9);
            switch (between(prng, 0, 3)) {
                case 0: sample.text += word(i, a); sample.values[i].insert(a); break;
                case 1: sample.text += word(i, a) + "-" + word(i, b); for (int v = a; v <= b; ++v) sample.values[i].insert(v); break;
                case 2: sample.text += "*/" + std::to_string(step <= last[i] ? step : 1); for (int v = first[i]; v <= last[i]; v += step <= last[i] ? step : 1) sample.values[i].insert(v); break;
                default: sample.text += word(i, a) + "-" + word(i, b) + "/" + std::to_string(step <= last[i] ? step : 1); for (int v = a; v <= b; v += step <= last[i] ? step : 1) sample.values[i].insert(v);
            }
            if (items > 1) sample.text += ',';
        }
    }
    return sample;
}

/// Steps second by second until a clock in `zone` shows a match. With fixed hours each time shown counts once: its first showing,
/// or the jump that skips it.
std::optional<Timestamp> slow_next(const Sample& sample, Zone zone, Timestamp after, std::int64_t seconds_max) {
    const bool every_hour = sample.values[2].size() == 24;
    Timestamp t = after.floor_to(1s);
    Timestamp latest_shown = Timestamp::min();  // the furthest that clocks have been before t
    for (Timestamp u = t - 3h; u <= t; u = u + 1s) latest_shown = std::max(latest_shown, u + zone.offset(u));
    for (std::int64_t i = 0; i < seconds_max; ++i) {
        t = t + 1s;
        const Timestamp shown = t + zone.offset(t);
        if (every_hour) {
            if (sample.matches(to_civil(shown))) return t;
            continue;
        }
        for (Timestamp s = latest_shown + 1s; s <= shown; s = s + 1s)
            if (sample.matches(to_civil(s))) return t;
        latest_shown = std::max(latest_shown, shown);
    }
    return std::nullopt;
}

}  // namespace

TEST_CASE("schedule: */5 in the seconds field is every five seconds, 0 */5 every five minutes (C-1, S0-9)") {
    CHECK(schedule("*/5 * * * * *").next("2026-02-17T10:00:00Z"_utc) == "2026-02-17T10:00:05Z"_utc);
    CHECK(schedule("0 */5 * * * *").next("2026-02-17T10:00:00Z"_utc) == "2026-02-17T10:05:00Z"_utc);
    CHECK(schedule("0 */5 * * * *").next("2026-12-31T23:59:59.999999Z"_utc) == "2027-01-01T00:00:00Z"_utc);
    CHECK(schedule("*/5 * * * * *").shortest_spacing() == 5s);
    CHECK(schedule("0 */5 * * * *").shortest_spacing() == 5min);
}

TEST_CASE("schedule: day and day-of-week both restricted must both match, as in Azure") {
    // Friday the 13th, not every Friday and every 13th.
    CHECK(schedule("0 0 0 13 * FRI").next("2026-03-14T00:00:00Z"_utc) == "2026-11-13T00:00:00Z"_utc);
    CHECK(schedule("0 30 9 * JAN MON-FRI").next("2026-01-30T10:00:00Z"_utc) == "2027-01-01T09:30:00Z"_utc);
}

TEST_CASE("schedule: 29 February comes in leap years, also across 2100 and on one weekday") {
    CHECK(schedule("0 0 12 29 2 *").next("2024-02-29T12:00:00Z"_utc) == "2028-02-29T12:00:00Z"_utc);
    CHECK(schedule("0 0 12 29 2 *").next("2096-02-29T12:00:00Z"_utc) == "2104-02-29T12:00:00Z"_utc);
    CHECK(schedule("0 0 0 29 FEB MON").next("2072-02-29T00:00:00Z"_utc) == "2112-02-29T00:00:00Z"_utc);
    CHECK(schedule("0 0 0 1 1 *").next("9999-06-01T00:00:00Z"_utc) == Timestamp::max());
}

TEST_CASE("schedule: an interval fires at multiples of itself since 1970") {
    // Beyond what a time can be it does not fire, however long it is.
    for (const Duration long_interval : {Duration(Timestamp::max().micros() / 2 + 1), Duration(Timestamp::max().micros() + 1), Duration::max()}) {
        const Timestamp next = Schedule::every(long_interval).next("2026-02-17T10:00:00Z"_utc);
        CHECK(next <= Timestamp::max());
        CHECK(Schedule::every(long_interval).next(next) == Timestamp::max());
    }
    CHECK(schedule("5min").next("2026-02-17T10:04:59Z"_utc) == "2026-02-17T10:05:00Z"_utc);
    CHECK(schedule("5min").next("2026-02-17T10:05:00Z"_utc) == "2026-02-17T10:10:00Z"_utc);
    CHECK(Schedule::every(250ms).next("1969-12-31T23:59:59.9Z"_utc) == "1970-01-01T00:00:00Z"_utc);
    CHECK(Schedule::every(7s).shortest_spacing() == 7s);
}

TEST_CASE("schedule: the next time equals that of a twin that steps second by second") {
    Prng prng(20260217);
    int fired = 0;
    for (int round = 0; round < 400; ++round) {
        const Sample sample = random_sample(prng, false);
        const auto parsed = Schedule::parse(sample.text);
        if (!parsed.ok()) continue;  // a date that no month has
        const Timestamp after = "2024-02-20T00:00:00Z"_utc + Duration(static_cast<std::int64_t>(prng.uniform() * 3e13));
        const auto slow = slow_next(sample, Zone(), after, 100'000);
        const Timestamp fast = parsed->next(after);
        CAPTURE(round);
        CAPTURE(sample.text);
        CAPTURE(to_rfc3339(after));
        if (slow) {
            ++fired;
            REQUIRE(to_rfc3339(fast) == to_rfc3339(*slow));
        } else {
            REQUIRE(fast > after + 100'000s);
        }
    }
    CHECK(fired > 100);
}

TEST_CASE("schedule: in a named zone it agrees with the twin around every kind of clock change") {
    Prng prng(7);
    int fired = 0;
    for (const char* name : {"Europe/Zurich", "Australia/Lord_Howe", "America/Sao_Paulo"}) {
        const Zone zone = Zone::find(name).value();
        Timestamp change = "2017-01-01T00:00:00Z"_utc;
        for (int round = 0; round < 120; ++round) {
            if (round % 30 == 0) change = zone.next_change(change);
            const Sample sample = random_sample(prng, true);
            const auto parsed = Schedule::parse(sample.text, zone);
            if (!parsed.ok()) continue;
            const Timestamp after = change - 2h + Duration(static_cast<std::int64_t>(prng.uniform() * 4 * 3.6e9));
            const auto slow = slow_next(sample, zone, after, 20'000);
            const Timestamp fast = parsed->next(after);
            CAPTURE(name);
            CAPTURE(round);
            CAPTURE(sample.text);
            CAPTURE(to_rfc3339(after));
            if (slow) {
                ++fired;
                REQUIRE(to_rfc3339(fast) == to_rfc3339(*slow));
            } else {
                REQUIRE(fast > after + 20'000s);
            }
        }
    }
    CHECK(fired > 100);
}

TEST_CASE("schedule: daily at 02:30 in Zurich fires once on both DST days") {
    const Schedule daily = schedule("0 30 2 * * *", "Europe/Zurich");
    CHECK(daily.next("2026-03-28T12:00:00Z"_utc) == "2026-03-29T01:00:00Z"_utc);  // 02:30 is skipped: at the jump
    CHECK(daily.next("2026-03-29T01:00:00Z"_utc) == "2026-03-30T00:30:00Z"_utc);
    CHECK(daily.next("2026-10-24T12:00:00Z"_utc) == "2026-10-25T00:30:00Z"_utc);
    CHECK(daily.next("2026-10-25T00:30:00Z"_utc) == "2026-10-26T01:30:00Z"_utc);
    CHECK(schedule("0 0 * * * *", "Europe/Zurich").next("2026-10-25T00:00:00Z"_utc) == "2026-10-25T01:00:00Z"_utc);
}

TEST_CASE("schedule: the shortest spacing looks across midnight, months and years") {
    CHECK(schedule("0 0 0,23 * * *").shortest_spacing() == 1h);
    CHECK(schedule("0 59 23 31 * *").shortest_spacing() == 31 * 24h);
    CHECK(schedule("0 0 12 29 2 *").shortest_spacing() == 1461 * 24h);
    CHECK(schedule("0 0 12 1 3 *").shortest_spacing() == 365 * 24h);
    CHECK(schedule("50,55 0 8 * * *").shortest_spacing() == 5s);
    Prng prng(3);
    for (int round = 0; round < 50; ++round) {
        const Sample sample = random_sample(prng, false);
        const auto parsed = Schedule::parse(sample.text);
        if (!parsed.ok()) continue;
        const Duration shortest = parsed->shortest_spacing();
        Timestamp t = parsed->next("2026-01-01T00:00:00Z"_utc);
        for (int i = 0; i < 500; ++i) {
            const Timestamp u = parsed->next(t);
            CAPTURE(sample.text);
            REQUIRE(u - t >= shortest);
            t = u;
        }
    }
}

TEST_CASE("schedule: a mistake names the field, what was found and what is allowed") {
    CHECK(problem("0 60 * * * *") ==
          "schedule \"0 60 * * * *\": minute is \"60\"; allowed: 0 to 59, *, ranges (a-b), steps (*/n, a-b/n) and lists of these (a,b)");
    CHECK(problem("0 * * * * 7").find("day-of-week is \"7\"; allowed: 0 (Sunday) to 6 or SUN to SAT") != std::string::npos);
    CHECK(problem("0 * * 0 * *").find("day is \"0\"; allowed: 1 to 31") != std::string::npos);
    CHECK(problem("0 * * * FOO *").find("month is \"FOO\"") != std::string::npos);
    CHECK(problem("0 */0 * * * *").find("minute is \"*/0\"; allowed as a step: 1 to 59") != std::string::npos);
    CHECK(problem("0 * * * * FRI-MON").find("runs backwards") != std::string::npos);
    CHECK(problem("*/5 * * * *").find("5 fields; allowed: six") != std::string::npos);
    CHECK(problem("0 0 0 30 2 *").find("never fires: day is \"30\" and month is \"2\"") != std::string::npos);
    for (const char* text : {"", " ", "5", "0s", "-5min", "0 1- * * * *", "0 , * * * *", "0 1,,2 * * * *", "0 -1 * * * *", "0 *5 * * * *",
                             "0 1-2-3 * * * *", "0 1/2/3 * * * *", "? * * * * *", "0 * * * * * *", "0 99999999999 * * * *"}) {
        CAPTURE(text);
        CHECK(!Schedule::parse(text).ok());
    }
}
