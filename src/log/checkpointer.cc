#include "log/checkpointer.h"

#include "base/failpoint.h"

namespace weir {

Checkpointer::Checkpointer(Database database, const Clock& clock, Metrics& metrics)
    : database_(std::move(database)),
      clock_(clock),
      by_thread_(metrics.counter("weir_log_checkpoints_total", "Checkpoints of the write-ahead log, by who did them.", {{"by", "checkpointer"}})),
      by_writer_(metrics.counter("weir_log_checkpoints_total", "Checkpoints of the write-ahead log, by who did them.", {{"by", "writer"}})),
      failures_(metrics.counter("weir_log_checkpoint_failures_total", "Checkpoints of the write-ahead log that failed; nothing is lost with them.")),
      wake_(1) {}

Result<std::unique_ptr<Checkpointer>> Checkpointer::start(const std::string& file, const std::string& vfs, const Clock& clock, Metrics& metrics) {
    WEIR_TRY(Database database, Database::open(file, Database::Mode::read_write, vfs));
    WEIR_CHECK_OK(database.integer("SELECT id FROM log"));  // so that it knows the write-ahead log
    std::unique_ptr<Checkpointer> checkpointer(new Checkpointer(std::move(database), clock, metrics));
    checkpointer->thread_ = std::thread([c = checkpointer.get()] { c->loop(); });
    return checkpointer;
}

Checkpointer::~Checkpointer() { stop(); }

void Checkpointer::after_commit(Database& writer) {
    const int pages = writer.wal_pages();
    if (is_writers_turn(pages))
        (void)checkpoint(writer, by_writer_);
    else if (pages >= begin_pages && !working_.exchange(true))
        (void)wake_.try_send(0);
}

bool Checkpointer::is_writers_turn(int wal_pages) { return left_a_rest_.exchange(false) || wal_pages >= wal_pages_max; }

void Checkpointer::stop() {
    wake_.close();
    if (thread_.joinable()) thread_.join();
    database_.reset();
}

void Checkpointer::loop() {
    while (!wake_.receive().empty()) {
        // Bounded: against a writer that is faster than the disk no number of rounds would do.
        int in_file = 0;
        for (int round = 0; round < 6; ++round) {
            const auto done = checkpoint(*database_, by_thread_);
            if (!done) break;
            const bool is_held_back = done->in_file < done->pages;  // by a reader that still needs the file as it is
            const bool is_rest = done->pages - in_file <= rest_pages;
            in_file = done->in_file;
            if (is_held_back) break;
            if (!is_rest) continue;
            left_a_rest_ = true;
            break;
        }
        working_ = false;
    }
}

std::optional<Database::Checkpoint> Checkpointer::checkpoint(Database& database, Metrics::Counter& count) {
    WEIR_FAILPOINT("log.before_checkpoint");
    auto done = one_at_a_time_.with([&](bool&) { return database.checkpoint(); });
    if (done) {
        WEIR_FAILPOINT("log.after_checkpoint");
        count.add();
        return *done;
    }
    if (done.error().code == "locked") return std::nullopt;
    failures_.add();
    if (limiter_.with([&](diag::RateLimiter& limiter) { return limiter.admit(clock_.monotonic().count()); }))
        diag::warn("log: checkpoint: " + done.error().message + "; what was acknowledged is in the write-ahead log, which grows meanwhile");
    return std::nullopt;
}

}  // namespace weir
