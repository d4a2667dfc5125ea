// How a session sends what a delivery policy governs: the frames lie in the rings as for everyone, and this says which of them go, and when.
#include "base/assert.h"
#include "event/cbor.h"
#include "event/json.h"
#include "gateway/hub.h"
#include "gateway/session_cold.h"
#include "net/websocket_codec.h"
#include "net/websocket_deflate.h"

namespace weir {
namespace {

constexpr std::size_t kPieces = 64;
constexpr Duration kTellEvery = 1s;

/// What stands in a whole unmasked frame, inflated where it is compressed.
std::string_view payload_of(std::string_view frame, net::Inflater& inflater, std::size_t bytes_max) {
    const auto length = static_cast<unsigned char>(frame[1]);
    const std::string_view payload = frame.substr(length < 126 ? 2 : length == 126 ? 4 : 10);
    if (!(frame[0] & 0x40)) return payload;
    const auto outcome = inflater.inflate(payload, inflater.scratch(), bytes_max);
    WEIR_ASSERT(outcome == net::Inflater::Outcome::done);
    return inflater.scratch();
}

}  // namespace

// Setting up.

Governor* Session::governor_of(const Subscription& subscription) {
    if (cold_)
        for (const auto& governor : cold_->governors)
            if (governor->subscription == &subscription) return governor.get();
    return nullptr;
}

const Governor* Session::governor(const Subscription& subscription) const { return const_cast<Session*>(this)->governor_of(subscription); }

void Session::set_policy(Subscription& subscription, const DeliveryPolicy& policy) {
    Governor* governor = governor_of(subscription);
    if (!governor) {
        if (policy.plain()) return;
        governor = cold().governors.emplace_back(std::make_unique<Governor>()).get();
        governor->subscription = &subscription;
        governor->tokens_at = hub_.reactor().now();
    }
    governor->policy = policy;
    governor->batch_due = Duration(0);
    governor->tokens = std::min(governor->tokens, 1.0);
    govern(*governor);
    for (auto& part : governor->parts) {
        Place& place = place_of(*part.audience);
        if (policy.conflate) start_conflating(part, place);
        else stop_conflating(part);
    }
    connection_->mark_dirty();
}

/// Once governed, always governed: also a plain policy is kept by the governor then, so that what it counted stays.
void Session::govern(Governor& governor) {
    for (Place& place : places_) {
        if (&place.audience->subscription != governor.subscription || place.governed) continue;
        place.governed = true;
        auto& part = governor.parts.emplace_back();
        part.audience = place.audience;
        part.scanned = place.cursor;
        if (governor.policy.conflate) start_conflating(part, place);
    }
}

void Session::ungovern(const Subscription& subscription) {
    if (cold_) std::erase_if(cold_->governors, [&](const auto& governor) { return governor->subscription == &subscription; });
}

void Session::start_conflating(Governor::Part& part, Place& place) {
    if (part.conflating) return;
    part.conflating = true;
    ++part.audience->conflating;
    part.newest.clear();
    part.scanned = place.cursor;
}

void Session::stop_conflating(Governor::Part& part) {
    if (!part.conflating) return;
    part.conflating = false;
    part.newest.clear();
    if (--part.audience->conflating > 0) return;
    part.audience->kept.clear();
    part.audience->kept_keys.clear();
    part.audience->kept_bytes = 0;
}

// Watching over it.

void Session::skip(Governor& governor, Place& place, std::uint64_t to, Drop reason) {
    if (to <= place.cursor) return;
    count_drop(place.audience->stream, to - place.cursor, reason);
    governor.dropped += to - place.cursor;
    place.cursor = to;
}

void Session::notify_governed(Place& place) {
    Governor& governor = *governor_of(place.audience->subscription);
    Governor::Part& part = governor.part(*place.audience);
    const FrameRing& ring = place.audience->ring;
    using AtBound = DeliveryPolicy::AtBound;
    if (!part.conflating) {
        const Drop reason = governor.policy.max_rate > 0 ? Drop::rate : Drop::oldest;
        const bool may_drop = governor.policy.max_rate > 0 || governor.policy.at_bound != AtBound::disconnect;
        if (place.cursor < ring.begin()) {
            if (!may_drop) return hub_.overflowed(*this);
            skip(governor, place, ring.begin(), reason);
        }
        if (connection_->blocked() && ring.bytes_from(place.cursor) > hub_.options().session_queue_bytes) {
            if (governor.policy.at_bound == AtBound::conflate) start_conflating(part, place);
            else if (may_drop) skip(governor, place, ring.find_bytes(place.cursor, hub_.options().session_queue_bytes), reason);
            else return hub_.overflowed(*this);
        }
    }
    if (part.conflating) {
        if (place.cursor < ring.begin() && place.cursor < place.audience->kept_from) return hub_.overflowed(*this);
        for (std::uint64_t frame = std::max({part.scanned, place.cursor, ring.begin()}); frame < ring.end(); ++frame) part.newest[ring.key(frame)] = frame;
        part.scanned = ring.end();
    }
    connection_->mark_dirty();
    if (!connection_->blocked()) hub_.marked();
}

void Session::wake_at(Duration at) {
    if (cold_->wake_at != Duration(0) && cold_->wake_at <= at) return;
    cold_->wake_at = at;
    hub_.wake_session(number_, at);
}

void Session::woken() {
    if (!cold_) return;
    cold_->wake_at = Duration(0);
    connection_->mark_dirty();
}

/// How many were merged and dropped, at most once a second.
void Session::tell(Governor& governor) {
    const std::uint64_t now_gone = governor.merged + governor.dropped;
    if (now_gone == governor.told) return;
    const Duration now = hub_.reactor().now();
    if (now < governor.tell_at) return wake_at(governor.tell_at);
    governor.told = now_gone;
    governor.tell_at = now + kTellEvery;
    reply(Hub::counts_text(governor));
}

// Sending.

void Session::write_governed() {
    for (std::size_t i = 0; i < cold_->governors.size(); ++i) {
        Governor& governor = *cold_->governors[i];
        const bool room = write_governed(governor);
        if (connection_->closing() || !cold_) return;
        tell(governor);
        if (!room) return;
    }
}

/// False when the kernel takes no more.
bool Session::write_governed(Governor& governor) {
    struct Source {
        Place* place;
        Governor::Part* part;
        std::uint64_t next;  ///< up to here frames are planned, or were merged
    };
    struct Planned {
        std::uint32_t source;
        std::uint64_t frame;
        std::size_t bytes;
    };
    const DeliveryPolicy& policy = governor.policy;
    const Duration now = hub_.reactor().now();
    std::vector<Source> sources;
    std::uint64_t waiting = 0, waiting_bytes = 0;
    for (Place& place : places_) {
        if (!place.governed || place.catching_up || &place.audience->subscription != governor.subscription) continue;
        const FrameRing& ring = place.audience->ring;
        Governor::Part& part = governor.part(*place.audience);
        if (place.cursor < ring.begin() && !part.conflating) {  // lost since it was last told
            notify_governed(place);
            if (place.cursor < ring.begin()) return false;
        }
        if (part.conflating && part.scanned < ring.end()) notify_governed(place);
        sources.push_back({&place, &part, place.cursor});
        waiting += ring.end() - place.cursor;
        waiting_bytes += ring.bytes_from(std::max(place.cursor, ring.begin()));
    }
    if (waiting == 0) return true;
    const std::size_t message_max = hub_.options().max_message_size;
    if (policy.batch > Duration(0)) {
        if (governor.batch_due == Duration(0)) governor.batch_due = now + policy.batch;
        if (now < governor.batch_due && waiting_bytes < message_max / 2) return wake_at(governor.batch_due), true;
    }
    governor.refill(now);
    auto allowed = policy.max_rate > 0 ? static_cast<std::uint64_t>(governor.tokens) : ~std::uint64_t(0);
    if (allowed == 0) return wake_at(governor.next_token()), true;

    // The next frame of a source that is to be sent; frames before it are superseded. Null at the ring's end.
    const auto next_frame = [&](Source& source, std::uint64_t& order, std::string_view& bytes) {
        const Audience& audience = *source.place->audience;
        const FrameRing& ring = audience.ring;
        if (source.next < ring.begin()) {
            for (auto at = audience.kept.lower_bound(source.next); at != audience.kept.end() && at->first < ring.begin(); ++at) {
                if (governor.superseded(*source.part, at->first, at->second.key)) continue;
                source.next = at->first;
                order = at->second.order;
                bytes = at->second.bytes;
                return true;
            }
            source.next = ring.begin();
        }
        while (source.next < ring.end() && governor.superseded(*source.part, source.next, ring.key(source.next))) ++source.next;
        if (source.next == ring.end()) return false;
        order = ring.order(source.next);
        bytes = ring.bytes(source.next);
        return true;
    };
    const auto pass = [&](Source& source, std::uint64_t frame) {  // it went out; what lay before it was merged into newer ones
        Place& place = *source.place;
        auto& counts = place.audience->stream.counts;
        const std::uint64_t merged = frame - place.cursor;
        counts.merged += merged;
        governor.merged += merged;
        cold_->merged += merged;
        ++counts.delivered;
        ++delivered_;
        ++governor.delivered;
        place.cursor = frame + 1;
        if (policy.max_rate > 0) governor.tokens -= 1;
    };
    // Above the rate the newest go: what is too much is the oldest.
    if (policy.max_rate > 0 && waiting > allowed) {
        std::uint64_t too_many = waiting - allowed;
        for (bool conflating = std::any_of(sources.begin(), sources.end(), [](const Source& s) { return s.part->conflating; }); !conflating && too_many > 0; --too_many) {
            Source* oldest = nullptr;
            for (Source& source : sources) {
                const FrameRing& ring = source.place->audience->ring;
                if (source.place->cursor == ring.end()) continue;
                if (!oldest || ring.order(source.place->cursor) < oldest->place->audience->ring.order(oldest->place->cursor)) oldest = &source;
            }
            skip(governor, *oldest->place, oldest->place->cursor + 1, Drop::rate);
            oldest->next = oldest->place->cursor;
        }
    }

    std::vector<Planned> planned;
    std::vector<iovec> pieces;
    std::string batch;
    // What stands around the events of a batch; a frame's header and the count of an empty one are smaller than those of a full one.
    const std::size_t envelope = policy.batch > Duration(0) ? Hub::batch_frame(*governor.subscription, {}, 0, cbor_).size() + 16 : 0;
    for (;;) {
        planned.clear();
        pieces.clear();
        batch.clear();
        std::uint64_t left = allowed;
        std::size_t batch_bytes = 0;
        std::string_view alone;
        while (left > 0 && (policy.batch > Duration(0) || planned.size() < kPieces)) {
            Source* chosen = nullptr;
            std::uint64_t oldest = ~std::uint64_t(0);
            std::string_view bytes;
            for (Source& source : sources) {
                std::uint64_t order;
                std::string_view own;
                if (next_frame(source, order, own) && order < oldest) {
                    oldest = order;
                    chosen = &source;
                    bytes = own;
                }
            }
            if (!chosen) break;
            if (policy.batch > Duration(0)) {
                const std::string_view payload = payload_of(bytes, hub_.inflater(), message_max);
                // No message is larger than max_message_size, batches are split (spec.md 5).
                if (batch_bytes > 0 && batch_bytes + 1 + payload.size() + envelope > message_max) break;
                alone = bytes;
                if (batch_bytes > 0 && !cbor_) batch += ',';
                batch += payload;
                batch_bytes = batch.size();
            } else {
                pieces.push_back({const_cast<char*>(bytes.data()), bytes.size()});
            }
            planned.push_back({static_cast<std::uint32_t>(chosen - sources.data()), chosen->next, bytes.size()});
            ++chosen->next;
            --left;
        }
        if (planned.empty()) {
            // All that is left is behind the newest of its key: nothing is. A batch begins with what comes next.
            governor.batch_due = Duration(0);
            break;
        }
        std::size_t offered = 0, taken;
        if (policy.batch > Duration(0)) {
            // One event that leaves no room for anything around it goes as it is.
            const bool whole = planned.size() == 1 && batch_bytes + envelope > message_max;
            const std::string frame = whole ? std::string() : Hub::batch_frame(*governor.subscription, batch, planned.size(), cbor_);
            const std::string_view sent = whole ? alone : frame;
            offered = sent.size();
            taken = connection_->try_write(sent);
            if (taken == offered)
                for (const Planned& one : planned) pass(sources[one.source], one.frame);
        } else {
            for (const auto& piece : pieces) offered += piece.iov_len;
            taken = connection_->try_write(pieces);
            std::size_t rest = taken;
            for (const Planned& one : planned) {
                if (rest < one.bytes) break;
                rest -= one.bytes;
                pass(sources[one.source], one.frame);
            }
        }
        if (taken < offered || connection_->blocked() || connection_->closing()) return false;
        if (allowed != ~std::uint64_t(0)) allowed -= planned.size();
        if (allowed == 0) {
            wake_at(governor.next_token());
            break;
        }
    }
    for (Source& source : sources) {
        const bool all = source.place->cursor == source.place->audience->ring.end();
        if (!all || !source.part->conflating) continue;
        source.part->newest.clear();
        if (!policy.conflate) stop_conflating(*source.part);  // it was for the bound only
    }
    return true;
}

}  // namespace weir
