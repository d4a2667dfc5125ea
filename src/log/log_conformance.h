#pragma once
// For tests only: what every implementation of `Log` promises, so that the embedded and the clustered one are held to the same.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "log/log.h"

namespace weir {

/// A log to try, with the means to stop and start it again.
class LogFixture {
public:
    virtual ~LogFixture() = default;
    virtual Log& log() = 0;
    virtual ManualClock& clock() = 0;
    /// Stops the log in order and opens it again on the same data.
    virtual void restart() = 0;
};

struct TestEvent {
    std::string id, key = "SSD-7", data = "{\"currentfill\":48}", type = "reading", source = "websocket";
    Timestamp time = "2026-02-17T10:00:00Z"_utc, ingested = "2026-02-17T10:00:00.25Z"_utc;
    EventView view() const { return {id, type, key, source, data, time, ingested}; }
};

inline EventList events_of(const std::vector<TestEvent>& events) {
    EventList list;
    for (const auto& event : events) list.add(event.view());
    return list;
}

inline Append append_of(StreamName stream, const std::vector<TestEvent>& events) { return {std::move(stream), events_of(events), {}}; }

inline Commit commit_of(StreamName stream, const std::vector<TestEvent>& events) {
    Commit commit;
    commit.appends.push_back(append_of(std::move(stream), events));
    return commit;
}

/// Ids of all events of some batches, in order, as `1:a 2:b`.
inline std::string ids_of(const std::vector<BatchPtr>& batches) {
    std::string text;
    for (const auto& batch : batches)
        for (std::size_t i = 0; i < batch->events.size(); ++i)
            text += (text.empty() ? "" : " ") + std::to_string(batch->seq_of(i).value) + ":" + std::string(batch->events[i].id);
    return text;
}

/// Stream and commit of some batches, as `pools@1 alerts@2`.
inline std::string commits_of(const std::vector<BatchPtr>& batches) {
    std::string text;
    for (const auto& batch : batches) text += (text.empty() ? "" : " ") + batch->stream + "@" + std::to_string(batch->commit.value);
    return text;
}

/// Call from within a TEST_CASE; each promise is a SUBCASE on a fresh, empty log.
inline void check_log_conformance(const std::function<std::unique_ptr<LogFixture>()>& make) {
    const auto fixture = make();
    const auto log = [&]() -> Log& { return fixture->log(); };
    const auto must = [](auto result) {
        REQUIRE_MESSAGE(result.ok(), (result.ok() ? std::string() : result.error().code + ": " + result.error().message));
        return std::move(result).value();
    };

    SUBCASE("events get seqs from 1, one by one, and come back as they went in") {
        TestEvent odd{"x/1", "", "{}", "", ""};
        odd.time = "1969-12-31T23:59:59.999999Z"_utc;
        const Committed committed = must(log().commit(commit_of("pools", {{"a"}, odd, {"c", "SSD-7", "{\"t\":\"\\u00e9 \xc3\xa9\"}"}})));
        REQUIRE(committed.appended.size() == 1);
        CHECK(committed.commit == CommitNo{1});
        CHECK(committed.appended[0].stream == "pools");
        CHECK(committed.appended[0].seqs == std::vector<Seq>{{1}, {2}, {3}});
        CHECK(committed.appended[0].duplicates == 0);
        const auto look = [&] {
            const auto batches = must(log().read("pools", {1}, 100));
            REQUIRE(ids_of(batches) == "1:a 2:x/1 3:c");
            const EventView event = batches[0]->events[1];
            CHECK(event.key.empty());
            CHECK(event.type.empty());
            CHECK(event.source.empty());
            CHECK(event.data == "{}");
            CHECK(event.time == odd.time);
            CHECK(event.ingested == odd.ingested);
            CHECK(batches[0]->events[2].data == "{\"t\":\"\\u00e9 \xc3\xa9\"}");
            CHECK(batches[0]->events[0].type == "reading");
            CHECK(batches[0]->epoch == committed.appended[0].epoch);
            CHECK(batches[0]->commit_time == committed.time);
        };
        look();
        fixture->restart();
        look();
        CHECK(must(log().commit(commit_of("pools", {{"d"}}))).appended[0].seqs == std::vector<Seq>{{4}});
    }

    SUBCASE("streams count on their own, commits in one order over all of them (decisions.md 2)") {
        must(log().commit(commit_of("a", {{"1"}})));
        must(log().commit(commit_of("b", {{"1"}, {"2"}})));
        Commit both;
        both.appends.push_back(append_of("b", {{"3"}}));
        both.appends.push_back(append_of("a", {{"2"}}));
        const Committed committed = must(log().commit(std::move(both)));
        CHECK(committed.commit == CommitNo{3});
        CHECK(committed.appended[0].seqs[0] == Seq{3});
        CHECK(committed.appended[1].seqs[0] == Seq{2});
        for (int round = 0; round < 2; ++round) {
            CHECK(commits_of(must(log().read_commits({"a", "b"}, {0}, 100))) == "a@1 b@2 a@3 b@3");
            CHECK(commits_of(must(log().read_commits({"b"}, {0}, 100))) == "b@2 b@3");
            CHECK(commits_of(must(log().read_commits({}, {1}, 100))) == "b@2 a@3 b@3");
            CHECK(must(log().read_commits({"a", "b"}, {3}, 100)).empty());
            CHECK(must(log().read_commits({"nobody"}, {0}, 100)).empty());
            CHECK(log().head() == CommitNo{3});
            fixture->restart();
        }
    }

    SUBCASE("read_commits gives whole commits only") {
        for (int i = 0; i < 4; ++i) {
            Commit both;
            both.appends.push_back(append_of("a", {{std::to_string(2 * i)}, {std::to_string(2 * i + 1)}}));
            both.appends.push_back(append_of("b", {{std::to_string(i)}}));
            must(log().commit(std::move(both)));
        }
        for (int round = 0; round < 2; ++round) {
            CHECK(commits_of(must(log().read_commits({"a", "b"}, {0}, 1))) == "a@1 b@1");
            CHECK(commits_of(must(log().read_commits({"a", "b"}, {1}, 4))) == "a@2 b@2 a@3 b@3");
            CHECK(commits_of(must(log().read_commits({"a", "b"}, {2}, 100))) == "a@3 b@3 a@4 b@4");
            fixture->restart();
        }
    }

    SUBCASE("an id that comes again within the horizon is answered with its first seq, and noted (C-log, decisions.md 4)") {
        must(log().commit(commit_of("pools", {{"a"}, {"b"}})));
        const Committed again = must(log().commit(commit_of("pools", {{"b"}, {"c"}, {"c"}, {"a", "SSD-8"}})));
        CHECK(again.appended[0].seqs == std::vector<Seq>{{2}, {3}, {3}, {1}});
        CHECK(again.appended[0].duplicates == 3);
        CHECK(ids_of(must(log().read("pools", {1}, 100))) == "1:a 2:b 3:c");
        const auto batches = must(log().read_commits({"pools"}, {1}, 100));
        REQUIRE(batches.size() == 1);
        const auto& noted = batches[0]->notes.duplicates;
        REQUIRE(noted.size() == 2);
        CHECK(noted[0].key == "SSD-7");
        CHECK(noted[0].count == 2);
        CHECK(noted[1].key == "SSD-8");
        CHECK(must(log().commit(commit_of("other", {{"a"}}))).appended[0].duplicates == 0);
        fixture->restart();
        CHECK(must(log().commit(commit_of("pools", {{"c"}}))).appended[0].seqs == std::vector<Seq>{{3}});
        fixture->clock().advance(11min);
        CHECK(must(log().commit(commit_of("pools", {{"c"}}))).appended[0].seqs == std::vector<Seq>{{4}});
    }

    SUBCASE("ticks and notes reach readers in order, take no seq, and survive a restart (decisions.md 6, 7)") {
        must(log().commit(commit_of("pools", {{"a"}})));
        fixture->clock().advance(100ms);
        Commit tick;
        tick.appends.push_back({"pools", {}, {}});
        must(log().commit(std::move(tick)));
        Commit notes;
        Notes all;
        all.rejected.push_back({"not_a_number", "SSD-7", "2026-02-17T10:00:01Z"_utc, 3});
        all.rejected.push_back({"malformed", "", std::nullopt, 1});
        all.feed_states.push_back({"pools", "stale", "upstream_silent", "websocket", "2026-02-17T10:00:02Z"_utc, "no message in 10s"});
        all.intervals.push_back({"pools", 5s, true});
        notes.appends.push_back({"pools", {}, all});
        must(log().commit(std::move(notes)));
        must(log().commit(commit_of("pools", {{"b"}})));
        for (int round = 0; round < 2; ++round) {
            const auto batches = must(log().read_commits({"pools"}, {0}, 100));
            REQUIRE(commits_of(batches) == "pools@1 pools@2 pools@3 pools@4");
            CHECK(batches[1]->is_tick());
            CHECK(batches[1]->first_seq == Seq{2});
            CHECK(batches[1]->commit_time - batches[0]->commit_time == 100ms);
            CHECK_FALSE(batches[2]->is_tick());
            REQUIRE(batches[2]->notes.rejected.size() == 2);
            CHECK(batches[2]->notes.rejected[0].reason == "not_a_number");
            CHECK(batches[2]->notes.rejected[0].count == 3);
            CHECK(batches[2]->notes.rejected[0].time == "2026-02-17T10:00:01Z"_utc);
            CHECK_FALSE(batches[2]->notes.rejected[1].time.has_value());
            REQUIRE(batches[2]->notes.feed_states.size() == 1);
            CHECK(batches[2]->notes.feed_states[0].detail == "no message in 10s");
            REQUIRE(batches[2]->notes.intervals.size() == 1);
            CHECK(batches[2]->notes.intervals[0].spacing == 5s);
            CHECK(batches[2]->notes.intervals[0].learned);
            CHECK(batches[3]->first_seq == Seq{2});
            CHECK(ids_of(must(log().read("pools", {1}, 100))) == "1:a 2:b");
            CHECK(log().info("pools")->head == Seq{2});
            fixture->restart();
        }
    }

    SUBCASE("position and state become true with the commit that they came with, and are the reader's own (decisions.md 3)") {
        CHECK_FALSE(must(log().position("windows")).has_value());
        Commit first = commit_of("windows/5min", {{"w1"}});
        first.reader = "windows";
        first.position = CommitNo{0};
        first.state = {{"SSD-7", "open"}, {"SSD-8", std::string("with\0zero", 9)}};
        must(log().commit(std::move(first)));
        Commit second;
        second.reader = "windows";
        second.position = CommitNo{1};
        second.state = {{"SSD-7", std::nullopt}, {"SSD-9", ""}};
        must(log().commit(std::move(second)));
        for (int round = 0; round < 2; ++round) {
            CHECK(must(log().position("windows")) == CommitNo{1});
            CHECK_FALSE(must(log().position("alerts")).has_value());
            const auto state = must(log().state("windows"));
            REQUIRE(state.size() == 2);
            CHECK(state[0] == std::pair<std::string, std::string>("SSD-8", std::string("with\0zero", 9)));
            CHECK(state[1] == std::pair<std::string, std::string>("SSD-9", ""));
            CHECK(must(log().state("alerts")).empty());
            fixture->restart();
        }
    }

    SUBCASE("a commit is refused while its reader is not where it expects it, so nothing passes what was refused before it (decisions.md 9)") {
        const auto step = [](std::uint64_t from, std::uint64_t to, std::string id) {
            Commit commit = commit_of("out", {{std::move(id)}});
            commit.reader = "r";
            commit.position = CommitNo{to};
            commit.expected_position = CommitNo{from};
            commit.state = {{"at", std::to_string(to)}};
            return commit;
        };
        CHECK(log().commit(step(3, 4, "early")).error().code == "stale_position");  // a reader without a position is at 0
        must(log().commit(step(0, 4, "a")));
        must(log().commit(step(4, 5, "b")));
        // Sent without waiting: the first is refused for itself, those behind it because of it, another reader's is not.
        std::vector<std::string> answers(4);
        const auto submit = [&](std::size_t i, Commit commit) {
            log().submit(std::move(commit), [&answers, i](Result<Committed> done) { answers[i] = done.ok() ? "ok" : done.error().code; });
        };
        Commit bad = step(5, 6, "c");
        bad.appends.push_back(append_of("no blanks", {{"x"}}));
        submit(0, std::move(bad));
        submit(1, step(6, 7, "d"));
        submit(2, step(7, 8, "e"));
        Commit other = step(0, 9, "f");
        other.reader = "other";
        submit(3, std::move(other));
        CHECK(log().commit(step(4, 5, "again")).error().code == "stale_position");
        CHECK(answers == std::vector<std::string>{"bad_stream_name", "stale_position", "stale_position", "ok"});
        for (int round = 0; round < 2; ++round) {
            CHECK(ids_of(must(log().read("out", {1}, 100))) == "1:a 2:b 3:f");
            CHECK(must(log().position("r")) == CommitNo{5});
            CHECK(must(log().state("r")) == std::vector<std::pair<std::string, std::string>>{{"at", "5"}});
            fixture->restart();
        }
        CHECK(log().commit(step(0, 1, "g")).error().code == "stale_position");
        submit(0, step(5, 6, "c"));
        submit(1, step(6, 7, "d"));
        must(log().commit(step(7, 8, "e")));
        Commit anywhere = step(0, 2, "h");
        anywhere.expected_position.reset();
        must(log().commit(std::move(anywhere)));
        CHECK(must(log().position("r")) == CommitNo{2});
        CHECK(ids_of(must(log().read("out", {4}, 100))) == "4:c 5:d 6:e 7:h");
    }

    SUBCASE("nothing of a refused commit is true") {
        Commit wrong = commit_of("pools", {{"a"}});
        wrong.appends.push_back(append_of("no blanks", {{"b"}}));
        wrong.reader = "r";
        wrong.position = CommitNo{9};
        CHECK(log().commit(std::move(wrong)).error().code == "bad_stream_name");
        CHECK(log().commit(commit_of("pools", {{"a"}, {""}})).error().code == "bad_event");
        std::vector<TestEvent> many;
        for (int i = 0; i < 6; ++i) many.push_back({std::to_string(i), "k", "{\"t\":\"" + std::string(100'000, 'x') + "\"}"});
        CHECK(log().commit(commit_of("pools", many)).error().code == "too_large");
        CHECK_FALSE(log().info("pools").has_value());
        CHECK(log().head() == CommitNo{0});
        CHECK_FALSE(must(log().position("r")).has_value());
        CHECK(must(log().commit(commit_of("pools", {{"a"}}))).appended[0].seqs[0] == Seq{1});
    }

    SUBCASE("read begins exactly at the seq it is asked for; read_before ends exactly below it") {
        for (int c = 0; c < 4; ++c) {
            std::vector<TestEvent> events;
            for (int i = 0; i < 5; ++i) events.push_back({"e" + std::to_string(c * 5 + i + 1)});
            must(log().commit(commit_of("pools", events)));
        }
        for (int round = 0; round < 2; ++round) {
            CHECK(ids_of(must(log().read("pools", {9}, 7))) == "9:e9 10:e10 11:e11 12:e12 13:e13 14:e14 15:e15");
            CHECK(ids_of(must(log().read("pools", {16}, 1))) == "16:e16 17:e17 18:e18 19:e19 20:e20");  // at least one batch
            CHECK(must(log().read("pools", {21}, 10)).empty());
            CHECK(must(log().read("nobody", {1}, 10)).empty());
            CHECK(ids_of(must(log().read_before("pools", {9}, 5))) == "4:e4 5:e5 6:e6 7:e7 8:e8");
            CHECK(ids_of(must(log().read_before("pools", {1000}, 2))) == "19:e19 20:e20");
            CHECK(ids_of(must(log().read_before("pools", {3}, 10))) == "1:e1 2:e2");
            CHECK(must(log().read_before("pools", {1}, 10)).empty());
            fixture->restart();
        }
    }

    SUBCASE("find gives the events of a time range and key, page by page") {
        for (int c = 0; c < 6; ++c) {
            std::vector<TestEvent> events;
            for (int i = 0; i < 2; ++i) {
                TestEvent event{std::to_string(c * 2 + i), i == 0 ? "SSD-1" : "SSD-2"};
                event.time = "2026-02-17T10:00:00Z"_utc + Duration(c * 60'000'000);
                events.push_back(event);
            }
            must(log().commit(commit_of("pools", events)));
        }
        const Timestamp from = "2026-02-17T10:01:00Z"_utc, to = "2026-02-17T10:05:00Z"_utc;
        const auto seqs = [](const Log::Found& found) {
            std::string text;
            for (std::size_t i = 0; i < found.size(); ++i) text += std::to_string(found.positions[i].first.value) + "=" + std::string(found.event(i).key) + " ";
            return text;
        };
        for (int round = 0; round < 2; ++round) {
            const auto keyed = must(log().find("pools", {from, to, "SSD-2", 100}));
            CHECK(seqs(keyed) == "4=SSD-2 6=SSD-2 8=SSD-2 10=SSD-2 ");
            CHECK_FALSE(keyed.more);
            const auto page = must(log().find("pools", {from, to, std::nullopt, 3}));
            CHECK(seqs(page) == "3=SSD-1 4=SSD-2 5=SSD-1 ");
            CHECK(page.more);
            CHECK(seqs(must(log().find("pools", {from, to, std::nullopt, 100, page.positions.back().first}))) == "6=SSD-2 7=SSD-1 8=SSD-2 9=SSD-1 10=SSD-2 ");
            CHECK(must(log().find("pools", {from, to, "SSD-3", 100})).size() == 0);
            CHECK(must(log().find("nobody", {from, to, std::nullopt, 100})).size() == 0);
            fixture->restart();
        }
    }

    SUBCASE("seq_at finds the first event that was committed at a time or later; commit times never decrease") {
        const Timestamp start = fixture->clock().now();
        for (int c = 0; c < 5; ++c) {
            must(log().commit(commit_of("pools", {{std::to_string(2 * c)}, {std::to_string(2 * c + 1)}})));
            fixture->clock().advance(1min);
        }
        fixture->clock().step_wall(-1h);
        const Committed late = must(log().commit(commit_of("pools", {{"x"}})));
        CHECK(late.time == start + 4min);
        for (int round = 0; round < 2; ++round) {
            CHECK(must(log().seq_at("pools", start - 1h)) == Seq{1});
            CHECK(must(log().seq_at("pools", start)) == Seq{1});
            CHECK(must(log().seq_at("pools", start + 1s)) == Seq{3});
            CHECK(must(log().seq_at("pools", start + 4min)) == Seq{9});
            CHECK(must(log().seq_at("pools", start + 5min)) == Seq{12});
            fixture->restart();
        }
    }

    SUBCASE("info tells first, head, times and epoch; a clean restart keeps the epoch") {
        CHECK_FALSE(log().info("pools").has_value());
        CHECK(log().streams().empty());
        TestEvent early{"1"}, late{"2"};
        early.time = "2026-02-17T09:00:00Z"_utc;
        must(log().commit(commit_of("pools", {late, early})));
        must(log().commit(commit_of("alerts", {{"1"}})));
        const Epoch epoch = log().info("pools")->epoch;
        for (int round = 0; round < 2; ++round) {
            const StreamInfo info = *log().info("pools");
            CHECK(info.first == Seq{1});
            CHECK(info.head == Seq{2});
            CHECK(info.first_time == early.time);
            CHECK(info.last_time == late.time);
            CHECK(info.last_commit == CommitNo{1});
            CHECK(info.bytes > 0);
            CHECK(info.epoch == epoch);
            CHECK(log().epochs("pools") == std::vector<std::pair<Epoch, Seq>>{{epoch, Seq{1}}});
            CHECK(log().epochs("nobody").empty());
            CHECK(log().streams().size() == 2);
            fixture->restart();
        }
    }

    SUBCASE("listeners are woken after a commit, before it is answered, until their handle goes") {
        std::atomic<std::uint64_t> woken{0};
        auto handle = log().on_commit([&](CommitNo head) { woken = head.value; });
        must(log().commit(commit_of("pools", {{"a"}})));
        CHECK(woken == 1);
        handle.reset();
        must(log().commit(commit_of("pools", {{"b"}})));
        CHECK(woken == 1);
    }

    SUBCASE("commits of one caller keep their order, and the time of a replay is kept") {
        std::atomic<int> answered{0};
        std::vector<std::uint64_t> commits;
        for (int i = 0; i < 200; ++i) {
            Commit commit = commit_of("pools", {{std::to_string(i)}});
            commit.at = "2020-01-01T00:00:00Z"_utc + Duration(i);
            log().submit(std::move(commit), [&](Result<Committed> result) {
                commits.push_back(result.ok() ? result->appended[0].seqs[0].value : 0);
                ++answered;
            });
        }
        must(log().commit(commit_of("pools", {{"last"}})));
        REQUIRE(answered == 200);
        for (std::size_t i = 0; i < 200; ++i) CHECK(commits[i] == i + 1);
        const auto batches = must(log().read_commits({"pools"}, {0}, 1000));
        REQUIRE(batches.size() == 201);
        CHECK(batches[7]->commit_time == "2020-01-01T00:00:00.000007Z"_utc);
        CHECK(batches[200]->commit_time == fixture->clock().now());
    }
}

}  // namespace weir
