// What a connection is, how it begins and ends, and its way between protocols. How it takes what comes: connection_input.cc; how it sends: connection_output.cc.
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
    if (address_ == 0) return peer_of(fd_);
    return {.ip = server_->addresses_[address_].ip, .port = port_};
}

Duration Connection::last_input() const noexcept {
    // The stamp has 32 bits: told as an age, which is right up to 49 days.
    return server_->reactor_.now() - std::chrono::milliseconds(server_->now_ms() - last_input_ms_);
}

bool Connection::start(int fd, From from, std::uint32_t address, std::uint16_t port) {
    fd_ = fd;
    address_ = address;
    port_ = port;
    flags_ = 0;
    deflate_window_ = 0;
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
        server_->tell_refused(fd_, 429, HttpServer::kAddressFull, (*header)->client->ip);
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
