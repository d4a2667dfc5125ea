#include "net/connection.h"

#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/assert.h"
#include "net/connection_internal.h"

namespace weir::net {
namespace {

constexpr std::size_t kGatherMax = 64;          // pieces in one sendmsg
constexpr std::size_t kRecordBytes = 16 * 1024;  // of TLS
constexpr std::size_t kCopyBytesMax = 16 * 1024; // larger payloads go to the kernel from where they are
constexpr long kAgain = -1, kBroken = -2;

/// Reads along frames that lie in several pieces of memory.
class FrameWalk {
public:
    explicit FrameWalk(std::span<const iovec> pieces) : pieces_(pieces) {}

    /// The end of the frame that holds byte `taken - 1`: the first boundary at or after `taken`.
    std::size_t boundary_after(std::size_t taken) {
        while (at_ < taken) {
            char header[kFrameHeaderMax];
            std::size_t n = 0;
            std::size_t piece = piece_, offset = offset_;
            while (n < sizeof header && piece < pieces_.size()) {
                if (offset == pieces_[piece].iov_len) {
                    ++piece;
                    offset = 0;
                    continue;
                }
                const std::size_t part = std::min(sizeof header - n, pieces_[piece].iov_len - offset);
                std::memcpy(header + n, static_cast<const char*>(pieces_[piece].iov_base) + offset, part);
                n += part;
                offset += part;
            }
            const std::uint64_t size = frame_bytes({header, n});
            WEIR_ASSERT(size != 0);  // try_write was given something else than whole frames
            advance(static_cast<std::size_t>(size));
        }
        return at_;
    }

private:
    void advance(std::size_t size) {
        at_ += size;
        while (size > 0) {
            WEIR_ASSERT(piece_ < pieces_.size());
            const std::size_t part = std::min(size, pieces_[piece_].iov_len - offset_);
            size -= part;
            offset_ += part;
            if (offset_ == pieces_[piece_].iov_len) {
                ++piece_;
                offset_ = 0;
            }
        }
    }
    std::span<const iovec> pieces_;
    std::size_t piece_ = 0, offset_ = 0, at_ = 0;
};

/// Calls `take` with the bytes [from, to) of `pieces`, piece by piece.
template <class F>
void for_bytes(std::span<const iovec> pieces, std::size_t from, std::size_t to, F&& take) {
    std::size_t start = 0;
    for (const iovec& piece : pieces) {
        const std::size_t begin = std::max(from, start), end = std::min(to, start + piece.iov_len);
        if (begin < end) take(std::string_view(static_cast<const char*>(piece.iov_base) + (begin - start), end - begin));
        start += piece.iov_len;
        if (start >= to) return;
    }
}

std::uint32_t to_ms(Duration d) { return static_cast<std::uint32_t>(d.count() / 1000); }

}  // namespace

Connection::~Connection() {
    if (fd_ >= 0) ::close(fd_);
}

Connection::Cold& Connection::cold() {
    if (!cold_) cold_ = std::make_unique<Cold>();
    return *cold_;
}

void Connection::shrink() {
    if (!cold_) return;
    Cold& c = *cold_;
    if (c.waiting() == 0 && c.out.capacity() > 0) c.clear_out();
    if (c.waiting() == 0 && c.in.empty() && !c.decoder && !c.inflater && !c.tls && !c.http) cold_.reset();
}

Reactor& Connection::reactor() const noexcept { return server_->reactor_; }

ConnectionRef Connection::ref() noexcept {
    ConnectionRef ref;
    ref.connection_ = this;
    ref.generation_ = generation_;
    return ref;
}

PeerAddress Connection::peer() const {
    const PeerAddress socket = peer_of(fd_);
    if (address_ == 0) return socket;
    const IpAddress& client = server_->addresses_[address_].ip;
    return client == socket.ip ? socket : PeerAddress{.ip = client, .port = 0};
}

Duration Connection::last_input() const noexcept {
    // The stamp has 32 bits: told as an age, which is right up to 49 days.
    return server_->reactor_.now() - std::chrono::milliseconds(server_->now_ms() - last_input_ms_);
}

bool Connection::start(int fd, From from, std::uint32_t address) {
    fd_ = fd;
    address_ = address;
    flags_ = 0;
    handler_ = nullptr;
    state_ = from == From::proxy ? State::proxy : State::http;
    last_input_ms_ = server_->now_ms();
    set_deadline(server_->options_.head_timeout);
    server_->reactor_.add(fd, *this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    if (from == From::proxy || !server_->tls_ || start_tls()) return true;
    end(Closed::By::error, CloseCode::abnormal, "out of memory");
    return false;
}

/// Looks at what has come without taking it, until the header is whole: what follows is TLS's or HTTP's. False: wait, or it is over.
bool Connection::take_proxy_header() {
    char bytes[ProxyHeader::bytes_max];
    ssize_t n;
    do n = ::recv(fd_, bytes, sizeof bytes, MSG_PEEK);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return false;
    const auto header = n > 0 ? ProxyHeader::parse({bytes, static_cast<std::size_t>(n)}) : Result<std::optional<ProxyHeader>>(Error{"closed", ""});
    if (!header.ok()) {
        if (n > 0) ++server_->statistics_.protocol_errors;
        end(Closed::By::error, CloseCode::abnormal, "no PROXY header");
        return false;
    }
    if (!header->has_value()) return false;
    [[maybe_unused]] const ssize_t taken = ::recv(fd_, bytes, (*header)->size, 0);
    if ((*header)->client && !server_->count_as(*this, (*header)->client->ip)) {
        end(Closed::By::us, CloseCode::try_again_later, "too many connections of this address");
        return false;
    }
    state_ = State::http;
    if (!server_->tls_ || start_tls()) return true;
    end(Closed::By::error, CloseCode::abnormal, "out of memory");
    return false;
}

void Connection::set_deadline(Duration after) noexcept {
    set(kDeadline, after > Duration(0));
    deadline_ms_ = server_->now_ms() + to_ms(after);
}

// Input.

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
    if (cold_ && !cold_->in.empty()) {
        std::string kept = std::exchange(cold_->in, {});
        const std::size_t size = kept.size();
        kept.resize(size + WebSocketDecoder::kPadding);
        take_input({kept.data(), size});
    }
    const std::size_t room = scratch.receive.size() - WebSocketDecoder::kPadding;
    std::size_t share = server_->options_.read_bytes_per_turn;
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
        share -= std::min(share, size);
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
    if (flag(kDeflate)) {
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
    const bool abnormal = state_ == State::websocket;
    end(Closed::By::peer, abnormal ? CloseCode::abnormal : CloseCode::normal, abnormal ? "the connection ended without a close frame" : "");
}

void Connection::pause_reading() { set(kPaused); }

void Connection::resume_reading() {
    if (!flag(kPaused)) return;
    set(kPaused, false);
    schedule_read();
}

// Output.

std::size_t Connection::pending_bytes() const noexcept {
    return (cold_ ? cold_->waiting() : 0) + (server_ && server_->corked_ == this ? server_->scratch_->cork.size() : 0);
}

bool Connection::room_for(std::size_t bytes) const noexcept {
    const std::size_t waiting = pending_bytes();
    return waiting == 0 || waiting + bytes <= server_->options_.send_buffer_bytes_max;
}

void Connection::append_waiting(std::string_view bytes) {
    Cold& c = cold();
    if (c.out_start > c.out.size() / 2) {
        c.out.erase(0, c.out_start);
        c.out_start = 0;
    }
    c.out.append(bytes);
}

void Connection::append(std::string_view bytes) {
    if (server_->corked_ == this) {
        server_->scratch_->cork.append(bytes);
        return;
    }
    if (flag(kTls))
        encrypt(bytes);
    else
        append_waiting(bytes);
    want_flush();
}

void Connection::want_flush() {
    if (flag(kDirty) || flag(kBlocked) || !alive()) return;
    set(kDirty);
    server_->dirty_.push_back(this);
    server_->wake_if_late();
}

void Connection::mark_dirty() {
    if (state_ == State::websocket || state_ == State::stream) want_flush();
}

bool Connection::send_encoded(std::string_view frames) {
    if (state_ != State::websocket && state_ != State::stream) return true;
    if (!room_for(frames.size())) return false;
    append(frames);
    return true;
}

bool Connection::send(MessageKind kind, std::string_view payload) {
    if (state_ == State::stream) return send_encoded(payload);
    if (state_ != State::websocket) return true;
    if (!room_for(payload.size() + 10)) return false;
    ++server_->statistics_.messages_sent;
    Compressed compressed = Compressed::no;
    auto& scratch = *server_->scratch_;
    if (flag(kDeflate) && payload.size() >= server_->options_.deflate_min_bytes) {
        if (!scratch.deflater) scratch.deflater = std::make_unique<Deflater>(server_->options_.deflate.server_max_window_bits);
        scratch.deflated.clear();
        if (scratch.deflater->deflate(payload, scratch.deflated)) {
            payload = scratch.deflated;
            compressed = Compressed::yes;
        }
    }
    char header[kFrameHeaderMax];
    const std::size_t header_bytes = write_frame_header(header, kind == MessageKind::text ? Opcode::text : Opcode::binary, payload.size(), compressed);
    if (payload.size() >= kCopyBytesMax && !flag(kBlocked)) {
        const iovec pieces[2] = {{header, header_bytes}, {const_cast<char*>(payload.data()), payload.size()}};
        if (write_pieces(pieces, true) > 0 || !alive()) return true;  // what was cut is kept
    }
    append({header, header_bytes});
    append(payload);
    return true;
}

void Connection::ping(std::string_view payload) {
    if (state_ != State::websocket || !room_for(payload.size() + 2)) return;
    char header[kFrameHeaderMax];
    payload = payload.substr(0, 125);
    append({header, write_frame_header(header, Opcode::ping, payload.size())});
    append(payload);
}

std::size_t Connection::try_write(std::span<const iovec> pieces) {
    if (flag(kBlocked) || (state_ != State::websocket && state_ != State::stream)) return 0;
    return write_pieces(pieces, state_ == State::websocket);
}

std::size_t Connection::write_pieces(std::span<const iovec> pieces, bool frames) {
    return flag(kTls) ? write_tls(pieces, frames) : write_plain(pieces, frames);
}

long Connection::kernel_send(const iovec* pieces, std::size_t count) {
    ++server_->statistics_.sends;
    for (;;) {
        ssize_t n;
        if (count == 1) {
            n = ::send(fd_, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL);
        } else {
            msghdr message{};
            message.msg_iov = const_cast<iovec*>(pieces);
            message.msg_iovlen = count;
            n = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
        }
        if (n >= 0) return n;
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == ENOBUFS) return 0;
        end(Closed::By::peer, CloseCode::abnormal, "the connection was reset");
        return kBroken;
    }
}

/// `bytes` of `offered` went to the kernel. Less than all: it is full, and will say when it is not.
void Connection::took(std::size_t bytes, std::size_t offered) {
    server_->statistics_.bytes_out += bytes;
    if (bytes == offered) return;
    ++server_->statistics_.sends_blocked;
    set(kBlocked);
    // A kernel that takes something now and then is slow, not stuck: write_timeout counts from here.
    if (bytes > 0 || blocked_ms_ == 0) blocked_ms_ = server_->now_ms() | 1;
}

std::size_t Connection::write_plain(std::span<const iovec> pieces, bool frames) {
    iovec gather[kGatherMax];
    std::size_t taken = 0, next = 0;
    std::string* cork = server_->corked_ == this && !server_->scratch_->cork.empty() ? &server_->scratch_->cork : nullptr;
    std::size_t waiting = cold_ ? cold_->waiting() : 0;
    do {
        std::size_t count = 0, offered = 0;
        if (waiting) gather[count++] = {cold_->out.data() + cold_->out_start, waiting};
        if (cork) gather[count++] = {cork->data(), cork->size()};
        const std::size_t own = waiting + (cork ? cork->size() : 0);
        for (; count < kGatherMax && next < pieces.size(); ++next) {
            if (pieces[next].iov_len == 0) continue;
            gather[count++] = pieces[next];
            offered += pieces[next].iov_len;
        }
        if (count == 0) break;
        const long n = kernel_send(gather, count);
        if (n < 0) return 0;
        const auto sent = static_cast<std::size_t>(n);
        took(sent, own + offered);
        if (sent < own) {
            if (sent < waiting) {
                cold_->out_start += sent;
                if (cork) append_waiting(*cork);
            } else {
                if (waiting) cold_->clear_out();
                append_waiting(std::string_view(*cork).substr(sent - waiting));
            }
            if (cork) cork->clear();
            return 0;
        }
        if (waiting) cold_->clear_out();
        if (cork) cork->clear();
        waiting = 0;
        cork = nullptr;
        taken += sent - own;
        if (sent - own < offered) {
            if (!frames) return taken;
            const std::size_t whole = FrameWalk(pieces).boundary_after(taken);
            for_bytes(pieces, taken, whole, [this](std::string_view rest) { append_waiting(rest); });
            return whole;
        }
    } while (next < pieces.size());
    blocked_ms_ = 0;
    return taken;
}

void Connection::encrypt(std::string_view bytes) {
    while (!bytes.empty()) {
        const std::string_view record = bytes.substr(0, kRecordBytes);
        ::ERR_clear_error();
        const int n = ::SSL_write(cold_->tls->ssl, record.data(), static_cast<int>(record.size()));
        if (n <= 0) return end(Closed::By::error, CloseCode::abnormal, "TLS failed");
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
}

void Connection::send_waiting() {
    if (flag(kBlocked) || cold_->waiting() == 0) return;
    const iovec piece{cold_->out.data() + cold_->out_start, cold_->waiting()};
    const long n = kernel_send(&piece, 1);
    if (n < 0) return;
    took(static_cast<std::size_t>(n), piece.iov_len);
    if (static_cast<std::size_t>(n) == piece.iov_len) {
        cold_->clear_out();
        blocked_ms_ = 0;
    } else {
        cold_->out_start += static_cast<std::size_t>(n);
    }
}

std::size_t Connection::write_tls(std::span<const iovec> pieces, bool frames) {
    if (server_->corked_ == this) {
        std::string& cork = server_->scratch_->cork;
        encrypt(cork);
        cork.clear();
    }
    std::size_t total = 0, taken = 0;
    for (const iovec& piece : pieces) total += piece.iov_len;
    if (alive() && (total == 0 || cold_->waiting() >= kRecordBytes)) send_waiting();
    if (!alive()) return 0;
    std::string& record = server_->scratch_->record;
    // Whole records, each sent before the next is made: at most one waits here when the kernel is full.
    while (taken < total && !flag(kBlocked) && cold_->waiting() < 4 * kRecordBytes) {
        record.clear();
        for_bytes(pieces, taken, std::min(total, taken + kRecordBytes), [&](std::string_view part) { record.append(part); });
        encrypt(record);
        if (!alive()) return 0;
        taken += record.size();
        if (taken == total || cold_->waiting() >= 2 * kRecordBytes) send_waiting();
        if (!alive()) return 0;
    }
    if (frames && taken < total && alive()) {
        const std::size_t whole = taken == 0 ? 0 : FrameWalk(pieces).boundary_after(taken);
        for_bytes(pieces, taken, whole, [this](std::string_view rest) { if (alive()) encrypt(rest); });
        taken = whole;
    }
    return taken;
}

/// Hands the kernel what waits here.
void Connection::flush() {
    if (flag(kBlocked)) {
        if (server_->corked_ == this && !server_->scratch_->cork.empty()) {
            std::string& cork = server_->scratch_->cork;
            if (flag(kTls))
                encrypt(cork);
            else
                append_waiting(cork);
            cork.clear();
        }
        return;
    }
    if (pending_bytes() > 0) write_pieces({}, false);
    after_flush();
}

void Connection::flush_from_pass() {
    set(kDirty, false);
    if (!alive()) return;
    if (!flag(kBlocked) && handler_ && (state_ == State::websocket || state_ == State::stream)) handler_->on_writable(*this);
    if (alive() && !flag(kBlocked)) flush();
    if (cold_) shrink();
}

void Connection::after_flush() {
    if (!alive()) return;
    if (flag(kEndAfterFlush) && pending_bytes() == 0 && state_ != State::lingering) {
        linger();
    } else if (state_ == State::http && cold_ && cold_->http) {
        if (flag(kInputWaits) && can_read()) schedule_read();  // requests that waited until the answers before them were read
        HttpExchange& exchange = cold_->http->exchange;
        if (exchange.wants_drained_ && exchange.drained_ && pending_bytes() <= server_->options_.response_buffer_bytes / 2) {
            exchange.wants_drained_ = false;
            const std::uint32_t number = exchange.number_;
            auto drained = std::move(exchange.drained_);  // it may finish, which ends the exchange and what it holds
            drained(exchange);
            if (exchange.active_ && exchange.number_ == number && !exchange.drained_) exchange.drained_ = std::move(drained);
        }
    }
}

// Ending.

void Connection::close(CloseCode code, std::string_view reason) {
    if (state_ == State::stream) {
        if (flag(kChunked)) append(kLastHttpChunk);
        state_ = State::closing;
        notify(Closed::By::us, code, reason);
        end_after_flush();
    } else if (state_ == State::websocket) {
        std::string frame;
        append_frame(frame, Opcode::close, close_payload(code, reason));
        append(frame);
        state_ = State::closing;
        set(kAwaitingPong, false);
        set_deadline(server_->options_.close_timeout);
        if (flag(kPaused)) resume_reading();  // the answer must be read
        notify(Closed::By::us, code, reason);
    }
}

void Connection::abort() {
    if (alive()) end(Closed::By::us, CloseCode::abnormal, "");
}

void Connection::fail(CloseCode code, std::string_view why) {
    if (state_ == State::websocket) {
        std::string frame;
        append_frame(frame, Opcode::close, close_payload(code, why));
        append(frame);
    }
    state_ = State::closing;
    notify(Closed::By::error, code, why);
    end_after_flush();
}

void Connection::notify(Closed::By by, CloseCode code, std::string_view reason) {
    if (!handler_) return;
    (flag(kWebSocket) ? server_->statistics_.open_websockets : server_->statistics_.open_streams) -= 1;
    server_->ended_.push_back({handler_, this, by, code, std::string(reason), nullptr});
    handler_ = nullptr;
    server_->wake_if_late();
}

/// The socket is closed now; the slot is free again after this turn, when nobody looks at it any more.
void Connection::end(Closed::By by, CloseCode code, std::string_view reason) {
    if (!alive()) return;
    notify(by, code, reason);
    if (cold_ && cold_->http && cold_->http->exchange.active_ && cold_->http->exchange.gone_)
        server_->ended_.push_back({nullptr, this, by, code, {}, std::move(cold_->http->exchange.gone_)});
    server_->reactor_.remove(fd_, *this);
    ::close(std::exchange(fd_, -1));
    state_ = State::dead;
    server_->dead_.push_back(this);
    server_->wake_if_late();
}

void Connection::release() {
    if (flag(kDirty)) std::erase(server_->dirty_, this);
    if (flag(kInReadList)) std::erase(server_->reading_, this);
    cold_.reset();
    flags_ = 0;
    blocked_ms_ = 0;
    ++generation_;
    state_ = State::free;
}

void Connection::end_after_flush() {
    set(kEndAfterFlush);
    if (server_->corked_ != this) want_flush();
}

/// All is sent. Closing now would reset the connection if the peer has sent more meanwhile, and could take our last words with it:
/// so our side is closed, and what still comes is read and dropped for a while.
void Connection::linger() {
    if (flag(kTls)) {
        ::ERR_clear_error();
        ::SSL_shutdown(cold_->tls->ssl);
        send_waiting();
        if (!alive()) return;
    }
    if (flag(kClosedByPeer) || flag(kPeerDone)) return end(Closed::By::us, CloseCode::normal, "");
    ::shutdown(fd_, SHUT_WR);
    if (cold_ && cold_->http) leave_http();
    state_ = State::lingering;
    set(kPaused, false);
    set_deadline(server_->options_.linger);
    if (flag(kInputWaits) || (cold_ && !cold_->in.empty())) schedule_read();
}

void Connection::deadline_passed() {
    ++server_->statistics_.timeouts;
    set(kDeadline, false);
    switch (state_) {
        case State::http: {
            if (!cold_ || !cold_->http || flag(kEndAfterFlush)) return end(Closed::By::timeout, CloseCode::abnormal, "");
            HttpExchange& exchange = cold_->http->exchange;
            if (exchange.waits_for_answer() && !exchange.begun_) return exchange.respond(503, {{"Retry-After", "5"}}, "no answer in time\n");
            if (exchange.active_ && exchange.begun_) return end(Closed::By::timeout, CloseCode::abnormal, "");
            if (exchange.active_ || !cold_->http->parser.idle()) return http_error(408, "the request did not come in time");
            return end(Closed::By::timeout, CloseCode::abnormal, "");
        }
        case State::websocket:
            // Behind a full kernel buffer the peer has not come to the ping yet; write_timeout watches that.
            if (flag(kBlocked)) return set_deadline(server_->options_.ping_timeout);
            {
                std::string frame;
                append_frame(frame, Opcode::close, close_payload(CloseCode::internal_error, "no answer to a ping"));
                append(frame);
                flush();
            }
            return end(Closed::By::timeout, CloseCode::abnormal, "no answer to a ping");
        case State::closing: return end(Closed::By::timeout, CloseCode::abnormal, "no answer to the close frame");
        default: return end(Closed::By::timeout, CloseCode::abnormal, "");
    }
}

void Connection::sweep(std::uint32_t now_ms) {
    const auto& options = server_->options_;
    if (flag(kDeadline) && static_cast<std::int32_t>(now_ms - deadline_ms_) >= 0) return deadline_passed();
    if (flag(kBlocked) && options.write_timeout > Duration(0) && now_ms - blocked_ms_ >= to_ms(options.write_timeout) &&
        static_cast<std::int32_t>(now_ms - blocked_ms_) > 0) {
        ++server_->statistics_.timeouts;
        return end(Closed::By::timeout, CloseCode::abnormal, "the peer took nothing for " + to_text(options.write_timeout));
    }
    if (state_ == State::websocket && options.ping_interval > Duration(0) && now_ms - last_input_ms_ >= to_ms(options.ping_interval) &&
        !flag(kNoPings) && !flag(kAwaitingPong) && !flag(kPaused) && !flag(kBlocked)) {
        set(kAwaitingPong);
        set_deadline(options.ping_timeout);
        ping();
    }
}

// HTTP.

void Connection::http_error(int status, const char* why) {
    std::string answer;
    append_status_line(answer, status);
    append_header(answer, "Date", server_->date());
    append_header(answer, "Content-Type", "text/plain");
    append_header(answer, "Content-Length", std::to_string(std::strlen(why) + 1));
    answer.append("Connection: close\r\n\r\n").append(why).append("\n");
    append(answer);
    if (cold_ && cold_->http) {
        // The client is there, but its request will never be whole.
        HttpExchange& exchange = cold_->http->exchange;
        if (exchange.active_ && exchange.gone_) server_->ended_.push_back({nullptr, this, Closed::By::error, CloseCode::abnormal, {}, std::move(exchange.gone_)});
        exchange.reset();
    }
    set_deadline(server_->options_.write_timeout);
    end_after_flush();
}

/// The answer is complete and so is the request: the next one, or the end.
void Connection::exchange_done() {
    HttpExchange& exchange = cold_->http->exchange;
    const bool close = exchange.close_after_ || server_->draining_ || flag(kPeerDone);
    exchange.reset();
    if (close) {
        set_deadline(server_->options_.write_timeout);
        return end_after_flush();
    }
    set_deadline(server_->options_.keep_alive_timeout);
    if (!flag(kServing)) schedule_read();
}

void Connection::leave_http() {
    cold_->http->exchange.reset();
    server_->scratch_->retired.push_back(std::move(cold_->http));
    server_->wake_if_late();
}

void Connection::start_websocket(ConnectionHandler& handler, bool pings) {
    handler_ = &handler;
    state_ = State::websocket;
    set(kWebSocket);
    set(kNoPings, !pings);
    set(kDeadline, false);
    ++server_->statistics_.upgrades;
    ++server_->statistics_.open_websockets;
    leave_http();
    if (!flag(kServing)) schedule_read();
}

void Connection::start_stream(ConnectionHandler& handler, bool chunked) {
    handler_ = &handler;
    state_ = State::stream;
    set(kChunked, chunked);
    set(kDeadline, false);
    ++server_->statistics_.open_streams;
    leave_http();
    if (!flag(kServing)) schedule_read();
}

// TLS.

/// What OpenSSL writes goes to the connection's waiting output, which never refuses; what it reads comes from the socket.
struct Connection::Bio {
    static Connection& of(BIO* bio) { return *static_cast<Connection*>(::BIO_get_data(bio)); }

    static int write(BIO* bio, const char* data, int size) {
        of(bio).append_waiting({data, static_cast<std::size_t>(size)});
        return size;
    }
    static int read(BIO* bio, char* data, int size) {
        ::BIO_clear_retry_flags(bio);
        for (;;) {
            const ssize_t n = ::recv(of(bio).fd_, data, static_cast<std::size_t>(size), 0);
            if (n >= 0) return static_cast<int>(n);
            if (errno == EINTR) continue;
            if (errno == EAGAIN) ::BIO_set_retry_read(bio);
            return -1;
        }
    }
    static BIO_METHOD* method() {
        // One for the process, never freed: it has to outlive each BIO.
        static BIO_METHOD* const made = [] {
            BIO_METHOD* fresh = ::BIO_meth_new(::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir connection");
            ::BIO_meth_set_write(fresh, &Bio::write);
            ::BIO_meth_set_read(fresh, &Bio::read);
            ::BIO_meth_set_ctrl(fresh, [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH ? 1 : 0; });
            ::BIO_meth_set_create(fresh, [](BIO* bio) {
                ::BIO_set_init(bio, 1);
                return 1;
            });
            return fresh;
        }();
        return made;
    }
};

bool Connection::start_tls() {
    set(kTls);
    cold().tls = std::make_unique<Tls>(server_->tls_->new_session());
    BIO* bio = cold_->tls->ssl ? ::BIO_new(Bio::method()) : nullptr;
    if (!bio) return false;
    ::BIO_set_data(bio, this);
    ::SSL_set_bio(cold_->tls->ssl, bio, bio);
    return true;
}

}  // namespace weir::net
