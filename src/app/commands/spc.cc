#include "app/commands/spc.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <iterator>

#include "app/commands/commands.h"
#include "app/commands/spc_report.h"
#include "base/filesystem.h"

namespace weir {

namespace a = analytics;

namespace {

struct Options {
    std::string file, chart, phase1, drop, rules = "applying", sigma_from = "standard", constants = "computed", svg, html, title;
    SpcColumns columns;
    bool exclude = false, json = false, reset = false;
    double sigmas = 3, lambda = 0.2, k = 0.5, h = 5, head_start = 0;
    std::optional<double> centre, sigma, lsl, usl, target;
    int width = 0;
};

Error misused(std::string message) { return {"misused", std::move(message)}; }

/// `xbar-R` and the like are two charts of the same samples.
Result<std::vector<a::ChartKind>> kinds_of(const std::string& name) {
    if (name == "xbar-R" || name == "xbar-r") return std::vector{a::ChartKind::xbar, a::ChartKind::range};
    if (name == "xbar-S" || name == "xbar-s") return std::vector{a::ChartKind::xbar, a::ChartKind::standard_deviation};
    if (name == "i-mr" || name == "I-MR") return std::vector{a::ChartKind::individuals};
    if (const auto kind = a::chart_kind_named(name)) return std::vector{*kind};
    std::string known = "i-mr, xbar-R, xbar-S";
    for (int i = 0; i < a::chart_kind_count; ++i) known += ", " + std::string(a::chart_kind_name(static_cast<a::ChartKind>(i)));
    return misused("--chart is \"" + name + "\"; allowed: " + known);
}

bool wants_subgroups(a::ChartKind kind) {
    return kind == a::ChartKind::xbar || kind == a::ChartKind::range || kind == a::ChartKind::standard_deviation || kind == a::ChartKind::ewma ||
           kind == a::ChartKind::cusum || kind == a::ChartKind::short_run_deviation || kind == a::ChartKind::short_run_z;
}

bool is_attribute(a::ChartKind kind) { return kind >= a::ChartKind::p && kind <= a::ChartKind::laney_u; }

/// `7` or `3-9`, from 1. nullopt for anything else.
std::optional<std::pair<std::size_t, std::size_t>> range_of(std::string_view text) {
    std::size_t first = 0, last = 0;
    const char* end = text.data() + text.size();
    auto read = std::from_chars(text.data(), end, first);
    last = first;
    if (read.ec == std::errc() && read.ptr != end && *read.ptr == '-') read = std::from_chars(read.ptr + 1, end, last);
    if (read.ec != std::errc() || read.ptr != end || first < 1 || last < first) return std::nullopt;
    return std::pair{first, last};
}

/// First sample (from 0) and count. `1-25`, or `25` for the first 25.
Result<std::pair<std::size_t, std::size_t>> phase1_of(const std::string& text, std::size_t count) {
    if (text.empty()) return std::pair<std::size_t, std::size_t>{0, count};
    auto range = range_of(text);
    if (!range) return misused("--phase1 is \"" + text + "\"; allowed: a range of samples as 1-25, or 25 for the first 25");
    if (text.find('-') == std::string::npos) range->first = 1;
    if (range->second > count) return Error{"phase1_out_of_range", "--phase1 is " + text + ", but there are " + std::to_string(count) + " samples"};
    return std::pair{range->first - 1, range->second - range->first + 1};
}

/// `15,23,31-54` as a mark a sample.
Result<std::vector<bool>> dropped(const std::string& text, std::size_t count) {
    std::vector<bool> marks(count);
    for (std::size_t at = 0; !text.empty() && at <= text.size();) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        const auto range = range_of(std::string_view(text).substr(at, comma - at));
        if (!range) return misused("--drop is \"" + text + "\"; allowed: samples and ranges of them as 15,23,31-54");
        if (range->second > count)
            return Error{"out_of_range", "--drop names sample " + std::to_string(range->second) + ", but there are " + std::to_string(count)};
        for (std::size_t i = range->first; i <= range->second; ++i) marks[i - 1] = true;
        at = comma + 1;
    }
    return marks;
}

/// `applying` (both sets, as far as they apply), `nelson`, `western-electric`, `none`, `every` (whether it applies or not), or ids.
Result<a::RuleSettings> rules_of(const std::string& text, a::ChartKind kind) {
    if (text == "applying") return a::RuleSettings::applying_to(kind);
    const bool own = kind == a::ChartKind::ewma || kind == a::ChartKind::cusum;
    a::RuleSettings settings;
    if (text == "none") return settings;
    if (text == "every") {
        for (const a::RuleInfo& rule : a::rules()) settings[rule.id].on = own == (rule.id >= a::RuleId::ewma_upper && rule.id <= a::RuleId::cusum_lower);
        return own ? settings.keep_applying_to(kind) : settings;
    }
    if (own) return a::RuleSettings::applying_to(kind);
    if (text == "nelson") return a::RuleSettings::nelson().keep_applying_to(kind);
    if (text == "western-electric") return a::RuleSettings::western_electric().keep_applying_to(kind);
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t comma = std::min(text.find(',', at), text.size());
        int id = 0;
        const auto [end, error] = std::from_chars(text.data() + at, text.data() + comma, id);
        const auto rule = a::rule_with_id(id);
        if (error != std::errc() || end != text.data() + comma || !rule) {
            return misused("--rules is \"" + text + "\"; allowed: applying, nelson, western-electric, every, none, or ids as 1,2,5,21 "
                           "(Nelson 1 to 8, Western Electric 21 to 24)");
        }
        settings[*rule].on = true;
        at = comma + 1;
    }
    return settings.keep_applying_to(kind);
}

Result<std::string> file_text(const std::string& file) {
    if (file == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
    return Filesystem().read(file);
}

std::string stem_of(const std::string& file) {
    if (file == "-") return "stdin";
    const std::string name = file.substr(file.find_last_of('/') + 1);
    const std::size_t dot = name.find_last_of('.');
    return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

void drop_samples(SpcSamples& samples, const std::vector<bool>& marks) {
    const auto keep = [&](auto& list) {
        if (list.empty()) return;
        std::remove_reference_t<decltype(list)> kept;
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (!marks[i]) kept.push_back(std::move(list[i]));
        }
        list = std::move(kept);
    };
    keep(samples.values), keep(samples.sizes), keep(samples.nominals), keep(samples.part_sigmas), keep(samples.labels), keep(samples.lines);
}

/// A sample's position says little beside a line of the file.
Error with_line(Error error, const std::string& file, const SpcSamples& samples) {
    const std::size_t at = error.message.find("sample ");
    if (at == std::string::npos) return error;
    std::size_t position = 0;
    std::from_chars(error.message.data() + at + 7, error.message.data() + error.message.size(), position);
    if (position >= 1 && position <= samples.lines.size()) return std::move(error).within(file + ":" + std::to_string(samples.lines[position - 1]));
    return std::move(error).within(file);
}

Result<a::SigmaMethod> sigma_method(const std::string& name) {
    if (name == "standard") return a::SigmaMethod::standard;
    if (name == "range") return a::SigmaMethod::mean_range;
    if (name == "s") return a::SigmaMethod::mean_standard_deviation;
    if (name == "moving-range") return a::SigmaMethod::moving_range;
    if (name == "sd") return a::SigmaMethod::sample_standard_deviation;
    return misused("--sigma-from is \"" + name + "\"; allowed: standard, range, s, moving-range, sd");
}

Result<a::Capability> capability_of(const Options& options, const SpcReport& report, const a::ConstantsTable& table) {
    const a::SpecificationLimits limits{.lsl = options.lsl, .usl = options.usl, .target = options.target};
    a::CapabilityTracker tracker(limits, table);
    const auto& excluded = report.charts.front().series.phase1.excluded;
    for (std::size_t i = report.phase1_first; i < report.phase1_first + report.phase1_count; ++i) {
        if (std::find(excluded.begin(), excluded.end(), i) == excluded.end()) tracker.add(report.samples.values[i]);
    }
    a::ProcessSummary summary = tracker.summary();
    summary.sigma_within = report.charts.front().series.setup.limits.sigma;
    return a::capability(summary, limits);
}

Result<SpcReport> make_report(Options options) {
    std::vector<a::ChartKind> kinds;
    if (!options.chart.empty()) {
        WEIR_TRY(kinds, kinds_of(options.chart));
    }
    // Without a chart named, the samples' shape decides below; several readings are taken for a subgroup then.
    options.columns.wants_subgroups = kinds.empty() ? !options.columns.group.empty() || options.columns.subgroup_size > 1 || options.columns.values.size() > 1
                                                    : wants_subgroups(kinds.front());
    WEIR_TRY(const auto method, sigma_method(options.sigma_from));
    if (options.constants != "computed" && options.constants != "qcc") return misused("--constants is \"" + options.constants + "\"; allowed: computed, qcc");

    WEIR_TRY(const std::string text, file_text(options.file));
    SpcReport report;
    report.name = stem_of(options.file);
    report.title = options.title.empty() ? report.name : options.title;
    WEIR_TRY(report.samples, read_spc_samples(options.file, text, options.columns));
    WEIR_TRY(const auto marks, dropped(options.drop, report.samples.count()));
    drop_samples(report.samples, marks);
    if (report.samples.count() == 0) return Error{"no_samples", "--drop leaves no sample"};
    std::size_t largest = 2;
    for (const auto& values : report.samples.values) largest = std::max(largest, values.size());
    if (kinds.empty()) {
        bool several = false;
        for (const auto& values : report.samples.values) several = several || values.size() > 1;
        if (several) kinds = {a::ChartKind::xbar, a::ChartKind::range};
        else kinds = {a::ChartKind::individuals};
    }
    const bool attribute = is_attribute(kinds.front());
    if (attribute && kinds.front() != a::ChartKind::c && report.samples.sizes.empty())
        return misused("a " + std::string(chart_title(kinds.front())) + " needs to know how many were inspected: --size-column or --size");
    if ((options.lsl || options.usl) && (attribute || !(kinds.front() == a::ChartKind::xbar || kinds.front() == a::ChartKind::individuals)))
        return misused("--lsl and --usl give capability, which needs an xbar or individuals chart");
    if (options.target && !options.lsl && !options.usl) return misused("--target is for capability; give --lsl or --usl too (the centre line is --centre)");
    if (options.sigma && !attribute && !options.centre && kinds.front() != a::ChartKind::range && kinds.front() != a::ChartKind::standard_deviation)
        return misused("--sigma is given and --centre is not; given limits need both");
    if (options.centre && !options.sigma && !attribute) return misused("--centre is given and --sigma is not; given limits need both");

    std::optional<a::ConstantsTable> table;
    if (options.constants == "qcc") {
        table = a::ConstantsTable::as_in_qcc();
    } else {
        WEIR_TRY(table, a::ConstantsTable::up_to(static_cast<int>(std::min<std::size_t>(std::max<std::size_t>(largest, 25), a::subgroup_size_limit))));
    }
    WEIR_TRY(const auto phase1, phase1_of(options.phase1, report.samples.count()));
    std::tie(report.phase1_first, report.phase1_count) = phase1;
    const auto samples = report.samples.view();

    a::SeriesRequest request;
    request.phase1_first = report.phase1_first;
    request.phase1_count = report.phase1_count;
    request.phase1 = {.method = method, .limit_sigmas = options.sigmas, .exclude_out_of_control = options.exclude};
    // One estimate of sigma for both charts of a pair.
    if (method == a::SigmaMethod::standard && kinds.back() == a::ChartKind::standard_deviation) request.phase1.method = a::SigmaMethod::mean_standard_deviation;
    request.ewma = {.lambda = options.lambda};
    request.cusum = {.k = options.k, .h = options.h, .head_start = options.head_start, .reset_after_signal = options.reset};
    if (options.centre || options.sigma) {
        request.given = a::ControlLimits{.centre = options.centre.value_or(0), .sigma = options.sigma.value_or(0), .limit_sigmas = options.sigmas};
        report.given_limits = true;
    }
    for (a::ChartKind kind : kinds) {
        request.kind = kind;
        WEIR_TRY(request.rules, rules_of(options.rules, kind));
        auto series = a::chart_series(samples, request, *table);
        if (!series) return with_line(std::move(series.error()), options.file, report.samples);
        ReportedChart chart{.series = std::move(*series)};
        if (kind == a::ChartKind::individuals) {
            request.kind = a::ChartKind::moving_range;
            WEIR_TRY(request.rules, rules_of(options.rules, request.kind));
            auto ranges = a::chart_series(samples, request, *table);
            if (!ranges) return with_line(std::move(ranges.error()), options.file, report.samples);
            chart.moving_ranges = std::move(*ranges);
        }
        report.charts.push_back(std::move(chart));
        // The second chart of a pair leaves out what the first did, and stands on the same sigma.
        if (!request.given && kinds.size() > 1) request.given = report.charts.front().series.setup.limits;
    }
    if (options.lsl || options.usl) {
        WEIR_TRY(report.capability, capability_of(options, report, *table));
    }
    return report;
}

void declare(CLI::App& app, Options& o) {
    app.footer("Example: weir spc tests/data/spc/datasets/parts.csv --chart xbar-R --phase1 1-20 --lsl 0.5 --usl 0.9\nPositions of samples count from 1.");
    app.add_option("file", o.file, "CSV file; - reads standard input")->required();
    app.add_option("--chart", o.chart, "i-mr, xbar-R, xbar-S, xbar, R, S, mr, p, np, c, u, laney_p, laney_u, ewma, cusum, short_run_deviation, short_run_z; standard: i-mr or xbar-R by the samples' shape");
    app.add_option("--column", o.columns.values, "columns of the readings or counts, by name or number; several make a subgroup of each row")->delimiter(',');
    app.add_option("--group", o.columns.group, "column that names the sample of each row (long form)");
    app.add_option("--subgroup-size", o.columns.subgroup_size, "so many neighbouring rows are one sample")->check(CLI::Range(1, a::subgroup_size_limit));
    app.add_option("--size-column", o.columns.size, "column of how many were inspected (p, np, u)");
    app.add_option("--size", o.columns.size_all, "how many were inspected, the same for all")->check(CLI::PositiveNumber);
    app.add_option("--nominal", o.columns.nominal, "column of each part's nominal or mean (short run)");
    app.add_option("--part-sigma", o.columns.part_sigma, "column of each part's sigma (short_run_z)");
    app.add_option("--drop", o.drop, "samples to leave out altogether, before counting: 15,23,31-54");
    app.add_option("--phase1", o.phase1, "samples that the limits come from: 1-25, or 25; standard: all");
    app.add_flag("--exclude-out-of-control", o.exclude, "estimate again without the samples beyond the limits, until none is");
    app.add_option("--sigma-from", o.sigma_from, "standard, range, s, moving-range, sd");
    app.add_option("--sigmas", o.sigmas, "distance of the limits, in sigma")->capture_default_str();
    app.add_option("--centre,--center", o.centre, "given centre (p, np: the fraction; u: per unit)");
    app.add_option("--sigma", o.sigma, "given sigma of single readings");
    app.add_option("--constants", o.constants, "computed, or qcc (three-digit d2, to reproduce its results)")->capture_default_str();
    app.add_option("--lambda", o.lambda, "EWMA: weight of the newest sample")->capture_default_str();
    app.add_option("--k", o.k, "CUSUM: allowance, in sigma of the mean")->capture_default_str();
    app.add_option("--h", o.h, "CUSUM: decision interval, in sigma of the mean")->capture_default_str();
    app.add_option("--head-start", o.head_start, "CUSUM: where both sums start")->capture_default_str();
    app.add_flag("--reset-after-signal", o.reset, "CUSUM: start again after a signal");
    app.add_option("--rules", o.rules, "applying, nelson, western-electric, every, none, or ids as 1,2,5,21")->capture_default_str();
    app.add_option("--lsl", o.lsl, "lower specification limit");
    app.add_option("--usl", o.usl, "upper specification limit");
    app.add_option("--target", o.target, "target; standard: the middle of the limits");
    app.add_option("--title", o.title, "heading");
    app.add_option("--svg", o.svg, "write a drawing to this file");
    app.add_option("--html", o.html, "write a page with drawing and tables to this file");
    app.add_flag("--json", o.json, "print every statistic, limit, signal and index as JSON");
    app.add_option("--width", o.width, "columns of the terminal chart; standard: the terminal's")->check(CLI::Range(40, 1000));
}

int terminal_columns() {
    winsize size{};
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return size.ws_col;
    return 100;
}

}  // namespace

int run_spc(int argc, char** argv, std::string& out, std::string& err) {
    Options options;
    CLI::App app("Control charts of a CSV file.", "weir spc");
    declare(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        out += app.help();
        return exit_done;
    } catch (const CLI::ParseError& error) {
        err += std::string("weir spc: ") + error.what() + "\n`weir spc --help` lists the options.\n";
        return exit_misused;
    }
    auto report = make_report(options);
    if (!report) {
        err += "weir spc: " + report.error().message + "\n";
        return report.error().code == "misused" ? exit_misused : exit_failed;
    }
    for (const auto& [file, print] : {std::pair{&options.svg, &spc_svg}, {&options.html, &spc_html}}) {
        if (file->empty()) continue;
        if (auto written = Filesystem().write_atomically(*file, print(*report), Fsync::no); !written) {
            err += "weir spc: " + written.error().message + "\n";
            return exit_failed;
        }
    }
    const bool colour = isatty(STDOUT_FILENO) && std::getenv("NO_COLOR") == nullptr;
    out += options.json ? spc_json(*report) : spc_text(*report, options.width > 0 ? options.width : terminal_columns(), colour);
    return exit_done;
}

int run_spc(int argc, char** argv) {
    std::string out, err;
    const int code = run_spc(argc, argv, out, err);
    std::fwrite(out.data(), 1, out.size(), stdout);
    std::fwrite(err.data(), 1, err.size(), stderr);
    return code;
}

}  // namespace weir
