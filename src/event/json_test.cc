#include "event/json.h"

#include <doctest/doctest.h>

using namespace weir;

TEST_CASE("json: what the writer writes, the parser reads back") {
    std::string out;
    JsonWriter(out).object().member("a", 0).member("b", "x\"\n\x01ü").name("c").array().value(1.5).null().value(true).end().member("d", 48.3).end();
    CHECK(out == R"({"a":0,"b":"x\"\n\u0001ü","c":[1.5,null,true],"d":48.3})");
    const auto parsed = Json::parse(out);
    REQUIRE(parsed.ok());
    CHECK(parsed->text() == out);
}

TEST_CASE("json: pointers follow RFC 6901, its own examples included") {
    const auto document = Json::parse(R"({"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8})");
    REQUIRE(document.ok());
    const std::pair<const char*, const char*> cases[] = {{"/foo/0", "\"bar\""}, {"/", "0"}, {"/a~1b", "1"}, {"/c%d", "2"}, {"/e^f", "3"},
                                                         {"/g|h", "4"},         {"/i\\j", "5"}, {"/k\"l", "6"}, {"/ ", "7"},  {"/m~0n", "8"}};
    for (const auto& [pointer, expected] : cases) {
        const auto parsed = JsonPointer::parse(pointer);
        REQUIRE(parsed.ok());
        CHECK(parsed->text() == pointer);
        const Json* found = parsed->find(*document);
        REQUIRE(found);
        CHECK(found->text() == expected);
    }
    for (const char* missing : {"/foo/2", "/foo/00", "/foo/-", "/nothing", "/foo/0/x"}) CHECK(!JsonPointer::parse(missing)->find(*document));
    CHECK(!JsonPointer::parse("foo").ok());
    CHECK(!JsonPointer::parse("/~2").ok());
}

TEST_CASE("json: malformed texts are errors, and depth has a bound") {
    for (const char* bad : {"", "{", "[1,]", "nul", "{\"a\":1}x", "\"\xff\""}) CHECK_MESSAGE(!Json::parse(bad).ok(), bad);
    CHECK(Json::parse(std::string(60, '[') + std::string(60, ']')).ok());
    CHECK(!Json::parse(std::string(100, '[') + std::string(100, ']')).ok());
}

TEST_CASE("json: numbers print in the shortest form, whole ones without an exponent") {
    std::string out;
    for (const double v : {0.0, -0.0, 3600.0, 1e15, 0.1, 48.333333333333336, 1e300}) append_json_number(out, v), out += ' ';
    CHECK(out == "0 0 3600 1000000000000000 0.1 48.333333333333336 1e+300 ");
    CHECK(Json::number(5.0) == Json::integer(5));
    CHECK_FALSE(Json::string("1") == Json::integer(1));
}

TEST_CASE("json: numbers keep the text they were written with, beyond what a double holds") {
    const char* text = R"([18446744073709551616,-9223372036854775809,0.1234567890123456789,1.50,1E5,-0,1e999])";
    const auto parsed = Json::parse(text);
    REQUIRE(parsed.ok());
    CHECK(parsed->text() == text);
    CHECK(!parsed->items()[0].as_integer());
    CHECK(parsed->items()[4].as_integer() == 100000);
    CHECK(parsed->items()[5].as_integer() == 0);
    CHECK(std::isinf(parsed->items()[6].as_double()));
    CHECK(Json::string("5").as_double() == 0);
}

TEST_CASE("json: of a repeated member the last one counts, in few members and in many") {
    CHECK(Json::parse(R"({"a":1,"b":2,"\u0061":3})")->text() == R"({"a":3,"b":2})");
    std::string many = "{";
    for (int i = 0; i < 1000; ++i) many += "\"k" + std::to_string(i % 500) + "\":" + std::to_string(i) + ",";
    many.back() = '}';
    const auto parsed = Json::parse(many);
    REQUIRE(parsed.ok());
    CHECK(parsed->members().size() == 500);
    CHECK(parsed->find("k7")->as_integer() == 507);
}

TEST_CASE("json: an error names the place and what was found") {
    CHECK(Json::parse("{\"a\":1,}").error().message == "not JSON: at byte 7 expected a member's name, found '}'");
    CHECK(Json::parse("[1 2]").error().message == "not JSON: at byte 3 expected ',' or ']', found '2'");
    CHECK(Json::parse("").error().message == "not JSON: at byte 0 expected a value, found the end");
    CHECK(Json::parse("\"\\ud83d\\ude00\"")->as_string() == "\xf0\x9f\x98\x80");
    for (const char* bad : {"\"\\ud800\"", "\"\\udc00\"", "\"\\u12\"", "\"\\u-123\"", "\"\\x\"", "\"a\tb\"", "-", "1.", "01", ".5", "+1", "nan", "[1]]"}) CHECK_MESSAGE(!Json::parse(bad).ok(), bad);
}
