#include "base/assert.h"
#include "net/connection_internal.h"
#include "net/http_server.h"

namespace weir::net {

HttpExchange* HttpExchangeRef::get() const noexcept {
    Connection* connection = connection_.get();
    return connection ? HttpExchange::current(*connection, number_) : nullptr;
}

HttpExchange* HttpExchange::current(Connection& connection, std::uint32_t number) noexcept {
    if (!connection.cold_ || !connection.cold_->http) return nullptr;
    HttpExchange& exchange = connection.cold_->http->exchange;
    return exchange.active_ && exchange.number_ == number ? &exchange : nullptr;
}

const HttpRequest& HttpExchange::request() const noexcept { return request_; }
PeerAddress HttpExchange::peer() const { return connection_.peer(); }
PeerAddress HttpExchange::socket_peer() const { return peer_of(connection_.fd_); }
bool HttpExchange::set_client(const IpAddress& client) { return connection_.server_->count_as(connection_, client); }
bool HttpExchange::secure() const noexcept { return connection_.secure(); }
Reactor& HttpExchange::reactor() const noexcept { return connection_.reactor(); }
UpgradeCheck HttpExchange::upgrade() const { return check_upgrade(request_); }

HttpExchangeRef HttpExchange::ref() noexcept {
    HttpExchangeRef ref;
    ref.connection_ = connection_.ref();
    ref.number_ = number_;
    return ref;
}

void HttpExchange::start() {
    number_ = ++connection_.server_->exchange_number_;
    active_ = true;
    body_ = Body::undecided;
    close_after_ = !request_.keep_alive;
    connection_.set_deadline(request_.has_body() ? connection_.server_->options_.body_timeout : connection_.server_->options_.answer_timeout);
}

void HttpExchange::reset() {
    active_ = begun_ = finished_ = chunked_ = close_after_ = wants_drained_ = continue_sent_ = false;
    body_ = Body::done;
    body_bytes_ = 0;
    std::string().swap(kept_head_);  // assigning an empty one would keep the memory
    std::string().swap(body_text_);
    std::string().swap(added_headers_);
    collected_ = nullptr;
    piece_ = nullptr;
    drained_ = nullptr;
    gone_ = nullptr;
}

/// The head lies in the receive buffer, which the next read overwrites: whoever answers later sees a copy.
void HttpExchange::keep_head() {
    std::size_t size = 64 + request_.method.size() + request_.target.size();  // never so short that a string keeps it within itself
    for (const auto& header : request_.headers) size += header.name.size() + header.value.size();
    std::string kept;
    kept.reserve(size);
    const auto keep = [&kept](std::string_view& text) {
        const std::size_t start = kept.size();
        kept.append(text);
        text = std::string_view(kept).substr(start);  // no reallocation: reserved above
    };
    // Path and query are parts of the target: moved along with it.
    const char* const target = request_.target.data();
    const auto part = [&](std::string_view text) -> std::optional<std::size_t> {
        const bool within = text.data() >= target && text.data() + text.size() <= target + request_.target.size();
        return within ? std::optional<std::size_t>(static_cast<std::size_t>(text.data() - target)) : std::nullopt;
    };
    const auto path = part(request_.path), query = part(request_.query);
    keep(request_.method);
    keep(request_.target);
    if (path) request_.path = request_.target.substr(*path, request_.path.size());
    if (query) request_.query = request_.target.substr(*query, request_.query.size());
    for (auto& header : request_.headers) {
        keep(header.name);
        keep(header.value);
    }
    kept_head_.swap(kept);
}

// The body.

void HttpHandler::on_body_too_large(HttpExchange& exchange, std::size_t bytes_max) {
    exchange.respond(413, {{"Content-Type", "text/plain"}}, "the body is larger than " + std::to_string(bytes_max) + " bytes\n");
}

void HttpExchange::want_body(Body how, std::size_t bytes_max) {
    WEIR_ASSERT(body_ == Body::undecided);
    body_ = how;
    body_bytes_max_ = bytes_max;
    if (request_.content_length.value_or(0) > bytes_max) {
        close_after_ = true;
        body_ = Body::discarding;
        return connection_.server_->handler_.on_body_too_large(*this, bytes_max);
    }
    if (request_.expect_continue && request_.has_body()) {
        continue_sent_ = true;
        connection_.append("HTTP/1.1 100 Continue\r\n\r\n");
    }
}

void HttpExchange::read_body(std::size_t bytes_max, std::function<void(HttpExchange&, std::string_view)> done) {
    collected_ = std::move(done);
    want_body(Body::collecting, bytes_max);
}

void HttpExchange::stream_body(std::size_t bytes_max, std::function<void(HttpExchange&, std::string_view, bool)> piece) {
    piece_ = std::move(piece);
    want_body(Body::streaming, bytes_max);
}

void HttpExchange::pause_body() { connection_.cold_->http->body_paused = true; }

void HttpExchange::resume_body() {
    if (!std::exchange(connection_.cold_->http->body_paused, false)) return;
    connection_.set_deadline(connection_.server_->options_.body_timeout);
    connection_.schedule_read();
}

void HttpExchange::body_piece(std::string_view piece) {
    if (!finished_) connection_.set_deadline(connection_.server_->options_.body_timeout);
    body_bytes_ += piece.size();
    if (body_ == Body::undecided) body_ = Body::discarding;
    if (body_ == Body::discarding) {
        // Nobody wants it. A little is read so that the connection can go on; more is not worth it.
        if (body_bytes_ > connection_.server_->options_.discard_bytes_max) close_after_ = true;
        if (finished_ && close_after_) body_ = Body::done;
        return;
    }
    if (body_bytes_ > body_bytes_max_) {
        close_after_ = true;
        body_ = Body::discarding;
        if (!begun_) connection_.server_->handler_.on_body_too_large(*this, body_bytes_max_);
        else finish();
        return;
    }
    if (body_ == Body::collecting) {
        body_text_.append(piece);
    } else {
        auto callback = std::move(piece_);  // it may answer, which ends this exchange and what it holds
        callback(*this, piece, false);
        if (body_ == Body::streaming) piece_ = std::move(callback);
    }
}

void HttpExchange::body_complete() {
    const Body was = std::exchange(body_, Body::done);
    if (!finished_) connection_.set_deadline(begun_ ? Duration(0) : connection_.server_->options_.answer_timeout);
    if (was == Body::collecting) {
        const auto callback = std::move(collected_);
        const std::string text = std::move(body_text_);
        callback(*this, text);
    } else if (was == Body::streaming) {
        const auto callback = std::move(piece_);
        callback(*this, {}, true);
    }
}

// The answer.

void HttpExchange::append_head(std::string& out, int status, std::span<const HttpHeader> headers, std::optional<std::uint64_t> length,
                               bool chunked, bool close) {
    append_status_line(out, status);
    append_header(out, "Date", connection_.server_->date());
    for (const auto& header : headers) append_header(out, header.name, header.value);
    out.append(added_headers_);
    if (length) append_header(out, "Content-Length", std::to_string(*length));
    if (chunked) out.append("Transfer-Encoding: chunked\r\n");
    if (close)
        out.append("Connection: close\r\n");
    else if (request_.minor_version == 0)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
}

void HttpExchange::add_header(std::string_view name, std::string_view value) {
    WEIR_ASSERT(!begun_);
    append_header(added_headers_, name, value);
}

void HttpExchange::respond_with(int status, std::span<const HttpHeader> headers, std::string_view body) {
    WEIR_ASSERT(active_);
    WEIR_ASSERT(!begun_);
    begun_ = true;
    // Who waits for a 100 that does not come may send the body or not: what follows could be either.
    if (request_.expect_continue && !continue_sent_ && request_.has_body() && body_ != Body::done) close_after_ = true;
    if (body_ != Body::done && request_.content_length.value_or(0) > connection_.server_->options_.discard_bytes_max) close_after_ = true;
    if (connection_.server_->draining_) close_after_ = true;
    const bool bodiless = status == 204 || status == 304;
    std::string out;
    out.reserve(256 + body.size());
    append_head(out, status, headers, bodiless ? std::nullopt : std::optional<std::uint64_t>(body.size()), false, close_after_);
    if (!bodiless && request_.method != "HEAD") out.append(body);
    connection_.append(out);
    answered();
}

void HttpExchange::begin_with(int status, std::span<const HttpHeader> headers) {
    WEIR_ASSERT(active_);
    WEIR_ASSERT(!begun_);
    begun_ = true;
    chunked_ = request_.minor_version == 1;
    if (!chunked_ || connection_.server_->draining_) close_after_ = true;
    if (body_ == Body::done) connection_.set(Connection::kDeadline, false);
    std::string out;
    append_head(out, status, headers, std::nullopt, chunked_, close_after_);
    connection_.append(out);
}

bool HttpExchange::write(std::string_view data) {
    WEIR_ASSERT(begun_);
    if (finished_) return true;
    if (connection_.pending_bytes() >= connection_.server_->options_.response_buffer_bytes) {
        wants_drained_ = true;
        return false;
    }
    if (request_.method == "HEAD") return true;
    if (!chunked_) {
        connection_.append(data);
        return true;
    }
    std::string chunk;
    chunk.reserve(data.size() + 24);
    append_http_chunk(chunk, data);
    connection_.append(chunk);
    return true;
}

void HttpExchange::on_drained(std::function<void(HttpExchange&)> drained) { drained_ = std::move(drained); }
void HttpExchange::on_gone(std::function<void()> gone) { gone_ = std::move(gone); }

void HttpExchange::finish() {
    WEIR_ASSERT(begun_);
    if (finished_) return;
    if (chunked_ && request_.method != "HEAD") connection_.append(kLastHttpChunk);
    answered();
}

void HttpExchange::cut() {
    WEIR_ASSERT(begun_);
    if (finished_) return;
    gone_ = nullptr;
    connection_.abort();
}

void HttpExchange::answered() {
    finished_ = true;
    wants_drained_ = false;
    gone_ = nullptr;
    // The rest of a body that is too large to be read for nothing is not waited for.
    if (body_ != Body::done && close_after_) body_ = Body::done;
    if (connection_.flag(Connection::kServing)) return;  // take_http looks at it next
    if (body_ == Body::done && connection_.state_ == Connection::State::http) connection_.exchange_done();
}

Connection& HttpExchange::accept_websocket(const WebSocketAccept& accept) {
    WEIR_ASSERT(active_);
    WEIR_ASSERT(!begun_);
    WEIR_ASSERT(upgrade() == UpgradeCheck::good);
    begun_ = true;
    HttpServer& server = *connection_.server_;
    std::string out;
    append_status_line(out, 101);
    out.append("Upgrade: websocket\r\nConnection: Upgrade\r\n");
    append_header(out, "Sec-WebSocket-Accept", websocket_accept_key(*request_.header("Sec-WebSocket-Key")));
    if (!accept.subprotocol.empty()) append_header(out, "Sec-WebSocket-Protocol", accept.subprotocol);
    if (const auto agreed = accept.deflate ? accept_deflate_offer(request_.header_list("Sec-WebSocket-Extensions"), server.options_.deflate) : std::nullopt) {
        append_header(out, "Sec-WebSocket-Extensions", deflate_response(*agreed));
        connection_.deflate_window_ = static_cast<std::uint8_t>(std::max(agreed->server_max_window_bits, DeflatePolicy::small_window_bits));
        if (!agreed->client_no_context_takeover)
            connection_.cold().inflater = std::make_unique<Inflater>(15, Deflater::Context::kept);
    }
    for (const auto& header : accept.headers) append_header(out, header.name, header.value);
    out.append("\r\n");
    connection_.append(out);
    connection_.start_websocket(accept.handler, accept.pings);
    return connection_;
}

Connection& HttpExchange::begin_stream(int status, Headers headers, ConnectionHandler& handler, bool chunked) {
    WEIR_ASSERT(active_);
    WEIR_ASSERT(!begun_);
    begun_ = true;
    std::string out;
    append_head(out, status, {headers.begin(), headers.size()}, std::nullopt, chunked && request_.minor_version == 1, true);
    connection_.append(out);
    connection_.start_stream(handler, chunked && request_.minor_version == 1);
    return connection_;
}

}  // namespace weir::net
