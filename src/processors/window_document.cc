#include "processors/window_document.h"

#include <algorithm>

#include "event/json_member.h"

namespace weir {
namespace {

std::optional<std::uint64_t> count_at(const Json& document, std::string_view member) {
    const auto count = member_of(document, "coverage", member).as_integer();
    return count && *count >= 0 ? std::optional(static_cast<std::uint64_t>(*count)) : std::nullopt;
}

std::vector<WindowGap> gaps_of(const Json& document) {
    std::vector<WindowGap> gaps;
    for (const Json& gap : member_of(document, "coverage", "gaps").items()) {
        const auto text = [&](std::string_view member) { return std::string(gap.find_string(member).value_or("")); };
        const auto from = parse_rfc3339(text("from")), to = parse_rfc3339(text("to"));
        if (from && to) gaps.push_back({*from, *to, text("cause")});
    }
    return gaps;
}

/// Where both have a gap, if an expected reading can be missing there.
std::vector<WindowGap> common_gaps(const std::vector<WindowGap>& first, const std::vector<WindowGap>& second, std::optional<Duration> interval) {
    std::vector<WindowGap> gaps;
    for (const WindowGap& a : first)
        for (const WindowGap& b : second) {
            const Timestamp from = std::max(a.from, b.from), to = std::min(a.to, b.to);
            const bool step = a.from == a.to && a == b;
            if (step || (from < to && (!interval || to - from >= *interval))) gaps.push_back({from, to, a.cause});
        }
    std::sort(gaps.begin(), gaps.end(), [](const WindowGap& a, const WindowGap& b) { return std::tie(a.from, a.to) < std::tie(b.from, b.to); });
    return gaps;
}

}  // namespace

std::string window_body(const WindowFacts& f) {
    const auto& s = f.statistics;
    std::string body;
    JsonWriter json(body);
    json.object().name("statistics").object();
    json.member("count", s.count).member("min", s.min).member("max", s.max).member("avg", s.avg).member("median", s.median);
    json.member("first", s.first).member("last", s.last).member("stddev", s.stddev).member("p95", s.p95);
    json.member("distinct_changes", s.distinct_changes).name("trend");
    if (s.trend)
        json.object().member("slope_per_minute", s.trend->slope_per_minute).member("direction", analytics::to_text(s.trend->direction)).end();
    else
        json.null();
    json.member("exact", s.exact);
    if (!s.exact) json.member("rank_error", s.rank_error);
    json.end();

    std::uint64_t rejected = 0;
    for (const auto& [why, count] : f.rejected) rejected += count;
    json.name("coverage").object();
    json.member("expected", f.expected).member("received", s.count).member("missing", f.missing).member("rejected", rejected);
    json.name("rejected_reasons").object();
    for (const auto& [why, count] : f.rejected) json.member(why, count);
    json.end();
    json.member("late", f.late).member("duplicates", f.duplicates).name("ratio");
    if (f.expected && *f.expected > 0) json.value(std::min(1.0, static_cast<double>(s.count) / static_cast<double>(*f.expected)));
    else json.null();
    json.member("complete", f.complete);
    json.member("connected_seconds", static_cast<double>(f.connected.count() / 1000) / 1000.0);
    json.name("sources").object();
    for (const auto& [source, count] : f.sources) json.member(source, count);
    json.end();
    json.name("interval_ms");
    if (f.interval) json.value(static_cast<double>(f.interval->count()) / 1000.0);
    else json.null();
    json.member("interval_learned", f.interval_learned);
    json.name("gaps").array();
    for (const WindowGap& gap : f.gaps) json.object().member("from", gap.from).member("to", gap.to).member("cause", gap.cause).end();
    json.end();
    json.member("reason", f.reason).end();
    if (f.seqs) json.member("first_seq", f.seqs->first.value).member("last_seq", f.seqs->second.value);
    else json.name("first_seq").null().name("last_seq").null();
    json.end();
    return body;
}

Result<std::string> join_windows(const Json& one, const Json& other, std::span<const WindowReading> readings, std::uint64_t revision,
                                 analytics::MedianKind median, std::uint32_t exact_max) {
    for (const char* member : {"name", "kind", "start", "end", "duration_seconds"})
        if (member_of(one, "window", member).is_null() || !(member_of(one, "window", member) == member_of(other, "window", member)))
            return Error{"bad_window", std::string("two documents that are not of the same window: window.") + member};
    for (const char* member : {"stream", "key", "field"}) {
        const Json *a = one.find(member), *b = other.find(member);
        if (!a || !b || !(*a == *b)) return Error{"bad_window", std::string("two documents that are not of the same window: ") + member};
    }
    // What cannot be put together is taken from the one that heard more.
    const auto rank = [](const Json& document) { return std::pair(count_at(document, "received").value_or(0), document.text()); };
    const bool in_order = rank(one) >= rank(other);
    const Json &more = in_order ? one : other, &less = in_order ? other : one;

    WindowFacts f;
    analytics::WindowStatistics statistics(exact_max);
    for (const WindowReading& reading : readings) {
        statistics.add(reading.time, reading.value);
        ++f.sources[reading.source];
    }
    f.statistics = statistics.summary(median);
    for (const Json* document : {&more, &less}) {
        f.late = std::max(f.late, count_at(*document, "late").value_or(0));
        f.duplicates = std::max(f.duplicates, count_at(*document, "duplicates").value_or(0));
        f.connected = std::max(f.connected, Duration(static_cast<std::int64_t>(member_of(*document, "coverage", "connected_seconds").as_double() * 1e6)));
        for (const auto& [why, count] : member_of(*document, "coverage", "rejected_reasons").members())
            f.rejected[why] = std::max(f.rejected[why], static_cast<std::uint32_t>(count.as_integer().value_or(0)));
        if (const auto expected = count_at(*document, "expected"); expected && !f.expected) {
            f.expected = expected;
            f.interval = Duration(static_cast<std::int64_t>(member_of(*document, "coverage", "interval_ms").as_double() * 1e3));
            f.interval_learned = member_of(*document, "coverage", "interval_learned").as_boolean();
        }
    }
    std::uint64_t rejected = 0;
    for (const auto& [why, count] : f.rejected) rejected += count;
    const std::uint64_t known = f.statistics.count + rejected + f.late;
    if (f.expected) f.missing = *f.expected > known ? *f.expected - known : 0;
    f.gaps = common_gaps(gaps_of(more), gaps_of(less), f.interval);
    const bool cut = !member_of(more, "window", "cut").is_null() && !member_of(less, "window", "cut").is_null();
    f.complete = f.missing == std::uint64_t{0} && rejected == 0 && f.late == 0 && !cut;
    if (f.statistics.count == 0 && member_of(more, "coverage", "reason").is_string()) f.reason = member_of(more, "coverage", "reason").as_string();

    std::string out;
    JsonWriter json(out);
    json.object().name("window").object();
    for (const auto& [name, value] : more.find("window")->members()) {
        json.name(name);
        if (name == "cut" && !cut) json.null();
        // Texts of one form: the later one is the greater.
        else if (name == "closed_at" && member_of(less, "window", name).text() > value.text()) json.raw(member_of(less, "window", name).text());
        else json.raw(value.text());
    }
    json.end();
    for (const char* member : {"stream", "key", "field"}) json.name(member).raw(more.find(member)->text());
    json.member("revision", revision);
    out += ',';
    out.append(window_body(f), 1);
    return out;
}

}  // namespace weir
