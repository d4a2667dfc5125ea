#include "log/writer.h"

#include "base/assert.h"
#include "base/diag.h"
#include "base/failpoint.h"

namespace weir {
namespace {

// What a commit may hold whatever a block's size is: feeds and clients split by it, and do not know how blocks are configured. A block is
// larger than `log.block_bytes` where one commit is.
constexpr std::size_t commit_bytes_max = 512U << 10;
// A reader's output of one input cannot be split (decisions.md 3).
constexpr std::size_t reader_commit_bytes_max = 16U << 20;
// Fresh blocks are compressed at a level that costs less than the writing it saves (bench/log_append_bench: level 1 halves the
// rate of texts that hardly shrink); the keeper does it better once they are older.
constexpr int fresh_level = -5;
constexpr std::size_t fresh_compressed_from_bytes = 2048;

std::size_t raw_size_of(const Commit& commit) {
    std::size_t bytes = 0;
    for (const auto& append : commit.appends) bytes += weir::raw_size_of(append.events, append.notes);
    return bytes;
}

}  // namespace

Writer::Writer(Database database, Setup setup, Tail& tail, Guarded<Catalog>& catalog, std::shared_ptr<Guarded<Listeners>> listeners)
    : database_(std::move(database)),
      setup_(std::move(setup)),
      tail_(tail),
      catalog_(catalog),
      listeners_(std::move(listeners)),
      mailbox_(setup_.options.queue_bytes),
      log_(setup_.log),
      next_body_(setup_.next_body),
      commits_(setup_.metrics->counter("weir_log_commits_total", "Commits that became true.")),
      events_(setup_.metrics->counter("weir_log_events_total", "Events that were given a seq.")),
      duplicates_(setup_.metrics->counter("weir_log_duplicates_total", "Events whose id was there already.")),
      failures_(setup_.metrics->counter("weir_log_failures_total", "Groups of commits that could not be written.")),
      commit_seconds_(setup_.metrics->histogram("weir_log_commit_seconds", "Time to write one group of commits, the disk included.",
                                                {0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1})) {
    queue_gauge_ = setup_.metrics->computed(Metrics::Kind::gauge, "weir_log_queue_bytes", "Bytes of events that wait for the writer.", {},
                                            [this] { return static_cast<double>(mailbox_.used()); });
}

Result<std::unique_ptr<Writer>> Writer::start(Database database, Setup setup, Tail& tail, Guarded<Catalog>& catalog,
                                              std::shared_ptr<Guarded<Listeners>> listeners) {
    std::unique_ptr<Writer> writer(new Writer(std::move(database), std::move(setup), tail, catalog, std::move(listeners)));
    Database& file = writer->database_;
    WEIR_TRY(writer->checkpointer_, Checkpointer::start(file.file(), writer->setup_.vfs, *writer->setup_.clock, *writer->setup_.metrics));
    file.checkpoint_by_hand();
    WEIR_TRY(writer->rows_, BlockRows::prepare(file));
    WEIR_TRY(writer->streams_table_, StreamRows::prepare(file));
    WEIR_TRY(writer->begin_, file.prepare("BEGIN IMMEDIATE"));
    WEIR_TRY(writer->commit_, file.prepare("COMMIT"));
    WEIR_TRY(writer->rollback_, file.prepare("ROLLBACK"));
    WEIR_TRY(writer->put_log_, file.prepare("UPDATE log SET head_commit=?1, head_time=?2"));
    WEIR_TRY(writer->put_epoch_, file.prepare("INSERT INTO stream_epoch (stream, epoch, first_seq) VALUES (?1, ?2, 1)"));
    WEIR_TRY(writer->put_position_, file.prepare("INSERT INTO reader VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET position=?2"));
    WEIR_TRY(writer->put_state_, file.prepare("INSERT OR REPLACE INTO state VALUES (?1, ?2, ?3)"));
    WEIR_TRY(writer->remove_state_, file.prepare("DELETE FROM state WHERE reader=?1 AND key=?2"));
    WEIR_TRY(auto positions, file.prepare("SELECT name, position FROM reader"));
    for (;;) {
        WEIR_TRY(const bool more, positions.step());
        if (!more) break;
        writer->positions_[std::string(positions.text(0))] = CommitNo{static_cast<std::uint64_t>(positions.integer(1))};
    }
    for (auto& row : writer->setup_.streams) {
        writer->add_stream(row).stored = true;
    }
    writer->thread_ = std::thread([w = writer.get()] { w->loop(); });
    return writer;
}

Writer::~Writer() { stop(); }

void Writer::submit(Commit commit, Log::Done done) {
    const std::size_t cost = raw_size_of(commit) + 64;
    Request request{std::move(commit), std::move(done), {}, {}};
    if (!mailbox_.send(std::move(request), cost)) request.done(Error{"closed", "the log is closed; nothing was appended"});
}

bool Writer::try_submit(Commit& commit, Log::Done& done) {
    const std::size_t cost = raw_size_of(commit) + 64;
    Request request{std::move(commit), std::move(done), {}, {}};
    if (mailbox_.try_send(std::move(request), cost)) return true;
    // The mailbox left it untouched: it goes back to its owner.
    commit = std::move(request.commit);
    done = std::move(request.done);
    return false;
}

Result<void> Writer::run(std::function<Result<void>(Writer&)> task) {
    // Shared: the writer's thread may still be inside `try_send` when this one has its answer and returns.
    const auto answer = std::make_shared<Mailbox<Result<void>>>(1);
    Request request;
    request.task = std::move(task);
    request.task_done = [answer](Result<void> result) { (void)answer->try_send(std::move(result)); };
    if (!mailbox_.send(std::move(request), 64)) return Error{"closed", "the log is closed"};
    return std::move(answer->receive().front());
}

void Writer::stop() {
    if (!thread_.joinable()) return;
    mailbox_.close();
    thread_.join();
    checkpointer_->stop();
    // From here on everything is on disk, also under `process`: a later start of the machine need not doubt it.
    log_.clean = true;
    Result<void> closed = database_.run("PRAGMA synchronous=FULL");
    if (closed) closed = write_log_row(database_, log_);
    if (closed) closed = database_.run("PRAGMA wal_checkpoint(TRUNCATE)");
    if (!closed) diag::warn("the log was not closed in order: " + closed.error().message);
}

StreamRow* Writer::stream(std::uint32_t number) {
    const auto found = by_number_.find(number);
    return found != by_number_.end() && found->second->stored ? &found->second->row : nullptr;
}

Writer::Stream& Writer::stream_named(const StreamName& name) {
    if (const auto known = streams_.find(name); known != streams_.end()) return *known->second;
    StreamRow row;
    row.number = last_number() + 1;
    row.name = name;
    return add_stream(std::move(row));
}

Writer::Stream& Writer::add_stream(StreamRow row) {
    auto& stream = streams_[row.name];
    WEIR_ASSERT(!stream);
    stream.reset(new Stream{std::move(row), false, false, Dedupe(setup_.options.dedupe_horizon, setup_.options.dedupe_ids)});
    const bool is_new = by_number_.emplace(stream->row.number, stream.get()).second;
    WEIR_ASSERT(is_new);
    return *stream;
}

void Writer::forget_streams_after(std::uint32_t number) {
    while (last_number() > number) {
        const auto last = std::prev(by_number_.end());
        WEIR_ASSERT(!last->second->stored);
        streams_.erase(streams_.find(last->second->row.name));
        by_number_.erase(last);
    }
}

void Writer::loop() {
    while (true) {
        std::vector<Request> requests = mailbox_.receive();
        if (requests.empty()) return;  // closed, and everything done
        // Tasks keep their place in the order of requests.
        std::vector<Request> group;
        for (auto& request : requests) {
            if (!request.task) {
                group.push_back(std::move(request));
                continue;
            }
            write_group(group);
            group.clear();
            run_task(request);
        }
        write_group(group);
        checkpointer_->after_commit(database_);
    }
}

void Writer::run_task(Request& request) {
    std::vector<StreamRow> before;
    for (const auto& [number, stream] : by_number_) before.push_back(stream->row);
    Result<void> result = begin_.run();
    if (result) {
        result = request.task(*this);
        if (result) result = commit_.run();
        if (!result && !database_.is_idle()) (void)rollback_.run().ok();
    }
    if (result) {
        std::vector<Stream*> stored;
        for (const auto& [number, stream] : by_number_)
            if (stream->stored) stored.push_back(stream);
        publish_info(stored);
    } else {
        for (StreamRow& row : before) {
            Stream& stream = *by_number_.find(row.number)->second;
            stream.row = std::move(row);
        }
    }
    request.task_done(std::move(result));
}

void Writer::write_group(std::vector<Request>& requests) {
    if (requests.empty()) return;
    const Duration began = setup_.clock->monotonic();
    const LogRow log_before = log_;
    const std::uint32_t last_before = last_number();
    std::map<Stream*, Staged> staged;
    std::vector<BatchPtr> batches;
    std::vector<Result<Committed>> answers;
    answers.reserve(requests.size());
    Moved moved;
    const Timestamp now = setup_.clock->now();
    bool something = false;
    for (auto& request : requests) {
        answers.push_back(stage(request.commit, now, staged, batches, moved));
        something = something || answers.back().ok();
    }
    if (something) {
        Result<void> stored = store(staged, requests, answers);
        if (!stored) {
            failures_.add();
            for (auto& [stream, part] : staged) {
                stream->dedupe.undo(part.ids_added);
                stream->row = part.before;
            }
            staged.clear();
            forget_streams_after(last_before);
            log_ = log_before;
            for (auto reader = moved.rbegin(); reader != moved.rend(); ++reader) positions_[reader->first] = reader->second;
            batches.clear();
            for (auto& answer : answers)
                if (answer) answer = stored.error();
        } else {
            WEIR_FAILPOINT("log.after_commit");
            std::vector<Stream*> touched;
            std::uint64_t events = 0;
            for (auto& [stream, part] : staged) {
                stream->stored = true;
                touched.push_back(stream);
            }
            for (const auto& batch : batches) events += batch->events.size();
            events_.add(events);
            publish_info(touched);
            tail_.publish(batches, log_.head);
            listeners_->with([&](Listeners& listeners) {
                for (auto& [id, call] : listeners.calls) call(log_.head);
            });
        }
    }
    commit_seconds_.observe(std::chrono::duration<double>(setup_.clock->monotonic() - began).count());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (answers[i]) commits_.add();
        if (requests[i].done) requests[i].done(std::move(answers[i]));
    }
}

Result<Committed> Writer::stage(Commit& commit, Timestamp now, std::map<Stream*, Staged>& staged, std::vector<BatchPtr>& batches,
                                Moved& moved) {
    // Everything is checked before anything is changed: a refused commit leaves no trace in its group.
    for (const auto& append : commit.appends) {
        if (!is_stream_name(append.stream))
            return Error{"bad_stream_name", "\"" + append.stream.substr(0, 140) + "\" is not a stream's name; allowed: 1 to 128 of A-Z a-z 0-9 . _ - /"};
        for (const EventView event : append.events)
            if (event.id.empty()) return Error{"bad_event", "stream " + append.stream + ": an event without an id; nothing of its commit was appended"};
    }
    const std::size_t bytes = raw_size_of(commit), bytes_max = commit.reader.empty() ? commit_bytes_max : reader_commit_bytes_max;
    if (bytes > bytes_max)
        return Error{"too_large", "a commit of " + std::to_string(bytes) + " bytes; allowed: " + std::to_string(bytes_max) + ". Split it"};
    if (commit.expected_position) {
        const auto known = positions_.find(commit.reader);
        const CommitNo there = known != positions_.end() ? known->second : CommitNo{};
        if (there != *commit.expected_position)
            return Error{"stale_position", "reader " + commit.reader + " is at commit " + std::to_string(there.value) + ", not at " +
                                               std::to_string(commit.expected_position->value) + " as its commit expects; nothing of it was appended"};
    }
    std::vector<Stream*> streams;
    const std::uint32_t last_before = last_number();
    for (const auto& append : commit.appends) {
        Stream& stream = stream_named(append.stream);
        if (!stream.ids_read) {
            if (auto read = read_ids(stream); !read) {
                forget_streams_after(last_before);
                return std::move(read).error();
            }
        }
        streams.push_back(&stream);
    }

    if (commit.position && !commit.reader.empty()) {
        CommitNo& at = positions_[commit.reader];
        moved.emplace_back(commit.reader, at);
        at = *commit.position;
    }

    Committed committed;
    committed.commit = log_.head = CommitNo{log_.head.value + 1};
    committed.time = log_.head_time = std::max(log_.head_time, commit.at.value_or(now));
    const std::size_t first_batch = batches.size();
    for (std::size_t i = 0; i < commit.appends.size(); ++i)
        committed.appended.push_back(stage_append(commit.appends[i], *streams[i], staged, committed.commit, committed.time, batches));
    // Within a commit readers get streams in the order in which they came into being, from the tail as from disk.
    std::stable_sort(batches.begin() + static_cast<std::ptrdiff_t>(first_batch), batches.end(),
                     [&](const BatchPtr& a, const BatchPtr& b) { return streams_.find(a->stream)->second->row.number < streams_.find(b->stream)->second->row.number; });
    return committed;
}

Appended Writer::stage_append(Append& append, Stream& stream, std::map<Stream*, Staged>& staged, CommitNo commit, Timestamp time,
                              std::vector<BatchPtr>& batches) {
    Staged& part = staged.try_emplace(&stream, Staged{&stream, stream.row, {}, 0}).first->second;
    // At each commit, not at each group: which repeats are known must not depend on how commits happened to be grouped.
    stream.dedupe.expire(time);

    Appended appended{append.stream, setup_.epoch, {}, 0};
    appended.seqs.reserve(append.events.size());
    auto batch = std::make_shared<Batch>();
    batch->stream = append.stream;
    batch->epoch = setup_.epoch;
    batch->first_seq = stream.row.head + 1;
    batch->commit = commit;
    batch->commit_time = time;
    batch->notes = std::move(append.notes);
    std::vector<bool> repeated;  // filled from the first repeat on
    Seq next = batch->first_seq;
    for (std::size_t i = 0; i < append.events.size(); ++i) {
        const EventView event = append.events[i];
        const auto id = Dedupe::fingerprint(event.id);
        if (const auto known = stream.dedupe.find(id)) {
            appended.seqs.push_back(*known);
            ++appended.duplicates;
            repeated.resize(append.events.size());
            repeated[i] = true;
            auto& notes = batch->notes.duplicates;
            const auto same = std::find_if(notes.begin(), notes.end(), [&](const Notes::Duplicate& d) { return d.key == event.key && d.time == event.time; });
            if (same == notes.end())
                notes.push_back({std::string(event.key), event.time, 1});
            else
                ++same->count;
            continue;
        }
        stream.dedupe.add(id, next, time);
        ++part.ids_added;
        appended.seqs.push_back(next);
        next = next + 1;
    }
    if (repeated.empty()) {
        batch->events = std::move(append.events);
    } else {
        for (std::size_t i = 0; i < append.events.size(); ++i)
            if (!repeated[i]) batch->events.add(append.events[i]);
    }
    duplicates_.add(appended.duplicates);
    stream.row.head = Seq{next.value - 1};
    stream.row.last_commit = commit;

    // A commit that names a stream twice is still one batch of it.
    if (!part.batches.empty() && part.batches.back()->commit == commit) {
        auto joined = std::make_shared<Batch>(*part.batches.back());
        for (const EventView event : batch->events) joined->events.add(event);
        const auto append_all = [](auto& to, auto& from) { to.insert(to.end(), from.begin(), from.end()); };
        append_all(joined->notes.rejected, batch->notes.rejected);
        append_all(joined->notes.duplicates, batch->notes.duplicates);
        append_all(joined->notes.feed_states, batch->notes.feed_states);
        append_all(joined->notes.intervals, batch->notes.intervals);
        std::replace(batches.begin(), batches.end(), part.batches.back(), BatchPtr(joined));
        part.batches.back() = std::move(joined);
    } else {
        part.batches.push_back(batch);
        batches.push_back(std::move(batch));
    }
    return appended;
}

Result<void> Writer::store(std::map<Stream*, Staged>& staged, const std::vector<Request>& requests, const std::vector<Result<Committed>>& answers) {
    const auto write = [&]() -> Result<void> {
        WEIR_CHECK_OK(begin_.run());
        for (auto& [stream, part] : staged) WEIR_CHECK_OK(store_stream(part));
        for (std::size_t i = 0; i < requests.size(); ++i) {
            const Commit& commit = requests[i].commit;
            if (!answers[i] || commit.reader.empty()) continue;
            if (commit.position) WEIR_CHECK_OK(put_position_.bind(1, commit.reader).bind(2, commit.position->value).run());
            for (const auto& put : commit.state) {
                Statement& s = put.value ? put_state_ : remove_state_;
                s.bind(1, commit.reader).bind(2, put.key);
                if (put.value) s.bind_blob(3, *put.value);
                WEIR_CHECK_OK(s.run());
            }
        }
        WEIR_CHECK_OK(put_log_.bind(1, log_.head.value).bind(2, log_.head_time.micros()).run());
        WEIR_FAILPOINT("log.before_commit");
        return commit_.run();
    };
    Result<void> result = write();
    if (!result && !database_.is_idle()) (void)rollback_.run().ok();
    return result;
}

Result<void> Writer::store_stream(Staged& part) {
    Stream& stream = *part.stream;
    if (!stream.stored)
        WEIR_CHECK_OK(put_epoch_.bind(1, std::int64_t{stream.row.number}).bind(2, std::int64_t{setup_.epoch_number}).run());
    std::size_t begin = 0;
    while (begin < part.batches.size()) {
        std::size_t end = begin, bytes = 0;
        while (end < part.batches.size()) {
            const std::size_t more = weir::raw_size_of(part.batches[end]->events, part.batches[end]->notes);
            if (end > begin && bytes + more > setup_.options.block_bytes) break;
            bytes += more;
            ++end;
        }
        const Block block = encode_block(stream.row.number, setup_.epoch_number, std::span(part.batches).subspan(begin, end - begin),
                                         bytes >= fresh_compressed_from_bytes ? fresh_level : 0);
        WEIR_CHECK_OK(rows_->insert(block, next_body()));
        const BlockHeader& h = block.header;
        stream.row.bytes += h.stored_bytes + block_row_bytes;
        if (h.count > 0) {
            stream.row.min_time = std::min(stream.row.min_time.value_or(h.min_time), h.min_time);
            stream.row.max_time = std::max(stream.row.max_time.value_or(h.max_time), h.max_time);
        }
        begin = end;
    }
    return streams_table_->put(stream.row);
}

// The fingerprints are not stored: the ids are in the blocks, and reading back one horizon of them when a stream is first
// appended to takes milliseconds (docs/decisions/0001-no-stored-fingerprints.md).
Result<void> Writer::read_ids(Stream& stream) {
    if (stream.stored) {
        struct Id {
            Dedupe::Fingerprint id;
            Seq seq;
            Timestamp committed;
        };
        std::vector<Id> newest_first;
        const Timestamp horizon = log_.head_time - setup_.options.dedupe_horizon;
        WEIR_TRY(auto row, rows_->before(stream.row.number, CommitNo{stream.row.last_commit.value + 1}));
        while (row && row->header.last_commit_time >= horizon && newest_first.size() < setup_.options.dedupe_ids) {
            WEIR_TRY(const std::string body, rows_->body(*row));
            WEIR_TRY(const BlockIds ids, decode_ids(row->header, body));
            for (std::size_t i = ids.ids.size(); i-- > 0 && ids.commit_times[i] >= horizon && newest_first.size() < setup_.options.dedupe_ids;)
                newest_first.push_back({Dedupe::fingerprint(ids.ids[i]), row->header.first_seq + i, ids.commit_times[i]});
            WEIR_TRY(row, rows_->before(stream.row.number, row->header.last_commit));
        }
        // No id stands in this part of the log twice, or the second would have been taken for a repeat.
        for (auto id = newest_first.rbegin(); id != newest_first.rend(); ++id) stream.dedupe.add(id->id, id->seq, id->committed);
    }
    stream.ids_read = true;
    return ok();
}

void Writer::publish_info(const std::vector<Stream*>& streams) {
    catalog_.with([&](Catalog& catalog) {
        for (const Stream* stream : streams) {
            const StreamRow& row = stream->row;
            Catalog::Entry& entry = catalog.streams[row.name];
            if (entry.epochs.empty()) entry.epochs.emplace_back(setup_.epoch, Seq{1});
            entry.info = info_of(row, setup_.epoch);
        }
    });
}

}  // namespace weir
