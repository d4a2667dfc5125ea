#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/spc_options.h"
#include "processors/processor.h"
#include "processors/spc_chart.h"

namespace weir {

/// Statistical process control in the stream (spec.md 3): characteristics, samples and acknowledgements come in as events, judged samples and
/// violations go out as events.
///
/// **In**, on `spc.in` (what a type's data holds stands in docs/http-api.md): `put_characteristic`, `change_characteristic`,
/// `retire_characteristic`, `put_sample`, `correct_sample`, `exclude_sample`, `include_sample`, `set_limits`, `estimate_limits`, `acknowledge`,
/// `capability`, `flush`; and every stream in `sources`, whose events are samples of the characteristics that name it.
///
/// **Out**, `key` the characteristic's id:
///     spc.samples          `sample`: a sample and where it lies, anew each time that this changes; `sample_moved`: its time was corrected
///     spc.violations       `violation`, `violation_withdrawn`, `ack_update`, `collection_missed`, `collection_resumed`
///     spc.characteristics  `characteristic`: definition and limits, anew with each change, and at least once in `definitions_every` events of the
///                          stream, so that its newest part has all of them; `capability`, running; `gathering`: readings of a subgroup to come
///     spc.answers          `answer`, `key` the id of the event that it answers: whether it was done, and why not
///
/// A sample comes whole, as a list of values, or as single readings: those are gathered in the order in which they come until there are
/// `subgroup_size` of them: what was measured together is sent together. (By time, one that comes late would move every later one into another
/// subgroup.) The sample then has the id of the one that completes it and the time of the newest. One without an id gets one: SpcChart::id_for.
///
/// Every command but `put_sample` is answered, a `put_sample` only when it is refused. So who sent a command knows what became of it
/// from the log alone: two acknowledgements of one violation are decided by their order there (docs/decisions/0002).
/// Of refused samples from a source stream the first in a row is told.
///
/// Thread: the runner's. Cost and bounds: spc_chart.h; at most `characteristics_max` characteristics.
class SpcProcessor final : public Processor, private SpcChart::Listener {
public:
    static constexpr std::string_view input = "spc.in", samples_out = "spc.samples", violations_out = "spc.violations",
                                      characteristics_out = "spc.characteristics", answers_out = "spc.answers";
    static constexpr std::size_t characteristics_max = 10'000, reading_ids_max = 256;
    static constexpr std::uint64_t definitions_every = 20'000;

    /// `sources`: streams whose fields may be samples.
    SpcProcessor(const SpcOptions& options, std::vector<StreamName> sources);
    ~SpcProcessor() override;

    const std::string& name() const override { return name_; }
    std::uint64_t version() const override { return 1; }
    const std::vector<StreamName>& inputs() const override { return inputs_; }
    const std::vector<StreamName>& outputs() const override { return outputs_; }

    Result<void> restore(const SavedState& state) override;
    void process(const Batch& batch, Output& output) override;
    std::vector<StatePut> save() override;
    std::size_t unsaved_bytes() const override { return unsaved_bytes_; }
    std::optional<Due> next_due() const override;

    /// For tests and tools: nullptr if there is none.
    const SpcChart* chart(std::uint64_t characteristic) const;

private:
    struct Watched {
        std::unique_ptr<SpcChart> chart;
        std::uint64_t config_hash = 0;          ///< of the definition that configuration last gave
        bool retired = false, missing = false, refusing = false;
        std::optional<Timestamp> last_arrival;  ///< commit time of its newest sample
        std::size_t samples_since_capability = 0;
        SpcSample gathered;                     ///< readings of a subgroup that is not complete
        std::uint64_t gathered_hash = 0;        ///< of what its newest reading came from
        std::vector<std::uint64_t> reading_ids; ///< given ones of the last readings, so that a repeat is known
        bool changed = true;                    ///< since the last save
        // Which event of the stream of characteristics its definition was told in last, and anything of it.
        std::uint64_t defined_at = 0, told_at = 0;
    };
    /// What a command did, or why it was refused.
    using Outcome = Result<std::string>;

    void take_command(const EventView& event);
    Outcome run(const EventView& event, const Json& data);
    Outcome put_characteristic(const EventView& event, const Json& data, bool change);
    Outcome retire(const Json& data);
    Outcome set_limits(const EventView& event, const Json& data);
    Outcome estimate(const EventView& event, const Json& data);
    Outcome correct(const Json& data, std::optional<bool> excluded);
    Outcome acknowledge(const EventView& event, const Json& data);
    Outcome capability(const Json& data);
    Outcome put_sample(const EventView& event, const Json& data);
    void take_reading(const EventView& event, std::string_view stream);
    Result<Watched*> watched(const Json& data, bool also_retired = false);
    /// A sample with id 0 gets one, by `hash`.
    Result<void> add(Watched& watched, SpcSample sample, std::uint64_t hash);
    Result<void> gather(Watched& watched, const SpcSample& reading, std::uint64_t hash);
    void arrived(Watched& watched);
    void tell_characteristic(Watched& watched);
    void tell_gathering(Watched& watched);
    void drop_gathered(Watched& watched);
    void tell_of_characteristic(Watched& watched, std::string_view type);
    void tell_old_definitions();
    void tell_capability(Watched& watched);
    void check_collection();
    void route();
    Timestamp missed_at(const Watched& w) const { return *w.last_arrival + w.chart->definition().expected_every * 3 / 2; }

    void sample_changed(const SpcChart& chart, const SpcRecord& record) override;
    void sample_moved(const SpcChart& chart, const SpcSample& before, Timestamp to) override;
    void violation_raised(const SpcChart& chart, const SpcViolation& violation, const std::string& body) override;
    void violation_withdrawn(const SpcChart& chart, const SpcViolation& violation) override;
    void violation_forgotten(std::uint64_t id) override { owners_.erase(id); }
    void tell(std::string_view stream, std::string_view type, std::string_view key, std::string_view what, Timestamp time, const std::string& data);

    std::string name_ = "spc";
    SpcOptions options_;
    std::vector<StreamName> inputs_, outputs_;
    const analytics::ConstantsTable& table_;
    std::map<std::uint64_t, Watched> watched_;
    std::unordered_map<std::uint64_t, std::uint64_t> owners_;  ///< of violations: their characteristics
    std::multimap<std::string, std::uint64_t, std::less<>> routes_;  ///< source stream to characteristics

    std::uint64_t definitions_told_ = 0;  ///< events on the stream of characteristics
    std::set<std::pair<std::uint64_t, std::uint64_t>> definitions_;  ///< when each was told last, and whose it is

    std::size_t unsaved_bytes_ = 0;  ///< all charts count into it

    // The event in hand.
    Output* output_ = nullptr;
    std::string cause_;          ///< stream and seq: part of the id of what is derived from it
    std::uint64_t told_ = 0;
    Timestamp now_;
    std::string text_;
};

}  // namespace weir
