#include "net/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <map>
#include <mutex>

#include "net/socket_address.h"
#include "net/tls_context.h"

namespace weir::net {
namespace {

struct ContextFree {
    void operator()(SSL_CTX* context) const { ::SSL_CTX_free(context); }
};
using Context = std::shared_ptr<SSL_CTX>;

Result<Context> make_context(const TlsClientOptions& options) {
    ::ERR_clear_error();
    Context context(::SSL_CTX_new(::TLS_client_method()), ContextFree());
    if (!context) return Error{"tls_failed", "TLS cannot be set up: " + tls_error_text()};
    ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    ::SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
    ::SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (options.verify) {
        ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
        if (options.ca_file.empty()) {
            ::SSL_CTX_set_default_verify_paths(context.get());
        } else if (::SSL_CTX_load_verify_locations(context.get(), options.ca_file.c_str(), nullptr) != 1) {
            return Error{"bad_certificate", options.ca_file + " holds no PEM certificates: " + tls_error_text()};
        }
    }
    return context;
}

/// Contexts are kept: reading the system's authorities takes tens of milliseconds, and a feed reconnects often.
Result<Context> context_for(const TlsClientOptions& options) {
    static std::mutex mutex;
    static std::map<std::pair<bool, std::string>, Context> contexts;
    if (!options.ca_file.empty()) return make_context(options);  // the file may have been renewed
    std::lock_guard lock(mutex);
    auto& kept = contexts[{options.verify, options.ca_file}];
    if (!kept) {
        WEIR_TRY(kept, make_context(options));
    }
    return kept;
}

}  // namespace

struct TlsClient::State {
    Context context;
    SSL* ssl = nullptr;
    BIO* in = nullptr;   // both owned by `ssl`
    BIO* out = nullptr;
    std::string host, output, waiting;
    bool ready = false, ended = false;

    ~State() { ::SSL_free(ssl); }

    void take_output() {
        char buffer[16 * 1024];
        for (int n; (n = ::BIO_read(out, buffer, sizeof buffer)) > 0;) output.append(buffer, static_cast<std::size_t>(n));
    }

    Error failure(int code) {
        take_output();  // the alert that tells the peer
        if (const long verified = ::SSL_get_verify_result(ssl); verified != X509_V_OK)
            return {"tls_failed", "the certificate of " + host + " is not accepted: " + ::X509_verify_cert_error_string(verified)};
        if (code == SSL_ERROR_SYSCALL) return {"tls_failed", "TLS with " + host + " ended in the middle"};
        return {"tls_failed", "TLS with " + host + " failed: " + tls_error_text()};
    }

    Result<void> handshake() {
        if (ready) return ok();
        ::ERR_clear_error();
        const int done = ::SSL_do_handshake(ssl);
        take_output();
        if (done != 1) {
            const int code = ::SSL_get_error(ssl, done);
            return code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE ? ok() : Result<void>(failure(code));
        }
        ready = true;
        if (waiting.empty()) return ok();
        const std::string text = std::move(waiting);
        return write(text);
    }

    Result<void> write(std::string_view text) {
        while (!text.empty()) {
            ::ERR_clear_error();
            const int n = ::SSL_write(ssl, text.data(), static_cast<int>(std::min<std::size_t>(text.size(), 1 << 20)));
            if (n <= 0) return failure(::SSL_get_error(ssl, n));
            text.remove_prefix(static_cast<std::size_t>(n));
        }
        take_output();
        return ok();
    }
};

TlsClient::TlsClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsClient::TlsClient(TlsClient&&) noexcept = default;
TlsClient& TlsClient::operator=(TlsClient&&) noexcept = default;
TlsClient::~TlsClient() = default;

Result<TlsClient> TlsClient::make(const TlsClientOptions& options, std::string_view host) {
    auto state = std::make_unique<State>();
    State& s = *state;
    WEIR_TRY(s.context, context_for(options));
    s.host = host;
    s.ssl = ::SSL_new(s.context.get());
    s.in = ::BIO_new(::BIO_s_mem());
    s.out = ::BIO_new(::BIO_s_mem());
    if (!s.ssl || !s.in || !s.out) return Error{"tls_failed", "TLS cannot be set up: " + tls_error_text()};
    ::BIO_set_mem_eof_return(s.in, -1);
    ::SSL_set_bio(s.ssl, s.in, s.out);
    ::SSL_set_connect_state(s.ssl);
    const bool is_address = IpAddress::parse(s.host).known;
    if (!is_address) ::SSL_set_tlsext_host_name(s.ssl, s.host.c_str());
    if (options.verify) {
        const int set = is_address ? ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(s.ssl), s.host.c_str()) : ::SSL_set1_host(s.ssl, s.host.c_str());
        if (set != 1) return Error{"tls_failed", "\"" + s.host + "\" is no name that a certificate can be checked for"};
        ::SSL_set_hostflags(s.ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    }
    WEIR_CHECK_OK(s.handshake());
    return TlsClient(std::move(state));
}

Result<void> TlsClient::receive(std::string_view ciphertext, std::string& plaintext) {
    State& s = *state_;
    while (!ciphertext.empty()) {
        const int n = ::BIO_write(s.in, ciphertext.data(), static_cast<int>(std::min<std::size_t>(ciphertext.size(), 1 << 20)));
        if (n <= 0) return Error{"tls_failed", "TLS with " + s.host + " has no memory"};
        ciphertext.remove_prefix(static_cast<std::size_t>(n));
    }
    WEIR_CHECK_OK(s.handshake());
    if (!s.ready) return ok();
    char buffer[16 * 1024];
    for (;;) {
        ::ERR_clear_error();
        const int n = ::SSL_read(s.ssl, buffer, sizeof buffer);
        if (n > 0) {
            plaintext.append(buffer, static_cast<std::size_t>(n));
            continue;
        }
        s.take_output();  // answers to key updates
        switch (const int code = ::SSL_get_error(s.ssl, n)) {
            case SSL_ERROR_WANT_READ:
            case SSL_ERROR_WANT_WRITE: return ok();
            case SSL_ERROR_ZERO_RETURN: s.ended = true; return ok();
            default: return s.failure(code);
        }
    }
}

Result<void> TlsClient::send(std::string_view plaintext) {
    if (!state_->ready) {
        state_->waiting += plaintext;
        return ok();
    }
    return state_->write(plaintext);
}

void TlsClient::shutdown() {
    if (!state_->ready) return;
    ::ERR_clear_error();
    ::SSL_shutdown(state_->ssl);
    state_->take_output();
}

bool TlsClient::ready() const { return state_->ready; }
bool TlsClient::ended() const { return state_->ended; }
std::string& TlsClient::output() { return state_->output; }

}  // namespace weir::net
