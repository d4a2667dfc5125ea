#include "gateway/dialects/broadcast_messages.h"

#include "base/assert.h"
#include "event/json.h"

namespace weir::broadcast_messages {

void append_welcome(std::string& out, const BroadcastOptions& options, Seq head) {
    JsonWriter json(out);
    json.object().member("type", "welcome").member("message", options.message);
    json.member(options.counter, head.value).member("stream_rate", options.stream_rate).end();
}

void append_record(std::string& out, Seq seq, const EventView& event) {
    std::string_view data = event.data;
    while (!data.empty() && data.back() != '}') data.remove_suffix(1);
    WEIR_ASSERT(data.size() >= 2);
    data.remove_suffix(1);
    while (data.back() == ' ' || data.back() == '\t') data.remove_suffix(1);
    out += data;
    if (data.back() != '{') out += ',';
    out += "\"stream_sequence\":";
    out += std::to_string(seq.value);
    out += ",\"server_timestamp\":\"";
    append_rfc3339(out, event.ingested);
    out += "\"}";
}

}  // namespace weir::broadcast_messages
