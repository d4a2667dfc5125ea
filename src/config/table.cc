#include "base/assert.h"
#include "config/sections.h"
#include "config/words.h"

// The one table of options. A row's default is what its struct holds; the parser, the environment names, `weir check`,
// docs/configuration.md and examples/all-options.toml are made from what stands here.
namespace weir {
namespace {

bool is_pointer(const std::string& text) {
    if (!text.empty() && text[0] != '/') return false;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) return false;
    return true;
}
constexpr const char* pointer = "a JSON Pointer such as /currentfill, or \"\" for the whole";
constexpr const char* pointers = "a list of JSON Pointers such as [\"/currentfill\"]";

bool is_column_value(const std::string& text) {
    if (!text.starts_with('@')) return is_pointer(text);
    return text == "@id" || text == "@type" || text == "@key" || text == "@time" || text == "@ingested" || text == "@seq" ||
           text == "@epoch" || text == "@stream" || text == "@source" || text == "@data" || text == "@now";
}

bool is_stream(const std::string& text) {
    return !text.empty() && text.size() <= 128 &&
           text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/") == std::string::npos;
}
constexpr const char* stream = "1 to 128 of letters, digits, . _ - /";

bool is_time(const std::string& text) { return text.empty() || parse_rfc3339(text).has_value(); }
bool is_sigma_method(const std::string& text) {
    return text == "standard" || text == "mean_range" || text == "mean_standard_deviation" || text == "moving_range" || text == "sample_standard_deviation";
}
bool is_not_empty(const std::string& text) { return !text.empty(); }
bool is_path(const std::string& text) { return text.empty() || text[0] == '/'; }
bool is_prefix(const std::string& text) { return is_path(text) && (text.empty() || text.back() != '/'); }
bool is_root(const std::string& text) {
    return text == "analytics" || (text.starts_with("broadcast:") && is_stream(text.substr(10)));
}
bool is_token_hash(const std::string& text) {
    constexpr std::string_view prefix = "sha256:", digits = "0123456789abcdef";
    if (!text.starts_with(prefix)) return false;
    const std::size_t colon = text.find(':', prefix.size());
    const std::size_t digest = colon == std::string::npos ? prefix.size() : colon + 1;
    const std::string salt = text.substr(prefix.size(), digest - prefix.size() - (colon == std::string::npos ? 0 : 1));
    return text.size() - digest == 64 && text.find_first_not_of(digits, digest) == std::string::npos &&
           salt.find_first_not_of(digits) == std::string::npos && salt.size() <= 64;
}
bool is_subscription_type(const std::string& text) {
    for (const auto& word : words_of<StreamType>())
        if (text == word.text || (text == "events" && word.value == StreamType::data)) return true;
    return false;
}

std::vector<Option> log_rows() {
    return {
        option("log.path", &LogOptions::path).check(is_not_empty, "a folder")
            .help("Folder of all of weir's data. One process at a time; a second one refuses, naming the first."),
        option("log.durability", &LogOptions::durability)
            .help("What an acknowledged event survives: `full` a loss of power, `process` a crash of weir but not of the machine."),
        option("log.dedupe_horizon", &LogOptions::dedupe_horizon).range(0s, 7 * 24h)
            .help("How far back a stream knows the ids of its events; a repeat within it is not appended again."),
        option("log.dedupe_ids", &LogOptions::dedupe_ids).range(0, 100'000'000)
            .help("How many ids a stream remembers at most, 16 bytes each."),
        option("log.retention_age", &RetentionOptions::age).at_least(1min).zero("for ever")
            .help("How long events stay. Whole blocks go, so a little more stays than asked for."),
        option("log.retention_bytes", &RetentionOptions::bytes).bytes().at_least(64 * 1024).zero("no limit")
            .help("How large a stream may grow before its oldest blocks go."),
        option("log.retention_events", &RetentionOptions::events).at_least(1).zero("no limit")
            .help("How many events of a stream stay."),
        option("log.retention_hard_bytes", &RetentionOptions::hard_bytes).bytes().at_least(64 * 1024).zero("waits for ever")
            .help("Retention waits for processors and stores that are behind, up to this size of a stream; then it deletes, and tells each of them with a gap. What came since a processor's last snapshot (20,000 events or 5 minutes) waits too: a restart reads it again."),
        option("log.block_bytes", &LogOptions::block_bytes).bytes().range(4 * 1024, 512 * 1024)
            .help("Commits that are written together fill blocks up to this size. A larger one is a block of its own."),
        option("log.tail_bytes", &LogOptions::tail_bytes).bytes().range(64 * 1024, 1ll << 34)
            .help("Decoded batches kept in memory for readers near the head. Who falls behind it reads from disk."),
        option("log.queue_bytes", &LogOptions::queue_bytes).bytes().range(1024 * 1024, 1ll << 34)
            .help("Events waiting for the writer; at the bound feeds wait and clients are refused with a time to retry."),
        option("log.merge", &LogOptions::merge).help("Merge and compress the small blocks of slow streams."),
        option("log.merge_after", &LogOptions::merge_after).range(1s, 7 * 24h).help("A block younger than this is left as it is."),
        option("log.merge_bytes", &LogOptions::merge_bytes).bytes().range(4 * 1024, 512 * 1024)
            .help("Size, before compression, that merging aims at."),
        option("log.merge_level", &LogOptions::merge_level).range(1, 19).help("zstd level of merged blocks."),

        option("streams.*.type", &StreamOptions::type)
            .help("Which subscription type brings this stream. Unset: what its writer says; `data` for feeds and pushed events."),
        option("streams.*.retention_age", &StreamOptions::retention_age).at_least(1min).zero("for ever")
            .help("Unset: `log.retention_age`."),
        option("streams.*.retention_bytes", &StreamOptions::retention_bytes).bytes().at_least(64 * 1024).zero("no limit")
            .help("Unset: `log.retention_bytes`."),
        option("streams.*.retention_events", &StreamOptions::retention_events).at_least(1).zero("no limit")
            .help("Unset: `log.retention_events`."),
        option("streams.*.retention_hard_bytes", &StreamOptions::retention_hard_bytes).bytes().at_least(64 * 1024).zero("waits for ever")
            .help("Unset: `log.retention_hard_bytes`."),
        option("streams.*.label", &StreamOptions::label).help("What people see; empty: the stream's name."),
    };
}

std::vector<Option> feed_rows() {
    const std::vector<std::string> sockets{"websocket"}, polls{"http", "html"}, network{"websocket", "http", "html"};
    return {
        option("feeds.*.stream", &FeedOptions::stream).check(is_stream, stream).help("Stream that the events go to. Unset: the feed's name."),
        option("feeds.*.interval", &FeedOptions::interval).range(1ms, 366 * 24h).zero("learned")
            .help("Expected spacing of messages, for the coverage of windows. `0s`: the median of the last 200."),
        option("feeds.*.silence", &FeedOptions::silence).range(100ms, 366 * 24h).zero("5 intervals, at least 10s")
            .help("A source that is silent for this long counts as failed, and its silence is a gap."),
        option("feeds.*.return_after", &FeedOptions::return_after).range(0s, 24h)
            .help("How long a better source must be healthy before the feed returns to it."),
        option("feeds.*.label", &FeedOptions::label).example("\"{/name} {/currentfill}\"")
            .help("An event as a line for people: text with JSON Pointers in braces."),
        option("feeds.*.backoff_first", &FeedOptions::backoff_first).range(10ms, 1h)
            .help("Wait before the first new try after a failure; it doubles, with jitter."),
        option("feeds.*.backoff_cap", &FeedOptions::backoff_cap).range(10ms, 24h).help("Longest wait between tries."),
        option("feeds.*.backoff_reset_after", &FeedOptions::backoff_reset_after).range(0s, 24h)
            .help("A connection that was healthy for this long starts the waits over."),

        option("feeds.*.sources.#.kind", &SourceOptions::kind).help("What the source is."),
        option("feeds.*.sources.#.url", &SourceOptions::url).url().only(network).env("WEBSOCKET_URL", Unit::none, "websocket")
            .example("\"wss://badi-public.crowdmonitor.ch:9591/api\"").help("websocket: `ws:` or `wss:`; http and html: `http:` or `https:`."),
        option("feeds.*.sources.#.headers", &SourceOptions::headers).only(network)
            .help("Sent with each request, `{ X-Api-Key = \"...\" }`. Never printed."),
        option("feeds.*.sources.#.token", &SourceOptions::token).only(network).help("Sent as `Authorization: Bearer <token>`."),
        option("feeds.*.sources.#.timeout", &SourceOptions::timeout).only(network).range(100ms, 10min)
            .help("For connecting, for the handshake, and for an answer."),
        option("feeds.*.sources.#.message_bytes", &SourceOptions::message_bytes).bytes().only(network).range(1024, 1ll << 30)
            .help("A larger message or page is rejected and counted."),
        option("feeds.*.sources.#.tls_verify", &SourceOptions::tls_verify).only(network)
            .help("`false` accepts any certificate: whoever is on the way can change the readings."),
        option("feeds.*.sources.#.tls_ca_file", &SourceOptions::tls_ca_file).only(network)
            .help("PEM file of the authorities to trust; empty: the system's."),
        option("feeds.*.sources.#.subprotocol", &SourceOptions::subprotocol).only(sockets).help("Offered to the server; empty: none."),
        option("feeds.*.sources.#.open_message", &SourceOptions::open_message).only(sockets).example("\"all\"")
            .help("Text sent once a connection. Unset: none; `\"\"` sends an empty text."),
        option("feeds.*.sources.#.open_silence", &SourceOptions::open_silence).only(sockets).range(0s, 10min)
            .help("`open_message` is sent when the server has been silent for this long."),
        option("feeds.*.sources.#.ping_interval", &SourceOptions::ping_interval).only(sockets).range(100ms, 24h).zero("never")
            .help("A ping is sent after this much silence; no answer within `timeout` is a failure."),
        option("feeds.*.sources.#.interval", &SourceOptions::interval).only({"http", "html", "simulate"}).range(1ms, 24h)
            .help("Spacing of requests, or of simulated messages, at a fixed rate."),
        option("feeds.*.sources.#.schedule", &SourceOptions::schedule).only(polls).example("\"0 */5 6-21 * * *\"")
            .help("When to ask, instead of `interval`: {second} {minute} {hour} {day} {month} {day-of-week}."),
        option("feeds.*.sources.#.zone", &SourceOptions::zone).only(polls).help("Zone of the schedule's times."),
        option("feeds.*.sources.#.xpath", &SourceOptions::xpath).only({"html"}).example("\"//td[@id='SSD-4']\"")
            .help("The element whose text is the reading."),
        option("feeds.*.sources.#.file", &SourceOptions::file).only({"replay"}).help("NDJSON or CSV, plain or .gz, as `weir export` writes it."),
        option("feeds.*.sources.#.speed", &SourceOptions::speed).only({"replay"}).range(0.0, 1e9)
            .help("`1` as recorded, `60` a minute in a second, `0` as fast as it is taken."),
        option("feeds.*.sources.#.repeat", &SourceOptions::repeat).only({"replay"}).help("Start again at the end, with the times moved on."),
        option("feeds.*.sources.#.generator", &SourceOptions::generator).only({"simulate"})
            .help("`day` a pool's day, `walk` a random walk, `sine`, `constant`, `line` samples of five with special causes put in, `users` records like randomuser.me's. All are labelled as simulated."),
        option("feeds.*.sources.#.keys", &SourceOptions::keys).only({"simulate"}).help("One series each."),
        option("feeds.*.sources.#.low", &SourceOptions::low).only({"simulate"}).range(-1e15, 1e15).help("Least value."),
        option("feeds.*.sources.#.high", &SourceOptions::high).only({"simulate"}).range(-1e15, 1e15).help("Largest value."),
        option("feeds.*.sources.#.seed", &SourceOptions::seed).only({"simulate"}).at_least(0).help("The same seed gives the same readings."),

        option("feeds.*.decode.items", &DecodeOptions::items).check(is_pointer, pointer)
            .help("The array of items in a message. What is there and no array is one item itself."),
        option("feeds.*.decode.key", &DecodeOptions::key).check(is_pointer, pointers).example("[\"/uid\"]").help("Which thing an item is about. Empty: no key."),
        option("feeds.*.decode.value", &DecodeOptions::value).check(is_pointer, pointers).example("[\"/currentfill\", \"/occupancy\"]")
            .help("Where the number stands; an item without it is rejected and counted. Empty: items are records without a number."),
        option("feeds.*.decode.time", &DecodeOptions::time).check(is_pointer, pointers).example("[\"/timestamp\"]")
            .help("The source's own time. Without one that is valid, the time of arrival."),
        option("feeds.*.decode.id", &DecodeOptions::id).check(is_pointer, pointer).example("\"/login/uuid\"")
            .help("What makes an item unique, so that a repeat is known. Empty: none; each item counts."),
        option("feeds.*.decode.type", &DecodeOptions::type).check(is_not_empty, "a text that is not empty").help("Type of the events."),
        option("feeds.*.decode.keep", &DecodeOptions::keep).check(is_pointer, pointers).help("Members of an item to keep. Empty: all."),
        option("feeds.*.decode.keys", &DecodeOptions::keys).env("TARGET_UID").example("[\"SSD-7\"]").help("Keys to keep. Empty: all."),
        option("feeds.*.decode.numeric_text", &DecodeOptions::numeric_text).check(is_pointer, "true, false, or a list of JSON Pointers")
            .help("Read texts that hold a JSON number as numbers: everywhere, or at these pointers."),
        option("feeds.*.decode.time_format", &DecodeOptions::time_format).help("Form of the source's time."),
    };
}

std::vector<Option> window_rows() {
    return {
        option("windows.*.stream", &WindowOptions::stream).check(is_stream, stream).example("\"pools\"").help("Stream whose readings are summed up. Required."),
        option("windows.*.value", &WindowOptions::value).check(is_pointer, pointer).example("\"/currentfill\"")
            .help("The number in an event's data. Empty: the one that the feed's `decode.value` found."),
        option("windows.*.kind", &WindowOptions::kind).help("`tumbling` one after the other, `hopping` overlapping, `session` as long as readings keep coming."),
        option("windows.*.size", &WindowOptions::size).range(1s, 366 * 24h).only({"tumbling", "hopping"}).help("Length of a window."),
        option("windows.*.hop", &WindowOptions::hop).range(1s, 366 * 24h).zero("unset").only({"hopping"}).help("Spacing of their starts; divides `size`."),
        option("windows.*.gap", &WindowOptions::gap).range(1ms, 366 * 24h).zero("unset").only({"session"}).help("Silence that ends a session."),
        option("windows.*.offset", &WindowOptions::offset).range(0s, 366 * 24h).only({"tumbling", "hopping"})
            .help("Moves the bounds away from the multiples of `size` (of `hop`)."),
        option("windows.*.zone", &WindowOptions::zone).help("Whole days begin at midnight here, and so have 23 to 25 hours; shorter windows are aligned in UTC."),
        option("windows.*.schedule", &WindowOptions::schedule).only({"tumbling"})
            .help("Windows begin at these times, in `zone`. Refused if it fires more often than a window is long."),
        option("windows.*.lateness", &WindowOptions::lateness).range(0s, 7 * 24h)
            .help("A reading that comes late within this corrects the window, as a new revision; a later one is counted as late."),
        option("windows.*.per_key", &WindowOptions::per_key).help("A window for each key, or one over all."),
        option("windows.*.keys", &WindowOptions::keys).help("Only these keys. Empty: all."),
        option("windows.*.output", &WindowOptions::output).check(is_stream, stream).help("Stream that closed windows go to. Unset: `<stream>.<name of the window>`."),
        option("windows.*.median", &WindowOptions::median)
            .help("`true`: the mean of the middle two where the count is even; `upper`: the upper of them, as source 000 has it."),
        option("windows.*.exact_max", &WindowOptions::exact_max).range(0, 100'000'000)
            .help("Quantiles are exact up to this many readings of a window, and a sketch with a stated error above."),
        option("windows.*.keep_empty", &WindowOptions::keep_empty).help("A window without readings is written too, with its reason."),
    };
}

bool is_statistic(const std::string& text) {
    return text == "avg" || text == "min" || text == "max" || text == "median" || text == "first" || text == "last" || text == "stddev" || text == "p95" ||
           text == "count" || text == "distinct_changes";
}
bool is_forecast_model(const std::string& text) { return text == "ses" || text == "damped" || text == "theta"; }

std::vector<Option> forecast_rows() {
    return {
        option("forecasts.*.window", &ForecastOptions::window).example("\"5min\"").help("Name of a `[windows.*]`, tumbling or hopping. Required."),
        option("forecasts.*.statistic", &ForecastOptions::statistic).check(is_statistic, "avg, min, max, median, first, last, stddev, p95, count, distinct_changes")
            .help("Which number of the window is forecast."),
        option("forecasts.*.horizon", &ForecastOptions::horizon).range(1, 200).help("How many windows ahead."),
        option("forecasts.*.season", &ForecastOptions::season).range(1s, 366 * 24h).zero("none").example("\"1d\"")
            .help("What repeats itself: `1d`, `7d`. A multiple of the window's `size` (of its `hop`), 2 to 2016 times. Models begin when one season has been seen."),
        option("forecasts.*.level", &ForecastOptions::level).range(0.5, 0.99).help("What part of outcomes the intervals are to hold."),
        option("forecasts.*.keys", &ForecastOptions::keys).help("Only these keys. Empty: all."),
        option("forecasts.*.models", &ForecastOptions::models).check(is_forecast_model, "a list of ses, damped, theta")
            .help("What is tried beside the naive and the seasonal naive forecast: simple exponential smoothing, damped trend with season, theta."),
    };
}

std::vector<Option> store_rows() {
    const std::vector<std::string> blobs{"folder", "azure", "s3"}, rows{"postgresql", "webhook"};
    return {
        option("stores.*.kind", &StoreOptions::kind).help("What the store is."),
        option("stores.*.windows", &StoreOptions::windows).only(blobs).help("Windows that become files, by name. Empty: all."),
        option("stores.*.layout", &StoreOptions::layout).only(blobs)
            .help("Names: `hybrid` raw readings and summaries apart, `raw` one file a window, `summary` the summary alone."),
        option("stores.*.profile", &StoreOptions::profile).only(blobs)
            .help("Members: weir's own with coverage and revision, or exactly those of the source documents."),
        option("stores.*.folder_per_key", &StoreOptions::folder_per_key).only(blobs).help("A folder a key, above the date."),
        option("stores.*.bundle", &StoreOptions::bundle).only(blobs)
            .help("One file a window for all its keys; `auto`: with more than four keys. Storage is paid per write."),
        option("stores.*.compress", &StoreOptions::compress).only(blobs).help("Of raw readings."),
        option("stores.*.zone", &StoreOptions::zone).only(blobs).help("Zone of the dates in names. The documents stay in UTC."),
        option("stores.*.prefix", &StoreOptions::prefix).only(blobs).help("Put before every name: `scraped-data/`."),
        option("stores.*.path", &StoreOptions::path).only({"folder"}).check(is_not_empty, "a folder").help("Where files go."),
        option("stores.*.connection_string", &StoreOptions::connection_string).only({"azure"}).env("AZURE_STORAGE_CONNECTION_STRING", Unit::none, "azure")
            .help("Of the storage account (or `UseDevelopmentStorage=true`)."),
        option("stores.*.account_url", &StoreOptions::account_url).url().only({"azure"}).example("\"https://example.blob.core.windows.net\"")
            .help("Instead of a connection string: with `sas`, or else the machine's managed identity."),
        option("stores.*.sas", &StoreOptions::sas).only({"azure"}).help("Shared access signature."),
        option("stores.*.container", &StoreOptions::container).only({"azure"}).check(is_not_empty, "a container's name").help("Container; made if it is missing."),
        option("stores.*.raw_tier", &StoreOptions::raw_tier).only({"azure"}).help("Access tier of raw readings; `standard`: the account's."),
        option("stores.*.summary_tier", &StoreOptions::summary_tier).only({"azure"}).help("Access tier of summaries."),
        option("stores.*.endpoint", &StoreOptions::endpoint).url().only({"s3"}).example("\"http://127.0.0.1:9000\"").help("Address of a compatible service. Empty: AWS."),
        option("stores.*.region", &StoreOptions::region).only({"s3"}).help("Region that requests are signed for."),
        option("stores.*.bucket", &StoreOptions::bucket).only({"s3"}).example("\"weir\"").help("Required."),
        option("stores.*.access_key", &StoreOptions::access_key).only({"s3"}).env("AWS_ACCESS_KEY_ID", Unit::none, "s3").help("Public half of the key."),
        option("stores.*.secret_key", &StoreOptions::secret_key).only({"s3"}).env("AWS_SECRET_ACCESS_KEY", Unit::none, "s3").help("Secret half of the key."),
        option("stores.*.session_token", &StoreOptions::session_token).only({"s3"}).env("AWS_SESSION_TOKEN", Unit::none, "s3").help("With temporary keys."),
        option("stores.*.raw_storage_class", &StoreOptions::raw_storage_class).only({"s3"}).example("\"STANDARD_IA\"")
            .help("Storage class of raw readings in layout hybrid. Empty: the bucket's. Some classes are billed for 128 KiB and 30 days at least."),
        option("stores.*.summary_storage_class", &StoreOptions::summary_storage_class).only({"s3"}).help("Storage class of summaries in layout hybrid."),
        option("stores.*.path_style", &StoreOptions::path_style).only({"s3"}).help("The bucket in the path instead of the host's name, as MinIO wants it."),
        option("stores.*.streams", &StoreOptions::streams).only(rows).check(is_stream, "a list of stream names").help("Streams that are copied. Empty: all but weir's own."),
        option("stores.*.url", &StoreOptions::url).only(rows).help("postgresql: `postgresql://user@host:5432/database`; webhook: where to POST."),
        option("stores.*.password", &StoreOptions::password).only({"postgresql"}).env("DB_PASSWORD", Unit::none, "postgresql")
            .help("In place of the one in `url`. Without either, libpq reads the file that `PGPASSFILE` names."),
        option("stores.*.schema", &StoreOptions::schema).only({"postgresql"}).check(is_not_empty, "a schema's name").help("Schema of the generic tables."),
        option("stores.*.tables", &StoreOptions::tables).only({"postgresql"}).help("Write the generic tables: events, windows, samples, violations, acknowledgements, alerts, predictions."),
        option("stores.*.partition", &StoreOptions::partition).only({"postgresql"}).help("How long a partition of a generic table is. Counts for those to come."),
        option("stores.*.retention", &StoreOptions::retention).only({"postgresql"}).at_least(24h).zero("never").help("Partitions older than this are dropped."),
        option("stores.*.format", &StoreOptions::format).only({"webhook"})
            .help("`events`: as the HTTP interface shows them. `alertmanager`: alerts, as Prometheus' Alertmanager sends them to receivers; `streams` is then `[\"alerts\"]`."),
        option("stores.*.headers", &StoreOptions::headers).only({"webhook"}).help("Sent with each request. Never printed."),
        option("stores.*.token", &StoreOptions::token).only({"webhook"}).help("Sent as `Authorization: Bearer <token>`."),
        option("stores.*.secret", &StoreOptions::secret).only({"webhook"}).help("Key of an HMAC-SHA256 over each body, sent as `X-Weir-Signature: sha256=<hex>`."),
        option("stores.*.batch_events", &StoreOptions::batch_events).only(rows).range(1, 100'000).help("Rows a transaction, or events a request, at most."),
        option("stores.*.timeout", &StoreOptions::timeout).range(100ms, 1h).help("For one write."),
        option("stores.*.backoff_first", &StoreOptions::backoff_first).range(10ms, 1h).help("Wait before the first new try after a failure; it doubles, with jitter."),
        option("stores.*.backoff_cap", &StoreOptions::backoff_cap).range(10ms, 24h).help("Longest wait between tries."),
        option("stores.*.tls_ca_file", &StoreOptions::tls_ca_file).only({"azure", "s3", "postgresql", "webhook"})
            .help("PEM file of the authorities to trust; empty: the system's."),

        option("stores.*.mapped.#.stream", &MappedTable::stream).check(is_stream, stream).example("\"users\"").help("Required."),
        option("stores.*.mapped.#.preset", &MappedTable::preset)
            .help("`incoming_users`: the table of randomuser.me's records, made where it is missing, with columns and key; `table` may name another place for it."),
        option("stores.*.mapped.#.table", &MappedTable::table).check(is_not_empty, "a table's name").example("\"public.incoming_users\"").help("Required without a preset."),
        option("stores.*.mapped.#.conflict", &MappedTable::conflict).example("[\"uuid\"]").help("Columns of the key that makes a row the same: a repeat updates its other columns. Empty: plain inserts."),
        option("stores.*.mapped.#.keep", &MappedTable::keep).help("Columns that a repeat leaves as they are."),
        option("stores.*.mapped.#.columns", &MappedTable::columns)
            .check(is_column_value, "a table of column = JSON Pointer, or @id, @type, @key, @time, @ingested, @seq, @epoch, @stream, @source, @data, @now")
            .example("{ first_name = \"/name/first\", created_at = \"@time\" }").help("Column to JSON Pointer into the event's data, or to a part of the event. Required."),
    };
}

std::vector<Option> spc_rows() {
    return {
        option("spc.enabled", &SpcOptions::enabled).help("Judge samples of characteristics, from `[[characteristics]]` and from REST."),
        option("spc.history", &SpcOptions::history).range(300, 1'000'000)
            .help("Samples of a characteristic that are kept in memory (some 500 bytes each); an older one can no longer be corrected, nor come late."),
        option("spc.sources", &SpcOptions::sources).check(is_stream, "a list of stream names").help("Streams that characteristics may take samples from, beside those of the feeds."),
        option("spc.reason_codes", &SpcOptions::reason_codes).help("What an acknowledgement may give as `reason_code`, and what it means, such as { tool_wear = \"Tool wear\" }. Empty: eleven usual ones."),

        option("characteristics.#.id", &CharacteristicOptions::id).range(1, 9'007'199'254'740'991).zero("unset").example("1").help("A whole number that clients subscribe to. Required."),
        option("characteristics.#.name", &CharacteristicOptions::name).example("\"Bore\"").help("For people."),
        option("characteristics.#.unit", &CharacteristicOptions::unit).example("\"mm\"").help("Of its readings."),
        option("characteristics.#.path", &CharacteristicOptions::path).example("\"plant1/line2\"").help("Where it belongs: a group that can be subscribed to."),
        option("characteristics.#.chart", &CharacteristicOptions::chart)
            .help("xbar_r, xbar_s, i_mr, xbar, individuals, p, np, c, u, laney_p, laney_u, ewma, cusum, short_run_deviation, short_run_z."),
        option("characteristics.#.subgroup_size", &CharacteristicOptions::subgroup_size).range(0, 1'000'000'000)
            .help("Usual readings of a sample; counting charts: how many are inspected where a sample does not say. `0`: 5 for xbar, else 1."),
        option("characteristics.#.stream", &CharacteristicOptions::stream).check(is_stream, stream).example("\"line\"").help("Stream whose events are its samples. Unset: they come over REST."),
        option("characteristics.#.key", &CharacteristicOptions::key).help("Only events with this key. Empty: all."),
        option("characteristics.#.value", &CharacteristicOptions::value).check(is_pointer, pointer).help("The reading, or the list of readings, in an event's data."),
        option("characteristics.#.size_field", &CharacteristicOptions::size_field).check(is_pointer, pointer).help("Counting charts: how many were inspected."),
        option("characteristics.#.nominal_field", &CharacteristicOptions::nominal_field).check(is_pointer, pointer).help("Short run charts: the part's nominal."),
        option("characteristics.#.part_sigma_field", &CharacteristicOptions::part_sigma_field).check(is_pointer, pointer).help("short_run_z: the part's sigma."),
        option("characteristics.#.lsl", &CharacteristicOptions::lsl).help("Lower specification limit."),
        option("characteristics.#.usl", &CharacteristicOptions::usl).help("Upper specification limit."),
        option("characteristics.#.target", &CharacteristicOptions::target).help("What it should be. 0 is a target."),
        option("characteristics.#.centre", &CharacteristicOptions::centre).help("Given limits: the centre line. Unset: phase I estimates them."),
        option("characteristics.#.sigma", &CharacteristicOptions::sigma).help("Given limits: standard deviation of single readings."),
        option("characteristics.#.sigma_z", &CharacteristicOptions::sigma_z).help("Given limits of Laney charts: the factor."),
        option("characteristics.#.lcl", &CharacteristicOptions::lcl).help("Given limits, instead of `sigma`: those of the mean of a usual sample."),
        option("characteristics.#.ucl", &CharacteristicOptions::ucl).help("Likewise."),
        option("characteristics.#.limit_sigmas", &CharacteristicOptions::limit_sigmas).range(0.1, 10.0).help("From the centre to a limit, in sigma of the statistic."),
        option("characteristics.#.phase1_samples", &CharacteristicOptions::phase1_samples).range(0, 1000)
            .help("Without given limits: they are estimated, once, when so many samples are there. `0`: only on request."),
        option("characteristics.#.phase1_exclude", &CharacteristicOptions::phase1_exclude).help("Leave out of it what is beyond the limits, again and again until nothing is."),
        option("characteristics.#.phase1_method", &CharacteristicOptions::phase1_method)
            .check(is_sigma_method, "standard, mean_range, mean_standard_deviation, moving_range or sample_standard_deviation")
            .help("How sigma is estimated: standard, mean_range, mean_standard_deviation, moving_range, sample_standard_deviation. `standard`: what is usual for the chart."),
        option("characteristics.#.from", &CharacteristicOptions::from).check(is_time, "a time such as 2026-02-17T10:00:00Z").example("\"2026-02-17T10:00:00Z\"")
            .help("From when on what is said here judges samples, where it changes what was there: limits, rules, chart. Unset: from the start that reads it."),
        option("characteristics.#.rules", &CharacteristicOptions::rules).help("`nelson`, `western_electric`, or ids of rules: 1 to 8, 21 to 24. Those that mean nothing on the chart are not run."),
        option("characteristics.#.rule_parameters", &CharacteristicOptions::rule_parameters).example("{ 2 = '{\"points\": 8, \"severity\": \"CRITICAL\"}' }")
            .help("By rule id, JSON with `points`, `needed`, `sigmas`, `severity`; switches the rule on."),
        option("characteristics.#.lambda", &CharacteristicOptions::lambda).range(0.0, 1.0).help("ewma: weight of the newest sample."),
        option("characteristics.#.k", &CharacteristicOptions::k).range(0.0, 100.0).help("cusum: allowance, in sigma of the mean."),
        option("characteristics.#.h", &CharacteristicOptions::h).range(0.0, 1000.0).help("cusum: decision interval, likewise."),
        option("characteristics.#.head_start", &CharacteristicOptions::head_start).range(0.0, 1000.0).help("cusum: where both sums start."),
        option("characteristics.#.reset_after_signal", &CharacteristicOptions::reset_after_signal).help("cusum: both sums start again after a signal."),
        option("characteristics.#.expected_every", &CharacteristicOptions::expected_every).range(1s, 366 * 24h).zero("never")
            .help("A sample is missed, and that is told, after one and a half of it."),
        option("characteristics.#.requires_ack", &CharacteristicOptions::requires_ack).help("Its violations say that they want an acknowledgement."),
    };
}

std::vector<Option> alert_rows() {
    const std::vector<std::string> numbers{"threshold", "rate"};
    return {
        option("alerts.*.kind", &AlertOptions::kind)
            .help("`threshold` a number beyond a level, `rate` how fast it changes, `silence` no event for a while, `violation` a rule of a control chart, until someone acknowledges it."),
        option("alerts.*.stream", &AlertOptions::stream).check(is_stream, stream).example("\"pools\"").help("Stream whose events are looked at. Required, but for violation: `spc.violations`."),
        option("alerts.*.keys", &AlertOptions::keys).help("Only these keys. Empty: all. With silence, a key that is named here is missed also before its first event."),
        option("alerts.*.per_key", &AlertOptions::per_key).help("An alert for each key; or one, which fires while any key's condition holds (silence: when nothing comes at all)."),
        option("alerts.*.value", &AlertOptions::value).check(is_pointer, pointer).only(numbers).example("\"/currentfill\"")
            .help("The number in an event's data. Empty: the one that the feed's `decode.value` found."),
        option("alerts.*.condition", &AlertOptions::condition).only(numbers).help("How the number, or its rate, stands to `level`."),
        option("alerts.*.level", &AlertOptions::level).only(numbers).example("100").help("Required. `equals` and `not_equals` take 1 and 0 for true and false."),
        option("alerts.*.clear", &AlertOptions::clear).only(numbers).example("90").help("Hysteresis: the condition ends when the number is at this level or on the good side of it. Unset: when it is not beyond `level`."),
        option("alerts.*.over", &AlertOptions::over).only({"rate"}).range(1ms, 366 * 24h).zero("unset").help("The rate is taken from the oldest reading within this to the newest, once they span half of it. Required."),
        option("alerts.*.per", &AlertOptions::per).only({"rate"}).range(1ms, 366 * 24h).help("`level` is the change in this time."),
        option("alerts.*.from_severity", &AlertOptions::from_severity).only({"violation"}).help("Violations of this severity or worse."),
        option("alerts.*.for", &AlertOptions::holds).range(0s, 366 * 24h).help("It fires when the condition has held for so long. silence: when no event came for so long; required."),
        option("alerts.*.count", &AlertOptions::count).only(numbers).range(1, 1'000'000).help("And when it has held for so many events in a row."),
        option("alerts.*.resolve_after", &AlertOptions::resolve_after).range(0s, 366 * 24h).help("It is resolved when the condition has not held for so long."),
        option("alerts.*.refire_after", &AlertOptions::refire_after).range(0s, 366 * 24h).zero("at once").help("An alert does not fire again sooner than this after it fired."),
        option("alerts.*.severity", &AlertOptions::severity).help("What it is when it fires."),
        option("alerts.*.escalate_after", &AlertOptions::escalate_after).range(1ms, 366 * 24h).zero("never").help("Firing for so long without an acknowledgement, it becomes `escalate_to`."),
        option("alerts.*.escalate_to", &AlertOptions::escalate_to).help("The severity then."),
        option("alerts.*.title", &AlertOptions::title).example("\"{/name} is full\"").help("For people: text with JSON Pointers in braces (not with silence, for which there is no event). Empty: the rule's name and the key."),
        option("alerts.*.labels", &AlertOptions::labels).example("{ team = \"pools\" }").help("Go along with each alert, for whoever routes it."),
        option("alerts.*.tell_pending", &AlertOptions::tell_pending).help("Tell also what is pending, and what falls back without firing: of a noisy number that is much."),
    };
}

std::vector<Option> gateway_rows() {
    const auto from_004 = [](std::string name) { return "STREAMING_WEBSOCKET__" + name; };
    return {
        option("gateway.enabled", &GatewayOptions::enabled).help("`false`: weir records without listening."),
        option("gateway.host", &GatewayOptions::host).env(from_004("HOST"))
            .check(is_not_empty, "an address or name such as 127.0.0.1, 0.0.0.0, ::1, localhost").help("Where to listen. Off loopback a token is required."),
        option("gateway.port", &GatewayOptions::port).env(from_004("PORT")).range(0, 65535).help("`0`: a free one, printed at the start."),
        option("gateway.unix_socket", &GatewayOptions::unix_socket).check(is_path, "an absolute path").help("Listen on this path too. The file is for weir's user and group (mode 0660): a proxy must be one of them."),
        option("gateway.path_prefix", &GatewayOptions::path_prefix).check(is_prefix, "a path such as /weir, without / at its end")
            .help("What a reverse proxy leaves in front of every path."),
        option("gateway.root", &GatewayOptions::root).check(is_root, "analytics, or broadcast:<stream>")
            .help("Who answers WebSocket at `/`: source 002's consumer wants `broadcast:<stream>`."),
        option("gateway.spc_path", &GatewayOptions::spc_path).check(is_path, "an absolute path").help("Path of the spc dialect."),
        option("gateway.echo_path", &GatewayOptions::echo_path).check(is_path, "an absolute path")
            .help("A WebSocket echo for conformance suites (whose largest messages have 16 MiB: raise max_message_size as well); empty: there is none."),
        option("gateway.page", &GatewayOptions::page).help("Serve the dashboard at `/`."),
        option("gateway.clock_zone", &GatewayOptions::clock_zone).changes(When::reload).help("Zone of the page's clock."),
        option("gateway.max_connections", &GatewayOptions::max_connections).env(from_004("MAX_CONNECTIONS")).range(1, 10'000'000).changes(When::reload)
            .help("At the bound a client is closed with 1013. More than the process may have descriptors stops the start."),
        option("gateway.connections_per_address", &GatewayOptions::connections_per_address).range(1, 10'000'000).zero("no limit").changes(When::reload)
            .help("For one client address; loopback is exempt."),
        option("gateway.handshake_timeout", &GatewayOptions::handshake_timeout).range(100ms, 10min).changes(When::reload)
            .help("From the connection until TLS and the HTTP head are complete."),
        option("gateway.ping_interval", &GatewayOptions::ping_interval).env(from_004("PING_INTERVAL"), Unit::seconds).range(1s, 10min).changes(When::reload)
            .help("How long a session may be quiet before the gateway pings it."),
        option("gateway.ping_timeout", &GatewayOptions::ping_timeout).env(from_004("PING_TIMEOUT"), Unit::seconds).range(1s, 10min).changes(When::reload)
            .help("How long a pinged session may take to answer before it is closed."),
        option("gateway.close_timeout", &GatewayOptions::close_timeout).env(from_004("CLOSE_TIMEOUT"), Unit::seconds).range(100ms, 10min).changes(When::reload)
            .help("For the closing handshake."),
        option("gateway.drain_timeout", &GatewayOptions::drain_timeout).range(0s, 10min).changes(When::reload)
            .help("On SIGTERM: how long sessions may take to end after 1001."),
        option("gateway.spc_timeout", &GatewayOptions::spc_timeout).range(1s, 24h).changes(When::reload)
            .help("In the spc dialect: a client that sent no message for this long is stale and closed."),
        option("gateway.max_message_size", &GatewayOptions::max_message_size).bytes().env(from_004("MAX_MESSAGE_SIZE")).range(1024, 1ll << 30)
            .help("A larger message closes its session with 1009. weir sends none that is larger either."),
        option("gateway.compression", &GatewayOptions::compression).env(from_004("COMPRESSION")).help("permessage-deflate, if the client offers it."),
        option("gateway.session_queue_bytes", &GatewayOptions::session_queue_bytes).bytes().range(1024, 1ll << 30).changes(When::reload)
            .help("Pending for one session; at the bound its subscription's policy acts. Not set: at least max_message_size."),
        option("gateway.ring_bytes", &GatewayOptions::ring_bytes).bytes().range(64 * 1024, 1ll << 32).help("Encoded frames kept for one audience. Not set: at least max_message_size."),
        option("gateway.subscriptions_per_session", &GatewayOptions::subscriptions_per_session).range(1, 1'000'000).changes(When::reload)
            .help("One more is refused with an error."),
        option("gateway.filter_bytes_per_session", &GatewayOptions::filter_bytes_per_session).bytes().range(1024, 1ll << 34).changes(When::reload)
            .help("The filters of a session's subscriptions together: their texts, and 64 bytes for each condition and value. One more is refused with an error; a session's only filter never is. "
                  "weir keeps each for every stream that it is asked of."),
        option("gateway.streams_max", &GatewayOptions::streams_max).range(1, 10'000'000)
            .help("With so many streams in the log, a push to a name that is not among them is refused: each takes memory for good."),
        option("gateway.groups_max", &GatewayOptions::groups_max).range(1, 1'000'000)
            .help("Groups that share a subscription out, with members or without. One more is refused with an error."),
        option("gateway.group_unacked_bytes", &GatewayOptions::group_unacked_bytes).bytes().range(64 * 1024, 1ll << 32)
            .help("Handed to the members of one group and not acknowledged. At the bound the group reads no more until they catch up."),
        option("gateway.group_timeout", &GatewayOptions::group_timeout).range(1s, 24h)
            .help("While its group is at that bound: a member that acknowledges nothing for so long is closed with 1013, and the others get what it has."),
        option("gateway.group_keep", &GatewayOptions::group_keep).range(1h, 87600h)
            .help("How long a group without members keeps its positions."),
        option("gateway.require_auth", &GatewayOptions::require_auth).env(from_004("REQUIRE_AUTH"))
            .help("`auto`: off while weir listens on loopback and no token is configured, else on."),
        option("gateway.public_without_auth", &GatewayOptions::public_without_auth).help("Listen off loopback without auth, on purpose."),
        option("gateway.auth_timeout", &GatewayOptions::auth_timeout).env(from_004("AUTH_TIMEOUT_SECONDS"), Unit::seconds).range(1s, 10min).changes(When::reload)
            .help("A session that has not authenticated by then is closed with 1008."),
        option("gateway.allowed_origins", &GatewayOptions::allowed_origins).env(from_004("ALLOWED_ORIGINS")).example("[\"*\"]").changes(When::reload)
            .help("Origins that browsers may come from, `*` for any. Unset: any while a token is required, else this host."),
        option("gateway.hosts", &GatewayOptions::hosts).changes(When::reload)
            .help("Names, besides loopback and addresses, that a Host header may hold while auth is off."),
        option("gateway.trusted_proxies", &GatewayOptions::trusted_proxies).changes(When::reload)
            .help("Addresses or CIDR blocks of proxies whose X-Forwarded-For is believed; `unix`: whoever comes by `unix_socket`."),
        option("gateway.proxy_protocol", &GatewayOptions::proxy_protocol).help("Connections from `trusted_proxies` begin with a PROXY line."),
        option("gateway.enable_rate_limiting", &GatewayOptions::enable_rate_limiting).env(from_004("ENABLE_RATE_LIMITING")).changes(When::reload)
            .help("Limit what a session may send."),
        option("gateway.rate_limit_per_minute", &GatewayOptions::rate_limit_per_minute).env(from_004("RATE_LIMIT_PER_MINUTE")).range(1, 1'000'000'000).changes(When::reload)
            .help("Control messages of a session (subscribe, auth, ...). Pings are free."),
        option("gateway.publish_limit_per_minute", &GatewayOptions::publish_limit_per_minute).range(1, 1'000'000'000).changes(When::reload)
            .help("Published events of a token, or of a session without one."),
        option("gateway.acknowledge_limit_per_minute", &GatewayOptions::acknowledge_limit_per_minute).range(1, 1'000'000'000).changes(When::reload)
            .help("Acknowledgements, likewise."),
        option("gateway.abuse_limit_per_minute", &GatewayOptions::abuse_limit_per_minute).range(1, 1'000'000'000).changes(When::reload)
            .help("Control messages above the limit in a minute that close the session with 1008."),
        option("gateway.tls_cert_file", &GatewayOptions::tls_cert_file).help("PEM file of the certificate and its chain; read again on SIGHUP."),
        option("gateway.tls_key_file", &GatewayOptions::tls_key_file).help("PEM file of its key."),
        option("gateway.reactors", &GatewayOptions::reactors).range(1, 1024).zero("one a core").help("Threads that serve sessions."),
        option("gateway.duty", &GatewayOptions::duty).range(0.0, 100.0).changes(When::reload)
            .help("After a pass of sends that took d of CPU, none before this times d: more latency, less CPU. `0`: off."),
        option("gateway.flush_latency", &GatewayOptions::flush_latency).range(0s, 10s).changes(When::reload).help("And never later than this."),

        option("gateway.tokens.*.hash", &TokenOptions::hash).check(is_token_hash, "sha256:<salt>:<64 hexadecimal digits>, as `weir token` prints it").changes(When::reload)
            .example("\"sha256:<salt>:<64 hexadecimal digits>\"").help("Hash of the token. Required."),
        option("gateway.tokens.*.types", &TokenOptions::types).check(is_subscription_type, "a list of events, metrics, alerts, predictions, aggregations, system_status").changes(When::reload)
            .help("Subscription types it may have. Empty: all."),
        option("gateway.tokens.*.streams", &TokenOptions::streams).check(is_stream, "a list of stream names").changes(When::reload).help("Streams it may see. Empty: all."),
        option("gateway.tokens.*.filter", &TokenOptions::filter).changes(When::reload).example("'{\"metadata.key\": \"SSD-7\"}'").help("JSON, as in `subscribe`: its holder never sees an event outside it."),
        option("gateway.tokens.*.publish", &TokenOptions::publish).changes(When::reload).help("May publish."),
        option("gateway.tokens.*.acknowledge", &TokenOptions::acknowledge).changes(When::reload).help("May acknowledge."),
        option("gateway.tokens.*.administer", &TokenOptions::administer).changes(When::reload).help("May administer."),

        option("gateway.jwt.secret", &JwtOptions::secret).changes(When::reload).help("Secret of HS256, from 32 bytes. Whoever knows it can make tokens."),
        option("gateway.jwt.key_files", &JwtOptions::key_files).changes(When::reload).example("[\"/etc/weir/issuer.pem\"]")
            .help("PEM files, each with a public key or certificate: RSA from 2048 bits (RS256), P-256 (ES256), Ed25519 (EdDSA)."),
        option("gateway.jwt.jwks_file", &JwtOptions::jwks_file).changes(When::reload).help("A JWK Set as a file; read again on SIGHUP."),
        option("gateway.jwt.jwks_url", &JwtOptions::jwks_url).example("\"https://issuer.example/.well-known/jwks.json\"")
            .help("A JWK Set over https (http to this machine only)."),
        option("gateway.jwt.jwks_ca_file", &JwtOptions::jwks_ca_file).help("PEM file of the authorities to trust for `jwks_url`; empty: the system's."),
        option("gateway.jwt.jwks_refresh", &JwtOptions::jwks_refresh).range(10s, 24h).changes(When::reload)
            .help("How often `jwks_url` is read. A token with a key that is not there asks sooner, at most once in 10 s."),
        option("gateway.jwt.issuers", &JwtOptions::issuers).changes(When::reload).example("[\"https://issuer.example/\"]").help("`iss` must be one of them. Empty: any."),
        option("gateway.jwt.audiences", &JwtOptions::audiences).changes(When::reload).example("[\"weir\"]")
            .help("`aud` must hold one of them. Empty: tokens that name an audience are refused."),
        option("gateway.jwt.leeway", &JwtOptions::leeway).range(0s, 10min).changes(When::reload).help("For clocks that differ: on `exp`, `nbf` and `iat`."),
        option("gateway.jwt.claim", &JwtOptions::claim).check(is_not_empty, "a claim's name").changes(When::reload).help("The claim that holds the permissions."),

        option("gateway.broadcast.*.message", &BroadcastOptions::message).help("`message` of the welcome."),
        option("gateway.broadcast.*.stream_rate", &BroadcastOptions::stream_rate).help("`stream_rate` of the welcome."),
        option("gateway.broadcast.*.counter", &BroadcastOptions::counter).check(is_not_empty, "a member's name").help("Name of the member with the stream's newest seq."),
        option("gateway.broadcast.*.label", &BroadcastOptions::label).help("A diagnostic line for each event, with its number and the clients that it went to; as `feeds.*.label`. Empty: none."),
    };
}

std::vector<Option> diag_rows() {
    return {
        option("diag.level", &diag::Options::level).changes(When::reload).help("Least level that is written."),
        option("diag.format", &diag::Options::format).help("`text` for people, `json` for machines."),
        option("diag.file", &diag::Options::file).help("Empty: standard error."),
    };
}

}  // namespace

const std::vector<Option>& option_table() {
    static const std::vector<Option> table = [] {
        std::vector<Option> all;
        for (auto rows : {log_rows, feed_rows, window_rows, forecast_rows, spc_rows, alert_rows, store_rows, gateway_rows, diag_rows})
            for (Option& row : rows()) {
                WEIR_ASSERT(row.path == row.section->pattern + "." + row.name);
                all.push_back(std::move(row));
            }
        return all;
    }();
    return table;
}

}  // namespace weir
