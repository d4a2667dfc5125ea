#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::net {

struct TlsClientOptions {
    bool verify = true;   ///< false: whoever answers is believed
    std::string ca_file;  ///< PEM; empty: the system's authorities
};

/// The client's side of one TLS connection, without a socket: ciphertext in, plaintext out and the reverse. TLS 1.2 and 1.3, the
/// host's name or address checked against the certificate, SNI for names.
///
///     receive(bytes from the socket, plaintext)     send(plaintext)     then write `output` to the socket and clear what was taken
///
/// Errors: `tls_failed`; the message says what the certificate lacks where that is the reason. After an error nothing more is possible.
/// Thread: one owner. Cost: about 20 KiB a connection while it is active.
class TlsClient {
public:
    /// Begins: the first bytes of the handshake are in `output`. Error also `bad_certificate` for a `ca_file` that cannot be read.
    static Result<TlsClient> make(const TlsClientOptions& options, std::string_view host);
    TlsClient(TlsClient&&) noexcept;
    TlsClient& operator=(TlsClient&&) noexcept;
    ~TlsClient();

    /// Appends what could be decrypted to `plaintext`.
    Result<void> receive(std::string_view ciphertext, std::string& plaintext);
    /// Before the handshake is done the plaintext is kept and sent behind it.
    Result<void> send(std::string_view plaintext);
    /// Says goodbye (close_notify).
    void shutdown();

    bool ready() const;  ///< the handshake is done
    bool ended() const;  ///< the peer said goodbye
    std::string& output();

private:
    struct State;
    explicit TlsClient(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace weir::net
