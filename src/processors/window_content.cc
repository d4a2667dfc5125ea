// What a WindowProcessor says of a window that closes or is corrected: statistics, coverage, gaps with their causes, and the event of it.
#include <algorithm>

#include "event/json.h"
#include "processors/window_processor.h"

namespace weir {

WindowProcessor::Content WindowProcessor::content_of(const Series& series, Timestamp start) const {
    Content content{start, window_end(series, start), new_pane(), {}, series.before, {}};
    auto it = series.panes.lower_bound(start);
    for (auto back = it; back != series.panes.begin();) {
        --back;
        if (back->second.statistics.empty()) continue;
        content.previous = back->second.last;
        break;
    }
    const auto stop = bounds_.is_session() ? series.panes.upper_bound(start) : series.panes.lower_bound(content.end);
    for (; it != stop; ++it) content.pane.merge(it->second);
    for (auto ahead = stop; ahead != series.panes.end(); ++ahead) {
        if (ahead->second.statistics.empty()) continue;
        content.next = ahead->second.first;
        break;
    }
    for (const auto& reading : content.pane.statistics.readings()) content.times.push_back(reading.time);
    std::sort(content.times.begin(), content.times.end());
    return content;
}

std::vector<WindowGap> WindowProcessor::gaps_of(const Content& content, const Series& series, std::optional<Duration> spacing) const {
    std::vector<WindowGap> gaps;
    const Timestamp a = content.start, b = content.end;
    // Refused messages show that the source was there: they explain a gap that nothing else does.
    std::vector<Timestamp> refused = content.pane.rejected_at;
    if (options_.per_key && !bounds_.is_session())
        if (const auto feed = series_.find(""); feed != series_.end() && &feed->second != &series)
            for (auto it = feed->second.panes.lower_bound(a); it != feed->second.panes.end() && it->first < b; ++it)
                refused.insert(refused.end(), it->second.rejected_at.begin(), it->second.rejected_at.end());
    const auto cause = [&](Timestamp from, Timestamp to) -> std::string {
        if (const auto known = timeline_.cause(from, to)) return *known;
        for (const Timestamp t : refused)
            if (t > from && t < to) return "rejected";
        return "upstream_silent";
    };
    const auto add = [&](Timestamp from, Timestamp to, Timestamp whole_from, Timestamp whole_to) {
        from = std::max(from, a);
        to = std::min(to, b);
        if (from < to) gaps.push_back({from, to, cause(std::max(whole_from, a), std::min(whole_to, b))});
    };
    for (const auto& step : timeline_.clock_steps(a, b)) gaps.push_back({step.at, step.at, "clock_step"});

    if (!spacing) {
        // Nothing says how often readings should come: only what the feed itself said is a gap.
        if (content.times.empty()) {
            add(a, b, a, b);
        } else {
            Timestamp last = a;
            const auto between = [&](Timestamp from, Timestamp to) {
                if (from < to && timeline_.connected(from, to) + 1s < to - from) add(from, to, from, to);
            };
            for (const Timestamp t : content.times) between(last, t), last = t;
            between(last, b);
        }
    } else if (!content.pane.statistics.exact()) {
        // Of so many readings only the edges are known.
        if (content.pane.first - *spacing >= a) add(a, content.pane.first, a, content.pane.first);
        if (content.pane.last + *spacing < b) add(content.pane.last, b, content.pane.last, b);
    } else {
        // An expected reading is missing between p and n if one of p + spacing, p + 2 spacing, ... lies clearly before n;
        // it belongs to this window if it lies in it.
        const auto pair = [&](Timestamp p, Timestamp n) {
            if (n - p <= *spacing * 3 / 2) return;
            const std::int64_t skip = a > p ? (a - p).count() / spacing->count() : 0;
            for (std::int64_t k = std::max<std::int64_t>(1, skip); k <= skip + 2; ++k) {
                const Timestamp expected = p + *spacing * k;
                if (expected >= a && expected < b && expected < n - *spacing / 2) {
                    add(p, n, p, n);
                    return;
                }
            }
        };
        std::optional<Timestamp> p = content.previous;
        for (const Timestamp t : content.times) {
            if (p) pair(*p, t);
            else if (t - *spacing >= a) add(a, t, a, t);
            p = t;
        }
        const Timestamp reached = std::max(event_clock_, watermark_ ? *watermark_ + options_.lateness : b);
        if (!bounds_.is_session()) {
            if (!p) add(a, b, a, b);
            else if (content.next) pair(*p, *content.next);
            else if (*p + *spacing < b && *p + *spacing * 3 / 2 <= reached) pair(*p, std::max(b, *p + *spacing * 2));
        }
    }
    std::sort(gaps.begin(), gaps.end(), [](const WindowGap& x, const WindowGap& y) { return std::tie(x.from, x.to) < std::tie(y.from, y.to); });
    return gaps;
}

std::string WindowProcessor::body_of(const Content& content, const Series& series, const Closed& closed,
                                     std::string& cut) const {
    const auto& pane = content.pane;
    const Duration length = content.end - content.start;
    const auto spacing = closed.spacing;
    const std::uint64_t received = pane.statistics.count(), rejected = pane.rejected_count();
    const bool whole_feed = options_.per_key && series.implicit;

    WindowFacts f;
    if (spacing && !whole_feed) {
        const Duration span = bounds_.is_session() ? length - options_.gap + *spacing : length;
        std::uint64_t expected = static_cast<std::uint64_t>((span.count() + spacing->count() / 2) / spacing->count());
        if (!options_.per_key) expected *= std::max<std::size_t>(1, keys_seen_.size());
        const std::uint64_t known = received + rejected + pane.late;
        f.expected = expected;
        f.missing = expected > known ? expected - known : 0;
    }
    if (!whole_feed || rejected == 0) f.gaps = gaps_of(content, series, spacing);
    const Duration slack = spacing ? *spacing * 3 / 2 : Duration(1s);
    const auto outage = timeline_.outage(content.start, content.end);
    if (outage.longest > slack) cut = outage.stopped ? "stop" : "outage";
    else if (const auto started = timeline_.started(); started && *started > content.start + slack && *started < content.end) cut = "start";

    if (received == 0) {
        if (bounds_.is_session()) f.reason = "merged";
        else if (rejected > 0) f.reason = "all_rejected";
        else if (pane.late > 0) f.reason = "all_late";
        else if (!f.gaps.empty()) f.reason = f.gaps.back().cause;
        else f.reason = "upstream_silent";
    }
    f.complete = f.missing == std::uint64_t{0} && rejected == 0 && pane.late == 0 && cut.empty();
    f.statistics = pane.statistics.summary(options_.median == Median::upper ? analytics::MedianKind::upper : analytics::MedianKind::exact);
    f.rejected = pane.rejected;
    f.late = pane.late;
    f.duplicates = pane.duplicates;
    f.connected = timeline_.connected(content.start, content.end);
    f.sources = pane.sources;
    f.interval = spacing;
    f.interval_learned = closed.spacing_learned;
    if (received > 0) f.seqs = {pane.first_seq, pane.last_seq};
    return window_body(f);
}

bool WindowProcessor::write(const std::string& key, Series& series, Timestamp start, Timestamp now, Output& output) {
    const auto known = series.closed.find(start);
    Closed closed = known != series.closed.end() ? known->second : Closed{};
    // What was expected is decided when the window closes first: a rate that is learned later does not make it incomplete.
    if (known == series.closed.end()) closed.spacing = timeline_.spacing(), closed.spacing_learned = timeline_.spacing_learned();
    const Content content = content_of(series, start);
    std::string cut;
    const std::string body = body_of(content, series, closed, cut);
    const std::uint64_t hash = derived_hash({body, cut, to_rfc3339(content.end)});
    if (known != series.closed.end()) {
        if (closed.content == hash) return false;
        ++closed.revision;
        ++revisions_;
    }
    closed.content = hash;
    closed.changed = true;
    series.closed[start] = closed;

    static constexpr const char* kinds[] = {"tumbling", "hopping", "session"};
    std::string data;
    JsonWriter json(data);
    json.object().name("window").object();
    json.member("name", window_).member("kind", kinds[static_cast<int>(options_.kind)]);
    json.member("start", content.start).member("end", content.end).name("duration_seconds");
    json.value(static_cast<double>((content.end - content.start).count()) / 1e6);
    json.member("closed_at", now).name("cut");
    if (cut.empty()) json.null();
    else json.value(cut);
    json.end();
    json.member("stream", options_.stream).member("key", key).member("field", field_).member("revision", closed.revision);
    data += ',';
    data.append(body, 1);  // without its opening brace

    const std::string id = derived_id({name_, to_text(Epoch{version_}), key, to_text(Epoch{static_cast<std::uint64_t>(start.micros())}),
                                       to_text(Epoch{static_cast<std::uint64_t>(content.end.micros())}), std::to_string(closed.revision)});
    EventView event;
    event.id = id;
    event.type = "window";
    event.key = key;
    event.source = name_;
    event.data = data;
    event.time = start;
    event.ingested = now;
    output.add(options_.output, event);
    return true;
}

}  // namespace weir
