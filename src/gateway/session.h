#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "gateway/audience.h"
#include "gateway/auth/authenticator.h"
#include "gateway/delivery.h"
#include "gateway/errors.h"
#include "gateway/groups.h"
#include "gateway/history.h"
#include "net/connection.h"

namespace weir {

class Dialect;
class Hub;
struct GroupDelivery;

/// A short vector of small things. The first lies within it: most sessions have one subscription to one stream, and each idle
/// one pays for what stands here.
template <class T>
class SmallVector {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    SmallVector() : one_() {}
    ~SmallVector() {
        if (!is_inline()) delete[] items_;
    }
    SmallVector(const SmallVector&) = delete;
    SmallVector& operator=(const SmallVector&) = delete;

    std::uint32_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    T& operator[](std::uint32_t i) { return begin()[i]; }
    const T& operator[](std::uint32_t i) const { return begin()[i]; }
    T* begin() { return is_inline() ? &one_ : items_; }
    T* end() { return begin() + size_; }
    const T* begin() const { return is_inline() ? &one_ : items_; }
    const T* end() const { return begin() + size_; }
    void push_back(const T& item) {
        const T added = item;  // it may lie within
        if (size_ == capacity_) {
            T* items = new T[2 * std::size_t{capacity_}]();
            std::copy(begin(), end(), items);
            if (!is_inline()) delete[] items_;
            items_ = items;
            capacity_ *= 2;
        }
        begin()[size_++] = added;
    }
    void pop_back() { --size_; }

private:
    bool is_inline() const { return capacity_ == 1; }

    union {
        T one_;
        T* items_;
    };
    std::uint32_t size_ = 0, capacity_ = 1;
};

/// One client connection: what it asked for, and how far it has come in each of its audiences.
///
/// It holds no frame: `on_writable` sends from the rings, between its cursors and their ends, in the order of the hub's events, all
/// in one gathered send. A slow session is an old cursor (performance.md, 5); at gateway.session_queue_bytes it is closed with 1013.
/// Thread: the reactor's. Memory: this object while idle (24 bytes more for each further audience); a cold part while it reads history.
class Session final : public net::ConnectionHandler {
public:
    /// `number` is unique within the hub and over time.
    Session(Hub& hub, Dialect& dialect, std::uint64_t number, IdentityPtr identity);
    ~Session();

    /// How its messages are written: texts of JSON, or the same in CBOR (subprotocol weir.cbor).
    enum class Encoding : std::uint8_t { json, cbor };
    /// Once, right after the connection was accepted.
    void start(net::Connection& connection, Encoding encoding = Encoding::json);
    bool is_cbor() const { return cbor_; }

    std::uint64_t number() const { return number_; }
    net::Connection& connection() { return *connection_; }
    Hub& hub() { return hub_; }
    Dialect& dialect() { return *dialect_; }
    /// Whose it is; never null.
    const IdentityPtr& identity() const { return identity_; }
    /// It has authenticated again (S4-9). Subscriptions that the new token does not cover end; answers their ids.
    std::vector<std::string> become(IdentityPtr identity);
    /// Whether its token has run out or was revoked.
    bool expired(Timestamp now) const { return !identity_->holds(now); }
    /// As RFC 4122 prints ids: unique over restarts as well (S3-2).
    std::string client_id() const;

    /// A small message of the session's own, behind what it was told before.
    void reply(std::string_view text);
    /// Ends it: what waits is dropped and counted, the close code is the row's.
    void end(GatewayError error, Drop reason);

    // Subscriptions. A subscription that is taken twice is delivered once, and ended by as many `drop`s (decisions.md 17).
    struct Held {
        Subscription* subscription;
        std::uint32_t count;
    };
    /// Shares of it: history first where `since` asks for it, then live.
    void hold(Subscription& subscription, const Since& since);
    /// The same for several subscriptions to characteristics, whose past is read once for all of them.
    void hold_characteristics(std::span<Subscription* const> subscriptions, const Since& since);
    /// Rooms of the spc dialect: it holds the characteristics that it named, and those that are in one of its groups now.
    void take_rooms(std::span<const std::uint64_t> ids, std::span<const std::string> groups, const Since& since);
    /// Those that it holds.
    std::unordered_set<std::uint64_t> characteristics() const;
    void leave_rooms(std::span<const std::uint64_t> ids, std::span<const std::string> groups);
    /// A characteristic has come to be in another room.
    void room_changed(std::uint64_t characteristic);
    /// Whether it follows a room in, or around, this one.
    bool follows(std::string_view group) const;
    struct Rooms;
    const Rooms* rooms() const;
    /// How it wants what it holds; at once, also for what waits.
    void set_policy(Subscription& subscription, const DeliveryPolicy& policy);
    /// Null without one: every event, at once.
    const Governor* governor(const Subscription& subscription) const;
    /// False if it is not held. True also when it is held still because it was taken more often.
    bool drop(std::string_view id);
    const Held* find(std::string_view id) const;
    /// As if what is held had been taken so often (it ends when it has been given up as often); at most `times_max`.
    void hold_times(std::string_view id, std::uint32_t times);
    static constexpr std::uint32_t times_max = 1000;
    const SmallVector<Held>& held() const { return held_; }
    /// Its subscription covers a stream that has just appeared.
    void join(Audience& audience);

    // Groups: the group hands it events one by one, instead of a place in an audience (group_home.h).

    /// Becomes a member of the subscription's group, which goes on at `begins`.
    void join_group(Subscription& subscription, const Groups::Begins& begins);
    void group_arrived(Group::Member member, const std::vector<GroupDelivery>& deliveries);
    void group_gap(Group::Member member, const HistoryStep::Gap& gap);
    /// The client is done with these events and all that it was sent before them. False: of this subscription it need not say so.
    bool acknowledge(const Subscription& subscription, const Since::Positions& positions);
    /// Adds what waits for it as a member of groups.
    void count_group_queues(std::map<StreamName, DeliveryCounts>& streams) const;

    /// The audience in `place` has new frames.
    void notify(std::uint32_t place);
    /// Whether it is so far behind that its policy must act.
    bool too_far_behind() const;
    /// The number of frames that wait in `place`'s ring.
    std::uint64_t queued(std::uint32_t place) const;
    std::uint64_t cursor(std::uint32_t place) const { return places_[place].cursor; }
    /// One step of the history that `ticket` names; ignored if that has ended meanwhile.
    void history_arrived(std::uint32_t ticket, HistoryStep step);

    /// The hub was asked to wake it: a batch is due, or the rate allows an event again.
    void woken();

    /// Counts of this session alone: for /api/v1/sessions/{id}. matched = delivered + merged + dropped + queued.
    std::uint64_t matched() const;
    std::uint64_t delivered() const { return delivered_; }
    std::uint64_t merged() const;
    std::uint64_t dropped(Drop reason) const;
    std::uint64_t queued() const;
    std::uint64_t queued_bytes() const;

    /// Takes one token for a control message. False when there is none: `retry_after` says when there will be.
    bool admit(Duration now, Duration& retry_after);
    /// The same for events that it publishes: gateway.publish_limit_per_minute, of its token; of the session where it has none.
    bool admit_events(Duration now, std::size_t count, Duration& retry_after);
    /// When the last data message came (S3-10).
    Duration last_message{0};
    std::uint32_t messages_in = 0;
    std::uint32_t opened_s = 0;  ///< when it began, seconds of the monotonic clock

private:
    struct Place {
        Audience* audience;
        std::uint64_t cursor;
        std::uint32_t member;  ///< index in the audience's list
        bool catching_up;      ///< its past is being sent; `cursor` is where live begins
        bool governed;         ///< a policy says what of it is sent, and when
    };
    struct CatchUp;
    struct Cold;
    struct Shared;

    void on_message(net::Connection&, net::MessageKind kind, std::string_view payload) override;
    void on_writable(net::Connection& connection) override;
    void on_closed(net::Connection& connection, const net::Closed& closed) override;

    bool write_history();
    bool write_live();
    void write_governed();
    bool write_governed(Governor& governor);
    void notify_governed(Place& place);
    void start_conflating(Governor::Part& part, Place& place);
    void stop_conflating(Governor::Part& part);
    void skip(Governor& governor, Place& place, std::uint64_t to, Drop reason);
    void tell(Governor& governor);
    void wake_at(Duration at);
    Governor* governor_of(const Subscription& subscription);
    void govern(Governor& governor);
    void ungovern(const Subscription& subscription);
    bool hold_place(Subscription& subscription);
    Shared* shared_of(const Subscription& subscription);
    Shared* shared_of(Group::Member member);
    void leave_group(const Subscription& subscription, Drop reason);
    bool write_groups();
    bool write_group(Shared& shared);
    bool wants(std::uint64_t characteristic) const;
    /// Sends what waits in one audience, before it is left.
    void finish(const Audience& audience);
    void take_or_leave(std::vector<std::uint64_t> characteristics, const Since& since);
    void ask_history(CatchUp& catch_up);
    CatchUp& begin_catch_up(std::vector<Audience*> audiences, std::vector<HistoryRange> ranges, HistoryReader::Frames frames);
    void go_live(CatchUp& catch_up);
    Place& place_of(const Audience& audience);
    void leave(std::uint32_t place, Drop reason);
    void leave_all(Drop reason);
    void count_drop(HubStream& stream, std::uint64_t n, Drop reason);
    Cold& cold();

    Hub& hub_;
    Dialect* dialect_;
    net::Connection* connection_ = nullptr;
    SmallVector<Place> places_;
    SmallVector<Held> held_;
    std::unique_ptr<Cold> cold_;
    IdentityPtr identity_;
    std::uint64_t number_;
    std::int64_t matched_base_ = 0;  ///< matched is this plus the ends of its audiences' rings (decisions.md 23)
    std::uint64_t delivered_ = 0;
    float tokens_;
    std::uint32_t tokens_ms_ = 0, over_limit_ = 0, over_limit_minute_ = 0;
    bool cbor_ = false;
};
static_assert(sizeof(Session) <= 184, "an idle session pays this");

}  // namespace weir
