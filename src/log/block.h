#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event/event.h"
#include "log/log.h"

namespace weir {

/// What one row of the log says about its block without opening it (docs/formats/log-block.md).
struct BlockHeader {
    std::uint32_t stream = 0;  ///< number of the stream in this file
    std::uint32_t epoch = 0;   ///< number of the epoch in this file
    CommitNo first_commit, last_commit;
    Timestamp first_commit_time, last_commit_time;
    Seq first_seq;             ///< of the first event; of the next one to come where there is none
    std::uint32_t count = 0;   ///< events
    std::uint32_t marks = 0;   ///< commits
    Timestamp min_time, max_time;          ///< of the events; both 0 where there is none
    Timestamp min_ingested, max_ingested;
    std::uint32_t raw_bytes = 0;     ///< of the body before compression
    std::uint32_t stored_bytes = 0;  ///< of the body as it is stored
    std::uint8_t format = 0;         ///< 1: plain, 2: zstd
    std::int8_t level = 0;           ///< zstd's level that was tried, also where the body stayed plain; 0: none
    std::string keys;                ///< filter over the keys (see `may_hold_key`); empty: may hold any
    std::uint64_t checksum = 0;      ///< of the header's other members and the stored body

    Seq end_seq() const { return first_seq + count; }  ///< behind the last event
};

struct Block {
    BlockHeader header;
    std::string body;
};

/// Encodes batches of one stream and epoch, neighbours in commit order, whose seqs continue each other. At least one batch.
/// `zstd_level` 0 does not compress; a body that does not shrink by a tenth stays plain at any level.
/// Thread: any. Cost: about 100 ns an event, and zstd's.
Block encode_block(std::uint32_t stream, std::uint32_t epoch, std::span<const BatchPtr> batches, int zstd_level);

/// The batches that went in. Errors: `damaged`, saying what does not fit. Cost: about 100 ns an event, and zstd's.
Result<std::vector<BatchPtr>> decode_block(const BlockHeader& header, std::string_view body, const StreamName& name, Epoch epoch);

/// Only the ids, in seq order, and each event's commit time: what idempotency is rebuilt from.
struct BlockIds {
    std::vector<std::string> ids;
    std::vector<Timestamp> commit_times;
};
Result<BlockIds> decode_ids(const BlockHeader& header, std::string_view body);

/// False when no event of the block has this key; true when one may.
bool may_hold_key(const BlockHeader& header, std::string_view key);

/// The raw size that events and notes will have, about: for bounds, before anything is encoded.
std::size_t raw_size_of(const EventList& events, const Notes& notes);

/// Notes as bytes (docs/formats/log-block.md); `decode_notes` fails the reader on nonsense.
void encode_notes(std::string& out, const Notes& notes);
Notes decode_notes(std::string_view bytes, bool& good);

}  // namespace weir
