#include "gateway/gateway.h"

#include <sys/resource.h>

#include "base/diag.h"
#include "event/json.h"
#include "gateway/access.h"
#include "gateway/auth/audit.h"
#include "gateway/gateway_impl.h"

namespace weir {
namespace {

/// Descriptors kept for the log, feeds, stores and HTTP requests beside the sessions (decision 24).
constexpr std::size_t kDescriptorReserve = 128;

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

/// weir's own streams are there from the start, so that who subscribes to them hears of a producer.
Gateway::Setup with_own_streams(Gateway::Setup made) {
    if (made.has_alerts) made.streams.try_emplace(StreamName(AlertsApi::stream));
    if (made.metrics_interval == Duration(0)) return made;
    made.streams.try_emplace("metrics");
    made.streams.try_emplace("system_status");
    return made;
}

/// Streams that only processors write to, beside those of the windows. (Alerts of others are welcome on `alerts`.)
std::vector<std::string_view> computed_streams(const Gateway::Setup& setup) {
    auto streams = setup.spc.enabled ? SpcApi::computed() : std::vector<std::string_view>();
    streams.push_back(AlertsApi::answers);
    return streams;
}

}  // namespace

Gateway::Impl::Impl(const Parts& p, Setup s)
    : parts(p), setup(with_own_streams(std::move(s))), directory(setup.streams, setup.windows, setup.feeds, computed_streams(setup)), pool(2, 512), started(parts.clock.now()) {
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

void Gateway::Impl::append_own(const char* stream, const char* type, const std::string& data) {
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

void Gateway::Impl::tell_state(std::string_view state, std::string_view why) {
    std::string data;
    JsonWriter(data).object().member("part", "weir").member("state", state).member("detail", why).member("version", setup.version).end();
    append_own("system_status", "weir_state", data);
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
