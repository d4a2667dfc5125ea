#include "processors/spc_chart.h"

#include <algorithm>

#include "processors/processor.h"
#include "processors/spc_pen.h"

namespace weir {

std::uint64_t spc_hash(std::initializer_list<std::string_view> parts) {
    const std::uint64_t hash = derived_hash(parts) & spc_id_max;
    return hash == 0 ? 1 : hash;
}

SpcChart::~SpcChart() = default;

SpcChart::SpcChart(Characteristic definition, std::size_t history, const analytics::ConstantsTable& table, std::size_t& unsaved_bytes)
    : definition_(std::move(definition)), history_(std::max(history, 4 * context)), table_(&table), unsaved_bytes_(&unsaved_bytes) {
    SpcVersion first;
    first.number = 1;
    first.definition = definition_;
    first.limits = definition_.given;
    first.origin = first.limits ? R"({"kind":"given"})" : R"({"kind":"awaiting"})";
    versions_.push_back(std::move(first));
    phase_one_next_ = definition_.phase1_samples;
}

const SpcRecord* SpcChart::find(std::uint64_t sample_id) const {
    const auto at = times_.find(sample_id);
    return at == times_.end() ? nullptr : &records_[index_of({at->second, sample_id})];
}

std::size_t SpcChart::index_of(Place place) const {
    // Nearly always at the end.
    if (records_.empty() || place_of(records_.back()) < place) return records_.size();
    return static_cast<std::size_t>(std::lower_bound(records_.begin(), records_.end(), place, [](const SpcRecord& r, const Place& p) { return place_of(r) < p; }) - records_.begin());
}

Result<std::uint64_t> SpcChart::id_for(Timestamp time, std::uint64_t hash) const {
    // Which of the samples of one time it is, above 39 bits of the hash: the first of its time has no need of what else there is.
    constexpr int hash_bits = 39;
    constexpr std::uint64_t hash_mask = (std::uint64_t{1} << hash_bits) - 1, rank_max = spc_id_max >> hash_bits;
    const std::uint64_t low = std::max<std::uint64_t>(hash & hash_mask, 1);
    std::uint64_t last = 0;
    for (std::size_t i = index_of({time, 0}); i < records_.size() && records_[i].sample.time == time; ++i) {
        last = records_[i].sample.id;
        if ((last & hash_mask) == low) return Error{"sample_exists", "the sample at " + to_rfc3339(time) + " is there already, as " + std::to_string(last)};
    }
    std::uint64_t rank = last == 0 ? 0 : (last >> hash_bits) + 1;
    // Another time's may have the same bits, once in a few hundred million.
    while (rank <= rank_max && times_.contains(rank << hash_bits | low)) ++rank;
    if (rank <= rank_max) return rank << hash_bits | low;
    // More than 16,384 of one time, or a client's own id at the end of what there can be.
    for (std::uint64_t id = last + 1; id <= spc_id_max; ++id)
        if (!times_.contains(id)) return id;
    return Error{"no_id_left", "behind sample " + std::to_string(last) + " at " + to_rfc3339(time) + " there is no id left; give it one"};
}

Result<void> SpcChart::check(const SpcSample& sample) const {
    if (sample.values.size() > Characteristic::values_max)
        return Error{"subgroup_size_out_of_range", "a sample has " + std::to_string(sample.values.size()) + " values; allowed: at most " + std::to_string(Characteristic::values_max)};
    const SpcVersion& v = *version(version_at(sample.time));
    for (int i = 0; i < v.definition.chart_count(); ++i) {
        // A moving range is drawn from the same single readings.
        WEIR_CHECK_OK(analytics::check_sample(v.definition.kind(i), sample.view(), table_->size_max()));
    }
    return ok();
}

Result<void> SpcChart::add(SpcSample sample, Listener& listener) {
    if (const auto at = times_.find(sample.id); at != times_.end())
        return Error{"sample_exists", "sample " + std::to_string(sample.id) + " of characteristic " + std::to_string(definition_.id) + " is there already, at " + to_rfc3339(at->second) +
                                          "; correct it instead"};
    WEIR_CHECK_OK(check(sample));
    const Place place{sample.time, sample.id};
    if (trimmed_ && index_of(place) < frozen())
        return Error{"too_old", "sample " + std::to_string(sample.id) + " at " + to_rfc3339(sample.time) + " is older than what can still be judged; the oldest is " +
                                    to_rfc3339(records_[frozen() - 1].sample.time)};
    put(std::move(sample), 0, {}, SIZE_MAX, listener);
    try_phase_one(listener);
    trim(listener);
    return ok();
}

Result<void> SpcChart::correct(std::uint64_t sample_id, const Correction& correction, Listener& listener) {
    const auto at = times_.find(sample_id);
    if (at == times_.end())
        return Error{"unknown_sample", "characteristic " + std::to_string(definition_.id) + " has no sample " + std::to_string(sample_id) + " among those that it keeps"};
    const std::size_t index = index_of({at->second, sample_id});
    const auto too_old = [&] {
        return Error{"too_old", "sample " + std::to_string(sample_id) + " is older than what can still be judged; the oldest is after " + to_rfc3339(records_[frozen() - 1].sample.time)};
    };
    if (index < frozen()) return too_old();
    SpcSample changed = records_[index].sample;
    if (correction.time) changed.time = *correction.time;
    if (correction.values) changed.values = *correction.values;
    if (correction.size) changed.size = *correction.size;
    if (correction.nominal) changed.nominal = *correction.nominal;
    if (correction.part_sigma) changed.part_sigma = *correction.part_sigma;
    if (correction.excluded) changed.excluded = *correction.excluded;
    if (changed == records_[index].sample) return ok();
    WEIR_CHECK_OK(check(changed));
    if (trimmed_ && changed.time != at->second && index_of({changed.time, sample_id}) < frozen()) return too_old();
    if (changed.time == at->second) {
        Block& block = blocks_[records_[index].block];
        block.values += changed.values.size() - records_[index].sample.values.size();
        *unsaved_bytes_ += changed.values.size() * sizeof(double);
        values_ += changed.values.size() - records_[index].sample.values.size();
        records_[index].sample = std::move(changed);
        // Told again even where the charts say the same.
        records_[index].version = UINT32_MAX;
        touch(records_[index]);
        pen_.reset();
        judge(index, index + 1, &listener);
    } else {
        listener.sample_moved(*this, records_[index].sample, changed.time);
        const std::uint32_t revision = records_[index].revision;
        auto violations = records_[index].violations;
        forget(records_[index]);
        records_.erase(records_.begin() + static_cast<std::ptrdiff_t>(index));
        pen_.reset();
        put(std::move(changed), revision, std::move(violations), index, listener);
    }
    try_phase_one(listener);
    return ok();
}

std::uint32_t SpcChart::new_block(std::size_t values) {
    if (last_block_size_.samples >= block_samples || last_block_size_.values >= block_values) {
        ++last_block_;
        last_block_size_ = {};
    }
    Block& block = blocks_[last_block_];
    ++last_block_size_.samples, ++block.samples;
    last_block_size_.values += values, block.values += values;
    return last_block_;
}

void SpcChart::touch(const SpcRecord& record) {
    // The first touch brings the whole block; what is added to it since brings itself.
    if (dirty_.insert(record.block).second) *unsaved_bytes_ += blocks_[record.block].bytes();
    else *unsaved_bytes_ += record.revision == 0 ? Block{1, record.sample.values.size()}.bytes() : 0;
}

void SpcChart::touch_violation(const SpcViolation& v) {
    if (dirty_violations_.insert(v.id).second) *unsaved_bytes_ += 80 + (v.ack ? v.ack->user.size() + v.ack->reason.size() + v.ack->code.size() : 0);
}

/// `also_from`: where a sample was taken away; what lies behind that place is judged again too.
void SpcChart::put(SpcSample sample, std::uint32_t revision, std::vector<std::uint64_t> violations, std::size_t also_from, Listener& listener) {
    const std::size_t index = index_of({sample.time, sample.id});
    times_.emplace(sample.id, sample.time);
    SpcRecord record;
    record.sample = std::move(sample);
    record.revision = revision;
    record.version = UINT32_MAX;
    record.violations = std::move(violations);
    record.block = new_block(record.sample.values.size());
    values_ += record.sample.values.size();
    touch(record);
    if (index != records_.size()) pen_.reset();
    records_.insert(records_.begin() + static_cast<std::ptrdiff_t>(index), std::move(record));
    if (also_from == SIZE_MAX) return judge(index, index + 1, &listener);
    // The place that it left: one further on if it went to before it.
    if (index <= also_from) {
        judge(index, index + 1, &listener);
        pen_.reset();
        if (also_from + 1 < records_.size()) judge(also_from + 1, also_from + 2, &listener);
    } else {
        // From the earlier place to the later one in one go, so that nothing is told that does not last.
        judge(also_from, index + 1, &listener);
    }
}

void SpcChart::forget(const SpcRecord& record) {
    times_.erase(record.sample.id);
    touch(record);
    values_ -= record.sample.values.size();
    Block& block = blocks_[record.block];
    --block.samples;
    block.values -= record.sample.values.size();
    if (block.samples == 0 && record.block != last_block_) blocks_.erase(record.block);
}

void SpcChart::trim(Listener& listener) {
    if (violations_.size() > violations_max) {
        std::vector<std::pair<Timestamp, std::uint64_t>> oldest;
        for (const auto& [id, v] : violations_) oldest.emplace_back(v.time, id);
        std::nth_element(oldest.begin(), oldest.begin() + violations_max / 10, oldest.end());
        for (std::size_t i = 0; i < violations_max / 10; ++i) {
            violations_.erase(oldest[i].second);
            dirty_violations_.insert(oldest[i].second);
            listener.violation_forgotten(oldest[i].second);
        }
    }
    const std::size_t values_max = history_ * usual_values;
    if (records_.size() <= history_ + 256 && values_ <= values_max + 256 * usual_values) return;
    std::size_t gone = records_.size() - std::min(history_, records_.size());
    std::size_t kept = values_;
    for (std::size_t i = 0; i < gone; ++i) kept -= records_[i].sample.values.size();
    for (; kept > values_max && records_.size() - gone > 4 * context; ++gone) kept -= records_[gone].sample.values.size();
    if (gone == 0) return;
    for (std::size_t i = 0; i < gone; ++i) {
        if (!records_[i].sample.excluded) before_ = records_[i];
        forget(records_[i]);
    }
    records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(gone));
    trimmed_ = true;
    dirty_definition_ = true;
    // Places in it have moved.
    pen_.reset();
}

}  // namespace weir
