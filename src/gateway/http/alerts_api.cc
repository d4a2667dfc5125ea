#include "gateway/http/alerts_api.h"

#include <charconv>
#include <unordered_set>

#include "gateway/http/answer_later.h"
#include "event/json.h"
#include "event/json_path.h"
#include "gateway/http/acknowledging_user.h"
#include "gateway/http/read_backwards.h"

namespace weir {
namespace {

const JsonPath& path(const char* pointer) {
    static const JsonPath id = *JsonPath::parse("/id"), state = *JsonPath::parse("/state"), rule = *JsonPath::parse("/rule"), key = *JsonPath::parse("/key");
    const std::string_view wanted = pointer;
    return wanted == "/id" ? id : wanted == "/state" ? state : wanted == "/rule" ? rule : key;
}

}  // namespace

bool AlertsApi::handle(net::HttpExchange& exchange, std::string_view rest, const IdentityPtr& who) {
    constexpr std::string_view head = "alerts";
    if (!rest.starts_with(head) || (rest.size() > head.size() && rest[head.size()] != '/')) return false;
    rest.remove_prefix(head.size());
    if (rest.empty()) {
        list(exchange, who);
        return true;
    }
    rest.remove_prefix(1);
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string id(rest.substr(0, slash));
    if (slash == rest.size()) {
        answer_later(exchange, [this, who, id] { return read(who->permissions, id); });
        return true;
    }
    // The table of endpoints has seen to it that it is one of three.
    command(exchange, who, id, rest.substr(slash + 1));
    return true;
}

void AlertsApi::list(net::HttpExchange& exchange, const IdentityPtr& who) {
    const auto& request = exchange.request();
    Query query;
    query.state = request.query_parameter("state").value_or("open");
    for (const std::string_view known : {"open", "firing", "pending", "resolved", "all", ""}) {
        if (known.empty()) return refuse(exchange, GatewayError::bad_request, "`state` is open, firing, pending, resolved or all");
        if (query.state == known) break;
    }
    query.rule = request.query_parameter("rule");
    query.key = request.query_parameter("key");
    if (const auto text = request.query_parameter("limit")) {
        const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), query.limit);
        if (error != std::errc() || end != text->data() + text->size() || query.limit == 0 || query.limit > limit_max)
            return refuse(exchange, GatewayError::bad_request, "`limit` is a whole number from 1 to 10000");
    }
    answer_later(exchange, [this, who, query] { return read(who->permissions, query); });
}

HttpAnswer AlertsApi::read(const Permissions& who, const Query& query) {
    const bool only_open = query.state == "open" || query.state == "firing" || query.state == "pending";
    std::unordered_set<std::string> seen;
    std::size_t count = 0;
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().name("alerts").array();
    // Newest first: what is seen first of an alert is how it is now.
    const auto read = read_backwards(hub_, who, stream, only_open ? open_within : searched_max, [&](const EventView& event) {
        const auto id = path("/id").string(event.data);
        if (!id || !seen.insert(*id).second) return true;
        const std::string state = path("/state").string(event.data).value_or("");
        const bool wanted = query.state == "all" || query.state == state || (query.state == "open" && (state == "firing" || state == "pending"));
        if (!wanted || (query.rule && path("/rule").string(event.data) != query.rule) || (query.key && path("/key").string(event.data) != query.key)) return true;
        json.raw(event.data);
        return ++count < query.limit;
    });
    if (!read.ok()) return error_answer(GatewayError::log_unavailable, read.error().message);
    json.end().member("complete", (*read || only_open) && count < query.limit).name("reason_codes").object();
    for (const auto& [code, text] : spc_.reasons()) json.member(code, text);
    json.end().end();
    return answer;
}

HttpAnswer AlertsApi::read(const Permissions& who, const std::string& wanted) {
    HttpAnswer answer;
    const auto read = read_backwards(hub_, who, stream, searched_max, [&](const EventView& event) {
        if (path("/id").string(event.data) != wanted) return true;
        answer.body = event.data;
        return false;
    });
    if (!read.ok()) return error_answer(GatewayError::log_unavailable, read.error().message);
    return answer.body.empty() ? error_answer(GatewayError::unknown_alert, wanted) : answer;
}

void AlertsApi::command(net::HttpExchange& exchange, const IdentityPtr& who, std::string id, std::string_view type) {
    if (!has_rules_) return refuse(exchange, GatewayError::unknown_alert, "there is no [alerts.*], and of alerts that clients pushed weir knows no more than they say");
    exchange.read_body(gateway_.max_message_size, [this, who, id = std::move(id), type = std::string(type)](net::HttpExchange& waiting, std::string_view body) {
        auto data = body.find_first_not_of(" \t\r\n") == std::string_view::npos ? Result<Json>(Json::object()) : Json::parse(body);
        if (!data.ok()) return refuse(waiting, GatewayError::bad_request, data.error().message);
        if (!data->is_object()) return refuse(waiting, GatewayError::bad_request, "the body is a JSON object");
        if (who->limits && gateway_.enable_rate_limiting) {
            const auto wait = who->limits->acknowledge.with([&](TokenBucket& bucket) { return bucket.take(hub_.clock().monotonic(), 1); });
            if (wait) return send_answer(waiting, rate_limited_answer(*wait));
        }
        data->set("alert_id", Json::string(id));
        name_user(*who, *data);
        if (who->permissions.administer || !who->permissions.bounded()) return desk_.ask(waiting, type, *data);
        // What lies outside of what this token sees is not there.
        const bool submitted = pool_.submit([this, ref = waiting.ref(), who, id, type, command = std::make_shared<Json>(*std::move(data))] {
            const bool seen = read(who->permissions, id).status == 200;
            (void)hub_.reactor().post([this, ref, id, type, command, seen] {
                auto* asking = ref.get();
                if (!asking) return;
                if (seen) desk_.ask(*asking, type, *command);
                else refuse(*asking, GatewayError::unknown_alert, id);
            });
        });
        if (!submitted) refuse(waiting, GatewayError::busy);
    });
}

void AlertsApi::answer_later(net::HttpExchange& exchange, std::function<HttpAnswer()> work) { weir::answer_later(hub_, pool_, exchange, std::move(work)); }

void AlertsApi::refuse(net::HttpExchange& exchange, GatewayError error, std::string_view detail) { weir::refuse(hub_, exchange, error, detail); }

}  // namespace weir
