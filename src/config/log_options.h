#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/time.h"

namespace weir {

/// What an acknowledged event survives.
enum class Durability : std::uint8_t {
    full,    ///< power loss: a commit waits for the disk
    process  ///< a crash of the process, not of the machine
};

/// Which subscription type a stream answers to (decisions.md 21).
enum class StreamType : std::uint8_t { data, aggregations, alerts, predictions, metrics, system_status };

/// How long a stream's events stay. Whole blocks go, rounded towards keeping; each 0 is "no limit". Where several limits are set,
/// the first that is passed decides.
struct RetentionOptions {
    Duration age{0};
    std::uint64_t bytes = 0;
    std::uint64_t events = 0;
    /// Retention waits for processors and stores that have not read yet, up to this size of the stream; then it deletes and
    /// tells each of them with a gap. 0: it waits for ever.
    std::uint64_t hard_bytes = 0;
    bool operator==(const RetentionOptions&) const = default;
};

/// `[log]`
struct LogOptions {
    std::string path = "weir-data";  ///< folder of all data; one process at a time
    Durability durability = Durability::full;
    Duration dedupe_horizon = 10min;     ///< how far back an id is known (decisions.md 4)
    std::uint64_t dedupe_ids = 100'000;  ///< and how many of them a stream remembers
    RetentionOptions retention;          ///< of every stream that has none of its own
    std::uint64_t block_bytes = 512 * 1024;          ///< largest block; also what JetStream takes as one message
    std::uint64_t tail_bytes = 8 * 1024 * 1024;      ///< decoded batches kept in memory for readers near the head
    std::uint64_t queue_bytes = 8 * 1024 * 1024;     ///< events waiting for the writer; at the bound, append waits or refuses
    bool merge = true;                               ///< small blocks of slow streams are merged and compressed
    Duration merge_after = 10min;                    ///< a block younger than this is left alone
    std::uint64_t merge_bytes = 256 * 1024;          ///< size (before compression) that merging aims at
    int merge_level = 3;                             ///< zstd level of merged blocks
    bool operator==(const LogOptions&) const = default;
};

/// `[streams.<name>]`: what differs from the defaults for one stream. A retention that is not set is that of `[log]`.
struct StreamOptions {
    std::optional<StreamType> type;  ///< unset: what its writer says (feeds data, windows aggregations)
    std::optional<Duration> retention_age;
    std::optional<std::uint64_t> retention_bytes;
    std::optional<std::uint64_t> retention_events;
    std::optional<std::uint64_t> retention_hard_bytes;
    std::string label;  ///< what people see; empty: the name
    bool operator==(const StreamOptions&) const = default;

    RetentionOptions retention(const RetentionOptions& standard) const {
        return {retention_age.value_or(standard.age), retention_bytes.value_or(standard.bytes),
                retention_events.value_or(standard.events), retention_hard_bytes.value_or(standard.hard_bytes)};
    }
};

using StreamTable = std::map<std::string, StreamOptions>;  ///< by stream name

}  // namespace weir
