// Samples over HTTP: a request's become events of `spc.in`, and its answer says what became of each.
#include <algorithm>

#include "event/excerpt.h"
#include "event/json.h"
#include "gateway/http/spc_api.h"
#include "gateway/stream_directory.h"

namespace weir {
namespace {

constexpr std::size_t kCommitBytes = 384 * 1024;  ///< below what a commit may hold, with room for what the log adds
constexpr std::uint64_t kIdMax = (std::uint64_t{1} << 53) - 1;

}  // namespace

void SpcApi::post_samples(net::HttpExchange& exchange, const IdentityPtr& who) {
    // Whoever may only see some streams may only write to these.
    if (!who->permissions.every_stream && !who->permissions.sees(input, hub_.directory().type_of(input))) return refuse(exchange, GatewayError::unknown_stream, input);
    const auto type = exchange.request().header("Content-Type").value_or("application/json");
    const bool ndjson = type.starts_with("application/x-ndjson") || type.starts_with("application/jsonl");
    if (!ndjson && !type.starts_with("application/json")) return refuse(exchange, GatewayError::unsupported_media_type, "application/json or application/x-ndjson");
    if (waiting_.size() >= CommandDesk::waiting_max) return refuse(exchange, GatewayError::busy);
    exchange.read_body(gateway_.max_message_size, [this, ndjson, who](net::HttpExchange& waiting, std::string_view body) {
        const std::string command = desk_.next_id();
        waiting_[command] = {.exchange = waiting.ref(), .since = hub_.clock().now(), .indexes = {}, .rejected = {}};
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
                return bad("unknown member `" + cut(name, 64) + "`; allowed: characteristic_id, sample_id, timestamp, value, values, size, nominal, part_sigma");
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

}  // namespace weir
