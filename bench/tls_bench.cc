// Idle memory of a TLS session: weir's, upgraded to WebSocket, beside a bare OpenSSL session behind the least server that can hold one.
//
//     tls_bench [--connections 3000] [--rounds 3]
//
// Each server is a child process; both use TLS 1.3 with the same settings (released buffers, no tickets, no session cache) and one P-256 certificate made
// here. `bare` accepts, shakes hands and keeps the SSL object: what weir takes above it is its connection, its session and its part of the heap.
// Figures: resident bytes of the server a connection, from /proc, median over the rounds.
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>

#include <cstdio>

#include "net/http_server.h"
#include "net/tls_context.h"
#include "server_process.h"

using namespace weir;
using namespace weir::net;
using namespace weir::bench;

namespace {

/// A certificate of 127.0.0.1 and its key in two files that go with it.
struct Certificate {
    std::string certificate = "/tmp/weir-tls-bench-certificate.pem", key = "/tmp/weir-tls-bench-key.pem";
    Certificate() {
        EVP_PKEY* pair = ::EVP_EC_gen("P-256");
        X509* x509 = ::X509_new();
        ::X509_set_version(x509, 2);
        ::ASN1_INTEGER_set(::X509_get_serialNumber(x509), 1);
        ::X509_gmtime_adj(::X509_getm_notBefore(x509), -3600);
        ::X509_gmtime_adj(::X509_getm_notAfter(x509), 86'400);
        ::X509_set_pubkey(x509, pair);
        ::X509_NAME_add_entry_by_txt(::X509_get_subject_name(x509), "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("127.0.0.1"), -1, -1, 0);
        ::X509_set_issuer_name(x509, ::X509_get_subject_name(x509));
        ::X509_sign(x509, pair, ::EVP_sha256());
        FILE* file = std::fopen(certificate.c_str(), "w");
        ::PEM_write_X509(file, x509);
        std::fclose(file);
        file = std::fopen(key.c_str(), "w");
        ::PEM_write_PrivateKey(file, pair, nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(file);
        ::X509_free(x509);
        ::EVP_PKEY_free(pair);
    }
    ~Certificate() {
        ::unlink(certificate.c_str());
        ::unlink(key.c_str());
    }
};
const Certificate* certificate = nullptr;

void serve_weir(int ready) {
    struct Quiet final : HttpHandler, ConnectionHandler {
        void on_request(HttpExchange& exchange) override { exchange.accept_websocket({.handler = *this}); }
        void on_message(Connection&, MessageKind, std::string_view) override {}
        void on_closed(Connection&, const Closed&) override {}
    } quiet;
    SystemClock clock;
    Reactor reactor(clock);
    ServerOptions options;
    options.connections_max = 19'900;
    auto tls = TlsServerContext::load({.certificate_file = certificate->certificate, .key_file = certificate->key});
    if (!tls.ok()) return;
    HttpServer server(reactor, options, quiet, *tls);
    tell_port(ready, server.listen({.host = "127.0.0.1", .port = 0, .unix_path = {}}, {})->port);
    reactor.run();
}

void serve_bare(int ready) {
    SSL_CTX* context = ::SSL_CTX_new(::TLS_server_method());
    ::SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    ::SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    ::SSL_CTX_set_num_tickets(context, 0);
    ::SSL_CTX_use_certificate_chain_file(context, certificate->certificate.c_str());
    ::SSL_CTX_use_PrivateKey_file(context, certificate->key.c_str(), SSL_FILETYPE_PEM);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    ::bind(listener, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener, 1024);
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    tell_port(ready, ntohs(address.sin_port));
    static char buffer[4096];
    for (;;) {  // one client after the other: each says one byte and hears one, and stays
        const int fd = ::accept(listener, nullptr, nullptr);
        SSL* ssl = ::SSL_new(context);
        ::SSL_set_fd(ssl, fd);
        if (::SSL_accept(ssl) == 1 && ::SSL_read(ssl, buffer, sizeof buffer) > 0) ::SSL_write(ssl, "+", 1);
    }
}

double measure(void (*serve)(int), bool upgrade, int connections) {
    Server server(serve);
    SSL_CTX* context = ::SSL_CTX_new(::TLS_client_method());
    std::vector<SSL*> clients;
    const auto connect = [&] {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(server.port);
        const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        SSL* ssl = ::SSL_new(context);
        ::SSL_set_fd(ssl, fd);
        clients.push_back(ssl);
        if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::SSL_connect(ssl) != 1) return false;
        const std::string say = upgrade ? std::string(kHandshake) + "\r\n" : "+";
        char heard[4096];
        return ::SSL_write(ssl, say.data(), static_cast<int>(say.size())) > 0 && ::SSL_read(ssl, heard, sizeof heard) > 0;
    };
    bool good = true;
    for (int i = 0; good && i < 50; ++i) good = connect();
    ::usleep(200'000);
    const double before = server.resident_bytes();
    for (int i = 0; good && i < connections; ++i) good = connect();
    ::usleep(200'000);
    const double grown = server.resident_bytes() - before;
    for (SSL* ssl : clients) {
        ::close(::SSL_get_fd(ssl));
        ::SSL_free(ssl);
    }
    ::SSL_CTX_free(context);
    return good ? grown / connections : 0;
}

/// In a process of its own: what the clients of an earlier round leave free in the heap would be the next server's to begin with.
double bytes_a_connection(void (*serve)(int), bool upgrade, int connections) {
    int pipe[2];
    [[maybe_unused]] const int piped = ::pipe(pipe);
    const pid_t pid = ::fork();
    if (pid == 0) {
        const double bytes = measure(serve, upgrade, connections);
        [[maybe_unused]] const auto n = ::write(pipe[1], &bytes, sizeof bytes);
        ::_exit(0);
    }
    double bytes = 0;
    ::close(pipe[1]);
    [[maybe_unused]] const auto n = ::read(pipe[0], &bytes, sizeof bytes);
    ::close(pipe[0]);
    ::waitpid(pid, nullptr, 0);
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    int connections = 3000, rounds = 3;
    for (int i = 1; i + 1 < argc; i += 2) (std::string_view(argv[i]) == "--connections" ? connections : rounds) = std::atoi(argv[i + 1]);
    ::signal(SIGPIPE, SIG_IGN);
    const Certificate made;
    certificate = &made;
    std::vector<double> weir, bare, ratio;
    for (int round = 0; round < rounds; ++round) {
        weir.push_back(bytes_a_connection(serve_weir, true, connections));
        bare.push_back(bytes_a_connection(serve_bare, false, connections));
        if (weir.back() == 0 || bare.back() == 0) return std::fprintf(stderr, "tls_bench: a connection failed\n"), 1;
        ratio.push_back(weir.back() / bare.back());
    }
    std::printf("tls: %d idle connections, %d rounds\n  weir  %7.0f bytes each\n  bare  %7.0f bytes each\n  weir/bare %.3f (%.3f to %.3f)\n", connections, rounds, median(weir),
                median(bare), median(ratio), *std::min_element(ratio.begin(), ratio.end()), *std::max_element(ratio.begin(), ratio.end()));
    return 0;
}
