#include "gateway/http/spc_api.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "event/json.h"
#include "event/json_path.h"
#include "gateway/stream_directory.h"

namespace weir {
namespace {

constexpr std::size_t kCommitBytes = 384 * 1024;  ///< below what a commit may hold, with room for what the log adds
constexpr std::uint64_t kIdMax = (std::uint64_t{1} << 53) - 1;

std::optional<std::uint64_t> read_id(std::string_view text) {
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    return error == std::errc() && end == text.data() + text.size() && id > 0 && id <= kIdMax ? std::optional(id) : std::nullopt;
}

/// What a command was refused with, as an HTTP answer: where the table of errors knows the code, as it says; else 422.
HttpAnswer refusal(std::string_view code, std::string_view message) {
    for (const auto& row : gateway_errors())
        if (row.code == code) return error_answer(row.error, message);
    const bool conflict = code == "characteristic_retired" || code == "too_old" || code == "too_many_versions" || code == "too_many_characteristics";
    HttpAnswer answer = error_answer(conflict ? GatewayError::conflict : GatewayError::refused, message);
    // The table's row for the kind, the processor's word for the case.
    std::string body;
    JsonWriter(body).object().name("error").object().member("code", code).member("message", row(conflict ? GatewayError::conflict : GatewayError::refused).text)
        .member("detail", message).end().end();
    answer.body = std::move(body);
    return answer;
}

/// A time or nothing; false when the parameter is no time.
bool read_time(const net::HttpRequest& request, const char* name, std::optional<Timestamp>& out) {
    const auto text = request.query_parameter(name);
    if (!text) return true;
    out = parse_rfc3339(*text, Offset::optional);
    return out.has_value();
}

bool read_limit(const net::HttpRequest& request, std::size_t& out, std::size_t most) {
    const auto text = request.query_parameter("limit");
    if (!text) return true;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), out);
    return error == std::errc() && end == text->data() + text->size() && out > 0 && out <= most;
}

HttpAnswer log_failed(const Error& error) { return error_answer(GatewayError::log_unavailable, error.message); }

JsonPath path(const char* pointer) { return *JsonPath::parse(pointer); }

}  // namespace

bool SpcApi::handle(net::HttpExchange& exchange, std::string_view rest, const IdentityPtr& who) {
    std::vector<std::string_view> parts;
    for (std::size_t begin = 0; begin <= rest.size();) {
        const std::size_t end = std::min(rest.find('/', begin), rest.size());
        parts.push_back(rest.substr(begin, end - begin));
        begin = end + 1;
    }
    const std::string_view head = parts.front(), method = exchange.request().method;
    const bool reads = method == "GET" || method == "HEAD";
    if (head != "characteristics" && head != "samples" && head != "violations") return false;
    if (!options_.enabled) return refuse(exchange, GatewayError::unknown_path, "spc.enabled is false"), true;

    const auto unknown = [&](GatewayError error) { return refuse(exchange, error, rest), true; };
    if (head == "characteristics") {
        if (parts.size() == 1) {
            if (reads) get_characteristics(exchange, who, std::nullopt, false);
            else if (method == "POST") ask_with_body(exchange, who, "create_characteristic", [](Json body) { return body; }, 201);
            else refuse_method(exchange, "GET, POST");
            return true;
        }
        const auto id = read_id(parts[1]);
        if (!id || parts.size() > 3) return unknown(GatewayError::unknown_characteristic);
        const auto with_id = [id = *id](Json body) {
            body.set("characteristic_id", Json::integer(static_cast<std::int64_t>(id)));
            return body;
        };
        const std::string_view what = parts.size() == 3 ? parts[2] : std::string_view();
        if (what.empty()) {
            if (reads) return get_characteristics(exchange, who, *id, false), true;
            if (method == "PUT") {
                ask_with_body(exchange, who, "put_characteristic", [id = *id](Json body) {
                    body.set("id", Json::integer(static_cast<std::int64_t>(id)));
                    return body;
                });
            } else if (method == "PATCH") {
                ask_with_body(exchange, who, "change_characteristic", [with_id](Json body) {
                    Json data = Json::object();
                    data.set("change", std::move(body));
                    return with_id(std::move(data));
                });
            } else if (method == "DELETE") {
                ask_as(exchange, who, "retire_characteristic", with_id(Json::object()));
            } else {
                refuse_method(exchange, "GET, PUT, PATCH, DELETE");
            }
        } else if (what == "limits") {
            if (reads) get_characteristics(exchange, who, *id, true);
            else if (method == "POST")
                ask_with_body(exchange, who, "", with_id, 201);
            else refuse_method(exchange, "GET, POST");
        } else if (what == "capability") {
            if (!reads) return refuse_method(exchange, "GET"), true;
            Json data = with_id(Json::object());
            for (const char* name : {"from", "to"})
                if (const auto text = exchange.request().query_parameter(name)) data.set(name, Json::string(*text));
            ask_as(exchange, who, "capability", data);
        } else if (what == "samples") {
            if (reads) get_samples(exchange, who, *id);
            else refuse_method(exchange, "GET");
        } else {
            refuse(exchange, GatewayError::unknown_path, rest);
        }
        return true;
    }
    if (head == "samples") {
        if (parts.size() == 1) {
            if (method == "POST") return post_samples(exchange, who), true;
            if (!reads) return refuse_method(exchange, "GET, POST"), true;
            const auto text = exchange.request().query_parameter("characteristic_id");
            const auto id = text ? read_id(*text) : std::nullopt;
            if (!id) return refuse(exchange, GatewayError::bad_request, "`characteristic_id` is needed: a whole number"), true;
            return get_samples(exchange, who, *id), true;
        }
        const auto characteristic = read_id(parts[1]), sample = parts.size() == 3 ? read_id(parts[2]) : std::nullopt;
        if (!characteristic || !sample) return unknown(GatewayError::unknown_sample);
        if (method != "PATCH") return refuse_method(exchange, "PATCH"), true;
        ask_with_body(exchange, who, "correct_sample", [c = *characteristic, s = *sample](Json body) {
            body.set("characteristic_id", Json::integer(static_cast<std::int64_t>(c)));
            body.set("sample_id", Json::integer(static_cast<std::int64_t>(s)));
            return body;
        });
        return true;
    }
    if (parts.size() == 1) return reads ? get_violations(exchange, who, std::nullopt) : refuse_method(exchange, "GET"), true;
    if (parts.size() == 2 && parts[1] == "acknowledge") {
        if (method != "POST") return refuse_method(exchange, "POST"), true;
        return ask_with_body(exchange, who, "acknowledge", [](Json body) { return body; }), true;
    }
    const auto id = read_id(parts[1]);
    if (!id || parts.size() > 3 || (parts.size() == 3 && parts[2] != "acknowledge")) return unknown(GatewayError::unknown_violation);
    if (parts.size() == 2) return reads ? get_violations(exchange, who, *id) : refuse_method(exchange, "GET"), true;
    if (method != "POST") return refuse_method(exchange, "POST"), true;
    ask_with_body(exchange, who, "acknowledge", [id = *id](Json body) {
        body.set("violation_id", Json::integer(static_cast<std::int64_t>(id)));
        return body;
    });
    return true;
}

void SpcApi::refuse(net::HttpExchange& exchange, GatewayError error, std::string_view detail) {
    hub_.count(error);
    send_answer(exchange, error_answer(error, detail));
}

void SpcApi::refuse_method(net::HttpExchange& exchange, std::string_view allowed) {
    HttpAnswer answer = error_answer(GatewayError::method_not_allowed, "allowed: " + std::string(allowed));
    answer.headers.emplace_back("Allow", allowed);
    send_answer(exchange, answer);
}

void SpcApi::answer_later(net::HttpExchange& exchange, std::function<HttpAnswer()> work) {
    const bool submitted = pool_.submit([this, ref = exchange.ref(), gzip = takes_gzip(exchange.request()), work = std::move(work)] {
        auto answer = std::make_shared<HttpAnswer>(work());
        if (gzip) compress(*answer);
        (void)hub_.reactor().post([ref, answer] {
            if (auto* waiting = ref.get()) send_answer(*waiting, *answer);
        });
    });
    if (!submitted) refuse(exchange, GatewayError::busy);
}

// Commands.

std::string SpcApi::next_command() {
    char id[64];
    std::snprintf(id, sizeof id, "command/%016llx/%llu", static_cast<unsigned long long>(id_seed_), static_cast<unsigned long long>(next_id_++));
    return id;
}

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
        ask_as(waiting, who, command, shape(*std::move(json)), status);
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
    if (may.administer || !may.bounded()) return ask(exchange, type, data, status);
    // What lies outside of what this token sees is not there. What was seen of it last tells.
    const bool submitted = pool_.submit([this, ref = exchange.ref(), who, type = std::string(type), data = std::make_shared<Json>(std::move(data)), status] {
        const auto outside = what_is_outside(who, *data);
        (void)hub_.reactor().post([this, ref, type, data, status, outside] {
            auto* waiting = ref.get();
            if (!waiting) return;
            const Json* list = data->find("violation_ids");
            HttpAnswer nothing;
            nothing.body = R"({"acknowledged":[],"refused":[]})";
            if (outside) refuse(*waiting, outside->first, std::to_string(outside->second));
            else if (list && list->is_array() && list->items().empty()) send_answer(*waiting, nothing);
            else ask(*waiting, type, *data, status);
        });
    });
    if (!submitted) refuse(exchange, GatewayError::busy);
}

/// The first characteristic or violation of a command that `who` does not see. All open violations of a characteristic become a list of those that are seen.
std::optional<std::pair<GatewayError, std::uint64_t>> SpcApi::what_is_outside(const IdentityPtr& who, Json& data) {
    std::set<std::uint64_t> wanted;
    const auto number = [](const Json* json) { return json && json->is_number() ? static_cast<std::uint64_t>(json->as_integer().value_or(0)) : 0; };
    const Json* list = data.find("violation_ids");
    if (list && list->is_array())
        for (const Json& item : list->items()) wanted.insert(number(&item));
    if (const Json* one = data.find("violation_id")) wanted.insert(number(one));
    const std::uint64_t characteristic = number(data.find("characteristic_id"));
    if (wanted.empty() && characteristic != 0) {
        bool seen = false;
        const std::string key = std::to_string(characteristic);
        (void)backwards(who, characteristics, [&](const EventView& event) { return !(seen = event.key == key && event.type == "characteristic"); });
        if (!seen) return std::pair(GatewayError::unknown_characteristic, characteristic);
    }
    const bool all_open = wanted.empty() && data.find("user") && characteristic != 0;
    static const JsonPath violation_id = path("/violation_id");
    std::set<std::uint64_t> seen, closed;
    std::vector<Json> open;
    const std::string key = std::to_string(characteristic);
    if (!wanted.empty() || all_open)
        (void)backwards(who, violations, [&](const EventView& event) {
            const auto id = violation_id.number(event.data);
            if (!id || (all_open && event.key != key)) return true;
            const auto known = static_cast<std::uint64_t>(*id);
            if (event.type == "violation_withdrawn" || event.type == "ack_update") closed.insert(known);
            if (event.type != "violation" || !seen.insert(known).second) return true;
            if (all_open && !closed.contains(known)) open.push_back(Json::integer(static_cast<std::int64_t>(known)));
            wanted.erase(known);
            return all_open || !wanted.empty();
        });
    if (!wanted.empty()) return std::pair(GatewayError::unknown_violation, *wanted.begin());
    if (all_open) data.set("violation_ids", Json::array(std::move(open)));
    return std::nullopt;
}

/// Newest first, what `who` sees.
Result<void> SpcApi::backwards(const IdentityPtr& who, std::string_view stream, const std::function<bool(const EventView&)>& use) {
    Log& log = hub_.log();
    const auto info = log.info(stream);
    if (!info || !who->permissions.sees(stream, hub_.directory().type_of(stream))) return ok();
    Boundary boundary(who->permissions.filter);
    Seq before = info->head + 1;
    for (std::size_t read = 0; before > info->first && read < searched_max;) {
        WEIR_TRY(const auto batches, log.read_before(stream, before, 1000));
        if (batches.empty()) return ok();
        for (std::size_t b = batches.size(); b-- > 0;)
            for (std::size_t i = batches[b]->events.size(); i-- > 0;) {
                if (batches[b]->seq_of(i) >= before) continue;
                ++read;
                if (boundary.sees(stream, batches[b]->events[i]) && !use(batches[b]->events[i])) return ok();
            }
        if (batches.front()->first_seq >= before) return ok();
        before = batches.front()->first_seq;
    }
    return ok();
}

void SpcApi::ask(net::HttpExchange& exchange, std::string_view type, const Json& data, int status) {
    if (waiting_.size() >= waiting_max) return refuse(exchange, GatewayError::busy);
    const std::string id = next_command(), text = data.text();
    if (text.size() > 256 * 1024) return refuse(exchange, GatewayError::too_large);
    EventView event;
    event.id = id;
    event.type = type;
    event.source = "push";
    event.data = text;
    event.time = event.ingested = hub_.clock().now();
    Commit commit;
    commit.appends.push_back({StreamName(input), {}, {}});
    commit.appends[0].events.add(event);
    waiting_[id] = {.exchange = exchange.ref(), .since = event.time, .status = status, .indexes = {}, .rejected = {}};
    const bool taken = hub_.log().try_submit(commit, [this, id, reactor = &hub_.reactor()](Result<Committed> done) {
        if (!done.ok()) (void)reactor->post([this, id, message = done.error().message] { fail(id, GatewayError::log_unavailable, message); });
    });
    if (!taken) fail(id, GatewayError::busy, "the log's writer has no room; try again");
}

void SpcApi::fail(const std::string& command, GatewayError error, std::string detail) {
    const auto at = waiting_.find(command);
    if (at == waiting_.end()) return;
    for (const auto& [id, index] : at->second.indexes) samples_waiting_.erase(id);
    if (auto* exchange = at->second.exchange.get()) refuse(*exchange, error, detail);
    waiting_.erase(command);
}

void SpcApi::on_event(std::string_view stream, const EventView& event) {
    if (stream != answers || waiting_.empty()) return;
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
    if (waiting.samples) return answer_samples(waiting);
    auto* exchange = waiting.exchange.get();
    if (!exchange) return;
    const auto answer = Json::parse(event.data);
    if (!answer.ok()) return refuse(*exchange, GatewayError::log_unavailable, answer.error().message);
    if (!answer->find("ok") || !answer->find("ok")->as_boolean())
        return send_answer(*exchange, refusal(answer->find_string("code").value_or("refused"), answer->find_string("message").value_or("")));
    HttpAnswer done;
    done.status = waiting.status;
    done.body = answer->find("result") ? answer->find("result")->text() : "{}";
    send_answer(*exchange, done);
}

void SpcApi::sweep() {
    const Timestamp now = hub_.clock().now();
    std::vector<std::string> late;
    for (const auto& [id, waiting] : waiting_)
        if (now - waiting.since > patience) late.push_back(id);
    for (const auto& id : late) fail(id, GatewayError::not_judged, id);
}

// Samples in.

void SpcApi::post_samples(net::HttpExchange& exchange, const IdentityPtr& who) {
    // Whoever may only see some streams may only write to these.
    if (!who->permissions.every_stream && !who->permissions.sees(input, hub_.directory().type_of(input))) return refuse(exchange, GatewayError::unknown_stream, input);
    const auto type = exchange.request().header("Content-Type").value_or("application/json");
    const bool ndjson = type.starts_with("application/x-ndjson") || type.starts_with("application/jsonl");
    if (!ndjson && !type.starts_with("application/json")) return refuse(exchange, GatewayError::unsupported_media_type, "application/json or application/x-ndjson");
    if (waiting_.size() >= waiting_max) return refuse(exchange, GatewayError::busy);
    exchange.read_body(gateway_.max_message_size, [this, ndjson, who](net::HttpExchange& waiting, std::string_view body) {
        const std::string command = next_command();
        waiting_[command] = {.exchange = waiting.ref(), .since = hub_.clock().now(), .samples = true, .indexes = {}, .rejected = {}};
        if (!pool_.submit([this, command, ndjson, who, text = std::string(body)] { read_samples(command, who, text, ndjson); })) fail(command, GatewayError::busy, "");
    });
}

struct SpcApi::ReadSamples {
    std::vector<Commit> commits;
    std::map<std::string, std::size_t> indexes;
    std::map<std::size_t, std::pair<std::string, std::string>> rejected;
    std::size_t count = 0, taken = 0, bytes = kCommitBytes;
    std::string malformed;
    std::optional<Duration> wait;  ///< the token's limit is reached
};

/// On the pool: reads and checks the shape. Behind the samples goes a `flush`, whose answer says that all were judged.
void SpcApi::read_samples(const std::string& command, const IdentityPtr& who, std::string_view body, bool ndjson) {
    auto read = std::make_shared<ReadSamples>();
    const Timestamp now = hub_.clock().now();
    const auto room = [&](std::size_t bytes) -> EventList& {
        if (read->bytes + bytes > kCommitBytes) {
            read->commits.emplace_back().appends.push_back({StreamName(input), {}, {}});
            read->bytes = 0;
        }
        read->bytes += bytes;
        return read->commits.back().appends[0].events;
    };
    const auto take = [&](const Json& item) {
        const std::size_t index = read->count++;
        const auto bad = [&](std::string message) { read->rejected[index] = {"bad_sample", std::move(message)}; };
        if (!item.is_object()) return bad("a sample is an object");
        std::string data = "{";
        std::optional<Timestamp> time;
        std::string characteristic;
        for (const auto& [name, value] : item.members()) {
            if (name == "timestamp") {
                const auto found = value.is_string() ? parse_rfc3339(value.as_string()) : std::nullopt;
                if (!found) return bad("`timestamp` is RFC 3339 with an offset, such as 2026-02-17T10:00:00Z");
                time = *found;
                continue;
            }
            if (name == "characteristic_id" || name == "sample_id") {
                const auto id = value.is_number() ? value.as_integer() : std::nullopt;
                if (!id || *id < 1 || *id > static_cast<std::int64_t>(kIdMax)) return bad("`" + name + "` is a whole number from 1 to 9007199254740991");
                if (name == "characteristic_id") characteristic = std::to_string(*id);
            } else if (name != "value" && name != "values" && name != "size" && name != "nominal" && name != "part_sigma") {
                return bad("unknown member `" + name.substr(0, 64) + "`; allowed: characteristic_id, sample_id, timestamp, value, values, size, nominal, part_sigma");
            }
            if (data.size() > 1) data += ',';
            append_json_string(data, name);
            data += ':';
            value.print(data);
        }
        if (characteristic.empty()) return bad("`characteristic_id` is missing");
        data += '}';
        if (data.size() > 256 * 1024) return bad("it is larger than 256 KiB");
        // A repeat of it is known by who judges, not by the log: one that was refused may be right the next time.
        std::string id = command + "/" + std::to_string(index);
        EventView event;
        event.id = id;
        event.type = "put_sample";
        event.key = characteristic;
        event.source = "push";
        event.data = data;
        // One after the other, as they stand: of equal times the ids would decide, which are hashes.
        if (!time) {
            std::int64_t last = last_undated_.load(), next = 0;
            do next = std::max(now.micros(), last + 1);
            while (!last_undated_.compare_exchange_weak(last, next));
            event.time = event.ingested = Timestamp::from_micros(next);
        } else {
            event.time = *time;
            event.ingested = now;
        }
        room(id.size() + data.size() + 96).add(event);
        ++read->taken;
        read->indexes.emplace(std::move(id), index);
    };
    if (ndjson) {
        for (std::string_view rest = body; !rest.empty();) {
            const auto end = std::min(rest.find('\n'), rest.size());
            const std::string_view line = rest.substr(0, end);
            rest.remove_prefix(std::min(end + 1, rest.size()));
            if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
            const auto json = Json::parse(line);
            if (json.ok()) take(*json);
            else read->rejected[read->count++] = {"bad_sample", json.error().message};
        }
    } else {
        const auto json = Json::parse(body);
        if (!json.ok()) read->malformed = json.error().message;
        else if (json->is_array()) for (const Json& item : json->items()) take(item);
        else take(*json);
    }
    if (who->limits && gateway_.enable_rate_limiting)
        read->wait = who->limits->publish.with([&](TokenBucket& bucket) { return bucket.take(hub_.clock().monotonic(), static_cast<double>(read->count)); });
    if (read->taken > 0) {
        EventView flush;
        flush.id = command;
        flush.type = "flush";
        flush.source = "push";
        flush.data = "{}";
        flush.time = flush.ingested = now;
        room(256).add(flush);
    }
    (void)hub_.reactor().post([this, command, read] { submit_samples(command, read); });
}

/// On the reactor, so that it knows what it waits for before any of it can be answered.
void SpcApi::submit_samples(const std::string& command, const std::shared_ptr<ReadSamples>& read) {
    const auto at = waiting_.find(command);
    if (at == waiting_.end()) return;
    if (!read->malformed.empty()) return fail(command, GatewayError::bad_request, read->malformed);
    if (read->wait) {
        if (auto* exchange = at->second.exchange.get()) send_answer(*exchange, rate_limited_answer(*read->wait));
        waiting_.erase(at);
        return;
    }
    at->second.rejected = std::move(read->rejected);
    at->second.accepted = read->taken;
    if (read->taken == 0) {
        Waiting waiting = std::move(at->second);
        waiting_.erase(at);
        return answer_samples(waiting);
    }
    for (const auto& [id, index] : read->indexes) samples_waiting_[id] = command;
    at->second.indexes = std::move(read->indexes);
    at->second.commits_left = read->commits.size();
    const auto done = [this, command](Result<Committed> result) {
        (void)hub_.reactor().post([this, command, result = std::make_shared<Result<Committed>>(std::move(result))] { samples_committed(command, *result); });
    };
    if (read->commits.size() == 1) {
        if (!hub_.log().try_submit(read->commits[0], done)) fail(command, GatewayError::busy, "the log's writer has no room; try again");
        return;
    }
    // Several wait for room between them, which a reactor may not.
    const bool submitted = pool_.submit([this, read, done] {
        for (Commit& commit : read->commits) hub_.log().submit(std::move(commit), done);
    });
    if (!submitted) fail(command, GatewayError::busy, "");
}

void SpcApi::samples_committed(const std::string& command, const Result<Committed>& result) {
    if (!result.ok()) return fail(command, GatewayError::log_unavailable, result.error().message);
    const auto at = waiting_.find(command);
    if (at == waiting_.end()) return;
    at->second.duplicates += result->appended[0].duplicates;
    if (--at->second.commits_left > 0 || !at->second.judged) return;
    Waiting waiting = std::move(at->second);
    waiting_.erase(at);
    answer_samples(waiting);
}

void SpcApi::answer_samples(Waiting& waiting) {
    auto* exchange = waiting.exchange.get();
    if (!exchange) return;
    HttpAnswer answer;
    JsonWriter json(answer.body);
    std::size_t refused_later = 0;
    for (const auto& [index, why] : waiting.rejected) refused_later += why.first != "bad_sample";
    const std::uint64_t accepted = waiting.accepted - std::min<std::uint64_t>(waiting.accepted, waiting.duplicates + refused_later);
    json.object().member("accepted", accepted).member("duplicates", waiting.duplicates).name("rejected").array();
    for (const auto& [index, why] : waiting.rejected) json.object().member("index", index).member("code", why.first).member("message", why.second).end();
    json.end().end();
    if (accepted + waiting.duplicates == 0 && !waiting.rejected.empty()) answer.status = refused_later > 0 ? 422 : 400;
    send_answer(*exchange, answer);
}

// What is there.

void SpcApi::get_characteristics(net::HttpExchange& exchange, const IdentityPtr& who, std::optional<std::uint64_t> only, bool limits) {
    answer_later(exchange, [this, who, only, limits] {
        static const JsonPath versions = path("/limits_versions");
        std::map<std::uint64_t, std::string> found, capability;
        const std::string wanted = only ? std::to_string(*only) : std::string();
        const auto read = backwards(who, characteristics, [&](const EventView& event) {
            if (only && event.key != wanted) return true;
            const auto id = read_id(event.key);
            if (!id) return true;
            if (event.type == "characteristic") found.emplace(*id, event.data);
            if (event.type == "capability") capability.emplace(*id, event.data);
            return !(only && event.type == "characteristic");
        });
        if (!read.ok()) return log_failed(read.error());
        if (only && found.empty()) return error_answer(GatewayError::unknown_characteristic, wanted);
        HttpAnswer answer;
        JsonWriter json(answer.body);
        if (only && limits) {
            json.object().member("characteristic_id", *only).name("limits_versions").raw(versions.find(found.begin()->second).value_or("[]")).end();
            return answer;
        }
        const auto print = [&](std::uint64_t id, const std::string& data) {
            std::string text = data;
            text.pop_back();
            const auto own = capability.find(id);
            text += ",\"capability\":" + (own == capability.end() ? std::string("null") : own->second) + "}";
            json.raw(text);
        };
        if (only) {
            print(*only, found.begin()->second);
            return answer;
        }
        json.object().name("characteristics").array();
        for (const auto& [id, data] : found) print(id, data);
        json.end().name("reason_codes").object();
        for (const auto& [code, text] : options_.reasons()) json.member(code, text);
        json.end().end();
        return answer;
    });
}

void SpcApi::get_samples(net::HttpExchange& exchange, const IdentityPtr& who, std::uint64_t characteristic) {
    std::optional<Timestamp> from, to;
    std::size_t limit = 200;
    const auto& request = exchange.request();
    if (!read_time(request, "from", from) || !read_time(request, "to", to))
        return refuse(exchange, GatewayError::bad_request, "`from` and `to` are times such as 2026-02-17T10:00:00Z");
    if (!read_limit(request, limit, samples_max)) return refuse(exchange, GatewayError::bad_request, "`limit` is a whole number from 1 to 10000");
    answer_later(exchange, [this, who, characteristic, from, to, limit] {
        static const JsonPath sample_id = path("/sample_id");
        const std::string key = std::to_string(characteristic);
        struct Newest {
            Timestamp time;
            std::uint64_t id = 0;
            std::string data;
        };
        // Newest first: what is seen first of a sample is how it is now. A sample may have moved in time, so the bounds come last.
        std::unordered_map<std::uint64_t, Newest> found;
        std::size_t inside = 0;
        const auto read = backwards(who, samples, [&](const EventView& event) {
            if (event.key != key) return true;
            const auto id = sample_id.number(event.data);
            if (!id) return true;
            const auto number = static_cast<std::uint64_t>(*id);
            if (!found.emplace(number, Newest{event.time, number, {}}).second) return true;
            if ((from && event.time < *from) || (to && event.time >= *to)) return true;
            found[number].data = event.data;
            // Some more than asked for: late samples stand before those that they are younger than.
            return ++inside < limit + 300;
        });
        if (!read.ok()) return log_failed(read.error());
        std::vector<Newest> all;
        for (auto& [id, newest] : found)
            if (!newest.data.empty()) all.push_back(std::move(newest));
        std::sort(all.begin(), all.end(), [](const Newest& a, const Newest& b) { return std::pair(a.time, a.id) < std::pair(b.time, b.id); });
        HttpAnswer answer;
        JsonWriter json(answer.body);
        json.object().member("characteristic_id", characteristic).name("samples").array();
        for (std::size_t i = all.size() > limit ? all.size() - limit : 0; i < all.size(); ++i) json.raw(all[i].data);
        json.end().end();
        return answer;
    });
}

void SpcApi::get_violations(net::HttpExchange& exchange, const IdentityPtr& who, std::optional<std::uint64_t> only) {
    const auto& request = exchange.request();
    const std::string state = only ? "all" : request.query_parameter("state").value_or("open");
    if (state != "open" && state != "acknowledged" && state != "withdrawn" && state != "all")
        return refuse(exchange, GatewayError::bad_request, "`state` is open, acknowledged, withdrawn or all");
    std::size_t limit = 500;
    if (!read_limit(request, limit, samples_max)) return refuse(exchange, GatewayError::bad_request, "`limit` is a whole number from 1 to 10000");
    std::string key;
    if (const auto text = request.query_parameter("characteristic_id")) {
        if (!read_id(*text)) return refuse(exchange, GatewayError::bad_request, "`characteristic_id` is a whole number");
        key = *text;
    }
    answer_later(exchange, [this, who, only, state, limit, key] {
        static const JsonPath violation_id = path("/violation_id"), acknowledged = path("/acknowledged");
        struct Known {
            std::string ack;
            bool withdrawn = false, done = false;
        };
        std::unordered_map<std::uint64_t, Known> known;
        HttpAnswer answer;
        JsonWriter json(answer.body);
        if (!only) json.object().name("violations").array();
        std::size_t count = 0;
        // Newest first: what is seen first of a violation is how it is now.
        const auto read = backwards(who, violations, [&](const EventView& event) {
            if (!key.empty() && event.key != key) return true;
            const auto number = violation_id.number(event.data);
            if (!number || (only && static_cast<std::uint64_t>(*number) != *only)) return true;
            Known& v = known[static_cast<std::uint64_t>(*number)];
            if (v.done) return true;
            if (event.type == "violation_withdrawn") v.withdrawn = true;
            if (event.type == "ack_update" && v.ack.empty()) v.ack = event.data;
            if (event.type != "violation") return true;
            v.done = true;
            const bool is_acknowledged = !v.ack.empty() || acknowledged.find(event.data).value_or("") == "true";
            const std::string_view now = v.withdrawn ? "withdrawn" : is_acknowledged ? "acknowledged" : "open";
            if (state != "all" && state != now) return true;
            auto data = Json::parse(event.data);
            if (!data.ok()) return true;
            if (const auto ack = Json::parse(v.ack.empty() ? "{}" : v.ack); ack.ok())
                for (const char* name : {"acknowledged", "ack_user", "ack_reason", "reason_code", "ack_time"})
                    if (const Json* value = ack->find(name)) data->set(name, *value);
            data->set("state", Json::string(std::string(now)));
            json.raw(data->text());
            return !only && ++count < limit;
        });
        if (!read.ok()) return log_failed(read.error());
        if (only && answer.body.empty()) return error_answer(GatewayError::unknown_violation, std::to_string(*only));
        if (!only) json.end().end();
        return answer;
    });
}

}  // namespace weir
