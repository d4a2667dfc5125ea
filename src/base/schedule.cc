#include "base/schedule.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <span>
#include <vector>

#include "base/assert.h"

namespace weir {
namespace {

constexpr std::int64_t micros_per_second = 1'000'000;
constexpr std::int64_t seconds_per_day = 86'400;

constexpr std::string_view month_names[] = {"january", "february", "march",     "april",   "may",      "june",
                                            "july",    "august",   "september", "october", "november", "december"};
constexpr std::string_view day_names[] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

struct Field {
    std::string_view name;
    int first, last;
    std::span<const std::string_view> names;  ///< the n-th stands for first + n
    std::string_view allowed;
};
constexpr Field fields[] = {
    {"second", 0, 59, {}, "0 to 59"},
    {"minute", 0, 59, {}, "0 to 59"},
    {"hour", 0, 23, {}, "0 to 23"},
    {"day", 1, 31, {}, "1 to 31"},
    {"month", 1, 12, month_names, "1 to 12 or JAN to DEC"},
    {"day-of-week", 0, 6, day_names, "0 (Sunday) to 6 or SUN to SAT"},
};

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::optional<int> read_number(std::string_view text) {
    if (text.empty() || text.size() > 4) return std::nullopt;
    int value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        value = value * 10 + (c - '0');
    }
    return value;
}

std::optional<int> read_value(const Field& field, std::string_view text) {
    if (const auto number = read_number(text)) {
        if (*number < field.first || *number > field.last) return std::nullopt;
        return number;
    }
    const std::string word = lower(text);
    for (std::size_t i = 0; i < field.names.size(); ++i)
        if (word == field.names[i] || word == field.names[i].substr(0, 3)) return field.first + static_cast<int>(i);
    return std::nullopt;
}

// Cuts `text` at the first `mark`; what follows, if there is one.
std::optional<std::string_view> cut(std::string_view& text, char mark) {
    const std::size_t at = text.find(mark);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(at + 1);
    text = text.substr(0, at);
    return rest;
}

Error field_error(const Field& field, std::string_view found, std::string_view why) {
    return {"bad_schedule", std::string(field.name) + " is \"" + std::string(found.substr(0, 100)) + "\"; " + std::string(why)};
}

std::string allowed(const Field& field) {
    return "allowed: " + std::string(field.allowed) + ", *, ranges (a-b), steps (*/n, a-b/n) and lists of these (a,b)";
}

Result<std::uint64_t> parse_field(const Field& field, std::string_view text) {
    std::uint64_t bits = 0;
    for (std::optional<std::string_view> rest = text; rest;) {
        std::string_view item = *rest;
        rest = cut(item, ',');
        std::string_view range = item;
        const auto step_text = cut(range, '/');
        int first = field.first, last = field.last, step = 1;
        if (range != "*") {
            std::string_view low = range;
            const auto high = cut(low, '-');
            const auto from = read_value(field, low);
            const auto to = high ? read_value(field, *high) : from;
            if (!from || !to) return field_error(field, text, allowed(field));
            if (*from > *to) return field_error(field, text, "the range runs backwards; write it as two, joined by a comma");
            first = *from;
            if (high || !step_text) last = *to;
        }
        if (step_text) {
            const auto number = read_number(*step_text);
            if (!number || *number < 1 || *number > field.last)
                return field_error(field, text, "allowed as a step: 1 to " + std::to_string(field.last));
            step = *number;
        }
        for (int value = first; value <= last; value += step) bits |= std::uint64_t{1} << value;
    }
    return bits;
}

std::vector<std::string_view> split_blanks(std::string_view text) {
    std::vector<std::string_view> words;
    while (true) {
        const std::size_t begin = text.find_first_not_of(" \t");
        if (begin == std::string_view::npos) return words;
        text.remove_prefix(begin);
        const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
        words.push_back(text.substr(0, end));
        text.remove_prefix(end);
    }
}

/// The lowest bit at `from` or above; -1 if there is none.
template <class Bits>
int next_bit(Bits bits, int from) {
    const std::uint64_t rest = from > 63 ? 0 : (static_cast<std::uint64_t>(bits) >> from) << from;
    return rest == 0 ? -1 : std::countr_zero(rest);
}

constexpr std::uint32_t every_hour = (1u << 24) - 1;

}  // namespace

Result<Schedule> Schedule::parse(std::string_view text, Zone zone) {
    const auto words = split_blanks(text);
    const auto failed = [&](std::string why) {
        return Error{"bad_schedule", "schedule \"" + std::string(text.substr(0, 100)) + "\": " + std::move(why)};
    };
    if (words.size() == 1) {
        const auto interval = parse_duration(words[0]);
        if (interval && interval->count() > 0) {
            Schedule schedule = every(*interval);
            schedule.text_ = std::string(words[0]);
            schedule.zone_ = zone;
            return schedule;
        }
    }
    if (words.size() != 6) {
        return failed(std::to_string(words.size()) + (words.size() == 1 ? " field" : " fields") +
                      "; allowed: six, {second} {minute} {hour} {day} {month} {day-of-week}, or an interval such as 5min" +
                      (words.size() == 5 ? " (a Unix cron line becomes one with a 0 in front)" : ""));
    }
    std::uint64_t bits[6];
    for (int i = 0; i < 6; ++i) {
        auto parsed = parse_field(fields[i], words[i]);
        if (!parsed) return failed(parsed.error().message);
        bits[i] = *parsed;
    }
    Schedule schedule;
    schedule.text_ = std::string(text);
    schedule.zone_ = zone;
    schedule.seconds_ = bits[0];
    schedule.minutes_ = bits[1];
    schedule.hours_ = static_cast<std::uint32_t>(bits[2]);
    schedule.days_ = static_cast<std::uint32_t>(bits[3]);
    schedule.months_ = static_cast<std::uint16_t>(bits[4]);
    schedule.weekdays_ = static_cast<std::uint8_t>(bits[5]);
    // Within 400 years each day of the year, 29 February too, falls on each weekday: only the day of the month can be impossible.
    const int first_day = next_bit(schedule.days_, 1);
    constexpr int days_at_most[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool possible = false;
    for (int month = 1; month <= 12; ++month)
        possible |= (schedule.months_ >> month & 1) != 0 && first_day <= days_at_most[month - 1];
    if (!possible)
        return failed("never fires: day is \"" + std::string(words[3]) + "\" and month is \"" + std::string(words[4]) +
                      "\"; allowed: a day that one of the months has");
    return schedule;
}

Schedule Schedule::every(Duration interval) {
    WEIR_ASSERT(interval.count() > 0);
    Schedule schedule;
    schedule.interval_ = interval;
    schedule.text_ = to_text(interval);
    return schedule;
}

bool Schedule::matches_day(const CivilTime& day) const {
    return (months_ >> day.month & 1) && (days_ >> day.day & 1) && (weekdays_ >> day.weekday & 1);
}

// The first second at `local_second` or after it whose date and time of day match, on a clock without changes. Beyond the year 9999:
// a second after Timestamp::max().
std::int64_t Schedule::next_match(std::int64_t local_second) const {
    constexpr std::int64_t end = Timestamp::max().micros() / micros_per_second + 1;
    CivilTime c = to_civil(Timestamp::from_seconds(local_second));
    const std::int64_t second_of_day = c.hour * 3600 + c.minute * 60 + c.second;
    std::int64_t day_start = local_second - second_of_day;
    if (matches_day(c)) {
        for (int hour = next_bit(hours_, c.hour); hour >= 0; hour = next_bit(hours_, hour + 1)) {
            const bool same_hour = hour == c.hour;
            for (int minute = next_bit(minutes_, same_hour ? c.minute : 0); minute >= 0; minute = next_bit(minutes_, minute + 1)) {
                const bool same_minute = same_hour && minute == c.minute;
                const int second = next_bit(seconds_, same_minute ? c.second : 0);
                if (second >= 0) return day_start + hour * 3600 + minute * 60 + second;
            }
        }
    }
    do {
        // From a month that does not match straight to the next one; else day by day.
        day_start += seconds_per_day;
        c = to_civil(Timestamp::from_seconds(day_start));
        while (day_start < end && !(months_ >> c.month & 1)) {
            day_start = from_civil(c.year + c.month / 12, c.month % 12 + 1, 1).micros() / micros_per_second;
            c = to_civil(Timestamp::from_seconds(day_start));
        }
        if (day_start >= end) return end;
    } while (!matches_day(c));
    return day_start + next_bit(hours_, 0) * 3600 + next_bit(minutes_, 0) * 60 + next_bit(seconds_, 0);
}

Timestamp Schedule::next(Timestamp after) const {
    if (interval_.count() > 0)
        return interval_ > Timestamp::max() - Timestamp() ? Timestamp::max() : std::min(after.floor_to(interval_) + interval_, Timestamp::max());
    constexpr std::int64_t end = Timestamp::max().micros() / micros_per_second;
    const auto local_second = [&](Timestamp t) {
        return (t + zone_.offset(t)).floor_to(1s).micros() / micros_per_second;
    };
    if (hours_ == every_hour) {
        // What clocks show decides, one stretch of constant offset after the other.
        for (Timestamp from = after.floor_to(1s) + 1s; from < Timestamp::max();) {
            const Timestamp change = zone_.next_change(from);
            const std::int64_t match = next_match(local_second(from));
            if (match > end) return Timestamp::max();
            const Timestamp t = Timestamp::from_seconds(match) - zone_.offset(from);
            if (t < change) return t;
            from = change;
        }
        return Timestamp::max();
    }
    // `from_local` never decreases with the local time, and what clocks show at `after` was shown first at or before it: the answer
    // is the first match beyond that comes after `after`. Only in an hour that is shown again do matches lie behind.
    for (std::int64_t match = next_match(local_second(after) + 1); match <= end; match = next_match(match + 1)) {
        const CivilTime c = to_civil(Timestamp::from_seconds(match));
        const Timestamp t = zone_.from_local(c.year, c.month, c.day, c.hour, c.minute, c.second);
        if (t > after) return t;
    }
    return Timestamp::max();
}

Duration Schedule::shortest_spacing() const {
    if (interval_.count() > 0) return interval_;
    std::int64_t first = -1, last = -1, least = std::numeric_limits<std::int64_t>::max();
    for (int hour = next_bit(hours_, 0); hour >= 0; hour = next_bit(hours_, hour + 1))
        for (int minute = next_bit(minutes_, 0); minute >= 0; minute = next_bit(minutes_, minute + 1))
            for (int second = next_bit(seconds_, 0); second >= 0; second = next_bit(seconds_, second + 1)) {
                const std::int64_t t = hour * 3600 + minute * 60 + second;
                if (first < 0)
                    first = t;
                else
                    least = std::min(least, t - last);
                last = t;
            }
    // From the last time of a day to the first of the next that fires. The calendar repeats after 400 years (146,097 days, whole weeks).
    std::int64_t previous = -1, days = std::numeric_limits<std::int64_t>::max();
    const Timestamp start = from_civil(2000, 1, 1);
    for (std::int64_t day = 0; day < 2 * 146'097 && days > 1; ++day) {
        if (!matches_day(to_civil(start + Duration(day * seconds_per_day * micros_per_second)))) continue;
        if (previous >= 0) days = std::min(days, day - previous);
        previous = day;
    }
    return std::chrono::seconds(std::min(least, days * seconds_per_day + first - last));
}

}  // namespace weir
