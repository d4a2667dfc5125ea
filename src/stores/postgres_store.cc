#include "stores/postgres_store.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/failpoint.h"
#include "stores/dead_letters.h"
#include "stores/postgres_schema.h"

namespace weir {
namespace {

constexpr Duration position_spacing = 1s;  // the log need not know at once: only retention waits for it
constexpr Duration maintenance_spacing = 1h;
constexpr Duration others_patience = 10s;   // of a group's member: another one writes what it has within a second, or is gone
constexpr std::size_t batch_events_first = 64, batch_bytes_max = 4u << 20;

std::string milliseconds(Duration d) { return std::to_string(std::max<std::int64_t>(1, d.count() / 1000)); }

std::vector<StreamName> streams_of(const StoreOptions& options) {
    // Only mapped tables: only their streams.
    std::vector<StreamName> streams = options.streams;
    const bool all = options.tables || std::any_of(options.mapped.begin(), options.mapped.end(), [](const MappedTable& m) { return m.stream.empty(); });
    if (all && streams.empty()) return streams;
    for (const MappedTable& mapped : options.mapped)
        if (!mapped.stream.empty() && std::find(streams.begin(), streams.end(), mapped.stream) == streams.end()) streams.push_back(mapped.stream);
    return streams;
}

}  // namespace

Result<std::unique_ptr<PostgresStore>> PostgresStore::make(Setup setup, const Surroundings& around) {
    std::vector<TableShape> mapped;
    for (const MappedTable& table : setup.options.mapped) {
        WEIR_TRY(auto shape, mapped_shape(table));
        mapped.push_back(std::move(shape));
    }
    auto streams = streams_of(setup.options);
    return std::unique_ptr<PostgresStore>(new PostgresStore(std::move(setup), std::move(mapped), std::move(streams), around));
}

PostgresStore::PostgresStore(Setup setup, std::vector<TableShape> mapped, std::vector<StreamName> streams, const Surroundings& around)
    : StoreWorker(setup.name,
                  {.unit = "events", .backoff = {.first = setup.options.backoff_first, .cap = setup.options.backoff_cap}, .spacing = 5ms},
                  std::move(streams), around),
      setup_(std::move(setup)),
      generic_(setup_.options.tables ? generic_table_count : 0),
      partitions_(setup_.options.schema, setup_.options.partition, setup_.options.timeout),
      batch_events_(std::min<std::size_t>(setup_.options.batch_events, batch_events_first)),
      rows_(around.metrics.counter("weir_store_rows_total", "Events that a store has written to a database.", {{"store", name_}})),
      transactions_(around.metrics.counter("weir_store_transactions_total", "Transactions that a store has committed.", {{"store", name_}})),
      dead_(around.metrics.counter("weir_store_dead_letters_total", "Events that the other side refused; they are in the stream _dead/<store>.", {{"store", name_}})),
      expired_(around.metrics.counter("weir_store_expired_total", "Events older than the table's retention; not written.", {{"store", name_}})),
      seconds_(around.metrics.histogram("weir_store_transaction_seconds", "From the begin of a store's transaction to its commit.",
                                        {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}, {{"store", name_}})) {
    for (std::size_t i = 0; i < generic_; ++i) targets_.push_back(postgres_target(generic_shape(static_cast<GenericTable>(i), setup_.options.schema), {}, i));
    for (std::size_t i = 0; i < mapped.size(); ++i) targets_.push_back(postgres_target(std::move(mapped[i]), setup_.options.mapped[i].stream, generic_ + i));
    encoder_ = std::make_unique<RowEncoder>(RowEncoder::Setup{.targets = targets_, .generic = generic_, .partitions = partitions_, .retention = setup_.options.retention, .log = log_,
                                                              .clock = clock_, .origin = setup_.origin, .reads = [this](const StreamName& stream) { return reads(stream); }});
}

PostgresStore::~PostgresStore() { stop(); }

// ---- connecting

Result<void> PostgresStore::connect() {
    if (fenced_)
        return Error{"fenced", "another weir has taken over the name " + setup_.name + " in this database; give one of the two another name (of the store; `weir consume --name`), then start this one again"};
    ahead_.reset();
    PostgresConnection::Setup setup;
    setup.url = setup_.options.url.reveal();
    setup.password = setup_.options.password.reveal();
    setup.ca_file = setup_.options.tls_ca_file;
    setup.application = "weir " + name_;
    setup.timeout = setup_.options.timeout;
    setup.clock = &clock_;
    setup.is_over = [this] { return is_over(); };
    const auto opened = [&]() -> Result<void> {
        WEIR_TRY(connection_, PostgresConnection::open(setup));
        if (connection_->server_version() < 130000)
            return Error{"postgres", "the server is PostgreSQL " + std::to_string(connection_->server_version() / 10000) + "; weir needs 13 or newer"};
        WEIR_CHECK_OK(make_tables());
        WEIR_CHECK_OK(claim());
        return maintain();
    }();
    if (!opened.ok()) connection_.reset();
    if (!opened.ok() || !setup_.connected) return opened;
    std::map<StreamName, Place> newest;
    for (const auto& [stream, places] : places_) newest[stream] = places.back();
    setup_.connected(newest);
    return opened;
}

Result<void> PostgresStore::make_tables() {
    std::vector<std::string> presets;
    for (std::size_t i = 0; i < setup_.options.mapped.size(); ++i)
        if (setup_.options.mapped[i].preset == MappedPreset::incoming_users) presets.push_back(targets_[generic_ + i].shape.table);
    WEIR_TRY(const bool made, migrate_schema(*connection_, setup_.options.schema, presets));
    if (made) diag::info(label() + ": tables made in schema " + setup_.options.schema + (presets.empty() ? "" : ", and " + presets.front()));
    for (std::size_t i = generic_; i < targets_.size(); ++i) WEIR_CHECK_OK(describe_table(*connection_, targets_[i].shape, "stores." + name_ + ".mapped"));
    return ok();
}

Result<void> PostgresStore::check_owner(const PostgresConnection::Rows& rows) {
    if (setup_.shared || (rows.size() == 1 && rows[0].at(0) == setup_.owner)) return ok();
    fenced_ = true;
    return Error{"fenced", "another weir has taken over the name " + setup_.name + " in this database"};
}

// The answer to `begin_sql`. A pooler keeps our connection while the server behind it crashes, or is replaced by a standby: then what had been committed
// last without waiting for the disk is gone, and so is its position, which alone tells.
Result<void> PostgresStore::check_begun(const PostgresConnection::Rows& rows) {
    WEIR_CHECK_OK(check_owner(rows));
    if (setup_.shared || (rows.size() == 1 && rows[0].at(1) == std::to_string(stored_))) return ok();
    return taken_back();
}

Error PostgresStore::taken_back() {
    std::string what = "the database has taken back what was committed last, as after a crash; it is written again";
    diag::warn(label() + ": " + what);
    return {"connection_lost", std::move(what)};
}

Result<void> PostgresStore::claim() {
    const std::string stores = sql_name(setup_.options.schema) + ".stores", name = sql_literal(setup_.name);
    // The first time it takes the name over, whoever had it; afterwards it only looks whether it still has it.
    if (!claimed_) {
        WEIR_TRY([[maybe_unused]] const auto taken,
                 connection_->query("INSERT INTO " + stores + " AS s (store, owner, commit_number) VALUES (" + name + ", " + sql_literal(setup_.owner) +
                                    ", 0) ON CONFLICT (store) DO UPDATE SET owner = EXCLUDED.owner, taken = now()"));
        claimed_ = true;
    }
    WEIR_TRY(const auto found, connection_->query("SELECT owner, commit_number FROM " + stores + " WHERE store = " + name));
    WEIR_CHECK_OK(check_owner(found));
    WEIR_TRY(places_, stored_places());
    unflushed_ = true;  // by the connection before, for all that is known
    stored_ = found.empty() ? 0 : std::stoull(found[0].at(1).value_or("0"));
    position_ = first_commit_after(CommitNo{stored_});
    fresh_ = places_.empty() || setup_.origin;  // the latter reads from the beginning each time, without having lost anything
    return partitions_.load(*connection_);
}

Result<StreamPlaces> PostgresStore::stored_places() {
    WEIR_TRY(const auto rows, connection_->query("SELECT stream, epoch, seq, turn FROM " + sql_name(setup_.options.schema) + ".positions WHERE store = " + sql_literal(setup_.name) + " ORDER BY turn"));
    StreamPlaces places;
    for (const auto& row : rows)
        places[row.at(0).value_or("")].push_back({row.at(1).value_or(""), std::stoull(row.at(2).value_or("0")), std::stoull(row.at(3).value_or("0"))});
    return places;
}

// The number of a commit is worth something only in the log that it comes from; whether it is this one, the epochs tell. Else everything is read, and
// what the database has is left out by its place.
CommitNo PostgresStore::first_commit_after(CommitNo stored) {
    if (setup_.origin || stored > log_.head()) return {};
    for (const auto& [stream, places] : places_) {
        const auto info = log_.info(stream);
        if (!info || to_text(info->epoch) != places.back().epoch) return {};
    }
    return stored;
}

// Whether the database has what retention has removed of a stream. The commit number does not tell: it stays back while there are only ticks, and is of no use after
// a change of epoch.
bool PostgresStore::has_removed(const StreamInfo& info, const StreamPlaces& places) const {
    if (setup_.origin) return false;
    std::uint64_t written = 0;
    const auto epochs = log_.epochs(info.name);
    for (std::size_t i = 0; i < epochs.size(); ++i) {
        const Place* place = find_place(places, info.name, to_text(epochs[i].first));
        if (!place) continue;
        // What an epoch wrote beyond the begin of the next one is no longer in the log, and its numbers are given again.
        written = std::max(written, i + 1 < epochs.size() ? std::min(place->seq, epochs[i + 1].second.value - 1) : place->seq);
    }
    return info.first.value <= written + 1;
}

// ---- writing

Result<bool> PostgresStore::step() {
    hold_new_streams();
    if (!connection_) WEIR_CHECK_OK(connect());
    auto done = step_connected();
    if (done.ok()) {
        surprised_ = false;
        return done;
    }
    // What became of the transaction, the database says after the next connect.
    connection_.reset();
    ahead_.reset();
    // A server that was restarted while nothing was to be written is no failure: one new connection at once.
    if (done.error().code != "connection_lost" || std::exchange(surprised_, true)) return done;
    return step();
}

Result<bool> PostgresStore::step_connected() {
    auto before = heads();
    if (!ahead_) {
        WEIR_TRY(auto chunk, read_chunk(position_, places_));
        ahead_ = std::move(chunk);
    }
    RowChunk chunk = *std::move(ahead_);
    ahead_.reset();
    if (chunk.upto == position_) {
        note_idle(std::move(before));
        WEIR_CHECK_OK(keep_position(true));
        if (clock_.monotonic() - maintained_at_ >= maintenance_spacing) WEIR_CHECK_OK(maintain());
        return false;
    }
    note_begun(chunk.batches);
    if (!chunk.events.empty()) WEIR_CHECK_OK(write(chunk));
    position_ = chunk.upto;
    fresh_ = false;
    expired_.add(chunk.expired);
    note_done(chunk.batches);
    WEIR_CHECK_OK(keep_position(false));
    return true;
}

Result<RowChunk> PostgresStore::read_chunk(CommitNo after, const StreamPlaces& places) {
    WEIR_TRY(Next next, read_next(after, batch_events_, [&](const StreamInfo& info) { return has_removed(info, places); }));
    RowChunk chunk = encoder_->encode(std::move(next.batches), next.upto, places);
    std::size_t bytes = 0;
    for (const RowChunk::Piece& piece : chunk.pieces) bytes += piece.text.size();
    const std::size_t events = chunk.events.size(), fit = bytes == 0 ? 2 * events : events * batch_bytes_max / bytes;
    if (bytes > batch_bytes_max) batch_events_ = std::max<std::size_t>(1, fit);
    else batch_events_ = std::min<std::size_t>(setup_.options.batch_events, std::max(batch_events_, std::min(2 * events, fit)));
    return chunk;
}

// What goes on behind `chunk`, as if that had been committed. Less than a whole batch is left to grow until it has been.
void PostgresStore::read_ahead(const RowChunk& chunk) {
    if (ahead_ || behind() < chunk.events.size() + batch_events_) return;
    auto next = read_chunk(chunk.upto, chunk.places);
    if (next.ok() && next->upto != chunk.upto) ahead_ = *std::move(next);
}

// Its answer is for `check_begun`.
std::string PostgresStore::begin_sql() const {
    return "BEGIN;SET LOCAL statement_timeout=" + milliseconds(setup_.options.timeout) + ";SET LOCAL lock_timeout=" + milliseconds(setup_.options.timeout / 2) +
           ";SET CONSTRAINTS ALL IMMEDIATE;SELECT owner, commit_number FROM " + sql_name(setup_.options.schema) + ".stores WHERE store = " + sql_literal(setup_.name) + " FOR UPDATE";
}

Result<void> PostgresStore::begin() {
    WEIR_TRY(const auto begun, connection_->query(begin_sql()));
    return check_begun(begun);
}

Result<void> PostgresStore::write(RowChunk& chunk) {
    WEIR_CHECK_OK(make_partitions(chunk));
    const Duration started = clock_.monotonic();
    auto done = write_once(chunk, false);
    if (!done.ok() && done.error().code == "bad_row") {
        // A partition that somebody has dropped is no fault of the row.
        if (connection_->failure().sqlstate == "23514" && connection_->failure().text.starts_with("no partition of relation")) return done;
        ahead_.reset();
        WEIR_TRY([[maybe_unused]] const auto undone, connection_->query("ROLLBACK"));
        done = write_once(chunk, true);
        if (!done.ok() && done.error().code == "bad_row") done.error().code = "postgres";
    }
    if (!done.ok()) return done;
    transactions_.add();
    seconds_.observe(static_cast<double>((clock_.monotonic() - started).count()) / 1e6);
    rows_.add(chunk.events.size() - std::min<std::size_t>(chunk.events.size(), chunk.dead.size() + chunk.expired));
    dead_.add(chunk.dead.size());
    if (!chunk.dead.empty()) {
        last_dead_ = chunk.dead.back().reason;
        if (dead_warnings_.admit(clock_.monotonic().count()))
            diag::warn(label() + ": a row was refused: " + last_dead_ + "; it is in the stream _dead/" + name_ + ", the rest is written (" +
                       std::to_string(chunk.dead.size() - 1 + dead_warnings_.held_back) + " more)");
    }
    tell(chunk);
    return ok();
}

void PostgresStore::tell(const RowChunk& chunk) {
    if (!setup_.written) return;
    std::set<std::pair<std::uint32_t, std::uint32_t>> refused;
    for (const RowChunk::Dead& dead : chunk.dead) refused.emplace(dead.batch, dead.event);
    for (const auto& [b, e] : chunk.events) {
        if (refused.contains({b, e})) continue;
        const Batch& batch = *chunk.batches[b];
        const EventView event = batch.events[e];
        if (setup_.origin) {
            const Origin origin = setup_.origin(batch, e);
            setup_.written(event, origin.stream, origin.place.seq);
        } else {
            setup_.written(event, batch.stream, batch.seq_of(e).value);
        }
    }
}

Result<void> PostgresStore::write_once(RowChunk& chunk, bool careful) {
    const std::string schema = sql_name(setup_.options.schema), name = sql_literal(setup_.name);
    // The transaction begins with the first rows, in one round trip, unless something is to be done before.
    const bool has_rows = std::any_of(chunk.pieces.begin(), chunk.pieces.end(), [](const RowChunk::Piece& piece) { return !piece.rows.empty(); });
    std::string opening = begin_sql() + ";";
    if (careful || setup_.shared || !has_rows) {
        WEIR_CHECK_OK(begin());
        opening.clear();
    }
    if (setup_.shared) WEIR_CHECK_OK(see_what_others_wrote(chunk));
    WEIR_FAILPOINT("store.before_rows");
    for (const RowChunk::Piece& piece : chunk.pieces) {
        if (piece.rows.empty()) continue;
        if (careful) WEIR_CHECK_OK(write_carefully(chunk, piece));
        else WEIR_CHECK_OK(write_rows(targets_[piece.target], piece.text, std::exchange(opening, {}), [&] { read_ahead(chunk); }));
        WEIR_FAILPOINT("store.in_rows");
    }
    // Dead letters before the commit: then none is lost. Their ids make a repeat of them nothing.
    WEIR_CHECK_OK(bury(log_, clock_, name_, chunk, targets_));
    std::string sql, values;
    for (const auto& [stream, places] : chunk.places)
        for (const Place& place : places) {
            const Place* known = find_place(places_, stream, place.epoch);
            if (known && *known == place) continue;
            values += (values.empty() ? "(" : ",(") + name + "," + sql_literal(stream) + "," + sql_literal(place.epoch) + "," + std::to_string(place.seq) + "," + std::to_string(place.turn) + ")";
        }
    if (!values.empty())
        sql += "INSERT INTO " + schema + ".positions (store, stream, epoch, seq, turn) VALUES " + values +
               " ON CONFLICT (store, stream, epoch) DO UPDATE SET seq = EXCLUDED.seq, turn = EXCLUDED.turn;";
    sql += "UPDATE " + schema + ".stores SET commit_number = " + std::to_string(chunk.upto.value) + " WHERE store = " + name + ";COMMIT";
    // Another one follows at once and flushes this one with it. Who is told of rows is told of nothing that may be taken back, and what is taken back must lower the number.
    const bool flushed = !ahead_ || setup_.written || chunk.upto.value <= stored_ || clock_.monotonic() - kept_at_ >= position_spacing;
    if (!flushed) sql.insert(0, "SET LOCAL synchronous_commit=off;");
    WEIR_FAILPOINT("store.before_commit");
    WEIR_CHECK_OK(connection_->send(sql));
    WEIR_FAILPOINT("store.in_commit");
    read_ahead(chunk);
    WEIR_TRY([[maybe_unused]] const auto committed, connection_->receive());
    WEIR_FAILPOINT("store.after_commit");
    unflushed_ = !flushed;
    places_ = chunk.places;
    stored_ = chunk.upto.value;
    return ok();
}

// Another member of the group may have been faster: then all of the chunk is told apart again, under the lock.
Result<void> PostgresStore::see_what_others_wrote(RowChunk& chunk) {
    WEIR_TRY(auto now, stored_places());
    for (const auto& [stream, places] : places_)
        for (const Place& place : places)
            if (const Place* there = find_place(now, stream, place.epoch); !there || there->seq < place.seq) return taken_back();
    if (now != places_) {
        places_ = std::move(now);
        ahead_.reset();
        chunk = encoder_->encode(std::move(chunk.batches), chunk.upto, places_);
    }
    return wait_for_others(chunk);
}

// Two that begin a group at one moment begin at two places. Should the later one move the group's position over what only the earlier one has, nobody would
// write that: so it waits for it. What is with nobody any more (a member that is gone, or the other weir's retention) is waited for once, and not for ever.
Result<void> PostgresStore::wait_for_others(const RowChunk& chunk) {
    std::set<std::pair<StreamName, std::string>> begun;
    for (const BatchPtr& batch : chunk.batches) {
        for (std::size_t e = 0; e < batch->events.size(); ++e) {
            const Origin origin = setup_.origin(*batch, e);
            const Place* known = find_place(places_, origin.stream, origin.place.epoch);
            if (!known || origin.place.seq <= known->seq) continue;
            if (!begun.emplace(origin.stream, origin.place.epoch).second || origin.place.seq == known->seq + 1) continue;
            const std::pair hole(origin.stream, known->seq);
            if (hole_ != hole) {
                hole_ = hole;
                hole_since_ = clock_.monotonic();
            }
            const std::string what = "group " + setup_.name + " has written stream " + origin.stream + " up to " + std::to_string(known->seq) + ", and this member has it from " +
                                     std::to_string(origin.place.seq) + " on";
            if (clock_.monotonic() - hole_since_ < others_patience) return Error{"others_first", what + ": another one has what lies between"};
            diag::warn(label() + ": " + what + ": nobody has written what lies between, and it is left out");
            hole_.reset();
            return ok();
        }
    }
    hole_.reset();
    return ok();
}

Result<void> PostgresStore::write_rows(const PostgresTarget& target, std::string_view text, const std::string& opening, const std::function<void()>& meanwhile) {
    const bool merges = !target.shape.conflict.empty();
    WEIR_TRY(const auto begun, connection_->start_copy(opening + (merges ? target.stage + ";" + target.copy_stage : target.copy)));
    if (!opening.empty()) WEIR_CHECK_OK(check_begun(begun));
    if (!merges) return connection_->copy_rows(text, meanwhile);
    WEIR_CHECK_OK(connection_->copy_rows(text));
    WEIR_CHECK_OK(connection_->send(target.merge));
    if (meanwhile) meanwhile();
    auto merged = connection_->receive();
    return merged.ok() ? ok() : Result<void>(std::move(merged).error());
}

// Several times in one transaction.
Result<void> PostgresStore::write_rows_again(const PostgresTarget& target, std::string_view text) {
    WEIR_CHECK_OK(write_rows(target, text, {}, {}));
    if (target.shape.conflict.empty()) return ok();
    auto dropped = connection_->query(target.drop_stage);
    return dropped.ok() ? ok() : Result<void>(std::move(dropped).error());
}

Result<void> PostgresStore::write_carefully(RowChunk& chunk, const RowChunk::Piece& piece) {
    std::vector<std::pair<std::size_t, std::size_t>> left{{0, piece.rows.size()}};  // the next one at the back
    while (!left.empty()) {
        const auto [first, last] = left.back();
        left.pop_back();
        const std::size_t from = first == 0 ? 0 : piece.rows[first - 1].end;
        WEIR_TRY([[maybe_unused]] const auto saved, connection_->query("SAVEPOINT weir"));
        auto done = write_rows_again(targets_[piece.target], std::string_view(piece.text).substr(from, piece.rows[last - 1].end - from));
        if (done.ok()) {
            WEIR_TRY([[maybe_unused]] const auto kept, connection_->query("RELEASE weir"));
            continue;
        }
        if (done.error().code != "bad_row") return done;
        const auto failure = connection_->failure();
        WEIR_TRY([[maybe_unused]] const auto undone, connection_->query("ROLLBACK TO weir;RELEASE weir"));
        if (last - first == 1) {
            const RowChunk::Row& row = piece.rows[first];
            chunk.dead.push_back({row.batch, row.event, piece.target, failure.text + " (SQLSTATE " + failure.sqlstate + ")"});
            continue;
        }
        // The server names the row of a COPY, mostly; it is believed when that row fails by itself.
        if (failure.line >= 1 && failure.line <= last - first) {
            const std::size_t bad = first + failure.line - 1;
            if (bad + 1 < last) left.emplace_back(bad + 1, last);
            left.emplace_back(bad, bad + 1);
            if (first < bad) left.emplace_back(first, bad);
        } else {
            const std::size_t middle = first + (last - first) / 2;
            left.emplace_back(middle, last);
            left.emplace_back(first, middle);
        }
    }
    return ok();
}

// ---- partitions

Result<void> PostgresStore::make_partitions(const RowChunk& chunk) {
    for (const auto& [table, ranges] : chunk.partitions)
        for (const auto& [from, to] : ranges) WEIR_CHECK_OK(partitions_.make(*connection_, table, from));
    return ok();
}

Result<void> PostgresStore::maintain() {
    maintained_at_ = clock_.monotonic();
    const Timestamp now = clock_.now(), next = partitions_.around(now).to;
    for (std::size_t t = 0; t < generic_; ++t) {
        WEIR_CHECK_OK(partitions_.make(*connection_, targets_[t].shape.table, now));
        WEIR_CHECK_OK(partitions_.make(*connection_, targets_[t].shape.table, next));
    }
    if (generic_ == 0 || setup_.options.retention <= Duration(0)) return ok();
    WEIR_TRY(const auto dropped, partitions_.drop_until(*connection_, now - setup_.options.retention));
    for (const std::string& name : dropped.names) diag::info(label() + ": dropped " + name + ", older than the retention of " + to_text(setup_.options.retention));
    // Somebody reads it: the next hour will do.
    if (!dropped.refused.empty() && maintenance_warnings_.admit(clock_.monotonic().count())) diag::warn(label() + ": " + dropped.refused);
    return ok();
}

// ---- the log's part

Result<void> PostgresStore::keep_position(bool now) {
    if (position_ == kept_ || (!now && (unflushed_ || clock_.monotonic() - kept_at_ < position_spacing))) return ok();
    if (unflushed_) WEIR_CHECK_OK(flush_commits());
    kept_at_ = clock_.monotonic();
    WEIR_CHECK_OK(commit_position(position_));
    kept_ = position_;
    return ok();
}

// A commit that waits for the disk takes all before it along. It has to write something, or there is nothing to wait for.
Result<void> PostgresStore::flush_commits() {
    WEIR_CHECK_OK(begin());
    WEIR_TRY([[maybe_unused]] const auto flushed, connection_->query("UPDATE " + sql_name(setup_.options.schema) + ".stores SET commit_number = commit_number WHERE store = " +
                                                                     sql_literal(setup_.name) + ";COMMIT"));
    unflushed_ = false;
    return ok();
}

void PostgresStore::ended() {
    if (connection_ && position_ != kept_)
        if (const auto kept = keep_position(true); !kept.ok()) diag::warn(label() + ": " + kept.error().message);
    connection_.reset();
}

void PostgresStore::show(JsonWriter& json) const {
    json.member("database", PostgresConnection::shown(setup_.options.url.reveal())).member("rows", rows_.value()).member("transactions", transactions_.value());
    json.member("dead_letters", dead_.value()).name("last_dead_letter");
    if (last_dead_.empty()) json.null();
    else json.value(last_dead_);
}

}  // namespace weir
