#include "event/filter_index.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <set>

#include "base/prng.h"
#include "event/filter_test_support.h"
#include "event/json.h"

using namespace weir;

namespace {

EventView event_with(std::string_view data) {
    EventView event;
    event.id = "evt_1";
    event.type = "user_action";
    event.key = "SSD-7";
    event.source = "push";
    event.data = data;
    event.time = "2026-02-17T10:00:00Z"_utc;
    event.ingested = event.time + 1s;
    return event;
}

bool matches(std::string_view filter, std::string_view data) {
    auto parsed = Filter::parse_text(filter);
    REQUIRE_MESSAGE(parsed.ok(), filter << (parsed.ok() ? "" : parsed.error().message));
    FilterIndex index;
    index.add(*parsed);
    return !index.match("pools", event_with(data)).empty();
}

const char* const kNames[] = {"a", "b", "c", "a.b", "payload", "user", "user.id", "caf\xc3\xa9", "metadata", "timestamp"};

Json random_scalar(Prng& chance) {
    switch (chance.below(8)) {
        case 0: return Json();
        case 1: return Json::boolean(chance.chance(0.5));
        case 2: return Json::string(std::to_string(chance.below(3)));
        case 3: return Json::string("caf\xc3\xa9" + std::string(chance.below(3), 'x'));
        case 4: return Json::number(static_cast<double>(chance.below(6)) / 2);
        case 5: return Json::integer(9007199254740990 + static_cast<std::int64_t>(chance.below(5)));
        default: return Json::integer(static_cast<std::int64_t>(chance.below(4)));
    }
}

Json random_object(Prng& chance, int depth) {
    Json object = Json::object();
    const std::size_t members = 1 + chance.below(5);
    for (std::size_t i = 0; i < members; ++i) {
        const char* name = kNames[chance.below(std::size(kNames))];
        if (depth > 0 && chance.chance(0.45)) object.set(name, random_object(chance, depth - 1));
        else if (chance.chance(0.08)) object.set(name, Json::array({random_scalar(chance)}));
        else object.set(name, random_scalar(chance));
    }
    return object;
}

/// The same document in another spelling: escapes, blanks, numbers written otherwise, members repeated (the last one counts).
void print_otherwise(std::string& out, const Json& json, Prng& chance) {
    auto text = [&](const std::string& s) {
        out += '"';
        for (std::size_t i = 0; i < s.size(); ++i) {
            if (s.compare(i, 2, "\xc3\xa9") == 0 && chance.chance(0.5)) {
                out += "\\u00e9";
                ++i;
            } else if (chance.chance(0.1) && static_cast<unsigned char>(s[i]) < 0x80) {
                char escaped[8];
                std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(s[i]));
                out += escaped;
            } else {
                out += s[i];
            }
        }
        out += '"';
    };
    switch (json.kind()) {
        case Json::Kind::string: return text(json.as_string());
        case Json::Kind::number:
            out += json.number_text();
            if (json.number_text().find_first_of(".e") == std::string::npos && json.number_text().size() < 10 && chance.chance(0.3))
                out += chance.chance(0.5) ? ".0" : "e0";
            return;
        case Json::Kind::object: {
            out += '{';
            bool first = true;
            for (const auto& [name, value] : json.members()) {
                if (!first) out += ',';
                first = false;
                if (chance.chance(0.05)) {
                    text(name);
                    out += ':';
                    print_otherwise(out, random_object(chance, 1), chance);
                    out += ',';
                }
                if (chance.chance(0.2)) out += ' ';
                text(name);
                out += chance.chance(0.2) ? " :  " : ":";
                print_otherwise(out, value, chance);
                if (chance.chance(0.2)) out += ' ';
            }
            out += '}';
            return;
        }
        default: json.print(out);
    }
}

void collect_paths(const Json& at, const std::string& prefix, std::vector<std::pair<std::string, const Json*>>& paths) {
    for (const auto& [name, value] : at.members()) {
        std::string step;
        for (const char c : name) step += c == '.' ? std::string("\\.") : std::string(1, c);
        paths.emplace_back(prefix + step, &value);
        paths.emplace_back(prefix + name, &value);  // unescaped: a path first, then a literal key
        if (value.is_object()) collect_paths(value, prefix + step + ".", paths);
    }
}

Json random_filter(Prng& chance, const std::vector<std::pair<std::string, const Json*>>& paths, int depth) {
    Json filter = Json::object();
    const std::size_t members = chance.below(10) < 7 ? 1 : 2;
    for (std::size_t i = 0; i < members; ++i) {
        if (depth > 0 && chance.chance(0.3)) {
            const auto kind = chance.below(3);
            if (kind == 0) {
                filter.set("not", random_filter(chance, paths, depth - 1));
            } else {
                std::vector<Json> parts;
                for (std::size_t n = chance.below(4); n > 0; --n) parts.push_back(random_filter(chance, paths, depth - 1));
                filter.set(kind == 1 ? "and" : "or", Json::array(std::move(parts)));
            }
            continue;
        }
        auto [path, value] = paths[chance.below(paths.size())];
        if (chance.chance(0.06)) path = std::string(kNames[chance.below(6)]) + "." + path;
        const bool is_time = split(path) == std::vector<std::string>{"timestamp"};
        const bool scalar = value && !value->is_object() && !value->is_array();
        Json truth = is_time ? Json::string(chance.chance(0.6) ? "2026-02-17T11:00:00.000+01:00" : "2026-02-17T10:00:00.001Z")
                     : scalar && chance.chance(0.75) ? *value
                                                     : random_scalar(chance);
        switch (chance.below(7)) {
            case 0: {
                std::vector<Json> any;
                any.push_back(truth);
                if (!is_time) any.push_back(random_scalar(chance));
                filter.set(path, Json::array(std::move(any)));
                break;
            }
            case 1: {
                if (!truth.is_number() && !truth.is_string()) truth = Json::integer(1);
                if (is_time && !truth.is_string()) break;
                Json ops = Json::object();
                static const char* const names[] = {"gt", "gte", "lt", "lte"};
                ops.set(names[chance.below(4)], truth);
                if (chance.chance(0.3)) ops.set(names[chance.below(4)], truth);
                filter.set(path, std::move(ops));
                break;
            }
            case 2: {
                Json ops = Json::object();
                if (is_time) ops.set("exists", Json::boolean(true));
                else ops.set("prefix", Json::string(truth.is_string() ? truth.as_string().substr(0, chance.below(2)) : "c"));
                filter.set(path, std::move(ops));
                break;
            }
            case 3: {
                Json ops = Json::object();
                ops.set("exists", Json::boolean(chance.chance(0.6)));
                filter.set(path, std::move(ops));
                break;
            }
            default: filter.set(path, std::move(truth));
        }
    }
    return filter;
}

}  // namespace

TEST_CASE("filter index: the examples of source 004 match what they say (S4-6, C-35)") {
    const char* data = R"({"user_id":"user123","user":{"id":"123","country":"CH"},"amount":100})";
    CHECK(matches(R"({"event_type":"user_action","payload.user_id":"user123"})", data));
    CHECK(matches(R"({"event_type":"user_action","user_id":["user123","user456"]})", data));
    CHECK(matches(R"({"user.id":"123"})", data));
    CHECK_FALSE(matches(R"({"user.id":123})", data));
    CHECK_FALSE(matches(R"({"event_type":["login","purchase"]})", data));
    CHECK(matches(R"({"event_id":"evt_1","timestamp":"2026-02-17T11:00:00+01:00"})", data));
    CHECK(matches(R"({"timestamp":{"gte":"2026-02-17T10:00:00Z","lt":"2026-02-17T10:00:00.000001Z"}})", data));
    CHECK(matches(R"({"metadata.key":"SSD-7","metadata.stream":"pools","metadata.source":"push"})", data));
    CHECK(matches(R"({"payload.amount":{"gte":100,"lt":100.5}})", data));
    CHECK_FALSE(matches(R"({"amount":{"gt":100}})", data));
    CHECK(matches(R"({"user.country":{"prefix":"C"}})", data));
    CHECK(matches("{}", data));
}

TEST_CASE("filter index: a path is tried before a literal key, the root before the payload (decision 20, C-45)") {
    CHECK(matches(R"({"a.b":1})", R"({"a":{"b":1},"a.b":2})"));
    CHECK_FALSE(matches(R"({"a.b":2})", R"({"a":{"b":1},"a.b":2})"));
    CHECK(matches(R"({"a\\.b":2})", R"({"a":{"b":1},"a.b":2})"));
    CHECK(matches(R"({"a.b":2})", R"({"a":{"c":1},"a.b":2})"));
    CHECK(matches(R"({"payload.x.y":3})", R"({"x.y":3})"));
    CHECK(matches(R"({"event_type.x":1})", R"({"event_type":{"x":1}})"));
    CHECK_FALSE(matches(R"({"event_type":"y"})", R"({"event_type":"y"})"));
    CHECK(matches(R"({"payload.payload":1})", R"({"payload":1})"));
    CHECK(matches(R"({"payload":{"exists":true}})", "{}"));
}

TEST_CASE("filter index: what an event lacks matches nothing but exists:false and not") {
    CHECK_FALSE(matches(R"({"x":null})", "{}"));
    CHECK(matches(R"({"x":null})", R"({"x":null})"));
    CHECK(matches(R"({"x":{"exists":false}})", "{}"));
    CHECK(matches(R"({"not":{"x":1}})", "{}"));
    CHECK_FALSE(matches(R"({"x":{"lt":5}})", "{}"));
    CHECK_FALSE(matches(R"({"x":{"exists":true}})", R"({"y":{"x":1}})"));
}

TEST_CASE("filter index: zero and repeated members are what they are") {
    CHECK(matches(R"({"x":0})", R"({"x":0})"));
    CHECK(matches(R"({"x":0})", R"({"x":-0.0})"));
    CHECK_FALSE(matches(R"({"x":0})", R"({"x":false})"));
    CHECK_FALSE(matches(R"({"x.y":1})", R"({"x":{"y":1},"x":{"z":1}})"));
    CHECK_FALSE(matches(R"({"x.y":1})", R"({"x":{"y":1},"x":5})"));
    CHECK(matches(R"({"x.y":1})", R"({"x":5,"x":{"y":1}})"));
}

TEST_CASE("filter index: data that is no JSON matches only what does not look into it, and is counted") {
    FilterIndex index;
    const auto all = index.add(Filter());
    const auto type = index.add(Filter::parse_text(R"({"event_type":"user_action"})").value());
    index.add(Filter::parse_text(R"({"x":1})").value());
    const auto found = index.match("pools", event_with(R"({"x":1,"y":)"));
    CHECK(std::set<FilterIndex::Id>(found.begin(), found.end()) == std::set<FilterIndex::Id>{all, type});
    CHECK(index.malformed() == 1);
}

TEST_CASE("filter index: equals a naive evaluator on random events and filters, before and after removals (D7)") {
    const bool nightly = std::getenv("WEIR_NIGHTLY") && std::string_view(std::getenv("WEIR_NIGHTLY")) == "1";
    const std::size_t pairs_wanted = nightly ? 1'000'000 : 100'000;
    std::size_t pairs = 0, matched = 0;
    for (std::uint64_t seed = 1; pairs < pairs_wanted; ++seed) {
        Prng chance(seed);
        Json data = random_object(chance, 3);
        std::string text;
        print_otherwise(text, data, chance);
        const EventView event = event_with(text);
        const Json root = event_document("pools", event, data);
        std::vector<std::pair<std::string, const Json*>> paths;
        collect_paths(*root.find("payload"), "", paths);
        const auto below = paths.size();
        for (std::size_t i = 0; i < below; i += 3) paths.emplace_back("payload." + paths[i].first, paths[i].second);
        for (const char* own : {"event_id", "event_type", "timestamp"}) paths.emplace_back(own, root.find(own));
        paths.emplace_back("metadata.key", root.find("metadata")->find("key"));
        paths.emplace_back("missing", nullptr);

        FilterIndex index;
        std::vector<std::pair<FilterIndex::Id, Json>> filters;
        auto check = [&] {
            const auto found = index.match("pools", event);
            const std::set<FilterIndex::Id> ids(found.begin(), found.end());
            REQUIRE(ids.size() == found.size());
            for (const auto& [id, filter] : filters) {
                const bool expected = naive(root, filter);
                ++pairs;
                matched += expected;
                if (ids.contains(id) != expected) {
                    FAIL("seed " << seed << "\nfilter " << filter.text() << "\nevent " << text << "\nnaive says " << expected);
                }
            }
        };
        for (int i = 0; i < 40; ++i) {
            Json filter = random_filter(chance, paths, 3);
            auto parsed = Filter::parse(filter);
            if (!parsed.ok()) continue;  // a random value where a time belongs
            filters.emplace_back(index.add(*parsed), std::move(filter));
        }
        check();
        for (std::size_t i = filters.size(); i-- > 0;) {
            if (!chance.chance(0.5)) continue;
            index.remove(filters[i].first);
            filters.erase(filters.begin() + static_cast<std::ptrdiff_t>(i));
        }
        check();
        for (auto& [id, filter] : filters) index.remove(id);
        CHECK(index.size() == 0);
        CHECK(index.match("pools", event).empty());
    }
    const double share = static_cast<double>(matched) / static_cast<double>(pairs);
    MESSAGE(pairs << " pairs, " << 100 * share << " % matched");
    CHECK(share > 0.3);
    CHECK(share < 0.7);
}
