#include "base/time.h"

#include <cstdlib>

#include "base/assert.h"

namespace weir {
namespace {

constexpr std::int64_t micros_per_second = 1'000'000;
constexpr std::int64_t seconds_per_day = 86'400;

// Days from 1970-01-01 of a proleptic Gregorian date, and back.
// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
constexpr std::int64_t days_from_civil(std::int64_t y, unsigned m, unsigned d) {
    y -= m <= 2;
    const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
    const auto yoe = static_cast<unsigned>(y - era * 400);
    const unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146'097 + static_cast<std::int64_t>(doe) - 719'468;
}

struct Date {
    std::int64_t year;
    unsigned month, day;
};

constexpr Date civil_from_days(std::int64_t z) {
    z += 719'468;
    const std::int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
    const auto doe = static_cast<unsigned>(z - era * 146'097);
    const unsigned yoe = (doe - doe / 1460 + doe / 36'524 - doe / 146'096) / 365;
    const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const unsigned mp = (5 * doy + 2) / 153;
    const unsigned month = mp < 10 ? mp + 3 : mp - 9;
    return {static_cast<std::int64_t>(yoe) + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1};
}

constexpr int days_in_month(int year, int month) {
    constexpr int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

void append_digits(std::string& out, int value, int width) {
    char digits[8];
    for (int i = width - 1; i >= 0; --i, value /= 10) digits[i] = static_cast<char>('0' + value % 10);
    out.append(digits, static_cast<std::size_t>(width));
}

void append_to_second(std::string& out, const CivilTime& c) {
    append_digits(out, c.year, 4);
    out += '-';
    append_digits(out, c.month, 2);
    out += '-';
    append_digits(out, c.day, 2);
    out += 'T';
    append_digits(out, c.hour, 2);
    out += ':';
    append_digits(out, c.minute, 2);
    out += ':';
    append_digits(out, c.second, 2);
}

// Reads fixed-width decimal fields and single characters off the front of a text.
struct Scanner {
    std::string_view rest;

    bool number(int width, int& value) {
        if (rest.size() < static_cast<std::size_t>(width)) return false;
        value = 0;
        for (int i = 0; i < width; ++i) {
            const char c = rest[static_cast<std::size_t>(i)];
            if (c < '0' || c > '9') return false;
            value = value * 10 + (c - '0');
        }
        rest.remove_prefix(static_cast<std::size_t>(width));
        return true;
    }
    bool one_of(std::string_view allowed) {
        if (rest.empty() || allowed.find(rest.front()) == std::string_view::npos) return false;
        rest.remove_prefix(1);
        return true;
    }
};

struct DurationUnit {
    std::string_view name;
    std::int64_t micros;
};
constexpr DurationUnit duration_units[] = {{"d", 86'400'000'000}, {"h", 3'600'000'000}, {"min", 60'000'000},
                                           {"s", 1'000'000},      {"ms", 1'000},        {"us", 1}};

}  // namespace

CivilTime to_civil(Timestamp t) {
    const Timestamp day = t.floor_to(Duration(seconds_per_day * micros_per_second));
    const std::int64_t days = day.micros() / (seconds_per_day * micros_per_second);
    const Date date = civil_from_days(days);
    const std::int64_t in_day = (t - day).count();
    const auto second_of_day = static_cast<int>(in_day / micros_per_second);
    return {static_cast<int>(date.year),
            static_cast<int>(date.month),
            static_cast<int>(date.day),
            second_of_day / 3600,
            second_of_day / 60 % 60,
            second_of_day % 60,
            static_cast<int>(in_day % micros_per_second),
            static_cast<int>(((days + 4) % 7 + 7) % 7)};
}

Timestamp from_civil(int year, int month, int day, int hour, int minute, int second, int micros) {
    const std::int64_t days = days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
    return Timestamp::from_micros(
        (days * seconds_per_day + hour * 3600 + minute * 60 + second) * micros_per_second + micros);
}

void append_rfc3339(std::string& out, Timestamp t) {
    const CivilTime c = to_civil(t);
    append_to_second(out, c);
    out += '.';
    if (c.micros % 1000 == 0)
        append_digits(out, c.micros / 1000, 3);
    else
        append_digits(out, c.micros, 6);
    out += 'Z';
}

std::string to_rfc3339(Timestamp t) {
    std::string out;
    out.reserve(27);
    append_rfc3339(out, t);
    return out;
}

std::string to_rfc3339_short(Timestamp t) {
    const CivilTime c = to_civil(t);
    if (c.micros != 0) return to_rfc3339(t);
    std::string out;
    append_to_second(out, c);
    out += 'Z';
    return out;
}

std::optional<Timestamp> parse_rfc3339(std::string_view text, Offset offset) {
    Scanner in{text};
    int year, month, day, hour, minute, second;
    if (!in.number(4, year) || !in.one_of("-") || !in.number(2, month) || !in.one_of("-") || !in.number(2, day) ||
        !in.one_of("Tt ") || !in.number(2, hour) || !in.one_of(":") || !in.number(2, minute) || !in.one_of(":") ||
        !in.number(2, second))
        return std::nullopt;
    // Second 60 is a leap second: it is taken as the first moment of the next minute, as POSIX time does.
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60)
        return std::nullopt;
    int micros = 0;
    if (in.one_of(".,")) {
        int digits = 0;
        for (int digit; digits < 9 && in.number(1, digit); ++digits)
            if (digits < 6) micros = micros * 10 + digit;
        if (digits == 0) return std::nullopt;
        for (int i = digits; i < 6; ++i) micros *= 10;
    }
    Timestamp t = from_civil(year, month, day, hour, minute, second, micros);
    // Only the leap second of the last minute can pass the year 9999 without an offset, and nothing could print it.
    if (in.rest.empty() || in.rest == "Z" || in.rest == "z")
        if (t > Timestamp::max()) return std::nullopt;
    if (in.rest.empty()) return offset == Offset::optional ? std::optional(t) : std::nullopt;
    if (in.one_of("Zz")) return in.rest.empty() ? std::optional(t) : std::nullopt;
    const bool west = in.rest.front() == '-';
    int offset_hour, offset_minute;
    if (!in.one_of("+-") || !in.number(2, offset_hour) || !in.one_of(":") || !in.number(2, offset_minute) || !in.rest.empty() ||
        offset_hour > 23 || offset_minute > 59)
        return std::nullopt;
    const Duration shift = std::chrono::minutes(offset_hour * 60 + offset_minute);
    t = west ? t + shift : t - shift;
    if (t < Timestamp::min() || t > Timestamp::max()) return std::nullopt;
    return t;
}

std::optional<Duration> parse_duration(std::string_view text) {
    if (text.empty()) return std::nullopt;
    std::int64_t sum = 0;
    while (!text.empty()) {
        std::int64_t count = 0;
        std::size_t digits = 0;
        for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
            if (digits >= 15) return std::nullopt;
            count = count * 10 + (text[digits] - '0');
        }
        if (digits == 0) return std::nullopt;
        text.remove_prefix(digits);
        std::size_t letters = 0;
        while (letters < text.size() && text[letters] >= 'a' && text[letters] <= 'z') ++letters;
        const std::string_view name = text.substr(0, letters);
        const DurationUnit* unit = nullptr;
        for (const auto& candidate : duration_units)
            if (candidate.name == name || (name == "m" && candidate.name == "min")) unit = &candidate;
        std::int64_t product;
        if (!unit || __builtin_mul_overflow(count, unit->micros, &product) || __builtin_add_overflow(sum, product, &sum))
            return std::nullopt;
        text.remove_prefix(letters);
    }
    return Duration(sum);
}

std::string to_text(Duration d) {
    std::int64_t rest = d.count();
    if (rest == 0) return "0s";
    std::string out;
    if (rest < 0) {
        out += '-';
        rest = -rest;
    }
    for (const auto& unit : duration_units) {
        if (rest >= unit.micros) {
            out += std::to_string(rest / unit.micros);
            out += unit.name;
            rest %= unit.micros;
        }
    }
    return out;
}

inline namespace literals {
Timestamp operator""_utc(const char* text, std::size_t length) {
    const auto parsed = parse_rfc3339({text, length});
    WEIR_ASSERT(parsed.has_value());
    return *parsed;
}
}  // namespace literals

}  // namespace weir
