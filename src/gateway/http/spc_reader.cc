#include "gateway/http/spc_reader.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "event/json.h"
#include "event/json_path.h"
#include "gateway/stream_directory.h"

namespace weir {
namespace {

HttpAnswer log_failed(const Error& error) { return error_answer(GatewayError::log_unavailable, error.message); }

JsonPath path(const char* pointer) { return *JsonPath::parse(pointer); }

std::optional<std::uint64_t> id_in(const JsonPath& path, std::string_view data) {
    const auto number = path.number(data);
    return number && *number >= 1 && *number < 0x1p53 ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
}

/// A violation as it is now, its events read newest first.
struct KnownViolation {
    std::string ack;
    bool withdrawn = false, done = false;

    /// True at the event that tells the violation itself, whose newest stand this is.
    bool take(const EventView& event) {
        if (done) return false;
        if (event.type == "violation_withdrawn") withdrawn = true;
        if (event.type == "ack_update" && ack.empty()) ack = event.data;
        return done = event.type == "violation";
    }
    std::string_view state(const EventView& violation) const {
        static const JsonPath acknowledged = path("/acknowledged");
        return withdrawn ? "withdrawn" : !ack.empty() || acknowledged.find(violation.data).value_or("") == "true" ? "acknowledged" : "open";
    }
    /// `violation`'s data with its acknowledgement.
    std::string text(const EventView& violation) const {
        auto data = Json::parse(violation.data);
        if (!data.ok()) return {};
        if (const auto told = Json::parse(ack.empty() ? "{}" : ack); told.ok())
            for (const char* name : {"acknowledged", "ack_user", "ack_reason", "reason_code", "ack_time"})
                if (const Json* value = told->find(name)) data->set(name, *value);
        data->set("state", Json::string(std::string(state(violation))));
        return data->text();
    }
};

}  // namespace

Result<void> SpcReader::backwards(const Permissions& who, std::string_view stream, const std::function<bool(const EventView&)>& use) const {
    Log& log = hub_.log();
    const auto info = log.info(stream);
    if (!info || !who.sees(stream, hub_.directory().type_of(stream))) return ok();
    Boundary boundary(who.filter);
    Seq before = info->head + 1;
    for (std::size_t read = 0; before > info->first && read < searched_max;) {
        WEIR_TRY(const auto batches, log.read_before(stream, before, 1000));
        if (batches.empty()) return ok();
        for (std::size_t b = batches.size(); b-- > 0;)
            for (std::size_t i = batches[b]->events.size(); i-- > 0;) {
                if (batches[b]->seq_of(i) >= before) continue;
                ++read;
                if (boundary.sees(stream, batches[b]->events[i]) && !use(batches[b]->events[i])) return ok();
            }
        if (batches.front()->first_seq >= before) return ok();
        before = batches.front()->first_seq;
    }
    return ok();
}

// Characteristics.

Result<std::map<std::uint64_t, std::string>> SpcReader::definitions(const Permissions& who, std::optional<std::uint64_t> only) const {
    static const JsonPath characteristic_id = path("/characteristic_id");
    std::map<std::uint64_t, std::string> found, capability;
    const std::string wanted = only ? std::to_string(*only) : std::string();
    WEIR_CHECK_OK(backwards(who, characteristics_stream, [&](const EventView& event) {
        if (only && event.key != wanted) return true;
        const auto id = id_in(characteristic_id, event.data);
        if (!id) return true;
        if (event.type == "characteristic") found.emplace(*id, event.data);
        if (event.type == "capability") capability.emplace(*id, event.data);
        return !(only && event.type == "characteristic");
    }));
    for (auto& [id, text] : found) {
        const auto own = capability.find(id);
        text.pop_back();
        text += ",\"capability\":" + (own == capability.end() ? std::string("null") : own->second) + "}";
    }
    return found;
}

HttpAnswer SpcReader::characteristics(const Permissions& who) const {
    const auto found = definitions(who, std::nullopt);
    if (!found.ok()) return log_failed(found.error());
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().name("characteristics").array();
    for (const auto& [id, text] : *found) json.raw(text);
    json.end().name("reason_codes").object();
    for (const auto& [code, text] : options_.reasons()) json.member(code, text);
    json.end().end();
    return answer;
}

HttpAnswer SpcReader::characteristic(const Permissions& who, std::uint64_t id) const {
    const auto found = definitions(who, id);
    if (!found.ok()) return log_failed(found.error());
    if (found->empty()) return error_answer(GatewayError::unknown_characteristic, std::to_string(id));
    HttpAnswer answer;
    answer.body = found->begin()->second;
    return answer;
}

HttpAnswer SpcReader::limits(const Permissions& who, std::uint64_t id) const {
    static const JsonPath versions = path("/limits_versions");
    const auto found = definitions(who, id);
    if (!found.ok()) return log_failed(found.error());
    if (found->empty()) return error_answer(GatewayError::unknown_characteristic, std::to_string(id));
    HttpAnswer answer;
    JsonWriter(answer.body).object().member("characteristic_id", id).name("limits_versions").raw(versions.find(found->begin()->second).value_or("[]")).end();
    return answer;
}

// Samples.

HttpAnswer SpcReader::samples(const Permissions& who, const SampleQuery& query) const {
    static const JsonPath sample_id = path("/sample_id");
    const std::string key = std::to_string(query.characteristic);
    struct Newest {
        Timestamp time;
        std::uint64_t id = 0;
        std::string data;
    };
    // Newest first: what is seen first of a sample is how it is now. A sample may have moved in time, so the bounds come last.
    std::unordered_map<std::uint64_t, Newest> found;
    std::size_t inside = 0;
    const auto read = backwards(who, samples_stream, [&](const EventView& event) {
        if (event.key != key) return true;
        const auto id = sample_id.number(event.data);
        if (!id) return true;
        const auto number = static_cast<std::uint64_t>(*id);
        if (!found.emplace(number, Newest{event.time, number, {}}).second) return true;
        if ((query.from && event.time < *query.from) || (query.to && event.time >= *query.to)) return true;
        found[number].data = event.data;
        // Some more than asked for: late samples stand before those that they are younger than.
        return ++inside < query.limit + 300;
    });
    if (!read.ok()) return log_failed(read.error());
    std::vector<Newest> all;
    for (auto& [id, newest] : found)
        if (!newest.data.empty()) all.push_back(std::move(newest));
    std::sort(all.begin(), all.end(), [](const Newest& a, const Newest& b) { return std::pair(a.time, a.id) < std::pair(b.time, b.id); });
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().member("characteristic_id", query.characteristic).name("samples").array();
    for (std::size_t i = all.size() > query.limit ? all.size() - query.limit : 0; i < all.size(); ++i) json.raw(all[i].data);
    json.end().end();
    return answer;
}

// Violations.

HttpAnswer SpcReader::violations(const Permissions& who, const ViolationQuery& query) const {
    static const JsonPath violation_id = path("/violation_id");
    const std::string key = query.characteristic ? std::to_string(*query.characteristic) : std::string();
    std::unordered_map<std::uint64_t, KnownViolation> known;
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().name("violations").array();
    std::size_t count = 0;
    const auto read = backwards(who, violations_stream, [&](const EventView& event) {
        if (!key.empty() && event.key != key) return true;
        const auto id = id_in(violation_id, event.data);
        if (!id) return true;
        KnownViolation& violation = known[*id];
        if (!violation.take(event) || (query.state != "all" && query.state != violation.state(event))) return true;
        const std::string text = violation.text(event);
        if (text.empty()) return true;
        json.raw(text);
        return ++count < query.limit;
    });
    if (!read.ok()) return log_failed(read.error());
    json.end().end();
    return answer;
}

HttpAnswer SpcReader::violation(const Permissions& who, std::uint64_t wanted) const {
    static const JsonPath violation_id = path("/violation_id");
    KnownViolation violation;
    HttpAnswer answer;
    const auto read = backwards(who, violations_stream, [&](const EventView& event) {
        if (id_in(violation_id, event.data) != wanted || !violation.take(event)) return true;
        answer.body = violation.text(event);
        return false;
    });
    if (!read.ok()) return log_failed(read.error());
    if (answer.body.empty()) return error_answer(GatewayError::unknown_violation, std::to_string(wanted));
    return answer;
}

std::optional<std::pair<GatewayError, std::uint64_t>> SpcReader::what_is_outside(const Permissions& who, Json& data) const {
    std::set<std::uint64_t> wanted;
    const auto number = [](const Json* json) { return json && json->is_number() ? static_cast<std::uint64_t>(json->as_integer().value_or(0)) : 0; };
    const Json* list = data.find("violation_ids");
    if (list && list->is_array())
        for (const Json& item : list->items()) wanted.insert(number(&item));
    if (const Json* one = data.find("violation_id")) wanted.insert(number(one));
    const std::uint64_t characteristic = number(data.find("characteristic_id"));
    if (wanted.empty() && characteristic != 0) {
        bool seen = false;
        const std::string key = std::to_string(characteristic);
        (void)backwards(who, characteristics_stream, [&](const EventView& event) { return !(seen = event.key == key && event.type == "characteristic"); });
        if (!seen) return std::pair(GatewayError::unknown_characteristic, characteristic);
    }
    const bool all_open = wanted.empty() && data.find("user") && characteristic != 0;
    static const JsonPath violation_id = path("/violation_id");
    std::set<std::uint64_t> seen, closed;
    std::vector<Json> open;
    const std::string key = std::to_string(characteristic);
    if (!wanted.empty() || all_open)
        (void)backwards(who, violations_stream, [&](const EventView& event) {
            const auto id = violation_id.number(event.data);
            if (!id || (all_open && event.key != key)) return true;
            const auto known = static_cast<std::uint64_t>(*id);
            if (event.type == "violation_withdrawn" || event.type == "ack_update") closed.insert(known);
            if (event.type != "violation" || !seen.insert(known).second) return true;
            if (all_open && !closed.contains(known)) open.push_back(Json::integer(static_cast<std::int64_t>(known)));
            wanted.erase(known);
            return all_open || !wanted.empty();
        });
    if (!wanted.empty()) return std::pair(GatewayError::unknown_violation, *wanted.begin());
    if (all_open) data.set("violation_ids", Json::array(std::move(open)));
    return std::nullopt;
}

}  // namespace weir
