// JSON: Json::parse against simdjson's own parser, print and parse again, JsonPath against JsonPointer.
#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "event/json.h"
#include "event/json_path.h"
#include "fuzz.h"

namespace weir::fuzz {
namespace {

/// Json keeps the last of a repeated member, JsonPath finds the first: such documents are told by the other parser.
bool has_repeats(simdjson::dom::element element) {
    simdjson::dom::array items;
    simdjson::dom::object members;
    if (element.get(items) == simdjson::SUCCESS) {
        for (const auto item : items)
            if (has_repeats(item)) return true;
    } else if (element.get(members) == simdjson::SUCCESS) {
        std::vector<std::string_view> names;
        for (const auto member : members) {
            if (std::find(names.begin(), names.end(), member.key) != names.end() || has_repeats(member.value)) return true;
            names.push_back(member.key);
        }
    }
    return false;
}

void collect(const Json& json, const std::string& at, std::vector<std::string>& pointers) {
    pointers.push_back(at);
    if (pointers.size() > 40) return;
    for (const auto& [name, value] : json.members()) {
        std::string step;
        for (const char c : name) step += c == '~' ? std::string("~0") : c == '/' ? std::string("~1") : std::string(1, c);
        collect(value, at + "/" + step, pointers);
    }
    for (std::size_t i = 0; i < json.items().size(); ++i) collect(json.items()[i], at + "/" + std::to_string(i), pointers);
}

/// The same once more, as our own documents are made: by the writer, and member by member.
void write(JsonWriter& json, const Json& value) {
    switch (value.kind()) {
        case Json::Kind::null: json.null(); return;
        case Json::Kind::boolean: json.value(value.as_boolean()); return;
        case Json::Kind::string: json.value(value.as_string()); return;
        case Json::Kind::number:
            if (const auto whole = value.as_integer()) json.value(*whole);
            else json.raw(value.number_text());
            return;
        case Json::Kind::array:
            json.array();
            for (const Json& item : value.items()) write(json, item);
            json.end();
            return;
        case Json::Kind::object:
            json.object();
            for (const auto& [name, member] : value.members()) write(json.name(name), member);
            json.end();
    }
}

Json rebuilt(const Json& value) {
    if (const auto whole = value.is_number() ? value.as_integer() : std::nullopt) return Json::integer(*whole);
    if (!value.is_object()) return value;
    Json copy = Json::object();
    for (const auto& [name, member] : value.members()) copy.set(name, Json());
    for (const auto& [name, member] : value.members()) copy.set(name, rebuilt(member));
    return copy;
}

int depth_of(const Json& value) {
    int depth = 0;
    for (const Json& item : value.items()) depth = std::max(depth, depth_of(item));
    for (const auto& [name, member] : value.members()) depth = std::max(depth, depth_of(member));
    return depth + 1;
}

/// A double as we print it reads back as the same one; a time as we print it is that time.
void check_scalars(const Json& value) {
    if (value.is_number()) {
        const double number = value.as_double();
        std::string text;
        JsonWriter json(text);
        json.array().value(number).value(static_cast<std::uint64_t>(text.size())).end();
        const auto again = Json::parse(text);
        FUZZ_CHECK(again.ok() && again->items().size() == 2, text);
        FUZZ_CHECK(again->items()[0].is_null() ? !std::isfinite(number) : again->items()[0].as_double() == number, text);
        FUZZ_CHECK(Json::number(number) == again->items()[0], text);
    }
    if (value.is_string())
        if (const auto time = parse_rfc3339(value.as_string())) {
            std::string text;
            JsonWriter(text).value(*time);
            FUZZ_CHECK(parse_rfc3339(Json::parse(text)->as_string()) == time, text);
        }
    for (const Json& item : value.items()) check_scalars(item);
    for (const auto& [name, member] : value.members()) {
        check_scalars(member);
        FUZZ_CHECK(value.find_string(name).has_value() == member.is_string());
    }
}

}  // namespace

// A line with a JSON Pointer, then a document.
void json(std::string_view bytes) {
    Input input(bytes);
    const std::string_view pointer = input.line();
    const std::string text(input.rest());
    const auto parsed = Json::parse(text);

    static simdjson::dom::parser parser(1 << 20);
    simdjson::dom::element element;
    const auto other = parser.parse(simdjson::padded_string(text)).get(element);
    // Numbers beyond a double keep their text here, and deep documents are refused sooner.
    if (parsed.ok() && other != simdjson::SUCCESS)
        FUZZ_CHECK(other == simdjson::NUMBER_ERROR || other == simdjson::CAPACITY, simdjson::error_message(other));
    if (!parsed.ok()) {
        FUZZ_CHECK(!parsed.error().message.empty());
        int depth = 0, deepest = 0;
        for (const char c : text) {
            depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
            deepest = std::max(deepest, depth);
        }
        FUZZ_CHECK(other != simdjson::SUCCESS || deepest > 64, parsed.error().message);
    }

    const auto path = JsonPath::parse(pointer);
    const auto steps = JsonPointer::parse(pointer);
    FUZZ_CHECK(path.ok() == steps.ok());
    if (steps.ok()) {
        FUZZ_CHECK(JsonPointer::parse(steps->text())->steps() == steps->steps());
        // On bytes that are no JSON any answer will do, but none from outside.
        const std::string copy = text;
        if (const auto found = path->find(copy)) FUZZ_CHECK(found->data() >= copy.data() && found->data() + found->size() <= copy.data() + copy.size());
        (void)path->number(copy);
        (void)path->string(copy);
    }
    if (!parsed.ok()) return;

    std::string printed = parsed->text();
    if (planted() && printed.find("e-") != printed.npos) printed += "0";
    const auto again = Json::parse(printed);
    FUZZ_CHECK(again.ok() && *again == *parsed, printed);
    FUZZ_CHECK(rebuilt(*parsed) == *parsed, printed);
    check_scalars(*parsed);
    if (depth_of(*parsed) < 60) {
        std::string written;
        JsonWriter writer(written);
        write(writer, *parsed);
        const auto reread = Json::parse(written);
        FUZZ_CHECK(reread.ok() && *reread == *parsed, written);
    }
    if (other != simdjson::SUCCESS || has_repeats(element)) return;
    std::vector<std::string> pointers;
    collect(*parsed, "", pointers);
    if (steps.ok()) pointers.emplace_back(pointer);
    for (const std::string& one : pointers) {
        const auto by_path = JsonPath::parse(one);
        const auto by_pointer = JsonPointer::parse(one);
        FUZZ_CHECK(by_path.ok() && by_pointer.ok(), one);
        const Json* value = by_pointer->find(*parsed);
        const auto found = by_path->find(text);
        FUZZ_CHECK(found.has_value() == (value != nullptr), one);
        if (!value) continue;
        const auto reread = Json::parse(*found);
        FUZZ_CHECK(reread.ok() && *reread == *value, one);
        if (value->is_string()) FUZZ_CHECK(by_path->string(text) == value->as_string(), one);
        if (const auto number = by_path->number(text)) FUZZ_CHECK(value->is_number() && *number == value->as_double(), one);
    }
}

}  // namespace weir::fuzz
