#include "event/event_json.h"

namespace weir {

void append_event_json(std::string& out, Seq seq, const EventView& event) {
    JsonWriter json(out);
    write_event_members(json.object(), seq, event);
    json.end();
}

void write_event_members(JsonWriter& json, Seq seq, const EventView& event) {
    json.member("seq", seq.value).member("id", event.id).member("type", event.type).member("key", event.key);
    json.member("source", event.source).member("time", event.time).member("ingested", event.ingested);
    json.name("data").raw(event.data);
}

}  // namespace weir
