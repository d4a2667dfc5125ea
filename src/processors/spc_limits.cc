// The limits of an SpcChart: their versions, phase I, and what capability says of the same samples.
#include "processors/spc_pen.h"

namespace weir {

const SpcVersion* SpcChart::version(std::uint32_t number) const {
    for (const auto& v : versions_)
        if (v.number == number) return &v;
    return nullptr;
}

// The newest version that had begun by then: a newer one replaces older ones from its time on.
std::uint32_t SpcChart::version_at(Timestamp t) const {
    for (std::size_t i = versions_.size(); i-- > 0;)
        if (versions_[i].from <= t) return versions_[i].number;
    return versions_.front().number;
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

/// Where estimated limits come from: the samples of phase I, and those that it left out.
std::string SpcChart::origin_of(const Estimate& found) {
    std::string origin;
    JsonWriter json(origin);
    json.object().member("kind", "estimated").member("samples", found.samples.size()).member("first_sample_id", found.samples.front()).member("last_sample_id", found.samples.back());
    json.name("excluded").array();
    for (const auto id : found.excluded) json.value(id);
    json.end().end();
    return origin;
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
    // They hold for the samples that they come from, too.
    (void)set_limits(found->phase1.limits, last.from, origin_of(*found), listener);
}

Result<analytics::Capability> SpcChart::capability(Timestamp from, Timestamp to) const {
    if (definition_.counts()) return Error{"counts_have_no_capability", "a " + std::string(definition_.charts.name) + " chart counts; capability needs readings"};
    // Sigma within as the chart has it.
    using Tracker = analytics::CapabilityTracker;
    const bool by_deviation = definition_.method == analytics::SigmaMethod::mean_standard_deviation ||
                              (definition_.method == analytics::SigmaMethod::standard && definition_.charts.spread == analytics::ChartKind::standard_deviation);
    Tracker tracker(definition_.spec, *table_, by_deviation ? Tracker::Within::standard_deviation : Tracker::Within::range);
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

}  // namespace weir
