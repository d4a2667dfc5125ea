#pragma once
#include <string>

#include "event/json.h"
#include "processors/spc_chart.h"

namespace weir::spc_documents {

/// The events that an SpcProcessor derives, as JSON (docs/http-api.md). Each puts its document into `out`, whose memory is used again.

void print_limits(JsonWriter& json, const SpcVersion& version);

void capability(std::string& out, const Characteristic& characteristic, const analytics::Capability& result);
/// The definition with what follows from it: rules that are on, versions of the limits (the newest 50).
void characteristic(std::string& out, const SpcChart& chart, bool retired, bool collection_missed);
/// Single readings of a subgroup that is not complete; all gone where it is, or was dropped.
void gathering(std::string& out, const Characteristic& characteristic, const SpcSample& gathered);
void sample(std::string& out, const SpcChart& chart, const SpcRecord& record);
void sample_moved(std::string& out, const SpcChart& chart, const SpcSample& before, Timestamp to);
/// `samples`: those of the pattern, a JSON array.
void violation(std::string& out, const SpcChart& chart, const SpcViolation& violation, const std::string& samples);
void withdrawal(std::string& out, const SpcChart& chart, const SpcViolation& violation);

}  // namespace weir::spc_documents
