// How an SpcProcessor stands in the log: each characteristic's chart (spc_state.cc) under `<id>/`, and beside it
//
//     <id>/m   what is known of it that is no sample: whether it is retired, when one came last, what was gathered (JSON)
#include <charconv>

#include "processors/spc_processor.h"

namespace weir {

std::vector<StatePut> SpcProcessor::save() {
    unsaved_bytes_ = 0;
    std::vector<StatePut> all;
    std::vector<std::pair<std::string, std::optional<std::string>>> puts;
    for (auto& [id, w] : watched_) {
        if (!std::exchange(w.changed, false)) continue;
        const std::string prefix = std::to_string(id) + '/';
        std::string text;
        JsonWriter json(text);
        json.object().member("config_hash", to_text(Epoch{w.config_hash})).member("retired", w.retired).member("missing", w.missing).member("refusing", w.refusing);
        json.name("last_arrival");
        if (w.last_arrival) json.value(w.last_arrival->micros());
        else json.null();
        json.member("since_capability", w.samples_since_capability);
        json.member("defined_at", w.defined_at).member("told_at", w.told_at);
        if (!w.gathered.values.empty()) {
            json.name("gathered").object().member("id", w.gathered.id).member("hash", w.gathered_hash).member("time", w.gathered.time.micros());
            json.member("nominal", w.gathered.nominal).member("part_sigma", w.gathered.part_sigma).name("values").array();
            for (const double v : w.gathered.values) json.value(v);
            json.end().end();
        }
        if (!w.reading_ids.empty()) {
            json.name("reading_ids").array();
            for (const std::uint64_t reading : w.reading_ids) json.value(reading);
            json.end();
        }
        json.end();
        all.push_back({prefix + "m", std::move(text)});
        puts.clear();
        w.chart->save(puts);
        for (auto& [key, value] : puts) all.push_back({prefix + key, std::move(value)});
    }
    return all;
}

Result<void> SpcProcessor::restore(const SavedState& state) {
    watched_.clear();
    owners_.clear();
    definitions_.clear();
    definitions_told_ = 0;
    const auto split = [](std::string_view key) {
        std::uint64_t id = 0;
        const auto slash = std::min(key.find('/'), key.size());
        (void)std::from_chars(key.data(), key.data() + slash, id);
        return std::pair(id, key.substr(std::min(slash + 1, key.size())));
    };
    const Error bad{"bad_state", "the saved state of a characteristic cannot be read"};
    // The definition first: it makes the chart.
    for (const auto& [key, value] : state) {
        const auto [id, rest] = split(key);
        if (rest != "d") continue;
        WEIR_TRY(const Json json, Json::parse(value));
        const Json* definition = json.find("definition");
        if (!definition || id == 0) return bad;
        WEIR_TRY(auto parsed, Characteristic::parse(*definition));
        Watched w;
        w.chart = std::make_unique<SpcChart>(std::move(parsed), options_.history, table_, unsaved_bytes_);
        WEIR_CHECK_OK(w.chart->restore(rest, value));
        w.changed = false;
        watched_.emplace(id, std::move(w));
    }
    for (const auto& [key, value] : state) {
        const auto [id, rest] = split(key);
        if (rest == "d") continue;
        const auto at = watched_.find(id);
        if (at == watched_.end()) return bad;
        if (rest != "m") {
            WEIR_CHECK_OK(at->second.chart->restore(rest, value));
            continue;
        }
        WEIR_TRY(const Json json, Json::parse(value));
        Watched& w = at->second;
        const auto flag = [&](const char* name) { return json.find(name) && json.find(name)->as_boolean(); };
        w.retired = flag("retired"), w.missing = flag("missing"), w.refusing = flag("refusing");
        if (const Json* last = json.find("last_arrival"); last && last->as_integer()) w.last_arrival = Timestamp::from_micros(*last->as_integer());
        const auto count = [&](const char* name) { return json.find(name) ? static_cast<std::uint64_t>(json.find(name)->as_integer().value_or(0)) : 0; };
        w.defined_at = count("defined_at"), w.told_at = count("told_at");
        definitions_told_ = std::max(definitions_told_, w.told_at);
        if (const Json* since = json.find("since_capability")) w.samples_since_capability = static_cast<std::size_t>(since->as_integer().value_or(0));
        if (const Json* gathered = json.find("gathered")) {
            const Json *reading = gathered->find("id"), *time = gathered->find("time"), *nominal = gathered->find("nominal"), *part_sigma = gathered->find("part_sigma"), *values = gathered->find("values");
            if (!reading || !time || !nominal || !part_sigma || !values) return bad;
            w.gathered.id = static_cast<std::uint64_t>(reading->as_integer().value_or(0));
            if (const Json* hash = gathered->find("hash")) w.gathered_hash = static_cast<std::uint64_t>(hash->as_integer().value_or(0));
            w.gathered.time = Timestamp::from_micros(time->as_integer().value_or(0));
            w.gathered.nominal = nominal->as_double();
            w.gathered.part_sigma = part_sigma->as_double();
            for (const Json& number : values->items()) w.gathered.values.push_back(number.as_double());
        }
        if (const Json* readings = json.find("reading_ids"))
            for (const Json& reading : readings->items()) w.reading_ids.push_back(static_cast<std::uint64_t>(reading.as_integer().value_or(0)));
        const auto hash = json.find_string("config_hash").value_or("0");
        (void)std::from_chars(hash.data(), hash.data() + hash.size(), w.config_hash, 16);
    }
    for (auto& [id, w] : watched_) {
        WEIR_CHECK_OK(w.chart->judge_restored());
        for (const auto& [violation, v] : w.chart->violations()) owners_[violation] = id;
        definitions_.emplace(w.defined_at, id);
    }
    route();
    return ok();
}

}  // namespace weir
