#include "analytics/control_chart.h"

#include "analytics/subgroup.h"
#include "base/assert.h"

namespace weir::analytics {

namespace {

std::string shown(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.10g", value);
    return text;
}

bool is_attribute(ChartKind kind) { return kind >= ChartKind::p && kind <= ChartKind::laney_u; }
bool counts_items(ChartKind kind) { return kind == ChartKind::p || kind == ChartKind::np || kind == ChartKind::laney_p; }
bool is_spread(ChartKind kind) { return kind == ChartKind::range || kind == ChartKind::standard_deviation; }
bool takes_one(ChartKind kind) { return kind == ChartKind::individuals || kind == ChartKind::moving_range || is_attribute(kind); }

constexpr StatisticBounds not_below_zero{.low = 0};

double root_of(std::span<const double> values) { return std::sqrt(static_cast<double>(values.size())); }

}  // namespace

Result<void> check_sample(ChartKind kind, const Sample& sample, int subgroup_size_max) {
    // Made only for a refusal: this runs for each sample.
    const auto chart = [&] { return "a sample of a chart of kind " + std::string(chart_kind_name(kind)); };
    if (sample.values.empty()) return Error{"no_values", chart() + " has no values; expected at least one"};
    for (std::size_t i = 0; i < sample.values.size(); ++i) {
        if (!std::isfinite(sample.values[i]))
            return Error{"not_finite", chart() + ": value " + std::to_string(i + 1) + " is " + shown(sample.values[i]) + ", expected a finite number"};
    }
    const auto count = sample.values.size();
    if (takes_one(kind) && count != 1) return Error{"subgroup_size_out_of_range", chart() + " has " + std::to_string(count) + " values; expected one"};
    if (is_spread(kind) && (count < 2 || count > static_cast<std::size_t>(subgroup_size_max))) {
        return Error{"subgroup_size_out_of_range",
                     chart() + " has " + std::to_string(count) + " values; allowed: 2 to " + std::to_string(subgroup_size_max)};
    }
    if (is_attribute(kind)) {
        const double value = sample.values.front();
        if (value < 0) return Error{"count_out_of_range", chart() + " counts " + shown(value) + "; expected 0 or more"};
        if (kind != ChartKind::c) {
            if (!(sample.size > 0 && std::isfinite(sample.size)))
                return Error{"size_out_of_range", chart() + " has size " + shown(sample.size) + "; expected more than 0"};
            if (counts_items(kind) && value > sample.size)
                return Error{"count_out_of_range", chart() + " counts " + shown(value) + " of " + shown(sample.size) + " inspected; expected no more than were inspected"};
        }
    }
    if (kind == ChartKind::short_run_deviation || kind == ChartKind::short_run_z) {
        if (!std::isfinite(sample.nominal)) return Error{"not_finite", chart() + ": its nominal is " + shown(sample.nominal) + ", expected a finite number"};
        if (kind == ChartKind::short_run_z && !(sample.part_sigma > 0 && std::isfinite(sample.part_sigma)))
            return Error{"part_sigma_not_positive", chart() + ": its part's sigma is " + shown(sample.part_sigma) + ", expected more than 0"};
    }
    return ok();
}

Result<void> check_setup(const ChartSetup& setup) {
    const ControlLimits& limits = setup.limits;
    const auto chart = [&] { return "chart of kind " + std::string(chart_kind_name(setup.kind)); };
    const auto unusable = [&](std::string_view name, double found, std::string_view allowed) {
        return Error{"limits_not_usable", chart() + ": " + std::string(name) + " is " + shown(found) + "; allowed: " + std::string(allowed)};
    };
    const auto beyond = [&](std::string_view name, double found, std::string_view allowed) {
        return Error{"option_out_of_range", chart() + ": " + std::string(name) + " is " + shown(found) + "; allowed: " + std::string(allowed)};
    };
    if (!std::isfinite(limits.centre)) return unusable("centre", limits.centre, "a finite number");
    if (!(limits.limit_sigmas > 0 && std::isfinite(limits.limit_sigmas))) return unusable("limit_sigmas", limits.limit_sigmas, "more than 0");
    if (!is_attribute(setup.kind)) {
        if (!(limits.sigma > 0 && std::isfinite(limits.sigma))) return unusable("sigma", limits.sigma, "more than 0");
    } else if (counts_items(setup.kind)) {
        if (!(limits.centre > 0 && limits.centre < 1)) return unusable("centre", limits.centre, "a fraction between 0 and 1, neither included");
    } else if (!(limits.centre > 0)) {
        return unusable("centre", limits.centre, "more than 0");
    }
    if ((setup.kind == ChartKind::laney_p || setup.kind == ChartKind::laney_u) && !(limits.sigma_z > 0 && std::isfinite(limits.sigma_z)))
        return unusable("sigma_z", limits.sigma_z, "more than 0");
    if (setup.kind == ChartKind::ewma && !(setup.ewma.lambda > 0 && setup.ewma.lambda <= 1)) return beyond("lambda", setup.ewma.lambda, "above 0, up to 1");
    if (setup.kind == ChartKind::cusum) {
        const CusumOptions& cusum = setup.cusum;
        if (!(cusum.k >= 0 && std::isfinite(cusum.k))) return beyond("k", cusum.k, "0 or more, in sigma of the mean");
        if (!(cusum.h > 0 && std::isfinite(cusum.h))) return beyond("h", cusum.h, "more than 0, in sigma of the mean");
        if (!(cusum.head_start >= 0 && cusum.head_start <= cusum.h)) return beyond("head_start", cusum.head_start, "0 to h");
    }
    return ok();
}

ChartPoint MeanChart::add(std::span<const double> values) const noexcept {
    return place(mean_of(values), limits_.centre, limits_.sigma / root_of(values), limits_.limit_sigmas);
}

SpreadChart::SpreadChart(ChartKind kind, const ControlLimits& limits, const ConstantsTable& table)
    : range_(kind == ChartKind::range), limit_sigmas_(limits.limit_sigmas) {
    WEIR_ASSERT(is_spread(kind));
    std::vector<Line> lines;
    lines.reserve(table.all().size());
    for (const ControlChartConstants& c : table.all()) {
        if (range_) {
            lines.push_back({c.d2 * limits.sigma, c.d3 * limits.sigma});
        } else {
            lines.push_back({c.c4 * limits.sigma, std::sqrt(1 - c.c4 * c.c4) * limits.sigma});
        }
    }
    lines_ = std::make_shared<const std::vector<Line>>(std::move(lines));
}

ChartPoint SpreadChart::add(std::span<const double> values) const noexcept {
    WEIR_ASSERT(values.size() >= 2 && values.size() - 2 < lines_->size());
    const Line& line = (*lines_)[values.size() - 2];
    return place(range_ ? range_of(values) : standard_deviation_of(values), line.centre, line.sigma, limit_sigmas_, not_below_zero);
}

std::optional<ChartPoint> MovingRangeChart::add(double value) noexcept {
    const bool has_neighbour = std::exchange(has_last_, true);
    const double range = std::abs(value - std::exchange(last_, value));
    if (!has_neighbour) return std::nullopt;
    return place(range, d2_of_two * limits_.sigma, d3_of_two * limits_.sigma, limits_.limit_sigmas, not_below_zero);
}

ChartPoint AttributeChart::add(double count, double size) const noexcept {
    const double centre = limits_.centre;
    switch (kind_) {
        case ChartKind::p:
        case ChartKind::laney_p:
            return place(count / size, centre, limits_.sigma_z * std::sqrt(centre * (1 - centre) / size), limits_.limit_sigmas, {.low = 0, .high = 1});
        case ChartKind::np:
            return place(count, centre * size, std::sqrt(size * centre * (1 - centre)), limits_.limit_sigmas, {.low = 0, .high = size});
        case ChartKind::c: return place(count, centre, std::sqrt(centre), limits_.limit_sigmas, not_below_zero);
        case ChartKind::u:
        case ChartKind::laney_u: return place(count / size, centre, limits_.sigma_z * std::sqrt(centre / size), limits_.limit_sigmas, not_below_zero);
        default: break;
    }
    WEIR_ASSERT(false);
    return {};
}

ChartPoint EwmaChart::add(std::span<const double> values) noexcept { return add(mean_of(values), static_cast<double>(values.size())); }

ChartPoint EwmaChart::add(double mean, double n) noexcept {
    const double keep = 1 - lambda_;
    // Written as a step from z, so that z does not lose digits where the centre is large beside sigma.
    state_.z += lambda_ * (mean - state_.z);
    state_.variance = lambda_ * lambda_ * limits_.sigma * limits_.sigma / n + keep * keep * state_.variance;
    return place(state_.z, limits_.centre, std::sqrt(state_.variance), limits_.limit_sigmas);
}

CusumPoint CusumChart::add(std::span<const double> values) noexcept { return add(mean_of(values), static_cast<double>(values.size())); }

CusumPoint CusumChart::add(double mean, double n) noexcept {
    CusumPoint result;
    const double y = (mean - limits_.centre) * std::sqrt(n) / limits_.sigma;
    result.standardised = y;
    result.upper = std::max(0.0, state_.upper + y - options_.k);
    result.lower = -std::max(0.0, -state_.lower - y - options_.k);
    result.signal_upper = result.upper > options_.h;
    result.signal_lower = result.lower < -options_.h;
    result.point = place(result.upper >= -result.lower ? result.upper : result.lower, 0, options_.h / 3, 3);
    // The limits are h itself; a third of it is rounded, and three times that might not be h again.
    result.point.lcl = -options_.h;
    result.point.ucl = options_.h;
    // A step of many sigma back from far out leaves both beyond for a while.
    result.point.both_beyond = result.signal_upper && result.signal_lower;
    if (result.signal_upper || result.signal_lower) result.point.zone = result.point.statistic > 0 ? Zone::beyond_ucl : Zone::beyond_lcl;
    else if (result.point.zone == Zone::beyond_ucl) result.point.zone = Zone::zone_a_upper;
    else if (result.point.zone == Zone::beyond_lcl) result.point.zone = Zone::zone_a_lower;
    state_ = {result.upper, result.lower};
    if (options_.reset_after_signal && (result.signal_upper || result.signal_lower)) state_ = {options_.head_start, -options_.head_start};
    return result;
}

ChartPoint ShortRunChart::add(std::span<const double> values, double nominal, double part_sigma) const noexcept {
    const double deviation = mean_of(values) - nominal;
    if (z_) return place(deviation * root_of(values) / part_sigma, limits_.centre, limits_.sigma, limits_.limit_sigmas);
    return place(deviation, limits_.centre, limits_.sigma / root_of(values), limits_.limit_sigmas);
}

Result<ControlChart> ControlChart::with(const ChartSetup& setup, const ConstantsTable& table) {
    WEIR_CHECK_OK(check_setup(setup));
    const auto made = [&](auto chart) { return ControlChart(setup, Any(std::move(chart)), table.size_max()); };
    switch (setup.kind) {
        case ChartKind::xbar:
        case ChartKind::individuals: return made(MeanChart(setup.limits));
        case ChartKind::range:
        case ChartKind::standard_deviation: return made(SpreadChart(setup.kind, setup.limits, table));
        case ChartKind::moving_range: return made(MovingRangeChart(setup.limits));
        case ChartKind::p:
        case ChartKind::np:
        case ChartKind::c:
        case ChartKind::u:
        case ChartKind::laney_p:
        case ChartKind::laney_u: return made(AttributeChart(setup.kind, setup.limits));
        case ChartKind::ewma: return made(EwmaChart(setup.limits, setup.ewma));
        case ChartKind::cusum: return made(CusumChart(setup.limits, setup.cusum));
        case ChartKind::short_run_deviation:
        case ChartKind::short_run_z: return made(ShortRunChart(setup.kind, setup.limits));
    }
    WEIR_ASSERT(false);
    return Error{"unknown_chart", "unknown chart"};
}

Result<std::optional<ChartPoint>> ControlChart::add(const Sample& sample) {
    WEIR_CHECK_OK(check_sample(setup_.kind, sample, size_max_));
    using Answer = std::optional<ChartPoint>;
    struct {
        ControlChart& self;
        const Sample& sample;
        Answer operator()(MeanChart& chart) { return chart.add(sample.values); }
        Answer operator()(SpreadChart& chart) { return chart.add(sample.values); }
        Answer operator()(MovingRangeChart& chart) { return chart.add(sample.values.front()); }
        Answer operator()(AttributeChart& chart) { return chart.add(sample.values.front(), sample.size); }
        Answer operator()(EwmaChart& chart) { return chart.add(sample.values); }
        Answer operator()(CusumChart& chart) {
            self.last_cusum_ = chart.add(sample.values);
            return self.last_cusum_.point;
        }
        Answer operator()(ShortRunChart& chart) { return chart.add(sample.values, sample.nominal, sample.part_sigma); }
    } add{*this, sample};
    return std::visit(add, chart_);
}

ControlChart::State ControlChart::state() const noexcept {
    if (const auto* chart = std::get_if<EwmaChart>(&chart_)) return {chart->state().z, chart->state().variance};
    if (const auto* chart = std::get_if<CusumChart>(&chart_)) return {chart->state().upper, chart->state().lower};
    if (const auto* chart = std::get_if<MovingRangeChart>(&chart_)) return {chart->state().last, chart->state().has_last ? 1.0 : 0.0};
    return {};
}

void ControlChart::restore(const State& state) noexcept {
    if (auto* chart = std::get_if<EwmaChart>(&chart_)) chart->restore({state.first, state.second});
    if (auto* chart = std::get_if<CusumChart>(&chart_)) chart->restore({state.first, state.second});
    if (auto* chart = std::get_if<MovingRangeChart>(&chart_)) chart->restore({state.first, state.second != 0});
}

}  // namespace weir::analytics
