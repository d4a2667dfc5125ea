#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::analytics {

/// The charts that weir draws. The order is that of `chart_kind_name`.
enum class ChartKind : std::uint8_t {
    xbar,                 ///< mean of a subgroup
    range,                ///< range of a subgroup
    standard_deviation,   ///< standard deviation of a subgroup
    individuals,          ///< single readings
    moving_range,         ///< difference of two neighbouring single readings
    p,                    ///< fraction nonconforming
    np,                   ///< number nonconforming
    c,                    ///< nonconformities
    u,                    ///< nonconformities per unit
    laney_p,              ///< p with limits widened by the variation between samples
    laney_u,              ///< u likewise
    ewma,                 ///< exponentially weighted moving average
    cusum,                ///< tabular cumulative sum, both sides
    short_run_deviation,  ///< deviation from the part's nominal
    short_run_z,          ///< deviation in the part's own sigma
};
inline constexpr int chart_kind_count = 15;

/// `xbar`, `R`, `S`, `xbar.one`, ... : the word that configuration, JSON and tests/data/spc/charts.json use.
std::string_view chart_kind_name(ChartKind kind) noexcept;
/// Also takes the enumerator's own spelling (`individuals`, `range`, `i`, `mr`, ...). nullopt if it is none.
std::optional<ChartKind> chart_kind_named(std::string_view name) noexcept;

/// Thirds of the way from the centre line to a control limit, and what lies beyond. From the lowest to the highest.
/// An outer border belongs to its zone: a value on the UCL is `zone_a_upper`; on the centre line it is `zone_c_upper` (decisions.md 26).
enum class Zone : std::uint8_t { beyond_lcl, zone_a_lower, zone_b_lower, zone_c_lower, zone_c_upper, zone_b_upper, zone_a_upper, beyond_ucl };
inline constexpr int zone_count = 8;

/// `zone_c_upper`, `beyond_ucl`, ...: the words of source 003's `payload.zone`.
std::string_view zone_name(Zone zone) noexcept;

/// One point on a control chart: what is plotted, the lines that hold for it, and where it lies between them.
/// All in the unit of the plotted statistic.
struct ChartPoint {
    double statistic = 0;
    double centre = 0;
    double lcl = 0;         ///< what is drawn: never outside the statistic's own range (a range below 0, a fraction above 1)
    double ucl = 0;
    double sigma = 0;       ///< standard deviation of the statistic at this point
    double zone_width = 0;  ///< a third of the way from the centre to a limit before it was cut off; = sigma for limits at 3 sigma
    Zone zone = Zone::zone_c_upper;
    bool both_beyond = false;  ///< CUSUM: the sum of the other side is beyond its limit too

    bool operator==(const ChartPoint&) const = default;
};

/// Zone of `statistic`. Lines are centre -/+ k * zone_width, and are compared as such, so that zones, limits and run rules agree
/// to the last bit. Arguments finite, zone_width > 0.
Zone zone_of(double statistic, double centre, double zone_width) noexcept;

/// Where a statistic can be at all; limits are cut off there.
struct StatisticBounds {
    double low = -1.7976931348623157e308, high = 1.7976931348623157e308;
};

/// The point of one statistic with limits at `limit_sigmas` sigma. Finite arguments, sigma > 0.
ChartPoint place(double statistic, double centre, double sigma, double limit_sigmas, StatisticBounds bounds = {}) noexcept;

}  // namespace weir::analytics
