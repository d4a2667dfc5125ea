#include "gateway/reader_pool.h"

namespace weir {

ReaderPool::ReaderPool(std::size_t threads, std::size_t waiting_max) {
    for (std::size_t i = 0; i < threads; ++i) {
        auto worker = std::make_unique<Worker>(std::max<std::size_t>(1, waiting_max / threads));
        worker->thread = std::thread([this, w = worker.get()] {
            for (;;) {
                auto tasks = w->mailbox.receive();
                if (tasks.empty()) return;  // closed
                for (auto& task : tasks) {
                    if (!stopping_.load(std::memory_order_relaxed)) task();
                    task = nullptr;
                    w->load.fetch_sub(1, std::memory_order_relaxed);
                }
            }
        });
        workers_.push_back(std::move(worker));
    }
}

bool ReaderPool::submit(Task task) {
    Worker* best = workers_.front().get();
    for (const auto& worker : workers_)
        if (worker->load.load(std::memory_order_relaxed) < best->load.load(std::memory_order_relaxed)) best = worker.get();
    if (best->load.load(std::memory_order_relaxed) >= best->mailbox.capacity()) return false;
    best->load.fetch_add(1, std::memory_order_relaxed);
    if (best->mailbox.try_send(std::move(task))) return true;
    best->load.fetch_sub(1, std::memory_order_relaxed);
    return false;
}

std::size_t ReaderPool::waiting() const {
    std::size_t sum = 0;
    for (const auto& worker : workers_) sum += worker->load.load(std::memory_order_relaxed);
    return sum;
}

void ReaderPool::stop() {
    stopping_.store(true, std::memory_order_relaxed);
    for (const auto& worker : workers_) worker->mailbox.close();
    for (const auto& worker : workers_)
        if (worker->thread.joinable()) worker->thread.join();
}

}  // namespace weir
