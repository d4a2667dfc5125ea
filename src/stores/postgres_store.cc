#include "stores/postgres_store.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"
#include "base/failpoint.h"
#include "stores/copy_row.h"

namespace weir {
namespace {

constexpr Duration position_spacing = 1s;       // the log need not know at once: only retention waits for it
constexpr Duration maintenance_spacing = 1h;
constexpr Duration partitions_ahead = 400 * 24h;  // forecasts lie ahead; a time further away is a mistake of the source
constexpr std::size_t partitions_max = 5000;    // of a table: a source that sends all times there are fills no catalog
constexpr std::size_t dead_data_bytes = 128 * 1024;

std::string columns_of(const TableShape& shape) {
    std::string list;
    for (const ColumnSource& column : shape.columns) list += (list.empty() ? "" : ", ") + sql_name(column.column);
    return list;
}

bool contains(const std::vector<std::string>& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); }

std::string milliseconds(Duration d) { return std::to_string(std::max<std::int64_t>(1, d.count() / 1000)); }

std::vector<StreamName> streams_of(const StoreOptions& options) {
    // Only mapped tables: only their streams.
    std::vector<StreamName> streams = options.streams;
    const bool all = options.tables || std::any_of(options.mapped.begin(), options.mapped.end(), [](const MappedTable& m) { return m.stream.empty(); });
    if (all && streams.empty()) return streams;
    for (const MappedTable& mapped : options.mapped)
        if (!mapped.stream.empty() && !contains(streams, mapped.stream)) streams.push_back(mapped.stream);
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
      rows_(around.metrics.counter("weir_store_rows_total", "Events that a store has written to a database.", {{"store", name_}})),
      transactions_(around.metrics.counter("weir_store_transactions_total", "Transactions that a store has committed.", {{"store", name_}})),
      dead_(around.metrics.counter("weir_store_dead_letters_total", "Rows that a database refused; they are in the stream _dead/<store>.", {{"store", name_}})),
      expired_(around.metrics.counter("weir_store_expired_total", "Events older than the table's retention; not written.", {{"store", name_}})),
      seconds_(around.metrics.histogram("weir_store_transaction_seconds", "From the begin of a store's transaction to its commit.",
                                        {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}, {{"store", name_}})) {
    if (setup_.options.tables)
        for (std::size_t i = 0; i < generic_table_count; ++i)
            targets_.push_back({.shape = generic_shape(static_cast<GenericTable>(i), setup_.options.schema), .stream = {}, .copy = {}, .stage = {}, .copy_stage = {}, .merge = {}, .drop_stage = {}});
    generic_ = targets_.size();
    for (std::size_t i = 0; i < mapped.size(); ++i)
        targets_.push_back({.shape = std::move(mapped[i]), .stream = setup_.options.mapped[i].stream, .copy = {}, .stage = {}, .copy_stage = {}, .merge = {}, .drop_stage = {}});
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        Target& target = targets_[i];
        const TableShape& shape = target.shape;
        const std::string table = sql_table(shape.table), list = columns_of(shape);
        target.copy = "COPY " + table + " (" + list + ") FROM STDIN";
        if (shape.conflict.empty()) continue;
        // A temporary table with the columns' types and without constraints; the number of the row tells which of two of one key came last.
        const std::string stage = "pg_temp." + sql_name("weir_rows_" + std::to_string(i));
        target.stage = "CREATE TEMP TABLE " + stage.substr(8) + " ON COMMIT DROP AS SELECT " + list + ", 0::bigint AS weir_row FROM " + table + " WITH NO DATA";
        target.copy_stage = "COPY " + stage + " (" + list + ", weir_row) FROM STDIN";
        std::string key, updates, selected;
        for (const std::string& column : shape.conflict) key += (key.empty() ? "" : ", ") + sql_name(column);
        for (const ColumnSource& column : shape.columns) {
            const std::string name = sql_name(column.column);
            const bool kept = contains(shape.keep, column.column);
            // Of a kept column the first row's value counts, as it would if the rows came one by one.
            selected += (selected.empty() ? "" : ", ") + (kept ? "first_value(" + name + ") OVER (PARTITION BY " + key + " ORDER BY weir_row)" : name);
            if (!kept && !contains(shape.conflict, column.column)) updates += (updates.empty() ? "" : ", ") + name + " = EXCLUDED." + name;
        }
        target.merge = "INSERT INTO " + table + " (" + list + ") SELECT DISTINCT ON (" + key + ") " + selected + " FROM " + stage + " ORDER BY " + key +
                       ", weir_row DESC ON CONFLICT (" + key + ") DO " + (updates.empty() ? "NOTHING" : "UPDATE SET " + updates);
        target.drop_stage = "DROP TABLE " + stage;
    }
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
        WEIR_CHECK_OK(migrate());
        WEIR_CHECK_OK(describe_targets());
        WEIR_CHECK_OK(claim());
        return maintain();
    }();
    if (!opened.ok()) connection_.reset();
    else if (setup_.connected) setup_.connected(places_);
    return opened;
}

Result<void> PostgresStore::migrate() {
    const std::string schema = sql_name(setup_.options.schema), versions = schema + ".migrations";
    const auto steps = migrations(setup_.options.schema);
    const auto version = [&]() -> Result<std::size_t> {
        WEIR_TRY(const auto known, connection_->query("SELECT to_regclass(" + sql_literal(versions) + ") IS NOT NULL"));
        if (known.at(0).at(0) != "t") return std::size_t{0};
        WEIR_TRY(const auto found, connection_->query("SELECT coalesce(max(version), 0) FROM " + versions));
        return static_cast<std::size_t>(std::stoull(found.at(0).at(0).value_or("0")));
    };
    std::vector<std::string> presets;
    const auto find_presets = [&]() -> Result<void> {
        presets.clear();
        for (std::size_t i = 0; i < setup_.options.mapped.size(); ++i) {
            if (setup_.options.mapped[i].preset != MappedPreset::incoming_users) continue;
            const std::string& table = targets_[generic_ + i].shape.table;
            WEIR_TRY(const auto known, connection_->query("SELECT to_regclass(" + sql_literal(sql_table(table)) + ") IS NOT NULL"));
            if (known.at(0).at(0) != "t") presets.push_back(table);
        }
        return ok();
    };
    WEIR_TRY(std::size_t at, version());
    WEIR_CHECK_OK(find_presets());
    if (at > steps.size())
        return Error{"newer_schema", "schema " + setup_.options.schema + " has version " + std::to_string(at) + ", this weir knows " + std::to_string(steps.size()) + "; run a newer weir"};
    if (at == steps.size() && presets.empty()) return ok();
    // One at a time: who waited looks again.
    const auto changed = [&]() -> Result<void> {
        WEIR_TRY([[maybe_unused]] const auto begun, connection_->query("BEGIN;SELECT pg_advisory_xact_lock(hashtext(" + sql_literal("weir " + setup_.options.schema) + "))"));
        WEIR_TRY(const auto there, connection_->query("SELECT to_regnamespace(" + sql_literal(schema) + ") IS NOT NULL"));
        if (there.at(0).at(0) != "t") {
            WEIR_TRY([[maybe_unused]] const auto made, connection_->query("CREATE SCHEMA " + schema));
        }
        WEIR_TRY([[maybe_unused]] const auto table, connection_->query("CREATE TABLE IF NOT EXISTS " + versions + " (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"));
        WEIR_TRY(at, version());
        for (; at < steps.size(); ++at) {
            WEIR_TRY([[maybe_unused]] const auto step, connection_->query(steps[at] + "INSERT INTO " + versions + " (version) VALUES (" + std::to_string(at + 1) + ")"));
        }
        WEIR_CHECK_OK(find_presets());
        for (const std::string& preset : presets) {
            WEIR_TRY([[maybe_unused]] const auto made, connection_->query(create_incoming_users(preset)));
        }
        WEIR_TRY([[maybe_unused]] const auto committed, connection_->query("COMMIT"));
        return ok();
    }();
    if (changed.ok()) diag::info(label() + ": tables made in schema " + setup_.options.schema + (presets.empty() ? "" : ", and " + presets.front()));
    return changed;
}

Result<void> PostgresStore::describe_targets() {
    for (std::size_t i = generic_; i < targets_.size(); ++i) {
        TableShape& shape = targets_[i].shape;
        WEIR_TRY(const auto columns, connection_->query("SELECT attname, atttypid::regtype::text, attnotnull AND NOT atthasdef AND attidentity = '' FROM pg_attribute WHERE attrelid = to_regclass(" +
                                                        sql_literal(sql_table(shape.table)) + ") AND attnum > 0 AND NOT attisdropped"));
        if (columns.empty()) return Error{"no_table", "table " + shape.table + " does not exist; create it, or correct stores." + name_ + ".mapped table"};
        std::map<std::string, std::string> types;
        for (const auto& row : columns) types[row.at(0).value_or("")] = row.at(1).value_or("");
        for (ColumnSource& column : shape.columns) {
            const auto found = types.find(column.column);
            if (found == types.end()) return Error{"no_table", "table " + shape.table + " has no column " + column.column + "; add it, or correct the mapping"};
            if (column.part == ColumnSource::Part::pointer) column.kind = found->second == "jsonb" || found->second == "json" ? ColumnSource::Kind::json : ColumnSource::Kind::any;
        }
        for (const auto& row : columns) {
            const std::string name = row.at(0).value_or("");
            const bool mapped = std::any_of(shape.columns.begin(), shape.columns.end(), [&](const ColumnSource& c) { return c.column == name; });
            if (row.at(2) == "t" && !mapped)
                return Error{"no_table", "column " + name + " of table " + shape.table + " is NOT NULL, has no default and nothing is mapped to it; every row would be refused"};
        }
    }
    return ok();
}

Result<void> PostgresStore::check_owner(const PostgresConnection::Rows& rows) const {
    if (setup_.shared || (rows.size() == 1 && rows[0].at(0) == setup_.owner)) return ok();
    return Error{"fenced", "another weir has taken over the name " + setup_.name + " in this database"};
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
    if (auto mine = check_owner(found); !mine.ok()) {
        fenced_ = true;
        return mine;
    }
    places_.clear();
    WEIR_TRY(const auto places, connection_->query("SELECT stream, epoch, seq FROM " + sql_name(setup_.options.schema) + ".positions WHERE store = " + name));
    for (const auto& row : places) places_[row.at(0).value_or("")] = {row.at(1).value_or(""), std::stoull(row.at(2).value_or("0"))};
    position_ = first_commit_after(CommitNo{found.empty() ? 0 : std::stoull(found[0].at(1).value_or("0"))});
    fresh_ = places_.empty() || setup_.origin;  // the latter reads from the beginning each time, without having lost anything

    partitions_.clear();
    WEIR_TRY(const auto partitions, connection_->query("SELECT parent, extract(epoch FROM starts)::bigint, extract(epoch FROM ends)::bigint FROM " + sql_name(setup_.options.schema) +
                                                       ".partitions WHERE to_regclass(" + sql_literal(sql_name(setup_.options.schema) + ".") + " || quote_ident(name)) IS NOT NULL"));
    for (const auto& row : partitions)
        partitions_[row.at(0).value_or("")][Timestamp::from_seconds(std::stoll(row.at(1).value_or("0")))] = Timestamp::from_seconds(std::stoll(row.at(2).value_or("0")));
    return ok();
}

// The number of a commit is worth something only in the log that it comes from; whether it is this one, the epochs tell. Else everything is read, and
// what the database has is left out by its place.
CommitNo PostgresStore::first_commit_after(CommitNo stored) {
    if (setup_.origin || stored > log_.head()) return {};
    for (const auto& [stream, place] : places_) {
        const auto info = log_.info(stream);
        if (!info || to_text(info->epoch) != place.epoch) return {};
    }
    return stored;
}

// ---- encoding

Result<PostgresStore::Chunk> PostgresStore::read_chunk(CommitNo after) {
    Chunk chunk;
    WEIR_TRY(chunk.next, read_next(after, setup_.options.batch_events));
    chunk.places = places_;
    chunk.pieces.resize(targets_.size());
    for (std::size_t i = 0; i < targets_.size(); ++i) chunk.pieces[i].target = i;
    for (std::size_t b = 0; b < chunk.next.batches.size(); ++b)
        if (reads(chunk.next.batches[b]->stream)) encode(chunk, b);
    return chunk;
}

void PostgresStore::encode(Chunk& chunk, std::size_t b) {
    const Batch& batch = *chunk.next.batches[b];
    if (batch.events.empty()) return;
    const std::string epoch = to_text(batch.epoch);
    // What the database has of this stream already.
    Seq done{0};
    if (!setup_.origin) {
        if (const auto place = chunk.places.find(batch.stream); place != chunk.places.end()) {
            if (place->second.epoch == epoch) {
                done = Seq{place->second.seq};
            } else {
                std::size_t mine = 0, its = 0, n = 0;
                for (const auto& [known, first] : log_.epochs(batch.stream)) {
                    ++n;
                    if (known == batch.epoch) mine = n;
                    if (to_text(known) == place->second.epoch) its = n;
                }
                // An older incarnation than the one that the database has seen: it has all of it that there will be.
                if (its > mine) done = batch.seq_of(batch.events.size());
            }
        }
    }
    const Timestamp oldest = setup_.options.retention > Duration(0) ? clock_.now() - setup_.options.retention : Timestamp::min();
    for (std::size_t e = 0; e < batch.events.size(); ++e) {
        const EventView event = batch.events[e];
        RowOrigin origin{batch.stream, epoch, batch.seq_of(e)};
        std::optional<Origin> foreign;
        if (setup_.origin) {
            foreign = setup_.origin(batch, e);
            origin = {foreign->stream, foreign->place.epoch, Seq{foreign->place.seq}};
            const auto place = chunk.places.find(foreign->stream);
            if (place != chunk.places.end() && place->second.epoch == foreign->place.epoch && foreign->place.seq <= place->second.seq) continue;
        } else if (origin.seq <= done) {
            continue;
        }
        chunk.places[StreamName(origin.stream)] = {std::string(origin.epoch), origin.seq.value};
        const auto bi = static_cast<std::uint32_t>(b), ei = static_cast<std::uint32_t>(e);
        chunk.events.emplace_back(bi, ei);
        if (generic_ > 0) {
            if (event.time < oldest) ++chunk.expired;
            else encode(chunk, static_cast<std::size_t>(generic_table_of(event.type)), bi, ei, origin);
        }
        for (std::size_t t = generic_; t < targets_.size(); ++t)
            if (targets_[t].stream == batch.stream || targets_[t].stream.empty()) encode(chunk, t, bi, ei, origin);
    }
}

void PostgresStore::encode(Chunk& chunk, std::size_t t, std::uint32_t b, std::uint32_t e, const RowOrigin& origin) {
    const EventView event = chunk.next.batches[b]->events[e];
    const TableShape& shape = targets_[t].shape;
    if (shape.partitioned) {
        const auto covered = [&](const std::map<Timestamp, Timestamp>& ranges) {
            auto after = ranges.upper_bound(event.time);
            return after != ranges.begin() && event.time < (--after)->second;
        };
        const auto& there = partitions_[shape.table];
        auto& wanted = chunk.partitions[shape.table];
        if (!covered(there) && !covered(wanted)) {
            const bool strange = event.time < Timestamp() || event.time > clock_.now() + partitions_ahead;
            if (strange || there.size() + wanted.size() >= partitions_max) {
                chunk.dead.push_back({b, e, t, strange ? "time " + to_rfc3339(event.time) + " is before 1970 or more than 400 days ahead" : "table " + shape.table + " has as many partitions as it may"});
                return;
            }
            const PartitionRange range = partition_around(event.time, setup_.options.partition);
            wanted[range.from] = range.to;
        }
    }
    Piece& piece = chunk.pieces[t];
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
        WEIR_TRY(auto chunk, read_chunk(position_));
        ahead_ = std::move(chunk);
    }
    Chunk chunk = *std::move(ahead_);
    ahead_.reset();
    if (chunk.next.upto == position_) {
        note_idle(std::move(before));
        WEIR_CHECK_OK(keep_position(true));
        if (clock_.monotonic() - maintained_at_ >= maintenance_spacing) WEIR_CHECK_OK(maintain());
        return false;
    }
    note_begun(chunk.next.batches);
    if (!chunk.events.empty()) WEIR_CHECK_OK(write(chunk));
    position_ = chunk.next.upto;
    fresh_ = false;
    expired_.add(chunk.expired);
    note_done(chunk.next.batches);
    WEIR_CHECK_OK(keep_position(false));
    return true;
}

Result<void> PostgresStore::begin() {
    const std::string schema = sql_name(setup_.options.schema), timeout = milliseconds(setup_.options.timeout);
    const std::string sql = "BEGIN;SET LOCAL statement_timeout=" + timeout + ";SET LOCAL lock_timeout=" + milliseconds(setup_.options.timeout / 2) +
                            ";SET CONSTRAINTS ALL IMMEDIATE;SELECT owner FROM " + schema + ".stores WHERE store = " + sql_literal(setup_.name) + " FOR UPDATE";
    auto owner = connection_->query(sql);
    if (!owner.ok()) return std::move(owner).error();
    if (auto mine = check_owner(*owner); !mine.ok()) {
        fenced_ = true;
        return mine;
    }
    return ok();
}

Result<void> PostgresStore::write(Chunk& chunk) {
    WEIR_CHECK_OK(make_partitions(chunk));
    const Duration started = clock_.monotonic();
    auto done = write_once(chunk, false);
    if (!done.ok() && done.error().code == "bad_row") {
        // A partition that somebody has dropped is no fault of the row.
        if (connection_->failure().sqlstate == "23514" && connection_->failure().text.starts_with("no partition of relation")) return done;
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
    if (setup_.written) {
        std::set<std::pair<std::uint32_t, std::uint32_t>> refused;
        for (const Dead& dead : chunk.dead) refused.emplace(dead.batch, dead.event);
        for (const auto& [b, e] : chunk.events) {
            if (refused.contains({b, e})) continue;
            const Batch& batch = *chunk.next.batches[b];
            const EventView event = batch.events[e];
            if (setup_.origin) {
                const Origin origin = setup_.origin(batch, e);
                setup_.written(event, origin.stream, origin.place.seq);
            } else {
                setup_.written(event, batch.stream, batch.seq_of(e).value);
            }
        }
    }
    return ok();
}

Result<void> PostgresStore::write_once(Chunk& chunk, bool careful) {
    WEIR_CHECK_OK(begin());
    const std::string schema = sql_name(setup_.options.schema), name = sql_literal(setup_.name);
    if (setup_.shared) {
        // Another member may have been faster: then all of this is told apart again, under the lock.
        WEIR_TRY(const auto rows, connection_->query("SELECT stream, epoch, seq FROM " + schema + ".positions WHERE store = " + name));
        std::map<StreamName, Place> now;
        for (const auto& row : rows) now[row.at(0).value_or("")] = {row.at(1).value_or(""), std::stoull(row.at(2).value_or("0"))};
        bool moved = now.size() != places_.size();
        for (const auto& [stream, place] : now) {
            const auto known = places_.find(stream);
            moved = moved || known == places_.end() || known->second.epoch != place.epoch || known->second.seq != place.seq;
        }
        if (moved) {
            places_ = std::move(now);
            Chunk again;
            again.next = std::move(chunk.next);
            again.places = places_;
            again.pieces.resize(targets_.size());
            for (std::size_t i = 0; i < targets_.size(); ++i) again.pieces[i].target = i;
            for (std::size_t b = 0; b < again.next.batches.size(); ++b)
                if (reads(again.next.batches[b]->stream)) encode(again, b);
            chunk = std::move(again);
        }
    }
    WEIR_FAILPOINT("store.before_rows");
    for (const Piece& piece : chunk.pieces) {
        if (piece.rows.empty()) continue;
        if (careful) WEIR_CHECK_OK(write_carefully(chunk, piece));
        else WEIR_CHECK_OK(write_rows(targets_[piece.target], piece.text, false));
        WEIR_FAILPOINT("store.in_rows");
    }
    // Dead letters before the commit: then none is lost. Their ids make a repeat of them nothing.
    WEIR_CHECK_OK(bury(chunk));
    std::string sql, values;
    for (const auto& [stream, place] : chunk.places) {
        const auto known = places_.find(stream);
        if (known != places_.end() && known->second.epoch == place.epoch && known->second.seq == place.seq) continue;
        values += (values.empty() ? "(" : ",(") + name + "," + sql_literal(stream) + "," + sql_literal(place.epoch) + "," + std::to_string(place.seq) + ")";
    }
    if (!values.empty())
        sql += "INSERT INTO " + schema + ".positions (store, stream, epoch, seq) VALUES " + values +
               " ON CONFLICT (store, stream) DO UPDATE SET epoch = EXCLUDED.epoch, seq = EXCLUDED.seq;";
    sql += "UPDATE " + schema + ".stores SET commit_number = " + std::to_string(setup_.origin ? 0 : chunk.next.upto.value) + " WHERE store = " + name + ";COMMIT";
    WEIR_FAILPOINT("store.before_commit");
    WEIR_CHECK_OK(connection_->send(sql));
    WEIR_FAILPOINT("store.in_commit");
    const auto places_before = std::exchange(places_, chunk.places);
    auto ahead = read_chunk(chunk.next.upto);
    const auto committed = connection_->receive();
    if (!committed.ok()) {
        places_ = places_before;
        return committed.error();
    }
    WEIR_FAILPOINT("store.after_commit");
    if (ahead.ok()) ahead_ = *std::move(ahead);
    return ok();
}

Result<void> PostgresStore::write_rows(const Target& target, std::string_view text, bool careful) {
    if (target.shape.conflict.empty()) return connection_->copy(target.copy, text);
    WEIR_TRY([[maybe_unused]] const auto staged, connection_->query(target.stage));
    WEIR_CHECK_OK(connection_->copy(target.copy_stage, text));
    WEIR_TRY([[maybe_unused]] const auto merged, connection_->query(careful ? target.merge + ";" + target.drop_stage : target.merge));
    return ok();
}

Result<void> PostgresStore::write_carefully(Chunk& chunk, const Piece& piece) {
    std::vector<std::pair<std::size_t, std::size_t>> left{{0, piece.rows.size()}};  // the next one at the back
    while (!left.empty()) {
        const auto [first, last] = left.back();
        left.pop_back();
        const std::size_t from = first == 0 ? 0 : piece.rows[first - 1].end;
        WEIR_TRY([[maybe_unused]] const auto saved, connection_->query("SAVEPOINT weir"));
        auto done = write_rows(targets_[piece.target], std::string_view(piece.text).substr(from, piece.rows[last - 1].end - from), true);
        if (done.ok()) {
            WEIR_TRY([[maybe_unused]] const auto kept, connection_->query("RELEASE weir"));
            continue;
        }
        if (done.error().code != "bad_row") return done;
        const auto failure = connection_->failure();
        WEIR_TRY([[maybe_unused]] const auto undone, connection_->query("ROLLBACK TO weir;RELEASE weir"));
        if (last - first == 1) {
            const Row& row = piece.rows[first];
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

Result<void> PostgresStore::bury(const Chunk& chunk) {
    if (chunk.dead.empty()) return ok();
    Commit commit;
    commit.appends.push_back({"_dead/" + name_, {}, {}});
    std::size_t bytes = 0;
    const auto flush = [&]() -> Result<void> {
        WEIR_TRY([[maybe_unused]] const auto committed, log_.commit(std::move(commit)));
        commit = {};
        commit.appends.push_back({"_dead/" + name_, {}, {}});
        bytes = 0;
        return ok();
    };
    for (const Dead& dead : chunk.dead) {
        const Batch& batch = *chunk.next.batches[dead.batch];
        const EventView event = batch.events[dead.event];
        std::string data;
        JsonWriter json(data);
        json.object().member("store", name_).member("table", targets_[dead.target].shape.table).member("reason", dead.reason);
        json.member("stream", batch.stream).member("epoch", to_text(batch.epoch)).member("seq", batch.seq_of(dead.event).value);
        json.member("id", event.id).member("type", event.type).member("key", event.key).member("time", event.time).name("data");
        // A larger one is still in its stream.
        if (event.data.size() <= dead_data_bytes) json.raw(event.data);
        else json.null();
        json.end();
        std::string id = targets_[dead.target].shape.table + "/" + batch.stream + "/" + to_text(batch.epoch) + "/" + std::to_string(batch.seq_of(dead.event).value);
        if (id.size() > 255) id.erase(0, id.size() - 255);
        const std::string source = "store/" + name_;
        EventView letter;
        letter.id = id;
        letter.type = "dead_letter";
        letter.key = batch.stream;
        letter.source = std::string_view(source).substr(0, 255);
        letter.data = data;
        letter.time = event.time;
        letter.ingested = clock_.now();
        if (bytes > 0 && bytes + data.size() > 256 * 1024) WEIR_CHECK_OK(flush());
        bytes += data.size();
        commit.appends.back().events.add(letter);
    }
    return flush();
}

// ---- partitions

Result<void> PostgresStore::make_partitions(const Chunk& chunk) {
    for (const auto& [table, ranges] : chunk.partitions)
        for (const auto& [from, to] : ranges) WEIR_CHECK_OK(make_partition(table, from));
    return ok();
}

Result<void> PostgresStore::make_partition(const std::string& table, Timestamp moment) {
    auto& there = partitions_[table];
    PartitionRange range = partition_around(moment, setup_.options.partition);
    // Where months became days, or days months: what is left between the neighbours.
    const auto after = there.upper_bound(moment);
    if (after != there.end()) range.to = std::min(range.to, after->first);
    if (after != there.begin()) {
        const auto before = std::prev(after);
        if (moment < before->second) return ok();
        range.from = std::max(range.from, before->second);
    }
    const std::string schema = sql_name(setup_.options.schema), name = partition_name(table, range);
    const auto bound = [](Timestamp t) { return sql_literal(to_rfc3339_short(t)); };
    const auto made = connection_->query(
        "BEGIN;SET LOCAL lock_timeout=" + milliseconds(setup_.options.timeout / 2) + ";SELECT pg_advisory_xact_lock(hashtext(" + sql_literal("weir " + setup_.options.schema) +
        "));CREATE TABLE IF NOT EXISTS " + schema + "." + sql_name(name) + " PARTITION OF " + sql_table(table) + " FOR VALUES FROM (" + bound(range.from) + ") TO (" + bound(range.to) +
        ");INSERT INTO " + schema + ".partitions (parent, name, starts, ends) VALUES (" + sql_literal(table) + "," + sql_literal(name) + "," + bound(range.from) + "," + bound(range.to) +
        ") ON CONFLICT DO NOTHING;COMMIT");
    if (!made.ok()) return made.error();
    there[range.from] = range.to;
    return ok();
}

Result<void> PostgresStore::maintain() {
    maintained_at_ = clock_.monotonic();
    if (generic_ == 0) return ok();
    const Timestamp now = clock_.now();
    const Timestamp next = partition_around(now, setup_.options.partition).to;
    for (std::size_t t = 0; t < generic_; ++t) {
        WEIR_CHECK_OK(make_partition(targets_[t].shape.table, now));
        WEIR_CHECK_OK(make_partition(targets_[t].shape.table, next));
    }
    if (setup_.options.retention <= Duration(0)) return ok();
    const std::string schema = sql_name(setup_.options.schema);
    for (auto& [table, ranges] : partitions_) {
        while (!ranges.empty() && ranges.begin()->second <= now - setup_.options.retention) {
            const PartitionRange range{ranges.begin()->first, ranges.begin()->second};
            const auto dropped = connection_->query("BEGIN;SET LOCAL lock_timeout=" + milliseconds(setup_.options.timeout / 2) + ";DROP TABLE IF EXISTS " + schema + "." +
                                                    sql_name(partition_name(table, range)) + ";DELETE FROM " + schema + ".partitions WHERE parent = " + sql_literal(table) +
                                                    " AND starts = " + sql_literal(to_rfc3339_short(range.from)) + ";COMMIT");
            if (!dropped.ok()) {
                // Somebody reads it: the next hour will do. The transaction is ended by the new connection.
                if (maintenance_warnings_.admit(clock_.monotonic().count()))
                    diag::warn(label() + ": partition " + partition_name(table, range) + " is too old but could not be dropped: " + dropped.error().message);
                auto ended = connection_->query("ROLLBACK");
                return ended.ok() ? ok() : Result<void>(std::move(ended).error());
            }
            ranges.erase(ranges.begin());
            diag::info(label() + ": dropped " + partition_name(table, range) + ", older than the retention of " + to_text(setup_.options.retention));
        }
    }
    return ok();
}

// ---- the log's part

std::vector<StreamName> PostgresStore::held() const {
    std::vector<StreamName> streams;
    for (const auto& [stream, head] : heads()) streams.push_back(stream);
    return streams_.empty() ? streams : streams_;
}

void PostgresStore::hold_new_streams() {
    if (!streams_.empty()) return;
    auto holding = held();
    if (holding == holding_) return;
    log_.hold_for(reader_, holding);
    holding_ = std::move(holding);
}

Result<void> PostgresStore::keep_position(bool now) {
    if (position_ == kept_ || (!now && clock_.monotonic() - kept_at_ < position_spacing)) return ok();
    kept_at_ = clock_.monotonic();
    WEIR_CHECK_OK(commit_position(position_));
    kept_ = position_;
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
