#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/diag.h"
#include "base/guarded.h"
#include "config/log_options.h"
#include "event/filter.h"
#include "gateway/groups.h"
#include "net/reactor.h"

namespace weir {

class Hub;
struct HubStream;

/// An event as it reaches the session of the member whose it is.
struct GroupDelivery {
    std::shared_ptr<const StreamName> stream;
    GroupEvent event;
};

/// The groups whose home this reactor is, and the door by which other reactors reach them and the sessions here.
///
/// A group is a reader of the log like any: the pool reads for it from its position on, over all its streams in the order of their commits, up to
/// where the hub is; `Group` says whose each event is, and the session of that member gets it, wherever that lives. What is not acknowledged is at
/// most gateway.group_unacked_bytes: at that bound the group reads no more, and a member that acknowledges nothing for gateway.group_timeout is
/// closed, so that the others get what it has. Positions are committed a few times a second.
///
/// Thread: the reactor's, except `tell`, which any may call.
class GroupHome {
public:
    GroupHome(Hub& hub, Groups& groups);
    ~GroupHome();
    GroupHome(const GroupHome&) = delete;
    GroupHome& operator=(const GroupHome&) = delete;

    /// Runs it on this reactor, behind what was told before by the same thread. Nothing told is ever lost; how much can wait is bounded by what a
    /// group may have unacknowledged, and by the sessions.
    void tell(std::function<void()> task);

    // Of a group at home here; by way of `tell`.

    struct Joining {
        std::string name;
        Group::Member member;
        GroupHome* at;          ///< where its session lives
        std::uint64_t session;
        StreamType type;
        std::vector<StreamName> streams;
        Filter filter;
    };
    void join(const Joining& joining, const Groups::Begins& begins);
    void leave(const std::string& name, Group::Member member);
    void acknowledge(const std::string& name, Group::Member member, std::size_t count);
    /// The book has forgotten it: so does the log.
    void remove(const std::string& name);

    /// The hub has handed out more.
    void advanced();
    struct Counts {
        std::uint64_t groups = 0, members = 0, unacknowledged = 0;
    };
    Counts counts() const;

    // At the end, when no reactor runs any more: what was told last (false: nothing), then the positions.
    bool settle() { return take(); }
    void save_all();

private:
    using Unsaved = std::map<std::string, std::optional<Groups::Saved>>;  ///< nullopt: the group is no more
    struct Reading;
    struct Member {
        GroupHome* at;
        std::uint64_t session;
        Duration progress;  ///< when it last acknowledged something, or got something while it had nothing
    };
    struct Part {
        const HubStream* stream;
        std::shared_ptr<const StreamName> name;
        std::optional<Seq> next;  ///< everything before it is with the members, or none of the group's; nullopt: nothing is read yet
        Seq end{1};               ///< how far it may be read
    };
    struct Running {
        Group group;
        std::uint64_t number = 0;  ///< tells it from an earlier one of the name
        std::map<Group::Member, Member> members;
        StreamType type = StreamType::data;
        std::vector<StreamName> streams;
        std::vector<Part> parts;
        std::map<StreamName, Since::Begin, std::less<>> begins;
        std::shared_ptr<Reading> reading;
        std::size_t streams_seen = 0;  ///< of the hub: so many are covered, or not the group's
        bool in_flight = false;        ///< the pool reads for it
        bool rest = false;             ///< there is something to read
        bool changed = true;           ///< its positions have moved since they were noted
        Timestamp noted;
        Duration full_since{0};        ///< 0: it is not at its bound
    };

    bool take();
    void cover(Running& running);
    void go_on(const std::string& name, Running& running);
    void arrived(const std::string& name, std::uint64_t number, HistoryStep& step, std::vector<GroupEvent>& events);
    void send(Running& running, std::map<Group::Member, std::vector<GroupDelivery>>& handed);
    bool is_full(const Running& running) const;
    void watch_bound(Running& running);
    Groups::Begins positions(const Running& running) const;
    void note(const std::string& name, Running& running);
    void hurry();
    void tick();
    static Commit commit_of(const Unsaved& unsaved);
    void save();

    Hub& hub_;
    Groups& groups_;
    Guarded<std::vector<std::function<void()>>> told_;
    net::Signal signal_;
    net::Timer timer_;
    bool soon_ = false;  ///< the timer is set for the next tick
    std::map<std::string, Running> running_;
    std::uint64_t next_number_ = 1;

    // On their way to the log.
    Unsaved unsaved_, saving_;
    std::shared_ptr<Guarded<std::optional<std::string>>> answer_;  ///< of the commit that is under way: an empty text is good
    diag::RateLimiter warnings_{60'000'000};
};

}  // namespace weir
