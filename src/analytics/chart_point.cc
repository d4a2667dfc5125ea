#include "analytics/chart_point.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/assert.h"

namespace weir::analytics {

namespace {

struct KindName {
    std::string_view name, other, third;
};
constexpr std::array<KindName, chart_kind_count> kind_names{{
    {"xbar", "x-bar", "mean"},
    {"R", "range", "r"},
    {"S", "standard_deviation", "s"},
    {"xbar.one", "individuals", "i"},
    {"mr", "moving_range", "MR"},
    {"p", "p", "p"},
    {"np", "np", "np"},
    {"c", "c", "c"},
    {"u", "u", "u"},
    {"laney_p", "p'", "pprime"},
    {"laney_u", "u'", "uprime"},
    {"ewma", "ewma", "EWMA"},
    {"cusum", "cusum", "CUSUM"},
    {"short_run_deviation", "dnom", "deviation"},
    {"short_run_z", "z", "Z"},
}};

constexpr std::array<std::string_view, zone_count> zone_names{"beyond_lcl",   "zone_a_lower", "zone_b_lower", "zone_c_lower",
                                                              "zone_c_upper", "zone_b_upper", "zone_a_upper", "beyond_ucl"};

}  // namespace

std::string_view chart_kind_name(ChartKind kind) noexcept { return kind_names[static_cast<std::size_t>(kind)].name; }

std::optional<ChartKind> chart_kind_named(std::string_view name) noexcept {
    for (std::size_t i = 0; i < kind_names.size(); ++i) {
        if (name == kind_names[i].name || name == kind_names[i].other || name == kind_names[i].third) return static_cast<ChartKind>(i);
    }
    return std::nullopt;
}

std::string_view zone_name(Zone zone) noexcept { return zone_names[static_cast<std::size_t>(zone)]; }

Zone zone_of(double statistic, double centre, double zone_width) noexcept {
    // Counted without branches: readings are noise, which no predictor learns.
    const int above = (statistic > centre + zone_width) + (statistic > centre + 2 * zone_width) + (statistic > centre + 3 * zone_width);
    const int below = (statistic < centre) + (statistic < centre - zone_width) + (statistic < centre - 2 * zone_width) + (statistic < centre - 3 * zone_width);
    return static_cast<Zone>(static_cast<int>(Zone::zone_c_upper) + above - below);
}

ChartPoint place(double statistic, double centre, double sigma, double limit_sigmas, StatisticBounds bounds) noexcept {
    WEIR_ASSERT(std::isfinite(statistic));
    WEIR_ASSERT(sigma > 0);
    ChartPoint point;
    point.statistic = statistic;
    point.centre = centre;
    point.sigma = sigma;
    // limit_sigmas / 3 is exactly 1 for the usual limits, so that the zone borders are exact multiples of sigma there.
    point.zone_width = limit_sigmas / 3 * sigma;
    point.lcl = std::max(bounds.low, centre - 3 * point.zone_width);
    point.ucl = std::min(bounds.high, centre + 3 * point.zone_width);
    point.zone = zone_of(statistic, centre, point.zone_width);
    return point;
}

}  // namespace weir::analytics
