#include "event/filter.h"

#include <doctest/doctest.h>

#include "event/json.h"

using namespace weir;

namespace {
std::string canonical(std::string_view json) {
    auto filter = Filter::parse_text(json);
    REQUIRE_MESSAGE(filter.ok(), (filter.ok() ? "" : filter.error().message));
    return filter->canonical();
}
Error refused(std::string_view json) {
    auto filter = Filter::parse_text(json);
    REQUIRE(!filter.ok());
    return filter.error();
}
}  // namespace

TEST_CASE("filter: all ways of writing the same conditions have one canonical text (decision 17)") {
    CHECK(canonical("{}") == "{}");
    CHECK(canonical(R"({"b":1,"a":"x"})") == R"({"a":"x","b":1})");
    CHECK(canonical(R"({"and":[{"b":1.0},{"a":["x"]},{}]})") == R"({"a":"x","b":1})");
    CHECK(canonical(R"({"a":["y","x","y"]})") == R"({"a":["x","y"]})");
    CHECK(canonical(R"({"a":{"lt":5e0,"gte":1}})") == R"({"and":[{"a":{"gte":1}},{"a":{"lt":5}}]})");
    CHECK(canonical(R"({"or":[{"b":2},{"a":1},{"b":2}]})") == R"({"or":[{"a":1},{"b":2}]})");
    CHECK(canonical(R"({"not":{"not":{"a":1}}})") == R"({"a":1})");
    CHECK(canonical(R"({"a":[]})") == R"({"or":[]})");
    CHECK(canonical(R"({"a":[],"b":1})") == R"({"or":[]})");
    CHECK(canonical(R"({"a":{"exists":false}})") == R"({"not":{"a":{"exists":true}}})");
    CHECK(canonical(R"({"a":18446744073709551615})") == R"({"a":18446744073709551615})");
    CHECK(canonical(R"({"a":-0.0})") == R"({"a":0})");
    CHECK(canonical(R"({"caf\u00e9":"\u00e9"})") == "{\"café\":\"é\"}");
}

TEST_CASE("filter: a canonical text is a filter with the same canonical text") {
    for (const char* json : {R"({"a.b":{"gt":1.5,"prefix":"x"},"or":[{"c\\.d":null},{"not":{"e":[true,"t",3]}}]})", R"({"a":[]})",
                             R"({"timestamp":{"gte":"2026-02-17T10:00:00+01:00"}})", R"({"a\\\\b":1})"}) {
        const std::string once = canonical(json);
        CHECK(canonical(once) == once);
    }
}

TEST_CASE("filter: the token's filter and the subscription's are joined, whatever either is") {
    const auto mine = Filter::parse_text(R"({"a":1})").value(), theirs = Filter::parse_text(R"({"or":[{"a":1},{"b":2}]})").value();
    CHECK(mine.and_also(Filter()).canonical() == R"({"a":1})");
    CHECK(Filter().and_also(mine).canonical() == R"({"a":1})");
    CHECK(mine.and_also(theirs).canonical() == theirs.and_also(mine).canonical());
    CHECK(mine.and_also(mine).canonical() == R"({"a":1})");
}

TEST_CASE("filter: a mistake is answered with the place and what is allowed (S4-23)") {
    CHECK(refused("[]").code == "bad_filter");
    CHECK(refused(R"({"a":{"regex":"x"}})").message ==
          R"(at "a": unknown operator "regex"; allowed: gt, gte, lt, lte, prefix, exists (a nested field is written "a.regex"))");
    CHECK(refused(R"({"a":{"regex":"x"}})").code == "unknown_operator");
    CHECK(refused(R"({"a":{}})").code == "bad_filter");
    CHECK(refused(R"({"a":{"exists":1}})").message == R"(at "a": `exists` takes true or false)");
    CHECK(refused(R"({"a":{"gt":null}})").message == R"(at "a": `gt` takes a number or a text)");
    CHECK(refused(R"({"a":{"prefix":1}})").message == R"(at "a": `prefix` takes a text)");
    CHECK(refused(R"({"a":[[1]]})").code == "bad_filter");
    CHECK(refused(R"({"or":{"a":1}})").message == "`or` takes a list of filters");
    CHECK(refused(R"({"not":[{"a":1}]})").code == "bad_filter");
    CHECK(refused(R"({"":1})").code == "bad_path");
    CHECK(refused(R"({"a\\x":1})").code == "bad_path");
    CHECK(refused(R"({"a\\":1})").code == "bad_path");
    CHECK(refused(R"({"timestamp":"yesterday"})").code == "bad_filter");
    CHECK(refused(R"({"timestamp":{"prefix":"2026"}})").code == "bad_filter");
}

TEST_CASE("filter: sizes are bounded: conditions, values, depth, steps of a path") {
    std::string deep;
    for (int i = 0; i < 20; ++i) deep += R"({"not":)";
    deep += R"({"a":1})" + std::string(20, '}');
    CHECK(refused(deep).code == "filter_too_large");
    std::string values = R"({"a":[0)";
    for (int i = 1; i <= 10'000; ++i) values += "," + std::to_string(i);
    CHECK(refused(values + "]}").code == "filter_too_large");
    std::string conditions = R"({"or":[{"a":0})";
    for (int i = 1; i <= 1000; ++i) conditions += R"(,{"a":)" + std::to_string(i) + "}";
    CHECK(refused(conditions + "]}").code == "filter_too_large");
    CHECK(refused(R"({"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17":1})").code == "filter_too_large");
}

TEST_CASE("filter: its weight is that of its text, its conditions and its values") {
    CHECK(Filter().weight() == 0);
    const auto weight = [](const char* json) { return Filter::parse_text(json)->weight(); };
    CHECK(weight(R"({"a":1})") == 7 + 2 * 64);
    CHECK(weight(R"({"a":[1,2,3]})") == 13 + 4 * 64);
    CHECK(weight(R"({"not":{"a":1}})") == 15 + 3 * 64);
}

TEST_CASE("filter: numbers compare by value, also beyond what a double holds") {
    CHECK(canonical(R"({"a":[1e777,-2e4567]})") == R"({"a":[-1e999,1e999]})");
    CHECK(canonical(canonical(R"({"a":{"lt":1e777}})")) == R"({"a":{"lt":1e999}})");
    CHECK(filter_number("5") == filter_number("5.0"));
    CHECK(filter_number("5") == filter_number("0.5e1"));
    CHECK(filter_number("0") == filter_number("-0"));
    CHECK(filter_number("9007199254740993") != filter_number("9007199254740992"));
    CHECK(filter_number("18446744073709551615") != filter_number("18446744073709551614"));
    CHECK(filter_number("9223372036854775807") < filter_number("9223372036854775808"));
    CHECK(filter_number("0.1") == filter_number("0.10"));
    CHECK(filter_number("1e999") > filter_number("1e308"));
    CHECK(filter_number("123456789012345678901234567890") > filter_number("18446744073709551615"));
}
