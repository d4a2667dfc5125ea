#include "log/checkpointer.h"

#include "base/diag.h"

namespace weir {

Result<std::unique_ptr<Checkpointer>> Checkpointer::start(const std::string& file, const std::string& vfs, const Clock& clock) {
    WEIR_TRY(Database database, Database::open(file, Database::Mode::read_write, vfs));
    std::unique_ptr<Checkpointer> checkpointer(new Checkpointer(std::move(database), clock));
    checkpointer->thread_ = std::thread([c = checkpointer.get()] { c->loop(); });
    return checkpointer;
}

Checkpointer::~Checkpointer() { stop(); }

bool Checkpointer::ask(int wal_pages) {
    if (left_a_rest_.exchange(false)) return true;
    if (wal_pages >= wal_pages_max) return true;
    if (wal_pages >= begin_pages && !working_.exchange(true)) (void)wake_.try_send(0);
    return false;
}

void Checkpointer::stop() {
    wake_.close();
    if (thread_.joinable()) thread_.join();
    database_.reset();
}

void Checkpointer::loop() {
    diag::RateLimiter limiter(60'000'000);
    while (!wake_.receive().empty()) {
        // Bounded: against a writer that is faster than the disk no number of rounds would do.
        int in_file = 0;
        for (int round = 0; round < 6; ++round) {
            auto done = database_->checkpoint();
            if (!done) {
                if (done.error().code != "locked" && limiter.admit(clock_.monotonic().count()))
                    diag::warn("log: checkpoint: " + done.error().message + "; what was acknowledged is in the write-ahead log, which grows meanwhile");
                break;
            }
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

}  // namespace weir
