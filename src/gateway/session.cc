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
            // The place whose next frame is the oldest, up to which order it stays so, and how many others have a frame of the same event.
            constexpr std::uint64_t none = ~std::uint64_t(0);
            std::uint64_t oldest = none, second = none;
            std::uint32_t chosen = 0, others = 0;
            const auto next_order = [&](std::uint32_t i) {
                const FrameRing& ring = places_[i].audience->ring;
                return places_[i].catching_up || places_[i].governed || cursors[i] == ring.end() ? none : ring.order(cursors[i]);
            };
            for (std::uint32_t i = 0; i < places_.size(); ++i) {
                const std::uint64_t order = next_order(i);
                if (order == none) continue;
                if (order < oldest) {
                    second = oldest;
                    oldest = order;
                    chosen = i;
                    others = 0;
                } else {
                    second = std::min(second, order);
                    others += order == oldest;
                }
            }
            if (oldest == none) break;
            const auto add = [&](std::uint32_t i, std::uint64_t to) {
                std::uint64_t covered;
                const std::size_t n = places_[i].audience->ring.gather(cursors[i], to, std::span(pieces + piece_count, kPieces - piece_count), covered);
                for (std::size_t piece = 0; piece < n; ++piece) bytes += pieces[piece_count + piece].iov_len;
                piece_count += n;
                cursors[i] = covered;
                runs[run_count++] = {i, covered};
            };
            const FrameRing& ring = places_[chosen].audience->ring;
            add(chosen, second == none ? ring.end() : std::max(ring.find_order(cursors[chosen], second), cursors[chosen] + 1));
            // In one go: to look through all of them for each would cost the square of how many want the event.
            for (std::uint32_t i = chosen + 1; others > 0 && i < places_.size() && piece_count < kPieces && bytes < kPassBytes; ++i) {
                if (next_order(i) != oldest) continue;
                add(i, cursors[i] + 1);
                --others;
            }
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
