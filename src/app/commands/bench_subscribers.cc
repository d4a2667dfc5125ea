#include "app/commands/bench_subscribers.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <new>

#include "app/commands/bench_server.h"
#include "base/assert.h"
#include "net/reactor.h"
#include "net/websocket_client.h"

namespace weir {
namespace {

constexpr std::uint32_t connecting_max = 128;  // at once, of one process: the accept queue of a busy server is not what is measured

enum class Phase : std::uint32_t { waiting, connecting, finishing };

constexpr std::string_view event_head = "{\"due_us\":";

// `text` begins with what a subscriber got: {"due_us":1234,…,"stream_sequence":56,"server_timestamp":"…"}. False for the welcome.
bool read_event(std::string_view text, std::int64_t& due, std::uint64_t& seq) {
    constexpr std::string_view name = "\"stream_sequence\":";
    if (!text.starts_with(event_head)) return false;
    std::from_chars(text.data() + event_head.size(), text.data() + text.size(), due);
    const auto at = text.rfind(name);
    if (at == std::string_view::npos) return false;
    const std::size_t from = text.find_first_not_of(' ', at + name.size());
    return from != std::string_view::npos && std::from_chars(text.data() + from, text.data() + text.size(), seq).ec == std::errc();
}

}  // namespace

struct BenchSubscribers::Shared {
    std::atomic<Phase> phase{Phase::waiting};
    std::atomic<std::uint64_t> last{0};
    std::uint64_t first = 0;
    char url[1024] = {}, token[1024] = {};
    SubscriberTally tallies[1];  // one for each process
};

BenchSubscribers::BenchSubscribers(const SubscriberOptions& options)
    : options_(options), shared_bytes_(sizeof(Shared) + options.processes * sizeof(SubscriberTally)) {
    void* memory = ::mmap(nullptr, shared_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    WEIR_ASSERT(memory != MAP_FAILED);
    shared_ = new (memory) Shared;
    for (std::uint32_t i = 1; i < options.processes; ++i) new (&shared_->tallies[i]) SubscriberTally;
    std::fflush(stdout);
    const pid_t parent = ::getpid();
    for (std::uint32_t i = 0; i < options.processes; ++i) {
        const pid_t pid = ::fork();
        WEIR_ASSERT(pid >= 0);
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() == parent) run(i);
            ::_exit(0);
        }
        processes_.push_back(pid);
    }
}

BenchSubscribers::~BenchSubscribers() {
    for (const pid_t pid : processes_) {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
    ::munmap(shared_, shared_bytes_);
}

void BenchSubscribers::connect(const std::string& url, const std::string& token, std::uint64_t first) {
    std::snprintf(shared_->url, sizeof shared_->url, "%s", url.c_str());
    std::snprintf(shared_->token, sizeof shared_->token, "%s", token.c_str());
    shared_->first = first;
    shared_->phase.store(Phase::connecting, std::memory_order_release);
}

void BenchSubscribers::finish(std::uint64_t last) {
    shared_->last.store(last, std::memory_order_relaxed);
    shared_->phase.store(Phase::finishing, std::memory_order_release);
    for (std::size_t i = 0; i < processes_.size(); ++i) {
        ::waitpid(processes_[i], nullptr, 0);
        const SubscriberTally& one = shared_->tallies[i];
        total_.opened += one.opened;
        total_.failed += one.failed;
        total_.lost += one.lost;
        total_.slow_lost += one.slow_lost;
        total_.delivered += one.delivered;
        total_.missing += one.missing;
        total_.duplicates += one.duplicates;
        total_.latency.add(one.latency);
        if (total_.problem[0] == 0) std::snprintf(total_.problem, sizeof total_.problem, "%s", one.problem);
    }
    processes_.clear();
}

double BenchSubscribers::cpu_ns() const {
    double all = 0;
    for (const pid_t pid : processes_) all += process_cpu_ns(pid);
    return all;
}

std::uint32_t BenchSubscribers::opened() const {
    std::uint32_t all = 0;
    for (std::size_t i = 0; i < processes_.size(); ++i) all += shared_->tallies[i].opened.load(std::memory_order_relaxed);
    return all;
}

std::uint32_t BenchSubscribers::failed() const {
    std::uint32_t all = 0;
    for (std::size_t i = 0; i < processes_.size(); ++i) all += shared_->tallies[i].failed.load(std::memory_order_relaxed);
    return all;
}

std::uint64_t BenchSubscribers::delivered() const {
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < processes_.size(); ++i) all += shared_->tallies[i].delivered.load(std::memory_order_relaxed);
    return all;
}

// In the child: connects, counts, and leaves when it is told to.
void BenchSubscribers::run(std::uint32_t process) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::signal(SIGPIPE, SIG_IGN);
    Shared& shared = *shared_;
    SubscriberTally& tally = shared.tallies[process];
    while (shared.phase.load(std::memory_order_acquire) == Phase::waiting) ::usleep(2'000);

    enum class Reads : std::uint8_t { all, slowly, nothing };
    struct Subscriber {
        std::unique_ptr<net::WebSocketClient> client;
        std::uint64_t next;       ///< number that it waits for
        Reads reads = Reads::all;
        std::uint64_t read = 0;   ///< messages, of one that reads slowly
    };
    const SystemClock clock;
    net::Reactor reactor(clock);
    // Each process has its share of all three.
    const auto share = [&](std::uint32_t of) { return of / options_.processes + (process < of % options_.processes ? 1 : 0); };
    const std::uint32_t stalled = share(options_.stalled), slow = share(options_.slow), connections = share(options_.good()) + stalled + slow;
    std::vector<Subscriber> subscribers(connections);
    for (std::uint32_t i = 0; i < stalled + slow; ++i) subscribers[i].reads = i < stalled ? Reads::nothing : Reads::slowly;
    std::uint32_t begun = 0;
    std::function<void()> begin_another;
    const auto note = [&](const std::string& problem) {
        if (tally.problem[0] == 0) std::snprintf(tally.problem, sizeof tally.problem, "%s", problem.c_str());
    };
    const auto begin = [&](Subscriber& subscriber) {
        subscriber.next = shared.first;
        net::WebSocketClientOptions options;
        options.url = shared.url;
        options.connect_timeout = 60s;
        options.ping_interval = Duration(0);
        options.deflate = options_.deflate;
        if (options_.sources > 1) {
            const std::uint32_t source = 1 + (process + begun * options_.processes) % options_.sources;
            options.local_address = "127.0." + std::to_string(source >> 8) + "." + std::to_string(source & 255);
        }
        if (shared.token[0] != 0) options.headers.emplace_back("Authorization", std::string("Bearer ") + shared.token);
        net::WebSocketClient::Callbacks callbacks;
        callbacks.on_open = [&](std::string_view) {
            ++tally.opened;
            if (!options_.hello.empty()) subscriber.client->send_text(options_.hello);
            if (subscriber.reads != Reads::all) subscriber.client->pause_reading();
            begin_another();
        };
        const auto take = [&tally, &clock, &subscriber](std::string_view text) {
            std::int64_t due = 0;
            std::uint64_t seq = 0;
            if (!read_event(text, due, seq)) return;
            if (due != 0) tally.latency.add(clock.monotonic().count() - due);
            if (seq < subscriber.next) {
                ++tally.duplicates;
                return;
            }
            tally.missing += seq - subscriber.next;
            subscriber.next = seq + 1;
            // One writer: no need of an atomic addition.
            tally.delivered.store(tally.delivered.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        };
        const auto read_slowly = [&subscriber] {
            ++subscriber.read;
            subscriber.client->pause_reading();
        };
        callbacks.on_text = [&subscriber, take, read_slowly](std::string_view text) {
            if (subscriber.reads == Reads::all) take(text);
            else read_slowly();
        };
        callbacks.on_binary = [&subscriber, take, read_slowly](std::string_view bytes) {
            if (subscriber.reads != Reads::all) return read_slowly();
            for (auto at = bytes.find(event_head); at != std::string_view::npos;) {
                const auto next = bytes.find(event_head, at + 1);
                take(bytes.substr(at, next - at));
                at = next;
            }
        };
        callbacks.on_close = [&](net::CloseCode code, std::string_view reason) {
            ++tally.lost;
            if (subscriber.reads != Reads::all) ++tally.slow_lost;
            note("closed with " + std::to_string(static_cast<int>(code)) + " " + std::string(reason));
        };
        callbacks.on_error = [&](const Error& error) {
            ++tally.failed;
            note(error.message);
            begin_another();
        };
        subscriber.client = std::make_unique<net::WebSocketClient>(reactor, std::move(options), std::move(callbacks));
    };
    begin_another = [&] {
        if (begun < connections) begin(subscribers[begun++]);
    };
    for (std::uint32_t i = 0; i < connecting_max; ++i) begin_another();
    const Duration begun_at = clock.monotonic();
    std::function<void()> look;
    net::Timer timer(reactor, [&] { look(); });
    look = [&] {
        if (shared.phase.load(std::memory_order_acquire) == Phase::finishing) return reactor.stop();
        const double seconds = static_cast<double>((clock.monotonic() - begun_at).count()) / 1e6;
        for (std::uint32_t i = stalled; i < stalled + slow; ++i)
            if (Subscriber& one = subscribers[i]; one.client && static_cast<double>(one.read) < seconds * options_.slow_per_second) one.client->resume_reading();
        timer.start(20ms);
    };
    look();
    reactor.run();
    const std::uint64_t last = shared.last.load(std::memory_order_relaxed);
    for (const Subscriber& subscriber : subscribers)
        if (subscriber.reads == Reads::all && subscriber.client && subscriber.next <= last) tally.missing += last + 1 - subscriber.next;
}

}  // namespace weir
