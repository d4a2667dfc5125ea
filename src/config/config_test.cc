#include "config/config.h"

#include <filesystem>
#include <doctest/doctest.h>

#include <cerrno>
#include <cstdlib>
#include <set>

#include "base/prng.h"
#include "config/option.h"

using namespace weir;

namespace {

Result<Config> load_text(std::string text, std::vector<std::pair<std::string, std::string>> environment = {}, std::vector<std::string> flags = {}) {
    return load({.file = "weir.toml", .text = std::move(text), .environment = std::move(environment), .flags = std::move(flags)});
}

Config good(std::string text, std::vector<std::pair<std::string, std::string>> environment = {}, std::vector<std::string> flags = {}) {
    auto loaded = load_text(std::move(text), std::move(environment), std::move(flags));
    if (!loaded.ok()) FAIL(loaded.error().message);
    return *std::move(loaded);
}

std::string mistakes(std::string text, std::vector<std::pair<std::string, std::string>> environment = {}, std::vector<std::string> flags = {}) {
    const auto loaded = load_text(std::move(text), std::move(environment), std::move(flags));
    return loaded.ok() ? "" : loaded.error().message;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string source_file(const std::string& name) { return std::filesystem::path(WEIR_SOURCE_DIR) / name; }

constexpr const char* pools = R"(
[feeds.pools]
[[feeds.pools.sources]]
kind = "websocket"
url = "wss://example.org/api"
)";

}  // namespace

TEST_CASE("config: without anything, the defaults are those of source 004, host and auth apart (S4-14 to S4-18, decisions.md 16)") {
    const GatewayOptions gateway = good("").options.gateway;
    CHECK(gateway.host == "127.0.0.1");
    CHECK(gateway.port == 8765);
    CHECK(gateway.max_connections == 1000);
    CHECK(gateway.ping_interval == 20s);
    CHECK(gateway.ping_timeout == 10s);
    CHECK(gateway.close_timeout == 10s);
    CHECK(gateway.max_message_size == 1024 * 1024);
    CHECK(gateway.compression == Compression::deflate);
    CHECK(gateway.require_auth == RequireAuth::automatic);
    CHECK(gateway.auth_timeout == 30s);
    CHECK(!gateway.allowed_origins);
    CHECK(gateway.enable_rate_limiting);
    CHECK(gateway.rate_limit_per_minute == 60);
    CHECK(gateway.spc_timeout == 90s);  // S3-10
}

TEST_CASE("config: every environment name of source 004 sets its option, in that document's units (S4-18)") {
    const Config config = good("", {{"STREAMING_WEBSOCKET__HOST", "0.0.0.0"},
                                    {"STREAMING_WEBSOCKET__PORT", "9000"},
                                    {"STREAMING_WEBSOCKET__MAX_CONNECTIONS", "20"},
                                    {"STREAMING_WEBSOCKET__PING_INTERVAL", "21"},
                                    {"STREAMING_WEBSOCKET__PING_TIMEOUT", "11"},
                                    {"STREAMING_WEBSOCKET__CLOSE_TIMEOUT", "12s"},
                                    {"STREAMING_WEBSOCKET__MAX_MESSAGE_SIZE", "65536"},
                                    {"STREAMING_WEBSOCKET__COMPRESSION", "None"},
                                    {"STREAMING_WEBSOCKET__REQUIRE_AUTH", "True"},
                                    {"STREAMING_WEBSOCKET__AUTH_TIMEOUT_SECONDS", "31"},
                                    {"STREAMING_WEBSOCKET__ALLOWED_ORIGINS", R"(["https://a.example", "https://b.example"])"},
                                    {"STREAMING_WEBSOCKET__ENABLE_RATE_LIMITING", "false"},
                                    {"STREAMING_WEBSOCKET__RATE_LIMIT_PER_MINUTE", "600"}});
    const GatewayOptions& gateway = config.options.gateway;
    CHECK(gateway.host == "0.0.0.0");
    CHECK(gateway.port == 9000);
    CHECK(gateway.max_connections == 20);
    CHECK(gateway.ping_interval == 21s);
    CHECK(gateway.ping_timeout == 11s);
    CHECK(gateway.close_timeout == 12s);
    CHECK(gateway.max_message_size == 65536);
    CHECK(gateway.compression == Compression::none);
    CHECK(gateway.require_auth == RequireAuth::yes);
    CHECK(gateway.auth_timeout == 31s);
    CHECK(gateway.allowed_origins == std::vector<std::string>{"https://a.example", "https://b.example"});
    CHECK(!gateway.enable_rate_limiting);
    CHECK(gateway.rate_limit_per_minute == 600);
    CHECK(config.where("gateway.port") == "STREAMING_WEBSOCKET__PORT: ");
}

TEST_CASE("config: the file yields to the source documents' names, those to WEIR_ names, those to flags; each value knows where it is from") {
    const std::string file = "\n[gateway]\nport = 1\n";
    const std::pair<std::string, std::string> alias{"STREAMING_WEBSOCKET__PORT", "2"}, own{"WEIR_GATEWAY__PORT", "3"};
    CHECK(good(file).options.gateway.port == 1);
    CHECK(good(file).where("gateway.port") == "weir.toml:3: ");
    CHECK(good(file, {alias}).options.gateway.port == 2);
    CHECK(good(file, {own, alias}).options.gateway.port == 3);
    CHECK(good(file, {own, alias}, {"--gateway.port", "4"}).options.gateway.port == 4);
    CHECK(good(file, {own, alias}, {"--gateway.port=5"}).where("gateway.port") == "--gateway.port: ");
    CHECK(good(file, {}, {"--set", "gateway.port=6"}).options.gateway.port == 6);
    CHECK(good("").where("gateway.port").empty());
}

TEST_CASE("config: an impossible value is reported with file, line, what was found and what is allowed") {
    CHECK(mistakes("# weir\n[gateway]\nping_interval = \"0s\"\n") ==
          "weir.toml:3: gateway.ping_interval is \"0s\"; allowed: 1s to 10min (default 20s)");
    CHECK(mistakes("[gateway]\nport = \"9000\"") == "weir.toml:2: gateway.port is \"9000\"; allowed: a whole number, 0 to 65535 (default 8765)");
    CHECK(mistakes("[gateway]\nport = 70000").find("gateway.port is 70000; allowed") != std::string::npos);
    CHECK(mistakes("[gateway]\nping_interval = 20") ==
          "weir.toml:2: gateway.ping_interval is 20 (a unit is missing); allowed: 1s to 10min (default 20s)");
    CHECK(mistakes("[log]\ndurability = \"fast\"") == "weir.toml:2: log.durability is \"fast\"; allowed: full, process (default full)");
    CHECK(mistakes("", {{"STREAMING_WEBSOCKET__PORT", "http"}}) ==
          "STREAMING_WEBSOCKET__PORT: gateway.port is \"http\"; allowed: a whole number, 0 to 65535 (default 8765)");
    CHECK(mistakes("", {}, {"--gateway.port", "-1"}) == "--gateway.port: gateway.port is \"-1\"; allowed: a whole number, 0 to 65535 (default 8765)");
    CHECK(contains(mistakes("[gateway]\nclock_zone = \"Europe/Zuerich\""), "weir.toml:2: gateway.clock_zone: time zone \"Europe/Zuerich\" is not in the system's zone data; did you mean Europe/Zurich?"));
    CHECK(contains(mistakes("[gateway]\nport = 2026-01-01"), "gateway.port is 2026-01-01; allowed"));
    CHECK(contains(mistakes("[gateway]\nport = [1]"), "gateway.port is [1]; allowed"));
    CHECK(contains(mistakes("gateway = 3"), "weir.toml:1: gateway is 3; allowed: a table, [gateway]"));
    CHECK(contains(mistakes("[feeds.p]\nsources = \"ws://x\""), "weir.toml:2: feeds.p.sources is \"ws://x\"; allowed: tables, each under [[feeds.p.sources]]"));
    CHECK(contains(mistakes("[gateway]\nduty = nan"), "gateway.duty is nan; allowed"));
}

TEST_CASE("config: all mistakes are reported at once, in the order of the file") {
    const std::string all = mistakes("[gateway]\nport = -1\nprot = 3\n[log]\nmerge_level = 99\n[diag]\nlevel = \"loud\"\n");
    CHECK(std::count(all.begin(), all.end(), '\n') == 3);
    CHECK(contains(all, "weir.toml:2: gateway.port is -1"));
    CHECK(contains(all, "weir.toml:3: gateway.prot is not an option; did you mean gateway.port?"));
    CHECK(contains(all, "weir.toml:5: log.merge_level is 99; allowed: a whole number, 1 to 19 (default 3)"));
    CHECK(contains(all, "weir.toml:7: diag.level is \"loud\"; allowed: debug, info, warn, error, off (default info)"));
    CHECK(all.find("gateway.port") < all.find("gateway.prot"));
}

TEST_CASE("config: an unknown key names the nearest right spelling, wherever it stands") {
    CHECK(mistakes("[gatway]\nport = 1") == "weir.toml:1: gatway is not an option; did you mean gateway?");
    CHECK(mistakes(std::string(pools) + "open_mesage = \"all\"") ==
          "weir.toml:6: feeds.pools.sources[0].open_mesage is not an option; did you mean feeds.pools.sources[0].open_message?");
    CHECK(contains(mistakes("[gateway]\nzzzzzzzzzzzz = 1"), "gateway.zzzzzzzzzzzz is not an option; allowed in gateway: enabled, host, port"));
    CHECK(mistakes("", {{"WEIR_GATEWAY__PROT", "1"}}) == "WEIR_GATEWAY__PROT: gateway.prot is not an option; did you mean gateway.port?");
    CHECK(mistakes("", {{"STREAMING_WEBSOCKET__PRT", "1"}}) == "STREAMING_WEBSOCKET__PRT: is not an option; did you mean STREAMING_WEBSOCKET__PORT?");
    CHECK(mistakes("", {}, {"--gateway.prot", "1"}) == "--gateway.prot: gateway.prot is not an option; did you mean gateway.port?");
    CHECK(contains(mistakes("", {}, {"--set", "gateway.port"}), "allowed: --set <option>=<value>"));
    CHECK(contains(mistakes("", {}, {"--gateway.port"}), "has no value"));
    CHECK(contains(mistakes("", {}, {"9000"}), "is not expected here"));
}

TEST_CASE("config: what is not TOML, and a file that cannot be read, say where and why") {
    CHECK(contains(mistakes("[gateway]\nport = \n"), "weir.toml:2: not TOML: "));
    CHECK(contains(mistakes("[gateway]\nport = 1\nport = 2\n"), "weir.toml:3: not TOML: "));
    const auto missing = load({.file = "/nowhere/weir.toml"});
    REQUIRE(!missing.ok());
    CHECK(missing.error().code == "bad_config");
    CHECK(missing.error().message == "configuration: /nowhere/weir.toml: cannot open: No such file or directory (ENOENT)");
    const Filesystem refused([](FilePoint, const std::string&) { return EACCES; });
    CHECK(contains(load({.file = "weir.toml"}, refused).error().message, "Permission denied (EACCES)"));
}

TEST_CASE("config: named sections and arrays of tables fill their structs (S0-5)") {
    const Config config = good(R"(
[feeds.pools]
interval = "4s"
[[feeds.pools.sources]]
kind = "websocket"
url = "wss://example.org/api"
open_message = ""
headers = { X-Key = "hidden" }
[[feeds.pools.sources]]
kind = "html"
url = "https://example.org/"
xpath = "//td"
schedule = "0 */5 * * * *"
zone = "Europe/Zurich"
[feeds.pools.decode]
key = ["/uid"]
value = ["/anzahl_gaeste", "/occupancy"]
numeric_text = true
[windows.5min]
stream = "pools"
median = "upper"
[windows.1h]
stream = "pools"
size = "1h"
median = true
output = "hours"
[streams."pools.5min"]
retention_age = "7d"
)");
    const FeedOptions& feed = config.options.feeds.at("pools");
    CHECK(feed.stream == "pools");
    CHECK(feed.interval == 4s);
    REQUIRE(feed.sources.size() == 2);
    CHECK(feed.sources[0].open_message == "");
    CHECK(feed.sources[0].headers.at("X-Key").reveal() == "hidden");
    CHECK(!feed.sources[1].open_message);
    CHECK(feed.sources[1].schedule->zone().name() == "Europe/Zurich");
    CHECK(feed.decode.value == std::vector<std::string>{"/anzahl_gaeste", "/occupancy"});
    CHECK(feed.decode.numeric_text.everywhere);
    CHECK(config.options.windows.at("5min").output == "pools.5min");
    CHECK(config.options.windows.at("5min").median == Median::upper);
    CHECK(config.options.windows.at("1h").output == "hours");
    CHECK(config.options.windows.at("1h").median == Median::exact);
    CHECK(config.options.streams.at("pools.5min").retention(config.options.log.retention).age == 7 * 24h);
    CHECK(config.where("feeds.pools.sources[1].xpath") == "weir.toml:12: ");
    CHECK(config.where("streams.\"pools.5min\".retention_age") == "weir.toml:28: ");
}

TEST_CASE("config: the environment reaches named sections, in any case and with _ for what a name cannot hold") {
    const std::string file = "[feeds.Zurich-Pools]\n[[feeds.Zurich-Pools.sources]]\nurl = \"ws://a\"\n";
    const Config config = good(file, {{"WEIR_FEEDS__ZURICH_POOLS__SOURCES__0__URL", "ws://b"},
                                      {"WEIR_FEEDS__ZURICH_POOLS__DECODE__KEY", "/uid,/id"},
                                      {"WEIR_HOME", "/opt/weir"},
                                      {"WEIR_GATEWAY__HOST", ""}});
    CHECK(config.options.feeds.size() == 1);
    CHECK(config.options.feeds.at("Zurich-Pools").sources[0].url == "ws://b");
    CHECK(config.options.feeds.at("Zurich-Pools").decode.key == std::vector<std::string>{"/uid", "/id"});
    CHECK(config.options.gateway.host == "127.0.0.1");
    CHECK(good(file, {}, {"--feeds.Zurich-Pools.sources[0].url", "ws://c"}).options.feeds.at("Zurich-Pools").sources[0].url == "ws://c");
    CHECK(good("", {}, {"--set", "streams.\"a.b\".label=x"}).options.streams.at("a.b").label == "x");
}

TEST_CASE("config: WEBSOCKET_URL, TARGET_UID, AZURE_STORAGE_CONNECTION_STRING and DB_PASSWORD reach the sections they are for (S0-34, S0-R1, S2-23)") {
    const Config config = good(std::string(pools) + R"(
[stores.cloud]
kind = "azure"
[stores.warehouse]
kind = "postgresql"
url = "postgresql://analytics_user@localhost:5433/analytics"
)",
                               {{"WEBSOCKET_URL", "ws://other"},
                                {"TARGET_UID", "SSD-7"},
                                {"AZURE_STORAGE_CONNECTION_STRING", "AccountName=a;AccountKey=k"},
                                {"DB_PASSWORD", "analytics_pass"},
                                {"PGPASSFILE", "/home/x/.pgpass"}});
    CHECK(config.options.feeds.at("pools").sources[0].url == "ws://other");
    CHECK(config.options.feeds.at("pools").decode.keys == std::vector<std::string>{"SSD-7"});
    CHECK(config.options.stores.at("cloud").connection_string.reveal() == "AccountName=a;AccountKey=k");
    CHECK(config.options.stores.at("warehouse").password.reveal() == "analytics_pass");
    CHECK(config.options.stores.at("cloud").password.empty());
    CHECK(contains(config.notes.at(0), "PGPASSFILE is set"));
    CHECK(contains(good("", {{"WEBSOCKET_URL", "ws://x"}}).notes.at(0), "WEBSOCKET_URL is set, but there is no [[feeds.*.sources]]"));
    CHECK(contains(mistakes(std::string(pools) + "[[feeds.pools.sources]]\nurl = \"ws://b\"\n", {{"WEBSOCKET_URL", "ws://x"}}), "there are 2 of kind websocket"));
}

TEST_CASE("config: secrets come from files or the environment, and are never printed") {
    const std::string folder = "/tmp/weir-secret-" + std::to_string(reinterpret_cast<std::uintptr_t>(&folder));
    REQUIRE(Filesystem().write_atomically(folder, "from-a-file\n").ok());
    const std::string store = "[stores.w]\nkind = \"postgresql\"\nurl = \"postgresql://u:url-password@h/d\"\n";
    const Config config = good(store + "password_file = \"" + folder + "\"\n");
    CHECK(config.options.stores.at("w").password.reveal() == "from-a-file");
    CHECK(good(store, {{"WEIR_STORES__W__PASSWORD_FILE", folder}}).options.stores.at("w").password.reveal() == "from-a-file");
    const std::string report = check_report(config, ManualClock());
    CHECK(!contains(report, "from-a-file"));
    CHECK(!contains(report, "url-password"));
    CHECK(contains(report, "\"[secret]\""));
    CHECK(contains(mistakes(store + "password = \"x\"\npassword_file = \"" + folder + "\"\n"), "both give it"));
    CHECK(contains(mistakes(store + "password_file = \"/nowhere\"\n"), "stores.w.password_file: /nowhere: cannot open"));
    const std::string wrong = mistakes("[gateway.tokens.a]\nhash = \"plain-token\"\n");
    CHECK(!contains(wrong, "plain-token"));
    CHECK(contains(wrong, "gateway.tokens.a.hash is [secret]; allowed: sha256:"));
    CHECK(!contains(mistakes("[stores.w]\nkind = \"postgresql\"\nurl = \"mysql://u:pw@h\""), "pw@h"));
    CHECK(Filesystem().remove(folder).ok());
}

TEST_CASE("config: a URL is shown without its password and tokens") {
    const std::string source = "[feeds.a]\n[[feeds.a.sources]]\nurl = \"wss://user:hidden-1@h/api?Access_Token=hidden-2&x=1&sig=hidden-3\"\n";
    const std::string report = check_report(good(source), ManualClock());
    CHECK(contains(report, "wss://user:[secret]@h/api?Access_Token=[secret]&x=1&sig=[secret]"));
    CHECK(!contains(report, "hidden"));
    CHECK(!contains(mistakes(source + "kind = \"http\"\n"), "hidden"));
    CHECK(without_secrets("wss://[::1]:80/a@b:c?x") == "wss://[::1]:80/a@b:c?x");
}

TEST_CASE("config: rules between options name both paths, with the value and place of each") {
    CHECK(mistakes("[gateway]\nhost = \"0.0.0.0\"\nrequire_auth = false\n") ==
          "weir.toml:3: gateway.require_auth is false; allowed: only on loopback, or with gateway.public_without_auth = true; "
          "gateway.host is \"0.0.0.0\" (weir.toml:2)");
    CHECK(mistakes("[gateway]\nhost = \"0.0.0.0\"\nrequire_auth = false\npublic_without_auth = true\n").empty());
    CHECK(contains(good("[gateway]\nhost = \"0.0.0.0\"\n").notes.at(0), "every client is refused"));
    CHECK(contains(mistakes("[gateway]\ntls_cert_file = \"c.pem\""), "gateway.tls_cert_file is set without gateway.tls_key_file"));
    CHECK(contains(mistakes("[gateway]\nmax_message_size = \"2MiB\"\nsession_queue_bytes = \"1MiB\""), "weir.toml:3: gateway.session_queue_bytes is \"1MiB\"; allowed: at least gateway.max_message_size; gateway.max_message_size is \"2MiB\" (weir.toml:2)"));
    const auto large = good("[gateway]\nmax_message_size = \"32MiB\"").options.gateway;
    CHECK((large.session_queue_bytes == large.max_message_size && large.ring_bytes == large.max_message_size));
    // A frame's place in its ring has 32 bits.
    CHECK(good("[gateway]\nring_bytes = \"4GiB\"").options.gateway.ring_bytes == 1ull << 32);
    CHECK(contains(mistakes("[gateway]\nring_bytes = \"5GiB\""), "allowed: 64KiB to 4GiB"));
    for (const char* taken : {"/", "/stream", "/feed/x", "/ws"})
        CHECK(contains(mistakes("[gateway]\necho_path = \"" + std::string(taken) + "\""), "allowed: a path that speaks no dialect"));
    CHECK(contains(mistakes("\n[feeds.pools]\n"), "weir.toml:2: feeds.pools has no source"));
    CHECK(contains(mistakes(std::string(pools) + "[[feeds.pools.sources]]\n"), "weir.toml:6: feeds.pools.sources[1].url is missing"));
    CHECK(contains(mistakes("[feeds.a]\n[[feeds.a.sources]]\nurl = \"http://x\""), "weir.toml:3: feeds.a.sources[0].url is \"http://x\"; allowed: ws:// or wss:// and a host; feeds.a.sources[0].kind is websocket (default)"));
    CHECK(contains(mistakes("[feeds.a]\n[[feeds.a.sources]]\nkind = \"html\"\nurl = \"http://x\""), "feeds.a.sources[0].xpath is missing"));
    CHECK(contains(mistakes(std::string(pools) + "xpath = \"//td\""), "weir.toml:6: feeds.pools.sources[0].xpath is for kind html; feeds.pools.sources[0].kind is websocket (weir.toml:4)"));
    CHECK(contains(mistakes("[windows.a]\nstream = \"s\"\nkind = \"hopping\"\nhop = \"2min\""), "windows.a.hop is 2min; allowed: a divisor of windows.a.size; windows.a.size is 5min (default)"));
    CHECK(contains(mistakes("[windows.a]\nsize = \"5min\""), "windows.a.stream is missing"));
    CHECK(contains(mistakes("[windows.5min]\nstream = \"s\"\n[stores.files]\nkind = \"folder\"\nwindows = [\"5mni\"]"),
                   "stores.files.windows names \"5mni\"; allowed: a name of [windows.*] (did you mean 5min?)"));
    CHECK(contains(mistakes("[windows.a]\nstream = \"s\"\noutput = \"s\""), "comes from its own output"));
    CHECK(contains(mistakes("[windows.a]\nstream = \"s\"\noutput = \"t\"\n[windows.b]\nstream = \"t\"\noutput = \"s\""), "comes from its own output"));
    CHECK(contains(mistakes("[windows.a]\nstream = \"s\"\noutput = \"t\"\n[windows.b]\nstream = \"s\"\noutput = \"t\""), "a stream that nothing else writes"));
    CHECK(contains(mistakes("[windows.5min]\nstream = \"s\"\n[stores.f]\nwindows = [\"5mn\"]"), "did you mean 5min?"));
    const std::string window = "[windows.5min]\nstream = \"s\"\n", forecast = window + "[forecasts.f]\nwindow = \"5min\"\n";
    CHECK(mistakes(forecast + "season = \"1d\"").empty());
    CHECK(contains(mistakes("[forecasts.f]\nhorizon = 3"), "forecasts.f.window is missing"));
    CHECK(contains(mistakes(window + "[forecasts.f]\nwindow = \"5mni\""), "forecasts.f.window is \"5mni\"; allowed: a name of [windows.*] (did you mean 5min?)"));
    CHECK(contains(mistakes(forecast + "season = \"12min\""), "forecasts.f.season is 12min; allowed: 2 to 2016 times windows.5min.size; windows.5min.size is 5min (default)"));
    CHECK(contains(mistakes(forecast + "season = \"30d\""), "2 to 2016 times windows.5min.size"));
    CHECK(contains(mistakes(forecast + "season = \"5min\""), "2 to 2016 times windows.5min.size"));
    CHECK(contains(mistakes(forecast + "horizon = 201"), "forecasts.f.horizon"));
    CHECK(contains(mistakes(forecast + "statistic = \"mode\""), "forecasts.f.statistic"));
    CHECK(contains(mistakes(forecast + "models = [\"arima\"]"), "forecasts.f.models"));
    CHECK(contains(mistakes("[windows.5min]\nstream = \"s\"\nkind = \"session\"\ngap = \"1min\"\n[forecasts.f]\nwindow = \"5min\""), "whose windows have no fixed spacing"));
    CHECK(contains(mistakes("[windows.5min]\nstream = \"s\"\nschedule = \"0 */5 * * * *\"\n[forecasts.f]\nwindow = \"5min\"\nseason = \"1d\""), "allowed: none with windows on a schedule"));
    CHECK(contains(mistakes("[stores.f]\nprofile = \"s0\"\nbundle = \"always\""), "stores.f.bundle is always; allowed: only with stores.f.profile weir"));
    CHECK(contains(mistakes("[stores.c]\nkind = \"azure\""), "AZURE_STORAGE_CONNECTION_STRING"));
    const std::string webhook = "[stores.h]\nkind = \"webhook\"\n";
    CHECK(contains(mistakes(webhook), "stores.h.url is missing; allowed: http:// or https://"));
    for (const char* url : {"ftp://peer/s3cret", "https:///s3cret", "http://u:s3cret@peer/"}) {
        const std::string said = mistakes(webhook + "url = \"" + url + "\"");
        CHECK(contains(said, "weir.toml:3: stores.h.url"));
        CHECK(!contains(said, "s3cret"));
    }
    const std::string hook = webhook + "url = \"https://peer/path@home\"\n";
    CHECK(good(hook).notes.empty());
    CHECK(contains(mistakes(hook + "headers = { content-Type = \"x\" }"), "stores.h.headers names \"content-Type\", which weir sets itself"));
    CHECK(contains(mistakes(hook + "headers = { \"a b\" = \"x\" }"), "stores.h.headers names \"a b\"; allowed: letters"));
    CHECK(contains(mistakes(hook + "token = \"t\"\nheaders = { Authorization = \"x\" }"), "beside stores.h.token; allowed: one of the two"));
    CHECK(contains(good(webhook + "url = \"http://peer/\"\ntoken = \"t\"").notes.at(0), "stores.h.url is not encrypted"));
    CHECK(contains(mistakes("[log]\nretention_bytes = \"2MiB\"\nretention_hard_bytes = \"1MiB\""), "log.retention_hard_bytes is \"1MiB\"; allowed: at least log.retention_bytes"));
    CHECK(contains(good(std::string(pools) + "[windows.a]\nstream = \"pool\"").notes.at(0), "did you mean \"pools\"?"));
}

TEST_CASE("config: a schedule that fires more often than its window is long is refused (C-1)") {
    CHECK(mistakes("[windows.a]\nstream = \"s\"\nschedule = \"*/5 * * * * *\"") ==
          "weir.toml:3: windows.a.schedule is \"*/5 * * * * *\", which fires every 5s; allowed: not more often than a window is long; "
          "windows.a.size is 5min (default) (every 5 minutes is \"0 */5 * * * *\")");
    CHECK(mistakes("[windows.a]\nstream = \"s\"\nschedule = \"0 */5 * * * *\"").empty());
    CHECK(contains(mistakes("[windows.a]\nstream = \"s\"\nschedule = \"0 61 * * * *\""), "weir.toml:3: windows.a.schedule: schedule \"0 61 * * * *\": minute is \"61\"; allowed: 0 to 59"));
}

TEST_CASE("config: weir check prints every value with its origin, and the next five times of each schedule") {
    const Config config = good("[windows.a]\nstream = \"s\"\nschedule = \"0 0 6 * * *\"\nzone = \"Europe/Zurich\"\n", {{"STREAMING_WEBSOCKET__PORT", "9000"}});
    const std::string report = check_report(config, ManualClock("2026-03-27T12:00:00Z"_utc));
    CHECK(contains(report, "windows.a.schedule = \"0 0 6 * * *\" in Europe/Zurich fires next at\n"
                           "  2026-03-28T05:00:00Z\n  2026-03-29T04:00:00Z\n  2026-03-30T04:00:00Z\n  2026-03-31T04:00:00Z\n  2026-04-01T04:00:00Z\n"));
    const auto line_of = [&](const std::string& path) {
        const std::size_t begin = report.find("\n" + path + " ") + 1;
        return report.substr(begin, report.find('\n', begin) - begin);
    };
    CHECK(contains(line_of("gateway.port"), "= 9000"));
    CHECK(line_of("gateway.port").ends_with("  STREAMING_WEBSOCKET__PORT"));
    CHECK(line_of("gateway.ping_interval").ends_with("  default"));
    CHECK(line_of("windows.a.stream").ends_with("  weir.toml:2"));
}

TEST_CASE("config: a reload knows what changed, and what needs a restart") {
    const Config before = good("[gateway]\nport = 1\nping_interval = \"20s\"\n[gateway.tokens.a]\nhash = \"sha256:" + std::string(64, 'a') + "\"\n");
    const Config after = good("[gateway]\nport = 2\nping_interval = \"30s\"\n[gateway.tokens.a]\nhash = \"sha256:" + std::string(64, 'b') + "\"\n");
    CHECK(changes(before, before).empty());
    CHECK(changes(before, after) == std::vector<ConfigChange>{{"gateway.ping_interval", false}, {"gateway.port", true}, {"gateway.tokens.a.hash", false}});
}

TEST_CASE("config: a reload takes over what takes effect at once, and leaves the rest as it runs") {
    Config running = good("[gateway]\nport = 1\nping_interval = \"20s\"\n[gateway.tokens.a]\nhash = \"sha256:" + std::string(64, 'a') + "\"\n[diag]\nlevel = \"info\"\n");
    const Config fresh = good("[gateway]\nport = 2\nping_interval = \"30s\"\nallowed_origins = [\"https://a.example\"]\n[gateway.tokens.b]\nhash = \"sha256:" + std::string(64, 'b') +
                              "\"\n[diag]\nlevel = \"warn\"\n");
    take_reloadable(running, fresh);
    CHECK(running.options.gateway.port == 1);
    CHECK(running.options.gateway.ping_interval == 30s);
    CHECK(running.options.gateway.allowed_origins == std::vector<std::string>{"https://a.example"});
    CHECK(running.options.diag.level == diag::Level::warn);
    CHECK(running.options.gateway.tokens.contains("a"));  // a section that comes or goes is its owner's business
    for (const ConfigChange& left : changes(running, fresh)) CHECK(left.needs_restart);
}

TEST_CASE("config: every option has a help, an allowed text and a default that it accepts itself") {
    std::set<std::string> paths, aliases;
    for (const Option& option : option_table()) {
        CAPTURE(option.path);
        CHECK(paths.insert(option.path).second);
        CHECK((option.alias.empty() || aliases.insert(option.alias).second));
        CHECK(!option.help.empty());
        CHECK(!option.allowed.empty());
        if (option.standard.empty()) continue;
        // Names of sections that are named by their user are made up here.
        std::vector<std::string> names;
        for (const std::string& part : pattern_parts(option.path))
            if (part == "*" || part == "#") names.push_back(part == "*" ? "x" : "0");
        Options options;
        void* owner = option.section->locate(options, names);
        Value value;
        value.text = option.standard.front() == '"' ? option.standard.substr(1, option.standard.size() - 2) : option.standard;
        value.loose = true;
        std::string detail;
        const bool means_unset = option.standard == "\"\"" || option.standard == "[]" || option.standard == "{}";
        if (!means_unset && option.standard.front() != '[') CHECK(option.read(owner, value, detail));
        CHECK(option.print(owner) == option.standard);
    }
    CHECK(paths.size() > 150);
}

TEST_CASE("config: the committed reference and example file are what the table prints (WEIR_UPDATE=1 writes them)") {
    const std::pair<std::string, std::string> pages[] = {{"docs/configuration.md", print_reference()}, {"examples/all-options.toml", print_example()}};
    for (const auto& [name, text] : pages) {
        if (std::getenv("WEIR_UPDATE")) REQUIRE(Filesystem().write_atomically(source_file(name), text).ok());
        const auto committed = Filesystem().read(source_file(name));
        REQUIRE(committed.ok());
        if (*committed != text) FAIL(name << " is not what the option table prints; WEIR_UPDATE=1 build/config_test writes it");
    }
}

TEST_CASE("config: every option stands in the reference and in the example file") {
    for (const Option& option : option_table())
        CHECK_MESSAGE(std::any_of(sections().begin(), sections().end(), [&](const Section* s) { return s->pattern == option.section->pattern; }), option.path);
}

TEST_CASE("config: an alert's options are checked together, each mistake with its place (D15)") {
    const auto alert = [](const std::string& text) { return std::string(pools) + "[feeds.pools.decode]\nvalue = [\"/currentfill\"]\n[alerts.full]\n" + text; };
    const Config config = good(alert("stream = \"pools\"\nvalue = \"/currentfill\"\nlevel = 100\nclear = 90\nfor = \"30s\"\nlabels = { team = \"pools\" }\n"));
    const AlertOptions& full = config.options.alerts.at("full");
    CHECK(full.kind == AlertKind::threshold);
    CHECK(full.level == 100);
    CHECK(full.clear == 90);
    CHECK(full.holds == 30s);
    CHECK(full.labels.at("team") == "pools");
    CHECK(good("[alerts.spc]\nkind = \"violation\"\n").options.alerts.at("spc").stream == "spc.violations");
    const std::pair<const char*, const char*> wrong[] = {
        {"", "alerts.full.stream is missing"},
        {"stream = \"pools\"\n", "alerts.full.level is missing"},
        {"stream = \"pools\"\nlevel = 1\nclear = 2\n", "alerts.full.clear is 2; allowed: at most alerts.full.level; alerts.full.level is 1 (weir.toml:10)"},
        {"stream = \"pools\"\nlevel = 1\nclear = 0.5\ncondition = \"below\"\n", "alerts.full.clear is 0.5; allowed: at least alerts.full.level"},
        {"stream = \"pools\"\nlevel = 1\nclear = 1\ncondition = \"equals\"\n", "alerts.full.clear is for condition above and below"},
        {"stream = \"pools\"\nkind = \"rate\"\nlevel = 1\n", "alerts.full.over is missing"},
        {"stream = \"pools\"\nkind = \"silence\"\n", "alerts.full.for is missing"},
        {"stream = \"pools\"\nkind = \"silence\"\nfor = \"1min\"\nlevel = 1\n", "alerts.full.level is for kind threshold, rate"},
        {"stream = \"other\"\nlevel = 1\n", "alerts.full.value is missing; allowed: a JSON Pointer to the number, since no feed of other says where it stands"},
        {"stream = \"alerts\"\nlevel = 1\n", "alerts.full.stream is \"alerts\"; allowed: a stream that alerts do not write"},
        {"stream = \"pools\"\nlevel = 1\nescalate_after = \"1min\"\nseverity = \"fatal\"\n", "alerts.full.escalate_to is no worse than alerts.full.severity"},
    };
    for (const auto& [text, message] : wrong) CHECK_MESSAGE(contains(mistakes(alert(text)), message), mistakes(alert(text)));
}

TEST_CASE("config: the example file loads as it is, and each commented default means the default") {
    const Config as_is = good(print_example());
    CHECK(changes(good(""), as_is).empty());
    // The sections without names, uncommented; what is unset by default stays so.
    std::string text;
    bool named = false;
    for (std::size_t at = 0; at < print_example().size();) {
        const std::string all = print_example();
        const std::size_t end = all.find('\n', at);
        std::string line = all.substr(at, end - at);
        at = end + 1;
        if (line.starts_with("[")) named = false;
        if (line.starts_with("# [")) named = true;
        const bool setting = line.starts_with("# ") && line.find(" = ") != std::string::npos && line.find(' ', 2) == line.find(" = ");
        if (!named && setting && !line.ends_with("# unset by default")) {
            line.erase(0, 2);
            // Where an example stands there, what it is by default stands behind it.
            if (const auto standard = line.find("    # default "); standard != std::string::npos) line = line.substr(0, line.find(" = ") + 3) + line.substr(standard + 14);
        }
        text += line + "\n";
    }
    const Config uncommented = good(text);
    CHECK(uncommented.origins.size() > 50);
    CHECK(changes(good(""), uncommented).empty());
}

TEST_CASE("config: the examples load without a mistake or a note, and mean what their documents say") {
    const auto example = [](const std::string& name) {
        auto loaded = load({.file = source_file("examples/" + name)});
        if (!loaded.ok()) FAIL(loaded.error().message);
        for (const std::string& note : loaded->notes) FAIL(note);
        return *std::move(loaded);
    };
    const Options zurich = example("zurich-pools.toml").options;
    CHECK(zurich.feeds.at("pools").sources.at(0).url == "wss://badi-public.crowdmonitor.ch:9591/api");  // S0-R1
    CHECK(zurich.feeds.at("pools").sources.at(0).open_message == "all");                                // S0-R2
    CHECK(zurich.windows.at("5min").size == 5min);
    CHECK(zurich.stores.at("files").layout == BlobLayout::hybrid);  // S1-17
    const Options users = example("random-users.toml").options;
    CHECK(users.gateway.port == 8765);  // S2-6
    CHECK(users.gateway.broadcast_root() == "users");
    CHECK(users.feeds.at("users").sources.at(0).interval == 1s);
    CHECK(users.feeds.at("users").sources.at(0).url.starts_with("https://randomuser.me/api/"));
    CHECK(example("openspc.toml").options.gateway.port == 8000);
    CHECK(example("openspc.toml").options.gateway.spc_path == "/ws");  // S3-1
    const GatewayOptions analytics = example("analytics.toml").options.gateway;
    CHECK(analytics == GatewayOptions{});  // it spells out source 004's defaults
    CHECK(load({.file = source_file("examples/all-options.toml")}).ok());
    CHECK(load({.file = source_file("demo/weir.toml")}).ok());
}

TEST_CASE("config: an example with random damage loads or is refused with the place, and never crashes") {
    const std::string whole = Filesystem().read(source_file("examples/zurich-pools.toml")).value() + Filesystem().read(source_file("examples/analytics.toml")).value();
    Prng prng(11);
    int refused = 0;
    for (int round = 0; round < 1500; ++round) {
        std::string text = whole;
        for (int i = 0; i < 3; ++i) {
            const auto at = static_cast<std::size_t>(prng.uniform() * static_cast<double>(text.size()));
            const auto n = static_cast<std::size_t>(prng.uniform() * 12);
            switch (static_cast<int>(prng.uniform() * 3)) {
                case 0: text.erase(at, n); break;
                case 1: text.insert(at, text.substr(static_cast<std::size_t>(prng.uniform() * static_cast<double>(text.size())), n)); break;
                default: text[at] = static_cast<char>(prng.uniform() * 256);
            }
        }
        const auto loaded = load_text(text);
        if (loaded.ok()) {
            REQUIRE(!check_report(*loaded, ManualClock()).empty());
            continue;
        }
        ++refused;
        CAPTURE(text);
        REQUIRE(contains(loaded.error().message, "weir.toml:"));
    }
    CHECK(refused > 500);
}

TEST_CASE("config: hostile texts end in an error or a value, never in a crash") {
    for (const char* text : {"[[[[", "\xff\xfe", "[feeds.\"\"]", "[feeds.\"a b\"]\ninterval=\"1s\"", "[feeds.a.sources]", "feeds = []", "[[feeds]]",
                             "[gateway]\nallowed_origins = [[]]", "[gateway]\nmax_message_size = \"99999999999999999999GiB\""}) {
        CAPTURE(text);
        CHECK(!load_text(text).ok());
    }
    const std::string deep(10'000, '['), key(200'000, 'x');
    CHECK(!load_text("a = " + deep).ok());
    CHECK(!load_text(key + " = 1").ok());
    CHECK(!load_text(std::string(1, '\0')).ok());
    CHECK(!load_text("", {{"WEIR___", "1"}}).ok());
    CHECK(!load_text("", {{"WEIR_FEEDS__A__SOURCES__999999999999__URL", "ws://x"}}).ok());
    CHECK(!load_text("", {}, {"--", "x"}).ok());
    CHECK(!load_text("", {}, {"--set", "=x"}).ok());
}
