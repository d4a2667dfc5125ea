// The filter language: the index against a naive evaluator, and the canonical form read back.
#include <algorithm>

#include "event/filter_index.h"
#include "event/filter_test_support.h"
#include "fuzz.h"

namespace weir::fuzz {

// A line with a filter, a line with another, then an event's data.
void filter(std::string_view bytes) {
    Input input(bytes);
    const std::string first(input.line()), second(input.line());
    const std::string text(input.rest().substr(0, 4096));
    const auto data = Json::parse(text);

    EventView event;
    event.id = "evt_1";
    event.type = "user_action";
    event.key = "SSD-7";
    event.source = "push";
    event.data = text;
    event.time = Timestamp::from_seconds(1'771'322'400);
    event.ingested = event.time + 1s;

    FilterIndex index;
    std::vector<std::pair<FilterIndex::Id, Json>> filters;
    for (const std::string& one : {first, second}) {
        const auto parsed = Filter::parse_text(one);
        if (!parsed.ok()) {
            FUZZ_CHECK(!parsed.error().message.empty());
            continue;
        }
        const auto again = Filter::parse_text(parsed->canonical());
        FUZZ_CHECK(again.ok() && again->canonical() == parsed->canonical(), parsed->canonical());
        const auto both = parsed->and_also(*again);
        filters.emplace_back(index.add(*parsed), *Json::parse(one));
        filters.emplace_back(index.add(*again), *Json::parse(one));
        filters.emplace_back(index.add(both), *Json::parse(one));
    }
    const bool object = data.ok() && data->is_object();
    const auto matched = index.match("pools", event);
    if (object) {
        const Json root = event_document("pools", event, *data);
        for (const auto& [id, json] : filters) {
            bool expected = naive(root, json);
            // A path with a sign in it is taken for another one.
            if (planted() && json.members().size() == 1 && json.members()[0].first.find_first_of("!#$%&@^~;") != std::string::npos) expected = !expected;
            const bool found = std::find(matched.begin(), matched.end(), id) != matched.end();
            FUZZ_CHECK(found == expected, json.text() + "\n" + text);
        }
    } else {
        FUZZ_CHECK(filters.empty() || index.malformed() <= 1);
    }
    for (const auto& [id, json] : filters) index.remove(id);
    FUZZ_CHECK(index.size() == 0 && index.match("pools", event).empty());
}

}  // namespace weir::fuzz
