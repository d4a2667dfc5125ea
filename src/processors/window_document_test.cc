#include "processors/window_document.h"

#include <doctest/doctest.h>

#include "processors/window_test_support.h"

using namespace weir;

namespace {

const Timestamp ten = "2026-02-17T10:00:00Z"_utc;

/// A weir that heard a reading every five seconds in these stretches (seconds from ten o'clock).
struct Heard {
    WindowRig rig;
    std::vector<WindowReading> readings;

    explicit Heard(std::vector<std::pair<int, int>> stretches) {
        rig.pass_to(ten - 60s);
        rig.interval(5s);
        rig.live(ten - 5s, 40);
        for (const auto& [from, to] : stretches)
            for (int s = from; s < to; s += 5) {
                const Timestamp t = ten + std::chrono::seconds(s);
                const double value = 40 + s % 7;
                if (rig.now() < t) rig.live(t, value);
                else rig.reading(t, value);
                if (t < ten + 5min) readings.push_back({t, value, "websocket"});
            }
        rig.live(ten + 5min, 40);
        rig.pass_to(ten + 10min);
    }
    const Json& document() const {
        REQUIRE(rig.last(ten));
        return rig.last(ten)->data;
    }
};

std::vector<WindowReading> all_of(const Heard& a, const Heard& b) {
    std::map<Timestamp, WindowReading> by_time;
    for (const Heard* heard : {&a, &b})
        for (const auto& r : heard->readings) by_time.emplace(r.time, r);
    std::vector<WindowReading> all;
    for (auto& [t, r] : by_time) all.push_back(r);
    return all;
}

Json joined(const Heard& a, const Heard& b) {
    const auto text = join_windows(a.document(), b.document(), all_of(a, b), 1, analytics::MedianKind::exact, 100'000);
    REQUIRE_MESSAGE(text.ok(), (text.ok() ? std::string() : text.error().message));
    const auto other = join_windows(b.document(), a.document(), all_of(a, b), 1, analytics::MedianKind::exact, 100'000);
    CHECK(*text == *other);
    return *Json::parse(*text);
}

const Json& member(const Json& document, std::string_view pointer) {
    static const Json none;
    const Json* found = JsonPointer::parse(pointer)->find(document);
    return found ? *found : none;
}

}  // namespace

TEST_CASE("window document: two halves of a window are the whole one, in statistics and coverage (decisions.md 12)") {
    const Heard first({{0, 180}}), second({{120, 300}}), whole({{0, 300}});
    CHECK(member(first.document(), "/coverage/missing").as_integer() == 24);
    const Json document = joined(first, second);
    CHECK(member(document, "/statistics").text() == member(whole.document(), "/statistics").text());
    for (const char* name : {"expected", "received", "missing", "rejected", "late", "ratio", "complete", "sources", "gaps", "reason"}) {
        CAPTURE(name);
        CHECK(member(document, std::string("/coverage/") + name).text() == member(whole.document(), std::string("/coverage/") + name).text());
    }
    CHECK(member(document, "/coverage/complete").as_boolean());
    CHECK(member(document, "/first_seq").is_null());
    CHECK(member(document, "/revision").as_integer() == 1);
    CHECK(member(document, "/window/end").text() == member(whole.document(), "/window/end").text());
}

TEST_CASE("window document: a gap of the joined window is what neither has heard, and missing counts it") {
    const Heard first({{0, 100}}), second({{200, 300}});
    const Json document = joined(first, second);
    CHECK(member(document, "/coverage/received").as_integer() == 40);
    CHECK(member(document, "/coverage/missing").as_integer() == 20);
    CHECK_FALSE(member(document, "/coverage/complete").as_boolean());
    const auto& gaps = member(document, "/coverage/gaps").items();
    REQUIRE(gaps.size() == 1);
    CHECK(*gaps[0].find_string("from") == "2026-02-17T10:01:35.000Z");
    CHECK(*gaps[0].find_string("to") == "2026-02-17T10:03:20.000Z");
}

TEST_CASE("window document: an empty window of one log takes nothing from the other's, and two empty ones keep their reason") {
    const Heard none({}), some({{0, 300}});
    CHECK(member(none.document(), "/statistics/count").as_integer() == 0);
    const Json document = joined(none, some);
    CHECK(member(document, "/statistics").text() == member(some.document(), "/statistics").text());
    CHECK(member(document, "/coverage/reason").is_null());
    const Json empty = joined(none, none);
    CHECK(member(empty, "/statistics/min").is_null());
    CHECK(member(empty, "/coverage/reason").as_string() == "upstream_silent");
    CHECK(member(empty, "/coverage/missing").as_integer() == 60);
}

TEST_CASE("window document: documents of different windows, keys or fields are not joined") {
    const Heard heard({{0, 300}});
    for (const char* pointer : {"key", "stream", "field"}) {
        Json other = heard.document();
        other.set(pointer, Json::string("another"));
        CHECK(join_windows(heard.document(), other, {}, 1, analytics::MedianKind::exact, 100).error().code == "bad_window");
    }
    Json other = heard.document();
    Json window = *other.find("window");
    window.set("end", Json::string("2026-02-17T10:06:00.000Z"));
    other.set("window", window);
    CHECK(join_windows(heard.document(), other, {}, 1, analytics::MedianKind::exact, 100).error().code == "bad_window");
    CHECK(join_windows(Json(), heard.document(), {}, 1, analytics::MedianKind::exact, 100).error().code == "bad_window");
}
