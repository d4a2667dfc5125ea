#include "gateway/group.h"

#include "base/assert.h"

namespace weir {
namespace {

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the answer hangs on every bit of the input.
std::uint64_t mixed(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

}  // namespace

void Group::join(Member member) {
    const bool is_new = members_.try_emplace(member).second;
    WEIR_ASSERT(is_new);
}

void Group::leave(Member member, const Hand& hand) {
    const auto at = members_.find(member);
    if (at == members_.end()) return;
    const std::deque<Place> left = std::move(at->second);
    members_.erase(at);
    // All of a key's events were this member's, so none of them is overtaken by one that another has.
    for (const Place& place : left) let_go(events_.at(place).key);
    for (const Place& place : left) {
        const auto event = events_.find(place);
        if (!members_.empty()) {
            give(place, event->second, hand);
        } else {
            bytes_ -= event->second.text->size() + kEventBytes;
            events_.erase(event);
        }
    }
}

void Group::add(GroupEvent event, const Hand& hand) {
    WEIR_ASSERT(!members_.empty());
    const Place place(event.stream, event.seq.value);
    bytes_ += event.text->size() + kEventBytes;
    const auto [at, is_new] = events_.emplace(place, std::move(event));
    WEIR_ASSERT(is_new);
    give(place, at->second, hand);
}

void Group::give(const Place& place, const GroupEvent& event, const Hand& hand) {
    const auto [key, is_new] = keys_.try_emplace(event.key, Key{0, 0});
    if (is_new) key->second.member = owner(event.key);
    ++key->second.events;
    members_.at(key->second.member).push_back(place);
    hand(key->second.member, event);
}

Group::Member Group::owner(std::uint64_t key) const {
    Member best = 0;
    std::uint64_t most = 0;
    for (const auto& [member, places] : members_) {
        const std::uint64_t weight = mixed(key ^ mixed(member));
        if (best != 0 && weight <= most) continue;
        best = member;
        most = weight;
    }
    return best;
}

void Group::let_go(std::uint64_t key) {
    const auto at = keys_.find(key);
    if (--at->second.events == 0) keys_.erase(at);
}

std::size_t Group::acknowledge(Member member, std::size_t count) {
    const auto at = members_.find(member);
    if (at == members_.end()) return 0;
    std::size_t done = 0;
    for (; done < count && !at->second.empty(); ++done) {
        const auto event = events_.find(at->second.front());
        at->second.pop_front();
        let_go(event->second.key);
        bytes_ -= event->second.text->size() + kEventBytes;
        events_.erase(event);
    }
    return done;
}

std::size_t Group::unacknowledged(Member member) const {
    const auto at = members_.find(member);
    return at == members_.end() ? 0 : at->second.size();
}

Seq Group::done(std::uint32_t stream, Seq next) const {
    const auto first = events_.lower_bound({stream, 0});
    const bool any = first != events_.end() && first->first.first == stream;
    return Seq{(any ? std::min(first->first.second, next.value) : next.value) - 1};
}

}  // namespace weir
