#pragma once
// What a gateway is made of: `gateway.cc` starts and ends it, `shard.cc` serves on each of its threads. Nobody else includes this.
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/guarded.h"
#include "gateway/auth/authenticator.h"
#include "gateway/auth/door.h"
#include "gateway/broadcast_report.h"
#include "gateway/dialects/dialects.h"
#include "gateway/echo.h"
#include "gateway/gateway.h"
#include "gateway/http/api.h"
#include "gateway/hub.h"
#include "gateway/reader_pool.h"
#include "gateway/stream_directory.h"
#include "net/http_server.h"
#include "net/reactor.h"

namespace weir {

/// Connections beyond the sessions' limit, so that an upgrade can be told 1013 and a scrape still gets through.
inline constexpr std::size_t kConnectionReserve = 64;

/// A connection that is only accepted to be told why it ends: browsers see close codes, not statuses of a refused upgrade.
class Refused final : public net::ConnectionHandler {
    void on_message(net::Connection&, net::MessageKind, std::string_view) override {}
    void on_closed(net::Connection&, const net::Closed&) override {}
};

struct Gateway::Impl {
    Impl(const Parts& p, Setup s);

    /// One reactor thread and all that lives on it.
    struct Shard final : net::HttpHandler {
        Shard(Impl& g, std::uint64_t own_seed);

        Result<void> listen(bool first, std::shared_ptr<net::TlsServerContext> tls);

        /// How its server serves, by the options as they are now.
        net::ServerOptions serving();

        /// The first shard tells the operator of the broadcasts, with the clients of all.
        void tell_broadcasts();
        void with_clients(const StreamName& stream, std::function<void(std::size_t)> use);

        void on_request(net::HttpExchange& exchange) override;
        void on_body_too_large(net::HttpExchange& exchange, std::size_t bytes_max) override;
        void go_on(net::HttpExchange& exchange, const IdentityPtr& who, bool wrong_token);
        void upgrade(net::HttpExchange& exchange, const std::string& path, const IdentityPtr& who, bool wrong_token);
        void admit(net::Connection& connection, const Doors::Visitor& visitor, const IdentityPtr& who);
        /// Which protocol a path speaks, and for broadcast of which stream. nullopt: none.
        std::optional<std::pair<DialectKind, std::string>> place_of(const std::string& path) const;
        Dialect& dialect_of(DialectKind kind, const std::string& stream);
        /// weir's own counters become an event like any other (decisions.md 21). The first shard asks all.
        void on_measure();
        void on_sweep();

        Impl& gateway;
        const std::uint64_t seed;  ///< another one for each: ids are made from it
        // The reactor's own, so that a reload may change them on its thread.
        GatewayOptions options;
        std::vector<net::IpBlock> proxies;
        net::Reactor reactor;
        Hub hub;
        std::unique_ptr<Dialect> analytics, spc;
        std::map<std::string, std::unique_ptr<Dialect>> broadcasts;  ///< by stream
        std::map<StreamName, BroadcastReport> reports;               ///< of the first shard
        Doors doors;
        Refused refused;
        Echo echo;
        std::unique_ptr<net::HttpServer> server;
        std::unique_ptr<Api> api;
        net::Timer sweep, measure;
        std::thread thread;
    };

    /// An event of weir's own. Lost when the writer has no room: the next one says more.
    void append_own(const char* stream, const char* type, const std::string& data);
    /// A state of weir itself, beside the feeds' (spec.md 1).
    void tell_state(std::string_view state, std::string_view why);

    /// Asks every shard's hub, between two of its turns, and answers on the asker's thread.
    template <class Answer>
    void ask_all(Shard& asker, std::function<Answer(Hub&)> ask, std::function<void(const std::vector<Answer>&)> done) {
        if (shards.size() == 1) return done({ask(asker.hub)});
        struct Gathering {
            std::vector<Answer> answers;
            std::size_t waiting;
        };
        auto gathering = std::make_shared<Guarded<Gathering>>();
        gathering->with([&](Gathering& g) { g.waiting = shards.size(); });
        for (const auto& shard : shards) {
            (void)shard->reactor.post([s = shard.get(), &asker, gathering, ask, done] {
                const bool last = gathering->with([&](Gathering& g) {
                    g.answers.push_back(ask(s->hub));
                    return --g.waiting == 0;
                });
                if (last) (void)asker.reactor.post([gathering, done] { done(gathering->with([](Gathering& g) { return g.answers; })); });
            });
        }
    }

    /// Runs `work` on a shard's thread and waits for it.
    template <class Work>
    auto on(Shard& shard, Work&& work) {
        using Answer = decltype(work());
        std::mutex mutex;
        std::condition_variable answered;
        std::optional<Answer> answer;
        const bool posted = shard.reactor.post([&] {
            std::lock_guard lock(mutex);
            answer = work();
            answered.notify_one();
        });
        std::unique_lock lock(mutex);
        if (!posted) return Answer{};
        answered.wait(lock, [&] { return answer.has_value(); });
        return *answer;
    }

    const Parts parts;
    const Setup setup;
    const StreamDirectory directory;
    std::vector<WindowInfo> windows;
    ReaderPool pool;
    const Timestamp started;
    const Duration began = parts.clock.monotonic();
    std::atomic<std::uint64_t> next_own_id{1};
    std::uint64_t seed = 0;
    std::optional<ResumeTokens> resume;
    std::unique_ptr<Groups> groups;
    net::ListenAddress bound;
    std::atomic<std::size_t> sessions{0};  ///< of all shards
    std::unique_ptr<Authenticator> authenticator;
    std::vector<net::IpBlock> proxies;  ///< at the start, as `setup`; reactors have their own
    std::shared_ptr<net::TlsServerContext> tls;
    Duration drain_timeout = setup.options.drain_timeout;
    Guarded<std::string> not_ready{std::string("starting")};
    std::vector<std::unique_ptr<Shard>> shards;
    bool running = false;
};

}  // namespace weir
