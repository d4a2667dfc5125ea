#include "processors/alert.h"

#include <algorithm>

#include "processors/processor.h"
#include "processors/state_bytes.h"

namespace weir {

std::string_view to_text(AlertChange change) {
    constexpr std::string_view words[] = {"pending", "firing", "resolved", "inactive", "acknowledged", "shelved", "unshelved", "escalated", "repeated"};
    return words[static_cast<std::size_t>(change)];
}

std::string_view Alert::state() const {
    if (phase_ == Phase::pending) return "pending";
    if (phase_ == Phase::firing) return "firing";
    return triggered_at_ ? "resolved" : "inactive";
}

void Alert::observe(const AlertRule& rule, bool holds, Timestamp time, Timestamp now, Listener& listener) {
    const Duration hold = rule.hold();
    // What the time of this event shows to have lasted comes first, then what the event itself says.
    if (phase_ == Phase::firing && clear_at_ && time - *clear_at_ >= rule.options.resolve_after) resolve(rule, *clear_at_ + rule.options.resolve_after, listener);
    if (phase_ == Phase::pending && hold > Duration(0) && has_counted(rule) && time - pending_at_ >= hold && may_fire(rule, now)) fire(rule, pending_at_ + hold, now, listener);

    if (holds) {
        if (phase_ == Phase::firing) clear_at_.reset(), clear_clock_.reset();
        if (phase_ == Phase::quiet) begin(rule, time, now, listener);
        if (phase_ == Phase::pending) {
            changed = true;
            if (count_ < rule.options.count) ++count_;
            if (has_counted(rule) && time - pending_at_ >= hold && may_fire(rule, now)) fire(rule, time, now, listener);
        }
        return;
    }
    if (phase_ == Phase::pending) {
        phase_ = Phase::quiet;
        changed = true;
        listener.alert_changed(rule, *this, AlertChange::inactive, time);
    }
    if (phase_ != Phase::firing) return;
    if (rule.options.resolve_after == Duration(0)) return resolve(rule, time, listener);
    if (clear_at_) return;
    clear_at_ = time, clear_clock_ = now;
    changed = true;
}

void Alert::pass(const AlertRule& rule, Timestamp now, Listener& listener) {
    if (shelf_ && shelf_->until <= now) {
        const Timestamp at = shelf_->until;
        shelf_.reset();
        changed = true;
        if (open()) listener.alert_changed(rule, *this, AlertChange::unshelved, at);
    }
    if (phase_ == Phase::pending && has_counted(rule) && now - pending_clock_ >= rule.hold() && may_fire(rule, now)) {
        const Timestamp lasted = pending_at_ + rule.hold();
        fire(rule, fired_clock_ ? std::max(lasted, *fired_clock_ + rule.options.refire_after) : lasted, now, listener);
    }
    if (phase_ == Phase::firing && clear_clock_ && now - *clear_clock_ >= rule.options.resolve_after) resolve(rule, *clear_at_ + rule.options.resolve_after, listener);
    if (phase_ == Phase::firing && !escalated_ && !acknowledged_ && rule.options.escalate_after > Duration(0) && now - *fired_clock_ >= rule.options.escalate_after) {
        escalated_ = changed = true;
        listener.alert_changed(rule, *this, AlertChange::escalated, *fired_clock_ + rule.options.escalate_after);
    }
}

std::optional<Timestamp> Alert::due(const AlertRule& rule) const {
    std::optional<Timestamp> first;
    const auto not_after = [&](Timestamp at) { first = first ? std::min(*first, at) : at; };
    if (shelf_) not_after(shelf_->until);
    if (phase_ == Phase::pending && has_counted(rule)) {
        const Timestamp lasted = pending_clock_ + rule.hold();
        not_after(fired_clock_ ? std::max(lasted, *fired_clock_ + rule.options.refire_after) : lasted);
    }
    if (phase_ == Phase::firing && clear_clock_) not_after(*clear_clock_ + rule.options.resolve_after);
    if (phase_ == Phase::firing && !escalated_ && !acknowledged_ && rule.options.escalate_after > Duration(0)) not_after(*fired_clock_ + rule.options.escalate_after);
    return first;
}

void Alert::begin(const AlertRule& rule, Timestamp time, Timestamp now, Listener& listener) {
    phase_ = Phase::pending;
    ++episode_;
    // The event that began it tells it from one of a rule that had the name before.
    id_ = derived_id({"alert", rule.name, place_, subject.stream, subject.epoch, std::to_string(subject.seq), std::to_string(time.micros()), std::to_string(episode_)});
    pending_at_ = time;
    pending_clock_ = now;
    count_ = 0;
    triggered_at_.reset(), resolved_at_.reset(), clear_at_.reset(), clear_clock_.reset(), acknowledged_.reset();
    escalated_ = false;
    changed = true;
    // What fires with the same event was never pending.
    if (rule.hold() > Duration(0) || rule.options.count > 1 || !may_fire(rule, now)) listener.alert_changed(rule, *this, AlertChange::pending, time);
}

void Alert::fire(const AlertRule& rule, Timestamp at, Timestamp now, Listener& listener) {
    phase_ = Phase::firing;
    triggered_at_ = at;
    fired_clock_ = now;
    changed = true;
    listener.alert_changed(rule, *this, AlertChange::firing, at);
}

void Alert::resolve(const AlertRule& rule, Timestamp at, Listener& listener) {
    phase_ = Phase::quiet;
    resolved_at_ = std::max(at, *triggered_at_);
    clear_at_.reset(), clear_clock_.reset();
    changed = true;
    listener.alert_changed(rule, *this, AlertChange::resolved, *resolved_at_);
}

Result<void> Alert::acknowledge(const AlertRule& rule, Acknowledgement acknowledgement, Listener& listener) {
    if (!triggered_at_) return Error{"alert_not_open", "alert " + id_ + " has not fired"};
    if (acknowledged_) return Error{"already_acknowledged", "alert " + id_ + " was acknowledged by " + acknowledged_->user + " at " + to_rfc3339(acknowledged_->time)};
    acknowledged_ = std::move(acknowledgement);
    changed = true;
    listener.alert_changed(rule, *this, AlertChange::acknowledged, acknowledged_->time);
    return ok();
}

void Alert::shelve(const AlertRule& rule, Shelf shelf, Timestamp now, Listener& listener) {
    shelf_ = std::move(shelf);
    changed = true;
    listener.alert_changed(rule, *this, AlertChange::shelved, now);
}

Result<void> Alert::unshelve(const AlertRule& rule, Timestamp now, Listener& listener) {
    if (!shelf_) return Error{"not_shelved", "alert " + id_ + " is not shelved"};
    shelf_.reset();
    changed = true;
    listener.alert_changed(rule, *this, AlertChange::unshelved, now);
    return ok();
}

void Alert::end(const AlertRule& rule, Timestamp now, Listener& listener) {
    if (phase_ == Phase::firing) return resolve(rule, now, listener);
    if (phase_ != Phase::pending) return;
    phase_ = Phase::quiet;
    listener.alert_changed(rule, *this, AlertChange::inactive, now);
}

// State.

namespace {

void put_time(std::string& out, Timestamp t) { analytics::put_raw(out, t.micros()); }
void put_time(std::string& out, const std::optional<Timestamp>& t) {
    analytics::put_raw(out, static_cast<std::uint8_t>(t.has_value()));
    if (t) put_time(out, *t);
}
void put_flag(std::string& out, bool flag) { analytics::put_raw(out, static_cast<std::uint8_t>(flag)); }

}  // namespace

std::string Alert::save() const {
    std::string out;
    put_text(out, id_);
    analytics::put_raw(out, static_cast<std::uint8_t>(phase_));
    analytics::put_raw(out, episode_);
    put_time(out, pending_at_), put_time(out, pending_clock_);
    analytics::put_raw(out, count_);
    for (const auto* time : {&triggered_at_, &resolved_at_, &fired_clock_, &clear_at_, &clear_clock_}) put_time(out, *time);
    put_flag(out, escalated_);
    put_flag(out, acknowledged_.has_value());
    if (acknowledged_) {
        for (const auto* text : {&acknowledged_->user, &acknowledged_->on_behalf_of, &acknowledged_->reason, &acknowledged_->code}) put_text(out, *text);
        put_time(out, acknowledged_->time);
    }
    put_flag(out, shelf_.has_value());
    if (shelf_) put_time(out, shelf_->until), put_text(out, shelf_->user), put_text(out, shelf_->reason);
    for (const auto* text : {&subject.key, &subject.title, &subject.message, &subject.stream, &subject.epoch}) put_text(out, *text);
    put_flag(out, subject.value.has_value());
    if (subject.value) analytics::put_raw(out, *subject.value);
    analytics::put_raw(out, subject.seq);
    analytics::put_raw(out, told_at);
    return out;
}

std::optional<Alert> Alert::restore(std::string place, std::string_view bytes) {
    Taker in{bytes};
    Alert alert(std::move(place));
    alert.id_ = in.text();
    const auto phase = in.number<std::uint8_t>();
    if (phase > static_cast<std::uint8_t>(Phase::firing)) return std::nullopt;
    alert.phase_ = static_cast<Phase>(phase);
    alert.episode_ = in.number<std::uint64_t>();
    alert.pending_at_ = in.time(), alert.pending_clock_ = in.time();
    alert.count_ = in.number<std::uint32_t>();
    for (auto* time : {&alert.triggered_at_, &alert.resolved_at_, &alert.fired_clock_, &alert.clear_at_, &alert.clear_clock_}) *time = in.maybe_time();
    alert.escalated_ = in.number<std::uint8_t>() != 0;
    if (in.number<std::uint8_t>() != 0) {
        Acknowledgement& a = alert.acknowledged_.emplace();
        for (auto* text : {&a.user, &a.on_behalf_of, &a.reason, &a.code}) *text = in.text();
        a.time = in.time();
    }
    if (in.number<std::uint8_t>() != 0) {
        Shelf& shelf = alert.shelf_.emplace();
        shelf.until = in.time(), shelf.user = in.text(), shelf.reason = in.text();
    }
    Subject& s = alert.subject;
    for (auto* text : {&s.key, &s.title, &s.message, &s.stream, &s.epoch}) *text = in.text();
    if (in.number<std::uint8_t>() != 0) s.value = in.number<double>();
    s.seq = in.number<std::uint64_t>();
    alert.told_at = in.number<std::uint64_t>();
    alert.changed = false;
    // A firing one has fired.
    if (!in.good || (alert.phase_ == Phase::firing && (!alert.triggered_at_ || !alert.fired_clock_))) return std::nullopt;
    return alert;
}

}  // namespace weir
