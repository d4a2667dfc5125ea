#pragma once
#include <memory>
#include <vector>

#include "config/config.h"
#include "log/log.h"
#include "processors/runner.h"
#include "processors/spc_processor.h"

namespace weir {

/// The streams that characteristics may take samples from: those of the feeds, of `spc.sources` and of `[[characteristics]]`.
std::vector<StreamName> spc_sources(const Options& options);

/// The definition that `[[characteristics]]` means, as a client would put it. Errors: those of Characteristic::parse.
Result<Json> definition_of(const CharacteristicOptions& options);

/// Commits every configured characteristic as a `put_characteristic` of the source `config`: the log knows it once, and one that did not
/// change says nothing (SpcProcessor). Errors name file and line. `at`: commit time of an import.
Result<void> put_configured(const Config& config, Log& log, Timestamp now, std::optional<Timestamp> at);

/// Where the processor begins that has no state: now, or, if it had some that it can no longer read, with everything that is kept, so that state
/// rebuilds from the log.
Result<Start> spc_start(Log& log);

}  // namespace weir
