// A source with a ground truth, everything that can happen to its readings on the way, and the promises of D1, D2, D3 and D11.
#include <doctest/doctest.h>

#include <map>

#include "base/prng.h"
#include "processors/window_test_support.h"

using namespace weir;

namespace {

const Timestamp origin = "2026-02-17T10:00:00Z"_utc;

/// One reading that the source sent, and what became of it.
struct Sent {
    Timestamp time;
    double value;
    enum class Fate : std::uint8_t { delivered, dropped, malformed, bad_value } fate = Fate::delivered;
    Timestamp arrival;
    int copies = 1;
};

struct Plan {
    std::vector<Sent> sent;
    std::vector<std::pair<Timestamp, Notes::FeedState>> states;
    Duration spacing = 5s;
    Timestamp end;
};

// 20 to 40 minutes of a source on a grid of 5 s: single losses, bursts (half-open sockets, closes with reconnection), delays up to forty
// times the lateness, repeats, malformed messages, values that are no numbers.
Plan random_schedule(std::uint64_t seed) {
    Prng prng(seed);
    Plan s;
    const auto count = 240 + prng.below(240);
    const double drop = prng.uniform() * 0.05, delay = prng.uniform() * 0.1, repeat = prng.uniform() * 0.05, bad = prng.uniform() * 0.03;
    std::uint64_t away = 0;
    bool closed = false;
    for (std::uint64_t i = 0; i < count; ++i) {
        Sent r;
        r.time = origin + s.spacing * static_cast<std::int64_t>(i);
        r.value = static_cast<double>(prng.below(100));
        r.arrival = r.time + Duration(static_cast<std::int64_t>(prng.below(200'000)));
        if (away == 0 && prng.chance(0.004)) {
            away = 3 + prng.below(100);
            closed = prng.chance(0.5);  // the other half goes silent without a word
            if (closed) s.states.push_back({r.time, {"pool", "down", "upstream_closed", "websocket", r.time, ""}});
        }
        if (away > 0) {
            r.fate = Sent::Fate::dropped;
            if (--away == 0 && closed) s.states.push_back({r.time + 1s, {"pool", "live", "recovered", "websocket", r.time + 1s, ""}});
        } else if (prng.chance(drop)) {
            r.fate = Sent::Fate::dropped;
        } else if (prng.chance(bad)) {
            r.fate = prng.chance(0.5) ? Sent::Fate::malformed : Sent::Fate::bad_value;
        } else {
            if (prng.chance(delay)) r.arrival = r.arrival + Duration(static_cast<std::int64_t>(prng.below(400'000'000)));
            if (prng.chance(repeat)) r.copies = 2;
        }
        s.sent.push_back(r);
    }
    s.end = origin + s.spacing * static_cast<std::int64_t>(count);
    return s;
}

void play(WindowRig& rig, const Plan& schedule) {
    rig.pass_to(origin);
    rig.interval(schedule.spacing);
    std::multimap<Timestamp, std::function<void()>> happens;
    for (const Sent& r : schedule.sent) {
        switch (r.fate) {
            case Sent::Fate::dropped: break;
            case Sent::Fate::malformed: happens.emplace(r.arrival, [&] { rig.rejected("malformed", "", std::nullopt); }); break;
            case Sent::Fate::bad_value: happens.emplace(r.arrival, [&] { rig.rejected("not_a_number", "SSD-7", r.time); }); break;
            case Sent::Fate::delivered:
                happens.emplace(r.arrival, [&] { rig.reading(r.time, r.value); });
                // The log drops repeats of an id and tells them so.
                for (int copy = 1; copy < r.copies; ++copy)
                    happens.emplace(r.arrival + 50ms, [&] {
                        Notes notes;
                        notes.duplicates.push_back({"SSD-7", r.time, 1});
                        rig.commit({}, std::move(notes));
                    });
        }
    }
    for (const auto& [at, state] : schedule.states) happens.emplace(at, [&] { rig.state(state.state, state.cause, state.time); });
    for (const auto& [at, action] : happens) {
        rig.pass_to(at);
        action();
    }
    rig.pass_to(schedule.end + 10min);
}

std::string without_history(const WrittenWindow& w) {
    Json copy = w.data;
    Json window = *copy.find("window");
    window.set("closed_at", Json());
    copy.set("window", window);
    copy.set("revision", Json());
    copy.set("first_seq", Json());
    copy.set("last_seq", Json());
    return copy.text();
}

std::string all_bytes(const std::vector<WrittenWindow>& written) {
    std::string all;
    for (const auto& w : written) all += w.id + w.key + to_rfc3339(w.time) + to_rfc3339(w.ingested) + w.text + "\n";
    return all;
}

}  // namespace

TEST_CASE("window: sent = received + late + missing + rejected in every window of 1,000 random schedules, and no gap is unmarked (D1, decisions.md 6)") {
    std::uint64_t windows = 0, late = 0, rejected = 0, missing = 0, duplicates = 0;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        CAPTURE(seed);
        const Plan schedule = random_schedule(seed);
        WindowRig rig;
        play(rig, schedule);
        for (Timestamp start = origin; start < schedule.end; start = start + 5min) {
            CAPTURE(to_rfc3339(start));
            std::uint64_t sent = 0, truly_received = 0, truly_bad = 0, truly_malformed = 0, repeats = 0;
            std::vector<const Sent*> lost;
            for (const Sent& r : schedule.sent) {
                if (r.time < start || r.time >= start + 5min) continue;
                ++sent;
                if (r.fate == Sent::Fate::delivered) ++truly_received, repeats += static_cast<std::uint64_t>(r.copies - 1);
                else lost.push_back(&r);
                truly_bad += r.fate == Sent::Fate::bad_value;
                truly_malformed += r.fate == Sent::Fate::malformed;
            }
            const auto* w = rig.last(start);
            if (!w) {
                // A key is known from its first reading on.
                REQUIRE(truly_received == 0);
                continue;
            }
            ++windows;
            const auto n = [&](std::string_view pointer) { return static_cast<std::uint64_t>(w->integer(pointer)); };
            const bool whole = start + 5min <= schedule.end;
            // The last window may be cut short by the end of the schedule: the source sent nothing more, and it is expected to.
            const std::uint64_t promised = whole ? sent : 60;
            REQUIRE(n("/coverage/received") + n("/coverage/late") + n("/coverage/missing") + n("/coverage/rejected") == promised);
            REQUIRE(n("/coverage/received") + n("/coverage/late") == truly_received);
            REQUIRE(n("/coverage/rejected") == truly_bad);
            REQUIRE(n("/coverage/duplicates") == repeats);
            late += n("/coverage/late"), rejected += truly_bad, missing += n("/coverage/missing"), duplicates += repeats;
            if (const auto* feed = rig.last(start, ""); feed && truly_received > 0)
                REQUIRE(static_cast<std::uint64_t>(feed->integer("/coverage/rejected")) <= truly_malformed + 1);
            // Every lost reading lies in a marked gap, whose bounds are at most one interval away from a loss.
            for (const Sent* r : lost) {
                bool marked = false;
                for (const Json& gap : w->at("/coverage/gaps").items())
                    marked = marked || (*parse_rfc3339(*gap.find_string("from")) <= r->time && r->time <= *parse_rfc3339(*gap.find_string("to")));
                REQUIRE(marked);
            }
            for (const Json& gap : w->at("/coverage/gaps").items()) {
                const Timestamp from = *parse_rfc3339(*gap.find_string("from")), to = *parse_rfc3339(*gap.find_string("to"));
                bool near_from = !whole, near_to = !whole;
                for (const Sent& r : schedule.sent) {
                    // Lost, or too late for the statistics.
                    const bool away = r.fate != Sent::Fate::delivered || r.arrival > r.time + 10s;
                    near_from = near_from || (away && r.time >= from - schedule.spacing && r.time <= from + schedule.spacing);
                    near_to = near_to || (away && r.time >= to - schedule.spacing && r.time <= to + schedule.spacing);
                }
                REQUIRE(near_from);
                REQUIRE(near_to);
            }
        }
    }
    // The schedules did what they are there for.
    CHECK(windows > 4000);
    CHECK(late > 500);
    CHECK(rejected > 500);
    CHECK(missing > 10'000);
    CHECK(duplicates > 2000);
}

TEST_CASE("window: any order of arrival within the lateness ends in the result of the order in time (D3)") {
    for (const bool session : {false, true}) {
        for (const bool hopping : {false, true}) {
            if (session && hopping) continue;
            for (std::uint64_t seed = 1; seed <= 150; ++seed) {
                CAPTURE(seed);
                CAPTURE(session);
                CAPTURE(hopping);
                auto options = five_minutes();
                options.size = 1min;
                if (hopping) options.kind = WindowKind::hopping, options.hop = 20s;
                if (session) options.kind = WindowKind::session, options.gap = 12s;
                Prng prng(seed);
                struct Item {
                    Timestamp time, arrival;
                    double value;
                };
                std::vector<Item> items;
                for (int i = 0; i < 120; ++i) {
                    if (prng.chance(0.2)) continue;
                    const Timestamp t = origin + 5s * i;
                    items.push_back({t, t + Duration(static_cast<std::int64_t>(prng.below(10'000'000))), prng.normal()});
                }
                const auto run = [&](bool delayed) {
                    WindowRig rig(options);
                    rig.pass_to(origin);
                    rig.interval(5s);
                    auto order = items;
                    if (delayed) std::stable_sort(order.begin(), order.end(), [](const Item& a, const Item& b) { return a.arrival < b.arrival; });
                    for (const Item& item : order) {
                        rig.pass_to(delayed ? item.arrival : item.time);
                        rig.reading(item.time, item.value);
                    }
                    rig.pass_to(origin + 20min);
                    // Newest revision of each window; sessions that were withdrawn are none.
                    std::map<Timestamp, std::string> final;
                    for (const auto& w : rig.written) {
                        if (w.key != "SSD-7" || w.start() >= origin + 10min) continue;
                        if (w.integer("/statistics/count") == 0 && session) final.erase(w.start());
                        else final[w.start()] = without_history(w);
                    }
                    return final;
                };
                const auto in_order = run(false), as_it_came = run(true);
                for (const auto& [start, text] : in_order)
                    if (const auto other = as_it_came.find(start); other != as_it_came.end()) REQUIRE(text == other->second);
                REQUIRE(in_order == as_it_came);
            }
        }
    }
}

TEST_CASE("window: the same input in commits of any size, at the same times, gives the same bytes (D11)") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        WindowRig rig;
        play(rig, random_schedule(seed));
        // Blocks of one second, all at the same commit time, and then cut anew at random. Notes stay with the first piece.
        Prng prng(seed);
        std::vector<std::shared_ptr<Batch>> whole, pieces;
        for (const auto& batch : rig.recorded) {
            if (!whole.empty() && !batch->is_tick() && !whole.back()->is_tick() && batch->notes.empty() &&
                batch->commit_time - whole.back()->commit_time < 20s && !batch->events.empty()) {
                for (const EventView e : batch->events) whole.back()->events.add(e);
                continue;
            }
            whole.push_back(std::make_shared<Batch>(*batch));
        }
        for (const auto& batch : whole) {
            auto piece = std::make_shared<Batch>(*batch);
            piece->events = {};
            for (std::size_t i = 0; i < batch->events.size(); ++i) {
                if (!piece->events.empty() && prng.chance(0.5)) {
                    pieces.push_back(piece);
                    piece = std::make_shared<Batch>(*piece);
                    piece->events = {};
                    piece->notes = {};
                    piece->first_seq = batch->seq_of(i);
                }
                piece->events.add(batch->events[i]);
            }
            pieces.push_back(piece);
        }
        WindowRig a, b;
        for (const auto& batch : whole) a.process(batch);
        for (const auto& batch : pieces) b.process(batch);
        REQUIRE(pieces.size() >= whole.size());
        REQUIRE(all_bytes(a.written) == all_bytes(b.written));
        REQUIRE(!a.written.empty());
    }
}

TEST_CASE("window: saved, restored and shown the rest again at any point, it writes the same bytes (D2)") {
    for (int kind = 0; kind < 4; ++kind) {
        for (std::uint64_t seed = 1; seed <= 40; ++seed) {
            CAPTURE(kind);
            CAPTURE(seed);
            auto options = five_minutes();
            if (kind == 1) options.kind = WindowKind::hopping, options.hop = 1min;
            if (kind == 2) options.kind = WindowKind::session, options.gap = 12s;
            if (kind == 3) options.exact_max = 20, options.per_key = false;
            WindowRig straight(options);
            play(straight, random_schedule(seed));

            Prng prng(seed + 1000);
            WindowRig broken(options);
            std::map<std::string, std::string> saved;
            std::size_t saved_at = 0;
            for (std::size_t i = 0; i < straight.recorded.size(); ++i) {
                if (prng.chance(0.02)) {
                    for (auto& put : broken.processor().save()) {
                        if (put.value) saved[put.key] = *put.value;
                        else saved.erase(put.key);
                    }
                    saved_at = i;
                }
                if (prng.chance(0.02)) {
                    // Killed: a new processor gets the last snapshot and sees what came since, its output discarded.
                    auto again = broken.make();
                    REQUIRE(again->restore(SavedState(saved.begin(), saved.end())).ok());
                    for (std::size_t k = saved_at; k < i; ++k) {
                        Output discarded;
                        again->process(*straight.recorded[k], discarded);
                    }
                    broken.replace_processor(std::move(again));
                }
                broken.process(straight.recorded[i]);
            }
            REQUIRE(all_bytes(straight.written) == all_bytes(broken.written));
        }
    }
}
