#include "gateway/gateway.h"

#include <sys/resource.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/diag.h"
#include "base/guarded.h"
#include "base/thread_time.h"
#include "gateway/access.h"
#include "gateway/auth/audit.h"
#include "gateway/auth/authenticator.h"
#include "gateway/auth/door.h"
#include "gateway/broadcast_report.h"
#include "gateway/dialects/dialects.h"
#include "gateway/echo.h"
#include "event/json.h"
#include "gateway/http/api.h"
#include "gateway/http/metrics_text.h"
#include "gateway/hub.h"
#include "gateway/reader_pool.h"
#include "gateway/stream_directory.h"
#include "net/http_server.h"
#include "net/reactor.h"

namespace weir {
namespace {

/// Descriptors kept for the log, feeds, stores and HTTP requests beside the sessions (decision 24).
constexpr std::size_t kDescriptorReserve = 128;
/// Connections beyond the sessions' limit, so that an upgrade can be told 1013 and a scrape still gets through.
constexpr std::size_t kConnectionReserve = 64;

/// A connection that is only accepted to be told why it ends: browsers see close codes, not statuses of a refused upgrade.
class Refused final : public net::ConnectionHandler {
    void on_message(net::Connection&, net::MessageKind, std::string_view) override {}
    void on_closed(net::Connection&, const net::Closed&) override {}
};

net::ServerOptions server_options(const GatewayOptions& options, const std::vector<net::IpBlock>& proxies) {
    net::ServerOptions server;
    server.connections_max = options.max_connections + kConnectionReserve;
    server.connections_per_address_max = options.connections_per_address;
    server.trusted_proxies = proxies;
    server.proxy_protocol = options.proxy_protocol;
    server.head_timeout = options.handshake_timeout;
    server.websocket.message_bytes_max = options.max_message_size;
    server.deflate.enabled = options.compression == Compression::deflate;
    server.ping_interval = options.ping_interval;
    server.ping_timeout = options.ping_timeout;
    server.close_timeout = options.close_timeout;
    server.send_buffer_bytes_max = std::max<std::size_t>(options.session_queue_bytes, options.max_message_size + (options.echo_path.empty() ? 1024 : Echo::pause_bytes + 1024));
    server.flush_duty = options.duty;
    server.flush_latency_max = options.flush_latency;
    server.thread_time = thread_cpu_time;
    return server;
}

Result<std::vector<net::IpBlock>> read_proxies(const GatewayOptions& options) {
    std::vector<net::IpBlock> proxies;
    for (const auto& text : options.trusted_proxies) {
        auto block = net::IpBlock::parse(text);
        if (!block.ok()) return std::move(block).error().within("gateway.trusted_proxies");
        proxies.push_back(*block);
    }
    return proxies;
}

const char* kind_name(WindowKind kind) {
    return kind == WindowKind::tumbling ? "tumbling" : kind == WindowKind::hopping ? "hopping" : "session";
}

Result<void> check_descriptors(const GatewayOptions& options) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return ok();
    const rlim_t wanted = options.max_connections + kConnectionReserve + kDescriptorReserve;
    if (limit.rlim_cur >= wanted) return ok();
    rlimit raised = limit;
    raised.rlim_cur = std::min(wanted, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &raised);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) return ok();
    return Error{"too_many_connections", "gateway.max_connections is " + std::to_string(options.max_connections) + ", but this process may open " +
                                             std::to_string(limit.rlim_cur) + " files; lower it to " +
                                             std::to_string(limit.rlim_cur > kConnectionReserve + kDescriptorReserve
                                                                ? limit.rlim_cur - kConnectionReserve - kDescriptorReserve
                                                                : 1) +
                                             " or raise the limit (ulimit -n, LimitNOFILE=)"};
}

}  // namespace

struct Gateway::Impl {
    Impl(const Parts& p, Setup s)
        : parts(p), setup(with_own_streams(std::move(s))), directory(setup.streams, setup.windows, setup.feeds, setup.spc.enabled ? SpcApi::computed() : std::vector<std::string_view>()), pool(2, 512), started(parts.clock.now()) {
        for (const auto& [name, w] : setup.windows) {
            WindowInfo info;
            info.name = name;
            info.stream = w.stream;
            info.output = w.output.empty() ? w.stream + "." + name : w.output;
            info.field = directory.field_of(w);
            info.kind = kind_name(w.kind);
            info.size = w.kind == WindowKind::session ? w.gap : w.size;
            info.hop = w.hop;
            info.per_key = w.per_key;
            windows.push_back(std::move(info));
        }
    }

    /// One reactor thread and all that lives on it.
    struct Shard final : net::HttpHandler {
        Shard(Impl& g, std::uint64_t own_seed)
            : gateway(g), seed(own_seed), options(g.setup.options), proxies(g.proxies), reactor(g.parts.clock),
              hub({reactor, g.parts.log, g.parts.clock, g.pool, g.directory, options, g.sessions, *g.resume, *g.authenticator, *g.groups}, seed),
              analytics(make_analytics_dialect(hub)), spc(make_spc_dialect(hub)),
              doors(hub, *g.authenticator, [this](net::Connection& c, const Doors::Visitor& v, const IdentityPtr& who) { admit(c, v, who); }), sweep(reactor, [this] { on_sweep(); }), measure(reactor, [this] { on_measure(); }) {}

        Result<void> listen(bool first, std::shared_ptr<net::TlsServerContext> tls) {
            server = std::make_unique<net::HttpServer>(reactor, serving(), *this, std::move(tls));
            api = std::make_unique<Api>(Api::Parts{hub, gateway.pool, gateway.parts.status, gateway.parts.metrics, gateway.directory, gateway.windows,
                                                   options, gateway.setup.spc, gateway.setup.version, gateway.started, seed,
                                                   [this](auto done) { gateway.ask_all<HubCounts>(*this, [](Hub& h) { return h.counts(); }, std::move(done)); },
                                                   [this](auto ask, auto done) { gateway.ask_all<std::string>(*this, std::move(ask), std::move(done)); },
                                                   [this] { return gateway.not_ready.with([](const std::string& why) { return why; }); }, *server});
            net::ListenAddress address;
            address.host = options.host;
            address.port = first ? options.port : gateway.bound.port;
            net::ListenOptions listening;
            if (options.reactors != 1) listening.share = first ? net::ListenOptions::Share::first : net::ListenOptions::Share::more;
            WEIR_TRY(auto bound, server->listen(address, listening));
            if (first) gateway.bound = std::move(bound);
            if (first && !options.unix_socket.empty()) {
                net::ListenAddress unix_address;
                unix_address.unix_path = options.unix_socket;
                WEIR_TRY(const auto ignored, server->listen(unix_address, {}));
                (void)ignored;
            }
            if (first) tell_broadcasts();
            sweep.start(1s);
            if (first && gateway.setup.metrics_interval > Duration(0)) measure.start(gateway.setup.metrics_interval);
            return ok();
        }

        net::ServerOptions serving() {
            net::ServerOptions serves = server_options(options, proxies);
            serves.flushed = [this] { hub.flushed(); };
            return serves;
        }

        /// The first shard tells the operator of the broadcasts, with the clients of all.
        void tell_broadcasts() {
            auto streams = options.broadcast;
            if (!options.broadcast_root().empty()) streams.try_emplace(std::string(options.broadcast_root()));
            for (const auto& [stream, texts] : streams)
                reports.try_emplace(stream, stream, texts, gateway.parts.clock.monotonic(), [](const std::string& line) { diag::info(line); });
            if (reports.empty()) return;
            hub.on_event = [this, before = std::move(hub.on_event)](const HubStream& stream, const Batch& batch, std::size_t i) {
                if (before) before(stream, batch, i);
                const auto at = reports.find(stream.name);
                if (at == reports.end()) return;
                std::string event = at->second.event(batch.seq_of(i), batch.events[i].data, gateway.parts.clock.monotonic());
                if (!event.empty()) with_clients(at->first, [&report = at->second, event](std::size_t clients) { report.tell(event, clients); });
            };
        }
        void with_clients(const StreamName& stream, std::function<void(std::size_t)> use) {
            gateway.ask_all<std::size_t>(*this, [stream](Hub& h) { return h.broadcast_clients(stream); },
                                         [use](const std::vector<std::size_t>& clients) {
                                             std::size_t all = 0;
                                             for (const std::size_t n : clients) all += n;
                                             use(all);
                                         });
        }

        void on_request(net::HttpExchange& exchange) override;
        void on_body_too_large(net::HttpExchange& exchange, std::size_t bytes_max) override;
        void go_on(net::HttpExchange& exchange, const IdentityPtr& who, bool wrong_token);
        void upgrade(net::HttpExchange& exchange, const std::string& path, const IdentityPtr& who, bool wrong_token);
        void admit(net::Connection& connection, const Doors::Visitor& visitor, const IdentityPtr& who);
        /// Which protocol a path speaks, and for broadcast of which stream. nullopt: none.
        std::optional<std::pair<DialectKind, std::string>> place_of(const std::string& path) const;
        Dialect& dialect_of(DialectKind kind, const std::string& stream);
        /// weir's own counters become an event like any other (decisions.md 21). The first shard asks all.
        void on_measure() {
            gateway.ask_all<HubCounts>(*this, [](Hub& h) { return h.counts(); }, [this](const std::vector<HubCounts>& all) {
                gateway.append_own("metrics", "metrics", metrics_event(all, gateway.parts.clock.monotonic() - gateway.began));
            });
            measure.start(gateway.setup.metrics_interval);
        }
        void on_sweep() {
            hub.sweep();
            for (auto& [stream, report] : reports) {
                const HubStream* known = hub.stream(stream);
                if (!known || !report.due(gateway.parts.clock.monotonic())) continue;
                with_clients(stream, [this, &r = report, head = Seq{known->next.value - 1}](std::size_t clients) {
                    r.tell_minute(head, clients, gateway.parts.clock.monotonic());
                });
            }
            doors.sweep();
            if (gateway.shards.front().get() == this) {
                gateway.authenticator->poll();
                for (const auto& name : gateway.groups->forget_old(gateway.parts.clock.now())) {
                    GroupHome& home = gateway.groups->home(name);
                    home.tell([&home, name] { home.remove(name); });
                }
            }
            api->sweep();
            sweep.start(1s);
        }

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

    /// weir's own streams are there from the start, so that who subscribes to them hears of a producer.
    static Setup with_own_streams(Setup made) {
        if (made.metrics_interval == Duration(0)) return made;
        made.streams.try_emplace("metrics");
        made.streams.try_emplace("system_status");
        return made;
    }
    /// Lost when the writer has no room: the next one says more.
    void append_own(const char* stream, const char* type, const std::string& data) {
        if (setup.metrics_interval == Duration(0)) return;
        Commit commit;
        auto& append = commit.appends.emplace_back();
        append.stream = stream;
        char id[64];
        std::snprintf(id, sizeof id, "weir/%016llx/%llu", static_cast<unsigned long long>(seed), static_cast<unsigned long long>(next_own_id.fetch_add(1)));
        EventView event;
        event.id = id;
        event.type = type;
        event.key = "weir";
        event.source = "weir";
        event.data = data;
        event.time = event.ingested = parts.clock.now();
        append.events.add(event);
        (void)parts.log.try_submit(commit, [](const Result<Committed>&) {});
    }
    /// A state of weir itself, beside the feeds' (spec.md 1).
    void tell_state(std::string_view state, std::string_view why) {
        std::string data;
        JsonWriter(data).object().member("part", "weir").member("state", state).member("detail", why).member("version", setup.version).end();
        append_own("system_status", "weir_state", data);
    }

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

// Requests.

void Gateway::Impl::Shard::on_request(net::HttpExchange& exchange) {
    const auto& request = exchange.request();
    const bool required = gateway.authenticator->required();
    // All lines of it: a proxy may add one of its own behind the client's, and only the end of the list can be trusted.
    if (request.header("X-Forwarded-For") && !options.proxy_protocol && net::is_in(proxies, exchange.socket_peer().ip)) {
        const net::IpAddress client = net::forwarded_client(request.header_list("X-Forwarded-For"), exchange.socket_peer().ip, proxies);
        if (!exchange.set_client(client)) {
            hub.count(GatewayError::address_at_capacity);
            // Whose they are, not the proxy's: that is whom the operator looks for.
            audit(Audit::warning, {.what = "refused", .peer = client.to_text(), .path = request.path, .detail = row(GatewayError::address_at_capacity).code});
            if (exchange.upgrade() != net::UpgradeCheck::good) return send_answer(exchange, error_answer(GatewayError::address_at_capacity));
            exchange.accept_websocket({.handler = refused}).close(net::CloseCode::try_again_later, row(GatewayError::address_at_capacity).text);
            return;
        }
    }
    if (const auto error = check_access(request, options, required)) {
        hub.count(*error);
        audit(Audit::warning, {.what = "refused", .peer = exchange.peer().to_text(), .path = request.path, .detail = row(*error).code});
        // A browser is told by close code why its socket may not stay (S4-21); anything else by status.
        if (*error == GatewayError::origin_not_allowed && exchange.upgrade() == net::UpgradeCheck::good) {
            exchange.accept_websocket({.handler = refused}).close(net::CloseCode::policy_violation, row(*error).text);
            return;
        }
        return send_answer(exchange, error_answer(*error));
    }
    if (const auto origin = request.header("Origin"); origin && exchange.upgrade() == net::UpgradeCheck::not_upgrade) {
        // It may come in: then its page may read what it is answered (the Fetch standard's CORS). No cookie ever authenticates, so
        // nothing is lent to it that it has not brought along. Each origin is named, lest a cache give one the answer of another.
        exchange.add_header("Access-Control-Allow-Origin", *origin);
        exchange.add_header("Access-Control-Expose-Headers", "Retry-After");
        exchange.add_header("Vary", "Origin");
        if (request.method == "OPTIONS" && request.header("Access-Control-Request-Method"))
            return exchange.respond(204, {{"Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"},
                                          {"Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID"},
                                          {"Access-Control-Max-Age", "600"}}, {});
    }
    if (!required) return go_on(exchange, gateway.authenticator->anyone(), false);
    const std::string token = token_of(request);
    if (token.empty()) return go_on(exchange, nullptr, false);
    const bool at_once = gateway.authenticator->check(token, reactor, [this, ref = exchange.ref()](const Authenticator::Answer& answer) {
        auto* waiting = ref.get();
        if (!waiting) return;
        waiting->resume_body();
        const bool right = answer.identity && answer.identity->holds(gateway.parts.clock.now());
        // The path without its query, where the token may stand.
        if (!right || waiting->upgrade() == net::UpgradeCheck::good)
            audit(right ? Audit::note : Audit::warning, {.what = right ? "auth_ok" : "auth_failed", .peer = waiting->peer().to_text(),
                                                         .who = right ? std::string_view(answer.identity->name) : std::string_view(), .path = waiting->request().path, .detail = answer.why});
        go_on(*waiting, right ? answer.identity : nullptr, !right);
    });
    // Who is to take the body is asked when the key is there: until then none of it may come.
    if (!at_once) exchange.pause_body();
}

void Gateway::Impl::Shard::on_body_too_large(net::HttpExchange& exchange, std::size_t bytes_max) {
    hub.count(GatewayError::too_large);
    send_answer(exchange, error_answer(GatewayError::too_large, "the body is larger than " + std::to_string(bytes_max) + " bytes"));
}

/// `who` is null where nobody has shown a right token; `wrong_token` where somebody has shown another.
void Gateway::Impl::Shard::go_on(net::HttpExchange& exchange, const IdentityPtr& who, bool wrong_token) {
    std::string_view raw = exchange.request().path;
    if (!options.path_prefix.empty() && raw.starts_with(options.path_prefix)) raw.remove_prefix(options.path_prefix.size());
    if (raw.empty()) raw = "/";
    if (exchange.upgrade() != net::UpgradeCheck::not_upgrade) {
        const auto path = net::percent_decode(raw);
        return path ? upgrade(exchange, *path, who, wrong_token) : send_answer(exchange, error_answer(GatewayError::bad_request, "the path is not percent-encoded text"));
    }
    api->handle(exchange, raw, who, wrong_token);
}

std::optional<std::pair<DialectKind, std::string>> Gateway::Impl::Shard::place_of(const std::string& path) const {
    using Place = std::pair<DialectKind, std::string>;
    if (path == options.spc_path) return Place(DialectKind::spc, "");
    if (path == "/stream") return Place(DialectKind::analytics, "");
    if (path == "/") return options.broadcast_root().empty() ? Place(DialectKind::analytics, "") : Place(DialectKind::broadcast, options.broadcast_root());
    if (path.starts_with("/feed/")) return Place(DialectKind::broadcast, path.substr(6));
    return std::nullopt;
}

/// A broadcast's stream is known to the hub: dialects are not made for whatever name somebody asks for.
Dialect& Gateway::Impl::Shard::dialect_of(DialectKind kind, const std::string& stream) {
    if (kind == DialectKind::spc) return *spc;
    if (kind == DialectKind::analytics) return *analytics;
    auto& dialect = broadcasts[stream];
    if (!dialect) {
        const auto& texts = options.broadcast;
        const auto at = texts.find(stream);
        dialect = make_broadcast_dialect(hub, stream, at == texts.end() ? BroadcastOptions() : at->second);
    }
    return *dialect;
}

void Gateway::Impl::Shard::upgrade(net::HttpExchange& exchange, const std::string& path, const IdentityPtr& who, bool wrong_token) {
    switch (exchange.upgrade()) {
        case net::UpgradeCheck::bad_version:
            return exchange.respond(426, {{"Sec-WebSocket-Version", "13"}, {"Upgrade", "websocket"}}, "WebSocket version 13 is spoken here\n");
        case net::UpgradeCheck::good: break;
        default: return send_answer(exchange, error_answer(GatewayError::bad_request, "not a WebSocket handshake"));
    }
    if (!options.echo_path.empty() && path == options.echo_path) {
        if (!who) return send_answer(exchange, error_answer(GatewayError::auth_required));
        exchange.accept_websocket({.handler = echo});
        return;
    }
    const auto place = place_of(path);
    if (!place) return send_answer(exchange, error_answer(GatewayError::unknown_path, path));
    const auto& [kind, stream] = *place;
    // Which streams there are is told to nobody who has not shown a token; nor to one whose token does not let him see this one.
    if (kind == DialectKind::broadcast && who) {
        const HubStream* known = hub.stream(stream);
        if (!known || !who->permissions.sees(known->name, known->type)) return send_answer(exchange, error_answer(GatewayError::unknown_stream, stream));
    }
    if (hub.is_full()) {
        hub.count(GatewayError::at_capacity);
        audit(Audit::warning, {.what = "refused", .peer = exchange.peer().to_text(), .who = who ? std::string_view(who->name) : std::string_view(), .path = path, .detail = row(GatewayError::at_capacity).code});
        exchange.accept_websocket({.handler = refused}).close(net::CloseCode::try_again_later, row(GatewayError::at_capacity).text);
        return;
    }
    // Named only if the client offered it (spec.md 5).
    std::string_view subprotocol;
    for (const auto offered : net::offered_subprotocols(exchange.request())) {
        if (!subprotocol.empty()) continue;  // the client's order is its preference
        if (offered == "weir.json") subprotocol = "weir.json";
        else if (offered == "weir.cbor" && kind != DialectKind::broadcast) subprotocol = "weir.cbor";
    }
    const bool cbor = subprotocol == "weir.cbor";
    if (!who) {
        net::ConnectionHandler& door = doors.open({.dialect = kind, .cbor = cbor, .path = path, .peer = exchange.peer().to_text()});
        net::Connection& connection = exchange.accept_websocket({.handler = door, .subprotocol = subprotocol});
        return doors.wait(connection, door, wrong_token);
    }
    Session& session = hub.open(dialect_of(kind, stream), who);
    net::Connection& connection = exchange.accept_websocket({.handler = session, .subprotocol = subprotocol});
    session.start(connection, cbor ? Session::Encoding::cbor : Session::Encoding::json);
}

void Gateway::Impl::Shard::admit(net::Connection& connection, const Doors::Visitor& visitor, const IdentityPtr& who) {
    audit(Audit::note, {.what = "auth_ok", .peer = visitor.peer, .who = who->name, .path = visitor.path});
    const auto place = place_of(visitor.path);
    const auto& [kind, stream] = *place;
    if (kind == DialectKind::broadcast) {
        const HubStream* known = hub.stream(stream);
        if (!known || !who->permissions.sees(known->name, known->type)) {
            hub.count(GatewayError::unknown_stream);
            connection.set_handler(refused);
            return connection.close(net::CloseCode::policy_violation, row(GatewayError::unknown_stream).text);
        }
    }
    Session& session = hub.open(dialect_of(kind, stream), who);
    connection.set_handler(session);
    session.start(connection, visitor.cbor ? Session::Encoding::cbor : Session::Encoding::json);
    session.dialect().authenticated(session, true);
}

// Start and end.

Result<std::unique_ptr<Gateway>> Gateway::start(const Parts& parts, Setup setup) {
    const auto& options = setup.options;
    net::ListenAddress address;
    address.host = options.host;
    if (!needs_auth(options) && !address.is_loopback() && !options.public_without_auth)
        return Error{"public_without_auth", "gateway.host is \"" + options.host +
                                                "\" and no token is required: anyone could read and write; set gateway.public_without_auth = true if that is meant"};
    WEIR_CHECK_OK(check_descriptors(options));
    std::shared_ptr<net::TlsServerContext> tls;
    if (!options.tls_cert_file.empty()) {
        WEIR_TRY(tls, net::TlsServerContext::load({.certificate_file = options.tls_cert_file, .key_file = options.tls_key_file}));
    }
    WEIR_TRY(auto proxies, read_proxies(options));
    WEIR_TRY(auto authenticator, Authenticator::make(options, parts.clock));
    auto impl = std::make_unique<Impl>(parts, std::move(setup));
    WEIR_TRY(impl->resume, ResumeTokens::open(parts.log));
    WEIR_TRY(impl->groups, Groups::open(parts.log, impl->setup.options));
    impl->authenticator = std::move(authenticator);
    impl->proxies = std::move(proxies);
    impl->tls = tls;
    impl->seed = Prng(static_cast<std::uint64_t>(impl->started.micros()) ^ parts.log.head().value << 40).next();
    const std::uint32_t reactors = impl->setup.options.reactors ? impl->setup.options.reactors : std::max(1U, std::thread::hardware_concurrency());
    for (std::uint32_t i = 0; i < reactors; ++i) impl->shards.push_back(std::make_unique<Impl::Shard>(*impl, impl->seed + i));
    for (std::uint32_t i = 0; i < reactors; ++i) {
        auto listening = impl->shards[i]->listen(i == 0, tls);
        if (!listening.ok()) {
            impl->pool.stop();
            return std::move(listening).error();
        }
    }
    for (const auto& shard : impl->shards) shard->thread = std::thread([s = shard.get()] { s->reactor.run(); });
    impl->running = true;
    return std::unique_ptr<Gateway>(new Gateway(std::move(impl)));
}

Gateway::Gateway(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Gateway::~Gateway() { stop(); }

std::string Gateway::address() const { return impl_->bound.to_text(); }
std::uint16_t Gateway::port() const { return impl_->bound.port; }

void Gateway::ready(std::string why_not) {
    if (impl_->not_ready.with([&](const std::string& why) { return why; }) != why_not) impl_->tell_state(why_not.empty() ? "ready" : "not_ready", why_not);
    impl_->not_ready.with([&](std::string& why) { why = std::move(why_not); });
}

std::vector<Error> Gateway::reload(const GatewayOptions& options) {
    std::vector<Error> errors;
    if (auto result = impl_->authenticator->reload(options); !result.ok()) errors.push_back(std::move(result).error().within("tokens and keys stay as they were"));
    // The files' names are those of the start; their content may be new.
    if (impl_->tls)
        if (auto result = impl_->tls->reload(); !result.ok()) errors.push_back(std::move(result).error().within("the certificate stays as it was"));
    auto proxies = read_proxies(options);
    if (auto enough = proxies.ok() ? check_descriptors(options) : Result<void>(std::move(proxies).error()); !enough.ok()) {
        errors.push_back(std::move(enough).error().within("limits and timeouts stay as they were"));
    } else {
        impl_->drain_timeout = options.drain_timeout;
        for (const auto& shard : impl_->shards)
            (void)impl_->on(*shard, [&] {
                shard->options = options;
                shard->proxies = *proxies;
                shard->server->set_options(shard->serving());
                return true;
            });
    }
    audit(Audit::note, {.what = "reloaded", .detail = errors.empty() ? "tokens, keys, certificate and limits" : "not all of it"});
    return errors;
}

void Gateway::drain() {
    if (!impl_->running) return;
    ready("shutting down");
    for (const auto& shard : impl_->shards)
        (void)impl_->on(*shard, [&] {
            // Sessions first, so that what waits for them is counted; then the server, for those that never became one.
            shard->hub.say_goodbye();
            shard->server->drain(net::CloseCode::going_away, row(GatewayError::shutting_down).text);
            return true;
        });
    const Duration deadline = impl_->parts.clock.monotonic() + impl_->drain_timeout;
    std::mutex mutex;
    std::condition_variable never;
    while (impl_->parts.clock.monotonic() < deadline) {
        std::size_t open = 0;
        for (const auto& shard : impl_->shards) open += impl_->on(*shard, [&] { return shard->server->open(); });
        if (open == 0) return;
        std::unique_lock lock(mutex);
        never.wait_for(lock, std::chrono::milliseconds(5));
    }
    for (const auto& shard : impl_->shards)
        (void)impl_->on(*shard, [&] {
            shard->server->end_all();
            return true;
        });
}

void Gateway::stop() {
    if (!impl_->running) return;
    impl_->running = false;
    // The pool first: what it reads is posted to reactors.
    impl_->pool.stop();
    for (const auto& shard : impl_->shards) shard->reactor.stop();
    for (const auto& shard : impl_->shards) shard->thread.join();
    impl_->authenticator->stop();
    for (const auto& shard : impl_->shards) {
        shard->server.reset();  // ends what is left; sessions leave the hub
        shard->api.reset();
    }
    // What sessions told their groups last, and where these stand now.
    for (bool any = true; any;) {
        any = false;
        for (const auto& shard : impl_->shards) any = shard->hub.group_home().settle() || any;
    }
    for (const auto& shard : impl_->shards) shard->hub.group_home().save_all();
}

}  // namespace weir
