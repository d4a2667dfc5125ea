#pragma once
#include <string>

#include "base/clock.h"
#include "stores/row_chunk.h"

namespace weir {

/// Appends the rows of `chunk` that were refused to the stream `_dead/<store>`, each with its reason, its place and its data. Their ids are made of what
/// they are, so that a repeat adds nothing.
Result<void> bury(Log& log, const Clock& clock, const std::string& store, const RowChunk& chunk, const std::vector<PostgresTarget>& targets);

}  // namespace weir
