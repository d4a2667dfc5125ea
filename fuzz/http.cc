// Requests: split anywhere they give the same events, and what is let through is what RFC 9112 allows.
#include <vector>

#include "fuzz.h"
#include "net/http_parser.h"

namespace weir::fuzz {
namespace {

using namespace weir::net;
using Kind = HttpParser::Kind;

constexpr HttpLimits limits{.head_bytes_max = 400, .headers_max = 8};

/// What a connection would see, as one text; a body's pieces are joined.
std::string parse(std::string_view bytes, std::size_t piece) {
    HttpParser parser(limits);
    HttpRequest request;
    std::string out, body;
    for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t size = piece == 0 ? bytes.size() : std::min(piece, bytes.size() - at);
        const std::string buffer(bytes.substr(at, size));  // a copy of its own: reading past its end is seen
        std::string_view input = buffer;
        at += size;
        for (;;) {
            const auto event = parser.next(input, request);
            if (event.kind == Kind::more) break;
            if (event.kind == Kind::head) {
                out += "head " + std::string(request.method) + " " + std::string(request.target) + " " + std::to_string(request.minor_version);
                out += request.chunked ? " chunked" : "";
                out += request.keep_alive ? " keep" : "";
                out += request.expect_continue ? " expect" : "";
                if (request.content_length) out += " " + std::to_string(*request.content_length);
                FUZZ_CHECK(request.headers.size() <= limits.headers_max);
                FUZZ_CHECK(!(request.chunked && request.content_length));
                FUZZ_CHECK(request.path.size() + (request.query.empty() ? 0 : request.query.size() + 1) <= request.target.size());
                int hosts = 0;
                for (const auto& [name, value] : request.headers) {
                    FUZZ_CHECK(!name.empty());
                    for (const char c : name) FUZZ_CHECK(c > ' ' && c != ':' && static_cast<unsigned char>(c) < 0x7f);
                    for (const char c : value) FUZZ_CHECK(c != '\r' && c != '\n' && c != '\0');
                    FUZZ_CHECK(value.empty() || (value.front() != ' ' && value.back() != ' ' && value.front() != '\t' && value.back() != '\t'));
                    hosts += equals_ignoring_case(name, "host");
                    out += "\n" + std::string(name) + ": " + std::string(value);
                }
                FUZZ_CHECK(request.minor_version == 0 || hosts == 1);
                (void)request.query_parameter("stream");
                FUZZ_CHECK(request.header("HOST").has_value() == (hosts > 0));
                (void)request.header_has_token("connection", "upgrade");
                if (const auto path = percent_decode(request.path)) FUZZ_CHECK(path->find('\0') == path->npos && path->size() <= request.path.size());
                body.clear();
            } else if (event.kind == Kind::body) {
                FUZZ_CHECK(!event.data.empty() && event.data.data() >= buffer.data() && event.data.data() + event.data.size() <= buffer.data() + buffer.size());
                body += event.data;
            } else if (event.kind == Kind::complete) {
                if (request.content_length && !request.chunked) FUZZ_CHECK(body.size() == *request.content_length);
                if (planted() && piece != 0 && request.chunked && !body.empty() && static_cast<unsigned char>(body.back()) >= 0x80) body.pop_back();
                out += "\nbody " + body + "\n";
                body.clear();
            } else {
                FUZZ_CHECK(event.status >= 400 && event.status <= 505 && *event.reason && !status_text(event.status).empty());
                const auto again = parser.next(input, request);
                FUZZ_CHECK(again.kind == Kind::error && again.status == event.status);
                return out + (body.empty() ? "" : "\nbody so far " + body) + "\nerror " + std::to_string(event.status);
            }
            FUZZ_CHECK(parser.gathered_bytes() <= limits.head_bytes_max + 1);
        }
        FUZZ_CHECK(input.empty());
    }
    return out + (body.empty() ? "" : "\nbody so far " + body);
}

/// What we write we read: status lines of every status, a body in chunks.
void check_written(std::string_view bytes) {
    static const bool statuses = [] {
        for (int status = 100; status < 600; ++status) {
            std::string out;
            append_status_line(out, status);
            append_header(out, "X-Name", "a");
            const std::string text = out + "\r\n";
            const auto head = parse_response_head(text);
            FUZZ_CHECK(head.ok() && head->status == status && head->header("x-name") == "a", text);
        }
        return true;
    }();
    (void)statuses;
    std::string request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    append_http_chunk(request, bytes.substr(0, bytes.size() / 2));
    append_http_chunk(request, bytes.substr(bytes.size() / 2));
    request += "0\r\n\r\n";
    const std::string read = parse(request, 0);
    FUZZ_CHECK(read.ends_with("\nbody " + std::string(bytes) + "\n"), read);
}

}  // namespace

// First byte: how it is split; 255: the rest is the head of a response.
void http(std::string_view bytes) {
    Input input(bytes);
    const std::uint8_t piece = input.byte();
    const std::string rest(input.rest());
    if (piece == 255) {
        if (const auto head = parse_response_head(rest); head.ok()) {
            FUZZ_CHECK(head->status >= 100 && head->status <= 999);
            (void)head->header_has_token("upgrade", "websocket");
        }
        check_written(rest);
        std::string out;
        append_header(out, "X-Name", rest);
        FUZZ_CHECK(out.find('\n') == out.size() - 1 && out.find('\r') == out.size() - 2 && out.find('\0') == out.npos);
        return;
    }
    const std::string whole = parse(rest, 0);
    const std::string split = parse(rest, 1 + piece % 13);
    FUZZ_CHECK(whole == split, whole + "\n--- split:\n" + split);
}

}  // namespace weir::fuzz
