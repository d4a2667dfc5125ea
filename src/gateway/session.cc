#include "gateway/session.h"

#include "base/assert.h"
#include "event/cbor.h"
#include "event/json.h"
#include "gateway/auth/audit.h"
#include "gateway/dialects/dialect.h"
#include "gateway/hub.h"
#include "gateway/session_cold.h"

namespace weir {

namespace {
constexpr std::size_t kPieces = 64;
constexpr std::size_t kPassBytes = 1 << 20;  ///< offered to the kernel at once: more would only make it say no later
}  // namespace

Session::Session(Hub& hub, Dialect& dialect, std::uint64_t number, IdentityPtr identity)
    : hub_(hub), dialect_(&dialect), identity_(std::move(identity)), number_(number), tokens_(static_cast<float>(hub.options().rate_limit_per_minute)) {}
Session::~Session() = default;

Session::Cold& Session::cold() {
    if (!cold_) cold_ = std::make_unique<Cold>();
    return *cold_;
}

void Session::start(net::Connection& connection, Encoding encoding) {
    connection_ = &connection;
    cbor_ = encoding == Encoding::cbor;
    last_message = hub_.reactor().now();
    opened_s = static_cast<std::uint32_t>(last_message.count() / 1'000'000);
    tokens_ms_ = static_cast<std::uint32_t>(last_message.count() / 1000);
    dialect_->opened(*this);
}

std::string Session::client_id() const {
    const std::uint64_t high = hub_.id_high_, low = number_ * 0x9e3779b97f4a7c15;
    char text[40];
    std::snprintf(text, sizeof text, "%08x-%04x-4%03x-%04x-%012llx", static_cast<unsigned>(high >> 32), static_cast<unsigned>(high >> 16 & 0xffff),
                  static_cast<unsigned>(high & 0xfff), static_cast<unsigned>(0x8000 | (low >> 48 & 0x3fff)),
                  static_cast<unsigned long long>(low & 0xffffffffffff));
    return text;
}

void Session::reply(std::string_view text) {
    bool sent;
    if (cbor_) {
        std::string binary;
        sent = !append_cbor_of(binary, text) || connection_->send(net::MessageKind::binary, binary);
    } else {
        sent = connection_->send(net::MessageKind::text, text);
    }
    if (!sent && !connection_->closing()) hub_.overflowed(*this);
}

void Session::end(GatewayError error, Drop reason) {
    hub_.count(error);
    leave_all(reason);
    const auto& r = row(error);
    connection_->close(static_cast<net::CloseCode>(r.close_code ? r.close_code : 1008), r.text);
}

void Session::on_message(net::Connection&, net::MessageKind kind, std::string_view payload) {
    ++messages_in;
    ++hub_.messages_in;
    last_message = hub_.reactor().now();
    if (expired(hub_.clock().now())) return end(GatewayError::auth_expired, Drop::closed);  // the sweep would see it within a second
    dialect_->message(*this, kind, payload);
}

void Session::on_closed(net::Connection& connection, const net::Closed& closed) {
    if (hub_.authenticator().required()) {
        const auto now_s = static_cast<std::uint32_t>(hub_.reactor().now().count() / 1'000'000);
        audit(Audit::note, {.what = "disconnected", .peer = connection.peer().to_text(), .who = identity_->name,
                            .detail = std::to_string(static_cast<unsigned>(closed.code)) + " after " + std::to_string(now_s - opened_s) + " s, " +
                                      std::to_string(messages_in) + " messages in, " + std::to_string(delivered_) + " events out"});
    }
    leave_all(Drop::closed);
    hub_.closed(*this);  // destroys this
}

std::vector<std::string> Session::become(IdentityPtr identity) {
    std::vector<std::string> lost;
    if (!identity->permissions.covers(identity_->permissions)) {
        for (std::uint32_t h = held_.size(); h-- > 0;) {
            std::string id = held_[h].subscription->id;
            held_[h].count = 1;
            drop(id);
            lost.push_back(std::move(id));
        }
        if (cold_) cold_->rooms.reset();
    }
    identity_ = std::move(identity);
    return lost;
}

// Subscriptions.

const Session::Held* Session::find(std::string_view id) const {
    for (const Held& held : held_)
        if (held.subscription->id == id) return &held;
    return nullptr;
}

void Session::hold_times(std::string_view id, std::uint32_t times) {
    for (Held& held : held_)
        if (held.subscription->id == id) held.count = std::clamp<std::uint32_t>(times, 1, times_max);
}

/// False if it was held already.
bool Session::hold_place(Subscription& subscription) {
    for (Held& held : held_) {
        if (held.subscription != &subscription) continue;
        held.count = std::min(held.count + 1, times_max);
        return false;
    }
    held_.push_back({&subscription, 1});
    ++subscription.users;
    for (const auto& audience : subscription.audiences) join(*audience);
    return true;
}

void Session::hold(Subscription& subscription, const Since& since) {
    if (!hold_place(subscription) || since.live()) return;
    std::vector<Audience*> audiences;
    std::vector<HistoryRange> ranges;
    for (const auto& audience : subscription.audiences) {
        auto begin = since.begin(audience->stream.name);
        if (!begin) continue;
        audiences.push_back(audience.get());
        ranges.push_back({audience->stream.name, *std::move(begin), audience->stream.next, audience->stream.epoch});
    }
    if (audiences.empty()) return;
    // Copies of what a frame is made of: the subscription may be gone when the pool comes to it.
    struct Made {
        Subscription subscription;
        FilterIndex index;
        std::map<StreamName, int, std::less<>> targets;
    };
    auto made = std::make_shared<Made>();
    made->subscription.dialect = subscription.dialect;
    made->subscription.type = subscription.type;
    made->subscription.id = subscription.id;
    made->subscription.cbor = subscription.cbor;
    made->index.add(subscription.filter);
    for (std::size_t i = 0; i < ranges.size(); ++i) made->targets[ranges[i].stream] = static_cast<int>(i);
    begin_catch_up(std::move(audiences), std::move(ranges),
                   {.target =
                        [made](const Batch& batch, std::size_t i) {
                            return made->index.match(batch.stream, batch.events[i]).empty() ? -1 : made->targets.find(batch.stream)->second;
                        },
                    .encode = [made, payload_max = hub_.options().max_message_size](std::string& out, std::uint32_t, const Batch& batch, std::size_t i) {
                        return Hub::append_frame(out, made->subscription, batch, i, payload_max);
                    }});
}

void Session::hold_characteristics(std::span<Subscription* const> subscriptions, const Since& since) {
    std::vector<Audience*> audiences;
    struct Made {
        Subscription subscription;
        std::unordered_map<std::uint64_t, int> targets;
        std::unique_ptr<Boundary> boundary;
    };
    auto made = std::make_shared<Made>();
    made->subscription.dialect = DialectKind::spc;
    const Permissions& may = identity_->permissions;
    made->boundary = std::make_unique<Boundary>(may.filter);
    for (Subscription* subscription : subscriptions) {
        if (!hold_place(*subscription) || since.live()) continue;
        made->subscription.cbor = subscription->cbor;
        made->targets[subscription->characteristic] = static_cast<int>(audiences.size());
        audiences.push_back(subscription->audiences.front().get());
    }
    if (audiences.empty()) return;
    std::vector<HistoryRange> ranges;
    for (const HubStream* stream : hub_.characteristic_streams(since))
        if (auto begin = since.begin(stream->name); begin && may.sees(stream->name, stream->type)) ranges.push_back({stream->name, *std::move(begin), stream->next, stream->epoch});
    if (ranges.empty()) return;
    std::map<StreamName, Since::Position, std::less<>> live;
    for (const auto& [name, stream] : hub_.streams()) live[name] = {stream->epoch, Seq{stream->next.value - 1}};
    for (const HistoryRange& range : ranges) live.erase(range.stream);
    CatchUp& catch_up = begin_catch_up(std::move(audiences), std::move(ranges),
                   {.target =
                        [made](const Batch& batch, std::size_t i) {
                            const auto id = Hub::characteristic_of(batch.events[i]);
                            const auto at = id ? made->targets.find(*id) : made->targets.end();
                            return at == made->targets.end() || !made->boundary->sees(batch.stream, batch.events[i]) ? -1 : at->second;
                        },
                    .encode = [made, payload_max = hub_.options().max_message_size](std::string& out, std::uint32_t, const Batch& batch, std::size_t i) {
                        return Hub::append_frame(out, made->subscription, batch, i, payload_max);
                    }});
    catch_up.live = std::move(live);
}

Session::CatchUp& Session::begin_catch_up(std::vector<Audience*> audiences, std::vector<HistoryRange> ranges, HistoryReader::Frames frames) {
    auto& catch_up = *cold().catch_ups.emplace_back(std::make_unique<CatchUp>());
    catch_up.waiting.resize(audiences.size());
    catch_up.audiences = std::move(audiences);
    for (Audience* audience : catch_up.audiences) place_of(*audience).catching_up = true;
    catch_up.ticket = cold_->next_ticket++;
    catch_up.reader = std::make_shared<HistoryReader>(hub_.log(), std::move(ranges), std::move(frames));
    ask_history(catch_up);
    return catch_up;
}

Session::Place& Session::place_of(const Audience& audience) {
    for (Place& place : places_)
        if (place.audience == &audience) return place;
    WEIR_ASSERT(!"a session is in every audience that it reads history for");
    return places_[0];
}

bool Session::drop(std::string_view id) {
    for (std::uint32_t h = 0; h < held_.size(); ++h) {
        Subscription& subscription = *held_[h].subscription;
        if (subscription.id != id) continue;
        if (--held_[h].count > 0) return true;
        for (std::uint32_t place = places_.size(); place-- > 0;)
            if (&places_[place].audience->subscription == &subscription) leave(place, Drop::unsubscribed);
        ungovern(subscription);
        leave_group(subscription, Drop::unsubscribed);
        held_[h] = held_[held_.size() - 1];
        held_.pop_back();
        if (--subscription.users == 0) hub_.forget(subscription);
        return true;
    }
    return false;
}

void Session::join(Audience& audience) {
    audience.members.push_back({this, places_.size()});
    places_.push_back({.audience = &audience,
                       .cursor = audience.ring.end(),
                       .member = static_cast<std::uint32_t>(audience.members.size() - 1),
                       .catching_up = false,
                       .governed = false});
    matched_base_ -= static_cast<std::int64_t>(audience.ring.end());
    if (Governor* governor = governor_of(audience.subscription)) govern(*governor);
}

void Session::count_drop(HubStream& stream, std::uint64_t n, Drop reason) {
    if (n == 0) return;
    stream.counts.dropped[static_cast<std::size_t>(reason)] += n;
    if (reason != Drop::closed) cold().dropped[static_cast<std::size_t>(reason)] += n;
}

void Session::leave(std::uint32_t index, Drop reason) {
    Place& place = places_[index];
    Audience& audience = *place.audience;
    count_drop(audience.stream, queued(index), reason);
    matched_base_ += static_cast<std::int64_t>(audience.ring.end());
    if (cold_) {
        for (const auto& c : cold_->catch_ups) std::replace(c->audiences.begin(), c->audiences.end(), &audience, static_cast<Audience*>(nullptr));
        std::erase_if(cold_->catch_ups, [](const auto& c) { return std::count(c->audiences.begin(), c->audiences.end(), nullptr) == std::ssize(c->audiences); });
        if (place.governed) {
            auto& parts = governor_of(audience.subscription)->parts;
            for (auto& part : parts)
                if (part.audience == &audience) stop_conflating(part);
            std::erase_if(parts, [&](const auto& part) { return part.audience == &audience; });
        }
    }
    auto& members = audience.members;
    members[place.member] = members.back();
    members.pop_back();
    if (place.member < members.size()) members[place.member].session->places_[members[place.member].place].member = place.member;
    place = places_[places_.size() - 1];
    places_.pop_back();
    if (index < places_.size()) places_[index].audience->members[places_[index].member].place = index;
}

void Session::leave_all(Drop reason) {
    while (!places_.empty()) leave(places_.size() - 1, reason);
    if (cold_) cold_->governors.clear();
    while (!held_.empty()) {
        Subscription& subscription = *held_[held_.size() - 1].subscription;
        leave_group(subscription, reason);
        held_.pop_back();
        if (--subscription.users == 0) hub_.forget(subscription);
    }
}

// Sending.

void Session::notify(std::uint32_t index) {
    Place& place = places_[index];
    if (place.catching_up) return;
    if (place.governed) return notify_governed(place);
    if (place.cursor < place.audience->ring.begin() || (connection_->blocked() && too_far_behind())) hub_.overflowed(*this);
    else {
        connection_->mark_dirty();
        if (!connection_->blocked()) hub_.marked();
    }
}

bool Session::too_far_behind() const {
    std::uint64_t bytes = connection_->pending_bytes();
    for (const Place& place : places_) {
        if (place.catching_up || place.governed) continue;
        if (place.cursor < place.audience->ring.begin()) return true;
        bytes += place.audience->ring.bytes_from(place.cursor);
    }
    return bytes > hub_.options().session_queue_bytes;
}

void Session::on_writable(net::Connection&) {
    if (cold_ && !cold_->catch_ups.empty() && !write_history()) return;
    if (!write_live() || !cold_) return;
    if (!cold_->shared.empty() && !write_groups()) return;
    if (!cold_->governors.empty()) write_governed();
}

/// False when the kernel takes no more.
bool Session::write_history() {
    auto& catch_ups = cold_->catch_ups;
    for (std::size_t c = 0; c < catch_ups.size();) {
        CatchUp& catch_up = *catch_ups[c];
        HistoryStep& step = catch_up.step;
        if (catch_up.in_flight) {
            ++c;
            continue;
        }
        while (catch_up.frame < step.frames.size()) {
            // A run of frames that somebody still wants.
            std::size_t bytes = 0, end = catch_up.frame;
            while (end < step.frames.size() && bytes < kPassBytes && catch_up.audiences[step.frames[end].target]) bytes += step.frames[end++].size;
            if (bytes == 0) {
                catch_up.byte += step.frames[catch_up.frame++].size;
                continue;
            }
            std::size_t taken = connection_->try_write(std::string_view(step.bytes).substr(catch_up.byte, bytes));
            const auto sent = [&] {
                const auto [size, target] = step.frames[catch_up.frame++];
                catch_up.byte += size;
                --catch_up.waiting[target];
                ++catch_up.audiences[target]->stream.counts.delivered;
                ++delivered_;
                return size;
            };
            while (catch_up.frame < end && taken >= step.frames[catch_up.frame].size) taken -= sent();
            if (taken > 0) {  // a stream: the kernel took a part of a frame
                connection_->send_encoded(std::string_view(step.bytes).substr(catch_up.byte + taken, step.frames[catch_up.frame].size - taken));
                sent();
            }
            if (connection_->blocked() || connection_->closing()) return false;
        }
        if (!step.done) {
            ask_history(catch_up);
            ++c;
            continue;
        }
        go_live(catch_up);
        if (catch_up.in_flight) ++c;
        else catch_ups.erase(catch_ups.begin() + static_cast<std::ptrdiff_t>(c));
    }
    return true;
}

/// Live begins exactly where history ended; unless a ring has let go of frames that were to follow: then they are read from the log too,
/// and count as found there.
void Session::go_live(CatchUp& catch_up) {
    bool overrun = false;
    for (const Audience* audience : catch_up.audiences)
        if (audience && place_of(*audience).cursor < audience->ring.begin()) overrun = true;
    for (Audience* audience : catch_up.audiences) {
        if (!audience) continue;
        Place& place = place_of(*audience);
        if (overrun) {
            const std::uint64_t again = audience->ring.end() - place.cursor;
            audience->stream.counts.matched -= again;
            matched_base_ -= static_cast<std::int64_t>(again);
            place.cursor = audience->ring.end();
        } else {
            place.catching_up = false;
            if (place.governed) notify_governed(place);
        }
    }
    if (!overrun) return;
    for (const auto& name : catch_up.reader->streams())
        if (const HubStream* stream = hub_.stream(name)) catch_up.reader->extend(name, stream->next, stream->epoch);
    if (dialect_->kind() == DialectKind::spc) {
        // Its rings carry the events of all streams, and those that were live have been let go of with the others.
        const auto read = catch_up.reader->streams();
        for (const HubStream* stream : hub_.characteristic_streams({})) {
            if (std::find(read.begin(), read.end(), stream->name) != read.end() || !identity_->permissions.sees(stream->name, stream->type)) continue;
            const auto at = catch_up.live.find(stream->name);
            const auto from = at != catch_up.live.end() ? at->second : Since::Position{stream->epoch, Seq{0}};
            catch_up.reader->add({stream->name, from, stream->next, stream->epoch});
        }
    }
    ask_history(catch_up);
}

void Session::ask_history(CatchUp& catch_up) {
    catch_up.step = HistoryStep();
    catch_up.frame = catch_up.byte = 0;
    catch_up.in_flight = true;
    hub_.read_history(number_, catch_up.ticket, catch_up.reader);
}

void Session::history_arrived(std::uint32_t ticket, HistoryStep step) {
    if (!cold_) return;
    for (const auto& catch_up : cold_->catch_ups) {
        if (catch_up->ticket != ticket) continue;
        const Audience* told = nullptr;  // one of them: they are of one dialect
        for (const Audience* audience : catch_up->audiences)
            if (audience) told = audience;
        for (const auto& gap : step.gaps)
            if (const auto text = Hub::gap_text(told->subscription, gap); !text.empty()) reply(text);
        for (const auto& frame : step.frames) {
            Audience* audience = catch_up->audiences[frame.target];
            if (!audience) continue;
            ++catch_up->waiting[frame.target];
            ++audience->stream.counts.matched;
            ++matched_base_;
        }
        for (const std::uint32_t target : step.too_large) {
            Audience* audience = catch_up->audiences[target];
            if (!audience) continue;
            ++audience->stream.counts.matched;
            count_drop(audience->stream, 1, Drop::too_large);
        }
        catch_up->step = std::move(step);
        catch_up->in_flight = false;
        connection_->mark_dirty();
        return;
    }
}

/// Sends what lies between the cursors and the ends of their rings, in the order of the hub's events.
bool Session::write_live() {
    struct Run {
        std::uint32_t place;
        std::uint64_t to;
    };
    iovec pieces[kPieces];
    Run runs[kPieces];
    auto& cursors = hub_.cursors_;
    for (;;) {
        std::size_t piece_count = 0, run_count = 0, bytes = 0;
        cursors.resize(places_.size());
        for (std::uint32_t i = 0; i < places_.size(); ++i) {
            const Place& place = places_[i];
            if (!place.catching_up && !place.governed && place.cursor < place.audience->ring.begin()) {
                hub_.overflowed(*this);
                return false;
            }
            cursors[i] = place.cursor;
        }
        while (piece_count < kPieces && bytes < kPassBytes) {
            // The place whose next frame is the oldest, and up to which order it stays so.
            constexpr std::uint64_t none = ~std::uint64_t(0);
            std::uint64_t oldest = none, second = none;
            std::uint32_t chosen = 0;
            for (std::uint32_t i = 0; i < places_.size(); ++i) {
                const FrameRing& ring = places_[i].audience->ring;
                if (places_[i].catching_up || places_[i].governed || cursors[i] == ring.end()) continue;
                const std::uint64_t order = ring.order(cursors[i]);
                if (order < oldest) {
                    second = oldest;
                    oldest = order;
                    chosen = i;
                } else {
                    second = std::min(second, order);
                }
            }
            if (oldest == none) break;
            const FrameRing& ring = places_[chosen].audience->ring;
            std::uint64_t to = second == none ? ring.end() : std::max(ring.find_order(cursors[chosen], second), cursors[chosen] + 1);
            std::uint64_t covered;
            const std::size_t n = ring.gather(cursors[chosen], to, std::span(pieces + piece_count, kPieces - piece_count), covered);
            for (std::size_t i = 0; i < n; ++i) bytes += pieces[piece_count + i].iov_len;
            piece_count += n;
            cursors[chosen] = covered;
            runs[run_count++] = {chosen, covered};
        }
        if (piece_count == 0) return true;
        std::size_t taken = connection_->try_write(std::span<const iovec>(pieces, piece_count));
        const bool all = taken == bytes;
        for (std::size_t r = 0; r < run_count && taken > 0; ++r) {
            Place& place = places_[runs[r].place];
            const FrameRing& ring = place.audience->ring;
            const std::uint64_t from = place.cursor;
            const std::uint64_t run_bytes = ring.bytes_from(from) - ring.bytes_from(runs[r].to);
            if (taken >= run_bytes) {
                taken -= run_bytes;
                place.cursor = runs[r].to;
            } else {
                while (taken >= ring.size_of(place.cursor)) taken -= ring.size_of(place.cursor++);
                if (taken > 0) {  // a stream: the kernel took a part of a frame
                    iovec rest;
                    std::uint64_t covered;
                    ring.gather(place.cursor, place.cursor + 1, std::span(&rest, 1), covered);
                    connection_->send_encoded(std::string_view(static_cast<const char*>(rest.iov_base) + taken, rest.iov_len - taken));
                    ++place.cursor;
                    taken = 0;
                }
            }
            delivered_ += place.cursor - from;
            place.audience->stream.counts.delivered += place.cursor - from;
        }
        if (!all || connection_->blocked() || connection_->closing()) return false;
    }
}

// Counts.

std::uint64_t Session::queued(std::uint32_t index) const {
    const Place& place = places_[index];
    std::uint64_t n = place.audience->ring.end() - place.cursor;
    if (place.catching_up && cold_)
        for (const auto& catch_up : cold_->catch_ups)
            for (std::size_t i = 0; i < catch_up->audiences.size(); ++i)
                if (catch_up->audiences[i] == place.audience) n += catch_up->waiting[i];
    return n;
}

std::uint64_t Session::queued() const {
    std::uint64_t n = 0;
    for (std::uint32_t i = 0; i < places_.size(); ++i) n += queued(i);
    if (cold_)
        for (const auto& shared : cold_->shared) n += shared->waiting.size();
    return n;
}

std::uint64_t Session::queued_bytes() const {
    std::uint64_t n = connection_->pending_bytes();
    for (const Place& place : places_)
        if (place.cursor >= place.audience->ring.begin()) n += place.audience->ring.bytes_from(place.cursor);
    if (cold_)
        for (const auto& shared : cold_->shared)
            for (const auto& waiting : shared->waiting) n += waiting.event.text->size();
    return n;
}

std::uint64_t Session::matched() const {
    std::int64_t n = matched_base_;
    for (const Place& place : places_) n += static_cast<std::int64_t>(place.audience->ring.end());
    return static_cast<std::uint64_t>(n);
}

std::uint64_t Session::merged() const { return cold_ ? cold_->merged : 0; }

std::uint64_t Session::dropped(Drop reason) const { return cold_ ? cold_->dropped[static_cast<std::size_t>(reason)] : 0; }

// Limits.

bool Session::admit(Duration now, Duration& retry_after) {
    const auto& options = hub_.options();
    if (!options.enable_rate_limiting) return true;
    const auto now_ms = static_cast<std::uint32_t>(now.count() / 1000);
    const float per_ms = static_cast<float>(options.rate_limit_per_minute) / 60'000.0F;
    // Milliseconds that wrap around: their difference does not.
    tokens_ = std::min(static_cast<float>(options.rate_limit_per_minute), tokens_ + static_cast<float>(now_ms - tokens_ms_) * per_ms);
    tokens_ms_ = now_ms;
    if (tokens_ >= 1) {
        tokens_ -= 1;
        return true;
    }
    retry_after = Duration(static_cast<std::int64_t>((1 - tokens_) / per_ms * 1000) + 1000);
    const std::uint32_t minute = now_ms / 60'000;
    if (minute != over_limit_minute_) over_limit_ = 0;
    over_limit_minute_ = minute;
    if (++over_limit_ > options.abuse_limit_per_minute) end(GatewayError::abuse, Drop::closed);
    return false;
}

bool Session::admit_events(Duration now, std::size_t count, Duration& retry_after) {
    const auto& options = hub_.options();
    if (!options.enable_rate_limiting) return true;
    const auto take = [&](TokenBucket& bucket) { return bucket.take(now, static_cast<double>(count)); };
    std::optional<Duration> wait;
    if (identity_->limits) {
        wait = identity_->limits->publish.with(take);
    } else {
        auto& bucket = cold().publish;
        if (!bucket) bucket.emplace(options.publish_limit_per_minute);
        wait = take(*bucket);
    }
    if (wait) retry_after = *wait;
    return !wait;
}

}  // namespace weir
