// How a session reads the past of what it subscribes to, and goes over to what is live.
#include <algorithm>

#include "base/assert.h"
#include "gateway/hub.h"
#include "gateway/session_cold.h"

namespace weir {
namespace {
constexpr std::size_t kPassBytes = 1 << 20;  ///< offered to the kernel at once: more would only make it say no later
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

}  // namespace weir
