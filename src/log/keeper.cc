#include "log/keeper.h"

#include "base/assert.h"
#include "base/diag.h"
#include "base/failpoint.h"
#include "base/heap.h"

namespace weir {
namespace {

constexpr std::size_t page = 256;  // headers that are looked at in one go
// Old blocks of a slow stream that may wait until they fill a block; then they are merged although they do not, or a stream
// of ticks alone would keep a row for each. Each time rewrites what the last one made: 2 KB a tick at worst.
constexpr std::size_t waiting_blocks_max = 64;
constexpr std::size_t recompress_from_bytes = 4096;

std::uint64_t size_of(const BlockHeader& header) { return header.stored_bytes + block_row_bytes; }

}  // namespace

Keeper::Keeper(Setup setup, Writer& writer, std::unique_ptr<BlockReader> reader, const Guarded<Holds>& holds)
    : setup_(std::move(setup)),
      writer_(writer),
      reader_(std::move(reader)),
      holds_(holds),
      blocks_merged_(setup_.metrics->counter("weir_log_blocks_merged_total", "Blocks that went into larger ones.")),
      events_retired_(setup_.metrics->counter("weir_log_events_retired_total", "Events that retention removed.")),
      stop_(1) {
    if (setup_.every == Duration(0)) return;
    thread_ = std::thread([this] {
        diag::RateLimiter limiter(60'000'000);
        while (stop_.receive(setup_.every).empty() && !stopping_) {
            auto done = run_once();
            if (!done && !stopping_ && limiter.admit(setup_.clock->monotonic().count()))
                diag::warn("log: merging and retention: " + done.error().message + "; tried again in " + to_text(setup_.every));
        }
    });
}

Keeper::~Keeper() { stop(); }

void Keeper::stop() {
    stopping_ = true;
    stop_.close();
    if (thread_.joinable()) thread_.join();
    round_.with([&](bool&) { reader_.reset(); });
}

Result<void> Keeper::run_once() {
    const Holds holds = holds_.with([](const Holds& h) { return h; });
    return round_.with([&](bool&) { return run_all(holds); });
}

Result<void> Keeper::run_all(const Holds& holds) {
    if (!reader_) return Error{"closed", "the log is closed"};
    WEIR_TRY(const auto streams, reader_->streams().all());
    merged_bytes_ = 0;
    for (const auto& stream : streams) {
        if (stopping_) break;
        WEIR_CHECK_OK(retire(stream, holds));
        if (setup_.options.merge) WEIR_CHECK_OK(merge(stream));
    }
    return give_memory_back();
}

// What was decoded here, what SQLite read for it, and what readers needed once (at the start they look for each key's newest event)
// would stay as megabytes that nothing uses.
Result<void> Keeper::give_memory_back() {
    if (merged_bytes_ > 0) {
        reader_->database().shrink();
        WEIR_CHECK_OK(writer_.run([](Writer& writer) -> Result<void> {
            writer.database().shrink();
            return ok();
        }));
        heap::let_go(merged_bytes_);
    }
    if (setup_.readers) heap::let_go(setup_.readers->forget_unused());
    (void)heap::settle();
    return ok();
}

Result<void> Keeper::merge(const StreamRow& stream) {
    const Timestamp young = setup_.clock->now() - setup_.options.merge_after;
    CommitNo& merged = merged_[stream.number];
    std::vector<BlockRow> run;
    std::size_t run_bytes = 0;
    const auto close_run = [&](bool is_full) -> Result<void> {
        const CommitNo last = run.back().header.last_commit;
        const BlockHeader& first = run.front().header;
        const bool could_shrink = first.level != setup_.options.merge_level && first.raw_bytes >= recompress_from_bytes;
        if (run.size() > 1 || (is_full && could_shrink)) WEIR_CHECK_OK(exchange(stream, run));
        if (is_full) merged = last;
        run.clear();
        run_bytes = 0;
        return ok();
    };
    CommitNo after = std::max(merged, stream.removed_commit);
    while (!stopping_) {
        WEIR_TRY(const auto rows, reader_->rows().list(stream.number, after, page));
        bool is_old = true, start_over = false;
        for (const auto& row : rows) {
            is_old = row.header.last_commit_time <= young;
            if (!is_old) break;
            if (!run.empty() && (row.header.epoch != run.back().header.epoch || run_bytes + row.header.raw_bytes > setup_.options.merge_bytes))
                WEIR_CHECK_OK(close_run(true));
            run.push_back(row);
            run_bytes += row.header.raw_bytes;
            if (run.size() < waiting_blocks_max) continue;
            // The result does not count as done: it is the first of the next run, until that is full.
            WEIR_CHECK_OK(close_run(false));
            start_over = true;
            break;
        }
        if (start_over) {
            after = std::max(merged, stream.removed_commit);
            continue;
        }
        if (rows.size() < page || !is_old) return ok();
        after = rows.back().header.last_commit;
    }
    return ok();
}

Result<void> Keeper::exchange(const StreamRow& stream, const std::vector<BlockRow>& blocks) {
    std::vector<BatchPtr> batches;
    std::uint64_t bytes_before = 0;
    for (const auto& row : blocks) {
        WEIR_TRY(const auto decoded, reader_->batches(row, stream.name));
        batches.insert(batches.end(), decoded->begin(), decoded->end());
        bytes_before += size_of(row.header);
        merged_bytes_ += row.header.raw_bytes;
    }
    const Block block = encode_block(stream.number, blocks.front().header.epoch, batches, setup_.options.merge_level);
    auto exchanged = writer_.run([&](Writer& writer) -> Result<void> {
        StreamRow* row = writer.stream(stream.number);
        WEIR_ASSERT(row != nullptr);
        WEIR_TRY(const auto removed, writer.rows().remove(stream.number, blocks.front().header.last_commit, blocks.back().header.last_commit));
        WEIR_ASSERT(removed == static_cast<std::int64_t>(blocks.size()));
        WEIR_CHECK_OK(writer.rows().insert(block, writer.next_body()));
        row->bytes = row->bytes + size_of(block.header) - bytes_before;
        WEIR_CHECK_OK(writer.put_stream(*row));
        WEIR_FAILPOINT("log.merge_before_commit");
        return ok();
    });
    WEIR_CHECK_OK(std::move(exchanged));
    WEIR_FAILPOINT("log.merge_after_commit");
    blocks_merged_.add(blocks.size());
    return ok();
}

Result<void> Keeper::retire(const StreamRow& stream, const Holds& holds) {
    const auto own = setup_.streams.find(stream.name);
    const RetentionOptions limits = own == setup_.streams.end() ? setup_.options.retention : own->second.retention(setup_.options.retention);
    if (limits.age == Duration(0) && limits.bytes == 0 && limits.events == 0) return ok();

    CommitNo passed{UINT64_MAX};  // every reader that retention waits for has read up to here
    for (const auto& [reader, hold] : holds) {
        if (std::find(hold.streams.begin(), hold.streams.end(), stream.name) == hold.streams.end()) continue;
        WEIR_TRY(const auto position, reader_->position(reader));
        passed = std::min(passed, position.value_or(CommitNo{}));
        if (hold.state_key.empty()) continue;
        WEIR_TRY(const auto goes_back_to, reader_->commit_in_state(reader, hold.state_key));
        passed = std::min(passed, goes_back_to.value_or(CommitNo{}));
    }

    const Timestamp oldest = setup_.clock->now() - limits.age;
    std::uint64_t bytes = stream.bytes, events = stream.head.value + 1 - stream.first.value, removed_events = 0;
    CommitNo after = stream.removed_commit;
    while (!stopping_) {
        WEIR_TRY(const auto rows, reader_->rows().list(stream.number, after, page));
        std::size_t count = 0;
        std::uint64_t removed_bytes = 0;
        for (const auto& row : rows) {
            const BlockHeader& h = row.header;
            const bool is_due = (limits.age > Duration(0) && h.last_commit_time < oldest) || (limits.bytes > 0 && bytes >= limits.bytes + size_of(h)) ||
                                (limits.events > 0 && events >= limits.events + h.count);
            const bool is_held = h.last_commit > passed && !(limits.hard_bytes > 0 && bytes > limits.hard_bytes);
            if (!is_due || is_held) break;
            bytes -= size_of(h);
            removed_bytes += size_of(h);
            events -= h.count;
            removed_events += h.count;
            ++count;
        }
        if (count == 0) break;
        const BlockHeader& first = rows.front().header;
        const BlockHeader& last = rows[count - 1].header;
        // The bounds of what stays are searched here; the writer only looks at what came since.
        WEIR_TRY(const auto head, reader_->streams().find(stream.name));
        WEIR_TRY(const auto staying, reader_->rows().times(stream.number, last.last_commit));
        auto retired = writer_.run([&](Writer& writer) -> Result<void> {
            StreamRow* row = writer.stream(stream.number);
            WEIR_ASSERT(row != nullptr);
            WEIR_TRY(const auto removed, writer.rows().remove(stream.number, first.last_commit, last.last_commit));
            WEIR_ASSERT(removed == static_cast<std::int64_t>(count));
            WEIR_TRY(const auto newer, writer.rows().times(stream.number, head->last_commit));
            row->min_time = row->max_time = std::nullopt;
            for (const auto& bounds : {staying, newer}) {
                if (!bounds) continue;
                row->min_time = std::min(row->min_time.value_or(bounds->min), bounds->min);
                row->max_time = std::max(row->max_time.value_or(bounds->max), bounds->max);
            }
            row->first = last.end_seq();
            row->removed_commit = last.last_commit;
            row->bytes -= removed_bytes;
            WEIR_CHECK_OK(writer.put_stream(*row));
            WEIR_FAILPOINT("log.retire_before_commit");
            return ok();
        });
        WEIR_CHECK_OK(std::move(retired));
        WEIR_FAILPOINT("log.retire_after_commit");
        after = last.last_commit;
        if (count < rows.size() || rows.size() < page) break;
    }
    if (removed_events > 0) {
        events_retired_.add(removed_events);
        diag::debug("log: " + std::to_string(removed_events) + " events of stream " + stream.name + " retired");
    }
    return ok();
}

}  // namespace weir
