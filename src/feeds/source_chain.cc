#include "feeds/source_chain.h"

#include "base/assert.h"

namespace weir {

std::string_view to_text(FeedState state) {
    switch (state) {
        case FeedState::live: return "live";
        case FeedState::degraded: return "degraded";
        case FeedState::polled: return "polled";
        case FeedState::stale: return "stale";
        case FeedState::down: return "down";
    }
    return "";
}

SourceChain::Limits SourceChain::limits(const FeedOptions& options, Duration learned) {
    Limits limits;
    limits.return_after = options.return_after;
    const Duration interval = options.interval > Duration(0) ? options.interval : learned;
    if (options.silence > Duration(0)) {
        limits.dead_after = options.silence;
        limits.late_after = options.interval > Duration(0) ? std::min<Duration>(3 * options.interval, options.silence) : options.silence;
    } else if (interval > Duration(0)) {
        limits.dead_after = std::max<Duration>(5 * interval, 10s);
        // What is only learned may be learned from a burst: half a second is no silence.
        limits.late_after = options.interval > Duration(0) ? 3 * interval : std::max<Duration>(3 * interval, 3s);
    }
    return limits;
}

/// One source with what the chain knows about it.
struct SourceChain::Entry final : SourceListener {
    SourceChain& chain;
    const std::size_t index;
    std::unique_ptr<Source> source;
    bool running = false, connected = false, finished = false, in_call = false;
    bool delivered_yet = false;   ///< since `start`
    bool silent = false;          ///< the last failure was our own judgement
    bool had_its_chance = false;  ///< failed, or was silent, since it was started
    Duration started_at{0}, last_sign{0}, healthy_since{0};
    Timestamp last_message, failed_at;
    std::string last_error;

    Entry(SourceChain& c, std::size_t i, std::unique_ptr<Source> s) : chain(c), index(i), source(std::move(s)) {}

    void start() {
        running = true;
        delivered_yet = had_its_chance = connected = false;
        started_at = last_sign = chain.clock_.monotonic();
        source->start(*this);
        if (chain.paused_) source->pause();
    }
    void stop() {
        running = connected = false;
        source->stop();
    }
    void on_connected(Source&) override {
        connected = true;
        silent = false;
        last_sign = chain.clock_.monotonic();
        delivered_yet = false;
        chain.observer_.on_connected(index);
    }
    void on_message(Source&, std::string_view text, Timestamp at) override {
        if (chain.delivered(*this))
            chain.observer_.on_message(index, text, at);
        else
            chain.observer_.on_standby_message(index);
    }
    void on_event(Source&, const EventView& event) override {
        if (chain.delivered(*this))
            chain.observer_.on_event(index, event);
        else
            chain.observer_.on_standby_message(index);
    }
    void on_alive(Source&) override { (void)chain.delivered(*this); }
    void on_failed(Source&, const Error& error) override {
        connected = false;
        delivered_yet = false;
        had_its_chance = true;
        failed_at = chain.clock_.now();
        last_error = error.message;
        chain.observer_.on_failed(index, error);
        chain.check();
    }
    void on_time(Source&, Timestamp now) override {
        if (chain.active_ == static_cast<int>(index)) chain.observer_.on_time(now);
        last_sign = chain.clock_.monotonic();
    }
    void on_finished(Source&, const Result<void>& end) override {
        finished = true;
        chain.observer_.on_finished(end);
    }
};

SourceChain::SourceChain(const Clock& clock, Limits limits, std::vector<std::unique_ptr<Source>> sources, Observer& observer)
    : clock_(clock), limits_(limits), observer_(observer) {
    WEIR_ASSERT(!sources.empty());
    for (std::size_t i = 0; i < sources.size(); ++i) entries_.push_back(std::make_unique<Entry>(*this, i, std::move(sources[i])));
}
SourceChain::~SourceChain() = default;

const Source& SourceChain::source(std::size_t i) const { return *entries_[i]->source; }

void SourceChain::start() {
    running_ = true;
    state_ = {FeedState::down, "connecting", clock_.now(), "", ""};
    observer_.on_state(state_);
    run_what_is_needed();
}

void SourceChain::stop() {
    running_ = false;
    for (auto& entry : entries_)
        if (entry->running) entry->stop();
}

void SourceChain::pause() {
    paused_ = true;
    for (auto& entry : entries_)
        if (entry->running) entry->source->pause();
}

void SourceChain::resume() {
    paused_ = false;
    for (auto& entry : entries_) {
        if (!entry->running) continue;
        entry->last_sign = std::max(entry->last_sign, clock_.monotonic());
        entry->source->resume();
    }
}

Duration SourceChain::late_after(const Entry& entry) const {
    const Duration own = entry.source->spacing();
    return own > Duration(0) ? 3 * own : limits_.late_after;
}
Duration SourceChain::dead_after(const Entry& entry) const {
    const Duration own = entry.source->spacing();
    return own > Duration(0) ? std::max<Duration>(5 * own, 10s) : limits_.dead_after;
}

bool SourceChain::fresh(const Entry& entry) const {
    if (!entry.running) return false;
    if (entry.finished) return true;
    return entry.connected && entry.delivered_yet && (paused_ || clock_.monotonic() - entry.last_sign <= late_after(entry));
}

/// True when what came counts: the source is the active one, perhaps since this moment.
bool SourceChain::delivered(Entry& entry) {
    const Duration now = clock_.monotonic();
    if (!entry.delivered_yet || now - entry.last_sign > late_after(entry)) entry.healthy_since = now;
    entry.delivered_yet = true;
    entry.connected = true;
    entry.last_sign = now;
    entry.last_message = clock_.now();
    const auto i = static_cast<int>(entry.index);
    const bool first = active_ < 0;
    if (i != active_) {
        const bool active_fresh = !first && fresh(*entries_[static_cast<std::size_t>(active_)]);
        const bool returns = i < active_ && now - entry.healthy_since >= limits_.return_after;
        if (!first && active_fresh && !returns) return false;
        activate(entry.index);
    }
    if (state_.state == FeedState::down || state_.state == FeedState::stale || source_changed_) judge();
    return true;
}

void SourceChain::activate(std::size_t i) {
    source_changed_ = active_ >= 0;
    active_ = static_cast<int>(i);
    // Worse ones have done their part. One that is in a call now only stops.
    for (std::size_t k = i + 1; k < entries_.size(); ++k)
        if (entries_[k]->running) entries_[k]->stop();
}

void SourceChain::check() {
    if (!running_ || paused_) return;
    const Duration now = clock_.monotonic();
    for (auto& entry : entries_) {
        if (!entry->running || entry->finished) continue;
        if (entry->connected && now - entry->last_sign > dead_after(*entry)) {
            entry->silent = true;
            entry->source->give_up({"upstream_silent", entry->source->shown() + " was silent for " + to_text(std::chrono::floor<std::chrono::milliseconds>(now - entry->last_sign)) +
                                                           "; the connection is taken for dead and made again"});
            if (!running_) return;
        } else if (now - entry->last_sign > late_after(*entry)) {
            entry->had_its_chance = true;
        }
    }
    run_what_is_needed();
    judge();
}

void SourceChain::run_what_is_needed() {
    for (auto& entry : entries_) {
        if (!running_) return;
        if (!entry->running) entry->start();
        // The next one is needed only while this one does not deliver and has had its chance to.
        if (fresh(*entry) || !entry->had_its_chance) return;
    }
}

void SourceChain::judge() {
    if (!running_) return;
    StateChange next;
    next.since = clock_.now();
    const Entry* active = active_ >= 0 ? entries_[static_cast<std::size_t>(active_)].get() : nullptr;
    if (active) next.source = to_text(active->source->kind());
    const bool was_well = state_.state != FeedState::down && state_.state != FeedState::stale;
    if (active && fresh(*active)) {
        next.state = active->index == 0 ? FeedState::live : active->source->is_polled() ? FeedState::polled : FeedState::degraded;
        next.cause = source_changed_ ? "source_changed" : "recovered";
        if (active->index > 0) next.detail = entries_[0]->last_error;
    } else if (active && active->connected) {
        next.state = FeedState::stale;
        next.cause = "upstream_silent";
        next.since = active->last_message;
        next.detail = active->source->shown() + " is silent";
    } else {
        next.state = FeedState::down;
        const Entry& blamed = active ? *active : *entries_[0];
        if (active && blamed.silent) {
            next.cause = "upstream_silent";
            next.since = blamed.last_message;
        } else if (active && was_well) {
            next.cause = "upstream_closed";
        } else {
            next.cause = state_.state == FeedState::down ? state_.cause : "upstream_closed";
        }
        next.detail = blamed.last_error;
    }
    const bool changed = next.state != state_.state || (source_changed_ && next.source != state_.source);
    source_changed_ = false;
    if (!changed) return;
    state_ = next;
    observer_.on_state(state_);
}

}  // namespace weir
