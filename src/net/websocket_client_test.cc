#include "net/websocket_client.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

#include "base/clock.h"
#include "net/reactor.h"
#include "net/tls_client.h"
#include "net/websocket_deflate.h"
#include "net/websocket_handshake.h"

using namespace weir;
using namespace weir::net;

namespace {

/// The other side of one connection, blocking, on a thread of its own: it does what the script says.
class Peer {
public:
    explicit Peer(std::function<void(Peer&)> script, int connections = 1, int family = AF_INET) {
        listener_ = ::socket(family, SOCK_STREAM, 0);
        sockaddr_storage storage{};
        socklen_t size = sizeof(sockaddr_in);
        auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
        if (family == AF_INET) {
            v4->sin_family = AF_INET;
            v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        } else {
            size = sizeof(sockaddr_in6);
            v6->sin6_family = AF_INET6;
            v6->sin6_addr = in6addr_loopback;
        }
        REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&storage), size) == 0);
        REQUIRE(::listen(listener_, 8) == 0);
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&storage), &size);
        port = ntohs(family == AF_INET ? v4->sin_port : v6->sin6_port);
        thread_ = std::thread([this, script = std::move(script), connections] {
            for (int i = 0; i < connections; ++i) {
                fd_ = ::accept(listener_, nullptr, nullptr);
                if (fd_ < 0) return;
                decoder_ = WebSocketDecoder(Role::server);
                kept_.clear();
                script(*this);
                ::close(fd_);
            }
        });
    }
    ~Peer() {
        ::shutdown(listener_, SHUT_RDWR);
        ::shutdown(fd_, SHUT_RDWR);  // lets a script go that still waits for its client
        thread_.join();
        ::close(listener_);
    }
    std::string url() const { return "ws://127.0.0.1:" + std::to_string(port) + "/api?x=1"; }
    std::uint16_t port = 0;
    int fd() const { return fd_; }

    void write(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
    }
    std::string read_some() {
        char buffer[16 * 1024];
        const auto n = ::recv(fd_, buffer, sizeof buffer, 0);
        return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : "";
    }
    std::string head() {
        std::string text;
        while (text.find("\r\n\r\n") == std::string::npos) {
            const auto more = read_some();
            if (more.empty()) return text;
            text += more;
        }
        return text;
    }
    /// Answers the handshake; `extra` are further header lines. The request's head.
    std::string accept(const std::string& extra = "", const std::string& behind = "") {
        const std::string text = head();
        const auto at = text.find("Sec-WebSocket-Key: ");
        const std::string key = text.substr(at + 19, 24);
        write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + websocket_accept_key(key) + "\r\n" + extra + "\r\n" + behind);
        return text;
    }
    static std::string frame(Opcode opcode, std::string_view payload, Compressed compressed = Compressed::no) {
        std::string out;
        append_frame(out, opcode, payload, compressed);
        return out;
    }
    void text(std::string_view payload) { write(frame(Opcode::text, payload)); }
    /// The next frame or message from the client: `kind` and its payload; `more` at the end of the stream.
    std::pair<WebSocketDecoder::Kind, std::string> next() {
        for (;;) {
            std::string padded = kept_ + std::string(WebSocketDecoder::kPadding, '\0');
            std::span<char> input(padded.data(), kept_.size());
            const auto event = decoder_.next(input, {});
            const std::string data(event.data);
            kept_.assign(input.data(), input.size());
            if (event.kind != WebSocketDecoder::Kind::more) return {event.kind, event.kind == WebSocketDecoder::Kind::close ? std::to_string(int(event.code)) : data};
            const auto more = read_some();
            if (more.empty()) return {WebSocketDecoder::Kind::more, ""};
            kept_ += more;
        }
    }

private:
    int listener_ = -1;
    std::atomic<int> fd_{-1};
    std::thread thread_;
    WebSocketDecoder decoder_{Role::server};
    std::string kept_;
};

/// A client and what it reported, as text.
struct Heard {
    SystemClock clock;
    Reactor reactor{clock};
    std::string log;
    bool over = false;
    std::unique_ptr<WebSocketClient> client;

    WebSocketClient& start(WebSocketClientOptions options, std::function<void(std::string_view)> on_text = nullptr) {
        WebSocketClient::Callbacks callbacks;
        callbacks.on_open = [this](std::string_view protocol) { log += "open(" + std::string(protocol) + ")"; };
        callbacks.on_text = on_text ? on_text : [this](std::string_view text) { log += " text(" + (text.size() > 50 ? std::to_string(text.size()) + " bytes" : std::string(text)) + ")"; };
        callbacks.on_close = [this](CloseCode code, std::string_view reason) {
            log += " close(" + std::to_string(int(code)) + (reason.empty() ? "" : " " + std::string(reason)) + ")";
            over = true;
        };
        callbacks.on_error = [this](const Error& error) {
            log += "error(" + error.code + ")";
            message = error.message;
            over = true;
        };
        client = std::make_unique<WebSocketClient>(reactor, std::move(options), std::move(callbacks));
        return *client;
    }
    void until(const std::function<bool()>& condition) {
        while (!condition()) reactor.turn(1s);
    }
    void to_the_end() {
        until([&] { return over; });
    }
    std::string message;
};

WebSocketClientOptions to(const std::string& url) {
    WebSocketClientOptions options;
    options.url = url;
    return options;
}

}  // namespace

TEST_CASE("websocket client: opens with headers and subprotocol, speaks, answers pings and closes with manners") {
    std::string request, said, pong, closed;
    {
        Heard heard;
        Peer peer([&](Peer& p) {
            // The first message comes in one piece with the answer to the handshake.
            request = p.accept("Sec-WebSocket-Protocol: weir.json\r\n", Peer::frame(Opcode::text, "first"));
            said = p.next().second;
            p.write(Peer::frame(Opcode::ping, "p1"));
            const auto answer = p.next();
            if (answer.first == WebSocketDecoder::Kind::pong) pong = answer.second;
            p.text("second");
            const auto bye = p.next();
            if (bye.first == WebSocketDecoder::Kind::close) closed = bye.second;
            p.write(Peer::frame(Opcode::close, close_payload(CloseCode::normal, "bye")));
        });
        auto options = to(peer.url());
        options.headers = {{"Authorization", "Bearer t"}};
        options.subprotocols = {"weir.cbor", "weir.json"};
        auto& client = heard.start(options);
        CHECK(!client.send_text("too early"));
        heard.until([&] { return client.is_open(); });
        CHECK(client.send_text("all"));
        heard.until([&] { return heard.log.find("second") != std::string::npos; });
        client.close(CloseCode::normal, "done");
        CHECK(!client.send_text("too late"));
        heard.to_the_end();
        CHECK(heard.log == "open(weir.json) text(first) text(second) close(1000 bye)");
    }
    CHECK(request.starts_with("GET /api?x=1 HTTP/1.1\r\n"));
    CHECK(request.find("Authorization: Bearer t\r\n") != std::string::npos);
    CHECK(request.find("Sec-WebSocket-Protocol: weir.cbor, weir.json\r\n") != std::string::npos);
    CHECK(said == "all");
    CHECK(pong == "p1");
    CHECK(closed == "1000");
}

TEST_CASE("websocket client: connects from the address that it is told, or not at all") {
    std::string from;
    {
        Heard heard;
        Peer peer([&](Peer& p) {
            sockaddr_in address{};
            socklen_t size = sizeof address;
            ::getpeername(p.fd(), reinterpret_cast<sockaddr*>(&address), &size);
            char text[INET_ADDRSTRLEN] = {};
            ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
            from = text;
            p.accept("");
        });
        auto options = to(peer.url());
        options.local_address = "127.0.0.9";
        heard.start(options);
        heard.to_the_end();
    }
    CHECK(from == "127.0.0.9");
    Heard heard;
    auto options = to("ws://127.0.0.1:9/");
    options.local_address = "192.0.2.1";  // documentation's own (RFC 5737): nobody's here
    heard.start(options);
    heard.to_the_end();
    CHECK(heard.log.find("error(connect_failed") != std::string::npos);
}

TEST_CASE("websocket client: what goes wrong before the opening is an error with its kind") {
    const auto outcome = [](const std::function<void(Peer&)>& script, Duration timeout = 10s) {
        Heard heard;
        Peer peer(script);
        auto options = to(peer.url());
        options.connect_timeout = timeout;
        heard.start(options);
        heard.to_the_end();
        return heard.log + " " + heard.message;
    };
    CHECK(outcome([](Peer& p) { p.head(), p.write("HTTP/1.1 503 Service Unavailable\r\n\r\n"); }).find("error(refused)") == 0);
    CHECK(outcome([](Peer& p) { p.head(), p.write("HTTP/1.1 302 Found\r\nLocation: ws://elsewhere/\r\n\r\n"); }).find("error(refused)") == 0);
    CHECK(outcome([](Peer& p) { p.head(), p.write("HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n"); }).find("error(bad_handshake)") == 0);
    CHECK(outcome([](Peer& p) { p.head(), p.write("SSH-2.0-x\r\n\r\n"); }).find("error(bad_response)") == 0);
    CHECK(outcome([](Peer& p) { p.head(), p.write(std::string(20'000, 'x')), p.read_some(); }).find("error(bad_response)") == 0);
    CHECK(outcome([](Peer& p) { p.head(); }).find("error(connect_failed)") == 0);
    CHECK(outcome([](Peer& p) { p.head(), p.read_some(); }, 100ms).find("error(timeout)") == 0);
    for (const auto& [url, code] : {std::pair{"ws://127.0.0.1:1/", "error(connect_failed)"}, {"ftp://x/", "error(bad_url)"}, {"ws://user:secret@x/", "error(bad_url)"},
                                    {"ws://", "error(bad_url)"}, {"ws://x:99999/", "error(bad_url)"}, {"ws://a b/", "error(bad_url)"}, {"ws://no.such.host.invalid/", "error(resolve_failed)"}}) {
        Heard heard;
        heard.start(to(url));
        heard.to_the_end();
        CHECK(heard.log == code);
        CHECK(heard.message.find("secret") == std::string::npos);
    }
}

TEST_CASE("websocket client: an end after the opening is a close with a code") {
    const auto outcome = [](const std::function<void(Peer&)>& script) {
        Heard heard;
        Peer peer(script);
        auto options = to(peer.url());
        options.message_bytes_max = 1000;
        heard.start(options);
        heard.to_the_end();
        return heard.log;
    };
    CHECK(outcome([](Peer& p) { p.accept(), p.write(Peer::frame(Opcode::close, close_payload(CloseCode::going_away, "restart"))), p.next(); }) == "open() close(1001 restart)");
    CHECK(outcome([](Peer& p) { p.accept(), p.text("x"); }).starts_with("open() text(x) close(1006"));
    CHECK(outcome([](Peer& p) { p.accept(), p.text(std::string(1001, 'x')), p.next(); }).starts_with("open() close(1009"));
    CHECK(outcome([](Peer& p) { p.accept(), p.text("\xff"), p.next(); }).starts_with("open() close(1007"));
    CHECK(outcome([](Peer& p) { p.accept(), p.write("\x83\x01x"), p.next(); }).starts_with("open() close(1002"));
}

TEST_CASE("websocket client: silence is broken by a ping, and an unanswered one ends the connection") {
    std::atomic<bool> pinged{false};
    Heard heard;
    Peer peer([&](Peer& p) {
        p.accept();
        if (p.next().first == WebSocketDecoder::Kind::ping) p.write(Peer::frame(Opcode::pong, ""));
        if (p.next().first == WebSocketDecoder::Kind::ping) pinged = true;
        p.read_some();
    });
    auto options = to(peer.url());
    options.ping_interval = 30ms;
    options.ping_timeout = 60ms;
    heard.start(options);
    heard.to_the_end();
    CHECK(heard.log == "open() close(1006 no answer to a ping in 60ms)");
    CHECK(pinged);
}

TEST_CASE("websocket client: paused reading holds the sender up, and nothing is lost") {
    constexpr int count = 2000;
    const std::string filler(20'000, 'f');
    std::atomic<int> sent{0};
    Heard heard;
    Peer peer([&](Peer& p) {
        p.accept();
        for (int i = 0; i < count; ++i) {
            p.text(std::to_string(i) + " " + filler);
            sent = i + 1;
        }
        p.next();
    });
    int received = 0;
    WebSocketClient* client = nullptr;
    client = &heard.start(to(peer.url()), [&](std::string_view text) {
        CHECK(text.substr(0, text.find(' ')) == std::to_string(received));
        ++received;
        if (received % 100 == 0) client->pause_reading();
    });
    int pauses = 0;
    while (received < count) {
        heard.reactor.turn(1s);
        if (!client->paused()) continue;
        ++pauses;
        const int before = received;
        for (int i = 0; i < 3; ++i) heard.reactor.turn();
        CHECK(received == before);
        client->resume_reading();
    }
    CHECK(pauses >= count / 100 - 1);
    CHECK(received == count);
}

TEST_CASE("websocket client: compressed messages are understood") {
    Heard heard;
    Peer peer([&](Peer& p) {
        const std::string request = p.accept("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n");
        CHECK(request.find("permessage-deflate") != std::string::npos);
        Deflater deflater;
        std::string compressed;
        REQUIRE(deflater.deflate(std::string(40, 'z') + "end" + std::string(1000, 'a'), compressed));
        p.write(Peer::frame(Opcode::text, compressed, Compressed::yes));
        p.next();
    });
    std::string got;
    auto& client = heard.start(to(peer.url()), [&](std::string_view text) { got = text; });
    heard.until([&] { return !got.empty(); });
    CHECK(got == std::string(40, 'z') + "end" + std::string(1000, 'a'));
    client.close();
    heard.to_the_end();
}

TEST_CASE("websocket client: may be destroyed by any of its callbacks") {
    for (const std::string where : {"open", "text", "close"}) {
        SystemClock clock;
        Reactor reactor(clock);
        Peer peer([&](Peer& p) { p.accept("", Peer::frame(Opcode::text, "a") + Peer::frame(Opcode::text, "b") + Peer::frame(Opcode::close, "")), p.next(); });
        std::unique_ptr<WebSocketClient> client;
        int after = 0;
        WebSocketClient::Callbacks callbacks;
        const auto here = [&](const std::string& what) {
            if (!client) ++after;
            if (what == where) client.reset();
        };
        callbacks.on_open = [&](std::string_view) { here("open"); };
        callbacks.on_text = [&](std::string_view) { here("text"); };
        callbacks.on_close = [&](CloseCode, std::string_view) { here("close"); };
        callbacks.on_error = [&](const Error&) { here("error"); };
        client = std::make_unique<WebSocketClient>(reactor, to(peer.url()), std::move(callbacks));
        while (client) reactor.turn(1s);
        for (int i = 0; i < 3; ++i) reactor.turn();
        CHECK(after == 0);
    }
}

TEST_CASE("websocket client: IPv6 addresses and names are reached") {
    Heard heard;
    Peer peer([](Peer& p) { p.accept(), p.write(Peer::frame(Opcode::close, "")), p.next(); }, 1, AF_INET6);
    heard.start(to("ws://[::1]:" + std::to_string(peer.port) + "/"));
    heard.to_the_end();
    CHECK(heard.log == "open() close(1005)");
    Heard again;
    Peer other([](Peer& p) {
        CHECK(p.accept().find("\r\nHost: localhost:") != std::string::npos);
        p.write(Peer::frame(Opcode::close, ""));
        p.next();
    });
    again.start(to("ws://localhost:" + std::to_string(other.port)));
    again.to_the_end();
    CHECK(again.log == "open() close(1005)");
}

TEST_CASE("websocket url: hosts, ports and targets are taken apart and put together") {
    const auto parsed = WebSocketUrl::parse("WSS://[2001:db8::1]:9591/a/b?c=d#f");
    REQUIRE(parsed.ok());
    CHECK(parsed->secure);
    CHECK(parsed->host == "2001:db8::1");
    CHECK(parsed->port == 9591);
    CHECK(parsed->target == "/a/b?c=d");
    CHECK(parsed->authority() == "[2001:db8::1]:9591");
    CHECK(WebSocketUrl::parse("ws://h?x=1")->target == "/?x=1");
    CHECK(WebSocketUrl::parse("ws://h:80")->authority() == "h");
    CHECK(WebSocketUrl::parse("wss://h")->port == 443);
}

namespace {

/// A self-signed certificate for `name`, made on the spot; its file is its own authority.
struct Certificate {
    EVP_PKEY* key = nullptr;
    X509* certificate = nullptr;
    std::string file;
    explicit Certificate(const char* names) {
        key = ::EVP_EC_gen("P-256");
        certificate = ::X509_new();
        ::X509_set_version(certificate, 2);
        ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), 1);
        ::X509_gmtime_adj(::X509_getm_notBefore(certificate), -3600);
        ::X509_gmtime_adj(::X509_getm_notAfter(certificate), 3600);
        ::X509_set_pubkey(certificate, key);
        X509_NAME* name = ::X509_get_subject_name(certificate);
        ::X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("weir test"), -1, -1, 0);
        ::X509_set_issuer_name(certificate, name);
        for (const auto& [nid, value] : {std::pair{NID_subject_alt_name, names}, {NID_basic_constraints, "critical,CA:TRUE"}}) {
            X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
            ::X509_add_ext(certificate, extension, -1);
            ::X509_EXTENSION_free(extension);
        }
        ::X509_sign(certificate, key, ::EVP_sha256());
        char path[] = "/tmp/weir-test-ca-XXXXXX";
        const int fd = ::mkstemp(path);
        file = path;
        FILE* out = ::fdopen(fd, "w");
        ::PEM_write_X509(out, certificate);
        ::fclose(out);
    }
    ~Certificate() {
        ::unlink(file.c_str());
        ::X509_free(certificate);
        ::EVP_PKEY_free(key);
    }
};

}  // namespace

TEST_CASE("websocket client: TLS checks the certificate and its names, and carries the conversation (S2-21)") {
    Certificate certificate("DNS:localhost,IP:127.0.0.1");
    SSL_CTX* context = ::SSL_CTX_new(::TLS_server_method());
    ::SSL_CTX_use_certificate(context, certificate.certificate);
    ::SSL_CTX_use_PrivateKey(context, certificate.key);
    std::string server_name;
    const auto script = [&](Peer& p) {
        SSL* ssl = ::SSL_new(context);
        ::SSL_set_fd(ssl, p.fd());
        if (::SSL_accept(ssl) == 1) {
            if (const char* name = ::SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) server_name = name;
            std::string head;
            char buffer[4096];
            for (int n; head.find("\r\n\r\n") == std::string::npos && (n = ::SSL_read(ssl, buffer, sizeof buffer)) > 0;) head.append(buffer, static_cast<std::size_t>(n));
            const auto key = head.substr(head.find("Sec-WebSocket-Key: ") + 19, 24);
            std::string answer = "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + websocket_accept_key(key) + "\r\n\r\n";
            answer += Peer::frame(Opcode::text, "secret") + Peer::frame(Opcode::text, std::string(100'000, 'x')) + Peer::frame(Opcode::close, close_payload(CloseCode::normal, ""));
            ::SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
            ::SSL_read(ssl, buffer, sizeof buffer);
            ::SSL_shutdown(ssl);
        }
        ::SSL_free(ssl);
    };
    const auto outcome = [&](const std::string& host, bool trust, bool verify = true) {
        Heard heard;
        Peer peer(script);
        auto options = to("wss://" + host + ":" + std::to_string(peer.port) + "/");
        if (trust) options.tls_ca_file = certificate.file;
        options.tls_verify = verify;
        heard.start(options);
        heard.to_the_end();
        return heard.log;
    };
    CHECK(outcome("localhost", true) == "open() text(secret) text(100000 bytes) close(1000)");
    CHECK(server_name == "localhost");
    CHECK(outcome("127.0.0.1", true) == "open() text(secret) text(100000 bytes) close(1000)");
    CHECK(outcome("127.0.0.1", false) == "error(tls_failed)");
    CHECK(outcome("127.0.0.1", false, false) == "open() text(secret) text(100000 bytes) close(1000)");
    Certificate elsewhere("DNS:elsewhere.example");
    ::SSL_CTX_use_certificate(context, elsewhere.certificate);
    ::SSL_CTX_use_PrivateKey(context, elsewhere.key);
    {
        Heard heard;
        Peer peer(script);
        auto options = to("wss://localhost:" + std::to_string(peer.port) + "/");
        options.tls_ca_file = elsewhere.file;
        heard.start(options);
        heard.to_the_end();
        CHECK(heard.log == "error(tls_failed)");
        CHECK(heard.message.find("hostname mismatch") != std::string::npos);
    }
    ::SSL_CTX_free(context);
}
