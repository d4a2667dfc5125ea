// Which characteristics there are, where their events lie, and in which room each is: what the hub learns from the events that it hands out.
#include "gateway/hub.h"

#include "base/assert.h"
#include "event/json_path.h"
#include "gateway/dialects/spc_messages.h"

namespace weir {

void Hub::remember(std::uint64_t id, std::string_view stream, const EventView& event) {
    if (characteristics_.size() >= kCharacteristicsMax && !characteristics_.contains(id)) return;
    Characteristic& known = characteristics_[id];
    known.stream = stream;
    known.id = event.id;
    known.type = event.type;
    known.key = event.key;
    known.source = event.source;
    // One that is too large to be kept is within no filter.
    known.data = event.data.size() <= kCharacteristicBytesMax ? event.data : std::string_view();
    known.time = event.time;
    known.ingested = event.ingested;
}

bool Hub::knows_characteristic(std::uint64_t id, const Permissions& permissions) const {
    const auto at = characteristics_.find(id);
    if (at == characteristics_.end()) return false;
    const Characteristic& known = at->second;
    if (!permissions.sees(known.stream, parts_.directory.type_of(known.stream))) return false;
    if (permissions.filter.matches_all()) return true;
    if (known.data.empty()) return false;
    EventView event;
    event.id = known.id;
    event.type = known.type;
    event.key = known.key;
    event.source = known.source;
    event.data = known.data;
    event.time = known.time;
    event.ingested = known.ingested;
    return Boundary(permissions.filter).sees(known.stream, event);
}

std::optional<std::uint64_t> Hub::characteristic_of(const EventView& event) {
    return spc_messages::is_spc_type(event.type) ? spc_messages::characteristic_id(event.data) : std::nullopt;
}

void Hub::learn(const StreamName& stream, const EventView& event) {
    static const JsonPath path(*JsonPointer::parse("/path"));
    const bool carried = spc_messages::is_spc_type(event.type);
    if (!carried && !event.type.starts_with("characteristic")) return;
    const auto id = spc_messages::characteristic_id(event.data);
    if (!id) return;
    remember(*id, stream, event);
    if (carried) characteristic_streams_.insert(stream);
    auto room = path.string(event.data);
    if (!room || room->empty()) return;
    // What is read after a start may be older than what has come since.
    Room& known = rooms_[*id];
    if (!known.path.empty() && event.ingested < known.since) return;
    known.since = event.ingested;
    if (known.path == *room) return;
    by_room_.erase({known.path, *id});
    known.path = *std::move(room);
    by_room_.insert({known.path, *id});
    each_session([&](Session& session) { session.room_changed(*id); });
}

bool Hub::defer(Session& session, net::MessageKind kind, std::string_view payload) {
    if (learning_ == 0) return false;
    deferred_.push_back({session.number(), kind, std::string(payload)});
    session.connection().pause_reading();
    return true;
}

void Hub::learning_ends() {
    WEIR_ASSERT(learning_ > 0);
    if (--learning_ > 0) return;
    for (const auto& [number, kind, payload] : std::exchange(deferred_, {}))
        if (Session* session = find(number); session && !session->connection().closing()) {
            session->dialect().message(*session, kind, payload);
            session->connection().resume_reading();
        }
}

const std::string& Hub::room_of(std::uint64_t characteristic) const {
    static const std::string none;
    const auto at = rooms_.find(characteristic);
    return at == rooms_.end() ? none : at->second.path;
}

std::vector<std::uint64_t> Hub::room_members(std::string_view group) const {
    std::vector<std::uint64_t> members;
    for (auto at = by_room_.lower_bound({std::string(group), 0}); at != by_room_.end() && at->first.starts_with(group); ++at)
        if (is_in_room(at->first, group)) members.push_back(at->second);
    return members;
}

std::vector<const HubStream*> Hub::characteristic_streams(const Since& since) const {
    std::vector<const HubStream*> found;
    const auto* positions = std::get_if<Since::Positions>(&since.at);
    for (const auto& [name, stream] : streams_)
        if (characteristic_streams_.contains(name) || (positions && positions->contains(name))) found.push_back(stream.get());
    return found;
}

}  // namespace weir
