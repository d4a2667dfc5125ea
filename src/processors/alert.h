#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "processors/alert_rule.h"

namespace weir {

/// What an event on the stream of alerts tells of one.
enum class AlertChange : std::uint8_t { pending, firing, resolved, inactive, acknowledged, shelved, unshelved, escalated, repeated };
std::string_view to_text(AlertChange change);

/// One alert of a rule: quiet, pending, firing, quiet again. What it is about (one key, or all) is its owner's; here is only when it changes.
///
///     quiet ── holds ──▶ pending ── for `for` and `count` events ──▶ firing ── not for `resolve_after` ──▶ quiet (resolved)
///                           └── ends before ──▶ quiet (inactive)
///
/// Two clocks run: events' own times, and the log's. What a next event shows to have lasted long enough has lasted, however late the event comes; and
/// what lasts while no event comes is over by the log's clock, counted from when the event that began it came. So a recording that is read fast gives
/// what it gave when it was live, and a source that is an hour behind does not fire early.
///
/// Each stretch from pending on is an episode with an id of its own. A shelf and its end belong to the alert, whatever the episode (as in ISA-18.2).
/// Thread: the processor's. Memory: some 300 bytes and its texts.
class Alert {
public:
    enum class Phase : std::uint8_t { quiet, pending, firing };
    struct Acknowledgement {
        std::string user, on_behalf_of, reason, code;
        Timestamp time;
        bool operator==(const Acknowledgement&) const = default;
    };
    struct Shelf {
        Timestamp until;
        std::string user, reason;
        bool operator==(const Shelf&) const = default;
    };
    /// What it is about, as it was when that was last looked at.
    struct Subject {
        std::string key, title, message;
        std::optional<double> value;
        std::string stream, epoch;  ///< of the event that caused it
        std::uint64_t seq = 0;
        bool operator==(const Subject&) const = default;
    };
    /// Is told of each change while it is as the change makes it.
    class Listener {
    public:
        virtual void alert_changed(const AlertRule& rule, Alert& alert, AlertChange change, Timestamp at) = 0;

    protected:
        ~Listener() = default;
    };

    explicit Alert(std::string place) : place_(std::move(place)) {}

    /// The condition holds, or does not, from `time` on; `now` is the log's clock.
    void observe(const AlertRule& rule, bool holds, Timestamp time, Timestamp now, Listener& listener);
    /// The log's clock has come to `now`.
    void pass(const AlertRule& rule, Timestamp now, Listener& listener);
    /// When `pass` has something to do if no event comes.
    std::optional<Timestamp> due(const AlertRule& rule) const;

    /// Errors: `already_acknowledged`, `alert_not_open` (it never fired).
    Result<void> acknowledge(const AlertRule& rule, Acknowledgement acknowledgement, Listener& listener);
    void shelve(const AlertRule& rule, Shelf shelf, Timestamp now, Listener& listener);
    /// Error `not_shelved`.
    Result<void> unshelve(const AlertRule& rule, Timestamp now, Listener& listener);
    /// Its rule is no more, or another one.
    void end(const AlertRule& rule, Timestamp now, Listener& listener);

    const std::string& place() const { return place_; }
    const std::string& id() const { return id_; }
    Phase phase() const { return phase_; }
    bool open() const { return phase_ != Phase::quiet; }
    std::string_view state() const;
    AlertSeverity severity(const AlertRule& rule) const { return escalated_ ? rule.options.escalate_to : rule.options.severity; }
    Timestamp pending_at() const { return pending_at_; }
    const std::optional<Timestamp>& triggered_at() const { return triggered_at_; }
    const std::optional<Timestamp>& resolved_at() const { return resolved_at_; }
    const std::optional<Acknowledgement>& acknowledged() const { return acknowledged_; }
    const std::optional<Shelf>& shelf() const { return shelf_; }

    std::string save() const;
    static std::optional<Alert> restore(std::string place, std::string_view bytes);

    Subject subject;
    std::uint64_t told_at = 0;           ///< the owner's: how many events of the stream of alerts there were when it was told last
    bool changed = true;                 ///< since the last save
    std::optional<Timestamp> queued{};   ///< the owner's: when it is looked at again

private:
    void begin(const AlertRule& rule, Timestamp time, Timestamp now, Listener& listener);
    void fire(const AlertRule& rule, Timestamp at, Timestamp now, Listener& listener);
    void resolve(const AlertRule& rule, Timestamp at, Listener& listener);
    bool has_counted(const AlertRule& rule) const { return count_ >= rule.options.count; }
    bool may_fire(const AlertRule& rule, Timestamp now) const { return !fired_clock_ || now - *fired_clock_ >= rule.options.refire_after; }

    std::string place_, id_;
    Phase phase_ = Phase::quiet;
    std::uint64_t episode_ = 0;
    Timestamp pending_at_, pending_clock_;
    std::uint32_t count_ = 0;
    std::optional<Timestamp> triggered_at_, resolved_at_, fired_clock_;
    std::optional<Timestamp> clear_at_, clear_clock_;
    bool escalated_ = false;
    std::optional<Acknowledgement> acknowledged_;
    std::optional<Shelf> shelf_;
};

}  // namespace weir
