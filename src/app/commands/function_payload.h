#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

// What the Azure Functions host and its custom handler say to each other.
// Source: https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers, "Request payload" and "Response payload".

/// A call: which function, and what its timer says.
struct FunctionTrigger {
    std::string function;  ///< Metadata.sys.MethodName; empty where it is not said
    bool is_past_due = false;
    std::string due;  ///< when it should have been, as the host writes it; empty where it is not said
    bool is_noted = false;
};
/// `{"Data":{"<binding>":{"IsPastDue":...,"ScheduleStatus":{...}}},"Metadata":{"sys":{...}}}`; the binding's value may be that object or its text.
/// Error `bad_request`: no JSON object, or no timer in it.
Result<FunctionTrigger> parse_trigger(std::string_view body);

/// One window for people and for the answer; numbers as texts, `-` where there is none.
struct WindowReport {
    std::string start, end, key, reason, min, max, average, median;  ///< average with one decimal (S0-14)
    std::int64_t count = 0;
    std::string document;
};
std::optional<WindowReport> report_of(std::string_view window_document);
/// `objects`: a JSON array.
std::string return_value(const std::vector<WindowReport>& windows, std::string_view objects);

/// `{"Outputs":{},"Logs":[...],"ReturnValue":...}`: there are no output bindings, weir stores by itself.
std::string function_answer(const std::vector<std::string>& logs, std::string_view return_value);

}  // namespace weir
