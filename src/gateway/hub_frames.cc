// How an event becomes the frames of its audiences: encoded once for a dialect, put once into the ring of each audience.
#include "gateway/hub.h"

#include "base/assert.h"
#include "event/cbor.h"
#include "event/event_json.h"
#include "event/json.h"
#include "gateway/dialects/analytics_messages.h"
#include "gateway/dialects/broadcast_messages.h"
#include "gateway/dialects/spc_messages.h"
#include "net/websocket_codec.h"

namespace weir {
namespace {
constexpr std::size_t kDeflateBytesMin = 128;  ///< smaller frames hardly shrink
}  // namespace

const std::string& Hub::rest_of(DialectKind dialect, const HubStream& stream, const Batch& batch, std::size_t i) {
    Rest& rest = rests_[static_cast<std::size_t>(dialect)];
    if (rest.order != order_) {
        rest.order = order_;
        rest.text.clear();
        append_rest(rest.text, dialect, stream.type, batch, i);
        ++encodes_;
    }
    return rest.text;
}

void Hub::deliver(Audience& audience, const Batch& batch, std::size_t i) {
    const Subscription& subscription = audience.subscription;
    const std::string& rest = rest_of(subscription.dialect, audience.stream, batch, i);
    auto& counts = audience.stream.counts;
    counts.matched += audience.members.size();
    std::string_view head;
    if (subscription.dialect == DialectKind::analytics) {
        payload_.clear();
        analytics_messages::append_data_head(payload_, subscription.id);
        head = payload_;
        ++spliced_;
    }
    const std::size_t size = head.size() + rest.size();
    if (size > parts_.options.max_message_size) return leave_out(audience, batch, i);
    std::string_view payload_head = head, payload_rest = rest;
    if (subscription.cbor) {
        if (head.empty()) payload_.clear();
        payload_ += rest;
        binary_.clear();
        // Numbers may take more as CBOR than as text.
        if (!append_cbor_of(binary_, payload_) || binary_.size() > parts_.options.max_message_size) return leave_out(audience, batch, i);
        payload_head = {};
        payload_rest = binary_;
    }
    auto compressed = net::Compressed::no;
    if (subscription.deflate_window != 0 && payload_head.size() + payload_rest.size() >= kDeflateBytesMin) {
        std::string_view whole = payload_rest;
        if (!payload_head.empty()) {
            payload_ += rest;
            whole = payload_;
            payload_head = whole.substr(0, payload_head.size());
        }
        compressed_.clear();
        if (deflaters_.of(subscription.deflate_window).deflate(whole, compressed_)) {
            compressed = net::Compressed::yes;
            payload_head = {};
            payload_rest = compressed_;
        }
    }
    append(audience, payload_head, payload_rest, compressed);
}

/// The event is larger than a message may be: its place in the stream is told as a gap.
void Hub::leave_out(Audience& audience, const Batch& batch, std::size_t i) {
    audience.stream.counts.dropped[static_cast<std::size_t>(Drop::too_large)] += audience.members.size();
    tell_gap(audience, too_large(batch, i));
}

HistoryStep::Gap Hub::too_large(const Batch& batch, std::size_t i) { return {batch.stream, batch.epoch, batch.seq_of(i), batch.seq_of(i), "too_large"}; }

bool Hub::append_shared_frame(std::string& out, const Subscription& subscription, std::string_view payload) {
    const std::size_t payload_max = parts_.options.max_message_size;
    if (payload.size() > payload_max) return false;
    if (subscription.cbor) {
        binary_.clear();
        if (!append_cbor_of(binary_, payload) || binary_.size() > payload_max) return false;
        payload = binary_;
    }
    auto compressed = net::Compressed::no;
    if (subscription.deflate_window != 0 && payload.size() >= kDeflateBytesMin) {
        compressed_.clear();
        if (deflaters_.of(subscription.deflate_window).deflate(payload, compressed_)) {
            compressed = net::Compressed::yes;
            payload = compressed_;
        }
    }
    char header[10];
    out.append(header, net::write_frame_header(header, subscription.cbor ? net::Opcode::binary : net::Opcode::text, payload.size(), compressed));
    out += payload;
    return true;
}

/// Puts a frame into the ring: its payload is `head` and `rest` behind one another.
void Hub::append(Audience& audience, std::string_view head, std::string_view rest, net::Compressed compressed) {
    const Subscription& subscription = audience.subscription;
    char header[10];
    const std::size_t body = head.size() + rest.size();
    const auto opcode = subscription.cbor ? net::Opcode::binary : net::Opcode::text;
    const std::size_t header_size = subscription.dialect == DialectKind::sse ? 0 : net::write_frame_header(header, opcode, body, compressed);
    FrameRing& ring = audience.ring;
    if (ring.tight(header_size + body)) {
        release(audience);
        while (audience.conflating > 0 && ring.drops(header_size + body)) keep_oldest(audience);
    }
    char* out = ring.append(order_, header_size + body, key_hash_);
    std::memcpy(out, header, header_size);
    if (!head.empty()) std::memcpy(out + header_size, head.data(), head.size());
    std::memcpy(out + header_size + head.size(), rest.data(), rest.size());
    audience.used = true;
    if (audience.pass != pass_) {
        audience.pass = pass_;
        audience.fresh = 0;
    }
    audience.fresh += header_size + body;
    if (audience.fresh > parts_.options.ring_bytes / 4) turn_full_ = true;
    if (!audience.dirty) {
        audience.dirty = true;
        dirty_.push_back(&audience);
    }
}

/// The ring is about to drop its oldest frame: kept aside, in place of an older one of its key.
void Hub::keep_oldest(Audience& audience) {
    FrameRing& ring = audience.ring;
    const std::uint64_t frame = ring.begin(), key = ring.key(frame);
    const auto remove = [&](std::map<std::uint64_t, Audience::Kept>::iterator at) {
        audience.kept_bytes -= at->second.bytes.size();
        if (const auto known = audience.kept_keys.find(at->second.key); known != audience.kept_keys.end() && known->second == at->first) audience.kept_keys.erase(known);
        audience.kept.erase(at);
    };
    if (const auto older = audience.kept_keys.find(key); older != audience.kept_keys.end()) remove(audience.kept.find(older->second));
    audience.kept_bytes += ring.size_of(frame);
    audience.kept.emplace(frame, Audience::Kept{key, ring.order(frame), std::string(ring.bytes(frame))});
    audience.kept_keys[key] = frame;
    ring.release_before(frame + 1);
    while (audience.kept_bytes > parts_.options.ring_bytes) {
        audience.kept_from = audience.kept.begin()->first + 1;
        remove(audience.kept.begin());
    }
}

/// Lets go of what no session of the audience needs any more.
void Hub::release(Audience& audience) {
    std::uint64_t needed = audience.ring.end();
    for (const auto& member : audience.members) needed = std::min(needed, member.session->cursor(member.place));
    audience.ring.release_before(needed);
    if (!audience.kept.empty() && needed >= audience.ring.begin()) {
        audience.kept.clear();
        audience.kept_keys.clear();
        audience.kept_bytes = 0;
    }
}

void Hub::append_rest(std::string& out, DialectKind dialect, StreamType type, const Batch& batch, std::size_t i) {
    const EventView event = batch.events[i];
    const EventPosition position{batch.stream, batch.epoch, batch.seq_of(i)};
    switch (dialect) {
        case DialectKind::analytics: return analytics_messages::append_data_rest(out, type, position, event);
        case DialectKind::broadcast: return broadcast_messages::append_record(out, position.seq, event);
        case DialectKind::spc: return spc_messages::append_event(out, position, event);
        case DialectKind::sse:
            out += "id: ";
            out += to_text(batch.epoch);
            out += ':';
            out += std::to_string(position.seq.value);
            out += "\ndata: ";
            append_event_json(out, position.seq, event);
            out += "\n\n";
            return;
    }
}

std::uint64_t Hub::fingerprint(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

bool Hub::append_frame(std::string& out, const Subscription& subscription, const Batch& batch, std::size_t i, std::size_t payload_max) {
    std::string payload;
    if (subscription.dialect == DialectKind::analytics) analytics_messages::append_data_head(payload, subscription.id);
    append_rest(payload, subscription.dialect, subscription.type, batch, i);
    const bool fits = payload.size() <= payload_max && append_message(out, subscription, payload, payload_max);
    if (!fits)
        if (const std::string told = gap_text(subscription, too_large(batch, i)); !told.empty()) append_message(out, subscription, told, payload_max);
    return fits;
}

/// As a frame, or as what stands in its place. False, and nothing appended, where it is too large as CBOR.
bool Hub::append_message(std::string& out, const Subscription& subscription, const std::string& text, std::size_t payload_max) {
    if (subscription.cbor) {
        std::string binary;
        if (!append_cbor_of(binary, text) || binary.size() > payload_max) return false;
        net::append_frame(out, net::Opcode::binary, binary);
    } else if (subscription.dialect == DialectKind::sse) {
        out += text;
    } else {
        net::append_frame(out, net::Opcode::text, text);
    }
    return true;
}

std::string Hub::gap_text(const Subscription& subscription, const HistoryStep::Gap& gap) {
    std::string text;
    switch (subscription.dialect) {
        case DialectKind::analytics:
            analytics_messages::append_gap(text, {.subscription_id = subscription.id,
                                                  .stream = gap.stream,
                                                  .epoch = gap.epoch,
                                                  .from = gap.from,
                                                  .to = gap.to,
                                                  .reason = gap.reason});
            break;
        case DialectKind::spc: spc_messages::append_gap(text, gap.stream, gap.epoch, gap.from, gap.to, gap.reason); break;
        case DialectKind::sse: {
            text = "event: gap\ndata: ";
            JsonWriter json(text);
            const auto seq = [](const std::optional<Seq>& s) { return s ? std::optional<std::uint64_t>(s->value) : std::nullopt; };
            json.object().member("stream", gap.stream).member("from_seq", seq(gap.from)).member("to_seq", seq(gap.to)).member("reason", gap.reason).end();
            text += "\n\n";
            break;
        }
        case DialectKind::broadcast: break;  // the jump in the sequence says it
    }
    return text;
}

std::string Hub::counts_text(const Governor& governor) {
    std::string text;
    JsonWriter json(text);
    json.object().member("type", "delivery").name("data").object().member("delivered", governor.delivered).member("merged", governor.merged);
    json.member("dropped", governor.dropped).name("delivery");
    governor.policy.print(json);
    json.end().member("subscription_id", governor.subscription->id).end();
    return text;
}

std::string Hub::batch_frame(const Subscription& subscription, std::string_view messages, std::size_t count, bool cbor) {
    std::string payload, frame;
    if (cbor) {
        append_cbor_head(payload, 5, 3);
        append_cbor_text(payload, "type");
        append_cbor_text(payload, "batch");
        append_cbor_text(payload, "subscription_id");
        append_cbor_text(payload, subscription.id);
        append_cbor_text(payload, "data");
        append_cbor_head(payload, 4, count);
        payload += messages;
    } else {
        JsonWriter json(payload);
        json.object().member("type", "batch").member("subscription_id", subscription.id).name("data").raw("[").end();
        payload.pop_back();
        payload += messages;
        payload += "]}";
    }
    net::append_frame(frame, cbor ? net::Opcode::binary : net::Opcode::text, payload);
    return frame;
}

net::Inflater& Hub::inflater() {
    if (!inflater_) inflater_ = std::make_unique<net::Inflater>();
    return *inflater_;
}

}  // namespace weir
