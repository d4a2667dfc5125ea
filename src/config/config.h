#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/diag.h"
#include "base/filesystem.h"
#include "base/result.h"
#include "config/alert_options.h"
#include "config/feed_options.h"
#include "config/forecast_options.h"
#include "config/gateway_options.h"
#include "config/log_options.h"
#include "config/spc_options.h"
#include "config/store_options.h"
#include "config/window_options.h"

namespace weir {

/// Everything that can be set, as one value per room. A room includes only its own `*_options.h`.
struct Options {
    diag::Options diag;
    LogOptions log;
    StreamTable streams;
    FeedTable feeds;
    WindowTable windows;
    ForecastTable forecasts;
    SpcOptions spc;
    CharacteristicTable characteristics;
    AlertTable alerts;
    StoreTable stores;
    GatewayOptions gateway;
};

/// What to read, in rising precedence. Nothing here asks the system: `app` hands in its environment and arguments.
struct ConfigInputs {
    std::string file = {};                 ///< TOML file; empty: none
    std::optional<std::string> text = {};  ///< instead of the file's bytes; `file` then only names it in messages
    /// `WEIR_<SECTION>__<OPTION>`, such as WEIR_GATEWAY__PORT or WEIR_FEEDS__POOLS__SOURCES__0__URL (names in any case, with `_` for
    /// what cannot stand in a name), and the names of the source documents, which yield to those. An empty value is none.
    std::vector<std::pair<std::string, std::string>> environment = {};
    /// `--set gateway.port=9000`, `--gateway.port 9000`, `--gateway.port=9000`: what is left when `app` has taken its own.
    std::vector<std::string> flags = {};
};

/// Options, and where each that was set comes from (decisions.md 30).
struct Config {
    Options options;
    /// By path (`feeds.pools.sources[0].url`): `weir.toml:14`, `STREAMING_WEBSOCKET__PORT`, `--gateway.port`. Defaults are not in
    /// it; a section of the file (`feeds.pools`) is, with the line of its heading.
    std::map<std::string, std::string> origins;
    /// What is allowed but should be known: one sentence each, for `diag::warn` at the start.
    std::vector<std::string> notes;

    /// For messages of rooms, which know only an option's path: `weir.toml:14: ` or nothing.
    std::string where(const std::string& path) const;
};

/// Reads, checks, and joins. Error `bad_config`: the message holds every mistake, one a line, each with its place, what was found and
/// what is allowed. Options of the kind Secret can be given as `<name>_file`, whose content is taken.
/// Thread: any. Cost: milliseconds.
Result<Config> load(const ConfigInputs& inputs, const Filesystem& files = {});

/// `name=value` texts, as in `environ`.
std::vector<std::pair<std::string, std::string>> environment_of(const char* const* texts);

/// For `weir check`: the notes, every option that is in force with its value and origin, and the next five times of each schedule.
std::string check_report(const Config& config, const Clock& clock);

/// What differs between two configurations, for a reload: the paths, and whether each takes effect at once or needs a restart.
struct ConfigChange {
    std::string path;
    bool needs_restart;
    bool operator==(const ConfigChange&) const = default;
};
std::vector<ConfigChange> changes(const Config& from, const Config& to);
/// Takes over what takes effect at once, in the sections that both have: `running` is what is in force then.
void take_reloadable(Config& running, const Config& fresh);

/// docs/configuration.md and examples/all-options.toml, printed from the option table.
std::string print_reference();
std::string print_example();

}  // namespace weir
