#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::net {

/// What two ends agreed on for permessage-deflate (RFC 7692).
struct DeflateParameters {
    bool server_no_context_takeover = false;
    bool client_no_context_takeover = false;
    int server_max_window_bits = 15;  ///< 8 to 15; what the server compresses with
    int client_max_window_bits = 15;
    bool operator==(const DeflateParameters&) const = default;
};

/// What a server is willing to do. It always answers server_no_context_takeover: every message is compressed on its own, which is
/// what lets one compressed frame be shared by all sessions.
struct DeflatePolicy {
    bool enabled = true;
    /// Asks clients to do the same, so that an idle session keeps no inflate window (32 KiB and more each).
    bool client_no_context_takeover = true;
    /// The window of the shared compressor, 9 to 15: 12 is what common clients ask for, and messages of 4 KiB lose nothing by it.
    /// All clients that ask for a smaller one share a second compressor, of `small_window_bits`.
    int server_max_window_bits = 12;
    /// zlib's smallest. It refers to at most 250 bytes back (the window less its lookahead of 262), so that a client with 8 bits can read it as well.
    static constexpr int small_window_bits = 9;
};

/// The server's side: answers the first acceptable offer in the Sec-WebSocket-Extensions header(s). nullopt: none, do not compress.
/// An offer with an unknown parameter, a wrong value or a repeated one is passed over, as the RFC asks.
std::optional<DeflateParameters> accept_deflate_offer(std::string_view header, const DeflatePolicy& policy);
/// `permessage-deflate; server_no_context_takeover; ...`: the server's answer.
std::string deflate_response(const DeflateParameters& agreed);

/// The client's side: the header to send, and what the server's answer means. Errors: `bad_extension` if the answer is not a
/// possible one; nullopt if the server agreed to no compression.
std::string deflate_offer();
Result<std::optional<DeflateParameters>> read_deflate_response(std::string_view header);

/// Deflates messages as RFC 7692 wants them (raw, sync flush, without the final 00 00 ff ff). Thread: one owner.
/// Memory: about 260 KiB at window 15, 40 KiB at 12. One serves a whole reactor when contexts are not taken over.
class Deflater {
public:
    enum class Context : std::uint8_t { kept, dropped };
    explicit Deflater(int window_bits = 12, Context context = Context::dropped, int level = 1);
    ~Deflater();
    /// Appends the compressed message to `out`. False (and `out` as it was) when it is not smaller than `message`:
    /// send that one uncompressed. With a kept context it always succeeds.
    bool deflate(std::string_view message, std::string& out);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The compressors of a reactor, made when they are first wanted: one for each window in use, all with their context dropped.
class Deflaters {
public:
    Deflater& of(int window_bits) {
        auto& one = all_[static_cast<std::size_t>(window_bits - DeflatePolicy::small_window_bits)];
        if (!one) one = std::make_unique<Deflater>(window_bits);
        return *one;
    }

private:
    std::array<std::unique_ptr<Deflater>, 15 - DeflatePolicy::small_window_bits + 1> all_;
};

/// Inflates messages. Thread: one owner. Memory: about 40 KiB; one serves a whole reactor when contexts are not taken over.
class Inflater {
public:
    enum class Outcome : std::uint8_t { done, corrupt, too_big };
    explicit Inflater(int window_bits = 15, Deflater::Context context = Deflater::Context::dropped);
    ~Inflater();
    /// Replaces `out` by the message. Stops at `bytes_max`, whatever the input claims: a bomb costs no more than that.
    Outcome inflate(std::string_view compressed, std::string& out, std::size_t bytes_max);
    /// The buffer that WebSocketDecoder inflates into; valid until the next message.
    std::string& scratch() noexcept { return scratch_; }

private:
    struct State;
    std::unique_ptr<State> state_;
    std::string scratch_;
};

}  // namespace weir::net
