#include "gateway/http/push.h"

#include <mutex>

#include "base/guarded.h"
#include "event/excerpt.h"
#include "event/json.h"

namespace weir {
namespace {

constexpr std::size_t kDataBytesMax = 256 * 1024;
constexpr std::size_t kCommitBytes = 384 * 1024;  ///< below what a commit may hold, with room for what the log adds

class Reader {
public:
    Reader(PushedEvents& out, Timestamp now, const std::function<std::string()>& next_id) : out_(out), now_(now), next_id_(next_id) {}

    void read(const Json& json) {
        const std::size_t index = out_.count++;
        if (const auto problem = take(json, index)) out_.rejected.push_back({index, problem->first, problem->second});
    }
    void reject(GatewayError error, std::string detail) { out_.rejected.push_back({out_.count++, error, std::move(detail)}); }

private:
    using Problem = std::optional<std::pair<GatewayError, std::string>>;

    Problem take(const Json& json, std::size_t index) {
        if (!json.is_object()) return bad("an event is an object");
        EventView event;
        const Json* data = nullptr;
        for (const auto& [name, value] : json.members()) {
            if (name == "data") {
                data = &value;
            } else if (name == "type" || name == "key" || name == "id") {
                if (value.is_null()) continue;
                if (!value.is_string() || value.as_string().size() > 255) return bad("`" + name + "` is a text of at most 255 bytes");
                (name == "type" ? event.type : name == "key" ? event.key : event.id) = value.as_string();
            } else if (name == "time") {
                if (value.is_null()) continue;
                const auto time = value.is_string() ? parse_rfc3339(value.as_string()) : std::nullopt;
                if (!time) return bad("`time` is RFC 3339 with an offset, such as 2026-02-17T10:00:00Z");
                event.time = *time;
                has_time_ = true;
            } else if (name != "seq" && name != "epoch" && name != "stream" && name != "source" && name != "ingested") {
                return bad("unknown member `" + cut(name, 64) + "`; allowed: type, key, id, time, data");
            }
        }
        if (!data || !data->is_object()) return bad("`data` is missing or no object");
        text_.clear();
        data->print(text_);
        if (text_.size() > kDataBytesMax) return std::pair(GatewayError::too_large, std::string("`data` is larger than 256 KiB"));
        std::string id;
        if (event.id.empty()) event.id = id = next_id_();
        if (event.type.empty()) event.type = "event";
        event.source = "push";
        event.data = text_;
        event.ingested = now_;
        if (!std::exchange(has_time_, false)) event.time = now_;
        out_.events.add(event);
        out_.indexes.push_back(index);
        return std::nullopt;
    }
    Problem bad(std::string detail) {
        has_time_ = false;
        return std::pair(GatewayError::bad_event, std::move(detail));
    }

    PushedEvents& out_;
    Timestamp now_;
    const std::function<std::string()>& next_id_;
    std::string text_;
    bool has_time_ = false;
};

struct Piece {
    std::size_t events;
    Result<Committed> committed;
};
/// The answers of all pieces, put together by whichever comes last.
struct Gathering {
    std::vector<Piece> pieces;
    std::size_t waiting;
};
Gathering gathering_of(const std::vector<Commit>& commits, const Error& unanswered) {
    Gathering gathering{{}, commits.size()};
    for (const Commit& commit : commits) gathering.pieces.push_back({commit.appends[0].events.size(), unanswered});
    return gathering;
}

PushAnswer answer_of(const PushedEvents& pushed, const std::vector<Piece>& pieces) {
    struct Outcome {
        std::optional<Seq> seq;
        bool duplicate = false;
    };
    std::vector<Outcome> outcomes(pushed.count);
    std::uint64_t accepted = 0, duplicates = 0;
    std::size_t at = 0;
    struct Failed {
        std::size_t from, to;  ///< of pushed.indexes
        std::string why;
    };
    std::vector<Failed> failed;
    for (const auto& [events, committed] : pieces) {
        if (!committed.ok()) {
            failed.push_back({at, at + events, committed.error().message});
            at += events;
            continue;  // each is a commit of its own: what lies behind may be in the log all the same
        }
        const Appended& appended = committed->appended[0];
        // New events have the highest seqs, one each; the others were there already, or earlier in the same piece.
        std::vector<Seq> distinct = appended.seqs;
        std::sort(distinct.begin(), distinct.end());
        distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
        const std::size_t fresh = appended.seqs.size() - appended.duplicates;
        const Seq first_fresh = fresh == 0 ? Seq{~std::uint64_t(0)} : distinct[distinct.size() - fresh];
        std::vector<bool> seen(fresh);
        for (const Seq seq : appended.seqs) {
            Outcome& outcome = outcomes[pushed.indexes[at++]];
            outcome.seq = seq;
            outcome.duplicate = seq < first_fresh || seen[seq.value - first_fresh.value];
            if (!outcome.duplicate) seen[seq.value - first_fresh.value] = true;
            ++(outcome.duplicate ? duplicates : accepted);
        }
    }
    if (!failed.empty() && failed.size() == pieces.size()) return {GatewayError::log_unavailable, failed[0].why, {}, true};
    PushAnswer answer;
    JsonWriter json(answer.body);
    json.object().member("accepted", accepted).member("duplicates", duplicates).name("rejected").array();
    for (const auto& rejected : pushed.rejected)
        json.object().member("index", rejected.index).member("code", row(rejected.error).code).member("message", rejected.detail).end();
    for (const auto& [from, to, why] : failed)
        for (std::size_t i = from; i < to; ++i)
            json.object().member("index", pushed.indexes[i]).member("code", row(GatewayError::log_unavailable).code).member("message", why).end();
    json.end().name("events").array();
    for (const auto& outcome : outcomes) {
        if (outcome.seq) json.object().member("seq", outcome.seq->value).member("duplicate", outcome.duplicate).end();
        else json.null();
    }
    json.end().end();
    answer.nothing_taken = accepted + duplicates == 0 && !pushed.rejected.empty();
    return answer;
}

/// In pieces that the log takes as one commit each.
std::vector<Commit> commits_of(const StreamName& stream, const PushedEvents& pushed) {
    std::vector<Commit> commits;
    std::size_t bytes = kCommitBytes;
    for (const EventView event : pushed.events) {
        const std::size_t size = event.id.size() + event.type.size() + event.key.size() + event.data.size() + 64;
        if (bytes + size > kCommitBytes) {
            commits.emplace_back().appends.emplace_back().stream = stream;
            bytes = 0;
        }
        bytes += size;
        commits.back().appends[0].events.add(event);
    }
    return commits;
}

}  // namespace

Result<PushedEvents> read_pushed(std::string_view body, bool ndjson, Timestamp now, const std::function<std::string()>& next_id) {
    PushedEvents pushed;
    Reader reader(pushed, now, next_id);
    if (ndjson) {
        while (!body.empty()) {
            const auto end = std::min(body.find('\n'), body.size());
            std::string_view line = body.substr(0, end);
            body.remove_prefix(std::min(end + 1, body.size()));
            if (line.ends_with('\r')) line.remove_suffix(1);
            if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
            const auto json = Json::parse(line);
            if (json.ok()) reader.read(*json);
            else reader.reject(GatewayError::bad_event, json.error().message);
        }
        return pushed;
    }
    WEIR_TRY(const auto json, Json::parse(body));
    if (json.is_array())
        for (const Json& item : json.items()) reader.read(item);
    else
        reader.read(json);
    return pushed;
}

Needs needs_of(std::string_view stream, std::string_view type) {
    if (type == "acknowledge") return Needs::acknowledge;
    if (stream == "alert.in") return type == "shelve" || type == "unshelve" ? Needs::acknowledge : Needs::administer;
    constexpr std::string_view samples[] = {"put_sample", "correct_sample", "exclude_sample", "include_sample", "capability", "flush"};
    if (stream == "spc.in" && std::find(std::begin(samples), std::end(samples), type) == std::end(samples)) return Needs::administer;
    return Needs::publish;
}

std::optional<Needs> missing_for(const Permissions& who, std::string_view stream, const PushedEvents& pushed) {
    for (const EventView event : pushed.events) {
        if (const Needs needs = needs_of(stream, event.type); !who.meets(needs)) return needs;
        // What a command is about lies inside a boundary or not: the SPC endpoints look, an event is only written down.
        if (((stream == "spc.in" && event.type != "put_sample") || stream == "alert.in") && who.bounded() && !who.administer) return Needs::administer;
    }
    return std::nullopt;
}

HttpAnswer http_answer(PushAnswer made) {
    if (made.error) return error_answer(*made.error, made.detail);
    HttpAnswer answer;
    answer.body = std::move(made.body);
    if (made.nothing_taken) answer.status = 400;
    return answer;
}

PushedEvents read_pushed(const Json& events, Timestamp now, const std::function<std::string()>& next_id) {
    PushedEvents pushed;
    Reader reader(pushed, now, next_id);
    if (events.is_array())
        for (const Json& item : events.items()) reader.read(item);
    else
        reader.read(events);
    return pushed;
}

bool push_now(Log& log, const StreamName& stream, std::shared_ptr<PushedEvents> pushed, std::function<void(PushAnswer)> done) {
    if (pushed->events.empty()) return done(answer_of(*pushed, {})), true;
    std::vector<Commit> commits = commits_of(stream, *pushed);
    auto gathering = std::make_shared<Guarded<Gathering>>();
    gathering->with([&](Gathering& g) { g = gathering_of(commits, Error{"busy", "the log's writer has no room"}); });
    const auto answered = [gathering, pushed, done](std::size_t i, std::optional<Result<Committed>> result) {
        const bool last = gathering->with([&](Gathering& g) {
            if (result) g.pieces[i].committed = *std::move(result);
            return --g.waiting == 0;
        });
        if (last) done(gathering->with([&](Gathering& g) { return answer_of(*pushed, g.pieces); }));
    };
    for (std::size_t i = 0; i < commits.size(); ++i) {
        if (log.try_submit(commits[i], [answered, i](Result<Committed> result) { answered(i, std::move(result)); })) continue;
        if (i == 0) return false;
        for (; i < commits.size(); ++i) answered(i, std::nullopt);  // what has no room is told as not taken, event by event
    }
    return true;
}

void push(Log& log, const StreamName& stream, std::shared_ptr<PushedEvents> pushed, std::function<void(HttpAnswer)> done) {
    if (pushed->events.empty()) return done(http_answer(answer_of(*pushed, {})));
    std::vector<Commit> commits = commits_of(stream, *pushed);
    auto gathering = std::make_shared<Guarded<Gathering>>();
    gathering->with([&](Gathering& g) { g = gathering_of(commits, Error{"closed", "the log did not answer"}); });
    for (std::size_t i = 0; i < commits.size(); ++i) {
        auto answered = [gathering, pushed, done, i](Result<Committed> result) {
            const bool last = gathering->with([&](Gathering& g) {
                g.pieces[i].committed = std::move(result);
                return --g.waiting == 0;
            });
            if (last) done(http_answer(gathering->with([&](Gathering& g) { return answer_of(*pushed, g.pieces); })));
        };
        // Only the first may be refused: later ones wait their turn, so that a request is never taken in half for want of room.
        if (i > 0) log.submit(std::move(commits[i]), std::move(answered));
        else if (!log.try_submit(commits[0], std::move(answered)))
            return done(error_answer(GatewayError::busy, "the log's writer has no room; try again"));
    }
}

}  // namespace weir
