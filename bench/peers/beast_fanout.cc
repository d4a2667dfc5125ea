// A peer of `weir bench fanout`: Boost.Beast, in the way of the library's own example for it, websocket-chat-multi: each session has its strand and its queue
// of shared messages, and what is sent to all is posted to each session's strand.
//
//     beast_fanout         prints "WebSocket port, HTTP port, pid" and serves until it is ended
//
// Events come by POST, as weir takes them (NDJSON of {"id", "data"}), and leave as weir's broadcast sends them; nothing is kept here. One thread.
#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <unordered_set>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;

namespace {

using Message = std::shared_ptr<const std::string>;

class Session;
struct Room {
    std::unordered_set<Session*> sessions;
    std::uint64_t sequence = 0;
    void send(std::string text);
};

class Session : public std::enable_shared_from_this<Session> {
public:
    Session(tcp::socket socket, Room& room) : ws_(std::move(socket)), room_(room) {}
    ~Session() { room_.sessions.erase(this); }
    void run() {
        ws_.set_option(websocket::stream_base::timeout::suggested(beast::role_type::server));
        ws_.async_accept([self = shared_from_this()](beast::error_code e) {
            if (e) return;
            self->room_.sessions.insert(self.get());
            self->send(std::make_shared<const std::string>(R"({"type":"welcome","message":"Connected"})"));
            self->read();
        });
    }
    void send(const Message& message) {
        asio::post(ws_.get_executor(), [self = shared_from_this(), message] {
            self->queue_.push_back(message);
            if (self->queue_.size() == 1) self->write();
        });
    }

private:
    void read() {
        ws_.async_read(buffer_, [self = shared_from_this()](beast::error_code e, std::size_t) {
            if (e) return;
            self->buffer_.consume(self->buffer_.size());
            self->read();
        });
    }
    void write() {
        ws_.async_write(asio::buffer(*queue_.front()), [self = shared_from_this()](beast::error_code e, std::size_t) {
            if (e) return;
            self->queue_.erase(self->queue_.begin());
            if (!self->queue_.empty()) self->write();
        });
    }

    websocket::stream<beast::tcp_stream> ws_;
    Room& room_;
    beast::flat_buffer buffer_;
    std::vector<Message> queue_;
};

void Room::send(std::string text) {
    const auto message = std::make_shared<const std::string>(std::move(text));
    std::vector<std::weak_ptr<Session>> all;
    all.reserve(sessions.size());
    for (Session* session : sessions) all.push_back(session->weak_from_this());
    for (const auto& one : all)
        if (const auto session = one.lock()) session->send(message);
}

/// Takes POSTs on one connection.
struct Publisher : std::enable_shared_from_this<Publisher> {
    beast::tcp_stream stream;
    Room& room;
    beast::flat_buffer buffer;
    http::request<http::string_body> request;
    http::response<http::string_body> response;

    Publisher(tcp::socket socket, Room& r) : stream(std::move(socket)), room(r) {}
    void read() {
        request = {};
        http::async_read(stream, buffer, request, [self = shared_from_this()](beast::error_code e, std::size_t) {
            if (!e) self->answer();
        });
    }
    void answer() {
        std::size_t accepted = 0;
        const std::string& body = request.body();
        for (std::size_t at = 0; at < body.size();) {
            const std::size_t end = std::min(body.find('\n', at), body.size());
            if (end > at) {
                nlohmann::ordered_json data = nlohmann::ordered_json::parse(body.substr(at, end - at))["data"];
                data["stream_sequence"] = ++room.sequence;
                const auto now = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
                const std::time_t seconds = now / 1'000'000;
                char day[32], text[48];
                std::strftime(day, sizeof day, "%FT%T", std::gmtime(&seconds));
                std::snprintf(text, sizeof text, "%s.%06ldZ", day, static_cast<long>(now % 1'000'000));
                data["server_timestamp"] = text;
                room.send(data.dump());
                ++accepted;
            }
            at = end + 1;
        }
        response = {http::status::ok, request.version()};
        response.set(http::field::content_type, "application/json");
        response.body() = "{\"accepted\":" + std::to_string(accepted) + "}";
        response.prepare_payload();
        http::async_write(stream, response, [self = shared_from_this()](beast::error_code e, std::size_t) {
            if (!e) self->read();
        });
    }
};

template <class Started>
void accept(tcp::acceptor& acceptor, asio::io_context& io, Started started) {
    acceptor.async_accept(asio::make_strand(io), [&acceptor, &io, started](beast::error_code e, tcp::socket socket) {
        if (!e) started(std::move(socket));
        accept(acceptor, io, started);
    });
}

}  // namespace

int main() {
    asio::io_context io{1};
    Room room;
    tcp::acceptor sockets(asio::make_strand(io), {asio::ip::address_v4::loopback(), 0}), posts(asio::make_strand(io), {asio::ip::address_v4::loopback(), 0});
    accept(sockets, io, [&](tcp::socket socket) {
        socket.set_option(tcp::no_delay(true));
        std::make_shared<Session>(std::move(socket), room)->run();
    });
    accept(posts, io, [&](tcp::socket socket) {
        socket.set_option(tcp::no_delay(true));
        std::make_shared<Publisher>(std::move(socket), room)->read();
    });
    std::printf("%d %d %d\n", sockets.local_endpoint().port(), posts.local_endpoint().port(), ::getpid());
    std::fflush(stdout);
    io.run();
}
