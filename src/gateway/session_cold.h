#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gateway/auth/token_bucket.h"
#include "gateway/group_home.h"
#include "gateway/session.h"

namespace weir {

/// The past of some audiences on its way to the session: one step at a time, read by the pool, then sent.
struct Session::CatchUp {
    std::vector<Audience*> audiences;    ///< by the frames' target; null: it was left meanwhile
    std::vector<std::uint32_t> waiting;  ///< frames of `step` that are not sent yet, by target
    std::uint32_t ticket;
    std::shared_ptr<HistoryReader> reader;
    /// spc: where the streams that are not read stood when it began. What of them a ring lets go of is read as well.
    std::map<StreamName, Since::Position, std::less<>> live;
    HistoryStep step;
    bool in_flight = true;
    std::size_t frame = 0, byte = 0;  ///< of `step`: what is sent already
};

/// What a session of the spc dialect asked for; what it holds follows from it and from where characteristics are.
struct Session::Rooms {
    std::set<std::uint64_t> own;
    std::set<std::string, std::less<>> groups;
};

/// Its share of a group. Bounded by what the group may have unacknowledged.
struct Session::Shared {
    struct Waiting {
        HubStream* stream;
        GroupEvent event;
    };
    struct Sent {
        HubStream* stream;
        Epoch epoch;
        Seq seq;
        bool told;  ///< false: it was too large to be sent
    };
    Subscription* subscription = nullptr;
    GroupHome* home = nullptr;
    Group::Member member = 0;
    std::deque<Waiting> waiting;  ///< the kernel has not taken it
    std::deque<Sent> sent;        ///< the client is to say that it is done with it
};

/// What only some sessions need, and only at times.
struct Session::Cold {
    std::vector<std::unique_ptr<CatchUp>> catch_ups;
    std::vector<std::unique_ptr<Governor>> governors;
    std::vector<std::unique_ptr<Shared>> shared;
    std::unique_ptr<Rooms> rooms;
    std::optional<TokenBucket> publish;
    std::uint32_t next_ticket = 1;
    std::uint64_t merged = 0;
    std::uint64_t dropped[static_cast<std::size_t>(Drop::count)] = {};
    Duration wake_at{0};  ///< the hub will wake it then; 0: it was not asked to
};

}  // namespace weir
