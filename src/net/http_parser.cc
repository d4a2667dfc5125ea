#include "net/http_parser.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace weir::net {
namespace {

/// RFC 9110, 5.6.2: the characters of methods and header names.
constexpr std::array<bool, 256> kToken = [] {
    std::array<bool, 256> table{};
    for (int c = '0'; c <= '9'; ++c) table[c] = true;
    for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 'a' + 'A'] = true;
    for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
        table[static_cast<unsigned char>(c)] = true;
    return table;
}();

bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return kToken[static_cast<unsigned char>(c)]; });
}

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

/// Visible characters, blanks, tabs, and what is above ASCII: no CR, LF, NUL or other control characters.
bool is_field_value(std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char c) {
        const auto u = static_cast<unsigned char>(c);
        return (u < 0x20 && u != '\t') || u == 0x7f;
    });
}

bool list_has_token(std::string_view list, std::string_view token) {
    while (!list.empty()) {
        const auto comma = list.find(',');
        if (equals_ignoring_case(trim(list.substr(0, comma)), token)) return true;
        if (comma == std::string_view::npos) return false;
        list.remove_prefix(comma + 1);
    }
    return false;
}

template <class Headers>
std::optional<std::string_view> find_header(const Headers& headers, std::string_view name) {
    for (const auto& header : headers)
        if (equals_ignoring_case(header.name, name)) return header.value;
    return std::nullopt;
}

template <class Headers>
bool any_header_has_token(const Headers& headers, std::string_view name, std::string_view token) {
    return std::any_of(headers.begin(), headers.end(), [&](const HttpHeader& header) {
        return equals_ignoring_case(header.name, name) && list_has_token(header.value, token);
    });
}

constexpr std::size_t kIncomplete = ~std::size_t(0), kBareLineFeed = ~std::size_t(0) - 1;
constexpr std::uint32_t kChunkLineMax = 1024, kTrailersMax = 8 * 1024;

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(text[i]);
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
        if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
    }
    return out;
}

std::optional<std::string_view> HttpRequest::header(std::string_view name) const { return find_header(headers, name); }

std::string HttpRequest::header_list(std::string_view name) const {
    std::string list;
    for (const auto& header : headers)
        if (equals_ignoring_case(header.name, name)) list.append(list.empty() ? "" : ", ").append(header.value);
    return list;
}

bool HttpRequest::header_has_token(std::string_view name, std::string_view token) const {
    return any_header_has_token(headers, name, token);
}

std::optional<std::string_view> HttpResponseHead::header(std::string_view name) const { return find_header(headers, name); }

bool HttpResponseHead::header_has_token(std::string_view name, std::string_view token) const {
    return any_header_has_token(headers, name, token);
}

std::optional<std::string> HttpRequest::query_parameter(std::string_view name) const {
    std::string_view rest = query;
    while (!rest.empty()) {
        const auto ampersand = rest.find('&');
        std::string pair(rest.substr(0, ampersand));
        std::replace(pair.begin(), pair.end(), '+', ' ');
        const std::string_view text = pair;
        const auto equals = text.find('=');
        if (percent_decode(text.substr(0, equals)) == name)
            return equals == std::string_view::npos ? std::string() : percent_decode(text.substr(equals + 1));
        if (ampersand == std::string_view::npos) break;
        rest.remove_prefix(ampersand + 1);
    }
    return std::nullopt;
}

HttpParser::Event HttpParser::fail(int status, const char* reason) {
    state_ = State::failed;
    status_ = status;
    reason_ = reason;
    return {.kind = Kind::error, .status = status, .reason = reason};
}

/// Goes on from scanned_ looking for the empty line; returns the size of the head with it.
std::size_t HttpParser::scan(std::string_view text) {
    text = text.substr(0, limits_->head_bytes_max);
    for (;;) {
        const auto feed = text.find('\n', scanned_);
        if (feed == std::string_view::npos) {
            scanned_ = static_cast<std::uint32_t>(text.size());
            return kIncomplete;
        }
        if (feed == 0 || text[feed - 1] != '\r') return kBareLineFeed;
        if (feed - 1 == line_start_) return feed + 1;
        scanned_ = line_start_ = static_cast<std::uint32_t>(feed + 1);
    }
}

HttpParser::Event HttpParser::head(std::string_view& input, HttpRequest& request) {
    if (clear_gathered_) {
        clear_gathered_ = false;
        std::string().swap(gathered_);  // assigning an empty one would keep the memory
    }
    const auto judge = [this](std::string_view text, std::size_t end) -> std::optional<Event> {
        if (end == kBareLineFeed) return fail(400, "a line of the head ends with a bare line feed");
        if (end != kIncomplete || text.size() < limits_->head_bytes_max) return std::nullopt;
        if (line_start_ == 0) return fail(414, "the request line is too long");
        return fail(431, "the head of the request is too long");
    };

    if (gathered_ == "\r" && !input.empty()) {
        // An empty line before a request is skipped (RFC 9112, 2.2), also when it is cut in two.
        if (input.front() != '\n') return fail(400, "the request starts with a bare carriage return");
        gathered_.clear();
        input.remove_prefix(1);
    }
    if (gathered_.empty()) {
        while (input.starts_with("\r\n")) input.remove_prefix(2);
        if (input.empty()) return {.kind = Kind::more};
        if (input == "\r") {
            gathered_ = input;
            input = {};
            return {.kind = Kind::more};
        }
        if (!kToken[static_cast<unsigned char>(input.front())]) return fail(400, "this is not an HTTP request");
        scanned_ = line_start_ = 0;
        const std::size_t end = scan(input);
        if (auto failed = judge(input, end)) return *failed;
        if (end != kIncomplete) {
            const std::string_view text = input.substr(0, end);
            input.remove_prefix(end);
            return parse_head(text, request);
        }
        gathered_ = input;
        input = {};
        return {.kind = Kind::more};
    }
    const std::size_t before = gathered_.size(), taken = std::min(input.size(), limits_->head_bytes_max - before);
    gathered_.append(input.substr(0, taken));
    const std::size_t end = scan(gathered_);
    if (auto failed = judge(gathered_, end)) return *failed;
    if (end == kIncomplete) {
        input.remove_prefix(taken);
        return {.kind = Kind::more};
    }
    input.remove_prefix(end - before);
    gathered_.resize(end);
    clear_gathered_ = true;
    return parse_head(gathered_, request);
}

HttpParser::Event HttpParser::parse_head(std::string_view text, HttpRequest& request) {
    request.headers.clear();
    request.content_length.reset();
    request.chunked = request.expect_continue = false;

    const auto take_line = [&text] {
        const auto end = text.find("\r\n");
        const auto line = text.substr(0, end);
        text.remove_prefix(end + 2);
        return line;
    };
    const std::string_view line = take_line();
    const auto blank = line.find(' '), last = line.rfind(' ');
    if (blank == std::string_view::npos || blank == last) return fail(400, "the request line is not `method target version`");
    request.method = line.substr(0, blank);
    request.target = line.substr(blank + 1, last - blank - 1);
    const std::string_view version = line.substr(last + 1);
    if (!is_token(request.method)) return fail(400, "the method is not a token");
    if (request.target.empty() || std::any_of(request.target.begin(), request.target.end(), [](char c) { return c <= 0x20 || c == 0x7f; }))
        return fail(400, "the target holds characters that must be percent-encoded");
    if (version.size() != 8 || !version.starts_with("HTTP/") || version[6] != '.' || version[5] < '0' || version[5] > '9' ||
        version[7] < '0' || version[7] > '9')
        return fail(400, "the request line does not end with the version of HTTP");
    if (version[5] != '1' || version[7] > '1') return fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    request.minor_version = version[7] - '0';
    request.keep_alive = request.minor_version == 1;

    // A server must understand the absolute form (RFC 9112, 3.2.2); its authority stands for the Host then.
    std::string_view origin = request.target;
    std::optional<std::string_view> authority;
    if (origin.front() != '/') {
        const bool http = origin.size() > 7 && equals_ignoring_case(origin.substr(0, 7), "http://");
        const bool https = origin.size() > 8 && equals_ignoring_case(origin.substr(0, 8), "https://");
        if (http || https) {
            origin.remove_prefix(http ? 7 : 8);
            const auto end = std::min(origin.find_first_of("/?"), origin.size());
            authority = origin.substr(0, end);
            origin.remove_prefix(end);
            if (authority->empty() || authority->find('@') != std::string_view::npos) return fail(400, "the target's host is not one");
        } else if (request.method == "CONNECT") {
            return fail(501, "this is not a proxy");
        } else if (origin != "*" || request.method != "OPTIONS") {
            return fail(400, "the target starts with neither / nor http://");
        }
    }
    const auto mark = origin.find('?');
    request.path = origin.substr(0, mark);
    if (request.path.empty()) request.path = "/";
    request.query = mark == std::string_view::npos ? std::string_view() : origin.substr(mark + 1);

    int hosts = 0;
    bool transfer_encoding = false;
    while (text.size() > 2) {
        const std::string_view field = take_line();
        const auto colon = field.find(':');
        if (field.front() == ' ' || field.front() == '\t') return fail(400, "a header is folded over two lines");
        if (colon == std::string_view::npos || !is_token(field.substr(0, colon))) return fail(400, "a header's name is not a token");
        const HttpHeader header{field.substr(0, colon), trim(field.substr(colon + 1))};
        if (!is_field_value(header.value)) return fail(400, "a header holds control characters");
        if (request.headers.size() >= limits_->headers_max) return fail(431, "there are too many headers");
        request.headers.push_back(header);

        switch (header.name.size()) {
            case 4:
                if (!equals_ignoring_case(header.name, "host")) break;
                if (++hosts > 1) return fail(400, "there are two Host headers");
                if (header.value.find_first_of(" \t,/@") != std::string_view::npos) return fail(400, "Host is not a host");
                break;
            case 6:
                if (!equals_ignoring_case(header.name, "expect") || request.minor_version == 0) break;
                if (!equals_ignoring_case(header.value, "100-continue")) return fail(417, "nothing but 100-continue can be expected");
                request.expect_continue = true;
                break;
            case 10:
                if (!equals_ignoring_case(header.name, "connection")) break;
                if (list_has_token(header.value, "close"))
                    request.keep_alive = false;
                else if (request.minor_version == 0 && list_has_token(header.value, "keep-alive"))
                    request.keep_alive = true;
                break;
            case 14: {
                if (!equals_ignoring_case(header.name, "content-length")) break;
                if (request.content_length) return fail(400, "there are two Content-Length headers");
                std::uint64_t length = 0;
                const char *begin = header.value.data(), *end = begin + header.value.size();
                const auto [stop, error] = std::from_chars(begin, end, length);
                if (header.value.empty() || stop != end || error != std::errc() || header.value.size() > 18)
                    return fail(400, "Content-Length is not a number");
                request.content_length = length;
                break;
            }
            case 17:
                if (!equals_ignoring_case(header.name, "transfer-encoding")) break;
                if (transfer_encoding) return fail(400, "there are two Transfer-Encoding headers");
                transfer_encoding = true;
                if (request.minor_version == 0) return fail(400, "HTTP/1.0 has no Transfer-Encoding");
                if (!equals_ignoring_case(header.value, "chunked")) return fail(501, "only the transfer coding `chunked` is understood");
                request.chunked = true;
                break;
            default: break;
        }
    }
    if (request.chunked && request.content_length) return fail(400, "there are both Content-Length and Transfer-Encoding");
    if (request.minor_version == 1 && hosts == 0) return fail(400, "there is no Host header");
    if (authority) {
        for (auto& header : request.headers)
            if (equals_ignoring_case(header.name, "host")) header.value = *authority;
    }

    if (request.chunked) {
        state_ = State::chunk_size;
        left_ = 0;
        line_bytes_ = 0;
        digits_ = cr_ = extension_ = false;
    } else {
        left_ = request.content_length.value_or(0);
        state_ = left_ ? State::body_length : State::complete;
    }
    return {.kind = Kind::head};
}

HttpParser::Event HttpParser::chunk_size(std::string_view& input) {
    while (!input.empty()) {
        const char c = input.front();
        input.remove_prefix(1);
        if (++line_bytes_ > kChunkLineMax) return fail(400, "a chunk's size line is too long");
        if (cr_) {
            if (c != '\n') return fail(400, "a chunk's size line ends with a bare carriage return");
            cr_ = digits_ = extension_ = false;
            line_bytes_ = 0;
            line_empty_ = true;
            state_ = left_ ? State::chunk_data : State::trailers;
            return {.kind = Kind::more};
        }
        const int digit = extension_ ? -1 : hex_digit(c);
        if (digit >= 0) {
            if (left_ >> 55) return fail(400, "a chunk's size is too large");
            left_ = left_ * 16 + static_cast<unsigned>(digit);
            digits_ = true;
        } else if (!digits_) {
            return fail(400, "a chunk's size is not a hexadecimal number");
        } else if (c == '\r') {
            cr_ = true;
        } else if (c == ';' || extension_) {
            extension_ = true;
            if (!is_field_value({&c, 1})) return fail(400, "a chunk's extension holds control characters");
        } else {
            return fail(400, "a chunk's size is not a hexadecimal number");
        }
    }
    return {.kind = Kind::more};
}

HttpParser::Event HttpParser::trailers(std::string_view& input) {
    while (!input.empty()) {
        const char c = input.front();
        input.remove_prefix(1);
        if (++line_bytes_ > kTrailersMax) return fail(431, "the trailers are too long");
        if (cr_) {
            if (c != '\n') return fail(400, "a trailer ends with a bare carriage return");
            cr_ = false;
            if (line_empty_) {
                line_bytes_ = 0;
                state_ = State::complete;
                return {.kind = Kind::more};
            }
            line_empty_ = true;
        } else if (c == '\r') {
            cr_ = true;
        } else {
            if (!is_field_value({&c, 1})) return fail(400, "a trailer holds control characters");
            line_empty_ = false;
        }
    }
    return {.kind = Kind::more};
}

HttpParser::Event HttpParser::next(std::string_view& input, HttpRequest& request) {
    for (;;) {
        switch (state_) {
            case State::head: return head(input, request);
            case State::body_length:
            case State::chunk_data: {
                if (input.empty()) return {.kind = Kind::more};
                const std::string_view piece = input.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size())));
                input.remove_prefix(piece.size());
                left_ -= piece.size();
                if (left_ == 0) state_ = state_ == State::chunk_data ? State::chunk_end : State::complete;
                return {.kind = Kind::body, .data = piece};
            }
            case State::chunk_end:
                // CRLF behind the data; cr_ says that the first half was seen.
                if (input.empty()) return {.kind = Kind::more};
                if (input.front() != (cr_ ? '\n' : '\r')) return fail(400, "a chunk is longer than it said");
                input.remove_prefix(1);
                if (cr_) state_ = State::chunk_size;
                cr_ = !cr_;
                break;
            case State::chunk_size:
                if (const Event event = chunk_size(input); event.kind == Kind::error || state_ == State::chunk_size) return event;
                break;
            case State::trailers:
                if (const Event event = trailers(input); event.kind == Kind::error || state_ == State::trailers) return event;
                break;
            case State::complete: state_ = State::head; return {.kind = Kind::complete};
            case State::failed: return {.kind = Kind::error, .status = status_, .reason = reason_};
        }
    }
}

Result<HttpResponseHead> parse_response_head(std::string_view text) {
    const Error bad{"bad_response", "the answer is not HTTP/1.1"};
    HttpResponseHead head;
    const auto take_line = [&text]() -> std::optional<std::string_view> {
        const auto end = text.find("\r\n");
        if (end == std::string_view::npos) return std::nullopt;
        const auto line = text.substr(0, end);
        text.remove_prefix(end + 2);
        return line;
    };
    const auto line = take_line();
    if (!line || line->size() < 12 || !line->starts_with("HTTP/1.") || (*line)[8] != ' ') return bad;
    const auto [stop, error] = std::from_chars(line->data() + 9, line->data() + 12, head.status);
    if (error != std::errc() || stop != line->data() + 12 || head.status < 100) return bad;
    head.reason = line->size() > 13 ? line->substr(13) : std::string_view();
    while (auto field = take_line()) {
        if (field->empty()) return head;
        const auto colon = field->find(':');
        if (colon == std::string_view::npos || !is_token(field->substr(0, colon))) return bad;
        const auto value = trim(field->substr(colon + 1));
        if (!is_field_value(value)) return bad;
        head.headers.push_back({field->substr(0, colon), value});
    }
    return bad;
}

std::string_view status_text(int status) noexcept {
    switch (status) {
        case 100: return "Continue";
        case 101: return "Switching Protocols";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 206: return "Partial Content";
        case 207: return "Multi-Status";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 417: return "Expectation Failed";
        case 421: return "Misdirected Request";
        case 422: return "Unprocessable Content";
        case 426: return "Upgrade Required";
        case 428: return "Precondition Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        case 507: return "Insufficient Storage";
        default: return "";
    }
}

void append_status_line(std::string& out, int status) {
    out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(status_text(status)).append("\r\n");
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
    const auto append_clean = [&out](std::string_view text) {
        if (text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos)
            out.append(text);
        else
            std::copy_if(text.begin(), text.end(), std::back_inserter(out), [](char c) { return c != '\r' && c != '\n' && c != '\0'; });
    };
    append_clean(name);
    out.append(": ");
    append_clean(value);
    out.append("\r\n");
}

void append_http_chunk(std::string& out, std::string_view data) {
    if (data.empty()) return;
    char size[16];
    const auto [end, error] = std::to_chars(size, size + sizeof size, data.size(), 16);
    out.append(size, end).append("\r\n").append(data).append("\r\n");
}

}  // namespace weir::net
