// A session as a member of groups: what it was handed, what of that it has sent, and what its client is done with.
#include "base/assert.h"
#include "event/cbor.h"
#include "event/json.h"
#include "gateway/dialects/analytics_messages.h"
#include "gateway/hub.h"
#include "gateway/session_cold.h"

namespace weir {
namespace {
constexpr std::size_t kPassBytes = 64 * 1024;  ///< made into frames and offered to the kernel at once
}

Session::Shared* Session::shared_of(const Subscription& subscription) {
    if (cold_)
        for (const auto& shared : cold_->shared)
            if (shared->subscription == &subscription) return shared.get();
    return nullptr;
}

Session::Shared* Session::shared_of(Group::Member member) {
    if (cold_)
        for (const auto& shared : cold_->shared)
            if (shared->member == member) return shared.get();
    return nullptr;
}

void Session::join_group(Subscription& subscription, const Groups::Begins& begins) {
    const bool is_new = hold_place(subscription);
    WEIR_ASSERT(is_new);
    auto& shared = *cold().shared.emplace_back(std::make_unique<Shared>());
    shared.subscription = &subscription;
    shared.home = &hub_.groups().home(subscription.group);
    shared.member = hub_.groups().next_member();
    GroupHome::Joining joining{.name = subscription.group, .member = shared.member, .at = &hub_.group_home(), .session = number_,
                               .type = subscription.type, .streams = subscription.streams, .filter = subscription.filter};
    shared.home->tell([home = shared.home, joining = std::move(joining), begins] { home->join(joining, begins); });
}

/// What it had not sent is dropped here, and handed to others by the group.
void Session::leave_group(const Subscription& subscription, Drop reason) {
    Shared* shared = shared_of(subscription);
    if (!shared) return;
    for (const auto& waiting : shared->waiting) count_drop(*waiting.stream, 1, reason);
    shared->home->tell([home = shared->home, name = subscription.group, member = shared->member] { home->leave(name, member); });
    std::erase_if(cold_->shared, [&](const auto& one) { return one.get() == shared; });
}

void Session::group_arrived(Group::Member member, const std::vector<GroupDelivery>& deliveries) {
    Shared* shared = shared_of(member);
    if (!shared || connection_->closing()) return;
    for (const auto& [name, event] : deliveries) {
        HubStream* stream = hub_.stream(*name);
        if (!stream) stream = &hub_.make_stream(*name, event.epoch, Seq{1});  // the group's home has heard of it first
        shared->waiting.push_back({stream, event});
        ++stream->counts.matched;
        ++matched_base_;
    }
    connection_->mark_dirty();
}

void Session::group_gap(Group::Member member, const HistoryStep::Gap& gap) {
    if (const Shared* shared = shared_of(member); shared && !connection_->closing()) reply(Hub::gap_text(*shared->subscription, gap));
}

bool Session::acknowledge(const Subscription& subscription, const Since::Positions& positions) {
    Shared* shared = shared_of(subscription);
    if (!shared || !subscription.acknowledged) return false;
    auto& sent = shared->sent;
    for (const auto& [name, position] : positions) {
        const HubStream* stream = hub_.stream(name);
        const auto at = !stream ? sent.end() : std::find_if(sent.begin(), sent.end(), [&, p = position](const auto& one) { return one.seq == p.seq && one.stream == stream && one.epoch == p.epoch; });
        if (at == sent.end()) continue;  // done already, or never sent to this member
        // With it goes what could not be sent behind it: of that the client does not know.
        const auto end = std::find_if(at + 1, sent.end(), [](const auto& one) { return one.told; });
        const auto done = static_cast<std::size_t>(end - sent.begin());
        sent.erase(sent.begin(), end);
        shared->home->tell([home = shared->home, name = subscription.group, member = shared->member, done] { home->acknowledge(name, member, done); });
    }
    return true;
}

/// False when the kernel takes no more.
bool Session::write_groups() {
    for (std::size_t i = 0; i < cold_->shared.size(); ++i) {
        const bool room = write_group(*cold_->shared[i]);
        if (!room) return false;
    }
    return true;
}

bool Session::write_group(Shared& shared) {
    const Subscription& subscription = *shared.subscription;
    std::string frames, payload;
    struct Frame {
        std::size_t size;
        bool too_large;  ///< it tells that the event cannot be sent
    };
    std::vector<Frame> made;
    bool room = true;
    std::size_t done = 0;
    while (room && !shared.waiting.empty()) {
        frames.clear();
        made.clear();
        for (auto at = shared.waiting.begin(); at != shared.waiting.end() && frames.size() < kPassBytes; ++at) {
            const std::size_t before = frames.size();
            payload.clear();
            analytics_messages::append_data_head(payload, subscription.id);
            payload += *at->event.text;
            const bool fits = hub_.append_shared_frame(frames, subscription, payload);
            if (!fits) hub_.append_shared_frame(frames, subscription, Hub::gap_text(subscription, {at->stream->name, at->event.epoch, at->event.seq, at->event.seq, "too_large"}));
            made.push_back({frames.size() - before, !fits});
        }
        std::size_t taken = frames.empty() ? 0 : connection_->try_write(frames), at = 0;
        for (const auto [size, too_large] : made) {
            if (size > taken) break;  // WebSocket frames are taken whole
            taken -= size;
            ++at;
            const auto& [stream, event] = shared.waiting.front();
            if (too_large) {
                count_drop(*stream, 1, Drop::too_large);  // and done with: nobody can be sent it
            } else {
                ++stream->counts.delivered;
                ++hub_.spliced_;
                ++delivered_;
            }
            if (subscription.acknowledged && (!too_large || !shared.sent.empty())) shared.sent.push_back({stream, event.epoch, event.seq, !too_large});
            else ++done;
            shared.waiting.pop_front();
        }
        room = at == made.size() && !connection_->blocked() && !connection_->closing();
    }
    if (done > 0) shared.home->tell([home = shared.home, name = subscription.group, member = shared.member, done] { home->acknowledge(name, member, done); });
    return room;
}

void Session::count_group_queues(std::map<StreamName, DeliveryCounts>& streams) const {
    if (!cold_) return;
    for (const auto& shared : cold_->shared)
        for (const auto& waiting : shared->waiting) ++streams[waiting.stream->name].queued;
}

}  // namespace weir
