#pragma once
#include <pthread.h>
#include <signal.h>

#include <initializer_list>

#include "base/time.h"

namespace weir {

/// Blocks some signals in this thread and those it starts, and takes them one by one where it is convenient. SIGPIPE is
/// ignored: a peer that is gone is an error of the write. Make it before the first thread. Thread: main.
class SignalWait {
public:
    explicit SignalWait(std::initializer_list<int> signals) {
        sigemptyset(&set_);
        for (const int signal : signals) sigaddset(&set_, signal);
        pthread_sigmask(SIG_BLOCK, &set_, nullptr);
        ::signal(SIGPIPE, SIG_IGN);
    }
    /// Whether one of them came before `patience` was over.
    bool wait_for(Duration patience) {
        const timespec time{patience.count() / 1'000'000, patience.count() % 1'000'000 * 1000};
        return sigtimedwait(&set_, nullptr, &time) > 0;
    }
    int wait() {
        int taken = 0;
        while (sigwait(&set_, &taken) != 0) {
        }
        return taken;
    }

private:
    sigset_t set_;
};

}  // namespace weir
