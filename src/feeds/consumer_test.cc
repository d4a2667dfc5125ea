#include "feeds/consumer.h"

#include <doctest/doctest.h>

#include <mutex>

#include "event/json.h"
#include "log/log_test_support.h"
#include "log/sqlite_log.h"
#include "net/connection.h"
#include "net/http_server.h"

using namespace weir;
using namespace weir::literals;

namespace {

/// Another weir, as far as a consumer sees it: it answers each text as the test says.
struct OtherWeir final : net::HttpHandler, net::ConnectionHandler {
    std::function<void(net::Connection&, const Json& asked)> on_subscribe;
    std::vector<net::Connection*> sockets;
    net::HttpServer server;  // its end is told to the rest
    net::ListenAddress address;

    explicit OtherWeir(net::Reactor& reactor) : server(reactor, {}, *this) {
        auto listening = server.listen({"127.0.0.1", 0, ""});
        REQUIRE(listening.ok());
        address = *listening;
    }
    void on_request(net::HttpExchange& exchange) override {
        REQUIRE(exchange.upgrade() == net::UpgradeCheck::good);
        sockets.push_back(&exchange.accept_websocket({.handler = *this, .subprotocol = "weir.json"}));
    }
    void on_message(net::Connection& connection, net::MessageKind, std::string_view text) override {
        const auto parsed = Json::parse(text);
        REQUIRE(parsed.ok());
        on_subscribe(connection, *parsed->find("data"));
    }
    void on_closed(net::Connection& connection, const net::Closed&) override { std::erase(sockets, &connection); }
};

struct Rig {
    TemporaryFolder folder;
    SystemClock clock;
    std::unique_ptr<SqliteLog> log;
    net::Reactor reactor{clock};
    OtherWeir other{reactor};
    std::map<StreamName, Consumer::Place> known;
    std::mutex mutex;
    std::vector<std::string> told, failures;  ///< gaps; why connections were lost

    Rig() {
        SqliteLog::Setup setup;
        setup.options.path = folder.path();
        setup.options.durability = Durability::process;
        setup.clock = &clock;
        auto opened = SqliteLog::open(std::move(setup));
        REQUIRE(opened.ok());
        log = std::move(*opened);
    }
    std::unique_ptr<Consumer> consumer() {
        Consumer::Setup setup;
        setup.url = "ws://" + other.address.to_text() + "/";
        setup.log = log.get();
        setup.clock = &clock;
        setup.known = [this] { return std::optional(known); };
        setup.observer.connected = [](bool) {};
        setup.observer.greeted = [](std::string_view) {};
        setup.observer.lost = [this](const Error& why, Duration) {
            std::lock_guard lock(mutex);
            failures.push_back(why.message);
        };
        setup.observer.gap = [this](std::string_view what) {
            std::lock_guard lock(mutex);
            told.emplace_back(what);
        };
        return std::make_unique<Consumer>(std::move(setup));
    }
    void until(const std::function<bool()>& condition) {
        while (!condition()) reactor.turn(50ms);
    }
    std::uint64_t head(const std::string& stream) {
        const auto info = log->info(stream);
        return info ? info->head.value : 0;
    }
    std::size_t failure_count() {
        std::lock_guard lock(mutex);
        return failures.size();
    }
};

void say(net::Connection& to, const std::string& text) { to.send(net::MessageKind::text, text); }

/// `heads`: the members of `streams`.
std::string subscribed(const std::string& heads) { return R"({"type":"subscribed","data":{"subscription_id":"sub_1","type":"events","filters":{},"streams":{)" + heads + R"(}},"subscription_id":"sub_1"})"; }

std::string at(const std::string& stream, int seq) { return '"' + stream + R"(":{"epoch":"e1","seq":)" + std::to_string(seq) + "}"; }

std::string event(const std::string& stream, int seq) {
    return R"({"type":"data","data":{"event":{"event_type":"reading","timestamp":"2026-02-17T10:00:00Z","payload":{"n":1}}},"timestamp":"2026-02-17T10:00:00Z","metadata":{"stream":")" +
           stream + R"(","epoch":"e1","seq":)" + std::to_string(seq) + R"(,"key":"k"}})";
}

std::string refusal(const std::string& code, const std::string& detail) {
    return R"({"type":"error","data":{"error":"Refused","code":")" + code + R"(","detail":")" + detail + R"("}})";
}

std::optional<std::int64_t> since(const Json& asked, std::string_view stream) {
    const Json* all = asked.find("since");
    const Json* place = all ? all->find(stream) : nullptr;
    return place ? place->find("seq")->as_integer() : std::nullopt;
}

}  // namespace

TEST_CASE("consumer: a stream whose backlog had not come when the connection ended is asked for again from where it was known") {
    Rig rig;
    rig.known = {{"a", {"e1", 100}}, {"b", {"e1", 50}}};
    std::vector<Json> asked;
    net::Connection* current = nullptr;
    rig.other.on_subscribe = [&](net::Connection& c, const Json& data) {
        asked.push_back(data);
        current = &c;
        // The heads, whatever `since` says; `c` is unknown here, and begins live.
        say(c, subscribed(at("a", 100000) + "," + at("b", 60) + "," + at("c", 7)));
        if (asked.size() == 1) say(c, event("a", 101));
    };
    auto consumer = rig.consumer();
    consumer->start();
    rig.until([&] { return rig.head("a") == 1; });
    current->close(net::CloseCode::going_away);
    rig.until([&] { return asked.size() == 2; });
    CHECK(since(asked[0], "a") == 100);
    CHECK(since(asked[0], "b") == 50);
    CHECK(since(asked[1], "a") == 101);
    CHECK(since(asked[1], "b") == 50);
    CHECK(since(asked[1], "c") == 7);
    consumer->stop();
}

TEST_CASE("consumer: a stream that the other side does not have is told, and the others come") {
    Rig rig;
    rig.known = {{"a", {"e1", 100}}, {"gone", {"e1", 50}}};
    std::vector<Json> asked;
    rig.other.on_subscribe = [&](net::Connection& c, const Json& data) {
        asked.push_back(data);
        if (since(data, "gone")) return say(c, refusal("bad_since", "`since` names `gone`, which this subscription does not cover"));
        say(c, subscribed(at("a", 105)));
        // Live is no place to go on from while the events before it have not been asked for.
        say(c, event("a", since(data, "a") ? 101 : 106));
    };
    auto consumer = rig.consumer();
    consumer->start();
    rig.until([&] { return rig.head("a") > 0; });
    consumer->stop();
    CHECK(since(asked.back(), "a") == 100);
    const auto first = rig.log->read("a", Seq{1}, 1);
    REQUIRE(first.ok());
    CHECK(first->front()->events[0].id == "weir:e1/101");
    REQUIRE(rig.told.size() == 1);
    CHECK(rig.told[0].find("stream gone") != std::string::npos);
    CHECK(rig.failures.empty());
}

TEST_CASE("consumer: a subscription that is refused is a failed connection: told with its reason, and tried again") {
    Rig rig;
    int asked = 0;
    rig.other.on_subscribe = [&](net::Connection& c, const Json&) {
        ++asked;
        say(c, refusal("forbidden", "needs `events` among the token's types"));
    };
    auto consumer = rig.consumer();
    consumer->start();
    rig.until([&] { return asked == 2 && rig.failure_count() >= 2; });
    consumer->stop();
    CHECK(rig.failures[0].find("needs `events` among the token's types") != std::string::npos);
    CHECK(rig.failures[0].find('\n') == std::string::npos);
}

TEST_CASE("consumer: what is written and retired is known by the database alone, and until it answers nothing is") {
    TemporaryFolder folder;
    ManualClock clock{"2026-02-17T10:00:00Z"_utc};
    SqliteLog::Setup setup;
    setup.options.path = folder.path();
    setup.options.durability = Durability::process;
    setup.options.retention.age = 1h;
    setup.clock = &clock;
    setup.keep_every = Duration(0);
    auto opened = SqliteLog::open(std::move(setup));
    REQUIRE(opened.ok());
    SqliteLog& log = **opened;
    const auto append = [&](const char* stream, const char* id) {
        EventList events;
        EventView event;
        event.id = id;
        event.type = "reading";
        event.data = "{}";
        event.time = event.ingested = clock.now();
        events.add(event);
        Commit commit;
        commit.appends.push_back({stream, std::move(events), {}});
        REQUIRE(log.commit(std::move(commit)).ok());
    };
    using Places = std::map<StreamName, Consumer::Place>;
    CHECK_FALSE(Consumer::known_by(log, std::nullopt).has_value());
    append("quiet", "weir:e1/50");
    append("busy", "weir:e1/7");
    CHECK(Consumer::known_by(log, std::nullopt) == Places{{"quiet", {"e1", 50}}, {"busy", {"e1", 7}}});
    clock.advance(2h);
    append("busy", "weir:e1/8");
    REQUIRE(log.keep().ok());
    REQUIRE(log.info("quiet")->head < log.info("quiet")->first);

    CHECK_FALSE(Consumer::known_by(log, std::nullopt).has_value());
    CHECK(Consumer::known_by(log, Places{{"quiet", {"e1", 50}}, {"busy", {"e1", 7}}}) == Places{{"quiet", {"e1", 50}}, {"busy", {"e1", 8}}});
}
