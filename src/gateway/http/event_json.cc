#include "gateway/http/event_json.h"

#include "event/json.h"

namespace weir {

void append_event_json(std::string& out, Seq seq, const EventView& event) {
    JsonWriter json(out);
    json.object().member("seq", seq.value).member("id", event.id).member("type", event.type).member("key", event.key);
    json.member("source", event.source).member("time", event.time).member("ingested", event.ingested);
    json.name("data").raw(event.data).end();
}

}  // namespace weir
