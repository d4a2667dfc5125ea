// How a characteristic's chart stands in the log: one key a thing that changes by itself, so that a snapshot writes what changed.
//
//     d              definition and versions (JSON)
//     b              the last sample that was trimmed, with what an EWMA or CUSUM goes on from
//     s/<block>      64 samples that came one after another
//     v/<violation>  one violation, with its acknowledgement
//
// Where samples lie on the charts is not kept: it follows from them.
#include <charconv>

#include "event/json.h"
#include "processors/spc_chart.h"
#include "processors/state_bytes.h"

namespace weir {
namespace {

using analytics::put_raw;

Error bad_state(std::string_view what) { return {"bad_state", "a characteristic's saved " + std::string(what) + " cannot be read"}; }

void put_record(std::string& out, const SpcRecord& r) {
    put_raw(out, r.sample.id);
    put_raw(out, r.sample.time.micros());
    put_raw(out, static_cast<std::uint8_t>(r.sample.excluded));
    put_raw(out, r.revision);
    put_raw(out, r.version);
    put_raw(out, r.sample.size);
    put_raw(out, r.sample.nominal);
    put_raw(out, r.sample.part_sigma);
    put_raw(out, static_cast<std::uint16_t>(r.sample.values.size()));
    for (const double v : r.sample.values) put_raw(out, v);
}

SpcRecord take_record(Taker& take) {
    SpcRecord r;
    r.sample.id = take.number<std::uint64_t>();
    r.sample.time = take.time();
    r.sample.excluded = take.number<std::uint8_t>() != 0;
    r.revision = take.number<std::uint32_t>();
    r.version = take.number<std::uint32_t>();
    r.sample.size = take.number<double>();
    r.sample.nominal = take.number<double>();
    r.sample.part_sigma = take.number<double>();
    const auto n = take.number<std::uint16_t>();
    for (std::uint16_t i = 0; i < n && take.good; ++i) r.sample.values.push_back(take.number<double>());
    return r;
}

}  // namespace

void SpcChart::save(std::vector<std::pair<std::string, std::optional<std::string>>>& puts) {
    if (std::exchange(dirty_definition_, false)) {
        std::string text;
        std::string definition;
        JsonWriter json(text);
        definition_.json.print(definition);
        json.object().name("definition").raw(definition).member("phase_one_next", phase_one_next_).member("trimmed", trimmed_);
        json.name("versions").array();
        for (const SpcVersion& v : versions_) {
            definition.clear();
            v.definition.json.print(definition);
            json.object().member("number", v.number).member("from", v.from.micros()).name("definition").raw(definition).name("limits");
            if (v.limits) {
                json.array().value(v.limits->centre).value(v.limits->sigma).value(v.limits->limit_sigmas).value(v.limits->sigma_z).end();
            } else {
                json.null();
            }
            json.name("origin").raw(v.origin).end();
        }
        json.end().end();
        puts.emplace_back("d", std::move(text));
        if (before_) {
            std::string bytes;
            put_record(bytes, *before_);
            put_raw(bytes, before_->state.first);
            put_raw(bytes, before_->state.second);
            puts.emplace_back("b", std::move(bytes));
        }
    }
    if (!dirty_.empty()) {
        std::map<std::uint32_t, std::string> bytes;
        for (const SpcRecord& r : records_)
            if (dirty_.contains(r.block)) put_record(bytes[r.block], r);
        for (const std::uint32_t block : dirty_) {
            const auto at = bytes.find(block);
            puts.emplace_back("s/" + std::to_string(block), at == bytes.end() ? std::nullopt : std::optional(std::move(at->second)));
        }
        dirty_.clear();
    }
    for (const std::uint64_t id : dirty_violations_) {
        const auto at = violations_.find(id);
        std::optional<std::string> bytes;
        if (at != violations_.end()) {
            const SpcViolation& v = at->second;
            bytes.emplace();
            put_raw(*bytes, v.chart);
            put_raw(*bytes, static_cast<std::uint8_t>(v.rule));
            put_raw(*bytes, static_cast<std::uint8_t>(v.side));
            put_raw(*bytes, v.sample);
            put_raw(*bytes, v.time.micros());
            put_raw(*bytes, v.version);
            put_raw(*bytes, v.revision);
            put_raw(*bytes, v.content);
            put_raw(*bytes, static_cast<std::uint8_t>(v.withdrawn));
            put_raw(*bytes, static_cast<std::uint8_t>(v.ack.has_value()));
            if (v.ack) {
                put_text(*bytes, v.ack->user);
                put_text(*bytes, v.ack->reason);
                put_text(*bytes, v.ack->code);
                put_raw(*bytes, v.ack->time.micros());
                put_text(*bytes, v.ack->on_behalf_of);
            }
        }
        puts.emplace_back("v/" + std::to_string(id), std::move(bytes));
    }
    dirty_violations_.clear();
}

Result<void> SpcChart::restore(std::string_view key, std::string_view bytes) {
    Taker take{bytes};
    if (key == "d") {
        WEIR_TRY(const Json json, Json::parse(bytes));
        const Json *definition = json.find("definition"), *versions = json.find("versions"), *next = json.find("phase_one_next"), *trimmed = json.find("trimmed");
        if (!definition || !versions || !next || !trimmed || versions->items().empty()) return bad_state("definition");
        WEIR_TRY(definition_, Characteristic::parse(*definition));
        phase_one_next_ = static_cast<std::size_t>(next->as_integer().value_or(0));
        trimmed_ = trimmed->as_boolean();
        versions_.clear();
        for (const Json& item : versions->items()) {
            const Json *number = item.find("number"), *from = item.find("from"), *own = item.find("definition"), *limits = item.find("limits"), *origin = item.find("origin");
            if (!number || !from || !own || !limits || !origin) return bad_state("version");
            SpcVersion v;
            v.number = static_cast<std::uint32_t>(number->as_integer().value_or(0));
            v.from = Timestamp::from_micros(from->as_integer().value_or(0));
            WEIR_TRY(v.definition, Characteristic::parse(*own));
            if (limits->is_array() && limits->items().size() == 4)
                v.limits = analytics::ControlLimits{.centre = limits->items()[0].as_double(), .sigma = limits->items()[1].as_double(), .limit_sigmas = limits->items()[2].as_double(), .sigma_z = limits->items()[3].as_double()};
            v.origin = origin->text();
            versions_.push_back(std::move(v));
        }
        dirty_definition_ = false;
        return ok();
    }
    if (key == "b") {
        before_ = take_record(take);
        before_->state.first = take.number<double>();
        before_->state.second = take.number<double>();
        return take.good ? Result<void>(ok()) : Result<void>(bad_state("last sample"));
    }
    std::uint64_t number = 0;
    if (key.size() < 3 || std::from_chars(key.data() + 2, key.data() + key.size(), number).ec != std::errc()) return bad_state("key");
    if (key.starts_with("s/")) {
        while (take.good && !take.in.empty()) {
            SpcRecord record = take_record(take);
            record.block = static_cast<std::uint32_t>(number);
            Block& block = blocks_[record.block];
            ++block.samples;
            block.values += record.sample.values.size();
            values_ += record.sample.values.size();
            if (record.block >= last_block_) {
                last_block_ = record.block;
                last_block_size_ = block;
            }
            if (!times_.emplace(record.sample.id, record.sample.time).second) return bad_state("samples");
            records_.push_back(std::move(record));
        }
        return take.good ? Result<void>(ok()) : Result<void>(bad_state("samples"));
    }
    SpcViolation v;
    v.id = number;
    v.chart = take.number<std::uint8_t>();
    v.rule = static_cast<analytics::RuleId>(take.number<std::uint8_t>());
    v.side = static_cast<analytics::Side>(take.number<std::uint8_t>());
    v.sample = take.number<std::uint64_t>();
    v.time = take.time();
    v.version = take.number<std::uint32_t>();
    v.revision = take.number<std::uint32_t>();
    v.content = take.number<std::uint64_t>();
    v.withdrawn = take.number<std::uint8_t>() != 0;
    if (take.number<std::uint8_t>() != 0) {
        SpcAcknowledgement ack;
        ack.user = take.text();
        ack.reason = take.text();
        ack.code = take.text();
        ack.time = take.time();
        if (!take.in.empty()) ack.on_behalf_of = take.text();  // not there in what 0.1 saved
        v.ack = std::move(ack);
    }
    if (!take.good || !analytics::rule_with_id(static_cast<int>(v.rule))) return bad_state("violation");
    violations_.emplace(number, std::move(v));
    return ok();
}

Result<void> SpcChart::judge_restored() {
    std::sort(records_.begin(), records_.end(), [](const SpcRecord& a, const SpcRecord& b) { return place_of(a) < place_of(b); });
    judge(0, records_.size(), nullptr);
    return ok();
}

}  // namespace weir
