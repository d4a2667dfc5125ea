#include "net/http_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/connection_internal.h"

namespace weir::net {
namespace {

// A flush pass over many connections is cut into slices, and sockets are read between them: a request does not wait for ten thousand
// sends, and what it publishes goes along to those whose turn in the pass is still to come.
constexpr Duration kSlice = 250us;
constexpr std::size_t kBetweenLooks = 16;  ///< connections flushed between two looks at the clock

}  // namespace

std::size_t HttpServer::IpHash::operator()(const IpAddress& ip) const noexcept {
    std::uint64_t high, low;
    std::memcpy(&high, ip.bytes.data(), 8);
    std::memcpy(&low, ip.bytes.data() + 8, 8);
    return static_cast<std::size_t>((high ^ (low * 0x9e3779b97f4a7c15)) * 0xbf58476d1ce4e5b9 >> 7);
}

HttpServer::HttpServer(Reactor& reactor, ServerOptions options, HttpHandler& handler, std::shared_ptr<TlsServerContext> tls)
    : reactor_(reactor), options_(options), handler_(handler), tls_(std::move(tls)), addresses_(1),
      scratch_(std::make_unique<Scratch>(options.receive_buffer_bytes)), start_(reactor.clock().monotonic()),
      sweep_timer_(reactor, [this] { sweep(); }), flush_timer_(reactor, [this] { reactor_.again(); }),
      hook_(reactor, [this] { end_of_turn(); }) {
    sweep_timer_.start(options_.sweep_interval);
}

HttpServer::~HttpServer() {
    listeners_.clear();
    end_all();
    while (!ended_.empty() || !dead_.empty()) report_ended();
}

void HttpServer::set_options(const ServerOptions& options) {
    const auto receive_bytes = options_.receive_buffer_bytes;
    options_ = options;
    options_.receive_buffer_bytes = receive_bytes;
}

std::uint32_t HttpServer::now_ms() const noexcept {
    return static_cast<std::uint32_t>((reactor_.now() - start_).count() / 1000);
}

std::string_view HttpServer::date() {
    const std::int64_t second = reactor_.clock().now().floor_to(1s).micros() / 1'000'000;
    if (second != date_second_) {
        date_second_ = second;
        const CivilTime t = to_civil(Timestamp::from_seconds(second));
        static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        char text[64];
        const int n = std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[t.weekday], t.day, kMonths[t.month - 1],
                                    t.year, t.hour, t.minute, t.second);
        date_.assign(text, static_cast<std::size_t>(n));
    }
    return date_;
}

Result<ListenAddress> HttpServer::listen(const ListenAddress& address, ListenOptions options) {
    WEIR_TRY(auto listener, Listener::open(reactor_, address, options, [this](int fd, const PeerAddress& peer) { adopt(fd, peer); }));
    listeners_.push_back(std::move(listener));
    return listeners_.back()->address();
}

/// Tells a client in one packet that it is not served. Not over TLS: the handshake would cost more than serving it.
void HttpServer::tell_refused(int fd, int status, const char* what, const IpAddress& client) {
    ++statistics_.refused;
    if (refusals_.admit(reactor_.now().count()))
        diag::warn("a connection of " + client.to_text() + " was refused: " + what + " (" + std::to_string(statistics_.refused) + " since the start)");
    if (!tls_) {
        std::string answer;
        append_status_line(answer, status);
        answer.append("Retry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        [[maybe_unused]] const auto n = ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
        // What the client has sent already would turn our closing into a reset, and that could overtake the answer.
        ::shutdown(fd, SHUT_WR);
        [[maybe_unused]] const auto dropped = ::recv(fd, scratch_->receive.data(), scratch_->receive.size(), MSG_DONTWAIT);
    }
}

void HttpServer::refuse(int fd, int status, const char* what, const IpAddress& client) {
    tell_refused(fd, status, what, client);
    ::close(fd);
}

Connection* HttpServer::adopt(int fd, const PeerAddress& peer) {
    if (statistics_.open >= options_.connections_max || draining_) {
        refuse(fd, 503, draining_ ? "the server is shutting down" : "connections_max are open", peer.ip);
        return nullptr;
    }
    const bool from_proxy = is_in(options_.trusted_proxies, peer.ip);
    std::uint32_t address = 0;
    if (!from_proxy) {
        const auto slot = enter_address(peer.ip);
        if (!slot) {
            refuse(fd, 429, kAddressFull, peer.ip);
            return nullptr;
        }
        address = *slot;
    }
    if (options_.socket_send_buffer > 0)
        ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &options_.socket_send_buffer, sizeof options_.socket_send_buffer);
    ++statistics_.accepted;
    ++statistics_.open;
    Connection* connection = take_slot();
    const auto from = from_proxy && options_.proxy_protocol ? Connection::From::proxy : Connection::From::client;
    return connection->start(fd, from, address, peer.port) ? connection : nullptr;
}

std::optional<std::uint32_t> HttpServer::enter_address(const IpAddress& ip) {
    if (!ip.known) return 0;
    const auto [it, fresh] = address_slots_.try_emplace(ip, 0u);
    if (fresh) {
        if (free_addresses_.empty()) {
            free_addresses_.push_back(static_cast<std::uint32_t>(addresses_.size()));
            addresses_.emplace_back();
        }
        it->second = free_addresses_.back();
        free_addresses_.pop_back();
        addresses_[it->second] = {ip, 0};
    }
    AddressCount& counted = addresses_[it->second];
    if (options_.connections_per_address_max > 0 && !ip.is_loopback() && counted.count >= options_.connections_per_address_max) return std::nullopt;
    ++counted.count;
    return it->second;
}

void HttpServer::leave_address(std::uint32_t slot) {
    if (slot == 0 || --addresses_[slot].count > 0) return;
    address_slots_.erase(addresses_[slot].ip);
    free_addresses_.push_back(slot);
}

bool HttpServer::count_as(Connection& connection, const IpAddress& ip) {
    if (connection.address_ != 0 && addresses_[connection.address_].ip == ip) return true;
    const auto slot = enter_address(ip);
    if (!slot) return false;
    leave_address(std::exchange(connection.address_, *slot));
    connection.port_ = 0;
    return true;
}

Connection* HttpServer::take_slot() {
    if (free_.empty()) {
        pages_.push_back(std::make_unique<Connection[]>(kPage));
        for (std::size_t i = kPage; i-- > 0;) {
            pages_.back()[i].server_ = this;
            free_.push_back(&pages_.back()[i]);
        }
    }
    Connection* connection = free_.back();
    free_.pop_back();
    return connection;
}

template <class F>
void HttpServer::each(F&& f) {
    for (std::size_t p = 0; p < pages_.size(); ++p)
        for (std::size_t i = 0; i < kPage; ++i)
            if (Connection& connection = pages_[p][i]; connection.alive()) f(connection);
}

void HttpServer::end_of_turn() {
    if (!reading_.empty()) {
        reading_now_.swap(reading_);
        for (Connection* connection : reading_now_) {
            connection->set(Connection::kInReadList, false);
            if (connection->can_read()) connection->serve_input(true);
        }
        reading_now_.clear();
    }
    if (!flushing_.empty() || !dirty_.empty()) flush_slice();
    if (!ended_.empty() || !dead_.empty()) report_ended();
    scratch_->retired.clear();
}

/// One slice of the pass under way, or the first of a new one.
void HttpServer::flush_slice() {
    const Clock& clock = reactor_.clock();
    const bool bounded = options_.flush_duty > 1;
    const Duration begin = clock.monotonic();
    if (flushing_.empty()) {
        if (bounded && reactor_.now() < flush_not_before_) {
            if (!flush_timer_.armed()) flush_timer_.start(flush_not_before_ - reactor_.now());
            return;
        }
        flushing_.swap(dirty_);
        flush_begin_ = begin;
        flush_used_ = Duration(0);
    }
    const auto used = [&] { return options_.thread_time ? options_.thread_time() : clock.monotonic(); };
    const Duration used_before = bounded ? used() : Duration(0);
    // As long as reading took in this turn: who sends much is not read faster than it is answered.
    const Duration end = begin + std::max(kSlice, begin - reactor_.now());
    do flushing_[flush_next_++]->flush_from_pass();
    while (flush_next_ < flushing_.size() && (flush_next_ % kBetweenLooks != 0 || clock.monotonic() < end));
    if (bounded) flush_used_ += used() - used_before;
    if (flush_next_ < flushing_.size()) return reactor_.again();
    flushing_.clear();
    flush_next_ = 0;
    if (bounded) {
        const auto rest = Duration(static_cast<std::int64_t>(options_.flush_duty * static_cast<double>(flush_used_.count())));
        flush_not_before_ = flush_begin_ + std::min(rest, std::max(flush_used_, options_.flush_latency_max));
    }
    if (!dirty_.empty()) reactor_.again();  // marked while the pass went on
    if (options_.flushed) options_.flushed();
}

void HttpServer::report_ended() {
    // Whoever is told may end others: those are told next, in this turn still.
    for (int round = 0; !ended_.empty() && round < 8; ++round) {
        ended_now_.swap(ended_);
        for (Ended& ended : ended_now_) {
            if (ended.handler)
                ended.handler->on_closed(*ended.connection, {.by = ended.by, .code = ended.code, .reason = ended.reason});
            else if (ended.gone)
                ended.gone();
        }
        ended_now_.clear();
    }
    if (!ended_.empty()) return reactor_.again();
    for (Connection* connection : dead_) {
        leave_address(std::exchange(connection->address_, 0));
        connection->release();
        free_.push_back(connection);
        --statistics_.open;
        ++statistics_.closed;
    }
    dead_.clear();
}

void HttpServer::sweep() {
    const std::uint32_t now = now_ms();
    each([now](Connection& connection) { connection.sweep(now); });
    sweep_timer_.start(options_.sweep_interval);
}

void HttpServer::drain(CloseCode code, std::string_view reason) {
    listeners_.clear();
    draining_ = true;
    each([&](Connection& connection) {
        if (connection.state_ == Connection::State::websocket || connection.state_ == Connection::State::stream)
            connection.close(code, reason);
        else if (connection.state_ == Connection::State::http &&
                 (!connection.cold_ || !connection.cold_->http ||
                  (!connection.cold_->http->exchange.active_ && connection.cold_->http->parser.idle() && connection.pending_bytes() == 0)))
            connection.end(Closed::By::us, CloseCode::going_away, "");
    });
}

void HttpServer::end_all() {
    each([](Connection& connection) { connection.abort(); });
}

}  // namespace weir::net
