#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/signals.h"
#include "app/commands/verbs.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/guarded.h"
#include "base/metrics.h"
#include "base/status_board.h"
#include "event/decoder.h"
#include "event/json_path.h"
#include "feeds/consumer.h"
#include "log/sqlite_log.h"
#include "net/http_client.h"
#include "stores/postgres_store.h"

namespace weir {
namespace {

constexpr int names_tried = 100;

struct Arguments {
    std::string url = "ws://localhost:8765", to = "postgresql://analytics_user@localhost:5433/analytics";  // S2-7
    std::string name = "consume", group, folder, stream, token, table, schema = "weir";
    std::vector<std::string> columns, key;
    bool events = false;
    std::uint64_t last = 0, milestone = 60;
};

/// Lines as source 002's consumer prints them: `2024-01-15 10:30:15 - INFO - ✅ #45 (Stream #123): Jane Doe from Canada`. Thread: any.
class Lines {
public:
    explicit Lines(const Clock& clock) : clock_(clock) {}
    void print(const char* level, const std::string& text) const {
        const auto now = static_cast<std::time_t>(clock_.now().micros() / 1'000'000);
        std::tm local{};
        ::localtime_r(&now, &local);
        char time[32];
        std::strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S", &local);
        std::printf("%s - %s - %s\n", time, level, text.c_str());
        std::fflush(stdout);
    }
    void info(const std::string& text) const { print("INFO", text); }
    void warning(const std::string& text) const { print("WARNING", text); }

private:
    const Clock& clock_;
};

/// Counts what this process has written, and says so.
class Progress {
public:
    Progress(const Lines& lines, bool users, std::uint64_t milestone) : lines_(lines), users_(users), milestone_(milestone) {}
    void written(const EventView& event, std::uint64_t seq) {
        ++count_;
        const auto sequence = sequence_.number(event.data);
        const std::string number = std::to_string(sequence ? static_cast<std::uint64_t>(*sequence) : seq);
        std::string line = "✅ #" + std::to_string(count_) + " (Stream #" + number + ")";
        const auto first = first_.string(event.data), last = last_.string(event.data), country = country_.string(event.data);
        if (first && last) line += ": " + excerpt(*first) + " " + excerpt(*last) + (country ? " from " + excerpt(*country) : "");
        else if (!event.key.empty()) line += ": " + excerpt(event.key);
        lines_.info(line);
        if (milestone_ > 0 && count_ % milestone_ == 0) lines_.info("📊 Milestone: " + std::to_string(count_) + (users_ ? " users inserted!" : " rows inserted!"));
    }
    std::uint64_t count() const { return count_; }

private:
    const Lines& lines_;
    const bool users_;
    const std::uint64_t milestone_;
    std::uint64_t count_ = 0;
    const JsonPath first_ = *JsonPath::parse("/name/first"), last_ = *JsonPath::parse("/name/last"), country_ = *JsonPath::parse("/location/country"),
                   sequence_ = *JsonPath::parse("/stream_sequence");
};

/// The private log. Several consumers in one folder take the next free name each.
Result<std::unique_ptr<SqliteLog>> open_log(Arguments& arguments, bool named, const Clock& clock, Metrics& metrics) {
    const std::string first = arguments.name;
    for (int n = 1;; ++n) {
        if (n > 1) arguments.name = first + "-" + std::to_string(n);
        SqliteLog::Setup setup;
        setup.options.path = (arguments.folder.empty() ? std::string("weir-consume") : arguments.folder) + "/" + arguments.name;
        // What the database has not is kept in any case (Log::hold_for). What it has is read again after each connect, and is of use where the
        // database was set back a little.
        setup.options.retention.age = 1h;
        setup.clock = &clock;
        setup.metrics = &metrics;
        auto log = SqliteLog::open(std::move(setup));
        if (log.ok() || log.error().code != "in_use" || named || n >= names_tried) return log;
    }
}

Result<StoreOptions> store_options(const Arguments& arguments) {
    StoreOptions options;
    options.kind = StoreKind::postgresql;
    options.url = Secret(arguments.to);
    if (const char* password = std::getenv("DB_PASSWORD")) options.password = Secret(password);
    options.schema = arguments.schema;
    options.tables = arguments.events;
    options.backoff_cap = 30s;
    if (arguments.events) return options;
    MappedTable table;
    table.table = arguments.table;
    table.conflict = arguments.key;
    for (const std::string& column : arguments.columns) {
        const std::size_t equals = column.find('=');
        if (equals == 0 || equals == std::string::npos) return Error{"bad_config", "weir consume: --column is \"" + column + "\"; allowed: column=/json/pointer"};
        table.columns[column.substr(0, equals)] = column.substr(equals + 1);
    }
    if (table.columns.empty()) table.preset = MappedPreset::incoming_users;
    else if (table.table.empty()) return Error{"bad_config", "weir consume: --column needs --table"};
    for (const std::string& key : table.conflict)
        if (!table.columns.contains(key)) return Error{"bad_config", "weir consume: --key is \"" + key + "\"; allowed: a column of --column"};
    options.mapped.push_back(std::move(table));
    return options;
}

void print_banner(const Arguments& arguments, bool users) {
    const std::string rule(60, '=');
    std::printf("%s\n🎧 %s\n%s\n🔗 Connecting to: %s\n💾 Database: %s\n%s\n", rule.c_str(), users ? "Real-time User Data Consumer" : "Real-time Data Consumer", rule.c_str(),
                net::shown_url(arguments.url).c_str(), PostgresConnection::shown(arguments.to).c_str(), rule.c_str());
    std::fflush(stdout);
}

}  // namespace

int run_consume(int argc, char** argv) {
    CLI::App app{
        "Writes what a weir, or any WebSocket of JSON objects, sends into PostgreSQL, each event exactly once: from a weir it goes on behind the\n"
        "last row that the database has; a foreign socket counts from receipt on. What has arrived waits in a log of its own while the\n"
        "database is away. The password comes from DB_PASSWORD, PGPASSFILE or the url.\n\n"
        "  weir consume ws://localhost:8765 --to postgresql://analytics_user@localhost:5433/analytics\n"
        "  weir consume wss://weir.example/feed/pools --events --to postgresql://me@db/analytics\n\n"
        "Without --events or --column rows are records of randomuser.me, in public.incoming_users. Two consumers under two names write all there is,\n"
        "each (a repeat updates its row); with --group they share it.",
        "weir consume"};
    Arguments arguments;
    app.add_option("url", arguments.url, "ws:// or wss://")->capture_default_str();
    app.add_option("--to", arguments.to, "postgresql://user@host:port/database")->capture_default_str();
    app.add_option("--stream", arguments.stream, "Of a weir: only this stream (default: what the url names, else all data streams)");
    app.add_option("--last", arguments.last, "Of a weir, the first time: begin this many events back");
    auto* name = app.add_option("--name", arguments.name, "Under this name the database keeps how far this consumer is (default: consume, consume-2, ...)");
    app.add_option("--group", arguments.group, "Share the work with all consumers of this group: each event is written by one of them. Needs a weir");
    app.add_flag("--events", arguments.events, "Write the generic tables of weir (schema weir) instead");
    app.add_option("--table", arguments.table, "Table (default: public.incoming_users)");
    app.add_option("--column", arguments.columns, "column=/json/pointer of a table of your own; may be repeated");
    app.add_option("--key", arguments.key, "Column of the table's key, where a repeat updates its row; may be repeated");
    app.add_option("--folder", arguments.folder, "Where the log of what is not in the database yet lives (default: weir-consume)");
    app.add_option("--milestone", arguments.milestone, "A line each so many rows; 0: none")->capture_default_str();
    app.add_option("--token", arguments.token, "Access token")->envname("WEIR_TOKEN");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    auto options = store_options(arguments);
    if (!options.ok()) return report(options.error());
    options->streams = arguments.stream.empty() ? std::vector<std::string>{} : std::vector<std::string>{arguments.stream, Consumer::foreign_stream};

    SignalWait signals({SIGINT, SIGTERM});
    static const SystemClock clock;
    Metrics metrics;
    StatusBoard status;
    auto log = open_log(arguments, name->count() > 0, clock, metrics);
    if (!log.ok()) return report(log.error());
    const bool users = !arguments.events && arguments.columns.empty();
    const Lines lines(clock);
    Progress progress(lines, users, arguments.milestone);
    Guarded<std::optional<std::map<StreamName, Consumer::Place>>> in_database;

    PostgresStore::Setup store_setup;
    store_setup.name = arguments.group.empty() ? arguments.name : arguments.group;
    store_setup.options = *std::move(options);
    store_setup.owner = to_text(Epoch{(std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()});
    store_setup.shared = !arguments.group.empty();
    // Of a weir the place there counts, so that this log may be lost; of a foreign socket there is none but the one here.
    store_setup.origin = [](const Batch& batch, std::size_t i) {
        const EventView event = batch.events[i];
        if (const auto place = Consumer::place_of(event.id)) return PostgresStore::Origin{batch.stream, {place->epoch, place->seq}};
        return PostgresStore::Origin{batch.stream, {to_text(batch.epoch), batch.seq_of(i).value}};
    };
    store_setup.connected = [&](const std::map<StreamName, PostgresStore::Place>& places) {
        std::map<StreamName, Consumer::Place> known;
        for (const auto& [stream, place] : places) known[stream] = {place.epoch, place.seq};
        in_database.with([&](auto& held) { held = std::move(known); });
    };
    store_setup.written = [&](const EventView& event, const StreamName&, std::uint64_t seq) { progress.written(event, seq); };
    auto store = PostgresStore::make(std::move(store_setup), {**log, clock, metrics, status, std::random_device{}()});
    if (!store.ok()) return report(store.error());

    Consumer::Setup setup;
    setup.url = arguments.url;
    setup.token = Secret(arguments.token);
    setup.stream = arguments.stream;
    setup.last = arguments.last;
    setup.log = log->get();
    setup.clock = &clock;
    setup.seed = std::random_device{}();
    setup.known = [&] { return Consumer::known_by(**log, in_database.with([](auto& held) { return held; })); };
    setup.observer.connected = [&](bool) {
        std::printf("✅ Connected to %s stream!\n", users ? "user" : "the");
        std::fflush(stdout);
    };
    setup.observer.greeted = [&](std::string_view message) {
        std::printf("👋 %.*s\n", static_cast<int>(message.size()), message.data());
        std::fflush(stdout);
    };
    setup.observer.lost = [&](const Error& why, Duration wait) {
        const std::string shown = to_text(wait - wait % (wait < 2s ? Duration(100ms) : Duration(1s)));
        const char* advice = why.code == "connect_failed" ? "; is the server running, and the address right?" : "";
        lines.warning("🔌 " + why.message + advice + "; next try in " + shown);
    };
    setup.observer.gap = [&](std::string_view what) { lines.warning("⚠️ Gap: " + std::string(what)); };
    Consumer consumer(std::move(setup));

    print_banner(arguments, users);
    if (auto started = (*store)->start(); !started.ok()) return report(started.error());
    consumer.start();
    (void)signals.wait();
    consumer.stop();
    (*store)->stop();
    (*log)->stop();
    lines.info("👋 Stopped, " + std::to_string(progress.count()) + (users ? " users inserted" : " rows inserted"));
    return exit_done;
}

}  // namespace weir
