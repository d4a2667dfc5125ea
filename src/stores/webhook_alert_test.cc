// What Alertmanager's receivers are told of alerts.
#include "stores/webhook_alert.h"

#include "stores/webhook_test_support.h"

using namespace weir;

namespace {

struct AlertRig : WebhookRig {
    AlertRig() { options().format = WebhookFormat::alertmanager; }
    /// `rule:status:fingerprint,...` of each body taken since the last call.
    std::string told() {
        std::string all;
        for (; seen_ < peer.taken.size(); ++seen_) {
            const Json& body = peer.taken[seen_];
            all += (all.empty() ? "" : " ") + std::string(*body.find("groupLabels")->find_string("alertname")) + ":" + std::string(*body.find_string("status")) + ":";
            for (const Json& alert : body.find("alerts")->items()) all += (all.ends_with(':') ? "" : ",") + std::string(*alert.find_string("fingerprint"));
        }
        return all;
    }

private:
    std::size_t seen_ = 0;
};

}  // namespace

TEST_CASE("webhook: an alert is told as Alertmanager tells it") {
    AlertRig rig;
    rig.alert("pool_full", "3f0c", "firing");
    rig.run_out(*rig.make());
    REQUIRE(rig.peer.requests.size() == 1);
    CHECK(rig.peer.requests[0].body ==
          R"({"version":"4","groupKey":"{}:{alertname=\"pool_full\"}","truncatedAlerts":0,"status":"firing","receiver":"hook","groupLabels":{"alertname":"pool_full"},)"
          R"("commonLabels":{"alertname":"pool_full","key":"SSD-7","severity":"warning","stream":"pools","team":"pools"},)"
          R"("commonAnnotations":{"description":"104 is above 100","summary":"Pool is full"},"externalURL":"","alerts":[{"status":"firing",)"
          R"("labels":{"alertname":"pool_full","key":"SSD-7","severity":"warning","stream":"pools","team":"pools"},)"
          R"("annotations":{"description":"104 is above 100","summary":"Pool is full"},"startsAt":"2026-02-17T12:00:00.000Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"3f0c"}]})");
    rig.alert("pool_full", "3f0c", "resolved");
    rig.run_out(*rig.make());
    const Json& resolved = rig.peer.taken.at(1);
    CHECK(resolved.find_string("status") == "resolved");
    CHECK(resolved.find("alerts")->items().at(0).find_string("endsAt") == "2026-02-17T12:05:00.000Z");
    CHECK(resolved.find("alerts")->items().at(0).find_string("fingerprint") == "3f0c");
}

TEST_CASE("webhook: alerts of one batch are grouped by rule, of one alert the newest, and labels in common are those of all") {
    AlertRig rig;
    rig.alert("full", "a", "firing", R"(,"key":"SSD-4")");
    rig.alert("silent", "c", "firing");
    rig.alert("full", "b", "firing");
    rig.alert("full", "a", "resolved", R"(,"key":"SSD-4")");
    rig.run_out(*rig.make());
    CHECK(rig.told() == "full:firing:b,a silent:firing:c");
    const Json& full = rig.peer.taken.at(0);
    CHECK(full.find("commonLabels")->find("key") == nullptr);
    CHECK(full.find("commonLabels")->find_string("team") == "pools");
    CHECK(full.find("alerts")->items().at(1).find_string("status") == "resolved");
}

TEST_CASE("webhook: only what rings or ends is told: not pending, inactive, repeated, acknowledged, shelved, or a firing that is shelved") {
    AlertRig rig;
    auto store = rig.make();
    const std::string shelved = R"(,"shelved_until":"2026-02-17T14:00:00.000Z")";
    const auto after = [&](const std::string& id, const std::string& change, const std::string& more = "", const std::string& state = "") {
        rig.alert("full", id, change, more, state);
        rig.run_out(*store);
        return rig.told();
    };
    CHECK(after("a", "pending") == "");
    CHECK(after("a", "inactive") == "");
    CHECK(after("b", "firing") == "full:firing:b");
    CHECK(after("b", "acknowledged") == "");
    CHECK(after("b", "repeated") == "");
    CHECK(after("b", "escalated") == "full:firing:b");
    CHECK(after("b", "shelved", shelved) == "");
    CHECK(after("b", "escalated", shelved) == "");
    CHECK(after("b", "unshelved") == "full:firing:b");
    CHECK(after("b", "resolved") == "full:resolved:b");
    // Shelved while pending: nobody knows of it.
    CHECK(after("c", "shelved", shelved, "pending") == "");
    CHECK(after("c", "firing", shelved) == "");
    CHECK(after("c", "resolved", shelved) == "");
    CHECK(after("d", "unshelved", "", "pending") == "");
    // Told, then shelved: its end is told, also by a weir that was started in between, and once.
    CHECK(after("e", "firing") == "full:firing:e");
    CHECK(after("e", "shelved", shelved) == "");
    store.reset();
    store = rig.make();
    CHECK(after("e", "resolved", shelved) == "full:resolved:e");
    CHECK(rig.log.log().state("store/hook")->empty());
    CHECK(store->caught_up());
}

TEST_CASE("webhook: what is no alert is skipped, counted and said") {
    AlertRig rig;
    rig.options().streams = {"alerts", "pools"};
    rig.fill("pools", 2);
    rig.alert("full", "a", "firing");
    rig.run_out(*rig.make());
    CHECK(rig.told() == "full:firing:a");
    CHECK(rig.counted("weir_store_bad_events_total") == 2);
}

TEST_CASE("webhook: when the request of one rule fails, those that were taken are not sent again by the same weir") {
    AlertRig rig;
    for (const char* rule : {"r1", "r2", "r3", "r4"}) rig.alert(rule, std::string("id-") + rule, "firing");
    rig.peer.status = [](std::size_t n, const net::HttpClientRequest&) { return n == 2 || n == 3 ? 503 : 200; };
    rig.run_out(*rig.make());
    CHECK(rig.told() == "r1:firing:id-r1 r2:firing:id-r2 r3:firing:id-r3 r4:firing:id-r4");
    CHECK(rig.peer.requests.size() == 6);
}

TEST_CASE("webhook: an alert that the receiver refuses is a dead letter with the event as it stands in the log") {
    AlertRig rig;
    rig.alert("r", "bad", "firing");
    rig.alert("r", "good", "firing");
    rig.peer.status = [](std::size_t, const net::HttpClientRequest& request) { return request.body.find("\"bad\"") != std::string::npos ? 400 : 200; };
    rig.run_out(*rig.make());
    CHECK(rig.told() == "r:firing:good");
    REQUIRE(rig.dead().size() == 1);
    CHECK(rig.dead()[0].find("data")->find_string("id") == "bad");
}
