#include "processors/alert_processor.h"

#include <doctest/doctest.h>

#include "base/prng.h"
#include "processors/alert_test_support.h"

using namespace weir;

namespace {

std::string changes(const std::vector<AlertRig::Message>& messages) {
    std::string all;
    for (const auto& message : messages) all += (all.empty() ? "" : " ") + message["change"];
    return all;
}

std::string rule(const std::string& more) { return R"({"name":"full","stream":"pools","values":["/fill"],)" + more + "}"; }
const std::string above_100 = R"("condition":"above","level":100,"clear":90)";

}  // namespace

TEST_CASE("alerts: a number beyond its level fires once, tells what it is about, and is resolved (D15, S4-R14)") {
    AlertRig rig;
    REQUIRE(rig.rules(rule(above_100 + R"(,"severity":"critical","title":"{/name} is full","labels":{"team":"pools"})")).empty());
    CHECK(rig.reading("A", "100").empty());
    rig.now = rig.now + 1s;
    const auto told = rig.reading("A", "104");
    REQUIRE(changes(told) == "firing");
    const auto& alert = told[0];
    CHECK(alert.stream == "alerts");
    CHECK(alert.type == "alert");
    CHECK(alert.key == "full/A");
    CHECK(alert.time == rig.now);
    CHECK(alert["id"].size() == 32);
    CHECK(alert["rule"] == "full");
    CHECK(alert["title"] == "Pool A is full");
    CHECK(alert["severity"] == "critical");
    CHECK(alert["state"] == "firing");
    CHECK(alert["metric"] == "/fill");
    CHECK(alert["condition"] == "above");
    CHECK(alert["threshold"] == "100");
    CHECK(alert["clear"] == "90");
    CHECK(alert["value"] == "104");
    CHECK(alert["message"] == "104 is above 100");
    CHECK(alert["triggered_at"] == to_rfc3339(rig.now));
    CHECK(alert["resolved_at"] == "null");
    CHECK(alert["labels"] == R"({"team":"pools"})");
    CHECK(alert["cause"] == R"({"stream":"pools","epoch":"0000000000000000","seq":2})");
    rig.now = rig.now + 90s;
    const auto end = rig.reading("A", "88");
    REQUIRE(changes(end) == "resolved");
    CHECK(end[0]["message"] == "88 is no longer above 100");
    CHECK(end[0]["id"] == alert["id"]);
    CHECK(end[0]["duration_seconds"] == "90");
    CHECK(end[0]["resolved_at"] == to_rfc3339(rig.now));
    // One that fires later is another one.
    const auto again = rig.reading("A", "120");
    REQUIRE(changes(again) == "firing");
    CHECK(again[0]["id"] != alert["id"]);
}

TEST_CASE("alerts: a noisy number around a level is one alert, not hundreds; each key has its own (D15)") {
    AlertRig rig;
    rig.rules(rule(above_100));
    Prng chance(7);
    std::size_t fired = 0;
    std::string id;
    for (int i = 0; i < 2000; ++i) {
        rig.now = rig.now + 100ms;
        for (const auto& message : rig.reading("A", std::to_string(92 + chance.below(17)))) fired += message["change"] == "firing", id = message["id"];
    }
    CHECK(fired == 1);
    CHECK(changes(rig.reading("B", "101")) == "firing");
    rig.reading("A", "92");
    REQUIRE(rig.ask("shelve", R"({"alert_id":")" + id + R"(","user":"ann","for":"1s"})") == "");
    CHECK(rig.told_by_command[0]["message"] == "92 has been above 100, and is not at 90 yet");
    CHECK(changes(rig.reading("A", "90")) == "resolved");
    CHECK(changes(rig.reading("B", "91")).empty());
    // `below` is the same from the other side.
    AlertRig cold;
    cold.rules(rule(R"("condition":"below","level":5,"clear":7)"));
    CHECK(changes(cold.reading("A", "4.9")) == "firing");
    CHECK(changes(cold.reading("A", "6.9")).empty());
    CHECK(changes(cold.reading("A", "7")) == "resolved");
}

TEST_CASE("alerts: a spike of one sample is caught, however short; equals and not_equals take truths (D15)") {
    AlertRig rig;
    rig.rules(rule(R"("condition":"above","level":100)"));
    EventList events;
    for (const char* value : {"1", "500", "1"}) rig.add(events, "reading", std::string(R"({"fill":)") + value + "}", "A");
    CHECK(changes(rig.commit(std::move(events), "pools")) == "firing resolved");
    rig.rules(rule(R"("condition":"equals","level":0)"));
    CHECK(changes(rig.reading("A", "false")) == "firing");
    CHECK(changes(rig.reading("A", "true")) == "resolved");
    CHECK(changes(rig.reading("A", "0")) == "firing");
    CHECK(changes(rig.reading("A", "null")).empty());
    CHECK(changes(rig.reading("A", "\"0\"")).empty());
    rig.rules(rule(R"("condition":"not_equals","level":1)"));
    CHECK(changes(rig.reading("A", "true")).empty());
    CHECK(changes(rig.reading("A", "2")) == "firing");
}

TEST_CASE("alerts: `for` is a time that the condition holds, told by the next event or by the clock (D15)") {
    AlertRig rig;
    rig.rules(rule(above_100 + R"(,"for":"30s","tell_pending":true)"));
    const Timestamp begin = rig.now;
    CHECK(changes(rig.reading("A", "101")) == "pending");
    CHECK(rig.pass(29s).empty());
    CHECK(changes(rig.reading("A", "90")) == "inactive");
    CHECK(rig.pass(1h).empty());
    SUBCASE("by the clock, while nothing comes") {
        rig.reading("A", "101");
        const Timestamp since = rig.now;
        CHECK(rig.pass(29s).empty());
        const auto told = rig.pass(2s);
        REQUIRE(changes(told) == "firing");
        CHECK(told[0]["triggered_at"] == to_rfc3339(since + 30s));
        CHECK(told[0]["pending_at"] == to_rfc3339(since));
    }
    SUBCASE("by the time of an event, in a recording that is read fast") {
        rig.reading("A", "101", begin + 1h);
        CHECK(changes(rig.reading("A", "102", begin + 1h + 29s)).empty());
        const auto told = rig.reading("A", "80", begin + 1h + 31s);
        // It had lasted before this event ended it.
        REQUIRE(changes(told) == "firing resolved");
        CHECK(told[0]["triggered_at"] == to_rfc3339(begin + 1h + 30s));
        CHECK(told[1]["resolved_at"] == to_rfc3339(begin + 1h + 31s));
        CHECK(told[1]["duration_seconds"] == "1");
    }
    SUBCASE("a source that is an hour behind does not fire early") {
        rig.reading("A", "101", rig.now - 1h);
        CHECK(rig.pass(20s).empty());
        CHECK(changes(rig.reading("A", "80", rig.now - 1h)) == "inactive");
    }
}

TEST_CASE("alerts: a count of events, a time to resolve, and a time before it fires again (D15)") {
    AlertRig rig;
    SUBCASE("count") {
        rig.rules(rule(above_100 + R"(,"count":3)"));
        CHECK(changes(rig.reading("A", "101")).empty());
        CHECK(changes(rig.reading("A", "101")).empty());
        CHECK(changes(rig.reading("A", "90")).empty());
        CHECK(changes(rig.reading("A", "101")).empty());
        CHECK(changes(rig.reading("A", "101")).empty());
        CHECK(changes(rig.reading("A", "101")) == "firing");
    }
    SUBCASE("resolve_after: by event and by clock; what comes back in time was never gone") {
        rig.rules(rule(R"("condition":"above","level":100,"resolve_after":"10s")"));
        CHECK(changes(rig.reading("A", "101")) == "firing");
        CHECK(changes(rig.reading("A", "99")).empty());
        CHECK(rig.pass(9s).empty());
        CHECK(changes(rig.reading("A", "101")).empty());
        CHECK(rig.pass(1min).empty());
        CHECK(changes(rig.reading("A", "99")).empty());
        const Timestamp clear = rig.now;
        const auto told = rig.pass(11s);
        REQUIRE(changes(told) == "resolved");
        CHECK(told[0]["resolved_at"] == to_rfc3339(clear + 10s));
    }
    SUBCASE("refire_after") {
        rig.rules(rule(R"("condition":"above","level":100,"refire_after":"1min")"));
        CHECK(changes(rig.reading("A", "101")) == "firing");
        CHECK(changes(rig.reading("A", "99")) == "resolved");
        for (int i = 0; i < 5; ++i) {
            rig.now = rig.now + 1s;
            CHECK(changes(rig.reading("A", "101")).empty());
            CHECK(changes(rig.reading("A", "99")).empty());
        }
        CHECK(changes(rig.reading("A", "101")).empty());
        CHECK(rig.pass(50s).empty());
        CHECK(changes(rig.pass(10s)) == "firing");
    }
}

TEST_CASE("alerts: how fast a number changes (D15)") {
    AlertRig rig;
    rig.rules(rule(R"("kind":"rate","condition":"above","level":10,"over":"60s","per":"60s")"));
    const Timestamp begin = rig.now;
    const auto at = [&](int second, const char* value) {
        rig.now = begin + Duration(1'000'000) * second;
        return rig.reading("A", value);
    };
    CHECK(at(0, "100").empty());
    CHECK(at(10, "200").empty());  // 10 s of 60 say too little
    CHECK(at(31, "105").empty());  // 5 in 31 s: 9.68 in 60 s
    const auto told = at(40, "107");
    REQUIRE(changes(told) == "firing");
    CHECK(told[0]["value"] == "10.5");  // 7 in 40 s
    CHECK(told[0]["message"] == "a change of 10.5 in 1min is above 10");
    CHECK(changes(at(75, "160")).empty());         // since 31 s: 55 in 44 s, which still is faster
    CHECK(changes(at(130, "161")) == "resolved");  // since 75 s: 1 in 55 s
}

TEST_CASE("alerts: silence, of a key that is known or named, or of all; the next event ends it; a start begins the wait anew (D15)") {
    AlertRig rig;
    const std::string silent = R"({"name":"silent","kind":"silence","stream":"pools","for":"1min")";
    SUBCASE("each key") {
        rig.rules(silent + "}");
        CHECK(rig.pass(1h).empty());
        rig.reading("A", "1");
        rig.now = rig.now + 30s;
        rig.reading("B", "1");
        const Timestamp last = rig.now;
        CHECK(rig.pass(29s).empty());
        auto told = rig.pass(2s);
        REQUIRE(changes(told) == "firing");
        CHECK(told[0].key == "silent/A");
        CHECK(told[0]["message"] == "nothing since " + to_rfc3339(last - 30s));
        CHECK(told[0]["value"] == "null");
        CHECK(changes(rig.reading("A", "1")) == "resolved");
        CHECK(changes(rig.pass(10min)) == "firing firing");
        CHECK(rig.pass(10min).empty());
    }
    SUBCASE("what is due at once goes in the order of its times, whatever was thought before, and whether or not there was a restart") {
        rig.rules(silent + "}");
        rig.reading("A", "1");
        rig.now = rig.now + 1s;
        rig.reading("B", "1");
        rig.now = rig.now + 5s;
        rig.reading("A", "1");
        rig.now = rig.now + 10min;
        const auto told = rig.commit({}, "pools");
        REQUIRE(changes(told) == "firing firing");
        CHECK(told[0].key == "silent/B");
        CHECK(told[1].key == "silent/A");
    }
    SUBCASE("a key that is named and never comes") {
        rig.rules(silent + R"(,"keys":["Z"]})");
        CHECK(changes(rig.pass(61s)) == "firing");
        rig.reading("A", "1");
        CHECK(changes(rig.reading("Z", "1")) == "resolved");
    }
    SUBCASE("the whole stream") {
        rig.rules(silent + R"(,"per_key":false})");
        for (int i = 0; i < 10; ++i) {
            rig.reading("A" + std::to_string(i), "1");
            CHECK(rig.pass(50s).empty());
        }
        CHECK(changes(rig.pass(11s)) == "firing");
        CHECK(changes(rig.reading("B", "1")) == "resolved");
    }
    SUBCASE("weir was down for an hour") {
        rig.rules(silent + "}");
        rig.reading("A", "1");
        rig.restart();
        rig.now = rig.now + 1h;
        CHECK(rig.rules(silent + "}").empty());
        CHECK(rig.pass(59s).empty());
        CHECK(changes(rig.pass(2s)) == "firing");
    }
}

TEST_CASE("alerts: a violation fires until it is acknowledged or withdrawn (D15)") {
    AlertRig rig;
    rig.rules(R"({"name":"spc","kind":"violation","stream":"spc.violations","from_severity":"critical"})");
    const auto tell = [&](const char* type, const std::string& data) { return rig.send(type, data, "spc.violations", "1", rig.now - 1min); };
    CHECK(tell("violation", R"({"violation_id":5,"characteristic_id":1,"severity":"WARNING"})").empty());
    auto told = tell("violation", R"({"violation_id":6,"characteristic_id":1,"severity":"CRITICAL"})");
    REQUIRE(changes(told) == "firing");
    CHECK(told[0]["value"] == "1");
    CHECK(told[0].key == "spc/1");
    CHECK(tell("violation", R"({"violation_id":7,"characteristic_id":1,"severity":"FATAL"})").empty());
    CHECK(tell("ack_update", R"({"violation_id":6,"characteristic_id":1,"acknowledged":true})").empty());
    CHECK(tell("ack_update", R"({"violation_id":99,"characteristic_id":1,"acknowledged":true})").empty());
    CHECK(changes(tell("violation_withdrawn", R"({"violation_id":7,"characteristic_id":1})")) == "resolved");
}

TEST_CASE("alerts: one alert for all keys fires while any of them holds (D15)") {
    AlertRig rig;
    rig.rules(rule(above_100 + R"(,"per_key":false)"));
    auto told = rig.reading("A", "101");
    REQUIRE(changes(told) == "firing");
    CHECK(told[0].key == "full");
    CHECK(told[0]["key"] == "A");
    CHECK(rig.reading("B", "200").empty());
    CHECK(rig.reading("A", "10").empty());
    CHECK(changes(rig.reading("B", "10")) == "resolved");
}

TEST_CASE("alerts: acknowledged once, by someone, for a reason; escalated where nobody does (D15)") {
    AlertRig rig;
    rig.rules(rule(above_100 + R"(,"escalate_after":"5min","escalate_to":"fatal")"));
    const std::string id = rig.reading("A", "101")[0]["id"];
    const auto told = rig.pass(6min);
    REQUIRE(changes(told) == "escalated");
    CHECK(told[0]["severity"] == "fatal");
    CHECK(rig.ask("acknowledge", R"({"alert_id":")" + id + R"(","reason":"seen"})") == "bad_command");
    CHECK(rig.ask("acknowledge", R"({"alert_id":")" + id + R"(","user":"ann"})") == "bad_command");
    CHECK(rig.ask("acknowledge", R"({"alert_id":")" + id + R"(","user":"ann","reason_code":"no_such"})") == "bad_command");
    CHECK(rig.ask("acknowledge", R"({"alert_id":"x","user":"ann","reason":"seen"})") == "unknown_alert");
    CHECK(rig.ask("acknowledge", R"({"alert_id":")" + id + R"(","user":"ann","reason_code":"false_alarm"})") == "");
    REQUIRE(changes(rig.told_by_command) == "acknowledged");
    CHECK(rig.told_by_command[0]["ack_user"] == "ann");
    CHECK(rig.told_by_command[0]["ack_reason"] == "False alarm");
    CHECK(rig.told_by_command[0]["ack_reason_code"] == "false_alarm");
    CHECK(rig.told_by_command[0]["state"] == "firing");
    CHECK(rig.ask("acknowledge", R"({"alert_id":")" + id + R"(","user":"bob","reason":"me too"})") == "already_acknowledged");
    const auto end = rig.reading("A", "80");
    CHECK(end[0]["acknowledged"] == "true");
    // The next one nobody has acknowledged; one that is acknowledged in time is not escalated, also if it is gone by then.
    const std::string next = rig.reading("A", "101")[0]["id"];
    CHECK(rig.reading("A", "80")[0]["acknowledged"] == "false");
    CHECK(rig.ask("acknowledge", R"({"alert_id":")" + next + R"(","user":"ann","reason":"seen"})") == "");
    CHECK(rig.pass(1h).empty());
    CHECK(rig.ask("nonsense", "{}") == "unknown_command");
}

TEST_CASE("alerts: shelved until a time, over episodes, and told when the shelf is over (D15)") {
    AlertRig rig;
    rig.rules(rule(above_100));
    const std::string id = rig.reading("A", "101")[0]["id"];
    const auto shelve = [&](const std::string& more) { return rig.ask("shelve", R"({"alert_id":")" + id + R"(","user":"ann")" + more + "}"); };
    CHECK(shelve("") == "bad_command");
    CHECK(shelve(R"(,"for":"1h","until":"2026-02-17T12:00:00Z")") == "bad_command");
    CHECK(shelve(R"(,"for":"31d")") == "bad_command");
    CHECK(shelve(R"(,"until":"2026-02-17T09:00:00Z")") == "bad_command");
    CHECK(rig.ask("unshelve", R"({"alert_id":")" + id + R"("})") == "not_shelved");
    REQUIRE(shelve(R"(,"for":"1h","reason":"filter is changed")") == "");
    CHECK(rig.told_by_command[0]["shelved_until"] == to_rfc3339(rig.now + 1h));
    CHECK(rig.told_by_command[0]["shelf_reason"] == "filter is changed");
    rig.now = rig.now + 10min;
    CHECK(rig.reading("A", "80")[0]["shelved_until"] != "null");
    CHECK(rig.reading("A", "101")[0]["shelved_until"] != "null");
    rig.restart();
    const auto told = rig.pass(51min);
    REQUIRE(changes(told) == "unshelved");
    CHECK(told[0]["shelved_until"] == "null");
    CHECK(told[0]["state"] == "firing");
}

TEST_CASE("alerts: a rule that stays keeps its alerts over a start; one that is changed or gone ends them; a mistake changes nothing") {
    AlertRig rig;
    rig.rules(rule(above_100));
    const std::string id = rig.reading("A", "101")[0]["id"];
    rig.restart();
    CHECK(rig.rules(rule(above_100)).empty());
    CHECK(rig.ask("put_rules", R"({"rules":[{"name":"full","stream":"pools"}]})") == "bad_rule");
    CHECK(rig.ask("put_rules", R"({"rules":[{"name":"other","stream":"elsewhere","values":["/v"],"level":1}]})") == "bad_rule");
    CHECK(rig.reading("A", "95").empty());
    auto told = rig.rules(rule(R"("condition":"above","level":50)"));
    REQUIRE(changes(told) == "resolved");
    CHECK(told[0]["id"] == id);
    CHECK(told[0]["message"] == "its rule was changed or removed");
    CHECK(changes(rig.reading("A", "60")) == "firing");
    CHECK(changes(rig.rules("")) == "resolved");
    CHECK(rig.reading("A", "600").empty());
    rig.restart();
    CHECK(rig.saved.size() == 2);
}

TEST_CASE("alerts: what is old, or from the future, says nothing about now; keys are bounded, and that is told") {
    AlertRig rig;
    rig.rules(rule(above_100));
    rig.reading("A", "50");
    CHECK(rig.reading("A", "500", rig.now - 1s).empty());
    CHECK(rig.reading("A", "500", rig.now + 6s).empty());
    CHECK(changes(rig.reading("A", "500", rig.now + 4s)) == "firing");
    for (std::size_t i = 1; i < AlertProcessor::keys_max; ++i) rig.reading("k" + std::to_string(i), "1");
    rig.last_answer = {};
    CHECK(rig.reading("one more", "500").empty());
    CHECK(rig.last_answer["code"] == "too_many_keys");
    rig.last_answer = {};
    rig.reading("and another", "500");
    CHECK(rig.last_answer.text.empty());
    const std::string long_key(255, 'k');
    AlertRig other;
    other.rules(rule(above_100));
    CHECK(other.reading(long_key, "101")[0].key.size() <= 255);
}

TEST_CASE("alerts: what is open is told again, so that the newest events of the stream hold all of it") {
    AlertRig rig;
    rig.rules(rule(above_100));
    const std::string id = rig.reading("A", "101")[0]["id"];
    std::size_t since = 0, repeated = 0, longest = 0;
    for (std::size_t i = 0; i < AlertProcessor::told_every * 2; ++i)
        for (const auto& message : rig.reading("B", i % 2 == 0 ? "101" : "80")) {
            ++since;
            if (message["id"] != id) continue;
            CHECK(message["change"] == "repeated");
            longest = std::max(longest, since);
            since = 0, ++repeated;
        }
    CHECK(repeated == 2);
    CHECK(longest <= AlertProcessor::told_every + 1);
}

TEST_CASE("alerts: any grouping into commits, and a restart after any of them, gives the same bytes (decisions 2, 3)") {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        const std::string set = rule(above_100 + R"(,"for":"3s","resolve_after":"2s","tell_pending":true)") +
                                R"(,{"name":"silent","kind":"silence","stream":"pools","for":"4s"},{"name":"fast","kind":"rate","stream":"pools","values":["/fill"],"condition":"above","level":30,"over":"5s","per":"1s","per_key":false,"refire_after":"6s"})";
        AlertRig rig;
        rig.rules(set);
        Prng chance(seed);
        for (int i = 0; i < 150; ++i) {
            rig.pass(Duration(100'000) * static_cast<std::int64_t>(chance.below(25)));
            EventList events;
            for (auto n = chance.below(4) + 1; n > 0; --n)
                rig.add(events, "reading", R"({"fill":)" + std::to_string(chance.below(200)) + "}", std::string(1, static_cast<char>('A' + chance.below(3))), rig.now - Duration(50'000) * static_cast<std::int64_t>(chance.below(40)));
            rig.commit(std::move(events), "pools");
        }
        REQUIRE(rig.written.size() > 20);
        // The same events one by one in commits of the same times, and a restart now and then.
        AlertRig other;
        std::map<StreamName, std::uint64_t> seqs;
        for (const auto& batch : rig.recorded) {
            const auto show = [&](EventList events) {
                Batch one = *batch;
                one.first_seq = Seq{seqs[batch->stream] + 1};
                seqs[batch->stream] += events.size();
                one.events = std::move(events);
                other.process(one);
            };
            if (batch->is_tick()) show({});
            for (const EventView event : batch->events) {
                EventList single;
                single.add(event);
                show(std::move(single));
                if (chance.below(10) == 0) other.restart();
            }
        }
        REQUIRE(other.written == rig.written);
    }
}
