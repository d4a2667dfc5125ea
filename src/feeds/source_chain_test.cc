#include "feeds/source_chain.h"

#include <doctest/doctest.h>

using namespace weir;
using namespace weir::literals;

namespace {

/// A source that does what the test says.
class FakeSource final : public Source {
public:
    explicit FakeSource(SourceKind kind, Duration spacing = Duration(0)) : kind_(kind), spacing_(spacing) {}
    void start(SourceListener& l) override { listener = &l; }
    void stop() override { listener = nullptr; }
    void give_up(const Error& why) override {
        ++given_up;
        if (listener) listener->on_failed(*this, why);
    }
    void pause() override {}
    void resume() override {}
    SourceKind kind() const override { return kind_; }
    Duration spacing() const override { return spacing_; }
    bool is_polled() const override { return kind_ != SourceKind::websocket; }
    std::string shown() const override { return std::string(to_text(kind_)); }

    void open() { listener->on_connected(*this); }
    void say(Timestamp at = {}) { listener->on_message(*this, "x", at); }
    void fail() { listener->on_failed(*this, {"upstream_closed", "closed"}); }

    SourceListener* listener = nullptr;
    int given_up = 0;

private:
    SourceKind kind_;
    Duration spacing_;
};

struct Rig final : SourceChain::Observer {
    ManualClock clock{"2026-02-17T10:00:00Z"_utc};
    FakeSource *ws, *http, *html;
    std::unique_ptr<SourceChain> chain;
    std::string log;
    std::vector<int> messages{0, 0, 0};
    int standby = 0;

    explicit Rig(SourceChain::Limits limits = {12s, 20s, 20s}) {
        auto a = std::make_unique<FakeSource>(SourceKind::websocket), b = std::make_unique<FakeSource>(SourceKind::http, 4s), c = std::make_unique<FakeSource>(SourceKind::html, 10s);
        ws = a.get(), http = b.get(), html = c.get();
        std::vector<std::unique_ptr<Source>> sources;
        sources.push_back(std::move(a));
        sources.push_back(std::move(b));
        sources.push_back(std::move(c));
        chain = std::make_unique<SourceChain>(clock, limits, std::move(sources), *this);
        chain->start();
    }
    void on_connected(std::size_t) override {}
    void on_message(std::size_t i, std::string_view, Timestamp) override { ++messages[i]; }
    void on_event(std::size_t, const EventView&) override {}
    void on_standby_message(std::size_t) override { ++standby; }
    void on_failed(std::size_t, const Error&) override {}
    void on_state(const SourceChain::StateChange& s) override {
        log += " " + std::string(to_text(s.state)) + "/" + s.cause + "@" + std::to_string((s.since - "2026-02-17T10:00:00Z"_utc) / 1s);
    }
    void on_time(Timestamp) override {}
    void on_finished(const Result<void>&) override {}

    void pass(Duration d) {
        for (; d > Duration(0); d -= 1s) {
            clock.advance(1s);
            chain->check();
        }
    }
    /// Messages of `source` every 4 s for so long.
    void talk(FakeSource* source, Duration d, FakeSource* also = nullptr) {
        for (; d > Duration(0); d -= 4s) {
            pass(4s);
            source->say();
            if (also) also->say();
        }
    }
};

}  // namespace

TEST_CASE("source chain: while the first source delivers, no other is asked") {
    Rig rig;
    rig.ws->open();
    rig.ws->say();
    rig.talk(rig.ws, 60s);
    CHECK(rig.log == " down/connecting@0 live/recovered@0");
    CHECK(rig.http->listener == nullptr);
    CHECK(rig.messages[0] == 16);
}

TEST_CASE("source chain: when the first closes the next takes over, and the first returns once it is healthy again (C-16, D12)") {
    Rig rig;
    rig.ws->open();
    rig.ws->say();
    rig.pass(4s);
    rig.ws->fail();
    CHECK(rig.log == " down/connecting@0 live/recovered@0 down/upstream_closed@4");
    REQUIRE(rig.http->listener != nullptr);
    CHECK(rig.html->listener == nullptr);
    rig.http->open();
    rig.http->say();
    CHECK(rig.log.ends_with(" polled/source_changed@4"));
    rig.ws->open();
    rig.talk(rig.http, 20s, rig.ws);
    CHECK(rig.standby == 5);  // counted, not appended (decisions.md 27)
    rig.talk(rig.http, 4s, rig.ws);
    CHECK(rig.log.ends_with(" live/source_changed@28"));
    CHECK(rig.http->listener == nullptr);
    CHECK(rig.messages == std::vector<int>{2, 7, 0});
}

TEST_CASE("source chain: a half-open connection is noticed by silence within three expected intervals, and given up later (D12)") {
    FeedOptions options;
    options.interval = 4s;
    options.silence = 20s;
    Rig rig(SourceChain::limits(options, Duration(0)));
    rig.ws->open();
    rig.ws->say();
    rig.talk(rig.ws, 8s);
    rig.pass(13s);
    CHECK(rig.log.ends_with(" stale/upstream_silent@8"));  // since the last message
    REQUIRE(rig.http->listener != nullptr);
    rig.http->open();
    rig.http->say();
    CHECK(rig.log.ends_with(" polled/source_changed@21"));
    CHECK(rig.ws->given_up == 0);
    rig.talk(rig.http, 8s);
    CHECK(rig.ws->given_up == 1);
}

TEST_CASE("source chain: one burst of a sick source does not bring it back, and if the stand-in fails a better one helps at once") {
    Rig rig;
    rig.ws->fail();
    rig.http->open();
    rig.http->say();
    for (int i = 0; i < 5; ++i) {
        rig.ws->open();
        rig.talk(rig.http, 8s, rig.ws);
        rig.ws->fail();
    }
    CHECK(rig.messages[0] == 0);
    CHECK(rig.chain->active() == 1);
    rig.ws->open();
    rig.talk(rig.http, 4s, rig.ws);
    rig.http->fail();
    rig.ws->say();
    CHECK(rig.chain->active() == 0);
    CHECK(rig.messages[0] == 1);
}

TEST_CASE("source chain: the third source helps when two are away, and all of them down is down") {
    Rig rig;
    rig.ws->fail();
    rig.http->fail();
    REQUIRE(rig.html->listener != nullptr);
    rig.html->open();
    rig.html->say();
    CHECK(rig.log == " down/connecting@0 polled/recovered@0");
    rig.html->fail();
    CHECK(rig.log.ends_with(" down/upstream_closed@0"));
    rig.http->open();
    rig.http->say();
    CHECK(rig.chain->active() == 1);
    CHECK(rig.html->listener == nullptr);
}

TEST_CASE("source chain: pausing for the log is not silence of the source") {
    Rig rig;
    rig.ws->open();
    rig.ws->say();
    rig.chain->pause();
    rig.pass(100s);
    rig.chain->resume();
    rig.pass(4s);
    CHECK(rig.log == " down/connecting@0 live/recovered@0");
    CHECK(rig.ws->given_up == 0);
}

TEST_CASE("source chain: limits follow the options and the learned interval") {
    FeedOptions options;
    CHECK(SourceChain::limits(options, 1s).late_after == 3s);
    CHECK(SourceChain::limits(options, 1s).dead_after == 10s);
    CHECK(SourceChain::limits(options, 5s).late_after == 15s);
    CHECK(SourceChain::limits(options, 5s).dead_after == 25s);
    options.silence = 1h;  // a feed that speaks on change only (S1-21)
    CHECK(SourceChain::limits(options, 5s).late_after == 1h);
    options.interval = 5s;
    CHECK(SourceChain::limits(options, 0s).late_after == 15s);
}
