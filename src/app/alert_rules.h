#pragma once
#include <optional>

#include "config/config.h"
#include "log/log.h"
#include "processors/runner.h"

namespace weir {

/// Streams that the configured rules look at, each once.
std::vector<StreamName> alert_sources(const Options& options);

/// Says in the log which rules there are from now on, before anything runs that could be judged by them; returns where the processor starts if it has no
/// state: with these rules. Errors name the rule's place in the configuration. `at`: the commit time in a history.
Result<Start> put_alert_rules(const Config& config, Log& log, Timestamp now, std::optional<Timestamp> at);

}  // namespace weir
