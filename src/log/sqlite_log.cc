#include "log/sqlite_log.h"

#include <fstream>
#include <random>

#include "base/assert.h"
#include "base/diag.h"
#include "base/prng.h"
#include "log/block_readers.h"
#include "log/folder_lock.h"
#include "log/keeper.h"
#include "log/tail.h"
#include "log/writer.h"

namespace weir {
namespace {

std::string boot_id_of_kernel() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

Epoch draw_epoch(std::uint64_t seed) {
    if (seed == 0) seed = (std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}();
    return {Prng(seed).next()};
}

}  // namespace

struct SqliteLog::Parts {
    Setup setup;
    std::optional<FolderLock> lock;
    std::unique_ptr<Metrics> own_metrics;
    std::vector<Epoch> epochs;
    Guarded<Catalog> catalog;
    std::shared_ptr<Guarded<Listeners>> listeners = std::make_shared<Guarded<Listeners>>();
    std::optional<Tail> tail;
    std::shared_ptr<BlockReaders> readers;
    Metrics::Handle tail_gauge;
    std::unique_ptr<Writer> writer;
    Guarded<Holds> holds;
    std::unique_ptr<Keeper> keeper;

    Result<void> open_files();
};

Result<void> SqliteLog::Parts::open_files() {
    const LogOptions& options = setup.options;
    WEIR_TRY(lock, FolderLock::take(options.path));
    WEIR_TRY(Database database, open_for_writing(options.path, options.durability, setup.vfs));
    WEIR_TRY(LogRow row, read_log_row(database));
    WEIR_TRY(epochs, read_epochs(database));

    const std::string boot_id = setup.boot_id.empty() ? boot_id_of_kernel() : setup.boot_id;
    // Under `process` what was acknowledged last may have been lost with the machine: old positions must not be trusted.
    const bool lost = !row.clean && row.process_durability && row.boot_id != boot_id;
    if (lost) diag::warn("log folder " + options.path + ": the machine restarted without a clean stop under durability `process`; a new epoch begins");
    WEIR_CHECK_OK(database.run("BEGIN IMMEDIATE"));
    if (epochs.empty() || lost) {
        WEIR_CHECK_OK(begin_epoch(database, draw_epoch(setup.epoch_seed)));
        WEIR_TRY(epochs, read_epochs(database));
    }
    const bool was_unsynced = !row.clean && row.process_durability;
    row.boot_id = boot_id;
    row.clean = false;
    row.process_durability = options.durability == Durability::process;
    WEIR_CHECK_OK(write_log_row(database, row));
    WEIR_CHECK_OK(database.run("COMMIT"));
    // What a killed process left unsynced becomes part of the file before `full` builds on it.
    if (was_unsynced && !row.process_durability) WEIR_CHECK_OK(database.run("PRAGMA wal_checkpoint(FULL)"));

    WEIR_TRY(StreamRows stream_rows, StreamRows::prepare(database));
    WEIR_TRY(auto streams, stream_rows.all());
    std::map<StreamName, Seq, std::less<>> next_seqs;
    WEIR_TRY(Statement stream_epochs, database.prepare("SELECT epoch, first_seq FROM stream_epoch WHERE stream=?1 ORDER BY epoch"));
    for (const auto& stream : streams) {
        next_seqs[stream.name] = stream.head + 1;
        Catalog::Entry entry;
        entry.info = info_of(stream, epochs.back());
        Use s(stream_epochs);
        s->bind(1, std::int64_t{stream.number});
        while (true) {
            WEIR_TRY(const bool there, s->step());
            if (!there) break;
            const std::uint64_t number = s->number(0);
            if (number == 0 || number > epochs.size()) return Error{"damaged", "stream " + stream.name + " names an epoch that is not there"};
            entry.epochs.emplace_back(epochs[number - 1], Seq{s->number(1)});
        }
        catalog.with([&](Catalog& c) { c.streams.emplace(stream.name, std::move(entry)); });
    }
    WEIR_TRY(const auto last_body, database.integer("SELECT max(id) FROM body"));
    stream_rows = {};
    stream_epochs = {};

    if (!setup.metrics) setup.metrics = (own_metrics = std::make_unique<Metrics>()).get();
    tail.emplace(options.tail_bytes, row.head, std::move(next_seqs));
    readers = std::make_shared<BlockReaders>(options.path, setup.vfs, epochs, options.tail_bytes);
    tail_gauge = setup.metrics->computed(Metrics::Kind::gauge, "weir_log_tail_bytes", "Memory of the batches that readers near the head are served from.",
                                         {}, [this] { return static_cast<double>(tail->bytes()); });
    Writer::Setup writer_setup{options, setup.vfs, setup.clock, setup.metrics, row, static_cast<std::uint32_t>(epochs.size()), epochs.back(), std::move(streams),
                               last_body.value_or(0) + 1};
    WEIR_TRY(writer, Writer::start(std::move(database), std::move(writer_setup), *tail, catalog, listeners));
    WEIR_TRY(auto keeper_reader, BlockReader::open(options.path, setup.vfs, epochs, nullptr));
    keeper = std::make_unique<Keeper>(Keeper::Setup{options, setup.streams, setup.clock, setup.metrics, readers, setup.keep_every}, *writer,
                                      std::move(keeper_reader), holds);
    return ok();
}

SqliteLog::SqliteLog(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<SqliteLog>> SqliteLog::open(Setup setup) {
    WEIR_ASSERT(setup.clock != nullptr);
    auto parts = std::make_unique<Parts>();
    parts->setup = std::move(setup);
    WEIR_CHECK_OK(parts->open_files());
    return std::unique_ptr<SqliteLog>(new SqliteLog(std::move(parts)));
}

SqliteLog::~SqliteLog() { stop(); }

void SqliteLog::stop() {
    parts_->keeper->stop();
    // Idle readers first: an open connection would keep the writer's last checkpoint from emptying the WAL.
    parts_->readers->close();
    parts_->writer->stop();
}

Result<void> SqliteLog::keep() { return parts_->keeper->run_once(); }

void SqliteLog::submit(Commit commit, Done done) { parts_->writer->submit(std::move(commit), std::move(done)); }
bool SqliteLog::try_submit(Commit& commit, Done done) { return parts_->writer->try_submit(commit, done); }

Result<std::vector<BatchPtr>> SqliteLog::read(std::string_view stream, Seq from, std::size_t events_max) {
    if (auto found = parts_->tail->read(stream, from, events_max)) return *std::move(found);
    return parts_->readers->lend([&](BlockReader& reader) { return reader.read(stream, from, events_max); });
}

Result<std::vector<BatchPtr>> SqliteLog::read_before(std::string_view stream, Seq before, std::size_t events_max) {
    if (auto found = parts_->tail->read_before(stream, before, events_max)) return *std::move(found);
    return parts_->readers->lend([&](BlockReader& reader) { return reader.read_before(stream, before, events_max); });
}

Result<std::vector<BatchPtr>> SqliteLog::read_commits(const std::vector<StreamName>& streams, CommitNo after, std::size_t events_max) {
    if (auto found = parts_->tail->read_commits(streams, after, events_max)) return *std::move(found);
    return parts_->readers->lend([&](BlockReader& reader) { return reader.read_commits(streams, after, events_max); });
}

bool SqliteLog::in_tail(CommitNo after) { return parts_->tail->covers(after); }

Result<Log::Found> SqliteLog::find(std::string_view stream, const TimeRange& range) {
    return parts_->readers->lend([&](BlockReader& reader) { return reader.find(stream, range); });
}

Result<Seq> SqliteLog::seq_at(std::string_view stream, Timestamp t) {
    return parts_->readers->lend([&](BlockReader& reader) { return reader.seq_at(stream, t); });
}

std::vector<StreamInfo> SqliteLog::streams() {
    return parts_->catalog.with([](const Catalog& catalog) {
        std::vector<StreamInfo> infos;
        for (const auto& [name, entry] : catalog.streams) infos.push_back(entry.info);
        return infos;
    });
}

std::optional<StreamInfo> SqliteLog::info(std::string_view stream) {
    return parts_->catalog.with([&](const Catalog& catalog) -> std::optional<StreamInfo> {
        const auto it = catalog.streams.find(stream);
        if (it == catalog.streams.end()) return std::nullopt;
        return it->second.info;
    });
}

CommitNo SqliteLog::head() { return parts_->tail->head(); }

std::vector<std::pair<Epoch, Seq>> SqliteLog::epochs(std::string_view stream) {
    return parts_->catalog.with([&](const Catalog& catalog) {
        const auto it = catalog.streams.find(stream);
        return it == catalog.streams.end() ? std::vector<std::pair<Epoch, Seq>>() : it->second.epochs;
    });
}

void SqliteLog::hold_for(std::string_view reader, std::vector<StreamName> streams, std::string_view state_key) {
    parts_->holds.with([&](Holds& holds) {
        if (streams.empty())
            holds.erase(std::string(reader));
        else
            holds.insert_or_assign(std::string(reader), Hold{std::move(streams), std::string(state_key)});
    });
}
Result<std::optional<CommitNo>> SqliteLog::position(std::string_view reader) {
    return parts_->readers->lend([&](BlockReader& r) { return r.position(reader); });
}
Result<std::vector<std::pair<std::string, std::string>>> SqliteLog::state(std::string_view reader) {
    return parts_->readers->lend([&](BlockReader& r) { return r.state(reader); });
}

std::unique_ptr<Log::Wake> SqliteLog::on_commit(std::function<void(CommitNo)> wake) {
    class Handle final : public Wake {
    public:
        Handle(std::shared_ptr<Guarded<Listeners>> listeners, std::uint64_t id) : listeners_(std::move(listeners)), id_(id) {}
        ~Handle() override {
            listeners_->with([&](Listeners& listeners) { listeners.calls.erase(id_); });
        }

    private:
        std::shared_ptr<Guarded<Listeners>> listeners_;
        std::uint64_t id_;
    };
    const std::uint64_t id = parts_->listeners->with([&](Listeners& listeners) {
        listeners.calls.emplace(listeners.next_id, std::move(wake));
        return listeners.next_id++;
    });
    return std::make_unique<Handle>(parts_->listeners, id);
}

}  // namespace weir
