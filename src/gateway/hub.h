#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/paged_table.h"
#include "base/prng.h"
#include "config/gateway_options.h"
#include "gateway/audience.h"
#include "gateway/dialects/dialect.h"
#include "gateway/group_home.h"
#include "gateway/history.h"
#include "gateway/reader_pool.h"
#include "gateway/resume_token.h"
#include "gateway/session.h"
#include "gateway/stream_directory.h"
#include "log/log.h"
#include "net/reactor.h"
#include "net/websocket_deflate.h"

namespace weir {

/// What a hub has counted since its start; `streams` by name. Read between turns.
struct HubCounts {
    std::uint64_t sessions = 0, sessions_opened = 0, subscriptions = 0, audiences = 0;
    std::uint64_t encodes = 0, spliced = 0, events = 0, messages_in = 0, history_reads = 0, ignored_members = 0;
    std::uint64_t ring_bytes = 0;
    GroupHome::Counts groups;  ///< of those at home here
    std::map<StreamName, DeliveryCounts> streams;
    std::map<std::string, std::uint64_t> errors;  ///< by code
};

/// The middle of the gateway on one reactor: follows the log, finds each event's audiences, encodes once for each, and lets their sessions
/// send (the walk of a reading, step 5).
///
/// It reads the log's tail on the reactor's thread; when it has fallen behind the tail, a thread of the reader pool reads for it. It never waits:
/// a slow session is only an old cursor into a ring.
///
/// Thread: the reactor's, except `woken`, which any may call. Make it before the reactor runs.
class Hub {
public:
    /// The stream whose events are told to sessions that never asked (S3-6).
    static constexpr std::string_view kNoticeStream = "notices";

    struct Parts {
        net::Reactor& reactor;
        Log& log;
        const Clock& clock;
        ReaderPool& pool;
        const StreamDirectory& directory;
        const GatewayOptions& options;
        std::atomic<std::size_t>& sessions;  ///< of all hubs together, and who waits at their doors
        const ResumeTokens& resume;
        Authenticator& authenticator;
        Groups& groups;
    };
    explicit Hub(const Parts& parts, std::uint64_t seed);
    ~Hub();
    Hub(const Hub&) = delete;
    Hub& operator=(const Hub&) = delete;

    net::Reactor& reactor() { return parts_.reactor; }
    Log& log() { return parts_.log; }
    const GatewayOptions& options() const { return parts_.options; }
    const StreamDirectory& directory() const { return parts_.directory; }
    const Clock& clock() const { return parts_.clock; }
    const ResumeTokens& resume_tokens() const { return parts_.resume; }
    ReaderPool& pool() { return parts_.pool; }
    Groups& groups() { return parts_.groups; }
    GroupHome& group_home() { return group_home_; }
    /// Commit time of what was handed out last: what stands in a resume token.
    Timestamp handed_out() const { return handed_out_; }
    /// An id for an event that a client sends without one.
    std::string next_id();
    Authenticator& authenticator() { return parts_.authenticator; }

    // Sessions.

    /// A new one; the caller accepts its connection with it as handler and then calls Session::start.
    Session& open(Dialect& dialect, IdentityPtr identity);
    /// Null once it has ended.
    Session* find(std::uint64_t number);
    void closed(Session& session);
    /// Somebody waits to be let in, and takes a place meanwhile; and no more.
    void came_to_door() { parts_.sessions.fetch_add(1, std::memory_order_relaxed); }
    void left_door() { parts_.sessions.fetch_sub(1, std::memory_order_relaxed); }
    /// Whether gateway.max_connections sessions are open, over all hubs.
    bool is_full() const { return parts_.sessions.load(std::memory_order_relaxed) >= parts_.options.max_connections; }
    template <class F>
    void each_session(F&& f) {
        sessions_.each(f);
    }

    // Streams and subscriptions.

    /// The stream as the hub knows it: in the log or in the configuration. Null for any other, and for hidden ones.
    HubStream* stream(std::string_view name);
    /// Whether a client may write there, also if that makes it.
    bool has_room_for(std::string_view name) { return stream(name) != nullptr || streams_.size() < parts_.options.streams_max; }
    const std::map<StreamName, std::unique_ptr<HubStream>, std::less<>>& streams() const { return streams_; }
    bool has_type(StreamType type) const;
    /// How many sessions get the stream as a broadcast now.
    std::size_t broadcast_clients(std::string_view name);

    struct Wanted {
        DialectKind dialect = DialectKind::analytics;
        StreamType type = StreamType::data;
        std::vector<StreamName> streams;  ///< empty: all of the type
        Filter filter;
        std::string own_id;
        int deflate_window = 0;  ///< Connection::deflate_window
        bool cbor = false;
        std::uint64_t characteristic = 0;
        std::shared_ptr<const Permissions> limits;  ///< spc: of a bounded token
        std::string group;         ///< shared out among the sessions that name it
        bool acknowledged = false; ///< of a group: its client says when it is done with an event
    };
    /// The shared subscription for this; made if nobody has it yet. To be held by a session at once.
    Subscription& subscription(Wanted wanted);
    /// Nobody holds it any more.
    void forget(Subscription& subscription);

    /// Whether an event of this characteristic was ever seen, and is within these permissions.
    bool knows_characteristic(std::uint64_t id, const Permissions& permissions) const;
    /// Learns from an event which characteristics there are, where their events are, and in which room each is (S3-33).
    void learn(const StreamName& stream, const EventView& event);
    /// While the newest events of the log are read after a start, rooms and their streams are not complete. Messages that depend on them wait:
    /// `defer` keeps one until then, and says whether it has.
    void learning_begins() { ++learning_; }
    void learning_ends();
    bool defer(Session& session, net::MessageKind kind, std::string_view payload);
    /// The path of a characteristic; empty while none is known.
    const std::string& room_of(std::uint64_t characteristic) const;
    std::vector<std::uint64_t> room_members(std::string_view group) const;
    /// Whether the room `group` is, or holds, the one at `path`.
    static bool is_in_room(std::string_view path, std::string_view group) {
        return path.starts_with(group) && (path.size() == group.size() || path[group.size()] == '/');
    }

    /// Streams that carried events of characteristics, and those that `since` names: whose past is a characteristic's.
    std::vector<const HubStream*> characteristic_streams(const Since& since) const;
    /// The characteristic that an event is about, where the spc dialect carries it.
    static std::optional<std::uint64_t> characteristic_of(const EventView& event);

    /// Asks the pool for the next step of a session's history; answered by Session::history_arrived.
    void read_history(std::uint64_t session, std::uint32_t ticket, std::shared_ptr<HistoryReader> reader);
    /// Session::woken at this time.
    void wake_session(std::uint64_t session, Duration at);
    net::Inflater& inflater();

    /// Called for every event, before it is handed out: how the newest events by key are kept.
    std::function<void(const HubStream&, const Batch&, std::size_t)> on_event;

    /// It is too far behind: its policy acts at the end of the current work.
    void overflowed(Session& session) { behind_.push_back(session.number()); }
    /// Counts an error that was sent, by its code.
    void count(GatewayError error) { ++errors_[static_cast<std::size_t>(error)]; }
    HubCounts counts();
    std::uint64_t encodes() const { return encodes_; }
    void count_encodes(std::uint64_t n) { encodes_ += n; }
    std::uint64_t ignored_members = 0, messages_in = 0;

    /// Up to which commit the log was followed.
    CommitNo position() const { return position_; }
    /// Once a second: rings that nobody needs, heartbeats, silent streams of Server-Sent Events.
    void sweep();
    /// A flush pass has ended: a burst goes on.
    void flushed() {
        if (!flush_pending_) return;
        flush_pending_ = false;
        ++pass_;
        if (!unread_.empty()) signal_.raise();
    }
    /// Ends every session with 1001.
    void say_goodbye();

    /// What all subscriptions of a dialect and type share of an event's message. Thread: any.
    static void append_rest(std::string& out, DialectKind dialect, StreamType type, const Batch& batch, std::size_t i);
    /// 64 bits of a text. FNV-1a; http://www.isthe.com/chongo/tech/comp/fnv
    static std::uint64_t fingerprint(std::string_view text);
    /// Encodes the frame of one event for one subscription; for history, on any thread. False where its payload would be larger than
    /// `payload_max`: then what the dialect says of that is appended in its place, if anything.
    static bool append_frame(std::string& out, const Subscription& subscription, const Batch& batch, std::size_t i, std::size_t payload_max);
    /// What is told of an event that no message can hold.
    static HistoryStep::Gap too_large(const Batch& batch, std::size_t i);
    /// What a session is told of events that it will not get; empty where the dialect says nothing.
    static std::string gap_text(const Subscription& subscription, const HistoryStep::Gap& gap);
    /// What a policy has merged and dropped so far.
    static std::string counts_text(const Governor& governor);
    /// One frame with `count` data messages, which are joined already (JSON: with commas).
    static std::string batch_frame(const Subscription& subscription, std::string_view messages, std::size_t count, bool cbor);

private:
    friend class Session;

    struct WaitingHistory {
        std::uint64_t session;
        std::uint32_t ticket;
        std::shared_ptr<HistoryReader> reader;
    };

    void remember(std::uint64_t characteristic, std::string_view stream, const EventView& event);
    void follow();
    void fetch();
    static Result<Left> read_behind(Log& log, CommitNo after, CommitNo head);
    void fetched(Left read);
    void give_up(const Error& error);
    void hand_out();
    void take(HubStream& stream, const Batch& batch, std::size_t i);
    HubStream* stream_of(const Batch& batch);
    void marked() { flush_pending_ = true; }
    void deliver(HubStream& stream, const Batch& batch, std::size_t i);
    void deliver(Audience& audience, const Batch& batch, std::size_t i);
    void leave_out(Audience& audience, const Batch& batch, std::size_t i);
    static bool append_message(std::string& out, const Subscription& subscription, const std::string& text, std::size_t payload_max);
    /// A frame of a group: of one session, so compressed where it is written.
    bool append_shared_frame(std::string& out, const Subscription& subscription, std::string_view payload);
    void append(Audience& audience, std::string_view head, std::string_view rest, net::Compressed compressed);
    void keep_oldest(Audience& audience);
    void tell_gap(HubStream& stream, Seq to);
    void tell_notice(const Batch& batch, std::size_t i);
    void tell_gap(Audience& audience, const HistoryStep::Gap& gap);
    void wake_due();
    void tell_sessions();
    HubStream& make_stream(std::string_view name, Epoch epoch, Seq next);
    Audience& make_audience(Subscription& subscription, HubStream& stream);
    void release(Audience& audience);
    const std::string& rest_of(DialectKind dialect, const HubStream& stream, const Batch& batch, std::size_t i);
    void send_waiting_history();
    bool submit_history(const WaitingHistory& waiting);

    Parts parts_;
    Prng chance_;
    std::uint64_t id_high_;  ///< first half of client ids

    std::map<StreamName, std::unique_ptr<HubStream>, std::less<>> streams_;
    std::unique_ptr<HubStream> spc_stream_;  ///< stands for all streams that carry spc events
    std::unordered_map<std::uint64_t, std::vector<Audience*>> spc_audiences_;  ///< by characteristic
    /// The newest event of a characteristic: what tells whether a bounded token may know of it.
    struct Characteristic {
        StreamName stream;
        std::string id, type, key, source, data;
        Timestamp time, ingested;
    };
    static constexpr std::size_t kCharacteristicsMax = 100'000, kCharacteristicBytesMax = 2048;
    std::unordered_map<std::uint64_t, Characteristic> characteristics_;
    std::set<StreamName> characteristic_streams_;
    struct Room {
        std::string path;
        Timestamp since;  ///< `ingested` of the event that said so
    };
    struct Deferred {
        std::uint64_t session;
        net::MessageKind kind;
        std::string payload;
    };
    std::size_t learning_ = 0;
    std::vector<Deferred> deferred_;
    std::unordered_map<std::uint64_t, Room> rooms_;              ///< by characteristic
    std::set<std::pair<std::string, std::uint64_t>> by_room_;
    std::unordered_map<std::string, std::unique_ptr<Subscription>> subscriptions_;

    PagedTable<Session> sessions_;  ///< by the low half of their numbers
    std::uint32_t next_generation_ = 1;
    std::uint64_t opened_ = 0, history_reads_ = 0;

    CommitNo position_;        ///< read up to here
    Timestamp handed_out_;
    std::uint64_t next_id_ = 0;
    bool reading_ = false;     ///< the pool reads for us
    std::deque<BatchPtr> unread_;     ///< read from the log, not handed out yet
    std::size_t unread_event_ = 0;    ///< of unread_.front()
    std::uint64_t order_ = 0;  ///< of the event at hand
    // A burst is handed out in pieces that fit into the rings with room to spare, and sessions send between them: nobody who keeps up
    // falls behind because many events came at once.
    bool turn_full_ = false;      ///< some ring got its share since the last flush pass
    bool flush_pending_ = false;  ///< a session was marked that has not been asked to write yet
    std::uint64_t pass_ = 1;      ///< number of the flush pass to come
    std::vector<Audience*> dirty_;
    std::vector<std::uint64_t> behind_;
    std::vector<std::uint64_t> cursors_;  ///< scratch of Session::write_live

    // What dialects make of the event at hand, so far.
    struct Rest {
        std::uint64_t order = 0;
        std::string text;
    };
    Rest rests_[4];
    std::string payload_, compressed_, binary_;
    std::uint64_t key_hash_ = 0;
    net::Deflaters deflaters_;
    std::unique_ptr<net::Inflater> inflater_;
    std::uint64_t encodes_ = 0, spliced_ = 0, events_ = 0;
    std::uint64_t errors_[static_cast<std::size_t>(GatewayError::count)] = {};

    std::deque<WaitingHistory> waiting_history_;
    std::multimap<Duration, std::uint64_t> wakes_;
    net::Timer wake_timer_;

    net::Signal signal_;
    std::unique_ptr<Log::Wake> wake_;
    GroupHome group_home_;
};

}  // namespace weir
