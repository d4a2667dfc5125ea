#include "gateway/http/series.h"

#include <map>
#include <set>

#include "event/json_path.h"
#include "gateway/auth/permissions.h"

namespace weir {
namespace {

JsonPath path(const char* text) { return JsonPath(*JsonPointer::parse(text)); }

std::int64_t to_ms(Timestamp t) { return t.micros() / 1000; }

struct Point {
    std::optional<double> min, max;
    double sum = 0, count = 0, coverage = 0;
    std::uint32_t covered = 0;  ///< how many coverages are in `coverage`

    void add(double value) {
        min = min ? std::min(*min, value) : value;
        max = max ? std::max(*max, value) : value;
        sum += value;
        ++count;
    }
    void add(const Point& other) {
        if (other.min) min = min ? std::min(*min, *other.min) : *other.min;
        if (other.max) max = max ? std::max(*max, *other.max) : *other.max;
        sum += other.sum;
        count += other.count;
        coverage += other.coverage;
        covered += other.covered;
    }
};

struct Series {
    std::map<std::int64_t, Point> points;  ///< by start, microseconds
    std::set<std::tuple<std::int64_t, std::int64_t, std::string>> gaps;
};

constexpr std::size_t kGapsMax = 2000;

/// All events of a time range, page by page.
template <class Use>
Result<void> each(Log& log, std::string_view stream, Timestamp from, Timestamp to, const std::optional<std::string>& key, Seq head,
                  std::size_t events_max, const Use& use) {
    Log::TimeRange range{.from = from, .to = to, .key = key, .events_max = 20'000};
    for (std::size_t read = 0; read < events_max;) {
        WEIR_TRY(const auto found, log.find(stream, range));
        for (std::size_t i = 0; i < found.size(); ++i)
            if (found.positions[i].first <= head) use(found.positions[i].first, found.event(i));
        read += found.size();
        if (!found.more || found.size() == 0) return ok();
        range.after = found.positions.back().first;
    }
    return ok();
}

Point point_of(std::string_view document) {
    static const JsonPath count = path("/statistics/count"), min = path("/statistics/min"), max = path("/statistics/max"),
                          avg = path("/statistics/avg"), ratio = path("/coverage/ratio");
    Point point;
    const double n = count.number(document).value_or(0);
    if (n > 0) {
        point.min = min.number(document);
        point.max = max.number(document);
        point.count = n;
        point.sum = avg.number(document).value_or(0) * n;
    }
    if (const auto r = ratio.number(document)) {
        point.coverage = *r;
        point.covered = 1;
    }
    return point;
}

void add_gaps(Series& series, std::string_view document, Timestamp from, Timestamp to) {
    static const JsonPath gaps = path("/coverage/gaps");
    const auto text = gaps.find(document);
    if (!text || text->size() < 4 || series.gaps.size() >= kGapsMax) return;
    const auto list = Json::parse(*text);
    if (!list.ok()) return;
    for (const Json& gap : list->items()) {
        const auto begin = parse_rfc3339(gap.find_string("from").value_or("")), end = parse_rfc3339(gap.find_string("to").value_or(""));
        if (!begin || !end || *end <= from || *begin >= to) continue;
        series.gaps.emplace(to_ms(*begin), to_ms(*end), std::string(gap.find_string("cause").value_or("")));
    }
}

/// Gaps that touch at the border of two windows are one.
std::vector<std::tuple<std::int64_t, std::int64_t, std::string>> joined(const Series& series) {
    std::vector<std::tuple<std::int64_t, std::int64_t, std::string>> gaps;
    for (const auto& gap : series.gaps) {
        if (!gaps.empty() && std::get<0>(gap) <= std::get<1>(gaps.back()) && std::get<2>(gap) == std::get<2>(gaps.back()))
            std::get<1>(gaps.back()) = std::max(std::get<1>(gaps.back()), std::get<1>(gap));
        else
            gaps.push_back(gap);
    }
    return gaps;
}

void print(JsonWriter& json, const Series& series) {
    json.name("points").array();
    for (const auto& [start, point] : series.points) {
        json.array().value(start / 1000).value(point.min);
        if (point.count > 0) json.value(point.sum / point.count);
        else json.null();
        json.value(point.max);
        if (point.covered > 0) json.value(point.coverage / point.covered);
        else json.null();
        json.end();
    }
    json.end().name("gaps").array();
    for (const auto& [from, to, cause] : joined(series)) json.array().value(from).value(to).value(cause).end();
    json.end();
}

/// How many steps of this length a range touches.
std::size_t steps(const SeriesRequest& request, Duration step) {
    return static_cast<std::size_t>((request.to - Duration(1)).floor_to(step).micros() / step.count() - request.from.floor_to(step).micros() / step.count()) + 1;
}

/// The finest window that gives at most `points`; else the coarsest. Null if none is about this field.
const WindowInfo* choose(const std::vector<WindowInfo>& windows, const SeriesRequest& request) {
    const WindowInfo* best = nullptr;
    auto points = [&](const WindowInfo& w) { return steps(request, w.size); };
    for (const auto& window : windows) {
        if (window.stream != request.stream || window.kind != "tumbling" || window.size <= Duration(0)) continue;
        if (window.per_key != request.key.has_value() || window.field != request.field.text()) continue;
        const bool fits = points(window) <= request.points;
        if (!best || (fits ? points(*best) > request.points || window.size < best->size : points(*best) > request.points && window.size > best->size))
            best = &window;
    }
    return best;
}

}  // namespace

HttpAnswer answer_series(Log& log, const SeriesRequest& request, const std::vector<WindowInfo>& windows) {
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().member("stream", request.stream);
    if (request.key) json.member("key", *request.key);
    else json.name("key").null();
    json.member("field", request.field.text());
    // The head first: what is read after it can only hold more.
    const auto info = log.info(request.stream);
    const Seq head = info ? info->head : Seq{};
    json.name("epoch");
    if (info) json.value(to_text(info->epoch));
    else json.null();
    json.member("head_seq", head.value);

    Series series;
    const JsonPath field(request.field);
    Boundary boundary(request.boundary);
    auto failed = [](const Error& error) { return error_answer(GatewayError::log_unavailable, error.message); };
    if (info) {
        Log::TimeRange range{.from = request.from, .to = request.to, .key = request.key, .events_max = request.points + 1};
        const auto raw = log.find(request.stream, range);
        if (!raw.ok()) return failed(raw.error());
        const WindowInfo* window = request.boundary.matches_all() ? choose(windows, request) : nullptr;
        if (!raw->more && raw->size() <= request.points) {
            // Few enough: each reading is a point. Gaps come from the windows over them, where there are any.
            json.name("resolution_ms").null().member("source", "raw").name("points").array();
            for (std::size_t i = 0; i < raw->size(); ++i) {
                const EventView event = raw->event(i);
                const auto value = field.number(event.data);
                if (!value || raw->positions[i].first > head || !boundary.sees(request.stream, event)) continue;
                json.array().value(to_ms(event.time)).value(*value).value(*value).value(*value).null().end();
            }
            json.end();
            if (window) {
                const auto read = each(log, window->output, request.from - window->size, request.to, request.key, Seq{~std::uint64_t(0)}, 20'000,
                                       [&](Seq, const EventView& event) { add_gaps(series, event.data, request.from, request.to); });
                if (!read.ok()) return failed(read.error());
            }
            json.name("gaps").array();
            for (const auto& [from, to, cause] : joined(series)) json.array().value(from).value(to).value(cause).end();
            json.end().end();
            return answer;
        }
        const Duration unit = window ? window->size : Duration(1'000'000);
        Duration step = unit;
        if (steps(request, unit) > request.points) {
            const std::int64_t least = (request.to - request.from).count() / static_cast<std::int64_t>(request.points);
            step = unit * std::max<std::int64_t>(1, least / unit.count());
            while (steps(request, step) > request.points) step += unit;
        }
        Timestamp raw_from = request.from;
        if (window) {
            // Of each window the newest revision, which has the highest seq.
            std::map<std::int64_t, Point> newest;
            const auto read = each(log, window->output, request.from.floor_to(window->size), request.to, request.key, Seq{~std::uint64_t(0)}, SeriesRequest::raw_max,
                                   [&](Seq, const EventView& event) {
                                       newest[event.time.micros()] = point_of(event.data);
                                       add_gaps(series, event.data, request.from, request.to);
                                   });
            if (!read.ok()) return failed(read.error());
            for (const auto& [start, point] : newest) series.points[Timestamp::from_micros(start).floor_to(step).micros()].add(point);
            if (!newest.empty()) raw_from = Timestamp::from_micros(newest.rbegin()->first) + window->size;
        }
        if (raw_from < request.to) {
            const auto read = each(log, request.stream, raw_from, request.to, request.key, head, SeriesRequest::raw_max, [&](Seq, const EventView& event) {
                if (!boundary.sees(request.stream, event)) return;
                if (const auto value = field.number(event.data)) series.points[event.time.floor_to(step).micros()].add(*value);
            });
            if (!read.ok()) return failed(read.error());
        }
        json.member("resolution_ms", step.count() / 1000).member("source", window ? window->name : "raw");
    } else {
        json.name("resolution_ms").null().member("source", "raw");
    }
    print(json, series);
    json.end();
    return answer;
}

HttpAnswer answer_results(Log& log, const ResultsRequest& request) {
    // Backwards, so that the first revision seen of a window is its newest.
    struct Newest {
        Seq seq;
        std::string document;
    };
    std::map<std::pair<std::int64_t, std::string>, Newest> results;
    const auto info = log.info(request.window.output);
    Boundary boundary(request.boundary);
    auto take = [&](Seq seq, const EventView& event) {
        if (!boundary.sees(request.window.output, event)) return;
        if (request.key && event.key != *request.key) return;
        if ((request.from && event.time < *request.from) || (request.to && event.time >= *request.to)) return;
        auto& slot = results[{-event.time.micros(), std::string(event.key)}];
        if (slot.seq >= seq) return;
        slot.seq = seq;
        slot.document = event.data;
    };
    if (info && request.from) {
        const auto read = each(log, request.window.output, *request.from, request.to.value_or(Timestamp::max()), request.key, info->head, 200'000, take);
        if (!read.ok()) return error_answer(GatewayError::log_unavailable, read.error().message);
    } else if (info) {
        Seq before = info->head + 1;
        for (std::size_t searched = 0; before > info->first && results.size() < request.limit && searched < 200'000;) {
            const auto batches = log.read_before(request.window.output, before, 500);
            if (!batches.ok()) return error_answer(GatewayError::log_unavailable, batches.error().message);
            if (batches->empty() || batches->front()->first_seq >= before) break;
            for (const auto& batch : *batches)
                for (std::size_t i = 0; i < batch->events.size(); ++i, ++searched)
                    if (batch->seq_of(i) < before) take(batch->seq_of(i), batch->events[i]);
            before = batches->front()->first_seq;
        }
    }
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().member("window", request.window.name).name("results").array();
    std::size_t n = 0;
    for (const auto& [place, result] : results)
        if (n++ < request.limit) json.raw(result.document);
    json.end().end();
    return answer;
}

}  // namespace weir
