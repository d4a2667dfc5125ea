#include "feeds/feed.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "event/json.h"
#include "event/json_path.h"
#include "feeds/html_source.h"
#include "feeds/learned_interval.h"
#include "feeds/replay_source.h"
#include "log/log_test_support.h"
#include "log/sqlite_log.h"
#include "net/connection.h"
#include "net/http_server.h"

using namespace weir;
using namespace weir::literals;

namespace {

FeedOptions pool_options() {
    FeedOptions o;
    o.decode.key = {"/uid"};
    o.decode.value = {"/currentfill"};
    o.decode.numeric_text.everywhere = true;
    return o;
}

SourceOptions websocket(const std::string& url) {
    SourceOptions s;
    s.kind = SourceKind::websocket;
    s.url = url;
    s.open_message = "all";
    s.timeout = 2s;
    return s;
}

/// A real log in a folder of its own, and everything that a feed needs. The clock is the system's: sockets are real.
struct Rig {
    TemporaryFolder folder;
    SystemClock clock;
    std::unique_ptr<SqliteLog> log;
    net::Reactor reactor{clock};
    net::HttpClient http;
    StatusBoard board;
    Metrics metrics;

    explicit Rig() { open(); }
    void open() {
        SqliteLog::Setup setup;
        setup.options.path = folder.path();
        setup.options.durability = Durability::process;
        setup.clock = &clock;
        auto opened = SqliteLog::open(std::move(setup));
        REQUIRE(opened.ok());
        log = std::move(*opened);
    }
    std::unique_ptr<Feed> feed(FeedOptions options, std::string name = "pools", Feed::Times times = Feed::Times::log) {
        Feed::Setup setup;
        setup.name = std::move(name);
        setup.options = std::move(options);
        setup.log = log.get();
        setup.reactor = &reactor;
        setup.http = &http;
        setup.board = &board;
        setup.metrics = &metrics;
        setup.times = times;
        auto made = Feed::make(std::move(setup));
        REQUIRE(made.ok());
        return std::move(*made);
    }
    void until(const std::function<bool()>& condition) {
        while (!condition()) reactor.turn(50ms);
    }
    void stop(Feed& feed) {
        bool done = false;
        feed.stop([&] { done = true; });
        until([&] { return done; });
    }
    std::uint64_t head(const std::string& stream) {
        const auto info = log->info(stream);
        return info ? info->head.value : 0;
    }
    std::vector<BatchPtr> batches(const std::string& stream) {
        auto read = log->read_commits({stream}, {}, 1'000'000);
        REQUIRE(read.ok());
        return *read;
    }
    /// All notes of states as `state/cause`.
    std::string states(const std::string& stream) {
        std::string out;
        for (const auto& batch : batches(stream))
            for (const auto& s : batch->notes.feed_states) out += (out.empty() ? "" : " ") + s.state + "/" + s.cause;
        return out;
    }
};

/// An HTTP and WebSocket server on the same reactor, answering as the test says.
struct Upstream final : net::HttpHandler, net::ConnectionHandler {
    net::HttpServer server;
    net::ListenAddress address;
    std::function<void(net::HttpExchange&)> on_get;
    std::function<void(net::Connection&)> on_text;
    std::vector<net::Connection*> sockets;
    int gets = 0, opened = 0;

    explicit Upstream(net::Reactor& reactor) : server(reactor, {}, *this) {
        auto listening = server.listen({"127.0.0.1", 0, ""});
        REQUIRE(listening.ok());
        address = *listening;
    }
    std::string url(const std::string& scheme) const { return scheme + "://" + address.to_text() + "/x"; }
    void on_request(net::HttpExchange& exchange) override {
        if (exchange.upgrade() == net::UpgradeCheck::good) {
            ++opened;
            sockets.push_back(&exchange.accept_websocket({.handler = *this}));
            return;
        }
        ++gets;
        on_get(exchange);
    }
    void on_message(net::Connection& connection, net::MessageKind, std::string_view) override {
        if (on_text) on_text(connection);
    }
    void on_closed(net::Connection& connection, const net::Closed&) override { std::erase(sockets, &connection); }
};

}  // namespace

TEST_CASE("feed: every pool of every message reaches the log, once it was asked for with the opening text (S0-1, S0-R2, S0-R3, S0-11)") {
    Rig rig;
    Upstream upstream(rig.reactor);
    net::Connection* asked = nullptr;
    upstream.on_text = [&](net::Connection& c) { asked = &c; };
    net::Timer push(rig.reactor, [&] {
        push.start(20ms);
        if (!asked || upstream.sockets.empty()) return;
        std::string message = "[";
        for (int i = 0; i < 32; ++i) message += (i ? ",{" : "{") + std::string("\"uid\":\"P") + std::to_string(i) + "\",\"freespace\":5,\"currentfill\":\"" + std::to_string(i) + "\"}";
        asked->send(net::MessageKind::text, message + "]");
    });
    push.start(20ms);
    auto o = pool_options();
    o.sources = {websocket(upstream.url("ws"))};
    auto feed = rig.feed(o);
    feed->start();
    rig.until([&] { return rig.head("pools") >= 32 * 15; });
    rig.stop(*feed);
    CHECK(rig.head("pools") == feed->counts().readings);
    CHECK(feed->counts().readings == feed->counts().messages * 32);
    const auto read = rig.log->read("pools", {1}, 32);
    REQUIRE(read.ok());
    std::set<std::string> keys;
    for (const auto& batch : *read) {
        for (const EventView e : batch->events) {
            keys.insert(std::string(e.key));
            CHECK(e.source == "websocket");
            CHECK("P" + std::to_string(static_cast<int>(*JsonPath::parse("/currentfill")->number(e.data))) == e.key);
        }
    }
    CHECK(keys.size() == 32);
    CHECK(rig.states("pools") == "down/connecting live/recovered down/stopped");
    // The interval was learned and is a note in the log (decisions.md 32).
    int intervals = 0;
    for (const auto& batch : rig.batches("pools")) intervals += static_cast<int>(batch->notes.intervals.size());
    CHECK(intervals >= 1);
    const auto status = Json::parse(rig.board.read("feeds/").at(0).second);
    REQUIRE(status.ok());
    CHECK(status->find_string("name") == "pools");
    CHECK(status->find("interval_learned")->as_boolean());
}

TEST_CASE("feed: the opening text can wait for silence") {
    Rig rig;
    Upstream upstream(rig.reactor);
    int texts = 0;
    upstream.on_text = [&](net::Connection& c) {
        ++texts;
        c.send(net::MessageKind::text, R"([{"uid":"A","currentfill":"1"}])");
    };
    auto o = pool_options();
    o.sources = {websocket(upstream.url("ws"))};
    o.sources[0].open_silence = 30ms;
    auto feed = rig.feed(o);
    feed->start();
    rig.until([&] { return rig.head("pools") == 1; });
    CHECK(texts == 1);
    rig.stop(*feed);
}

TEST_CASE("feed: a bad message is counted and skipped, and the connection stays (S0-18 to S0-22)") {
    Rig rig;
    Upstream upstream(rig.reactor);
    upstream.on_text = [](net::Connection& c) {
        for (const char* text : {R"([{"uid":"A","currentfill":"0"}])", "broken", R"([{"uid":"A","currentfill":null}])", R"([{"uid":"A"},{"uid":"B","currentfill":"n/a"}])", "[]",
                                 R"([{"uid":"A","currentfill":"7"}])"})
            c.send(net::MessageKind::text, text);
    };
    auto o = pool_options();
    o.sources = {websocket(upstream.url("ws"))};
    auto feed = rig.feed(o);
    feed->start();
    rig.until([&] { return rig.head("pools") == 2; });
    rig.stop(*feed);
    CHECK(upstream.opened == 1);
    CHECK(feed->counts().rejected == 4);
    std::map<std::string, std::uint32_t> reasons;
    for (const auto& batch : rig.batches("pools"))
        for (const auto& r : batch->notes.rejected) reasons[r.reason] += r.count;
    CHECK(reasons == std::map<std::string, std::uint32_t>{{"malformed", 1}, {"null", 1}, {"missing_value", 1}, {"not_a_number", 1}});
}

TEST_CASE("feed: a black hole is noticed, polling takes over, and the socket returns without counting twice (D12, C-16, S0-3, S0-27, S0-28)") {
    Rig rig;
    Upstream upstream(rig.reactor);
    bool silent = false;
    int n = 0;
    net::Timer push(rig.reactor, [&] {
        push.start(30ms);
        if (silent) return;
        ++n;
        for (auto* s : upstream.sockets) s->send(net::MessageKind::text, R"([{"uid":"A","currentfill":")" + std::to_string(n) + "\"}]");
    });
    push.start(30ms);
    upstream.on_get = [](net::HttpExchange& e) { e.respond(200, {}, R"([{"uid":"A","currentfill":"99"}])"); };
    auto o = pool_options();
    o.interval = 30ms;
    o.silence = 200ms;
    o.return_after = 200ms;
    o.backoff_first = 20ms;
    o.sources = {websocket(upstream.url("ws")), websocket(upstream.url("http"))};
    o.sources[1].kind = SourceKind::http;
    o.sources[1].interval = 50ms;
    auto feed = rig.feed(o);
    feed->start();
    const auto state = [&] {
        const auto json = Json::parse(rig.board.read("feeds/").at(0).second);
        return std::string(json->find_string("state").value_or(""));
    };
    rig.until([&] { return rig.head("pools") >= 3 && state() == "live"; });
    silent = true;
    rig.until([&] { return state() == "polled"; });
    const auto polled_from = rig.head("pools");
    rig.until([&] { return rig.head("pools") >= polled_from + 3; });
    silent = false;
    rig.until([&] { return state() == "live"; });
    rig.stop(*feed);
    const std::string states = rig.states("pools");
    CHECK(states.find("live/recovered stale/upstream_silent") != std::string::npos);
    CHECK(states.find("polled/source_changed") != std::string::npos);
    CHECK(states.find("live/source_changed") != std::string::npos);
    // Each reading names its source, and those of the standby are counted, not appended.
    std::uint64_t by_http = 0, by_websocket = 0;
    for (const auto& batch : rig.batches("pools"))
        for (const EventView e : batch->events) (e.source == "http" ? by_http : by_websocket)++;
    CHECK(by_http >= 3);
    CHECK(by_http + by_websocket == feed->counts().readings);
    CHECK(feed->counts().standby > 0);
}

TEST_CASE("feed: what was missed while weir was away is noted at the next start, and ids do not repeat") {
    Rig rig;
    std::string first_id;
    for (int run = 0; run < 2; ++run) {
        FeedOptions o = pool_options();
        SourceOptions s;
        s.kind = SourceKind::simulate;
        s.interval = 10ms;
        s.keys = {"A"};
        o.sources = {s};
        auto feed = rig.feed(o);
        feed->start();
        const auto before = rig.head("pools");
        rig.until([&] { return rig.head("pools") >= before + 5; });
        rig.stop(*feed);
        feed.reset();
        rig.log.reset();
        rig.open();
    }
    CHECK(rig.states("pools") == "down/connecting live/recovered down/stopped down/weir_down down/connecting live/recovered down/stopped");
    std::set<std::string> ids;
    for (const auto& batch : rig.batches("pools"))
        for (const EventView e : batch->events) CHECK(ids.insert(std::string(e.id)).second);
    CHECK(ids.size() == rig.head("pools"));
}

TEST_CASE("feed: a recording gives the same commits at any speed (D11)") {
    const auto run = [](double speed) {
        Rig rig;
        const std::string file = rig.folder.path() + "/recording.ndjson";
        {
            std::ofstream out(file);
            for (int i = 0; i < 40; ++i)
                out << R"({"received":")" << to_rfc3339("2026-02-17T10:00:00Z"_utc + Duration(i * 4s) + Duration(i > 20 ? 31s : 0s)) << R"(","message":[{"uid":"A","currentfill":")" << i % 7 << "\"}]}\n";
        }
        auto o = pool_options();
        SourceOptions s;
        s.kind = SourceKind::replay;
        s.file = file;
        s.speed = speed;
        o.sources = {s};
        auto feed = rig.feed(o, "pools", Feed::Times::recorded);
        feed->start();
        rig.until([&] { return feed->finished().value_or(false); });
        std::string out;
        for (const auto& batch : rig.batches("pools")) {
            out += to_rfc3339(batch->commit_time) + (batch->is_tick() ? " tick" : "");
            for (const EventView e : batch->events) out += " " + std::string(e.id) + std::string(e.data) + to_rfc3339(e.time) + to_rfc3339(e.ingested);
            for (const auto& state : batch->notes.feed_states) out += " " + state.state + to_rfc3339(state.time);
            for (const auto& interval : batch->notes.intervals) out += " " + to_text(interval.spacing);
            out += "\n";
        }
        rig.stop(*feed);
        return out;
    };
    const std::string fast = run(0), slow = run(400);
    CHECK(fast == slow);
    CHECK(fast.find("tick") != std::string::npos);
    CHECK(std::count(fast.begin(), fast.end(), '{') == 40);
}

TEST_CASE("feed: the page's number comes through the same decode rules, and - is a missing value (S0-4, S1-1, C-40)") {
    const std::string page = "<html><body><table><tr><th>Anzahl G\xc3\xa4ste</th><td id=\"T-4\"> 1\xe2\x80\x99" "204 </td></tr></table></body></html>";
    CHECK(*text_at(page, "//td[@id='T-4']") == " 1\xe2\x80\x99" "204 ");
    CHECK(text_at(page, "//td[@id='T-5']").error().code == "element_missing");
    CHECK(text_at(page, "//td[").error().code == "bad_xpath");
    CHECK(*text_at(page, "count(//td)") == "1");
    DecodeOptions decode;
    decode.key = {"/uid"};
    decode.keys = {"T-4"};
    decode.value = {"/anzahl_gaeste", "/occupancy"};
    CHECK(message_with_number(" 1\xe2\x80\x99" "204 ", decode) == R"({"uid":"T-4","anzahl_gaeste":1204})");
    CHECK(message_with_number("0", decode) == R"({"uid":"T-4","anzahl_gaeste":0})");
    CHECK(message_with_number(" - ", decode) == R"({"uid":"T-4"})");
    CHECK(message_with_number("closed", decode) == R"({"uid":"T-4","anzahl_gaeste":"closed"})");
    CHECK(text_at("", "//td").ok() == false);
}

TEST_CASE("learned interval: the median of the last 200, known from the tenth, told again only when it moves (decisions.md 32)") {
    LearnedInterval learned;
    auto at = "2026-02-17T10:00:00Z"_utc;
    int told = 0;
    const auto feed = [&](Duration spacing, int n) {
        for (int i = 0; i < n; ++i) {
            at = at + spacing;
            told += learned.message(at).has_value();
        }
    };
    feed(5s, 10);
    CHECK(told == 0);
    feed(5s, 1);
    CHECK(told == 1);
    CHECK(learned.known() == 5s);
    feed(5s, 100);
    feed(1min, 20);  // some slow ones do not move a median
    CHECK(told == 1);
    feed(10s, 300);
    CHECK(learned.known() == 10s);
    CHECK(told == 2);
}

namespace {

/// A log whose mailbox is full for as long as the test wants, and that keeps what it was given.
struct SlowLog final : Log {
    bool full = false;
    std::string fail_with;
    std::vector<Commit> commits;
    std::uint64_t events = 0, attempts = 0;

    void submit(Commit commit, Done done) override { (void)try_submit(commit, std::move(done)); }
    bool try_submit(Commit& commit, Done done) override {
        ++attempts;
        if (full) return false;
        if (!fail_with.empty()) {
            done(Error{fail_with, "as the test wants it"});
            return true;
        }
        for (const auto& a : commit.appends) events += a.events.size();
        commits.push_back(std::move(commit));
        done(Committed{{commits.size()}, {}, {}});
        return true;
    }
    Result<std::vector<BatchPtr>> read(std::string_view, Seq, std::size_t) override { return std::vector<BatchPtr>(); }
    Result<std::vector<BatchPtr>> read_before(std::string_view, Seq, std::size_t) override { return std::vector<BatchPtr>(); }
    Result<std::vector<BatchPtr>> read_commits(const std::vector<StreamName>&, CommitNo, std::size_t) override { return std::vector<BatchPtr>(); }
    Result<Found> find(std::string_view, const TimeRange&) override { return Found(); }
    Result<Seq> seq_at(std::string_view, Timestamp) override { return Seq(); }
    std::vector<StreamInfo> streams() override { return {}; }
    std::optional<StreamInfo> info(std::string_view) override { return std::nullopt; }
    CommitNo head() override { return {commits.size()}; }
    std::vector<std::pair<Epoch, Seq>> epochs(std::string_view) override { return {}; }
    Result<std::optional<CommitNo>> position(std::string_view) override { return std::optional<CommitNo>(); }
    Result<std::vector<std::pair<std::string, std::string>>> state(std::string_view) override { return std::vector<std::pair<std::string, std::string>>(); }
    std::unique_ptr<Wake> on_commit(std::function<void(CommitNo)>) override { return nullptr; }
};

/// Says what it is told to, and remembers whether it was paused.
struct Puppet final : Source {
    SourceListener* listener = nullptr;
    bool paused = false;
    void start(SourceListener& l) override { listener = &l; }
    void stop() override { listener = nullptr; }
    void give_up(const Error&) override {}
    void pause() override { paused = true; }
    void resume() override { paused = false; }
    SourceKind kind() const override { return SourceKind::websocket; }
    std::string shown() const override { return "puppet"; }
};

/// A feed of one puppet on a clock that moves when told.
struct Stage {
    ManualClock clock{"2026-02-17T10:00:00Z"_utc};
    net::Reactor reactor{clock};
    SlowLog log;
    Puppet* puppet = nullptr;
    std::unique_ptr<Feed> feed;
    explicit Stage(FeedOptions options = pool_options()) {
        Feed::Setup setup;
        setup.name = "pools";
        setup.options = std::move(options);
        setup.log = &log;
        setup.reactor = &reactor;
        setup.in_flight_bytes_max = 2000;
        setup.sources = [this] {
            std::vector<std::unique_ptr<Source>> sources;
            auto p = std::make_unique<Puppet>();
            puppet = p.get();
            sources.push_back(std::move(p));
            return sources;
        };
        auto made = Feed::make(std::move(setup));
        REQUIRE(made.ok());
        feed = std::move(*made);
        feed->start();
        puppet->listener->on_connected(*puppet);
    }
    void say(int n) { puppet->listener->on_message(*puppet, R"([{"uid":"A","currentfill":")" + std::to_string(n) + "\"}]", clock.now()); }
    void pass(Duration d) {
        for (; d > Duration(0); d -= 5ms) {
            clock.advance(5ms);
            reactor.turn();
        }
    }
};

}  // namespace

TEST_CASE("feed: when the log is behind, reading pauses, and nothing is lost") {
    Stage stage;
    stage.log.full = true;
    int said = 0;
    for (; !stage.puppet->paused && said < 1000; ++said) {
        stage.say(said);
        stage.reactor.turn();
    }
    CHECK(said < 100);
    stage.pass(1s);
    CHECK(stage.puppet->paused);
    CHECK(stage.log.events == 0);
    CHECK(stage.log.attempts < 1000);  // waits between tries
    stage.log.full = false;
    stage.pass(50ms);
    CHECK(!stage.puppet->paused);
    CHECK(stage.log.events == static_cast<std::uint64_t>(said));
    // In the order in which they came.
    std::uint64_t n = 0;
    for (const auto& commit : stage.log.commits)
        for (const EventView e : commit.appends[0].events) CHECK(JsonPath::parse("/currentfill")->number(e.data) == static_cast<double>(n++));
    CHECK(stage.feed->counts().dropped == 0);
}

TEST_CASE("feed: a full disk is waited out; what the log refuses for good is counted and noted") {
    Stage stage;
    stage.log.fail_with = "disk_full";
    stage.say(1);
    stage.say(2);
    stage.pass(3s);
    CHECK(stage.log.events == 0);
    CHECK(stage.log.attempts < 40);
    stage.log.fail_with = "";
    stage.pass(2s);
    CHECK(stage.log.events == 2);
    stage.log.fail_with = "too_large";
    stage.say(3);
    stage.reactor.turn();
    stage.log.fail_with = "";
    stage.pass(1s);
    CHECK(stage.feed->counts().dropped == 1);
    std::uint32_t noted = 0;
    for (const auto& commit : stage.log.commits)
        for (const auto& r : commit.appends[0].notes.rejected) noted += r.reason == "not_stored" ? r.count : 0;
    CHECK(noted == 1);
}

TEST_CASE("feed: a log that another program holds is waited out as a full disk is") {
    Stage stage;
    stage.log.fail_with = "locked";
    stage.say(1);
    stage.say(2);
    stage.pass(3s);
    CHECK(stage.log.events == 0);
    CHECK(stage.log.attempts < 40);
    stage.log.fail_with = "";
    stage.pass(2s);
    CHECK(stage.log.events == 2);
    CHECK(stage.feed->counts().dropped == 0);
    for (const auto& commit : stage.log.commits) CHECK(commit.appends[0].notes.rejected.empty());
}

TEST_CASE("feed: a step of the wall clock is told in the stream (C-38)") {
    Stage stage;
    stage.say(1);
    stage.pass(1s);
    stage.clock.step_wall(-1h);
    stage.pass(1s);
    std::string detail;
    for (const auto& commit : stage.log.commits)
        for (const auto& s : commit.appends[0].notes.feed_states)
            if (s.cause == "clock_step") detail += s.detail + ";";
    CHECK(detail == "the wall clock stepped back by 1h;");
}

TEST_CASE("feed: what comes in one turn is one commit, and a message above a commit's size is split") {
    Stage stage;
    stage.reactor.turn();
    const auto before = stage.log.commits.size();
    for (int i = 0; i < 20; ++i) stage.say(i);
    stage.reactor.turn();
    CHECK(stage.log.commits.size() == before + 1);
    std::string large = "[";
    for (int i = 0; i < 20; ++i) large += (i ? "," : "") + std::string("{\"uid\":\"A\",\"currentfill\":1,\"x\":\"") + std::string(100'000, 'x') + "\"}";
    stage.puppet->listener->on_message(*stage.puppet, large + "]", stage.clock.now());
    stage.pass(1s);
    CHECK(stage.log.events == 40);
    for (const auto& commit : stage.log.commits) CHECK(commit.appends[0].events.text_bytes() < 512 * 1024);
}

namespace {

/// A feed with real sources and sockets on a clock that moves when told: what is waited for is what was scheduled, however slow the machine is.
struct Scheduled {
    ManualClock clock{"2026-02-17T10:00:00Z"_utc};
    net::Reactor reactor{clock};
    net::HttpClient http;
    Upstream upstream{reactor};
    SlowLog log;
    std::unique_ptr<Feed> feed;

    void start(FeedOptions options) {
        Feed::Setup setup;
        setup.name = "pools";
        setup.options = std::move(options);
        setup.log = &log;
        setup.reactor = &reactor;
        setup.http = &http;
        auto made = Feed::make(std::move(setup));
        REQUIRE(made.ok());
        feed = std::move(*made);
        feed->start();
    }
    void until(const std::function<bool()>& condition) {
        while (!condition()) reactor.turn(1ms);
    }
    /// What is due now is done, and what that led to on this thread.
    void settle() {
        for (int i = 0; i < 50; ++i) reactor.turn();
    }
    /// How long the first source waits before its next try.
    Duration wait() {
        const auto status = Json::parse(feed->status_json());
        REQUIRE(status.ok());
        const auto next = parse_rfc3339(status->find("sources")->items()[0].find_string("next_try").value_or(""));
        REQUIRE(next.has_value());
        return *next - clock.now();
    }
};

}  // namespace

TEST_CASE("feed: a server that closes at once is tried again after 1, 2, 4, ... waits with jitter, and not a moment before (S0-R12, C-17)") {
    Scheduled s;
    s.upstream.on_text = [](net::Connection& c) { c.close(net::CloseCode::going_away, "no"); };
    auto o = pool_options();
    o.backoff_first = 1s;
    o.backoff_cap = 8s;
    o.sources = {websocket(s.upstream.url("ws"))};
    s.start(o);
    Duration whole = 1s;
    for (std::uint64_t n = 1; n <= 6; ++n) {
        s.until([&] { return s.feed->counts().failures == n; });
        CHECK(s.upstream.opened == static_cast<int>(n));
        const Duration wait = s.wait();
        CHECK(wait >= whole / 2);
        CHECK(wait <= whole);
        whole = std::min<Duration>(whole * 2, 8s);
        s.clock.advance(wait - 1ms);
        s.settle();
        CHECK(s.upstream.opened == static_cast<int>(n));
        s.clock.advance(1ms);
    }
}

TEST_CASE("feed: polls stand on a grid; 429 and Retry-After are respected, an unchanged answer is life without a reading (S2-R4, S2-R5, S2-10, C-19)") {
    Scheduled s;
    std::string condition;
    s.upstream.on_get = [&](net::HttpExchange& e) {
        condition = e.request().header("If-None-Match").value_or("");
        if (s.upstream.gets == 1) return e.respond(200, {{"ETag", "\"a\""}}, R"([{"uid":"A","currentfill":"1"}])");
        if (s.upstream.gets == 4) return e.respond(304, {}, "");
        if (s.upstream.gets == 5) return e.respond(429, {{"Retry-After", "30"}}, "slow down");
        e.respond(200, {{"ETag", "\"a\""}}, R"([{"uid":"A","currentfill":"2"}])");
    };
    auto o = pool_options();
    o.backoff_first = 1ms;
    o.sources = {websocket(s.upstream.url("http"))};
    o.sources[0].kind = SourceKind::http;
    o.sources[0].interval = 1s;
    s.start(o);
    // The `gets`-th poll was answered, and the feed has `told` of so many messages and failures.
    const auto answered = [&](int gets, std::uint64_t told) {
        s.until([&] { return s.upstream.gets == gets && s.feed->counts().messages + s.feed->counts().failures == told; });
    };
    answered(1, 1);
    // However late in its second an answer is worked off, the next poll is due when the second is over: the rate is that which was asked for.
    for (int n = 2; n <= 3; ++n) {
        s.clock.advance(999ms);
        s.settle();
        CHECK(s.upstream.gets == n - 1);
        s.clock.advance(1ms);
        answered(n, static_cast<std::uint64_t>(n));
        CHECK(s.wait() == 1s);
        CHECK(condition == "\"a\"");
    }
    // Nothing tells that an unchanged answer was worked off, and a poll is left out while it was not: some seconds, then.
    while (s.upstream.gets < 5) {
        s.clock.advance(1s);
        s.settle();
        s.reactor.turn(1ms);
    }
    answered(5, 4);
    CHECK(s.wait() == 30s);
    s.clock.advance(29'999ms);
    s.settle();
    CHECK(s.upstream.gets == 5);
    s.clock.advance(1ms);
    CHECK(s.feed->counts().readings == 3);
    answered(6, 5);
    CHECK(s.feed->counts().readings == 4);
    CHECK(s.wait() == 1s);
}

TEST_CASE("feed: however often it fails, there is one line a second of it, and the last tells how things stand (S0-R12)") {
    TemporaryFolder folder;
    diag::configure({.level = diag::Level::info, .format = diag::Format::text, .file = folder.path() + "/lines"});
    {
        Stage stage;
        for (int i = 0; i < 500; ++i) {
            stage.puppet->listener->on_failed(*stage.puppet, {"closed", "ws://pools closed the connection"});
            stage.puppet->listener->on_connected(*stage.puppet);
            if (i % 2) stage.say(i);
            stage.pass(10ms);
        }
        stage.pass(2s);
    }
    diag::configure({});
    std::ifstream in(folder.path() + "/lines");
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    // Five seconds of it: one when each begins, and the last one when it is over.
    CHECK(lines.size() == 6);
    for (std::size_t i = 1; i < lines.size(); ++i) CHECK(lines[i].find("more lines held back)") != std::string::npos);
    CHECK(lines.back().find("live (recovered)") != std::string::npos);
}
