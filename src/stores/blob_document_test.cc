#include "stores/blob_document.h"

#include <doctest/doctest.h>

#include <regex>
#include <set>

#include "stores/object_store.h"
#include "stores/stores_test_support.h"

using namespace weir;

namespace {

// The sources print their documents with blanks for people; everything else must be the same.
std::string without_blanks(std::string_view text) {
    std::string out;
    bool quoted = false;
    for (const char c : text) {
        if (c == '"') quoted = !quoted;
        if (quoted || (c != ' ' && c != '\n')) out += c;
    }
    return out;
}

BlobWindow window_of(const std::string& statistics, std::initializer_list<std::pair<const char*, const char*>> readings) {
    MadeWindow made;
    made.statistics = statistics;
    auto window = parse_window(made.text());
    REQUIRE_MESSAGE(window.ok(), (window.ok() ? std::string() : window.error().message));
    for (const auto& [time, value] : readings) window->readings.push_back({"r", "websocket", value, *parse_rfc3339(time), *parse_rfc3339(time), Seq{1}});
    return *std::move(window);
}

std::string raw_name_of(std::string_view start, std::string_view end, std::string_view zone = "UTC") {
    BlobName name;
    name.layout = BlobLayout::raw;
    name.zone = *Zone::find(zone);
    return raw_name(name, *parse_rfc3339(start), *parse_rfc3339(end));
}

}  // namespace

TEST_CASE("blob document: profile s0 is the example that source 000 prints, member for member (S0-12, S0-14, S0-29, C-5, C-11)") {
    const BlobWindow window = window_of(R"({"count":60,"min":45,"max":52,"avg":48.3,"median":48,"first":45,"last":52,"stddev":2.1})",
                                        {{"2026-02-17T10:00:00Z", "45"},
                                         {"2026-02-17T10:00:05Z", "45"},
                                         {"2026-02-17T10:00:10Z", "46"},
                                         {"2026-02-17T10:00:15Z", "46"},
                                         {"2026-02-17T10:00:20Z", "45"},
                                         {"2026-02-17T10:04:55Z", "52"}});
    // "Data Storage Example", without its 54 readings left out there, and with the end at its nominal bound (C-5).
    CHECK(raw_document(window, BlobProfile::s0, Epoch{7}) == without_blanks(R"({
      "window": {
        "start": "2026-02-17T10:00:00Z",
        "end": "2026-02-17T10:05:00Z",
        "duration_seconds": 300
      },
      "updates": [
        {"occupancy": 45, "timestamp": "2026-02-17T10:00:00Z"},
        {"occupancy": 45, "timestamp": "2026-02-17T10:00:05Z"},
        {"occupancy": 46, "timestamp": "2026-02-17T10:00:10Z"},
        {"occupancy": 46, "timestamp": "2026-02-17T10:00:15Z"},
        {"occupancy": 45, "timestamp": "2026-02-17T10:00:20Z"},
        {"occupancy": 52, "timestamp": "2026-02-17T10:04:55Z"}
      ],
      "statistics": {
        "count": 60,
        "min": 45,
        "max": 52,
        "avg": 48.3,
        "median": 48
      }
    })"));
}

TEST_CASE("blob document: profiles s1-raw and s1-summary are options 1 and 2 of source 001, member for member (S1-15, S1-16, S1-19)") {
    const BlobWindow window = window_of(R"({"count":42,"min":42,"max":58,"avg":48.5,"median":48,"first":45,"last":48})",
                                        {{"2026-02-17T10:00:02.123Z", "45"}, {"2026-02-17T10:00:15.456Z", "46"}, {"2026-02-17T10:00:28.789Z", "45"}});
    CHECK(raw_document(window, BlobProfile::s1_raw, Epoch{7}) == without_blanks(R"({
      "window": {
        "start": "2026-02-17T10:00:00Z",
        "end": "2026-02-17T10:05:00Z"
      },
      "events": [
        {"occupancy": 45, "timestamp": "2026-02-17T10:00:02.123Z"},
        {"occupancy": 46, "timestamp": "2026-02-17T10:00:15.456Z"},
        {"occupancy": 45, "timestamp": "2026-02-17T10:00:28.789Z"}
      ],
      "statistics": {
        "count": 42,
        "min": 42,
        "max": 58,
        "avg": 48.5
      }
    })"));
    CHECK(summary_document(window, BlobProfile::s1_summary, Epoch{7}) == without_blanks(R"({
      "timestamp": "2026-02-17T10:05:00Z",
      "window_duration_minutes": 5,
      "occupancy": {
        "current": 48,
        "min": 42,
        "max": 58,
        "avg": 48.5,
        "samples": 42
      }
    })"));
}

TEST_CASE("blob document: numbers stand as they were logged, zero and trailing digits too (C-7)") {
    const BlobWindow window = window_of(R"({"count":2,"min":0,"max":7.50,"avg":3.75,"last":7.50})", {{"2026-02-17T10:00:00Z", "0"}, {"2026-02-17T10:00:05Z", "7.50"}});
    CHECK(raw_document(window, BlobProfile::s0, Epoch{7}).find(R"("updates":[{"occupancy":0,)") != std::string::npos);
    CHECK(raw_document(window, BlobProfile::weir, Epoch{7}).find(R"("value":7.50)") != std::string::npos);
    CHECK(summary_document(window, BlobProfile::s1_summary, Epoch{7}).find(R"("current":7.50,"min":0,"max":7.50)") != std::string::npos);
}

TEST_CASE("blob document: what is no window is said to be none, and blanks behind one do no harm") {
    const auto code = [](const std::string& text) {
        const auto parsed = parse_window(text);
        return parsed.ok() ? std::string() : parsed.error().code;
    };
    CHECK(code("{") == "bad_window");
    CHECK(code("{}") == "bad_window");
    const std::string window = MadeWindow().text();
    CHECK(code(window) == "");
    const auto with = [&](const std::string& revision) { return code(std::regex_replace(window, std::regex("\"revision\":[0-9]+"), "\"revision\":" + revision)); };
    CHECK(with("3") == "");
    CHECK(with("-1") == "bad_window");
    CHECK(with("4294967296") == "bad_window");
    const auto padded = parse_window(window + " \n");
    REQUIRE(padded.ok());
    CHECK(Json::parse(raw_document(*padded, BlobProfile::weir, {7})).ok());
}

TEST_CASE("blob name: ends of months, leap years and years, and windows longer than a day (decisions.md 12)") {
    CHECK(raw_name_of("2026-01-31T23:55:00Z", "2026-02-01T00:05:00Z") == "2026-01-31/23-55-to-2026-02-01-00-05.json");
    CHECK(raw_name_of("2024-02-29T23:55:00Z", "2024-03-01T00:00:00Z") == "2024-02-29/23-55-to-00-00.json");
    CHECK(raw_name_of("2026-12-31T23:55:00Z", "2027-01-01T00:05:00Z") == "2026-12-31/23-55-to-2027-01-01-00-05.json");
    CHECK(raw_name_of("2026-02-16T00:00:00Z", "2026-02-23T00:00:00Z") == "2026-02-16/00-00-to-2026-02-23-00-00.json");
    CHECK(raw_name_of("2026-02-17T10:00:00Z", "2026-02-17T10:01:30Z") == "2026-02-17/10-00-00-to-10-01-30.json");
}

TEST_CASE("blob name: in a zone a day is its own, and no two windows share a name where clocks change (decisions.md 14)") {
    CHECK(raw_name_of("2026-02-17T22:55:00Z", "2026-02-17T23:00:00Z", "Europe/Zurich") == "2026-02-17/23-55-to-00-00.json");
    CHECK(raw_name_of("2026-02-17T23:00:00Z", "2026-02-17T23:05:00Z", "Europe/Zurich") == "2026-02-18/00-00-to-00-05.json");
    CHECK(raw_name_of("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "Europe/Zurich") == "2026-10-25/00-00-to-00-00.json");  // 25 hours
    BlobName name;
    name.zone = *Zone::find("Europe/Zurich");
    for (const std::string_view day : {"2026-10-24T12:00:00Z", "2026-03-28T12:00:00Z"}) {
        std::set<std::string> names;
        Timestamp t = *parse_rfc3339(day);
        for (int i = 0; i < 2 * 288; ++i, t = t + 5min) {
            CHECK(names.insert(raw_name(name, t, t + 5min)).second);
            CHECK(names.insert(summary_name(name, t)).second);
        }
    }
}

TEST_CASE("blob name: no key leaves its folder, hides it, or makes a name that a file system refuses") {
    CHECK(path_step("../../etc") == "%2E.%2F..%2Fetc");
    CHECK(path_step(".hidden") == "%2Ehidden");
    CHECK(path_step("a.b") == "a.b");
    const std::string longest(255, '/');
    std::string other = longest;
    other.back() = 'x';
    CHECK(path_step(longest).size() <= 200);
    CHECK(path_step(longest) != path_step(other));
}
