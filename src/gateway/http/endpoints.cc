#include "gateway/http/endpoints.h"

#include <algorithm>
#include <map>

#include "event/json.h"

namespace weir {
namespace {

using E = GatewayError;
using N = Needs;
using From = DialectMessage::From;

constexpr std::string_view kText = R"({"type":"string"})";
constexpr std::string_view kTime = R"({"type":"string","format":"date-time"})";
constexpr std::string_view kSeq = R"({"type":"integer","format":"int64","minimum":0})";
constexpr std::string_view kObject = R"({"type":"object"})";
constexpr std::string_view kEvent = R"({"type":"object","required":["data"],"properties":{"id":{"type":"string"},"type":{"type":"string"},"key":{"type":"string"},"time":{"type":"string","format":"date-time"},"data":{"type":"object"}}})";
constexpr std::string_view kJson = "application/json";

constexpr std::string_view kId = R"({"type":"integer","minimum":1,"maximum":9007199254740991})";
constexpr std::string_view kPut = R"({"type":"object","required":["characteristic_id","limits_version"],"properties":{"characteristic_id":{"type":"integer"},"limits_version":{"type":"integer"}}})";
constexpr std::string_view kSamples = R"({"type":"object","required":["characteristic_id","samples","complete","earlier"],"properties":{"characteristic_id":{"type":"integer"},"samples":{"type":"array","items":{"type":"object"}},"complete":{"type":"boolean"},"earlier":{"type":"object","nullable":true,"properties":{"to":{"type":"string","format":"date-time"},"before":{"type":"integer"}}}}})";
constexpr std::string_view kAcknowledge = R"({"type":"object","properties":{"user":{"type":"string"},"reason":{"type":"string"},"reason_code":{"type":"string"},"exclude_sample":{"type":"boolean"},"violation_ids":{"type":"array","items":{"type":"integer"}},"characteristic_id":{"type":"integer"}}})";
constexpr std::string_view kAcknowledged = R"({"type":"object","required":["acknowledged","refused"],"properties":{"acknowledged":{"type":"array","items":{"type":"integer"}},"refused":{"type":"array","items":{"type":"object"}}}})";

constexpr std::string_view kAlert = R"({"$ref":"#/components/schemas/Alert"})";
std::vector<E> alert_errors(E own) { return {E::bad_request, E::unknown_alert, own, E::refused, E::too_large, E::busy, E::log_unavailable, E::not_judged}; }

Endpoint::Parameter query(std::string_view name, std::string_view schema, std::string_view doc, bool required = false) { return {name, "query", schema, required, doc}; }
Endpoint::Parameter in_path(std::string_view name, std::string_view doc) { return {name, "path", kText, true, doc}; }

Endpoint::Parameter characteristic_in_path() { return {"characteristic_id", "path", kId, true, "its id"}; }
Endpoint::Parameter samples_limit() { return query("limit", R"({"type":"integer","minimum":1,"maximum":10000})", "at most so many"); }

const std::vector<Endpoint>& endpoint_table() {
    static const std::vector<Endpoint> table{
        {"get", "/api/v1/streams", "listStreams", "All streams", {}, {}, kJson, R"({"type":"object","required":["streams"],"properties":{"streams":{"type":"array","items":{"$ref":"#/components/schemas/Stream"}}}})", {E::busy}, N::reading},
        {"get", "/api/v1/streams/{stream}", "getStream", "One stream", {in_path("stream", "its name; slashes as %2F or as they are")}, {}, kJson, R"({"$ref":"#/components/schemas/Stream"})", {E::unknown_stream, E::busy}, N::reading},
        {"get", "/api/v1/streams/{stream}/events", "listEvents", "A page of a stream's events, the newest without a position",
         {in_path("stream", "its name"), query("after", kSeq, "events behind this seq"), query("before", kSeq, "events before this seq"), query("from", kTime, "events not before this time"), query("to", kTime, "events before this time"),
          query("key", kText, "only events of this key"), query("limit", R"({"type":"integer","minimum":1,"default":100})", "at most 10000; with ndjson any"), query("format", R"({"type":"string","enum":["json","ndjson"]})", "ndjson: one event a line, streamed")},
         {}, kJson, R"({"type":"object","required":["stream","events"],"properties":{"stream":{"type":"string"},"epoch":{"type":"string","nullable":true},"events":{"type":"array","items":{"$ref":"#/components/schemas/Event"}},"next":{"type":"integer","nullable":true},"gap":{"type":"object","nullable":true}}})",
         {E::bad_request, E::unknown_stream, E::busy, E::log_unavailable}, N::reading},
        {"post", "/api/v1/streams/{stream}/events", "pushEvents", "Push an event, an array of events, or NDJSON; answered after the commit", {in_path("stream", "its name")}, R"({"oneOf":[{"$ref":"#/components/schemas/NewEvent"},{"type":"array","items":{"$ref":"#/components/schemas/NewEvent"}}]})", kJson,
         R"({"$ref":"#/components/schemas/Pushed"})", {E::bad_request, E::forbidden, E::too_many_streams, E::too_large, E::unsupported_media_type, E::busy, E::log_unavailable}, N::publish, 200, true},
        {"post", "/api/v1/notices", "sendNotice", "A notice to every session of the analytics and spc dialects, or to those of one group", {}, R"({"type":"object","required":["message"],"properties":{"message":{"type":"string"},"level":{"type":"string","enum":["info","warning","critical"]},"group":{"type":"string"}}})", kJson,
         R"({"$ref":"#/components/schemas/Pushed"})", {E::bad_request, E::forbidden, E::too_large, E::unsupported_media_type, E::busy, E::log_unavailable}, N::administer},
        {"get", "/api/v1/windows", "listWindows", "The configured windows", {}, {}, kJson, R"({"type":"object","required":["windows"],"properties":{"windows":{"type":"array","items":{"type":"object"}}}})", {}, N::reading},
        {"get", "/api/v1/windows/{name}", "listResults", "Closed windows, newest first", {in_path("name", "the window's name"), query("key", kText, "only of this key"), query("from", kTime, "starts not before"), query("to", kTime, "starts before"), query("limit", R"({"type":"integer","minimum":1,"default":100})", "how many")},
         {}, kJson, R"({"type":"object","required":["window","results"],"properties":{"window":{"type":"string"},"results":{"type":"array","items":{"type":"object"}}}})", {E::bad_request, E::unknown_window, E::busy}, N::reading},
        {"get", "/api/v1/series", "getSeries", "A field over time, for charts",
         {query("stream", kText, "the stream", true), query("field", kText, "JSON Pointer to a number", true), query("key", kText, "only of this key"), query("from", kTime, "begin"), query("to", kTime, "end"), query("points", R"({"type":"integer","minimum":1,"maximum":20000,"default":500})", "at most so many")},
         {}, kJson, kObject, {E::bad_request, E::unknown_stream, E::busy}, N::reading},
        {"get", "/api/v1/keys", "listKeys", "The newest event of each key", {query("stream", kText, "the stream", true)}, {}, kJson, kObject, {E::bad_request, E::unknown_stream}, N::reading},
        {"get", "/api/v1/feeds", "listFeeds", "Feeds and their health", {}, {}, kJson, R"({"type":"object","required":["feeds"],"properties":{"feeds":{"type":"array","items":{"type":"object"}}}})", {}, N::reading},
        {"get", "/api/v1/status", "getStatus", "What weir says of its parts", {}, {}, kJson, kObject, {}, N::overview},
        {"get", "/api/v1/sessions/{client_id}", "getSession", "What one session has matched, got, and not got", {in_path("client_id", "as `auth_success` said it")}, {}, kJson, R"({"$ref":"#/components/schemas/Session"})", {E::unknown_session}, N::administer},
        {"get", "/api/v1/groups", "listGroups", "Groups that share a subscription out: members, and up to where it is acknowledged", {}, {}, kJson, R"({"type":"object","required":["groups"],"properties":{"groups":{"type":"array","items":{"type":"object","required":["name","members","positions"],"properties":{"name":{"type":"string"},"members":{"type":"integer"},"positions":{"type":"object"},"used":{"type":"string","format":"date-time"}}}}}})", {}, N::overview},
        {"delete", "/api/v1/groups/{group}", "forgetGroup", "Forgets a group that has no member, with its positions", {in_path("group", "its name")}, {}, kJson, R"({"type":"object","required":["forgotten"],"properties":{"forgotten":{"type":"boolean"}}})", {E::conflict}, N::administer},
        {"get", "/api/v1/characteristics", "listCharacteristics", "All characteristics with their limits and running capability, and the reason codes", {}, {}, kJson,
         R"({"type":"object","required":["characteristics","reason_codes"],"properties":{"characteristics":{"type":"array","items":{"$ref":"#/components/schemas/Characteristic"}},"reason_codes":{"type":"object"}}})", {E::busy, E::log_unavailable}, N::reading},
        {"post", "/api/v1/characteristics", "createCharacteristic", "A new characteristic", {}, R"({"$ref":"#/components/schemas/Characteristic"})", kJson, kPut,
         {E::bad_request, E::characteristic_exists, E::conflict, E::refused, E::too_large, E::busy, E::log_unavailable, E::not_judged}, N::administer, 201},
        {"get", "/api/v1/characteristics/{characteristic_id}", "getCharacteristic", "One characteristic", {characteristic_in_path()}, {}, kJson, R"({"$ref":"#/components/schemas/Characteristic"})", {E::unknown_characteristic, E::busy, E::log_unavailable}, N::reading},
        {"put", "/api/v1/characteristics/{characteristic_id}", "putCharacteristic", "Puts it whole, whether or not it was there", {characteristic_in_path()}, R"({"$ref":"#/components/schemas/Characteristic"})", kJson, kPut,
         {E::bad_request, E::unknown_characteristic, E::conflict, E::refused, E::too_large, E::busy, E::log_unavailable, E::not_judged}, N::administer},
        {"patch", "/api/v1/characteristics/{characteristic_id}", "changeCharacteristic", "Changes the members that are named; null removes one", {characteristic_in_path()}, kObject, kJson, kPut,
         {E::bad_request, E::unknown_characteristic, E::conflict, E::refused, E::too_large, E::busy, E::log_unavailable, E::not_judged}, N::administer},
        {"delete", "/api/v1/characteristics/{characteristic_id}", "retireCharacteristic", "Retires it: it takes no more samples, and what was stays", {characteristic_in_path()}, {}, kJson, kObject, {E::unknown_characteristic, E::conflict, E::busy, E::log_unavailable, E::not_judged}, N::administer},
        {"get", "/api/v1/characteristics/{characteristic_id}/limits", "listLimits", "The versions of its limits", {characteristic_in_path()}, {}, kJson, R"({"type":"object","required":["characteristic_id","limits_versions"],"properties":{"characteristic_id":{"type":"integer"},"limits_versions":{"type":"array","items":{"type":"object"}}}})",
         {E::unknown_characteristic, E::busy, E::log_unavailable}, N::reading},
        {"post", "/api/v1/characteristics/{characteristic_id}/limits", "setLimits", "A new version of its limits: given, or estimated from a range of samples (phase I)", {characteristic_in_path()},
         R"({"type":"object","properties":{"limits":{"type":"object","properties":{"centre":{"type":"number"},"sigma":{"type":"number"},"lcl":{"type":"number"},"ucl":{"type":"number"}}},"from":{"type":"string","format":"date-time"},"to":{"type":"string","format":"date-time"},"apply_from":{"type":"string","format":"date-time"},"exclude_out_of_control":{"type":"boolean"},"method":{"type":"string"},"dry_run":{"type":"boolean"}}})", kJson, kObject,
         {E::bad_request, E::unknown_characteristic, E::conflict, E::refused, E::too_large, E::busy, E::log_unavailable, E::not_judged}, N::administer, 201},
        {"get", "/api/v1/characteristics/{characteristic_id}/capability", "getCapability", "Capability of all readings, or of a range", {characteristic_in_path(), query("from", kTime, "samples not before this time"), query("to", kTime, "samples before this time")}, {}, kJson, kObject,
         {E::unknown_characteristic, E::refused, E::busy, E::log_unavailable, E::not_judged}, N::reading},
        {"get", "/api/v1/characteristics/{characteristic_id}/samples", "listSamplesOf", "Its newest samples in order of time, each as it is now", {characteristic_in_path(), query("from", kTime, "not before this time"), query("to", kTime, "before this time"), query("before", kId, "of those at `to` itself the ones with a smaller id"), samples_limit()}, {}, kJson, kSamples,
         {E::bad_request, E::unknown_characteristic, E::busy, E::log_unavailable}, N::reading},
        {"get", "/api/v1/samples", "listSamples", "The newest samples of a characteristic in order of time, each as it is now",
         {query("characteristic_id", kId, "whose", true), query("from", kTime, "not before this time"), query("to", kTime, "before this time"), query("before", kId, "of those at `to` itself the ones with a smaller id"), samples_limit()}, {}, kJson, kSamples, {E::bad_request, E::busy, E::log_unavailable}, N::reading},
        {"post", "/api/v1/samples", "putSamples", "A sample, an array of samples, or NDJSON; answered when all are judged", {}, R"({"oneOf":[{"$ref":"#/components/schemas/NewSample"},{"type":"array","items":{"$ref":"#/components/schemas/NewSample"}}]})", kJson,
         R"({"type":"object","required":["accepted","duplicates","rejected"],"properties":{"accepted":{"type":"integer"},"duplicates":{"type":"integer"},"rejected":{"type":"array","items":{"type":"object","properties":{"index":{"type":"integer"},"code":{"type":"string"},"message":{"type":"string"}}}}}})",
         {E::bad_request, E::refused, E::too_large, E::unsupported_media_type, E::busy, E::log_unavailable, E::not_judged}, N::publish, 200, true},
        {"patch", "/api/v1/samples/{characteristic_id}/{sample_id}", "correctSample", "Corrects a sample, or takes it out of the chart and back", {characteristic_in_path(), in_path("sample_id", "its id")},
         R"({"type":"object","properties":{"excluded":{"type":"boolean"},"timestamp":{"type":"string","format":"date-time"},"value":{"type":"number"},"values":{"type":"array","items":{"type":"number"}},"size":{"type":"number"}}})", kJson, kObject,
         {E::bad_request, E::unknown_characteristic, E::unknown_sample, E::conflict, E::refused, E::too_large, E::busy, E::log_unavailable, E::not_judged}, N::publish},
        {"get", "/api/v1/violations", "listViolations", "Violations, newest first",
         {query("state", R"({"type":"string","enum":["open","acknowledged","withdrawn","all"],"default":"open"})", "open: neither acknowledged nor withdrawn"), query("characteristic_id", kId, "whose"),
          query("from", kTime, "of samples not before this time"), query("to", kTime, "of samples before this time"), samples_limit()}, {}, kJson,
         R"({"type":"object","required":["violations","complete"],"properties":{"violations":{"type":"array","items":{"type":"object"}},"complete":{"type":"boolean"}}})", {E::bad_request, E::busy, E::log_unavailable}, N::reading},
        {"get", "/api/v1/violations/{violation_id}", "getViolation", "One violation, in any state", {in_path("violation_id", "its id")}, {}, kJson, kObject, {E::unknown_violation, E::busy, E::log_unavailable}, N::reading},
        {"post", "/api/v1/violations/{violation_id}/acknowledge", "acknowledgeViolation", "Acknowledges it, once", {in_path("violation_id", "its id")}, kAcknowledge, kJson, kAcknowledged,
         {E::bad_request, E::unknown_violation, E::already_acknowledged, E::refused, E::too_large, E::busy, E::log_unavailable, E::not_judged}, N::acknowledge},
        {"post", "/api/v1/violations/acknowledge", "acknowledgeViolations", "Acknowledges many: those that are named, or all open ones of a characteristic", {}, kAcknowledge, kJson, kAcknowledged,
         {E::bad_request, E::unknown_characteristic, E::refused, E::too_large, E::busy, E::log_unavailable, E::not_judged}, N::acknowledge},
        {"get", "/api/v1/alerts", "listAlerts", "Alerts, newest first, each as it is now",
         {query("state", R"({"type":"string","enum":["open","firing","pending","resolved","all"],"default":"open"})", "open: pending or firing"), query("rule", kText, "of this rule"), query("key", kText, "about this key"), samples_limit()}, {}, kJson,
         R"({"type":"object","required":["alerts","complete","reason_codes"],"properties":{"alerts":{"type":"array","items":{"$ref":"#/components/schemas/Alert"}},"complete":{"type":"boolean"},"reason_codes":{"type":"object"}}})", {E::bad_request, E::busy, E::log_unavailable}, N::reading},
        {"get", "/api/v1/alerts/{alert_id}", "getAlert", "One alert, in any state", {in_path("alert_id", "its id")}, {}, kJson, kAlert, {E::unknown_alert, E::busy, E::log_unavailable}, N::reading},
        {"post", "/api/v1/alerts/{alert_id}/acknowledge", "acknowledgeAlert", "Acknowledges it, once", {in_path("alert_id", "its id")},
         R"({"type":"object","properties":{"user":{"type":"string"},"reason":{"type":"string"},"reason_code":{"type":"string"}}})", kJson, kAlert, alert_errors(E::already_acknowledged), N::acknowledge},
        {"post", "/api/v1/alerts/{alert_id}/shelve", "shelveAlert", "Tells nobody of it for a while: `for` a duration, or `until` a time", {in_path("alert_id", "its id")},
         R"({"type":"object","properties":{"user":{"type":"string"},"for":{"type":"string"},"until":{"type":"string","format":"date-time"},"reason":{"type":"string"}}})", kJson, kAlert, alert_errors(E::conflict), N::acknowledge},
        {"post", "/api/v1/alerts/{alert_id}/unshelve", "unshelveAlert", "Ends that before its time", {in_path("alert_id", "its id")}, R"({"type":"object","properties":{"user":{"type":"string"}}})", kJson, kAlert, alert_errors(E::conflict), N::acknowledge},
        {"get", "/events", "followEvents", "Server-Sent Events of a stream", {query("stream", kText, "the stream", true), query("filters", kText, "JSON, as in subscribe"), query("since", kText, "<epoch>:<seq>"), {"Last-Event-ID", "header", kText, false, "the id of the last event that came"}}, {}, "text/event-stream", kText,
         {E::bad_request, E::bad_since, E::unknown_stream, E::at_capacity}, N::reading},
        {"get", "/stats", "getStatistics", "Statistics of the sessions", {}, {}, kJson, kObject, {}, N::overview},
        {"get", "/metrics", "getMetrics", "Prometheus metrics", {}, {}, "text/plain", kText, {}, N::overview},
        {"get", "/healthz", "getHealth", "Whether the process lives", {}, {}, "text/plain", kText, {}, N::nothing},
        {"get", "/readyz", "getReadiness", "Whether it is ready", {}, {}, "text/plain", kText, {E::shutting_down}, N::nothing},
        {"get", "/openapi.json", "getOpenapi", "This document", {}, {}, kJson, kObject, {}, N::nothing},
        {"get", "/asyncapi.json", "getAsyncapi", "The WebSocket dialects", {}, {}, kJson, kObject, {}, N::nothing},
    };
    return table;
}

constexpr std::string_view kStreamSchema = R"({"type":"object","required":["name","type","head_seq"],"properties":{"name":{"type":"string"},"type":{"type":"string"},"label":{"type":"string"},"epoch":{"type":"string"},"first_seq":{"type":"integer"},"head_seq":{"type":"integer"},"count":{"type":"integer"},"bytes":{"type":"integer"},"first_time":{"type":"string","nullable":true},"last_time":{"type":"string","nullable":true}}})";
constexpr std::string_view kEventSchema = R"({"type":"object","required":["seq","id","type","time","data"],"properties":{"seq":{"type":"integer"},"id":{"type":"string"},"type":{"type":"string"},"key":{"type":"string"},"source":{"type":"string"},"time":{"type":"string","format":"date-time"},"ingested":{"type":"string","format":"date-time"},"data":{"type":"object"}}})";
constexpr std::string_view kPushedSchema = R"({"type":"object","required":["accepted","duplicates","rejected","events"],"properties":{"accepted":{"type":"integer"},"duplicates":{"type":"integer"},"rejected":{"type":"array","items":{"type":"object"}},"events":{"type":"array","items":{"type":"object","nullable":true,"properties":{"seq":{"type":"integer"},"duplicate":{"type":"boolean"}}}}}})";
constexpr std::string_view kAlertSchema = R"({"type":"object","required":["id","state"],"properties":{"id":{"type":"string"},"rule":{"type":"string"},"title":{"type":"string"},"severity":{"type":"string","enum":["info","warning","critical","fatal"]},"state":{"type":"string","enum":["pending","firing","resolved","inactive"]},"change":{"type":"string"},"stream":{"type":"string"},"key":{"type":"string"},"metric":{"type":"string"},"kind":{"type":"string"},"condition":{"type":"string","nullable":true},"threshold":{"type":"number","nullable":true},"clear":{"type":"number","nullable":true},"value":{"type":"number","nullable":true},"message":{"type":"string"},"pending_at":{"type":"string","format":"date-time"},"triggered_at":{"type":"string","format":"date-time","nullable":true},"resolved_at":{"type":"string","format":"date-time","nullable":true},"duration_seconds":{"type":"number"},"acknowledged":{"type":"boolean"},"ack_user":{"type":"string","nullable":true},"ack_reason":{"type":"string","nullable":true},"ack_reason_code":{"type":"string","nullable":true},"acknowledged_at":{"type":"string","format":"date-time","nullable":true},"shelved_until":{"type":"string","format":"date-time","nullable":true},"labels":{"type":"object"}}})";
constexpr std::string_view kCharacteristicSchema = R"({"type":"object","properties":{"id":{"type":"integer","minimum":1,"maximum":9007199254740991},"name":{"type":"string"},"unit":{"type":"string"},"path":{"type":"string"},"chart":{"type":"string"},"subgroup_size":{"type":"integer"},"spec":{"type":"object"},"limits":{"type":"object"},"limit_sigmas":{"type":"number"},"phase1":{"type":"object"},"rules":{"type":"array","items":{}},"ewma":{"type":"object"},"cusum":{"type":"object"},"source":{"type":"object"},"expected_every":{"type":"string"},"requires_ack":{"type":"boolean"}}})";
constexpr std::string_view kSampleSchema = R"({"type":"object","required":["characteristic_id"],"properties":{"characteristic_id":{"type":"integer"},"sample_id":{"type":"integer"},"timestamp":{"type":"string","format":"date-time"},"value":{"type":"number"},"values":{"type":"array","items":{"type":"number"}},"size":{"type":"number"},"nominal":{"type":"number"},"part_sigma":{"type":"number"}}})";
constexpr std::string_view kSessionSchema = R"({"type":"object","required":["id","matched","delivered","merged","dropped","queued"],"properties":{"id":{"type":"string"},"peer":{"type":"string"},"messages_in":{"type":"integer"},"matched":{"type":"integer"},"delivered":{"type":"integer"},"merged":{"type":"integer"},"dropped":{"type":"integer"},"dropped_by_reason":{"type":"object"},"queued":{"type":"integer"},"queued_bytes":{"type":"integer"},"subscriptions":{"type":"array","items":{"type":"string"}}}})";

const std::vector<DialectMessage>& message_table() {
    static const std::vector<DialectMessage> table{
        {"analytics", "auth", From::client, "Says who the client is.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"auth"},"data":{"type":"object","properties":{"token":{"type":"string"}}}}})", R"({"type":"auth","data":{"token":"your-auth-token"}})", N::nothing},
        {"analytics", "subscribe", From::client, "Asks for events of a type.",
         R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"subscribe"},"subscription_id":{"type":"string"},"data":{"type":"object","required":["type"],"additionalProperties":false,"properties":{"type":{"enum":["events","metrics","alerts","predictions","aggregations","system_status"]},"filters":{"type":"object"},"stream":{"oneOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]},"since":{},"last":{"type":"integer","minimum":0,"maximum":10000},"delivery":{"type":"object"},"group":{"type":"string","minLength":1,"maxLength":128},"ack":{"type":"boolean"},"subscription_id":{"type":"string","minLength":1,"maxLength":128}}}}})",
         R"({"type":"subscribe","data":{"type":"events","filters":{"event_type":"user_action","user_id":["user123","user456"]}}})", N::reading},
        {"analytics", "unsubscribe", From::client, "Ends a subscription.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"unsubscribe"},"subscription_id":{"type":"string"},"data":{"type":"object","properties":{"subscription_id":{"type":"string"}}}}})", R"({"type":"unsubscribe","data":{"subscription_id":"sub_789"}})", N::token},
        {"analytics", "update", From::client, "Changes how a subscription is delivered.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"update"},"data":{"type":"object","required":["delivery"],"properties":{"subscription_id":{"type":"string"},"delivery":{"type":"object","additionalProperties":false,"properties":{"conflate":{"type":"boolean"},"max_rate":{"type":["number","null"]},"batch_ms":{"type":"integer"},"at_bound":{"enum":["disconnect","drop_oldest","conflate"]}}}}}}})",
         R"({"type":"update","data":{"subscription_id":"sub_789","delivery":{"conflate":true,"max_rate":10}}})", N::token},
        {"analytics", "ack", From::client, "Says that the client is done with events of a group, and with all that it was sent before them.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"ack"},"subscription_id":{"type":"string"},"data":{"type":"object","required":["positions"],"properties":{"subscription_id":{"type":"string"},"positions":{"type":"object","additionalProperties":{"type":"object","required":["epoch","seq"],"properties":{"epoch":{"type":"string"},"seq":{"type":"integer"}}}}}}}})",
         R"({"type":"ack","data":{"subscription_id":"sub_789","positions":{"events":{"epoch":"56c382120f1d6261","seq":42}}}})", N::token},
        {"analytics", "publish", From::client, "Appends events to a stream.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"publish"},"metadata":{},"data":{"type":"object","required":["stream"],"properties":{"stream":{"type":"string"},"event":{"type":"object"},"events":{"type":"array","items":{"type":"object"}}}}}})",
         R"({"type":"publish","data":{"stream":"events","events":[{"id":"evt_123","type":"user_action","data":{"user_id":"user123"}}]}})", N::publish},
        {"analytics", "resume_token", From::client, "Asks for a token of all its subscriptions.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"resume_token"}}})", R"({"type":"resume_token"})", N::token},
        {"analytics", "resume", From::client, "Takes all subscriptions of a token up again.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"resume"},"data":{"type":"object","required":["token"],"properties":{"token":{"type":"string"},"positions":{"type":"object"}}}}})", R"({"type":"resume","data":{"token":"eyJ2Ijox","positions":{"events":{"epoch":"56c382120f1d6261","seq":42}}}})", N::reading},
        {"analytics", "ping", From::client, "Is answered with pong.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"ping"}}})", R"({"type":"ping"})", N::nothing},
        {"analytics", "auth_success", From::server, "The client is known.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"auth_success"},"data":{"type":"object","required":["client_id"],"properties":{"client_id":{"type":"string"}}}}})", R"({"type":"auth_success","data":{"client_id":"1b4e28ba-2fa1-4d1c-883f-0016d3cca427"}})"},
        {"analytics", "auth_failed", From::server, "The token is not good.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"auth_failed"},"data":{"type":"object","required":["error"],"properties":{"error":{"type":"string"},"code":{"type":"string"}}}}})", R"({"type":"auth_failed","data":{"error":"Invalid credentials","code":"auth_failed"}})"},
        {"analytics", "subscribed", From::server, "What was understood, and from where live begins.", R"({"type":"object","required":["type","data","subscription_id"],"properties":{"type":{"const":"subscribed"},"subscription_id":{"type":"string"},"data":{"type":"object","required":["subscription_id","type","filters","streams"],"properties":{"subscription_id":{"type":"string"},"type":{"type":"string"},"filters":{"type":"object"},"streams":{"type":"object"},"delivery":{"type":"object"},"producer":{"const":"none"}}}}})",
         R"({"type":"subscribed","data":{"subscription_id":"sub_789","type":"events","filters":{},"streams":{"events":{"epoch":"56c382120f1d6261","seq":41}}},"subscription_id":"sub_789"})"},
        {"analytics", "unsubscribed", From::server, "A subscription has ended.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"unsubscribed"},"subscription_id":{"type":"string"},"data":{"type":"object"}}})", R"({"type":"unsubscribed","data":{"subscription_id":"sub_789"},"subscription_id":"sub_789"})"},
        {"analytics", "updated", From::server, "A policy was changed.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"updated"},"subscription_id":{"type":"string"},"data":{"type":"object"}}})", R"({"type":"updated","data":{"subscription_id":"sub_789","delivery":{"conflate":true,"max_rate":10,"batch_ms":0,"at_bound":"disconnect"}},"subscription_id":"sub_789"})"},
        {"analytics", "data", From::server, "An event.", R"({"type":"object","required":["type","data","subscription_id","timestamp","metadata"],"properties":{"type":{"const":"data"},"subscription_id":{"type":"string"},"timestamp":{"type":"string","format":"date-time"},"data":{"type":"object","required":["subscription_type"]},"metadata":{"type":"object","required":["stream","seq","epoch"],"properties":{"stream":{"type":"string"},"seq":{"type":"integer"},"epoch":{"type":"string"},"key":{"type":"string"}}}}})",
         R"({"subscription_id":"sub_789","type":"data","data":{"event":{"event_id":"evt_123","event_type":"user_action","user_id":"user_456","timestamp":"2024-01-01T00:00:00Z","payload":{}},"subscription_type":"events"},"timestamp":"2024-01-01T00:00:00.250Z","metadata":{"stream":"events","seq":42,"epoch":"56c382120f1d6261"}})"},
        {"analytics", "batch", From::server, "Several data messages in one.", R"({"type":"object","required":["type","data","subscription_id"],"properties":{"type":{"const":"batch"},"subscription_id":{"type":"string"},"data":{"type":"array","items":{"type":"object"}}}})", R"({"type":"batch","subscription_id":"sub_789","data":[]})"},
        {"analytics", "delivery", From::server, "What a policy has merged and dropped.", R"({"type":"object","required":["type","data","subscription_id"],"properties":{"type":{"const":"delivery"},"subscription_id":{"type":"string"},"data":{"type":"object","required":["delivered","merged","dropped"],"properties":{"delivered":{"type":"integer"},"merged":{"type":"integer"},"dropped":{"type":"integer"},"delivery":{"type":"object"}}}}})", R"({"type":"delivery","data":{"delivered":12,"merged":90,"dropped":0},"subscription_id":"sub_789"})"},
        {"analytics", "gap", From::server, "Events that will not come.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"gap"},"subscription_id":{"type":"string"},"data":{"type":"object","required":["stream","epoch","reason"],"properties":{"stream":{"type":"string"},"epoch":{"type":"string"},"from_seq":{"type":["integer","null"]},"to_seq":{"type":["integer","null"]},"reason":{"enum":["retention","epoch","unknown_epoch","future_position","history_unavailable"]}}}}})", R"({"type":"gap","data":{"stream":"events","epoch":"56c382120f1d6261","from_seq":3,"to_seq":9,"reason":"retention"},"subscription_id":"sub_789"})"},
        {"analytics", "published", From::server, "What became of published events.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"published"},"metadata":{},"data":{"type":"object","required":["stream","accepted","duplicates","rejected","events"]}}})", R"({"type":"published","data":{"stream":"events","accepted":1,"duplicates":0,"rejected":[],"events":[{"seq":42,"duplicate":false}]}})"},
        {"analytics", "token", From::server, "The token that was asked for.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"resume_token"},"data":{"type":"object","required":["token"],"properties":{"token":{"type":"string"}}}}})", R"({"type":"resume_token","data":{"token":"eyJ2Ijox"}})"},
        {"analytics", "resumed", From::server, "What a token brought back.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"resumed"},"data":{"type":"object","required":["subscriptions","refused"]}}})", R"({"type":"resumed","data":{"subscriptions":[],"refused":[]}})"},
        {"analytics", "notice", From::server, "A notice to all.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"notice"},"data":{"type":"object","required":["message"]}}})", R"({"type":"notice","data":{"message":"Maintenance at noon","level":"info"}})"},
        {"analytics", "error", From::server, "Something was not done; see x-errors.", R"({"type":"object","required":["type","data"],"properties":{"type":{"const":"error"},"subscription_id":{"type":"string"},"metadata":{},"data":{"type":"object","required":["error","code"],"properties":{"error":{"type":"string"},"code":{"type":"string"},"detail":{"type":"string"},"retry_after_ms":{"type":"integer"}}}}})", R"({"type":"error","data":{"error":"Rate limit exceeded","code":"rate_limited","retry_after_ms":950}})"},
        {"analytics", "pong", From::server, "Answers a ping.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"pong"}}})", R"({"type":"pong"})"},

        {"spc", "auth", From::client, "Says who the client is.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"auth"},"token":{"type":"string"},"data":{"type":"object","properties":{"token":{"type":"string"}}}}})", R"({"type":"auth","token":"your-auth-token"})", N::nothing},
        {"spc", "subscribe", From::client, "Asks for characteristics.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"subscribe"},"characteristic_ids":{"type":"array","items":{"type":"integer"}},"groups":{"type":"array","items":{"type":"string"}},"since":{},"last":{"type":"integer"}}})", R"({"type":"subscribe","characteristic_ids":[1,2,3]})", N::reading},
        {"spc", "unsubscribe", From::client, "Ends that.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"unsubscribe"},"characteristic_ids":{"type":"array","items":{"type":"integer"}},"groups":{"type":"array","items":{"type":"string"}}}})", R"({"type":"unsubscribe","characteristic_ids":[1]})", N::token},
        {"spc", "resume_token", From::client, "Asks for a token of all it follows.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"resume_token"}}})", R"({"type":"resume_token"})", N::token},
        {"spc", "resume", From::client, "Follows all of a token again.", R"({"type":"object","required":["type","token"],"properties":{"type":{"const":"resume"},"token":{"type":"string"},"positions":{"type":"object"}}})", R"({"type":"resume","token":"eyJ2Ijox","positions":{}})", N::reading},
        {"spc", "ping", From::client, "Is answered with pong; every 30 s.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"ping"}}})", R"({"type":"ping"})", N::nothing},
        {"spc", "auth_success", From::server, "The client is known.", R"({"type":"object","required":["type","client_id"],"properties":{"type":{"const":"auth_success"},"client_id":{"type":"string"}}})", R"({"type":"auth_success","client_id":"1b4e28ba-2fa1-4d1c-883f-0016d3cca427"})"},
        {"spc", "subscribed", From::server, "Echoes what is followed now.", R"({"type":"object","required":["type","characteristic_ids"],"properties":{"type":{"const":"subscribed"},"characteristic_ids":{"type":"array","items":{"type":"integer"}},"groups":{"type":"array","items":{"type":"string"}}}})", R"({"type":"subscribed","characteristic_ids":[1,2,3]})"},
        {"spc", "unsubscribed", From::server, "Echoes what has ended.", R"({"type":"object","required":["type","characteristic_ids"],"properties":{"type":{"const":"unsubscribed"},"characteristic_ids":{"type":"array","items":{"type":"integer"}},"groups":{"type":"array","items":{"type":"string"}}}})", R"({"type":"unsubscribed","characteristic_ids":[1]})"},
        {"spc", "sample", From::server, "A sample.", R"({"type":"object","required":["type","payload"],"properties":{"type":{"const":"sample"},"payload":{"type":"object","required":["sample_id","characteristic_id","timestamp","value","zone","in_control"]},"details":{"type":"object"},"metadata":{"type":"object"}}})", R"({"type":"sample","payload":{"sample_id":123,"characteristic_id":1,"timestamp":"2026-02-02T12:00:00Z","value":10.5,"zone":"zone_c_upper","in_control":true}})"},
        {"spc", "violation", From::server, "A rule was broken.", R"({"type":"object","required":["type","payload"],"properties":{"type":{"const":"violation"},"payload":{"type":"object","required":["violation_id","characteristic_id","sample_id","rule_id","rule_name","severity"]},"details":{"type":"object"},"metadata":{"type":"object"}}})", R"({"type":"violation","payload":{"violation_id":456,"characteristic_id":1,"sample_id":123,"rule_id":1,"rule_name":"One point beyond 3 sigma","severity":"CRITICAL"}})"},
        {"spc", "ack_update", From::server, "A violation was acknowledged.", R"({"type":"object","required":["type","payload"],"properties":{"type":{"const":"ack_update"},"payload":{"type":"object","required":["violation_id","characteristic_id","acknowledged","ack_user","ack_reason"]},"details":{"type":"object"},"metadata":{"type":"object"}}})", R"({"type":"ack_update","payload":{"violation_id":456,"characteristic_id":1,"acknowledged":true,"ack_user":"operator1","ack_reason":"Process adjusted"}})"},
        {"spc", "gap", From::server, "Events that will not come.", R"({"type":"object","required":["type","stream","epoch","reason"],"properties":{"type":{"const":"gap"},"stream":{"type":"string"},"epoch":{"type":"string"},"from_seq":{"type":["integer","null"]},"to_seq":{"type":["integer","null"]},"reason":{"type":"string"}}})", R"({"type":"gap","stream":"samples","epoch":"56c382120f1d6261","from_seq":3,"to_seq":9,"reason":"retention"})"},
        {"spc", "token", From::server, "The token that was asked for.", R"({"type":"object","required":["type","token"],"properties":{"type":{"const":"resume_token"},"token":{"type":"string"}}})", R"({"type":"resume_token","token":"eyJ2Ijox"})"},
        {"spc", "resumed", From::server, "What a token brought back.", R"({"type":"object","required":["type","characteristic_ids"],"properties":{"type":{"const":"resumed"},"characteristic_ids":{"type":"array","items":{"type":"integer"}},"groups":{"type":"array","items":{"type":"string"}}}})", R"({"type":"resumed","characteristic_ids":[1,2,3]})"},
        {"spc", "notice", From::server, "A notice to all.", R"({"type":"object","required":["type","payload"],"properties":{"type":{"const":"notice"},"payload":{"type":"object","required":["message"]}}})", R"({"type":"notice","payload":{"message":"Maintenance at noon","level":"info"}})"},
        {"spc", "error", From::server, "Something was not done; see x-errors.", R"({"type":"object","required":["type","message","code"],"properties":{"type":{"const":"error"},"message":{"type":"string"},"code":{"type":"string"},"detail":{"type":"string"},"characteristic_ids":{"type":"array","items":{"type":"integer"}},"retry_after_ms":{"type":"integer"}}})", R"({"type":"error","message":"characteristic_ids is required","code":"ids_required"})"},
        {"spc", "pong", From::server, "Answers a ping.", R"({"type":"object","required":["type"],"properties":{"type":{"const":"pong"}}})", R"({"type":"pong"})"},

        {"broadcast", "welcome", From::server, "The first message.", R"({"type":"object","required":["type","message","stream_rate"],"properties":{"type":{"const":"welcome"},"message":{"type":"string"},"stream_rate":{"type":"string"}}})", R"({"type":"welcome","message":"Connected to real-time user stream","total_users_streamed":184,"stream_rate":"1 user/second"})"},
        {"broadcast", "record", From::server, "An event's data with its place in the stream.", R"({"type":"object","required":["stream_sequence","server_timestamp"],"properties":{"stream_sequence":{"type":"integer","minimum":1},"server_timestamp":{"type":"string","format":"date-time"}}})", R"({"name":{"first":"John","last":"Smith"},"stream_sequence":185,"server_timestamp":"2026-02-17T10:00:00.000Z"})"},
    };
    return table;
}

/// Whether `path` is one of `form`, which holds {names}.
bool is_path(std::string_view form, std::string_view path) {
    const auto open = form.find('{');
    if (open == std::string_view::npos) return form == path;
    if (!path.starts_with(form.substr(0, open))) return false;
    path.remove_prefix(open);
    const auto close = form.find('}', open);
    const std::string_view name = form.substr(open + 1, close - open - 1), rest = form.substr(close + 1);
    const std::size_t longest = name == "stream" ? path.size() : std::min(path.find('/'), path.size());
    for (std::size_t length = 1; length <= longest; ++length)
        if (is_path(rest, path.substr(length))) return true;
    return false;
}

}  // namespace

FoundEndpoint find_endpoint(std::string_view method, std::string_view path) {
    FoundEndpoint found;
    for (const Endpoint& endpoint : endpoints()) {
        if (!is_path(endpoint.path, path)) continue;
        const bool is_get = endpoint.method == "get";
        std::string name(endpoint.method);
        for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
        // What stands between two literals is nearer than a name that swallows one of them.
        if ((method == name || (is_get && method == "HEAD")) && (!found.endpoint || found.endpoint->path.size() < endpoint.path.size())) found.endpoint = &endpoint;
        // A stream's name may hold slashes: a path can be of several endpoints with one method.
        const std::string_view names = is_get ? "GET, HEAD" : std::string_view(name);
        if (found.allowed.find(names) == std::string::npos) found.allowed.append(found.allowed.empty() ? "" : ", ").append(names);
    }
    return found;
}

std::optional<Needs> message_needs(std::string_view dialect, std::string_view type) {
    for (const auto& message : dialect_messages())
        if (message.from == From::client && message.name == type && message.dialect == dialect) return message.needs;
    return std::nullopt;
}

std::span<const Endpoint> endpoints() { return endpoint_table(); }
std::span<const DialectMessage> dialect_messages() { return message_table(); }

std::string openapi_document(std::string_view version) {
    std::string out;
    JsonWriter json(out);
    json.object().member("openapi", "3.0.3").name("info").object().member("title", "weir").member("version", version);
    json.member("description", "Streams, windows, feeds and sessions of a weir. The WebSocket dialects are in /asyncapi.json.");
    json.name("license").object().member("name", "Apache-2.0").end().end();
    std::map<std::string_view, std::vector<const Endpoint*>> paths;
    for (const Endpoint& endpoint : endpoints()) paths[endpoint.path].push_back(&endpoint);
    json.name("paths").object();
    for (const auto& [path, methods] : paths) {
        json.name(path).object();
        for (const Endpoint* endpoint : methods) {
            json.name(endpoint->method).object().member("operationId", endpoint->id).member("summary", endpoint->summary).name("parameters").array();
            for (const auto& parameter : endpoint->parameters)
                json.object().member("name", parameter.name).member("in", parameter.in).member("required", parameter.required).member("description", parameter.doc).name("schema").raw(parameter.schema).end();
            json.end();
            if (!endpoint->body.empty()) {
                json.name("requestBody").object().member("required", true).name("content").object();
                json.name(kJson).object().name("schema").raw(endpoint->body).end();
                if (endpoint->ndjson) json.name("application/x-ndjson").object().name("schema").raw(kText).end();
                json.end().end();
            }
            json.member("x-needs", needs_name(endpoint->needs));
            if (endpoint->needs != Needs::nothing) json.name("security").raw(R"([{"header":[]},{"query":[]}])");
            json.name("responses").object().name(std::to_string(endpoint->status)).object().member("description", "done").name("content").object();
            json.name(endpoint->answer_type).object().name("schema").raw(endpoint->answer).end().end().end();
            std::map<int, std::string> errors;  // what shares a status is told together
            auto all = endpoint->errors;
            if (endpoint->needs != Needs::nothing)
                for (const auto error : {E::auth_required, E::auth_failed, E::forbidden})
                    if (std::find(all.begin(), all.end(), error) == all.end()) all.push_back(error);
            for (const GatewayError error : all) {
                auto& text = errors[row(error).http_status];
                if (!text.empty()) text += ' ';
                text.append(row(error).code).append(": ").append(row(error).doc);
            }
            for (const auto& [status, text] : errors) {
                json.name(std::to_string(status)).object().member("description", text).name("content").object().name(kJson).object();
                json.name("schema").raw(R"({"$ref":"#/components/schemas/Error"})").end().end().end();
            }
            json.end().end();
        }
        json.end();
    }
    json.end().name("components").object();
    // Without authentication neither is looked at.
    json.name("securitySchemes").raw(R"({"header":{"type":"http","scheme":"bearer"},"query":{"type":"apiKey","in":"query","name":"token"}})");
    json.name("schemas").object();
    json.name("Stream").raw(kStreamSchema).name("Event").raw(kEventSchema).name("NewEvent").raw(kEvent).name("Pushed").raw(kPushedSchema).name("Session").raw(kSessionSchema);
    json.name("Characteristic").raw(kCharacteristicSchema).name("Alert").raw(kAlertSchema).name("NewSample").raw(kSampleSchema);
    json.name("Error").object().member("type", "object").name("required").raw(R"(["error"])").name("properties").object().name("error").object().member("type", "object");
    json.name("required").raw(R"(["code","message"])").name("properties").object().name("code").object().member("type", "string").name("enum").array();
    for (const auto& r : gateway_errors())
        if (r.http_status != 0) json.value(r.code);
    json.end().end().name("message").raw(kText).name("detail").raw(kText).end().end().end().end();
    json.end().end().end();
    return out;
}

std::string asyncapi_document(std::string_view version, std::string_view spc_path) {
    std::string out;
    JsonWriter json(out);
    json.object().member("asyncapi", "2.6.0").name("info").object().member("title", "weir").member("version", version);
    json.member("description", "The WebSocket dialects of a weir. The HTTP interface is in /openapi.json.").name("license").object().member("name", "Apache-2.0").end().end();
    json.member("defaultContentType", "application/json").name("channels").object();
    const auto channel = [&](std::string_view path, std::string_view dialect) {
        json.name(path).object();
        if (path.find('{') != std::string_view::npos) json.name("parameters").raw(R"({"stream":{"description":"a stream's name","schema":{"type":"string"}}})");
        // AsyncAPI 2: a client publishes what the server takes, and subscribes to what it sends.
        for (const auto& [operation, from] : {std::pair("publish", From::client), std::pair("subscribe", From::server)}) {
            bool any = false;
            for (const auto& message : dialect_messages()) {
                if (message.dialect != dialect || message.from != from) continue;
                if (!any) json.name(operation).object().name("message").object().name("oneOf").array();
                any = true;
                json.object().member("$ref", "#/components/messages/" + std::string(dialect) + (from == From::client ? "_client_" : "_server_") + std::string(message.name)).end();
            }
            if (any) json.end().end().end();
        }
        json.end();
    };
    channel("/", "analytics");
    channel("/stream", "analytics");
    channel(spc_path, "spc");
    channel("/feed/{stream}", "broadcast");
    json.end().name("components").object().name("messages").object();
    for (const auto& message : dialect_messages()) {
        json.name(std::string(message.dialect) + (message.from == From::client ? "_client_" : "_server_") + std::string(message.name)).object();
        json.member("name", message.name).member("summary", message.doc);
        if (message.from == From::client) json.member("x-needs", needs_name(message.needs));
        json.name("payload").raw(message.schema);
        json.name("examples").array().object().name("payload").raw(message.example).end().end().end();
    }
    json.end().end().name("x-errors").array();
    for (const auto& r : gateway_errors()) {
        json.object().member("code", r.code).member("text", r.text).member("retry", r.retry == Retry::no ? "no" : r.retry == Retry::later ? "later" : "changed");
        json.name("close_code");
        if (r.close_code) json.value(r.close_code);
        else json.null();
        json.member("description", r.doc).end();
    }
    json.end().end();
    return out;
}

}  // namespace weir
