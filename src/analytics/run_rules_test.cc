#include "analytics/run_rules.h"

#include <doctest/doctest.h>

#include "analytics/spc_reference_for_tests.h"
#include "base/prng.h"

using namespace weir::analytics;

namespace {

constexpr RuleId nelson(int rule) { return static_cast<RuleId>(rule); }
constexpr RuleId western_electric(int rule) { return static_cast<RuleId>(20 + rule); }

RuleSettings both_sets() {
    RuleSettings settings = RuleSettings::nelson();
    for (int rule = 1; rule <= 4; ++rule) settings[western_electric(rule)].on = true;
    return settings;
}

ChartPoint standard(double x) { return place(x, 0, 1, 3); }

/// Positions from 1 at which a rule signals.
std::vector<int> positions(const RuleSettings& settings, RuleId rule, const std::vector<double>& values) {
    RunRules run(settings);
    std::vector<int> found;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (run.add(standard(values[i])).has(rule)) found.push_back(static_cast<int>(i) + 1);
    }
    return found;
}

std::vector<int> positions(RuleId rule, const std::vector<double>& values) { return positions(both_sets(), rule, values); }

/// The slow, obvious twin: the words of tests/data/spc/README.md over the whole history.
struct Twin {
    std::vector<ChartPoint> history;
    RuleSettings settings;

    /// -1 none, 0 both sides, 1 upper, 2 lower
    int side(RuleId rule) const {
        const RuleParameters& p = settings[rule];
        const auto n = static_cast<std::size_t>(p.points);
        const auto last = [&](std::size_t back) -> const ChartPoint& { return history[history.size() - 1 - back]; };
        const auto above = [&](std::size_t back, double sigmas) { return last(back).statistic > last(back).centre + sigmas * last(back).zone_width; };
        const auto below = [&](std::size_t back, double sigmas) { return last(back).statistic < last(back).centre - sigmas * last(back).zone_width; };
        const auto all = [&](std::size_t count, auto&& holds) {
            if (history.size() < n) return false;
            for (std::size_t back = 0; back < count; ++back) {
                if (!holds(back)) return false;
            }
            return true;
        };
        const auto sided = [](bool up, bool down) { return up ? 1 : down ? 2 : -1; };
        switch (rule) {
            case RuleId::nelson_1:
            case RuleId::western_electric_1: return sided(above(0, p.sigmas), below(0, p.sigmas));
            case RuleId::nelson_2:
            case RuleId::western_electric_4:
                return sided(all(n, [&](std::size_t b) { return last(b).statistic > last(b).centre; }), all(n, [&](std::size_t b) { return last(b).statistic < last(b).centre; }));
            case RuleId::nelson_3:
                return sided(all(n - 1, [&](std::size_t b) { return last(b).statistic > last(b + 1).statistic; }),
                             all(n - 1, [&](std::size_t b) { return last(b).statistic < last(b + 1).statistic; }));
            case RuleId::nelson_4:
                return all(n - 2, [&](std::size_t b) {
                           const double newer = last(b).statistic, middle = last(b + 1).statistic, older = last(b + 2).statistic;
                           return (newer > middle && middle < older) || (newer < middle && middle > older);
                       })
                           ? 0
                           : -1;
            case RuleId::nelson_5:
            case RuleId::nelson_6:
            case RuleId::western_electric_2:
            case RuleId::western_electric_3: {
                int up = 0, down = 0;
                if (history.size() < n) return -1;
                for (std::size_t back = 0; back < std::min(n, history.size()); ++back) {
                    up += above(back, p.sigmas);
                    down += below(back, p.sigmas);
                }
                return sided(above(0, p.sigmas) && up >= p.needed, below(0, p.sigmas) && down >= p.needed);
            }
            case RuleId::nelson_7: return all(n, [&](std::size_t b) { return !above(b, p.sigmas) && !below(b, p.sigmas); }) ? 0 : -1;
            case RuleId::nelson_8: {
                bool up = false, down = false;
                const bool beyond = all(n, [&](std::size_t b) {
                    up = up || above(b, p.sigmas);
                    down = down || below(b, p.sigmas);
                    return above(b, p.sigmas) || below(b, p.sigmas);
                });
                return beyond && up && down ? 0 : -1;
            }
            default: return -1;
        }
    }

    /// Whether a pattern alone, the points that are not in it being unknown, makes the rule hold.
    bool explains(RuleId rule, std::uint64_t pattern) const {
        if (!(pattern & 1)) return false;
        const RuleParameters& p = settings[rule];
        const bool some = rule == RuleId::nelson_5 || rule == RuleId::nelson_6 || rule == RuleId::western_electric_2 || rule == RuleId::western_electric_3;
        if (rule == RuleId::nelson_1 || rule == RuleId::western_electric_1) return pattern == 1;
        if (!some) return pattern == (p.points >= 64 ? ~0ull : (1ull << p.points) - 1);
        const bool upper = history.back().statistic > history.back().centre;
        int count = 0;
        for (std::size_t back = 0; back < 64; ++back) {
            if (!(pattern >> back & 1)) continue;
            if (back >= static_cast<std::size_t>(p.points) || back >= history.size()) return false;
            const ChartPoint& point = history[history.size() - 1 - back];
            const double line = p.sigmas * point.zone_width;
            if (upper ? !(point.statistic > point.centre + line) : !(point.statistic < point.centre - line)) return false;
            ++count;
        }
        return count >= p.needed;
    }
};

/// `count` random points through evaluator and twin; half of the values lie exactly on a border or repeat their neighbour.
void compare_with_twin(std::uint64_t seed, int count, const RuleSettings& settings) {
    CAPTURE(seed);
    weir::Prng prng(seed);
    RunRules run(settings);
    Twin twin{{}, settings};
    std::array<int, 32> last_side{};
    last_side.fill(-1);
    int differences = 0, signals_seen = 0;
    double value = 0;
    const auto kind_of_values = prng.below(5);
    for (int i = 0; i < count; ++i) {
        switch (kind_of_values) {
            case 0: value = prng.normal(); break;
            case 1: value = static_cast<double>(prng.below(15)) / 2 - 3.5; break;                                // a grid of half sigmas
            case 2: value = (i % 2 ? 1.0 : -1.0) * (prng.chance(0.05) ? 0.5 : 1 + prng.uniform()); break;        // alternation, mixture
            case 3: value += static_cast<double>(prng.below(3)) - (prng.chance(0.5) ? 1.0 : 0.0) - 0.5; break;   // a walk
            default: value = prng.chance(0.02) ? 3 : static_cast<double>(prng.below(5)) / 2 - 1; break;          // hugging, on the lines
        }
        if (std::abs(value) > 6) value = 0;
        // Lines of a varying sample size now and then: a rule must use each point's own.
        const ChartPoint point = prng.chance(0.2) ? place(value, 0.5, 0.5, 3) : place(value, 0, 1, 3);
        const Signals signals = run.add(point);
        twin.history.push_back(point);
        if (twin.history.size() > 70) twin.history.erase(twin.history.begin());
        for (const RuleInfo& rule : rules()) {
            if (!settings[rule.id].on) continue;
            const int side = twin.side(rule.id);
            auto& before = last_side[static_cast<std::size_t>(rule.id)];
            if (signals.has(rule.id) != (side >= 0)) ++differences;
            if (side >= 0 && signals.has(rule.id)) {
                ++signals_seen;
                const Side expected = side == 1 ? Side::upper : side == 2 ? Side::lower : Side::both;
                if (signals.side(rule.id) != expected) ++differences;
                if (signals.begins(rule.id) != (before != side)) ++differences;
                if (!twin.explains(rule.id, run.pattern(rule.id))) ++differences;
            }
            before = side;
        }
        if (differences > 0) {
            CAPTURE(i);
            REQUIRE(differences == 0);
        }
    }
    CHECK(signals_seen > 0);
}

}  // namespace

TEST_CASE("run rules: all 27 sequences of the reference, all twelve rules, position by position (D8)") {
    const nlohmann::json sequences = reference::json("rule_sequences.json");
    REQUIRE(sequences.size() == 27);
    int lists = 0;
    for (const auto& sequence : sequences) {
        const std::string id = sequence["id"];
        CAPTURE(id);
        const std::vector<double> values = sequence["x"];
        for (int rule = 1; rule <= 8; ++rule, ++lists) {
            CAPTURE(rule);
            CHECK(positions(nelson(rule), values) == sequence["signals"]["nelson"][std::to_string(rule)].get<std::vector<int>>());
        }
        for (int rule = 1; rule <= 4; ++rule, ++lists) {
            CAPTURE(rule);
            CHECK(positions(western_electric(rule), values) == sequence["signals"]["western_electric"][std::to_string(rule)].get<std::vector<int>>());
        }
    }
    CHECK(lists == 324);
}

TEST_CASE("run rules: they agree with a slow evaluation on 120,000 random points with exact ties (D8, D10)") {
    const bool nightly = std::getenv("WEIR_NIGHTLY") != nullptr;
    for (std::uint64_t seed = 1; seed <= (nightly ? 2000 : 60); ++seed) compare_with_twin(seed, 2000, both_sets());
}

TEST_CASE("run rules: they agree with a slow evaluation whatever the parameters (D8)") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        weir::Prng prng(seed * 7919);
        RuleSettings settings = both_sets();
        for (const RuleInfo& rule : rules()) {
            RuleParameters& parameters = settings[rule.id];
            parameters.points = static_cast<int>(3 + prng.below(seed % 4 == 0 ? 62 : 8));
            parameters.needed = static_cast<int>(1 + prng.below(std::min<std::uint64_t>(parameters.points, 6)));
            parameters.sigmas = static_cast<double>(1 + prng.below(6)) / 2;
        }
        // One rule must fire at all for the comparison to mean something.
        settings[RuleId::nelson_1].sigmas = 0.5;
        REQUIRE(check_rules(settings).ok());
        compare_with_twin(seed, 1000, settings);
    }
}

TEST_CASE("run rules: a value on a limit is inside, one above it is not (rule 1)") {
    CHECK(positions(nelson(1), {3, 3.0000001, -3, -3.0000001}) == std::vector{2, 4});
}

TEST_CASE("run rules: a value on the centre line ends a run on one side (S3-R13: strict inequality at the centre line)") {
    CHECK(positions(nelson(2), {.1, .1, .1, .1, .1, .1, .1, .1, .1}) == std::vector{9});
    CHECK(positions(nelson(2), {.1, .1, .1, .1, 0, .1, .1, .1, .1, .1}).empty());
    CHECK(positions(nelson(2), std::vector<double>(30, 0.0)).empty());
}

TEST_CASE("run rules: rule 3 needs each point above the last; an equal neighbour ends the trend (S3-R9)") {
    CHECK(positions(nelson(3), {0, .1, .2, .3, .4, .5}) == std::vector{6});
    CHECK(positions(nelson(3), {0, .1, .2, .2, .3, .4, .5}).empty());
}

TEST_CASE("run rules: rule 8 needs points on both sides (S3-R13: rule 8 was one-sided)") {
    CHECK(positions(nelson(8), std::vector<double>(20, 1.5)).empty());
    CHECK(positions(nelson(8), {1.5, 1.5, 1.5, -1.5, 1.5, 1.5, 1.5, 1.5}) == std::vector{8});
    CHECK(positions(nelson(8), {1.5, 1.5, 1.5, -1.5, 1.5, 1.5, 1, 1.5}).empty());
}

TEST_CASE("run rules: rule 7 counts a value on its line as inside, and needs its points to be there") {
    CHECK(positions(nelson(7), std::vector<double>(14, 0.0)).empty());
    CHECK(positions(nelson(7), {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1}) == std::vector{15});
    CHECK(positions(nelson(7), {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1.000001}).empty());
}

TEST_CASE("run rules: two evaluators share nothing (S3-R13: rule state leaked between characteristics)") {
    RunRules first(RuleSettings::nelson()), second(RuleSettings::nelson());
    for (int i = 0; i < 8; ++i) {
        CHECK_FALSE(first.add(standard(1)).any());
        CHECK_FALSE(second.add(standard(-1)).any());
    }
    CHECK(first.add(standard(1)).has(RuleId::nelson_2));
    CHECK(second.add(standard(-1)).side(RuleId::nelson_2) == Side::lower);
}

TEST_CASE("run rules: all rules that fire at a point are reported, each with its side (spec.md section 3)") {
    RunRules run(both_sets());
    Signals signals;
    for (double x : {2.5, 2.6, 2.7, 2.8, 2.9, 3.1, 3.2, 3.3, 3.4}) signals = run.add(standard(x));
    for (int id : {1, 2, 3, 5, 6, 21, 22, 23, 24}) {
        CAPTURE(id);
        CHECK(signals.has(static_cast<RuleId>(id)));
        CHECK(signals.side(static_cast<RuleId>(id)) == Side::upper);
    }
    std::vector<int> in_order;
    signals.for_each([&](RuleId rule) { in_order.push_back(static_cast<int>(rule)); });
    CHECK(in_order == std::vector{1, 2, 3, 5, 6, 21, 22, 23, 24});
}

TEST_CASE("run rules: a violation begins once, and again when its side changes (decision 25)") {
    RunRules run(RuleSettings::nelson());
    CHECK(run.add(standard(4)).begins(RuleId::nelson_1));
    const Signals prolonged = run.add(standard(4));
    CHECK(prolonged.has(RuleId::nelson_1));
    CHECK_FALSE(prolonged.begins(RuleId::nelson_1));
    CHECK(run.add(standard(-4)).begins(RuleId::nelson_1));
    CHECK_FALSE(run.add(standard(0)).any());
    CHECK(run.add(standard(-4)).begins(RuleId::nelson_1));
}

TEST_CASE("run rules: evaluated again from lookback() points before, each answer is the same (D9)") {
    weir::Prng prng(5);
    RunRules run(both_sets());
    CHECK(run.lookback() == 15);
    std::vector<double> values;
    std::vector<Signals> answers;
    for (int i = 0; i < 3000; ++i) {
        values.push_back(static_cast<double>(prng.below(13)) / 2 - 3);
        answers.push_back(run.add(standard(values.back())));
    }
    const auto back = static_cast<std::size_t>(run.lookback());
    for (std::size_t i = back; i < values.size(); ++i) {
        run.reset();
        Signals again;
        for (std::size_t k = i - back; k <= i; ++k) again = run.add(standard(values[k]));
        REQUIRE(again == answers[i]);
    }
}

TEST_CASE("run rules: 4 of 5 needs five points to be there (rule_sequences.json, trend_01)") {
    CHECK(positions(nelson(6), {-2.78, -1.15, -1.52, -1.89}).empty());
    CHECK(positions(nelson(6), {-2.78, -1.15, -1.52, -1.89, -1.36}) == std::vector{5});
    CHECK(positions(nelson(5), {2.5, 2.5}).empty());
    CHECK(positions(nelson(5), {2.5, 2.5, 2.5}) == std::vector{3});
}

TEST_CASE("run rules: the pattern names the points beyond the line, not those between (D10)") {
    RunRules run(RuleSettings::nelson());
    for (double x : {1.5, 0.2, 1.5, 1.5}) run.add(standard(x));
    REQUIRE(run.add(standard(1.5)).has(RuleId::nelson_6));
    CHECK(run.pattern(RuleId::nelson_6) == 0b10111);
    for (double x : {0.1, 2.5, 0.1}) run.add(standard(x));
    REQUIRE(run.add(standard(2.5)).has(RuleId::nelson_5));
    CHECK(run.pattern(RuleId::nelson_5) == 0b101);
}

TEST_CASE("run rules: a rule that is switched off is silent, and the others are not") {
    RuleSettings settings = RuleSettings::nelson();
    settings[RuleId::nelson_1].on = false;
    RunRules run(settings);
    CHECK_FALSE(run.add(standard(5)).any());
    CHECK_FALSE(run.add(standard(5)).any());
    CHECK(run.add(standard(5)).has(RuleId::nelson_5));
}

TEST_CASE("run rules: only the rules that apply to a chart are left on it (spec.md section 3; jasp-issues 2611, 2809)") {
    const auto on = [](ChartKind kind) {
        std::vector<int> ids;
        const RuleSettings settings = RuleSettings::applying_to(kind);
        for (const RuleInfo& rule : rules()) {
            if (settings[rule.id].on) ids.push_back(static_cast<int>(rule.id));
        }
        return ids;
    };
    CHECK(on(ChartKind::xbar) == std::vector{1, 2, 3, 4, 5, 6, 7, 8, 21, 22, 23, 24});
    CHECK(on(ChartKind::range) == std::vector{1, 2, 3, 4, 21, 24});
    CHECK(on(ChartKind::p) == std::vector{1, 2, 3, 4, 21, 24});
    CHECK(on(ChartKind::moving_range) == std::vector{1, 21});
    CHECK(on(ChartKind::ewma) == std::vector{9, 10});
    CHECK(on(ChartKind::cusum) == std::vector{11, 12});
    RuleSettings chosen = RuleSettings::western_electric();
    chosen.keep_applying_to(ChartKind::c);
    CHECK_FALSE(chosen[RuleId::western_electric_2].on);
    CHECK(chosen[RuleId::western_electric_4].on);
    CHECK_FALSE(chosen[RuleId::nelson_1].on);
}

TEST_CASE("run rules: ids, names and severities are those of decision 26, S3-16, S3-R8 and C-31") {
    CHECK(rule_info(RuleId::nelson_1).name == "One point beyond 3 sigma");
    CHECK(severity_name(rule_info(RuleId::nelson_1).severity) == "CRITICAL");
    const std::string_view short_names[] = {"Outlier", "Shift", "Trend", "Alternator", "Zone A", "Zone B", "Stratification", "Mixture"};
    for (int rule = 1; rule <= 8; ++rule) {
        CHECK(rule_info(nelson(rule)).short_name == short_names[rule - 1]);
        CHECK((rule_info(nelson(rule)).severity == Severity::critical) == (rule == 1));
    }
    std::vector<int> ids;
    for (const RuleInfo& rule : rules()) ids.push_back(static_cast<int>(rule.id));
    CHECK(ids == std::vector{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 21, 22, 23, 24});
    for (int id : {0, 13, 20, 25, -1}) CHECK_FALSE(rule_with_id(id).has_value());
    CHECK(rule_with_id(24) == RuleId::western_electric_4);
}

TEST_CASE("run rules: a description states the parameters in force, not the textbook's (D10)") {
    RuleSettings settings = RuleSettings::nelson();
    CHECK(rule_description(RuleId::nelson_2, settings[RuleId::nelson_2]) == "9 points in a row on one side of the centre line");
    settings[RuleId::nelson_5] = {true, 4, 3, 1.5};
    CHECK(rule_description(RuleId::nelson_5, settings[RuleId::nelson_5]) == "3 of 4 points beyond 1.5 sigma on one side, the last one among them");
}

TEST_CASE("run rules: impossible parameters are refused, with the rule and what is allowed") {
    const auto refused = [](RuleId id, RuleParameters parameters, std::string_view part) {
        RuleSettings settings;
        settings[id] = parameters;
        const auto result = check_rules(settings);
        REQUIRE_FALSE(result.ok());
        CHECK(result.error().code == "option_out_of_range");
        CAPTURE(result.error().message);
        CHECK(result.error().message.find(part) != std::string::npos);
    };
    refused(RuleId::nelson_2, {true, 65, 1, 0}, "points is 65; allowed: 2 to 64");
    refused(RuleId::nelson_4, {true, 2, 1, 0}, "allowed: 3 to 64");
    refused(RuleId::nelson_5, {true, 3, 4, 2}, "needed is 4; allowed: 1 to points (3)");
    refused(RuleId::western_electric_1, {true, 1, 1, -3}, "sigmas is -3");
    CHECK(check_rules(both_sets()).ok());
}
