#include "analytics/chart_series.h"

namespace weir::analytics {

std::vector<std::size_t> ChartSeries::positions(RuleId rule) const {
    std::vector<std::size_t> found;
    for (const SeriesSignal& signal : signals) {
        if (signal.rule == rule) found.push_back(signal.sample);
    }
    return found;
}

Result<ChartSeries> chart_series(std::span<const Sample> samples, const SeriesRequest& request, const ConstantsTable& table) {
    WEIR_CHECK_OK(check_rules(request.rules));
    ChartSeries series;
    series.rules = request.rules;
    if (request.given) {
        series.phase1.limits = *request.given;
        series.phase1.rounds = 0;
    } else {
        const std::size_t first = std::min(request.phase1_first, samples.size()), rest = samples.size() - first;
        const std::size_t count = request.phase1_count == 0 ? rest : request.phase1_count;
        if (count > rest) {
            return Error{"phase1_out_of_range", "phase I is samples " + std::to_string(first + 1) + " to " + std::to_string(first + count) + ", but there are " +
                                                    std::to_string(samples.size())};
        }
        WEIR_TRY(series.phase1, estimate(request.kind, samples.subspan(first, count), table, request.phase1));
        for (std::size_t& position : series.phase1.excluded) position += first;
    }
    series.setup = {.kind = request.kind, .limits = series.phase1.limits, .ewma = request.ewma, .cusum = request.cusum};
    WEIR_TRY(auto chart, ControlChart::with(series.setup, table));
    RunRules run(request.rules);
    for (std::size_t i = 0; i < samples.size(); ++i) {
        auto answer = chart.add(samples[i]);
        if (!answer) return std::move(answer.error()).within("sample " + std::to_string(i + 1));
        if (!*answer) continue;
        const Signals signals = run.add(**answer);
        series.points.push_back({i, **answer, signals});
        if (request.kind == ChartKind::cusum) series.cusum.push_back(chart.last_cusum());
        signals.for_each([&](RuleId rule) {
            SeriesSignal signal{rule, signals.side(rule), signals.begins(rule), i, {}};
            const std::uint64_t pattern = run.pattern(rule);
            for (int back = 63; back >= 0; --back) {
                if (pattern >> back & 1) signal.pattern.push_back(series.points[series.points.size() - 1 - static_cast<std::size_t>(back)].sample);
            }
            series.signals.push_back(std::move(signal));
        });
    }
    return series;
}

}  // namespace weir::analytics
