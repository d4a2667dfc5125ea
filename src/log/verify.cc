#include "log/verify.h"

#include <random>

#include "base/prng.h"
#include "log/block_reader.h"
#include "log/folder_lock.h"

namespace weir {
namespace {

constexpr std::size_t page = 256;

Epoch draw(std::uint64_t seed) {
    if (seed == 0) seed = (std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}();
    return {Prng(seed).next()};
}

class Verifier {
public:
    Verifier(BlockReader& reader, VerifyReport& report, std::uint64_t all_bytes, const std::function<void(std::uint64_t, std::uint64_t)>& progress)
        : reader_(reader), report_(report), all_bytes_(all_bytes), progress_(progress) {}

    Result<void> stream(const StreamRow& row, const LogRow& log) {
        stream_ = &row;
        ++report_.streams;
        std::optional<BlockHeader> previous;
        std::uint64_t bytes = 0;
        std::optional<TimeBounds> bounds;
        CommitNo after{};
        while (true) {
            WEIR_TRY(const auto rows, reader_.rows().list(row.number, after, page));
            for (const auto& block : rows) {
                check(block, previous);
                const BlockHeader& h = block.header;
                bytes += h.stored_bytes + block_row_bytes;
                if (h.count > 0) {
                    bounds = TimeBounds{bounds ? std::min(bounds->min, h.min_time) : h.min_time, bounds ? std::max(bounds->max, h.max_time) : h.max_time};
                }
                previous = h;
            }
            if (rows.size() < page) break;
            after = rows.back().header.last_commit;
        }
        const Seq end = previous ? previous->end_seq() : row.first;
        if (end != row.head + 1) problem(nullptr, "its head is " + std::to_string(row.head.value) + ", but its blocks end before seq " + std::to_string(end.value));
        if (previous && previous->last_commit != row.last_commit) problem(nullptr, "its newest commit is not that of its last block");
        if (row.last_commit > log.head) problem(nullptr, "it has a commit that the log does not know yet");
        if (bytes != row.bytes) problem(nullptr, "its bytes are " + std::to_string(row.bytes) + ", its blocks have " + std::to_string(bytes));
        if ((bounds ? std::optional(bounds->min) : std::nullopt) != row.min_time || (bounds ? std::optional(bounds->max) : std::nullopt) != row.max_time)
            problem(nullptr, "its range of times is not that of its blocks");
        return ok();
    }

private:
    void problem(const BlockHeader* h, std::string what, bool is_unreadable = false) {
        VerifyReport::Problem p;
        p.stream = stream_->name;
        if (h) {
            p.first_seq = h->first_seq;
            p.end_seq = h->end_seq();
            p.first_commit = h->first_commit;
        }
        p.what = std::move(what);
        p.is_unreadable = is_unreadable;
        report_.problems.push_back(std::move(p));
    }

    void check(const BlockRow& row, const std::optional<BlockHeader>& previous) {
        const BlockHeader& h = row.header;
        ++report_.blocks;
        report_.stored_bytes += h.stored_bytes;
        report_.raw_bytes += h.raw_bytes;
        if (progress_) progress_(report_.stored_bytes, all_bytes_);
        const Seq expected = previous ? previous->end_seq() : stream_->first;
        if (h.first_seq != expected)
            problem(&h, "it begins at seq " + std::to_string(h.first_seq.value) + ", expected " + std::to_string(expected.value), true);
        if (h.first_commit <= (previous ? previous->last_commit : stream_->removed_commit) || h.last_commit < h.first_commit)
            problem(&h, "its commits do not follow those before it");
        if (previous && h.first_commit_time < previous->last_commit_time) problem(&h, "its commit time is before that of the block before it");
        if (previous && h.epoch < previous->epoch) problem(&h, "its epoch is older than that of the block before it");
        auto decoded = reader_.batches(row, stream_->name);
        if (!decoded) {
            problem(&h, decoded.error().message, true);
            return;
        }
        // decode_block has held marks, counts and seqs to the header; what is left are the header's claims about the events.
        Timestamp min_time = Timestamp::max(), max_time = Timestamp::min(), min_ingested = Timestamp::max(), max_ingested = Timestamp::min();
        bool keys = true, ids = true;
        for (const auto& batch : **decoded) {
            ++report_.commits;
            report_.events += batch->events.size();
            for (const EventView event : batch->events) {
                min_time = std::min(min_time, event.time);
                max_time = std::max(max_time, event.time);
                min_ingested = std::min(min_ingested, event.ingested);
                max_ingested = std::max(max_ingested, event.ingested);
                keys = keys && may_hold_key(h, event.key);
                ids = ids && !event.id.empty();
            }
        }
        if (h.count > 0 && (min_time != h.min_time || max_time != h.max_time || min_ingested != h.min_ingested || max_ingested != h.max_ingested))
            problem(&h, "its header's range of times is not that of its events");
        if (!keys) problem(&h, "its header denies a key that it holds");
        if (!ids) problem(&h, "an event has no id");
    }

    BlockReader& reader_;
    VerifyReport& report_;
    std::uint64_t all_bytes_;
    const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
    const StreamRow* stream_ = nullptr;
};

}  // namespace

Result<VerifyReport> verify_log(const std::string& folder, const std::function<void(std::uint64_t, std::uint64_t)>& progress, const std::string& vfs) {
    VerifyReport report;
    const auto of_file = [&](std::string what) { report.problems.push_back({{}, {}, {}, {}, std::move(what), false}); };
    std::vector<Epoch> epochs;
    {
        WEIR_TRY(Database database, open_for_reading(folder, vfs));
        WEIR_TRY(const auto version, database.integer("PRAGMA user_version"));
        if (*version == 0) return Error{"not_found", "log folder " + folder + " holds no log yet: " + database.file() + " is empty"};
        WEIR_TRY(epochs, read_epochs(database));
    }
    WEIR_TRY(const auto reader, BlockReader::open(folder, vfs, std::move(epochs), nullptr));
    Database& database = reader->database();
    WEIR_CHECK_OK(database.run("BEGIN"));
    WEIR_TRY(const LogRow log, read_log_row(database));
    {
        WEIR_TRY(Statement check, database.prepare("PRAGMA quick_check(20)"));
        while (true) {
            auto there = check.step();
            if (!there) {
                of_file(there.error().message);
                break;
            }
            if (!*there) break;
            if (check.text(0) != "ok") of_file("SQLite says: " + std::string(check.text(0)));
        }
    }
    auto all_bytes = database.integer("SELECT coalesce(sum(stored_bytes), 0) FROM block");
    Verifier verifier(*reader, report, all_bytes ? static_cast<std::uint64_t>(all_bytes->value_or(0)) : 0, progress);
    auto streams = reader->streams().all();
    if (!streams) {
        of_file(streams.error().message);
        return report;
    }
    for (const auto& stream : *streams)
        if (auto done = verifier.stream(stream, log); !done) report.problems.push_back({stream.name, {}, {}, {}, done.error().message, false});
    for (const char* orphan : {"SELECT count(*) FROM body WHERE id NOT IN (SELECT body FROM block)",
                               "SELECT count(*) FROM block WHERE stream NOT IN (SELECT number FROM stream)"}) {
        auto count = database.integer(orphan);
        if (!count)
            of_file(count.error().message);
        else if (**count != 0)
            of_file(std::to_string(**count) + " rows belong to nothing");
    }
    return report;
}

Result<RepairReport> repair_log(const std::string& folder, std::uint64_t epoch_seed, DryRun dry_run, const std::string& vfs) {
    WEIR_TRY(const FolderLock lock, FolderLock::take(folder));
    WEIR_TRY(const VerifyReport found, verify_log(folder, {}, vfs));
    RepairReport report;
    WEIR_TRY(Database database, open_for_writing(folder, Durability::full, vfs));
    WEIR_TRY(const auto epochs, read_epochs(database));
    if (!epochs.empty()) report.epoch = epochs.back();
    // The first problem of a stream is its oldest: verify reads in order.
    std::map<StreamName, VerifyReport::Problem> first;
    for (const auto& problem : found.problems)
        if (problem.is_unreadable) first.try_emplace(problem.stream, problem);
    if (first.empty()) return report;

    WEIR_TRY(StreamRows streams, StreamRows::prepare(database));
    WEIR_TRY(BlockRows blocks, BlockRows::prepare(database));
    WEIR_CHECK_OK(database.run("BEGIN IMMEDIATE"));
    for (const auto& [name, problem] : first) {
        WEIR_TRY(auto row, streams.find(name));
        if (!row) return Error{"damaged", "log folder " + folder + ": stream " + name + " has blocks but no row of its own"};
        RepairReport::Cut cut{name, {}, row->head, 0};
        WEIR_TRY(const auto kept, blocks.before(row->number, problem.first_commit));
        cut.first_seq = kept ? kept->header.end_seq() : row->first;
        WEIR_TRY(const auto removed, blocks.remove(row->number, problem.first_commit, CommitNo{INT64_MAX}));
        cut.blocks = static_cast<std::uint64_t>(removed);
        row->head = Seq{cut.first_seq.value - 1};
        row->last_commit = kept ? kept->header.last_commit : row->removed_commit;
        WEIR_TRY(const auto bounds, blocks.times(row->number, {}));
        row->min_time = bounds ? std::optional(bounds->min) : std::nullopt;
        row->max_time = bounds ? std::optional(bounds->max) : std::nullopt;
        WEIR_TRY(Statement sum, database.prepare("SELECT coalesce(sum(stored_bytes), 0) + count(*) * ?2 FROM block WHERE stream=?1"));
        sum.bind(1, std::int64_t{row->number}).bind(2, block_row_bytes);
        WEIR_TRY(const bool there, sum.step());
        if (there) row->bytes = sum.number(0);
        sum.reset();
        WEIR_CHECK_OK(streams.put(*row));
        report.cuts.push_back(std::move(cut));
    }
    if (dry_run == DryRun::yes) {
        WEIR_CHECK_OK(database.run("ROLLBACK"));
        return report;
    }
    report.epoch = draw(epoch_seed);
    WEIR_CHECK_OK(begin_epoch(database, report.epoch));
    WEIR_CHECK_OK(database.run("COMMIT"));
    return report;
}

Result<Epoch> begin_new_epoch(const std::string& folder, std::uint64_t epoch_seed, const std::string& vfs) {
    WEIR_TRY(const FolderLock lock, FolderLock::take(folder));
    WEIR_TRY(Database database, open_for_writing(folder, Durability::full, vfs));
    const Epoch epoch = draw(epoch_seed);
    WEIR_CHECK_OK(database.run("BEGIN IMMEDIATE"));
    WEIR_CHECK_OK(begin_epoch(database, epoch));
    WEIR_CHECK_OK(database.run("COMMIT"));
    return epoch;
}

}  // namespace weir
