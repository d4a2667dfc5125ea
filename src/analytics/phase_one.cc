#include "analytics/phase_one.h"

#include "analytics/subgroup.h"

namespace weir::analytics {

namespace {

bool is_attribute(ChartKind kind) { return kind >= ChartKind::p && kind <= ChartKind::laney_u; }
bool is_short_run(ChartKind kind) { return kind == ChartKind::short_run_deviation || kind == ChartKind::short_run_z; }

/// A mean that is exact for equal values and keeps small differences of large values.
class RunningMean {
public:
    void add(double value, double weight = 1) {
        if (weights_ == 0) first_ = value;
        sum_ += (value - first_) * weight;
        weights_ += weight;
    }
    double value() const { return first_ + sum_ / weights_; }
    bool empty() const { return weights_ == 0; }

private:
    double first_ = 0, sum_ = 0, weights_ = 0;
};

/// One pass over the samples that are still in.
class Estimator {
public:
    Estimator(ChartKind kind, std::span<const Sample> samples, const ConstantsTable& table, const PhaseOneOptions& options)
        : kind_(kind), samples_(samples), table_(table), options_(options), in_(samples.size(), true) {
        for (const Sample& sample : samples) subgroups_ = subgroups_ || sample.values.size() > 1;
        if (options_.method == SigmaMethod::standard) {
            options_.method = kind == ChartKind::standard_deviation ? SigmaMethod::mean_standard_deviation
                              : subgroups_                          ? SigmaMethod::mean_range
                                                                    : SigmaMethod::moving_range;
        }
    }

    Result<ControlLimits> limits() const {
        const auto left = static_cast<std::size_t>(std::count(in_.begin(), in_.end(), true));
        if (left < 2) {
            return Error{"too_few_samples", "phase I has " + std::to_string(left) + (left == samples_.size() ? " samples" : " samples left") +
                                                "; at least 2 are needed (20 to 25 are usual)"};
        }
        return is_attribute(kind_) ? of_counts() : of_readings();
    }

    /// Takes out the samples beyond these limits; says whether there were any.
    Result<bool> exclude(const ControlLimits& limits) {
        bool any = false;
        std::vector<ChartKind> kinds{kind_ == ChartKind::ewma || kind_ == ChartKind::cusum ? ChartKind::xbar : kind_};
        if (kinds[0] == ChartKind::moving_range) kinds[0] = ChartKind::individuals;
        if (kinds[0] == ChartKind::xbar && subgroups_)
            kinds.push_back(options_.method == SigmaMethod::mean_standard_deviation ? ChartKind::standard_deviation : ChartKind::range);
        std::vector<bool> out(samples_.size());
        for (ChartKind kind : kinds) {
            WEIR_TRY(auto chart, ControlChart::with({.kind = kind, .limits = limits}, table_));
            for (std::size_t i = 0; i < samples_.size(); ++i) {
                if (!in_[i] || (kind != kinds[0] && samples_[i].values.size() < 2)) continue;
                WEIR_TRY(auto point, chart.add(samples_[i]));
                if (point && (point->zone == Zone::beyond_lcl || point->zone == Zone::beyond_ucl)) out[i] = any = true;
            }
        }
        for (std::size_t i = 0; i < out.size(); ++i) in_[i] = in_[i] && !out[i];
        return any;
    }

    std::vector<std::size_t> excluded() const {
        std::vector<std::size_t> positions;
        for (std::size_t i = 0; i < in_.size(); ++i) {
            if (!in_[i]) positions.push_back(i);
        }
        return positions;
    }

private:
    double nominal(const Sample& sample) const { return is_short_run(kind_) ? sample.nominal : 0; }

    /// Mean of |value(i) - value(i - 1)| over neighbours that are both in.
    template <class Value>
    RunningMean moving_range(Value&& value) const {
        RunningMean mean;
        for (std::size_t i = 1; i < samples_.size(); ++i) {
            if (in_[i] && in_[i - 1]) mean.add(std::abs(value(i) - value(i - 1)));
        }
        return mean;
    }

    Result<ControlLimits> finished(ControlLimits limits, double sigma) const {
        if (!(sigma > 0)) {
            return Error{"no_variation", "phase I shows no variation, so that its limits would fall on the centre line (" +
                                             std::to_string(limits.centre) + "); give more samples, or limits"};
        }
        return limits;
    }

    Result<ControlLimits> of_counts() const {
        double count = 0, size = 0;
        for (std::size_t i = 0; i < samples_.size(); ++i) {
            if (!in_[i]) continue;
            count += samples_[i].values.front();
            size += kind_ == ChartKind::c ? 1 : samples_[i].size;
        }
        ControlLimits limits{.centre = count / size, .limit_sigmas = options_.limit_sigmas};
        const bool items = kind_ == ChartKind::p || kind_ == ChartKind::np || kind_ == ChartKind::laney_p;
        const double variance = items ? limits.centre * (1 - limits.centre) : limits.centre;
        limits.sigma = std::sqrt(variance);
        WEIR_TRY(limits, finished(limits, limits.sigma));
        if (kind_ == ChartKind::laney_p || kind_ == ChartKind::laney_u) {
            const RunningMean range = moving_range([&](std::size_t i) {
                const Sample& sample = samples_[i];
                return (sample.values.front() / sample.size - limits.centre) / std::sqrt(variance / sample.size);
            });
            limits.sigma_z = range.empty() ? 0 : range.value() / d2_of_two;
            return finished(limits, limits.sigma_z);
        }
        return limits;
    }

    Result<ControlLimits> of_readings() const {
        ControlLimits limits{.limit_sigmas = options_.limit_sigmas};
        RunningMean centre, spread;
        std::vector<double> all;
        for (std::size_t i = 0; i < samples_.size(); ++i) {
            if (!in_[i]) continue;
            const auto values = samples_[i].values;
            const auto n = static_cast<int>(values.size());
            centre.add(mean_of(values) - nominal(samples_[i]), n);
            switch (options_.method) {
                case SigmaMethod::mean_range:
                    if (n >= 2) {
                        if (n > table_.size_max()) return too_large(i, n);
                        spread.add(range_of(values) / table_.of(n).d2);
                    }
                    break;
                case SigmaMethod::mean_standard_deviation:
                    if (n >= 2) spread.add(standard_deviation_of(values) / c4_of(n));
                    break;
                case SigmaMethod::sample_standard_deviation:
                    for (double value : values) all.push_back(value - nominal(samples_[i]));
                    break;
                case SigmaMethod::moving_range:
                    if (n != 1) return Error{"method_not_usable", "moving ranges need single readings; sample " + std::to_string(i + 1) + " has " + std::to_string(n)};
                    break;
                case SigmaMethod::standard: break;  // resolved by the constructor
            }
        }
        limits.centre = centre.value();
        if (options_.method == SigmaMethod::moving_range) {
            const RunningMean range = moving_range([&](std::size_t i) { return samples_[i].values.front() - nominal(samples_[i]); });
            // A moving range chart has its lines from d2(2) in closed form, whatever the table, and is undone by the same.
            limits.sigma = range.empty() ? 0 : range.value() / (kind_ == ChartKind::moving_range ? d2_of_two : table_.of(2).d2);
        } else if (options_.method == SigmaMethod::sample_standard_deviation) {
            limits.sigma = standard_deviation_of(all) / c4_of(static_cast<int>(all.size()));
        } else {
            if (spread.empty())
                return Error{"method_not_usable", "every sample holds one reading, which has no range; use an individuals chart or the moving range"};
            limits.sigma = spread.value();
        }
        return finished(limits, limits.sigma);
    }

    Error too_large(std::size_t i, int n) const {
        return Error{"subgroup_size_out_of_range",
                     "sample " + std::to_string(i + 1) + " has " + std::to_string(n) + " values; allowed: up to " + std::to_string(table_.size_max())};
    }

    ChartKind kind_;
    std::span<const Sample> samples_;
    const ConstantsTable& table_;
    PhaseOneOptions options_;
    std::vector<bool> in_;
    bool subgroups_ = false;
};

}  // namespace

Result<PhaseOne> estimate(ChartKind kind, std::span<const Sample> samples, const ConstantsTable& table, const PhaseOneOptions& options) {
    for (std::size_t i = 0; i < samples.size(); ++i) {
        if (auto fit = check_sample(kind, samples[i], table.size_max()); !fit) return std::move(fit.error()).within("phase I, sample " + std::to_string(i + 1));
    }
    PhaseOne result;
    if (kind == ChartKind::short_run_z) {
        result.limits = {.centre = 0, .sigma = 1, .limit_sigmas = options.limit_sigmas};
        return result;
    }
    Estimator estimator(kind, samples, table, options);
    WEIR_TRY(result.limits, estimator.limits());
    while (options.exclude_out_of_control && result.rounds < options.rounds_max) {
        WEIR_TRY(const bool any, estimator.exclude(result.limits));
        if (!any) break;
        WEIR_TRY(result.limits, estimator.limits());
        ++result.rounds;
    }
    result.excluded = estimator.excluded();
    return result;
}

}  // namespace weir::analytics
