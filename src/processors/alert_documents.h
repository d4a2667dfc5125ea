#pragma once
#include <string>
#include <string_view>

#include "processors/alert.h"

namespace weir::alert_documents {

/// The data of an event of `alerts`: the whole alert as it is, and what has changed (docs/formats/alert.md). `out` is overwritten.
void alert(std::string& out, const AlertRule& rule, const Alert& alert, AlertChange change, Timestamp at);

/// What an alert says of the number, or of its absence: `104 is above 100`.
std::string message(const AlertRule& rule, std::optional<double> value, Timestamp last);

}  // namespace weir::alert_documents
