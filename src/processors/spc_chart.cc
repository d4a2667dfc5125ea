#include "processors/spc_chart.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "processors/processor.h"

namespace weir {

using analytics::ChartPoint;
using analytics::RuleId;
using analytics::Signals;

std::uint64_t spc_hash(std::initializer_list<std::string_view> parts) {
    const std::uint64_t hash = derived_hash(parts) & spc_id_max;
    return hash == 0 ? 1 : hash;
}

/// Charts and rules of one version, somewhere in the order of samples.
struct SpcChart::Pen {
    std::uint32_t version = 0;
    std::vector<analytics::ControlChart> charts;
    std::vector<analytics::RunRules> rules;
    int lookback = 1;
    std::array<std::vector<std::size_t>, 2> drawn;  ///< records with a point, newest last: what a pattern's bits mean. At most 64 are needed.

    Pen(const SpcVersion& v, const analytics::ConstantsTable& table) : version(v.number) {
        if (!v.limits) return;
        for (int i = 0; i < v.definition.chart_count(); ++i) {
            auto chart = analytics::ControlChart::with(v.definition.setup(i, *v.limits), table);
            WEIR_ASSERT(chart.ok());
            charts.push_back(*std::move(chart));
            rules.emplace_back(v.definition.rules_of(i));
            lookback = std::max(lookback, rules.back().lookback());
        }
    }
    void drew(std::size_t chart, std::size_t index) {
        auto& list = drawn[chart];
        if (list.size() >= 256) list.erase(list.begin(), list.end() - 64);
        list.push_back(index);
    }
};

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

const SpcVersion* SpcChart::version(std::uint32_t number) const {
    for (const auto& v : versions_)
        if (v.number == number) return &v;
    return nullptr;
}

const SpcRecord* SpcChart::find(std::uint64_t sample_id) const {
    const auto at = times_.find(sample_id);
    return at == times_.end() ? nullptr : &records_[index_of({at->second, sample_id})];
}

// The newest version that had begun by then: a newer one replaces older ones from its time on.
std::uint32_t SpcChart::version_at(Timestamp t) const {
    for (std::size_t i = versions_.size(); i-- > 0;)
        if (versions_[i].from <= t) return versions_[i].number;
    return versions_.front().number;
}

std::size_t SpcChart::index_of(Place place) const {
    // Nearly always at the end.
    if (records_.empty() || place_of(records_.back()) < place) return records_.size();
    return static_cast<std::size_t>(std::lower_bound(records_.begin(), records_.end(), place, [](const SpcRecord& r, const Place& p) { return place_of(r) < p; }) - records_.begin());
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

const SpcChart::Pen& SpcChart::fresh(std::uint32_t number) {
    auto& pen = fresh_[number];
    if (!pen) pen = std::make_unique<Pen>(*version(number), *table_);
    return *pen;
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

void SpcChart::judge(std::size_t from, std::size_t until, Listener* listener) {
    if (from >= records_.size()) return;
    std::unique_ptr<Pen> pen;
    if (pen_ && from + 1 == records_.size() && pen_->version == version_at(records_[from].sample.time)) pen = std::move(pen_);
    pen_.reset();
    std::size_t same = 0;
    for (std::size_t i = from; i < records_.size(); ++i) {
        SpcRecord& record = records_[i];
        // What cannot change any more keeps the version that judged it.
        const std::uint32_t number = !listener && i < frozen() ? record.version : version_at(record.sample.time);
        if (!pen || pen->version != number) {
            pen = std::make_unique<Pen>(fresh(number));
            // Back to the last samples of this version that count, to pick up runs and sums where they stood.
            std::vector<std::size_t> back;
            std::size_t k = i;
            for (; k > 0 && back.size() < static_cast<std::size_t>(pen->lookback) + 1 && !pen->charts.empty(); --k) {
                const SpcRecord& earlier = records_[k - 1];
                if (earlier.version != number) break;
                if (!earlier.sample.excluded) back.push_back(k - 1);
            }
            for (std::size_t b = back.size(); b-- > 0;) {
                const SpcRecord& earlier = records_[back[b]];
                for (std::size_t c = 0; c < pen->charts.size(); ++c) {
                    if (!(earlier.has >> c & 1)) continue;
                    (void)pen->rules[c].add(earlier.points[c]);
                    pen->drew(c, back[b]);
                }
            }
            const SpcRecord* last = !back.empty() ? &records_[back.front()] : before_ && k == 0 && before_->version == number ? &*before_ : nullptr;
            if (last && !pen->charts.empty()) {
                pen->charts[0].restore(last->state);
                // The second chart remembers at most the last reading.
                if (pen->charts.size() > 1) pen->charts[1].restore({last->sample.values.front(), 1});
            }
        }
        const SpcJudgement old = record;
        static_cast<SpcJudgement&>(record) = {};
        record.version = number;
        if (!record.sample.excluded) {
            for (std::size_t c = 0; c < pen->charts.size(); ++c) {
                const auto point = pen->charts[c].add(record.sample.view());
                // Checked when it came; a version that was put under it later may refuse it, and then it has no point there.
                if (!point.ok() || !*point) continue;
                record.has = static_cast<std::uint8_t>(record.has | 1u << c);
                record.points[c] = **point;
                record.signals[c] = pen->rules[c].add(**point);
                pen->drew(c, i);
            }
            if (!pen->charts.empty()) {
                record.state = pen->charts[0].state();
                record.cusum_upper = pen->charts[0].last_cusum().upper;
                record.cusum_lower = pen->charts[0].last_cusum().lower;
            }
        }
        const bool as_before = old == static_cast<const SpcJudgement&>(record);
        if (!as_before && listener) {
            ++record.revision;
            touch(record);
            listener->sample_changed(*this, record);
        }
        violations_at(i, *pen, listener);
        same = as_before && i >= until ? same + !record.sample.excluded : 0;
        if (same > static_cast<std::size_t>(pen->lookback) + 1) return;
    }
    pen_ = std::move(pen);
}

std::string SpcChart::pattern_of(const Pen& pen, std::size_t chart, RuleId rule) const {
    // A pattern's bits count points of this chart, the newest first.
    const std::uint64_t pattern = pen.rules[chart].pattern(rule);
    const auto& drawn = pen.drawn[chart];
    std::string body = "[";
    for (int bit = 63; bit >= 0; --bit) {
        if (!(pattern >> bit & 1) || static_cast<std::size_t>(bit) >= drawn.size()) continue;
        const SpcRecord& r = records_[drawn[drawn.size() - 1 - static_cast<std::size_t>(bit)]];
        if (body.size() > 1) body += ',';
        JsonWriter json(body);
        json.object().member("sample_id", r.sample.id).member("timestamp", r.sample.time);
        // So that 64 samples still are a message of a usual size.
        if (r.sample.values.size() <= 25) {
            json.name("values").array();
            for (const double v : r.sample.values) json.value(v);
            json.end();
        }
        json.member("size", r.sample.size);
        ChartPoint p = r.points[chart];
        // Of a CUSUM the sum that the rule is about, which need not be the one further out.
        if (rule == RuleId::cusum_upper || rule == RuleId::cusum_lower) {
            p.statistic = rule == RuleId::cusum_upper ? r.cusum_upper : r.cusum_lower;
            p.zone = rule == RuleId::cusum_upper ? analytics::Zone::beyond_ucl : analytics::Zone::beyond_lcl;
        }
        json.member("statistic", p.statistic).member("centre", p.centre).member("lcl", p.lcl).member("ucl", p.ucl).member("zone_width", p.zone_width);
        json.member("zone", analytics::zone_name(p.zone)).end();
    }
    return body + "]";
}

void SpcChart::violations_at(std::size_t i, Pen& pen, Listener* listener) {
    SpcRecord& record = records_[i];
    const bool is_context = !listener && i < frozen();
    if (record.violations.empty() && (record.in_control() || is_context)) return;
    const std::vector<std::uint64_t> before = std::exchange(record.violations, {});
    for (std::size_t c = 0; c < pen.charts.size() && !is_context; ++c) {
        const Signals& signals = record.signals[c];
        signals.for_each([&](RuleId rule) {
            if (!signals.begins(rule)) return;
            const auto side = signals.side(rule);
            const std::uint64_t id = spc_hash({"violation", std::to_string(definition_.id), analytics::chart_kind_name(version(pen.version)->definition.kind(static_cast<int>(c))),
                                               std::to_string(static_cast<int>(rule)), analytics::side_name(side), std::to_string(record.sample.id), std::to_string(pen.version)});
            record.violations.push_back(id);
            if (!listener) return;
            SpcViolation& violation = violations_[id];
            const bool is_new = violation.id == 0;
            if (is_new) {
                violation.id = id;
                violation.chart = static_cast<std::uint8_t>(c);
                violation.rule = rule;
                violation.side = side;
                violation.sample = record.sample.id;
                violation.version = pen.version;
            }
            const bool back = std::exchange(violation.withdrawn, false);
            violation.time = record.sample.time;
            const std::string body = pattern_of(pen, c, rule);
            const std::uint64_t content = derived_hash({body});
            if (!is_new && !back && content == violation.content) return;
            violation.content = content;
            ++violation.revision;
            touch_violation(violation);
            listener->violation_raised(*this, violation, body);
        });
    }
    if (!listener) return;
    for (const std::uint64_t id : before)
        if (std::find(record.violations.begin(), record.violations.end(), id) == record.violations.end()) withdraw(id, *listener);
}

void SpcChart::withdraw(std::uint64_t id, Listener& listener) {
    const auto at = violations_.find(id);
    if (at == violations_.end()) return;  // forgotten at the bound
    SpcViolation& violation = at->second;
    // A sample that moved in time completes it elsewhere now: the same violation.
    if (const SpcRecord* now = find(violation.sample); now && std::find(now->violations.begin(), now->violations.end(), id) != now->violations.end()) return;
    if (violation.withdrawn) return;
    violation.withdrawn = true;
    ++violation.revision;
    touch_violation(violation);
    listener.violation_withdrawn(*this, violation);
    // What was acknowledged stays in the record; if the violation returns it has its acknowledgement again.
    if (!violation.ack) {
        violations_.erase(at);
        listener.violation_forgotten(id);
    }
}

void SpcChart::add_version(SpcVersion version, Listener& listener) {
    version.number = versions_.back().number + 1;
    const Timestamp from = version.from;
    versions_.push_back(std::move(version));
    dirty_definition_ = true;
    pen_.reset();
    const std::size_t first = std::max(index_of({from, 0}), frozen());
    judge(first, records_.size(), &listener);
}

void SpcChart::redefine(Characteristic definition, Timestamp from, Listener& listener) {
    const bool same = definition.judges_like(definition_);
    const bool same_scale = definition.charts == definition_.charts && definition.unit == definition_.unit;
    definition_ = std::move(definition);
    dirty_definition_ = true;
    if (same) return;
    SpcVersion next;
    next.from = from;
    next.definition = definition_;
    if (definition_.given) {
        next.limits = definition_.given;
        next.origin = R"({"kind":"given"})";
    } else if (same_scale && current().limits) {
        next.limits = current().limits;
        next.limits->limit_sigmas = definition_.limit_sigmas;
        next.origin = current().origin;
    } else {
        next.origin = R"({"kind":"awaiting"})";
        phase_one_next_ = definition_.phase1_samples;
    }
    add_version(std::move(next), listener);
    try_phase_one(listener);
}

Result<void> SpcChart::set_limits(const analytics::ControlLimits& limits, Timestamp from, std::string origin, Listener& listener) {
    for (int i = 0; i < definition_.chart_count(); ++i) WEIR_CHECK_OK(analytics::check_setup(definition_.setup(i, limits)));
    SpcVersion next;
    next.from = from;
    next.definition = definition_;
    next.limits = limits;
    next.origin = std::move(origin);
    add_version(std::move(next), listener);
    return ok();
}

Result<SpcChart::Estimate> SpcChart::estimate(Timestamp from, Timestamp to, const analytics::PhaseOneOptions& options, std::size_t samples_max) const {
    Estimate result;
    std::vector<analytics::Sample> samples;
    for (std::size_t i = index_of({from, 0}); i < records_.size() && records_[i].sample.time < to && samples.size() < samples_max; ++i) {
        if (records_[i].sample.excluded) continue;
        samples.push_back(records_[i].sample.view());
        result.samples.push_back(records_[i].sample.id);
    }
    // For pairs of charts the spread decides how sigma is estimated.
    analytics::PhaseOneOptions chosen = options;
    if (chosen.method == analytics::SigmaMethod::standard && definition_.charts.spread == analytics::ChartKind::standard_deviation)
        chosen.method = analytics::SigmaMethod::mean_standard_deviation;
    WEIR_TRY(result.phase1, analytics::estimate(definition_.charts.main, samples, *table_, chosen));
    for (const std::size_t position : result.phase1.excluded) result.excluded.push_back(result.samples[position]);
    return result;
}

void SpcChart::try_phase_one(Listener& listener) {
    const SpcVersion& last = current();
    if (last.limits || definition_.phase1_samples == 0) return;
    const std::size_t first = index_of({last.from, 0});
    if (records_.size() - first < phase_one_next_) return;
    std::size_t there = 0;
    for (std::size_t i = first; i < records_.size(); ++i) there += !records_[i].sample.excluded;
    if (there < phase_one_next_) return;
    const auto found = estimate(last.from, Timestamp::max(), {.method = definition_.method, .limit_sigmas = definition_.limit_sigmas, .exclude_out_of_control = definition_.phase1_exclude});
    if (!found.ok()) {
        // Without variation there are no limits; more samples may bring some. Doubling keeps the work linear.
        phase_one_next_ = there * 2;
        dirty_definition_ = true;
        return;
    }
    std::string origin;
    JsonWriter json(origin);
    json.object().member("kind", "estimated").member("samples", found->samples.size()).member("first_sample_id", found->samples.front()).member("last_sample_id", found->samples.back());
    json.name("excluded").array();
    for (const auto id : found->excluded) json.value(id);
    json.end().end();
    // They hold for the samples that they come from, too.
    (void)set_limits(found->phase1.limits, last.from, std::move(origin), listener);
}

Result<analytics::Capability> SpcChart::capability(Timestamp from, Timestamp to) const {
    if (definition_.counts()) return Error{"counts_have_no_capability", "a " + std::string(definition_.charts.name) + " chart counts; capability needs readings"};
    analytics::CapabilityTracker tracker(definition_.spec, *table_);
    for (std::size_t i = index_of({from, 0}); i < records_.size() && records_[i].sample.time < to; ++i)
        if (!records_[i].sample.excluded) tracker.add(records_[i].sample.values);
    return tracker.capability();
}

Result<analytics::Capability> SpcChart::capability() const {
    Timestamp from = Timestamp::min();
    for (const auto& v : versions_)
        if (v.definition.unit != definition_.unit || v.definition.charts.main != definition_.charts.main) from = Timestamp::max();
        else if (from == Timestamp::max()) from = v.from;
    return capability(from, Timestamp::max());
}

Result<const SpcViolation*> SpcChart::acknowledge(std::uint64_t id, SpcAcknowledgement ack) {
    const auto at = violations_.find(id);
    if (at == violations_.end()) return Error{"unknown_violation", "there is no violation " + std::to_string(id)};
    SpcViolation& violation = at->second;
    if (violation.ack)
        return Error{"already_acknowledged", "violation " + std::to_string(id) + " was acknowledged by " + violation.ack->user + " at " + to_rfc3339(violation.ack->time)};
    violation.ack = std::move(ack);
    touch_violation(violation);
    return &violation;
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
