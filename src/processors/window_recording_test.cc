// The recording of SSD-7 (tests/data/ssd7-5s.README.md) through five-minute windows, held to a file that was checked by hand and by a
// script of a few lines (tests/golden/ssd7-windows.README.md).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "processors/window_test_support.h"

using namespace weir;

namespace {

constexpr std::string_view source_folder = WEIR_SOURCE_DIR;

std::vector<std::pair<Timestamp, double>> recording() {
    // zcat rather than zlib: processors do not link it, and every machine that runs the tests has it.
    std::string command = "zcat '";
    command.append(source_folder).append("/tests/data/ssd7-5s.csv.gz'");
    FILE* pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe);
    std::vector<std::pair<Timestamp, double>> rows;
    char line[256];
    while (std::fgets(line, sizeof line, pipe)) {
        const std::string_view text(line);
        const auto comma = text.find(',');
        const auto t = parse_rfc3339(text.substr(0, comma));
        if (t) rows.emplace_back(*t, std::atof(line + comma + 1));
    }
    ::pclose(pipe);
    return rows;
}

std::string file(const std::string& path) {
    std::ifstream in(path);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
}

}  // namespace

TEST_CASE("window: three days of SSD-7, every window against a slow twin, and some to the byte (S0-11, S0-12, S0-R11)") {
    const auto rows = recording();
    REQUIRE(rows.size() == 17'596);
    WindowRig rig;
    rig.pass_to(rows.front().first);
    rig.interval(5s);
    for (const auto& [t, v] : rows) rig.live(t, v);
    rig.pass_to(rows.back().first + 10min);

    std::map<Timestamp, std::vector<double>> twin;
    for (const auto& [t, v] : rows) twin[t.floor_to(5min)].push_back(v);
    std::size_t received = 0, empty = 0;
    for (const auto& w : rig.written) {
        if (w.key.empty()) continue;
        CAPTURE(w.string("/window/start"));
        CHECK(w.revision() == 0);
        const auto it = twin.find(w.start());
        received += static_cast<std::size_t>(w.integer("/statistics/count"));
        if (it == twin.end()) {
            ++empty;
            CHECK(w.integer("/statistics/count") == 0);
            CHECK(w.string("/coverage/reason") == "upstream_silent");
            continue;
        }
        auto values = it->second;
        CHECK(w.integer("/statistics/count") == static_cast<std::int64_t>(values.size()));
        double sum = 0;
        for (const double v : values) sum += v;
        CHECK(w.number("/statistics/avg") == doctest::Approx(sum / static_cast<double>(values.size())).epsilon(1e-14));
        CHECK(w.number("/statistics/first") == values.front());
        CHECK(w.number("/statistics/last") == values.back());
        std::sort(values.begin(), values.end());
        const auto n = values.size();
        CHECK(w.number("/statistics/median") == (n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2));
        CHECK(w.number("/statistics/min") == values.front());
        CHECK(w.number("/statistics/max") == values.back());
        // What is missing is marked: a gap for every window that is not whole.
        if (w.integer("/coverage/received") + 1 < 60 && w.integer("/coverage/missing") > 30) CHECK(!w.at("/coverage/gaps").items().empty());
    }
    CHECK(received == rows.size());
    CHECK(empty > 100);  // the nights, which the recording does not mark

    std::string found;
    for (const Timestamp start : {"2025-11-12T13:40:00Z"_utc, "2025-11-12T14:00:00Z"_utc, "2025-11-12T14:05:00Z"_utc, "2025-11-13T03:00:00Z"_utc}) {
        REQUIRE(rig.last(start));
        found += rig.last(start)->text + "\n";
    }
    std::string golden;
    golden.append(source_folder).append("/tests/golden/ssd7-windows.ndjson");
    if (std::getenv("WEIR_WRITE_GOLDEN")) std::ofstream(golden) << found;
    CHECK((found == file(golden)));
}
