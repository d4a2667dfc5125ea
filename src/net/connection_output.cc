// How a connection sends: its own small messages, and what its owner shares, over plaintext and TLS alike.
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/assert.h"
#include "net/connection_internal.h"

namespace weir::net {
namespace {

constexpr std::size_t kGatherMax = 64;          // pieces in one sendmsg
constexpr std::size_t kRecordBytes = 16 * 1024;  // of TLS
constexpr std::size_t kCopyBytesMax = 16 * 1024; // larger payloads go to the kernel from where they are

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

}  // namespace

std::size_t Connection::pending_bytes() const noexcept {
    return (cold_ ? cold_->waiting() : 0) + (server_ && server_->corked_ == this ? server_->scratch_->cork.size() : 0);
}

bool Connection::room_for(std::size_t bytes) const noexcept {
    const std::size_t waiting = pending_bytes(), most = server_->options_.send_buffer_bytes_max;
    return waiting == 0 || waiting + bytes <= (handler_ ? std::min(most, handler_->kept_bytes_max()) : most);
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
    if (deflate_window_ != 0 && payload.size() >= server_->options_.deflate_min_bytes) {
        scratch.deflated.clear();
        if (scratch.deflaters.of(deflate_window_).deflate(payload, scratch.deflated)) {
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

}  // namespace weir::net
