#include "gateway/http/event_pages.h"

#include <charconv>

#include "event/event_json.h"
#include "event/json.h"
#include "gateway/auth/permissions.h"

namespace weir {
namespace {

std::optional<std::uint64_t> read_number(const std::string& text) {
    std::uint64_t n;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return n;
}

struct Found {
    std::vector<std::pair<Seq, std::pair<BatchPtr, std::size_t>>> events;  ///< in seq order
    std::optional<Seq> next;  ///< there may be more behind (before) this one
};

/// What is asked for, and may be seen.
class Wanted {
public:
    explicit Wanted(const EventPage& page) : page_(page), boundary_(page.boundary), searches(page.key || !page.boundary.matches_all()) {}
    bool operator()(const EventView& event) { return wanted(page_, event) && boundary_.sees(page_.stream, event); }

private:
    static bool wanted(const EventPage& page, const EventView& event);
    const EventPage& page_;
    Boundary boundary_;

public:
    const bool searches;  ///< most of what is read may not be wanted
};

bool Wanted::wanted(const EventPage& page, const EventView& event) {
    return (!page.key || event.key == *page.key) && (!page.from || event.time >= *page.from) && (!page.to || event.time < *page.to);
}

Result<Found> read_forwards(Log& log, const EventPage& page, Seq head) {
    Found found;
    Wanted wanted(page);
    Seq at = *page.after + 1;
    for (std::size_t searched = 0; found.events.size() < page.limit && at <= head;) {
        if (searched >= EventPage::searched_max) {
            found.next = Seq{at.value - 1};
            return found;
        }
        WEIR_TRY(auto batches, log.read(page.stream, at, std::min<std::size_t>(2000, wanted.searches ? 2000 : page.limit - found.events.size())));
        if (batches.empty()) break;
        for (const auto& batch : batches) {
            for (std::size_t i = 0; i < batch->events.size() && found.events.size() < page.limit; ++i) {
                if (batch->seq_of(i) < at) continue;
                ++searched;
                at = batch->seq_of(i) + 1;
                if (wanted(batch->events[i])) found.events.push_back({batch->seq_of(i), {batch, i}});
            }
        }
    }
    if (at <= head) found.next = Seq{at.value - 1};
    return found;
}

Result<Found> read_backwards(Log& log, const EventPage& page, Seq first, Seq before) {
    Found found;
    Wanted wanted(page);
    for (std::size_t searched = 0; found.events.size() < page.limit && before > first && searched < EventPage::searched_max;) {
        WEIR_TRY(auto batches, log.read_before(page.stream, before, wanted.searches ? 2000 : page.limit - found.events.size()));
        if (batches.empty()) break;
        const Seq end = before;
        for (std::size_t b = batches.size(); b-- > 0;) {
            for (std::size_t i = batches[b]->events.size(); i-- > 0 && found.events.size() < page.limit;) {
                const Seq seq = batches[b]->seq_of(i);
                if (seq >= end) continue;
                ++searched;
                before = seq;
                if (wanted(batches[b]->events[i])) found.events.push_back({seq, {batches[b], i}});
            }
        }
        if (before >= end) break;
    }
    std::reverse(found.events.begin(), found.events.end());
    if (before > first) found.next = before;
    return found;
}

Result<Found> read_range(Log& log, const EventPage& page) {
    Log::TimeRange range{.from = page.from.value_or(Timestamp::min()),
                         .to = page.to.value_or(Timestamp::max()),
                         .key = page.key,
                         .events_max = page.limit,
                         .after = page.after.value_or(Seq{})};
    WEIR_TRY(auto answer, log.find(page.stream, range));
    Found found;
    Boundary boundary(page.boundary);
    for (std::size_t i = 0; i < answer.size(); ++i)
        if (boundary.sees(page.stream, answer.event(i))) found.events.push_back({answer.positions[i].first, {answer.batches[i], answer.positions[i].second}});
    if (answer.more && answer.size() > 0) found.next = answer.positions.back().first;
    return found;
}

Result<Found> read_page(Log& log, const EventPage& page, const StreamInfo& info) {
    if (page.from || page.to) return read_range(log, page);
    if (page.after) {
        EventPage from_first = page;
        from_first.after = std::max(*page.after, Seq{info.first.value - 1});
        return read_forwards(log, from_first, info.head);
    }
    return read_backwards(log, page, info.first, std::min(page.before.value_or(info.head + 1), info.head + 1));
}

}  // namespace

Result<EventPage> read_event_page(const net::HttpRequest& request, StreamName stream) {
    EventPage page;
    page.stream = std::move(stream);
    for (const auto& [name, seq] : {std::pair("after", &page.after), std::pair("before", &page.before)}) {
        const auto text = request.query_parameter(name);
        if (!text) continue;
        const auto n = read_number(*text);
        // There is a number behind each seq.
        if (!n || *n >> 63) return Error{"bad_request", std::string("`") + name + "` is a seq: a whole number below 2^63"};
        *seq = Seq{*n};
    }
    for (const auto& [name, time] : {std::pair("from", &page.from), std::pair("to", &page.to)}) {
        const auto text = request.query_parameter(name);
        if (!text) continue;
        *time = parse_rfc3339(*text, Offset::optional);
        if (!*time) return Error{"bad_request", std::string("`") + name + "` is a time such as 2026-02-17T10:00:00Z"};
    }
    if (page.after && page.before) return Error{"bad_request", "`after` and `before` exclude each other"};
    if (page.before && (page.from || page.to)) return Error{"bad_request", "`before` and a time exclude each other"};
    page.key = request.query_parameter("key");
    if (const auto format = request.query_parameter("format")) {
        if (*format != "ndjson" && *format != "json") return Error{"bad_request", "`format` is json or ndjson"};
        page.ndjson = *format == "ndjson";
    }
    if (const auto text = request.query_parameter("limit")) {
        const auto n = read_number(*text);
        if (!n || *n == 0 || (!page.ndjson && *n > EventPage::limit_max))
            return Error{"bad_request", "`limit` is a whole number from 1 to 10000 (more only with format=ndjson)"};
        page.limit = *n;
    }
    return page;
}

HttpAnswer answer_events(Log& log, const EventPage& page) {
    const auto info = log.info(page.stream);
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().member("stream", page.stream);
    if (!info) {  // configured, and empty
        json.name("epoch").null().name("events").array().end().name("next").null().name("gap").null().end();
        return answer;
    }
    const auto found = read_page(log, page, *info);
    if (!found.ok()) return error_answer(GatewayError::log_unavailable, found.error().message);
    json.member("epoch", to_text(info->epoch)).name("events").array();
    for (const auto& [seq, place] : found->events) {
        std::string event;
        append_event_json(event, seq, place.first->events[place.second]);
        json.raw(event);
    }
    json.end();
    if (found->next) json.member("next", found->next->value);
    else json.name("next").null();
    if (page.after && !page.from && !page.to && *page.after + 1 < info->first)
        json.name("gap").object().member("from_seq", page.after->value + 1).member("to_seq", info->first.value - 1).end();
    else
        json.name("gap").null();
    json.end();
    return answer;
}

Result<NdjsonPiece> next_ndjson(Log& log, EventPage& page, std::size_t bytes_max) {
    NdjsonPiece piece;
    const auto info = log.info(page.stream);
    if (!info || page.limit == 0) {
        piece.done = true;
        return piece;
    }
    if (!page.after && !page.from && !page.to) {
        // The newest `limit`, oldest first: found backwards once, then read forwards.
        EventPage newest = page;
        newest.limit = std::min(page.limit, EventPage::limit_max);
        if (page.key || page.before || !page.boundary.matches_all()) {
            WEIR_TRY(auto found, read_page(log, newest, *info));
            page.after = found.events.empty() ? info->head : Seq{found.events.front().first.value - 1};
            page.limit = found.events.size();
        } else {
            const std::uint64_t from_first = info->head.value + 1 - info->first.value;
            page.limit = std::min<std::size_t>(page.limit, from_first);
            page.after = Seq{info->head.value - page.limit};
        }
    }
    while (piece.lines.size() < bytes_max) {
        EventPage next = page;
        next.limit = std::min<std::size_t>(page.limit, 1000);
        WEIR_TRY(auto found, read_page(log, next, *info));
        for (const auto& [seq, place] : found.events) {
            append_event_json(piece.lines, seq, place.first->events[place.second]);
            piece.lines += '\n';
        }
        page.limit -= found.events.size();
        if (!found.next || page.limit == 0) {
            piece.done = true;
            return piece;
        }
        page.after = found.next;
    }
    return piece;
}

}  // namespace weir
