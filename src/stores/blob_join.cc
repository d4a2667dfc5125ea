#include "stores/blob_join.h"

#include <algorithm>
#include <map>
#include <set>

namespace weir {
namespace {

/// One key's part of a document.
struct Part {
    Json document;  ///< as it stands there
    std::vector<BlobReading> readings;
    std::map<std::string, std::uint64_t> joined;  ///< epoch to revision
    std::uint64_t revision = 0;
    std::optional<std::uint64_t> expected;

    std::set<std::string_view> ids() const {
        std::set<std::string_view> ids;
        for (const BlobReading& reading : readings) ids.insert(reading.id);
        return ids;
    }
};
struct Document {
    Json head;  ///< of a bundle
    bool bundle = false;
    std::map<std::string, Part> parts;  ///< by key
};

std::optional<std::uint64_t> count(const Json* number) {
    const auto value = number ? number->as_integer() : std::nullopt;
    return value && *value >= 0 ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
}

std::optional<Part> parse_part(const Json& document) {
    Part part;
    const Json *readings = document.find("readings"), *joined = document.find("joined"), *window = document.find("window"), *coverage = document.find("coverage");
    const auto revision = count(document.find("revision"));
    if (!readings || !readings->is_array() || !window || !revision || !document.find_string("key")) return std::nullopt;
    part.revision = *revision;
    if (const auto epoch = document.find_string("epoch")) part.joined.emplace(*epoch, *revision);
    else if (joined)
        for (const Json& log : joined->items()) part.joined.emplace(log.find_string("epoch").value_or(""), count(log.find("revision")).value_or(0));
    if (part.joined.empty()) return std::nullopt;
    if (coverage) part.expected = count(coverage->find("expected"));
    for (const Json& item : readings->items()) {
        BlobReading reading;
        const auto id = item.find_string("id"), source = item.find_string("source"), time = item.find_string("time"), ingested = item.find_string("ingested");
        const Json* value = item.find("value");
        const auto at = time ? parse_rfc3339(*time) : std::nullopt, taken = ingested ? parse_rfc3339(*ingested) : std::nullopt;
        if (!id || !source || !at || !taken || !value || !value->is_number()) return std::nullopt;
        reading.id = *id;
        reading.source = *source;
        reading.value = value->number_text();
        reading.time = *at;
        reading.ingested = *taken;
        part.readings.push_back(std::move(reading));
    }
    part.document = document;
    return part;
}

std::optional<Document> parse(const std::string& text) {
    const auto json = Json::parse(text);
    if (!json.ok()) return std::nullopt;
    Document document;
    const Json* results = json->find("results");
    document.bundle = results && results->is_array();
    document.head = *json;
    std::vector<Json> single{*json};
    for (const Json& one : document.bundle ? results->items() : single) {
        auto part = parse_part(one);
        if (!part) return std::nullopt;
        std::string key(*one.find_string("key"));
        document.parts.emplace(std::move(key), *std::move(part));
    }
    return document;
}

/// What of `part` is not in `other`: first and last time, nullopt for nothing.
std::optional<std::pair<Timestamp, Timestamp>> beyond(const Part& part, const Part& other) {
    const auto ids = other.ids();
    std::optional<std::pair<Timestamp, Timestamp>> range;
    for (const BlobReading& r : part.readings) {
        if (ids.contains(r.id)) continue;
        range = range ? std::pair(std::min(range->first, r.time), std::max(range->second, r.time)) : std::pair(r.time, r.time);
    }
    return range;
}

/// Whether an id stands for different readings in the two: then ids say nothing.
bool contradict(const Part& a, const Part& b) {
    std::map<std::string_view, const BlobReading*> by_id;
    for (const BlobReading& r : a.readings) by_id.emplace(r.id, &r);
    return std::any_of(b.readings.begin(), b.readings.end(), [&](const BlobReading& r) {
        const auto known = by_id.find(r.id);
        return known != by_id.end() && (known->second->time != r.time || known->second->value != r.value);
    });
}

std::optional<Part> join_parts(const Part& there, const Part& ours, const BlobJoin& join) {
    if (contradict(there, ours)) return std::nullopt;
    const auto only_there = beyond(there, ours), only_ours = beyond(ours, there);
    const bool ours_is_in = std::all_of(ours.joined.begin(), ours.joined.end(), [&](const auto& log) {
        const auto known = there.joined.find(log.first);
        return known != there.joined.end() && known->second >= log.second;
    });
    const bool ours_is_new = std::none_of(ours.joined.begin(), ours.joined.end(), [&](const auto& log) { return there.joined.contains(log.first); });
    if (ours_is_in || (!only_ours && ours_is_new)) return there;
    if (!only_there) return ours;

    std::vector<BlobReading> readings = there.readings;
    readings.insert(readings.end(), ours.readings.begin(), ours.readings.end());
    // Of one id the one that was taken first; in both orders of joining the same.
    std::sort(readings.begin(), readings.end(), [](const BlobReading& a, const BlobReading& b) { return std::tie(a.id, a.ingested, a.source) < std::tie(b.id, b.ingested, b.source); });
    readings.erase(std::unique(readings.begin(), readings.end(), [](const BlobReading& a, const BlobReading& b) { return a.id == b.id; }), readings.end());
    std::sort(readings.begin(), readings.end(), [](const BlobReading& a, const BlobReading& b) { return std::tie(a.time, a.ingested, a.id) < std::tie(b.time, b.ingested, b.id); });

    if (only_ours) {
        const auto expected = std::max(there.expected, ours.expected);
        const std::size_t most = std::max({there.readings.size(), ours.readings.size(), static_cast<std::size_t>(expected.value_or(0))});
        if (expected ? readings.size() > most + 1 + most / 50 : only_ours->first <= only_there->second && only_there->first <= only_ours->second) return std::nullopt;
    }
    Part part;
    part.joined = there.joined;
    for (const auto& [epoch, revision] : ours.joined) part.joined[epoch] = std::max(part.joined[epoch], revision);
    for (const auto& [epoch, revision] : part.joined) part.revision += revision + 1;
    --part.revision;
    const auto document = join(there.document, ours.document, readings, part.revision);
    if (!document.ok()) return std::nullopt;
    std::string text = *document;
    text.pop_back();
    text += ",\"epoch\":null,";
    std::string more;
    JsonWriter json(more);
    json.object().name("joined").array();
    for (const auto& [epoch, revision] : part.joined) json.object().member("epoch", epoch).member("revision", revision).end();
    json.end();
    write_readings(json, readings);
    json.end();
    text.append(more, 1);
    auto parsed = Json::parse(text);
    if (!parsed.ok()) return std::nullopt;
    part.document = *std::move(parsed);
    part.readings = std::move(readings);
    return part;
}

}  // namespace

std::optional<std::string> join_documents(const std::string& there, const std::string& ours, const BlobJoin& join) {
    auto a = parse(there);
    const auto b = parse(ours);
    if (!a || !b || b->parts.empty()) return std::nullopt;
    const bool bundle = a->bundle || b->bundle;
    bool as_there = a->bundle || !b->bundle, as_ours = b->bundle || !a->bundle;
    if (!bundle && a->parts.begin()->first != b->parts.begin()->first) return std::nullopt;
    for (const auto& [key, part] : b->parts) {
        const auto known = a->parts.find(key);
        if (known == a->parts.end()) {
            as_there = false;
            a->parts.emplace(key, part);
            continue;
        }
        auto joined = join_parts(known->second, part, join);
        if (!joined) return std::nullopt;
        as_there = as_there && joined->document == known->second.document;
        as_ours = as_ours && joined->document == part.document;
        known->second = *std::move(joined);
    }
    if (as_there) return there;
    if (as_ours && a->parts.size() == b->parts.size()) return ours;
    if (!bundle) return a->parts.begin()->second.document.text();
    // The head is the same in both, but for what stands below.
    Json head = b->bundle ? b->head : a->head;
    std::uint64_t revision = 0;
    std::vector<Json> results;
    for (auto& [key, part] : a->parts) {
        revision += part.revision + 1;
        results.push_back(std::move(part.document));
    }
    head.set("revision", Json::integer(static_cast<std::int64_t>(revision)));
    head.set("epoch", Json());
    head.set("results", Json::array(std::move(results)));
    return head.text();
}

std::string without_readings(const std::string& document) {
    auto json = Json::parse(document);
    if (!json.ok()) return document;
    const auto strip = [](Json& object) { std::erase_if(object.members(), [](const Json::Member& member) { return member.first == "readings"; }); };
    strip(*json);
    for (auto& [name, value] : json->members())
        if (name == "results")
            for (Json& result : value.items()) strip(result);
    return json->text();
}

std::uint64_t revision_of(const std::string& document) {
    const auto json = Json::parse(document);
    return json.ok() ? count(json->find("revision")).value_or(0) : 0;
}

}  // namespace weir
