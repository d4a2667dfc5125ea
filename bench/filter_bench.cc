// What an event costs when many filters are subscribed (performance.md T10: 10,000 equality filters, at most 3 us an event, parse included).
//
//     build/filter_bench [filters] [events]
//
// Four sets: one user each (the target), any-of lists, two conditions of which one is rare, and numeric ranges. Each filter is distinct. The
// events are 300 bytes; the value that filters look for stands in the middle. The last line evaluates nothing but the parse.
#include <cstdio>
#include <cstdlib>

#include "base/clock.h"
#include "base/prng.h"
#include "event/filter_index.h"
#include "event/json.h"

using namespace weir;

int main(int argc, char** argv) {
    const std::size_t filters = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10'000;
    const std::size_t rounds = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 400'000;
    const SystemClock clock;
    Prng chance(7);

    EventList events;
    for (int i = 0; i < 1000; ++i) {
        const std::string user = "user" + std::to_string(chance.below(2 * filters));
        std::string data;
        JsonWriter json(data);
        json.object().member("action", "purchase").member("session", std::to_string(chance.next()));
        json.name("user").object().member("id", user).member("country", "CH").end();
        json.member("user_id", user).member("amount", static_cast<double>(chance.below(100'000)) / 100);
        json.name("item").object().member("sku", "A-" + std::to_string(chance.below(1000))).member("count", 3).end();
        json.member("note", std::string(90, 'n')).end();
        EventView event;
        const std::string id = "evt_" + std::to_string(i);
        event.id = id;
        event.type = "user_action";
        event.source = "push";
        event.data = data;
        events.add(event);
    }

    struct Set {
        const char* name;
        std::function<std::string(std::size_t)> filter;
    };
    const Set sets[] = {
        {"equality, one user each", [](std::size_t i) { return R"({"user_id":"user)" + std::to_string(i) + "\"}"; }},
        {"equality on a nested path", [](std::size_t i) { return R"({"user.id":"user)" + std::to_string(i) + "\"}"; }},
        {"any of three", [](std::size_t i) { return R"({"user_id":["user)" + std::to_string(i) + R"(","x)" + std::to_string(i) + R"(","y"]})"; }},
        {"type and user", [](std::size_t i) { return R"({"event_type":"user_action","payload.user_id":"user)" + std::to_string(i) + "\"}"; }},
        {"ranges of 0.1 %", [&](std::size_t i) {
             const double low = 1000.0 * static_cast<double>(i) / static_cast<double>(filters);
             return R"({"amount":{"gte":)" + std::to_string(low) + R"(,"lt":)" + std::to_string(low + 1) + "}}";
         }},
        {"a path that no event has", [](std::size_t i) { return R"({"missing.path":)" + std::to_string(i) + "}"; }},
    };
    std::printf("%zu filters, %zu events of %zu bytes of data\n", filters, rounds, events[0].data.size());
    for (const Set& set : sets) {
        FilterIndex index;
        for (std::size_t i = 0; i < filters; ++i) index.add(Filter::parse_text(set.filter(i)).value());
        std::size_t matched = 0;
        const std::size_t n = set.name[0] == 'r' ? rounds / 20 : rounds;
        for (std::size_t i = 0; i < 1000; ++i) matched += index.match("events", events[i]).size();
        matched = 0;
        const auto start = clock.monotonic();
        for (std::size_t i = 0; i < n; ++i) matched += index.match("events", events[i % 1000]).size();
        const double ns = static_cast<double>((clock.monotonic() - start).count()) * 1000 / static_cast<double>(n);
        std::printf("%-28s %9.0f ns an event, %.2f matches an event\n", set.name, ns, static_cast<double>(matched) / static_cast<double>(n));
    }
}
