#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace weir {

/// Everything that the gateway can say no to, in one table (style.md 5): the tests walk it, docs/protocol.md is printed from it.
enum class GatewayError : std::uint8_t {
    malformed_message,
    unknown_message_type,
    binary_message,
    rate_limited,
    abuse,
    auth_failed,
    auth_required,
    auth_timeout,
    auth_expired,
    forbidden,
    origin_not_allowed,
    host_not_allowed,
    at_capacity,
    address_at_capacity,
    slow_reader,
    heartbeat_missed,
    shutting_down,
    unknown_subscription_type,
    unknown_subscription_member,
    subscription_id_required,
    bad_subscription_id,
    subscription_exists,
    subscription_not_found,
    too_many_subscriptions,
    bad_filter,
    unknown_operator,
    bad_path,
    filter_too_large,
    unknown_stream,
    too_many_streams,
    bad_since,
    bad_delivery,
    bad_group,
    group_differs,
    too_many_groups,
    bad_ack,
    bad_resume_token,
    bad_groups,
    stream_required,
    history_unavailable,
    ids_required,
    bad_ids,
    unknown_ids,
    bad_request,
    unknown_path,
    method_not_allowed,
    unknown_window,
    unknown_session,
    bad_event,
    too_large,
    unsupported_media_type,
    busy,
    log_unavailable,
    unknown_characteristic,
    unknown_sample,
    unknown_violation,
    unknown_alert,
    already_acknowledged,
    characteristic_exists,
    conflict,
    refused,
    not_judged,
    count
};

enum class Retry : std::uint8_t { no, later, changed };  ///< `changed`: after changing what was sent

struct GatewayErrorRow {
    GatewayError error;
    std::string_view code;     ///< stable, for programs
    std::string_view text;     ///< for people; verbatim from the source documents where they give one
    Retry retry;
    std::uint16_t close_code;  ///< WebSocket close code that follows, or 0
    std::uint16_t http_status; ///< where it answers a request, or 0
    std::string_view doc;      ///< one sentence: when it happens
};

const GatewayErrorRow& row(GatewayError error);
std::span<const GatewayErrorRow> gateway_errors();

/// The row of a filter's error code (event/filter.h).
GatewayError filter_error(std::string_view code);

}  // namespace weir
