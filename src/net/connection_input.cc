// How a connection takes what comes: bytes from the socket or from TLS, requests, frames, messages.
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/assert.h"
#include "net/connection_internal.h"

namespace weir::net {
namespace {

/// What a frame takes of its connection's turn beside its bytes (ServerOptions::read_bytes_per_turn).
constexpr std::size_t kFrameCost = 64;

}  // namespace

bool Connection::can_read() const noexcept {
    if (!alive() || flag(kPaused)) return false;
    if (state_ != State::http || !cold_ || !cold_->http) return true;
    const Http& http = *cold_->http;
    // The next request waits for the answer to this one, and for those that the client has not read: its sending stalls instead of growing a queue here.
    if (!http.exchange.active_ && pending_bytes() >= server_->options_.response_buffer_bytes) return false;
    return !http.body_paused && !flag(kEndAfterFlush) && !(http.exchange.active_ && http.exchange.body_ == HttpExchange::Body::done);
}

void Connection::schedule_read() {
    if (flag(kInReadList) || !alive()) return;
    set(kInReadList);
    server_->reading_.push_back(this);
    server_->wake_if_late();
}

void Connection::on_ready(std::uint32_t events) {
    constexpr std::uint32_t kEnded = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    const bool got_room = (events & EPOLLOUT) && flag(kBlocked);
    if (got_room) set(kBlocked, false);
    if (events & (EPOLLIN | kEnded)) {
        if (can_read()) {
            serve_input(events & kEnded);
        } else {
            set(kInputWaits);
            // Reading would tell; who does not read must be told that nobody is there any more.
            if (events & (EPOLLHUP | EPOLLERR)) end(Closed::By::peer, CloseCode::abnormal, "the connection was reset");
        }
    }
    if (got_room && alive()) want_flush();
}

/// Takes what came, and sends in one call what that made.
void Connection::serve_input(bool ended) {
    WEIR_ASSERT(!server_->corked_);
    server_->corked_ = this;
    set(kServing);
    read_all(ended);
    set(kServing, false);
    if (alive()) flush();
    server_->scratch_->cork.clear();
    server_->corked_ = nullptr;
    if (cold_) shrink();
}

void Connection::read_all(bool ended) {
    auto& scratch = *server_->scratch_;
    set(kInputWaits, false);
    if (state_ == State::proxy && !take_proxy_header()) return;
    // A body that was paused behind its last byte is over all the same, whether or not anything follows it.
    if (cold_ && (!cold_->in.empty() || (state_ == State::http && cold_->http && cold_->http->parser.at_end()))) {
        std::string kept = std::exchange(cold_->in, {});
        const std::size_t size = kept.size();
        kept.resize(size + WebSocketDecoder::kPadding);
        take_input({kept.data(), size});
    }
    const std::size_t room = scratch.receive.size() - WebSocketDecoder::kPadding;
    std::size_t share = server_->options_.read_bytes_per_turn;
    scratch.frames = 0;
    while (can_read()) {
        const long n = receive(scratch.receive.data(), room);
        if (n == kAgain) return;
        if (n == kBroken) return end(Closed::By::peer, CloseCode::abnormal, "the connection was reset");
        if (n == 0) return input_ended();
        const auto size = static_cast<std::size_t>(n);
        ++server_->statistics_.reads;
        server_->statistics_.bytes_in += size;
        last_input_ms_ = server_->now_ms();
        if (flag(kAwaitingPong)) {
            set(kAwaitingPong, false);
            set(kDeadline, false);
        }
        take_input({scratch.receive.data(), size});
        // Less than was asked for: there was no more. (TLS hands out one record at a time.)
        if (size < room && !ended && !flag(kTls)) return;
        share -= std::min(share, size + std::exchange(scratch.frames, 0) * kFrameCost);
        if (share == 0 && alive()) {
            set(kInputWaits);
            return schedule_read();
        }
    }
    if (alive()) set(kInputWaits);
}

long Connection::receive(char* to, std::size_t size) {
    if (flag(kTls)) {
        ::ERR_clear_error();
        const int n = ::SSL_read(cold_->tls->ssl, to, static_cast<int>(std::min<std::size_t>(size, 1 << 20)));
        if (cold_->waiting() > 0) send_waiting();  // what a handshake answers
        if (!alive()) return kAgain;
        if (n > 0) return n;
        switch (::SSL_get_error(cold_->tls->ssl, n)) {
            case SSL_ERROR_WANT_READ:
            case SSL_ERROR_WANT_WRITE: return kAgain;
            case SSL_ERROR_ZERO_RETURN: return 0;
            default: ::ERR_clear_error(); return kBroken;
        }
    }
    for (;;) {
        const ssize_t n = ::recv(fd_, to, size, 0);
        if (n >= 0) return n;
        if (errno != EINTR) return errno == EAGAIN ? kAgain : kBroken;
    }
}

void Connection::take_input(std::span<char> input) {
    for (;;) {
        const State before = state_;
        switch (state_) {
            case State::http: take_http(input); break;
            case State::websocket: take_frames(input); break;
            case State::closing:
                if (flag(kWebSocket))
                    take_frames(input);
                else
                    input = {};
                break;
            default: input = {};
        }
        if (!alive()) return;
        if (input.empty() || state_ == before) break;
    }
    if (!input.empty()) cold().in.append(input.data(), input.size());
}

void Connection::take_http(std::span<char>& input) {
    if (flag(kEndAfterFlush)) {
        input = {};
        return;
    }
    Cold& c = cold();
    if (!c.http) c.http = std::make_unique<Http>(*this, server_->options_.http);
    Http& http = *c.http;
    HttpExchange& exchange = http.exchange;
    while (can_read()) {
        std::string_view text(input.data(), input.size());
        const auto event = http.parser.next(text, exchange.request_);
        input = input.last(text.size());
        switch (event.kind) {
            case HttpParser::Kind::more:
                if (!http.parser.idle() && !exchange.active_ && !std::exchange(http.head_begun, true))
                    set_deadline(server_->options_.head_timeout);
                return;
            case HttpParser::Kind::error:
                ++server_->statistics_.request_errors;
                input = {};
                // The answer is whole; what is not is the rest of the request, which nobody waits for.
                if (exchange.active_ && exchange.finished_) {
                    exchange.reset();
                    set_deadline(server_->options_.write_timeout);
                    return end_after_flush();
                }
                // Within an answer that has begun there is no place for another: the client sees it cut short.
                if (exchange.active_ && exchange.begun_) return end(Closed::By::error, CloseCode::abnormal, event.reason);
                return http_error(event.status, event.reason);
            case HttpParser::Kind::head:
                ++server_->statistics_.requests;
                http.head_begun = false;
                exchange.start();
                server_->handler_.on_request(exchange);
                if (state_ != State::http) return;  // another protocol, or gone
                if (exchange.active_ && !exchange.finished_) exchange.keep_head();
                break;
            case HttpParser::Kind::body: exchange.body_piece(event.data); break;
            case HttpParser::Kind::complete: exchange.body_complete(); break;
        }
        if (state_ != State::http) return;
        if (exchange.active_ && exchange.finished_ && exchange.body_ == HttpExchange::Body::done) exchange_done();
        if (flag(kEndAfterFlush)) {
            input = {};
            return;
        }
    }
    if (!input.empty()) set(kInputWaits);
}

void Connection::take_frames(std::span<char>& input) {
    auto& scratch = *server_->scratch_;
    WebSocketDecoder* decoder = cold_ && cold_->decoder ? cold_->decoder.get() : &scratch.decoder;
    Inflater* inflater = nullptr;
    if (deflate_window_ != 0) {
        if (cold_ && cold_->inflater) {
            inflater = cold_->inflater.get();
        } else {
            if (!scratch.inflater) scratch.inflater = std::make_unique<Inflater>();
            inflater = scratch.inflater.get();
        }
    }
    bool more = true;
    while (more && alive() && !flag(kPaused) && !flag(kEndAfterFlush)) {
        const bool open = state_ == State::websocket;
        WebSocketLimits limits = server_->options_.websocket;
        if (open) limits.message_bytes_max = std::min(limits.message_bytes_max, handler_->message_bytes_max());
        const auto event = decoder->next(input, limits, inflater);
        ++scratch.frames;
        switch (event.kind) {
            case WebSocketDecoder::Kind::more: more = false; break;
            case WebSocketDecoder::Kind::text:
            case WebSocketDecoder::Kind::binary:
                ++server_->statistics_.messages_in;
                if (open) handler_->on_message(*this, event.kind == WebSocketDecoder::Kind::text ? MessageKind::text : MessageKind::binary, event.data);
                break;
            case WebSocketDecoder::Kind::ping:
                // A peer that pings faster than it reads gets fewer pongs, not our memory (RFC 6455, 5.5.3 allows that).
                if (open && room_for(event.data.size() + 2)) {
                    char header[kFrameHeaderMax];
                    append({header, write_frame_header(header, Opcode::pong, event.data.size())});
                    append(event.data);
                }
                break;
            case WebSocketDecoder::Kind::pong:
                if (open) handler_->on_pong(*this, event.data);
                break;
            case WebSocketDecoder::Kind::close:
                input = {};
                take_close(event.code, event.data);
                break;
            case WebSocketDecoder::Kind::error:
                input = {};
                ++server_->statistics_.protocol_errors;
                fail(event.code, event.data);
                break;
        }
    }
    if (flag(kEndAfterFlush)) input = {};
    if (decoder == &scratch.decoder) {
        if (!decoder->idle()) {
            if (alive() && !flag(kEndAfterFlush)) cold().decoder = std::make_unique<WebSocketDecoder>(std::move(*decoder));
            *decoder = WebSocketDecoder();
        }
    } else if (cold_ && decoder->idle()) {
        cold_->decoder.reset();
    }
}

void Connection::take_close(CloseCode code, std::string_view reason) {
    if (state_ == State::websocket) {
        std::string frame;
        append_frame(frame, Opcode::close, close_payload(code, {}));
        append(frame);
        state_ = State::closing;
        set_deadline(server_->options_.close_timeout);
    }
    notify(Closed::By::peer, code, reason);
    // Both close frames are exchanged: the server ends the connection (RFC 6455, 7.1.1).
    set(kClosedByPeer);
    end_after_flush();
}

void Connection::input_ended() {
    if (state_ == State::http && cold_ && cold_->http && cold_->http->exchange.active_ && cold_->http->exchange.body_ == HttpExchange::Body::done) {
        // Half closed: the client may still want its answer. If it is gone, writing tells.
        set(kPeerDone);
        return;
    }
    if (state_ == State::http && pending_bytes() > 0) {
        // The answer is made already, and still here.
        set(kPeerDone);
        return end_after_flush();
    }
    const bool abnormal = state_ == State::websocket;
    end(Closed::By::peer, abnormal ? CloseCode::abnormal : CloseCode::normal, abnormal ? "the connection ended without a close frame" : "");
}

void Connection::pause_reading() { set(kPaused); }

void Connection::resume_reading() {
    if (!flag(kPaused)) return;
    set(kPaused, false);
    schedule_read();
}

}  // namespace weir::net
