#pragma once
#include <span>
#include <string>

#include "base/clock.h"
#include "stores/row_chunk.h"

namespace weir {

/// An event that the other side of a store refused for good.
struct DeadLetter {
    std::string table;   ///< that it was for; empty where there is no such thing
    std::string reason;
    const Batch* batch;  ///< outlives the letter
    std::size_t event;   ///< of the batch
};

/// Appends them to the stream `_dead/<store>`, each with its reason, its place and its data. Their ids are made of what they are, so that a
/// repeat adds nothing.
Result<void> bury(Log& log, const Clock& clock, const std::string& store, std::span<const DeadLetter> letters);
/// The rows of `chunk` that were refused.
Result<void> bury(Log& log, const Clock& clock, const std::string& store, const RowChunk& chunk, const std::vector<PostgresTarget>& targets);

}  // namespace weir
