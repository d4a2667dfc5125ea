#include "stores/webhook_store.h"

#include <algorithm>
#include <set>

#include "net/digest.h"
#include "stores/webhook_test_support.h"

using namespace weir;

TEST_CASE("webhook: events are POSTed in order as the HTTP interface shows them, and the position is committed behind a 2xx") {
    WebhookRig rig;
    rig.options().token = Secret("t0ken");
    rig.options().secret = Secret("s1gning");
    rig.options().headers["X-Team"] = Secret("pools");
    rig.fill("pools", 2);
    rig.fill("doors", 1);
    auto store = rig.make();
    CHECK_FALSE(store->poll().has_value());
    CHECK(rig.peer.events() == std::vector<std::string>{"pools/1", "pools/2", "doors/1"});
    CHECK(store->caught_up());
    REQUIRE(rig.peer.requests.size() == 1);
    const auto& request = rig.peer.requests.front();
    CHECK(request.method == "POST");
    CHECK(request.redirects_max == 0);
    CHECK(request_header(request, "Content-Type") == "application/json");
    CHECK(request_header(request, "User-Agent") == "weir/1.2.3");
    CHECK(request_header(request, "Authorization") == "Bearer t0ken");
    CHECK(request_header(request, "X-Team") == "pools");
    CHECK(request_header(request, "X-Weir-Signature") == "sha256=" + net::hex(net::hmac_sha256("s1gning", request.body)));
    CHECK(request_header(request, "Idempotency-Key").size() == 32);
    CHECK(request.body.starts_with(R"({"events":[{"stream":"pools","epoch":")" + to_text(rig.log.log().info("pools")->epoch) +
                                   R"(","seq":1,"id":"e1","type":"reading","key":"K","source":"push","time":"2026-02-17T12:00:00.000Z","ingested":"2026-02-17T12:00:00.000Z","data":{"v":1}},)"));
    CHECK(rig.counted("weir_store_events_sent_total") == 3);
    CHECK(rig.status().find_string("kind") == "webhook");
    CHECK(rig.status().find_string("peer") == "https://hooks.example.org:8443");
    CHECK(rig.status().find("behind")->as_double() == 0);
    // A new one goes on where it was.
    store.reset();
    store = rig.make();
    CHECK_FALSE(store->poll().has_value());
    CHECK(rig.peer.requests.size() == 1);
}

TEST_CASE("webhook: a request holds at most batch_events events and 1 MiB") {
    WebhookRig rig;
    rig.options().batch_events = 3;
    rig.fill("pools", 10);
    rig.run_out(*rig.make());
    for (const Json& body : rig.peer.taken) CHECK(body.find("events")->items().size() <= 3);
    CHECK(rig.peer.events() == rig.all("pools"));

    WebhookRig large;
    const std::string data = "{\"text\":\"" + std::string(100'000, 'x') + "\"}";
    for (int i = 0; i < 8; ++i) large.fill("pools", 4, data);
    large.run_out(*large.make());
    for (const auto& request : large.peer.requests) CHECK(request.body.size() <= (1u << 20) + 100);
    CHECK(large.peer.events() == large.all("pools"));
    CHECK(large.peer.requests.size() < 8);
}

TEST_CASE("webhook: while the peer is down, busy or its address is wrong nothing is skipped, and it says what to do without a secret") {
    WebhookRig rig;
    rig.options().token = Secret("t0ken");
    rig.fill("pools", 2);
    auto store = rig.make();
    int code = 0;
    rig.peer.status = [&](std::size_t, const net::HttpClientRequest&) { return code; };
    rig.peer.answer = "not now\nplease";
    for (const auto& [status, said] : std::vector<std::pair<int, std::string>>{{0, "did not answer"}, {503, "503: it says not now?please"}, {429, "429"}, {500, "500"}, {302, "redirects are not followed; set stores.hook.url"},
                                                                               {401, "correct stores.hook.token"}, {404, "nothing takes events at this address"}, {410, "410"}}) {
        CAPTURE(status);
        code = status;
        for (int i = 0; i < 8; ++i) {
            rig.fill("pools", 1);
            const auto next = store->poll();
            REQUIRE(next.has_value());
            rig.log.clock.advance_to(*next);
        }
        const Json shown = rig.status();
        CHECK(shown.find_string("state") == "failing");
        CHECK(shown.find_string("last_error")->find(said) != std::string::npos);
        for (const char* secret : {"T0SECRET", "k3y", "t0ken"}) CHECK(shown.text().find(secret) == std::string::npos);
    }
    CHECK(rig.peer.taken.empty());
    CHECK(rig.dead().empty());
    CHECK_FALSE(store->caught_up());
    code = 204;
    rig.run_out(*store);
    CHECK(rig.peer.events() == rig.all("pools"));
    CHECK(rig.status().find_string("state") == "running");
}

TEST_CASE("webhook: an answer that repeats a secret is not repeated") {
    WebhookRig rig;
    rig.options().headers["X-Key"] = Secret("v3ry-secret");
    rig.fill("pools", 1);
    rig.peer.status = [](std::size_t, const net::HttpClientRequest&) { return 500; };
    rig.peer.answer = "X-Key: v3ry-secret";
    auto store = rig.make();
    CHECK(store->poll().has_value());
    CHECK(rig.status().text().find("v3ry") == std::string::npos);
}

TEST_CASE("webhook: content that is refused for good is found by halving, tried five times and set aside; all else arrives in order") {
    for (const int code : {400, 413, 422}) {
        CAPTURE(code);
        WebhookRig rig;
        rig.fill("pools", 9);
        rig.fill("pools", 1, R"({"v":"poison"})");
        rig.fill("pools", 9);
        int lone = 0;
        rig.peer.status = [&](std::size_t, const net::HttpClientRequest& request) {
            const bool poison = request.body.find("poison") != std::string::npos;
            if (poison && request.body.find(R"("seq":10,)") != std::string::npos && Json::parse(request.body)->find("events")->items().size() == 1) ++lone;
            return poison ? code : 200;
        };
        rig.peer.answer = "v is no number";
        auto store = rig.make();
        rig.run_out(*store);
        auto expected = rig.all("pools");
        std::erase(expected, "pools/10");
        CHECK(rig.peer.events() == expected);
        CHECK(lone == WebhookStore::refusals_max);
        CHECK(store->caught_up());
        CHECK(rig.counted("weir_store_dead_letters_total") == 1);
        const auto dead = rig.dead();
        REQUIRE(dead.size() == 1);
        CHECK(dead[0].find("seq")->as_double() == 10);
        CHECK(dead[0].find("table") == nullptr);
        CHECK(dead[0].find("data")->text() == R"({"v":"poison"})");
        CHECK(dead[0].find_string("reason")->find("v is no number") != std::string::npos);
        CHECK(rig.status().find("last_dead_letter")->is_string());
    }
}

TEST_CASE("webhook: what is too large for the peer is halved, and requests stay that small") {
    WebhookRig rig;
    std::size_t refused = 0;
    rig.peer.status = [&](std::size_t, const net::HttpClientRequest& request) { return request.body.size() > 20'000 ? (++refused, 413) : 200; };
    auto store = rig.make();
    for (int i = 0; i < 20; ++i) rig.fill("pools", 50, "{\"text\":\"" + std::string(200, 'x') + "\"}");
    rig.run_out(*store);
    CHECK(rig.peer.events() == rig.all("pools"));
    CHECK(refused > 0);
    CHECK(refused < 20);
    CHECK(rig.dead().empty());
    CHECK(rig.counted("weir_store_failures_total") == 0);
}

TEST_CASE("webhook: the key of a request is the same when it is sent again, and another one for other events") {
    WebhookRig rig;
    rig.options().batch_events = 1;
    rig.fill("pools", 5);
    rig.peer.status = [](std::size_t n, const net::HttpClientRequest&) { return n % 2 ? 200 : 503; };
    rig.run_out(*rig.make());
    REQUIRE(rig.peer.requests.size() == 10);
    std::set<std::string> keys;
    for (std::size_t i = 0; i < 10; i += 2) {
        CHECK(request_header(rig.peer.requests[i], "Idempotency-Key") == request_header(rig.peer.requests[i + 1], "Idempotency-Key"));
        CHECK(rig.peer.requests[i].body == rig.peer.requests[i + 1].body);
        keys.insert(request_header(rig.peer.requests[i], "Idempotency-Key"));
    }
    CHECK(keys.size() == 5);
}

TEST_CASE("webhook: of a large commit that is cut, what was taken is not sent again when a later part fails") {
    WebhookRig rig;
    rig.options().batch_events = 4;
    rig.fill("pools", 20);
    rig.peer.status = [](std::size_t n, const net::HttpClientRequest&) { return n % 3 ? 200 : 0; };
    rig.run_out(*rig.make());
    CHECK(rig.peer.events() == rig.all("pools"));
}

TEST_CASE("webhook: weir's own streams, its dead letters among them, are not sent unless they are named") {
    WebhookRig rig;
    rig.fill("_dead/other", 1);
    rig.fill("pools", 1);
    auto store = rig.make();
    rig.run_out(*store);
    CHECK(rig.peer.events() == std::vector<std::string>{"pools/1"});
    CHECK(store->caught_up());
}

TEST_CASE("webhook: retention waits for it, for streams that came later too") {
    StreamTable streams;
    streams["late"].retention_events = 1;
    WebhookRig rig(streams);
    auto store = rig.make();
    rig.fill("first", 1);
    rig.run_out(*store);
    rig.peer.status = [](std::size_t, const net::HttpClientRequest&) { return 0; };
    for (int i = 0; i < 5; ++i) rig.fill("late", 1);
    CHECK(store->poll().has_value());
    REQUIRE(rig.log.log().keep().ok());
    CHECK(rig.log.log().info("late")->first.value == 1);
    rig.peer.status = [](std::size_t, const net::HttpClientRequest&) { return 200; };
    rig.run_out(*store);
    CHECK(rig.peer.events().size() == 6);
    REQUIRE(rig.log.log().keep().ok());
    CHECK(rig.log.log().info("late")->first.value > 1);
}
