// How many readings a second one core takes through chart, zone and rules.
//
// Sketch first: a reading is a few dozen double comparisons and shifts, no memory beyond 500 bytes of state, so well under 100 ns.
// Target (D8): at least 5 million individual readings a second and core through chart, zone and all eight Nelson rules.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "analytics/control_chart.h"
#include "analytics/run_rules.h"
#include "base/prng.h"

using namespace weir;
using namespace weir::analytics;

namespace {

/// CPU time of this thread: the figure is for a core, also where the machine is shared.
double cpu_seconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

template <class Work>
void measure(const char* name, std::size_t readings, Work&& work) {
    double best = 1e300, worst = 0;
    std::uint64_t kept = 0;
    for (int round = 0; round < 7; ++round) {
        const double start = cpu_seconds();
        kept += work();
        const double seconds = cpu_seconds() - start;
        best = std::min(best, seconds);
        worst = std::max(worst, seconds);
    }
    const auto count = static_cast<double>(readings);
    std::printf("%-58s %6.1f ns  %6.2f M/s  (slowest of 7: %6.2f M/s; %llu signals)\n", name, best / count * 1e9, count / best / 1e6, count / worst / 1e6,
                static_cast<unsigned long long>(kept));
}

}  // namespace

int main() {
    Prng prng(1);
    std::vector<double> readings(2'000'000);
    for (double& x : readings) x = prng.normal();
    const ControlLimits limits{.centre = 0, .sigma = 1};
    RuleSettings both = RuleSettings::nelson();
    for (int id = 21; id <= 24; ++id) both[static_cast<RuleId>(id)].on = true;

    measure("individuals, zone, Nelson 1-8", readings.size(), [&] {
        MeanChart chart(limits);
        RunRules run(RuleSettings::nelson());
        std::uint64_t signals = 0;
        for (double x : readings) signals += run.add(chart.add(x)).any();
        return signals;
    });
    measure("individuals and moving range, zones, both rule sets", readings.size(), [&] {
        MeanChart chart(limits);
        MovingRangeChart ranges(limits);
        RunRules run(both), run_ranges(RuleSettings::applying_to(ChartKind::moving_range));
        std::uint64_t signals = 0;
        for (double x : readings) {
            signals += run.add(chart.add(x)).any();
            if (const auto point = ranges.add(x)) signals += run_ranges.add(*point).any();
        }
        return signals;
    });
    const ConstantsTable table = std::move(ConstantsTable::up_to(25)).value();
    measure("individuals through ControlChart (checked), Nelson 1-8", readings.size(), [&] {
        auto chart = std::move(ControlChart::with({.kind = ChartKind::individuals, .limits = limits}, table)).value();
        RunRules run(RuleSettings::nelson());
        std::uint64_t signals = 0;
        for (const double& x : readings) {
            if (const auto point = chart.add({.values = {&x, 1}})) signals += run.add(**point).any();
        }
        return signals;
    });
    measure("X-bar and R of five, Nelson 1-8 (a reading)", readings.size(), [&] {
        MeanChart means(limits);
        SpreadChart ranges(ChartKind::range, limits, table);
        RunRules run(RuleSettings::nelson()), run_ranges(RuleSettings::applying_to(ChartKind::range));
        std::uint64_t signals = 0;
        for (std::size_t i = 0; i + 5 <= readings.size(); i += 5) {
            const auto values = std::span(readings).subspan(i, 5);
            signals += run.add(means.add(values)).any();
            signals += run_ranges.add(ranges.add(values)).any();
        }
        return signals;
    });
    measure("CUSUM, its rules", readings.size(), [&] {
        CusumChart chart(limits, {});
        RunRules run(RuleSettings::applying_to(ChartKind::cusum));
        std::uint64_t signals = 0;
        for (double x : readings) signals += run.add(chart.add(x, 1).point).any();
        return signals;
    });
    measure("EWMA, its rules", readings.size(), [&] {
        EwmaChart chart(limits, {});
        RunRules run(RuleSettings::applying_to(ChartKind::ewma));
        std::uint64_t signals = 0;
        for (double x : readings) signals += run.add(chart.add(x, 1)).any();
        return signals;
    });
    return 0;
}
