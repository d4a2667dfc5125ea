#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "processors/alert.h"
#include "processors/alert_signal.h"
#include "processors/processor.h"

namespace weir {

/// Rules that are looked at with every event of their streams (spec.md 4, D15).
///
/// **In**, on `alert.in`: `put_rules` {rules}: these are the rules now, which a configured weir says at each start; `acknowledge` {alert_id, user,
/// reason or reason_code}; `shelve` {alert_id, user, for or until, reason}; `unshelve` {alert_id, user}. And every stream in `sources`.
///
/// **Out**: `alerts`: type `alert`, `key` the rule and what it is about (`pool_full/SSD-7`), `data` the whole alert as it is (docs/formats/alert.md); an
/// open one is told again at least once in `told_every` events of the stream, so that its newest part has all of them.
/// `alert.answers`: `answer`, `key` the id of the event that it answers (docs/decisions/0002).
///
/// A rule that stays as it is keeps its alerts over a start; one that is changed or gone ends them. Each rule goes by the time of its own stream, so
/// that how far another one has been read changes nothing.
///
/// Thread: the runner's. Cost: a search in a map and a JSON path an event and rule; some 400 bytes a key. Bound: `keys_max` keys a rule; of further ones the
/// first is told on `alert.answers`.
class AlertProcessor final : public Processor, private Alert::Listener {
public:
    static constexpr std::string_view reader = "alerts", input = "alert.in", alerts_out = "alerts", answers_out = "alert.answers";
    static constexpr std::size_t keys_max = 10'000, rules_max = 1'000;
    static constexpr std::uint64_t told_every = 20'000;
    static constexpr Duration shelf_max = 30 * 24h;

    /// `sources`: the streams of the rules to come. `reasons`: what an acknowledgement may give as `reason_code`, and what that means.
    AlertProcessor(std::vector<StreamName> sources, std::map<std::string, std::string> reasons);
    ~AlertProcessor() override;

    const std::string& name() const override { return name_; }
    std::uint64_t version() const override { return 1; }
    const std::vector<StreamName>& inputs() const override { return inputs_; }
    const std::vector<StreamName>& outputs() const override { return outputs_; }
    void input_is_derived(const StreamName& stream) override { derived_.insert(stream); }

    Result<void> restore(const SavedState& state) override;
    void process(const Batch& batch, Output& output) override;
    std::vector<StatePut> save() override;
    std::size_t unsaved_bytes() const override { return unsaved_ * 256; }
    std::optional<Due> next_due() const override;

private:
    /// A rule and what it knows.
    struct Watch {
        AlertRule rule;
        std::map<std::string, AlertSignal, std::less<>> signals;  ///< by key
        std::map<std::string, Alert, std::less<>> alerts;         ///< by place
        std::map<std::string, std::size_t, std::less<>> holding;  ///< by place: signals that hold
        std::set<std::pair<Timestamp, std::string>> silences, dues;  ///< when to look at a signal or an alert again, at the soonest
        bool overflown = false;                                   ///< and that has been told
        bool expects = false;                                     ///< keys, from the next batch on
    };
    using Outcome = Result<std::string>;

    // What happens in the stream.
    void look(Watch& watch, const EventView& event, Timestamp now);
    void advance(Watch& watch, Timestamp now);
    void observe(Watch& watch, std::string_view key, AlertSignal& signal, bool held, const EventView* event, Timestamp time, Timestamp now);
    void queue(Watch& watch, const std::string& key, AlertSignal& signal);
    void queue(Watch& watch, Alert& alert);

    // Commands: alert_commands.cc.
    void take_command(const EventView& event);
    Outcome run(const EventView& event, const Json& data);
    Outcome put_rules(const Json& data);
    Outcome acknowledge(const EventView& event, const Json& data);
    Outcome shelve(const EventView& event, const Json& data);
    Outcome unshelve(const Json& data);
    struct Found {
        Watch* watch;
        Alert* alert;
    };
    Result<Found> alert_of(const Json& data);
    Outcome as_it_is(const Found& found, AlertChange change);
    void drop(const std::string& name);
    void expect_keys(Watch& watch);
    void route();

    void alert_changed(const AlertRule& rule, Alert& alert, AlertChange change, Timestamp at) override;
    void tell(std::string_view stream, std::string_view type, std::string_view key, std::string_view what, Timestamp time, const std::string& data);
    void tell_again();

    std::string name_{reader};
    std::vector<StreamName> inputs_, outputs_;
    std::map<std::string, std::string> reasons_;
    std::set<StreamName> derived_;
    std::map<std::string, std::unique_ptr<Watch>> watches_;         ///< by rule
    std::multimap<std::string, Watch*, std::less<>> routes_;        ///< by stream
    std::unordered_map<std::string, Found> by_id_;                  ///< the newest episode of each alert
    std::set<std::pair<std::uint64_t, std::string>> told_;          ///< open ones: when each was told last, and its id
    std::uint64_t told_count_ = 0;                                  ///< events on the stream of alerts
    std::vector<std::string> removed_;                              ///< keys of state, since the last save
    std::size_t unsaved_ = 0;
    bool rules_changed_ = false;

    // The event in hand.
    Output* output_ = nullptr;
    std::string cause_, epoch_;  ///< part of the id of what is derived from it; the batch's epoch
    std::string_view stream_;
    std::uint64_t seq_ = 0, told_now_ = 0;
    Timestamp now_;
    std::string text_;
};

}  // namespace weir
