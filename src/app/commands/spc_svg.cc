#include <cstdio>

#include "analytics/subgroup.h"
#include "app/commands/spc_report.h"

namespace weir {

namespace a = analytics;

namespace {

constexpr double page_width = 1000, panel_height = 280, margin_left = 64, margin_right = 138, margin_top = 46, margin_bottom = 38;

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", value);
    return text;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '<') out += "&lt;";
        else if (c == '>') out += "&gt;";
        else if (c == '&') out += "&amp;";
        else if (c == '"') out += "&quot;";
        else out += c;
    }
    return out;
}

std::string attribute(const char* name, double value) { return std::string(" ") + name + "=\"" + number(value) + "\""; }

std::string text_at(double x, double y, std::string_view style, std::string_view text) {
    return "<text" + attribute("x", x) + attribute("y", y) + " class=\"" + std::string(style) + "\">" + escaped(text) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, std::string_view style) {
    return "<line" + attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) + attribute("y2", y2) + " class=\"" + std::string(style) + "\"/>\n";
}

/// A round step that gives four to eight ticks over the span.
double tick_step(double span) {
    const double power = std::pow(10, std::floor(std::log10(span / 5)));
    for (double factor : {1.0, 2.0, 5.0}) {
        if (span / (factor * power) <= 7) return factor * power;
    }
    return 10 * power;
}

class Panel {
public:
    Panel(const SpcReport& report, const a::ChartSeries& series, double top)
        : report_(report), series_(series), top_(top + margin_top), height_(panel_height - margin_top - margin_bottom) {
        width_ = page_width - margin_left - margin_right;
        for (std::size_t i = 0; i < series.points.size(); ++i) {
            const a::ChartPoint& point = series.points[i].point;
            include(point.statistic), include(point.lcl), include(point.ucl);
            if (!series.cusum.empty()) include(series.cusum[i].upper), include(series.cusum[i].lower);
            if (of_means()) include(a::mean_of(report.samples.values[series.points[i].sample]));
        }
        const double room = (high_ - low_) * 0.06;
        const bool floor_at_zero = low_ == 0;
        low_ -= floor_at_zero ? 0 : room;
        high_ += room;
        step_ = width_ / static_cast<double>(std::max<std::size_t>(report.samples.count(), 2));
    }

    std::string draw() {
        if (series_.points.empty()) return {};
        out_ += text_at(margin_left, top_ - 22, "title", chart_title(series_.setup.kind));
        zones();
        axes();
        phase();
        limits();
        curves();
        points();
        return std::move(out_);
    }

private:
    bool of_means() const { return series_.setup.kind == a::ChartKind::ewma; }
    void include(double value) {
        low_ = std::min(low_, value);
        high_ = std::max(high_, value);
    }
    double x_of(std::size_t sample) const { return margin_left + (static_cast<double>(sample) + 0.5) * step_; }
    double y_of(double value) const { return top_ + height_ * (high_ - std::clamp(value, low_, high_)) / (high_ - low_); }

    /// A line of each point's own value, as steps: limits differ where sample sizes do.
    template <class Value>
    std::string steps(Value&& value, bool backwards = false) const {
        std::string path;
        for (std::size_t k = 0; k < series_.points.size(); ++k) {
            const a::SeriesPoint& point = series_.points[backwards ? series_.points.size() - 1 - k : k];
            const double x = x_of(point.sample), y = y_of(value(point.point)), half = backwards ? -step_ / 2 : step_ / 2;
            path += (k == 0 && !backwards ? "M" : "L") + number(x - half) + " " + number(y) + "L" + number(x + half) + " " + number(y);
        }
        return path;
    }

    void band(std::string_view style, double from, double to) {
        const auto at = [](double zones) {
            return [zones](const a::ChartPoint& p) { return std::clamp(p.centre + zones * p.zone_width, p.lcl, p.ucl); };
        };
        out_ += "<path class=\"" + std::string(style) + "\" d=\"" + steps(at(from)) + steps(at(to), true) + "Z\"/>\n";
    }

    void zones() {
        for (double side : {1.0, -1.0}) {
            band("zone-c", 0, side);
            band("zone-b", side, 2 * side);
            band("zone-a", 2 * side, 3 * side);
        }
        const a::ChartPoint& last = series_.points.back().point;
        const char* letters[] = {"C", "B", "A"};
        for (int i = 0; i < 3; ++i) {
            for (double side : {1.0, -1.0}) {
                const double from = std::clamp(last.centre + side * i * last.zone_width, last.lcl, last.ucl);
                const double to = std::clamp(last.centre + side * (i + 1) * last.zone_width, last.lcl, last.ucl);
                if (std::abs(y_of(from) - y_of(to)) > 12) out_ += text_at(margin_left + width_ + 10, (y_of(from) + y_of(to)) / 2 + 4, "letter", letters[i]);
            }
        }
    }

    void axes() {
        const double step = tick_step(high_ - low_);
        for (double value = std::ceil(low_ / step) * step; value <= high_; value += step) {
            out_ += line(margin_left - 4, y_of(value), margin_left, y_of(value), "axis");
            out_ += text_at(margin_left - 8, y_of(value) + 4, "tick end", shown(std::abs(value) < step * 1e-9 ? 0 : value));
        }
        out_ += line(margin_left, top_, margin_left, top_ + height_, "axis");
        out_ += line(margin_left, top_ + height_, margin_left + width_, top_ + height_, "axis");
        const auto every = static_cast<std::size_t>(std::max(1.0, std::ceil(tick_step(static_cast<double>(report_.samples.count()) * 0.7))));
        for (std::size_t i = 0; i < report_.samples.count(); ++i) {
            if ((i + 1) % every != 0 && i != 0) continue;
            out_ += line(x_of(i), top_ + height_, x_of(i), top_ + height_ + 4, "axis");
            out_ += text_at(x_of(i), top_ + height_ + 17, "tick middle", std::to_string(i + 1));
        }
    }

    void phase() {
        if (report_.given_limits || report_.phase1_count == 0) return;
        const auto border = [&](std::size_t sample) {
            const double x = margin_left + static_cast<double>(sample) * step_;
            out_ += line(x, top_ - 14, x, top_ + height_, "phase");
            return x;
        };
        const std::size_t end = report_.phase1_first + report_.phase1_count;
        if (report_.phase1_first > 0) out_ += text_at(border(report_.phase1_first) + 6, top_ - 5, "small", "phase I");
        if (end < report_.samples.count()) {
            const double x = border(end);
            if (report_.phase1_first == 0) out_ += text_at(x - 6, top_ - 5, "small end", "phase I");
            out_ += text_at(x + 6, top_ - 5, "small", "phase II");
        }
    }

    void limits() {
        out_ += "<path class=\"limit\" d=\"" + steps([](const a::ChartPoint& p) { return p.ucl; }) + "\"/>\n";
        out_ += "<path class=\"limit\" d=\"" + steps([](const a::ChartPoint& p) { return p.lcl; }) + "\"/>\n";
        out_ += "<path class=\"centre\" d=\"" + steps([](const a::ChartPoint& p) { return p.centre; }) + "\"/>\n";
        const a::ChartPoint& last = series_.points.back().point;
        const double x = margin_left + width_ + 22;
        out_ += text_at(x, y_of(last.ucl) + 4, "limit-text", "UCL " + shown(last.ucl));
        out_ += text_at(x, y_of(last.centre) + 4, "centre-text", "CL " + shown(last.centre));
        out_ += text_at(x, y_of(last.lcl) + 4, "limit-text", "LCL " + shown(last.lcl));
    }

    template <class Value>
    void curve(std::string_view style, Value&& value) {
        out_ += "<path class=\"" + std::string(style) + "\" d=\"";
        for (std::size_t i = 0; i < series_.points.size(); ++i)
            out_ += (i == 0 ? "M" : "L") + number(x_of(series_.points[i].sample)) + " " + number(y_of(value(i)));
        out_ += "\"/>\n";
    }

    void curves() {
        if (!series_.cusum.empty()) {
            curve("curve", [&](std::size_t i) { return series_.cusum[i].upper; });
            curve("curve", [&](std::size_t i) { return series_.cusum[i].lower; });
            return;
        }
        if (of_means()) {
            for (const a::SeriesPoint& point : series_.points)
                out_ += "<circle class=\"raw\"" + attribute("cx", x_of(point.sample)) + attribute("cy", y_of(a::mean_of(report_.samples.values[point.sample]))) + " r=\"2\"/>\n";
        }
        curve("curve", [&](std::size_t i) { return series_.points[i].point.statistic; });
    }

    void dot(const a::SeriesPoint& point, double value, bool signal, const std::string& about) {
        const auto& excluded = series_.phase1.excluded;
        const bool out = std::find(excluded.begin(), excluded.end(), point.sample) != excluded.end();
        const std::string style = std::string(signal ? "signal" : "point") + (out ? " out" : "");
        out_ += "<circle class=\"" + style + "\"" + attribute("cx", x_of(point.sample)) + attribute("cy", y_of(value)) + " r=\"" + (signal ? "4.5" : "3") + "\"><title>" +
                escaped(about) + "</title></circle>\n";
    }

    void points() {
        for (std::size_t i = 0; i < series_.points.size(); ++i) {
            const a::SeriesPoint& point = series_.points[i];
            const std::string sample = "sample " + std::to_string(point.sample + 1) + ": ";
            if (!series_.cusum.empty()) {
                dot(point, series_.cusum[i].lower, series_.cusum[i].signal_lower, sample + "lower sum " + shown(series_.cusum[i].lower));
                dot(point, series_.cusum[i].upper, series_.cusum[i].signal_upper, sample + "upper sum " + shown(series_.cusum[i].upper));
                if (point.signals.begins(a::RuleId::cusum_upper)) out_ += text_at(x_of(point.sample), y_of(series_.cusum[i].upper) - 8, "rule middle", "11");
                if (point.signals.begins(a::RuleId::cusum_lower)) out_ += text_at(x_of(point.sample), y_of(series_.cusum[i].lower) + 17, "rule middle", "12");
                continue;
            }
            std::string about = sample + shown(point.point.statistic) + ", " + std::string(a::zone_name(point.point.zone)), begun;
            point.signals.for_each([&](a::RuleId rule) {
                about += ", rule " + std::to_string(static_cast<int>(rule)) + " " + std::string(a::rule_info(rule).short_name);
                // A Western Electric rule at the same point as Nelson's says nothing new here.
                if (point.signals.begins(rule) && (begun.empty() || static_cast<int>(rule) < 20)) begun += (begun.empty() ? "" : ",") + std::to_string(static_cast<int>(rule));
            });
            dot(point, point.point.statistic, point.signals.any(), about);
            if (!begun.empty()) {
                const bool above = point.point.statistic >= point.point.centre;
                out_ += text_at(x_of(point.sample), y_of(point.point.statistic) + (above ? -8 : 17), "rule middle", begun);
            }
        }
    }

    const SpcReport& report_;
    const a::ChartSeries& series_;
    double top_, height_, width_ = 0, step_ = 0, low_ = 1e300, high_ = -1e300;
    std::string out_;
};

constexpr const char* style = R"(<style>
.sheet{fill:#fff}text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#2b3440}
.head{font-size:18px;font-weight:600}.title{font-size:14px;font-weight:600}.small,.tick,.letter,.rule{font-size:11px}
.tick,.small{fill:#667484}.letter{fill:#8fa3b5;text-anchor:middle}.end{text-anchor:end}.middle{text-anchor:middle}
.zone-c{fill:#e9f4ec}.zone-b{fill:#f7f5e3}.zone-a{fill:#fcecdf}
.axis{stroke:#b6c0ca}.phase{stroke:#667484;stroke-dasharray:2 3}
.limit{fill:none;stroke:#c0392b;stroke-width:1.3;stroke-dasharray:6 3}.centre{fill:none;stroke:#2e7d4f;stroke-width:1.3}
.limit-text{fill:#c0392b}.centre-text{fill:#2e7d4f}
.curve{fill:none;stroke:#34608c;stroke-width:1.4;stroke-linejoin:round}
.point{fill:#34608c;stroke:#fff}.signal{fill:#c62828;stroke:#fff}.raw{fill:#b0bcc8}.out{fill:#fff;stroke:#c62828;stroke-width:1.6}
.rule{fill:#c62828;font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:2.5px}
</style>
)";

std::vector<const a::ChartSeries*> panels_of(const SpcReport& report) {
    std::vector<const a::ChartSeries*> panels;
    for (const ReportedChart& chart : report.charts) {
        panels.push_back(&chart.series);
        if (chart.moving_ranges && !chart.moving_ranges->points.empty()) panels.push_back(&*chart.moving_ranges);
    }
    return panels;
}

std::string cell(std::string_view text) { return "<td>" + escaped(text) + "</td>"; }

std::string violations_table(const SpcReport& report) {
    std::string rows;
    for (const a::ChartSeries* series : panels_of(report)) {
        for (const ReportedViolation& violation : merged_violations_of(*series)) {
            const a::RuleInfo& rule = a::rule_info(violation.rule);
            std::string pattern;
            for (std::size_t sample : violation.pattern) pattern += (pattern.empty() ? "" : ", ") + std::to_string(sample + 1);
            const std::string samples = violation.first == violation.last ? std::to_string(violation.first + 1)
                                                                          : std::to_string(violation.first + 1) + "–" + std::to_string(violation.last + 1);
            rows += "<tr class=\"" + std::string(rule.severity == a::Severity::critical ? "critical" : "warning") + "\">" + cell(chart_title(series->setup.kind)) +
                    cell(samples) + cell(rule_numbers(violation) + " " + std::string(rule.short_name)) +
                    cell(a::rule_description(violation.rule, series->rules[violation.rule])) + cell(a::side_name(violation.side)) +
                    cell(a::severity_name(rule.severity)) + cell(pattern) + "</tr>\n";
        }
    }
    if (rows.empty()) return "<p>No rule signals.</p>\n";
    return "<table><tr><th>chart</th><th>samples</th><th>rule</th><th>what it says</th><th>side</th><th>severity</th><th>pattern</th></tr>\n" + rows + "</table>\n";
}

std::string limits_table(const SpcReport& report) {
    std::string rows;
    for (const a::ChartSeries* series : panels_of(report)) {
        const a::ChartPoint& last = series->points.back().point;
        rows += "<tr>" + cell(chart_title(series->setup.kind)) + cell(shown(last.centre)) + cell(shown(last.lcl)) + cell(shown(last.ucl)) +
                cell(shown(last.sigma)) + "</tr>\n";
    }
    std::string from = report.given_limits ? "Limits as given." : "Limits from samples " + std::to_string(report.phase1_first + 1) + " to " +
                                                                   std::to_string(report.phase1_first + report.phase1_count) + ".";
    return "<p>" + from + " Where sample sizes differ the table shows the last sample's.</p>\n<table><tr><th>chart</th><th>centre</th><th>LCL</th><th>UCL</th><th>sigma of the statistic</th></tr>\n" +
           rows + "</table>\n";
}

std::string capability_table(const a::Capability& found) {
    std::string rows;
    const auto row = [&](const char* name, const std::optional<a::CapabilityIndex>& index) {
        if (!index) return;
        char text[64];
        std::snprintf(text, sizeof text, "<td>%.3f</td><td>%.3f to %.3f</td></tr>\n", index->value, index->low, index->high);
        rows += "<tr>" + cell(name) + text;
    };
    row("Cp", found.cp), row("Cpk", found.cp_k), row("Cpm", found.cpm), row("Pp", found.pp), row("Ppk", found.pp_k), row("Ppm", found.ppm);
    const auto limit = [](const std::optional<double>& value) { return value ? shown(*value) : std::string("none"); };
    std::string text = "<h2>Capability</h2>\n<p>" + std::to_string(found.process.count) + " readings, mean " + shown(found.process.mean) + ", sigma within " +
                       shown(found.process.sigma_within) + ", overall " + shown(found.process.sigma_overall) + ". LSL " + limit(found.limits.lsl) + ", USL " +
                       limit(found.limits.usl) + ", target " + limit(found.limits.target) + ".";
    const auto outside = [&](const char* where, const std::optional<double>& expected, const std::optional<double>& observed) {
        if (expected) text += std::string(" ") + where + ": expected " + shown(*expected * 100) + " %, observed " + shown(*observed * 100) + " %.";
    };
    outside("Below LSL", found.expected_below, found.observed_below);
    outside("Above USL", found.expected_above, found.observed_above);
    return text + "</p>\n<table><tr><th>index</th><th>value</th><th>95 % interval</th></tr>\n" + rows + "</table>\n";
}

}  // namespace

std::string spc_svg(const SpcReport& report) {
    const auto panels = panels_of(report);
    const double head = 40, height = head + panel_height * static_cast<double>(panels.size()) + 10;
    std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(page_width) + " " + number(height) + "\" width=\"" + number(page_width) + "\" height=\"" +
                      number(height) + "\" role=\"img\">\n" + style;
    out += "<title>" + escaped(report.title) + "</title>\n<rect class=\"sheet\" width=\"100%\" height=\"100%\"/>\n";
    out += text_at(margin_left, 28, "head", report.title);
    double top = head;
    for (const a::ChartSeries* series : panels) {
        out += Panel(report, *series, top).draw();
        top += panel_height;
    }
    return out + "</svg>\n";
}

std::string spc_html(const SpcReport& report) {
    std::string out = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>" + escaped(report.title) +
                      "</title>\n<style>body{font:14px/1.5 system-ui,sans-serif;color:#2b3440;max-width:1040px;margin:2em auto;padding:0 1em}svg{max-width:100%;height:auto}"
                      "table{border-collapse:collapse;margin:.5em 0 1.5em}th,td{text-align:left;padding:.25em .9em .25em 0;border-bottom:1px solid #dde3e8}th{font-weight:600;color:#667484}"
                      "h2{font-size:1.1em;margin-top:1.6em}.critical td:nth-child(6){color:#c62828;font-weight:600}</style></head>\n<body>\n";
    out += spc_svg(report);
    out += "<h2>Violations</h2>\n" + violations_table(report) + "<h2>Limits</h2>\n" + limits_table(report);
    if (report.capability) out += capability_table(*report.capability);
    return out + "</body></html>\n";
}

}  // namespace weir
