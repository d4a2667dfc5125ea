#include "gateway/dialects/broadcast_messages.h"

#include "base/assert.h"
#include "event/json.h"

namespace weir::broadcast_messages {
namespace {

constexpr std::string_view kSequence = "stream_sequence", kTimestamp = "server_timestamp";

/// Whether `data` could have a member of these names. An escape may spell anything.
bool may_name(std::string_view data) {
    return data.find(kSequence) != std::string_view::npos || data.find(kTimestamp) != std::string_view::npos || data.find("\\u") != std::string_view::npos;
}

}  // namespace

void append_welcome(std::string& out, const BroadcastOptions& options, Seq head) {
    JsonWriter json(out);
    json.object().member("type", "welcome").member("message", options.message);
    json.member(options.counter, head.value).member("stream_rate", options.stream_rate).end();
}

void append_record(std::string& out, Seq seq, const EventView& event) {
    std::string_view data = event.data;
    // What was tapped from a broadcast brings its place there. Of a member that stands twice one parser takes the first, another refuses all.
    std::string rest;
    if (may_name(data)) {
        if (auto json = Json::parse(data); json.ok() && json->is_object()) {
            const auto erased = std::erase_if(json->members(), [](const auto& member) { return member.first == kSequence || member.first == kTimestamp; });
            if (erased > 0) data = rest = json->text();
        }
    }
    while (!data.empty() && data.back() != '}') data.remove_suffix(1);
    WEIR_ASSERT(data.size() >= 2);
    data.remove_suffix(1);
    while (data.back() == ' ' || data.back() == '\t') data.remove_suffix(1);
    out += data;
    if (data.back() != '{') out += ',';
    out.append("\"").append(kSequence).append("\":");
    out += std::to_string(seq.value);
    out.append(",\"").append(kTimestamp).append("\":\"");
    append_rfc3339(out, event.ingested);
    out += "\"}";
}

}  // namespace weir::broadcast_messages
