#include <algorithm>
#include <set>

#include "base/spelling.h"
#include "config/option.h"

// Rules between options. Each error names both paths, with the value and place of each; a note is about what is allowed but should
// be known.
namespace weir {
namespace {

using Names = std::vector<std::string>;

bool is_loopback(const std::string& host) {
    return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

/// The host of a URL: between `//` (and a user) and the port or path.
std::string host_of(const std::string& url) {
    const std::size_t slashes = url.find("//");
    if (slashes == std::string::npos) return {};
    std::string host = url.substr(slashes + 2, url.find_first_of("/?#", slashes + 2) - slashes - 2);
    if (const std::size_t at = host.rfind('@'); at != std::string::npos) host.erase(0, at + 1);
    if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
    return host.substr(0, host.find(':'));
}

std::string number_text(double number) {
    std::string text = std::to_string(number);
    if (text.find('.') != std::string::npos) text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
}

std::string lower_case(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

bool is_header_name(const std::string& name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}

class Checker {
public:
    Checker(const Config& config, std::vector<std::string>& errors, std::vector<std::string>& notes)
        : config_(config), options_(config.options), errors_(errors), notes_(notes) {}

    void check() {
        find_streams();
        check_kinds();
        check_log();
        for (const auto& [name, feed] : options_.feeds) check_feed(path_text(Names{"feeds", name}, {}), feed);
        for (const auto& [name, window] : options_.windows) check_window(path_text(Names{"windows", name}, {}), window);
        for (const auto& [name, forecast] : options_.forecasts) check_forecast(path_text(Names{"forecasts", name}, {}), forecast);
        check_outputs();
        check_characteristics();
        for (const auto& [name, alert] : options_.alerts) check_alert(path_text(Names{"alerts", name}, {}), name, alert);
        for (const auto& [name, store] : options_.stores) check_store(path_text(Names{"stores", name}, {}), store);
        check_store_places();
        check_gateway();
    }

private:
    void fail(const std::string& at, const std::string& what) { errors_.push_back(config_.where(at) + what); }
    void note(const std::string& at, const std::string& what) { notes_.push_back(config_.where(at) + what); }

    /// `gateway.port is 9000 (weir.toml:14)`, for the second option of a rule.
    std::string and_where(const std::string& path, const std::string& value) const {
        const auto origin = config_.origins.find(path);
        return path + " is " + value + (origin == config_.origins.end() ? " (default)" : " (" + origin->second + ")");
    }

    void require(const std::string& section, const std::string& name, bool given, const std::string& why) {
        if (!given) fail(first_origin(section), section + "." + name + " is missing; " + why);
    }

    /// For what is missing there is no line of its own: the section's first one will do.
    std::string first_origin(const std::string& section) const {
        if (config_.origins.contains(section)) return section;
        const auto found = config_.origins.lower_bound(section + ".");
        return found != config_.origins.end() && found->first.starts_with(section + ".") ? found->first : section;
    }

    // An option that its section's kind does not use would do nothing, silently.
    void check_kinds() {
        for (const Option& option : option_table()) {
            if (option.kinds.empty()) continue;
            option.section->each(options_, [&](const Names& names, const void* owner) {
                const std::string path = path_of(option.parts, names);
                const std::string kind = kind_of(*option.section, owner);
                if (!config_.origins.contains(path) || option.applies_to(kind)) return;
                std::string kinds;
                for (const std::string& k : option.kinds) kinds += (kinds.empty() ? "" : ", ") + k;
                const std::string kind_path = path.substr(0, path.size() - option.name.size()) + "kind";
                fail(path, path + " is for kind " + kinds + "; " + and_where(kind_path, kind));
            });
        }
    }

    // --- streams ---

    void find_streams() {
        for (const auto& [name, feed] : options_.feeds) streams_.insert(feed.stream);
        for (const auto& [name, window] : options_.windows) streams_.insert(window.output);
        for (const auto& [name, stream] : options_.streams) streams_.insert(name);
        for (const char* own : {"system_status", "metrics", "alerts", "predictions"}) streams_.insert(own);
    }

    // Not an error: clients may push to any stream. But a misspelt name would wait for ever.
    void check_stream(const std::string& path, const std::string& stream) {
        if (stream.empty() || streams_.contains(stream) || stream.starts_with('_')) return;
        const Names known(streams_.begin(), streams_.end());
        const std::string_view near = nearest_spelling(stream, known);
        note(first_origin(path), path + " names the stream " + quoted(stream) + ", which no feed or window writes" +
                       (near.empty() ? "" : " (did you mean " + quoted(near) + "?)") + "; it waits for events that clients push; [" +
                       path_text(Names{"streams", stream}, {}) + "] says that this is meant");
    }

    // --- log ---

    void check_log() {
        check_retention("log", options_.log.retention);
        for (const auto& [name, stream] : options_.streams)
            check_retention(path_text(Names{"streams", name}, {}), stream.retention(options_.log.retention));
        if (options_.log.merge_bytes > options_.log.block_bytes)
            fail("log.merge_bytes", "log.merge_bytes is " + bytes_text(options_.log.merge_bytes) + "; allowed: at most log.block_bytes; " +
                                        and_where("log.block_bytes", bytes_text(options_.log.block_bytes)));
    }

    void check_retention(const std::string& section, const RetentionOptions& retention) {
        if (retention.hard_bytes == 0 || retention.bytes <= retention.hard_bytes) return;
        const std::string path = section + ".retention_hard_bytes";
        fail(path, path + " is " + bytes_text(retention.hard_bytes) + "; allowed: at least " + section + ".retention_bytes; " +
                       and_where(section + ".retention_bytes", bytes_text(retention.bytes)));
    }

    // --- feeds ---

    void check_feed(const std::string& path, const FeedOptions& feed) {
        if (feed.sources.empty()) fail(first_origin(path), path + " has no source; allowed: at least one [[" + path + ".sources]]");
        if (feed.backoff_first > feed.backoff_cap)
            fail(path + ".backoff_first", path + ".backoff_first is " + to_text(feed.backoff_first) + "; allowed: at most " + path +
                                              ".backoff_cap; " + and_where(path + ".backoff_cap", to_text(feed.backoff_cap)));
        if (feed.interval > 0s && feed.silence > 0s && feed.silence < feed.interval)
            fail(path + ".silence", path + ".silence is " + to_text(feed.silence) + "; allowed: at least " + path + ".interval; " +
                                        and_where(path + ".interval", to_text(feed.interval)));
        for (std::size_t i = 0; i < feed.sources.size(); ++i) check_source(path + ".sources[" + std::to_string(i) + "]", feed.sources[i]);
    }

    void check_source(const std::string& path, const SourceOptions& source) {
        const bool socket = source.kind == SourceKind::websocket;
        const bool polled = source.kind == SourceKind::http || source.kind == SourceKind::html;
        if (socket || polled) {
            const std::string schemes = socket ? "ws:// or wss://" : "http:// or https://";
            require(path, "url", !source.url.empty(), "allowed: " + schemes + " and the rest of the address");
            const bool right = socket ? source.url.starts_with("ws://") || source.url.starts_with("wss://")
                                      : source.url.starts_with("http://") || source.url.starts_with("https://");
            if (!source.url.empty() && (!right || host_of(source.url).empty()))
                fail(path + ".url", path + ".url is " + quoted(without_secrets(source.url)) + "; allowed: " + schemes + " and a host; " +
                                        and_where(path + ".kind", socket ? "websocket" : source.kind == SourceKind::http ? "http" : "html"));
            const bool open = source.url.starts_with("ws://") || source.url.starts_with("http://");
            if (open && (!source.token.empty() || !source.headers.empty()) && !is_loopback(host_of(source.url)))
                note(path + ".url", path + ".url is not encrypted: whoever is on the way reads its token and headers");
            if (!source.tls_verify) note(path + ".tls_verify", path + ".tls_verify is false: whoever is on the way can change the readings");
        }
        if (source.kind == SourceKind::html) require(path, "xpath", !source.xpath.empty(), "allowed: the element that holds the number, such as //td[@id='SSD-4']");
        if (source.kind == SourceKind::replay) require(path, "file", !source.file.empty(), "allowed: a recording");
        if (source.kind == SourceKind::simulate && source.low > source.high)
            fail(path + ".low", path + ".low is above " + path + ".high; allowed: at most that");
        if (source.schedule && config_.origins.contains(path + ".interval"))
            fail(path + ".schedule", path + ".schedule and " + path + ".interval both say when to ask; allowed: one of them");
    }

    // --- windows ---

    void check_window(const std::string& path, const WindowOptions& window) {
        require(path, "stream", !window.stream.empty(), "allowed: a stream's name");
        check_stream(path + ".stream", window.stream);
        const std::string size = to_text(window.size);
        if (window.kind == WindowKind::hopping) {
            require(path, "hop", window.hop > 0s, "allowed: a divisor of " + path + ".size; " + and_where(path + ".size", size));
            if (window.hop > 0s && window.size.count() % window.hop.count() != 0)
                fail(path + ".hop", path + ".hop is " + to_text(window.hop) + "; allowed: a divisor of " + path + ".size; " + and_where(path + ".size", size));
        }
        if (window.kind == WindowKind::session) require(path, "gap", window.gap > 0s, "allowed: the silence that ends a session, such as 30min");
        if (window.kind != WindowKind::session && window.offset >= window.size)
            fail(path + ".offset", path + ".offset is " + to_text(window.offset) + "; allowed: less than " + path + ".size; " + and_where(path + ".size", size));
        // C-1: a schedule of every five seconds that was meant as every five minutes.
        if (window.schedule) {
            const Duration spacing = window.schedule->shortest_spacing();
            if (spacing < window.size)
                fail(path + ".schedule", path + ".schedule is " + quoted(window.schedule->text()) + ", which fires every " + to_text(spacing) +
                                             "; allowed: not more often than a window is long; " + and_where(path + ".size", size) +
                                             (window.schedule->text().starts_with("*/") ? " (every 5 minutes is \"0 */5 * * * *\")" : ""));
            if (window.offset > 0s) fail(path + ".offset", path + ".offset and " + path + ".schedule both move the windows; allowed: one of them");
        }
        if (!window.zone.is_utc() && window.kind != WindowKind::session && !window.schedule && window.size % 24h != 0s)
            note(path + ".zone", path + ".zone has no effect: it moves windows of whole days only; " + and_where(path + ".size", size));
    }

    void check_forecast(const std::string& path, const ForecastOptions& forecast) {
        require(path, "window", !forecast.window.empty(), "allowed: a name of [windows.*]");
        if (forecast.window.empty()) return;
        const auto found = options_.windows.find(forecast.window);
        if (found == options_.windows.end()) {
            Names known;
            for (const auto& [name, options] : options_.windows) known.push_back(name);
            const std::string_view near = nearest_spelling(forecast.window, known);
            fail(path + ".window", path + ".window is " + quoted(forecast.window) + "; allowed: a name of [windows.*]" +
                                       (near.empty() ? "" : " (did you mean " + std::string(near) + "?)"));
            return;
        }
        const WindowOptions& window = found->second;
        const std::string of = path_text(Names{"windows", forecast.window}, {});
        if (window.kind == WindowKind::session)
            fail(path + ".window", path + ".window is " + quoted(forecast.window) + ", whose windows have no fixed spacing; allowed: a tumbling or hopping one; " +
                                       and_where(of + ".kind", "session"));
        if (forecast.season == 0s || window.kind == WindowKind::session) return;
        if (window.schedule)
            fail(path + ".season", path + ".season is " + to_text(forecast.season) + "; allowed: none with windows on a schedule; " +
                                       and_where(of + ".schedule", quoted(window.schedule->text())));
        const bool hops = window.kind == WindowKind::hopping;
        const Duration step = hops ? window.hop : window.size;
        if (step <= 0s) return;
        const std::int64_t steps = forecast.season / step;
        if (forecast.season % step != 0s || steps < 2 || steps > ForecastOptions::season_steps_max)
            fail(path + ".season", path + ".season is " + to_text(forecast.season) + "; allowed: 2 to " + std::to_string(ForecastOptions::season_steps_max) + " times " +
                                       of + (hops ? ".hop; " : ".size; ") + and_where(of + (hops ? ".hop" : ".size"), to_text(step)));
    }

    // What a definition may hold is checked by who reads definitions; here only what the file alone can tell.
    void check_characteristics() {
        std::map<std::int64_t, std::size_t> seen;
        for (std::size_t i = 0; i < options_.characteristics.size(); ++i) {
            const CharacteristicOptions& c = options_.characteristics[i];
            const std::string path = "characteristics[" + std::to_string(i) + "]";
            require(path, "id", c.id != 0, "a whole number that clients subscribe to");
            if (const auto [at, is_new] = seen.emplace(c.id, i); !is_new && c.id != 0)
                fail(path + ".id", path + ".id is " + std::to_string(c.id) + ", as " + and_where("characteristics[" + std::to_string(at->second) + "].id", std::to_string(c.id)) + "; allowed: another for each");
            if (!c.stream.empty() && c.value.empty()) require(path, "value", false, "where the reading is in an event of the stream");
            if (!c.stream.empty()) check_stream(path + ".stream", c.stream);
        }
    }

    // --- alerts ---

    void check_alert(const std::string& path, const std::string& name, const AlertOptions& alert) {
        if (name.empty() || name.size() > 64 || name.find('/') != std::string::npos)
            fail(first_origin(path), path + " has the name " + quoted(name) + "; allowed: 1 to 64 bytes without a slash");
        const bool is_number = alert.kind == AlertKind::threshold || alert.kind == AlertKind::rate;
        if (alert.kind != AlertKind::violation) require(path, "stream", !alert.stream.empty(), "allowed: a stream's name");
        if (alert.stream == "alerts" || alert.stream == "alert.in" || alert.stream == "alert.answers")
            fail(path + ".stream", path + ".stream is " + quoted(alert.stream) + "; allowed: a stream that alerts do not write");
        else if (!alert.stream.starts_with("spc.")) check_stream(path + ".stream", alert.stream);
        if (is_number) require(path, "level", alert.level.has_value(), "allowed: a number");
        const auto says_where = [&](const auto& feed) { return feed.second.stream == alert.stream && !feed.second.decode.value.empty(); };
        if (is_number && alert.value.empty() && !alert.stream.empty() && std::none_of(options_.feeds.begin(), options_.feeds.end(), says_where))
            require(path, "value", false, "allowed: a JSON Pointer to the number, since no feed of " + alert.stream + " says where it stands");
        if (alert.kind == AlertKind::rate) require(path, "over", alert.over > 0s, "allowed: how far back a change is looked at, such as 5min");
        if (alert.kind == AlertKind::silence) require(path, "for", alert.holds > 0s, "allowed: how long no event may come, such as 1min");
        if (alert.escalate_after > 0s && alert.escalate_to <= alert.severity)
            fail(path + ".escalate_to", path + ".escalate_to is no worse than " + path + ".severity; allowed: a worse one");
        if (!alert.clear || !alert.level) return;
        const std::string clear = path + ".clear", level = and_where(path + ".level", number_text(*alert.level));
        if (alert.condition != AlertCondition::above && alert.condition != AlertCondition::below)
            fail(clear, clear + " is for condition above and below; allowed: nothing with another one");
        else if (alert.condition == AlertCondition::above ? *alert.clear > *alert.level : *alert.clear < *alert.level)
            fail(clear, clear + " is " + number_text(*alert.clear) + "; allowed: at " + (alert.condition == AlertCondition::above ? "most " : "least ") + path + ".level; " + level);
    }

    // Two writers of one stream of windows, or a circle, would feed results back as readings.
    void check_outputs() {
        std::map<std::string, std::string> writers;  // stream, path
        for (const auto& [name, feed] : options_.feeds) writers[feed.stream] = path_text(Names{"feeds", name}, {}) + ".stream";
        for (const auto& [name, window] : options_.windows) {
            const std::string path = path_text(Names{"windows", name}, {}) + ".output";
            const auto [other, first] = writers.emplace(window.output, path);
            if (!first)
                fail(path, path + " is " + quoted(window.output) + "; allowed: a stream that nothing else writes; " +
                               and_where(other->second, quoted(window.output)));
        }
        for (const auto& [name, window] : options_.windows) {
            std::set<std::string> reached{window.output};
            for (std::size_t before = 0; before < reached.size();) {
                before = reached.size();
                for (const auto& [other_name, other] : options_.windows)
                    if (reached.contains(other.stream)) reached.insert(other.output);
            }
            const std::string path = path_text(Names{"windows", name}, {});
            if (reached.contains(window.stream))
                fail(path + ".stream", path + ".stream is " + quoted(window.stream) + ", which comes from its own output; allowed: a stream further upstream; " +
                                           and_where(path + ".output", quoted(window.output)));
        }
    }

    // --- stores ---

    void check_store(const std::string& path, const StoreOptions& store) {
        for (const std::string& window : store.windows) {
            if (options_.windows.contains(window)) continue;
            Names known;
            for (const auto& [name, options] : options_.windows) known.push_back(name);
            const std::string_view near = nearest_spelling(window, known);
            fail(path + ".windows", path + ".windows names " + quoted(window) + "; allowed: a name of [windows.*]" +
                                        (near.empty() ? "" : " (did you mean " + std::string(near) + "?)"));
        }
        for (const std::string& stream : store.streams) check_stream(path + ".streams", stream);
        if (store.bundle == Bundle::always && store.profile != BlobProfile::weir)
            fail(path + ".bundle", path + ".bundle is always; allowed: only with " + path + ".profile weir, whose documents hold several keys");
        if (store.backoff_first > store.backoff_cap)
            fail(path + ".backoff_first", path + ".backoff_first is " + to_text(store.backoff_first) + "; allowed: at most " + path +
                                              ".backoff_cap; " + and_where(path + ".backoff_cap", to_text(store.backoff_cap)));
        switch (store.kind) {
            case StoreKind::folder: break;
            case StoreKind::azure:
                require(path, "connection_string", !store.connection_string.empty() || !store.account_url.empty(),
                        "allowed: it (or AZURE_STORAGE_CONNECTION_STRING), or " + path + ".account_url");
                break;
            case StoreKind::s3:
                require(path, "bucket", !store.bucket.empty(), "allowed: a bucket's name");
                if (store.access_key.empty() != store.secret_key.empty())
                    fail(first_origin(path), path + ".access_key and " + path + ".secret_key belong together; allowed: both or none");
                break;
            case StoreKind::postgresql: {
                require(path, "url", !store.url.empty(), "allowed: postgresql://user@host:5432/database");
                const std::string& url = store.url.reveal();
                if (!url.empty() && !url.starts_with("postgresql://") && !url.starts_with("postgres://"))
                    fail(path + ".url", path + ".url is [secret]; allowed: postgresql://user@host:5432/database");
                for (std::size_t i = 0; i < store.mapped.size(); ++i) check_mapped(path + ".mapped[" + std::to_string(i) + "]", store.mapped[i]);
                break;
            }
            case StoreKind::webhook: check_webhook(path, store); break;
        }
    }

    void check_webhook(const std::string& path, const StoreOptions& store) {
        require(path, "url", !store.url.empty(), "allowed: http:// or https:// and the rest of the address");
        const std::string& url = store.url.reveal();
        const bool open = url.starts_with("http://");
        if (!url.empty() && ((!open && !url.starts_with("https://")) || host_of(url).empty()))
            fail(path + ".url", path + ".url is [secret]; allowed: http:// or https:// and the rest of the address");
        if (url.substr(0, url.find_first_of("/?#", 8)).find('@') != std::string::npos)
            fail(path + ".url", path + ".url holds a user or password; allowed: without; " + path + ".token or " + path + ".headers.Authorization instead");
        if (open && (!store.token.empty() || !store.headers.empty()) && !is_loopback(host_of(url)))
            note(path + ".url", path + ".url is not encrypted: whoever is on the way reads its token and headers");
        for (const auto& [name, value] : store.headers) {
            // By these a receiver knows what it was sent; two of one name would be taken for either.
            static const std::set<std::string> own{"content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "idempotency-key", "x-weir-signature"};
            const std::string lower = lower_case(name);
            if (own.contains(lower)) fail(path + ".headers", path + ".headers names " + quoted(name) + ", which weir sets itself; allowed: any other");
            if (lower == "authorization" && !store.token.empty())
                fail(path + ".headers", path + ".headers names " + quoted(name) + " beside " + path + ".token; allowed: one of the two");
            if (!is_header_name(name)) fail(path + ".headers", path + ".headers names " + quoted(name) + "; allowed: letters, digits and !#$%&'*+-.^_`|~");
        }
    }

    void check_mapped(const std::string& path, const MappedTable& mapped) {
        require(path, "stream", !mapped.stream.empty(), "allowed: a stream's name");
        check_stream(path + ".stream", mapped.stream);
        if (mapped.preset != MappedPreset::none) return;
        require(path, "table", !mapped.table.empty(), "allowed: a table, such as public.incoming_users");
        require(path, "columns", !mapped.columns.empty(), "allowed: column = JSON Pointer");
        for (const std::string& column : mapped.conflict)
            if (!mapped.columns.contains(column))
                fail(path + ".conflict", path + ".conflict names " + quoted(column) + "; allowed: a column of " + path + ".columns");
    }

    void check_store_places() {
        std::map<std::string, std::string> places;  // place, path
        for (const auto& [name, store] : options_.stores) {
            if (store.kind != StoreKind::folder) continue;
            const std::string path = path_text(Names{"stores", name}, {}) + ".path";
            const auto [other, first] = places.emplace(store.path + "\n" + store.prefix, path);
            if (!first) fail(path, path + " is " + quoted(store.path) + "; allowed: a folder of its own (or another prefix); " + and_where(other->second, quoted(store.path)));
        }
    }

    // --- gateway ---

    void check_gateway() {
        const GatewayOptions& gateway = options_.gateway;
        if (gateway.tls_cert_file.empty() != gateway.tls_key_file.empty()) {
            const bool certificate = gateway.tls_key_file.empty();
            const std::string given = certificate ? "gateway.tls_cert_file" : "gateway.tls_key_file";
            fail(given, given + " is set without " + (certificate ? "gateway.tls_key_file" : "gateway.tls_cert_file") + "; allowed: both or none");
        }
        const std::string message = bytes_text(gateway.max_message_size);
        if (gateway.session_queue_bytes < gateway.max_message_size)
            fail("gateway.session_queue_bytes", "gateway.session_queue_bytes is " + bytes_text(gateway.session_queue_bytes) +
                                                    "; allowed: at least gateway.max_message_size; " + and_where("gateway.max_message_size", message));
        if (gateway.ring_bytes < gateway.max_message_size)
            fail("gateway.ring_bytes", "gateway.ring_bytes is " + bytes_text(gateway.ring_bytes) + "; allowed: at least gateway.max_message_size; " +
                                           and_where("gateway.max_message_size", message));
        if (const std::string& echo = gateway.echo_path; echo == "/" || echo == "/stream" || echo.starts_with("/feed/") || (!echo.empty() && echo == gateway.spc_path))
            fail("gateway.echo_path", "gateway.echo_path is " + quoted(echo) + "; allowed: a path that speaks no dialect (/, /stream, /feed/... and gateway.spc_path do)");
        if (gateway.proxy_protocol && gateway.trusted_proxies.empty())
            fail("gateway.proxy_protocol", "gateway.proxy_protocol is true; allowed: only with gateway.trusted_proxies; " + and_where("gateway.trusted_proxies", "[]"));
        const bool is_public = gateway.enabled && !is_loopback(gateway.host);
        if (is_public && gateway.require_auth == RequireAuth::no && !gateway.public_without_auth)
            fail("gateway.require_auth", "gateway.require_auth is false; allowed: only on loopback, or with gateway.public_without_auth = true; " +
                                             and_where("gateway.host", quoted(gateway.host)));
        if (gateway.enabled && gateway.tokens.empty() && !gateway.jwt.configured() && (gateway.require_auth == RequireAuth::yes || (is_public && gateway.require_auth == RequireAuth::automatic)))
            note("gateway.require_auth", "a token is required, but there is neither [gateway.tokens.*] nor [gateway.jwt]: every client is refused (" + and_where("gateway.host", quoted(gateway.host)) + ")");
        for (const auto& [name, token] : gateway.tokens)
            require(path_text(Names{"gateway", "tokens", name}, {}), "hash", !token.hash.empty(), "allowed: what `weir token` prints");
        check_stream("gateway.root", std::string(gateway.broadcast_root()));
        for (const auto& [name, broadcast] : gateway.broadcast) check_stream(path_text(Names{"gateway", "broadcast", name}, {}), name);
    }

    const Config& config_;
    const Options& options_;
    std::vector<std::string>& errors_;
    std::vector<std::string>& notes_;
    std::set<std::string> streams_;
};

}  // namespace

void validate(const Config& config, std::vector<std::string>& errors, std::vector<std::string>& notes) {
    Checker(config, errors, notes).check();
}

}  // namespace weir
