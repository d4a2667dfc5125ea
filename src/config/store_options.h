#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/zone.h"
#include "config/secret.h"

namespace weir {

enum class StoreKind : std::uint8_t { folder, azure, s3, postgresql, webhook };

/// Names of the objects that a window becomes (spec.md 2).
enum class BlobLayout : std::uint8_t { hybrid, raw, summary };
/// Members of the documents: weir's own, or exactly those that the source documents show.
enum class BlobProfile : std::uint8_t { weir, s0, s1_raw, s1_summary };
enum class BlobCompression : std::uint8_t { none, gzip };
/// One object a window: for each key, for all keys, or by the number of keys (more than four share one).
enum class Bundle : std::uint8_t { automatic, always, never };
enum class BlobTier : std::uint8_t { standard, hot, cool, cold, archive };

/// How long a partition of a generic table is.
enum class PartitionBy : std::uint8_t { month, day };
/// A mapped table that weir knows and makes: source 002's.
enum class MappedPreset : std::uint8_t { none, incoming_users };

/// What a webhook is sent: events as the HTTP interface shows them, or alerts as Prometheus' Alertmanager sends them to its receivers.
enum class WebhookFormat : std::uint8_t { events, alertmanager };

/// `[[stores.<name>.mapped]]`: events of a stream into a table that exists already (or that a preset makes).
struct MappedTable {
    std::string stream;
    MappedPreset preset = MappedPreset::none;
    std::string table;                           ///< with its schema: `public.incoming_users`
    std::vector<std::string> conflict;           ///< columns of the conflict key; empty: plain insert
    std::vector<std::string> keep{"created_at"};  ///< columns that a conflict leaves as they are
    std::map<std::string, std::string> columns;  ///< column to JSON Pointer into `data`; `@time`, `@seq`, ... are the event's own
    bool operator==(const MappedTable&) const = default;
};

/// `[stores.<name>]`: a projection of streams for other tools. Which members a kind uses stands in docs/configuration.md.
struct StoreOptions {
    StoreKind kind = StoreKind::folder;

    // Blobs: folder, azure, s3.
    std::vector<std::string> windows;  ///< names of `[windows.*]`; empty: all
    BlobLayout layout = BlobLayout::hybrid;
    BlobProfile profile = BlobProfile::weir;
    bool folder_per_key = false;  ///< the key's folder stands above the date
    Bundle bundle = Bundle::automatic;
    BlobCompression compress = BlobCompression::gzip;  ///< of the raw part in layout hybrid, of everything in layout raw
    Zone zone;                                         ///< of dates and times in names; the documents stay in UTC
    std::string prefix;                                ///< put before every name: `scraped-data/`
    std::string path = "weir-data/windows";            ///< folder: where objects go

    Secret connection_string;   ///< azure
    std::string account_url;    ///< azure: instead of a connection string, with SAS or managed identity
    Secret sas;                 ///< azure
    std::string container = "scraped-data";  ///< azure
    BlobTier raw_tier = BlobTier::cool, summary_tier = BlobTier::hot;  ///< azure

    std::string endpoint;  ///< s3: empty is AWS
    std::string region = "us-east-1";
    std::string bucket;
    std::string access_key;
    Secret secret_key;
    Secret session_token;  ///< s3: of temporary keys
    std::string raw_storage_class, summary_storage_class;  ///< s3: empty is the bucket's own
    bool path_style = false;  ///< s3: the bucket in the path, as MinIO wants it

    // Rows: postgresql. Requests: webhook.
    std::vector<std::string> streams;  ///< what is copied; empty: all but those that start with `_`
    Secret url;                        ///< postgresql: connection URL; webhook: where to POST
    Secret password;                   ///< postgresql: in place of the one in url; without either libpq reads PGPASSFILE
    std::string schema = "weir";       ///< postgresql: of the generic tables
    bool tables = true;                ///< postgresql: generic tables, one for each kind of event
    PartitionBy partition = PartitionBy::month;  ///< postgresql
    Duration retention{0};             ///< postgresql: partitions older than this are dropped; 0: never
    std::vector<MappedTable> mapped;   ///< postgresql
    WebhookFormat format = WebhookFormat::events;  ///< webhook
    std::map<std::string, Secret> headers;  ///< webhook
    Secret token;                           ///< webhook: sent as `Authorization: Bearer`
    Secret secret;                          ///< webhook: bodies are signed with it

    std::uint32_t batch_events = 5000;                           ///< rows a transaction, events a request; at most
    Duration timeout = 30s;                                      ///< for one write
    Duration backoff_first = 1s, backoff_cap = 60s;              ///< between tries after a failure
    std::string tls_ca_file;                                     ///< empty: the system's
    bool operator==(const StoreOptions&) const = default;

    bool is_blobs() const { return kind == StoreKind::folder || kind == StoreKind::azure || kind == StoreKind::s3; }
};

using StoreTable = std::map<std::string, StoreOptions>;  ///< by store name

}  // namespace weir
