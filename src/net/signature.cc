#include "net/signature.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "base/assert.h"

namespace weir::net {
namespace {

template <auto free>
struct Free {
    template <class T>
    void operator()(T* p) const {
        free(p);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Free<&::EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<&::EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free<&::EVP_MD_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Free<&::BN_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Free<&::ECDSA_SIG_free>>;
using Input = std::unique_ptr<BIO, Free<&::BIO_free_all>>;

constexpr std::size_t kSecretBytesMin = 32, kP256Bytes = 32;
constexpr int kRsaBitsMin = 2048;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

/// What OpenSSL noted of a failure that was answered must not be found by whoever fails next.
struct ErrorQueue {
    ErrorQueue() { ::ERR_clear_error(); }
    ~ErrorQueue() { ::ERR_clear_error(); }
};

Result<SignatureAlgorithm> algorithm_of(const EVP_PKEY* key) {
    switch (::EVP_PKEY_get_base_id(key)) {
        case EVP_PKEY_RSA:
            if (::EVP_PKEY_get_bits(key) < kRsaBitsMin)
                return Error{"weak_key", "the RSA key has " + std::to_string(::EVP_PKEY_get_bits(key)) + " bits; allowed: from 2048"};
            return SignatureAlgorithm::rs256;
        case EVP_PKEY_EC: {
            char group[32] = {};
            std::size_t size = 0;
            if (::EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1 || (std::string_view(group, size) != "prime256v1" && std::string_view(group, size) != "P-256"))
                return Error{"bad_key", "the key's curve is " + std::string(group, size) + "; allowed: P-256"};
            return SignatureAlgorithm::es256;
        }
        case EVP_PKEY_ED25519: return SignatureAlgorithm::eddsa;
        default: return Error{"bad_key", "the key is none of RSA, P-256 and Ed25519"};
    }
}

int no_password(char*, int, int, void*) { return -1; }

Result<Key> from_parameters(const char* type, OSSL_PARAM_BLD* builder) {
    std::unique_ptr<OSSL_PARAM, Free<&::OSSL_PARAM_free>> parameters(::OSSL_PARAM_BLD_to_param(builder));
    KeyContext context(::EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* made = nullptr;
    if (!parameters || !context || ::EVP_PKEY_fromdata_init(context.get()) != 1 ||
        ::EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
        return Error{"bad_key", std::string("these numbers are no ") + type + " key"};
    Key key(made);
    KeyContext check(::EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
    if (!check || ::EVP_PKEY_public_check(check.get()) != 1) return Error{"bad_key", std::string("these numbers are no ") + type + " key"};
    return key;
}

/// r and s, 32 bytes each (RFC 7518, 3.4), to DER; empty if that cannot be.
std::string to_der(std::string_view raw) {
    EcdsaSignature signature(::ECDSA_SIG_new());
    BIGNUM* r = ::BN_bin2bn(bytes_of(raw), kP256Bytes, nullptr);
    BIGNUM* s = ::BN_bin2bn(bytes_of(raw) + kP256Bytes, kP256Bytes, nullptr);
    if (!signature || !r || !s || ::ECDSA_SIG_set0(signature.get(), r, s) != 1) {
        ::BN_free(r);
        ::BN_free(s);
        return {};
    }
    unsigned char* der = nullptr;
    const int size = ::i2d_ECDSA_SIG(signature.get(), &der);
    std::string text = size > 0 ? std::string(reinterpret_cast<char*>(der), static_cast<std::size_t>(size)) : std::string();
    ::OPENSSL_free(der);
    return text;
}

std::string from_der(std::string_view der) {
    const unsigned char* in = bytes_of(der);
    EcdsaSignature signature(::d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der.size())));
    std::string raw(2 * kP256Bytes, '\0');
    auto* out = reinterpret_cast<unsigned char*>(raw.data());
    if (!signature || ::BN_bn2binpad(::ECDSA_SIG_get0_r(signature.get()), out, kP256Bytes) < 0 ||
        ::BN_bn2binpad(::ECDSA_SIG_get0_s(signature.get()), out + kP256Bytes, kP256Bytes) < 0)
        return {};
    return raw;
}

std::string hmac(std::string_view secret, std::string_view message) {
    std::string out(32, '\0');
    unsigned int size = 0;
    const auto* made = ::HMAC(::EVP_sha256(), secret.data(), static_cast<int>(secret.size()), bytes_of(message), message.size(),
                              reinterpret_cast<unsigned char*>(out.data()), &size);
    WEIR_ASSERT(made && size == out.size());
    return out;
}

}  // namespace

Sha256 sha256(std::string_view bytes) {
    Sha256 digest;
    unsigned int size = 0;
    const int done = ::EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, ::EVP_sha256(), nullptr);
    WEIR_ASSERT(done == 1 && size == digest.size());
    return digest;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) { return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

Result<std::string> random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    if (::RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1)
        return Error{"no_randomness", "the system gave no random bytes"};
    return bytes;
}

struct VerifyingKey::Native {
    Key key;
    std::string secret;
    ~Native() { ::OPENSSL_cleanse(secret.data(), secret.size()); }

    static Result<VerifyingKey> of(Result<Key> key) {
        if (!key.ok()) return std::move(key).error();
        WEIR_TRY(const auto algorithm, algorithm_of(key->get()));
        auto native = std::make_shared<Native>();
        native->key = *std::move(key);
        return VerifyingKey(algorithm, std::move(native));
    }
};

Result<VerifyingKey> VerifyingKey::from_secret(std::string_view secret) {
    if (secret.size() < kSecretBytesMin) return Error{"weak_key", "the secret has " + std::to_string(secret.size()) + " bytes; allowed: from 32"};
    auto native = std::make_shared<Native>();
    native->secret = secret;
    return VerifyingKey(SignatureAlgorithm::hs256, std::move(native));
}

Result<VerifyingKey> VerifyingKey::from_pem(std::string_view pem) {
    const ErrorQueue errors;
    Input input(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    Key key(::PEM_read_bio_PUBKEY(input.get(), nullptr, &no_password, nullptr));
    if (!key) {
        Input again(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
        std::unique_ptr<X509, Free<&::X509_free>> certificate(::PEM_read_bio_X509(again.get(), nullptr, &no_password, nullptr));
        if (certificate) key.reset(::X509_get_pubkey(certificate.get()));
    }
    if (!key) return Error{"bad_key", "this is neither a PEM public key nor a certificate"};
    return Native::of(std::move(key));
}

Result<VerifyingKey> VerifyingKey::from_rsa(std::string_view modulus, std::string_view exponent) {
    const ErrorQueue errors;
    if (modulus.size() > 2048 || exponent.size() > 8) return Error{"bad_key", "these numbers are no RSA key"};
    Number n(::BN_bin2bn(bytes_of(modulus), static_cast<int>(modulus.size()), nullptr));
    Number e(::BN_bin2bn(bytes_of(exponent), static_cast<int>(exponent.size()), nullptr));
    std::unique_ptr<OSSL_PARAM_BLD, Free<&::OSSL_PARAM_BLD_free>> builder(::OSSL_PARAM_BLD_new());
    if (!builder || !n || !e || ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        ::OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
        return Error{"bad_key", "these numbers are no RSA key"};
    return Native::of(from_parameters("RSA", builder.get()));
}

Result<VerifyingKey> VerifyingKey::from_p256(std::string_view x, std::string_view y) {
    const ErrorQueue errors;
    if (x.size() != kP256Bytes || y.size() != kP256Bytes) return Error{"bad_key", "a coordinate of P-256 has 32 bytes"};
    const std::string point = '\x04' + std::string(x) + std::string(y);
    std::unique_ptr<OSSL_PARAM_BLD, Free<&::OSSL_PARAM_BLD_free>> builder(::OSSL_PARAM_BLD_new());
    if (!builder || ::OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
        ::OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
        return Error{"bad_key", "these numbers are no EC key"};
    return Native::of(from_parameters("EC", builder.get()));
}

Result<VerifyingKey> VerifyingKey::from_ed25519(std::string_view x) {
    const ErrorQueue errors;
    if (x.size() != 32) return Error{"bad_key", "an Ed25519 key has 32 bytes"};
    Key key(::EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(x), x.size()));
    if (!key) return Error{"bad_key", "these bytes are no Ed25519 key"};
    return Native::of(std::move(key));
}

bool VerifyingKey::verify(std::string_view message, std::string_view signature) const {
    const ErrorQueue errors;
    if (algorithm_ == SignatureAlgorithm::hs256) return equal_in_constant_time(hmac(native_->secret, message), signature);
    std::string der;
    if (algorithm_ == SignatureAlgorithm::es256) {
        if (signature.size() != 2 * kP256Bytes) return false;
        der = to_der(signature);
        if (der.empty()) return false;
        signature = der;
    }
    DigestContext context(::EVP_MD_CTX_new());
    const EVP_MD* digest = algorithm_ == SignatureAlgorithm::eddsa ? nullptr : ::EVP_sha256();
    return context && ::EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, native_->key.get()) == 1 &&
           ::EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message), message.size()) == 1;
}

Result<SigningKey> SigningKey::from_secret(std::string_view secret) {
    if (secret.size() < kSecretBytesMin) return Error{"weak_key", "the secret has " + std::to_string(secret.size()) + " bytes; allowed: from 32"};
    auto native = std::make_shared<VerifyingKey::Native>();
    native->secret = secret;
    return SigningKey(SignatureAlgorithm::hs256, std::move(native));
}

Result<SigningKey> SigningKey::from_pem(std::string_view pem) {
    const ErrorQueue errors;
    Input input(::BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    Key key(::PEM_read_bio_PrivateKey(input.get(), nullptr, &no_password, nullptr));
    if (!key) return Error{"bad_key", "this is no PEM private key (one with a password is not read)"};
    WEIR_TRY(const auto algorithm, algorithm_of(key.get()));
    auto native = std::make_shared<VerifyingKey::Native>();
    native->key = std::move(key);
    return SigningKey(algorithm, std::move(native));
}

Result<std::string> SigningKey::sign(std::string_view message) const {
    const ErrorQueue errors;
    if (algorithm_ == SignatureAlgorithm::hs256) return hmac(native_->secret, message);
    DigestContext context(::EVP_MD_CTX_new());
    const EVP_MD* digest = algorithm_ == SignatureAlgorithm::eddsa ? nullptr : ::EVP_sha256();
    std::size_t size = 0;
    std::string signature;
    if (!context || ::EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, native_->key.get()) != 1 ||
        ::EVP_DigestSign(context.get(), nullptr, &size, bytes_of(message), message.size()) != 1)
        return Error{"sign_failed", "OpenSSL did not sign"};
    signature.resize(size);
    if (::EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes_of(message), message.size()) != 1)
        return Error{"sign_failed", "OpenSSL did not sign"};
    signature.resize(size);
    if (algorithm_ == SignatureAlgorithm::es256) signature = from_der(signature);
    if (signature.empty()) return Error{"sign_failed", "OpenSSL did not sign"};
    return signature;
}

}  // namespace weir::net
