// How a store reads a log of which retention has removed something.
#include "stores/store_worker.h"

#include <algorithm>

#include "stores/stores_test_support.h"

using namespace weir;

namespace {

constexpr std::size_t piece = 20;

/// Notes what it reads.
class NotingStore final : public StoreWorker {
public:
    NotingStore(LogRig& rig, Metrics& metrics, StatusBoard& board, std::vector<StreamName> streams = {})
        : StoreWorker("noting", {.unit = "events", .backoff = {}}, std::move(streams), {rig.log(), rig.clock, metrics, board}) {
        REQUIRE(prepare().ok());
    }
    ~NotingStore() override { stop(); }

    std::map<StreamName, std::vector<std::uint64_t>> seqs;
    std::vector<std::size_t> sizes;  ///< events in each step
    bool in_order = true;            ///< of commits

private:
    Result<bool> step() override {
        WEIR_TRY(const Next next, read_next(position_, piece));
        if (next.upto == position_) return false;
        sizes.push_back(0);
        for (const BatchPtr& batch : next.batches) {
            in_order = in_order && last_ <= batch->commit && batch->commit <= next.upto;
            last_ = batch->commit;
            sizes.back() += batch->events.size();
            for (std::size_t i = 0; i < batch->events.size(); ++i) seqs[batch->stream].push_back(batch->seq_of(i).value);
        }
        WEIR_CHECK_OK(commit_position(next.upto));
        position_ = next.upto;
        return true;
    }
    void show(JsonWriter&) const override {}
    std::string_view kind() const override { return "noting"; }

    CommitNo last_{};
};

std::vector<std::uint64_t> from_to(std::uint64_t first, std::uint64_t last) {
    std::vector<std::uint64_t> all;
    for (; first <= last; ++first) all.push_back(first);
    return all;
}

struct Rig {
    explicit Rig(std::map<std::string, std::uint64_t> kept) : log(table_of(kept), 0) {}
    static StreamTable table_of(const std::map<std::string, std::uint64_t>& kept) {
        StreamTable table;
        for (const auto& [stream, events] : kept) table[stream].retention_events = events;
        return table;
    }
    void fill(int rounds, const std::vector<std::string>& streams) {
        for (int i = 0; i < rounds; ++i)
            for (const std::string& stream : streams) {
                const std::string id = std::to_string(++filled_);
                EventView event;
                event.id = id, event.type = "reading", event.source = "push", event.data = "1";
                event.time = event.ingested = log.clock.now();
                log.append(stream, {event});
            }
        REQUIRE(log.log().keep().ok());
    }
    std::uint64_t gaps() { return metrics.counter("weir_store_gaps_total", "", {{"store", "noting"}}).value(); }

    LogRig log;
    Metrics metrics;
    StatusBoard board;

private:
    int filled_ = 0;
};

}  // namespace

TEST_CASE("store: beside a stream that is kept shortly, one that is kept for ever is read in pieces of the size asked for, each event once") {
    Rig rig({{"metrics", 5}, {"ticker", 50}});
    rig.fill(200, {"pools", "metrics", "ticker"});
    const std::uint64_t metrics = rig.log.log().info("metrics")->first.value, ticker = rig.log.log().info("ticker")->first.value;
    REQUIRE(metrics > ticker);
    REQUIRE(ticker > 1);
    NotingStore store(rig.log, rig.metrics, rig.board);
    CHECK_FALSE(store.poll().has_value());
    CHECK(*std::max_element(store.sizes.begin(), store.sizes.end()) <= piece);
    CHECK(store.in_order);
    CHECK(store.seqs["pools"] == from_to(1, 200));
    CHECK(store.seqs["metrics"] == from_to(metrics, 200));
    CHECK(store.seqs["ticker"] == from_to(ticker, 200));
    CHECK(rig.gaps() == 0);  // it is new
    CHECK(store.caught_up());
}

TEST_CASE("store: what retention removed before it was written is told once, however many pieces the rest takes") {
    Rig rig({{"metrics", 5}});
    NotingStore store(rig.log, rig.metrics, rig.board);
    rig.fill(1, {"pools", "metrics"});
    CHECK_FALSE(store.poll().has_value());
    rig.log.log().hold_for("store/noting", {});  // as if the stream were beyond its hard size
    rig.fill(200, {"pools", "metrics"});
    const std::uint64_t first = rig.log.log().info("metrics")->first.value;
    REQUIRE(first > 2);
    CHECK_FALSE(store.poll().has_value());
    CHECK(store.sizes.size() > 10);
    CHECK(*std::max_element(store.sizes.begin(), store.sizes.end()) <= piece);
    CHECK(store.seqs["pools"] == from_to(1, 201));
    CHECK(store.seqs["metrics"].size() == 1 + 201 - first + 1);
    CHECK(rig.gaps() == 1);
}

TEST_CASE("store: what retention removes of streams that it does not read stops nothing") {
    Rig rig({{"_own", 5}});
    rig.fill(100, {"pools", "_own"});
    REQUIRE(rig.log.log().info("_own")->removed_commit.value > 0);
    NotingStore store(rig.log, rig.metrics, rig.board);
    CHECK_FALSE(store.poll().has_value());
    CHECK(store.seqs["pools"] == from_to(1, 100));
    CHECK(rig.gaps() == 0);
}
