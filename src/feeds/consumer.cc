#include "feeds/consumer.h"

#include <charconv>
#include <set>
#include <thread>

#include "base/backoff.h"
#include "base/diag.h"
#include "event/decoder.h"
#include "event/json.h"
#include "event/json_path.h"
#include "net/http_client.h"
#include "net/reactor.h"
#include "net/websocket_client.h"

namespace weir {
namespace {

constexpr Duration greeting_within = 300ms;  // a weir that broadcasts greets at once; one that does not says nothing
constexpr Duration ask_again = 1s;
constexpr std::size_t commit_bytes = 128 * 1024;  // and what one more message adds stays within a commit
constexpr std::string_view subprotocol = "weir.json";

JsonPath path(std::string_view pointer) { return *JsonPath::parse(pointer); }

std::optional<std::uint64_t> whole(const JsonPath& path, std::string_view json) {
    const auto text = path.find(json);
    std::uint64_t value = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ptr != text->data() + text->size()) return std::nullopt;
    return value;
}

}  // namespace

struct Consumer::Core {
    const Setup setup;
    net::Reactor reactor;
    Backoff backoff;
    std::unique_ptr<net::WebSocketClient> client;
    net::Timer retry, greeting;
    net::TurnHook end_of_turn;
    std::thread thread;
    net::WebSocketUrl place;  ///< of setup.url
    std::string streamed_url, stream;
    bool weir = false, greeted = false, over = false, open = false;
    Duration connected_at{0};

    std::map<StreamName, EventList> pending;
    std::map<StreamName, Place> reached;                ///< handed to the log by this process
    std::optional<std::map<StreamName, Place>> asked;  ///< what the first subscription asked for; its backlog may still be on its way
    std::map<StreamName, Place> begins;                 ///< where a stream that was not asked for began live
    /// The subscription of this connection. Where `since` is refused for a stream, one without it tells which streams there are.
    enum class Answer : std::uint8_t { none, awaited, streams_awaited, given };
    Answer answer = Answer::none;
    std::set<StreamName> sent, not_there;  ///< of `since`; not_there: the other side does not have them, as long as this connection is tried
    std::set<StreamName> told;             ///< of not_there
    std::uint64_t connection = 0, number = 0, sequence = 0;
    Timestamp started;
    diag::RateLimiter log_lines{1'000'000}, bad_lines{1'000'000};

    const JsonPath type = path("/type"), payload = path("/data/event/payload"), event_type = path("/data/event/event_type"), event_time = path("/data/event/timestamp"),
                   taken = path("/timestamp"), of_stream = path("/metadata/stream"), of_epoch = path("/metadata/epoch"), of_seq = path("/metadata/seq"),
                   of_key = path("/metadata/key"), message = path("/message"), gap_reason = path("/data/reason"), gap_stream = path("/data/stream"), gap_from = path("/data/from_seq"),
                   gap_to = path("/data/to_seq"), error_detail = path("/data/error"), error_code = path("/data/code"), error_more = path("/data/detail"), stream_sequence = path("/stream_sequence");

    explicit Core(Setup s)
        : setup(std::move(s)),
          reactor(*setup.clock),
          backoff({.first = 1s, .cap = 30s}, setup.seed),
          retry(reactor, [this] { connect(); }),
          greeting(reactor, [this] { switch_to_stream(); }),
          end_of_turn(reactor, [this] { flush(); }),
          started(setup.clock->now()) {
        stream = setup.stream;
        if (auto parsed = net::WebSocketUrl::parse(setup.url); parsed.ok()) {
            place = *std::move(parsed);
            const std::string target = place.target.substr(0, place.target.find('?'));
            if (stream.empty() && target.starts_with("/feed/")) stream = target.substr(6);
            // Analytics is at /stream, whatever answers at the root.
            streamed_url = (place.secure ? "wss://" : "ws://") + place.authority() + "/stream";
        }
    }

    void connect() {
        if (over) return;
        net::WebSocketClientOptions o;
        o.url = weir ? streamed_url : setup.url;
        o.subprotocols = {std::string(subprotocol)};
        if (!setup.token.empty()) o.headers.emplace_back("Authorization", "Bearer " + setup.token.reveal());
        net::WebSocketClient::Callbacks callbacks;
        callbacks.on_open = [this](std::string_view agreed) {
            connected_at = reactor.clock().monotonic();
            open = true;
            if (agreed != subprotocol) {
                ++connection;
                number = 0;
                setup.observer.connected(false);
            } else if (weir) {
                subscribe();
            } else {
                weir = true;
                greeting.start(greeting_within);
            }
        };
        callbacks.on_text = [this](std::string_view text) { take(text); };
        callbacks.on_binary = callbacks.on_text;
        callbacks.on_close = [this](net::CloseCode code, std::string_view reason) {
            lost({"upstream_closed", net::shown_url(setup.url) + " closed the connection (" + std::to_string(static_cast<int>(code)) + (reason.empty() ? "" : ", " + excerpt(reason)) + ")"});
        };
        callbacks.on_error = [this](const Error& error) { lost(error); };
        client = std::make_unique<net::WebSocketClient>(reactor, std::move(o), std::move(callbacks));
    }

    void lost(const Error& why) {
        if (std::exchange(open, false)) backoff.was_healthy_for(reactor.clock().monotonic() - connected_at);
        greeting.cancel();
        client.reset();
        answer = Answer::none;
        not_there.clear();  // they may have come by then
        const Duration wait = backoff.failed();
        retry.start(wait);
        setup.observer.lost(why, wait);
    }

    void switch_to_stream() {
        greeting.cancel();
        client.reset();
        connect();
    }

    void subscribe() {
        if (!asked) asked = setup.known();
        if (!asked) {
            client.reset();
            retry.start(ask_again);
            return;
        }
        // Each stream by itself: that one has come tells nothing of the others.
        std::map<StreamName, Place> since = reached;
        since.insert(asked->begin(), asked->end());
        since.insert(begins.begin(), begins.end());
        std::erase_if(since, [&](const auto& one) { return (!stream.empty() && one.first != stream) || not_there.contains(one.first); });
        sent.clear();
        for (const auto& [name, at] : since) sent.insert(name);
        answer = Answer::awaited;
        send_subscription(since, setup.last);
        setup.observer.connected(true);
    }

    void send_subscription(const std::map<StreamName, Place>& since, std::uint64_t last) {
        std::string out;
        JsonWriter json(out);
        json.object().member("type", "subscribe").name("data").object().member("type", "events");
        if (!stream.empty()) json.member("stream", stream);
        if (!since.empty()) {
            json.name("since").object();
            for (const auto& [name, at] : since) json.name(name).object().member("epoch", at.epoch).member("seq", at.seq).end();
            json.end();
        } else if (last > 0) {
            json.name("since").object().member("last", last).end();
        }
        json.end().end();
        client->send_text(out);
    }

    void refused(std::string_view text) {
        const std::string why = excerpt(error_detail.string(text).value_or(std::string(text)), 200), more = excerpt(error_more.string(text).value_or(""), 200);
        // It names one stream at a time, in words. One connection more tells all of them.
        if (answer == Answer::awaited && error_code.string(text) == "bad_since" && !sent.empty() && not_there.empty()) {
            answer = Answer::streams_awaited;
            return send_subscription({}, 0);
        }
        lost({"refused", net::shown_url(setup.url) + " refuses the subscription: " + why + (more.empty() ? "" : ", " + more)});
    }

    void leave_out_what_is_not_there(const std::map<StreamName, Place>& heads) {
        for (const StreamName& name : sent) {
            if (heads.contains(name)) continue;
            not_there.insert(name);
            if (told.insert(name).second) setup.observer.gap("stream " + excerpt(name) + " is not there on the other side; it is asked for again at each new connection");
        }
        if (not_there.empty()) return lost({"refused", net::shown_url(setup.url) + " refuses `since`, though it has all streams of it"});
        switch_to_stream();
    }

    void take(std::string_view text) {
        if (weir && client && greeting.armed()) {
            // The broadcast of a weir: only its greeting is of interest, the events come in order from /stream.
            if (type.string(text) == "welcome") greet(text);
            switch_to_stream();
            return;
        }
        if (weir) take_streamed(text);
        else take_foreign(text);
    }

    void greet(std::string_view text) {
        if (const auto words = message.string(text); words && !std::exchange(greeted, true)) setup.observer.greeted(excerpt(*words, 200));
    }

    void take_streamed(std::string_view text) {
        const auto kind = type.string(text);
        if (kind == "gap") {
            const auto say = [&](const JsonPath& path) { return excerpt(path.find(text).value_or("?")); };
            setup.observer.gap("stream " + say(gap_stream) + ": events " + say(gap_from) + " to " + say(gap_to) + " are not there any more (" + say(gap_reason) + ")");
            return;
        }
        if (kind == "error" && answer != Answer::given) return refused(text);
        if (kind == "error") {
            setup.observer.gap("the other side says: " + excerpt(error_detail.string(text).value_or(std::string(text)), 200));
            return;
        }
        if (kind == "subscribed") return subscribed(text);
        // What is live must not stand before what is still to be asked for.
        if (kind != "data" || answer == Answer::streams_awaited) return;
        const auto name = of_stream.string(text), epoch = of_epoch.string(text);
        const auto seq = whole(of_seq, text);
        const auto data = payload.find(text);
        if (!name || !epoch || !seq || !data || data->empty() || data->front() != '{' || !is_stream_name(*name)) {
            if (bad_lines.admit(reactor.clock().monotonic().count())) diag::warn("consume: a message is no event: " + excerpt(text));
            return;
        }
        const auto moment = [&](const JsonPath& path) {
            const auto found = path.string(text);
            const auto parsed = found ? parse_rfc3339(*found) : std::nullopt;
            return parsed.value_or(reactor.clock().now());
        };
        const std::string id = "weir:" + *epoch + "/" + std::to_string(*seq), kept_type = event_type.string(text).value_or("event"), key = of_key.string(text).value_or("");
        EventView event;
        event.id = id;
        event.type = std::string_view(kept_type).substr(0, 255);
        event.key = std::string_view(key).substr(0, 255);
        event.source = "consume";
        event.data = *data;
        event.time = moment(event_time);
        event.ingested = moment(taken);
        add(*name, event);
        reached[*name] = {*epoch, *seq};
    }

    // The heads of all streams, whatever was asked for. Where live begins, what comes while the connection is away is asked for from there,
    // also if nothing has come before.
    void subscribed(std::string_view text) {
        const auto parsed = Json::parse(text);
        const Json* data = parsed.ok() ? parsed->find("data") : nullptr;
        const Json* streams = data ? data->find("streams") : nullptr;
        const bool are_streams_awaited = std::exchange(answer, Answer::given) == Answer::streams_awaited;
        std::map<StreamName, Place> heads;
        for (const auto& [name, at] : streams ? streams->members() : std::vector<Json::Member>()) {
            const auto epoch = at.find_string("epoch");
            const Json* seq = at.find("seq");
            if (epoch && seq && seq->as_integer()) heads[name] = {std::string(*epoch), static_cast<std::uint64_t>(*seq->as_integer())};
        }
        begins.insert(heads.begin(), heads.end());
        if (are_streams_awaited) leave_out_what_is_not_there(heads);
    }

    void take_foreign(std::string_view text) {
        const auto parsed = Json::parse(text);
        if (!parsed.ok() || !parsed->is_object()) {
            if (bad_lines.admit(reactor.clock().monotonic().count())) diag::warn("consume: a message is no JSON object, skipped: " + excerpt(text));
            return;
        }
        // S2-R1: only its type tells a greeting from a record.
        if (parsed->find_string("type") == "welcome") return greet(text);
        if (const auto at = whole(stream_sequence, text)) {
            if (sequence > 0 && *at > sequence + 1)
                setup.observer.gap(std::to_string(*at - sequence - 1) + " missed (stream #" + std::to_string(sequence + 1) + " to #" + std::to_string(*at - 1) + ")");
            sequence = *at;
        }
        const std::string id = std::to_string(started.micros()) + "-" + std::to_string(connection) + "/" + std::to_string(++number), compact = parsed->text();
        if (compact.size() > 256 * 1024) {
            setup.observer.gap("a message of " + std::to_string(compact.size()) + " bytes is too large, skipped");
            return;
        }
        EventView event;
        event.id = id;
        event.type = "record";
        event.source = "consume";
        event.data = compact;
        event.time = event.ingested = reactor.clock().now();
        add(foreign_stream, event);
    }

    void add(const StreamName& name, const EventView& event) {
        EventList& list = pending[name];
        list.add(event);
        if (list.text_bytes() > commit_bytes) flush();
    }

    void flush() {
        while (!pending.empty()) {
            auto first = pending.begin();
            Commit commit;
            commit.appends.push_back({first->first, first->second, {}});
            const auto committed = setup.log->commit(std::move(commit));
            if (!committed.ok()) {
                if (log_lines.admit(reactor.clock().monotonic().count())) diag::error("consume: " + committed.error().message);
                // What was read is kept; nothing more is read until the log takes it.
                if (client && !client->paused()) client->pause_reading();
                if (!greeting.armed() && !retry.armed()) again.start(ask_again);
                return;
            }
            pending.erase(first);
        }
        if (client && client->paused()) client->resume_reading();
    }

    net::Timer again{reactor, [] {}};  ///< only wakes the reactor: `flush` runs at the end of each turn
};

Consumer::Consumer(Setup setup) : core_(std::make_unique<Core>(std::move(setup))) {}

Consumer::~Consumer() { stop(); }

void Consumer::start() {
    Core& c = *core_;
    (void)c.reactor.post([&c] { c.connect(); });
    c.thread = std::thread([&c] { c.reactor.run(); });
}

void Consumer::stop() {
    Core& c = *core_;
    if (!c.thread.joinable()) return;
    (void)c.reactor.post([&c] {
        c.over = true;
        c.client.reset();
        c.retry.cancel();
        c.greeting.cancel();
        c.flush();
        c.reactor.stop();
    });
    c.thread.join();
}

std::optional<std::map<StreamName, Consumer::Place>> Consumer::known_by(Log& log, const std::optional<std::map<StreamName, Place>>& database) {
    std::map<StreamName, Place> known;
    bool is_all = true;
    for (const StreamInfo& info : log.streams()) {
        if (info.name.starts_with('_') || info.head.value == 0) continue;
        const auto last = info.head < info.first ? std::vector<BatchPtr>() : log.read(info.name, info.head, 1).value_or({});
        if (last.empty() || last.back()->events.empty()) {
            is_all = is_all && info.name == foreign_stream;
            continue;
        }
        const Batch& batch = *last.back();
        if (const auto place = place_of(batch.events[batch.events.size() - 1].id)) known[info.name] = *place;
    }
    if (!database) return known.empty() || !is_all ? std::nullopt : std::optional(known);
    for (const auto& [stream, place] : *database) {
        const auto found = known.find(stream);
        if (stream == foreign_stream) continue;
        if (found == known.end() || (found->second.epoch == place.epoch && found->second.seq < place.seq)) known[stream] = place;
    }
    return known;
}

std::optional<Consumer::Place> Consumer::place_of(std::string_view id) {
    if (!id.starts_with("weir:")) return std::nullopt;
    const std::size_t slash = id.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    Place place;
    place.epoch = id.substr(5, slash - 5);
    const auto [end, problem] = std::from_chars(id.data() + slash + 1, id.data() + id.size(), place.seq);
    if (problem != std::errc() || end != id.data() + id.size()) return std::nullopt;
    return place;
}

}  // namespace weir
