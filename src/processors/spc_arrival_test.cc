#include <doctest/doctest.h>

#include "base/prng.h"
#include "processors/spc_test_support.h"

using namespace weir;

namespace {

/// What one message of what was gathered says.
std::string gathered(const std::vector<SpcRig::Message>& messages) {
    if (messages.size() != 1 || messages[0].type != "gathering") return std::to_string(messages.size()) + " messages";
    const Json data = messages[0].data();
    return text_of(data, "gathered") + " of " + text_of(data, "of") + ": " + text_of(data, "values");
}

EventList readings(const std::vector<std::pair<std::string, double>>& all, Timestamp time) {
    EventList events;
    for (const auto& [id, value] : all) {
        const std::string data = "{\"v\":" + spc_text(value) + "}";
        EventView event;
        event.id = id, event.type = "reading", event.source = "feed", event.data = data, event.time = event.ingested = time;
        events.add(event);
    }
    return events;
}

std::vector<double> values_in_order(const SpcRig& rig) {
    std::vector<double> values;
    for (const auto& record : rig.processor->chart(1)->records()) values.push_back(record.sample.values.front());
    return values;
}

}  // namespace

TEST_CASE("spc: readings of one time keep the order in which they came, over restarts and late ones too, and a trend in them is one (decisions.md 25, S3-R14)") {
    SpcRig rig({}, {"line"});
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"individuals","limits":{"centre":10,"sigma":1},"rules":[3],"source":{"stream":"line","value":"/v"})")).ok());
    std::map<std::string, std::string> saved;
    std::vector<std::pair<std::string, double>> rising;
    for (int i = 0; i < 4; ++i) rising.emplace_back("r" + std::to_string(i), 9 + 0.2 * i);
    (void)rig.commit(readings(rising, at(5)), "line");
    (void)rig.commit(readings({{"later", 10}}, at(6)), "line");
    restart(rig, saved);
    (void)rig.commit(readings({{"r4", 9.8}, {"r5", 9.9}}, at(5)), "line");
    CHECK(values_in_order(rig) == std::vector<double>{9, 9 + 0.2, 9 + 0.4, 9 + 0.2 * 3, 9.8, 9.9, 10});
    CHECK(std::count_if(rig.client.violations.begin(), rig.client.violations.end(), [](const auto& v) { return v.second.open; }) == 1);
    // What is there is not there twice: the log forgets ids after a while.
    const auto again = rig.commit(readings({{"r2", 9.4}}, at(5)), "line");
    REQUIRE(again.size() == 1);
    CHECK(text_of(again[0].data(), "code") == "sample_exists");
    CHECK(values_in_order(rig).size() == 7);
}

TEST_CASE("spc: readings of different times have the same samples and violations whatever order they come in, ids and all (D9)") {
    std::vector<std::pair<std::string, double>> all;
    Prng prng(7);
    for (int i = 0; i < 60; ++i) all.emplace_back("r" + std::to_string(i), 10 + 1.5 * prng.normal());
    std::map<std::int64_t, std::string> first;
    for (int order = 0; order < 4; ++order) {
        SpcRig rig({}, {"line"});
        REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"i_mr","limits":{"centre":10,"sigma":1},"source":{"stream":"line","value":"/v"})")).ok());
        std::vector<int> places(all.size());
        for (std::size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int>(i);
        for (std::size_t i = places.size(); order > 0 && i-- > 1;) std::swap(places[i], places[prng.below(i + 1)]);
        for (const int place : places) (void)rig.commit(readings({all[static_cast<std::size_t>(place)]}, at(place)), "line");
        std::map<std::int64_t, std::string> held;
        for (const auto& [id, v] : rig.client.violations)
            if (v.open) held[id] = v.data.find("samples")->text();
        REQUIRE(!held.empty());
        if (order == 0) first = held;
        CHECK(held == first);
    }
}

TEST_CASE("spc: more readings of one time than ids have room to count, and a client's own ids among them, stay in order") {
    SpcRig rig({}, {"line"});
    rig.keep = false;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"individuals","limits":{"centre":10,"sigma":1},"rules":[],"source":{"stream":"line","value":"/v"})")).ok());
    const std::string largest = std::to_string(spc_id_max);
    REQUIRE(rig.sample(1, 5, at(1), {1}) == "");
    (void)rig.commit(readings({{"a", 2}}, at(1)), "line");
    REQUIRE(rig.sample(1, static_cast<std::int64_t>(spc_id_max), at(1), {3}) == "");
    const auto refused = rig.commit(readings({{"b", 4}}, at(1)), "line");
    REQUIRE(refused.size() == 1);
    CHECK(text_of(refused[0].data(), "code") == "no_id_left");
    CHECK(values_in_order(rig) == std::vector<double>{1, 2, 3});
    REQUIRE(rig.sample(1, static_cast<std::int64_t>(spc_id_max) - 100, at(2), {0}) == "");
    for (int i = 1; i <= 50; ++i) (void)rig.commit(readings({{"c" + std::to_string(i), i}}, at(2)), "line");
    std::vector<double> values = values_in_order(rig);
    CHECK(values.size() == 54);
    CHECK(std::is_sorted(values.begin() + 3, values.end()));
}

TEST_CASE("spc: single readings are gathered to a subgroup, from a stream and from a command, also across restarts; whole ones come beside them (spec.md 3)") {
    SpcRig rig({}, {"line"});
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"xbar_r","subgroup_size":3,"limits":{"centre":10,"sigma":1},"source":{"stream":"line","value":"/v"})")).ok());
    std::map<std::string, std::string> saved;
    CHECK(gathered(rig.send("reading", R"({"v":9})", at(2), "line")) == "1 of 3: [9]");
    restart(rig, saved);
    CHECK(gathered(rig.send("put_sample", R"({"characteristic_id":1,"value":10})", at(1))) == "2 of 3: [9,10]");
    // A whole one does not wait for it, nor ends it; what is refused is not gathered.
    REQUIRE(rig.sample(1, 50, at(3), {10, 10, 10}) == "");
    CHECK(rig.ask("put_sample", R"({"characteristic_id":1,"value":"x"})", at(3)).error().code == "not_a_number");
    CHECK(rig.ask("put_sample", R"({"characteristic_id":1,"value":9,"sample_id":50})", at(3)).error().code == "sample_exists");
    CHECK(rig.send("reading", R"({"v":null})", at(3), "line").size() == 1);
    restart(rig, saved);
    const auto told = rig.send("put_sample", R"({"characteristic_id":1,"value":11,"sample_id":7})", at(0));
    CHECK(gathered({told[0]}) == "0 of 3: []");
    REQUIRE(told.size() == 2);
    CHECK(told[1].type == "sample");
    CHECK(newest(rig, 7).find("values")->text() == "[9,10,11]");
    CHECK(text_of(newest(rig, 7), "timestamp") == "2026-02-17T10:02:00Z");
    CHECK(newest(rig, 7).find("value")->as_double() == 10);
    CHECK(newest(rig, 7).find("spread")->find("statistic")->as_double() == 2);
    // The next one begins anew.
    CHECK(gathered(rig.send("reading", R"({"v":10})", at(4), "line")) == "1 of 3: [10]");
    CHECK(gathered(rig.send("reading", R"({"v":10})", at(5), "line")) == "2 of 3: [10,10]");
    CHECK(rig.send("reading", R"({"v":10})", at(6), "line").size() == 2);
    CHECK(rig.processor->chart(1)->records().size() == 3);
}

TEST_CASE("spc: a subgroup is of one part, one unit and one size: a change ends or drops what was gathered") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"short_run_deviation","subgroup_size":3,"limits":{"centre":0,"sigma":1})")).ok());
    const auto reading = [&](double value, double nominal) {
        return rig.send("put_sample", R"({"characteristic_id":1,"value":)" + spc_text(value) + ",\"nominal\":" + spc_text(nominal) + "}", at(1));
    };
    CHECK(gathered(reading(10, 10)) == "1 of 3: [10]");
    CHECK(gathered(reading(11, 10)) == "2 of 3: [10,11]");
    const auto ended = reading(20, 20);
    REQUIRE(ended.size() == 3);
    CHECK(gathered({ended[0]}) == "0 of 3: []");
    CHECK(gathered({ended[1]}) == "1 of 3: [20]");
    CHECK(ended[2].data().find("values")->text() == "[10,11]");
    CHECK(ended[2].data().find("statistic")->as_double() == 0.5);
    REQUIRE(rig.ask("change_characteristic", R"({"characteristic_id":1,"change":{"name":"other"}})").ok());
    CHECK(gathered(reading(21, 20)) == "2 of 3: [20,21]");
    // Who looks sees that nothing of it is left.
    CHECK(gathered({rig.send("change_characteristic", R"({"characteristic_id":1,"change":{"unit":"inch"}})")[0]}) == "0 of 3: []");
    CHECK(gathered(reading(20.5, 20)) == "1 of 3: [20.5]");
    CHECK(gathered(reading(20.5, 20)) == "2 of 3: [20.5,20.5]");
    CHECK(reading(20.5, 20).size() == 2);
    CHECK(gathered(reading(20, 20)) == "1 of 3: [20]");
    CHECK(gathered({rig.send("retire_characteristic", R"({"characteristic_id":1})")[0]}) == "0 of 3: []");
    REQUIRE(rig.ask("put_characteristic", define(1, R"("chart":"short_run_deviation","subgroup_size":2,"limits":{"centre":0,"sigma":1})")).ok());
    CHECK(gathered(reading(20, 20)) == "1 of 2: [20]");
    CHECK(reading(20, 20).size() == 2);
}

TEST_CASE("spc: a sample whose time is corrected says at its old time that it moved, so that a stretch of time tells all of itself (D9)") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("limits":{"centre":10,"sigma":1})")).ok());
    REQUIRE(rig.sample(1, 3, at(3), {10}) == "");
    const auto told = rig.send("correct_sample", R"({"characteristic_id":1,"sample_id":3,"timestamp":"2026-02-17T09:00:00Z"})");
    REQUIRE(told.size() == 3);
    CHECK(told[0].type == "sample_moved");
    CHECK(told[0].time == at(3));
    CHECK(told[0].text == R"({"sample_id":3,"characteristic_id":1,"timestamp":"2026-02-17T10:03:00Z","moved_to":"2026-02-17T09:00:00Z"})");
    CHECK(told[1].type == "sample");
    CHECK(told[1].time == at(-60));
}

TEST_CASE("spc: a sample of an earlier chart is told as that chart judged it") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"i_mr","limits":{"centre":10,"sigma":1})")).ok());
    REQUIRE(rig.sample(1, 1, at(1), {10}) == "");
    REQUIRE(rig.sample(1, 2, at(2), {11}) == "");
    REQUIRE(rig.ask("change_characteristic", R"({"characteristic_id":1,"change":{"chart":"ewma","from":"2026-02-17T11:00:00Z"}})", at(30)).ok());
    REQUIRE(rig.ask("correct_sample", R"({"characteristic_id":1,"sample_id":2,"value":12})").ok());
    CHECK(text_of(*newest(rig, 2).find("spread"), "chart") == "mr");
    CHECK(newest(rig, 2).find("spread")->find("statistic")->as_double() == 2);
}

TEST_CASE("spc: the newest events of spc.characteristics hold every definition, however much is told of some of them, over restarts too") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("name":"quiet")")).ok());
    REQUIRE(rig.ask("create_characteristic", define(2, R"("chart":"xbar_r","subgroup_size":1000,"limits":{"centre":10,"sigma":1})")).ok());
    std::map<std::string, std::string> saved;
    std::vector<std::string> keys;
    for (std::uint64_t i = 0; i < 2 * SpcProcessor::definitions_every + 100; ++i) {
        if (i == 11'000) restart(rig, saved);
        rig.keep = false;
        for (const auto& message : rig.send("put_sample", R"({"characteristic_id":2,"value":10})", at(static_cast<std::int64_t>(i))))
            if (message.stream == SpcProcessor::characteristics_out) keys.push_back(message.type == "characteristic" ? message.key : "");
    }
    // Each stretch of that many has both.
    for (const char* key : {"1", "2"}) {
        std::size_t last = 0, longest = 0;
        for (std::size_t i = 0; i < keys.size(); ++i)
            if (keys[i] == key) longest = std::max(longest, i - std::exchange(last, i));
        CHECK(longest <= SpcProcessor::definitions_every + 1);
        CHECK(keys.size() - last <= SpcProcessor::definitions_every + 1);
    }
}
