#include "log/block.h"

#include <xxhash.h>
#include <zstd.h>

#include "base/assert.h"
#include "log/block_checksum.h"
#include "log/block_columns.h"
#include "log/bytes.h"

namespace weir {
namespace {

constexpr std::uint8_t format_plain = 1, format_zstd = 2;
// A block is at most half a MiB, a reader's output of one input may be larger; what claims to be more is damaged.
constexpr std::uint32_t raw_bytes_max = 64U << 20;
constexpr std::size_t small_body_bytes = 512;  // below, zstd's own frame eats the gain

// ---- the filter over keys: a Bloom filter of 512 bits, 4 of them a key. Full (nothing is told) above 100 keys.
constexpr std::size_t key_filter_bytes = 64, key_filter_keys_max = 100;

void mark_key(std::string& filter, std::string_view key) {
    std::uint64_t hash = XXH3_64bits(key.data(), key.size());
    for (int i = 0; i < 4; ++i, hash >>= 9) filter[(hash >> 3) & 63] = static_cast<char>(filter[(hash >> 3) & 63] | (1 << (hash & 7)));
}

bool has_key(const std::string& filter, std::string_view key) {
    std::uint64_t hash = XXH3_64bits(key.data(), key.size());
    for (int i = 0; i < 4; ++i, hash >>= 9)
        if (!(static_cast<std::uint8_t>(filter[(hash >> 3) & 63]) & (1 << (hash & 7)))) return false;
    return true;
}

}  // namespace

std::uint64_t checksum_of(const BlockHeader& h, std::string_view body) {
    std::string bytes;
    bytes.reserve(160);
    ByteWriter w(bytes);
    for (const std::uint64_t v : {std::uint64_t{h.stream}, std::uint64_t{h.epoch}, h.first_commit.value, h.last_commit.value, h.first_seq.value,
                                  std::uint64_t{h.count}, std::uint64_t{h.marks}, std::uint64_t{h.raw_bytes}, std::uint64_t{h.format}})
        w.number(v);
    for (const Timestamp t : {h.first_commit_time, h.last_commit_time, h.min_time, h.max_time, h.min_ingested, h.max_ingested}) w.integer(t.micros());
    w.text(h.keys);
    return XXH3_64bits_withSeed(body.data(), body.size(), XXH3_64bits(bytes.data(), bytes.size()));
}

namespace {

struct Mark {
    std::uint64_t events = 0;
    CommitNo commit;
    Timestamp time;
    std::uint64_t notes_bytes = 0;
};

std::vector<Mark> read_marks(ByteReader& r, const BlockHeader& h) {
    std::vector<Mark> marks;
    const std::uint64_t n = r.number();
    if (n != h.marks || n > r.left()) {
        r.fail();
        return marks;
    }
    marks.resize(n);
    std::uint64_t events = 0;
    for (auto& m : marks) {
        m.events = r.number();
        // Each by itself: a sum of huge ones could come out right.
        if (m.events > h.count) r.fail();
        events += m.events;
    }
    CommitNo commit = h.first_commit;
    for (auto& m : marks) {
        m.commit = CommitNo{commit.value + r.number()};
        if (m.commit < commit) r.fail();
        commit = m.commit;
    }
    Timestamp time = h.first_commit_time;
    for (auto& m : marks) {
        m.time = moment_after(time, r.number(), r);
        if (m.time < time) r.fail();
        time = m.time;
    }
    for (auto& m : marks) m.notes_bytes = r.number();
    if (events != h.count || events > r.left() || commit != h.last_commit || time != h.last_commit_time) r.fail();
    return marks;
}

Error damaged(const BlockHeader& h, std::string_view what) {
    return {"damaged", "log: block of stream number " + std::to_string(h.stream) + ", seq " + std::to_string(h.first_seq.value) + " to " +
                           std::to_string(h.end_seq().value) + " (excluded), commit " + std::to_string(h.first_commit.value) + " to " +
                           std::to_string(h.last_commit.value) + ": " + std::string(what)};
}

struct ZstdContexts {
    ZSTD_CCtx* compress = ZSTD_createCCtx();
    ZSTD_DCtx* decompress = ZSTD_createDCtx();
    ~ZstdContexts() {
        ZSTD_freeCCtx(compress);
        ZSTD_freeDCtx(decompress);
    }
};
// A context is some hundred KiB that zstd would else allocate for each block.
ZstdContexts& zstd() {
    thread_local ZstdContexts contexts;
    return contexts;
}

/// Checks the sum and unpacks; the view is into `body` or `unpacked`.
Result<std::string_view> open_body(const BlockHeader& h, std::string_view body, std::string& unpacked) {
    if (checksum_of(h, body) != h.checksum) return damaged(h, "the checksum does not fit");
    if (h.format == format_plain) {
        if (body.size() != h.raw_bytes) return damaged(h, "its length does not fit");
        return body;
    }
    if (h.format != format_zstd) return damaged(h, "format " + std::to_string(h.format) + " is not known to this weir");
    if (h.raw_bytes > raw_bytes_max) return damaged(h, "its length cannot be");
    unpacked.resize(h.raw_bytes);
    const std::size_t n = ZSTD_decompressDCtx(zstd().decompress, unpacked.data(), unpacked.size(), body.data(), body.size());
    if (ZSTD_isError(n) || n != h.raw_bytes) return damaged(h, "it does not unpack");
    return std::string_view(unpacked);
}

}  // namespace

Block encode_block(std::uint32_t stream, std::uint32_t epoch, std::span<const BatchPtr> batches, int zstd_level) {
    WEIR_ASSERT(!batches.empty());
    const Batch& first = *batches.front();
    const Batch& last = *batches.back();
    Block block;
    BlockHeader& h = block.header;
    h.stream = stream;
    h.epoch = epoch;
    h.first_commit = first.commit;
    h.last_commit = last.commit;
    h.first_commit_time = first.commit_time;
    h.last_commit_time = last.commit_time;
    h.first_seq = first.first_seq;
    h.marks = static_cast<std::uint32_t>(batches.size());

    std::size_t count = 0, text_bytes = 0;
    for (const auto& batch : batches) {
        WEIR_ASSERT(batch->first_seq == h.first_seq + count);
        count += batch->events.size();
        text_bytes += batch->events.text_bytes();
    }
    h.count = static_cast<std::uint32_t>(count);

    std::string raw;
    raw.reserve(text_bytes + count * 12 + batches.size() * 8 + 64);
    ByteWriter w(raw);
    w.number(batches.size());
    for (const auto& batch : batches) w.number(batch->events.size());
    CommitNo commit = h.first_commit;
    for (const auto& batch : batches) {
        WEIR_ASSERT(batch->commit >= commit);
        w.number(batch->commit.value - commit.value);
        commit = batch->commit;
    }
    Timestamp commit_time = h.first_commit_time;
    for (const auto& batch : batches) {
        WEIR_ASSERT(batch->commit_time >= commit_time);
        w.number(static_cast<std::uint64_t>((batch->commit_time - commit_time).count()));
        commit_time = batch->commit_time;
    }
    std::string notes;
    for (const auto& batch : batches) {
        const std::size_t before = notes.size();
        if (!batch->notes.empty()) encode_notes(notes, batch->notes);
        w.number(notes.size() - before);
    }
    w.raw(notes);

    const auto each = [&](auto&& use) {
        for (const auto& batch : batches)
            for (const EventView event : batch->events) use(event);
    };
    if (count > 0) {
        h.min_time = h.min_ingested = Timestamp::max();
        h.max_time = h.max_ingested = Timestamp::min();
        Dictionary types(count), keys(count), sources(count);
        IdRuns ids;
        Timestamp time = h.first_commit_time, ingested = h.first_commit_time;
        std::string ingested_column;
        ingested_column.reserve(count * 2);
        ByteWriter ingested_writer(ingested_column);
        each([&](const EventView& e) {
            w.integer((e.time - time).count());
            time = e.time;
            ingested_writer.integer((e.ingested - ingested).count());
            ingested = e.ingested;
            h.min_time = std::min(h.min_time, e.time);
            h.max_time = std::max(h.max_time, e.time);
            h.min_ingested = std::min(h.min_ingested, e.ingested);
            h.max_ingested = std::max(h.max_ingested, e.ingested);
            types.add(e.type);
            keys.add(e.key);
            sources.add(e.source);
            ids.add(e.id);
        });
        w.raw(ingested_column);
        types.write(w);
        keys.write(w);
        sources.write(w);
        ids.write(w);
        each([&](const EventView& e) { w.number(e.data.size()); });
        each([&](const EventView& e) { w.raw(e.data); });
        if (keys.texts().size() <= key_filter_keys_max) {
            h.keys.assign(key_filter_bytes, '\0');
            for (const auto key : keys.texts()) mark_key(h.keys, key);
        }
    }
    WEIR_ASSERT(raw.size() <= raw_bytes_max);
    h.raw_bytes = static_cast<std::uint32_t>(raw.size());
    h.format = format_plain;
    h.level = static_cast<std::int8_t>(zstd_level);
    if (zstd_level != 0 && raw.size() >= small_body_bytes) {
        block.body.resize(ZSTD_compressBound(raw.size()));
        const std::size_t n = ZSTD_compressCCtx(zstd().compress, block.body.data(), block.body.size(), raw.data(), raw.size(), zstd_level);
        if (!ZSTD_isError(n) && n < raw.size() - raw.size() / 10) {
            block.body.resize(n);
            h.format = format_zstd;
        }
    }
    if (h.format == format_plain) block.body = std::move(raw);
    h.stored_bytes = static_cast<std::uint32_t>(block.body.size());
    h.checksum = checksum_of(h, block.body);
    return block;
}

Result<std::vector<BatchPtr>> decode_block(const BlockHeader& h, std::string_view body, const StreamName& name, Epoch epoch) {
    std::string unpacked;
    WEIR_TRY(const std::string_view raw, open_body(h, body, unpacked));
    ByteReader r(raw);
    const std::vector<Mark> marks = read_marks(r, h);
    bool good = true;
    std::vector<std::shared_ptr<Batch>> batches;
    batches.reserve(marks.size());
    Seq seq = h.first_seq;
    for (const Mark& m : marks) {
        auto batch = std::make_shared<Batch>();
        batch->stream = name;
        batch->epoch = epoch;
        batch->first_seq = seq;
        batch->commit = m.commit;
        batch->commit_time = m.time;
        if (m.notes_bytes > 0) batch->notes = decode_notes(r.raw(m.notes_bytes), good);
        seq = seq + m.events;
        batches.push_back(std::move(batch));
    }
    if (r.failed() || !good) return damaged(h, "its commit marks do not fit");

    const std::uint64_t count = h.count;
    if (count > 0) {
        const auto times = read_times(r, count, h.first_commit_time);
        const auto ingested = read_times(r, count, h.first_commit_time);
        const auto types = TextColumn::read(r, count);
        const auto keys = TextColumn::read(r, count);
        const auto sources = TextColumn::read(r, count);
        if (r.failed()) return damaged(h, "its columns do not fit");
        // The ids are read while the events are put together; the lengths and texts of `data` stand behind them.
        ByteReader id_reader = r;
        std::vector<std::uint8_t> id_lengths;  // at most 255 each
        id_lengths.reserve(count);
        read_ids(r, count, [&](std::string_view id) { id_lengths.push_back(static_cast<std::uint8_t>(id.size())); });
        id_lengths.resize(count);
        std::vector<std::uint32_t> lengths(count);
        std::uint64_t data_bytes = 0;
        for (auto& length : lengths) {
            const std::uint64_t n = r.number();
            if (n > 256 * 1024) r.fail();
            length = static_cast<std::uint32_t>(n);
            data_bytes += n;
        }
        if (r.failed() || data_bytes != r.left()) return damaged(h, "its ids or the lengths of its texts do not fit");
        std::size_t batch = 0, within = 0, i = 0;
        const auto open_batch = [&] {
            while (within == marks[batch].events) {
                ++batch;
                within = 0;
            }
            if (within == 0) {
                std::size_t bytes = 0;
                for (std::size_t k = i; k < i + marks[batch].events; ++k)
                    bytes += lengths[k] + id_lengths[k] + types[k].size() + keys[k].size() + sources[k].size();
                batches[batch]->events.reserve(marks[batch].events, bytes);
            }
        };
        read_ids(id_reader, count, [&](std::string_view id) {
            open_batch();
            EventView e;
            e.id = id;
            e.type = types[i];
            e.key = keys[i];
            e.source = sources[i];
            e.data = r.raw(lengths[i]);
            e.time = times[i];
            e.ingested = ingested[i];
            batches[batch]->events.add(e);
            ++within;
            ++i;
        });
    }
    if (!r.finished()) return damaged(h, "something stands behind its end");
    return std::vector<BatchPtr>(batches.begin(), batches.end());
}

Result<BlockIds> decode_ids(const BlockHeader& h, std::string_view body) {
    BlockIds found;
    if (h.count == 0) return found;
    std::string unpacked;
    WEIR_TRY(const std::string_view raw, open_body(h, body, unpacked));
    ByteReader r(raw);
    const std::vector<Mark> marks = read_marks(r, h);
    for (const Mark& m : marks) r.raw(m.notes_bytes);
    if (r.failed()) return damaged(h, "its commit marks do not fit");
    found.ids.reserve(h.count);
    found.commit_times.reserve(h.count);
    for (const Mark& m : marks) found.commit_times.insert(found.commit_times.end(), m.events, m.time);
    read_times(r, h.count, h.first_commit_time);
    read_times(r, h.count, h.first_commit_time);
    for (int column = 0; column < 3; ++column) TextColumn::read(r, h.count);
    read_ids(r, h.count, [&](std::string_view id) { found.ids.emplace_back(id); });
    if (r.failed()) return damaged(h, "its ids do not fit");
    return found;
}

bool may_hold_key(const BlockHeader& h, std::string_view key) {
    if (h.count == 0) return false;
    return h.keys.size() != key_filter_bytes || has_key(h.keys, key);
}

std::size_t raw_size_of(const EventList& events, const Notes& notes) {
    std::size_t bytes = events.text_bytes() + events.size() * 8 + 32;
    if (!notes.empty()) {
        for (const auto& x : notes.rejected) bytes += x.reason.size() + x.key.size() + 16;
        for (const auto& x : notes.duplicates) bytes += x.key.size() + 16;
        for (const auto& x : notes.feed_states) bytes += x.feed.size() + x.state.size() + x.cause.size() + x.source.size() + x.detail.size() + 16;
        for (const auto& x : notes.intervals) bytes += x.feed.size() + 12;
    }
    return bytes;
}

}  // namespace weir
