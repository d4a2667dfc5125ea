// Blocks of the log: any body under a right checksum is read or refused; what is read is written and read again.
#include "fuzz.h"
#include "log/block_checksum.h"
#include "log/bytes.h"

namespace weir::fuzz {
namespace {

std::string told(const std::vector<BatchPtr>& batches) {
    std::string out;
    for (const auto& batch : batches) {
        out += std::to_string(batch->first_seq.value) + " " + std::to_string(batch->commit.value) + " " + std::to_string(batch->commit_time.micros()) + "\n";
        for (const EventView e : batch->events) {
            for (const auto text : {e.id, e.type, e.key, e.source, e.data}) out += std::string(text) + "|";
            out += std::to_string(e.time.micros()) + " " + std::to_string(e.ingested.micros()) + "\n";
        }
        encode_notes(out, batch->notes);
    }
    return out;
}

}  // namespace

// The header's numbers, as block bytes, then the body.
void block(std::string_view bytes) {
    ByteReader reader(bytes);
    BlockHeader h;
    h.stream = 1;
    h.epoch = 1;
    h.first_commit = {reader.number()};
    h.last_commit = {reader.number()};
    h.first_seq = {reader.number()};
    h.count = static_cast<std::uint32_t>(reader.number());
    h.marks = static_cast<std::uint32_t>(reader.number());
    h.format = reader.byte() & 3;
    const std::uint64_t raw_bytes = reader.number();  // 0: as the body
    h.first_commit_time = Timestamp::from_micros(reader.integer());
    h.last_commit_time = Timestamp::from_micros(reader.integer());
    for (const Timestamp t : {h.first_commit_time, h.last_commit_time})
        if (t < Timestamp::min() || t > Timestamp::max()) return;
    const std::string body(reader.raw(reader.left()));
    h.stored_bytes = static_cast<std::uint32_t>(body.size());
    h.raw_bytes = raw_bytes == 0 ? h.stored_bytes : static_cast<std::uint32_t>(raw_bytes);
    h.checksum = checksum_of(h, body);

    bool good = true;
    const Notes notes = decode_notes(body, good);
    if (good) {
        std::string written;
        encode_notes(written, notes);
        bool again = true;
        std::string rewritten;
        encode_notes(rewritten, decode_notes(written, again));
        FUZZ_CHECK(again && rewritten == written);
    }
    const auto ids = decode_ids(h, body);
    const auto batches = decode_block(h, body, "pools", {7});
    if (!batches.ok()) {
        FUZZ_CHECK(batches.error().code == "damaged" && !batches.error().message.empty());
        BlockHeader other = h;
        ++other.checksum;
        FUZZ_CHECK(!decode_block(other, body, "pools", {7}).ok());
        return;
    }
    std::size_t events = 0;
    for (const auto& batch : *batches) events += batch->events.size();
    FUZZ_CHECK(events == h.count && batches->size() == h.marks);
    FUZZ_CHECK(ids.ok() && ids->ids.size() == h.count);
    std::size_t i = 0;
    for (const auto& batch : *batches)
        for (const EventView e : batch->events) FUZZ_CHECK(e.id == ids->ids[i++]);
    if (batches->empty()) return;
    // Once more with an event that is worth compressing.
    auto larger = *batches;
    auto last = std::make_shared<Batch>(*larger.back());
    EventView added;
    const std::string long_text = std::string(600, 'x') + body.substr(0, 300);
    added.id = "added", added.type = "reading", added.key = "SSD-7", added.data = long_text;
    added.time = added.ingested = last->commit_time;
    last->events.add(added);
    larger.back() = last;
    for (const std::vector<BatchPtr>* written : std::initializer_list<const std::vector<BatchPtr>*>{&*batches, &larger}) {
        const Block again = encode_block(1, 1, *written, written == &larger ? 1 : 0);
        const auto reread = decode_block(again.header, again.body, "pools", {7});
        FUZZ_CHECK(reread.ok(), reread.ok() ? "" : reread.error().message);
        std::string text = told(*reread);
        if (planted() && !(*batches)[0]->events.empty() && (*batches)[0]->events[0].key.substr(0, 1) >= "\x80") text.pop_back();
        FUZZ_CHECK(text == told(*written));
        for (const auto& batch : *written) {
            FUZZ_CHECK(raw_size_of(batch->events, batch->notes) >= batch->events.text_bytes());
            for (const EventView e : batch->events) FUZZ_CHECK(may_hold_key(again.header, e.key), std::string(e.key));
        }
    }
}

}  // namespace weir::fuzz
