// One of the gateway's threads: who may come in, by which dialect, and what happens there once a second.
#include "base/diag.h"
#include "base/thread_time.h"
#include "gateway/access.h"
#include "gateway/auth/audit.h"
#include "gateway/gateway_impl.h"
#include "gateway/http/metrics_text.h"

namespace weir {

Gateway::Impl::Shard::Shard(Impl& g, std::uint64_t own_seed)
    : gateway(g), seed(own_seed), options(g.setup.options), proxies(g.proxies), reactor(g.parts.clock),
      hub({reactor, g.parts.log, g.parts.clock, g.pool, g.directory, options, g.sessions, *g.resume, *g.authenticator, *g.groups}, seed),
      analytics(make_analytics_dialect(hub)), spc(make_spc_dialect(hub)),
      doors(hub, *g.authenticator, [this](net::Connection& c, const Doors::Visitor& v, const IdentityPtr& who) { admit(c, v, who); }), sweep(reactor, [this] { on_sweep(); }), measure(reactor, [this] { on_measure(); }) {}

Result<void> Gateway::Impl::Shard::listen(bool first, std::shared_ptr<net::TlsServerContext> tls) {
    server = std::make_unique<net::HttpServer>(reactor, serving(), *this, std::move(tls));
    api = std::make_unique<Api>(Api::Parts{hub, gateway.pool, gateway.parts.status, gateway.parts.metrics, gateway.directory, gateway.windows,
                                           options, gateway.setup.spc, gateway.setup.has_alerts, gateway.setup.version, gateway.started, seed,
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

net::ServerOptions Gateway::Impl::Shard::serving() {
    net::ServerOptions serves;
    serves.connections_max = options.max_connections + kConnectionReserve;
    serves.connections_per_address_max = options.connections_per_address;
    serves.trusted_proxies = proxies;
    serves.proxy_protocol = options.proxy_protocol;
    serves.head_timeout = options.handshake_timeout;
    serves.websocket.message_bytes_max = options.max_message_size;
    serves.deflate.enabled = options.compression == Compression::deflate;
    serves.ping_interval = options.ping_interval;
    serves.ping_timeout = options.ping_timeout;
    serves.close_timeout = options.close_timeout;
    serves.send_buffer_bytes_max = std::max<std::size_t>(options.session_queue_bytes, options.max_message_size + (options.echo_path.empty() ? 1024 : Echo::pause_bytes + 1024));
    serves.flush_duty = options.duty;
    serves.flush_latency_max = options.flush_latency;
    serves.thread_time = thread_cpu_time;
    serves.flushed = [this] { hub.flushed(); };
    return serves;
}

void Gateway::Impl::Shard::tell_broadcasts() {
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

void Gateway::Impl::Shard::with_clients(const StreamName& stream, std::function<void(std::size_t)> use) {
    gateway.ask_all<std::size_t>(*this, [stream](Hub& h) { return h.broadcast_clients(stream); },
                                 [use](const std::vector<std::size_t>& clients) {
                                     std::size_t all = 0;
                                     for (const std::size_t n : clients) all += n;
                                     use(all);
                                 });
}

void Gateway::Impl::Shard::on_measure() {
    gateway.ask_all<HubCounts>(*this, [](Hub& h) { return h.counts(); }, [this](const std::vector<HubCounts>& all) {
        gateway.append_own("metrics", "metrics", metrics_event(all, gateway.parts.clock.monotonic() - gateway.began));
    });
    measure.start(gateway.setup.metrics_interval);
}

void Gateway::Impl::Shard::on_sweep() {
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

}  // namespace weir
