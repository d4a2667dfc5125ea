#pragma once
// For tests only: a webhook on a log in a folder, and a peer that answers as it is told and keeps what it took.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "event/json.h"
#include "stores/stores_test_support.h"
#include "stores/webhook_store.h"

namespace weir {

/// Outlives the stores that send to it, as a real one does.
struct WebhookPeer {
    /// Status of the n-th request, from 0 on; 0: no answer comes.
    std::function<int(std::size_t n, const net::HttpClientRequest&)> status = [](std::size_t, const net::HttpClientRequest&) { return 200; };
    std::string answer;                           ///< body of answers that are no 2xx
    std::vector<net::HttpClientRequest> requests;  ///< all
    std::vector<Json> taken;                       ///< bodies answered with 2xx

    Result<net::HttpClientResponse> take(net::HttpClientRequest request) {
        const int code = status(requests.size(), request);
        requests.push_back(std::move(request));
        if (code == 0) return Error{"timeout", net::shown_url(requests.back().url) + " did not answer in 30s"};
        net::HttpClientResponse response;
        response.status = code;
        if (!response.ok()) response.body = answer;
        else taken.push_back(*Json::parse(requests.back().body));
        return response;
    }
    /// `stream/seq` of each event that was taken, in order.
    std::vector<std::string> events() const {
        std::vector<std::string> all;
        for (const Json& body : taken)
            for (const Json& event : body.find("events")->items()) all.push_back(std::string(*event.find_string("stream")) + "/" + event.find("seq")->number_text());
        return all;
    }
};

class PeerTransport final : public ServiceTransport {
public:
    explicit PeerTransport(WebhookPeer& peer) : peer_(peer) {}
    Result<net::HttpClientResponse> send(net::HttpClientRequest request) override { return peer_.take(std::move(request)); }

private:
    WebhookPeer& peer_;
};

struct WebhookRig {
    explicit WebhookRig(StreamTable streams = {}) : log(std::move(streams), 0) { options().url = Secret("https://hooks.example.org:8443/services/T0SECRET?key=k3y"); }
    StoreOptions& options() { return setup.options; }

    std::unique_ptr<WebhookStore> make() {
        auto store = std::make_unique<WebhookStore>(setup, std::make_unique<PeerTransport>(peer), StoreWorker::Surroundings{log.log(), log.clock, metrics, board, 1});
        REQUIRE(store->prepare().ok());
        return store;
    }
    /// Polls until nothing is left to do, waiting as it asks.
    void run_out(WebhookStore& store) {
        for (int i = 0; i < 500; ++i) {
            const auto next = store.poll();
            if (!next) return;
            log.clock.advance_to(*next);
        }
        FAIL("the store does not recover");
    }
    /// One commit of this many readings.
    void fill(const std::string& stream, int events, const std::string& data = R"({"v":1})") {
        std::vector<std::string> ids;
        std::vector<EventView> views;
        for (int i = 0; i < events; ++i) ids.push_back("e" + std::to_string(++filled_));
        for (const std::string& id : ids) {
            EventView event;
            event.id = id, event.type = "reading", event.key = "K", event.source = "push", event.data = data;
            event.time = event.ingested = log.clock.now();
            views.push_back(event);
        }
        log.append(stream, views);
    }
    /// An alert's event, as the processor of alerts writes it.
    void alert(const std::string& rule, const std::string& id, const std::string& change, const std::string& more = "", const std::string& state = "") {
        const std::string is = !state.empty() ? state : change == "resolved" || change == "pending" || change == "inactive" ? change : "firing";
        const std::string data = R"({"id":")" + id + R"(","rule":")" + rule + R"(","title":"Pool is full","severity":"warning","state":")" + is + R"(","change":")" + change +
                                 R"(","stream":"pools","key":"SSD-7","message":"104 is above 100","pending_at":"2026-02-17T11:59:00.000Z","triggered_at":"2026-02-17T12:00:00.000Z","resolved_at":)" +
                                 (is == "resolved" ? R"("2026-02-17T12:05:00.000Z")" : "null") + R"(,"labels":{"team":"pools"})" + more + "}";
        const std::string event_id = "a" + std::to_string(++filled_);
        EventView event;
        event.id = event_id, event.type = "alert", event.key = rule, event.source = "alert", event.data = data;
        event.time = event.ingested = log.clock.now();
        log.append("alerts", {event});
    }
    Json status() const {
        const auto posted = board.read("stores/");
        REQUIRE(posted.size() == 1);
        return *Json::parse(posted.front().second);
    }
    std::uint64_t counted(const std::string& metric) { return metrics.counter(metric, "", {{"store", "hook"}}).value(); }
    /// Of the stream `_dead/hook`.
    std::vector<Json> dead() {
        std::vector<Json> letters;
        const auto read = log.log().read("_dead/hook", Seq{1}, 1000);
        if (!read.ok()) return letters;
        for (const BatchPtr& batch : *read)
            for (const EventView event : batch->events) letters.push_back(*Json::parse(event.data));
        return letters;
    }
    std::vector<std::string> all(const std::string& stream) {
        std::vector<std::string> names;
        for (std::uint64_t seq = 1; seq <= log.log().info(stream)->head.value; ++seq) names.push_back(stream + "/" + std::to_string(seq));
        return names;
    }

    LogRig log;
    WebhookPeer peer;
    Metrics metrics;
    StatusBoard board;
    WebhookStore::Setup setup{"hook", {}, "1.2.3"};

private:
    int filled_ = 0;
};

inline std::string request_header(const net::HttpClientRequest& request, std::string_view name) {
    for (const auto& [n, value] : request.headers)
        if (n == name) return value;
    return {};
}

}  // namespace weir
