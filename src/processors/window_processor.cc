#include "processors/window_processor.h"

#include <algorithm>

#include "base/assert.h"
#include "event/json.h"

namespace weir {
namespace {

std::uint64_t version_of(const std::string& window, const WindowOptions& o, const std::vector<JsonPath>& values) {
    std::string text = "1;" + window + ";" + o.stream + ";" + std::to_string(static_cast<int>(o.kind)) + ";" + to_text(o.size) + ";" +
                       to_text(o.hop) + ";" + to_text(o.gap) + ";" + to_text(o.offset) + ";" + o.zone.name() + ";" +
                       (o.schedule ? o.schedule->text() : "") + ";" + to_text(o.lateness) + ";" + (o.per_key ? "k" : "a") + ";" + o.output +
                       ";" + std::to_string(static_cast<int>(o.median)) + ";" + std::to_string(o.exact_max) + ";" +
                       (o.keep_empty ? "e" : "") + ";";
    for (const auto& key : o.keys) append_json_string(text, key);
    for (const auto& value : values) append_json_string(text, value.pointer().text());
    return derived_hash({text});
}

}  // namespace

WindowProcessor::WindowProcessor(std::string window, WindowOptions options, std::vector<JsonPath> values)
    : window_(std::move(window)),
      name_("window/" + window_),
      options_(std::move(options)),
      bounds_(options_),
      values_(std::move(values)),
      version_(version_of(window_, options_, values_)),
      inputs_{options_.stream},
      outputs_{options_.output} {
    WEIR_ASSERT(!values_.empty());
    field_ = values_.front().pointer().text();
}

Timestamp WindowProcessor::time_of(const Batch& batch) const {
    if (!over_derived_ || batch.is_tick()) return batch.commit_time;
    std::optional<Timestamp> caused = last_commit_;
    for (const EventView event : batch.events) caused = std::max(caused.value_or(event.ingested), event.ingested);
    return caused.value_or(batch.commit_time);
}

void WindowProcessor::begin() {
    if (timeline_.started()) return;
    timeline_.started(now_);
    if (bounds_.is_session()) return;
    const Timestamp first = bounds_.first_ending_after(now_);
    if (options_.per_key) {
        Series& feed = series_[""];
        feed.implicit = true;
        feed.next_start = first;
        for (const auto& key : options_.keys) series_[key].next_start = first;
    } else {
        series_[""].next_start = first;
    }
    find_next_end();
}

void WindowProcessor::process(const Batch& batch, Output& output) {
    now_ = time_of(batch);
    begin();
    if (changed_due_ && now_ >= *changed_due_) flush_changed(now_, output);
    take_notes(batch);
    for (std::size_t i = 0; i < batch.events.size(); ++i) take_event(batch.events[i], batch.seq_of(i), output);
    if (batch.is_tick()) {
        // Ticks carry the clock to a quiet stream; blocks of events carry their own times.
        const Timestamp reached = stream_time(now_) - options_.lateness;
        if (watermark_) watermark_ = std::max(*watermark_, reached);
        close_until(reached, now_, output);
    }
    last_commit_ = now_;
    forget();
}

void WindowProcessor::take_notes(const Batch& batch) {
    for (const auto& interval : batch.notes.intervals) timeline_.interval(interval);
    for (const auto& state : batch.notes.feed_states) timeline_.note(state, now_, last_commit_);
    for (const auto& rejected : batch.notes.rejected)
        reject(rejected.key, rejected.time.value_or(stream_time(now_)), rejected.reason, rejected.count);
    for (const auto& duplicate : batch.notes.duplicates) {
        Series* series = series_of(duplicate.key);
        if (!series) continue;
        bool too_late = false;
        if (WindowPane* pane = pane_at(*series, duplicate.time, too_late)) {
            pane->duplicates += duplicate.count;
            pane->changed = true;
            changed_at(options_.per_key ? duplicate.key : "", *series, duplicate.time);
        }
    }
}

void WindowProcessor::reject(std::string_view key, Timestamp time, std::string_view reason, std::uint32_t count) {
    if (bounds_.is_session()) return;  // a session begins and ends with readings
    if (options_.per_key && !options_.keys.empty() && !key.empty() &&
        std::find(options_.keys.begin(), options_.keys.end(), key) == options_.keys.end())
        return;
    Series* series = series_of(key);
    if (!series) series = series_of("");
    if (!series) return;
    bool too_late = false;
    WindowPane* pane = pane_at(*series, time, too_late);
    if (!pane) return;
    if (const auto it = pane->rejected.find(reason); it != pane->rejected.end()) it->second += count;
    else pane->rejected.emplace(reason, count);
    if (pane->rejected_at.size() < 1000) pane->rejected_at.push_back(time);
    pane->changed = true;
    changed_at(options_.per_key ? std::string(key) : "", *series, time);
}

WindowProcessor::Series* WindowProcessor::series_of(std::string_view key) {
    if (!options_.per_key) key = "";
    if (const auto it = series_.find(key); it != series_.end()) return &it->second;
    if (series_.size() >= keys_max) return nullptr;
    return &series_.emplace(key, Series{}).first->second;
}

void WindowProcessor::take_event(const EventView& event, Seq seq, Output& output) {
    const Timestamp now = now_;
    if (event.time > now + future_tolerance) {
        reject(event.key, stream_time(now), "future", 1);
        return;
    }
    if (!watermark_ || event.time > event_clock_) {
        event_clock_ = event.time;
        event_arrival_ = now;
        behind_ = now - event.time > future_tolerance ? now - event.time : Duration(0);
        // A history begins with its first reading, not with the clock of the day it is read.
        if (!watermark_ && event.time < *timeline_.started()) timeline_.started(event.time);
    }

    const bool wanted = !options_.per_key || options_.keys.empty() ||
                        std::find(options_.keys.begin(), options_.keys.end(), event.key) != options_.keys.end();
    if (wanted) {
        std::optional<std::string_view> found;
        std::optional<double> value;
        for (const JsonPath& path : values_) {
            found = path.find(event.data);
            if (!found) continue;
            value = parse_json_number(*found);
            break;
        }
        Series* series = value ? series_of(event.key) : nullptr;
        if (!value) {
            reject(event.key, event.time, !found ? "missing_value" : *found == "null" ? "null" : "not_a_number", 1);
        } else if (!series) {
            reject("", event.time, "too_many_keys", 1);
        } else {
            const std::string key = options_.per_key ? std::string(event.key) : std::string();
            if (!options_.per_key && keys_seen_.size() < keys_max && keys_seen_.emplace(event.key).second) keys_changed_ = true;
            series->implicit = false;
            bool too_late = false;
            WindowPane* pane = bounds_.is_session() ? session_at(key, *series, event.time, too_late) : pane_at(*series, event.time, too_late);
            if (pane && !too_late) {
                pane->read(event.time, *value, event.source, seq);
                changed_at(key, *series, event.time);
            } else if (pane) {
                ++pane->late;
                pane->changed = true;
                changed_at(key, *series, event.time);
            } else if (too_late) {
                ++forgotten_late_;
            }
            series->changed = true;
        }
    }

    const Timestamp reached = std::min(event_clock_, now + future_tolerance) - options_.lateness;
    if (!watermark_ || reached > *watermark_) watermark_ = reached;
    if (bounds_.is_session() || (next_end_ && *next_end_ <= *watermark_)) close_until(*watermark_, now, output);
}

WindowPane* WindowProcessor::pane_at(Series& series, Timestamp t, bool& too_late) {
    if (bounds_.is_session()) return nullptr;
    const auto start = bounds_.pane(t);
    if (!start) return nullptr;
    const Timestamp end = bounds_.last_end(*start);
    if (watermark_) {
        too_late = end + options_.lateness <= *watermark_;
        if (end + options_.lateness + late_memory <= *watermark_) return nullptr;
    }
    WindowPane& pane = series.panes.try_emplace(*start, new_pane())
                           .first->second;
    // The first window that is still open and holds `t`; earlier ones are closed, and corrected if need be.
    const Timestamp open = bounds_.first_ending_after(watermark_ ? std::max(t, *watermark_) : t);
    if (end > watermark_.value_or(Timestamp::min()) && (!series.next_start || open < *series.next_start)) {
        series.next_start = open;
        series.empty_run = 0;
        series.changed = true;
        const Timestamp open_end = bounds_.end(open);
        if (!next_end_ || open_end < *next_end_) next_end_ = open_end;
        // Where a key speaks again after a long silence, the feed's own window goes on too.
        if (const auto feed = series_.find(""); feed != series_.end() && feed->second.implicit && !feed->second.next_start) {
            feed->second.next_start = open;
            feed->second.empty_run = 0;
            feed->second.changed = true;
        }
    }
    return &pane;
}

void WindowProcessor::changed_at(const std::string& key, Series& series, Timestamp t) {
    if (!watermark_) return;
    // A reading also decides about gaps at the edges of its neighbours. In the usual case nothing near it is closed yet.
    const Duration near = timeline_.spacing() ? *timeline_.spacing() * 3 : Duration(0);
    if (bounds_.is_session()) return;  // `session_at` marks them itself
    const auto mark = [&](Timestamp start) { mark_changed({window_end(series, start), start, key}); };
    for (auto it = series.closed.rbegin(); it != series.closed.rend(); ++it) {
        const Timestamp end = bounds_.end(it->first);
        if (end + near <= t) break;
        if (it->first - near <= t) mark(it->first);
    }
    // Counted as late for a window that was never written, because the key was not known then.
    const auto start = bounds_.pane(t);
    if (start && bounds_.end(*start) <= *watermark_ && !series.closed.contains(*start)) mark(*start);
}

Timestamp WindowProcessor::window_end(const Series& series, Timestamp start) const {
    if (!bounds_.is_session()) return bounds_.end(start);
    const auto it = series.panes.find(start);
    return it == series.panes.end() ? start : it->second.last + options_.gap;
}

WindowPane* WindowProcessor::session_at(const std::string& key, Series& series, Timestamp t, bool& too_late) {
    // All sessions that this reading touches become one.
    auto from = series.panes.upper_bound(t);
    while (from != series.panes.begin() && std::prev(from)->second.last + options_.gap > t) --from;
    auto to = from;
    while (to != series.panes.end() && to->first < t + options_.gap) ++to;
    Timestamp end = t + options_.gap;
    for (auto it = from; it != to; ++it) end = std::max(end, it->second.last + options_.gap);
    if (watermark_ && end + options_.lateness <= *watermark_) {
        too_late = true;
        if (from != to) mark_changed({from->first, from->first, key});
        return from == to ? nullptr : &from->second;
    }
    const Timestamp start = from == to ? t : std::min(t, from->first);
    WindowPane joined = new_pane();
    bool was_closed = false;
    if (from == to || std::next(from) != to || from->first != start) {
        for (auto it = from; it != to; ++it) {
            joined.merge(it->second);
            remove_pane_keys(key, it->first, it->second);
            if (!series.closed.contains(it->first)) continue;
            was_closed = true;
            mark_changed({it->first, it->first, key});
        }
        series.panes.erase(from, to);
        from = series.panes.emplace(start, std::move(joined)).first;
    } else {
        was_closed = series.closed.contains(start);
    }
    if (was_closed || (watermark_ && end <= *watermark_)) mark_changed({start, start, key});
    series.changed = true;
    return &from->second;
}

void WindowProcessor::mark_changed(const WindowName& window) {
    changed_windows_.insert(window);
    if (!changed_due_) changed_due_ = now_ + revision_delay;
}

WindowProcessor::Voices WindowProcessor::voices(Timestamp end) const {
    Voices found = Voices::none;
    for (const auto& [key, series] : series_) {
        if (series.implicit || !series.next_start || bounds_.end(*series.next_start) > end) continue;
        found = Voices::known;
        const auto pane = series.panes.lower_bound(*series.next_start);
        if (pane != series.panes.end() && pane->first < end) return Voices::heard;
    }
    return found;
}

void WindowProcessor::find_next_end() {
    next_end_.reset();
    for (const auto& [key, series] : series_) {
        if (!series.next_start) continue;
        const Timestamp end = bounds_.end(*series.next_start);
        if (!next_end_ || end < *next_end_) next_end_ = end;
    }
}

void WindowProcessor::close_until(Timestamp watermark, Timestamp now, Output& output) {
    if (bounds_.is_session()) {
        for (auto& [key, series] : series_) close_sessions(key, series, watermark, now, output);
        return;
    }
    while (next_end_ && *next_end_ <= watermark) {
        const Timestamp end = *next_end_;
        // The feed's own window is written where it has something to say, or no key has: decided before the keys move on.
        const Voices keys = voices(end);
        for (auto& [key, series] : series_) {
            if (!series.next_start || bounds_.end(*series.next_start) != end) continue;
            if (series.implicit && keys != Voices::none && !series.panes.contains(*series.next_start)) {
                series.empty_run = keys == Voices::heard ? 0 : std::min(series.empty_run + 1, empty_windows_max - 1);
                series.next_start = bounds_.next_start(*series.next_start);
                series.changed = true;
                continue;
            }
            close_next(key, series, now, output);
        }
        find_next_end();
    }
}

void WindowProcessor::close_next(const std::string& key, Series& series, Timestamp now, Output& output) {
    const Timestamp start = *series.next_start;
    bool heard = false;
    for (auto it = series.panes.lower_bound(start); it != series.panes.end() && it->first < bounds_.end(start); ++it) heard = true;
    series.empty_run = heard ? 0 : series.empty_run + 1;
    series.next_start = bounds_.next_start(start);
    series.changed = true;
    if (heard || options_.keep_empty) write(key, series, start, now, output);
    if (series.empty_run >= empty_windows_max) {
        const auto later = series.panes.lower_bound(*series.next_start);
        series.empty_run = 0;
        if (later == series.panes.end()) series.next_start.reset();
        else series.next_start = std::max(*series.next_start, bounds_.first_ending_after(later->first));
    }
}

void WindowProcessor::close_sessions(const std::string& key, Series& series, Timestamp watermark, Timestamp now, Output& output) {
    std::vector<Timestamp> ended;
    for (const auto& [start, pane] : series.panes)
        if (pane.last + options_.gap <= watermark && !series.closed.contains(start) && !changed_windows_.contains({start, start, key}))
            ended.push_back(start);
    for (const Timestamp start : ended) write(key, series, start, now, output);
}

void WindowProcessor::flush_changed(Timestamp now, Output& output) {
    changed_due_.reset();
    for (const WindowName& window : std::exchange(changed_windows_, {})) {
        const auto it = series_.find(window.key);
        if (it == series_.end()) continue;
        // A session that was merged and is open again closes by itself later.
        if (bounds_.is_session() && it->second.panes.contains(window.start) && !it->second.closed.contains(window.start) && watermark_ &&
            window_end(it->second, window.start) > *watermark_)
            continue;
        write(window.key, it->second, window.start, now, output);
    }
}

std::optional<Due> WindowProcessor::next_due() const {
    std::optional<Timestamp> at = changed_due_;
    const auto not_after = [&](Timestamp t) { at = at ? std::min(*at, t) : t; };
    if (bounds_.is_session()) {
        for (const auto& [key, series] : series_)
            for (const auto& [start, pane] : series.panes)
                if (!series.closed.contains(start) && !changed_windows_.contains({start, start, key}))
                    not_after(pane.last + options_.gap + options_.lateness + behind_);
    } else if (next_end_) {
        not_after(*next_end_ + options_.lateness + behind_);
    }
    if (!at) return std::nullopt;
    return Due{*at, options_.stream};
}

void WindowProcessor::forget() {
    if (!watermark_) return;
    const Timestamp bound = *watermark_ - options_.lateness - late_memory;
    // Once a minute of the stream is often enough, and depends only on the input.
    if (bound < forgotten_until_ + 1min) return;
    forgotten_until_ = bound;
    for (auto& [key, series] : series_) {
        for (auto it = series.panes.begin(); it != series.panes.end();) {
            const Timestamp end = bounds_.is_session() ? it->second.last + options_.gap : bounds_.last_end(it->first);
            if (end > bound) break;
            if (!it->second.statistics.empty()) series.before = it->second.last, series.changed = true;
            remove_pane_keys(key, it->first, it->second);
            it = series.panes.erase(it);
        }
        for (auto it = series.closed.begin(); it != series.closed.end();) {
            const Timestamp end = bounds_.is_session() ? it->first + options_.gap : bounds_.end(it->first);
            if (end > bound) break;
            // A session that is still there must not be closed a second time.
            if (bounds_.is_session() && series.panes.contains(it->first)) {
                ++it;
                continue;
            }
            removed_.push_back("c/" + to_text(Epoch{static_cast<std::uint64_t>(it->first.micros())}) + "/" + key);
            it = series.closed.erase(it);
        }
    }
    timeline_.forget(bound - bounds_.longest());
}

}  // namespace weir
