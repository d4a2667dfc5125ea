#include "event/decoder.h"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/prng.h"
#include "event/json.h"
#include "event/json_path.h"

using namespace weir;
using namespace weir::literals;

namespace {

DecodeRules pool_rules() {
    DecodeRules rules;
    rules.key = {"/uid"};
    rules.value = {"/currentfill"};
    rules.numeric_text_paths = {"/currentfill", "/freespace", "/maxspace"};
    return rules;
}

/// One message through the decoder, printed: `key time data` a line, then `!reason key` for each rejection.
struct Decoded {
    EventList events;
    Notes notes;
    Decoder::Outcome outcome;
    std::string text;
};
Decoded decode(const DecodeRules& rules, std::string_view message, Timestamp at = "2026-02-17T10:00:00Z"_utc) {
    auto decoder = Decoder::make(rules);
    REQUIRE(decoder.ok());
    Decoded d;
    std::uint64_t next = 1;
    d.outcome = decoder->decode(message, {at, "websocket", "pools/1/", &next}, d.events, d.notes);
    for (const EventView e : d.events) d.text += std::string(e.key) + " " + std::string(e.data) + "\n";
    for (const auto& r : d.notes.rejected) d.text += "!" + r.reason + (r.key.empty() ? "" : " " + r.key) + (r.count > 1 ? " x" + std::to_string(r.count) : "") + "\n";
    CHECK(d.outcome.events == d.events.size());
    CHECK(d.outcome.problem.empty() == (d.outcome.rejected == 0));
    return d;
}

}  // namespace

TEST_CASE("decoder: every shape of the pool feed that was seen or guarded against is decided (S0-R3, C-8, C-9)") {
    // tests/data/pool-edge-cases.ndjson: {"case", "message" (or "wire" for what is no JSON), "expect": lines}
    std::ifstream file(WEIR_SOURCE_DIR "/tests/data/pool-edge-cases.ndjson");
    REQUIRE(file);
    std::size_t cases = 0;
    for (std::string line; std::getline(file, line);) {
        const auto parsed = Json::parse(line);
        REQUIRE(parsed.ok());
        const std::string wire = parsed->find("wire") ? parsed->find("wire")->as_string() : parsed->find("message")->text();
        std::string expected;
        for (const auto& item : parsed->find("expect")->items()) expected += item.as_string() + "\n";
        CHECK_MESSAGE(decode(pool_rules(), wire).text == expected, parsed->find("case")->as_string());
        ++cases;
    }
    CHECK(cases >= 20);
}

TEST_CASE("decoder: a message that is one object of a key that nobody wants is unwanted, not malformed; a broken one is malformed (S0-21)") {
    auto rules = pool_rules();
    rules.keys = {"SSD-7"};
    for (const char* other : {R"({"uid":"SSD-4","currentfill":"5"})", R"({"uid":"\u0041\n","currentfill":5,"more":[1,{"a":null}]})", R"([{"uid":"SSD-4","currentfill":5}])"}) {
        CAPTURE(other);
        const auto d = decode(rules, other);
        CHECK(d.outcome.unwanted == 1);
        CHECK(d.text.empty());
    }
    CHECK(decode(rules, R"({"uid":"SSD-4","currentfill":})").text == "!malformed\n");
    CHECK(decode(rules, R"({"uid":"SSD-4","currentfill":5}})").text == "!malformed\n");
    CHECK(decode(rules, R"({"uid":"SSD-4","currentfill":5} 1)").text == "!malformed\n");
}

TEST_CASE("decoder: 0 is a reading, and is never replaced by another field (S0-R13, C-7)") {
    DecodeRules rules;
    rules.value = {"/anzahl_gaeste", "/occupancy"};
    rules.numeric_text = true;
    for (const char* zero : {"0", "0.0", "-0", "0e5", "\"0\"", "\"0.0\""}) {
        const auto d = decode(rules, std::string("{\"occupancy\":7,\"anzahl_gaeste\":") + zero + "}");
        REQUIRE_MESSAGE(d.events.size() == 1, zero);
        CHECK(JsonPath::parse("/anzahl_gaeste")->number(d.events[0].data) == 0.0);
    }
}

TEST_CASE("decoder: the first value that is present wins, whatever the order in the message (S0-17, S0-18)") {
    DecodeRules rules;
    rules.value = {"/anzahl_gaeste", "/occupancy"};
    CHECK(decode(rules, R"({"occupancy":48})").events.size() == 1);
    CHECK(decode(rules, R"({"anzahl_gaeste":48,"timestamp":"2026-02-17T10:00:00Z","occupancy_percentage":12})").events.size() == 1);  // S1-20
    CHECK(decode(rules, R"({"other":1})").text == "!missing_value\n");
    // Present is present: a null does not fall through to a number that means something else.
    CHECK(decode(rules, R"({"occupancy":48,"anzahl_gaeste":null})").text == "!null\n");
    CHECK(decode(rules, R"({"occupancy":"many","anzahl_gaeste":5})").events.size() == 1);
}

TEST_CASE("decoder: text is a number only where the configuration says so") {
    DecodeRules rules;
    rules.value = {"/v"};
    CHECK(decode(rules, R"({"v":"45"})").text == "!not_a_number\n");
    rules.numeric_text_paths = {"/v"};
    CHECK(decode(rules, R"({"v":"45","w":"46"})").text == " {\"v\":45,\"w\":\"46\"}\n");
    rules.numeric_text = true;
    CHECK(decode(rules, R"({"v":"45.50","w":"46"})").text == " {\"v\":45.50,\"w\":46}\n");
    for (const char* bad : {"\"\"", "\"n/a\"", "\"NaN\"", "\"Infinity\"", "\"1,5\"", "\" 5\"", "\"0x5\"", "\"007\"", "true", "{}", "[1]", "1e999", "\"1e999\""})
        CHECK_MESSAGE(decode(rules, std::string("{\"v\":") + bad + "}").text == "!not_a_number\n", bad);
}

TEST_CASE("decoder: time is the source's where it is there and valid, else the arrival; ingested is the arrival (S0-20, C-9)") {
    const auto at = "2026-02-17T10:00:07.5Z"_utc;
    DecodeRules rules;
    rules.value = {"/v"};
    rules.time = {"/timestamp", "/last_updated"};
    const auto time_of = [&](std::string_view message) {
        const auto d = decode(rules, message, at);
        REQUIRE(d.events.size() == 1);
        CHECK(d.events[0].ingested == at);
        return d.events[0].time;
    };
    CHECK(time_of(R"({"v":1,"timestamp":"2026-02-17T10:00:05Z"})") == "2026-02-17T10:00:05Z"_utc);
    CHECK(time_of(R"({"v":1,"timestamp":"2026-02-17T11:00:05+01:00"})") == "2026-02-17T10:00:05Z"_utc);
    CHECK(time_of(R"({"v":1,"timestamp":"yesterday","last_updated":"2026-02-17T10:00:04Z"})") == "2026-02-17T10:00:04Z"_utc);
    CHECK(time_of(R"({"v":1,"timestamp":null})") == at);
    CHECK(time_of(R"({"v":1,"timestamp":"2026-02-30T10:00:05Z"})") == at);
    CHECK(time_of(R"({"v":1})") == at);
    rules.time_format = DecodeRules::TimeFormat::unix_s;
    CHECK(time_of(R"({"v":1,"timestamp":1771322405})") == "2026-02-17T10:00:05Z"_utc);
    CHECK(time_of(R"({"v":1,"timestamp":"1771322405.25"})") == "2026-02-17T10:00:05.25Z"_utc);
    CHECK(time_of(R"({"v":1,"timestamp":1e300})") == at);
    rules.time_format = DecodeRules::TimeFormat::unix_ms;
    CHECK(time_of(R"({"v":1,"timestamp":1771322405250})") == "2026-02-17T10:00:05.25Z"_utc);
}

TEST_CASE("decoder: only wanted keys become events, and their absence is no error (S0-R3)") {
    auto rules = pool_rules();
    rules.keys = {"SSD-7", "Z\"1"};
    const auto d = decode(rules, R"([{"uid":"SSD-4","currentfill":"61"},{"currentfill":"5","uid":"SSD-7"},{"uid":"Z\"1","currentfill":1},{"uid":"SSD-5"}])");
    CHECK(d.text == "SSD-7 {\"currentfill\":5,\"uid\":\"SSD-7\"}\nZ\"1 {\"uid\":\"Z\\\"1\",\"currentfill\":1}\n");
    CHECK(d.outcome.unwanted == 2);
    CHECK(decode(rules, R"([{"uid":"SSD-4","currentfill":"61"}])").text.empty());
    CHECK(decode(rules, "[]").text.empty());
}

TEST_CASE("decoder: ids come from the message or are numbered, never from the content (decisions.md 4)") {
    auto rules = pool_rules();
    auto decoder = *Decoder::make(rules);
    EventList events;
    Notes notes;
    std::uint64_t next = 1;
    const std::string message = R"([{"uid":"A","currentfill":"1"},{"uid":"A","currentfill":"1"},{"uid":"A"}])";
    for (int i = 0; i < 2; ++i) decoder.decode(message, {Timestamp(), "websocket", "pools/1a/", &next}, events, notes);
    REQUIRE(events.size() == 4);
    CHECK(events[0].id == "pools/1a/1");
    CHECK(events[3].id == "pools/1a/4");
    rules.id = "/login/uuid";
    CHECK(decode(rules, R"({"uid":"A","currentfill":1,"login":{"uuid":"x-1"}})").events[0].id == "x-1");
    CHECK(decode(rules, R"({"uid":"A","currentfill":1,"login":{"uuid":77}})").events[0].id == "77");
    CHECK(decode(rules, R"({"uid":"A","currentfill":1})").events[0].id == "pools/1/1");
    CHECK(decode(rules, R"({"uid":"A","currentfill":1,"login":{"uuid":""}})").text == "!bad_id A\n");
}

TEST_CASE("decoder: items stand where the pointer says, and records need no number") {
    DecodeRules rules;
    rules.items = "/results";
    rules.key = {"/login/uuid"};
    rules.type = "user";
    const auto d = decode(rules, R"({"results":[{"name":{"first":"Ada"},"login":{"uuid":"u1"}}],"info":{"seed":"x"}})");
    CHECK(d.text == "u1 {\"name\":{\"first\":\"Ada\"},\"login\":{\"uuid\":\"u1\"}}\n");
    CHECK(d.events[0].type == "user");
    CHECK(decode(rules, R"({"results":{"login":{"uuid":"u2"}}})").events.size() == 1);
    CHECK(decode(rules, R"({"error":"Uh oh, something has gone wrong."})").text == "!no_items\n");
    CHECK(decode(rules, R"({"results":[1,"x",null,[2]]})").text == "!not_an_object x4\n");
    CHECK(decode(rules, "[]").text == "!no_items\n");
}

TEST_CASE("decoder: keep cuts the data, whole members or parts of them") {
    DecodeRules rules;
    rules.key = {"/login/uuid"};
    rules.keep = {"/name", "/location/country", "/nothing"};
    const std::string message = R"({"name": {"first": "Ada", "tags": [1, 2]}, "login": {"uuid": "u1", "password": "secret"}, "location": {"country": "Chile", "city": "X"}})";
    CHECK(decode(rules, message).text == "u1 {\"name\":{\"first\":\"Ada\",\"tags\":[1,2]},\"location\":{\"country\":\"Chile\"}}\n");
    CHECK(decode(rules, R"({"login":{"uuid":"u1"},"location":"nowhere"})").text == "u1 {}\n");
    CHECK(decode(rules, R"({"login":{"uuid":"u1"},"location":"nowhere","name":null})").text == "u1 {\"name\":null}\n");
}

TEST_CASE("decoder: numbers keep the digits they had") {
    DecodeRules rules;
    rules.value = {"/v"};
    CHECK(decode(rules, R"({"v":48.300,"big":123456789012345678901234567890,"small":1E-7})").text == " {\"v\":48.300,\"big\":123456789012345678901234567890,\"small\":1E-7}\n");
}

TEST_CASE("decoder: of a repeated member the last one counts, at any depth") {
    DecodeRules rules;
    rules.value = {"/v"};
    CHECK(decode(rules, R"({"v":1,"a":{"b":1,"b":2},"v":2})").text == " {\"v\":2,\"a\":{\"b\":2}}\n");
    CHECK(decode(rules, R"({"v":1,"\u0076":3})").text == " {\"v\":3}\n");
    CHECK(decode(rules, R"([{"v":1,"v":"x"},{"v":4}])").text == " {\"v\":4}\n!not_a_number\n");
}

TEST_CASE("decoder: a malformed message yields nothing but one count, whatever stood before the fault (S0-21, S0-22)") {
    for (const char* bad : {"", "   ", "not json", "{", "[{\"uid\":\"A\",\"currentfill\":1},", "[{\"uid\":\"A\",\"currentfill\":1},]", "[{\"uid\":\"A\",\"currentfill\":1}] x",
                            "[{\"uid\":\"A\",\"currentfill\":1}{\"uid\":\"B\",\"currentfill\":1}]", "{\"uid\":\"A\",\"currentfill\":NaN}", "{\"uid\":\"A\",\"currentfill\":01}",
                            "{\"uid\":\"A\",\"currentfill\":1,\"x\":tru}", "{\"uid\":\"A\",\"currentfill\":1,\"x\":\"\\q\"}", "{\"uid\":\"A\" x:1}", "{\"uid\":\"A\"x,\"currentfill\":1}",
                            "{\"uid\":\"\xff\",\"currentfill\":1}", "{\"uid\":\"A\nB\",\"currentfill\":1}", "{\"uid\":\"\\ud800\",\"currentfill\":1}", "{'uid':'A'}"})
        CHECK_MESSAGE(decode(pool_rules(), bad).text == "!malformed\n", bad);
    CHECK(decode(pool_rules(), "[{\"uid\":\"A\",\"currentfill\":1,\"x\":" + std::string(70, '[') + std::string(70, ']') + "}]").text == "!malformed\n");
}

TEST_CASE("decoder: a problem names the place, what is there and what was expected") {
    CHECK(decode(pool_rules(), R"([{"uid":"A","currentfill":1},{"uid":"B","currentfill":"n/a"}])").outcome.problem == "item 1, /currentfill is the text \"n/a\", expected a number");
    CHECK(decode(pool_rules(), "broken\n" + std::string(500, 'x')).outcome.problem == "not JSON: broken?" + std::string(93, 'x') + "...");
    CHECK(excerpt("H\xc3\xb6lzern", 2) == "H...");
    CHECK(excerpt("\xc3(") == "?(");
    CHECK(excerpt("a\xc2\x9b" "31m\xc2\xa0") == "a?31m\xc2\xa0");
}

TEST_CASE("decoder: rejections are told apart by key and time up to a bound") {
    DecodeRules rules = pool_rules();
    rules.time = {"/t"};
    const auto d = decode(rules, R"([{"uid":"A","t":"2026-02-17T10:00:01Z"},{"uid":"A","t":"2026-02-17T10:00:02Z"},{"uid":"B"},{"uid":"B"}])");
    REQUIRE(d.notes.rejected.size() == 3);
    CHECK(d.notes.rejected[1].time == "2026-02-17T10:00:02Z"_utc);
    CHECK(d.notes.rejected[2].count == 2);
    std::string many = "[";
    for (int i = 0; i < 5000; ++i) many += (i ? "," : "") + std::string("{\"uid\":\"") + std::to_string(i) + "\"}";
    const auto flood = decode(pool_rules(), many + "]");
    CHECK(flood.notes.rejected.size() <= 257);
    CHECK(flood.outcome.rejected == 5000);
    std::uint32_t counted = 0;
    for (const auto& r : flood.notes.rejected) counted += r.count;
    CHECK(counted == 5000);
}

TEST_CASE("decoder: texts beyond the sizes of an event are refused, not cut") {
    CHECK(decode(pool_rules(), "{\"uid\":\"" + std::string(256, 'k') + "\",\"currentfill\":1}").text == "!bad_key\n");
    CHECK(decode(pool_rules(), "{\"uid\":\"A\",\"currentfill\":1,\"x\":\"" + std::string(300'000, 'x') + "\"}").text == "!too_large A\n");
    CHECK(decode(pool_rules(), R"({"uid":"","currentfill":1})").text == "!bad_key\n");
    CHECK(decode(pool_rules(), R"({"uid":null,"currentfill":1})").text == "!bad_key\n");
}

TEST_CASE("decoder: an item can be the number itself") {
    DecodeRules rules;
    rules.value = {""};
    CHECK(decode(rules, "45").text == " {\"value\":45}\n");
    CHECK(decode(rules, "[45, 46.5]").text == " {\"value\":45}\n {\"value\":46.5}\n");
    CHECK(decode(rules, "\"45\"").text == "!not_a_number\n");
    rules.numeric_text = true;
    CHECK(decode(rules, "\"45\"").text == " {\"value\":45}\n");
    CHECK(decode(pool_rules(), "45").text == "!not_an_object\n");
}

TEST_CASE("decoder: agrees with another parser about what is JSON, and with it on what is kept (property)") {
    const std::string seeds[] = {R"([{"uid":"SSD-7","name":"Zwischen den H\u00f6lzern","freespace":95,"maxspace":200,"currentfill":"105"},{"uid":"B","currentfill":0,"x":[1,{"y":null}]}])",
                                 R"({"uid":"A\"\\","currentfill":-1.5e3,"o":{"p":[true,false,null],"q":""}})"};
    const std::string alphabet = "{}[]\",:\\0123456789eE+-.truefalsnu \n\t/x\xc3\xb6\x01";
    DecodeRules all;
    auto decoder = *Decoder::make(all);
    std::uint64_t accepted = 0;
    for (std::uint64_t seed = 0; seed < 40'000; ++seed) {
        Prng prng(seed);
        std::string message = seeds[prng.below(2)];
        for (std::uint64_t edits = prng.below(4); edits > 0 && !message.empty(); --edits) {
            const auto at = prng.below(message.size());
            switch (prng.below(4)) {
                case 0: message.erase(at, 1 + prng.below(3)); break;
                case 1: message.insert(at, 1, alphabet[prng.below(alphabet.size())]); break;
                case 2: message[at] = alphabet[prng.below(alphabet.size())]; break;
                default: message.insert(at, message.substr(prng.below(message.size()), prng.below(8)));
            }
        }
        const auto theirs = nlohmann::json::parse(message, nullptr, false);
        EventList events;
        Notes notes;
        std::uint64_t next = 1;
        const auto outcome = decoder.decode(message, {Timestamp(), "x", "f/1/", &next}, events, notes);
        const bool malformed = !notes.rejected.empty() && notes.rejected[0].reason == "malformed";
        REQUIRE_MESSAGE(malformed == theirs.is_discarded(), "seed " << seed << ": " << message);
        REQUIRE_MESSAGE(Json::parse(message).ok() == !theirs.is_discarded(), "seed " << seed << ": " << message);
        if (malformed) continue;
        ++accepted;
        const auto items = theirs.is_array() ? theirs : nlohmann::json::array({theirs});
        std::size_t i = 0;
        for (const auto& item : items)
            if (item.is_object()) REQUIRE_MESSAGE(nlohmann::json::parse(events[i++].data) == item, "seed " << seed << ": " << message);
        REQUIRE(i == events.size());
        REQUIRE(outcome.rejected == items.size() - i);
    }
    CHECK(accepted > 5'000);
    CHECK(accepted < 35'000);
}

TEST_CASE("decoder: random bytes never end it") {
    Prng prng(7);
    auto rules = pool_rules();
    rules.items = "/data/0";
    rules.keep = {"/uid", "/a/0/b"};
    rules.time = {"/t"};
    auto decoder = *Decoder::make(rules);
    EventList events;
    Notes notes;
    std::uint64_t next = 1;
    const std::string parts[] = {"{", "}", "[", "]", "\"data\":", "\"uid\":", "\"currentfill\":", "\"a\":", "\"b\":", "\"t\":", "1", "\"7\"", ",", "\\", "\"", "\xff", " ", "null"};
    for (int i = 0; i < 100'000; ++i) {
        std::string message;
        for (auto n = prng.below(24); n > 0; --n) {
            if (prng.chance(0.1))
                message += static_cast<char>(prng.below(256));
            else
                message += parts[prng.below(std::size(parts))];
        }
        decoder.decode(message, {Timestamp(), "x", "f/1/", &next}, events, notes);
    }
    CHECK(notes.rejected.size() > 50'000);
}

TEST_CASE("json path: reads fields where they are, and nothing where they are not") {
    const std::string json = R"({"uid":"SSD-7","o":{"a/b":[10,{"c":-2.5e1}],"e\u0071":1},"z":0,"t":"x\n","n":null})";
    const auto number = [&](const char* pointer) { return JsonPath::parse(pointer)->number(json); };
    CHECK(number("/z") == 0.0);
    CHECK(number("/o/a~1b/0") == 10.0);
    CHECK(number("/o/a~1b/1/c") == -25.0);
    CHECK(number("/o/eq") == 1.0);
    for (const char* none : {"/x", "/uid", "/o", "/o/a~1b/2", "/o/a~1b/00", "/z/1", "/n", ""}) CHECK_MESSAGE(!number(none), none);
    CHECK(JsonPath::parse("/t")->string(json) == "x\n");
    CHECK(JsonPath::parse("/o")->find(json) == R"({"a/b":[10,{"c":-2.5e1}],"e\u0071":1})");
    CHECK(JsonPath::parse("")->find(json) == json);
    CHECK(!JsonPath::parse("o").ok());
    CHECK(!parse_json_number("inf"));
    CHECK(parse_json_number("1e-999") == 0.0);
}

TEST_CASE("json path: agrees with the parser on cut and changed texts, and stays inside them (property)") {
    const std::string json = R"({"uid":"SSD-7","o":{"a":[10,{"c":-25}],"e":"\"}"},"z":0})";
    for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
        Prng prng(seed);
        std::string text = json;
        for (auto edits = prng.below(3); edits > 0; --edits) text[prng.below(text.size())] = "{}[]\",:\\01 e-"[prng.below(13)];
        if (prng.chance(0.2)) text.resize(prng.below(text.size()));
        text.shrink_to_fit();
        const auto parsed = Json::parse(text);
        for (const char* pointer : {"/uid", "/o/a/1/c", "/z", "/o/e", ""}) {
            const auto path = *JsonPath::parse(pointer);
            const auto found = path.find(text);
            if (!parsed.ok()) continue;
            const Json* expected = path.pointer().find(*parsed);
            REQUIRE_MESSAGE(found.has_value() == (expected != nullptr), "seed " << seed);
            // Where the parser dropped a repeated member, the two may differ.
            const bool repeated = parsed->text().size() + static_cast<std::size_t>(std::count(text.begin(), text.end(), ' ')) < text.size();
            if (found && !repeated) REQUIRE_MESSAGE(*Json::parse(*found) == *expected, "seed " << seed);
        }
    }
}
