#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::net {

/// Digests, random bytes and signatures, on OpenSSL's EVP: what tokens are checked with. Knows neither JSON nor tokens.

using Sha256 = std::array<std::uint8_t, 32>;
/// FIPS 180-4. Thread: any. Cost: some 2 ns a byte.
Sha256 sha256(std::string_view bytes);
/// Takes as long for texts that differ early as for those that do not; that their lengths differ may show.
bool equal_in_constant_time(std::string_view a, std::string_view b);
/// From the system's generator, for secrets. Error: `no_randomness`; never weaker bytes instead.
Result<std::string> random_bytes(std::size_t count);

/// Signatures by their names in RFC 7518, 3.1 and RFC 8037, 3.1.
enum class SignatureAlgorithm : std::uint8_t { hs256, rs256, es256, eddsa };

/// A key that signatures are checked with. It belongs to one algorithm, so that no signature of another kind can be taken for one of it
/// (RFC 8725, 3.1: an RSA key is never the secret of an HMAC). Immutable; copies share it. Thread: any.
class VerifyingKey {
public:
    /// HS256. Error `weak_key` under 32 bytes (RFC 7518, 3.2).
    static Result<VerifyingKey> from_secret(std::string_view secret);
    /// The first public key or certificate of a PEM text: RSA from 2048 bits (RS256), P-256 (ES256), Ed25519 (EdDSA).
    /// Errors: `bad_key`, `weak_key`.
    static Result<VerifyingKey> from_pem(std::string_view pem);
    /// Numbers as big-endian bytes. Errors as above, also for a point that is not on its curve.
    static Result<VerifyingKey> from_rsa(std::string_view modulus, std::string_view exponent);
    static Result<VerifyingKey> from_p256(std::string_view x, std::string_view y);
    static Result<VerifyingKey> from_ed25519(std::string_view x);

    SignatureAlgorithm algorithm() const { return algorithm_; }
    /// `signature` as JWS carries it: for ES256 the two numbers of 32 bytes one behind the other. False for anything that is not right.
    bool verify(std::string_view message, std::string_view signature) const;

    struct Native;

private:
    VerifyingKey(SignatureAlgorithm algorithm, std::shared_ptr<const Native> native) : algorithm_(algorithm), native_(std::move(native)) {}
    friend struct Native;
    SignatureAlgorithm algorithm_;
    std::shared_ptr<const Native> native_;
};

/// A key that signs: for `weir token`, and for what weir itself hands out. Thread: any.
class SigningKey {
public:
    /// Errors as VerifyingKey's. `from_pem` takes a private key without a password.
    static Result<SigningKey> from_secret(std::string_view secret);
    static Result<SigningKey> from_pem(std::string_view pem);

    SignatureAlgorithm algorithm() const { return algorithm_; }
    /// Error: `sign_failed`.
    Result<std::string> sign(std::string_view message) const;

private:
    SigningKey(SignatureAlgorithm algorithm, std::shared_ptr<const VerifyingKey::Native> native) : algorithm_(algorithm), native_(std::move(native)) {}
    SignatureAlgorithm algorithm_;
    std::shared_ptr<const VerifyingKey::Native> native_;
};

}  // namespace weir::net
