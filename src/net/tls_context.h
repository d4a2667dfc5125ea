#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::net {

struct TlsOptions {
    std::string certificate_file;  ///< PEM: the certificate, then its chain
    std::string key_file;          ///< PEM
    bool tls12 = true;             ///< false: TLS 1.3 only
};

/// A server's certificate and key. TLS 1.2 and 1.3. `reload` reads the files again: connections made after it use the new certificate,
/// those that are there keep theirs; on an error all stays as it was.
/// Thread: any (the current certificate is swapped under a lock, taken once a connection).
class TlsServerContext {
public:
    /// Errors: `bad_certificate` with file and reason.
    static Result<std::shared_ptr<TlsServerContext>> load(const TlsOptions& options);
    ~TlsServerContext();
    Result<void> reload();

    /// For net's connections: an OpenSSL `SSL*` in accept state, owned by the caller; null when memory is out.
    struct Native;
    void* new_session() const;

private:
    explicit TlsServerContext(const TlsOptions& options);
    const TlsOptions options_;
    std::unique_ptr<Native> native_;
};

/// The oldest sentence in OpenSSL's error queue, which is emptied; for messages.
std::string tls_error_text();

}  // namespace weir::net
