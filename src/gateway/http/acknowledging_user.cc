#include "gateway/http/acknowledging_user.h"

namespace weir {

void name_user(const Identity& who, Json& acknowledgement) {
    if (who.holder.empty() || !acknowledgement.is_object()) return;
    const Json* named = acknowledgement.find("user");
    if (named && named->is_string() && !named->as_string().empty() && named->as_string() != who.holder) acknowledgement.set("on_behalf_of", Json(*named));
    acknowledgement.set("user", Json::string(who.holder));
}

void name_user(const Identity& who, std::string_view stream, PushedEvents& pushed) {
    if (who.holder.empty() || (stream != "spc.in" && stream != "alert.in")) return;
    const auto names_user = [](const EventView& event) { return event.type == "acknowledge" || event.type == "shelve" || event.type == "unshelve"; };
    bool any = false;
    for (const EventView event : pushed.events) any = any || names_user(event);
    if (!any) return;
    EventList named;
    for (EventView event : pushed.events) {
        std::string text;
        if (auto data = names_user(event) ? Json::parse(event.data) : Result<Json>(Json()); data.ok() && data->is_object()) {
            name_user(who, *data);
            text = data->text();
            event.data = text;
        }
        named.add(event);
    }
    pushed.events = std::move(named);
}

}  // namespace weir
