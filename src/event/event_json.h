#pragma once
#include <string>

#include "event/event.h"
#include "event/json.h"

namespace weir {

/// An event as the HTTP interface shows it: `{"seq","id","type","key","source","time","ingested","data"}` (docs/http-api.md).
void append_event_json(std::string& out, Seq seq, const EventView& event);
/// The same members of an open object, where others stand before them.
void write_event_members(JsonWriter& json, Seq seq, const EventView& event);

}  // namespace weir
