#pragma once
#include <string>

#include "config/gateway_options.h"
#include "event/event.h"

namespace weir::broadcast_messages {

// The two messages of the broadcast dialect (source 002, S2-R1; spec.md 5), as pure functions.

/// `{"type":"welcome","message":...,"total_users_streamed":<head>,"stream_rate":...}`
void append_welcome(std::string& out, const BroadcastOptions& options, Seq head);
/// The event's data with `stream_sequence` and `server_timestamp` behind its own members, which are not read: should they hold
/// members of those names, parsers take the last ones.
void append_record(std::string& out, Seq seq, const EventView& event);

}  // namespace weir::broadcast_messages
