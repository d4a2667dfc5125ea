#include "stores/copy_row.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "stores/postgres_connection.h"

using namespace weir;

namespace {

TableShape shape_of(const std::string& pointer, ColumnSource::Kind kind = ColumnSource::Kind::any) {
    TableShape shape;
    shape.table = "t";
    shape.columns.push_back({"c", ColumnSource::Part::pointer, kind, *JsonPath::parse(pointer)});
    return shape;
}

std::string row(const TableShape& shape, const std::string& data) {
    EventView event;
    event.id = "i";
    event.data = data;
    std::string out = "before\n";
    const auto done = append_copy_row(out, shape, event, {"s", "e", Seq{7}});
    REQUIRE(out.starts_with("before\n"));
    if (done.ok()) return out.substr(7);
    CHECK(done.error().code == "bad_row");
    CHECK(out == "before\n");  // as it was
    return "refused";
}

using Kind = ColumnSource::Kind;

}  // namespace

TEST_CASE("copy row: what has a meaning for COPY is escaped, everything else stays (PostgreSQL 15 manual, COPY, Text Format)") {
    std::string out;
    append_copy_text(out, "a\tb\nc\rd\\e\\.f");
    CHECK(out == "a\\tb\\nc\\rd\\\\e\\\\.f");
    CHECK(row(shape_of("/v"), R"({"v":"\\N"})") == "\\\\N\n");  // a text, not a NULL
    CHECK(row(shape_of("/v"), R"({"v":"\u00fc \ud83d\ude00 Zürich"})") == "ü 😀 Zürich\n");
    CHECK(row(shape_of("/v"), R"({"v":""})") == "\n");
}

TEST_CASE("copy row: a JSON value becomes what the column reads, nothing and null become NULL") {
    CHECK(row(shape_of("/v"), "{}") == "\\N\n");
    CHECK(row(shape_of("/v"), R"({"v":null})") == "\\N\n");
    CHECK(row(shape_of("/v"), R"({"v":123456789012345678901234567890.10})") == "123456789012345678901234567890.10\n");
    CHECK(row(shape_of("/v"), R"({"v":true})") == "true\n");
    CHECK(row(shape_of("/v"), R"({"v":{"a":"x\ty"}})") == "{\"a\":\"x\\\\ty\"}\n");
    CHECK(row(shape_of("/v", Kind::json), R"({"v":"text"})") == "\"text\"\n");
}

TEST_CASE("copy row: a column of weir's own tables is NULL where the value is of another type") {
    CHECK(row(shape_of("/v", Kind::integer), R"({"v":9223372036854775807})") == "9223372036854775807\n");
    for (const char* no : {"9223372036854775808", "1.5", "\"1\"", "true", "{}"}) CHECK(row(shape_of("/v", Kind::integer), R"({"v":)" + std::string(no) + "}") == "\\N\n");
    CHECK(row(shape_of("/v", Kind::number), R"({"v":1e400})") == "\\N\n");
    CHECK(row(shape_of("/v", Kind::number), R"({"v":-0.5e3})") == "-0.5e3\n");
    CHECK(row(shape_of("/v", Kind::boolean), R"({"v":0})") == "\\N\n");
    CHECK(row(shape_of("/v", Kind::text), R"({"v":5})") == "\\N\n");
    CHECK(row(shape_of("/v", Kind::time), R"({"v":"2026-02-17T11:00:00+01:00"})") == "2026-02-17T10:00:00.000Z\n");
    CHECK(row(shape_of("/v", Kind::time), R"({"v":"yesterday"})") == "\\N\n");
}

TEST_CASE("copy row: a NUL character is refused, an escaped backslash before u0000 is none") {
    CHECK(row(shape_of("/v"), R"({"v":"a\u0000"})") == "refused");
    CHECK(row(shape_of("/v"), R"({"v":"a\\u0000"})") == "a\\\\u0000\n");
    CHECK(row(shape_of("/v"), R"({"v":"a\\\u0000"})") == "refused");
    CHECK(row(shape_of("/v", Kind::json), R"({"v":{"a":"\u0000"}})") == "refused");
}

TEST_CASE("copy row: nothing in a column of the key is refused, since NULL never equals NULL") {
    TableShape shape = shape_of("/v");
    shape.conflict = {"c"};
    CHECK(row(shape, "{}") == "refused");
    CHECK(row(shape, R"({"v":1})") == "1\n");
}

TEST_CASE("sql: literals and names hold whatever is put into them") {
    CHECK(sql_literal("it's") == "'it''s'");
    CHECK(sql_literal("a\\'b") == " E'a\\\\''b'");
    CHECK(sql_name("a\"b") == "\"a\"\"b\"");
    CHECK(sql_table("public.incoming_users") == "\"public\".\"incoming_users\"");
}

TEST_CASE("tables: source 002's has 28 written columns with its key first (S2-R8)") {
    const TableShape shape = incoming_users_shape("public.incoming_users");
    CHECK(shape.columns.size() == 28);
    CHECK(shape.conflict == std::vector<std::string>{"user_uuid"});
    CHECK(shape.keep == std::vector<std::string>{"created_at"});
    for (const char* needed : {"first_name", "last_name", "country"})  // S2-8
        CHECK(std::any_of(shape.columns.begin(), shape.columns.end(), [&](const ColumnSource& c) { return c.column == needed; }));
}

TEST_CASE("tables: a partition is a calendar month or day in UTC") {
    const PartitionRange month = partition_around("2026-12-31T23:59:59.999999Z"_utc, PartitionBy::month);
    CHECK(month == PartitionRange{"2026-12-01T00:00:00Z"_utc, "2027-01-01T00:00:00Z"_utc});
    CHECK(partition_name("weir.events", month) == "events_2026_12");
    const PartitionRange day = partition_around("2028-02-29T12:00:00Z"_utc, PartitionBy::day);
    CHECK(day == PartitionRange{"2028-02-29T00:00:00Z"_utc, "2028-03-01T00:00:00Z"_utc});
    CHECK(partition_name("weir.events", day) == "events_2028_02_29");
    CHECK(partition_name("weir.events", {"2026-02-03T00:00:00Z"_utc, "2026-02-10T00:00:00Z"_utc}) == "events_2026_02_03_to_2026_02_10");
}
