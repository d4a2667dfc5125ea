#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/commands/compare_input.h"
#include "app/commands/config_arguments.h"
#include "app/commands/verbs.h"
#include "base/clock.h"
#include "event/json.h"

namespace weir {
namespace {

using analytics::ComparisonOptions;
using analytics::FeedComparison;
using analytics::RecordSummary;

/// Unit prices, in one currency. The processor's are source 000's; the storage's are what Azure's hot tier cost in 2024.
struct Prices {
    double run_seconds = 7;             ///< processor time a window
    double processor_second = 0.000016;
    double ten_thousand_writes = 0.065;
    double gigabyte_month = 0.0184;
    double objects_a_window = 2;
};

/// A month at the rate of the time that was compared.
struct Cost {
    double windows, processor, writes, storage, total;
};

Cost cost_of(const RecordSummary& record, std::uint64_t bytes_a_reading, Duration length, const Prices& prices) {
    constexpr double month_seconds = 30.4375 * 86'400;
    const double months = static_cast<double>(length.count()) / 1e6 / month_seconds;
    const double windows = static_cast<double>(record.windows_with_readings) / months;
    Cost cost{windows, windows * prices.run_seconds * prices.processor_second, windows * prices.objects_a_window / 10'000 * prices.ten_thousand_writes,
              static_cast<double>(record.readings) / months * static_cast<double>(bytes_a_reading) / 1e9 * prices.gigabyte_month, 0};
    cost.total = cost.processor + cost.writes + cost.storage;
    return cost;
}

std::string rounded(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}
std::string share(std::optional<double> value) { return value ? rounded(*value * 100, 2) + " %" : "-"; }
std::string span_text(Duration d) { return to_text(d - d % (d < 1s ? Duration(1) : Duration(1ms))); }

void print_table(const FeedComparison& all, const std::array<CompareInput, 2>& inputs, const std::array<Cost, 2>& costs, const Prices& prices) {
    const auto row = [](const char* what, const std::string& a, const std::string& b) { std::printf("%-34s %20s %20s\n", what, a.c_str(), b.c_str()); };
    const auto both = [&](const char* what, auto&& of) { row(what, of(0), of(1)); };
    std::printf("A  %s (%s)\nB  %s (%s)\n%s to %s, %s; %llu key%s, %llu changes seen by either\n\n", inputs[0].name.c_str(), inputs[0].form.c_str(), inputs[1].name.c_str(),
                inputs[1].form.c_str(), to_rfc3339(all.from).c_str(), to_rfc3339(all.to).c_str(), span_text(all.to - all.from).c_str(),
                static_cast<unsigned long long>(all.keys), all.keys == 1 ? "" : "s", static_cast<unsigned long long>(all.changes));
    row("", "A", "B");
    both("readings", [&](std::size_t i) { return std::to_string(all.records[i].readings); });
    both("changes caught", [&](std::size_t i) { return std::to_string(all.records[i].caught); });
    both("changes missed", [&](std::size_t i) { return std::to_string(all.records[i].missed); });
    both("capture rate", [&](std::size_t i) { return share(all.records[i].capture_rate); });
    both("median spacing", [&](std::size_t i) { return all.records[i].median_spacing ? span_text(*all.records[i].median_spacing) : std::string("-"); });
    both("gaps (longer than)", [&](std::size_t i) { return std::to_string(all.records[i].gaps) + " (" + span_text(all.records[i].gap_limit) + ")"; });
    both("  in all, longest", [&](std::size_t i) { return span_text(all.records[i].gap_total) + ", " + span_text(all.records[i].gap_longest); });
    both("lines without a reading", [&](std::size_t i) { return std::to_string(inputs[i].skipped); });
    both("estimated cost a month", [&](std::size_t i) { return rounded(costs[i].total, 4); });
    both("  processor", [&](std::size_t i) { return rounded(costs[i].processor, 4); });
    both("  writes", [&](std::size_t i) { return rounded(costs[i].writes, 4); });
    both("  a month's readings, stored", [&](std::size_t i) { return rounded(costs[i].storage, 4); });
    std::printf("\nboth say the same %s of the time; the mean difference is %s\n", share(all.agreement).c_str(), all.mean_difference ? rounded(*all.mean_difference, 3).c_str() : "-");
    std::printf("cost: windows with readings at %g s of processor at %g, %g objects each at %g for 10,000, and %g a GB and month; extrapolated from %s\n", prices.run_seconds,
                prices.processor_second, prices.objects_a_window, prices.ten_thousand_writes, prices.gigabyte_month, span_text(all.to - all.from).c_str());
    if (all.changes == 0) std::printf("nothing changed in this time: a capture rate cannot be stated\n");
}

void print_json(const FeedComparison& all, const std::array<CompareInput, 2>& inputs, const std::array<Cost, 2>& costs) {
    std::string text;
    JsonWriter json(text);
    const auto seconds = [](Duration d) { return static_cast<double>(d.count()) / 1e6; };
    const auto maybe = [&](const char* name, std::optional<double> value) {
        json.name(name);
        if (value) json.value(*value);
        else json.null();
    };
    json.object().member("from", all.from).member("to", all.to).member("keys", all.keys).member("changes", all.changes);
    maybe("agreement", all.agreement);
    maybe("mean_difference", all.mean_difference);
    json.name("records").array();
    for (std::size_t i = 0; i < 2; ++i) {
        const RecordSummary& record = all.records[i];
        json.object().member("name", inputs[i].name).member("form", inputs[i].form).member("readings", record.readings).member("caught", record.caught);
        json.member("missed", record.missed);
        maybe("capture_rate", record.capture_rate);
        maybe("median_spacing_seconds", record.median_spacing ? std::optional(seconds(*record.median_spacing)) : std::nullopt);
        json.member("gaps", record.gaps).member("gap_limit_seconds", seconds(record.gap_limit)).member("gap_total_seconds", seconds(record.gap_total));
        json.member("gap_longest_seconds", seconds(record.gap_longest)).member("skipped", inputs[i].skipped).name("cost_month").object();
        json.member("windows", costs[i].windows).member("processor", costs[i].processor).member("writes", costs[i].writes);
        json.member("storage", costs[i].storage).member("total", costs[i].total).end().end();
    }
    json.end().end();
    std::printf("%s\n", text.c_str());
}

// Nullopt, and said on stderr.
template <class T>
bool parse_option(const char* name, const std::string& text, T parse, auto& into, const char* allowed) {
    if (text.empty()) return true;
    if (const auto parsed = parse(text)) {
        into = *parsed;
        return true;
    }
    std::fprintf(stderr, "weir compare: %s is \"%s\"; allowed: %s\n", name, text.c_str(), allowed);
    return false;
}

}  // namespace

int run_compare(int argc, char** argv) {
    CLI::App app{
        "Compares two records of one source over the same time: how many of its changes each has caught, where each was silent, how far\n"
        "they agree, and what each costs a month. For the week in which an old collector and weir run side by side.\n"
        "A record is a file (NDJSON or CSV, plain or .gz), FOLDER:STREAM of a log that is not in use, or a folder of window files.\n\n"
        "  weir compare old.csv weir-data:pools --key /uid --value /currentfill\n"
        "  weir compare old-windows/ new-windows/ --json",
        "weir compare"};
    std::string a, b, from, to, tolerance, gap, window;
    std::vector<std::string> key{"/key", "/uid"}, value{"/currentfill", "/anzahl_gaeste", "/occupancy", "/value"}, time;
    Prices prices;
    bool as_json = false;
    app.add_option("A", a, "First record")->required();
    app.add_option("B", b, "Second record")->required();
    app.add_option("--key", key, "JSON Pointers to the key in a message; the first that is there")->capture_default_str();
    app.add_option("--value", value, "JSON Pointers to the number")->capture_default_str();
    app.add_option("--time", time, "JSON Pointers to the time in a message (default: when it arrived)");
    app.add_option("--from", from, "Only from this time on (RFC 3339; default: what both cover)");
    app.add_option("--to", to, "Only before this time");
    app.add_option("--tolerance", tolerance, "How much later one of them may see a change (default 5s)");
    app.add_option("--gap", gap, "A silence longer than this is a gap (default: three times the record's median spacing)");
    app.add_option("--window", window, "Length of the windows that are stored (default 5min)");
    app.add_option("--price-processor", prices.processor_second, "Of one second of processor time")->capture_default_str();
    app.add_option("--run-seconds", prices.run_seconds, "Processor time a window")->capture_default_str();
    app.add_option("--price-writes", prices.ten_thousand_writes, "Of 10,000 writes of objects")->capture_default_str();
    app.add_option("--objects", prices.objects_a_window, "Objects a window")->capture_default_str();
    app.add_option("--price-storage", prices.gigabyte_month, "Of a GB for a month")->capture_default_str();
    app.add_flag("--json", as_json, "For machines");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;

    ComparisonOptions options{.from = {}, .to = {}, .gap = {}};
    const auto moment = [](const std::string& text) { return parse_rfc3339(text, Offset::optional); };
    const auto duration = [](const std::string& text) { return parse_duration(text); };
    constexpr const char *a_time = "a time such as 2026-02-17T10:00:00Z", *a_duration = "a duration such as 30s";
    if (!parse_option("--from", from, moment, options.from, a_time) || !parse_option("--to", to, moment, options.to, a_time) ||
        !parse_option("--tolerance", tolerance, duration, options.tolerance, a_duration) || !parse_option("--gap", gap, duration, options.gap, a_duration) ||
        !parse_option("--window", window, duration, options.window, a_duration))
        return exit_misused;
    if (options.window <= Duration(0)) {
        std::fprintf(stderr, "weir compare: --window is \"%s\"; allowed: longer than 0s\n", window.c_str());
        return exit_misused;
    }
    CompareFields fields;
    for (const auto& [texts, into, name] : {std::tuple(&key, &fields.key, "--key"), std::tuple(&value, &fields.value, "--value"), std::tuple(&time, &fields.time, "--time")})
        for (const std::string& text : *texts) {
            auto pointer = JsonPointer::parse(text);
            if (!pointer.ok()) {
                std::fprintf(stderr, "weir compare: %s: %s\n", name, pointer.error().message.c_str());
                return exit_misused;
            }
            into->push_back(*std::move(pointer));
        }

    const SystemClock clock;
    std::array<CompareInput, 2> inputs;
    for (std::size_t i = 0; i < 2; ++i) {
        auto input = read_compare_input(i == 0 ? a : b, fields, clock);
        if (!input.ok()) return report(std::move(input).error().within("weir compare"));
        inputs[i] = *std::move(input);
    }
    const auto all = analytics::compare_feeds(inputs[0].readings, inputs[1].readings, options);
    if (!all) {
        std::fprintf(stderr, "weir compare: the two have no time in common\n");
        return exit_failed;
    }
    std::array<Cost, 2> costs{};
    for (std::size_t i = 0; i < 2; ++i) {
        std::uint64_t count = 0;
        for (const auto& [name, readings] : inputs[i].readings) count += readings.size();
        costs[i] = cost_of(all->records[i], inputs[i].bytes / count, all->to - all->from, prices);
    }
    if (as_json) print_json(*all, inputs, costs);
    else print_table(*all, inputs, costs, prices);
    return exit_done;
}

}  // namespace weir
