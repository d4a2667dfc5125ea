// Frames of either side: the decoder against an obvious twin, split anywhere, and what we encode read back.
#include <vector>

#include "fuzz.h"
#include "net/websocket_codec.h"
#include "net/websocket_deflate.h"

namespace weir::fuzz {
namespace {

using namespace weir::net;
using Kind = WebSocketDecoder::Kind;

constexpr WebSocketLimits limits{.message_bytes_max = 700};

struct Seen {
    Kind kind;
    std::string data;
    CloseCode code;
    bool operator==(const Seen&) const = default;
};

/// `piece` bytes at a time; 0: all at once.
std::vector<Seen> decode(Role role, std::string_view bytes, bool deflate, std::size_t piece) {
    WebSocketDecoder decoder(role);
    Inflater inflater;
    std::vector<Seen> seen;
    std::string buffer;
    for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t size = piece == 0 ? bytes.size() : std::min(piece, bytes.size() - at);
        buffer.assign(bytes.substr(at, size));
        buffer.resize(size + WebSocketDecoder::kPadding);
        at += size;
        std::span<char> input(buffer.data(), size);
        for (;;) {
            const auto event = decoder.next(input, limits, deflate ? &inflater : nullptr);
            if (event.kind == Kind::more) break;
            std::string data(event.kind == Kind::error ? "" : event.data);
            if (planted() && piece != 0 && event.kind == Kind::pong && data.size() >= 2) data.pop_back();
            seen.push_back({event.kind, std::move(data), event.code});
            if (event.kind == Kind::error) return seen;
        }
        FUZZ_CHECK(input.empty());
    }
    return seen;
}

/// Whether some text that is UTF-8 begins with these bytes; `whole`: whether they are one. RFC 3629, section 4, as a table.
bool is_utf8(std::string_view text, bool whole) {
    for (std::size_t i = 0; i < text.size();) {
        const auto at = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
        const unsigned char first = at(i);
        const int more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1;
        if (more < 0) return false;
        for (int k = 1; k <= more; ++k) {
            if (i + static_cast<std::size_t>(k) >= text.size()) return !whole;
            const unsigned char c = at(i + static_cast<std::size_t>(k));
            unsigned char low = 0x80, high = 0xbf;
            if (k == 1 && first == 0xe0) low = 0xa0;
            if (k == 1 && first == 0xed) high = 0x9f;
            if (k == 1 && first == 0xf0) low = 0x90;
            if (k == 1 && first == 0xf4) high = 0x8f;
            if (c < low || c > high) return false;
        }
        i += static_cast<std::size_t>(more) + 1;
    }
    return true;
}

/// RFC 6455 as it reads, without permessage-deflate. `in_header`: the input ends within a header, so that an error in it may be seen or not yet.
std::vector<Seen> twin(Role role, std::string_view bytes, bool& in_header) {
    std::vector<Seen> seen;
    std::string message;
    bool in_message = false, text = false;
    in_header = false;
    const auto error = [&](CloseCode code) {
        seen.push_back({Kind::error, "", code});
        return seen;
    };
    while (!bytes.empty()) {
        in_header = true;
        if (bytes.size() < 2) return seen;
        const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
        const bool fin = at(0) & 0x80, masked = at(1) & 0x80;
        const int opcode = at(0) & 15;
        std::uint64_t size = at(1) & 127;
        const bool control = opcode >= 8;
        std::size_t header = 2;
        const std::size_t extra = size == 126 ? 2 : size == 127 ? 8 : 0;
        in_header = bytes.size() < header + extra + (masked ? 4 : 0);
        if (at(0) & 0x70) return error(CloseCode::protocol_error);
        if (opcode > 10 || (opcode > 2 && opcode < 8)) return error(CloseCode::protocol_error);
        if (masked != (role == Role::server)) return error(CloseCode::protocol_error);
        if (control && (!fin || size > 125)) return error(CloseCode::protocol_error);
        if (!control && (opcode == 0) != in_message) return error(CloseCode::protocol_error);
        if (in_header) return seen;
        if (extra > 0) {
            size = 0;
            for (std::size_t i = 0; i < extra; ++i) size = size << 8 | at(header + i);
            header += extra;
            if (size < (extra == 2 ? 126u : 65536u) || size >> 63) return error(CloseCode::protocol_error);
        }
        unsigned char mask[4] = {};
        for (std::size_t i = 0; masked && i < 4; ++i) mask[i] = at(header + i);
        header += masked ? 4 : 0;
        if (!control) {
            if (opcode != 0) {
                message.clear();
                text = opcode == 1;
                in_message = true;
            }
            if (size > limits.message_bytes_max || message.size() + size > limits.message_bytes_max) return error(CloseCode::message_too_big);
        }
        const bool whole = bytes.size() - header >= size;
        std::string payload(bytes.substr(header, static_cast<std::size_t>(std::min<std::uint64_t>(size, bytes.size() - header))));
        for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(static_cast<unsigned char>(payload[i]) ^ mask[i % 4]);
        bytes.remove_prefix(header + payload.size());
        if (control) {
            if (!whole) return seen;
            if (opcode == 9) seen.push_back({Kind::ping, payload, CloseCode::none});
            if (opcode == 10) seen.push_back({Kind::pong, payload, CloseCode::none});
            if (opcode != 8) continue;
            if (payload.empty()) {
                seen.push_back({Kind::close, "", CloseCode::none});
                continue;
            }
            if (payload.size() == 1) return error(CloseCode::protocol_error);
            const int code = static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]);
            const bool known = (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999);
            if (!known) return error(CloseCode::protocol_error);
            if (!is_utf8(payload.substr(2), true)) return error(CloseCode::invalid_payload);
            seen.push_back({Kind::close, payload.substr(2), static_cast<CloseCode>(code)});
            continue;
        }
        message += payload;
        if (text && !is_utf8(message, whole && fin)) return error(CloseCode::invalid_payload);
        if (!whole) return seen;
        if (!fin) continue;
        in_message = false;
        seen.push_back({text ? Kind::text : Kind::binary, message, CloseCode::none});
    }
    return seen;
}

void round_trip(std::string_view payload, Role reader, bool compress, std::uint32_t mask) {
    payload = payload.substr(0, limits.message_bytes_max);
    const Opcode opcode = is_utf8(payload, true) ? Opcode::text : Opcode::binary;
    std::string deflated, frame;
    const bool smaller = compress && Deflater().deflate(payload, deflated);
    const std::string_view sent = smaller ? std::string_view(deflated) : payload;
    if (reader == Role::client)
        append_frame(frame, opcode, sent, smaller ? Compressed::yes : Compressed::no);
    else
        append_masked_frame(frame, opcode, sent, mask, smaller ? Compressed::yes : Compressed::no);
    FUZZ_CHECK(frame_bytes(frame) == frame.size());
    const std::vector<Seen> seen = decode(reader, frame, compress, 0);
    FUZZ_CHECK(seen.size() == 1 && seen[0].data == payload && seen[0].kind == (opcode == Opcode::text ? Kind::text : Kind::binary));
    const std::string reason = close_payload(CloseCode::going_away, payload);
    FUZZ_CHECK(reason.size() <= 125);
    if (opcode == Opcode::text) FUZZ_CHECK(is_utf8(std::string_view(reason).substr(2), true));
}

}  // namespace

// First byte: bit 0 the role, bit 1 permessage-deflate, bit 2 the rest is a header of extensions instead; second: how it is split.
void websocket(std::string_view bytes) {
    Input input(bytes);
    const std::uint8_t choice = input.byte(), piece = input.byte();
    const Role role = choice & 1 ? Role::client : Role::server;
    const bool deflate = choice & 2;
    const std::string_view rest = input.rest();
    if (choice & 4) {
        const DeflatePolicy policy{.client_no_context_takeover = (choice & 8) != 0, .server_max_window_bits = 9 + piece % 7};
        if (const auto agreed = accept_deflate_offer(rest, policy)) {
            const auto read = read_deflate_response(deflate_response(*agreed));
            FUZZ_CHECK(read.ok() && read->has_value() && read->value() == *agreed, std::string(rest) + " -> " + deflate_response(*agreed));
        }
        (void)read_deflate_response(rest);
        return;
    }
    const auto whole = decode(role, rest, deflate, 0);
    FUZZ_CHECK(whole == decode(role, rest, deflate, 1 + piece % 17));
    for (const Seen& seen : whole) {
        FUZZ_CHECK(seen.data.size() <= limits.message_bytes_max);
        if (seen.kind == Kind::text) FUZZ_CHECK(is_utf8(seen.data, true));
    }
    if (!deflate) {
        bool in_header = false;
        auto expected = twin(role, rest, in_header);
        auto found = whole;
        if (in_header) {
            for (auto* list : {&found, &expected})
                if (!list->empty() && list->back().kind == Kind::error) list->pop_back();
        }
        FUZZ_CHECK(found == expected);
    }
    round_trip(rest, role, deflate, 0x9e3779b9u * (piece + 1u));
}

}  // namespace weir::fuzz
