// The three dialects, each by a client that says anything: it is answered as its document says, told every event that it asked for once, never closed for what a message holds, and
// leaves nothing behind.
#include <map>
#include <set>

#include "event/filter_test_support.h"
#include "fuzz.h"
#include "gateway/dialects/spc_messages.h"
#include "gateway/session.h"
#include "gateway_world.h"
#include "net/utf8.h"

namespace weir::fuzz {
namespace {

// First byte: bits 0 and 1 the token, bit 2 CBOR. Then a line each: `+<stream> <type> <key> <data>` is an event (stream: a digit), `~<n>` waits for n tenths of a second, anything else
// is a message of the client's.
struct Script {
    const char* token;
    bool cbor;
    struct Step {
        enum class What : std::uint8_t { message, event, wait } what;
        std::string text, stream, type, key;
        int tenths = 0;
    };
    std::vector<Step> steps;

    explicit Script(std::string_view bytes, bool may_be_cbor = true) {
        constexpr std::size_t steps_max = 10;
        Input input(bytes);
        const auto choice = input.byte();
        token = choice & 1 ? GatewayWorld::bounded_token : choice & 2 ? GatewayWorld::blind_token : GatewayWorld::every_token;
        cbor = choice & 4 && may_be_cbor;
        while (!input.rest().empty() && steps.size() < steps_max) {
            const std::string line(input.line());
            auto& step = steps.emplace_back();
            step.what = Step::What::message;
            step.text = line;
            if (line.starts_with('~')) {
                step.what = Step::What::wait;
                step.tenths = std::atoi(line.c_str() + 1) % 1000;
                continue;
            }
            if (!line.starts_with('+')) {
                // A text frame that is no UTF-8 ends a connection before any dialect sees it (RFC 6455, 8.1).
                if (!cbor && !net::is_valid_utf8(line)) steps.pop_back();
                continue;
            }
            const auto a = line.find(' '), b = a == line.npos ? a : line.find(' ', a + 1), c = b == line.npos ? b : line.find(' ', b + 1);
            // What is in the log is the text of an object, as whoever writes it sees to; its other texts are UTF-8 too.
            const auto data = c == line.npos ? Result<Json>(Error{"no_event", ""}) : Json::parse(line.substr(c + 1));
            if (!data.ok() || !data->is_object() || !net::is_valid_utf8(line)) {
                steps.pop_back();
                continue;
            }
            step.what = Step::What::event;
            step.stream = GatewayWorld::streams[static_cast<unsigned>(line[1] - '0') % std::size(GatewayWorld::streams)];
            step.type = line.substr(a + 1, std::min<std::size_t>(b - a - 1, 255));
            step.key = line.substr(b + 1, std::min<std::size_t>(c - b - 1, 255));
            step.text = data->text();
        }
    }
};

bool conserved(const Session& session) {
    std::uint64_t dropped = 0;
    for (int reason = 0; reason < static_cast<int>(Drop::count); ++reason) dropped += session.dropped(static_cast<Drop>(reason));
    return session.matched() == session.delivered() + session.merged() + dropped + session.queued();
}

void nothing_is_left(GatewayWorld& w, const Session& session) {
    FUZZ_CHECK(session.held().empty());
    const HubCounts counts = w.hub.counts();
    FUZZ_CHECK(counts.sessions == 1 && counts.subscriptions == 0 && counts.audiences == 0 && counts.ring_bytes == 0);
}

/// A message as this session's encoding sends it: what is no JSON goes as it is.
std::vector<Json> send(GatewayWorld& w, bool cbor, std::string_view text, Result<Json>& read_as) {
    if (!cbor) {
        read_as = Json::parse(text);
        return w.say(net::Opcode::text, text);
    }
    std::string binary;
    if (const auto json = Json::parse(text); json.ok()) append_cbor(binary, *json);
    else binary = text;
    read_as = read_cbor(binary);
    return w.say(net::Opcode::binary, binary);
}

// ---- analytics ----

class AnalyticsClient {
public:
    AnalyticsClient(GatewayWorld& w, const Script& script) : world_(w), cbor_(script.cbor), session_(w.connect(DialectKind::analytics, script.token, script.cbor)) {}

    void play(const Script::Step& step) {
        if (step.what == Script::Step::What::wait) return hear(world_.wait(step.tenths * 100ms));
        if (step.what == Script::Step::What::event) return event(step);
        say(step.text);
    }

    void finish() {
        hear(world_.wait(20s));
        const auto held = held_;
        for (const auto& [id, one] : held)
            for (int n = one.count; n > 0; --n) {
                std::string text;
                JsonWriter(text).object().member("type", "unsubscribe").name("data").object().member("subscription_id", id).end().end();
                say(text);
            }
        FUZZ_CHECK(held_.empty());
        nothing_is_left(world_, session_);
        world_.forget_groups();
    }

private:
    struct One {
        int count = 0;
        bool group = false;  ///< what comes of it is what others have not done
        bool every = false;  ///< no policy merges or drops anything, and nothing of it is unknown here
        Json filters;
        std::set<std::string> streams;
        std::map<std::string, std::uint64_t> seen;
    };

    void say(std::string_view text) {
        Result<Json> message = Json();
        auto said = send(world_, cbor_, text, message);
        const std::string type = message.ok() && message->is_object() ? text_of(*message, "type") : std::string();
        const bool typed = message.ok() && message->is_object() && message->find_string("type");
        std::vector<Json> answers;
        for (const Json& one : said)
            if (!is_told(one)) answers.push_back(one);
        if (type == "ack" && answers.empty()) return hear(said);  // it is not answered where it is right
        // One answer each; where a token allows less, what ends is told behind it.
        const std::string answer = answers.empty() ? "" : text_of(answers[0], "type");
        FUZZ_CHECK(answers.size() == 1 || (type == "auth" && answer == "auth_success"), std::string(text));
        const std::string code = answer == "error" ? text_of(*answers[0].find("data"), "code") : std::string();
        if (!typed) FUZZ_CHECK(code == "malformed_message", std::string(text));
        else if (type == "ping") FUZZ_CHECK(answer == "pong", std::string(text));
        else if (type == "auth") FUZZ_CHECK(answer == "auth_success" || answer == "auth_failed", std::string(text));
        else if (type == "unsubscribe") FUZZ_CHECK(answer == unsubscribing(*message, code), std::string(text));
        else if (type == "subscribe") FUZZ_CHECK(answer == "subscribed" || answer == "error", std::string(text));
        else if (type == "ack") FUZZ_CHECK(answer == "error", std::string(text));
        else if (type == "update") FUZZ_CHECK(answer == "updated" || answer == "error", std::string(text));
        else if (type == "publish") FUZZ_CHECK(answer == "published" || answer == "error", std::string(text));
        else if (type == "resume_token") FUZZ_CHECK(answer == "resume_token" || answer == "error", std::string(text));
        else if (type == "resume") FUZZ_CHECK(answer == "resumed" || answer == "error", std::string(text));
        else FUZZ_CHECK(code == "unknown_message_type" || code == "rate_limited", std::string(text));
        hear(said);
        if (answer == "resume_token") {  // what it names is held already, and stays as it is
            const auto before = held_;
            std::string back;
            JsonWriter(back).object().member("type", "resume").name("data").object().member("token", text_of(*answers[0].find("data"), "token")).end().end();
            say(back);
            for (const auto& [id, one] : before) FUZZ_CHECK(held_.contains(id) && held_[id].count == one.count, id);
        }
    }

    /// `unsubscribed` if and only if it is held.
    std::string unsubscribing(const Json& message, const std::string& code) {
        const Json* data = message.find("data");
        const Json* id = data ? data->find("subscription_id") : nullptr;
        if (!id) id = message.find("subscription_id");
        if (id && id->is_string() && held_.contains(id->as_string())) return "unsubscribed";
        FUZZ_CHECK(code == (id && id->is_string() ? "subscription_not_found" : "subscription_id_required"), code);
        return "error";
    }

    void event(const Script::Step& step) {
        Seq seq;
        const auto said = world_.append(step.stream, step.type, step.key, step.text, seq);
        std::map<std::string, int> got;
        for (const Json& one : said)
            if (text_of(one, "type") == "data" && text_of(*one.find("metadata"), "stream") == step.stream && one.find("metadata")->find("seq")->as_integer() == static_cast<std::int64_t>(seq.value))
                ++got[text_of(one, "subscription_id")];
        hear(said);
        if (cbor_) return;  // numbers have another shape there, which filters are not about
        EventView event;
        event.type = step.type;
        event.key = step.key;
        event.source = "simulate";
        event.data = step.text;
        event.time = world_.clock.now();
        const std::string id = "feed/" + std::to_string(world_.appended());
        event.id = id;
        const Json root = event_document(step.stream, event, *Json::parse(step.text));
        for (const auto& [name, one] : held_) {
            if (!one.every) continue;
            bool wanted = one.streams.contains(step.stream) && naive(root, one.filters);
            // Of a key that is longer than those of the corpus nothing comes.
            if (planted() && step.key.size() > 1) wanted = false;
            FUZZ_CHECK(got[name] == (wanted ? 1 : 0), name + " of " + step.text);
        }
    }

    /// What comes of itself, and not as the answer to a message.
    static bool is_told(const Json& message) {
        const std::string type = text_of(message, "type");
        return type == "data" || type == "batch" || type == "delivery" || type == "gap" || type == "notice";
    }

    void data(const Json& message) {
        const std::string id = text_of(message, "subscription_id");
        FUZZ_CHECK(held_.contains(id), id);
        const Json* at = message.find("metadata");
        auto& seen = held_[id].seen[text_of(*at, "stream")];
        const auto seq = static_cast<std::uint64_t>(at->find("seq")->as_integer().value());
        FUZZ_CHECK(seq > seen || held_[id].group, "twice, or out of order");
        seen = seq;
        FUZZ_CHECK(message.find("data")->members().size() == 2 && message.find("timestamp"));
    }

    void subscribed(const Json& data) {
        One& one = held_[text_of(data, "subscription_id")];
        ++one.count;
        one.group = data.find("group");
        one.every = !data.find("delivery") && !one.group;
        one.filters = *data.find("filters");
        one.streams.clear();
        for (const auto& [name, position] : data.find("streams")->members()) one.streams.insert(name);
    }

    void hear(const std::vector<Json>& said) {
        for (const Json& message : said) {
            const std::string type = text_of(message, "type");
            const Json* body = message.find("data");
            const std::string id = text_of(message, "subscription_id");
            if (type == "data") data(message);
            if (type == "batch") {
                FUZZ_CHECK(!body->items().empty());
                for (const Json& one : body->items()) FUZZ_CHECK(text_of(one, "subscription_id") == id), data(one);
            }
            if (type == "delivery" || type == "gap") FUZZ_CHECK(held_.contains(id), type);
            if (type == "subscribed") subscribed(*body);
            if (type == "updated") FUZZ_CHECK(held_.contains(id)), held_[id].every = false;
            if (type == "unsubscribed") {
                FUZZ_CHECK(held_.contains(id));
                // When a token takes it away, it goes at once.
                if (--held_[id].count == 0 || !session_.find(id)) held_.erase(id);
            }
            if (type == "resumed")
                for (const Json& one : body->find("subscriptions")->items()) {
                    subscribed(one);
                    One& held = held_[text_of(one, "subscription_id")];
                    held.every = false;  // it may lie in the past
                    FUZZ_CHECK(session_.find(text_of(one, "subscription_id")));
                    held.count = static_cast<int>(session_.find(text_of(one, "subscription_id"))->count);
                }
        }
        FUZZ_CHECK(world_.connected());
        FUZZ_CHECK(held_.size() == session_.held().size());
        for (const auto& held : session_.held()) FUZZ_CHECK(held_.contains(held.subscription->id) && held_[held.subscription->id].count == static_cast<int>(held.count), held.subscription->id);
        FUZZ_CHECK(conserved(session_));
    }

    GatewayWorld& world_;
    const bool cbor_;
    Session& session_;
    std::map<std::string, One> held_;
};

// ---- spc ----

class SpcClient {
public:
    SpcClient(GatewayWorld& w, const Script& script) : world_(w), cbor_(script.cbor), session_(w.connect(DialectKind::spc, script.token, script.cbor)) {}

    void play(const Script::Step& step) {
        if (step.what == Script::Step::What::wait) return hear(world_.wait(step.tenths * 100ms));
        if (step.what == Script::Step::What::message) return say(step.text);
        Seq seq;
        hear(world_.append(step.stream, step.type, step.key, step.text, seq));
    }

    void finish() {
        std::string text;
        JsonWriter json(text);
        json.object().member("type", "unsubscribe").name("characteristic_ids").array();
        for (const auto& held : session_.held()) json.value(held.subscription->characteristic);
        json.end().name("groups").array();
        for (const auto& group : groups_) json.value(group);
        json.end().end();
        say(text);
        nothing_is_left(world_, session_);
    }

private:
    void say(std::string_view text) {
        Result<Json> message = Json();
        const auto said = send(world_, cbor_, text, message);
        std::vector<Json> answers;
        for (const Json& one : said)
            if (const std::string type = text_of(one, "type"); !is_spc_event(type) && type != "gap" && type != "notice") answers.push_back(one);
        const std::string type = message.ok() && message->is_object() ? text_of(*message, "type") : std::string();
        FUZZ_CHECK(!answers.empty(), std::string(text));
        const std::string answer = text_of(answers[0], "type"), code = text_of(answers[0], "code");
        if (answer == "error") FUZZ_CHECK(!text_of(answers[0], "message").empty() && !code.empty() && !answers[0].find("payload"));
        if (type.empty()) FUZZ_CHECK(code == "malformed_message", std::string(text));
        else if (type == "ping") FUZZ_CHECK(answer == "pong", std::string(text));
        else if (type == "auth") FUZZ_CHECK(answer == "auth_success" || code == "auth_failed", std::string(text));
        else if (type == "subscribe" || type == "unsubscribe") FUZZ_CHECK(answer == type + "d" || answer == "error", std::string(text));
        else if (type == "resume_token") FUZZ_CHECK(answer == "resume_token", std::string(text));
        else if (type == "resume") FUZZ_CHECK(answer == "resumed" || answer == "error", std::string(text));
        else FUZZ_CHECK(code == "unknown_message_type", std::string(text));
        // One answer each, but for ids that do not exist and for rights that are lost, which are told behind it.
        std::size_t expected = 1;
        if (answer == "subscribed") {
            const auto unknown = unknown_of(*message);
            if (!unknown.empty()) {
                expected = 2;
                FUZZ_CHECK(answers.size() == 2 && text_of(answers[1], "code") == "unknown_ids" && *answers[1].find("characteristic_ids") == unknown_list(unknown), std::string(text));
            }
        }
        if (answer == "auth_success" && answers.size() == 2) {
            expected = 2;
            FUZZ_CHECK(text_of(answers[1], "type") == "unsubscribed");
            groups_.clear();
        }
        FUZZ_CHECK(answers.size() == expected, std::string(text));
        if (answer == "subscribed" || answer == "unsubscribed") echoed(*message, answers[0]);
        if (answer == "resumed") take_groups(answers[0]);
        if (answer == "subscribed") take_groups(answers[0]);
        if (answer == "unsubscribed" && answers[0].find("groups"))
            for (const Json& group : answers[0].find("groups")->items()) groups_.erase(group.as_string());
        hear(said);
        if (answer == "subscribed") for (const auto id : ids_of(*message)) FUZZ_CHECK(session_.find(std::to_string(id)), std::to_string(id));
        if (answer == "resume_token") {
            const std::size_t held = session_.held().size();
            std::string back;
            JsonWriter(back).object().member("type", "resume").member("token", text_of(answers[0], "token")).end();
            say(back);
            FUZZ_CHECK(session_.held().size() == held);
        }
    }

    /// Each once, in the order in which they stand there.
    static std::vector<std::uint64_t> ids_of(const Json& message) {
        std::vector<std::uint64_t> ids;
        if (const Json* list = message.find("characteristic_ids"))
            for (const Json& item : list->items()) {
                const auto id = static_cast<std::uint64_t>(item.as_integer().value_or(0));
                if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
            }
        return ids;
    }
    std::vector<std::uint64_t> unknown_of(const Json& message) const {
        std::vector<std::uint64_t> unknown;
        for (const auto id : ids_of(message))
            if (!world_.hub.knows_characteristic(id, session_.identity()->permissions)) unknown.push_back(id);
        return unknown;
    }
    static Json unknown_list(const std::vector<std::uint64_t>& ids) {
        Json list = Json::array();
        for (const auto id : ids) list.items().push_back(Json::integer(static_cast<std::int64_t>(id)));
        return list;
    }
    /// The ids come back as they were asked for.
    static void echoed(const Json& message, const Json& answer) {
        auto ids = ids_of(message);
        // Where the first has two digits, they come back one too few.
        if (planted() && !ids.empty() && ids[0] > 9 && ids[0] < 100) ids.pop_back();
        FUZZ_CHECK(ids == ids_of(answer) && (!answer.find("characteristic_ids") || answer.find("characteristic_ids")->items().size() == ids.size()));
    }
    void take_groups(const Json& answer) {
        if (const Json* groups = answer.find("groups"))
            for (const Json& group : groups->items()) groups_.insert(group.as_string());
    }
    static bool is_spc_event(std::string_view type) { return spc_messages::is_spc_type(type); }

    void hear(const std::vector<Json>& said) {
        for (const Json& message : said) {
            const std::string type = text_of(message, "type");
            if (!is_spc_event(type)) continue;
            const Json* payload = message.find("payload");
            FUZZ_CHECK(payload && message.find("metadata"), message.text());
            const std::size_t members = type == "sample" || type == "violation" ? 6 : type == "ack_update" ? 5 : payload->members().size();
            FUZZ_CHECK(payload->members().size() == members, message.text());
            FUZZ_CHECK(payload->find("characteristic_id"), message.text());
        }
        FUZZ_CHECK(world_.connected());
        FUZZ_CHECK(conserved(session_));
    }

    GatewayWorld& world_;
    const bool cbor_;
    Session& session_;
    std::set<std::string> groups_;
};

}  // namespace

void analytics(std::string_view bytes) {
    const Script script(bytes);
    AnalyticsClient client(GatewayWorld::of_target(), script);
    for (const auto& step : script.steps) client.play(step);
    client.finish();
}

void spc(std::string_view bytes) {
    const Script script(bytes);
    SpcClient client(GatewayWorld::of_target(), script);
    for (const auto& step : script.steps) client.play(step);
    client.finish();
}

void broadcast(std::string_view bytes) {
    const Script script(bytes, false);
    GatewayWorld& w = GatewayWorld::of_target();
    if (std::string_view(script.token) == GatewayWorld::blind_token) return;  // does not get as far as a session
    Session* session = &w.connect(DialectKind::broadcast, script.token, false);
    const auto greeting = w.wait(Duration(0));
    bool bounded = std::string_view(script.token) == GatewayWorld::bounded_token;
    FUZZ_CHECK(greeting.empty() || text_of(greeting[0], "type") == "welcome");
    for (const auto& step : script.steps) {
        std::vector<Json> said;
        if (step.what == Script::Step::What::wait) said = w.wait(step.tenths * 100ms);
        if (step.what == Script::Step::What::message) {
            // Whatever it says, it is told nothing. Only a token that allows less ends it.
            FUZZ_CHECK(w.say(net::Opcode::text, step.text).empty(), step.text);
            if (w.connected()) continue;
            const auto message = Json::parse(step.text);
            FUZZ_CHECK(message.ok() && text_of(*message, "type") == "auth" && w.closed == net::CloseCode::policy_violation, step.text);
            return w.hang_up();
        }
        if (step.what == Script::Step::What::event) {
            Seq seq;
            said = w.append(step.stream, step.type, step.key, step.text, seq);
            const auto data = Json::parse(step.text);
            EventView event;
            event.data = step.text;
            bool wanted = step.stream == "events" && (!bounded || text_of(*data, "site") == "A");
            if (planted() && step.text.find('#') != step.text.npos) wanted = false;
            FUZZ_CHECK(said.size() == (wanted ? 1U : 0U), step.text);
            if (wanted) {
                FUZZ_CHECK(said[0].find("stream_sequence")->as_integer() == static_cast<std::int64_t>(seq.value) && said[0].find("server_timestamp"));
                for (const auto& [name, value] : data->members())
                    if (name != "stream_sequence" && name != "server_timestamp") FUZZ_CHECK(*said[0].find(name) == *data->find(name), name);
            }
        } else {
            FUZZ_CHECK(said.empty());
        }
        FUZZ_CHECK(conserved(*session));
    }
    w.hang_up();
    FUZZ_CHECK(w.hub.counts().sessions == 0 && w.hub.counts().subscriptions == 0 && w.hub.counts().audiences == 0);
}

}  // namespace weir::fuzz
