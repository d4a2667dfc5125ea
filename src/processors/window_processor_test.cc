#include "processors/window_processor.h"

#include <doctest/doctest.h>

#include "base/prng.h"
#include "processors/window_test_support.h"

using namespace weir;

namespace {

const Timestamp ten = "2026-02-17T10:00:00Z"_utc;

// A source that sends every 5 s from `from` until `to`.
void source(WindowRig& rig, Timestamp from, Timestamp to, Duration spacing = 5s) {
    for (Timestamp t = from; t < to; t = t + spacing) rig.live(t, 45 + static_cast<double>((t.micros() / 1'000'000) % 8));
}

}  // namespace

TEST_CASE("window: sixty readings from 10:00:00 to 10:04:55 are one whole window, closed by the reading at 10:05:10 (S0-6, S0-7, S0-8)") {
    WindowRig rig;
    rig.pass_to(ten);
    rig.interval(5s);
    source(rig, ten, ten + 5min + 15s);
    REQUIRE(rig.written.size() == 1);
    const auto& w = rig.written[0];
    CHECK(w.string("/window/name") == "5min");
    CHECK(w.string("/window/kind") == "tumbling");
    CHECK(w.string("/window/start") == "2026-02-17T10:00:00.000Z");
    CHECK(w.string("/window/end") == "2026-02-17T10:05:00.000Z");
    CHECK(w.integer("/window/duration_seconds") == 300);
    CHECK(w.string("/window/closed_at") == "2026-02-17T10:05:10.000Z");
    CHECK(w.at("/window/cut").is_null());
    CHECK(w.string("/stream") == "pools");
    CHECK(w.string("/key") == "SSD-7");
    CHECK(w.string("/field") == "/v");
    CHECK(w.revision() == 0);
    CHECK(w.integer("/statistics/count") == 60);
    CHECK(w.integer("/statistics/min") == 45);
    CHECK(w.integer("/statistics/max") == 52);
    CHECK(w.integer("/coverage/expected") == 60);
    CHECK(w.integer("/coverage/received") == 60);
    CHECK(w.integer("/coverage/missing") == 0);
    CHECK(w.integer("/coverage/ratio") == 1);
    CHECK(w.at("/coverage/complete").as_boolean());
    CHECK(w.integer("/coverage/connected_seconds") == 300);
    CHECK(w.integer("/coverage/sources/websocket") == 60);
    CHECK(w.integer("/coverage/interval_ms") == 5000);
    CHECK(w.at("/coverage/gaps").items().empty());
    CHECK(w.at("/coverage/reason").is_null());
    CHECK(w.integer("/first_seq") == 1);
    CHECK(w.integer("/last_seq") == 60);
    CHECK(w.time == ten);
}

TEST_CASE("window: a reading on the boundary belongs to the window it opens (S4-R12)") {
    WindowRig rig;
    rig.live(ten + 1s, 1);
    rig.live(ten + 5min, 2);
    rig.live(ten + 5min + 11s, 3);
    rig.pass_to(ten + 11min);
    CHECK(rig.last(ten)->integer("/statistics/count") == 1);
    CHECK(rig.last(ten + 5min)->integer("/statistics/count") == 2);
    CHECK(rig.last(ten + 5min)->integer("/statistics/first") == 2);
}

TEST_CASE("window: a source that stops at any instant has its window closed at its end plus the lateness (D4)") {
    Prng prng(1);
    for (int round = 0; round < 200; ++round) {
        CAPTURE(round);
        WindowRig rig;
        rig.pass_to(ten);
        rig.interval(5s);
        const Timestamp stop = ten + Duration(static_cast<std::int64_t>(prng.below(900'000'000)));
        for (Timestamp t = ten; t < stop; t = t + 5s) rig.live(t, 1);
        rig.pass_to(ten + 20min);
        for (Timestamp start = ten; start < ten + 15min; start = start + 5min) {
            REQUIRE(rig.last(start));
            const Duration after = rig.last(start)->ingested - (start + 5min);
            CHECK(after >= 10s);
            CHECK(after <= 10s + 250ms);
        }
    }
}

TEST_CASE("window: an empty window is written, with null statistics and its reason (C-15, S0-32)") {
    WindowRig rig;
    rig.pass_to(ten);
    rig.interval(5s);
    rig.state("live", "recovered", ten);
    source(rig, ten, ten + 4min);
    rig.pass_to(ten + 4min + 1s);
    rig.state("down", "upstream_closed", ten + 4min + 1s);
    rig.pass_to(ten + 16min);
    const auto* first = rig.last(ten);
    CHECK(first->integer("/coverage/missing") == 12);
    CHECK(first->string("/window/cut") == "outage");
    REQUIRE(first->at("/coverage/gaps").items().size() == 1);
    CHECK(first->string("/coverage/gaps/0/from") == "2026-02-17T10:03:55.000Z");
    CHECK(first->string("/coverage/gaps/0/to") == "2026-02-17T10:05:00.000Z");
    CHECK(first->string("/coverage/gaps/0/cause") == "upstream_closed");
    CHECK(first->integer("/coverage/connected_seconds") == 241);
    const auto* empty = rig.last(ten + 5min);
    REQUIRE(empty);
    CHECK(empty->integer("/statistics/count") == 0);
    CHECK(empty->at("/statistics/avg").is_null());
    CHECK(empty->at("/statistics/trend").is_null());
    CHECK(empty->integer("/coverage/missing") == 60);
    CHECK(empty->string("/coverage/reason") == "upstream_closed");
    CHECK(empty->integer("/coverage/connected_seconds") == 0);
    CHECK_FALSE(empty->at("/coverage/complete").as_boolean());
}

TEST_CASE("window: without any key the feed's own window is written, empty, with its reason") {
    WindowRig rig;
    rig.pass_to(ten + 1min);
    rig.state("down", "connecting", ten + 1min);
    rig.pass_to(ten + 11min);
    REQUIRE(rig.last(ten, ""));
    CHECK(rig.last(ten, "")->string("/coverage/reason") == "connecting");
    CHECK(rig.last(ten, "")->string("/window/cut") == "start");
    CHECK(rig.last(ten + 5min, "")->string("/window/cut") == "outage");
    rig.live(ten + 12min, 0);
    rig.pass_to(ten + 16min);
    CHECK_FALSE(rig.last(ten + 10min, ""));  // a key speaks now
    CHECK(rig.last(ten + 10min)->integer("/statistics/count") == 1);
}

TEST_CASE("window: 0 is a reading, and so are windows of nothing else (C-7)") {
    WindowRig rig;
    rig.pass_to(ten);
    rig.interval(5s);
    for (Timestamp t = ten; t < ten + 6min; t = t + 5s) rig.live(t, 0);
    const auto* w = rig.last(ten);
    CHECK(w->integer("/statistics/count") == 60);
    CHECK(w->integer("/statistics/max") == 0);
    CHECK(w->integer("/statistics/median") == 0);
    CHECK(w->integer("/statistics/distinct_changes") == 0);
    CHECK(w->string("/statistics/trend/direction") == "steady");
}

TEST_CASE("window: a late reading within the lateness corrects it, a later one is counted, both as revisions (D3)") {
    WindowRig rig;
    rig.pass_to(ten);
    rig.interval(5s);
    for (Timestamp t = ten; t < ten + 6min; t = t + 5s)
        if (t != ten + 1min && t != ten + 2min) rig.live(t, 10);
    rig.pass_to(ten + 5min + 12s);
    CHECK(rig.last(ten)->integer("/coverage/missing") == 2);
    CHECK(rig.last(ten)->at("/coverage/gaps").items().size() == 2);
    rig.written.clear();

    WindowRig second;
    second.pass_to(ten);
    second.interval(5s);
    for (Timestamp t = ten; t <= ten + 5min + 15s; t = t + 5s)
        if (t != ten + 1min && t != ten + 2min) second.live(t, 10);
    REQUIRE(second.last(ten)->revision() == 0);
    second.reading(ten + 1min, 99);  // the watermark is at 10:05:05: within another ten seconds
    second.pass_to(second.now() + 2s);
    CHECK(second.last(ten)->revision() == 1);
    CHECK(second.last(ten)->integer("/statistics/max") == 99);
    CHECK(second.last(ten)->integer("/coverage/received") == 59);
    CHECK(second.last(ten)->integer("/coverage/late") == 0);
    CHECK(second.last(ten)->at("/coverage/gaps").items().size() == 1);
    source(second, ten + 5min + 20s, ten + 6min);
    second.reading(ten + 2min, 99);  // too late for the statistics
    second.pass_to(second.now() + 2s);
    CHECK(second.last(ten)->revision() == 2);
    CHECK(second.last(ten)->integer("/coverage/received") == 59);
    CHECK(second.last(ten)->integer("/coverage/late") == 1);
    CHECK(second.last(ten)->integer("/coverage/missing") == 0);
    source(second, ten + 6min, ten + 80min);
    const auto before = second.written.size();
    second.reading(ten + 2min, 99);  // nobody remembers
    second.pass_to(second.now() + 2s);
    CHECK(second.written.size() == before);
    CHECK(second.processor().forgotten_late() == 1);
}

TEST_CASE("window: a reading more than 5 s ahead of the commit is rejected as future, and moves nothing") {
    WindowRig rig;
    rig.pass_to(ten);
    rig.interval(5s);
    source(rig, ten, ten + 1min);
    rig.reading(ten + 24h, 7);
    rig.reading(rig.now() + 5s + 1us, 7);
    source(rig, ten + 1min, ten + 6min);
    CHECK(rig.last(ten)->integer("/coverage/rejected_reasons/future") == 2);
    CHECK(rig.last(ten)->integer("/coverage/received") == 60);
    CHECK_FALSE(rig.last(ten + 24h));
}

TEST_CASE("window: what was refused counts in its window, without a key in the feed's (decisions.md 6)") {
    WindowRig rig;
    rig.pass_to(ten);
    rig.interval(5s);
    for (Timestamp t = ten; t < ten + 6min; t = t + 5s) {
        rig.pass_to(t);
        if (t == ten + 30s) rig.rejected("not_a_number", "SSD-7", t);
        else if (t == ten + 40s) rig.rejected("malformed", "", std::nullopt);
        else rig.reading(t, 3);
    }
    rig.pass_to(ten + 6min);
    const auto* w = rig.last(ten);
    CHECK(w->integer("/coverage/received") == 58);
    CHECK(w->integer("/coverage/rejected") == 1);
    CHECK(w->integer("/coverage/rejected_reasons/not_a_number") == 1);
    CHECK(w->integer("/coverage/missing") == 1);
    REQUIRE(w->at("/coverage/gaps").items().size() == 2);
    CHECK(w->string("/coverage/gaps/0/cause") == "rejected");
    CHECK(w->string("/coverage/gaps/1/cause") == "rejected");
    const auto* feed = rig.last(ten, "");
    REQUIRE(feed);
    CHECK(feed->integer("/coverage/rejected_reasons/malformed") == 1);
    CHECK(feed->string("/coverage/reason") == "all_rejected");
}

TEST_CASE("window: a field that is missing, null or text is rejected with its reason") {
    WindowRig rig;
    rig.pass_to(ten);
    const auto raw = [&](std::string_view id, std::string_view data) {
        EventList events;
        EventView e;
        e.id = id, e.type = "reading", e.key = "SSD-7", e.source = "push", e.data = data, e.time = rig.now(), e.ingested = rig.now();
        events.add(e);
        rig.commit(std::move(events), {});
    };
    raw("a", R"({"w":1})");
    raw("b", R"({"v":null})");
    raw("c", R"({"v":"n/a"})");
    raw("d", R"({"v":0})");
    rig.pass_to(ten + 6min);
    CHECK(rig.last(ten)->integer("/statistics/count") == 1);
    CHECK(rig.last(ten)->at("/coverage/rejected_reasons").text() == R"({"missing_value":1,"not_a_number":1,"null":1})");
}

TEST_CASE("window: weir down is a gap from the last commit to the restart, and cuts the window (D1, D2)") {
    WindowRig rig;
    rig.pass_to(ten);
    rig.interval(5s);
    rig.state("live", "recovered", ten);
    source(rig, ten, ten + 1min);
    rig.ticking = false;  // killed at 10:00:57, started again at 10:03:02
    rig.pass_to(ten + 3min + 2s);
    rig.ticking = true;
    Notes notes;
    notes.feed_states.push_back({"weir", "live", "weir_down", "", rig.now(), "weir started"});
    rig.commit({}, std::move(notes));
    source(rig, ten + 3min + 5s, ten + 6min);
    const auto* w = rig.last(ten);
    CHECK(w->string("/window/cut") == "outage");
    CHECK(w->integer("/coverage/missing") == 25);
    REQUIRE(w->at("/coverage/gaps").items().size() == 1);
    CHECK(w->string("/coverage/gaps/0/from") == "2026-02-17T10:00:55.000Z");
    CHECK(w->string("/coverage/gaps/0/to") == "2026-02-17T10:03:05.000Z");
    CHECK(w->string("/coverage/gaps/0/cause") == "weir_down");
    CHECK(w->number("/coverage/connected_seconds") == 173);
}

TEST_CASE("window: cut by a start, cut by a stop (C-39)") {
    WindowRig rig;
    rig.pass_to(ten + 2min);
    rig.interval(5s);
    rig.state("live", "recovered", ten + 2min);
    source(rig, ten + 2min, ten + 7min);
    CHECK(rig.last(ten)->string("/window/cut") == "start");
    CHECK(rig.last(ten)->integer("/coverage/missing") == 24);
    CHECK(rig.last(ten)->integer("/coverage/connected_seconds") == 180);
    CHECK(rig.last(ten)->string("/coverage/gaps/0/cause") == "connecting");
    rig.state("down", "stopped", rig.now());
    rig.pass_to(ten + 12min);
    CHECK(rig.last(ten + 5min)->string("/window/cut") == "stop");
    CHECK(rig.last(ten + 5min)->string("/coverage/gaps/0/cause") == "weir_down");
}

TEST_CASE("window: a clock step stands in the window (C-38)") {
    WindowRig rig;
    rig.pass_to(ten);
    rig.interval(5s);
    rig.state("live", "recovered", ten);
    source(rig, ten, ten + 1min);
    rig.pass_to(ten + 2min);  // the clock jumped a minute ahead
    rig.state("live", "clock_step", ten + 1min);
    source(rig, ten + 2min, ten + 6min);
    const auto* w = rig.last(ten);
    bool told = false;
    for (const Json& gap : w->at("/coverage/gaps").items()) told = told || *gap.find_string("cause") == "clock_step";
    CHECK(told);
}

TEST_CASE("window: an interval that is not known is not invented") {
    WindowRig rig;
    source(rig, ten, ten + 6min, 7s);
    const auto* w = rig.last(ten);
    CHECK(w->at("/coverage/expected").is_null());
    CHECK(w->at("/coverage/missing").is_null());
    CHECK(w->at("/coverage/ratio").is_null());
    CHECK_FALSE(w->at("/coverage/complete").as_boolean());
}

TEST_CASE("window: midnight, the end of a month, 1970 and before are boundaries like any other (S1-6)") {
    for (const Timestamp from : {"2026-02-28T23:55:00Z"_utc, "2024-02-29T23:55:00Z"_utc, "1970-01-01T00:00:00Z"_utc, "1969-12-31T23:55:00Z"_utc}) {
        WindowRig rig;
        rig.pass_to(from);
        rig.interval(5s);
        source(rig, from, from + 11min);
        REQUIRE(rig.written.size() == 2);
        CHECK(rig.last(from)->integer("/coverage/received") == 60);
        CHECK(rig.last(from + 5min)->integer("/coverage/received") == 60);
        CHECK(rig.last(from)->end() == from + 5min);
    }
}

TEST_CASE("window: the last microsecond before a boundary and the boundary itself fall on its two sides, at every kind of midnight (D2, S4-R12)") {
    for (const Timestamp boundary : {"2026-02-18T00:00:00Z"_utc, "2026-03-01T00:00:00Z"_utc, "2024-02-29T00:00:00Z"_utc, "2024-03-01T00:00:00Z"_utc,
                                     "2027-01-01T00:00:00Z"_utc, "1970-01-01T00:00:00Z"_utc, "2026-02-17T10:05:00Z"_utc}) {
        CAPTURE(to_rfc3339(boundary));
        WindowRig rig;
        rig.pass_to(boundary - 5min);
        rig.live(boundary - 5min, 0);
        rig.live(boundary - Duration(1), 0);
        rig.live(boundary, 7);
        rig.live(boundary + 5min - Duration(1), 8);
        rig.live(boundary + 5min, 9);
        rig.pass_to(boundary + 11min);
        const auto *before = rig.last(boundary - 5min), *after = rig.last(boundary);
        REQUIRE((before && after));
        CHECK(before->end() == boundary);
        CHECK(before->integer("/statistics/count") == 2);
        CHECK(before->number("/statistics/max") == 0);  // 0 is a reading, here as anywhere
        CHECK(after->integer("/statistics/count") == 2);
        CHECK(after->number("/statistics/first") == 7);
        CHECK(after->number("/statistics/last") == 8);
    }
}

TEST_CASE("window: a day of a zone begins at its midnight, and on the days that clocks change nothing is lost or counted twice (decisions.md 14, C-38)") {
    auto options = five_minutes();
    options.size = 24h;
    options.zone = *Zone::find("Europe/Zurich");
    struct Day {
        Timestamp start, end;
        int hours;
    };
    for (const Day& day : {Day{"2026-03-28T23:00:00Z"_utc, "2026-03-29T22:00:00Z"_utc, 23}, Day{"2026-10-24T22:00:00Z"_utc, "2026-10-25T23:00:00Z"_utc, 25},
                           Day{"2026-06-30T22:00:00Z"_utc, "2026-07-01T22:00:00Z"_utc, 24}}) {
        CAPTURE(day.hours);
        WindowRig rig(options);
        rig.pass_to(day.start - 24h);
        rig.interval(600s);
        for (Timestamp t = day.start - 12h; t <= day.end + 1h; t = t + 600s) rig.live(t, t >= day.start && t < day.end ? 1 : 5);
        rig.live(day.end - Duration(1), 1);  // late by more than an hour: stays out
        rig.pass_to(day.end + 2h);
        const auto* w = rig.last(day.start);
        REQUIRE(w);
        CHECK(w->end() == day.end);
        CHECK(w->number("/window/duration_seconds") == day.hours * 3600);
        CHECK(w->integer("/coverage/received") == day.hours * 6);
        CHECK(w->integer("/coverage/expected") == day.hours * 6);
        CHECK(w->integer("/coverage/missing") == 0);
        CHECK(w->number("/statistics/min") == 1);
        CHECK(w->number("/statistics/max") == 1);
        CHECK(w->integer("/coverage/late") == 1);
    }
    // The hour that clocks show twice is two hours of UTC: twelve windows of five minutes each, none of them shared.
    WindowRig rig;
    rig.pass_to("2026-10-25T00:00:00Z"_utc);
    rig.interval(5s);
    source(rig, "2026-10-25T00:00:00Z"_utc, "2026-10-25T02:00:00Z"_utc);
    rig.pass_to("2026-10-25T02:10:00Z"_utc);
    for (int i = 0; i < 24; ++i) CHECK(rig.last("2026-10-25T00:00:00Z"_utc + i * 5min)->integer("/coverage/received") == 60);
}

TEST_CASE("window: every second, every ten, or only on change: a window says what it has, and what was promised (S1-21)") {
    const auto run = [](Duration spacing, bool known) {
        WindowRig rig;
        rig.pass_to(ten - 1min);
        if (known) rig.interval(spacing);
        for (Timestamp t = ten - spacing; t < ten + 6min; t = t + spacing) rig.live(t, 40);
        rig.pass_to(ten + 11min);
        REQUIRE(rig.last(ten));
        return *rig.last(ten);
    };
    for (const int seconds : {1, 10, 60}) {
        CAPTURE(seconds);
        const auto w = run(std::chrono::seconds(seconds), true);
        CHECK(w.integer("/coverage/received") == 300 / seconds);
        CHECK(w.integer("/coverage/expected") == 300 / seconds);
        CHECK(w.integer("/coverage/missing") == 0);
        CHECK(w.at("/coverage/complete").as_boolean());
        CHECK(w.at("/coverage/gaps").items().empty());
        CHECK(w.number("/statistics/avg") == 40);
    }
    // On change only there is no interval: silence means that nothing changed, and nothing is called missing.
    const auto w = run(170s, false);
    CHECK(w.integer("/coverage/received") == 2);
    CHECK(w.at("/coverage/expected").is_null());
    CHECK(w.at("/coverage/missing").is_null());
    CHECK(w.number("/statistics/avg") == 40);
}

TEST_CASE("window: a window longer than the data says so") {
    auto options = five_minutes();
    options.size = 24h;
    WindowRig rig(options);
    rig.pass_to(ten);
    rig.interval(5s);
    source(rig, ten, ten + 10min);
    rig.pass_to("2026-02-18T00:00:10Z"_utc);
    const auto* w = rig.last("2026-02-17T00:00:00Z"_utc);
    REQUIRE(w);
    CHECK(w->integer("/coverage/received") == 120);
    CHECK(w->integer("/coverage/expected") == 17'280);
    CHECK(w->string("/window/cut") == "start");
    CHECK_FALSE(w->at("/coverage/complete").as_boolean());
}

TEST_CASE("window: a day in Zurich has 23 or 25 hours where clocks change (decisions.md 14)") {
    auto zone = Zone::find("Europe/Zurich");
    REQUIRE(zone);
    auto options = five_minutes();
    options.size = 24h;
    options.zone = *zone;
    const WindowBounds bounds(options);
    CHECK(bounds.first_ending_after("2026-03-29T12:00:00Z"_utc) == "2026-03-28T23:00:00Z"_utc);
    CHECK(bounds.end("2026-03-28T23:00:00Z"_utc) == "2026-03-29T22:00:00Z"_utc);
    CHECK(bounds.next_start("2026-10-24T22:00:00Z"_utc) == "2026-10-25T23:00:00Z"_utc);
    CHECK(bounds.pane("2026-10-25T22:59:59Z"_utc) == "2026-10-24T22:00:00Z"_utc);
}

TEST_CASE("window: windows on a schedule hold only what lies in them") {
    auto options = five_minutes();
    options.schedule = *Schedule::parse("0 0 * * * *");
    WindowRig rig(options);
    rig.pass_to(ten - 10s);
    rig.interval(5s);
    source(rig, ten - 10s, ten + 70min);
    REQUIRE(rig.last(ten));
    CHECK(rig.last(ten)->integer("/coverage/received") == 60);
    CHECK(rig.last(ten + 60min)->integer("/coverage/received") == 60);
    CHECK_FALSE(rig.last(ten + 5min));
}

TEST_CASE("window: hopping windows are the tumbling ones of every offset") {
    auto options = five_minutes();
    options.kind = WindowKind::hopping;
    options.hop = 1min;
    WindowRig hopping(options);
    std::vector<std::unique_ptr<WindowRig>> tumbling;
    for (int i = 0; i < 5; ++i) {
        auto shifted = five_minutes();
        shifted.offset = std::chrono::minutes(i);
        tumbling.push_back(std::make_unique<WindowRig>(shifted));
    }
    Prng prng(4);
    const auto feed = [&](WindowRig& rig) {
        rig.pass_to(ten);
        rig.interval(5s);
        Prng own(9);
        for (Timestamp t = ten; t < ten + 30min; t = t + 5s)
            if (!own.chance(0.1)) rig.live(t, own.normal());
    };
    feed(hopping);
    for (auto& rig : tumbling) feed(*rig);
    int compared = 0;
    for (Timestamp start = ten; start < ten + 24min; start = start + 1min) {
        const auto* a = hopping.last(start);
        const WrittenWindow* b = nullptr;
        for (auto& rig : tumbling)
            if (const auto* found = rig->last(start)) b = found;
        REQUIRE(a);
        REQUIRE(b);
        CHECK(a->at("/statistics") == b->at("/statistics"));
        CHECK(a->at("/coverage") == b->at("/coverage"));
        ++compared;
    }
    CHECK(compared == 24);
}

TEST_CASE("window: a session ends after the gap, and a late reading joins two") {
    auto options = five_minutes();
    options.kind = WindowKind::session;
    options.gap = 30s;
    options.lateness = 20s;
    WindowRig rig(options);
    rig.live(ten, 1);
    rig.live(ten + 20s, 2);
    rig.live(ten + 60s, 3);
    rig.pass_to(ten + 72s);
    REQUIRE(rig.last(ten));
    CHECK(rig.last(ten)->end() == ten + 50s);
    CHECK(rig.last(ten)->integer("/statistics/count") == 2);
    rig.reading(ten + 40s, 9);  // late; within 30 s of both
    rig.pass_to(ten + 5min);
    CHECK(rig.last(ten)->revision() == 1);
    CHECK(rig.last(ten)->integer("/statistics/count") == 4);
    CHECK(rig.last(ten)->end() == ten + 90s);
    CHECK_FALSE(rig.last(ten + 60s));

    WindowRig two(options);
    two.live(ten, 1);
    two.live(ten + 45s, 2);
    two.pass_to(ten + 95s);  // both closed: the second ends at 75 s
    REQUIRE(two.last(ten + 45s));
    two.reading(ten + 25s, 9);
    two.pass_to(ten + 5min);
    CHECK(two.last(ten)->integer("/statistics/count") == 3);
    CHECK(two.last(ten)->end() == ten + 75s);
    CHECK(two.last(ten + 45s)->integer("/statistics/count") == 0);
    CHECK(two.last(ten + 45s)->string("/coverage/reason") == "merged");
}

TEST_CASE("window: one window over all keys expects the readings of all of them") {
    auto options = five_minutes();
    options.per_key = false;
    WindowRig rig(options);
    rig.pass_to(ten);
    rig.interval(5s);
    for (Timestamp t = ten; t < ten + 6min; t = t + 5s)
        for (const char* key : {"SSD-4", "SSD-7", "fb012"}) rig.live(t, 5, key);
    CHECK(rig.last(ten, "")->integer("/coverage/received") == 180);
    CHECK(rig.last(ten, "")->integer("/coverage/expected") == 180);
}

TEST_CASE("window: a history read today is not late, and its windows carry its own times") {
    WindowRig rig;
    rig.pass_to("2026-06-01T12:00:00Z"_utc);
    rig.interval(5s);
    EventList events;
    for (Timestamp t = ten; t < ten + 1h; t = t + 5s) WindowRig::add(events, t, 5);
    rig.commit(std::move(events), {});
    CHECK(rig.last(ten)->integer("/coverage/received") == 60);
    CHECK(rig.last(ten)->at("/coverage/complete").as_boolean());
    CHECK(rig.written.size() == 11);
    rig.pass_to("2026-06-01T12:06:00Z"_utc);  // quiet: the last window closes by the clock
    REQUIRE(rig.last(ten + 55min));
    CHECK(rig.last(ten + 55min)->integer("/coverage/received") == 60);
}

TEST_CASE("window: a leap over years writes a week of empty windows, then waits for the key") {
    WindowRig rig;
    rig.live("1970-01-01T00:01:00Z"_utc, 1);
    rig.live(ten, 2);
    rig.live(ten + 6min, 3);
    CHECK(rig.written.size() == 1 + WindowProcessor::empty_windows_max + 1 + 1);  // once more for the feed as a whole
    CHECK(rig.last(ten)->integer("/statistics/count") == 1);
}

TEST_CASE("window: the sketch takes over above exact_max, and says so") {
    auto options = five_minutes();
    options.exact_max = 100;
    WindowRig rig(options);
    source(rig, ten, ten + 6min, 1s);
    const auto* w = rig.last(ten);
    CHECK_FALSE(w->at("/statistics/exact").as_boolean());
    CHECK(w->integer("/statistics/count") == 300);
    CHECK(w->at("/statistics/rank_error").is_number());
}
