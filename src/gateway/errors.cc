#include "gateway/errors.h"

#include <array>

#include "base/assert.h"

namespace weir {
namespace {

using E = GatewayError;
constexpr std::array<GatewayErrorRow, static_cast<std::size_t>(E::count)> rows{{
    {E::malformed_message, "malformed_message", "Invalid message format", Retry::changed, 0, 0, "A message is not a JSON object, or a member has the wrong type; `detail` says which."},
    {E::unknown_message_type, "unknown_message_type", "Unknown message type", Retry::changed, 0, 0, "The `type` of a message is none that a client may send on this path."},
    {E::binary_message, "binary_message", "Binary messages are not accepted", Retry::changed, 0, 0, "A binary frame came on a connection whose subprotocol is not `weir.cbor`."},
    {E::rate_limited, "rate_limited", "Rate limit exceeded", Retry::later, 0, 429, "More control messages in a minute than `gateway.rate_limit_per_minute`; the message was not acted on, `retry_after_ms` says when the next one will be."},
    {E::abuse, "abuse", "Too many messages above the rate limit", Retry::later, 1008, 0, "`gateway.abuse_limit_per_minute` messages above the limit in one minute, or ten refusals before authentication."},
    {E::auth_failed, "auth_failed", "Invalid credentials", Retry::changed, 0, 401, "The token is unknown, expired or malformed, or allows nothing; all look alike on purpose. The connection stays until `gateway.auth_timeout`, except on the broadcast path: 1008."},
    {E::auth_required, "auth_required", "Authentication required", Retry::changed, 0, 401, "A message other than `auth` and `ping` came before authentication, or a request without a token. Ten refusals close with 1008 (`abuse`)."},
    {E::auth_timeout, "auth_timeout", "Authentication timeout", Retry::changed, 1008, 0, "No right token within `gateway.auth_timeout`."},
    {E::auth_expired, "auth_expired", "Token expired", Retry::changed, 1008, 0, "The token of a live session ran out without a new `auth`, or was taken out of the configuration."},
    {E::forbidden, "forbidden", "Permission denied", Retry::no, 0, 403, "The token does not allow this; `detail` names the permission that it needs."},
    {E::origin_not_allowed, "origin_not_allowed", "Origin not allowed", Retry::no, 1008, 403, "The Origin header is not in `gateway.allowed_origins`."},
    {E::host_not_allowed, "host_not_allowed", "Host not allowed", Retry::no, 1008, 421, "Without authentication the Host header must be loopback, an IP address or in `gateway.hosts`."},
    {E::at_capacity, "at_capacity", "Server at capacity", Retry::later, 1013, 503, "`gateway.max_connections` are open."},
    {E::address_at_capacity, "address_at_capacity", "Too many connections from this address", Retry::later, 1013, 429, "`gateway.connections_per_address` are open from this client's address."},
    {E::slow_reader, "slow_reader", "Slow reader", Retry::later, 1013, 0, "More than `gateway.session_queue_bytes` (64 KiB before authentication) waited for this session, and no subscription's `delivery` says what else to do; or its group was at its bound, and it acknowledged nothing for `gateway.group_timeout`."},
    {E::heartbeat_missed, "heartbeat_missed", "Heartbeat missed", Retry::later, 1008, 0, "On the spc path no data message came for `gateway.spc_timeout`."},
    {E::shutting_down, "shutting_down", "Server is shutting down", Retry::later, 1001, 503, "weir stops or restarts; connect again."},
    {E::unknown_subscription_type, "unknown_subscription_type", "Unknown subscription type", Retry::changed, 0, 0, "`data.type` is not one of events, metrics, alerts, predictions, aggregations, system_status."},
    {E::unknown_subscription_member, "unknown_subscription_member", "Unknown member in subscription", Retry::changed, 0, 0, "`data` of a `subscribe` holds a member that weir does not know: a misspelt filter must not become no filter."},
    {E::subscription_id_required, "subscription_id_required", "subscription_id required", Retry::changed, 0, 0, "An `unsubscribe` names no subscription."},
    {E::bad_subscription_id, "bad_subscription_id", "Invalid subscription_id", Retry::changed, 0, 0, "A client's own id is a text of 1 to 128 bytes that does not start with `sub_`; or, among the `refused` of a `resume`, an id of weir's belongs to another subscription under the token of this session: subscribe again."},
    {E::subscription_exists, "subscription_exists", "Subscription already exists", Retry::changed, 0, 0, "The client's own id names another subscription of this session."},
    {E::subscription_not_found, "subscription_not_found", "Subscription not found", Retry::no, 0, 0, "An `unsubscribe` names a subscription that this session does not have."},
    {E::too_many_subscriptions, "too_many_subscriptions", "Too many subscriptions", Retry::no, 0, 0, "The session has `gateway.subscriptions_per_session` already, or its filters together would be larger than `gateway.filter_bytes_per_session`; `detail` says which."},
    {E::bad_filter, "bad_filter", "Invalid filter", Retry::changed, 0, 400, "A filter has the wrong shape; `detail` says where."},
    {E::unknown_operator, "unknown_operator", "Unknown filter operator", Retry::changed, 0, 400, "An operator is none of gt, gte, lt, lte, prefix, exists."},
    {E::bad_path, "bad_path", "Invalid filter path", Retry::changed, 0, 400, "A path is empty or ends in a backslash."},
    {E::filter_too_large, "filter_too_large", "Filter too large", Retry::changed, 0, 400, "A filter has more than 1,000 conditions, 10,000 values, 16 levels, or 16 steps in a path."},
    {E::unknown_stream, "unknown_stream", "Unknown stream", Retry::changed, 0, 404, "No stream has this name, or the token may not see it."},
    {E::too_many_streams, "too_many_streams", "Too many streams", Retry::no, 0, 409, "A push names a stream that is not there, and there are `gateway.streams_max`."},
    {E::bad_since, "bad_since", "Invalid since", Retry::changed, 0, 400, "`since` is no time, no map of stream to {epoch, seq}, no {\"last\": n}."},
    {E::bad_delivery, "bad_delivery", "Invalid delivery", Retry::changed, 0, 0, "`delivery` holds a member that is unknown or impossible; `detail` says which."},
    {E::bad_group, "bad_group", "Invalid group", Retry::changed, 0, 0, "`group` is no text of 1 to 128 bytes, or stands beside a `delivery`, which would take events away from the group; or `ack` stands without a `group`, or is no boolean."},
    {E::group_differs, "group_differs", "Group shares out another subscription", Retry::changed, 0, 0, "The group exists, and its members asked for another type, other streams or another filter (those of the token included). Use another name, or DELETE `/api/v1/groups/{name}` when it has no member."},
    {E::too_many_groups, "too_many_groups", "Too many groups", Retry::later, 0, 0, "There are `gateway.groups_max`; one without members for `gateway.group_keep` is forgotten."},
    {E::bad_ack, "bad_ack", "Invalid ack", Retry::changed, 0, 0, "The positions of an `ack` have the wrong shape, or the subscription was not made with `group` and `\"ack\":true`."},
    {E::bad_resume_token, "bad_resume_token", "Invalid resume token", Retry::changed, 0, 0, "The token of a `resume` is damaged, of another log or of another path, or its positions have the wrong shape; subscribe again."},
    {E::bad_groups, "bad_groups", "groups must be a list of paths", Retry::changed, 0, 0, "A group on the spc path is no text of 1 to 255 bytes."},
    {E::stream_required, "stream_required", "data.stream is required", Retry::changed, 0, 0, "A `publish` names no stream, or one that no client may write."},
    {E::history_unavailable, "history_unavailable", "History unavailable", Retry::later, 0, 503, "The log could not be read for `since`; the subscription goes on live, behind a `gap`."},
    {E::ids_required, "ids_required", "characteristic_ids is required", Retry::changed, 0, 0, "A `subscribe` or `unsubscribe` on the spc path names no characteristics and no groups."},
    {E::bad_ids, "bad_ids", "characteristic_ids must be a list of integers", Retry::changed, 0, 0, "An id is no integer from 0 to 2^53 - 1."},
    {E::unknown_ids, "unknown_ids", "Characteristics not available", Retry::no, 0, 0, "Some ids do not exist or may not be seen; they deliver as soon as they do and may."},
    {E::bad_request, "bad_request", "Bad request", Retry::changed, 0, 400, "A parameter of a request is missing or impossible; `detail` says which."},
    {E::unknown_path, "unknown_path", "Not found", Retry::no, 0, 404, "Nothing answers at this path."},
    {E::method_not_allowed, "method_not_allowed", "Method not allowed", Retry::changed, 0, 405, "The path exists, but not for this method; `Allow` names those it takes."},
    {E::unknown_window, "unknown_window", "Unknown window", Retry::changed, 0, 404, "No window of this name is configured."},
    {E::unknown_session, "unknown_session", "Unknown session", Retry::no, 0, 404, "No open session has this id."},
    {E::bad_event, "bad_event", "Invalid event", Retry::changed, 0, 400, "A pushed event has no `data` object, or a member that is impossible; the others of the request are taken."},
    {E::too_large, "too_large", "Too large", Retry::changed, 1009, 413, "A body or message is larger than `gateway.max_message_size`, or an event's data larger than 256 KiB."},
    {E::unsupported_media_type, "unsupported_media_type", "Unsupported media type", Retry::changed, 0, 415, "A body is neither application/json nor application/x-ndjson."},
    {E::busy, "busy", "Busy", Retry::later, 0, 503, "The log's writer or the reader pool has no room; `Retry-After` says when to try again."},
    {E::log_unavailable, "log_unavailable", "Log unavailable", Retry::later, 0, 503, "The log could not be written or read: disk full, I/O error, closing."},
    {E::unknown_characteristic, "unknown_characteristic", "Unknown characteristic", Retry::changed, 0, 404, "No characteristic has this id, or the token may not see it."},
    {E::unknown_sample, "unknown_sample", "Unknown sample", Retry::changed, 0, 404, "The characteristic has no sample of this id among those that it keeps."},
    {E::unknown_violation, "unknown_violation", "Unknown violation", Retry::changed, 0, 404, "There is no violation of this id, or no longer."},
    {E::unknown_alert, "unknown_alert", "Unknown alert", Retry::changed, 0, 404, "There is no alert of this id, or no longer; or a client pushed it, and asks weir to acknowledge or shelve it."},
    {E::already_acknowledged, "already_acknowledged", "Already acknowledged", Retry::no, 0, 409, "Somebody was first; `detail` says who and when."},
    {E::characteristic_exists, "characteristic_exists", "Characteristic already exists", Retry::changed, 0, 409, "A POST names an id that is taken; PUT or PATCH changes it."},
    {E::conflict, "conflict", "Not possible now", Retry::changed, 0, 409, "A command contradicts what is there: a retired characteristic, a sample older than what can be judged, an alert that has not fired; `code` says which."},
    {E::refused, "refused", "Refused", Retry::changed, 0, 422, "A command asks for what cannot be: a definition, limits or a sample that no chart can take; `code` and `detail` say which."},
    {E::not_judged, "not_judged", "Not judged in time", Retry::later, 0, 503, "The command is in the log, but nothing acted on it within 10 s; `detail` is its id. It will still be done."},
}};

}  // namespace

const GatewayErrorRow& row(GatewayError error) {
    const auto& found = rows[static_cast<std::size_t>(error)];
    WEIR_ASSERT(found.error == error);
    return found;
}

std::span<const GatewayErrorRow> gateway_errors() { return rows; }

GatewayError filter_error(std::string_view code) {
    for (const E error : {E::unknown_operator, E::bad_path, E::filter_too_large})
        if (row(error).code == code) return error;
    return E::bad_filter;
}

}  // namespace weir
