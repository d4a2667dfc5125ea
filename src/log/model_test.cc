// The log against a slow, obvious twin: random commits, reads, restarts, merging.
#include <doctest/doctest.h>

#include "base/prng.h"
#include "log/log_conformance.h"
#include "log/log_test_support.h"
#include "log/sqlite_log.h"
#include "log/verify.h"

using namespace weir;

namespace {

struct ModelEvent {
    std::string id, key, data;
    Timestamp time;
    std::uint64_t seq;
};
struct ModelBatch {
    StreamName stream;
    std::uint64_t commit, first_seq;
    Timestamp commit_time;
    std::vector<ModelEvent> events;
};

struct Model {
    std::vector<ModelBatch> batches;  // in commit order; within a commit in the order in which streams came into being
    std::vector<StreamName> order;
    std::map<StreamName, std::uint64_t> heads;
    std::map<StreamName, std::map<std::string, std::pair<std::uint64_t, Timestamp>>> ids;
    std::map<std::string, std::map<std::string, std::string>> state;
    std::map<std::string, std::uint64_t> positions;
    std::uint64_t head = 0;

    std::vector<ModelEvent> events(const StreamName& stream) const {
        std::vector<ModelEvent> all;
        for (const auto& batch : batches)
            if (batch.stream == stream) all.insert(all.end(), batch.events.begin(), batch.events.end());
        return all;
    }
};

std::string line(std::uint64_t seq, std::string_view id, std::string_view key, std::string_view data, Timestamp time) {
    return std::to_string(seq) + "," + std::string(id) + "," + std::string(key) + "," + std::string(data) + "," + std::to_string(time.micros()) + " ";
}
std::string lines(const std::vector<BatchPtr>& batches) {
    std::string text;
    for (const auto& batch : batches)
        for (std::size_t i = 0; i < batch->events.size(); ++i) {
            const EventView e = batch->events[i];
            text += line(batch->seq_of(i).value, e.id, e.key, e.data, e.time);
        }
    return text;
}
template <class It>
std::string lines(It begin, It end) {
    std::string text;
    for (; begin != end; ++begin) text += line(begin->seq, begin->id, begin->key, begin->data, begin->time);
    return text;
}

}  // namespace

TEST_CASE("log: agrees with its model through random commits, reads, restarts and merging") {
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        TemporaryFolder folder;
        ManualClock clock("2026-02-17T00:00:00Z"_utc);
        SqliteLog::Setup setup;
        setup.options.path = folder.path();
        setup.options.durability = Durability::process;
        setup.options.tail_bytes = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 4000 : 1 << 20;
        setup.options.block_bytes = 64 * 1024;
        setup.options.merge_bytes = 3000;
        setup.options.merge_after = 1min;
        setup.clock = &clock;
        setup.keep_every = Duration(0);
        std::unique_ptr<SqliteLog> log;
        const auto open = [&] {
            log.reset();
            auto opened = SqliteLog::open(setup);
            REQUIRE_MESSAGE(opened.ok(), (opened.ok() ? std::string() : opened.error().message));
            log = std::move(opened).value();
        };
        open();
        Model model;
        const std::vector<StreamName> names{"pools", "windows/5min", "alerts", "_state"};
        std::uint64_t next_id = 0;
        Timestamp last_time{};

        const auto append = [&] {
            Commit commit;
            std::vector<ModelBatch> parts;
            const std::uint64_t streams = 1 + prng.below(3);
            std::vector<std::vector<std::uint64_t>> expected;
            const Timestamp time = std::max(last_time, clock.now());
            last_time = time;
            ++model.head;
            for (std::uint64_t s = 0; s < streams; ++s) {
                const StreamName& name = names[(prng.below(names.size()) + s) % names.size()];
                if (std::any_of(parts.begin(), parts.end(), [&](const ModelBatch& b) { return b.stream == name; })) continue;
                if (std::find(model.order.begin(), model.order.end(), name) == model.order.end()) model.order.push_back(name);
                ModelBatch part{name, model.head, model.heads[name] + 1, time, {}};
                Append a{name, {}, {}};
                auto& seqs = expected.emplace_back();
                for (std::uint64_t i = prng.below(8); i > 0; --i) {
                    ModelEvent e;
                    e.id = prng.chance(0.2) ? "f/" + std::to_string(prng.below(next_id + 1)) : "f/" + std::to_string(++next_id);
                    e.key = "k" + std::to_string(prng.below(5));
                    e.data = "{\"v\":" + std::to_string(prng.below(1000)) + "}";
                    e.time = clock.now() - Duration(static_cast<std::int64_t>(prng.below(100'000'000)));
                    a.events.add({e.id, "reading", e.key, "push", e.data, e.time, clock.now()});
                    const auto known = model.ids[name].find(e.id);
                    if (known != model.ids[name].end() && known->second.second >= time - 10min) {
                        seqs.push_back(known->second.first);
                        continue;
                    }
                    e.seq = ++model.heads[name];
                    seqs.push_back(e.seq);
                    model.ids[name][e.id] = {e.seq, time};
                    part.events.push_back(std::move(e));
                }
                commit.appends.push_back(std::move(a));
                parts.push_back(std::move(part));
            }
            std::stable_sort(parts.begin(), parts.end(), [&](const ModelBatch& a, const ModelBatch& b) {
                return std::find(model.order.begin(), model.order.end(), a.stream) < std::find(model.order.begin(), model.order.end(), b.stream);
            });
            model.batches.insert(model.batches.end(), parts.begin(), parts.end());
            if (prng.chance(0.3)) {
                commit.reader = "r" + std::to_string(prng.below(2));
                commit.position = CommitNo{prng.below(model.head)};
                model.positions[commit.reader] = commit.position->value;
                const std::string key = std::to_string(prng.below(6));
                if (prng.chance(0.3)) {
                    commit.state.push_back({key, std::nullopt});
                    model.state[commit.reader].erase(key);
                } else {
                    commit.state.push_back({key, std::to_string(model.head)});
                    model.state[commit.reader][key] = std::to_string(model.head);
                }
            }
            const auto committed = log->commit(std::move(commit));
            REQUIRE(committed.ok());
            REQUIRE(committed->commit.value == model.head);
            REQUIRE(committed->time == time);
            for (std::size_t i = 0; i < expected.size(); ++i) {
                std::vector<std::uint64_t> given;
                for (const Seq seq : committed->appended[i].seqs) given.push_back(seq.value);
                REQUIRE(given == expected[i]);
            }
        };

        const auto look = [&] {
            const StreamName name = names[prng.below(names.size())];
            const auto all = model.events(name);
            const std::uint64_t count = all.size();
            // read: from exactly there on, whole batches, as many as fit and at least one
            const std::uint64_t from = 1 + prng.below(count + 2), most = 1 + prng.below(40);
            auto read = log->read(name, {from}, most);
            REQUIRE(read.ok());
            std::size_t given = 0;
            for (const auto& batch : *read) given += batch->events.size();
            if (from > count) {
                REQUIRE(read->empty());
            } else {
                REQUIRE(given > 0);
                REQUIRE((given <= most || read->size() == 1));
                REQUIRE(lines(*read) == lines(all.begin() + static_cast<std::ptrdiff_t>(from - 1), all.begin() + static_cast<std::ptrdiff_t>(from - 1 + given)));
            }
            // read_before: the newest ones below
            const std::uint64_t before = 1 + prng.below(count + 3), end = std::min(before - 1, count), begin = end > most ? end - most : 0;
            auto back = log->read_before(name, {before}, most);
            REQUIRE(back.ok());
            REQUIRE(lines(*back) == lines(all.begin() + static_cast<std::ptrdiff_t>(begin), all.begin() + static_cast<std::ptrdiff_t>(end)));
            // read_commits: of some streams, or of all
            std::vector<StreamName> some;
            if (prng.chance(0.7))
                for (const auto& n : model.order)
                    if (prng.chance(0.6)) some.push_back(n);
            const std::uint64_t after = prng.below(model.head + 1);
            auto commits = log->read_commits(some, {after}, most);
            REQUIRE(commits.ok());
            std::size_t i = 0, taken = 0;
            std::uint64_t last = after;
            for (const auto& batch : model.batches) {
                if (batch.commit <= after || (!some.empty() && std::find(some.begin(), some.end(), batch.stream) == some.end())) continue;
                if (taken >= most && batch.commit != last) break;
                REQUIRE(i < commits->size());
                const Batch& got = *(*commits)[i++];
                REQUIRE(got.stream == batch.stream);
                REQUIRE(got.commit.value == batch.commit);
                REQUIRE(got.first_seq.value == batch.first_seq);
                REQUIRE(got.commit_time == batch.commit_time);
                REQUIRE(lines({(*commits)[i - 1]}) == lines(batch.events.begin(), batch.events.end()));
                taken += std::max<std::size_t>(1, batch.events.size());
                last = batch.commit;
            }
            REQUIRE(i == commits->size());
            // find: by time and key
            Log::TimeRange range{clock.now() - Duration(static_cast<std::int64_t>(prng.below(3'000'000'000))), clock.now(), std::nullopt, most, {prng.below(count + 1)}};
            range.to = range.from + Duration(static_cast<std::int64_t>(prng.below(2'000'000'000)));
            if (prng.chance(0.5)) range.key = "k" + std::to_string(prng.below(6));
            auto found = log->find(name, range);
            REQUIRE(found.ok());
            std::size_t f = 0;
            bool more = false;
            for (const auto& e : all) {
                if (e.seq <= range.after.value || e.time < range.from || e.time >= range.to || (range.key && e.key != *range.key)) continue;
                if (f == most) {
                    more = true;
                    break;
                }
                REQUIRE(f < found->size());
                REQUIRE(found->positions[f].first.value == e.seq);
                REQUIRE(found->event(f).id == e.id);
                ++f;
            }
            REQUIRE(found->size() == f);
            REQUIRE(found->more == more);
            // seq_at: by commit time
            const Timestamp t = clock.now() - Duration(static_cast<std::int64_t>(prng.below(4'000'000'000)));
            std::uint64_t at = count + 1;
            for (const auto& batch : model.batches)
                if (batch.stream == name && batch.commit_time >= t) {
                    at = batch.first_seq;
                    break;
                }
            REQUIRE(log->seq_at(name, t)->value == at);
            // positions, state, info
            for (const auto& [reader, position] : model.positions) REQUIRE((*log->position(reader))->value == position);
            for (const auto& [reader, state] : model.state) {
                const auto stored = log->state(reader);
                REQUIRE(*stored == std::vector<std::pair<std::string, std::string>>(state.begin(), state.end()));
            }
            if (std::find(model.order.begin(), model.order.end(), name) != model.order.end()) {
                const auto info = *log->info(name);
                REQUIRE(info.head.value == count);
                REQUIRE(info.first.value == 1);
                if (count > 0) {
                    const auto [min, max] = std::minmax_element(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.time < b.time; });
                    REQUIRE(info.first_time == min->time);
                    REQUIRE(info.last_time == max->time);
                }
            }
        };

        for (int step = 0; step < 500; ++step) {
            append();
            clock.advance(Duration(static_cast<std::int64_t>(prng.below(8'000'000))));
            if (prng.chance(0.01)) clock.step_wall(-30s);
            if (prng.chance(0.3)) look();
            if (prng.chance(0.03)) REQUIRE(log->keep().ok());
            if (prng.chance(0.01)) open();
        }
        for (int i = 0; i < 20; ++i) look();
        auto report = verify_log(folder.path());
        REQUIRE(report.ok());
        for (const auto& problem : report->problems) FAIL_CHECK(problem.stream << ": " << problem.what);
    }
}
