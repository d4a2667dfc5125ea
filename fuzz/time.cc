// Times and durations: against an obvious twin, printed and read again.
#include "base/time.h"
#include "fuzz.h"

namespace weir::fuzz {
namespace {

/// RFC 3339 by sscanf and a calendar that counts day by day.
std::optional<Timestamp> twin(std::string_view text, Offset offset) {
    const std::string t(text);
    if (t.find('\0') != t.npos || t.size() < 19) return std::nullopt;
    for (std::size_t i = 0; i < 19; ++i) {
        const bool sign = i == 4 || i == 7 || i == 10 || i == 13 || i == 16;
        if (sign ? std::string_view(i < 10 ? "-" : i == 10 ? "Tt " : ":").find(t[i]) == std::string_view::npos : t[i] < '0' || t[i] > '9') return std::nullopt;
    }
    int year, month, day, hour, minute, second;
    if (std::sscanf(t.c_str(), "%4d-%2d-%2d%*c%2d:%2d:%2d", &year, &month, &day, &hour, &minute, &second) != 6) return std::nullopt;
    const auto leap = [](int y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; };
    const auto length = [&](int y, int m) { return m == 2 ? (leap(y) ? 29 : 28) : m == 4 || m == 6 || m == 9 || m == 11 ? 30 : 31; };
    if (month < 1 || month > 12 || day < 1 || day > length(year, month) || hour > 23 || minute > 59 || second > 60) return std::nullopt;
    std::int64_t days = -719'528;  // 0000-01-01
    for (int y = 0; y < year; ++y) days += leap(y) ? 366 : 365;
    for (int m = 1; m < month; ++m) days += length(year, m);
    days += day - 1;
    std::int64_t micros = ((days * 24 + hour) * 60 + minute) * 60'000'000 + second * 1'000'000;
    std::string rest = t.substr(19);
    if (!rest.empty() && (rest[0] == '.' || rest[0] == ',')) {
        std::size_t digits = rest.find_first_not_of("0123456789", 1);
        if (digits == rest.npos) digits = rest.size();
        if (digits < 2 || digits > 10) return std::nullopt;
        std::string fraction = rest.substr(1, digits - 1) + "000000";
        micros += std::stol(fraction.substr(0, 6));
        rest = rest.substr(digits);
    }
    if (rest.empty() && offset == Offset::required) return std::nullopt;
    if (!rest.empty() && rest != "Z" && rest != "z") {
        int h, m;
        if (rest.size() != 6 || (rest[0] != '+' && rest[0] != '-') || rest[3] != ':') return std::nullopt;
        for (const std::size_t i : {1u, 2u, 4u, 5u})
            if (rest[i] < '0' || rest[i] > '9') return std::nullopt;
        h = std::stoi(rest.substr(1, 2));
        m = std::stoi(rest.substr(4, 2));
        if (h > 23 || m > 59) return std::nullopt;
        const std::int64_t shift = (h * 60 + m) * 60'000'000LL;
        micros += rest[0] == '-' ? shift : -shift;
        if (planted() && rest[0] == '-' && m == 30) micros += 60'000'000;
    }
    const auto found = Timestamp::from_micros(micros);
    return found < Timestamp::min() || found > Timestamp::max() ? std::nullopt : std::optional(found);
}

}  // namespace

void time(std::string_view text) {
    for (const Offset offset : {Offset::required, Offset::optional}) {
        const auto parsed = parse_rfc3339(text, offset);
        FUZZ_CHECK(parsed == twin(text, offset), std::string(text));
        if (!parsed) continue;
        FUZZ_CHECK(*parsed >= Timestamp::min() && *parsed <= Timestamp::max());
        FUZZ_CHECK(parse_rfc3339(to_rfc3339(*parsed)) == parsed, to_rfc3339(*parsed));
        FUZZ_CHECK(parse_rfc3339(to_rfc3339_short(*parsed)) == parsed);
        const CivilTime c = to_civil(*parsed);
        FUZZ_CHECK(from_civil(c.year, c.month, c.day, c.hour, c.minute, c.second, c.micros) == *parsed);
        FUZZ_CHECK(parsed->floor_to(7min) <= *parsed && *parsed - parsed->floor_to(7min) < 7min);
    }
    if (const auto length = parse_duration(text)) {
        FUZZ_CHECK(length->count() >= 0);
        FUZZ_CHECK(parse_duration(to_text(*length)) == length, to_text(*length));
        FUZZ_CHECK(to_text(-*length).substr(0, 1) == "-" || length->count() == 0);
    }
}

}  // namespace weir::fuzz
