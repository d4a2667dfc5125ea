#include "stores/row_chunk.h"

#include <algorithm>
#include <optional>

namespace weir {
namespace {

constexpr Duration partitions_ahead = 400 * 24h;  // forecasts lie ahead; a time further away is a mistake of the source
constexpr std::size_t partitions_max = 5000;      // of a table: a source that sends all times there are fills no catalog

void note_written(StreamPlaces& places, const StreamName& stream, std::string_view epoch, std::uint64_t seq) {
    auto& known = places[stream];
    if (!known.empty() && known.back().epoch == epoch) {
        known.back().seq = seq;
        return;
    }
    const std::uint64_t turn = known.empty() ? 0 : known.back().turn + 1;
    std::erase_if(known, [&](const StreamPlace& place) { return place.epoch == epoch; });
    known.push_back({std::string(epoch), seq, turn});
}

}  // namespace

const StreamPlace* find_place(const StreamPlaces& places, const StreamName& stream, std::string_view epoch) {
    const auto known = places.find(stream);
    if (known == places.end()) return nullptr;
    // The newest first: it is nearly always that one.
    const auto place = std::find_if(known->second.rbegin(), known->second.rend(), [&](const StreamPlace& each) { return each.epoch == epoch; });
    return place == known->second.rend() ? nullptr : &*place;
}

RowChunk RowEncoder::encode(std::vector<BatchPtr> batches, CommitNo upto, const StreamPlaces& places) const {
    RowChunk chunk;
    chunk.batches = std::move(batches);
    chunk.upto = upto;
    chunk.places = places;
    chunk.pieces.resize(setup_.targets.size());
    for (std::size_t i = 0; i < setup_.targets.size(); ++i) chunk.pieces[i].target = i;
    for (std::size_t b = 0; b < chunk.batches.size(); ++b)
        if (setup_.reads(chunk.batches[b]->stream)) encode(chunk, b);
    return chunk;
}

// What the database has of this stream already.
Seq RowEncoder::done_of(const Batch& batch, const std::string& epoch, const StreamPlaces& places) const {
    const auto known = places.find(batch.stream);
    if (known == places.end()) return Seq{0};
    if (known->second.back().epoch == epoch) return Seq{known->second.back().seq};
    bool later = false;
    for (const auto& [each, first] : setup_.log.epochs(batch.stream)) {
        // Of an older incarnation than one that the database has seen, it has all that there will be.
        if (later && find_place(places, batch.stream, to_text(each))) return batch.seq_of(batch.events.size());
        later = later || each == batch.epoch;
    }
    // Another log may have been written in between, under the same name.
    const StreamPlace* place = find_place(places, batch.stream, epoch);
    return Seq{place ? place->seq : 0};
}

void RowEncoder::encode(RowChunk& chunk, std::size_t b) const {
    const Batch& batch = *chunk.batches[b];
    if (batch.events.empty()) return;
    const std::string epoch = to_text(batch.epoch);
    const Seq done = setup_.origin ? Seq{0} : done_of(batch, epoch, chunk.places);
    const Timestamp oldest = setup_.retention > Duration(0) ? setup_.clock.now() - setup_.retention : Timestamp::min();
    for (std::size_t e = 0; e < batch.events.size(); ++e) {
        const EventView event = batch.events[e];
        RowOrigin origin{batch.stream, epoch, batch.seq_of(e)};
        std::optional<EventOrigin> foreign;
        if (setup_.origin) {
            foreign = setup_.origin(batch, e);
            origin = {foreign->stream, foreign->place.epoch, Seq{foreign->place.seq}};
            const StreamPlace* place = find_place(chunk.places, foreign->stream, foreign->place.epoch);
            if (place && foreign->place.seq <= place->seq) continue;
        } else if (origin.seq <= done) {
            continue;
        }
        note_written(chunk.places, StreamName(origin.stream), origin.epoch, origin.seq.value);
        const auto bi = static_cast<std::uint32_t>(b), ei = static_cast<std::uint32_t>(e);
        chunk.events.emplace_back(bi, ei);
        if (setup_.generic > 0) {
            if (event.time < oldest) ++chunk.expired;
            else encode(chunk, static_cast<std::size_t>(generic_table_of(event.type)), bi, ei, origin);
        }
        for (std::size_t t = setup_.generic; t < setup_.targets.size(); ++t)
            if (setup_.targets[t].stream == batch.stream || setup_.targets[t].stream.empty()) encode(chunk, t, bi, ei, origin);
    }
}

bool RowEncoder::has_partition(RowChunk& chunk, const TableShape& shape, Timestamp time, std::string& reason) const {
    const auto& there = setup_.partitions.of(shape.table);
    if (PostgresPartitions::covers(there, time)) return true;
    auto& wanted = chunk.partitions[shape.table];
    if (PostgresPartitions::covers(wanted, time)) return true;
    if (time < Timestamp() || time > setup_.clock.now() + partitions_ahead) {
        reason = "time " + to_rfc3339(time) + " is before 1970 or more than 400 days ahead";
        return false;
    }
    if (there.size() + wanted.size() >= partitions_max) {
        reason = "table " + shape.table + " has as many partitions as it may";
        return false;
    }
    const PartitionRange range = setup_.partitions.around(time);
    wanted[range.from] = range.to;
    return true;
}

void RowEncoder::encode(RowChunk& chunk, std::size_t t, std::uint32_t b, std::uint32_t e, const RowOrigin& origin) const {
    const EventView event = chunk.batches[b]->events[e];
    const TableShape& shape = setup_.targets[t].shape;
    if (std::string reason; shape.partitioned && !has_partition(chunk, shape, event.time, reason)) {
        chunk.dead.push_back({b, e, t, std::move(reason)});
        return;
    }
    RowChunk::Piece& piece = chunk.pieces[t];
    if (auto encoded = append_copy_row(piece.text, shape, event, origin); !encoded.ok()) {
        chunk.dead.push_back({b, e, t, std::move(encoded).error().message});
        return;
    }
    if (!shape.conflict.empty()) {
        piece.text.back() = '\t';
        piece.text += std::to_string(piece.rows.size()) + '\n';
    }
    piece.rows.push_back({b, e, piece.text.size()});
}

}  // namespace weir
