#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace weir {

/// What an alert looks at.
enum class AlertKind : std::uint8_t {
    threshold,  ///< a number beyond a level
    rate,       ///< how fast a number changes
    silence,    ///< no event
    violation,  ///< a rule of a control chart
};
enum class AlertCondition : std::uint8_t { above, below, equals, not_equals };
/// Source 004's scale (S4-R14).
enum class AlertSeverity : std::uint8_t { info, warning, critical, fatal };

/// As they stand in the file, in the log and in messages, in the order of the enums.
inline constexpr std::string_view alert_kinds[] = {"threshold", "rate", "silence", "violation"};
inline constexpr std::string_view alert_conditions[] = {"above", "below", "equals", "not_equals"};
inline constexpr std::string_view alert_severities[] = {"info", "warning", "critical", "fatal"};

/// `[alerts.<name>]`: a rule, evaluated on every event of a stream.
struct AlertOptions {
    AlertKind kind = AlertKind::threshold;
    std::string stream;             ///< input
    std::vector<std::string> keys;  ///< only these; empty: all
    bool per_key = true;            ///< false: one alert, which fires while any key's condition holds
    std::string value;              ///< threshold, rate: JSON Pointer into `data`; empty: the number that the feed's decode.value found
    AlertCondition condition = AlertCondition::above;
    std::optional<double> level;    ///< threshold: in the value's unit; rate: change of it in `per`
    std::optional<double> clear;    ///< above, below: the condition ends only at or beyond this level; unset: at `level`
    Duration over{0};               ///< rate: from the oldest reading within this to the newest
    Duration per = 1min;            ///< rate: unit of time of `level`
    AlertSeverity from_severity = AlertSeverity::warning;  ///< violation: of what it is at least
    Duration holds{0};              ///< `for`: it fires when the condition has held for so long; silence: no event for so long
    std::uint32_t count = 1;        ///< and for so many events in a row
    Duration resolve_after{0};      ///< it is resolved when the condition has not held for so long
    Duration refire_after{0};       ///< a key does not fire again sooner than this after it fired
    AlertSeverity severity = AlertSeverity::warning;
    Duration escalate_after{0};     ///< firing, and not acknowledged, for so long: `escalate_to`; 0: never
    AlertSeverity escalate_to = AlertSeverity::critical;
    std::string title;              ///< for people: text with JSON Pointers in braces; empty: the rule's name and the key
    std::map<std::string, std::string> labels;  ///< go along with each alert, for who routes it
    bool tell_pending = false;      ///< also tell what is pending, and what falls back without firing
    bool operator==(const AlertOptions&) const = default;
};

using AlertTable = std::map<std::string, AlertOptions>;  ///< by rule name

}  // namespace weir
