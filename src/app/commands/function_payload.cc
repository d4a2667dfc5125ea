#include "app/commands/function_payload.h"

#include <cstdio>

#include "event/json.h"

namespace weir {
namespace {

const Json* at(const Json* document, std::initializer_list<std::string_view> path) {
    for (const std::string_view name : path)
        if (document) document = document->find(name);
    return document;
}

std::string text_at(const Json* document, std::initializer_list<std::string_view> path) {
    const Json* found = at(document, path);
    return found && found->is_string() ? found->as_string() : std::string();
}

}  // namespace

Result<FunctionTrigger> parse_trigger(std::string_view body) {
    const auto document = Json::parse(body);
    if (!document.ok() || !document->is_object()) return Error{"bad_request", "the call's body is no JSON object"};
    FunctionTrigger trigger;
    trigger.function = text_at(&*document, {"Metadata", "sys", "MethodName"});
    const Json* data = document->find("Data");
    if (!data || !data->is_object()) return Error{"bad_request", "the call has no object \"Data\"; the function's trigger must be a timerTrigger"};
    for (const auto& [binding, value] : data->members()) {
        Json parsed;
        const Json* timer = &value;
        if (value.is_string()) {
            auto inner = Json::parse(value.as_string());
            if (!inner.ok()) continue;
            parsed = *std::move(inner);
            timer = &parsed;
        }
        const Json* late = timer->find("IsPastDue");
        if (!late) continue;
        trigger.is_past_due = late->is_boolean() ? late->as_boolean() : late->is_string() && (late->as_string() == "true" || late->as_string() == "True");
        trigger.due = text_at(timer, {"ScheduleStatus", "Next"});
        if (trigger.function.empty()) trigger.function = binding;
        return trigger;
    }
    return Error{"bad_request", "the call's \"Data\" holds no timer (IsPastDue); the function's trigger must be a timerTrigger"};
}

std::optional<WindowReport> report_of(std::string_view window_document) {
    const auto document = Json::parse(window_document);
    if (!document.ok()) return std::nullopt;
    const auto number = [&](const char* name) {
        const Json* found = at(&*document, {"statistics", name});
        return found && found->is_number() ? found->text() : std::string("-");
    };
    WindowReport report;
    report.start = text_at(&*document, {"window", "start"});
    report.end = text_at(&*document, {"window", "end"});
    report.key = text_at(&*document, {"key"});
    report.reason = text_at(&*document, {"coverage", "reason"});
    report.min = number("min");
    report.max = number("max");
    report.median = number("median");
    report.average = "-";
    if (const Json* average = at(&*document, {"statistics", "avg"}); average && average->is_number()) {
        char rounded[64];
        std::snprintf(rounded, sizeof rounded, "%.1f", average->as_double());
        report.average = rounded;
    }
    if (const Json* count = at(&*document, {"statistics", "count"})) report.count = count->as_integer().value_or(0);
    report.document = std::string(window_document);
    return report;
}

std::string return_value(const std::vector<WindowReport>& windows, std::string_view objects) {
    std::string text;
    JsonWriter json(text);
    json.object().name("windows").array();
    for (const WindowReport& w : windows) json.raw(w.document);
    json.end().name("objects").raw(objects).end();
    return text;
}

std::string function_answer(const std::vector<std::string>& logs, std::string_view value) {
    std::string text;
    JsonWriter json(text);
    json.object().name("Outputs").object().end().name("Logs").array();
    for (const std::string& line : logs) json.value(line);
    json.end().name("ReturnValue").raw(value).end();
    return text;
}

}  // namespace weir
