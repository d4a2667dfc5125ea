#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::net {

struct HttpHeader {
    std::string_view name, value;
};

/// The head of a request. Views into the bytes that were parsed.
struct HttpRequest {
    std::string_view method;   ///< as sent: "GET"
    std::string_view target;   ///< as sent: "/events?stream=pools"; origin form, or "*" with OPTIONS
    std::string_view path;     ///< the target up to `?`; still percent-encoded
    std::string_view query;    ///< behind `?`, without it; still percent-encoded
    int minor_version = 1;     ///< HTTP/1.x
    std::vector<HttpHeader> headers;  ///< in order, as sent; values without blanks around them

    std::optional<std::uint64_t> content_length;
    bool chunked = false;          ///< the body comes in chunks
    bool keep_alive = true;
    bool expect_continue = false;

    bool has_body() const { return chunked || content_length.value_or(0) > 0; }
    /// The first header of this name (case does not matter), or nullopt.
    std::optional<std::string_view> header(std::string_view name) const;
    /// All headers of this name as the one list that they are (RFC 9110, 5.3), with commas between; empty without one.
    std::string header_list(std::string_view name) const;
    /// Whether a header that is a list of tokens (Connection, Upgrade) holds `token`; case does not matter.
    bool header_has_token(std::string_view name, std::string_view token) const;
    /// The decoded value of a parameter of the query, or nullopt; `+` is a blank.
    std::optional<std::string> query_parameter(std::string_view name) const;
};

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;
/// `%41` to `A`; nullopt on a broken escape or an escaped NUL.
std::optional<std::string> percent_decode(std::string_view text);

struct HttpLimits {
    std::size_t head_bytes_max = 16 * 1024;  ///< request line and headers; more: 431, or 414 while still in the request line
    std::size_t headers_max = 100;
};

/// Reads requests from a stream of bytes; pure: bytes in, events out. RFC 9112, strict where leniency lets requests be
/// smuggled past a proxy: no bare CR or LF, no folding, no blank before the colon, no Content-Length together with
/// Transfer-Encoding, no repeated Content-Length, no coding but `chunked`, exactly one Host in HTTP/1.1.
///
/// Call `next` with what arrived; it takes bytes off the front of `input` and says what it found:
///     more      all of `input` was taken, nothing to report yet
///     head      `request` was filled; its views point into `input`'s bytes or the parser, and stay valid until the next call
///     body      `data` is a piece of the body, a part of `input`
///     complete  the message is over; the next call starts another (pipelining)
///     error     answer `status` and close; every further call says the same
/// Splitting the input anywhere gives the same events (bodies: the same bytes).
/// Cost: no allocation while a head arrives in one piece; else it is gathered in a string of at most head_bytes_max.
class HttpParser {
public:
    enum class Kind : std::uint8_t { more, head, body, complete, error };
    struct Event {
        Kind kind;
        std::string_view data = {};    ///< body
        int status = 0;                ///< error: 400, 413, 414, 417, 431, 501, 505
        const char* reason = "";       ///< error: one sentence
    };

    explicit HttpParser(const HttpLimits& limits) : limits_(&limits) {}

    Event next(std::string_view& input, HttpRequest& request);
    /// Between two messages, nothing gathered.
    bool idle() const noexcept { return state_ == State::head && gathered_.empty(); }
    /// `next` has something to say without more input: that the message is over.
    bool at_end() const noexcept { return state_ == State::complete; }
    /// Bytes that were gathered because a head came in pieces.
    std::size_t gathered_bytes() const noexcept { return gathered_.size(); }

private:
    enum class State : std::uint8_t { head, body_length, chunk_size, chunk_data, chunk_end, trailers, complete, failed };

    Event fail(int status, const char* reason);
    std::size_t scan(std::string_view text);
    Event head(std::string_view& input, HttpRequest& request);
    Event chunk_size(std::string_view& input);
    Event trailers(std::string_view& input);
    Event parse_head(std::string_view text, HttpRequest& request);

    const HttpLimits* limits_;
    State state_ = State::head;
    int status_ = 0;
    const char* reason_ = "";
    std::uint64_t left_ = 0;         ///< bytes of the body or chunk still to come
    std::uint32_t line_bytes_ = 0;   ///< of the chunk-size line or the trailers
    std::uint32_t scanned_ = 0, line_start_ = 0;  ///< in gathered_
    bool digits_ = false, cr_ = false, extension_ = false, line_empty_ = true;
    bool clear_gathered_ = false;    ///< the last event's views point into gathered_
    std::string gathered_;
};

/// The head of a response, for clients that speak HTTP only to upgrade. `text` ends with the empty line.
struct HttpResponseHead {
    int status = 0;
    std::string_view reason;
    std::vector<HttpHeader> headers;
    std::optional<std::string_view> header(std::string_view name) const;
    bool header_has_token(std::string_view name, std::string_view token) const;
};
/// Errors: `bad_response`.
Result<HttpResponseHead> parse_response_head(std::string_view text);

/// "Not Found" for 404; "" for a status that has no name.
std::string_view status_text(int status) noexcept;
/// Appends `HTTP/1.1 404 Not Found\r\n`.
void append_status_line(std::string& out, int status);
/// Appends `name: value\r\n`. CR, LF and NUL in either are dropped: a header is never split by what a client sent.
void append_header(std::string& out, std::string_view name, std::string_view value);
/// Appends one chunk (`5\r\nhello\r\n`); nothing for empty data, which would end the body.
void append_http_chunk(std::string& out, std::string_view data);
inline constexpr std::string_view kLastHttpChunk = "0\r\n\r\n";

}  // namespace weir::net
