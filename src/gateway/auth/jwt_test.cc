#include "gateway/auth/jwt.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "base/prng.h"
#include "gateway/auth/base64url.h"

using namespace weir;
using net::SignatureAlgorithm;

namespace {

// RFC 7515, appendix A.1 to A.3; RFC 8037, appendix A.
const std::string claims_of_a = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const std::string a1 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + claims_of_a + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const std::string a1_key = R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})";
const std::string a2 = "eyJhbGciOiJSUzI1NiJ9." + claims_of_a +
                       ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
                       "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6Lbg"
                       "GY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const std::string a2_key =
    R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"})";
const std::string a3 =
    "eyJhbGciOiJFUzI1NiJ9." + claims_of_a + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const std::string a3_key = R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
const std::string ed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
const std::string ed_key = R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})";

std::vector<TrustedKey> keys(const std::string& list, Symmetric symmetric = Symmetric::take) { return *parse_jwk_set("{\"keys\":[" + list + "]}", symmetric); }

std::string verified(const std::string& token, const std::vector<TrustedKey>& with) {
    const auto jws = Jws::parse(token);
    if (!jws.ok()) return jws.error().code;
    const auto result = verify_jws(*jws, with);
    return result.ok() ? "right" : result.error().code;
}

const net::SigningKey& hmac_key() {
    static const auto key = *net::SigningKey::from_secret("an HMAC secret of 32 bytes or more");
    return key;
}
std::vector<TrustedKey> hmac_keys() { return {{.id = {}, .key = *net::VerifyingKey::from_secret("an HMAC secret of 32 bytes or more")}}; }

Timestamp at(std::int64_t seconds) { return Timestamp::from_seconds(seconds); }

std::string claims_error(const std::string& claims, const JwtRules& rules, std::int64_t now) {
    const auto checked = check_claims(claims, rules, at(now));
    return checked.ok() ? "" : checked.error().code;
}

}  // namespace

TEST_CASE("jwt: the signatures of RFC 7515 appendix A.1 to A.3 and of RFC 8037 appendix A.4 are right, under their own keys only (S3-28)") {
    const std::pair<std::string, std::string> all[] = {{a1, a1_key}, {a2, a2_key}, {a3, a3_key}, {ed, ed_key}};
    for (const auto& [token, key] : all) {
        CHECK(verified(token, keys(key)) == "right");
        CHECK(verified(token, keys(a1_key + ',' + a2_key + ',' + a3_key + ',' + ed_key)) == "right");
        for (const auto& [other_token, other_key] : all)
            if (other_key != key) CHECK(verified(token, keys(other_key)) == "unknown_key");
    }
    const auto claims = check_claims(Jws::parse(a1)->payload, {}, at(1300819379));
    REQUIRE(claims.ok());
    CHECK(claims->issuer == "joe");
    CHECK(claims->all.find("http://example.com/is_root")->as_boolean());
    CHECK(claims_error(Jws::parse(a1)->payload, {}, 1300819380) == "expired");
}

TEST_CASE("jwt: no changed byte of a token is ever taken for right (every position, and random changes)") {
    Prng chance(7515);
    const auto all = keys(a1_key + ',' + a2_key + ',' + a3_key + ',' + ed_key);
    for (const std::string& token : {a1, a2, a3, ed}) {
        for (std::size_t i = 0; i < token.size(); ++i) {
            std::string changed = token;
            changed[i] = changed[i] == 'A' ? 'B' : 'A';
            CHECK(verified(changed, all) != "right");
        }
        for (int n = 0; n < (std::getenv("WEIR_NIGHTLY") ? 20'000 : 500); ++n) {
            std::string changed = token;
            for (std::uint64_t changes = 1 + chance.next() % 3; changes-- > 0;) {
                const std::size_t i = chance.next() % changed.size();
                switch (chance.next() % 3) {
                    case 0: changed[i] = static_cast<char>(chance.next()); break;
                    case 1: changed.erase(i, 1); break;
                    default: changed.insert(i, 1, static_cast<char>('0' + chance.next() % 75)); break;
                }
            }
            if (changed == token) continue;
            CAPTURE(changed);
            CHECK(verified(changed, all) != "right");
        }
    }
}

TEST_CASE("jwt: `none`, unknown algorithms, extensions and crooked spellings are refused before any key is asked (RFC 8725)") {
    auto with_header = [](std::string_view header) { return base64url_encode(header) + '.' + claims_of_a + '.' + base64url_encode("signature"); };
    for (const char* header : {R"({"alg":"none"})", R"({"alg":"None"})", R"({"alg":"HS512"})", R"({"alg":"PS256"})", R"({"alg":256})", R"({})", R"({"alg":"hs256"})"})
        CHECK(Jws::parse(with_header(header)).error().code == "algorithm");
    CHECK(Jws::parse(base64url_encode(R"({"alg":"none"})") + '.' + claims_of_a + '.').error().code == "algorithm");
    CHECK(Jws::parse(with_header(R"({"alg":"HS256","crit":["exp"],"exp":1})")).error().code == "critical");
    CHECK(Jws::parse(with_header(R"({"alg":"HS256","alg":"none"})")).error().code == "algorithm");
    CHECK(Jws::parse(with_header(R"({"alg":"HS256","kid":7})")).error().code == "malformed");
    for (const std::string& crooked : {a1 + "=", a1 + ".", a1.substr(0, a1.rfind('.')), std::string(), std::string("..", 2), std::string(40'000, 'a')})
        CHECK(!Jws::parse(crooked).ok());
    CHECK(base64url_decode("QQ") == "A");
    for (const char* text : {"QR", "QQ==", "Q", "Q Q", "QQ+_", "QQ/_"}) CHECK(!base64url_decode(text));  // one spelling a text
    for (int size = 0; size < 70; ++size) {
        std::string bytes;
        for (int i = 0; i < size; ++i) bytes += static_cast<char>(i * 37 + size);
        CHECK(base64url_decode(base64url_encode(bytes)) == bytes);
    }
}

TEST_CASE("jwt: a public key is never the secret of an HMAC (algorithm confusion)") {
    // The attack: HS256 over the RSA key's published text, for a server that lets the token choose.
    const auto rsa = keys(a2_key);
    const auto forged_with = net::SigningKey::from_secret(a2_key);
    REQUIRE(forged_with.ok());
    const auto forged = sign_jwt(*forged_with, *Json::parse(R"({"exp":4000000000,"weir":{"administer":true}})"), {});
    CHECK(verified(*forged, rsa) == "unknown_key");
}

TEST_CASE("jwt: the key's name chooses among keys, and an unknown one is told apart, so that new keys are fetched") {
    const auto one = *net::SigningKey::from_secret("the first secret, of 32 bytes at least"), two = *net::SigningKey::from_secret("the second secret, of 32 bytes too...");
    const std::string set = R"({"kty":"oct","kid":"1","k":")" + base64url_encode("the first secret, of 32 bytes at least") + R"("},{"kty":"oct","kid":"2","k":")" +
                            base64url_encode("the second secret, of 32 bytes too...") + "\"}";
    const Json claims = *Json::parse(R"({"exp":4000000000})");
    CHECK(verified(*sign_jwt(one, claims, "1"), keys(set)) == "right");
    CHECK(verified(*sign_jwt(two, claims, "2"), keys(set)) == "right");
    CHECK(verified(*sign_jwt(one, claims, "2"), keys(set)) == "signature");
    CHECK(verified(*sign_jwt(one, claims, "3"), keys(set)) == "unknown_key");
    CHECK(verified(*sign_jwt(two, claims, {}), keys(set)) == "right");
    CHECK(verified(*sign_jwt(hmac_key(), claims, "any"), hmac_keys()) == "right");  // a key without a name is asked for any
}

TEST_CASE("jwt: of a key set, what is for another use, unknown or damaged is left out (RFC 7517, 5; appendix A.1)") {
    const std::string set =
        R"({"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"},)"
        R"({"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"})";
    const auto found = keys(set);
    REQUIRE(found.size() == 1);
    CHECK(found[0].id == "2011-04-29");
    CHECK(found[0].key.algorithm() == SignatureAlgorithm::rs256);
    for (const char* damaged : {R"({"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"})",  // not on the curve
                                R"({"kty":"RSA","n":"AQAB","e":"AQAB"})", R"({"kty":"oct","k":"c2hvcnQ"})", R"({"kty":"EC","crv":"P-521","x":"AA","y":"AA"})", R"({"kty":7})", R"("text")",
                                R"({"kty":"OKP","crv":"Ed25519","x":"AA"})"})
        CHECK(keys(damaged).empty());
    CHECK(keys(a1_key, Symmetric::refuse).empty());
    CHECK(keys(R"({"kty":"RSA","alg":"PS256",)" + a2_key.substr(13)).empty());
    CHECK(!parse_jwk_set("[]", Symmetric::take).ok());
    CHECK(!parse_jwk_set("<html>", Symmetric::take).ok());
}

TEST_CASE("jwt: times, issuer and audience decide, with leeway for clocks that differ (RFC 7519, 4.1)") {
    const JwtRules strict{.issuers = {"https://issuer.example/"}, .audiences = {"weir", "wall"}, .leeway = Duration(30'000'000)};
    const std::string good = R"("exp":1000,"iss":"https://issuer.example/","aud":"weir")";
    CHECK(claims_error("{" + good + "}", strict, 0) == "");
    CHECK(claims_error("{" + good + "}", strict, 1029) == "");
    CHECK(claims_error("{" + good + "}", strict, 1030) == "expired");
    CHECK(check_claims("{" + good + "}", strict, at(0))->expires == at(1030));
    CHECK(claims_error("{" + good + R"(,"nbf":500})", strict, 470) == "");
    CHECK(claims_error("{" + good + R"(,"nbf":500})", strict, 469) == "not_yet");
    CHECK(claims_error("{" + good + R"(,"iat":500.5})", strict, 470) == "not_yet");
    CHECK(claims_error(R"({"exp":1000,"iss":"https://issuer.example/","aud":["x","wall"]})", strict, 0) == "");
    for (const char* audience : {R"("aud":["x"],)", R"("aud":[],)", R"("aud":7,)", ""})
        CHECK(claims_error(std::string("{") + audience + R"("exp":1000,"iss":"https://issuer.example/"})", strict, 0) == "audience");
    CHECK(claims_error(R"({"exp":1000,"aud":"weir"})", strict, 0) == "issuer");
    CHECK(claims_error(R"({"exp":1000,"aud":"weir","iss":"https://issuer.example"})", strict, 0) == "issuer");
    CHECK(claims_error(R"({"exp":1000,"aud":"somebody"})", {}, 0) == "audience");  // for somebody, and that is not known to be us
    for (const char* crooked : {"{}", R"({"exp":"1000"})", R"({"exp":null})", R"({"exp":-1})", R"({"exp":1e300})", "[]", "7", "", R"({"exp":1000,"nbf":"0"})", R"({"exp":1000,"iss":7})", R"({"exp":1000,"sub":7})"})
        CHECK(claims_error(crooked, {}, 0) == "malformed");
}
