#include "gateway/http/spc_api.h"

#include <algorithm>
#include <charconv>

#include "gateway/http/answer_later.h"
#include "event/json.h"
#include "gateway/http/acknowledging_user.h"
#include "gateway/stream_directory.h"

namespace weir {
namespace {

constexpr std::uint64_t kIdMax = (std::uint64_t{1} << 53) - 1;

std::optional<std::uint64_t> read_id(std::string_view text) {
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    return error == std::errc() && end == text.data() + text.size() && id > 0 && id <= kIdMax ? std::optional(id) : std::nullopt;
}

/// A time or nothing; false when the parameter is no time.
bool read_time(const net::HttpRequest& request, const char* name, std::optional<Timestamp>& out) {
    const auto text = request.query_parameter(name);
    if (!text) return true;
    out = parse_rfc3339(*text, Offset::optional);
    return out.has_value();
}

bool read_limit(const net::HttpRequest& request, std::size_t& out) {
    const auto text = request.query_parameter("limit");
    if (!text) return true;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), out);
    return error == std::errc() && end == text->data() + text->size() && out > 0 && out <= SpcReader::limit_max;
}

}  // namespace

bool SpcApi::handle(net::HttpExchange& exchange, std::string_view rest, const IdentityPtr& who) {
    std::vector<std::string_view> parts;
    for (std::size_t begin = 0; begin <= rest.size();) {
        const std::size_t end = std::min(rest.find('/', begin), rest.size());
        parts.push_back(rest.substr(begin, end - begin));
        begin = end + 1;
    }
    const std::string_view head = parts.front();
    if (head != "characteristics" && head != "samples" && head != "violations") return false;
    if (!options_.enabled) refuse(exchange, GatewayError::unknown_path, "spc.enabled is false");
    else if (head == "characteristics") handle_characteristics(exchange, parts, who);
    else if (head == "samples") handle_samples(exchange, parts, who);
    else handle_violations(exchange, parts, who);
    return true;
}

// The table of endpoints has seen to it that path and method are ones that there are: what is no GET below is the other one.

void SpcApi::handle_characteristics(net::HttpExchange& exchange, const std::vector<std::string_view>& parts, const IdentityPtr& who) {
    const std::string_view method = exchange.request().method;
    const bool reads = method == "GET" || method == "HEAD";
    if (parts.size() == 1) {
        if (!reads) return ask_with_body(exchange, who, "create_characteristic", [](Json body) { return body; }, 201);
        return answer_later(exchange, [this, who] { return reader_.characteristics(who->permissions); });
    }
    const auto id = read_id(parts[1]);
    if (!id) return refuse(exchange, GatewayError::unknown_characteristic, parts[1]);
    const auto with_id = [id = *id](Json body) {
        body.set("characteristic_id", Json::integer(static_cast<std::int64_t>(id)));
        return body;
    };
    const std::string_view what = parts.size() > 2 ? parts[2] : std::string_view();
    if (what == "samples") return get_samples(exchange, who, *id);
    if (what == "limits") {
        if (!reads) return ask_with_body(exchange, who, "", with_id, 201);
        return answer_later(exchange, [this, who, id = *id] { return reader_.limits(who->permissions, id); });
    }
    if (what == "capability") {
        Json data = with_id(Json::object());
        for (const char* name : {"from", "to"})
            if (const auto text = exchange.request().query_parameter(name)) data.set(name, Json::string(*text));
        return ask_as(exchange, who, "capability", data);
    }
    if (reads) return answer_later(exchange, [this, who, id = *id] { return reader_.characteristic(who->permissions, id); });
    if (method == "DELETE") return ask_as(exchange, who, "retire_characteristic", with_id(Json::object()));
    if (method == "PUT")
        return ask_with_body(exchange, who, "put_characteristic", [id = *id](Json body) {
            body.set("id", Json::integer(static_cast<std::int64_t>(id)));
            return body;
        });
    ask_with_body(exchange, who, "change_characteristic", [with_id](Json body) {
        Json data = Json::object();
        data.set("change", std::move(body));
        return with_id(std::move(data));
    });
}

void SpcApi::handle_samples(net::HttpExchange& exchange, const std::vector<std::string_view>& parts, const IdentityPtr& who) {
    if (parts.size() == 1) {
        if (exchange.request().method == "POST") return post_samples(exchange, who);
        const auto text = exchange.request().query_parameter("characteristic_id");
        const auto id = text ? read_id(*text) : std::nullopt;
        if (!id) return refuse(exchange, GatewayError::bad_request, "`characteristic_id` is needed: a whole number");
        return get_samples(exchange, who, *id);
    }
    const auto characteristic = read_id(parts[1]), sample = read_id(parts[2]);
    if (!characteristic || !sample) return refuse(exchange, GatewayError::unknown_sample, parts[2]);
    ask_with_body(exchange, who, "correct_sample", [c = *characteristic, s = *sample](Json body) {
        body.set("characteristic_id", Json::integer(static_cast<std::int64_t>(c)));
        body.set("sample_id", Json::integer(static_cast<std::int64_t>(s)));
        return body;
    });
}

void SpcApi::handle_violations(net::HttpExchange& exchange, const std::vector<std::string_view>& parts, const IdentityPtr& who) {
    if (parts.size() == 1) return get_violations(exchange, who);
    if (parts[1] == "acknowledge") return ask_with_body(exchange, who, "acknowledge", [](Json body) { return body; });
    const auto id = read_id(parts[1]);
    if (!id) return refuse(exchange, GatewayError::unknown_violation, parts[1]);
    if (parts.size() == 2) return answer_later(exchange, [this, who, id = *id] { return reader_.violation(who->permissions, id); });
    ask_with_body(exchange, who, "acknowledge", [id = *id](Json body) {
        body.set("violation_id", Json::integer(static_cast<std::int64_t>(id)));
        return body;
    });
}

void SpcApi::get_samples(net::HttpExchange& exchange, const IdentityPtr& who, std::uint64_t characteristic) {
    SpcReader::SampleQuery query{.characteristic = characteristic};
    const auto& request = exchange.request();
    if (!read_time(request, "from", query.from) || !read_time(request, "to", query.to))
        return refuse(exchange, GatewayError::bad_request, "`from` and `to` are times such as 2026-02-17T10:00:00Z");
    if (!read_limit(request, query.limit)) return refuse(exchange, GatewayError::bad_request, "`limit` is a whole number from 1 to 10000");
    if (const auto text = request.query_parameter("before")) {
        const auto id = *text == "0" ? std::optional<std::uint64_t>(0) : read_id(*text);
        if (!id || !query.to) return refuse(exchange, GatewayError::bad_request, "`before` is a sample's id, beside `to`");
        query.before = *id;
    }
    answer_later(exchange, [this, who, query] { return reader_.samples(who->permissions, query); });
}

void SpcApi::get_violations(net::HttpExchange& exchange, const IdentityPtr& who) {
    SpcReader::ViolationQuery query;
    const auto& request = exchange.request();
    query.state = request.query_parameter("state").value_or("open");
    if (query.state != "open" && query.state != "acknowledged" && query.state != "withdrawn" && query.state != "all")
        return refuse(exchange, GatewayError::bad_request, "`state` is open, acknowledged, withdrawn or all");
    if (!read_limit(request, query.limit)) return refuse(exchange, GatewayError::bad_request, "`limit` is a whole number from 1 to 10000");
    if (!read_time(request, "from", query.from) || !read_time(request, "to", query.to))
        return refuse(exchange, GatewayError::bad_request, "`from` and `to` are times such as 2026-02-17T10:00:00Z");
    if (const auto text = request.query_parameter("characteristic_id")) {
        query.characteristic = read_id(*text);
        if (!query.characteristic) return refuse(exchange, GatewayError::bad_request, "`characteristic_id` is a whole number");
    }
    answer_later(exchange, [this, who, query] { return reader_.violations(who->permissions, query); });
}

void SpcApi::refuse(net::HttpExchange& exchange, GatewayError error, std::string_view detail) { weir::refuse(hub_, exchange, error, detail); }

void SpcApi::answer_later(net::HttpExchange& exchange, std::function<HttpAnswer()> work) { weir::answer_later(hub_, pool_, exchange, std::move(work)); }

// Commands.

void SpcApi::ask_with_body(net::HttpExchange& exchange, const IdentityPtr& who, std::string type, std::function<Json(Json)> shape, int status) {
    exchange.read_body(gateway_.max_message_size, [this, who, type = std::move(type), shape = std::move(shape), status](net::HttpExchange& waiting, std::string_view body) {
        auto json = body.find_first_not_of(" \t\r\n") == std::string_view::npos ? Result<Json>(Json::object()) : Json::parse(body);
        if (!json.ok()) return refuse(waiting, GatewayError::bad_request, json.error().message);
        if (!json->is_object()) return refuse(waiting, GatewayError::bad_request, "the body is a JSON object");
        std::string command = type;
        // Limits are given, or to be estimated.
        if (command.empty()) command = json->find("limits") ? "set_limits" : "estimate_limits";
        if (command == "correct_sample")
            if (const Json* excluded = json->find("excluded")) {
                if (!excluded->is_boolean() || json->members().size() != 1)
                    return refuse(waiting, GatewayError::bad_request, "`excluded` is true or false, and stands alone");
                command = excluded->as_boolean() ? "exclude_sample" : "include_sample";
            }
        Json data = shape(*std::move(json));
        if (command == "acknowledge") name_user(*who, data);
        ask_as(waiting, who, command, std::move(data), status);
    });
}

void SpcApi::ask_as(net::HttpExchange& exchange, const IdentityPtr& who, std::string_view type, Json data, int status) {
    const Permissions& may = who->permissions;
    if (type == "acknowledge" && who->limits && gateway_.enable_rate_limiting) {
        const Json* ids = data.find("violation_ids");
        const double count = ids && ids->is_array() ? static_cast<double>(std::max<std::size_t>(ids->items().size(), 1)) : 1;
        const auto wait = who->limits->acknowledge.with([&](TokenBucket& bucket) { return bucket.take(hub_.clock().monotonic(), count); });
        if (wait) return send_answer(exchange, rate_limited_answer(*wait));
    }
    if (may.administer || !may.bounded()) return desk_.ask(exchange, type, data, status);
    // What lies outside of what this token sees is not there. What was seen of it last tells.
    const bool submitted = pool_.submit([this, ref = exchange.ref(), who, type = std::string(type), data = std::make_shared<Json>(std::move(data)), status] {
        const auto outside = reader_.what_is_outside(who->permissions, *data);
        (void)hub_.reactor().post([this, ref, type, data, status, outside] {
            auto* waiting = ref.get();
            if (!waiting) return;
            const Json* list = data->find("violation_ids");
            HttpAnswer nothing;
            nothing.body = R"({"acknowledged":[],"refused":[]})";
            if (outside) refuse(*waiting, outside->first, std::to_string(outside->second));
            else if (list && list->is_array() && list->items().empty()) send_answer(*waiting, nothing);
            else desk_.ask(*waiting, type, *data, status);
        });
    });
    if (!submitted) refuse(exchange, GatewayError::busy);
}

void SpcApi::fail(const std::string& command, GatewayError error, std::string detail) {
    const auto at = waiting_.find(command);
    if (at == waiting_.end()) return;
    for (const auto& [id, index] : at->second.indexes) samples_waiting_.erase(id);
    if (auto* exchange = at->second.exchange.get()) refuse(*exchange, error, detail);
    waiting_.erase(command);
}

void SpcApi::on_event(std::string_view stream, const EventView& event) {
    if (stream != answers) return;
    desk_.on_event(stream, event);
    if (waiting_.empty()) return;
    if (const auto sample = samples_waiting_.find(std::string(event.key)); sample != samples_waiting_.end()) {
        const auto answer = Json::parse(event.data);
        Waiting& waiting = waiting_[sample->second];
        if (answer.ok() && answer->find_string("code").value_or("") == "duplicate_sample") ++waiting.duplicates;
        else if (answer.ok()) waiting.rejected[waiting.indexes[sample->first]] = {std::string(answer->find_string("code").value_or("")), std::string(answer->find_string("message").value_or(""))};
        return;
    }
    const auto at = waiting_.find(std::string(event.key));
    if (at == waiting_.end()) return;
    for (const auto& [id, index] : at->second.indexes) samples_waiting_.erase(id);
    if (at->second.commits_left > 0) {
        // What is judged is committed, but that has not been said here yet.
        at->second.judged = true;
        return;
    }
    Waiting waiting = std::move(at->second);
    waiting_.erase(at);
    answer_samples(waiting);
}

void SpcApi::sweep() {
    desk_.sweep();
    const Timestamp now = hub_.clock().now();
    std::vector<std::string> late;
    for (const auto& [id, waiting] : waiting_)
        if (now - waiting.since > CommandDesk::patience) late.push_back(id);
    for (const auto& id : late) fail(id, GatewayError::not_judged, id);
}

}  // namespace weir
