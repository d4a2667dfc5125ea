#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "event/event.h"
#include "processors/alert_rule.h"
#include "processors/state_bytes.h"

namespace weir {

/// Whether a rule's condition holds for one key, event after event.
///
/// threshold: `above` begins to hold with value > level and ends with value <= clear (likewise `below`): what lies between the two
/// levels changes nothing, so noise around one of them is one alert. rate: the same of (newest - oldest) / (their times' difference) x per, the oldest
/// being the first reading within `over`; it says nothing until they span half of `over`. violation: holds while a violation of at least
/// `from_severity` is neither withdrawn nor acknowledged.
///
/// A number that is older than the newest of its key says nothing about now, and is passed over; so is one from more than 5 s ahead of the log
/// (decisions.md 7), and an event without the number. For a silence every event is a sign of life.
///
/// Memory: some 100 bytes; a rate keeps at most `recent_max` readings, spread over `over`. Thread: the processor's.
class AlertSignal {
public:
    static constexpr std::size_t recent_max = 256, open_violations_max = 10'000;

    explicit AlertSignal(Timestamp since) : last_clock_(since) {}

    /// False: it was passed over. `now`: the time of the log at the event.
    bool take(const AlertRule& rule, const EventView& event, Timestamp now);
    /// A silence that has lasted.
    void fall_silent() { holds_ = true; }
    /// When what the event says began, for its rule: numbers at their own time, signs of life and violations when weir took them.
    static Timestamp moment_of(const AlertRule& rule, const EventView& event) {
        return rule.options.kind == AlertKind::threshold || rule.options.kind == AlertKind::rate ? event.time : event.ingested;
    }
    /// When its silence has lasted if nothing comes; nullopt: it is no such rule, or it has.
    std::optional<Timestamp> silent_at(const AlertRule& rule) const;
    /// weir was not there to hear: the wait begins anew.
    void excuse_until(Timestamp now) { last_clock_ = std::max(last_clock_, now); }

    bool holds() const { return holds_; }
    /// The value, the rate, or how many violations are open; nullopt for a silence.
    const std::optional<double>& value() const { return value_; }
    /// Time and arrival of the newest event that counted.
    const std::optional<Timestamp>& last_time() const { return last_time_; }
    Timestamp last_clock() const { return last_clock_; }

    std::string save() const;
    static std::optional<AlertSignal> restore(std::string_view bytes);

    bool changed = true;                    ///< since the last save
    std::optional<Timestamp> queued{};      ///< the processor's: when it is looked at again

private:
    bool judge(const AlertRule& rule, double number) const;
    std::optional<double> rate(const AlertRule& rule, Timestamp time, double number);
    bool take_violation(const AlertRule& rule, const EventView& event);

    bool holds_ = false;
    std::optional<double> value_;
    std::optional<Timestamp> last_time_;
    Timestamp last_clock_;
    std::deque<std::pair<Timestamp, double>> recent_;
    std::set<std::uint64_t> open_;
};

}  // namespace weir
