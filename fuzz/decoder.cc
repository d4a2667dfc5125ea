// Messages of a feed through rules that are fuzzed too: what comes out is events and counts that add up.
#include <algorithm>

#include "event/decoder.h"
#include "event/json.h"
#include "event/json_path.h"
#include "fuzz.h"

namespace weir::fuzz {
namespace {

std::vector<std::string> texts(const Json& json, std::string_view name) {
    std::vector<std::string> found;
    if (const Json* list = json.find(name))
        for (const Json& item : list->items()) found.push_back(item.as_string());
    return found;
}

DecodeRules rules_of(const Json& json) {
    DecodeRules rules;
    rules.items = json.find_string("items").value_or("");
    rules.key = texts(json, "key");
    rules.value = texts(json, "value");
    rules.time = texts(json, "time");
    rules.id = json.find_string("id").value_or("");
    rules.keep = texts(json, "keep");
    rules.keys = texts(json, "keys");
    rules.numeric_text = json.find("numeric") != nullptr;
    rules.numeric_text_paths = texts(json, "numeric_paths");
    rules.time_format = json.find("seconds") ? DecodeRules::TimeFormat::unix_s : json.find("millis") ? DecodeRules::TimeFormat::unix_ms : DecodeRules::TimeFormat::rfc3339;
    return rules;
}

}  // namespace

// A line with the rules as JSON, then the message.
void decoder(std::string_view bytes) {
    Input input(bytes);
    const std::string_view line = input.line();
    const auto json = Json::parse(line);
    if (!json.ok()) return;
    auto made = Decoder::make(rules_of(*json));
    if (!made.ok()) {
        FUZZ_CHECK(!made.error().message.empty());
        return;
    }
    const std::string message(input.rest());
    EventList events;
    Notes notes;
    std::uint64_t next = 1;
    const Timestamp at = Timestamp::from_seconds(1'770'000'000);
    const Decoder::Arrival arrival{at, "websocket", "feed/1-1/", &next};
    const auto outcome = made->decode(message, arrival, events, notes);
    FUZZ_CHECK(outcome.events == events.size());
    std::uint64_t rejected = 0;
    bool malformed = false;
    for (const auto& note : notes.rejected) {
        rejected += note.count;
        malformed = malformed || note.reason == "malformed";
    }
    FUZZ_CHECK(outcome.rejected == rejected);
    FUZZ_CHECK((outcome.rejected > 0) == !outcome.problem.empty());
    // It names pointers of the rules as they are.
    for (const char c : line.find('\\') == line.npos ? outcome.problem : std::string()) FUZZ_CHECK(static_cast<unsigned char>(c) >= 0x20, outcome.problem);
    const auto whole = Json::parse(message);
    if (malformed) FUZZ_CHECK(outcome.events == 0 && outcome.rejected == 1 && outcome.unwanted == 0, outcome.problem);
    // Whatever is right JSON is not called malformed; whatever is not yields nothing, unless the fault is where the rules do not look.
    if (whole.ok()) FUZZ_CHECK(!malformed, outcome.problem);
    const auto& rules = made->rules();
    if (!whole.ok() && rules.keep.empty() && rules.keys.empty() && rules.items.empty()) FUZZ_CHECK(outcome.events == 0, whole.error().message);

    std::vector<JsonPath> values;
    for (const auto& pointer : made->rules().value) values.push_back(*JsonPath::parse(pointer));
    for (const EventView event : events) {
        const auto data = Json::parse(event.data);
        FUZZ_CHECK(data.ok() && data->is_object(), std::string(event.data));
        FUZZ_CHECK(event.data.find('\n') == event.data.npos);
        FUZZ_CHECK(!event.id.empty() && event.id.size() <= 255 && event.key.size() <= 255 && event.ingested == at);
        FUZZ_CHECK(event.time >= Timestamp::min() && event.time <= Timestamp::max());
        const auto& wanted = made->rules().keys;
        if (!wanted.empty() && !rules.key.empty()) FUZZ_CHECK(std::find(wanted.begin(), wanted.end(), event.key) != wanted.end());
        if (planted()) FUZZ_CHECK(event.key.size() < 6 || event.key.size() > 100);
    }
    // The same message gives the same events again: nothing of it stays behind.
    EventList again;
    Notes more;
    next = 1;
    const auto second = made->decode(message, arrival, again, more);
    FUZZ_CHECK(second.events == outcome.events && second.rejected == outcome.rejected && second.unwanted == outcome.unwanted);
    for (std::size_t i = 0; i < events.size(); ++i)
        FUZZ_CHECK(events[i].data == again[i].data && events[i].id == again[i].id && events[i].key == again[i].key && events[i].time == again[i].time);
}

}  // namespace weir::fuzz
