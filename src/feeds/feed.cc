#include "feeds/feed.h"

#include "base/assert.h"
#include "base/diag.h"
#include "event/decoder.h"
#include "event/json.h"
#include "event/label.h"
#include "feeds/feed_outbox.h"
#include "feeds/html_source.h"
#include "feeds/http_source.h"
#include "feeds/learned_interval.h"
#include "feeds/replay_source.h"
#include "feeds/simulate_source.h"
#include "feeds/source_chain.h"
#include "feeds/spaced_lines.h"
#include "feeds/websocket_source.h"

namespace weir {
namespace {

constexpr std::size_t commit_bytes_max = 384 * 1024;  // of texts: leaves room for the rest of a block of 512 KiB
constexpr Duration status_spacing = 1s, clock_step_least = 1s;

}  // namespace

DecodeRules decode_rules(const DecodeOptions& o) {
    DecodeRules rules;
    rules.items = o.items;
    rules.key = o.key;
    rules.value = o.value;
    rules.time = o.time;
    rules.id = o.id;
    rules.type = o.type;
    rules.keep = o.keep;
    rules.keys = o.keys;
    rules.numeric_text = o.numeric_text.everywhere;
    rules.numeric_text_paths = o.numeric_text.paths;
    rules.time_format = o.time_format == TimeFormat::rfc3339  ? DecodeRules::TimeFormat::rfc3339
                        : o.time_format == TimeFormat::unix_s ? DecodeRules::TimeFormat::unix_s
                                                              : DecodeRules::TimeFormat::unix_ms;
    return rules;
}

std::unique_ptr<Source> make_source(net::Reactor& reactor, net::HttpClient* http, const SourceOptions& options, const FeedOptions& feed, std::uint64_t seed) {
    switch (options.kind) {
        case SourceKind::websocket: return std::make_unique<WebSocketSource>(reactor, options, feed.backoff(), seed);
        case SourceKind::http: WEIR_ASSERT(http); return std::make_unique<HttpSource>(reactor, *http, options, feed.backoff(), seed);
        case SourceKind::html: WEIR_ASSERT(http); return std::make_unique<HttpSource>(reactor, *http, options, feed.backoff(), seed, html_reader(options, feed.decode));
        case SourceKind::replay: return std::make_unique<ReplaySource>(reactor, options);
        case SourceKind::simulate: return std::make_unique<SimulateSource>(reactor, options);
    }
    return nullptr;
}

struct Feed::Core final : SourceChain::Observer, FeedOutbox::Owner {
    Setup setup;
    const std::string& name;
    const FeedOptions& options;
    const Clock& clock;
    Decoder decoder;
    Label label;
    SourceChain chain;
    LearnedInterval learned;
    const std::int64_t process_start;

    EventList events;
    Notes notes;
    bool dirty = false;
    std::optional<Timestamp> commit_time;  ///< of a recording
    std::optional<Error> broken_off;       ///< why the rest of a recording could not be read
    FeedOutbox outbox;
    std::uint64_t connection = 0, next_id = 1;
    std::string id_prefix, source_name;
    bool stopping = false, is_stopped = false, started = false, is_finished = false;
    std::function<void()> on_stopped;

    Counts counts;
    std::map<std::string, std::uint64_t, std::less<>> rejected_by_reason;
    std::optional<Timestamp> last_reading;
    Timestamp started_at;
    std::uint64_t rejected_shown = 0;
    SpacedLines state_lines{[](diag::Level level, const std::string& line) { if (diag::enabled(level)) diag::write(level, line); }};
    diag::RateLimiter rejection_lines{1'000'000};
    Timestamp wall_seen;
    Duration monotonic_seen{0};
    std::optional<Duration> status_posted;
    bool status_changed = true;
    // Readings in each of the last six stretches of 10 s: the rate over the last minute.
    std::array<std::uint64_t, 6> recent{};
    std::int64_t recent_stretch = 0;

    net::Timer check_timer;
    net::TurnHook end_of_turn;

    Metrics::Counter *m_messages = nullptr, *m_readings = nullptr, *m_reconnects = nullptr, *m_standby = nullptr, *m_duplicates = nullptr, *m_dropped = nullptr;
    Metrics::Gauge* m_connected = nullptr;

    Core(Setup s, Decoder d, std::vector<std::unique_ptr<Source>> sources, std::uint64_t there_already)
        : setup(std::move(s)),
          name(setup.name),
          options(setup.options),
          clock(setup.reactor->clock()),
          decoder(std::move(d)),
          label(options.label),
          chain(clock, SourceChain::limits(options, Duration(0)), std::move(sources), *this),
          process_start(clock.now().micros()),
          outbox({name, options.stream.empty() ? name : options.stream, setup.log, setup.reactor, setup.progress, there_already, setup.in_flight_bytes_max}, *this),
          check_timer(*setup.reactor, [this] { check(); }),
          end_of_turn(*setup.reactor, [this] { if (setup.times == Times::log) flush(); }) {
        new_connection();
        if (!setup.metrics) return;
        const Metrics::Labels labels{{"feed", name}};
        auto& m = *setup.metrics;
        m_messages = &m.counter("weir_feed_messages_total", "Messages received from the active source.", labels);
        m_readings = &m.counter("weir_feed_readings_total", "Events that messages were turned into.", labels);
        m_reconnects = &m.counter("weir_feed_connections_total", "Connections made.", labels);
        m_standby = &m.counter("weir_feed_standby_total", "Messages of a source that was not the active one; not appended.", labels);
        m_duplicates = &m.counter("weir_feed_duplicates_total", "Events whose id the log knew already.", labels);
        m_dropped = &m.counter("weir_feed_dropped_total", "Events that the log refused for good.", labels);
        m_connected = &m.gauge("weir_feed_connected", "1 while the feed is live, degraded or polled.", labels);
    }
    void new_connection() {
        ++connection;
        next_id = 1;
        // The same file gives the same ids, another file others: an import that is repeated by mistake appends nothing within the horizon.
        const std::string file = chain.source(0).shown();
        id_prefix = setup.times == Times::recorded ? (name + "/" + file.substr(file.rfind('/') + 1)).substr(0, 200) + "/" : name + "/" + std::to_string(process_start) + "-" + std::to_string(connection) + "/";
    }

    // ---- the chain's reports

    void on_connected(std::size_t source) override {
        ++counts.reconnects;
        if (m_reconnects) m_reconnects->add();
        if (setup.times == Times::log) new_connection();
        learned.interrupted();
        status_changed = true;
        state_lines.tell(diag::Level::info, "feed " + name + ": connected to " + chain.source(source).shown(), clock.monotonic());
    }

    void on_message(std::size_t source, std::string_view text, Timestamp at) override {
        ++counts.messages;
        if (m_messages) m_messages->add();
        note_spacing(source, at);
        source_name = to_text(chain.source(source).kind());
        const auto outcome = decoder.decode(text, {at, source_name, id_prefix, &next_id}, events, notes);
        counts.unwanted += outcome.unwanted;
        readings(outcome.events, at);
        if (outcome.rejected > 0) refused(outcome);
        dirty = dirty || outcome.events > 0 || outcome.rejected > 0;
        after_message(at);
    }

    void on_event(std::size_t source, const EventView& recorded) override {
        ++counts.messages;
        if (m_messages) m_messages->add();
        note_spacing(source, recorded.ingested);
        EventView event = recorded;
        const std::string id = event.id.empty() ? id_prefix + std::to_string(next_id++) : std::string(event.id);
        event.id = id;
        if (event.type.empty()) event.type = options.decode.type;
        if (event.source.empty()) event.source = "replay";
        if (setup.times == Times::log) event.ingested = clock.now();
        events.add(event);
        readings(1, recorded.ingested);
        dirty = true;
        after_message(recorded.ingested);
    }

    void on_standby_message(std::size_t) override {
        ++counts.standby;
        if (m_standby) m_standby->add();
    }

    void on_failed(std::size_t source, const Error& error) override {
        ++counts.failures;
        status_changed = true;
        const auto& health = chain.source(source).health();
        std::string line = "feed " + name + ": " + error.message;
        if (health.next_try) line += "; next try in " + to_text(std::chrono::round<std::chrono::milliseconds>(std::max<Duration>(*health.next_try - clock.now(), Duration(0))));
        state_lines.tell(diag::Level::error, std::move(line), clock.monotonic());
    }

    void on_state(const SourceChain::StateChange& change) override {
        // In a recording only recorded time counts: `after_message` and `on_finished` tell its states.
        if (setup.times == Times::recorded) return;
        notes.feed_states.push_back({name, std::string(to_text(change.state)), change.cause, change.source, change.since, change.detail});
        dirty = true;
        status_changed = true;
        const bool well = change.state != FeedState::down && change.state != FeedState::stale;
        if (m_connected) m_connected->set(well ? 1 : 0);
        const std::string line = "feed " + name + ": " + std::string(to_text(change.state)) + " (" + change.cause + ")" + (change.source.empty() ? "" : ", source " + change.source) +
                                 (change.detail.empty() ? "" : ": " + change.detail);
        // The failure that brought it down was told just before, and says more.
        if (change.state == FeedState::down && change.cause == "upstream_closed") return;
        state_lines.tell(well || change.cause == "connecting" ? diag::Level::info : diag::Level::warn, line, clock.monotonic());
    }

    void on_time(Timestamp now) override {
        if (setup.times != Times::recorded) return;
        commit_time = now;
        outbox.send({}, {}, now);  // a tick
    }

    void on_finished(const Result<void>& end) override {
        is_finished = true;
        status_changed = true;
        // Nothing of it is written: what comes next in the log is what the rest of the recording says, once it can be read.
        if (!end.ok()) {
            broken_off = end.error();
            diag::error("feed " + name + ": the recording was not played to its end, " + std::to_string(counts.readings) + " events: " + end.error().message);
            return;
        }
        if (setup.times == Times::recorded && commit_time) {
            notes.feed_states.push_back({name, "down", "stopped", "", *commit_time, "the recording ends"});
            dirty = true;
            flush();
        }
        diag::info("feed " + name + ": the recording has been played, " + std::to_string(counts.readings) + " events");
    }

    // ---- messages

    void note_spacing(std::size_t source, Timestamp at) {
        if (options.interval > Duration(0)) return;
        // Of the first source only: how often a stand-in is asked says nothing about the feed.
        if (source != 0) return;
        if (const auto interval = learned.message(at)) {
            notes.intervals.push_back({name, *interval, true});
            dirty = true;
            status_changed = true;
            chain.set_limits(SourceChain::limits(options, *interval));
        }
    }

    void readings(std::uint32_t n, Timestamp at) {
        if (n == 0) return;
        counts.readings += n;
        if (m_readings) m_readings->add(n);
        last_reading = at;
        const auto stretch = clock.monotonic() / 10s;
        for (; recent_stretch < stretch; ++recent_stretch) {
            if (stretch - recent_stretch > 6) recent_stretch = stretch - 6;
            recent[static_cast<std::size_t>((recent_stretch + 1) % 6)] = 0;
        }
        recent[static_cast<std::size_t>(stretch % 6)] += n;
    }

    void refused(const Decoder::Outcome& outcome) {
        counts.rejected += outcome.rejected;
        // The newest notes are this message's.
        std::uint64_t left = outcome.rejected;
        for (auto it = notes.rejected.rbegin(); it != notes.rejected.rend() && left > 0; ++it) {
            left -= std::min<std::uint64_t>(left, it->count);
            auto known = rejected_by_reason.find(it->reason);
            if (known == rejected_by_reason.end()) known = rejected_by_reason.emplace(it->reason, 0).first;
            known->second += it->count;
            if (setup.metrics) setup.metrics->counter("weir_feed_rejected_total", "Readings or messages refused.", {{"feed", name}, {"reason", it->reason}}).add(it->count);
        }
        if (!rejection_lines.admit(clock.monotonic().count())) return;
        diag::warn("feed " + name + ": message " + std::to_string(counts.messages) + ", " + outcome.problem + "; skipped (" + std::to_string(counts.rejected) + " since " +
                   to_rfc3339_short(started_at) + ")");
    }

    void after_message(Timestamp at) {
        if (setup.times == Times::recorded) {
            if (!commit_time) {
                notes.feed_states.push_back({name, "live", "recovered", source_name, at, ""});
                dirty = true;
            }
            commit_time = commit_time ? std::max(*commit_time, at) : at;
            flush();
        } else if (events.text_bytes() >= commit_bytes_max) {
            flush();
        }
    }

    // ---- the log

    void flush() {
        // What an end happens to catch half done would be another commit than the recording gives.
        if (!dirty || (stopping && !setup.progress.empty())) return;
        dirty = false;
        EventList all = std::move(events);
        Notes told = std::move(notes);
        events = {};
        notes = {};
        if (!label.empty())
            for (const EventView event : all) diag::info("feed " + name + ": " + label.of(event.data));
        // A message above the size of a commit is spread over several; the notes go with the first.
        const auto at = setup.times == Times::recorded ? commit_time : std::nullopt;
        if (all.text_bytes() <= commit_bytes_max) return outbox.send(std::move(all), std::move(told), at);
        EventList part;
        for (const EventView event : all) {
            if (!part.empty() && part.text_bytes() + event.data.size() + 1024 > commit_bytes_max) outbox.send(std::exchange(part, {}), std::exchange(told, {}), at);
            part.add(event);
        }
        outbox.send(std::move(part), std::move(told), at);
    }

    void on_pressure(bool is_full) override {
        status_changed = true;
        is_full ? chain.pause() : chain.resume();
    }

    void on_appended(const Committed& committed) override {
        for (const auto& appended : committed.appended) {
            counts.duplicates += appended.duplicates;
            if (m_duplicates && appended.duplicates) m_duplicates->add(appended.duplicates);
        }
    }

    void on_dropped(const EventList& list, const Error& error) override {
        counts.dropped += list.size();
        if (m_dropped) m_dropped->add(list.size());
        diag::error("feed " + name + ": " + std::to_string(list.size()) + " events were not stored: " + error.message);
        if (error.code == "closed" || stopping || list.empty()) return;
        for (const EventView event : list) {
            if (!notes.rejected.empty() && notes.rejected.back().reason == "not_stored" && notes.rejected.back().key == event.key) {
                ++notes.rejected.back().count;
                continue;
            }
            notes.rejected.push_back({"not_stored", std::string(event.key), event.time, 1});
        }
        rejected_by_reason["not_stored"] += list.size();
        counts.rejected += list.size();
        dirty = true;
    }

    void on_answers() override { finish_stop(); }

    // ---- time

    void check() {
        if (is_stopped) return;
        outbox.take_answers();
        state_lines.due(clock.monotonic());
        if (!stopping) {
            chain.check();
            if (setup.times == Times::log) look_at_clocks();
        }
        if (status_changed || !status_posted || clock.monotonic() - *status_posted >= 5 * status_spacing) post_status();
        arm_check();
    }

    void arm_check() {
        const Duration interval = options.interval > Duration(0) ? options.interval : learned.known().value_or(1s);
        check_timer.start(std::clamp<Duration>(interval / 4, 20ms, 500ms));
    }

    void look_at_clocks() {
        const Timestamp wall = clock.now();
        const Duration monotonic = clock.monotonic(), step = (wall - wall_seen) - (monotonic - monotonic_seen);
        wall_seen = wall;
        monotonic_seen = monotonic;
        if (step < clock_step_least && step > -clock_step_least) return;
        const auto& state = chain.state();
        const std::string detail = "the wall clock stepped " + std::string(step < Duration(0) ? "back" : "forward") + " by " +
                                   to_text(std::chrono::round<std::chrono::milliseconds>(step < Duration(0) ? -step : step));
        notes.feed_states.push_back({name, std::string(to_text(state.state)), "clock_step", state.source, wall, detail});
        dirty = true;
        diag::warn("feed " + name + ": " + detail);
    }

    // ---- start and stop

    void start() {
        started = true;
        started_at = wall_seen = clock.now();
        monotonic_seen = clock.monotonic();
        recent_stretch = clock.monotonic() / 10s;
        if (setup.times == Times::log) note_what_was_missed();
        if (options.interval > Duration(0)) {
            notes.intervals.push_back({name, options.interval, false});
            dirty = true;
        }
        chain.start();
        arm_check();
        post_status();
    }

    /// Nothing was read between the last commit and now: only the log can tell a window so.
    void note_what_was_missed() {
        const auto info = setup.log->info(options.stream.empty() ? name : options.stream);
        if (!info || info->head.value == 0) return;
        Timestamp since = info->last_time.value_or(started_at);
        if (const auto last = setup.log->read_before(info->name, info->head + 1, 1); last.ok() && !last->empty()) since = last->back()->commit_time;
        notes.feed_states.push_back({name, "down", "weir_down", "", std::min(since, started_at), "weir was not running"});
        dirty = true;
    }

    void stop(std::function<void()> done) {
        on_stopped = std::move(done);
        if (stopping) return finish_stop();
        stopping = true;
        outbox.stop();
        if (started) {
            chain.stop();
            if (setup.times == Times::log) notes.feed_states.push_back({name, "down", "stopped", "", clock.now(), "weir stopped"});
            dirty = setup.times == Times::log || dirty;
            flush();
        }
        finish_stop();
    }

    void finish_stop() {
        if (!stopping || is_stopped) return;
        flush();
        if (!outbox.empty()) return;
        is_stopped = true;
        check_timer.cancel();
        post_status();
        if (const auto call = std::exchange(on_stopped, nullptr)) call();
    }

    // ---- what people see

    void post_status() {
        status_posted = clock.monotonic();
        status_changed = false;
        if (setup.board) setup.board->post("feeds/" + name, status_json());
    }

    std::string status_json() const {
        const auto& state = chain.state();
        std::string out;
        JsonWriter json(out);
        const auto maybe = [&](std::string_view member, const std::optional<Timestamp>& time) { json.member(member, time); };
        json.object().member("name", name).member("stream", options.stream.empty() ? name : options.stream);
        json.member("state", is_stopped ? "stopped" : is_finished ? "finished" : to_text(state.state)).member("cause", state.cause);
        json.member("since", state.since).member("source", state.source).member("detail", state.detail);
        json.name("sources").array();
        for (std::size_t i = 0; i < chain.size(); ++i) {
            const Source& source = chain.source(i);
            const auto& health = source.health();
            json.object().member("kind", to_text(source.kind())).member("url", source.shown()).member("state", to_text(health.state));
            json.member("active", chain.active() == static_cast<int>(i)).member("failures", health.failures).member("connections", health.connections);
            json.name("last_error");
            if (health.last_error.empty())
                json.null();
            else
                json.value(excerpt(health.last_error, 300));
            maybe("next_try", health.next_try);
            json.end();
        }
        json.end();
        const bool is_set = options.interval > Duration(0);
        const auto interval = is_set ? std::optional(options.interval) : learned.known();
        json.name("interval_ms");
        if (interval)
            json.value(static_cast<double>(interval->count()) / 1000);
        else
            json.null();
        json.member("interval_learned", !is_set && interval.has_value());
        std::uint64_t last_minute = 0;
        for (const auto n : recent) last_minute += n;
        json.member("messages", counts.messages).member("readings", counts.readings).member("readings_last_minute", last_minute);
        json.name("rejected").object();
        for (const auto& [reason, n] : rejected_by_reason) json.member(reason, n);
        json.end();
        json.member("unwanted", counts.unwanted).member("standby", counts.standby).member("duplicates", counts.duplicates).member("dropped", counts.dropped);
        json.member("reconnects", counts.reconnects > 0 ? counts.reconnects - 1 : 0).member("paused", outbox.is_full());
        maybe("last_reading", last_reading);
        json.end();
        return out;
    }
};

Feed::Feed(std::shared_ptr<Core> core) : core_(std::move(core)) {}
Feed::~Feed() { core_->chain.stop(); }

Result<std::unique_ptr<Feed>> Feed::make(Setup setup) {
    WEIR_ASSERT(setup.log && setup.reactor);
    if (setup.name.size() > 128) return Error{"bad_feed", "the name of feed " + excerpt(setup.name) + " is longer than 128 bytes"};
    auto decoder = Decoder::make(decode_rules(setup.options.decode));
    if (!decoder.ok()) return std::move(decoder).error().within("feed " + setup.name);
    std::vector<std::unique_ptr<Source>> sources;
    if (setup.sources) {
        sources = setup.sources();
    } else {
        for (std::size_t i = 0; i < setup.options.sources.size(); ++i)
            sources.push_back(make_source(*setup.reactor, setup.http, setup.options.sources[i], setup.options, setup.seed * 31 + i));
    }
    if (sources.empty()) return Error{"bad_feed", "feed " + setup.name + " has no source"};
    std::uint64_t there_already = 0;
    if (!setup.progress.empty()) {
        WEIR_ASSERT(setup.times == Times::recorded);
        WEIR_TRY(const auto position, setup.log->position(setup.progress));
        there_already = position.value_or(CommitNo{}).value;
    }
    auto core = std::make_shared<Core>(std::move(setup), std::move(*decoder), std::move(sources), there_already);
    return std::unique_ptr<Feed>(new Feed(std::move(core)));
}

void Feed::start() { core_->start(); }
void Feed::stop(std::function<void()> done) { core_->stop(std::move(done)); }
bool Feed::stopped() const { return core_->is_stopped; }
Result<bool> Feed::finished() const {
    if (!core_->is_finished || !core_->outbox.empty()) return false;
    return core_->broken_off ? Result<bool>(*core_->broken_off) : Result<bool>(true);
}
const Feed::Counts& Feed::counts() const { return core_->counts; }
std::string Feed::status_json() const { return core_->status_json(); }

}  // namespace weir
