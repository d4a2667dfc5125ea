#include "processors/alert_processor.h"

#include <algorithm>

#include "base/assert.h"
#include "processors/alert_documents.h"

namespace weir {
namespace {

/// The key of an alert's events. Keys have a bound: a longer one keeps its beginning, and what makes it one of its own.
std::string event_key(const AlertRule& rule, const std::string& place) {
    constexpr std::size_t key_max = 255, hash_size = 17;
    std::string key = place.empty() ? rule.name : rule.name + '/' + place;
    if (key.size() <= key_max) return key;
    const std::string hash = to_text(Epoch{derived_hash({key})});
    key.resize(key_max - hash_size);
    while (!key.empty() && (static_cast<unsigned char>(key.back()) & 0x80) != 0) key.pop_back();
    return key + '~' + hash;
}

std::string title_of(const AlertRule& rule, std::string_view key, const EventView* event) {
    if (event && !rule.title.empty()) return rule.title.of(event->data);
    // Of a silence there is no event that could fill in what stands in braces.
    if (!rule.title.empty() && rule.options.title.find('{') == std::string::npos) return rule.options.title;
    return key.empty() ? rule.name : rule.name + ' ' + std::string(key);
}

}  // namespace

AlertProcessor::AlertProcessor(std::vector<StreamName> sources, std::map<std::string, std::string> reasons)
    : inputs_{StreamName(input)}, outputs_{StreamName(alerts_out), StreamName(answers_out)}, reasons_(std::move(reasons)) {
    for (auto& source : sources)
        if (std::find(inputs_.begin(), inputs_.end(), source) == inputs_.end()) inputs_.push_back(std::move(source));
}

AlertProcessor::~AlertProcessor() = default;

void AlertProcessor::process(const Batch& batch, Output& output) {
    output_ = &output;
    stream_ = batch.stream;
    epoch_ = to_text(batch.epoch);
    const auto [begin, end] = routes_.equal_range(batch.stream);
    const bool is_derived = derived_.contains(batch.stream);
    seq_ = 0;
    // The commit times of a derived stream tell how far it had been read; what caused an event tells when it came.
    if (!is_derived || batch.is_tick())
        for (auto at = begin; at != end; ++at) advance(*at->second, batch.commit_time);
    for (std::size_t i = 0; i < batch.events.size(); ++i) {
        const EventView event = batch.events[i];
        now_ = is_derived ? event.ingested : batch.commit_time;
        seq_ = batch.seq_of(i).value;
        cause_ = batch.stream + '/' + epoch_ + '/' + std::to_string(seq_);
        told_now_ = 0;
        if (batch.stream == input) {
            // Which rules there are may change with it.
            take_command(event);
        } else {
            for (auto at = begin; at != end; ++at) {
                if (is_derived) advance(*at->second, now_);
                look(*at->second, event, now_);
            }
        }
        tell_again();
    }
    output_ = nullptr;
}

void AlertProcessor::look(Watch& watch, const EventView& event, Timestamp now) {
    const AlertRule& rule = watch.rule;
    if (!rule.wants(event.key)) return;
    const std::string_view key = rule.signal_of(event.key);
    auto at = watch.signals.find(key);
    if (at == watch.signals.end()) {
        if (watch.signals.size() >= keys_max) {
            if (std::exchange(watch.overflown, true)) return;
            std::string text;
            JsonWriter(text).object().member("command", event.id).member("type", "alert").member("ok", false).member("code", "too_many_keys").member("rule", rule.name)
                .member("message", "rule " + rule.name + " follows " + std::to_string(keys_max) + " keys; it does not see " + std::string(event.key) + ", nor any further one").end();
            return tell(answers_out, "answer", event.id, "overflown" + rule.name, now, text);
        }
        at = watch.signals.emplace(std::string(key), AlertSignal(now)).first;
    }
    AlertSignal& signal = at->second;
    const bool held = signal.holds(), was_changed = signal.changed;
    if (!signal.take(rule, event, now)) return;
    if (!was_changed) ++unsaved_;
    observe(watch, at->first, signal, held, &event, AlertSignal::moment_of(rule, event), now);
    queue(watch, at->first, signal);
}

/// A signal may have changed. `event`: what changed it; none where it fell silent.
void AlertProcessor::observe(Watch& watch, std::string_view key, AlertSignal& signal, bool held, const EventView* event, Timestamp time, Timestamp now) {
    const AlertRule& rule = watch.rule;
    const std::string_view place = rule.place_of(key);
    auto& holding = watch.holding.try_emplace(std::string(place), 0).first->second;
    if (signal.holds() && !held) ++holding;
    if (!signal.holds() && held) --holding;
    auto found = watch.alerts.find(place);
    if (found == watch.alerts.end()) {
        if (!signal.holds()) return;
        found = watch.alerts.emplace(std::string(place), Alert(std::string(place))).first;
    }
    Alert& alert = found->second;
    // What it is about: the key whose condition began it, with its number as it is now.
    const bool begins = !alert.open() && holding > 0;
    if (begins) {
        alert.subject.key = key;
        alert.subject.title = title_of(rule, key, event);
        alert.subject.stream = event ? stream_ : std::string_view();
        alert.subject.epoch = event ? std::string_view(epoch_) : std::string_view();
        alert.subject.seq = event ? seq_ : 0;
    }
    if (begins || (alert.open() && alert.subject.key == key)) {
        alert.subject.value = signal.value();
        alert.subject.message = alert_documents::message(rule, signal);
        alert.changed = true;
    }
    const std::string before = alert.id();
    alert.observe(rule, holding > 0, time, now, *this);
    if (alert.id() != before) {
        by_id_.erase(before);
        by_id_[alert.id()] = {&watch, &alert};
    }
    queue(watch, alert);
}

void AlertProcessor::advance(Watch& watch, Timestamp now) {
    now_ = now;
    if (std::exchange(watch.expects, false)) expect_keys(watch);
    while (!watch.silences.empty() && watch.silences.begin()->first <= now) {
        const auto [asked, key] = *watch.silences.begin();
        watch.silences.erase(watch.silences.begin());
        AlertSignal& signal = watch.signals.find(key)->second;
        signal.queued.reset();
        if (const auto at = signal.silent_at(watch.rule); at && *at <= asked) {
            signal.fall_silent();
            signal.changed = true;
            cause_ = "silence/" + watch.rule.name + '/' + key + '/' + std::to_string(at->micros());
            told_now_ = 0;
            observe(watch, key, signal, false, nullptr, *at, now);
        }
        queue(watch, key, signal);
    }
    while (!watch.dues.empty() && watch.dues.begin()->first <= now) {
        const auto [asked, place] = *watch.dues.begin();
        watch.dues.erase(watch.dues.begin());
        Alert& alert = watch.alerts.find(place)->second;
        alert.queued.reset();
        if (const auto at = alert.due(watch.rule); at && *at <= asked) {
            cause_ = "due/" + alert.id() + '/' + std::to_string(at->micros());
            told_now_ = 0;
            alert.pass(watch.rule, now, *this);
        }
        queue(watch, alert);
    }
}

// What is queued may be asked for sooner than it is due, never later: so an event that moves it back need not search for it. Asked too soon, it is queued
// again, so that all that is due goes in the order of its times, however long each has been queued.

void AlertProcessor::queue(Watch& watch, const std::string& key, AlertSignal& signal) {
    const auto at = signal.silent_at(watch.rule);
    if (!at || (signal.queued && *signal.queued <= *at)) return;
    if (signal.queued) watch.silences.erase({*signal.queued, key});
    watch.silences.emplace(*at, key);
    signal.queued = at;
}

void AlertProcessor::queue(Watch& watch, Alert& alert) {
    const auto at = alert.due(watch.rule);
    if (!at || (alert.queued && *alert.queued <= *at)) return;
    if (alert.queued) watch.dues.erase({*alert.queued, alert.place()});
    watch.dues.emplace(*at, alert.place());
    alert.queued = at;
}

std::optional<Due> AlertProcessor::next_due() const {
    std::optional<Due> first;
    for (const auto& [name, watch] : watches_)
        for (const auto* queue : {&watch->silences, &watch->dues})
            if (!queue->empty() && (!first || queue->begin()->first < first->at)) first = Due{queue->begin()->first, watch->rule.options.stream};
    return first;
}

// What is told.

void AlertProcessor::alert_changed(const AlertRule& rule, Alert& alert, AlertChange change, Timestamp at) {
    ++unsaved_;
    const bool is_pending = change == AlertChange::pending || change == AlertChange::inactive;
    if (is_pending && !rule.options.tell_pending) return;
    if (alert.told_at > 0) told_.erase({alert.told_at, alert.id()});
    alert.told_at = ++told_count_;
    if (alert.open()) told_.emplace(alert.told_at, alert.id());
    alert_documents::alert(text_, rule, alert, change, at);
    tell(alerts_out, "alert", event_key(rule, alert.place()), alert.id() + std::string(to_text(change)), at, text_);
}

void AlertProcessor::tell(std::string_view stream, std::string_view type, std::string_view key, std::string_view what, Timestamp time, const std::string& data) {
    const std::string id = derived_id({name_, cause_, std::to_string(told_now_++), what});
    EventView event;
    event.id = id;
    event.type = type;
    event.key = key;
    event.source = name_;
    event.data = data;
    event.time = time;
    event.ingested = now_;
    output_->add(StreamName(stream), event);
}

// Whoever asks what is open reads the stream backwards, and need not go further back than this.
void AlertProcessor::tell_again() {
    while (!told_.empty() && told_.begin()->first + told_every <= told_count_) {
        const Found found = by_id_.at(told_.begin()->second);
        alert_changed(found.watch->rule, *found.alert, AlertChange::repeated, now_);
    }
}

}  // namespace weir
