#include "processors/feed_timeline.h"

#include <algorithm>

#include "event/json.h"

namespace weir {
namespace {

bool is_connected(std::string_view state) { return state == "live" || state == "degraded" || state == "polled"; }

// The causes that a gap may have (spec.md 2); others are told by what they mean for the readings.
std::string gap_cause(const std::string& cause) {
    if (cause == "stopped") return "weir_down";
    if (cause == "connecting" || cause == "upstream_silent" || cause == "upstream_closed" || cause == "weir_down" || cause == "clock_step")
        return cause;
    return "upstream_silent";
}

}  // namespace

void FeedTimeline::note(const Notes::FeedState& state, Timestamp commit_time, std::optional<Timestamp> before) {
    changed_ = true;
    if (state.cause == "weir_down") {
        if (before && *before < commit_time) down_.push_back({*before, commit_time, "weir_down"});
        if (state.feed == "weir") return;
    }
    if (state.cause == "clock_step") steps_.push_back({state.time, state.detail});
    auto& entries = feeds_[state.feed];
    // A stale feed's state begins with its last reading, in the past: what was thought of the time since then was wrong.
    std::erase_if(entries, [&](const Entry& e) { return e.from >= state.time; });
    const bool connected = is_connected(state.state);
    if (!entries.empty() && entries.back().connected == connected && entries.back().cause == state.cause) return;
    entries.push_back({state.time, connected, state.cause});
}

void FeedTimeline::interval(const Notes::Interval& interval) {
    if (interval.spacing <= Duration(0)) return;
    changed_ = true;
    spacing_ = interval.spacing;
    learned_ = interval.learned;
}

std::vector<FeedTimeline::Span> FeedTimeline::gaps(Timestamp from, Timestamp to) const {
    // Cut the stretch at every moment where something changes; between two of them everything is constant.
    std::vector<Timestamp> cuts{from, to};
    const auto cut = [&](Timestamp t) {
        if (t > from && t < to) cuts.push_back(t);
    };
    for (const auto& [feed, entries] : feeds_)
        for (const Entry& e : entries) cut(e.from);
    for (const Span& d : down_) cut(d.from), cut(d.to);
    if (started_) cut(*started_);
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());

    std::vector<Span> found;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
        const Timestamp a = cuts[i], b = cuts[i + 1];
        std::string cause;
        for (const Span& d : down_)
            if (a >= d.from && a < d.to) cause = d.cause;
        if (cause.empty() && started_ && a < *started_) cause = "connecting";
        if (cause.empty() && !feeds_.empty()) {
            bool connected = false;
            for (const auto& [feed, entries] : feeds_) {
                const Entry* current = nullptr;
                for (const Entry& e : entries)
                    if (e.from <= a) current = &e;
                if (!current || current->connected) connected = true;
                else if (cause.empty()) cause = gap_cause(current->cause);
            }
            if (connected) cause.clear();
        }
        if (cause.empty()) continue;
        if (!found.empty() && found.back().to == a && found.back().cause == cause) found.back().to = b;
        else found.push_back({a, b, cause});
    }
    return found;
}

Duration FeedTimeline::connected(Timestamp from, Timestamp to) const {
    Duration sum = to - from;
    for (const Span& gap : gaps(from, to)) sum -= gap.to - gap.from;
    return sum;
}

std::optional<std::string> FeedTimeline::cause(Timestamp from, Timestamp to) const {
    std::map<std::string, Duration> by_cause;
    for (const Span& gap : gaps(from, to)) by_cause[gap.cause] += gap.to - gap.from;
    for (const Step& step : clock_steps(from, to)) by_cause.try_emplace("clock_step", Duration(1)), (void)step;
    std::optional<std::string> most;
    Duration longest{0};
    for (const auto& [cause, sum] : by_cause)
        if (sum > longest) most = cause, longest = sum;
    return most;
}

FeedTimeline::Outage FeedTimeline::outage(Timestamp from, Timestamp to) const {
    Outage found;
    for (const Span& gap : gaps(from, to)) {
        if (gap.cause == "upstream_silent") continue;
        if (started_ && gap.from < *started_) continue;
        found.longest = std::max(found.longest, gap.to - gap.from);
    }
    for (const auto& [feed, entries] : feeds_)
        for (const Entry& e : entries)
            if (e.cause == "stopped" && e.from >= from && e.from < to) found.stopped = true;
    return found;
}

std::vector<FeedTimeline::Step> FeedTimeline::clock_steps(Timestamp from, Timestamp to) const {
    std::vector<Step> found;
    for (const Step& step : steps_)
        if (step.at >= from && step.at < to) found.push_back(step);
    return found;
}

void FeedTimeline::forget(Timestamp before) {
    for (auto& [feed, entries] : feeds_) {
        // The newest entry before the bound still says how things stood at it.
        while (entries.size() > 1 && entries[1].from <= before) entries.erase(entries.begin()), changed_ = true;
    }
    changed_ = std::erase_if(down_, [&](const Span& d) { return d.to <= before; }) + std::erase_if(steps_, [&](const Step& s) {
                   return s.at < before;
               }) > 0 || changed_;
}

std::string FeedTimeline::save() {
    changed_ = false;
    std::string out;
    JsonWriter json(out);
    json.object().name("feeds").array();
    for (const auto& [feed, entries] : feeds_)
        for (const Entry& e : entries) json.array().value(feed).value(e.from.micros()).value(e.connected).value(e.cause).end();
    json.end().name("down").array();
    for (const Span& d : down_) json.array().value(d.from.micros()).value(d.to.micros()).end();
    json.end().name("steps").array();
    for (const Step& s : steps_) json.array().value(s.at.micros()).value(s.detail).end();
    json.end();
    if (started_) json.member("started", started_->micros());
    if (spacing_) json.member("spacing", spacing_->count()).member("learned", learned_);
    json.end();
    return out;
}

bool FeedTimeline::load(std::string_view text) {
    *this = {};
    const auto parsed = Json::parse(text);
    if (!parsed.ok() || !parsed->is_object()) return false;
    const auto time = [](const Json& j) { return Timestamp::from_micros(j.as_integer().value_or(0)); };
    const auto rows = [&](std::string_view name, std::size_t columns) {
        std::vector<std::vector<Json>> found;
        if (const Json* list = parsed->find(name))
            for (const Json& row : list->items())
                if (row.items().size() == columns) found.push_back(row.items());
        return found;
    };
    for (const auto& row : rows("feeds", 4)) feeds_[row[0].as_string()].push_back({time(row[1]), row[2].as_boolean(), row[3].as_string()});
    for (const auto& row : rows("down", 2)) down_.push_back({time(row[0]), time(row[1]), "weir_down"});
    for (const auto& row : rows("steps", 2)) steps_.push_back({time(row[0]), row[1].as_string()});
    if (const Json* j = parsed->find("started")) started_ = time(*j);
    if (const Json* j = parsed->find("spacing")) spacing_ = Duration(j->as_integer().value_or(0));
    if (const Json* j = parsed->find("learned")) learned_ = j->as_boolean();
    return true;
}

}  // namespace weir
