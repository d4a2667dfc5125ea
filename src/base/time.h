#pragma once
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

/// A length of time; unit: microseconds.
using Duration = std::chrono::microseconds;
using namespace std::chrono_literals;

/// A moment: microseconds since 1970-01-01T00:00:00Z, without leap seconds. The log and all bounds are in UTC.
/// Range: years 0000 to 9999, which is what RFC 3339 can print.
class Timestamp {
public:
    constexpr Timestamp() = default;
    static constexpr Timestamp from_micros(std::int64_t micros) { return Timestamp(micros); }
    static constexpr Timestamp from_seconds(std::int64_t seconds) { return Timestamp(seconds * 1'000'000); }

    constexpr std::int64_t micros() const { return micros_; }
    constexpr auto operator<=>(const Timestamp&) const = default;
    constexpr Timestamp operator+(Duration d) const { return Timestamp(micros_ + d.count()); }
    constexpr Timestamp operator-(Duration d) const { return Timestamp(micros_ - d.count()); }
    constexpr Duration operator-(Timestamp other) const { return Duration(micros_ - other.micros_); }

    /// The largest multiple of `size` since 1970 that is not after this moment (also right before 1970).
    constexpr Timestamp floor_to(Duration size) const {
        const std::int64_t n = size.count(), r = micros_ % n;
        return Timestamp(micros_ - (r < 0 ? r + n : r));
    }

    static constexpr Timestamp min() { return Timestamp(-62'167'219'200'000'000); }  // 0000-01-01T00:00:00Z
    static constexpr Timestamp max() { return Timestamp(253'402'300'799'999'999); }  // 9999-12-31T23:59:59.999999Z

private:
    explicit constexpr Timestamp(std::int64_t micros) : micros_(micros) {}
    std::int64_t micros_ = 0;
};

/// RFC 3339 in UTC with `Z`: three digits of a second, six where the moment needs them (decisions.md 11).
std::string to_rfc3339(Timestamp t);
/// The same with whole seconds where the moment has no fraction: `2026-02-17T10:00:00Z`, as source 000 prints bounds.
std::string to_rfc3339_short(Timestamp t);
void append_rfc3339(std::string& out, Timestamp t);

/// Parses RFC 3339: any offset, `T`, `t` or blank, one to nine digits of a second (those past six are cut off). A text without
/// an offset is taken as UTC when `Offset::optional`. nullopt for anything else, 30 February and hour 24 included.
enum class Offset : std::uint8_t { required, optional };
std::optional<Timestamp> parse_rfc3339(std::string_view text, Offset offset = Offset::required);

/// A civil date and time of day in UTC.
struct CivilTime {
    int year, month, day, hour, minute, second, micros;
    int weekday;  ///< 0 is Sunday, as in NCRONTAB
};
CivilTime to_civil(Timestamp t);
Timestamp from_civil(int year, int month, int day, int hour = 0, int minute = 0, int second = 0, int micros = 0);

/// Parses `250ms`, `5s`, `5min`, `2h`, `7d`, `1500us`, and sums such as `1h30min`. No sign; `0s` is 0; a bare number is refused.
std::optional<Duration> parse_duration(std::string_view text);
/// The shortest form that `parse_duration` reads back: `5min`, `1h30min`, `1500ms`.
std::string to_text(Duration d);

inline namespace literals {
/// `"2026-02-17T10:00:00Z"_utc`; for tests. Aborts on a text that is not RFC 3339.
Timestamp operator""_utc(const char* text, std::size_t length);
}  // namespace literals

}  // namespace weir
