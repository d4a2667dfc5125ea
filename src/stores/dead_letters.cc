#include "stores/dead_letters.h"

#include "event/json.h"

namespace weir {
namespace {

constexpr std::size_t dead_data_bytes = 128 * 1024, commit_bytes = 256 * 1024;

}  // namespace

Result<void> bury(Log& log, const Clock& clock, const std::string& store, const RowChunk& chunk, const std::vector<PostgresTarget>& targets) {
    std::vector<DeadLetter> letters;
    for (const RowChunk::Dead& dead : chunk.dead) letters.push_back({targets[dead.target].shape.table, dead.reason, chunk.batches[dead.batch].get(), dead.event});
    return bury(log, clock, store, letters);
}

Result<void> bury(Log& log, const Clock& clock, const std::string& store, std::span<const DeadLetter> letters) {
    if (letters.empty()) return ok();
    Commit commit;
    commit.appends.push_back({"_dead/" + store, {}, {}});
    std::size_t bytes = 0;
    const auto flush = [&]() -> Result<void> {
        WEIR_TRY([[maybe_unused]] const auto committed, log.commit(std::move(commit)));
        commit = {};
        commit.appends.push_back({"_dead/" + store, {}, {}});
        bytes = 0;
        return ok();
    };
    for (const DeadLetter& dead : letters) {
        const Batch& batch = *dead.batch;
        const EventView event = batch.events[dead.event];
        std::string data;
        JsonWriter json(data);
        json.object().member("store", store);
        if (!dead.table.empty()) json.member("table", dead.table);
        json.member("reason", dead.reason);
        json.member("stream", batch.stream).member("epoch", to_text(batch.epoch)).member("seq", batch.seq_of(dead.event).value);
        json.member("id", event.id).member("type", event.type).member("key", event.key).member("time", event.time).name("data");
        // A larger one is still in its stream.
        if (event.data.size() <= dead_data_bytes) json.raw(event.data);
        else json.null();
        json.end();
        std::string id = (dead.table.empty() ? std::string() : dead.table + "/") + batch.stream + "/" + to_text(batch.epoch) + "/" + std::to_string(batch.seq_of(dead.event).value);
        if (id.size() > 255) id.erase(0, id.size() - 255);
        const std::string source = "store/" + store;
        EventView letter;
        letter.id = id;
        letter.type = "dead_letter";
        letter.key = batch.stream;
        letter.source = std::string_view(source).substr(0, 255);
        letter.data = data;
        letter.time = event.time;
        letter.ingested = clock.now();
        if (bytes > 0 && bytes + data.size() > commit_bytes) WEIR_CHECK_OK(flush());
        bytes += data.size();
        commit.appends.back().events.add(letter);
    }
    return flush();
}

}  // namespace weir
