#include "processors/forecast_processor.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/diag.h"
#include "base/prng.h"
#include "event/json.h"

using namespace weir;

namespace {

const Timestamp origin = "2026-02-17T10:00:00Z"_utc;

WindowOptions five_minutes() {
    WindowOptions o;
    o.stream = "pools";
    o.output = "pools.5min";
    return o;
}

ForecastOptions three_steps() {
    ForecastOptions o;
    o.window = "5min";
    o.horizon = 3;
    return o;
}

/// A processor fed with window documents by hand.
struct Rig {
    explicit Rig(ForecastOptions o = three_steps(), WindowOptions w = five_minutes()) : options(std::move(o)), window(std::move(w)) { remake(); }

    void remake() { processor = std::make_unique<ForecastProcessor>("occupancy", options, window); }
    static void add(EventList& events, Timestamp start, std::optional<double> avg, std::string_view key = "SSD-7", int revision = 0) {
        std::string data;
        JsonWriter json(data);
        json.object().name("window").object().member("start", start).end().member("revision", revision);
        json.name("statistics").object().member("count", avg ? 3 : 0).member("avg", avg).end().end();
        const std::string id = std::string(key) + to_rfc3339(start) + std::to_string(revision);
        EventView e;
        e.id = id, e.type = "window", e.key = key, e.source = "window/5min", e.data = data, e.time = start, e.ingested = start + 5min + 10s;
        events.add(e);
    }
    void show(EventList events) {
        Batch batch;
        batch.stream = window.output;
        batch.commit_time = origin;
        batch.events = std::move(events);
        Output output;
        processor->process(batch, output);
        for (const Append& append : output.take()) {
            CHECK(append.stream == "predictions");
            for (const EventView e : append.events) {
                said.push_back(*Json::parse(e.data));
                times.push_back(e.time);
                all += std::string(e.id) + "|" + std::string(e.type) + "|" + std::string(e.key) + "|" + to_rfc3339(e.time) + "|" + to_rfc3339(e.ingested) + "|" + std::string(e.data) + "\n";
            }
        }
    }
    void closes(Timestamp start, std::optional<double> avg, std::string_view key = "SSD-7", int revision = 0) {
        EventList events;
        add(events, start, avg, key, revision);
        show(std::move(events));
    }
    /// Saves, as a snapshot does, and starts again from all that was saved.
    void restart() {
        for (StatePut& put : processor->save()) {
            if (put.value) saved[put.key] = *std::move(put.value);
            else saved.erase(put.key);
        }
        remake();
        REQUIRE(processor->restore({saved.begin(), saved.end()}).ok());
    }
    const Json& last(std::string_view pointer) const {
        static const Json null;
        const Json* found = JsonPointer::parse(pointer)->find(said.back());
        return found ? *found : null;
    }

    ForecastOptions options;
    WindowOptions window;
    std::unique_ptr<ForecastProcessor> processor;
    std::map<std::string, std::string> saved;
    std::vector<Json> said;
    std::vector<Timestamp> times;
    std::string all;
};

}  // namespace

TEST_CASE("forecast: each window that closes gives one prediction, with targets, the naive forecast and why no model stands (D16)") {
    Rig rig;
    rig.closes(origin, 40);
    REQUIRE(rig.said.size() == 1);
    CHECK(rig.said[0].text() ==
          R"({"name":"occupancy","stream":"pools.5min","window":"5min","key":"SSD-7","statistic":"avg","made_at":"2026-02-17T10:05:10.000Z",)"
          R"("from":{"start":"2026-02-17T10:00:00.000Z","value":40},"model":"naive","target":"2026-02-17T10:05:00.000Z","value":40,"lower":null,"upper":null,"naive":40,)"
          R"("weights":{"naive":1},"switched_off":[)"
          R"({"model":"ses","reason":"known by 0 outcomes; 20 are needed","naive_ratio":null,"seasonal_naive_ratio":null},)"
          R"({"model":"damped","reason":"known by 0 outcomes; 20 are needed","naive_ratio":null,"seasonal_naive_ratio":null},)"
          R"({"model":"theta","reason":"known by 0 outcomes; 20 are needed","naive_ratio":null,"seasonal_naive_ratio":null},)"
          R"({"model":"ensemble","reason":"known by 0 outcomes; 20 are needed","naive_ratio":null,"seasonal_naive_ratio":null}],)"
          R"("steps":[{"target":"2026-02-17T10:05:00.000Z","value":40,"lower":null,"upper":null,"naive":40,"model":"naive"},)"
          R"({"target":"2026-02-17T10:10:00.000Z","value":40,"lower":null,"upper":null,"naive":40,"model":"naive"},)"
          R"({"target":"2026-02-17T10:15:00.000Z","value":40,"lower":null,"upper":null,"naive":40,"model":"naive"}],)"
          R"("score":{"mase":null,"naive_mase":null,"seasonal_naive_mase":null,"coverage":null,"level":0.9,"n":0,"intervals":0,"total":0}})");
    CHECK(rig.times[0] == origin + 5min);
    // A walk: nothing can be better than the naive forecast, and each says by how much it is not.
    Prng prng(3);
    double value = 40;
    for (int i = 1; i < 300; ++i) rig.closes(origin + i * 5min, value += static_cast<double>(prng.below(21)) - 10);
    CHECK(rig.last("/steps/0/lower").is_number());
    CHECK(rig.last("/score/n").as_double() == 300);
    CHECK(std::abs(rig.last("/score/coverage").as_double() - 0.9) <= 0.06);
    CHECK(rig.last("/naive") == rig.last("/from/value"));
    for (const Json& off : rig.last("/switched_off").items())
        CHECK(off.find_string("reason")->find("naive forecast") != std::string_view::npos);
}

TEST_CASE("forecast: with a season the ensemble stands, its intervals hold what they say, and the score shows what it is worth (D16)") {
    ForecastOptions options = three_steps();
    options.season = 1h;
    Rig rig(options);
    Prng prng(4);
    int inside = 0, count = 0;
    double promised = 0, low = 0, high = 0;
    for (int i = 0; i < 600; ++i) {
        const double value = 50 + 30 * std::sin(i * 0.5236) + static_cast<double>(prng.below(100)) / 10;
        if (i > 200) ++count, inside += value >= low && value <= high;
        rig.closes(origin + i * 5min, value);
        promised = rig.last("/value").as_double(), low = rig.last("/lower").as_double(), high = rig.last("/upper").as_double();
        if (i > 200) CHECK((low < promised && promised < high));
    }
    CHECK(rig.last("/model").as_string() == "ensemble");
    CHECK(inside > 0.85 * count);
    CHECK(inside < 0.95 * count);
    CHECK(rig.last("/score/mase").as_double() < rig.last("/score/seasonal_naive_mase").as_double());
    CHECK(rig.last("/score/mase").as_double() < rig.last("/score/naive_mase").as_double());
    CHECK(rig.last("/score/total").as_double() == 599 * 3 - 3);
}

TEST_CASE("forecast: corrected and belated windows change nothing that was said or scored") {
    Rig rig, other;
    for (int i = 0; i < 40; ++i) {
        rig.closes(origin + i * 5min, i % 7);
        other.closes(origin + i * 5min, i % 7);
        if (i == 20) other.closes(origin + 20 * 5min, 1000, "SSD-7", 1);
        if (i == 30) other.closes(origin + 10 * 5min, 1000, "SSD-7", 1);
    }
    CHECK(rig.all == other.all);
    CHECK(other.processor->ignored() == 2);
    CHECK(rig.processor->ignored() == 0);
}

TEST_CASE("forecast: an empty window and one that was not written pass without being scored; targets stay on the windows' bounds") {
    Rig rig;
    rig.closes(origin - 5min, std::nullopt);
    CHECK(rig.said.empty());  // a series begins with a value
    for (int i = 0; i < 30; ++i) rig.closes(origin + i * 5min, 10);
    CHECK(rig.last("/score/total").as_double() == 29 * 3 - 3);
    rig.closes(origin + 30 * 5min, std::nullopt);
    CHECK(rig.last("/from/value").is_null());
    CHECK(rig.last("/value").as_double() == 10);
    CHECK(rig.last("/score/total").as_double() == 29 * 3 - 3);
    // Two are missing; of the three forecasts for this window one was made from a window that was shown.
    rig.closes(origin + 33 * 5min, 10);
    CHECK(rig.last("/target").as_string() == "2026-02-17T12:50:00.000Z");
    CHECK(rig.last("/score/total").as_double() == 30 * 3 - 3);
    // A year's silence costs no more than two weeks', and the series goes on.
    rig.closes(origin + 365 * 24h, 12);
    CHECK(rig.last("/target").as_string() == "2027-02-17T10:05:00.000Z");
    CHECK(rig.last("/score/total").as_double() == 31 * 3 - 3);
}

TEST_CASE("forecast: days of a zone are forecast at its midnights") {
    ForecastOptions options = three_steps();
    options.horizon = 2;
    WindowOptions window = five_minutes();
    window.size = 24h;
    window.zone = *Zone::find("Europe/Zurich");
    Rig rig(options, window);
    rig.closes("2026-03-27T23:00:00Z"_utc, 5);
    CHECK(rig.last("/steps/0/target").as_string() == "2026-03-28T23:00:00.000Z");
    CHECK(rig.last("/steps/1/target").as_string() == "2026-03-29T22:00:00.000Z");  // summer time began
}

TEST_CASE("forecast: keys are series of their own, chosen by `keys`, and bounded") {
    ForecastOptions options = three_steps();
    SUBCASE("chosen") {
        options.keys = {"SSD-4"};
        Rig rig(options);
        rig.closes(origin, 1, "SSD-7");
        CHECK(rig.said.empty());
        rig.closes(origin, 1, "SSD-4");
        CHECK(rig.said.size() == 1);
    }
    SUBCASE("bounded") {
        options.horizon = 200;
        Rig rig(options);
        diag::set_level(diag::Level::off);
        const std::size_t most = rig.processor->keys_max();
        CHECK(most >= 40);
        CHECK(most < 100);
        for (std::size_t i = 0; i < most + 5; ++i) rig.closes(origin, 1, "k" + std::to_string(i));
        diag::set_level(diag::Level::info);
        CHECK(rig.said.size() == most);
        // One step of all of them fits into a commit, and the estimate is about what is saved.
        const std::size_t estimate = rig.processor->unsaved_bytes();
        std::size_t bytes = 0;
        for (const StatePut& put : rig.processor->save()) bytes += put.key.size() + put.value->size();
        CHECK(bytes < 16 << 20);
        CHECK(static_cast<double>(bytes) == doctest::Approx(static_cast<double>(estimate)).epsilon(0.1));
        CHECK(rig.processor->unsaved_bytes() == 0);
    }
}

TEST_CASE("forecast: however windows are grouped, and wherever it is killed and restored, the bytes are the same (D2, D16)") {
    ForecastOptions options = three_steps();
    options.season = 1h;
    const auto value = [](int i, int key) { return i % 23 == 5 ? std::nullopt : std::optional(key * 10 + 30 * std::sin(i * 0.5236) + (i * 7919 % 13)); };
    Rig straight(options);
    for (int i = 0; i < 200; ++i)
        for (int key = 0; key < 3; ++key) straight.closes(origin + i * 5min, value(i, key), "K" + std::to_string(key));
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        Rig rig(options);
        EventList events;
        for (int i = 0; i < 200; ++i)
            for (int key = 0; key < 3; ++key) {
                Rig::add(events, origin + i * 5min, value(i, key), "K" + std::to_string(key));
                if (prng.chance(0.3)) rig.show(std::exchange(events, {}));
                if (events.empty() && prng.chance(0.1)) rig.restart();
            }
        rig.show(std::move(events));
        CHECK((rig.all == straight.all));
    }
    Rig broken;
    CHECK_FALSE(broken.processor->restore({{"t/SSD-7", "x"}}).ok());
    CHECK_FALSE(broken.processor->restore({{"nonsense", "x"}}).ok());
    CHECK_FALSE(broken.processor->restore({{"zz/SSD-7", "x"}}).ok());
}

TEST_CASE("forecast: what changes its output makes another version") {
    const auto version = [](auto change) {
        ForecastOptions o = three_steps();
        WindowOptions w = five_minutes();
        change(o, w);
        return ForecastProcessor("occupancy", o, w).version();
    };
    const auto same = version([](auto&, auto&) {});
    CHECK(version([](auto& o, auto&) { o.horizon = 4; }) != same);
    CHECK(version([](auto& o, auto&) { o.season = 1h; }) != same);
    CHECK(version([](auto& o, auto&) { o.level = 0.8; }) != same);
    CHECK(version([](auto& o, auto&) { o.models = {"ses"}; }) != same);
    CHECK(version([](auto& o, auto&) { o.statistic = "max"; }) != same);
    CHECK(version([](auto&, auto& w) { w.size = 10min; }) != same);
    CHECK(version([](auto&, auto& w) { w.lateness = 20s; }) == same);
}
