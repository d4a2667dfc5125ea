#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/utf8.h"

namespace weir::net {

class Inflater;

/// RFC 6455, 7.4.1. Codes that may stand in a frame: 1000-1003, 1007-1014, 3000-4999.
enum class CloseCode : std::uint16_t {
    normal = 1000,
    going_away = 1001,
    protocol_error = 1002,
    unsupported_data = 1003,
    none = 1005,              ///< never sent: the peer's close frame had no code
    abnormal = 1006,          ///< never sent: the connection ended without a close frame
    invalid_payload = 1007,
    policy_violation = 1008,
    message_too_big = 1009,
    mandatory_extension = 1010,
    internal_error = 1011,
    service_restart = 1012,
    try_again_later = 1013,
    bad_gateway = 1014,
};
/// Whether a peer may send this code in a close frame.
bool is_valid_close_code(std::uint16_t code) noexcept;

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };
enum class Role : std::uint8_t { server, client };

// Encoding. A frame from a server is unmasked, so one encoding serves every receiver; a client masks each of its frames.

enum class Compressed : std::uint8_t { no, yes };  ///< sets RSV1 (RFC 7692): the payload is deflated

inline constexpr std::size_t kFrameHeaderMax = 14;

/// Bytes of the header of an unmasked frame with such a payload: 2, 4 or 10.
constexpr std::size_t frame_header_bytes(std::uint64_t payload_bytes) noexcept {
    return payload_bytes < 126 ? 2 : payload_bytes < 65536 ? 4 : 10;
}
/// Writes the header of a whole (FIN) unmasked frame to `out` and returns its size. `out` has room for 10 bytes.
std::size_t write_frame_header(char* out, Opcode opcode, std::uint64_t payload_bytes,
                               Compressed compressed = Compressed::no) noexcept;
/// Appends one whole unmasked frame: what goes into a ring that many connections send from.
void append_frame(std::string& out, Opcode opcode, std::string_view payload, Compressed compressed = Compressed::no);
/// Appends one whole frame masked with `mask` (the client's side: a fresh, unpredictable one each time).
void append_masked_frame(std::string& out, Opcode opcode, std::string_view payload, std::uint32_t mask,
                         Compressed compressed = Compressed::no);
/// The payload of a close frame: the code and a reason, cut to 123 bytes at a whole character. Empty for `none`.
std::string close_payload(CloseCode code, std::string_view reason);

/// The size of the frame whose header starts at `data` (header and payload, masked or not), or 0 while the header is not all there.
std::uint64_t frame_bytes(std::string_view data) noexcept;

/// XORs `data` with the four bytes of `mask` (in wire order), starting at byte `phase` of it; a word at a time.
void apply_mask(char* data, std::size_t size, std::uint32_t mask, std::size_t phase = 0) noexcept;

struct WebSocketLimits {
    std::size_t message_bytes_max = 1 << 20;  ///< of a message, inflated; more: 1009
};

/// Reads frames of one direction of a connection; pure: bytes in, events out. RFC 6455 sections 5, 7 and 8.1.
///
/// `next` takes bytes off the front of `input` (which it unmasks in place) and says what it found:
///     more                    all of `input` was taken
///     text, binary            a whole message: fragments joined, inflated, UTF-8 checked
///     ping, pong              `data` is what they carry; also between the fragments of a message
///     close                   `code` (none: the frame was empty) and `data`, the reason
///     error                   fail the connection with `code`; `data` says why; every further call says the same
/// `data` stays valid until the next call. At least kPadding readable bytes (of anything) follow it, for parsers that read
/// ahead, if the caller's buffer has as many behind its end: `input` must be followed by kPadding readable bytes.
///
/// Checked: reserved bits and opcodes, masking by role, control frames whole and at most 125 bytes, lengths in their shortest form
/// and below 2^63, order of fragments, close codes, UTF-8 as early as it can be known to be wrong, message size before anything is stored.
/// Splitting the input anywhere gives the same events.
/// Cost: a message in one frame that arrived whole is not copied. `idle()` objects hold no memory and may be replaced by a fresh one.
class WebSocketDecoder {
public:
    static constexpr std::size_t kPadding = 64;

    enum class Kind : std::uint8_t { more, text, binary, ping, pong, close, error };
    struct Event {
        Kind kind;
        std::string_view data = {};
        CloseCode code = CloseCode::none;
    };

    explicit WebSocketDecoder(Role role = Role::server) : role_(role) {}

    /// `inflater` is given where permessage-deflate was negotiated, else null: RSV1 is an error then.
    Event next(std::span<char>& input, const WebSocketLimits& limits, Inflater* inflater = nullptr);
    /// Between two messages and two frames, nothing kept.
    bool idle() const noexcept {
        return state_ == State::header && header_bytes_ == 0 && !in_message_ && message_.capacity() <= kSmallCapacity;
    }
    /// Memory that a message in parts is held in.
    std::size_t buffered_bytes() const noexcept { return message_.capacity(); }

private:
    enum class State : std::uint8_t { header, payload, failed };
    static constexpr std::size_t kSmallCapacity = 15;

    Event fail(CloseCode code, const char* why);
    std::optional<Event> start_frame(const WebSocketLimits& limits, bool deflate);
    Event finish_control(std::string_view payload);
    Event finish_message(std::string_view payload, bool in_place, const WebSocketLimits& limits, Inflater* inflater);

    Role role_;
    State state_ = State::header;
    Opcode opcode_ = Opcode::continuation;          ///< of the frame
    Opcode message_opcode_ = Opcode::text;
    bool fin_ = false, masked_ = false;
    bool in_message_ = false;                       ///< a message has begun and its last frame has not ended
    bool compressed_ = false;                       ///< of the message
    bool release_message_ = false;                  ///< the last event pointed into message_
    std::uint8_t header_bytes_ = 0, header_need_ = 2;
    std::uint8_t control_bytes_ = 0;
    unsigned char header_[kFrameHeaderMax];
    std::uint32_t mask_ = 0;
    std::uint64_t payload_bytes_ = 0, payload_done_ = 0;
    CloseCode fail_code_ = CloseCode::protocol_error;
    const char* fail_why_ = "";
    Utf8Checker utf8_;
    std::string message_;
    char control_[125 + kPadding];
};

}  // namespace weir::net
