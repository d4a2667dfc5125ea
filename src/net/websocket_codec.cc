#include "net/websocket_codec.h"

#include <cstring>

#include "net/websocket_deflate.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace weir::net {
namespace {

constexpr unsigned char kFin = 0x80, kRsv1 = 0x40, kRsv23 = 0x30, kMaskBit = 0x80;

bool is_control(Opcode opcode) { return static_cast<std::uint8_t>(opcode) >= 8; }

std::uint64_t big_endian(const unsigned char* bytes, int count) {
    std::uint64_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | bytes[i];
    return value;
}

}  // namespace

bool is_valid_close_code(std::uint16_t code) noexcept {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

std::size_t write_frame_header(char* out, Opcode opcode, std::uint64_t payload_bytes, Compressed compressed) noexcept {
    auto* bytes = reinterpret_cast<unsigned char*>(out);
    bytes[0] = static_cast<unsigned char>(kFin | (compressed == Compressed::yes ? kRsv1 : 0) | static_cast<unsigned>(opcode));
    if (payload_bytes < 126) {
        bytes[1] = static_cast<unsigned char>(payload_bytes);
        return 2;
    }
    const int length_bytes = payload_bytes < 65536 ? 2 : 8;
    bytes[1] = length_bytes == 2 ? 126 : 127;
    for (int i = 0; i < length_bytes; ++i) bytes[2 + i] = static_cast<unsigned char>(payload_bytes >> (8 * (length_bytes - 1 - i)));
    return static_cast<std::size_t>(2 + length_bytes);
}

void append_frame(std::string& out, Opcode opcode, std::string_view payload, Compressed compressed) {
    char header[kFrameHeaderMax];
    out.append(header, write_frame_header(header, opcode, payload.size(), compressed)).append(payload);
}

void append_masked_frame(std::string& out, Opcode opcode, std::string_view payload, std::uint32_t mask, Compressed compressed) {
    char header[kFrameHeaderMax];
    std::size_t size = write_frame_header(header, opcode, payload.size(), compressed);
    header[1] = static_cast<char>(header[1] | kMaskBit);
    std::memcpy(header + size, &mask, 4);
    out.append(header, size + 4);
    const std::size_t start = out.size();
    out.append(payload);
    apply_mask(out.data() + start, payload.size(), mask);
}

std::string close_payload(CloseCode code, std::string_view reason) {
    if (code == CloseCode::none) return {};
    if (reason.size() > 123) {
        std::size_t end = 123;
        while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xc0) == 0x80) --end;
        reason = reason.substr(0, end);
    }
    const auto number = static_cast<std::uint16_t>(code);
    std::string payload{static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
    return payload.append(reason);
}

std::uint64_t frame_bytes(std::string_view data) noexcept {
    if (data.size() < 2) return 0;
    const auto* bytes = reinterpret_cast<const unsigned char*>(data.data());
    const unsigned length = bytes[1] & 0x7f;
    const int length_bytes = length < 126 ? 0 : length == 126 ? 2 : 8;
    const std::size_t header = static_cast<std::size_t>(2 + length_bytes + (bytes[1] & kMaskBit ? 4 : 0));
    if (data.size() < header) return 0;
    return header + (length_bytes ? big_endian(bytes + 2, length_bytes) : length);
}

void apply_mask(char* data, std::size_t size, std::uint32_t mask, std::size_t phase) noexcept {
    unsigned char key[4], turned[16];
    std::memcpy(key, &mask, 4);
    for (std::size_t i = 0; i < sizeof turned; ++i) turned[i] = key[(phase + i) & 3];
    std::size_t i = 0;
#ifdef __SSE2__
    const __m128i wide = _mm_loadu_si128(reinterpret_cast<const __m128i*>(turned));
    for (; i + 16 <= size; i += 16) {
        auto* at = reinterpret_cast<__m128i*>(data + i);
        _mm_storeu_si128(at, _mm_xor_si128(_mm_loadu_si128(at), wide));
    }
#endif
    std::uint64_t word_mask;
    std::memcpy(&word_mask, turned, 8);
    for (; i + 8 <= size; i += 8) {
        std::uint64_t word;
        std::memcpy(&word, data + i, 8);
        word ^= word_mask;
        std::memcpy(data + i, &word, 8);
    }
    for (; i < size; ++i) data[i] = static_cast<char>(static_cast<unsigned char>(data[i]) ^ turned[i & 3]);
}

WebSocketDecoder::Event WebSocketDecoder::fail(CloseCode code, const char* why) {
    state_ = State::failed;
    fail_code_ = code;
    fail_why_ = why;
    return {.kind = Kind::error, .data = why, .code = code};
}

/// The header is complete: what of it can be wrong, and where its payload goes. nullopt: go on with the payload.
std::optional<WebSocketDecoder::Event> WebSocketDecoder::start_frame(const WebSocketLimits& limits, bool deflate) {
    const unsigned length = header_[1] & 0x7f;
    payload_bytes_ = length;
    if (length == 126) {
        payload_bytes_ = big_endian(header_ + 2, 2);
        if (payload_bytes_ < 126) return fail(CloseCode::protocol_error, "a length is not in its shortest form");
    } else if (length == 127) {
        payload_bytes_ = big_endian(header_ + 2, 8);
        if (payload_bytes_ >> 63) return fail(CloseCode::protocol_error, "a length has its highest bit set");
        if (payload_bytes_ < 65536) return fail(CloseCode::protocol_error, "a length is not in its shortest form");
    }
    if (masked_) std::memcpy(&mask_, header_ + header_bytes_ - 4, 4);
    payload_done_ = 0;
    control_bytes_ = 0;
    if (is_control(opcode_)) return std::nullopt;
    if (opcode_ != Opcode::continuation) {
        message_opcode_ = opcode_;
        compressed_ = deflate && (header_[0] & kRsv1);
        utf8_.reset();
    }
    // What does not compress gets a little larger by deflate; the exact bound is held when it is inflated.
    const std::size_t most = limits.message_bytes_max + (compressed_ ? limits.message_bytes_max / 256 + 64 : 0);
    if (message_.size() > most || payload_bytes_ > most - message_.size())
        return fail(CloseCode::message_too_big, "the message is larger than is allowed");
    return std::nullopt;
}

WebSocketDecoder::Event WebSocketDecoder::finish_control(std::string_view payload) {
    state_ = State::header;
    header_bytes_ = 0;
    header_need_ = 2;
    if (opcode_ != Opcode::close) return {.kind = opcode_ == Opcode::ping ? Kind::ping : Kind::pong, .data = payload};
    if (payload.empty()) return {.kind = Kind::close, .code = CloseCode::none};
    if (payload.size() == 1) return fail(CloseCode::protocol_error, "a close frame holds half a code");
    const auto code = static_cast<std::uint16_t>(big_endian(reinterpret_cast<const unsigned char*>(payload.data()), 2));
    if (!is_valid_close_code(code)) return fail(CloseCode::protocol_error, "a close frame has a code that must not be sent");
    payload.remove_prefix(2);
    if (!is_valid_utf8(payload)) return fail(CloseCode::invalid_payload, "the reason in a close frame is not UTF-8");
    return {.kind = Kind::close, .data = payload, .code = CloseCode(code)};
}

WebSocketDecoder::Event WebSocketDecoder::finish_message(std::string_view payload, bool in_place, const WebSocketLimits& limits,
                                                         Inflater* inflater) {
    state_ = State::header;
    header_bytes_ = 0;
    header_need_ = 2;
    in_message_ = false;
    release_message_ = !in_place;
    const bool text = message_opcode_ == Opcode::text;
    if (compressed_) {
        std::string& inflated = inflater->scratch();
        switch (inflater->inflate(payload, inflated, limits.message_bytes_max)) {
            case Inflater::Outcome::done: break;
            case Inflater::Outcome::corrupt: return fail(CloseCode::invalid_payload, "a compressed message cannot be inflated");
            case Inflater::Outcome::too_big: return fail(CloseCode::message_too_big, "the message is larger than is allowed");
        }
        payload = inflated;
        if (text && !is_valid_utf8(payload)) return fail(CloseCode::invalid_payload, "a text message is not UTF-8");
    } else if (text && in_place ? !is_valid_utf8(payload) : text && !utf8_.complete()) {
        return fail(CloseCode::invalid_payload, "a text message is not UTF-8");
    }
    return {.kind = text ? Kind::text : Kind::binary, .data = payload};
}

WebSocketDecoder::Event WebSocketDecoder::next(std::span<char>& input, const WebSocketLimits& limits, Inflater* inflater) {
    if (release_message_) {
        release_message_ = false;
        std::string().swap(message_);  // assigning an empty one would keep the memory
    }
    for (;;) {
        if (state_ == State::failed) return {.kind = Kind::error, .data = fail_why_, .code = fail_code_};
        if (state_ == State::header) {
            while (header_bytes_ < header_need_) {
                if (input.empty()) return {.kind = Kind::more};
                const std::size_t n = std::min<std::size_t>(header_need_ - header_bytes_, input.size());
                std::memcpy(header_ + header_bytes_, input.data(), n);
                input = input.subspan(n);
                header_bytes_ = static_cast<std::uint8_t>(header_bytes_ + n);
                if (header_bytes_ != 2 || header_need_ != 2) continue;
                // The first two bytes say how long the header is, and most of what can be wrong with it.
                fin_ = header_[0] & kFin;
                masked_ = header_[1] & kMaskBit;
                const unsigned code = header_[0] & 0x0f, length = header_[1] & 0x7f;
                opcode_ = Opcode(code);
                if (header_[0] & kRsv23) return fail(CloseCode::protocol_error, "a reserved bit is set");
                if ((header_[0] & kRsv1) && (!inflater || is_control(opcode_) || opcode_ == Opcode::continuation))
                    return fail(CloseCode::protocol_error, "a reserved bit is set");
                if (code > 10 || (code > 2 && code < 8)) return fail(CloseCode::protocol_error, "an opcode is not defined");
                if (masked_ != (role_ == Role::server))
                    return fail(CloseCode::protocol_error, role_ == Role::server ? "a frame from a client is not masked" : "a frame from a server is masked");
                if (is_control(opcode_)) {
                    if (!fin_) return fail(CloseCode::protocol_error, "a control frame is fragmented");
                    if (length > 125) return fail(CloseCode::protocol_error, "a control frame is larger than 125 bytes");
                } else if ((opcode_ == Opcode::continuation) != in_message_) {
                    return fail(CloseCode::protocol_error, in_message_ ? "a message begins within another" : "a continuation continues nothing");
                }
                header_need_ = static_cast<std::uint8_t>(2 + (length < 126 ? 0 : length == 126 ? 2 : 8) + (masked_ ? 4 : 0));
            }
            if (auto failed = start_frame(limits, inflater != nullptr)) return *failed;
            state_ = State::payload;
        }

        const std::uint64_t left = payload_bytes_ - payload_done_;
        const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(left, input.size()));
        const std::span<char> piece = input.first(n);
        if (masked_) apply_mask(piece.data(), n, mask_, static_cast<std::size_t>(payload_done_ & 3));
        input = input.subspan(n);
        const std::string_view bytes(piece.data(), n);
        const bool whole = payload_done_ == 0 && n == payload_bytes_;
        payload_done_ += n;
        const bool frame_done = payload_done_ == payload_bytes_;

        if (is_control(opcode_)) {
            if (whole) return finish_control(bytes);
            std::memcpy(control_ + control_bytes_, bytes.data(), n);
            control_bytes_ = static_cast<std::uint8_t>(control_bytes_ + n);
            if (!frame_done) return {.kind = Kind::more};
            return finish_control({control_, control_bytes_});
        }
        if (whole && fin_ && !in_message_) return finish_message(bytes, true, limits, inflater);
        in_message_ = true;
        if (message_opcode_ == Opcode::text && !compressed_ && !utf8_.add(bytes))
            return fail(CloseCode::invalid_payload, "a text message is not UTF-8");
        // Grown by what has come, never by what was promised; with room for whoever reads ahead.
        if (message_.capacity() < message_.size() + n + kPadding) message_.reserve(std::max(message_.size() + n + kPadding, 2 * message_.size()));
        message_.append(bytes);
        if (!frame_done) return {.kind = Kind::more};
        if (fin_) return finish_message(message_, false, limits, inflater);
        state_ = State::header;
        header_bytes_ = 0;
        header_need_ = 2;
    }
}

}  // namespace weir::net
