// How the state of a WindowProcessor stands in the log: one key a thing that changes by itself, so that a snapshot writes what changed.
//
//     m                          clock and counters          t   the feed's timeline (JSON)
//     k                          keys seen (JSON)            d   windows to be corrected (JSON)
//     s/<key>                    where a series stands
//     c/<start>/<key>            a closed window's revision
//     p/<start>/<key>            a pane's counts (and its folded statistics)
//     r/<chunk>/<start>/<key>    256 of its readings; only the last chunk of a pane ever changes
//
// <start> and <chunk> are 16 hexadecimal digits, starts as microseconds since 1970.
#include <map>

#include "event/json.h"
#include "processors/state_bytes.h"
#include "processors/window_processor.h"

namespace weir {
namespace {

using analytics::put_raw;

constexpr std::size_t chunk_readings = 256;

std::string hex(Timestamp t) { return to_text(Epoch{static_cast<std::uint64_t>(t.micros())}); }
std::string hex(std::size_t n) { return to_text(Epoch{n}); }

std::optional<Timestamp> unhex(std::string_view text) {
    if (text.size() != 16) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return std::nullopt;
        value = value << 4 | static_cast<std::uint64_t>(digit);
    }
    return Timestamp::from_micros(static_cast<std::int64_t>(value));
}

void put_time(std::string& out, Timestamp t) { put_raw(out, t.micros()); }
void put_time(std::string& out, const std::optional<Timestamp>& t) {
    put_raw(out, static_cast<std::uint8_t>(t.has_value()));
    if (t) put_time(out, *t);
}
}  // namespace

void WindowProcessor::remove_pane_keys(const std::string& key, Timestamp start, const WindowPane& pane) {
    const std::string place = hex(start) + "/" + key;
    removed_.push_back("p/" + place);
    for (std::size_t chunk = 0; chunk * chunk_readings < pane.saved_readings; ++chunk) removed_.push_back("r/" + hex(chunk) + "/" + place);
}

std::vector<StatePut> WindowProcessor::save() {
    std::map<std::string, std::optional<std::string>> puts;
    for (std::string& key : std::exchange(removed_, {})) puts[std::move(key)] = std::nullopt;

    std::string meta;
    put_raw(meta, std::uint8_t{1});
    put_time(meta, watermark_);
    put_time(meta, event_clock_);
    put_time(meta, event_arrival_);
    put_raw(meta, behind_.count());
    put_time(meta, last_commit_);
    put_time(meta, changed_due_);
    put_time(meta, forgotten_until_);
    put_raw(meta, forgotten_late_);
    put_raw(meta, revisions_);
    puts["m"] = std::move(meta);
    if (timeline_.changed()) puts["t"] = timeline_.save();
    if (keys_changed_) {
        std::string keys;
        JsonWriter json(keys);
        json.array();
        for (const auto& key : keys_seen_) json.value(key);
        json.end();
        puts["k"] = std::move(keys);
        keys_changed_ = false;
    }
    std::string windows;
    JsonWriter json(windows);
    json.array();
    for (const auto& w : changed_windows_) json.array().value(w.end.micros()).value(w.start.micros()).value(w.key).end();
    json.end();
    puts["d"] = std::move(windows);

    for (auto& [key, series] : series_) {
        if (series.changed) {
            std::string bytes;
            put_time(bytes, series.next_start);
            put_time(bytes, series.before);
            put_raw(bytes, series.empty_run);
            put_raw(bytes, static_cast<std::uint8_t>(series.implicit));
            puts["s/" + key] = std::move(bytes);
            series.changed = false;
        }
        for (auto& [start, closed] : series.closed) {
            if (!closed.changed) continue;
            std::string bytes;
            put_raw(bytes, closed.revision);
            put_raw(bytes, closed.content);
            put_raw(bytes, closed.spacing ? closed.spacing->count() : std::int64_t{0});
            put_raw(bytes, static_cast<std::uint8_t>(closed.spacing_learned));
            puts["c/" + hex(start) + "/" + key] = std::move(bytes);
            closed.changed = false;
        }
        for (auto& [start, pane] : series.panes) {
            if (!pane.changed) continue;
            const std::string place = hex(start) + "/" + key;
            std::string bytes;
            put_time(bytes, pane.first);
            put_time(bytes, pane.last);
            put_raw(bytes, pane.first_seq.value);
            put_raw(bytes, pane.last_seq.value);
            put_raw(bytes, pane.duplicates);
            put_raw(bytes, pane.late);
            for (const auto* counts : {&pane.sources, &pane.rejected}) {
                put_raw(bytes, static_cast<std::uint32_t>(counts->size()));
                for (const auto& [name, count] : *counts) {
                    put_text(bytes, name);
                    put_raw(bytes, count);
                }
            }
            put_raw(bytes, static_cast<std::uint32_t>(pane.rejected_at.size()));
            for (const Timestamp t : pane.rejected_at) put_time(bytes, t);
            put_text(bytes, pane.statistics.save_folded());
            puts["p/" + place] = std::move(bytes);

            const auto readings = pane.statistics.readings();
            if (!pane.statistics.exact()) {
                // Folded meanwhile: the readings that were saved one by one are in the fold now.
                for (std::size_t chunk = 0; chunk * chunk_readings < pane.saved_readings; ++chunk)
                    puts["r/" + hex(chunk) + "/" + place] = std::nullopt;
                pane.saved_readings = 0;
            } else {
                for (std::size_t chunk = pane.saved_readings / chunk_readings; chunk * chunk_readings < readings.size(); ++chunk) {
                    std::string values;
                    for (const auto& r : readings.subspan(chunk * chunk_readings).first(std::min(chunk_readings, readings.size() - chunk * chunk_readings))) {
                        put_time(values, r.time);
                        put_raw(values, r.value);
                    }
                    puts["r/" + hex(chunk) + "/" + place] = std::move(values);
                }
                pane.saved_readings = readings.size();
            }
            pane.changed = false;
        }
    }
    std::vector<StatePut> changed;
    changed.reserve(puts.size());
    for (auto& [key, value] : puts) changed.push_back({key, std::move(value)});
    return changed;
}

Result<void> WindowProcessor::restore(const SavedState& state) {
    series_.clear();
    keys_seen_.clear();
    timeline_ = {};
    watermark_.reset();
    event_clock_ = event_arrival_ = forgotten_until_ = now_ = Timestamp();
    behind_ = Duration(0);
    last_commit_.reset();
    changed_windows_.clear();
    changed_due_.reset();
    next_end_.reset();
    forgotten_late_ = revisions_ = 0;
    keys_changed_ = false;
    removed_.clear();

    const auto bad = [](std::string_view key) { return Error{"bad_state", "the value of key " + std::string(key) + " has another form"}; };
    // In order of key, so that a pane stands before its readings and those in their order.
    const std::map<std::string, std::string> sorted(state.begin(), state.end());
    for (const auto& [name, value] : sorted) {
        Taker take{value};
        if (name == "m") {
            if (take.number<std::uint8_t>() != 1) return bad(name);
            watermark_ = take.maybe_time();
            event_clock_ = take.time();
            event_arrival_ = take.time();
            behind_ = Duration(take.number<std::int64_t>());
            last_commit_ = take.maybe_time();
            changed_due_ = take.maybe_time();
            forgotten_until_ = take.time();
            forgotten_late_ = take.number<std::uint64_t>();
            revisions_ = take.number<std::uint64_t>();
        } else if (name == "t") {
            if (!timeline_.load(value)) return bad(name);
            continue;
        } else if (name == "k" || name == "d") {
            const auto list = Json::parse(value);
            if (!list.ok()) return bad(name);
            for (const Json& item : list->items()) {
                if (name == "k") {
                    keys_seen_.insert(item.as_string());
                } else if (item.items().size() == 3) {
                    const auto at = [&](std::size_t i) { return Timestamp::from_micros(item.items()[i].as_integer().value_or(0)); };
                    changed_windows_.insert({at(0), at(1), item.items()[2].as_string()});
                }
            }
            continue;
        } else if (name.starts_with("s/")) {
            Series& series = series_[name.substr(2)];
            series.next_start = take.maybe_time();
            series.before = take.maybe_time();
            series.empty_run = take.number<std::uint32_t>();
            series.implicit = take.number<std::uint8_t>() != 0;
            series.changed = false;
        } else if (name.size() >= 19 && name.starts_with("c/")) {
            const auto start = unhex(std::string_view(name).substr(2, 16));
            if (!start) return bad(name);
            Closed& closed = series_[name.substr(19)].closed[*start];
            closed.revision = take.number<std::uint32_t>();
            closed.content = take.number<std::uint64_t>();
            const auto spacing = take.number<std::int64_t>();
            if (spacing > 0) closed.spacing = Duration(spacing);
            closed.spacing_learned = take.number<std::uint8_t>() != 0;
            closed.changed = false;
        } else if (name.size() >= 19 && name.starts_with("p/")) {
            const auto start = unhex(std::string_view(name).substr(2, 16));
            if (!start) return bad(name);
            WindowPane& pane = series_[name.substr(19)].panes.insert_or_assign(*start, new_pane()).first->second;
            pane.first = take.time();
            pane.last = take.time();
            pane.first_seq = Seq{take.number<std::uint64_t>()};
            pane.last_seq = Seq{take.number<std::uint64_t>()};
            pane.duplicates = take.number<std::uint64_t>();
            pane.late = take.number<std::uint64_t>();
            for (auto* counts : {&pane.sources, &pane.rejected})
                for (auto n = take.number<std::uint32_t>(); n > 0 && take.good; --n) {
                    std::string what = take.text();
                    (*counts)[std::move(what)] = take.number<std::uint32_t>();
                }
            for (auto n = take.number<std::uint32_t>(); n > 0 && take.good; --n) pane.rejected_at.push_back(take.time());
            const std::string folded = take.text();
            if (!folded.empty() && !pane.statistics.load_folded(folded)) return bad(name);
            pane.changed = false;
        } else if (name.size() >= 36 && name.starts_with("r/")) {
            const auto start = unhex(std::string_view(name).substr(19, 16));
            if (!start) return bad(name);
            auto& panes = series_[name.substr(36)].panes;
            const auto pane = panes.find(*start);
            if (pane == panes.end()) return bad(name);
            while (!take.in.empty() && take.good) {
                const Timestamp t = take.time();
                const auto v = take.number<double>();
                if (!take.good || !std::isfinite(v)) return bad(name);
                pane->second.statistics.add(t, v);
            }
            pane->second.saved_readings = pane->second.statistics.readings().size();
        } else {
            return bad(name);
        }
        if (!take.good || !take.in.empty()) return bad(name);
    }
    if (!bounds_.is_session()) find_next_end();
    return ok();
}

}  // namespace weir
