#include "processors/spc_processor.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "processors/spc_documents.h"
#include "processors/spc_members.h"

namespace weir {

using namespace members;
using namespace spc_members;

namespace {

std::string id_text(std::uint64_t id) { return std::to_string(id); }

/// The same numbers for every processor; immutable, and milliseconds to make.
const analytics::ConstantsTable& constants() {
    static const analytics::ConstantsTable table = [] {
        auto made = analytics::ConstantsTable::up_to(Characteristic::values_max);
        WEIR_ASSERT(made.ok());
        return *std::move(made);
    }();
    return table;
}

}  // namespace

SpcProcessor::SpcProcessor(const SpcOptions& options, std::vector<StreamName> sources)
    : options_(options),
      inputs_{StreamName(input)},
      outputs_{StreamName(samples_out), StreamName(violations_out), StreamName(characteristics_out), StreamName(answers_out)},
      table_(constants()) {
    for (auto& source : sources)
        if (std::find(inputs_.begin(), inputs_.end(), source) == inputs_.end()) inputs_.push_back(std::move(source));
}

SpcProcessor::~SpcProcessor() = default;

const SpcChart* SpcProcessor::chart(std::uint64_t characteristic) const {
    const auto at = watched_.find(characteristic);
    return at == watched_.end() ? nullptr : at->second.chart.get();
}

void SpcProcessor::process(const Batch& batch, Output& output) {
    output_ = &output;
    now_ = batch.commit_time;
    check_collection();
    const bool commands = batch.stream == input;
    for (std::size_t i = 0; i < batch.events.size(); ++i) {
        cause_ = batch.stream + '/' + to_text(batch.epoch) + '/' + std::to_string(batch.seq_of(i).value);
        told_ = 0;
        if (commands) take_command(batch.events[i]);
        else take_reading(batch.events[i], batch.stream);
        tell_old_definitions();
    }
    output_ = nullptr;
}

void SpcProcessor::tell(std::string_view stream, std::string_view type, std::string_view key, std::string_view what, Timestamp time, const std::string& data) {
    const std::string id = derived_id({name_, cause_, std::to_string(told_++), what});
    EventView event;
    event.id = id;
    event.type = type;
    event.key = key;
    event.source = name_;
    event.data = data;
    event.time = time;
    event.ingested = now_;
    output_->add(StreamName(stream), event);
}

// Samples.

SpcProcessor::Outcome SpcProcessor::put_sample(const EventView& event, const Json& data) {
    WEIR_TRY(Watched* const w, watched(data));
    SpcSample sample;
    sample.time = event.time;
    if (member(data, "sample_id")) {
        WEIR_TRY(sample.id, id_of(data, "sample_id"));
    }
    const Json* values = member(data, "values");
    if (!values) values = member(data, "value");
    if (!values) return wrong("values", nullptr, "a list of numbers, or `value`");
    WEIR_TRY(sample.values, values_from(*values));
    WEIR_TRY(const auto size, number_of(data, "size"));
    WEIR_TRY(const auto nominal, number_of(data, "nominal"));
    WEIR_TRY(const auto part_sigma, number_of(data, "part_sigma"));
    sample.size = size.value_or(static_cast<double>(w->chart->definition().counts() ? w->chart->definition().subgroup_size : 1));
    sample.nominal = nominal.value_or(0);
    sample.part_sigma = part_sigma.value_or(1);
    // The same again is no mistake: who was not answered sends it anew. Without a time of its own it has that of its arrival.
    if (const SpcRecord* known = w->chart->find(sample.id)) {
        if (event.time == event.ingested) sample.time = known->sample.time;
        sample.excluded = known->sample.excluded;
        if (sample == known->sample) return Error{"duplicate_sample", "sample " + id_text(sample.id) + " is there already, as it is"};
        sample.excluded = false;
    }
    const std::uint64_t hash = spc_hash({"sample", id_text(w->chart->definition().id), event.id});
    WEIR_CHECK_OK(values->is_array() || !w->chart->definition().gathers() ? add(*w, std::move(sample), hash) : gather(*w, sample, hash));
    return std::string();
}

void SpcProcessor::take_reading(const EventView& event, std::string_view stream) {
    const auto [begin, end] = routes_.equal_range(stream);
    for (auto at = begin; at != end; ++at) {
        Watched& w = watched_.at(at->second);
        const Characteristic& c = w.chart->definition();
        const auto& source = *c.source;
        if (!source.key.empty() && source.key != event.key) continue;
        const auto take = [&]() -> Result<void> {
            const auto found = source.value.find(event.data);
            if (!found) return Error{"missing_value", "there is nothing at " + source.value.pointer().text()};
            SpcSample sample;
            WEIR_TRY(const Json json, Json::parse(*found));
            WEIR_TRY(sample.values, values_from(json));
            const auto number = [&](const std::optional<JsonPath>& path, double standard) -> double {
                return path ? path->number(event.data).value_or(std::nan("")) : standard;
            };
            sample.size = number(source.size, static_cast<double>(c.counts() ? c.subgroup_size : 1));
            sample.nominal = number(source.nominal, 0);
            sample.part_sigma = number(source.part_sigma, 1);
            sample.time = event.time;
            const std::uint64_t hash = spc_hash({"sample", id_text(c.id), event.id});
            return json.is_array() || !c.gathers() ? add(w, std::move(sample), hash) : gather(w, sample, hash);
        };
        if (const auto taken = take(); taken.ok()) {
            w.refusing = false;
        } else if (!std::exchange(w.refusing, true)) {
            w.changed = true;
            std::string text;
            JsonWriter json(text);
            json.object().member("command", event.id).member("type", "reading").member("stream", stream).member("ok", false).member("code", taken.error().code);
            json.member("message", taken.error().message + "; further ones are not told until one is good").member("characteristic_id", c.id).end();
            tell(answers_out, "answer", event.id, "reading" + id_text(c.id), event.time, text);
        }
    }
}

Result<void> SpcProcessor::add(Watched& w, SpcSample sample, std::uint64_t hash) {
    const std::size_t versions = w.chart->versions().size();
    if (sample.id == 0) {
        WEIR_TRY(sample.id, w.chart->id_for(sample.time, hash));
    }
    WEIR_CHECK_OK(w.chart->add(std::move(sample), *this));
    arrived(w);
    if (w.chart->versions().size() != versions) tell_characteristic(w);
    // Running capability: more rarely as it moves more slowly, so that it costs the same whatever is kept.
    const auto& spec = w.chart->definition().spec;
    if ((spec.lsl || spec.usl) && !w.chart->definition().counts() && ++w.samples_since_capability >= std::max<std::size_t>(20, w.chart->records().size() / 20)) {
        w.samples_since_capability = 0;
        tell_capability(w);
    }
    return ok();
}

void SpcProcessor::arrived(Watched& w) {
    w.changed = true;
    w.last_arrival = now_;
    if (!std::exchange(w.missing, false)) return;
    const auto& c = w.chart->definition();
    text_.clear();
    JsonWriter(text_).object().member("characteristic_id", c.id).member("name", c.name).member("path", c.path).end();
    tell(violations_out, "collection_resumed", id_text(c.id), "resumed", now_, text_);
    tell_characteristic(w);
}

/// A single reading of a subgroup. What is refused leaves what was gathered as it is.
Result<void> SpcProcessor::gather(Watched& w, const SpcSample& reading, std::uint64_t hash) {
    const Characteristic& c = w.chart->definition();
    SpcSample& gathered = w.gathered;
    const bool has_own_id = reading.id != 0;
    if (has_own_id && std::find(w.reading_ids.begin(), w.reading_ids.end(), reading.id) != w.reading_ids.end())
        return Error{"duplicate_sample", "reading " + id_text(reading.id) + " is there already"};
    if (has_own_id && w.chart->find(reading.id)) return Error{"sample_exists", "sample " + id_text(reading.id) + " of characteristic " + id_text(c.id) + " is there already"};
    WEIR_CHECK_OK(analytics::check_sample(c.charts.main, reading.view()));
    if (w.chart->is_too_old(gathered.values.empty() ? reading.time : std::max(gathered.time, reading.time), reading.id))
        return Error{"too_old", "a reading at " + to_rfc3339(reading.time) + " is older than what can still be judged"};
    const auto complete = [&] {
        SpcSample sample = std::exchange(gathered, {});
        tell_gathering(w);
        return add(w, std::move(sample), w.gathered_hash);
    };
    // Readings of two parts are no subgroup: what there is of the first is one, if a smaller one.
    if (!gathered.values.empty() && (gathered.nominal != reading.nominal || gathered.part_sigma != reading.part_sigma)) WEIR_CHECK_OK(complete());
    gathered.time = gathered.values.empty() ? reading.time : std::max(gathered.time, reading.time);
    gathered.id = reading.id;
    w.gathered_hash = hash;
    gathered.nominal = reading.nominal;
    gathered.part_sigma = reading.part_sigma;
    gathered.values.push_back(reading.values.front());
    if (has_own_id) {
        if (w.reading_ids.size() >= reading_ids_max) w.reading_ids.erase(w.reading_ids.begin());
        w.reading_ids.push_back(reading.id);
    }
    arrived(w);
    if (gathered.values.size() >= c.subgroup_size) return complete();
    tell_gathering(w);
    return ok();
}

// What is told.

void SpcProcessor::tell_capability(Watched& w) {
    const auto& spec = w.chart->definition().spec;
    if (!spec.lsl && !spec.usl) return;
    const auto result = w.chart->capability();
    if (!result.ok()) return;
    spc_documents::capability(text_, w.chart->definition(), *result);
    tell_of_characteristic(w, "capability");
}

void SpcProcessor::tell_gathering(Watched& w) {
    spc_documents::gathering(text_, w.chart->definition(), w.gathered);
    tell_of_characteristic(w, "gathering");
}

void SpcProcessor::drop_gathered(Watched& w) {
    if (w.gathered.values.empty()) return;
    w.gathered = {};
    tell_gathering(w);
}

void SpcProcessor::tell_characteristic(Watched& w) {
    definitions_.erase({w.defined_at, w.chart->definition().id});
    spc_documents::characteristic(text_, *w.chart, w.retired, w.missing);
    tell_of_characteristic(w, "characteristic");
    w.defined_at = w.told_at;
    definitions_.emplace(w.defined_at, w.chart->definition().id);
    // What else there is of it follows, so that whoever reads backwards has all of it when the definition is found.
    if (!w.gathered.values.empty()) tell_gathering(w);
    tell_capability(w);
}

/// What is in `text_`.
void SpcProcessor::tell_of_characteristic(Watched& w, std::string_view type) {
    w.changed = true;
    w.told_at = ++definitions_told_;
    tell(characteristics_out, type, id_text(w.chart->definition().id), type, now_, text_);
}

// Whoever asks what there is reads the stream backwards, and need not go further back than this.
void SpcProcessor::tell_old_definitions() {
    while (!definitions_.empty() && definitions_.begin()->first + definitions_every <= definitions_told_) tell_characteristic(watched_.at(definitions_.begin()->second));
}

void SpcProcessor::sample_changed(const SpcChart& chart, const SpcRecord& record) {
    spc_documents::sample(text_, chart, record);
    tell(samples_out, "sample", id_text(chart.definition().id), id_text(record.sample.id), record.sample.time, text_);
}

void SpcProcessor::sample_moved(const SpcChart& chart, const SpcSample& before, Timestamp to) {
    spc_documents::sample_moved(text_, chart, before, to);
    tell(samples_out, "sample_moved", id_text(chart.definition().id), id_text(before.id), before.time, text_);
}

void SpcProcessor::violation_raised(const SpcChart& chart, const SpcViolation& v, const std::string& samples) {
    owners_[v.id] = chart.definition().id;
    spc_documents::violation(text_, chart, v, samples);
    tell(violations_out, "violation", id_text(chart.definition().id), id_text(v.id), v.time, text_);
}

void SpcProcessor::violation_withdrawn(const SpcChart& chart, const SpcViolation& v) {
    spc_documents::withdrawal(text_, chart, v);
    tell(violations_out, "violation_withdrawn", id_text(chart.definition().id), id_text(v.id), v.time, text_);
}

void SpcProcessor::route() {
    routes_.clear();
    for (const auto& [id, w] : watched_)
        if (!w.retired && w.chart->definition().source) routes_.emplace(w.chart->definition().source->stream, id);
}

// Missed collections.

void SpcProcessor::check_collection() {
    for (auto& [id, w] : watched_) {
        const Characteristic& c = w.chart->definition();
        if (w.retired || w.missing || c.expected_every == 0s || !w.last_arrival || now_ < missed_at(w)) continue;
        w.missing = w.changed = true;
        cause_ = "missed/" + id_text(id) + '/' + std::to_string(missed_at(w).micros());
        told_ = 0;
        text_.clear();
        JsonWriter json(text_);
        json.object().member("characteristic_id", id).member("name", c.name).member("path", c.path).member("expected_every", to_text(c.expected_every));
        json.member("last_arrival", *w.last_arrival).member("severity", "WARNING").end();
        tell(violations_out, "collection_missed", id_text(id), "missed", missed_at(w), text_);
        tell_characteristic(w);
    }
}

std::optional<Due> SpcProcessor::next_due() const {
    std::optional<Timestamp> at;
    for (const auto& [id, w] : watched_) {
        if (w.retired || w.missing || w.chart->definition().expected_every == 0s || !w.last_arrival) continue;
        const Timestamp due = missed_at(w);
        at = at ? std::min(*at, due) : due;
    }
    if (!at) return std::nullopt;
    return Due{*at, StreamName(input)};
}

}  // namespace weir
