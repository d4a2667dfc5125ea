// The vectors are those of RFC 8949, appendix A (those that JSON can say), as hexadecimal texts.
#include "event/cbor.h"

#include <doctest/doctest.h>

#include "event/json.h"

using namespace weir;

namespace {

std::string from_hex(std::string_view hex) {
    std::string out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    return out;
}

std::string to_hex(std::string_view bytes) {
    std::string out;
    char digits[3];
    for (const char c : bytes) {
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
        out += digits;
    }
    return out;
}

std::string encoded(std::string_view json) {
    std::string out;
    append_cbor(out, *Json::parse(json));
    return to_hex(out);
}

std::string decoded(std::string_view hex) {
    const auto json = read_cbor(from_hex(hex));
    return json.ok() ? json->text() : json.error().code;
}

}  // namespace

TEST_CASE("cbor: what JSON says is written as RFC 8949, appendix A, has it, and read back (S3-32)") {
    const std::pair<const char*, const char*> vectors[] = {
        {"0", "00"}, {"1", "01"}, {"10", "0a"}, {"23", "17"}, {"24", "1818"}, {"25", "1819"}, {"100", "1864"}, {"1000", "1903e8"},
        {"1000000", "1a000f4240"}, {"1000000000000", "1b000000e8d4a51000"}, {"18446744073709551615", "1bffffffffffffffff"},
        {"-18446744073709551616", "3bffffffffffffffff"}, {"-1", "20"}, {"-10", "29"}, {"-100", "3863"}, {"-1000", "3903e7"},
        {"0.0", "f90000"}, {"-0.0", "f98000"}, {"1.0", "f93c00"}, {"1.1", "fb3ff199999999999a"}, {"1.5", "f93e00"}, {"65504.0", "f97bff"},
        {"100000.0", "fa47c35000"}, {"3.4028234663852886e+38", "fa7f7fffff"}, {"1.0e+300", "fb7e37e43c8800759c"},
        {"5.960464477539063e-8", "f90001"}, {"0.00006103515625", "f90400"}, {"-4.0", "f9c400"}, {"-4.1", "fbc010666666666666"},
        {"false", "f4"}, {"true", "f5"}, {"null", "f6"}, {R"("")", "60"}, {R"("a")", "6161"}, {R"("IETF")", "6449455446"},
        {R"("\"\\")", "62225c"}, {R"("\u00fc")", "62c3bc"}, {R"("\u6c34")", "63e6b0b4"}, {R"("\ud800\udd51")", "64f0908591"},
        {"[]", "80"}, {"[1,2,3]", "83010203"}, {"[1,[2,3],[4,5]]", "8301820203820405"},
        {"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]", "98190102030405060708090a0b0c0d0e0f101112131415161718181819"},
        {"{}", "a0"}, {R"({"a":1,"b":[2,3]})", "a26161016162820203"}, {R"(["a",{"b":"c"}])", "826161a161626163"},
        {R"({"a":"A","b":"B","c":"C","d":"D","e":"E"})", "a56161614161626142616361436164614461656145"}};
    for (const auto& [json, hex] : vectors) {
        CAPTURE(json);
        if (std::string_view(json) != "-18446744073709551616") CHECK(encoded(json) == hex);  // 65 bits: only CBOR has it as an integer
        const auto back = read_cbor(from_hex(hex));
        REQUIRE(back.ok());
        const auto wanted = Json::parse(json);
        if (wanted->is_number()) CHECK(back->as_double() == wanted->as_double());
        else CHECK(back->text() == wanted->text());
    }
    CHECK(decoded("1bffffffffffffffff") == "18446744073709551615");
    CHECK(decoded("3bffffffffffffffff") == "-18446744073709551616");
}

TEST_CASE("cbor: what JSON has not is read as RFC 8949, 6.1, advises, or passed over") {
    CHECK(decoded("f97c00") == "null");                  // infinity
    CHECK(decoded("f97e00") == "null");                  // NaN
    CHECK(decoded("f7") == "null");                      // undefined
    CHECK(decoded("4401020304") == R"("AQIDBA")");       // bytes, base64url
    CHECK(decoded("c11a514b67b0") == "1363896240");      // a tag's content
    CHECK(decoded("c074323031332d30332d32315432303a30343a30305a") == R"("2013-03-21T20:04:00Z")");
    CHECK(decoded("5f42010243030405ff") == R"("AQIDBAU")");
    CHECK(decoded("7f657374726561646d696e67ff") == R"("streaming")");
    CHECK(decoded("9fff") == "[]");
    CHECK(decoded("9f018202039f0405ffff") == "[1,[2,3],[4,5]]");
    CHECK(decoded("83018202039f0405ff") == "[1,[2,3],[4,5]]");
    CHECK(decoded("bf61610161629f0203ffff") == R"({"a":1,"b":[2,3]})");
    CHECK(decoded("bf6346756ef563416d7421ff") == R"({"Fun":true,"Amt":-2})");
}

TEST_CASE("cbor: input that is not well-formed, or lies about its size, is refused where it stands") {
    for (const char* hex : {"", "18", "1901", "62c3", "61ff", "64f4908080", "63eda080", "62c080", "8201", "a1", "a16161", "a10102", "ff", "1c", "1f", "5f01ff", "5f5f41ffff", "7f4101ff",
                            "9f", "bf6161ff", "0000", "f818", "9bffffffffffffffff", "bbffffffffffffffff", "5bffffffffffffffff", "7affffffff61"}) {
        CAPTURE(hex);
        CHECK(decoded(hex) == "malformed_cbor");
    }
    const auto nested = [](std::size_t levels, char head) {
        std::string bytes(levels, head);
        bytes.push_back('\x01');
        return read_cbor(bytes).ok();
    };
    CHECK(nested(64, '\x81'));
    CHECK(!nested(66, '\x81'));
    CHECK(!nested(100'000, '\xc1'));  // tags nest too
}

TEST_CASE("cbor: every prefix of an item is refused") {
    std::string whole;
    append_cbor(whole, *Json::parse(R"({"type":"data","data":{"n":1000000,"x":[1.1,-7,"text",null,true]}})"));
    CHECK(read_cbor(whole).ok());
    for (std::size_t n = 0; n < whole.size(); ++n) CHECK(!read_cbor(std::string_view(whole).substr(0, n)).ok());
}
