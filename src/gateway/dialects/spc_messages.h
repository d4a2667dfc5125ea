#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "event/event.h"
#include "gateway/dialects/analytics_messages.h"
#include "gateway/errors.h"

namespace weir::spc_messages {

// The messages of the spc dialect (source 003, "Message Protocol Examples"; S3-R1, S3-R2), as pure functions.

/// The event types that this dialect carries: source 003's `sample`, `violation`, `ack_update`, and weir's own `sample_moved`, `violation_withdrawn`,
/// `collection_missed`, `collection_resumed`, `characteristic`, `capability`, `gathering`.
bool is_spc_type(std::string_view event_type);
/// `characteristic_id` of such an event's data: an integer from 0 to 2^53 - 1, or nullopt.
std::optional<std::uint64_t> characteristic_id(std::string_view data);

/// `{"type":"sample","payload":{exactly the members of the source, or all where the type is weir's own},"details":{the data's other members},"metadata":{...}}`. A member
/// that the data lacks is null; a sample's time is the event's then.
void append_event(std::string& out, const EventPosition& position, const EventView& event);

void append_pong(std::string& out);
/// `{"type":"auth_success","client_id":...}`: source 003 leaves authentication to the future (S3-28); the shape is that of `subscribed`.
void append_auth_success(std::string& out, std::string_view client_id);
/// `{"type":"subscribed","characteristic_ids":[...]}` as they were asked for, and `groups` where such were.
void append_subscribed(std::string& out, std::span<const std::uint64_t> ids, std::span<const std::string> groups = {});
void append_unsubscribed(std::string& out, std::span<const std::uint64_t> ids, std::span<const std::string> groups = {});
void append_resume_token(std::string& out, std::string_view token);
/// All that a resume token brought back.
void append_resumed(std::string& out, std::span<const std::uint64_t> ids, std::span<const std::string> groups);
/// `{"type":"error","message":<text>,"code":<code>}`, and `detail`, `characteristic_ids`, `retry_after_ms` where they help.
void append_error(std::string& out, GatewayError error, std::string_view detail = {}, std::span<const std::uint64_t> ids = {},
                  std::optional<std::int64_t> retry_after_ms = {});

/// `{"type":"notice","payload":<the event's data>}`
void append_notice(std::string& out, const EventView& event);
/// Events of a stream that the client asked for and will not get: `{"type":"gap","stream","epoch","from_seq","to_seq","reason"}`.
void append_gap(std::string& out, std::string_view stream, Epoch epoch, std::optional<Seq> from, std::optional<Seq> to, std::string_view reason);

}  // namespace weir::spc_messages
