#include "log/block_readers.h"

namespace weir {
namespace {

constexpr std::size_t connection_bytes = 256 * 1024;  // SQLite's page cache and prepared statements

}  // namespace

std::unique_ptr<BlockReader> BlockReaders::take() {
    return idle_.with([](Idle& idle) -> std::unique_ptr<BlockReader> {
        if (idle.readers.empty()) return nullptr;
        auto last = std::move(idle.readers.back());
        idle.readers.pop_back();
        idle.unused = std::min(idle.unused, idle.readers.size());
        return last;
    });
}

void BlockReaders::put_back(std::unique_ptr<BlockReader> reader) {
    idle_.with([&](Idle& idle) {
        if (idle.readers.size() < idle_max) idle.readers.push_back(std::move(reader));
    });
}

std::size_t BlockReaders::forget_unused() {
    std::vector<std::unique_ptr<BlockReader>> left;  // closed outside the lock
    idle_.with([&](Idle& idle) {
        const auto end = idle.readers.begin() + static_cast<std::ptrdiff_t>(idle.unused);
        left.assign(std::make_move_iterator(idle.readers.begin()), std::make_move_iterator(end));
        idle.readers.erase(idle.readers.begin(), end);
        idle.unused = idle.readers.size();
    });
    return left.size() * connection_bytes + cache_->forget_unused();
}

std::size_t BlockReaders::idle() const {
    return idle_.with([](const Idle& idle) { return idle.readers.size(); });
}

void BlockReaders::close() {
    idle_.with([](Idle& idle) { idle = {}; });
}

}  // namespace weir
