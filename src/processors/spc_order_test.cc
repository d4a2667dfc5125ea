// Order independence (D9) and self-explanation (D10) over random schedules. What is naive here is naive on purpose: rules and statistics
// written again from their definitions (tests/data/spc/README.md), sharing no code with src/analytics.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "base/prng.h"
#include "processors/spc_test_support.h"

using namespace weir;

namespace {

const Timestamp origin = "2026-02-17T10:00:00Z"_utc;

struct NaiveSample {
    std::int64_t id = 0;
    Timestamp time{};
    std::vector<double> values{};
    double size = 1;
    bool excluded = false;
};

struct NaivePoint {
    std::int64_t sample = 0;
    double x = 0, centre = 0, width = 0, lcl = 0, ucl = 0;
    double upper = 0, lower = 0;  // both sums of a CUSUM
};

struct NaiveLimits {
    double centre = 0, sigma = 0;
};

double naive_mean(const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    return sum / static_cast<double>(values.size());
}

/// d2 and d3 for 5, from the table of ISO 7870-2 to the digits that the tests need.
constexpr double d2_5 = 2.325928947, d3_5 = 0.864081941, d2_2 = 1.128379167, d3_2 = 0.852502466;

/// All points of one chart over ordered samples, excluded ones left out.
std::vector<NaivePoint> naive_points(const std::string& chart, const std::vector<NaiveSample>& samples, const NaiveLimits& limits) {
    std::vector<NaivePoint> points;
    double z = limits.centre, variance = 0, upper = 0, lower = 0, last = 0;
    bool has_last = false;
    for (const auto& s : samples) {
        if (s.excluded) continue;
        NaivePoint p{.sample = s.id, .centre = limits.centre};
        const double n = static_cast<double>(s.values.size()), mean = naive_mean(s.values);
        if (chart == "xbar" || chart == "xbar.one") {
            p.x = mean;
            p.width = limits.sigma / std::sqrt(n);
        } else if (chart == "R") {
            p.x = *std::max_element(s.values.begin(), s.values.end()) - *std::min_element(s.values.begin(), s.values.end());
            p.centre = d2_5 * limits.sigma;
            p.width = d3_5 * limits.sigma;
        } else if (chart == "mr") {
            p.x = std::abs(s.values[0] - last);
            p.centre = d2_2 * limits.sigma;
            p.width = d3_2 * limits.sigma;
            last = s.values[0];
            if (!std::exchange(has_last, true)) continue;
        } else if (chart == "p") {
            p.x = s.values[0] / s.size;
            p.width = std::sqrt(limits.centre * (1 - limits.centre) / s.size);
        } else if (chart == "ewma") {
            z = 0.3 * mean + 0.7 * z;
            variance = 0.09 * limits.sigma * limits.sigma / n + 0.49 * variance;
            p.x = z;
            p.width = std::sqrt(variance);
        } else if (chart == "cusum") {
            const double y = (mean - limits.centre) * std::sqrt(n) / limits.sigma;
            upper = std::max(0.0, upper + y - 0.5);
            lower = std::min(0.0, lower + y + 0.5);
            p.x = upper >= -lower ? upper : lower;
            p.upper = upper;
            p.lower = lower;
            p.centre = 0;
            p.width = 5.0 / 3;
        }
        points.push_back(p);
    }
    return points;
}

/// Which side of a rule's pattern is complete at `i`: 1 upper, -1 lower, 2 without a side, 0 none.
int naive_rule(int rule, const std::vector<NaivePoint>& p, std::size_t i) {
    const auto beyond = [&](std::size_t k, double sigmas) { return p[k].x > p[k].centre + sigmas * p[k].width ? 1 : p[k].x < p[k].centre - sigmas * p[k].width ? -1 : 0; };
    const auto side = [&](std::size_t k) { return p[k].x > p[k].centre ? 1 : p[k].x < p[k].centre ? -1 : 0; };
    const auto run = [&](std::size_t n, auto&& holds) {
        if (i + 1 < n) return false;
        for (std::size_t k = i + 1 - n; k <= i; ++k)
            if (!holds(k)) return false;
        return true;
    };
    const auto some = [&](int needed, std::size_t n, double sigmas) {
        const int here = beyond(i, sigmas);
        if (here == 0 || i + 1 < n) return 0;
        int count = 0;
        for (std::size_t k = i + 1 - n; k <= i; ++k) count += beyond(k, sigmas) == here;
        return count >= needed ? here : 0;
    };
    const auto step = [&](std::size_t k) { return p[k].x > p[k - 1].x ? 1 : p[k].x < p[k - 1].x ? -1 : 0; };
    switch (rule) {
        case 1: return beyond(i, 3);
        case 2:
            for (const int s : {1, -1})
                if (run(9, [&](std::size_t k) { return side(k) == s; })) return s;
            return 0;
        case 3: {
            if (i < 5) return 0;
            for (const int s : {1, -1}) {
                bool all = true;
                for (std::size_t k = i - 4; k <= i; ++k) all = all && step(k) == s;
                if (all) return s;
            }
            return 0;
        }
        case 4: {
            if (i < 13) return 0;
            for (std::size_t k = i - 11; k <= i; ++k)
                if (step(k) == 0 || step(k) != -step(k - 1)) return 0;
            return 2;
        }
        case 5: return some(2, 3, 2);
        case 6: return some(4, 5, 1);
        case 7: return run(15, [&](std::size_t k) { return beyond(k, 1) == 0; }) ? 2 : 0;
        case 8: {
            bool up = false, down = false;
            if (!run(8, [&](std::size_t k) { return beyond(k, 1) != 0; })) return 0;
            for (std::size_t k = i - 7; k <= i; ++k) (beyond(k, 1) > 0 ? up : down) = true;
            return up && down ? 2 : 0;
        }
        case 9: return beyond(i, 3) > 0 ? 1 : 0;
        case 10: return beyond(i, 3) < 0 ? -1 : 0;
        // Each sum has its own rule; a step of many sigma back from far out leaves both beyond for a while.
        case 11: return p[i].upper > 5 ? 1 : 0;
        case 12: return p[i].lower < -5 ? -1 : 0;
        default: return 0;
    }
}

/// (chart, rule, side, completing sample): maximal runs, named by where they begin.
using NaiveSet = std::set<std::tuple<std::string, int, std::string, std::int64_t>>;

void naive_violations(NaiveSet& found, const std::string& chart, const std::vector<NaivePoint>& points, const std::vector<int>& rules) {
    for (const int rule : rules) {
        int before = 0;
        for (std::size_t i = 0; i < points.size(); ++i) {
            const int now = naive_rule(rule, points, i);
            if (now != 0 && now != before) found.emplace(chart, rule, now == 1 ? "upper" : now == -1 ? "lower" : "both", points[i].sample);
            before = now;
        }
    }
}

struct Kind {
    const char* name;
    const char* more;           ///< members of the definition
    NaiveLimits limits;
    std::size_t n;
    std::vector<std::pair<std::string, std::vector<int>>> charts;
};

const std::vector<int> nelson{1, 2, 3, 4, 5, 6, 7, 8};
const Kind kinds[] = {
    {"i_mr", R"("limits":{"centre":10,"sigma":1})", {10, 1}, 1, {{"xbar.one", nelson}, {"mr", {1}}}},
    {"xbar_r", R"("limits":{"centre":10,"sigma":1})", {10, 1}, 5, {{"xbar", nelson}, {"R", {1, 2, 3, 4}}}},
    {"p", R"("limits":{"centre":0.2},"subgroup_size":50)", {0.2, 0}, 1, {{"p", {1, 2, 3, 4}}}},
    {"ewma", R"("limits":{"centre":10,"sigma":1},"ewma":{"lambda":0.3})", {10, 1}, 1, {{"ewma", {9, 10}}}},
    {"cusum", R"("limits":{"centre":10,"sigma":1},"cusum":{"k":0.5,"h":5})", {10, 1}, 1, {{"cusum", {11, 12}}}},
};

std::vector<double> random_values(const Kind& kind, Prng& prng) {
    std::vector<double> values;
    if (std::string_view(kind.name) == "p") {
        const double count = std::round(10 + prng.normal() * (prng.chance(0.2) ? 9 : 3));
        return {std::clamp(count, 0.0, 50.0)};
    }
    // On the lines and in steps now and then: ties are where rules go wrong.
    const double shift = prng.chance(0.15) ? 3 * prng.normal() : prng.chance(0.3) ? 1 : 0;
    for (std::size_t i = 0; i < kind.n; ++i) values.push_back(10 + (prng.chance(0.2) ? std::round(prng.normal()) : prng.normal() + shift));
    return values;
}

std::string definition(const Kind& kind) { return std::string(R"({"id":1,"name":"bore","chart":")") + kind.name + "\"," + kind.more + "}"; }

/// What an open violation says, without what tells how it came about.
std::string said(const Json& data) {
    Json copy = data;
    std::erase_if(copy.members(), [](const auto& m) { return m.first == "revision" || m.first == "acknowledged" || m.first.starts_with("ack_") || m.first == "reason_code"; });
    return copy.text();
}

/// Confirms a violation from its message and the stored samples alone. Returns what is wrong.
std::string check_message(const Json& v, const std::vector<NaiveSample>& stored) {
    const int rule = static_cast<int>(SpcClient::id(v, "rule_id"));
    const std::string chart(*v.find_string("chart"));
    const Json& limits = *v.find("limits");
    std::vector<NaiveSample> until;
    bool seen = false;
    for (const auto& s : stored) {
        if (seen) break;
        until.push_back(s);
        seen = s.id == SpcClient::id(v, "sample_id");
    }
    if (!seen) return "its sample is not stored";
    // Limits as the message has them, and the chart drawn again over what is stored.
    const auto points = naive_points(chart, until, {limits.find("centre")->as_double(), limits.find("sigma")->as_double()});
    if (points.empty() || points.back().sample != SpcClient::id(v, "sample_id")) return "its sample has no point";
    const std::string side(*v.find_string("side"));
    const int now = naive_rule(rule, points, points.size() - 1);
    if (now != (side == "upper" ? 1 : side == "lower" ? -1 : 2)) return "rule " + std::to_string(rule) + " does not hold where it says so";
    const auto& listed = v.find("samples")->items();
    if (listed.empty() || SpcClient::id(listed.back(), "sample_id") != points.back().sample) return "its samples do not end at its sample";
    const std::size_t pattern = static_cast<std::size_t>(SpcClient::id(*v.find("parameters"), "points"));
    if (rule != 5 && rule != 6 && listed.size() != pattern) return "it lists " + std::to_string(listed.size()) + " samples";
    if ((rule == 5 || rule == 6) && listed.size() < static_cast<std::size_t>(SpcClient::id(*v.find("parameters"), "needed"))) return "too few samples are listed";
    for (const Json& item : listed) {
        const auto point = std::find_if(points.begin(), points.end(), [&](const NaivePoint& p) { return p.sample == SpcClient::id(item, "sample_id"); });
        const auto sample = std::find_if(until.begin(), until.end(), [&](const NaiveSample& s) { return s.id == SpcClient::id(item, "sample_id"); });
        if (point == points.end() || points.end() - point > static_cast<std::ptrdiff_t>(std::max<std::size_t>(pattern, 1))) return "a listed sample is not in the pattern";
        const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-6 * std::max(1.0, std::abs(b)); };
        const double statistic = rule == 11 ? point->upper : rule == 12 ? point->lower : point->x;
        if (!near(item.find("statistic")->as_double(), statistic) || !near(item.find("centre")->as_double(), point->centre) || !near(item.find("zone_width")->as_double(), point->width))
            return "a listed sample's point is not what the stored values give";
        const auto& values = item.find("values")->items();
        if (values.size() != sample->values.size()) return "values are missing";
        for (std::size_t i = 0; i < values.size(); ++i)
            if (values[i].as_double() != sample->values[i]) return "a listed value is not the stored one";
    }
    return "";
}

struct Tally {
    std::size_t violations = 0, withdrawn = 0, acknowledged = 0, superseded = 0;
};

void one_case(std::uint64_t seed, Tally& tally) {
    Prng prng(seed);
    const Kind& kind = kinds[prng.below(std::size(kinds))];
    const std::size_t count = 3 + prng.below(prng.chance(0.1) ? 90 : 28);
    std::vector<NaiveSample> samples;
    for (std::size_t i = 0; i < count; ++i) {
        NaiveSample s{.id = static_cast<std::int64_t>(i + 1), .values = random_values(kind, prng), .size = 50};
        s.time = origin + Duration(1'000'000) * static_cast<std::int64_t>(prng.below(count));  // ties in time: the id decides
        samples.push_back(std::move(s));
    }
    SpcRig rig;
    rig.keep = false;
    rig.send("put_characteristic", definition(kind), origin);
    // Each sample's own story is in order; the stories are shuffled into each other.
    std::vector<std::size_t> turns;
    for (std::size_t i = 0; i < count; ++i)
        for (std::size_t k = 1 + (prng.chance(0.3) ? 1 + prng.below(3) : 0); k > 0; --k) turns.push_back(i);
    if (prng.chance(0.7))
        for (std::size_t i = turns.size(); i > 1; --i) std::swap(turns[i - 1], turns[prng.below(i)]);
    std::vector<bool> there(count);
    std::map<std::string, std::string> saved;
    for (const std::size_t i : turns) {
        NaiveSample& s = samples[i];
        const std::string ids = "{\"characteristic_id\":1,\"sample_id\":" + std::to_string(s.id);
        if (!there[i]) {
            there[i] = true;
            REQUIRE(rig.sample(1, s.id, s.time, s.values, kind.n == 1 && std::string_view(kind.name) == "p" ? ",\"size\":50" : "") == "");
        } else if (prng.chance(0.4)) {
            s.excluded = !s.excluded;
            REQUIRE(rig.ask(s.excluded ? "exclude_sample" : "include_sample", ids + "}").ok());
        } else {
            std::string data = ids;
            if (prng.chance(0.8)) {
                s.values = random_values(kind, prng);
                data += ",\"values\":[";
                for (std::size_t k = 0; k < s.values.size(); ++k) data += (k ? "," : "") + spc_text(s.values[k]);
                data += "]";
            }
            if (prng.chance(0.4)) {
                s.time = origin + Duration(1'000'000) * static_cast<std::int64_t>(prng.below(count));
                data += ",\"timestamp\":\"" + to_rfc3339(s.time) + "\"";
            }
            REQUIRE(rig.ask("correct_sample", data + "}").ok());
        }
        if (prng.chance(0.05) && !rig.client.violations.empty()) {
            const auto at = std::next(rig.client.violations.begin(), static_cast<std::ptrdiff_t>(prng.below(rig.client.violations.size())));
            const bool again = at->second.acknowledged;
            const auto answer = rig.ask("acknowledge", "{\"violation_id\":" + std::to_string(at->first) + R"(,"user":"operator1","reason":"Process adjusted"})", origin);
            CHECK(answer.ok() == !again);
            tally.acknowledged += !again;
        }
        if (prng.chance(0.03)) {
            // At any moment it can be another processor that goes on from what was saved.
            for (auto& put : rig.processor->save()) {
                if (put.value) saved[put.key] = *put.value;
                else saved.erase(put.key);
            }
            auto other = rig.make();
            REQUIRE(other->restore({saved.begin(), saved.end()}).ok());
            rig.replace(std::move(other));
        }
    }

    // One ordered pass over what is there in the end.
    std::vector<NaiveSample> ordered = samples;
    std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) { return std::pair(a.time, a.id) < std::pair(b.time, b.id); });
    SpcRig pass;
    pass.keep = false;
    pass.send("put_characteristic", definition(kind), origin);
    for (const auto& s : ordered)
        if (!s.excluded) REQUIRE(pass.sample(1, s.id, s.time, s.values, std::string_view(kind.name) == "p" ? ",\"size\":50" : "") == "");

    CAPTURE(seed);
    CAPTURE(kind.name);
    std::map<std::int64_t, std::string> held, expected;
    for (const auto& [id, v] : rig.client.violations) {
        if (v.open) held[id] = said(v.data);
        tally.superseded += v.superseded;
    }
    for (const auto& [id, v] : pass.client.violations) expected[id] = said(v.data);
    CHECK(held == expected);
    tally.violations += held.size();

    // The same set by other code, and each message confirmed from itself and the samples that the client holds.
    NaiveSet naive, got;
    for (const auto& [chart, rules] : kind.charts) naive_violations(naive, chart, naive_points(chart, ordered, kind.limits), rules);
    std::vector<NaiveSample> stored;
    for (const auto& [id, data] : rig.client.samples[1]) {
        NaiveSample s{.id = id, .time = *parse_rfc3339(*data.find_string("timestamp")), .size = 50, .excluded = data.find("excluded")->as_boolean()};
        for (const Json& v : data.find("values")->items()) s.values.push_back(v.as_double());
        stored.push_back(std::move(s));
    }
    std::sort(stored.begin(), stored.end(), [](const auto& a, const auto& b) { return std::pair(a.time, a.id) < std::pair(b.time, b.id); });
    for (const auto& [id, v] : rig.client.violations) {
        if (!v.open) continue;
        got.emplace(std::string(*v.data.find_string("chart")), static_cast<int>(SpcClient::id(v.data, "rule_id")), std::string(*v.data.find_string("side")), SpcClient::id(v.data, "sample_id"));
        const std::string wrong = check_message(v.data, stored);
        CHECK_MESSAGE(wrong.empty(), wrong << ": " << v.data.text());
    }
    CHECK(got == naive);
    CHECK_MESSAGE(rig.client.mistakes.empty(), rig.client.mistakes.front());
}

void shard(std::uint64_t first) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const std::uint64_t count = 250;  // the whole of it is for the release build (decisions.md 35)
#else
    const std::uint64_t count = std::getenv("WEIR_NIGHTLY") ? 25'000 : 2'500;
#endif
    Tally tally;
    for (std::uint64_t i = 0; i < count; ++i) one_case(first * 1'000'000 + i, tally);
    // The cases are about something.
    CHECK(tally.violations > count);
    CHECK(tally.acknowledged > count / 50);
    CHECK(tally.superseded > count / 500);
}

}  // namespace

TEST_CASE("spc: any order of arrival, corrections and exclusions ends in the violations of one ordered pass, and a client holds them (D9, D10), shard 1") { shard(1); }
TEST_CASE("spc: any order of arrival, corrections and exclusions ends in the violations of one ordered pass, and a client holds them (D9, D10), shard 2") { shard(2); }
TEST_CASE("spc: any order of arrival, corrections and exclusions ends in the violations of one ordered pass, and a client holds them (D9, D10), shard 3") { shard(3); }
TEST_CASE("spc: any order of arrival, corrections and exclusions ends in the violations of one ordered pass, and a client holds them (D9, D10), shard 4") { shard(4); }
