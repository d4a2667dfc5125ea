#include "gateway/hub.h"

#include "base/assert.h"
#include "base/diag.h"
#include "base/heap.h"
#include "event/cbor.h"
#include "event/json.h"
#include "gateway/auth/audit.h"
#include "gateway/dialects/analytics_messages.h"
#include "gateway/dialects/spc_messages.h"

namespace weir {
namespace {

constexpr std::size_t kEventsPerTurn = 4096;   ///< between two of them sessions send, and sockets are read
constexpr std::size_t kHandshakeBytes = 4096;  ///< a rush of clients leaves the heap so much larger than their sessions need, each

}  // namespace

std::string_view drop_name(Drop reason) {
    constexpr std::string_view names[] = {"closed", "slow", "unsubscribed", "too_large", "oldest", "rate"};
    return names[static_cast<std::size_t>(reason)];
}

Hub::Hub(const Parts& parts, std::uint64_t seed)
    : parts_(parts), chance_(seed), id_high_(chance_.next()), wake_timer_(parts.reactor, [this] { wake_due(); }), signal_(parts.reactor, [this] { follow(); }), group_home_(*this, parts.groups) {
    spc_stream_ = std::make_unique<HubStream>();
    spc_stream_->name = "spc";
    handed_out_ = parts_.clock.now();
    // Everything up to the head is history. The log may grow while it is listed: then once more.
    for (int attempt = 0; attempt < 100; ++attempt) {
        position_ = parts_.log.head();
        for (const auto& info : parts_.log.streams()) {
            if (StreamDirectory::is_hidden(info.name)) continue;
            const auto at = streams_.find(info.name);
            HubStream& stream = at == streams_.end() ? make_stream(info.name, info.epoch, {}) : *at->second;
            stream.next = info.head + 1;
        }
        if (parts_.log.head() == position_) break;
    }
    for (const auto& name : parts_.directory.configured())
        if (!streams_.contains(name)) make_stream(name, {}, Seq{1});
    wake_ = parts_.log.on_commit([this](CommitNo) { signal_.raise(); });
    signal_.raise();
}

Hub::~Hub() {
    wake_.reset();
    WEIR_ASSERT(sessions_.size() == 0);
}

// Sessions.

Session& Hub::open(Dialect& dialect, IdentityPtr identity) {
    const std::uint64_t number = std::uint64_t(next_generation_++) << 32 | sessions_.next_slot();
    Session& session = sessions_.emplace(*this, dialect, number, std::move(identity));
    parts_.sessions.fetch_add(1, std::memory_order_relaxed);
    ++opened_;
    heap::let_go(kHandshakeBytes);
    return session;
}

Session* Hub::find(std::uint64_t number) {
    Session* session = sessions_.find(static_cast<std::uint32_t>(number));
    return session && session->number() == number ? session : nullptr;
}

void Hub::closed(Session& session) {
    sessions_.erase(static_cast<std::uint32_t>(session.number()));
    parts_.sessions.fetch_sub(1, std::memory_order_relaxed);
}

void Hub::say_goodbye() {
    each_session([](Session& session) { session.end(GatewayError::shutting_down, Drop::closed); });
}

// Streams and subscriptions.

HubStream* Hub::stream(std::string_view name) {
    const auto at = streams_.find(name);
    return at == streams_.end() ? nullptr : at->second.get();
}

bool Hub::has_type(StreamType type) const {
    for (const auto& [name, stream] : streams_)
        if (stream->type == type) return true;
    return false;
}

std::size_t Hub::broadcast_clients(std::string_view name) {
    std::size_t clients = 0;
    if (const HubStream* known = stream(name))
        for (const Audience* audience : known->audiences)
            if (audience->subscription.dialect == DialectKind::broadcast) clients += audience->members.size();
    return clients;
}

HubStream& Hub::make_stream(std::string_view name, Epoch epoch, Seq next) {
    auto& stream = *streams_.emplace(name, std::make_unique<HubStream>()).first->second;
    stream.name = name;
    stream.type = parts_.directory.type_of(name);
    stream.epoch = epoch;
    stream.next = next;
    // Whoever wants all streams of its type wants this one too.
    std::vector<Subscription*> wanting;
    for (const auto& [key, subscription] : subscriptions_)
        if (subscription->dialect == DialectKind::analytics && subscription->group.empty() && subscription->type == stream.type &&
            (subscription->streams.empty() || std::binary_search(subscription->streams.begin(), subscription->streams.end(), stream.name)))
            wanting.push_back(subscription.get());
    for (Subscription* subscription : wanting) {
        Audience& audience = make_audience(*subscription, stream);
        each_session([&](Session& session) {
            for (const auto& held : session.held())
                if (held.subscription == subscription) session.join(audience);
        });
    }
    return stream;
}

Audience& Hub::make_audience(Subscription& subscription, HubStream& stream) {
    const std::size_t ring_bytes = std::max<std::size_t>(parts_.options.ring_bytes, parts_.options.max_message_size + 64);
    auto& audience = *subscription.audiences.emplace_back(std::make_unique<Audience>(subscription, stream, ring_bytes));
    if (&stream != spc_stream_.get()) {
        audience.filter = stream.index.add(subscription.filter);
        if (stream.by_filter.size() <= audience.filter) stream.by_filter.resize(audience.filter + 1);
        stream.by_filter[audience.filter] = &audience;
    }
    stream.audiences.push_back(&audience);
    return audience;
}

Subscription& Hub::subscription(Wanted wanted) {
    std::sort(wanted.streams.begin(), wanted.streams.end());
    wanted.streams.erase(std::unique(wanted.streams.begin(), wanted.streams.end()), wanted.streams.end());
    std::string what = std::to_string(static_cast<int>(wanted.type)) + '|';
    for (const auto& name : wanted.streams) what.append(name).append(",");
    what += '|';
    what += wanted.filter.canonical();
    if (wanted.limits) {
        what += '|' + std::to_string(wanted.limits->types) + (wanted.limits->every_stream ? "*" : "");
        for (const auto& name : wanted.limits->streams) what.append(name).append(",");
        what += wanted.limits->filter.canonical();
    }
    const std::string group = wanted.group.empty() ? std::string() : (wanted.acknowledged ? "|ack|" : "|group|") + wanted.group;
    std::string key = std::to_string(static_cast<int>(wanted.dialect)) + (wanted.deflate_window ? "z" + std::to_string(wanted.deflate_window) : "") + (wanted.cbor ? "b|" : "|") + std::to_string(wanted.characteristic) +
                      '|' + std::to_string(wanted.own_id.size()) + '|' + wanted.own_id + '|' + what + group;
    if (const auto at = subscriptions_.find(key); at != subscriptions_.end()) return *at->second;

    auto made = std::make_unique<Subscription>();
    Subscription& subscription = *made;
    subscription.dialect = wanted.dialect;
    subscription.type = wanted.type;
    subscription.streams = std::move(wanted.streams);
    subscription.filter = std::move(wanted.filter);
    subscription.deflate_window = wanted.deflate_window;
    subscription.cbor = wanted.cbor;
    subscription.characteristic = wanted.characteristic;
    subscription.group = wanted.group;
    subscription.acknowledged = wanted.acknowledged;
    subscription.key = key;
    if (wanted.limits) {
        subscription.boundary = std::make_unique<Boundary>(wanted.limits->filter);
        subscription.limits = std::move(wanted.limits);
    }
    if (wanted.own_id.empty()) {
        char id[24];
        std::snprintf(id, sizeof id, "sub_%016llx", static_cast<unsigned long long>(fingerprint(what + group)));
        subscription.id = id;
    } else {
        subscription.id = std::move(wanted.own_id);
    }
    if (!wanted.group.empty()) subscription.shared = std::move(what);
    subscriptions_.emplace(std::move(key), std::move(made));
    if (!wanted.group.empty()) return subscription;  // its home reads for it: no ring of this hub holds its frames
    if (subscription.dialect == DialectKind::spc) {
        subscription.id = std::to_string(subscription.characteristic);
        spc_audiences_[subscription.characteristic].push_back(&make_audience(subscription, *spc_stream_));
    } else if (subscription.streams.empty()) {
        for (const auto& [name, stream] : streams_)
            if (stream->type == subscription.type) make_audience(subscription, *stream);
    } else {
        for (const auto& name : subscription.streams)
            if (HubStream* known = stream(name)) make_audience(subscription, *known);
    }
    return subscription;
}

void Hub::forget(Subscription& subscription) {
    WEIR_ASSERT(subscription.users == 0);
    for (const auto& audience : subscription.audiences) {
        HubStream& stream = audience->stream;
        WEIR_ASSERT(audience->members.empty());
        if (&stream == spc_stream_.get()) {
            auto& same = spc_audiences_[subscription.characteristic];
            std::erase(same, audience.get());
            if (same.empty()) spc_audiences_.erase(subscription.characteristic);
        } else {
            stream.index.remove(audience->filter);
            stream.by_filter[audience->filter] = nullptr;
        }
        std::erase(stream.audiences, audience.get());
        std::erase(dirty_, audience.get());
    }
    const std::string key = subscription.key;
    subscriptions_.erase(key);
}

// Following the log.

void Hub::follow() {
    if (unread_.empty() && !reading_) fetch();
    hand_out();
}

void Hub::fetch() {
    const CommitNo head = parts_.log.head();
    if (head == position_) return;
    if (parts_.log.in_tail(position_)) {
        if (auto batches = parts_.log.read_commits({}, position_, kEventsPerTurn); batches.ok()) return fetched({*std::move(batches), head, {}});
    }
    // Behind the tail: the disk has it, and a reactor does not wait for disks.
    reading_ = parts_.pool.submit([this, after = position_, head] {
        auto read = std::make_shared<Result<Left>>(read_behind(parts_.log, after, head));
        while (!parts_.reactor.post([this, read] {
            reading_ = false;
            if (read->ok()) fetched(std::move(read->value()));
            else if (read->error().code != "gap") give_up(read->error());  // else retention goes on meanwhile: once more
            signal_.raise();
        }))
            std::this_thread::yield();
    });
    if (!reading_) signal_.raise();  // the pool is full: again in the next turn
}

/// What follows `after`, where retention has overtaken the hub as well. On the pool.
Result<Left> Hub::read_behind(Log& log, CommitNo after, CommitNo head) {
    auto batches = log.read_commits({}, after, kEventsPerTurn);
    if (batches.ok()) return Left{*std::move(batches), head, {}};
    if (batches.error().code != "gap") return std::move(batches).error();
    std::vector<StreamName> streams;
    for (const auto& info : log.streams()) streams.push_back(info.name);
    return read_left(log, streams, after, kEventsPerTurn);
}

/// Where there are no batches nothing is left up to `upto`.
void Hub::fetched(Left read) {
    for (const StreamInfo& hole : read.holes) {
        HubStream* known = stream(hole.name);
        if (!known || known->next >= hole.first) continue;
        diag::warn("gateway: retention has removed events of " + hole.name + " up to " + std::to_string(hole.first.value - 1) + " before they were handed out");
        tell_gap(*known, hole.first);
    }
    position_ = std::max(position_, read.batches.empty() ? read.upto : read.batches.back()->commit);
    for (auto& batch : read.batches) unread_.push_back(std::move(batch));
}

/// The log cannot be read: the hub goes on with what is to come. What lies between is noticed by `take` as a jump in a stream's seqs.
void Hub::give_up(const Error& error) {
    diag::error("gateway: what follows commit " + std::to_string(position_.value) + " cannot be read (" + error.message + "); going on with what is to come");
    position_ = parts_.log.head();
}

/// Events from `stream.next` up to `to` (not included) are missing. The message goes through the rings, behind what waits there, so that
/// sessions are told in order; it counts as one matched event.
void Hub::tell_gap(HubStream& stream, Seq to) {
    const HistoryStep::Gap gap{stream.name, stream.epoch, stream.next, Seq{to.value - 1}, "retention"};
    stream.next = to;
    ++order_;
    key_hash_ = order_;  // of no key: nothing newer replaces it
    for (Audience* audience : stream.audiences) tell_gap(*audience, gap);
    if (!characteristic_streams_.contains(stream.name)) return;
    for (const auto& [characteristic, audiences] : spc_audiences_)
        for (Audience* audience : audiences)
            if (const auto& limits = audience->subscription.limits; !limits || limits->sees(stream.name, stream.type)) tell_gap(*audience, gap);
}

/// To every session of the analytics and spc dialects, whatever its token lets it see, or to those of the spc dialect that follow its group: of bounded tokens those that may know
/// of a characteristic there, since naming a room makes nobody a member. Never to broadcasts, whose clients take any message for a record.
void Hub::tell_notice(const Batch& batch, std::size_t i) {
    const EventView event = batch.events[i];
    const auto data = Json::parse(event.data);
    const auto group = data.ok() ? data->find_string("group") : std::nullopt;
    std::string analytics, spc;
    analytics_messages::append_notice(analytics, {batch.stream, batch.epoch, batch.seq_of(i)}, event);
    spc_messages::append_notice(spc, event);
    std::map<const Identity*, bool> members;  // asked once a token
    const auto is_member = [&](const Identity& who) {
        if (!who.permissions.bounded()) return true;
        const auto [at, fresh] = members.emplace(&who, false);
        if (fresh)
            for (const auto id : room_members(*group))
                if (knows_characteristic(id, who.permissions)) {
                    at->second = true;
                    break;
                }
        return at->second;
    };
    each_session([&](Session& session) {
        if (session.connection().closing()) return;
        if (session.dialect().kind() == DialectKind::analytics && !group) session.reply(analytics);
        if (session.dialect().kind() == DialectKind::spc && (!group || (session.follows(*group) && is_member(*session.identity())))) session.reply(spc);
    });
}

void Hub::tell_gap(Audience& audience, const HistoryStep::Gap& gap) {
    std::string text = gap_text(audience.subscription, gap);
    if (text.empty() || audience.members.empty()) return;
    if (audience.subscription.cbor) {
        binary_.clear();
        if (!append_cbor_of(binary_, text)) return;
        text = binary_;
    }
    audience.stream.counts.matched += audience.members.size();
    append(audience, {}, text, net::Compressed::no);
}

/// Hands events out until some ring has got its share, or as many as one turn should take.
void Hub::hand_out() {
    if (turn_full_ && flush_pending_) return;  // goes on when the sessions have been asked to write
    if (turn_full_) ++pass_;
    turn_full_ = false;
    std::size_t events = 0;
    while (!unread_.empty() && !turn_full_ && events < kEventsPerTurn) {
        const BatchPtr batch = unread_.front();
        if (HubStream* stream = stream_of(*batch)) {
            while (unread_event_ < batch->events.size() && !turn_full_ && events < kEventsPerTurn) {
                take(*stream, *batch, unread_event_++);
                ++events;
            }
            if (unread_event_ < batch->events.size()) break;
        }
        handed_out_ = std::max(handed_out_, batch->commit_time);
        unread_.pop_front();
        unread_event_ = 0;
    }
    tell_sessions();
    if (events > 0) group_home_.advanced();
    if (!unread_.empty() || (!reading_ && parts_.log.head() != position_)) signal_.raise();
}

/// Null for what is nobody's to see.
HubStream* Hub::stream_of(const Batch& batch) {
    if (batch.events.empty() || StreamDirectory::is_hidden(batch.stream)) return nullptr;
    const auto at = streams_.find(batch.stream);
    HubStream& stream = at == streams_.end() ? make_stream(batch.stream, batch.epoch, batch.first_seq) : *at->second;
    stream.epoch = batch.epoch;
    return &stream;
}

void Hub::take(HubStream& stream, const Batch& batch, std::size_t i) {
    if (batch.seq_of(i) < stream.next) return;  // was history already when the hub began
    if (batch.seq_of(i) > stream.next) tell_gap(stream, batch.seq_of(i));
    stream.next = batch.seq_of(i) + 1;
    ++events_;
    if (stream.name == kNoticeStream) tell_notice(batch, i);
    if (on_event) on_event(stream, batch, i);
    deliver(stream, batch, i);
}

void Hub::deliver(HubStream& stream, const Batch& batch, std::size_t i) {
    ++order_;
    const EventView event = batch.events[i];
    key_hash_ = fingerprint(event.key);
    learn(stream.name, event);
    if (const auto id = characteristic_of(event)) {
        if (const auto at = spc_audiences_.find(*id); at != spc_audiences_.end())
            for (Audience* audience : at->second) {
                const Subscription& wanting = audience->subscription;
                if (wanting.limits && !(wanting.limits->sees(stream.name, stream.type) && wanting.boundary->sees(stream.name, event))) continue;
                deliver(*audience, batch, i);
            }
    }
    if (stream.audiences.empty()) return;
    for (const auto id : stream.index.match(stream.name, event)) deliver(*stream.by_filter[id], batch, i);
}

void Hub::tell_sessions() {
    for (Audience* audience : dirty_) {
        audience->dirty = false;
        for (const auto& member : audience->members) member.session->notify(member.place);
    }
    dirty_.clear();
    while (!behind_.empty()) {
        const std::uint64_t number = behind_.back();
        behind_.pop_back();
        if (Session* session = find(number); session && !session->connection().closing()) session->end(GatewayError::slow_reader, Drop::slow);
    }
}

// Sessions that wait for a time.

void Hub::wake_session(std::uint64_t session, Duration at) {
    const bool first = wakes_.empty() || at < wakes_.begin()->first;
    wakes_.emplace(at, session);
    if (first) wake_timer_.start(std::max(Duration(0), at - parts_.clock.monotonic()));
}

void Hub::wake_due() {
    const Duration now = parts_.clock.monotonic();
    while (!wakes_.empty() && wakes_.begin()->first <= now) {
        const std::uint64_t number = wakes_.begin()->second;
        wakes_.erase(wakes_.begin());
        if (Session* session = find(number); session && !session->connection().closing()) session->woken();
    }
    if (!wakes_.empty()) wake_timer_.start(std::max(Duration(1000), wakes_.begin()->first - now));
}

std::string Hub::next_id() {
    char id[56];
    std::snprintf(id, sizeof id, "ws/%016llx/%llu", static_cast<unsigned long long>(id_high_), static_cast<unsigned long long>(++next_id_));
    return id;
}

// History.

bool Hub::submit_history(const WaitingHistory& waiting) {
    return parts_.pool.submit([this, reader = waiting.reader, session = waiting.session, ticket = waiting.ticket] {
        auto step = std::make_shared<HistoryStep>(reader->step());
        while (!parts_.reactor.post([this, step, session, ticket] {
            ++history_reads_;
            if (Session* found = find(session)) found->history_arrived(ticket, std::move(*step));
            send_waiting_history();
        }))
            std::this_thread::yield();
    });
}

void Hub::read_history(std::uint64_t session, std::uint32_t ticket, std::shared_ptr<HistoryReader> reader) {
    waiting_history_.push_back({session, ticket, std::move(reader)});
    send_waiting_history();
}

void Hub::send_waiting_history() {
    while (!waiting_history_.empty()) {
        WaitingHistory waiting = std::move(waiting_history_.front());
        waiting_history_.pop_front();
        if (!find(waiting.session) || submit_history(waiting)) continue;
        waiting_history_.push_front(std::move(waiting));
        return;  // the pool is full: whatever it finishes, or the sweep, calls again
    }
}

// Upkeep.

void Hub::sweep() {
    for (const auto& [key, subscription] : subscriptions_) {
        for (const auto& audience : subscription->audiences) {
            if (!audience->used) {
                release(*audience);
                audience->ring.shrink();
            }
            audience->used = false;
        }
    }
    const Duration now = parts_.reactor.now();
    std::vector<std::uint64_t> stale, expired;
    const Timestamp wall = parts_.clock.now();
    each_session([&](Session& session) {
        if (session.expired(wall) && !session.connection().closing()) expired.push_back(session.number());
        if (session.dialect().needs_heartbeat() && parts_.options.spc_timeout > Duration(0) && now - session.last_message > parts_.options.spc_timeout)
            stale.push_back(session.number());
        if (!session.connection().is_websocket() && now - session.last_message >= parts_.options.ping_interval) {
            session.last_message = now;
            session.connection().send_encoded(":\n\n");  // a comment: keeps proxies from thinking that the stream is dead
        }
    });
    for (const auto number : stale)
        if (Session* session = find(number); session && !session->connection().closing()) session->end(GatewayError::heartbeat_missed, Drop::closed);
    for (const auto number : expired) {
        Session* session = find(number);
        if (!session) continue;
        audit(Audit::note, {.what = "auth_expired", .peer = session->connection().peer().to_text(), .who = session->identity()->name});
        session->end(GatewayError::auth_expired, Drop::closed);
    }
    (void)heap::settle();
    send_waiting_history();
    // Should every session that was marked have ended before it could write, nothing else would say so.
    flush_pending_ = false;
    follow();
}

HubCounts Hub::counts() {
    HubCounts counts;
    counts.sessions = sessions_.size();
    counts.sessions_opened = opened_;
    counts.encodes = encodes_;
    counts.spliced = spliced_;
    counts.events = events_;
    counts.messages_in = messages_in;
    counts.history_reads = history_reads_;
    counts.ignored_members = ignored_members;
    for (const auto& [name, stream] : streams_) counts.streams[name] = stream->counts;
    if (!spc_stream_->audiences.empty() || spc_stream_->counts.matched > 0) counts.streams["spc"] = spc_stream_->counts;
    for (const auto& [key, subscription] : subscriptions_) {
        counts.subscriptions += subscription->users;
        for (const auto& audience : subscription->audiences) {
            ++counts.audiences;
            counts.ring_bytes += audience->ring.capacity();
            auto& queued = counts.streams[audience->stream.name].queued;
            for (const auto& member : audience->members) queued += member.session->queued(member.place);
        }
    }
    each_session([&](Session& session) { session.count_group_queues(counts.streams); });
    counts.groups = group_home_.counts();
    for (const auto& r : gateway_errors())
        if (const auto n = errors_[static_cast<std::size_t>(r.error)]; n > 0) counts.errors[std::string(r.code)] = n;
    return counts;
}

}  // namespace weir
