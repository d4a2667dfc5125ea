#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/schedule.h"
#include "base/time.h"
#include "base/zone.h"

namespace weir {

enum class WindowKind : std::uint8_t { tumbling, hopping, session };

/// `exact` is the mean of the middle two where the count is even; `upper` is the upper one, as source 000 has it (C-6).
enum class Median : std::uint8_t { exact, upper };

/// `[windows.<name>]`: statistics over time of one numeric field of a stream, as events on another stream.
struct WindowOptions {
    std::string stream;  ///< input
    std::string value;   ///< JSON Pointer into `data`; empty: the number that the feed's decode.value found
    WindowKind kind = WindowKind::tumbling;
    Duration size = 5min;    ///< tumbling, hopping
    Duration hop{0};         ///< hopping: spacing of starts, a divisor of size
    Duration gap{0};         ///< session: ends after this much silence
    Duration offset{0};      ///< shifts the bounds from the multiples of size (of hop); below size
    Zone zone;               ///< sizes that are whole days begin at midnight here; shorter ones are aligned in UTC
    std::optional<Schedule> schedule;  ///< tumbling: windows begin at these times instead; never more often than they are long
    Duration lateness = 10s;           ///< a late reading within this corrects the window, as a new revision
    bool per_key = true;               ///< false: one window over all keys
    std::vector<std::string> keys;     ///< only these keys; empty: all
    std::string output;                ///< set after loading: `<stream>.<name>` where the file names none
    Median median = Median::exact;
    std::uint32_t exact_max = 100'000;  ///< quantiles are exact up to this many readings, above it a sketch
    bool keep_empty = true;             ///< a window without readings is written too, with its reason
    bool operator==(const WindowOptions&) const = default;
};

using WindowTable = std::map<std::string, WindowOptions>;  ///< by window name

}  // namespace weir
