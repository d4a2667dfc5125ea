#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "base/zone.h"
#include "config/secret.h"

namespace weir {

/// `automatic`: off while weir listens on loopback and no token is configured, else on (decisions.md 16).
enum class RequireAuth : std::uint8_t { automatic, yes, no };
enum class Compression : std::uint8_t { none, deflate };

/// `[gateway.broadcast.<stream>]`: the texts of the welcome at `/feed/<stream>`.
struct BroadcastOptions {
    std::string message = "Connected to real-time user stream";
    std::string stream_rate = "1 user/second";
    std::string counter = "total_users_streamed";  ///< name of the member that holds the head's seq
    std::string label;  ///< line in the diagnostics for each event with its clients (S2-14), as `feeds.*.label`; empty: none
    bool operator==(const BroadcastOptions&) const = default;
};

/// `[gateway.tokens.<name>]`: a static token, known by its hash (`weir token make`).
struct TokenOptions {
    Secret hash;                       ///< `sha256:<salt>:<64 hex digits>` of salt and token; the salt may be missing
    std::vector<std::string> types;    ///< subscription types it may have; empty: all
    std::vector<std::string> streams;  ///< streams it may see; empty: all
    std::string filter;                ///< JSON in the filter language of `subscribe`: its holder sees nothing outside
    bool publish = false;
    bool acknowledge = false;
    bool administer = false;
    bool operator==(const TokenOptions&) const = default;
};

/// `[gateway.jwt]`: whose signed tokens (RFC 7519) are believed, and where their keys are. The permissions stand in the token's claim.
struct JwtOptions {
    Secret secret;                       ///< HS256, from 32 bytes
    std::vector<std::string> key_files;  ///< PEM public keys or certificates: RS256, ES256, EdDSA
    std::string jwks_file, jwks_url;     ///< JWK Sets (RFC 7517)
    std::string jwks_ca_file;            ///< PEM; empty: the system's authorities
    Duration jwks_refresh = 1h;          ///< of the URL; a key that is not known asks sooner
    std::vector<std::string> issuers;    ///< `iss`, any of; empty: whoever holds a key
    std::vector<std::string> audiences;  ///< `aud`, any of; empty: tokens for nobody in particular
    Duration leeway = 30s;               ///< for clocks that differ
    std::string claim = "weir";          ///< member that holds the permissions
    bool configured() const { return !secret.empty() || !key_files.empty() || !jwks_file.empty() || !jwks_url.empty(); }
    bool operator==(const JwtOptions&) const = default;
};

/// `[gateway]`: one port for WebSocket and HTTP. Names and defaults of source 004 (S4-14 to S4-18; host and auth: decisions.md 16).
struct GatewayOptions {
    bool enabled = true;
    std::string host = "127.0.0.1";
    std::uint16_t port = 8765;  ///< 0: any free one, printed at the start
    std::string unix_socket;    ///< listens here too; empty: not
    std::string path_prefix;    ///< what a reverse proxy leaves in front: `/weir`
    std::string root = "analytics";  ///< who answers WebSocket at `/`: `analytics` or `broadcast:<stream>` (decisions.md 15)
    std::string spc_path = "/ws";    ///< S3-1
    std::string echo_path;           ///< WebSocket echo for conformance suites; empty: there is none
    bool page = true;                ///< the dashboard at `/`
    Zone clock_zone;                 ///< of the page's clock

    std::uint32_t max_connections = 1000;         ///< then close 1013
    std::uint32_t connections_per_address = 100;  ///< other than loopback; 0: no limit
    Duration handshake_timeout = 10s;             ///< TCP accepted until the HTTP head (and TLS) is complete
    Duration ping_interval = 20s;                 ///< a quiet session is pinged
    Duration ping_timeout = 10s;                  ///< and closed without an answer
    Duration close_timeout = 10s;                 ///< for the closing handshake
    Duration drain_timeout = 10s;                 ///< on SIGTERM: until sessions are cut off
    Duration spc_timeout = 90s;                   ///< spc: without a data message the session is stale (S3-10)
    std::uint64_t max_message_size = 1024 * 1024; ///< bytes; 1009 above it; also what weir sends at most
    Compression compression = Compression::deflate;
    std::uint64_t session_queue_bytes = 1024 * 1024;    ///< pending for one session; then its policy acts
    std::uint64_t ring_bytes = 4 * 1024 * 1024;         ///< encoded frames kept for one audience
    std::uint32_t subscriptions_per_session = 1000;
    std::uint64_t filter_bytes_per_session = 1024 * 1024;  ///< `Filter::weight` of its subscriptions together; a single filter is bounded by itself
    std::uint32_t streams_max = 10'000;                 ///< with so many, clients make no more by pushing to a new name
    std::uint32_t groups_max = 1000;                    ///< groups that share a subscription out, with members or without
    std::uint64_t group_unacked_bytes = 4 * 1024 * 1024;  ///< handed to members of one group and not acknowledged; then it reads no more
    Duration group_timeout = 30s;                       ///< at that bound: who acknowledges nothing for so long is closed
    Duration group_keep = 168h;                         ///< a group without members keeps its positions for so long

    RequireAuth require_auth = RequireAuth::automatic;
    bool public_without_auth = false;  ///< listening off loopback without auth, on purpose
    Duration auth_timeout = 30s;       ///< then close 1008
    std::map<std::string, TokenOptions> tokens;
    JwtOptions jwt;
    /// Unset: `*` while a token is required, else the same host and clients without an Origin (C-36).
    std::optional<std::vector<std::string>> allowed_origins;
    std::vector<std::string> hosts;            ///< names that a Host header may hold besides loopback and addresses
    std::vector<std::string> trusted_proxies;  ///< addresses or CIDR blocks whose X-Forwarded-For is believed
    bool proxy_protocol = false;               ///< connections from trusted_proxies begin with a PROXY line

    bool enable_rate_limiting = true;
    std::uint32_t rate_limit_per_minute = 60;             ///< control messages of a session
    std::uint32_t publish_limit_per_minute = 6000;        ///< events of a token, or of a session without one
    std::uint32_t acknowledge_limit_per_minute = 600;
    std::uint32_t abuse_limit_per_minute = 600;           ///< control messages above the limit; then close 1008

    std::string tls_cert_file, tls_key_file;  ///< PEM; both or none
    std::uint32_t reactors = 1;               ///< threads that serve sessions; 0: one a core
    double duty = 1;                          ///< after a pass that took d of CPU, none before duty x d (performance.md); 0: off
    Duration flush_latency = 5ms;             ///< and never later than this
    std::map<std::string, BroadcastOptions> broadcast;  ///< by stream
    bool operator==(const GatewayOptions&) const = default;

    /// The stream that `root = "broadcast:<stream>"` names; empty for `analytics`.
    std::string_view broadcast_root() const {
        constexpr std::string_view prefix = "broadcast:";
        return root.starts_with(prefix) ? std::string_view(root).substr(prefix.size()) : std::string_view();
    }
};

}  // namespace weir
