#include "app/commands/function_payload.h"

#include <doctest/doctest.h>

using namespace weir;

// The shapes are those that the host sends: its documentation, and the timer's state as the host serialises it.
TEST_CASE("function: the timer's state is read as an object and as its text (S0-10)") {
    for (const char* body :
         {R"({"Data":{"mytimer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":{"Last":"2026-02-17T10:00:00.0096035+00:00","Next":"2026-02-17T10:05:00+00:00","LastUpdated":"2026-02-17T10:00:00.0096035+00:00"},"IsPastDue":true}},"Metadata":{"sys":{"MethodName":"websocket_listener","UtcNow":"2026-02-17T10:05:03.1Z","RandGuid":"x"}}})",
          R"({"Data":{"mytimer":"{\"Schedule\":{\"AdjustForDST\":true},\"ScheduleStatus\":{\"Last\":\"\",\"Next\":\"2026-02-17T10:05:00+00:00\"},\"IsPastDue\":true}"},"Metadata":{"sys":{"MethodName":"websocket_listener"}}})"}) {
        const auto trigger = parse_trigger(body);
        REQUIRE(trigger.ok());
        CHECK(trigger->is_past_due);
        CHECK(trigger->function == "websocket_listener");
        CHECK(trigger->due == "2026-02-17T10:05:00+00:00");
    }
    const auto first = parse_trigger(R"({"Data":{"mytimer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{}})");
    REQUIRE(first.ok());
    CHECK_FALSE(first->is_past_due);
    CHECK(first->function == "mytimer");
    for (const char* bad : {"", "[]", "{}", R"({"Data":{}})", R"({"Data":{"req":{"Url":"x"}}})", R"({"Data":{"t":"no json"}})", R"({"Data":7})"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_trigger(bad).ok());
    }
}

TEST_CASE("function: the answer has the members that the host reads") {
    CHECK(function_answer({"a", "b \"c\""}, "null") == R"({"Outputs":{},"Logs":["a","b \"c\""],"ReturnValue":null})");
    const auto report = report_of(R"({"window":{"start":"s","end":"e"},"key":"k","statistics":{"count":60,"min":45,"max":52,"avg":48.26,"median":48},"coverage":{"reason":null}})");
    REQUIRE(report.has_value());
    CHECK(report->count == 60);
    CHECK(report->average == "48.3");
    CHECK(return_value({}, "[\"x\"]") == R"({"windows":[],"objects":["x"]})");
}
