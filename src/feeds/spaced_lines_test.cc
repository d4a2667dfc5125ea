#include "feeds/spaced_lines.h"

#include <doctest/doctest.h>

#include "base/clock.h"

using namespace weir;

TEST_CASE("spaced lines: never two within a second, the last one always told, what is left out counted (S0-R12, C-17)") {
    ManualClock clock;
    std::vector<std::pair<Duration, std::string>> written;
    SpacedLines lines([&](diag::Level, const std::string& text) { written.emplace_back(clock.monotonic(), text); });
    for (int i = 0; i < 400; ++i) {
        clock.advance(10ms);
        lines.due(clock.monotonic());
        if (i < 350) lines.tell(diag::Level::warn, "line " + std::to_string(i), clock.monotonic());
    }
    REQUIRE(written.size() == 4);
    for (std::size_t i = 1; i < written.size(); ++i) CHECK(written[i].first - written[i - 1].first == 1s);
    CHECK(written[0].second == "line 0");
    CHECK(written[1].second == "line 99 (98 more lines held back)");
    clock.advance(1s);
    lines.due(clock.monotonic());
    CHECK(written.size() == 5);
    CHECK(written.back().second == "line 349 (49 more lines held back)");
    clock.advance(10s);
    lines.due(clock.monotonic());
    CHECK(written.size() == 5);
    lines.tell(diag::Level::info, "at once", clock.monotonic());
    CHECK(written.back().second == "at once");
    for (const char* line : {"held", "told"}) lines.tell(diag::Level::info, line, clock.monotonic());
    clock.advance(1s);
    lines.due(clock.monotonic());
    CHECK(written.back().second == "told (1 more line held back)");
}
