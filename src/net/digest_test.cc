#include <doctest/doctest.h>

#include "net/digest.h"

using namespace weir;
using namespace weir::net;

TEST_CASE("digest: the published test vectors (FIPS 180-2 appendix B, RFC 1321 A.5, RFC 4231 4.3, RFC 4648 10)") {
    CHECK(hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hex(md5("message digest")) == "f96b697d7cb7938d525a2f31aaf161d0");
    CHECK(hex(hmac_sha256("Jefe", "what do ya want for nothing?")) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    const char* encoded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (std::size_t n = 0; n <= 6; ++n) {
        CHECK(base64(std::string_view("foobar").substr(0, n)) == encoded[n]);
        CHECK(base64_decode(encoded[n]) == std::string_view("foobar").substr(0, n));
    }
}

TEST_CASE("digest: what is no base64 is refused") {
    for (const char* text : {"Zg", "Zg=", "Z===", "Zg==Zg==", " Zm9v", "Zm9v\n", "Zm-_", "=", "===="}) {
        CAPTURE(text);
        CHECK_FALSE(base64_decode(text).has_value());
    }
}
