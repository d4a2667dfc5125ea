#include "gateway/http/spc_reader.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "event/json.h"
#include "event/json_path.h"
#include "gateway/http/read_backwards.h"
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
            for (const char* name : {"acknowledged", "ack_user", "ack_on_behalf_of", "ack_reason", "reason_code", "ack_time"})
                if (const Json* value = told->find(name)) data->set(name, *value);
        data->set("state", Json::string(std::string(state(violation))));
        return data->text();
    }
};

}  // namespace

Result<bool> SpcReader::backwards(const Permissions& who, std::string_view stream, const Use& use) const { return read_backwards(hub_, who, stream, searched_max, use); }

Result<bool> SpcReader::backwards_within(const Permissions& who, std::string_view stream, const std::string& key, Timestamp from, Timestamp to, const Use& use) const {
    if (!who.sees(stream, hub_.directory().type_of(stream))) return true;
    Log::TimeRange range{.from = from, .to = to, .key = key.empty() ? std::nullopt : std::optional(key), .events_max = searched_max};
    WEIR_TRY(const auto found, hub_.log().find(stream, range));
    Boundary boundary(who.filter);
    for (std::size_t i = found.size(); i-- > 0;)
        if (boundary.sees(stream, found.event(i)) && !use(found.event(i))) break;
    return !found.more;
}

// Characteristics.

Result<std::map<std::uint64_t, std::string>> SpcReader::definitions(const Permissions& who, std::optional<std::uint64_t> only) const {
    static const JsonPath characteristic_id = path("/characteristic_id");
    std::map<std::uint64_t, std::string> found, capability, gathering;
    std::size_t since_new = 0;
    const std::string wanted = only ? std::to_string(*only) : std::string();
    WEIR_TRY(const bool complete, backwards(who, characteristics_stream, [&](const EventView& event) {
        if (only && event.key != wanted) return true;
        const auto id = id_in(characteristic_id, event.data);
        if (!id) return true;
        // What is told of one behind its definition is newer than that: nothing before it counts.
        if (event.type == "capability" && !found.contains(*id)) capability.emplace(*id, event.data);
        if (event.type == "gathering" && !found.contains(*id)) gathering.emplace(*id, event.data);
        since_new = event.type == "characteristic" && found.emplace(*id, event.data).second ? 0 : since_new + 1;
        return since_new < definitions_within && !(only && event.type == "characteristic");
    }));
    (void)complete;
    for (auto& [id, text] : found) {
        text.pop_back();
        for (const auto& [name, own] : {std::pair("capability", &capability), std::pair("gathering", &gathering)}) {
            const auto at = own->find(id);
            text.append(",\"").append(name).append("\":").append(at == own->end() ? std::string("null") : at->second);
        }
        text += '}';
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

namespace {

struct NewestSample {
    Timestamp time;
    std::uint64_t id = 0;
    std::string data;
};

}  // namespace

// From the end of the range backwards, in stretches of time: each four times as long, so that few reads find few samples wherever they are, and shorter
// where there is more than was wanted. The log finds a stretch by the times of its blocks. A stretch tells all of itself: each of its
// samples as it is now stands behind what it was, and one that moved away in time says so.
HttpAnswer SpcReader::samples(const Permissions& who, const SampleQuery& query) const {
    static const JsonPath sample_id = path("/sample_id");
    constexpr std::size_t stretch_max = 20'000;
    Log& log = hub_.log();
    const auto info = log.info(samples_stream);
    std::vector<NewestSample> all;  // newest first
    std::optional<std::pair<Timestamp, std::uint64_t>> earlier;
    bool complete = true;
    if (info && info->first_time && info->last_time && who.sees(samples_stream, hub_.directory().type_of(samples_stream))) {
        const Duration instant = std::chrono::microseconds(1);
        const Timestamp first = std::max(query.from.value_or(Timestamp::min()), *info->first_time);
        Timestamp end = std::min(query.to ? query.before > 0 ? *query.to + instant : *query.to : Timestamp::max(), *info->last_time + instant);
        Duration width = 1s;
        std::size_t searched = 0;
        Boundary boundary(who.filter);
        while (end > first && all.size() <= query.limit) {
            const Timestamp begin = end - first > width ? end - width : first;
            std::unordered_map<std::uint64_t, NewestSample> stretch;
            Log::TimeRange range{.from = begin, .to = end, .key = std::to_string(query.characteristic), .events_max = stretch_max};
            bool more = true;
            while (more) {
                const auto found = log.find(samples_stream, range);
                if (!found.ok()) return log_failed(found.error());
                more = found->more;
                searched += found->size();
                // Of one instant all must be seen; else a shorter stretch is enough.
                if (more && end - begin > instant) break;
                for (std::size_t i = 0; i < found->size(); ++i) {
                    const EventView event = found->event(i);
                    const auto id = id_in(sample_id, event.data);
                    if (!id || (query.before > 0 && event.time == *query.to && *id >= query.before)) continue;
                    if (event.type == "sample" && boundary.sees(samples_stream, event)) stretch.insert_or_assign(*id, NewestSample{event.time, *id, std::string(event.data)});
                    else stretch.erase(*id);
                }
                if (found->size() > 0) range.after = found->positions.back().first;
            }
            if (searched >= searched_max && (more || stretch.size() + all.size() <= query.limit)) {
                complete = false;
                earlier = std::pair(more ? end : begin, std::uint64_t{0});
                if (more) break;
            }
            if (more) {
                width = std::max(width / 8, instant);
                continue;
            }
            const auto older = static_cast<std::ptrdiff_t>(all.size());
            for (auto& [id, sample] : stretch) all.push_back(std::move(sample));
            std::sort(all.begin() + older, all.end(), [](const NewestSample& a, const NewestSample& b) { return std::pair(a.time, a.id) > std::pair(b.time, b.id); });
            if (!complete) break;
            end = begin;
            width = std::min(width * 4, Duration(366 * 24h));
        }
        if (complete && (all.size() > query.limit || end > first)) {
            all.resize(std::min(all.size(), query.limit));
            earlier = std::pair(all.back().time, all.back().id);
        }
    }
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().member("characteristic_id", query.characteristic).name("samples").array();
    for (std::size_t i = all.size(); i-- > 0;) json.raw(all[i].data);
    json.end().member("complete", complete).name("earlier");
    if (earlier) json.object().member("to", earlier->first).member("before", earlier->second).end();
    else json.null();
    json.end();
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
    // Newest first: what is seen first of a violation is how it is now. All that is told of one stands at its sample's time.
    const Use use = [&](const EventView& event) {
        if (!key.empty() && event.key != key) return true;
        const auto id = id_in(violation_id, event.data);
        if (!id) return true;
        KnownViolation& violation = known[*id];
        if (!violation.take(event) || (query.state != "all" && query.state != violation.state(event))) return true;
        const std::string text = violation.text(event);
        if (text.empty()) return true;
        json.raw(text);
        return ++count < query.limit;
    };
    const auto read = query.from || query.to ? backwards_within(who, violations_stream, key, query.from.value_or(Timestamp::min()), query.to.value_or(Timestamp::max()), use)
                                             : backwards(who, violations_stream, use);
    if (!read.ok()) return log_failed(read.error());
    json.end().member("complete", *read && count < query.limit).end();
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
    if (answer.body.empty())
        return error_answer(GatewayError::unknown_violation, std::to_string(wanted) + (*read ? "" : "; the newest " + std::to_string(searched_max) + " events were searched, `from` and `to` of /api/v1/violations find older ones"));
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
