#include "log/block_reader.h"

#include <charconv>

#include "log/tail.h"

namespace weir {
namespace {

Error gap(std::string_view stream, Seq from, Seq first) {
    return {"gap", "stream " + std::string(stream) + ": seq " + std::to_string(from.value) + " is no longer kept; the oldest that is there is " +
                       std::to_string(first.value)};
}

}  // namespace

BlockCache::Batches BlockCache::find(std::int64_t body) {
    return state_.with([&](State& s) -> Batches {
        const auto it = s.by_body.find(body);
        if (it == s.by_body.end()) return nullptr;
        s.entries.splice(s.entries.begin(), s.entries, it->second);
        it->second->used = true;
        return it->second->batches;
    });
}

void BlockCache::put(std::int64_t body, Batches batches, std::size_t bytes) {
    std::vector<Batches> left;  // destroyed outside the lock
    state_.with([&](State& s) {
        if (bytes > bytes_max_ || s.by_body.contains(body)) return;
        s.entries.push_front({body, std::move(batches), bytes, true});
        s.by_body[body] = s.entries.begin();
        s.bytes += bytes;
        while (s.bytes > bytes_max_) {
            Entry& last = s.entries.back();
            s.bytes -= last.bytes;
            s.by_body.erase(last.body);
            left.push_back(std::move(last.batches));
            s.entries.pop_back();
        }
    });
}

std::size_t BlockCache::forget_unused() {
    std::list<Entry> left;  // destroyed outside the lock
    std::size_t bytes = 0;
    state_.with([&](State& s) {
        for (auto entry = s.entries.begin(); entry != s.entries.end();) {
            const auto next = std::next(entry);
            if (!std::exchange(entry->used, false)) {
                bytes += entry->bytes;
                s.by_body.erase(entry->body);
                left.splice(left.end(), s.entries, entry);
            }
            entry = next;
        }
        s.bytes -= bytes;
    });
    return bytes;
}

// One read transaction: header, body and the stream's own row are of one moment, whatever merging and retention do meanwhile.
class BlockReader::Snapshot {
public:
    static Result<std::unique_ptr<Snapshot>> begin(BlockReader& reader) {
        WEIR_CHECK_OK(reader.begin_.run());
        return std::unique_ptr<Snapshot>(new Snapshot(reader));
    }
    ~Snapshot() { (void)reader_.end_.run().ok(); }

private:
    explicit Snapshot(BlockReader& reader) : reader_(reader) {}
    BlockReader& reader_;
};

Result<std::unique_ptr<BlockReader>> BlockReader::open(const std::string& folder, const std::string& vfs, std::vector<Epoch> epochs,
                                                       std::shared_ptr<BlockCache> cache) {
    WEIR_TRY(Database database, open_for_reading(folder, vfs));
    std::unique_ptr<BlockReader> reader(new BlockReader(std::move(database)));
    WEIR_TRY(reader->rows_, BlockRows::prepare(reader->database_));
    WEIR_TRY(reader->streams_, StreamRows::prepare(reader->database_));
    WEIR_TRY(reader->position_, reader->database_.prepare("SELECT position FROM reader WHERE name=?1"));
    WEIR_TRY(reader->state_, reader->database_.prepare("SELECT key, value FROM state WHERE reader=?1 ORDER BY key"));
    WEIR_TRY(reader->state_value_, reader->database_.prepare("SELECT value FROM state WHERE reader=?1 AND key=?2"));
    WEIR_TRY(reader->begin_, reader->database_.prepare("BEGIN"));
    WEIR_TRY(reader->end_, reader->database_.prepare("COMMIT"));
    reader->epochs_ = std::move(epochs);
    reader->cache_ = std::move(cache);
    return reader;
}

Result<BlockCache::Batches> BlockReader::batches(const BlockRow& row, const StreamName& name) {
    if (cache_)
        if (auto known = cache_->find(row.body)) return known;
    if (row.header.epoch == 0 || row.header.epoch > epochs_.size())
        return Error{"damaged", "stream " + name + ": the block at seq " + std::to_string(row.header.first_seq.value) + " names an epoch that is not there"};
    WEIR_TRY(const std::string body, rows_->body(row));
    auto decoded = decode_block(row.header, body, name, epochs_[row.header.epoch - 1]);
    if (!decoded) return std::move(decoded).error().within("stream " + name);
    auto shared = std::make_shared<const std::vector<BatchPtr>>(std::move(decoded).value());
    if (cache_) {
        std::size_t bytes = 0;
        for (const auto& batch : *shared) bytes += memory_of(*batch);
        cache_->put(row.body, shared, bytes);
    }
    return BlockCache::Batches(std::move(shared));
}

Result<std::vector<BatchPtr>> BlockReader::read(std::string_view name, Seq from, std::size_t events_max) {
    std::vector<BatchPtr> found;
    WEIR_TRY(const auto snapshot, Snapshot::begin(*this));
    WEIR_TRY(const auto stream, streams_->find(name));
    if (!stream) return found;
    from = std::max(from, Seq{1});
    if (from < stream->first) return gap(name, from, stream->first);
    WEIR_TRY(auto row, rows_->at_seq(stream->number, from));
    std::size_t events = 0;
    while (row) {
        if (row->header.count > 0 && row->header.end_seq() > from) {
            WEIR_TRY(const auto decoded, batches(*row, stream->name));
            for (const auto& batch : *decoded) {
                const Seq end = batch->seq_of(batch->events.size());
                if (batch->events.empty() || end <= from) continue;
                const std::size_t begin = from > batch->first_seq ? from.value - batch->first_seq.value : 0;
                const std::size_t count = batch->events.size() - begin;
                if (events > 0 && events + count > events_max) return found;
                found.push_back(slice(batch, begin, batch->events.size()));
                events += count;
            }
            if (events >= events_max) return found;
        }
        WEIR_TRY(row, rows_->after(stream->number, row->header.last_commit));
    }
    return found;
}

Result<std::vector<BatchPtr>> BlockReader::read_before(std::string_view name, Seq before, std::size_t events_max) {
    std::vector<BatchPtr> newest_first;
    WEIR_TRY(const auto snapshot, Snapshot::begin(*this));
    WEIR_TRY(const auto stream, streams_->find(name));
    if (!stream || before <= stream->first || events_max == 0) return newest_first;
    WEIR_TRY(auto row, rows_->at_seq(stream->number, Seq{before.value - 1}));
    std::size_t events = 0;
    while (row && events < events_max) {
        if (row->header.count > 0) {
            WEIR_TRY(const auto decoded, batches(*row, stream->name));
            for (auto it = decoded->rbegin(); it != decoded->rend() && events < events_max; ++it) {
                const BatchPtr& batch = *it;
                if (batch->events.empty() || batch->first_seq >= before) continue;
                const std::size_t end = std::min<std::uint64_t>(batch->events.size(), before.value - batch->first_seq.value);
                const std::size_t begin = end > events_max - events ? end - (events_max - events) : 0;
                newest_first.push_back(slice(batch, begin, end));
                events += end - begin;
            }
        }
        WEIR_TRY(row, rows_->before(stream->number, row->header.last_commit));
    }
    return std::vector<BatchPtr>(newest_first.rbegin(), newest_first.rend());
}

Result<std::vector<BatchPtr>> BlockReader::read_commits(const std::vector<StreamName>& names, CommitNo after, std::size_t events_max) {
    WEIR_TRY(const auto snapshot, Snapshot::begin(*this));
    std::vector<StreamRow> streams;
    if (names.empty()) {
        WEIR_TRY(streams, streams_->all());
    } else {
        for (const auto& name : names) {
            WEIR_TRY(auto stream, streams_->find(name));
            if (stream) streams.push_back(std::move(*stream));
        }
    }
    // One cursor a stream: at a batch, or before a block that is not opened until its commits are next.
    struct Cursor {
        const StreamRow* stream;
        CommitNo next;
        std::optional<BlockRow> row;
        BlockCache::Batches batches;
        std::size_t i = 0;
    };
    std::vector<Cursor> cursors;
    for (const auto& stream : streams) {
        if (after < stream.removed_commit)
            return Error{"gap", "stream " + stream.name + ": commit " + std::to_string(after.value + 1) + " and what follows up to commit " +
                                    std::to_string(stream.removed_commit.value) + " is no longer kept; the oldest seq that is there is " +
                                    std::to_string(stream.first.value)};
        if (stream.last_commit <= after) continue;
        WEIR_TRY(auto row, rows_->after(stream.number, after));
        if (!row) continue;
        Cursor cursor{&stream, std::max(row->header.first_commit, CommitNo{after.value + 1}), std::move(row), nullptr, 0};
        cursors.push_back(std::move(cursor));
    }
    std::vector<BatchPtr> found;
    std::size_t events = 0;
    events_max = std::max<std::size_t>(events_max, 1);
    while (!cursors.empty()) {
        auto cursor = std::min_element(cursors.begin(), cursors.end(), [](const Cursor& a, const Cursor& b) { return a.next < b.next; });
        if (!cursor->batches) {
            WEIR_TRY(cursor->batches, batches(*cursor->row, cursor->stream->name));
            cursor->i = 0;
            while ((*cursor->batches)[cursor->i]->commit <= after) ++cursor->i;
            cursor->next = (*cursor->batches)[cursor->i]->commit;
            continue;
        }
        if (events >= events_max && found.back()->commit != cursor->next) break;
        const BatchPtr& batch = (*cursor->batches)[cursor->i];
        found.push_back(batch);
        events += std::max<std::size_t>(1, batch->events.size());
        if (++cursor->i < cursor->batches->size()) {
            cursor->next = (*cursor->batches)[cursor->i]->commit;
            continue;
        }
        WEIR_TRY(cursor->row, rows_->after(cursor->stream->number, cursor->row->header.last_commit));
        if (cursor->row) {
            cursor->batches = nullptr;
            cursor->next = cursor->row->header.first_commit;
        } else {
            cursors.erase(cursor);
        }
    }
    return found;
}

Result<Log::Found> BlockReader::find(std::string_view name, const Log::TimeRange& range) {
    Log::Found found;
    WEIR_TRY(const auto snapshot, Snapshot::begin(*this));
    WEIR_TRY(const auto stream, streams_->find(name));
    if (!stream || range.from >= range.to) return found;
    CommitNo after{};
    if (range.after.value > 0) {
        WEIR_TRY(const auto row, rows_->at_seq(stream->number, range.after));
        if (row) after = CommitNo{row->header.first_commit.value - 1};
    }
    constexpr std::size_t page = 256;
    while (true) {
        WEIR_TRY(const auto rows, rows_->list_times(stream->number, after, range.from, range.to, page));
        for (const auto& row : rows) {
            if (row.header.end_seq() <= range.after + 1) continue;
            if (range.key && !may_hold_key(row.header, *range.key)) continue;
            WEIR_TRY(const auto decoded, batches(row, stream->name));
            for (const auto& batch : *decoded)
                for (std::size_t i = 0; i < batch->events.size(); ++i) {
                    const EventView event = batch->events[i];
                    if (event.time < range.from || event.time >= range.to || batch->seq_of(i) <= range.after) continue;
                    if (range.key && event.key != *range.key) continue;
                    if (found.size() >= range.events_max) {
                        found.more = true;
                        return found;
                    }
                    found.positions.emplace_back(batch->seq_of(i), i);
                    found.batches.push_back(batch);
                }
        }
        if (rows.size() < page) return found;
        after = rows.back().header.last_commit;
    }
}

Result<Seq> BlockReader::seq_at(std::string_view name, Timestamp t) {
    WEIR_TRY(const auto snapshot, Snapshot::begin(*this));
    WEIR_TRY(const auto stream, streams_->find(name));
    if (!stream) return Seq{1};
    // Commit times never decrease, so the first block that reaches `t` is found by halving the range of commits.
    std::uint64_t low = 0, high = stream->last_commit.value;  // the block is the first one behind some commit in [low, high]
    while (low < high) {
        const std::uint64_t middle = low + (high - low) / 2;
        WEIR_TRY(const auto row, rows_->after(stream->number, CommitNo{middle}));
        if (row && row->header.last_commit_time < t)
            low = std::max(middle + 1, row->header.last_commit.value);
        else
            high = middle;
    }
    WEIR_TRY(const auto row, rows_->after(stream->number, CommitNo{low}));
    if (!row) return stream->head + 1;
    WEIR_TRY(const auto decoded, batches(*row, stream->name));
    for (const auto& batch : *decoded)
        if (batch->commit_time >= t) return batch->first_seq;
    return row->header.end_seq();
}

Result<std::optional<CommitNo>> BlockReader::position(std::string_view reader) {
    Use s(position_);
    s->bind(1, reader);
    WEIR_TRY(const bool there, s->step());
    if (!there || s->is_null(0)) return std::optional<CommitNo>();
    return std::optional<CommitNo>(CommitNo{s->number(0)});
}

Result<std::vector<std::pair<std::string, std::string>>> BlockReader::state(std::string_view reader) {
    Use s(state_);
    s->bind(1, reader);
    std::vector<std::pair<std::string, std::string>> found;
    while (true) {
        WEIR_TRY(const bool there, s->step());
        if (!there) return found;
        found.emplace_back(s->text(0), s->text(1));
    }
}

Result<std::optional<CommitNo>> BlockReader::commit_in_state(std::string_view reader, std::string_view key) {
    Use s(state_value_);
    s->bind(1, reader).bind(2, key);
    WEIR_TRY(const bool there, s->step());
    if (!there) return std::optional<CommitNo>();
    const std::string_view text = s->text(0);
    CommitNo commit;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), commit.value);
    if (error != std::errc() || end != text.data() + text.size()) return std::optional<CommitNo>();
    return std::optional(commit);
}

}  // namespace weir
