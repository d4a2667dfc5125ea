#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/schedule.h"
#include "base/time.h"
#include "config/secret.h"

namespace weir {

enum class SourceKind : std::uint8_t { websocket, http, html, replay, simulate };

/// What a simulated source plays. All are labelled as simulated in what they send.
enum class Generator : std::uint8_t {
    day,       ///< visitors of a pool over a day: opens, fills, empties
    walk,      ///< random walk between low and high
    sine,      ///< one period an hour between low and high
    constant,  ///< always `low`
    line,      ///< samples of five from a production line, with special causes put in now and then
    users      ///< records shaped like those of randomuser.me
};

enum class TimeFormat : std::uint8_t { rfc3339, unix_s, unix_ms };

/// `[[feeds.<name>.sources]]`: one way to the data. Which members a kind uses stands in docs/configuration.md; setting another one
/// is an error.
struct SourceOptions {
    SourceKind kind = SourceKind::websocket;
    std::string url;                        ///< websocket: ws, wss; http and html: http, https
    std::map<std::string, Secret> headers;  ///< sent with every request; never printed
    Secret token;                           ///< sent as `Authorization: Bearer`
    Duration timeout = 10s;                 ///< for connecting, for the handshake and for an answer
    std::uint64_t message_bytes = 4 * 1024 * 1024;  ///< a larger message or page is rejected and counted
    bool tls_verify = true;                 ///< false: anyone on the way can change the readings
    std::string tls_ca_file;                ///< PEM file of authorities; empty: the system's

    std::string subprotocol;                  ///< websocket: offered to the server
    std::optional<std::string> open_message;  ///< websocket: sent once a connection; an empty text is sent, an unset one not
    Duration open_silence{0};                 ///< websocket: open_message is sent after this much silence; 0: at once
    Duration ping_interval = 20s;             ///< websocket: a ping after this much silence; 0: never

    Duration interval = 10s;           ///< http, html: poll spacing, at a fixed rate; simulate: message spacing
    std::optional<Schedule> schedule;  ///< http, html: instead of interval
    Zone zone;                         ///< http, html: the schedule's times are local here (set after loading)
    std::string xpath;                 ///< html: the element that holds the number

    std::string file;    ///< replay: NDJSON or CSV, plain or .gz, in the form that `weir export` writes
    double speed = 1;    ///< replay: 1 as recorded, 60 a minute in a second; 0: as fast as it is taken
    bool repeat = false; ///< replay: starts again at the end, with the times moved on

    Generator generator = Generator::day;          ///< simulate
    std::vector<std::string> keys{"simulated"};    ///< simulate: one series each
    double low = 0, high = 100;                    ///< simulate: range of the values
    std::uint64_t seed = 1;                        ///< simulate: same seed, same readings
    bool operator==(const SourceOptions&) const = default;
};

/// Texts that hold a JSON number are read as numbers: nowhere, everywhere, or at these JSON Pointers.
struct NumericText {
    bool everywhere = false;
    std::vector<std::string> paths;
    bool operator==(const NumericText&) const = default;
};

/// `[feeds.<name>.decode]`: from a message to events. All paths are JSON Pointers (RFC 6901) below the item; in a list the
/// first that is present wins (0 is present). One set of rules for all sources of a feed (C-40).
struct DecodeOptions {
    std::string items;               ///< pointer to the array of items; what is there and no array is one item itself
    std::vector<std::string> key;    ///< empty: no key
    std::vector<std::string> value;  ///< a number must be there; empty: events without a number, as records
    std::vector<std::string> time;   ///< empty, or none present and valid: the arrival time
    std::string id;                  ///< empty: `<feed>/<connection>/<n>` (decisions.md 4)
    std::string type = "reading";    ///< event type
    std::vector<std::string> keep;   ///< members of the item to keep in `data`; empty: all
    std::vector<std::string> keys;   ///< only events with these keys; empty: all
    NumericText numeric_text;
    TimeFormat time_format = TimeFormat::rfc3339;
    bool operator==(const DecodeOptions&) const = default;
};

/// `[feeds.<name>]`
struct FeedOptions {
    std::string stream;          ///< set after loading: the feed's name where the file names none
    Duration interval{0};        ///< expected spacing of messages; 0: learned (decisions.md 32)
    Duration silence{0};         ///< after this long without a message the source is not alive; 0: 5 intervals, at least 10s
    Duration return_after = 20s; ///< how long a better source must be healthy before the feed returns to it
    std::string label;           ///< a line for people: text with JSON Pointers in braces, `{/name/first} from {/location/country}`
    Duration backoff_first = 1s, backoff_cap = 60s, backoff_reset_after = 30s;
    std::vector<SourceOptions> sources;  ///< in order of preference
    DecodeOptions decode;
    bool operator==(const FeedOptions&) const = default;

    Backoff::Options backoff() const { return {backoff_first, backoff_cap, backoff_reset_after}; }
};

using FeedTable = std::map<std::string, FeedOptions>;  ///< by feed name

}  // namespace weir
