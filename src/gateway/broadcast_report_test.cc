#include "gateway/broadcast_report.h"

#include <doctest/doctest.h>

using namespace weir;

namespace {

struct Told {
    std::vector<std::string> lines;
    BroadcastReport report;
    explicit Told(std::string label = "{/name} ({/country})")
        : report("users", options(std::move(label)), 10s, [this](const std::string& line) { lines.push_back(line); }) {}
    static BroadcastOptions options(std::string label) {
        BroadcastOptions o;
        o.label = std::move(label);
        return o;
    }
    void event(std::uint64_t seq, Duration now, std::size_t clients) {
        const auto text = report.event({seq}, R"({"name":"Jane Doe","country":"Canada"})", now);
        if (!text.empty()) report.tell(text, clients);
    }
};

}  // namespace

TEST_CASE("broadcast report: each event is told with its number, its label and how many clients it went to (S2-14)") {
    Told told;
    told.event(123, 10s, 2);
    told.event(124, 11s, 1);
    told.event(125, 12s, 0);
    CHECK(told.lines == std::vector<std::string>{"Broadcast #123: Jane Doe (Canada) to 2 clients", "Broadcast #124: Jane Doe (Canada) to 1 client",
                                                 "Broadcast #125: Jane Doe (Canada) to 0 clients"});
}

TEST_CASE("broadcast report: the rate is that of the last minute, whatever came before and however long the machine runs (S2-15, S2-R7, C-19)") {
    Told told("");
    for (int second = 0; second < 60; ++second) told.event(static_cast<std::uint64_t>(second + 1), 10s + second * 1s, 2);
    CHECK(!told.report.due(69s));
    REQUIRE(told.report.due(70s));
    told.report.tell_minute({60}, 2, 70s);
    CHECK(!told.report.due(71s));
    for (int i = 0; i < 3; ++i) told.event(61, 100s, 1);
    told.report.tell_minute({63}, 1, 130s);
    told.report.tell_minute({63}, 1, 190s);
    told.report.tell_minute({63}, 0, 250s);  // nothing and nobody: no line
    CHECK(told.lines == std::vector<std::string>{"Stats: 60 users streamed, 2 active clients, 60.0 users/min", "Stats: 63 users streamed, 1 active client, 3.0 users/min",
                                                 "Stats: 63 users streamed, 1 active client, 0.0 users/min"});
}

TEST_CASE("broadcast report: a burst does not fill the disk with lines, and says how many it left out") {
    Told told;
    for (std::uint64_t i = 0; i < 1000; ++i) told.event(i + 1, 20s, 1);
    CHECK(told.lines.size() == BroadcastReport::lines_per_second_max);
    told.event(1001, 21s, 1);
    CHECK(told.lines.back() == "Broadcast #1001: Jane Doe (Canada) (after 900 that are not told) to 1 client");
    told.event(1002, 21s, 1);
    CHECK(told.lines.back() == "Broadcast #1002: Jane Doe (Canada) to 1 client");
}
