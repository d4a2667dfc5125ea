// What a session of the spc dialect holds: the characteristics that it named, and those of its groups, whoever joins them later (S3-33).
#include "gateway/hub.h"
#include "gateway/session_cold.h"

namespace weir {

const Session::Rooms* Session::rooms() const { return cold_ ? cold_->rooms.get() : nullptr; }

bool Session::follows(std::string_view group) const {
    if (!rooms()) return false;
    const auto& groups = rooms()->groups;
    return std::any_of(groups.begin(), groups.end(), [&](const auto& own) { return Hub::is_in_room(own, group) || Hub::is_in_room(group, own); });
}

// Without groups it wants what it holds, and keeps no list of it.
bool Session::wants(std::uint64_t characteristic) const {
    const Rooms& rooms = *cold_->rooms;
    if (rooms.own.contains(characteristic)) return true;
    const std::string& path = hub_.room_of(characteristic);
    return !path.empty() && std::any_of(rooms.groups.begin(), rooms.groups.end(), [&](const auto& group) { return Hub::is_in_room(path, group); });
}

void Session::take_rooms(std::span<const std::uint64_t> ids, std::span<const std::string> groups, const Since& since) {
    if (groups.empty() && !rooms()) return take_or_leave({ids.begin(), ids.end()}, since);
    if (!cold().rooms) {
        cold_->rooms = std::make_unique<Rooms>();
        for (const Held& held : held_) cold_->rooms->own.insert(held.subscription->characteristic);
    }
    cold_->rooms->own.insert(ids.begin(), ids.end());
    cold_->rooms->groups.insert(groups.begin(), groups.end());
    std::vector<std::uint64_t> touched(ids.begin(), ids.end());
    for (const auto& group : groups) {
        const auto members = hub_.room_members(group);
        touched.insert(touched.end(), members.begin(), members.end());
    }
    take_or_leave(std::move(touched), since);
}

std::unordered_set<std::uint64_t> Session::characteristics() const {
    std::unordered_set<std::uint64_t> found;
    for (const Held& held : held_) found.insert(held.subscription->characteristic);
    return found;
}

void Session::leave_rooms(std::span<const std::uint64_t> ids, std::span<const std::string> groups) {
    // Only what it holds is looked at: a client may name as much as a message has room for.
    const auto held = characteristics();
    std::vector<std::uint64_t> touched;
    const auto touch = [&](std::span<const std::uint64_t> some) { std::copy_if(some.begin(), some.end(), std::back_inserter(touched), [&](auto id) { return held.contains(id); }); };
    touch(ids);
    if (!rooms()) {
        for (const auto id : touched) drop(std::to_string(id));
        return;
    }
    for (const auto id : ids) cold_->rooms->own.erase(id);
    for (const auto& group : groups)
        if (cold_->rooms->groups.erase(group) > 0) touch(hub_.room_members(group));
    take_or_leave(std::move(touched), {});
}

void Session::room_changed(std::uint64_t characteristic) {
    if (!cold_ || !cold_->rooms || cold_->rooms->groups.empty()) return;
    // What was in the room is sent, also what waits still.
    if (const Held* held = find(std::to_string(characteristic)); held && !wants(characteristic)) finish(*held->subscription->audiences.front());
    take_or_leave({characteristic}, {});
}

void Session::finish(const Audience& audience) {
    if (!connection_->blocked()) write_live();
    Place& place = place_of(audience);
    const FrameRing& ring = audience.ring;
    while (!place.catching_up && place.cursor < ring.end() && place.cursor >= ring.begin() && connection_->send_encoded(ring.bytes(place.cursor))) {
        ++place.cursor;
        ++delivered_;
        ++place.audience->stream.counts.delivered;
    }
}

void Session::take_or_leave(std::vector<std::uint64_t> characteristics, const Since& since) {
    std::sort(characteristics.begin(), characteristics.end());
    characteristics.erase(std::unique(characteristics.begin(), characteristics.end()), characteristics.end());
    std::vector<Subscription*> fresh;
    for (const auto id : characteristics) {
        const std::string name = std::to_string(id);
        const bool held = find(name), wanted = !rooms() || wants(id);
        if (held && !wanted) drop(name);
        if (held || !wanted) continue;
        Hub::Wanted subscription;
        subscription.dialect = DialectKind::spc;
        subscription.characteristic = id;
        subscription.deflate_window = connection_->deflate_window();
        subscription.cbor = cbor_;
        if (const Permissions& may = identity_->permissions; may.bounded()) subscription.limits = std::make_shared<const Permissions>(may);
        fresh.push_back(&hub_.subscription(std::move(subscription)));
    }
    hold_characteristics(fresh, since);
}

}  // namespace weir
