#include "processors/alert_signal.h"

#include <algorithm>
#include <cmath>

#include "base/time.h"

namespace weir {
namespace {

constexpr Duration ahead_max = 5s;

/// A number, or a truth as 1 and 0.
std::optional<double> number_in(const AlertRule& rule, std::string_view data) {
    for (const JsonPath& path : rule.values) {
        const auto found = path.find(data);
        if (!found) continue;
        if (*found == "true") return 1;
        if (*found == "false") return 0;
        return parse_json_number(*found);
    }
    return std::nullopt;
}

std::size_t severity_of(std::string_view text) {
    constexpr std::string_view words[] = {"INFO", "WARNING", "CRITICAL", "FATAL"};
    return static_cast<std::size_t>(std::find(std::begin(words), std::end(words), text) - std::begin(words));
}

}  // namespace

bool AlertSignal::take(const AlertRule& rule, const EventView& event, Timestamp now) {
    switch (rule.options.kind) {
        case AlertKind::threshold:
        case AlertKind::rate: {
            if (event.time > now + ahead_max || (last_time_ && event.time < *last_time_)) return false;
            auto number = number_in(rule, event.data);
            if (!number) return false;
            if (rule.options.kind == AlertKind::rate) number = rate(rule, event.time, *number);
            if (number) {
                value_ = number;
                holds_ = judge(rule, *number);
            }
            break;
        }
        case AlertKind::silence: holds_ = false; break;
        case AlertKind::violation:
            if (!take_violation(rule, event)) return false;
            break;
    }
    last_time_ = last_time_ ? std::max(*last_time_, event.time) : event.time;
    last_clock_ = now;
    changed = true;
    return true;
}

std::optional<Timestamp> AlertSignal::silent_at(const AlertRule& rule) const {
    return rule.options.kind == AlertKind::silence && !holds_ ? std::optional(last_clock_ + rule.options.holds) : std::nullopt;
}

bool AlertSignal::judge(const AlertRule& rule, double number) const {
    const double level = *rule.options.level;
    switch (rule.options.condition) {
        case AlertCondition::above: return holds_ ? number > rule.clear() : number > level;
        case AlertCondition::below: return holds_ ? number < rule.clear() : number < level;
        case AlertCondition::equals: return number == level;
        case AlertCondition::not_equals: return number != level;
    }
    return false;
}

std::optional<double> AlertSignal::rate(const AlertRule& rule, Timestamp time, double number) {
    const Duration over = rule.options.over;
    while (!recent_.empty() && time - recent_.front().first > over) recent_.pop_front();
    // Of readings that come faster than the place for them, some are left out.
    if (recent_.empty() || time - recent_.back().first >= over / static_cast<std::int64_t>(recent_max)) recent_.emplace_back(time, number);
    const Duration span = time - recent_.front().first;
    if (span < over / 2 || span <= Duration(0)) return std::nullopt;
    return (number - recent_.front().second) / static_cast<double>(span.count()) * static_cast<double>(rule.options.per.count());
}

bool AlertSignal::take_violation(const AlertRule& rule, const EventView& event) {
    static const JsonPath id_path = *JsonPath::parse("/violation_id"), severity_path = *JsonPath::parse("/severity");
    const auto id = id_path.number(event.data);
    if (!id || *id < 1 || *id >= 0x1p53) return false;
    const auto violation = static_cast<std::uint64_t>(*id);
    if (event.type == "violation") {
        const std::size_t severity = severity_of(severity_path.string(event.data).value_or(""));
        if (severity < static_cast<std::size_t>(rule.options.from_severity) || open_.size() >= open_violations_max) return false;
        open_.insert(violation);
    } else if (event.type == "violation_withdrawn" || event.type == "ack_update") {
        if (open_.erase(violation) == 0) return false;
    } else {
        return false;
    }
    value_ = static_cast<double>(open_.size());
    holds_ = !open_.empty();
    return true;
}

// State: holds, value, last time, last clock, recent readings, open violations.

std::string AlertSignal::save() const {
    std::string out;
    const auto put_maybe = [&](const auto& maybe, auto raw) {
        analytics::put_raw(out, static_cast<std::uint8_t>(maybe.has_value()));
        if (maybe) analytics::put_raw(out, raw(*maybe));
    };
    analytics::put_raw(out, static_cast<std::uint8_t>(holds_));
    put_maybe(value_, [](double v) { return v; });
    put_maybe(last_time_, [](Timestamp t) { return t.micros(); });
    analytics::put_raw(out, last_clock_.micros());
    analytics::put_raw(out, static_cast<std::uint32_t>(recent_.size()));
    for (const auto& [time, number] : recent_) analytics::put_raw(out, time.micros()), analytics::put_raw(out, number);
    analytics::put_raw(out, static_cast<std::uint32_t>(open_.size()));
    for (const std::uint64_t id : open_) analytics::put_raw(out, id);
    return out;
}

std::optional<AlertSignal> AlertSignal::restore(std::string_view bytes) {
    Taker in{bytes};
    AlertSignal signal{Timestamp()};
    signal.holds_ = in.number<std::uint8_t>() != 0;
    if (in.number<std::uint8_t>() != 0) signal.value_ = in.number<double>();
    signal.last_time_ = in.maybe_time();
    signal.last_clock_ = in.time();
    for (auto n = in.number<std::uint32_t>(); n > 0 && in.good; --n) {
        const Timestamp time = in.time();
        signal.recent_.emplace_back(time, in.number<double>());
    }
    for (auto n = in.number<std::uint32_t>(); n > 0 && in.good; --n) signal.open_.insert(in.number<std::uint64_t>());
    signal.changed = false;
    return in.good ? std::optional(std::move(signal)) : std::nullopt;
}

}  // namespace weir
