#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/verbs.h"
#include "base/clock.h"
#include "event/json.h"
#include "log/sqlite_log.h"

namespace weir {
namespace {

constexpr std::size_t events_a_read = 10'000;

// One event a line, in the form that `weir import` and a replay source read back.
void append_ndjson(std::string& out, const EventView& event, Seq seq) {
    JsonWriter json(out);
    json.object().member("seq", seq.value).member("id", event.id).member("type", event.type).member("key", event.key);
    json.member("source", event.source).member("time", event.time).member("ingested", event.ingested).name("data").raw(event.data).end();
    out += '\n';
}

void append_csv_cell(std::string& out, std::string_view text) {
    // A text that a spreadsheet would take for a formula is given as text (S0-R14).
    const bool formula = !text.empty() && std::string_view("=+-@\t\r").find(text[0]) != std::string_view::npos;
    if (!formula && text.find_first_of(",\"\r\n") == text.npos) {
        out += text;
        return;
    }
    out += '"';
    if (formula) out += '\'';
    for (const char c : text) {
        if (c == '"') out += '"';
        out += c;
    }
    out += '"';
}

void append_csv(std::string& out, const EventView& event, Seq seq) {
    out += std::to_string(seq.value);
    for (const std::string_view cell : {event.id, event.type, event.key, event.source}) {
        out += ',';
        append_csv_cell(out, cell);
    }
    out += ',';
    append_rfc3339(out, event.time);
    out += ',';
    append_rfc3339(out, event.ingested);
    out += ",\"";
    for (const char c : event.data) {
        if (c == '"') out += '"';
        out += c;
    }
    out += "\"\n";
}

}  // namespace

int run_export(int argc, char** argv) {
    CLI::App app{
        "Writes a stream to stdout, one event a line, oldest first. The folder must not be in use; from a running weir:\n"
        "curl 'http://127.0.0.1:8765/api/v1/streams/pools/events?after=0&limit=10000&format=ndjson'\n\n"
        "  weir export weir-data pools > pools.ndjson",
        "weir export"};
    std::string folder, stream, format = "ndjson", from, to, key;
    app.add_option("folder", folder, "Folder of the log (log.path)")->required();
    app.add_option("stream", stream, "Stream; without one their names are listed");
    app.add_option("--format", format, "ndjson or csv")->check(CLI::IsMember({"ndjson", "csv"}))->capture_default_str();
    app.add_option("--from", from, "Only events at or after this time (RFC 3339)");
    app.add_option("--to", to, "Only events before this time (RFC 3339)");
    app.add_option("--key", key, "Only events of this key");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    Timestamp first = Timestamp::min(), end = Timestamp::max();
    for (const auto& [text, bound, name] : {std::tuple(&from, &first, "--from"), std::tuple(&to, &end, "--to")}) {
        if (text->empty()) continue;
        const auto parsed = parse_rfc3339(*text, Offset::optional);
        if (!parsed) {
            std::fprintf(stderr, "weir export: %s is \"%s\"; allowed: a time such as 2026-02-17T10:00:00Z\n", name, text->c_str());
            return exit_misused;
        }
        *bound = *parsed;
    }

    static const SystemClock clock;
    SqliteLog::Setup setup;
    setup.options.path = folder;
    setup.options.merge = false;
    setup.clock = &clock;
    auto log = SqliteLog::open(std::move(setup));
    if (!log.ok()) return report(log.error());
    if (stream.empty()) {
        for (const auto& info : (*log)->streams())
            std::printf("%s\t%llu events\n", info.name.c_str(), static_cast<unsigned long long>(info.head.value + 1 - std::max<std::uint64_t>(info.first.value, 1)));
        return exit_done;
    }
    const auto info = (*log)->info(stream);
    if (!info) {
        std::fprintf(stderr, "weir export: %s has no stream \"%s\"; `weir export %s` lists them\n", folder.c_str(), stream.c_str(), folder.c_str());
        return exit_failed;
    }

    const bool csv = format == "csv";
    std::string out = csv ? "seq,id,type,key,source,time,ingested,data\n" : "";
    for (Seq next = info->first; next <= info->head;) {
        const auto batches = (*log)->read(stream, next, events_a_read);
        if (!batches.ok()) return report(batches.error());
        if (batches->empty()) break;
        for (const BatchPtr& batch : *batches) {
            for (std::size_t i = 0; i < batch->events.size(); ++i) {
                const EventView event = batch->events[i];
                if (event.time < first || event.time >= end || (!key.empty() && event.key != key)) continue;
                csv ? append_csv(out, event, batch->seq_of(i)) : append_ndjson(out, event, batch->seq_of(i));
            }
            next = batch->seq_of(batch->events.size());
        }
        if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size()) {
            std::fprintf(stderr, "weir export: cannot write to stdout: %s\n", std::strerror(errno));
            return exit_failed;
        }
        out.clear();
    }
    std::fwrite(out.data(), 1, out.size(), stdout);
    return std::fflush(stdout) == 0 ? exit_done : exit_failed;
}

}  // namespace weir
