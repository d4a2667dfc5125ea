#include "app/commands/spc_report.h"

#include <cstdio>

#include "analytics/subgroup.h"
#include "event/json.h"

namespace weir {

namespace a = analytics;

namespace {

bool is_attribute(a::ChartKind kind) { return kind >= a::ChartKind::p && kind <= a::ChartKind::laney_u; }

/// Where all are equal one value stands for all, as in charts.json.
void write_lines(JsonWriter& json, const a::ChartSeries& series, std::string_view name, double a::ChartPoint::*line) {
    json.name(name).array();
    bool equal = true;
    for (const a::SeriesPoint& point : series.points) equal = equal && point.point.*line == series.points.front().point.*line;
    for (std::size_t i = 0; i < (equal ? 1 : series.points.size()); ++i) json.value(series.points[i].point.*line);
    json.end();
}

void write_positions(JsonWriter& json, const std::vector<std::size_t>& positions) {
    json.array();
    for (std::size_t position : positions) json.value(position + 1);
    json.end();
}

double size_of(const SpcReport& report, a::ChartKind kind, std::size_t i) {
    if (!is_attribute(kind)) return static_cast<double>(report.samples.values[i].size());
    return report.samples.sizes.empty() ? 1 : report.samples.sizes[i];
}

/// charts.json's std_dev: sigma of single readings, or of the statistic (p, np: at the mean size).
double std_dev(const SpcReport& report, const a::ChartSeries& series) {
    const a::ControlLimits& limits = series.setup.limits;
    if (!is_attribute(series.setup.kind)) return limits.sigma;
    double size = 0;
    for (std::size_t i = 0; i < report.samples.count(); ++i) size += size_of(report, series.setup.kind, i);
    size /= static_cast<double>(report.samples.count());
    const double variance = limits.centre * (1 - limits.centre);
    switch (series.setup.kind) {
        case a::ChartKind::p:
        case a::ChartKind::laney_p: return std::sqrt(variance / size);
        case a::ChartKind::np: return std::sqrt(variance * size);
        default: return std::sqrt(limits.centre);
    }
}

void write_signals(JsonWriter& json, const a::ChartSeries& series, const a::RuleSettings& ran) {
    const auto list = [&](a::RuleId rule, const std::string& name) {
        json.name(name);
        if (ran[rule].on) write_positions(json, series.positions(rule));
        else json.null();
    };
    if (series.setup.kind == a::ChartKind::cusum) {
        list(a::RuleId::cusum_upper, "signals_upper");
        list(a::RuleId::cusum_lower, "signals_lower");
    } else if (series.setup.kind == a::ChartKind::ewma) {
        auto positions = series.positions(a::RuleId::ewma_upper);
        for (std::size_t position : series.positions(a::RuleId::ewma_lower)) positions.push_back(position);
        std::sort(positions.begin(), positions.end());
        json.name("signals");
        write_positions(json, positions);
    } else {
        json.name("signals").object().name("western_electric").object();
        for (int rule = 1; rule <= 4; ++rule) list(static_cast<a::RuleId>(20 + rule), std::to_string(rule));
        json.end().name("nelson").object();
        for (int rule = 1; rule <= 8; ++rule) list(static_cast<a::RuleId>(rule), std::to_string(rule));
        json.end().end();
    }
}

void write_violations(JsonWriter& json, const a::ChartSeries& series) {
    json.name("violations").array();
    for (const ReportedViolation& violation : violations_of(series)) {
        const a::RuleInfo& rule = a::rule_info(violation.rule);
        json.object()
            .member("rule_id", static_cast<int>(violation.rule))
            .member("rule_name", rule.name)
            .member("short_name", rule.short_name)
            .member("description", a::rule_description(violation.rule, series.rules[violation.rule]))
            .member("severity", a::severity_name(rule.severity))
            .member("side", a::side_name(violation.side))
            .member("first", violation.first + 1)
            .member("last", violation.last + 1)
            .name("pattern");
        write_positions(json, violation.pattern);
        json.end();
    }
    json.end();
}

void write_chart(JsonWriter& json, const SpcReport& report, const ReportedChart& chart) {
    const a::ChartSeries& series = chart.series;
    const a::ChartKind kind = series.setup.kind;
    const std::string_view word = a::chart_kind_name(kind);
    const std::size_t after = report.samples.count() - report.phase1_first - report.phase1_count;
    json.object().member("id", report.name + "_" + std::string(word)).member("dataset", report.name).member("chart", word);
    json.member("phase1", report.given_limits ? 0 : report.phase1_count).member("phase2", report.given_limits ? report.samples.count() : after);
    json.member("phase1_first", report.phase1_first + 1);
    json.name("sizes").array();
    for (std::size_t i = 0; i < report.samples.count(); ++i) json.value(size_of(report, kind, i));
    json.end();
    const bool own_centre = kind == a::ChartKind::np || kind == a::ChartKind::range || kind == a::ChartKind::standard_deviation || kind == a::ChartKind::moving_range;
    json.member("center", own_centre && !series.points.empty() ? series.points.front().point.centre : series.setup.limits.centre);
    json.member("std_dev", std_dev(report, series));
    if (kind == a::ChartKind::laney_p || kind == a::ChartKind::laney_u) json.member("sigma_z", series.setup.limits.sigma_z);
    if (kind == a::ChartKind::cusum) {
        json.member("decision_interval", series.setup.cusum.h)
            .member("se_shift", 2 * series.setup.cusum.k)
            .member("k", series.setup.cusum.k)
            .member("head_start", series.setup.cusum.head_start)
            .member("reset_after_signal", series.setup.cusum.reset_after_signal);
    } else {
        if (kind == a::ChartKind::ewma) json.member("lambda", series.setup.ewma.lambda);
        json.member("nsigmas", series.setup.limits.limit_sigmas);
        write_lines(json, series, "lcl", &a::ChartPoint::lcl);
        write_lines(json, series, "ucl", &a::ChartPoint::ucl);
    }
    json.name("statistics").array();
    const bool of_means = kind == a::ChartKind::ewma || kind == a::ChartKind::cusum;
    for (const a::SeriesPoint& point : series.points) json.value(of_means ? a::mean_of(report.samples.values[point.sample]) : point.point.statistic);
    json.end();
    if (kind == a::ChartKind::ewma) {
        json.name("ewma").array();
        for (const a::SeriesPoint& point : series.points) json.value(point.point.statistic);
        json.end().name("sigma_i").array();
        for (const a::SeriesPoint& point : series.points) json.value(point.point.sigma);
        json.end();
    }
    if (kind == a::ChartKind::cusum) {
        json.name("pos").array();
        for (const a::CusumPoint& point : series.cusum) json.value(point.upper);
        json.end().name("neg").array();
        for (const a::CusumPoint& point : series.cusum) json.value(point.lower);
        json.end();
    }
    write_signals(json, series, series.rules);
    if (chart.moving_ranges) {
        const a::ChartSeries& ranges = *chart.moving_ranges;
        json.name("mr").object().name("mr").array();
        for (const a::SeriesPoint& point : ranges.points) json.value(point.point.statistic);
        json.end();
        if (!ranges.points.empty()) {
            const a::ChartPoint& point = ranges.points.front().point;
            json.member("center", point.centre).member("ucl", point.ucl).member("lcl", point.lcl);
        }
        write_signals(json, ranges, ranges.rules);
        write_violations(json, ranges);
        json.end();
    }
    json.name("zones").array();
    for (const a::SeriesPoint& point : series.points) json.value(a::zone_name(point.point.zone));
    json.end().name("excluded");
    write_positions(json, series.phase1.excluded);
    write_violations(json, series);
    json.end();
}

void write_capability(JsonWriter& json, const SpcReport& report) {
    const a::Capability& found = *report.capability;
    json.object().member("id", report.name + "_cap").member("dataset", report.name).member("chart", "capability");
    json.member("n", found.process.count).member("center", found.process.mean).member("std_dev_within", found.process.sigma_within);
    json.member("std_dev_overall", found.process.sigma_overall).member("lsl", found.limits.lsl).member("usl", found.limits.usl).member("target", found.limits.target);
    const std::pair<const char*, const std::optional<a::CapabilityIndex>*> indices[] = {
        {"Cp", &found.cp}, {"Cp_l", &found.cp_l}, {"Cp_u", &found.cp_u}, {"Cp_k", &found.cp_k}, {"Cpm", &found.cpm},
        {"Pp", &found.pp}, {"Pp_l", &found.pp_l}, {"Pp_u", &found.pp_u}, {"Pp_k", &found.pp_k}, {"Ppm", &found.ppm}};
    json.name("indices").object();
    for (const auto& [name, index] : indices) {
        if (*index) json.member(name, (*index)->value);
        else json.name(name).null();
    }
    json.end().name("ci95").object();
    for (const auto& [name, index] : indices) {
        json.name(name).array();
        if (*index) json.value((*index)->low).value((*index)->high);
        else json.null().null();
        json.end();
    }
    json.end();
    const auto percent = [&](const char* name, const std::optional<double>& fraction) {
        json.member(name, fraction ? std::optional(*fraction * 100) : std::nullopt);
    };
    percent("expected_below_pct", found.expected_below);
    percent("expected_above_pct", found.expected_above);
    percent("observed_below_pct", found.observed_below);
    percent("observed_above_pct", found.observed_above);
    json.end();
}

// The terminal.

constexpr int plot_rows = 15, axis_columns = 12;

struct Cell {
    const char* glyph = " ";
    bool red = false, faint = false;
};

std::string plot(const SpcReport& report, const a::ChartSeries& series, int columns, bool colour) {
    if (series.points.empty()) return {};
    const auto room = static_cast<std::size_t>(std::max(10, columns - axis_columns - 2));
    const std::size_t first = series.points.size() > room ? series.points.size() - room : 0, shown_count = series.points.size() - first;
    // Points spread out where there is room, up to three columns each.
    const std::size_t step = std::clamp<std::size_t>(room / shown_count, 1, 3);
    double low = 1e300, high = -1e300;
    const auto include = [&](double value) {
        low = std::min(low, value);
        high = std::max(high, value);
    };
    for (std::size_t i = first; i < series.points.size(); ++i) {
        const a::ChartPoint& point = series.points[i].point;
        include(point.statistic), include(point.lcl), include(point.ucl);
        if (!series.cusum.empty()) include(series.cusum[i].upper), include(series.cusum[i].lower);
    }
    const double unit = (high - low) / (plot_rows - 1);
    const auto row_of = [&](double value) { return plot_rows - 1 - static_cast<std::size_t>(std::lround((value - low) / unit)); };
    std::vector<std::vector<Cell>> cells(plot_rows, std::vector<Cell>(shown_count * step));
    for (std::size_t i = first; i < series.points.size(); ++i) {
        const a::SeriesPoint& point = series.points[i];
        const std::size_t column = (i - first) * step;
        for (std::size_t k = column; k < column + step; ++k) {
            cells[row_of(point.point.ucl)][k] = {"─", false, true};
            cells[row_of(point.point.lcl)][k] = {"─", false, true};
            cells[row_of(point.point.centre)][k] = {"┄", false, true};
        }
        if (!report.given_limits && point.sample + 1 == report.phase1_first + report.phase1_count && i + 1 < series.points.size() && step > 1) {
            for (auto& row : cells) row[column + step - 1] = {"│", false, true};
        }
        const bool signal = point.signals.any();
        if (!series.cusum.empty()) {
            cells[row_of(series.cusum[i].lower)][column] = {"○", series.cusum[i].signal_lower, false};
            cells[row_of(series.cusum[i].upper)][column] = {"●", series.cusum[i].signal_upper, false};
        } else {
            cells[row_of(point.point.statistic)][column] = {signal ? "◆" : "●", signal, false};
        }
    }
    const a::ChartPoint& last = series.points.back().point;
    std::string text;
    for (std::size_t row = 0; row < cells.size(); ++row) {
        std::string label;
        if (row == row_of(last.centre)) label = "CL " + shown(last.centre);
        if (row == row_of(last.lcl)) label = "LCL " + shown(last.lcl);
        if (row == row_of(last.ucl)) label = "UCL " + shown(last.ucl);
        label.resize(std::max<std::size_t>(label.size(), axis_columns), ' ');
        text += label + " ";
        for (const Cell& cell : cells[row]) {
            if (colour && cell.red) text += std::string("\x1b[31m") + cell.glyph + "\x1b[0m";
            else if (colour && cell.faint) text += std::string("\x1b[2m") + cell.glyph + "\x1b[0m";
            else text += cell.glyph;
        }
        while (!text.empty() && text.back() == ' ') text.pop_back();
        text += '\n';
    }
    if (first > 0) text += "(the last " + std::to_string(shown_count) + " of " + std::to_string(series.points.size()) + " points; --svg draws all)\n";
    return text;
}

std::string range_text(std::size_t first, std::size_t last) {
    return first == last ? std::to_string(first + 1) : std::to_string(first + 1) + " to " + std::to_string(last + 1);
}

std::string chart_text(const SpcReport& report, const a::ChartSeries& series, int columns, bool colour) {
    std::string text = std::string(chart_title(series.setup.kind)) + ", " + std::to_string(series.points.size()) + " points, ";
    text += report.given_limits ? "limits given" : "limits from samples " + range_text(report.phase1_first, report.phase1_first + report.phase1_count - 1);
    if (!series.phase1.excluded.empty()) {
        text += " without";
        for (std::size_t position : series.phase1.excluded) text += " " + std::to_string(position + 1);
    }
    text += "\n\n" + plot(report, series, columns, colour) + "\n";
    const auto violations = merged_violations_of(series);
    if (violations.empty()) text += "  no rule signals\n";
    for (const ReportedViolation& violation : violations) {
        const a::RuleInfo& rule = a::rule_info(violation.rule);
        const bool critical = rule.severity == a::Severity::critical;
        text += "  " + std::string(colour && critical ? "\x1b[31m" : "") + std::string(a::severity_name(rule.severity)) + (colour && critical ? "\x1b[0m" : "") +
                (critical ? "  " : "   ") + "rule " + rule_numbers(violation) + " " + std::string(rule.short_name) + " at sample " +
                range_text(violation.first, violation.last) + ": " + a::rule_description(violation.rule, series.rules[violation.rule]);
        if (violation.side != a::Side::both) text += " (" + std::string(a::side_name(violation.side)) + ")";
        text += "\n";
    }
    return text + "\n";
}

}  // namespace

std::string shown(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
}

std::string_view chart_title(a::ChartKind kind) {
    switch (kind) {
        case a::ChartKind::xbar: return "X-bar chart";
        case a::ChartKind::range: return "R chart";
        case a::ChartKind::standard_deviation: return "S chart";
        case a::ChartKind::individuals: return "Individuals chart";
        case a::ChartKind::moving_range: return "Moving range chart";
        case a::ChartKind::p: return "p chart";
        case a::ChartKind::np: return "np chart";
        case a::ChartKind::c: return "c chart";
        case a::ChartKind::u: return "u chart";
        case a::ChartKind::laney_p: return "Laney p' chart";
        case a::ChartKind::laney_u: return "Laney u' chart";
        case a::ChartKind::ewma: return "EWMA chart";
        case a::ChartKind::cusum: return "CUSUM chart";
        case a::ChartKind::short_run_deviation: return "Short run deviation chart";
        case a::ChartKind::short_run_z: return "Short run Z chart";
    }
    return "chart";
}

std::vector<ReportedViolation> violations_of(const a::ChartSeries& series) {
    std::vector<ReportedViolation> violations;
    for (const a::SeriesSignal& signal : series.signals) {
        if (signal.begins) {
            violations.push_back({signal.rule, {}, signal.side, signal.sample, signal.sample, signal.pattern});
            continue;
        }
        // It goes on: the newest violation of that rule and side.
        for (auto violation = violations.rbegin(); violation != violations.rend(); ++violation) {
            if (violation->rule != signal.rule || violation->side != signal.side) continue;
            violation->last = signal.sample;
            break;
        }
    }
    return violations;
}

std::vector<ReportedViolation> merged_violations_of(const a::ChartSeries& series) {
    std::vector<ReportedViolation> merged;
    for (ReportedViolation& violation : violations_of(series)) {
        const auto same = std::find_if(merged.begin(), merged.end(), [&](const ReportedViolation& other) {
            return other.first == violation.first && other.last == violation.last && other.side == violation.side &&
                   a::rule_description(other.rule, series.rules[other.rule]) == a::rule_description(violation.rule, series.rules[violation.rule]);
        });
        if (same == merged.end()) merged.push_back(std::move(violation));
        else same->also.push_back(violation.rule);
    }
    return merged;
}

std::string rule_numbers(const ReportedViolation& violation) {
    std::string text = std::to_string(static_cast<int>(violation.rule));
    for (a::RuleId rule : violation.also) text += ", " + std::to_string(static_cast<int>(rule));
    return text;
}

std::string spc_json(const SpcReport& report) {
    std::string out;
    JsonWriter json(out);
    json.array();
    for (const ReportedChart& chart : report.charts) write_chart(json, report, chart);
    if (report.capability) write_capability(json, report);
    json.end();
    return out + "\n";
}

std::string spc_text(const SpcReport& report, int columns, bool colour) {
    std::string text = report.title + "\n\n";
    for (const ReportedChart& chart : report.charts) {
        text += chart_text(report, chart.series, columns, colour);
        if (chart.moving_ranges) text += chart_text(report, *chart.moving_ranges, columns, colour);
    }
    if (!report.capability) return text;
    const a::Capability& found = *report.capability;
    text += "Capability of " + std::to_string(found.process.count) + " readings: mean " + shown(found.process.mean) + ", sigma within " +
            shown(found.process.sigma_within) + ", overall " + shown(found.process.sigma_overall) + "\n";
    const auto line = [&](const char* name, const std::optional<a::CapabilityIndex>& index) {
        char row[96];
        if (!index) return;
        std::snprintf(row, sizeof row, "  %-4s %7.3f   (95 %%: %.3f to %.3f)\n", name, index->value, index->low, index->high);
        text += row;
    };
    line("Cp", found.cp), line("Cpk", found.cp_k), line("Cpm", found.cpm), line("Pp", found.pp), line("Ppk", found.pp_k), line("Ppm", found.ppm);
    const auto outside = [&](const char* where, const std::optional<double>& expected, const std::optional<double>& observed) {
        if (expected) text += std::string("  ") + where + ": expected " + shown(*expected * 100) + " %, observed " + shown(*observed * 100) + " %\n";
    };
    outside("below LSL", found.expected_below, found.observed_below);
    outside("above USL", found.expected_above, found.observed_above);
    return text;
}

}  // namespace weir
