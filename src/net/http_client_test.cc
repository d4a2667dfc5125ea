#include "net/http_client.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/reactor.h"

using namespace weir;
using namespace weir::net;
using namespace weir::literals;

namespace {

/// Answers each connection's first request with what `answer` makes of its head and body, then closes. Blocking, on a thread.
class TinyServer {
public:
    explicit TinyServer(std::function<std::string(const std::string&)> answer) : answer_(std::move(answer)) {
        fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(fd_, 16) == 0);
        socklen_t size = sizeof address;
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
        port = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~TinyServer() {
        ::shutdown(fd_, SHUT_RDWR);
        thread_.join();
        ::close(fd_);
    }
    std::string url(const std::string& path = "/") const { return "http://127.0.0.1:" + std::to_string(port) + path; }
    std::uint16_t port = 0;
    std::atomic<int> requests{0};

private:
    void serve() {
        for (;;) {
            const int peer = ::accept(fd_, nullptr, nullptr);
            if (peer < 0) return;
            std::string request;
            char buffer[4096];
            std::size_t wanted = std::string::npos;
            while (request.size() < wanted) {
                const auto n = ::recv(peer, buffer, sizeof buffer, 0);
                if (n <= 0) break;
                request.append(buffer, static_cast<std::size_t>(n));
                const auto head = request.find("\r\n\r\n");
                if (head != std::string::npos && wanted == std::string::npos) {
                    const auto length = request.find("Content-Length: ");
                    wanted = head + 4 + (length == std::string::npos ? 0 : std::stoul(request.substr(length + 16)));
                }
            }
            ++requests;
            const std::string text = answer_(request);
            if (!text.empty()) ::send(peer, text.data(), text.size(), MSG_NOSIGNAL);
            if (text.empty()) ::recv(peer, buffer, sizeof buffer, 0);  // silence until the client gives up
            ::close(peer);
        }
    }
    std::function<std::string(const std::string&)> answer_;
    int fd_;
    std::thread thread_;
};

std::string plain(const std::string& body, const std::string& more = "", const std::string& status = "200 OK") {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" + body;
}

HttpClientRequest get(const std::string& url) {
    HttpClientRequest request;
    request.url = url;
    return request;
}

}  // namespace

TEST_CASE("http client: an answer comes with status, headers and body, whatever the status") {
    TinyServer server([](const std::string& request) {
        if (request.starts_with("GET /missing")) return plain("no", "", "404 Not Found");
        CHECK(request.starts_with("GET /x?y=1 HTTP/1.1\r\n"));
        CHECK(request.find("X-Token: abc\r\n") != std::string::npos);
        return plain("{\"a\":0}", "ETag: \"v1\"\r\n");
    });
    HttpClient client;
    auto request = get(server.url("/x?y=1"));
    request.headers = {{"X-Token", "abc"}};
    const auto answer = client.fetch(request);
    REQUIRE(answer.ok());
    CHECK(answer->status == 200);
    CHECK(answer->body == "{\"a\":0}");
    CHECK(answer->header("etag") == "\"v1\"");
    CHECK(client.fetch(get(server.url("/missing")))->status == 404);
}

TEST_CASE("http client: bodies go out with POST, PUT and DELETE, and headers cannot be split") {
    TinyServer server([](const std::string& request) { return plain(request); });
    HttpClient client;
    for (const char* method : {"POST", "PUT"}) {
        auto request = get(server.url());
        request.method = method;
        request.body = std::string(100'000, 'x');
        request.headers = {{"X-A", "1\r\nX-Evil: 2"}};
        const auto answer = client.fetch(request);
        REQUIRE(answer.ok());
        CHECK(answer->body.starts_with(std::string(method) + " / HTTP/1.1"));
        CHECK(answer->body.ends_with(request.body));
        CHECK(answer->body.find("\r\nX-Evil") == std::string::npos);
    }
    auto request = get(server.url("/k"));
    request.method = "DELETE";
    CHECK(client.fetch(request)->body.starts_with("DELETE /k"));
}

TEST_CASE("http client: an answer above the bound, a silent server and a closed port are errors that say so") {
    TinyServer server([](const std::string& request) { return request.starts_with("GET /silent") ? "" : plain(std::string(5000, 'x')); });
    HttpClient client;
    auto request = get(server.url());
    request.body_bytes_max = 4999;
    CHECK(client.fetch(request).error().code == "too_large");
    request.cut_body = true;
    const auto cut = client.fetch(request);
    REQUIRE(cut.ok());
    CHECK(cut->status == 200);
    CHECK(cut->body == std::string(4999, 'x'));
    request = get(server.url("/silent?secret=1"));
    request.timeout = 100ms;
    const auto silent = client.fetch(request);
    CHECK(silent.error().code == "timeout");
    CHECK(silent.error().message.find("secret") == std::string::npos);
    CHECK(client.fetch(get("http://127.0.0.1:1/")).error().code == "connect_failed");
    CHECK(client.fetch(get("file:///etc/passwd")).error().code == "bad_url");
    CHECK(client.fetch(get("http://user:pass@127.0.0.1/")).error().message.find("pass@") == std::string::npos);
}

TEST_CASE("http client: redirects are followed within bounds, never to another scheme, and tokens stay at home") {
    TinyServer other([](const std::string& request) { return plain(request.find("X-Token") == std::string::npos ? "clean" : "leaked"); });
    TinyServer server([&](const std::string& request) {
        const auto to = [](const std::string& where) { return plain("", "Location: " + where + "\r\n", "302 Found"); };
        if (request.starts_with("GET /other")) return to(other.url());
        if (request.starts_with("GET /file")) return to("file:///etc/passwd");
        if (request.starts_with("GET /loop")) return to("/loop");
        if (request.starts_with("GET /near")) return to("/end");
        return plain(request.find("X-Token") == std::string::npos ? "no token" : "token");
    });
    HttpClient client;
    const auto ask = [&](const std::string& path) {
        auto request = get(server.url(path));
        request.headers = {{"X-Token", "abc"}};
        return client.fetch(request);
    };
    CHECK(ask("/near")->body == "token");
    CHECK(ask("/other")->body == "clean");
    CHECK(ask("/file").error().code == "bad_redirect");
    CHECK(ask("/loop").error().code == "too_many_redirects");
}

TEST_CASE("http client: answers can come on a reactor's thread, and destroying the client answers what is under way") {
    TinyServer server([](const std::string& request) { return request.starts_with("GET /silent") ? "" : plain("x"); });
    SystemClock clock;
    Reactor reactor(clock);
    std::optional<Error> cancelled;
    {
        HttpClient client;
        bool here = false;
        client.start(get(server.url()), reactor, [&](Result<HttpClientResponse> answer) {
            CHECK(answer.ok());
            CHECK(reactor.in_thread());
            here = true;
        });
        while (!here) reactor.turn(1s);
        client.start(get(server.url("/silent")), [&](Result<HttpClientResponse> answer) { cancelled = answer.error(); });
        while (server.requests < 2) std::this_thread::yield();
    }
    REQUIRE(cancelled);
    CHECK(cancelled->code == "cancelled");
}

TEST_CASE("http client: Retry-After is seconds or a date") {
    const auto after = [](const char* value) {
        HttpClientResponse response;
        if (value) response.headers = {{"retry-after", value}};
        return retry_after(response, "2026-02-17T10:00:00Z"_utc);
    };
    CHECK(after("120") == 120s);
    CHECK(after("0") == 0s);
    CHECK(after("99999999999999999999") == 24h);
    CHECK(after("Tue, 17 Feb 2026 10:00:30 GMT") == 30s);
    CHECK(after("Tue, 17 Feb 2026 09:00:30 GMT") == 0s);
    CHECK(!after("soon"));
    CHECK(!after(nullptr));
}

TEST_CASE("http client: texts are encoded for a path, and urls shown without their secrets") {
    CHECK(percent_encode("a b/ü~") == "a%20b%2F%C3%BC~");
    CHECK(percent_encode("a/b", Slash::keep) == "a/b");
    CHECK(shown_url("https://u:p@host:1/p?token=1#f") == "https://host:1/p");
    CHECK(shown_url("wss://host/a@b") == "wss://host/a@b");
}

TEST_CASE("http client: a header's date (RFC 9110, 5.6.7)") {
    CHECK(http_date("1994-11-06T08:49:37Z"_utc) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(http_date("2015-06-26T23:39:12.999Z"_utc) == "Fri, 26 Jun 2015 23:39:12 GMT");
    CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == "1994-11-06T08:49:37Z"_utc);
    CHECK_FALSE(parse_http_date("yesterday").has_value());
}
