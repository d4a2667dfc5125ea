#pragma once
#include <string>
#include <string_view>

#include "processors/alert.h"
#include "processors/alert_signal.h"

namespace weir::alert_documents {

/// The data of an event of `alerts`: the whole alert as it is, and what has changed (docs/formats/alert.md). `out` is overwritten.
void alert(std::string& out, const AlertRule& rule, const Alert& alert, AlertChange change, Timestamp at);

/// What an alert says of its signal, while that holds and when it has ended: `104 is above 100`, `92 has been above 100, and is not at 90 yet`, `88 is no longer above 100`.
std::string message(const AlertRule& rule, const AlertSignal& signal);

}  // namespace weir::alert_documents
