#include "gateway/http/api.h"

#include <charconv>

#include "gateway/http/answer_later.h"
#include "event/excerpt.h"
#include "event/json.h"
#include "base/diag.h"
#include "gateway/auth/audit.h"
#include "gateway/dialects/analytics_messages.h"
#include "gateway/dialects/dialects.h"
#include "gateway/http/acknowledging_user.h"
#include "gateway/http/assets.h"
#include "gateway/http/endpoints.h"
#include "gateway/http/event_pages.h"
#include "gateway/http/metrics_text.h"
#include "gateway/http/ndjson_stream.h"

namespace weir {
namespace {

// What the page needs and nothing else: no other origin, nothing inline (docs/http-api.md).
constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

std::string_view type_name(StreamType type) { return type == StreamType::data ? "data" : subscription_type_name(type); }

void print_stream(JsonWriter& json, const StreamDirectory& directory, const StreamInfo& info) {
    json.object().member("name", info.name).member("type", type_name(directory.type_of(info.name))).member("label", directory.label(info.name));
    json.member("epoch", to_text(info.epoch)).member("first_seq", info.first.value).member("head_seq", info.head.value);
    json.member("count", info.head.value + 1 - info.first.value).member("bytes", info.bytes);
    json.member("first_time", info.first_time).member("last_time", info.last_time).end();
}

/// A part's JSON object with its name in front.
void print_part(JsonWriter& json, std::string_view name, std::string_view object) {
    std::string text = "{\"name\":";
    append_json_string(text, name);
    const auto inner = object.find_first_not_of(" \n", 1);
    if (inner != std::string_view::npos && object[inner] != '}') text += ',';
    text += object.substr(1);
    json.raw(text);
}

void print_parts(JsonWriter& json, const StatusBoard& board, std::string_view prefix, const std::function<bool(const Json&)>& shown = {}) {
    json.array();
    for (const auto& [part, object] : board.read(prefix)) {
        if (object.size() < 2 || object[0] != '{') continue;
        const auto own = Json::parse(object);
        if (shown && !(own.ok() && shown(*own))) continue;
        if (own.ok() && own->find("name")) json.raw(object);
        else print_part(json, std::string_view(part).substr(prefix.size()), object);
    }
    json.end();
}

}  // namespace

Api::Api(Parts parts)
    : parts_(std::move(parts)), spc_(parts_.hub, parts_.pool, parts_.spc, parts_.options, parts_.id_seed),
      alerts_(parts_.hub, parts_.pool, parts_.options, parts_.spc, parts_.id_seed, parts_.has_alerts), sse_(make_sse_dialect()) {
    parts_.hub.on_event = [this](const HubStream& stream, const Batch& batch, std::size_t i) { on_event(stream, batch, i); };
    load_latest();
}

void Api::on_event(const HubStream& stream, const Batch& batch, std::size_t i) {
    latest_.add(stream.name, batch.epoch, batch.seq_of(i), batch.events[i]);
    spc_.on_event(stream.name, batch.events[i]);
    alerts_.on_event(stream.name, batch.events[i]);
}

/// What was there before this process: read in the background, so that starting does not wait for it.
void Api::load_latest() {
    for (const auto& info : parts_.hub.log().streams()) {
        if (StreamDirectory::is_hidden(info.name)) continue;
        latest_.set_head(info.name, info.epoch, info.head);
        const bool submitted = parts_.pool.submit([this, info] {
            auto found = std::make_shared<LatestFound>(read_latest(parts_.hub.log(), info, 20'000));
            (void)parts_.hub.reactor().post([this, info, found] {
                for (std::size_t i = found->seqs.size(); i-- > 0;) {
                    latest_.add(info.name, info.epoch, found->seqs[i], found->events[i]);
                }
                for (std::size_t i = found->characteristics.size(); i-- > 0;) parts_.hub.learn(info.name, found->characteristics[i]);
                parts_.hub.learning_ends();
            });
        });
        if (submitted) parts_.hub.learning_begins();
        else diag::warn("gateway: too many streams to know the newest events of " + info.name + " before one comes");
    }
}

// Routing.

void Api::handle(net::HttpExchange& exchange, std::string_view path, const IdentityPtr& who, bool wrong_token) {
    const auto [endpoint, allowed] = find_endpoint(exchange.request().method, path);
    // The page's files hold nothing of the log. Which paths there are is told to nobody without a token.
    const Needs needs = endpoint ? endpoint->needs : allowed.empty() && !path.starts_with("/api/") ? Needs::nothing : Needs::token;
    if (needs != Needs::nothing && !who) {
        const GatewayError error = wrong_token ? GatewayError::auth_failed : GatewayError::auth_required;
        parts_.hub.count(error);
        HttpAnswer no = error_answer(error);
        no.headers.emplace_back("WWW-Authenticate", wrong_token ? "Bearer error=\"invalid_token\"" : "Bearer");
        return send_answer(exchange, no);
    }
    if (endpoint && needs != Needs::nothing && !who->permissions.meets(needs)) return deny(exchange, who, needs);
    if (endpoint) return answer(exchange, path, who);
    if (!allowed.empty()) return refuse_method(exchange, allowed);
    if (path.starts_with("/api/")) return refuse(exchange, GatewayError::unknown_path, exchange.request().path);
    page(exchange, path);
}

void Api::answer(net::HttpExchange& exchange, std::string_view path, const IdentityPtr& who) {
    if (path.starts_with("/api/v1/")) return handle_api(exchange, path.substr(8), who);
    if (path == "/stats") return stats(exchange);
    if (path == "/metrics") return metrics(exchange);
    if (path == "/healthz") return exchange.respond(200, {{"Content-Type", "text/plain"}}, "ok\n");
    if (path == "/readyz") return ready(exchange);
    if (path == "/events") return server_sent_events(exchange, who);
    HttpAnswer document;
    document.body = path == "/openapi.json" ? openapi_document(parts_.version) : asyncapi_document(parts_.version, parts_.options.spc_path);
    if (takes_gzip(exchange.request())) compress(document);
    send_answer(exchange, document);
}

void Api::handle_api(net::HttpExchange& exchange, std::string_view rest, const IdentityPtr& who) {
    constexpr std::string_view stream_prefix = "streams/", window_prefix = "windows/", session_prefix = "sessions/", group_prefix = "groups/";
    if (rest == "streams") return streams(exchange, who, {});
    if (rest.starts_with(stream_prefix)) {
        // A stream's name may hold slashes: what stands between `streams/` and a last `/events` is the name.
        std::string_view name = rest.substr(stream_prefix.size());
        const bool has_events = name.ends_with("/events");
        if (has_events) name.remove_suffix(7);
        const auto decoded = net::percent_decode(name);
        if (!decoded || !is_stream_name(*decoded) || StreamDirectory::is_hidden(*decoded)) return refuse(exchange, GatewayError::unknown_stream, name);
        if (!has_events) return streams(exchange, who, *decoded);
        if (exchange.request().method == "POST") return push_events(exchange, who, *decoded);
        return events(exchange, who, *decoded);
    }
    if (rest == "notices") return notice(exchange);
    if (rest == "windows") return windows(exchange, who);
    if (rest.starts_with(window_prefix)) return results(exchange, who, rest.substr(window_prefix.size()));
    if (rest == "series") return series(exchange, who);
    if (rest == "keys") return keys(exchange, who);
    if (rest == "feeds") return feeds(exchange, who);
    if (rest == "status") return status(exchange);
    if (rest.starts_with(session_prefix)) return session(exchange, rest.substr(session_prefix.size()));
    if (rest == "groups") return groups(exchange);
    if (rest.starts_with(group_prefix)) return forget_group(exchange, rest.substr(group_prefix.size()));
    if (spc_.handle(exchange, rest, who) || alerts_.handle(exchange, rest, who)) return;
    refuse(exchange, GatewayError::unknown_path, exchange.request().path);
}

void Api::refuse_method(net::HttpExchange& exchange, std::string_view allowed) {
    HttpAnswer no = error_answer(GatewayError::method_not_allowed, "allowed: " + std::string(allowed));
    no.headers.emplace_back("Allow", allowed);
    send_answer(exchange, no);
}

void Api::refuse(net::HttpExchange& exchange, GatewayError error, std::string_view detail) { weir::refuse(parts_.hub, exchange, error, detail); }

const HubStream* Api::visible(net::HttpExchange& exchange, const IdentityPtr& who, const std::optional<std::string>& name) {
    const HubStream* stream = name ? parts_.hub.stream(*name) : nullptr;
    if (stream && who->permissions.sees(stream->name, stream->type)) return stream;
    refuse(exchange, name ? GatewayError::unknown_stream : GatewayError::bad_request, name ? *name : "`stream` is missing");
    return nullptr;
}

void Api::deny(net::HttpExchange& exchange, const IdentityPtr& who, Needs needs) {
    audit(Audit::warning, {.what = "denied", .peer = exchange.peer().to_text(), .who = who->name, .path = exchange.request().path, .detail = needs_name(needs)});
    refuse(exchange, GatewayError::forbidden, "needs `" + std::string(needs_name(needs)) + "`");
}

void Api::answer_later(net::HttpExchange& exchange, std::function<HttpAnswer()> work) { weir::answer_later(parts_.hub, parts_.pool, exchange, std::move(work)); }

std::optional<Timestamp> Api::time_parameter(const net::HttpRequest& request, const char* name, bool& bad) {
    const auto text = request.query_parameter(name);
    if (!text) return std::nullopt;
    const auto time = parse_rfc3339(*text, Offset::optional);
    if (!time) bad = true;
    return time;
}

// The page.

void Api::page(net::HttpExchange& exchange, std::string_view path) {
    const Asset* asset = parts_.options.page ? find_asset(path.substr(1)) : nullptr;
    if (!asset) return refuse(exchange, GatewayError::unknown_path, path);
    if (exchange.request().method != "GET" && exchange.request().method != "HEAD") return refuse_method(exchange, "GET, HEAD");
    const bool gzip = !asset->gzip.empty() && takes_gzip(exchange.request());
    std::vector<net::HttpHeader> headers{{"Content-Type", asset->type},
                                         {"ETag", asset->etag},
                                         {"Cache-Control", "no-cache"},
                                         {"Vary", "Accept-Encoding"},
                                         {"Content-Security-Policy", kPagePolicy},
                                         {"X-Content-Type-Options", "nosniff"},
                                         {"Referrer-Policy", "no-referrer"}};
    if (const auto known = exchange.request().header("If-None-Match"); known && known->find(asset->etag) != std::string_view::npos)
        return exchange.respond_with(304, headers, {});
    if (gzip) headers.push_back({"Content-Encoding", "gzip"});
    exchange.respond_with(200, headers, gzip ? asset->gzip : asset->bytes);
}

// Streams and events.

void Api::streams(net::HttpExchange& exchange, const IdentityPtr& who, std::string name) {
    answer_later(exchange, [this, name = std::move(name), who] {
        HttpAnswer answer;
        JsonWriter json(answer.body);
        Log& log = parts_.hub.log();
        auto empty = [](const StreamName& configured) {
            StreamInfo info;
            info.name = configured;
            info.first = Seq{1};
            return info;
        };
        const auto& configured = parts_.directory.configured();
        auto sees = [&](const StreamName& stream) { return who->permissions.sees(stream, parts_.directory.type_of(stream)); };
        if (!name.empty()) {
            auto info = log.info(name);
            if (!info && std::find(configured.begin(), configured.end(), name) != configured.end()) info = empty(name);
            if (!info || !sees(name)) return error_answer(GatewayError::unknown_stream, name);
            print_stream(json, parts_.directory, *info);
            return answer;
        }
        std::map<StreamName, StreamInfo> all;
        for (const auto& stream : configured) all[stream] = empty(stream);
        for (auto& info : log.streams())
            if (!StreamDirectory::is_hidden(info.name)) all[info.name] = std::move(info);
        json.object().name("streams").array();
        for (const auto& [stream, info] : all)
            if (sees(stream)) print_stream(json, parts_.directory, info);
        json.end().end();
        return answer;
    });
}

void Api::events(net::HttpExchange& exchange, const IdentityPtr& who, std::string stream) {
    if (!visible(exchange, who, stream)) return;
    auto page = read_event_page(exchange.request(), std::move(stream));
    if (!page.ok()) return refuse(exchange, GatewayError::bad_request, page.error().message);
    page->boundary = who->permissions.filter;
    if (page->ndjson) return NdjsonStream::start(exchange, {parts_.hub.log(), parts_.pool, parts_.hub.clock()}, who, *std::move(page));
    answer_later(exchange, [this, page = *std::move(page)] { return answer_events(parts_.hub.log(), page); });
}

void Api::push_events(net::HttpExchange& exchange, const IdentityPtr& who, std::string stream) {
    if (stream == Hub::kNoticeStream && !who->permissions.administer) return deny(exchange, who, Needs::administer);
    // Whoever may only see some streams may only write to these.
    if (!who->permissions.every_stream && !who->permissions.sees(stream, parts_.directory.type_of(stream))) return refuse(exchange, GatewayError::unknown_stream, stream);
    const auto type = exchange.request().header("Content-Type").value_or("application/json");
    const bool ndjson = type.starts_with("application/x-ndjson") || type.starts_with("application/jsonl");
    if (!ndjson && !type.starts_with("application/json")) return refuse(exchange, GatewayError::unsupported_media_type, "application/json or application/x-ndjson");
    if (parts_.directory.is_computed(stream)) return refuse(exchange, GatewayError::forbidden, "`" + stream + "` holds what weir computes");
    if (!parts_.hub.has_room_for(stream)) return refuse(exchange, GatewayError::too_many_streams, stream);
    exchange.read_body(parts_.options.max_message_size, [this, stream = std::move(stream), ndjson, who](net::HttpExchange& waiting, std::string_view body) {
        const bool submitted = parts_.pool.submit([this, ref = waiting.ref(), stream, ndjson, who, text = std::string(body)] {
            auto answer = [this, ref](HttpAnswer made) {
                (void)parts_.hub.reactor().post([ref, made = std::make_shared<HttpAnswer>(std::move(made))] {
                    if (auto* still = ref.get()) send_answer(*still, *made);
                });
            };
            auto pushed = read_pushed(text, ndjson, parts_.hub.clock().now(), [this] {
                char id[48];
                std::snprintf(id, sizeof id, "push/%016llx/%llu", static_cast<unsigned long long>(parts_.id_seed), static_cast<unsigned long long>(next_id_.fetch_add(1)));
                return std::string(id);
            });
            if (!pushed.ok()) return answer(error_answer(GatewayError::bad_request, pushed.error().message));
            if (const auto missing = missing_for(who->permissions, stream, *pushed)) {
                audit(Audit::warning, {.what = "denied", .who = who->name, .path = stream, .detail = needs_name(*missing)});
                return answer(error_answer(GatewayError::forbidden, "needs `" + std::string(needs_name(*missing)) + "`"));
            }
            name_user(*who, stream, *pushed);
            if (who->limits && parts_.options.enable_rate_limiting) {
                const auto wait = who->limits->publish.with(
                    [&](TokenBucket& bucket) { return bucket.take(parts_.hub.clock().monotonic(), static_cast<double>(pushed->count)); });
                if (wait) return answer(rate_limited_answer(*wait));
            }
            push(parts_.hub.log(), stream, std::make_shared<PushedEvents>(*std::move(pushed)), answer);
        });
        if (!submitted) refuse(waiting, GatewayError::busy);
    });
}

/// A notice is an event like any: sessions get it when it is committed.
void Api::notice(net::HttpExchange& exchange) {
    if (!exchange.request().header("Content-Type").value_or("application/json").starts_with("application/json"))
        return refuse(exchange, GatewayError::unsupported_media_type, "application/json");
    exchange.read_body(16 * 1024, [this](net::HttpExchange& waiting, std::string_view body) {
        const auto json = Json::parse(body);
        if (!json.ok()) return refuse(waiting, GatewayError::bad_request, json.error().message);
        const auto message = json->find_string("message");
        const auto level = json->find("level") ? json->find_string("level") : "info";
        if (!message || message->empty()) return refuse(waiting, GatewayError::bad_request, "`message` is missing or no text");
        if (level != "info" && level != "warning" && level != "critical") return refuse(waiting, GatewayError::bad_request, "`level` is info, warning or critical");
        if (json->find("group") && !json->find_string("group")) return refuse(waiting, GatewayError::bad_request, "`group` is a text");
        for (const auto& [name, value] : json->members())
            if (name != "message" && name != "level" && name != "group") return refuse(waiting, GatewayError::bad_request, "unknown member `" + cut(name, 64) + "`; allowed: message, level, group");
        std::string text;
        JsonWriter event(text);
        event.object().member("type", "notice").name("data").object().member("message", *message).member("level", *level);
        if (const auto group = json->find_string("group")) event.member("group", *group);
        event.end().end();
        const Json made = *Json::parse(text);
        auto pushed = std::make_shared<PushedEvents>(read_pushed(made, parts_.hub.clock().now(), [this] { return parts_.hub.next_id(); }));
        const bool taken = push_now(parts_.hub.log(), StreamName(Hub::kNoticeStream), pushed, [this, ref = waiting.ref()](PushAnswer answer) {
            (void)parts_.hub.reactor().post([ref, made_answer = std::make_shared<HttpAnswer>(http_answer(std::move(answer)))] {
                if (auto* still = ref.get()) send_answer(*still, *made_answer);
            });
        });
        if (!taken) refuse(waiting, GatewayError::busy);
    });
}

void Api::keys(net::HttpExchange& exchange, const IdentityPtr& who) {
    const auto name = exchange.request().query_parameter("stream");
    const HubStream* stream = visible(exchange, who, name);
    if (!stream) return;
    if (!who->permissions.filter.matches_all()) {
        // The newest of a key may lie outside what this token sees, and an older one inside: read from the log.
        return answer_later(exchange, [this, name = *name, who] {
            HttpAnswer answer;
            JsonWriter json(answer.body);
            const auto info = parts_.hub.log().info(name);
            json.object().member("stream", name).name("epoch");
            if (info) json.value(to_text(info->epoch));
            else json.null();
            json.member("head_seq", info ? info->head.value : 0).name("keys").array();
            const LatestFound found = info ? read_latest(parts_.hub.log(), *info, 20'000, who->permissions.filter) : LatestFound();
            std::map<std::string_view, std::size_t> by_key;
            for (std::size_t i = 0; i < found.seqs.size(); ++i) by_key.emplace(found.events[i].key, i);
            for (const auto& [key, i] : by_key)
                json.object().member("key", key).member("seq", found.seqs[i].value).member("last_time", found.events[i].time).name("last").raw(found.events[i].data).end();
            json.end().member("left_out", 0).end();
            return answer;
        });
    }
    HttpAnswer answer;
    JsonWriter json(answer.body);
    const auto* latest = latest_.find(*name);
    json.object().member("stream", *name).name("epoch");
    if (stream->epoch.value != 0) json.value(to_text(stream->epoch));
    else json.null();
    json.member("head_seq", stream->next.value - 1).name("keys").array();
    if (latest)
        for (const auto& [key, entry] : latest->keys)
            json.object().member("key", key).member("seq", entry.seq.value).member("last_time", entry.time).name("last").raw(entry.data).end();
    json.end().member("left_out", latest ? latest->left_out : 0).end();
    if (takes_gzip(exchange.request()) && answer.body.size() < 256 * 1024) compress(answer);
    send_answer(exchange, answer);
}

// Windows and series.

void Api::windows(net::HttpExchange& exchange, const IdentityPtr& who) {
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().name("windows").array();
    for (const auto& window : parts_.windows) {
        if (!who->permissions.sees(window.output, parts_.directory.type_of(window.output))) continue;
        json.object().member("name", window.name).member("stream", window.stream).member("output", window.output).member("field", window.field);
        json.member("kind", window.kind).member("size_ms", window.size.count() / 1000).member("hop_ms", window.hop.count() / 1000);
        json.member("per_key", window.per_key).end();
    }
    json.end().end();
    send_answer(exchange, answer);
}

void Api::results(net::HttpExchange& exchange, const IdentityPtr& who, std::string_view name) {
    const auto decoded = net::percent_decode(name);
    ResultsRequest request;
    for (const auto& window : parts_.windows)
        if (decoded && window.name == *decoded && who->permissions.sees(window.output, parts_.directory.type_of(window.output))) request.window = window;
    if (request.window.name.empty()) return refuse(exchange, GatewayError::unknown_window, name);
    request.boundary = who->permissions.filter;
    bool bad = false;
    request.key = exchange.request().query_parameter("key");
    request.from = time_parameter(exchange.request(), "from", bad);
    request.to = time_parameter(exchange.request(), "to", bad);
    if (bad) return refuse(exchange, GatewayError::bad_request, "`from` and `to` are times such as 2026-02-17T10:00:00Z");
    if (const auto text = exchange.request().query_parameter("limit")) {
        const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), request.limit);
        if (error != std::errc() || end != text->data() + text->size() || request.limit == 0 || request.limit > EventPage::limit_max)
            return refuse(exchange, GatewayError::bad_request, "`limit` is a whole number from 1 to 10000");
    }
    answer_later(exchange, [this, request = std::move(request)] { return answer_results(parts_.hub.log(), request); });
}

void Api::series(net::HttpExchange& exchange, const IdentityPtr& who) {
    const auto& query = exchange.request();
    const auto stream = query.query_parameter("stream"), field = query.query_parameter("field");
    if (!stream || !field) return refuse(exchange, GatewayError::bad_request, "`stream` and `field` are needed");
    if (!visible(exchange, who, stream)) return;
    SeriesRequest request;
    request.boundary = who->permissions.filter;
    request.stream = *stream;
    request.key = query.query_parameter("key");
    const auto pointer = JsonPointer::parse(*field);
    if (!pointer.ok()) return refuse(exchange, GatewayError::bad_request, "`field` is a JSON Pointer into data, such as /currentfill");
    request.field = *pointer;
    bool bad = false;
    request.to = time_parameter(query, "to", bad).value_or(parts_.hub.clock().now() + 1s);
    request.from = time_parameter(query, "from", bad).value_or(request.to - Duration(3'600'000'000));
    if (bad || request.from >= request.to) return refuse(exchange, GatewayError::bad_request, "`from` and `to` are times such as 2026-02-17T10:00:00Z, `from` before `to`");
    if (const auto text = query.query_parameter("points")) {
        const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), request.points);
        if (error != std::errc() || end != text->data() + text->size() || request.points == 0 || request.points > SeriesRequest::points_max)
            return refuse(exchange, GatewayError::bad_request, "`points` is a whole number from 1 to 20000");
    }
    answer_later(exchange, [this, request = std::move(request), who] {
        // Windows are events of their own: those that this token may not see are not looked into.
        std::vector<WindowInfo> windows;
        for (const auto& window : parts_.windows)
            if (who->permissions.sees(window.output, parts_.directory.type_of(window.output))) windows.push_back(window);
        return answer_series(parts_.hub.log(), request, windows);
    });
}

// What weir says of itself.

void Api::feeds(net::HttpExchange& exchange, const IdentityPtr& who) {
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().name("feeds");
    print_parts(json, parts_.status, "feeds/", [&](const Json& feed) {
        if (who->permissions.administer || !who->permissions.bounded()) return true;
        const auto stream = feed.find_string("stream");
        return stream && who->permissions.sees(*stream, parts_.directory.type_of(*stream));
    });
    json.end();
    send_answer(exchange, answer);
}

void Api::status(net::HttpExchange& exchange) {
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().member("version", parts_.version).member("started", parts_.started).member("now", parts_.hub.clock().now());
    json.member("clock_zone", parts_.options.clock_zone.name());
    const auto log = parts_.status.read("log");
    json.name("log").raw(!log.empty() && log[0].first == "log" ? log[0].second : "{}");
    json.name("processors");
    print_parts(json, parts_.status, "processors/");
    json.name("stores");
    print_parts(json, parts_.status, "stores/");
    const HubCounts counts = parts_.hub.counts();
    json.name("gateway").object().member("sessions", counts.sessions).member("sessions_opened", counts.sessions_opened);
    json.member("subscriptions", counts.subscriptions).member("audiences", counts.audiences).member("ring_bytes", counts.ring_bytes);
    json.member("encodes", counts.encodes).member("ready", parts_.why_not_ready().empty()).end().end();
    send_answer(exchange, answer);
}

void Api::session(net::HttpExchange& exchange, std::string_view number) {
    auto describe = [id = std::string(number)](Hub& hub) {
        std::string text;
        hub.each_session([&](Session& session) {
            if (!text.empty() || session.client_id() != id) return;
            JsonWriter json(text);
            json.object().member("id", id).member("peer", session.connection().peer().to_text()).member("messages_in", session.messages_in);
            json.member("matched", session.matched()).member("delivered", session.delivered()).member("merged", session.merged());
            std::uint64_t dropped = 0;
            json.name("dropped_by_reason").object();
            for (std::size_t i = 0; i < static_cast<std::size_t>(Drop::count); ++i) {
                const auto n = session.dropped(static_cast<Drop>(i));
                if (n > 0) json.member(drop_name(static_cast<Drop>(i)), n);
                dropped += n;
            }
            json.end().member("dropped", dropped).member("queued", session.queued()).member("queued_bytes", session.queued_bytes()).name("subscriptions").array();
            for (const auto& held : session.held()) json.value(held.subscription->id);
            json.end().end();
        });
        return text;
    };
    parts_.ask_all(describe, [this, ref = exchange.ref(), id = std::string(number)](const std::vector<std::string>& answers) {
        auto* waiting = ref.get();
        if (!waiting) return;
        HttpAnswer answer;
        for (const auto& text : answers) answer.body += text;
        if (answer.body.empty()) return refuse(*waiting, GatewayError::unknown_session, id);
        send_answer(*waiting, answer);
    });
}

void Api::groups(net::HttpExchange& exchange) {
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().name("groups").array();
    for (const auto& group : parts_.hub.groups().list()) {
        json.object().member("name", group.name).member("members", group.members).name("positions").object();
        for (const auto& [stream, position] : group.positions) json.name(stream).object().member("epoch", to_text(position.epoch)).member("seq", position.seq.value).end();
        json.end().member("used", group.used).end();
    }
    json.end().end();
    send_answer(exchange, answer);
}

void Api::forget_group(net::HttpExchange& exchange, std::string_view encoded) {
    const auto name = net::percent_decode(encoded);
    if (!name) return refuse(exchange, GatewayError::bad_request, "the name is not percent-encoded text");
    Groups& groups = parts_.hub.groups();
    if (!groups.forget(*name)) return refuse(exchange, GatewayError::conflict, "the group has members");
    GroupHome& home = groups.home(*name);
    home.tell([&home, name = *name] { home.remove(name); });
    HttpAnswer answer;
    JsonWriter(answer.body).object().member("forgotten", true).end();
    send_answer(exchange, answer);
}

void Api::stats(net::HttpExchange& exchange) {
    parts_.collect([this, ref = exchange.ref()](const std::vector<HubCounts>& all) {
        if (auto* waiting = ref.get()) send_answer(*waiting, stats_answer(all, parts_.options, parts_.server.statistics()));
    });
}

void Api::metrics(net::HttpExchange& exchange) {
    parts_.collect([this, ref = exchange.ref()](const std::vector<HubCounts>& all) {
        auto* waiting = ref.get();
        if (!waiting) return;
        HttpAnswer answer;
        answer.type = "text/plain; version=0.0.4; charset=utf-8";
        answer.body = parts_.metrics.print();
        append_gateway_metrics(answer.body, all, parts_.server.statistics());
        if (takes_gzip(waiting->request())) compress(answer);
        send_answer(*waiting, answer);
    });
}

void Api::ready(net::HttpExchange& exchange) {
    const std::string why_not = parts_.why_not_ready();
    const bool yes = why_not.empty();
    exchange.respond(yes ? 200 : 503, {{"Content-Type", "text/plain"}, {"Cache-Control", "no-store"}}, yes ? "ok\n" : why_not + "\n");
}

void Api::server_sent_events(net::HttpExchange& exchange, const IdentityPtr& who) {
    if (exchange.request().method != "GET") return refuse_method(exchange, "GET");
    const auto& query = exchange.request();
    const auto name = query.query_parameter("stream");
    const HubStream* stream = visible(exchange, who, name);
    if (!stream) return;
    Hub::Wanted wanted;
    wanted.dialect = DialectKind::sse;
    wanted.type = stream->type;
    wanted.streams = {*name};
    if (const auto text = query.query_parameter("filters")) {
        auto filter = Filter::parse_text(*text);
        if (!filter.ok()) return refuse(exchange, filter_error(filter.error().code), filter.error().message);
        wanted.filter = *std::move(filter);
    }
    if (!who->permissions.filter.matches_all()) wanted.filter = wanted.filter.and_also(who->permissions.filter);
    // Where to go on: what the browser saw last, or a page's own position.
    Since since;
    const auto last_id = query.header("Last-Event-ID");
    const std::string position = last_id ? std::string(*last_id) : query.query_parameter("since").value_or("");
    if (!position.empty()) {
        Since::Position at;
        const auto colon = position.find(':');
        const char* end = position.data() + position.size();
        if (colon == std::string::npos || std::from_chars(position.data(), position.data() + colon, at.epoch.value, 16).ptr != position.data() + colon ||
            std::from_chars(position.data() + colon + 1, end, at.seq.value).ptr != end || at.seq.value >> 63)
            return refuse(exchange, GatewayError::bad_since, "<epoch>:<seq>, as in the `id` of an event");
        since.at = Since::Positions{{*name, at}};
    }
    if (parts_.hub.is_full()) {
        audit(Audit::warning, {.what = "refused", .peer = exchange.peer().to_text(), .who = who->name, .path = exchange.request().path, .detail = row(GatewayError::at_capacity).code});
        return refuse(exchange, GatewayError::at_capacity);
    }
    Session& session = parts_.hub.open(*sse_, who);
    net::Connection& connection =
        exchange.begin_stream(200, {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}}, session);
    session.start(connection);
    connection.send_encoded("retry: 1000\n\n");
    session.hold(parts_.hub.subscription(std::move(wanted)), since);
}

}  // namespace weir
