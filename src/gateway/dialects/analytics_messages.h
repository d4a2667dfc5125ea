#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/log_options.h"
#include "event/event.h"
#include "gateway/errors.h"

namespace weir {

/// Where an event stands: what a client resumes from.
struct EventPosition {
    std::string_view stream;
    Epoch epoch;
    Seq seq;
};

/// The six subscription types of source 004 (decisions.md 21) and their streams.
std::string_view subscription_type_name(StreamType type);
std::optional<StreamType> subscription_type(std::string_view name);

// The messages of the analytics dialect (source 004, "Message Types"; spec.md 5), as pure functions. Each appends one JSON text.
namespace analytics_messages {

/// `{"subscription_id":"sub_...",`: the part of a data message that differs by subscription, in front of the shared rest.
void append_data_head(std::string& out, std::string_view subscription_id);
/// Everything behind it, the same for all who get this event under this type: encoded once an event.
/// `event` for events; else `metric`, `alert`, `prediction`, `aggregation` or `status`, holding the event's data as it is.
void append_data_rest(std::string& out, StreamType type, const EventPosition& position, const EventView& event);

void append_pong(std::string& out);
void append_auth_success(std::string& out, std::string_view client_id);
void append_auth_failed(std::string& out);

struct ErrorDetail {
    std::string_view detail = {};
    std::string_view subscription_id = {};
    std::optional<std::int64_t> retry_after_ms = {};
    std::string_view metadata = {};  ///< of the message that it answers, as JSON
};
/// `{"type":"error","data":{"error":<text of the source>,"code":...,"detail":...}}`
void append_error(std::string& out, GatewayError error, const ErrorDetail& detail = {});

struct SubscribedStream {
    std::string_view stream;
    Epoch epoch;
    Seq head;  ///< live begins behind this one, or history ends with it
};
struct Subscribed {
    std::string_view subscription_id;
    StreamType type;
    std::string_view filters;  ///< as understood, canonical
    std::vector<SubscribedStream> streams;
    bool producer = true;      ///< false: nothing makes such events yet
    std::string_view delivery = {};  ///< the policy as understood; none: every event
    std::string_view group = {};     ///< the streams' positions are the group's then
    bool acknowledged = false;
};
void append_subscribed(std::string& out, const Subscribed& subscribed);
void append_resume_token(std::string& out, std::string_view token);
/// What a resume token brought back: the `subscribed` of each, and what is not to be had any more.
struct Resumed {
    struct Refused {
        std::string subscription_id;
        GatewayError error;
        std::string detail;
    };
    std::vector<std::string> subscribed;
    std::vector<Refused> refused;
};
void append_resumed(std::string& out, const Resumed& resumed);
/// `answer`: what the log said of each event, as POST .../events says it. `metadata` of the message that it answers, or empty.
void append_published(std::string& out, std::string_view stream, std::string_view answer, std::string_view metadata);
/// The policy that an `update` has set.
void append_updated(std::string& out, std::string_view subscription_id, std::string_view delivery);
void append_unsubscribed(std::string& out, std::string_view subscription_id);

/// What an operator tells every session: the event's data, as the stream of notices holds it.
void append_notice(std::string& out, const EventPosition& position, const EventView& event);

/// Events that the client asked for by `since` and will not get.
struct Gap {
    std::string_view subscription_id, stream;
    Epoch epoch;                           ///< the present one
    std::optional<Seq> from, to;           ///< missing, both included; unset where it cannot be known
    std::string_view reason;               ///< `retention`, `epoch`, `unknown_epoch`, `future_position`, `history_unavailable`
};
void append_gap(std::string& out, const Gap& gap);

}  // namespace analytics_messages
}  // namespace weir
