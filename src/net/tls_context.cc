#include "net/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <mutex>

namespace weir::net {

struct TlsServerContext::Native {
    mutable std::mutex mutex;
    SSL_CTX* context = nullptr;
    ~Native() { ::SSL_CTX_free(context); }
};

std::string tls_error_text() {
    char text[256] = "unknown error";
    if (const unsigned long code = ::ERR_get_error()) ::ERR_error_string_n(code, text, sizeof text);
    ::ERR_clear_error();
    return text;
}

namespace {

Result<SSL_CTX*> make_context(const TlsOptions& options) {
    ::ERR_clear_error();
    std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context(::SSL_CTX_new(::TLS_server_method()), &::SSL_CTX_free);
    if (!context) return Error{"bad_certificate", "TLS cannot be set up: " + tls_error_text()};
    ::SSL_CTX_set_min_proto_version(context.get(), options.tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
    // TLS 1.2: forward secrecy and authenticated encryption only. The suites of 1.3 are all of that kind.
    ::SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL");
    ::SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                             SSL_OP_PRIORITIZE_CHACHA);
    ::SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // No session cache and no tickets: nothing kept per client, and 1.3 sends two records less.
    ::SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    ::SSL_CTX_set_num_tickets(context.get(), 0);
    ::SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
    ::SSL_CTX_set_alpn_select_cb(
        context.get(),
        [](SSL*, const unsigned char** out, unsigned char* out_bytes, const unsigned char* in, unsigned int in_bytes, void*) {
            static constexpr unsigned char kHttp11[] = "\x08http/1.1";
            return ::SSL_select_next_proto(const_cast<unsigned char**>(out), out_bytes, kHttp11, sizeof kHttp11 - 1, in, in_bytes) ==
                           OPENSSL_NPN_NEGOTIATED
                       ? SSL_TLSEXT_ERR_OK
                       : SSL_TLSEXT_ERR_NOACK;
        },
        nullptr);
    if (::SSL_CTX_use_certificate_chain_file(context.get(), options.certificate_file.c_str()) != 1)
        return Error{"bad_certificate", options.certificate_file + " is not a PEM certificate: " + tls_error_text()};
    if (::SSL_CTX_use_PrivateKey_file(context.get(), options.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
        return Error{"bad_certificate", options.key_file + " is not a PEM private key: " + tls_error_text()};
    if (::SSL_CTX_check_private_key(context.get()) != 1)
        return Error{"bad_certificate", options.key_file + " is not the key of " + options.certificate_file + ": " + tls_error_text()};
    return context.release();
}

}  // namespace

TlsServerContext::TlsServerContext(const TlsOptions& options) : options_(options), native_(std::make_unique<Native>()) {}
TlsServerContext::~TlsServerContext() = default;

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::load(const TlsOptions& options) {
    std::shared_ptr<TlsServerContext> context(new TlsServerContext(options));
    WEIR_CHECK_OK(context->reload());
    return context;
}

Result<void> TlsServerContext::reload() {
    WEIR_TRY(SSL_CTX* fresh, make_context(options_));
    {
        std::lock_guard lock(native_->mutex);
        std::swap(native_->context, fresh);
    }
    ::SSL_CTX_free(fresh);  // sessions that are there hold a reference of their own
    return ok();
}

void* TlsServerContext::new_session() const {
    std::lock_guard lock(native_->mutex);
    SSL* session = ::SSL_new(native_->context);
    if (session) ::SSL_set_accept_state(session);
    return session;
}

}  // namespace weir::net
