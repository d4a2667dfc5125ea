#include "processors/spc_processor.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/prng.h"
#include "processors/spc_test_support.h"

using namespace weir;

namespace {

/// Characteristic 1, individuals around 10 with sigma 1.
SpcRig individuals(const std::string& more = R"("limits":{"centre":10,"sigma":1})") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("name":"bore","unit":"mm","path":"plant1/line2","chart":"individuals",)" + more), origin).ok());
    return rig;
}

std::vector<int> rules_open(const SpcRig& rig) {
    std::vector<int> rules;
    for (const auto& [id, v] : rig.client.violations)
        if (v.open) rules.push_back(static_cast<int>(SpcClient::id(v.data, "rule_id")));
    std::sort(rules.begin(), rules.end());
    return rules;
}

}  // namespace

TEST_CASE("spc: a sample is told with its zone, and one beyond a limit raises one violation that explains itself (S3-15, S3-16, S3-19, S3-21, D10)") {
    SpcRig rig = individuals();
    REQUIRE(rig.sample(1, 122, at(0), {10.5}) == "");
    CHECK(text_of(newest(rig, 122), "zone") == "zone_c_upper");
    CHECK(newest(rig, 122).find("in_control")->as_boolean());
    CHECK(newest(rig, 122).find("value")->as_double() == 10.5);
    const auto messages = rig.send("put_sample", R"({"characteristic_id":1,"sample_id":123,"value":13.5})", at(1));
    REQUIRE(messages.size() == 2);
    CHECK(messages[0].stream == "spc.samples");
    CHECK(messages[0].type == "sample");
    CHECK(messages[1].stream == "spc.violations");
    const Json v = messages[1].data();
    CHECK(SpcClient::id(v, "sample_id") == 123);
    CHECK(SpcClient::id(v, "characteristic_id") == 1);
    CHECK(SpcClient::id(v, "rule_id") == 1);
    CHECK(text_of(v, "rule_name") == "One point beyond 3 sigma");
    CHECK(text_of(v, "short_name") == "Outlier");
    CHECK(text_of(v, "severity") == "CRITICAL");
    CHECK(SpcClient::id(v, "violation_id") > 0);
    CHECK(SpcClient::id(v, "violation_id") < (std::int64_t{1} << 53));
    CHECK(v.find("limits")->find("version")->as_integer() == 1);
    CHECK(v.find("limits")->find("sigma")->as_double() == 1);
    CHECK(v.find("parameters")->find("sigmas")->as_double() == 3);
    REQUIRE(v.find("samples")->items().size() == 1);
    CHECK(v.find("samples")->items()[0].find("values")->items()[0].as_double() == 13.5);
    CHECK(v.find("samples")->items()[0].find("ucl")->as_double() == 13);
    CHECK(text_of(newest(rig, 123), "zone") == "beyond_ucl");
    CHECK_FALSE(newest(rig, 123).find("in_control")->as_boolean());
}

TEST_CASE("spc: a run is one violation however long it lasts, and a new one after it ended (decisions.md 25)") {
    SpcRig rig = individuals(R"("limits":{"centre":10,"sigma":1},"rules":[2])");
    for (int i = 0; i < 30; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {10.4}) == "");
    CHECK(rules_open(rig) == std::vector{2});
    CHECK(SpcClient::id(rig.client.violations.begin()->second.data, "sample_id") == 9);
    CHECK(rig.client.violations.begin()->second.data.find("samples")->items().size() == 9);
    REQUIRE(rig.sample(1, 31, at(30), {10.0}) == "");  // the centre line ends a run on one side
    for (int i = 31; i < 40; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {10.4}) == "");
    CHECK(rules_open(rig) == std::vector{2, 2});
}

TEST_CASE("spc: values on the borders of zones belong to the zone further out, the centre line to the upper side (S3-R7, decisions.md 26)") {
    SpcRig rig = individuals();
    const std::pair<double, const char*> cases[] = {{13.5, "beyond_ucl"}, {13, "zone_a_upper"}, {12, "zone_b_upper"}, {11, "zone_c_upper"}, {10, "zone_c_upper"},
                                                    {9, "zone_c_lower"},  {8, "zone_b_lower"},  {7, "zone_a_lower"},  {6.5, "beyond_lcl"}};
    std::int64_t id = 1;
    for (const auto& [value, zone] : cases) {
        REQUIRE(rig.sample(1, id, at(id), {value}) == "");
        CHECK(text_of(newest(rig, id), "zone") == zone);
        ++id;
    }
}

TEST_CASE("spc: names and severities of all rules; a severity can be set on one scale of four (S3-R8, C-30, C-31)") {
    SpcRig rig = individuals(R"("limits":{"centre":10,"sigma":1},"rules":["nelson",{"id":1,"severity":"FATAL"},{"id":2,"points":4,"severity":"INFO"}])");
    for (int i = 0; i < 4; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {10.3}) == "");
    REQUIRE(rig.sample(1, 9, at(9), {15}) == "");
    std::map<int, std::pair<std::string, std::string>> told;
    for (const auto& [id, v] : rig.client.violations) told[static_cast<int>(SpcClient::id(v.data, "rule_id"))] = {text_of(v.data, "severity"), text_of(v.data, "rule_name")};
    CHECK(told[1] == std::pair<std::string, std::string>("FATAL", "One point beyond 3 sigma"));
    // With other numbers the textbook's name would be a lie.
    CHECK(told[2] == std::pair<std::string, std::string>("INFO", "4 points in a row on one side of the centre line"));
    const char* names[] = {"", "Outlier", "Shift", "Trend", "Alternator", "Zone A", "Zone B", "Stratification", "Mixture"};
    for (int id = 1; id <= 8; ++id) CHECK(analytics::rule_info(static_cast<analytics::RuleId>(id)).short_name == names[id]);
}

TEST_CASE("spc: rules look at every point, not at the newest of the last 25 only (S3-R9, S3-R14)") {
    SpcRig rig = individuals(R"("limits":{"centre":10,"sigma":1},"rules":[{"id":2,"points":40}])");
    for (int i = 0; i < 60; ++i)
        if (i != 10) REQUIRE(rig.sample(1, i + 1, at(i), {i == 20 ? 9.5 : 10.4}) == "");
    CHECK(rules_open(rig).empty());
    // A value that was mistyped, and one that comes late: both far behind the newest.
    REQUIRE(rig.ask("correct_sample", R"({"characteristic_id":1,"sample_id":21,"value":10.4})").ok());
    CHECK(rules_open(rig) == std::vector{2});
    const auto before = SpcClient::id(rig.client.violations.begin()->second.data, "sample_id");
    CHECK(before == 41);
    REQUIRE(rig.sample(1, 11, at(10), {10.4}) == "");
    CHECK(rules_open(rig) == std::vector{2});
    CHECK(SpcClient::id(rig.client.violations.begin()->second.data, "sample_id") == 40);
    CHECK(rig.client.mistakes.empty());
}

TEST_CASE("spc: rule state never leaks from one characteristic to another (S3-R13)") {
    SpcRig rig = individuals(R"("limits":{"centre":10,"sigma":1},"rules":[2])");
    REQUIRE(rig.ask("create_characteristic", define(2, R"("limits":{"centre":10,"sigma":1},"rules":[2])")).ok());
    for (int i = 0; i < 8; ++i) {
        REQUIRE(rig.sample(1, i + 1, at(i), {10.4}) == "");
        REQUIRE(rig.sample(2, i + 1, at(i), {10.4}) == "");
    }
    CHECK(rules_open(rig).empty());
    REQUIRE(rig.sample(2, 9, at(9), {9}) == "");
    REQUIRE(rig.sample(1, 9, at(9), {10.4}) == "");
    REQUIRE(rules_open(rig) == std::vector{2});
    CHECK(SpcClient::id(rig.client.violations.begin()->second.data, "characteristic_id") == 1);
}

TEST_CASE("spc: an acknowledgement has a user and a reason or code; a second one is an error; many at once say which (S3-17, S3-R12)") {
    SpcRig rig = individuals();
    REQUIRE(rig.sample(1, 1, at(0), {14}) == "");
    REQUIRE(rig.sample(1, 2, at(1), {6}) == "");
    REQUIRE(rules_open(rig) == std::vector{1, 1});
    const std::string first = std::to_string(rig.client.violations.begin()->first), second = std::to_string(rig.client.violations.rbegin()->first);
    CHECK(rig.ask("acknowledge", "{\"violation_id\":" + first + R"(,"reason":"x"})").error().code == "bad_command");
    CHECK(rig.ask("acknowledge", "{\"violation_id\":" + first + R"(,"user":"operator1"})").error().code == "bad_command");
    CHECK(rig.ask("acknowledge", "{\"violation_id\":" + first + R"(,"user":"operator1","reason_code":"moon"})").error().message.find("tool_wear") != std::string::npos);
    CHECK(rig.ask("acknowledge", R"({"violation_id":77,"user":"operator1","reason":"x"})").error().code == "unknown_violation");
    CHECK(SpcOptions().reasons().size() == 11);

    const auto messages = rig.send("acknowledge", "{\"violation_id\":" + first + R"(,"user":"operator1","reason":"Process adjusted"})", at(5));
    REQUIRE(messages.size() == 2);
    CHECK(messages[0].type == "ack_update");
    const Json ack = messages[0].data();
    CHECK(text_of(ack, "violation_id") == first);
    CHECK(text_of(ack, "acknowledged") == "true");
    CHECK(text_of(ack, "ack_user") == "operator1");
    CHECK(text_of(ack, "ack_reason") == "Process adjusted");
    CHECK(text_of(ack, "ack_on_behalf_of") == "absent");
    CHECK(messages[0].time == at(0));  // the violation's: a stretch of time tells all of it
    CHECK(text_of(ack, "ack_time") == "2026-02-17T10:05:00.000Z");
    const auto again = rig.ask("acknowledge", "{\"violation_id\":" + first + R"(,"user":"operator2","reason":"me too"})");
    CHECK(again.error().code == "already_acknowledged");
    CHECK(again.error().message.find("operator1") != std::string::npos);

    const auto bulk = rig.ask("acknowledge", "{\"violation_ids\":[" + first + "," + second + R"(,5],"user":"operator2","reason_code":"tool_wear"})", at(6));
    REQUIRE(bulk.ok());
    CHECK(bulk->find("acknowledged")->text() == "[" + second + "]");
    REQUIRE(bulk->find("refused")->items().size() == 2);
    CHECK(text_of(bulk->find("refused")->items()[0], "code") == "already_acknowledged");
    CHECK(text_of(bulk->find("refused")->items()[1], "code") == "unknown_violation");
    CHECK(rig.client.mistakes.empty());
}

TEST_CASE("spc: what was acknowledged is kept and marked when it falls away, and has its acknowledgement when it returns (D9, decisions.md 25)") {
    SpcRig rig = individuals();
    REQUIRE(rig.sample(1, 1, at(0), {14}) == "");
    const std::int64_t id = rig.client.violations.begin()->first;
    REQUIRE(rig.ask("acknowledge", "{\"violation_id\":" + std::to_string(id) + R"(,"user":"operator1","on_behalf_of":"Ann of shift 2","reason":"typing error","exclude_sample":true})").ok());
    // Excluded with the acknowledgement: no violation holds, and the record of it stays.
    CHECK(text_of(newest(rig, 1), "excluded") == "true");
    CHECK(newest(rig, 1).find("zone")->is_null());
    REQUIRE(rig.client.violations.size() == 1);
    CHECK(rig.client.violations[id].superseded);
    REQUIRE(rig.ask("include_sample", R"({"characteristic_id":1,"sample_id":1})").ok());
    CHECK(rig.client.violations[id].open);
    CHECK(text_of(rig.client.violations[id].data, "acknowledged") == "true");
    CHECK(text_of(rig.client.violations[id].data, "ack_user") == "operator1");
    CHECK(text_of(rig.client.violations[id].data, "ack_on_behalf_of") == "Ann of shift 2");
    REQUIRE(rig.ask("correct_sample", R"({"characteristic_id":1,"sample_id":1,"value":10.1})").ok());
    CHECK(rig.client.violations[id].superseded);
    CHECK(rig.client.mistakes.empty());
}

TEST_CASE("spc: target 0, centre line 0 and specification limits on one side are numbers like others (S3-R13)") {
    SpcRig rig = individuals(R"("limits":{"centre":0,"sigma":1},"spec":{"usl":4,"target":0},"rules":[2])");
    for (int i = 0; i < 9; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {i % 2 ? 0.5 : 0.25}) == "");
    CHECK(rules_open(rig) == std::vector{2});
    const auto found = rig.ask("capability", R"({"characteristic_id":1})");
    REQUIRE(found.ok());
    CHECK(found->find("target")->as_double() == 0);
    CHECK(found->find("lsl")->is_null());
    CHECK(found->find("cp")->is_null());
    CHECK(found->find("cp_u")->find("value")->as_double() > 0);
    CHECK(rig.ask("create_characteristic", define(2, R"("spec":{"lsl":5,"usl":5})")).error().code == "bad_characteristic");
    CHECK(rig.ask("capability", R"({"characteristic_id":3})").error().code == "unknown_characteristic");
}

TEST_CASE("spc: subgroups of 1 and of 25, and equal values") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"xbar_s","subgroup_size":25,"limits":{"centre":10,"sigma":1})")).ok());
    std::vector<double> values(25, 10.0);
    REQUIRE(rig.sample(1, 1, at(0), values) == "");
    CHECK(newest(rig, 1).find("statistic")->as_double() == 10);
    CHECK(newest(rig, 1).find("spread")->find("statistic")->as_double() == 0);
    // Equal values have no spread at all, which 25 readings with sigma 1 cannot be.
    CHECK(text_of(*newest(rig, 1).find("spread"), "zone") == "beyond_lcl");
    CHECK(newest(rig, 1).find("ucl")->as_double() == doctest::Approx(10 + 3.0 / 5));
    CHECK(rig.sample(1, 2, at(1), {10.0}) == "subgroup_size_out_of_range");
    CHECK(rig.sample(1, 3, at(1), std::vector<double>(1001, 10.0)) == "subgroup_size_out_of_range");
    REQUIRE(rig.ask("create_characteristic", define(2, R"("chart":"xbar","subgroup_size":1,"limits":{"centre":10,"sigma":1})")).ok());
    REQUIRE(rig.sample(2, 1, at(0), {12.5}) == "");
    CHECK(text_of(newest(rig, 1, 2), "zone") == "zone_a_upper");
    CHECK(rig.ask("create_characteristic", define(3, R"("chart":"xbar_r","subgroup_size":1)")).error().code == "bad_characteristic");
}

TEST_CASE("spc: phase I needs variation: equal values wait for some, and are judged when there is") {
    SpcRig rig = individuals(R"("phase1":{"samples":5})");
    for (int i = 0; i < 9; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {10}) == "");
    CHECK(newest(rig, 9).find("zone")->is_null());
    CHECK(newest(rig, 9).find("in_control")->as_boolean());
    REQUIRE(rig.sample(1, 10, at(9), {11}) == "");
    CHECK(newest(rig, 1).find("limits_version")->as_integer() == 2);
    CHECK(text_of(newest(rig, 1), "zone") == "zone_b_lower");  // centre 10.1, sigma 1/9 over d2
}

TEST_CASE("spc: readings of 1e9 with noise keep the noise's digits") {
    SpcRig rig = individuals(R"("phase1":{"samples":20})");
    Prng prng(7);
    for (int i = 0; i < 20; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {1e9 + std::round(prng.normal() * 1024) / 1024}) == "");
    const auto* chart = rig.processor->chart(1);
    REQUIRE(chart->current().limits);
    CHECK(std::abs(chart->current().limits->centre - 1e9) < 1);
    CHECK(chart->current().limits->sigma == doctest::Approx(1).epsilon(0.5));
    REQUIRE(rig.sample(1, 99, at(99), {1e9 + 6}) == "");
    CHECK(text_of(newest(rig, 99), "zone") == "beyond_ucl");
}

TEST_CASE("spc: what is no number is refused and told, and changes nothing (S3-20)") {
    SpcRig rig = individuals();
    for (const char* values : {"null", "\"12\"", "[1,null]", "[]", "[\"NaN\"]", "true", "1e999"}) {
        const auto answer = rig.ask("put_sample", std::string(R"({"characteristic_id":1,"sample_id":1,"values":)") + values + "}", at(0));
        CHECK_FALSE(answer.ok());
    }
    CHECK(rig.ask("put_sample", R"({"characteristic_id":9,"value":1})").error().code == "unknown_characteristic");
    CHECK(rig.ask("put_sample", R"({"characteristic_id":1,"sample_id":0,"value":1})").error().code == "bad_command");
    CHECK(rig.ask("put_sample", R"({"characteristic_id":1,"sample_id":9007199254740992,"value":1})").error().code == "bad_command");
    CHECK(rig.processor->chart(1)->records().empty());
    CHECK(rig.ask("do_it", "{}").error().code == "unknown_command");
}

TEST_CASE("spc: a count above what was inspected is refused; the limit of an np chart is never above it (S3-R13)") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"np","subgroup_size":20,"limits":{"centre":0.9})")).ok());
    CHECK(rig.sample(1, 1, at(0), {21}) == "count_out_of_range");
    REQUIRE(rig.sample(1, 2, at(1), {20}) == "");
    CHECK(newest(rig, 2).find("ucl")->as_double() == 20);
    CHECK(rig.sample(1, 3, at(2), {-1}) == "count_out_of_range");
    REQUIRE(rig.ask("create_characteristic", define(2, R"("chart":"c","limits":{"centre":4})")).ok());
    REQUIRE(rig.sample(2, 1, at(0), {0}) == "");
    CHECK(rig.ask("create_characteristic", define(3, R"("chart":"c","limits":{"centre":0})")).error().code == "limits_not_usable");
}

TEST_CASE("spc: rule 8 wants both sides, a long rule does not crash, CUSUM's k and h are in sigma of the mean (S3-R13)") {
    SpcRig rig = individuals(R"("limits":{"centre":10,"sigma":1},"rules":[{"id":8},{"id":2,"points":64}])");
    for (int i = 0; i < 20; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {11.5}) == "");
    CHECK(rules_open(rig).empty());
    for (int i = 20; i < 24; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {8.5}) == "");
    CHECK(rules_open(rig) == std::vector{8});
    for (int i = 24; i < 100; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {10.5}) == "");
    CHECK(rules_open(rig) == std::vector{2, 8});

    // Means of four with sigma 2: sigma of the mean is 1, and a shift of 1.5 adds 1 to the upper sum each time.
    REQUIRE(rig.ask("create_characteristic", define(2, R"("chart":"cusum","subgroup_size":4,"limits":{"centre":10,"sigma":2},"cusum":{"k":0.5,"h":5})")).ok());
    for (int i = 0; i < 5; ++i) REQUIRE(rig.sample(2, i + 1, at(i), {11.5, 11.5, 11.5, 11.5}) == "");
    CHECK(newest(rig, 5, 2).find("cusum")->find("upper")->as_double() == doctest::Approx(5));
    CHECK(rules_open(rig) == std::vector{2, 8});
    REQUIRE(rig.sample(2, 6, at(6), {11.5, 11.5, 11.5, 11.5}) == "");
    CHECK(rules_open(rig) == std::vector{2, 8, 11});
}

TEST_CASE("spc: a CUSUM that stays out is one violation, and starts again after a signal where that is asked for (S3-R13, decisions.md 26)") {
    for (const bool reset : {false, true}) {
        SpcRig rig;
        REQUIRE(rig.ask("create_characteristic", define(1, std::string(R"("chart":"cusum","limits":{"centre":0,"sigma":1},"cusum":{"reset_after_signal":)") + (reset ? "true}" : "false}"))).ok());
        for (int i = 0; i < 30; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {2}) == "");
        CHECK(rules_open(rig).size() == (reset ? 7 : 1));  // 1.5 a sample: beyond 5 at each fourth
    }
}

TEST_CASE("spc: a CUSUM with both sums beyond at once is two violations, each with its own sum (spec.md 3: all rules that fire are reported)") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"cusum","limits":{"centre":0,"sigma":1})")).ok());
    REQUIRE(rig.sample(1, 1, at(0), {30}) == "");
    REQUIRE(rig.sample(1, 2, at(1), {-20}) == "");
    CHECK(rules_open(rig) == std::vector{11, 12});
    for (const auto& [id, v] : rig.client.violations) {
        const bool upper = SpcClient::id(v.data, "rule_id") == 11;
        const Json& listed = v.data.find("samples")->items().back();
        CHECK(listed.find("statistic")->as_double() == (upper ? 29.5 : -19.5));
        CHECK(text_of(listed, "zone") == (upper ? "beyond_ucl" : "beyond_lcl"));
        CHECK(SpcClient::id(v.data, "sample_id") == (upper ? 1 : 2));
    }
}

TEST_CASE("spc: the limits of an EWMA are those of its sample, not of the steady state (S3-R13; Montgomery, section 9.2)") {
    SpcRig rig;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"ewma","limits":{"centre":10,"sigma":1},"limit_sigmas":2.7,"ewma":{"lambda":0.1})")).ok());
    // Montgomery, 8th ed., table 9.10: 9.45 and 7.99 give z = 9.945 and 9.7495 with limits 10 -/+ 0.27 and 0.3632.
    REQUIRE(rig.sample(1, 1, at(0), {9.45}) == "");
    REQUIRE(rig.sample(1, 2, at(1), {7.99}) == "");
    CHECK(newest(rig, 1).find("statistic")->as_double() == doctest::Approx(9.945));
    CHECK(newest(rig, 1).find("ucl")->as_double() == doctest::Approx(10.27));
    CHECK(newest(rig, 2).find("statistic")->as_double() == doctest::Approx(9.7495));
    CHECK(newest(rig, 2).find("lcl")->as_double() == doctest::Approx(10 - 0.3632).epsilon(1e-4));
}

TEST_CASE("spc: phase I leaves out what is beyond the limits, on request, and freezes what it found (S3-R13, decisions.md 25)") {
    SpcRig rig = individuals(R"("phase1":{"samples":0})");
    Prng prng(3);
    for (int i = 0; i < 30; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {i == 12 ? 40.0 : 10 + prng.normal()}) == "");
    const auto all = rig.ask("estimate_limits", R"({"characteristic_id":1,"dry_run":true})");
    const auto clean = rig.ask("estimate_limits", R"({"characteristic_id":1,"exclude_out_of_control":true})");
    REQUIRE(all.ok());
    REQUIRE(clean.ok());
    CHECK(clean->find("origin")->find("excluded")->text() == "[13]");
    CHECK(clean->find("sigma")->as_double() < all->find("sigma")->as_double() / 2);
    CHECK(clean->find("version")->as_integer() == 2);
    const auto rules = rules_open(rig);
    CHECK(std::count(rules.begin(), rules.end(), 1) == 1);
    // Late data in its range does not move it.
    REQUIRE(rig.sample(1, 99, at(5) + 1s, {12}) == "");
    CHECK(rig.processor->chart(1)->current().limits->sigma == clean->find("sigma")->as_double());
    CHECK(rig.ask("estimate_limits", R"({"characteristic_id":1,"from":"2030-01-01T00:00:00Z"})").error().code == "too_few_samples");
}

TEST_CASE("spc: limits hold from an event time on; runs do not reach across, and a message shows the version that judged") {
    SpcRig rig = individuals(R"("limits":{"centre":10,"sigma":1},"rules":[1,2])");
    for (int i = 0; i < 6; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {10.5}) == "");
    REQUIRE(rig.ask("set_limits", R"({"characteristic_id":1,"limits":{"lcl":9.7,"ucl":10.3},"apply_from":")" + to_rfc3339(at(6)) + "\"}").ok());
    for (int i = 6; i < 14; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {10.2}) == "");
    CHECK(rules_open(rig).empty());
    REQUIRE(rig.sample(1, 15, at(14), {10.35}) == "");
    CHECK(rules_open(rig) == std::vector{1, 2});
    CHECK(newest(rig, 3).find("limits_version")->as_integer() == 1);
    CHECK(newest(rig, 15).find("limits_version")->as_integer() == 2);
    // A late sample of the old time is judged by the old limits.
    REQUIRE(rig.sample(1, 16, at(2) + 1s, {12.5}) == "");
    CHECK(newest(rig, 16).find("limits_version")->as_integer() == 1);
    CHECK(text_of(newest(rig, 16), "zone") == "zone_a_upper");
}

TEST_CASE("spc: another unit begins anew: limits of the old one do not judge it, nor does capability mix them") {
    SpcRig rig = individuals(R"("limits":{"centre":10,"sigma":1},"spec":{"lsl":5,"usl":15},"phase1":{"samples":4})");
    for (int i = 0; i < 6; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {10.0 + 0.1 * i}) == "");
    REQUIRE(rig.ask("change_characteristic", R"({"characteristic_id":1,"change":{"unit":"inch","limits":null,"spec":{"lsl":0.2,"usl":0.6},"from":")" + to_rfc3339(at(10)) + "\"}}", at(10)).ok());
    REQUIRE(rig.sample(1, 11, at(11), {0.39}) == "");
    CHECK(newest(rig, 11).find("zone")->is_null());
    for (int i = 12; i < 16; ++i) REQUIRE(rig.sample(1, i, at(i), {0.39 + 0.001 * (i % 3)}) == "");
    CHECK_FALSE(newest(rig, 15).find("zone")->is_null());
    CHECK(newest(rig, 2).find("limits_version")->as_integer() == 1);
    const auto found = rig.ask("capability", R"({"characteristic_id":1})");
    REQUIRE(found.ok());
    CHECK(found->find("count")->as_integer() == 5);
    CHECK(found->find("mean")->as_double() < 1);
}

TEST_CASE("spc: a characteristic is created once, changed in parts, retired and put again (S3-20)") {
    SpcRig rig = individuals();
    CHECK(rig.ask("create_characteristic", define(1, "")).error().code == "characteristic_exists");
    CHECK(rig.ask("change_characteristic", R"({"characteristic_id":1,"change":{"chrat":"p"}})").error().message.find("`chrat` is not known") != std::string::npos);
    CHECK(rig.ask("create_characteristic", define(2, R"("chart":"pie")")).error().message.find("xbar_r") != std::string::npos);
    CHECK(rig.ask("create_characteristic", define(2, R"("chart":"p","rules":[5])")).error().code == "rule_does_not_apply");
    CHECK(rig.ask("create_characteristic", define(2, R"("source":{"stream":"line","value":"/v"})")).error().code == "unknown_source");
    CHECK(rig.ask("create_characteristic", R"({"name":"x"})").error().code == "bad_characteristic");
    REQUIRE(rig.ask("change_characteristic", R"({"characteristic_id":1,"change":{"name":"bore 2"}})").ok());
    CHECK(rig.processor->chart(1)->definition().name == "bore 2");
    CHECK(rig.processor->chart(1)->versions().size() == 1);  // a name judges nothing
    REQUIRE(rig.ask("change_characteristic", R"({"characteristic_id":1,"change":{"rules":[1]}})").ok());
    CHECK(rig.processor->chart(1)->versions().size() == 2);
    CHECK(rig.processor->chart(1)->current().limits->sigma == 1);
    REQUIRE(rig.ask("retire_characteristic", R"({"characteristic_id":1})").ok());
    CHECK(rig.sample(1, 1, at(0), {10}) == "characteristic_retired");
    REQUIRE(rig.ask("put_characteristic", define(1, R"("limits":{"centre":10,"sigma":1})")).ok());
    CHECK(rig.sample(1, 1, at(0), {10}) == "");
}

TEST_CASE("spc: configuration speaks when it changes; what was changed over REST since stays until then") {
    SpcRig rig;
    const std::string one = define(1, R"("name":"a","limits":{"centre":10,"sigma":1})"), two = define(1, R"("name":"b","limits":{"centre":10,"sigma":1})");
    rig.send("put_characteristic", one, origin, SpcProcessor::input, "config");
    REQUIRE(rig.ask("change_characteristic", R"({"characteristic_id":1,"change":{"name":"mine"}})").ok());
    rig.send("put_characteristic", one, origin, SpcProcessor::input, "config");
    CHECK(rig.processor->chart(1)->definition().name == "mine");
    rig.send("put_characteristic", two, origin, SpcProcessor::input, "config");
    CHECK(rig.processor->chart(1)->definition().name == "b");
}

TEST_CASE("spc: a field of a stream's events is a source of samples; a bad one is told once (S3-26)") {
    SpcRig rig({}, {"line"});
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"xbar_r","limits":{"centre":10,"sigma":1},"source":{"stream":"line","key":"bore","value":"/values"})")).ok());
    rig.send("reading", R"({"values":[10,11,9,10,10]})", at(0), "line", "simulate", "bore");
    rig.send("reading", R"({"values":[10,11,9,10,10]})", at(0), "line", "simulate", "shaft");
    CHECK(rig.processor->chart(1)->records().size() == 1);
    CHECK(rig.send("reading", R"({"values":null})", at(1), "line", "simulate", "bore").size() == 1);
    CHECK(rig.send("reading", R"({"other":1})", at(2), "line", "simulate", "bore").empty());
    CHECK(rig.send("reading", R"({"values":[14,14,14,14,14]})", at(3), "line", "simulate", "bore").size() >= 2);
    CHECK(rules_open(rig) == std::vector{1});
    CHECK(rig.send("reading", R"({"other":1})", at(4), "line", "simulate", "bore").size() == 1);
}

TEST_CASE("spc: a missed collection is told once, at its time, and so is its end") {
    SpcRig rig;
    rig.now = origin;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("limits":{"centre":10,"sigma":1},"expected_every":"10min")")).ok());
    REQUIRE(rig.processor->next_due());
    CHECK(rig.processor->next_due()->at == at(15));
    rig.now = at(8);
    REQUIRE(rig.sample(1, 1, at(8), {10}) == "");
    CHECK(rig.processor->next_due()->at == at(23));
    rig.now = at(23);
    const auto told = rig.commit({});  // the tick that a runner commits
    REQUIRE(told.size() == 2);
    const auto alarm = std::find_if(told.begin(), told.end(), [](const auto& m) { return m.stream == "spc.violations"; });
    REQUIRE(alarm != told.end());
    CHECK(alarm->type == "collection_missed");
    // Who looks only now sees it at the characteristic.
    const auto missing = [](const std::vector<SpcRig::Message>& all) {
        const auto at = std::find_if(all.begin(), all.end(), [](const auto& m) { return m.type == "characteristic"; });
        return at == all.end() ? "not told" : text_of(at->data(), "collection_missed");
    };
    CHECK(missing(told) == "true");
    CHECK_FALSE(rig.processor->next_due());
    rig.now = at(40);
    CHECK(rig.commit({}).empty());
    const auto back = rig.send("put_sample", R"({"characteristic_id":1,"value":10})", at(40));
    CHECK(std::count_if(back.begin(), back.end(), [](const auto& m) { return m.type == "collection_resumed"; }) == 1);
    CHECK(missing(back) == "false");
    CHECK(rig.processor->next_due()->at == at(55));
}

TEST_CASE("spc: a sample under a number that is taken is refused, a correction is not") {
    SpcRig rig = individuals();
    REQUIRE(rig.sample(1, 5, at(0), {10}) == "");
    CHECK(rig.sample(1, 5, at(1), {11}) == "sample_exists");
    CHECK(rig.ask("correct_sample", R"({"characteristic_id":1,"sample_id":6,"value":10})").error().code == "unknown_sample");
    REQUIRE(rig.ask("correct_sample", R"({"characteristic_id":1,"sample_id":5,"value":11})").ok());
    CHECK(newest(rig, 5).find("value")->as_double() == 11);
    CHECK(newest(rig, 5).find("revision")->as_integer() == 2);
    CHECK(rig.ask("correct_sample", R"({"characteristic_id":1,"sample_id":5,"values":[1,2]})").error().code == "subgroup_size_out_of_range");
    CHECK(newest(rig, 5).find("value")->as_double() == 11);
}

TEST_CASE("spc: all rules that fire at a point are told (spec.md, section 3)") {
    SpcRig rig = individuals();
    for (int i = 0; i < 9; ++i) REQUIRE(rig.sample(1, i + 1, at(i), {10.2 + 0.5 * i}) == "");
    // 10.2, 10.7, ... 14.2: a rise, a run on one side, and beyond each line.
    const auto rules = rules_open(rig);
    for (const int rule : {1, 2, 3, 5, 6}) CHECK(std::count(rules.begin(), rules.end(), rule) == 1);
}

TEST_CASE("spc: history is bounded: what is older is refused, and an EWMA goes on from what was trimmed, also after a restart") {
    SpcOptions options;
    options.history = 300;
    for (const char* chart : {"ewma", "i_mr"}) {
        SpcRig small(options), large;
        for (SpcRig* rig : {&small, &large})
            REQUIRE(rig->ask("create_characteristic", define(1, std::string(R"("chart":")") + chart + R"(","limits":{"centre":10,"sigma":1})")).ok());
        Prng prng(11);
        std::map<std::string, std::string> saved;
        for (int i = 0; i < 1500; ++i) {
            const double value = 10 + prng.normal();
            REQUIRE(small.sample(1, i + 1, at(i), {value}) == "");
            REQUIRE(large.sample(1, i + 1, at(i), {value}) == "");
            // A late one within what is kept.
            if (i % 100 == 99) {
                const double late = 10 + prng.normal();
                for (SpcRig* rig : {&small, &large}) REQUIRE(rig->sample(1, 10'000 + i, at(i - 150) + 1s, {late}) == "");
            }
            if (i % 170 == 0) {
                for (auto& put : small.processor->save()) {
                    if (put.value) saved[put.key] = *put.value;
                    else saved.erase(put.key);
                }
                auto other = small.make();
                REQUIRE(other->restore({saved.begin(), saved.end()}).ok());
                small.replace(std::move(other));
            }
        }
        CHECK(small.processor->chart(1)->records().size() <= 300 + 257);
        CHECK(small.sample(1, 77'777, at(3), {10}) == "too_old");
        REQUIRE(small.written.size() == large.written.size() + 1);  // the refusal
        for (std::size_t i = 0; i < large.written.size(); ++i) REQUIRE(small.written[i].text == large.written[i].text);
    }
}

TEST_CASE("spc: samples of up to 1000 values are judged with their own constants, and what is kept and saved of them stays bounded") {
    SpcOptions options;
    options.history = 300;
    SpcRig rig(options);
    rig.keep = false;
    REQUIRE(rig.ask("create_characteristic", define(1, R"("chart":"xbar_s","subgroup_size":1000,"limits":{"centre":10,"sigma":1})")).ok());
    std::vector<double> values(1000);
    std::map<std::string, std::string> saved;
    std::size_t most = 0;
    for (int i = 0; i < 400; ++i) {
        for (std::size_t k = 0; k < values.size(); ++k) values[k] = 10 + ((k + static_cast<std::size_t>(i)) % 2 ? 1 : -1);
        REQUIRE(rig.sample(1, i + 1, at(i), values) == "");
        const std::size_t unsaved = rig.processor->unsaved_bytes();
        CHECK(unsaved >= values.size() * 8);
        if (unsaved < (1 << 20)) continue;
        std::size_t bytes = 0;
        for (const auto& put : rig.processor->save()) {
            bytes += put.key.size() + (put.value ? put.value->size() : 0);
            if (put.value) saved[put.key] = *put.value;
            else saved.erase(put.key);
        }
        most = std::max(most, bytes);
        CHECK(bytes < unsaved + 20'000);
        CHECK(rig.processor->unsaved_bytes() == 0);
    }
    CHECK(most < (2 << 20));
    const auto& s = newest(rig, 400);
    CHECK(s.find("ucl")->as_double() == doctest::Approx(10 + 3 / std::sqrt(1000.0)));
    // c4(n) is near 1 - 1/(4(n - 1)); the spread's limits are 3 sqrt(1 - c4^2) from it.
    CHECK(s.find("spread")->find("centre")->as_double() == doctest::Approx(1 - 1.0 / (4 * 999)).epsilon(1e-6));
    // 300 samples of 50 values would be kept: as many values, but enough samples for the rules to look back on.
    CHECK(rig.processor->chart(1)->records().size() <= 4 * SpcChart::context + 1);
    restart(rig, saved);
    CHECK(rig.sample(1, 401, at(401), values) == "");
    CHECK(rig.processor->chart(1)->find(300)->sample.values.size() == 1000);
}

TEST_CASE("spc: the same log gives the same bytes, however its events are grouped into commits (D11)") {
    SpcRig one;
    std::vector<std::pair<std::string, std::string>> events;
    events.emplace_back("create_characteristic", define(1, R"("limits":{"centre":10,"sigma":1},"spec":{"lsl":6,"usl":14})"));
    Prng prng(5);
    for (int i = 0; i < 200; ++i) events.emplace_back("put_sample", R"({"characteristic_id":1,"sample_id":)" + std::to_string(i + 1) + ",\"value\":" + spc_text(10 + 1.5 * prng.normal()) + "}");
    std::vector<std::vector<std::string>> outputs;
    for (const std::size_t group : {1, 7, 201}) {
        SpcRig rig;
        EventList list;
        for (std::size_t i = 0; i < events.size(); ++i) {
            EventView e;
            const std::string id = "e" + std::to_string(i);
            e.id = id, e.type = events[i].first, e.source = "push", e.data = events[i].second, e.time = at(static_cast<std::int64_t>(i));
            list.add(e);
            if (list.size() == group || i + 1 == events.size()) rig.commit(std::exchange(list, {}));
        }
        auto& written = outputs.emplace_back();
        for (const auto& m : rig.written) written.push_back(m.stream + m.id + m.text);
        // Within a commit streams come one after the other.
        std::sort(written.begin(), written.end());
    }
    CHECK(outputs[0] == outputs[1]);
    CHECK(outputs[0] == outputs[2]);
}
