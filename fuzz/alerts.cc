// Rules and commands of alerts as clients send them, among readings and the passing of time: whatever comes, each alert goes its way from pending to
// resolved, and a processor that is put together again from its state tells the same as one that goes on.
#include <map>

#include "fuzz.h"
#include "processors/alert_test_support.h"

namespace weir::fuzz {
namespace {

const char* const presets[] = {
    R"({"name":"a","stream":"pools","values":["/fill"],"condition":"above","level":100,"clear":90})",
    R"({"name":"a","stream":"pools","values":["/none","/fill"],"condition":"below","level":5,"clear":7,"for":"10s","resolve_after":"5s","tell_pending":true,"count":2})",
    R"({"name":"a","kind":"rate","stream":"pools","values":["/fill"],"condition":"above","level":10,"over":"10s","per":"1s","per_key":false,"refire_after":"30s","title":"{/name} rises"})",
    R"({"name":"a","kind":"silence","stream":"pools","for":"20s","keys":["A","B"]},{"name":"v","kind":"violation","stream":"spc.violations","from_severity":"warning","escalate_after":"30s","escalate_to":"fatal","severity":"info"})"};

/// The way of one alert, as its events tell it.
void follow(std::map<std::string, std::string>& states, const AlertRig::Message& told) {
    FUZZ_CHECK(told.stream == "alerts" && told.type == "alert" && told.key.size() <= 255);
    const auto data = Json::parse(told.text);
    FUZZ_CHECK(data.ok(), told.text);
    const auto text = [&](const char* name) { return std::string(data->find_string(name).value_or("")); };
    const auto is_null = [&](const char* name) { return data->find(name) && data->find(name)->is_null(); };
    const std::string id = text("id"), state = text("state"), change = text("change");
    FUZZ_CHECK(id.size() == 32);
    std::string& before = states[id];
    if (change == "pending") FUZZ_CHECK(before.empty(), told.text);
    if (change == "firing") FUZZ_CHECK(before.empty() || before == "pending", told.text);
    if (change == "inactive") FUZZ_CHECK(before == "pending", told.text);
    if (change == "resolved") FUZZ_CHECK(before == "firing" && !(planted() && data->find("value")->number_text() == "7"), told.text);
    if (change == "acknowledged") FUZZ_CHECK(before == "firing" || before == "resolved", told.text);
    if (change == "escalated" || change == "repeated") FUZZ_CHECK(state == before && state != "resolved" && state != "inactive", told.text);
    if (change == "pending" || change == "firing" || change == "resolved" || change == "inactive") FUZZ_CHECK(state == change, told.text);
    FUZZ_CHECK((state == "firing" || state == "resolved") == !is_null("triggered_at"), told.text);
    FUZZ_CHECK((state == "resolved") == !is_null("resolved_at"), told.text);
    FUZZ_CHECK(data->find("duration_seconds")->as_double() >= 0, told.text);
    before = state;
}

/// A rule that is one says of itself what it was read from.
void read_again(const Json& json) {
    const auto rule = AlertRule::parse(json);
    if (!rule.ok()) return;
    std::vector<std::string> values;
    for (const JsonPath& path : rule->values) values.push_back(path.pointer().text());
    const auto again = AlertRule::parse(AlertRule::json_of(rule->name, rule->options, values));
    FUZZ_CHECK(again.ok(), again.ok() ? "" : again.error().message);
    const auto told = [](const AlertRule& r) { return AlertRule::json_of(r.name, r.options, {}).text(); };
    FUZZ_CHECK(told(*rule) == told(*again));
}

}  // namespace

void alerts(std::string_view bytes) {
    Input input(bytes);
    AlertRig rig, twin;
    // Without a restart there is nothing that the twin could do otherwise.
    const bool restarts = bytes.find("\nx") != bytes.npos;
    std::map<std::string, std::string> states;
    std::string newest;
    std::size_t shown = 0, compared = 0;
    const auto check = [&](const std::vector<AlertRig::Message>& told) {
        for (const auto& message : told) {
            follow(states, message);
            newest = message["id"];
        }
        if (!restarts) return;
        for (; shown < rig.recorded.size(); ++shown) twin.process(*rig.recorded[shown]);
        for (; compared < std::max(rig.written.size(), twin.written.size()); ++compared)
            FUZZ_CHECK(compared < std::min(rig.written.size(), twin.written.size()) && rig.written[compared] == twin.written[compared]);
    };
    check(rig.rules(presets[input.byte() % std::size(presets)]));
    // A dozen steps reach everything; more cost more than they find.
    for (int steps = 0; steps < 12 && !input.rest().empty(); ++steps) {
        const std::string_view line = input.line();
        if (line.empty()) continue;
        std::string rest(line.substr(1));
        // Commands are about alerts that there are.
        if (const auto at = rest.find("$"); at != std::string::npos) rest.replace(at, 1, newest);
        const auto is_json = [&](std::string_view text) { return Json::parse(text).ok() && text.size() < 1000; };
        switch (line[0]) {
            case 'r':
                if (const auto json = Json::parse(rest); json.ok()) read_again(*json);
                check(rig.send("put_rules", "{\"rules\":[" + rest + "]}", AlertProcessor::input));
                break;
            case 'a': check(rig.send("acknowledge", rest, AlertProcessor::input)); break;
            case 's': check(rig.send("shelve", rest, AlertProcessor::input)); break;
            case 'u': check(rig.send("unshelve", rest, AlertProcessor::input)); break;
            case 'x': rig.restart(); break;
            case 't': check(rig.pass(std::chrono::milliseconds(rest.empty() ? 1000 : 250 * static_cast<unsigned char>(rest[0])))); break;
            case 'v':
                if (rest.size() > 1 && is_json(rest.substr(1)))
                    check(rig.send(rest[0] == '0' ? "violation" : rest[0] == '1' ? "ack_update" : "violation_withdrawn", rest.substr(1), "spc.violations", "1"));
                break;
            default: {
                // A reading of one of a few keys, some of them late or from the future.
                if (!is_json(rest)) break;
                const auto late = std::chrono::milliseconds(500 * (static_cast<int>(static_cast<unsigned char>(line[0]) >> 4) - 4));
                check(rig.send("reading", "{\"fill\":" + rest + ",\"name\":\"P\"}", "pools", std::string(1, static_cast<char>('A' + (line[0] & 3))), rig.now - late));
            }
        }
    }
}

}  // namespace weir::fuzz
