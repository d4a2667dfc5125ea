#include "app/server.h"

#include <random>

#include "app/alert_rules.h"
#include "app/banner.h"
#include "app/characteristics.h"
#include "app/value_paths.h"
#include "app/version.h"
#include "base/diag.h"
#include "base/metrics.h"
#include "base/status_board.h"
#include "event/json.h"
#include "feeds/feeds.h"
#include "gateway/gateway.h"
#include "log/sqlite_log.h"
#include "processors/alert_processor.h"
#include "processors/feed_status_processor.h"
#include "processors/forecast_processor.h"
#include "processors/runner.h"
#include "processors/window_document.h"
#include "processors/window_processor.h"
#include "stores/blob_store.h"
#include "stores/object_stores.h"
#include "stores/postgres_store.h"
#include "stores/webhook_store.h"

namespace weir {
namespace {

// How a store joins what another log wrote of a window with what this one has.
BlobJoin join_of(const WindowOptions& window) {
    const auto median = window.median == Median::upper ? analytics::MedianKind::upper : analytics::MedianKind::exact;
    return [median, exact_max = window.exact_max](const Json& one, const Json& other, const std::vector<BlobReading>& readings, std::uint64_t revision) {
        std::vector<WindowReading> values;
        values.reserve(readings.size());
        for (const BlobReading& r : readings) values.push_back({r.time, parse_json_number(r.value).value_or(0), r.source});
        return join_windows(one, other, values, revision, median, exact_max);
    };
}

std::vector<StreamName> feed_streams(const FeedTable& feeds) {
    std::vector<StreamName> streams;
    for (const auto& [name, feed] : feeds)
        if (std::find(streams.begin(), streams.end(), feed.stream) == streams.end()) streams.push_back(feed.stream);
    return streams;
}

/// weir's own counters, every 5 s (decisions.md 21).
constexpr Duration metrics_interval = 5s;
/// What is kept of them where [streams.metrics] says nothing: they are for watching, and Prometheus keeps the rest.
constexpr Duration metrics_age = 24h;

StreamTable with_own_streams(StreamTable streams, const RetentionOptions& standard) {
    StreamOptions& own = streams["metrics"];
    const bool is_shorter = standard.age > Duration(0) && standard.age < metrics_age;
    if (!is_shorter && !own.retention_age && !own.retention_bytes && !own.retention_events) own.retention_age = metrics_age;
    return streams;
}

}  // namespace

struct Server::Parts {
    Config config;
    const Clock& clock;
    const SystemClock system_clock;
    const Mode mode;
    const std::string progress;
    Metrics metrics;
    StatusBoard status;
    std::unique_ptr<SqliteLog> log;
    std::unique_ptr<Runner> runner;
    std::vector<std::unique_ptr<StoreWorker>> stores;
    std::unique_ptr<Gateway> gateway;
    std::unique_ptr<Feeds> feeds;

    Parts(Config c, const Clock& k, Mode m, std::string p) : config(std::move(c)), clock(k), mode(m), progress(std::move(p)) {}

    /// Stores speak with services of today, also of a history: signatures, partitions ahead and retention go by the day on which it is imported.
    const Clock& stores_clock() const { return mode == Mode::history ? system_clock : clock; }

    Result<void> start_log();
    Result<void> start_processors();
    Result<void> start_stores();
    Result<void> start_gateway();
    Result<void> start_feeds();
};

Result<void> Server::Parts::start_log() {
    SqliteLog::Setup setup;
    setup.options = config.options.log;
    setup.streams = with_own_streams(config.options.streams, config.options.log.retention);
    setup.clock = &clock;
    setup.metrics = &metrics;
    WEIR_TRY(log, SqliteLog::open(std::move(setup)));
    return ok();
}

Result<void> Server::Parts::start_processors() {
    RunnerOptions options;
    // The past was not interrupted by the start of an import. A feed tells its stream itself, with the time since when.
    options.announce_restart = mode == Mode::live;
    // Five minutes of the log are a few readings in a history, and a snapshot after each few, with two syncs, was all that an import did.
    if (mode == Mode::history) options.snapshot_interval = 3h;
    options.told_by_feeds = feed_streams(config.options.feeds);
    runner = std::make_unique<Runner>(*log, clock, metrics, status, options);
    if (const auto streams = feed_streams(config.options.feeds); !streams.empty()) runner->add(std::make_unique<FeedStatusProcessor>(streams));
    for (const auto& [name, window] : config.options.windows) {
        auto paths = value_paths(window.value, window.stream, config.options.feeds);
        if (!paths.ok()) return std::move(paths).error().within(config.where("windows." + name + ".value") + "windows." + name + ".value");
        runner->add(std::make_unique<WindowProcessor>(name, window, *std::move(paths)));
    }
    // Retention keeps what a processor has not read yet, and what it reads again after a crash.
    for (const auto& [name, window] : config.options.windows) log->hold_for("window/" + name, {window.stream}, Runner::snapshot_key);
    for (const auto& [name, forecast] : config.options.forecasts) {
        auto processor = std::make_unique<ForecastProcessor>(name, forecast, config.options.windows.at(forecast.window));
        log->hold_for(processor->name(), processor->inputs(), Runner::snapshot_key);
        runner->add(std::move(processor));
    }
    const auto undated = mode == Mode::history ? std::optional(Timestamp()) : std::nullopt;
    const bool has_spc = config.options.spc.enabled;
    if (has_spc) {
        auto spc = std::make_unique<SpcProcessor>(config.options.spc, spc_sources(config.options));
        log->hold_for(spc->name(), spc->inputs(), Runner::snapshot_key);
        WEIR_TRY(const Start start, spc_start(*log));
        runner->add(std::move(spc), start);
    }
    // Behind what they look at. Rules that were removed end their alerts, so that the processor is there once more where it has been.
    WEIR_TRY(const auto alerts_before, log->position(AlertProcessor::reader));
    if (!config.options.alerts.empty() || alerts_before) {
        auto alerts = std::make_unique<AlertProcessor>(alert_sources(config.options), config.options.spc.reasons());
        log->hold_for(alerts->name(), alerts->inputs(), Runner::snapshot_key);
        WEIR_TRY(const Start start, put_alert_rules(config, *log, clock.now(), undated));
        runner->add(std::move(alerts), start);
    }
    WEIR_CHECK_OK(runner->start());
    return has_spc ? put_configured(config, *log, clock.now(), undated) : ok();
}

// What a machine in Azure says of its own identity (App Service and Functions).
AzureIdentity azure_identity() {
    const auto text = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    return {text("IDENTITY_ENDPOINT"), Secret(text("IDENTITY_HEADER")), text("AZURE_CLIENT_ID")};
}

Result<void> Server::Parts::start_stores() {
    for (const auto& [name, options] : config.options.stores) {
        if (options.kind == StoreKind::postgresql) {
            PostgresStore::Setup setup;
            setup.name = name;
            setup.options = options;
            setup.owner = to_text(Epoch{(std::uint64_t{std::random_device{}()} << 32) | std::random_device{}()});
            WEIR_TRY(auto store, PostgresStore::make(std::move(setup), {*log, stores_clock(), metrics, status, std::random_device{}()}));
            WEIR_CHECK_OK(store->start());
            stores.push_back(std::move(store));
            continue;
        }
        if (options.kind == StoreKind::webhook) {
            auto store = std::make_unique<WebhookStore>(WebhookStore::Setup{name, options, version}, std::make_unique<HttpTransport>(stores_clock(), WebhookStore::retry_after_max),
                                                        StoreWorker::Surroundings{*log, stores_clock(), metrics, status, std::random_device{}()});
            WEIR_CHECK_OK(store->start());
            stores.push_back(std::move(store));
            continue;
        }
        std::vector<BlobSource> sources;
        for (const auto& [window_name, window] : config.options.windows) {
            const auto& wanted = options.windows;
            if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), window_name) == wanted.end()) continue;
            WEIR_TRY(auto paths, value_paths(window.value, window.stream, config.options.feeds));
            sources.push_back({window_name, window.output, window.stream, std::move(paths), join_of(window)});
        }
        if (sources.empty()) {
            diag::warn(config.where("stores." + name) + "store " + name + " has nothing to write: there are no [windows.*]");
            continue;
        }
        auto objects = make_object_store(options, azure_identity(), stores_clock());
        if (!objects.ok()) return std::move(objects).error().within(config.where("stores." + name) + "stores." + name);
        auto store = std::make_unique<BlobStore>(name, options, std::move(sources), *std::move(objects), *log, stores_clock(), metrics, status);
        WEIR_CHECK_OK(store->start());
        stores.push_back(std::move(store));
    }
    return ok();
}

Result<void> Server::Parts::start_gateway() {
    if (!config.options.gateway.enabled || mode == Mode::history) return ok();
    // There from the start, so that who subscribes to predictions hears of a producer.
    StreamTable streams = config.options.streams;
    if (!config.options.forecasts.empty()) streams.try_emplace(StreamName(ForecastProcessor::predictions));
    WEIR_TRY(gateway, Gateway::start({*log, status, metrics, clock}, {.options = config.options.gateway,
                                                                      .streams = std::move(streams),
                                                                      .windows = config.options.windows,
                                                                      .feeds = config.options.feeds,
                                                                      .spc = config.options.spc,
                                                                      .has_alerts = !config.options.alerts.empty(),
                                                                      .version = version,
                                                                      .metrics_interval = metrics_interval}));
    return ok();
}

Result<void> Server::Parts::start_feeds() {
    Feeds::Setup setup;
    setup.table = config.options.feeds;
    setup.log = log.get();
    setup.clock = &clock;
    setup.board = &status;
    setup.metrics = &metrics;
    setup.seed = (std::uint64_t{std::random_device{}()} << 32) | std::random_device{}();
    setup.recorded_times = mode == Mode::history;
    setup.progress = progress;
    WEIR_TRY(feeds, Feeds::make(std::move(setup)));
    feeds->start();
    return ok();
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(Config config, const Clock& clock, Mode mode, std::string progress) {
    auto parts = std::make_unique<Parts>(std::move(config), clock, mode, std::move(progress));
    std::unique_ptr<Server> server(new Server(std::move(parts)));
    Parts& p = *server->parts_;
    WEIR_CHECK_OK(p.start_log());
    WEIR_CHECK_OK(p.start_processors());
    WEIR_CHECK_OK(p.start_stores());
    WEIR_CHECK_OK(p.start_gateway());
    WEIR_CHECK_OK(p.start_feeds());
    if (p.gateway) {
        p.gateway->ready();
        diag::info((p.config.options.gateway.tls_cert_file.empty() ? "listening on http://" : "listening on https://") + p.gateway->address());
        for (const std::string& line : broadcast_banner(p.config.options, p.gateway->address())) diag::info(line);
    }
    return server;
}

Log& Server::log() { return *parts_->log; }

Result<bool> Server::feeds_finished() { return parts_->feeds->finished(); }

bool Server::caught_up() {
    const auto last_commit = [&](const StreamName& stream) {
        const auto info = parts_->log->info(stream);
        return info ? info->last_commit : CommitNo{};
    };
    for (const auto& [name, window] : parts_->config.options.windows)
        if (parts_->runner->position() < last_commit(window.stream)) return false;
    for (const auto& [name, alert] : parts_->config.options.alerts)
        if (parts_->runner->position() < last_commit(alert.stream)) return false;
    for (const auto& [name, forecast] : parts_->config.options.forecasts)
        if (parts_->runner->position() < last_commit(parts_->config.options.windows.at(forecast.window).output)) return false;
    for (const auto& store : parts_->stores)
        if (!store->caught_up()) return false;
    return true;
}

std::vector<std::pair<std::string, std::string>> Server::status(std::string_view prefix) const { return parts_->status.read(prefix); }

void Server::reload(Config config) {
    const auto is_token = [](const std::string& path) { return path.starts_with("gateway.tokens."); };  // they come and go
    for (const ConfigChange& change : changes(parts_->config, config)) {
        if (change.needs_restart && !(parts_->gateway && is_token(change.path))) diag::warn(change.path + " has changed; it takes effect at the next start");
        else diag::info(change.path + " has changed");
    }
    take_reloadable(parts_->config, config);
    diag::set_level(parts_->config.options.diag.level);
    if (!parts_->gateway) return;
    parts_->config.options.gateway.tokens = config.options.gateway.tokens;
    for (const Error& error : parts_->gateway->reload(parts_->config.options.gateway)) diag::error("gateway: " + error.message);
}

void Server::stop() {
    if (!parts_) return;
    if (parts_->feeds) parts_->feeds->stop();
    if (parts_->gateway) {
        parts_->gateway->drain();
        parts_->gateway->stop();
    }
    if (parts_->runner) parts_->runner->stop();
    for (auto& store : parts_->stores) store->stop();
    if (parts_->log) parts_->log->stop();
    parts_.reset();
}

}  // namespace weir
