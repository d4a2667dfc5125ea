#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "event/event.h"

namespace weir {

/// One event on its way through a group.
struct GroupEvent {
    std::uint32_t stream = 0;  ///< number of the stream within the group
    Epoch epoch;
    Seq seq{1};
    std::uint64_t key = 0;     ///< hash of its key; where it has none, of its place: then it goes to anybody
    std::shared_ptr<const std::string> text;  ///< what stands in its message behind the subscription's id
};

/// How a group shares events out among its members, and which of them are not acknowledged yet. Nothing of threads, sockets or the log.
///
/// An event goes to one member. Which one follows from its key by rendezvous hashing, so that a member who comes or goes moves only the keys that
/// are its own; but a key of which something is unacknowledged stays where it is. So at any time one member has to do with a key, and gets its
/// events in order, whoever comes or goes. What a member leaves behind goes to the others in the order in which it had it.
/// Source: Thaler and Ravishankar, Using Name-Based Mappings to Increase Hit Rates, 1998.
///
/// Thread: one owner. Cost: O(members) an event. Memory: the texts and about 200 bytes an event that is not acknowledged (`bytes` counts both).
class Group {
public:
    using Member = std::uint64_t;  ///< never given twice
    using Hand = std::function<void(Member, const GroupEvent&)>;
    static constexpr std::size_t kEventBytes = 200;  ///< what is kept of an event beside its text

    void join(Member member);
    /// It takes nothing more. What it has not acknowledged is handed to the others; of the last member, forgotten.
    void leave(Member member, const Hand& hand);
    /// Hands it to the member whose it is. There is one.
    void add(GroupEvent event, const Hand& hand);
    /// The `count` events that it was handed first, and has not acknowledged, are done. Answers how many that were.
    std::size_t acknowledge(Member member, std::size_t count);

    std::size_t members() const { return members_.size(); }
    bool has(Member member) const { return members_.contains(member); }
    std::size_t unacknowledged() const { return events_.size(); }
    std::size_t unacknowledged(Member member) const;
    std::size_t bytes() const { return bytes_; }
    /// Everything up to it is done, where everything before `next` was added or is not the group's.
    Seq done(std::uint32_t stream, Seq next) const;

private:
    using Place = std::pair<std::uint32_t, std::uint64_t>;  ///< stream, seq
    struct Key {
        Member member;
        std::size_t events;  ///< unacknowledged
    };
    Member owner(std::uint64_t key) const;
    void give(const Place& place, const GroupEvent& event, const Hand& hand);
    void let_go(std::uint64_t key);

    std::map<Place, GroupEvent> events_;
    std::map<Member, std::deque<Place>> members_;  ///< what each has not acknowledged, in the order in which it was handed
    std::unordered_map<std::uint64_t, Key> keys_;  ///< those with something unacknowledged
    std::size_t bytes_ = 0;
};

}  // namespace weir
