#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/log_options.h"
#include "event/filter.h"
#include "event/filter_index.h"
#include "gateway/auth/permissions.h"
#include "gateway/frame_ring.h"

namespace weir {

class Session;
struct Audience;

enum class DialectKind : std::uint8_t { analytics, spc, broadcast, sse };

/// Why a matched event was not delivered (decisions.md 23).
/// `slow`: its session was closed for it; `oldest`: the policy at the bound; `rate`: above max_rate.
enum class Drop : std::uint8_t { closed, slow, unsubscribed, too_large, oldest, rate, count };
std::string_view drop_name(Drop reason);

/// What happened to events on their way to sessions. For each stream, at any instant between turns:
/// matched = delivered + merged + the dropped + queued (D14). `queued` is found by asking the sessions, not by subtracting.
struct DeliveryCounts {
    std::uint64_t matched = 0, delivered = 0, merged = 0, queued = 0;
    std::uint64_t dropped[static_cast<std::size_t>(Drop::count)] = {};
};

/// One stream as the hub sees it.
struct HubStream {
    StreamName name;
    StreamType type = StreamType::data;
    Epoch epoch;
    Seq next{1};  ///< the first seq that the hub has not handed out yet
    FilterIndex index;
    std::vector<Audience*> by_filter;  ///< by the index's ids
    std::vector<Audience*> audiences;
    DeliveryCounts counts;
};

/// What was asked for, in its canonical form: all sessions that asked the same share one (decisions.md 17).
struct Subscription {
    DialectKind dialect = DialectKind::analytics;
    StreamType type = StreamType::data;
    std::vector<StreamName> streams;  ///< sorted; empty: all of the type, also those to come
    Filter filter;
    std::string id;         ///< what stands on the wire: the client's own, or derived from all of this
    int deflate_window = 0;  ///< not 0: its frames are compressed where that pays, by the Deflater of that window
    bool cbor = false;      ///< its frames are binary (RFC 8949)
    std::uint64_t characteristic = 0;  ///< spc
    /// spc, where its token is bounded: what it may see of its characteristic, asked for each event. Else null.
    std::shared_ptr<const Permissions> limits;
    std::unique_ptr<Boundary> boundary;
    std::string group;         ///< analytics: it is shared out among the sessions that name this group; such a one has no audiences
    bool acknowledged = false; ///< of a group: the client says when it is done with an event, else the kernel does
    std::string shared;        ///< of a group: what its members have in common, as text
    std::string key;                   ///< all of the above as one text
    std::uint32_t users = 0;           ///< sessions that have it
    std::vector<std::unique_ptr<Audience>> audiences;  ///< one a stream
};

/// The sessions that get the same frames of one stream.
struct Audience {
    Audience(Subscription& s, HubStream& st, std::size_t ring_bytes) : subscription(s), stream(st), ring(ring_bytes) {}

    struct Member {
        Session* session;
        std::uint32_t place;  ///< index of the attachment in its session
    };
    Subscription& subscription;
    HubStream& stream;
    std::uint32_t filter = 0;  ///< id in the stream's index
    bool dirty = false;        ///< has frames that its sessions have not been told of
    bool used = false;         ///< got a frame since the last sweep
    std::uint64_t pass = 0;    ///< the flush pass for which `fresh` bytes were appended
    std::size_t fresh = 0;
    FrameRing ring;
    std::vector<Member> members;

    /// Frames that the ring let go of while members that conflate had not sent them, the newest of each key: however long such a
    /// member cannot write, it misses nobody's last state. At most the ring's bytes; then those members are slow readers like any.
    struct Kept {
        std::uint64_t key, order;
        std::string bytes;
    };
    std::map<std::uint64_t, Kept> kept;  ///< by frame
    std::unordered_map<std::uint64_t, std::uint64_t> kept_keys;
    std::size_t kept_bytes = 0;
    std::uint64_t kept_from = 0;    ///< nothing before this frame is kept
    std::uint32_t conflating = 0;   ///< members that do
};

}  // namespace weir
