#include "analytics/run_rules.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>

#include "base/assert.h"

namespace weir::analytics {

namespace {

constexpr std::array<RuleInfo, rule_count> rule_table{{
    {RuleId::nelson_1, "One point beyond 3 sigma", "Outlier", Severity::critical},
    {RuleId::nelson_2, "Nine points in a row on one side of the centre line", "Shift", Severity::warning},
    {RuleId::nelson_3, "Six points in a row rising or falling", "Trend", Severity::warning},
    {RuleId::nelson_4, "Fourteen points in a row alternating up and down", "Alternator", Severity::warning},
    {RuleId::nelson_5, "Two of three points beyond 2 sigma on one side", "Zone A", Severity::warning},
    {RuleId::nelson_6, "Four of five points beyond 1 sigma on one side", "Zone B", Severity::warning},
    {RuleId::nelson_7, "Fifteen points in a row within 1 sigma", "Stratification", Severity::warning},
    {RuleId::nelson_8, "Eight points in a row beyond 1 sigma on both sides", "Mixture", Severity::warning},
    {RuleId::ewma_upper, "EWMA above its upper limit", "EWMA high", Severity::critical},
    {RuleId::ewma_lower, "EWMA below its lower limit", "EWMA low", Severity::critical},
    {RuleId::cusum_upper, "Upper CUSUM beyond its decision interval", "CUSUM high", Severity::critical},
    {RuleId::cusum_lower, "Lower CUSUM beyond its decision interval", "CUSUM low", Severity::critical},
    {RuleId::western_electric_1, "One point beyond 3 sigma", "Outlier", Severity::critical},
    {RuleId::western_electric_2, "Two of three points beyond 2 sigma on one side", "Zone A", Severity::warning},
    {RuleId::western_electric_3, "Four of five points beyond 1 sigma on one side", "Zone B", Severity::warning},
    {RuleId::western_electric_4, "Eight points in a row on one side of the centre line", "Shift", Severity::warning},
}};

constexpr std::size_t slot_of(RuleId id) noexcept {
    const auto number = static_cast<std::size_t>(id);
    return number <= 12 ? number - 1 : number - 21 + 12;
}

constexpr std::uint16_t bit_of(RuleId id) noexcept { return static_cast<std::uint16_t>(1u << slot_of(id)); }

constexpr std::uint64_t low_bits(int count) noexcept { return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1; }

constexpr bool has_points(RuleId id) noexcept {
    switch (id) {
        case RuleId::nelson_1:
        case RuleId::ewma_upper:
        case RuleId::ewma_lower:
        case RuleId::cusum_upper:
        case RuleId::cusum_lower:
        case RuleId::western_electric_1: return false;
        default: return true;
    }
}

constexpr bool has_needed(RuleId id) noexcept {
    return id == RuleId::nelson_5 || id == RuleId::nelson_6 || id == RuleId::western_electric_2 || id == RuleId::western_electric_3;
}

constexpr bool has_sigmas(RuleId id) noexcept {
    return id == RuleId::nelson_1 || id == RuleId::western_electric_1 || has_needed(id) || id == RuleId::nelson_7 || id == RuleId::nelson_8;
}

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
}

}  // namespace

std::string_view severity_name(Severity severity) noexcept { return severity == Severity::critical ? "CRITICAL" : "WARNING"; }

std::string_view side_name(Side side) noexcept { return side == Side::upper ? "upper" : side == Side::lower ? "lower" : "both"; }

std::span<const RuleInfo> rules() noexcept { return rule_table; }

const RuleInfo& rule_info(RuleId id) noexcept { return rule_table[slot_of(id)]; }

std::optional<RuleId> rule_with_id(int id) noexcept {
    for (const RuleInfo& rule : rule_table) {
        if (static_cast<int>(rule.id) == id) return rule.id;
    }
    return std::nullopt;
}

RuleSettings::RuleSettings() {
    const auto standard = [this](RuleId id, int points, int needed, double sigmas) { (*this)[id] = {false, points, needed, sigmas}; };
    standard(RuleId::nelson_1, 1, 1, 3);
    standard(RuleId::nelson_2, 9, 9, 0);
    standard(RuleId::nelson_3, 6, 6, 0);
    standard(RuleId::nelson_4, 14, 14, 0);
    standard(RuleId::nelson_5, 3, 2, 2);
    standard(RuleId::nelson_6, 5, 4, 1);
    standard(RuleId::nelson_7, 15, 15, 1);
    standard(RuleId::nelson_8, 8, 8, 1);
    for (RuleId id : {RuleId::ewma_upper, RuleId::ewma_lower, RuleId::cusum_upper, RuleId::cusum_lower}) standard(id, 1, 1, 0);
    standard(RuleId::western_electric_1, 1, 1, 3);
    standard(RuleId::western_electric_2, 3, 2, 2);
    standard(RuleId::western_electric_3, 5, 4, 1);
    standard(RuleId::western_electric_4, 8, 8, 0);
}

RuleSettings RuleSettings::nelson() {
    RuleSettings settings;
    for (int id = 1; id <= 8; ++id) settings[static_cast<RuleId>(id)].on = true;
    return settings;
}

RuleSettings RuleSettings::western_electric() {
    RuleSettings settings;
    for (int id = 21; id <= 24; ++id) settings[static_cast<RuleId>(id)].on = true;
    return settings;
}

RuleSettings RuleSettings::applying_to(ChartKind kind) {
    RuleSettings settings;
    for (const RuleInfo& rule : rule_table) settings[rule.id].on = rule_applies(rule.id, kind);
    return settings;
}

RuleParameters& RuleSettings::operator[](RuleId id) noexcept { return parameters_[slot_of(id)]; }
const RuleParameters& RuleSettings::operator[](RuleId id) const noexcept { return parameters_[slot_of(id)]; }

RuleSettings& RuleSettings::keep_applying_to(ChartKind kind) noexcept {
    for (const RuleInfo& rule : rule_table) (*this)[rule.id].on = (*this)[rule.id].on && rule_applies(rule.id, kind);
    return *this;
}

Result<void> check_rules(const RuleSettings& settings) {
    for (const RuleInfo& rule : rule_table) {
        const RuleParameters& parameters = settings[rule.id];
        const auto beyond = [&](std::string_view name, const std::string& found, const std::string& allowed) {
            return Error{"option_out_of_range", "rule " + std::to_string(static_cast<int>(rule.id)) + " (" + std::string(rule.short_name) + "): " +
                                                    std::string(name) + " is " + found + "; allowed: " + allowed};
        };
        // An alternation needs two differences; every other run is one from two points on.
        const int least = rule.id == RuleId::nelson_4 ? 3 : 2;
        if (has_points(rule.id) && (parameters.points < least || parameters.points > rule_points_max))
            return beyond("points", std::to_string(parameters.points), std::to_string(least) + " to " + std::to_string(rule_points_max));
        if (has_needed(rule.id) && (parameters.needed < 1 || parameters.needed > parameters.points))
            return beyond("needed", std::to_string(parameters.needed), "1 to points (" + std::to_string(parameters.points) + ")");
        if (has_sigmas(rule.id) && !(parameters.sigmas > 0 && std::isfinite(parameters.sigmas))) return beyond("sigmas", number(parameters.sigmas), "more than 0");
    }
    return ok();
}

bool rule_applies(RuleId id, ChartKind kind) noexcept {
    const bool ewma_rule = id == RuleId::ewma_upper || id == RuleId::ewma_lower, cusum_rule = id == RuleId::cusum_upper || id == RuleId::cusum_lower;
    switch (kind) {
        case ChartKind::xbar:
        case ChartKind::individuals:
        case ChartKind::short_run_deviation:
        case ChartKind::short_run_z: return !ewma_rule && !cusum_rule;
        case ChartKind::range:
        case ChartKind::standard_deviation:
        case ChartKind::p:
        case ChartKind::np:
        case ChartKind::c:
        case ChartKind::u:
        case ChartKind::laney_p:
        case ChartKind::laney_u: return id <= RuleId::nelson_4 || id == RuleId::western_electric_1 || id == RuleId::western_electric_4;
        case ChartKind::moving_range: return id == RuleId::nelson_1 || id == RuleId::western_electric_1;
        case ChartKind::ewma: return ewma_rule;
        case ChartKind::cusum: return cusum_rule;
    }
    return false;
}

std::string rule_description(RuleId id, const RuleParameters& parameters) {
    const std::string points = std::to_string(parameters.points), line = number(parameters.sigmas) + " sigma";
    switch (id) {
        case RuleId::nelson_1:
        case RuleId::western_electric_1: return "one point beyond " + line;
        case RuleId::nelson_2:
        case RuleId::western_electric_4: return points + " points in a row on one side of the centre line";
        case RuleId::nelson_3: return points + " points in a row rising or falling";
        case RuleId::nelson_4: return points + " points in a row alternating up and down";
        case RuleId::nelson_5:
        case RuleId::nelson_6:
        case RuleId::western_electric_2:
        case RuleId::western_electric_3:
            return std::to_string(parameters.needed) + " of " + points + " points beyond " + line + " on one side, the last one among them";
        case RuleId::nelson_7: return points + " points in a row within " + line;
        case RuleId::nelson_8: return points + " points in a row beyond " + line + ", both sides present";
        case RuleId::ewma_upper: return "EWMA above its upper limit";
        case RuleId::ewma_lower: return "EWMA below its lower limit";
        case RuleId::cusum_upper: return "upper CUSUM beyond its decision interval";
        case RuleId::cusum_lower: return "lower CUSUM beyond its decision interval";
    }
    return {};
}

bool Signals::has(RuleId id) const noexcept { return (fired_ & bit_of(id)) != 0; }
bool Signals::begins(RuleId id) const noexcept { return (begins_ & bit_of(id)) != 0; }
Side Signals::side(RuleId id) const noexcept { return upper_ & bit_of(id) ? Side::upper : lower_ & bit_of(id) ? Side::lower : Side::both; }

RunRules::RunRules(const RuleSettings& settings) : settings_(settings) {
    for (const RuleInfo& rule : rule_table) {
        const RuleParameters& parameters = settings[rule.id];
        if (parameters.on) on_ = static_cast<std::uint16_t>(on_ | bit_of(rule.id));
        int bits = parameters.points;
        if (rule.id == RuleId::nelson_3) bits -= 1;  // n points have n - 1 steps between them
        if (rule.id == RuleId::nelson_4) bits -= 2;  // and n - 2 turns
        window_[slot_of(rule.id)] = low_bits(bits);
        needed_[slot_of(rule.id)] = parameters.needed;
    }
    nelson_1_.sigmas = settings[RuleId::nelson_1].sigmas;
    nelson_5_.sigmas = settings[RuleId::nelson_5].sigmas;
    nelson_6_.sigmas = settings[RuleId::nelson_6].sigmas;
    nelson_7_.sigmas = settings[RuleId::nelson_7].sigmas;
    nelson_8_.sigmas = settings[RuleId::nelson_8].sigmas;
    western_1_.sigmas = settings[RuleId::western_electric_1].sigmas;
    western_2_.sigmas = settings[RuleId::western_electric_2].sigmas;
    western_3_.sigmas = settings[RuleId::western_electric_3].sigmas;
}

Signals RunRules::add(const ChartPoint& point) noexcept {
    const double x = point.statistic, centre = point.centre, width = point.zone_width;
    for (Beyond* line : {&nelson_1_, &nelson_5_, &nelson_6_, &nelson_7_, &nelson_8_, &western_1_, &western_2_, &western_3_}) line->note(x, centre, width);
    centre_.up = centre_.up << 1 | std::uint64_t{x > centre};
    centre_.down = centre_.down << 1 | std::uint64_t{x < centre};
    // Hardly a branch below: readings are noise, and noise is what a branch predictor cannot learn (half the time, measured).
    const std::uint64_t started = seen_ & 1, rising = started & std::uint64_t{x > last_}, falling = started & std::uint64_t{x < last_};
    alternating_ = alternating_ << 1 | (rising & trend_.down & 1) | (falling & trend_.up & 1);
    trend_.up = trend_.up << 1 | rising;
    trend_.down = trend_.down << 1 | falling;
    seen_ = seen_ << 1 | 1;
    last_ = x;

    std::uint32_t upper = 0, lower = 0, sideless = 0;
    const auto note = [&](RuleId id, std::uint64_t up, std::uint64_t down) {
        upper |= static_cast<std::uint32_t>(up) << slot_of(id);
        lower |= static_cast<std::uint32_t>(down) << slot_of(id);
    };
    const auto full = [&](RuleId id, std::uint64_t history) { return std::uint64_t{(~history & window_[slot_of(id)]) == 0}; };
    const auto run = [&](RuleId id, const OneSide& side) { note(id, full(id, side.up), full(id, side.down)); };
    // The window must be full: four points beyond at the very start are not yet four of five (as the reference results have it).
    const auto some = [&](RuleId id, const OneSide& side) {
        const std::size_t slot = slot_of(id);
        const std::uint64_t up = side.up & 1, down = side.down & 1;
        // Few points are beyond, so this branch is learnt; the count is a call where the processor's own is not assumed.
        if (((up | down) & full(id, seen_)) == 0) return;
        const std::uint64_t enough{std::popcount((up != 0 ? side.up : side.down) & window_[slot]) >= needed_[slot]};
        note(id, enough & up, enough & down);
    };
    const std::uint64_t above{point.zone == Zone::beyond_ucl}, below{point.zone == Zone::beyond_lcl};
    note(RuleId::nelson_1, nelson_1_.seen.up & 1, nelson_1_.seen.down & 1);
    run(RuleId::nelson_2, centre_);
    run(RuleId::nelson_3, trend_);
    some(RuleId::nelson_5, nelson_5_.seen);
    some(RuleId::nelson_6, nelson_6_.seen);
    note(RuleId::ewma_upper, above, 0);
    note(RuleId::ewma_lower, 0, below);
    const std::uint64_t both{point.both_beyond};
    note(RuleId::cusum_upper, above | both, 0);
    note(RuleId::cusum_lower, 0, below | both);
    note(RuleId::western_electric_1, western_1_.seen.up & 1, western_1_.seen.down & 1);
    some(RuleId::western_electric_2, western_2_.seen);
    some(RuleId::western_electric_3, western_3_.seen);
    run(RuleId::western_electric_4, centre_);
    const auto note_sideless = [&](RuleId id, std::uint64_t holds) { sideless |= static_cast<std::uint32_t>(holds) << slot_of(id); };
    note_sideless(RuleId::nelson_4, full(RuleId::nelson_4, alternating_));
    // Not beyond its line on either side, and there at all: a value on the line is inside.
    note_sideless(RuleId::nelson_7, full(RuleId::nelson_7, seen_ & ~(nelson_7_.seen.up | nelson_7_.seen.down)));
    const std::uint64_t mixed = window_[slot_of(RuleId::nelson_8)];
    note_sideless(RuleId::nelson_8, full(RuleId::nelson_8, nelson_8_.seen.up | nelson_8_.seen.down) & std::uint64_t{(nelson_8_.seen.up & mixed) != 0} &
                                        std::uint64_t{(nelson_8_.seen.down & mixed) != 0});

    Signals signals;
    signals.upper_ = static_cast<std::uint16_t>(upper & on_);
    signals.lower_ = static_cast<std::uint16_t>(lower & on_);
    signals.fired_ = static_cast<std::uint16_t>((upper | lower | sideless) & on_);
    const auto other_side = static_cast<std::uint16_t>((signals.upper_ & last_signals_.lower_) | (signals.lower_ & last_signals_.upper_));
    signals.begins_ = static_cast<std::uint16_t>(signals.fired_ & (~last_signals_.fired_ | other_side));
    last_signals_ = signals;
    return signals;
}

std::uint64_t RunRules::pattern(RuleId id) const noexcept {
    if (!has_points(id)) return 1;
    const std::uint64_t window = low_bits(settings_[id].points);
    const auto some = [&](const OneSide& side) { return (side.up & 1 ? side.up : side.down) & window; };
    switch (id) {
        case RuleId::nelson_5: return some(nelson_5_.seen);
        case RuleId::nelson_6: return some(nelson_6_.seen);
        case RuleId::western_electric_2: return some(western_2_.seen);
        case RuleId::western_electric_3: return some(western_3_.seen);
        default: return window & seen_;
    }
}

int RunRules::lookback() const noexcept {
    int points = 1;
    for (const RuleInfo& rule : rule_table) {
        if (settings_[rule.id].on && has_points(rule.id)) points = std::max(points, settings_[rule.id].points);
    }
    return points;  // points - 1 for the pattern, and one more to know whether it begins here
}

void RunRules::reset() noexcept { *this = RunRules(settings_); }

}  // namespace weir::analytics
