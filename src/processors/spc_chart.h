#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "processors/characteristic.h"

namespace weir {

/// One sample (subgroup) as it was taken, or corrected since.
struct SpcSample {
    std::uint64_t id = 0;
    Timestamp time;
    std::vector<double> values;  ///< attribute charts: one, the count
    double size = 1, nominal = 0, part_sigma = 1;
    bool excluded = false;
    bool operator==(const SpcSample&) const = default;
    analytics::Sample view() const { return {.values = values, .size = size, .nominal = nominal, .part_sigma = part_sigma}; }
};

/// What the charts say of a sample, in its place in the order.
struct SpcJudgement {
    std::uint32_t version = 0;  ///< of the limits that judge it
    std::uint8_t has = 0;       ///< bit i: there is a point on chart i
    std::array<analytics::ChartPoint, 2> points{};
    std::array<analytics::Signals, 2> signals{};
    analytics::ControlChart::State state{};  ///< of the main chart, behind this sample
    double cusum_upper = 0, cusum_lower = 0;

    bool in_control() const { return !signals[0].any() && !signals[1].any(); }
    bool operator==(const SpcJudgement&) const = default;
};

struct SpcRecord : SpcJudgement {
    SpcSample sample;
    std::uint32_t revision = 0;             ///< times that it was told; 0: not yet
    std::uint32_t block = 0;                ///< of the saved state
    std::vector<std::uint64_t> violations;  ///< that this sample completes
};

/// Limits and rules that hold from an event time on. Frozen: late data does not move them.
struct SpcVersion {
    std::uint32_t number = 0;
    Timestamp from = Timestamp::min();
    Characteristic definition;                    ///< as of then: chart, rules, unit
    std::optional<analytics::ControlLimits> limits;
    std::string origin;                           ///< JSON object: {"kind":"given"} or {"kind":"estimated","from",...}
};

struct SpcAcknowledgement {
    std::string user, reason, code;
    std::string on_behalf_of;  ///< whom `user` named, where the gateway knew who `user` is
    Timestamp time;
    bool operator==(const SpcAcknowledgement&) const = default;
};

/// A maximal run of signals of one rule on one side of one chart, named by the sample that completed it (decisions.md 25).
struct SpcViolation {
    std::uint64_t id = 0;
    std::uint8_t chart = 0;
    analytics::RuleId rule{};
    analytics::Side side{};
    std::uint64_t sample = 0;
    Timestamp time;                ///< the sample's
    std::uint32_t version = 0;
    std::uint32_t revision = 0;    ///< times that it was told
    std::uint64_t content = 0;     ///< hash of what was told
    bool withdrawn = false;
    std::optional<SpcAcknowledgement> ack;
};

/// All samples of one characteristic in the order (time, sample id), judged: after each change exactly what one pass over them in that order
/// would say, whatever order they came in (D9). Each change tells a listener what is different.
///
/// A change re-evaluates from the sample that it touches to where nothing differs any more: as far as the longest rule looks back, or
/// until an EWMA or CUSUM is the same to the last bit. Runs and sums begin anew with each version of the limits and pass over
/// excluded samples as if they were not there.
///
/// At most `history` samples are kept (and 256 more), and of samples with more than 50 values fewer, so that no more than 50 `history` values are; what is older than they are, and the oldest `context` of them, cannot change any more.
///
/// Thread: one owner. Cost: some 500 ns a sample that comes last; O(lookback) a late one; memory about 500 bytes a sample.
class SpcChart {
public:
    static constexpr std::size_t context = 66;            ///< more than any rule looks back
    static constexpr std::size_t block_samples = 64, block_values = 3200;  ///< a block is full with either
    static constexpr std::size_t usual_values = 50;                        ///< of a sample, on which the bound of memory counts
    static constexpr std::size_t violations_max = 10'000;  ///< remembered; at the bound the oldest tenth is forgotten

    class Listener {
    public:
        virtual ~Listener() = default;
        virtual void sample_changed(const SpcChart& chart, const SpcRecord& record) = 0;
        /// It is corrected to another time; `sample_changed` follows. So that a stretch of time tells of all that is no longer in it.
        virtual void sample_moved(const SpcChart& chart, const SpcSample& before, Timestamp to) = 0;
        /// Raised, back again, or told anew because a value in it was corrected. `body` is the JSON of what it says.
        virtual void violation_raised(const SpcChart& chart, const SpcViolation& violation, const std::string& body) = 0;
        virtual void violation_withdrawn(const SpcChart& chart, const SpcViolation& violation) = 0;
        virtual void violation_forgotten(std::uint64_t id) = 0;
    };

    /// `table` and `unsaved_bytes` outlive it; to the latter it adds about what its next `save` gives.
    SpcChart(Characteristic definition, std::size_t history, const analytics::ConstantsTable& table, std::size_t& unsaved_bytes);
    ~SpcChart();

    const Characteristic& definition() const { return definition_; }
    const std::vector<SpcVersion>& versions() const { return versions_; }
    const std::vector<SpcRecord>& records() const { return records_; }
    const std::map<std::uint64_t, SpcViolation>& violations() const { return violations_; }
    /// The newest version; its limits may still be missing.
    const SpcVersion& current() const { return versions_.back(); }
    const SpcVersion* version(std::uint32_t number) const;
    const SpcRecord* find(std::uint64_t sample_id) const;

    /// An id for a sample that came without one: behind those that have this very time already, so that equal times keep the order of arrival,
    /// and otherwise from `hash`, of what it came from, whatever came before it. Error `sample_exists`: it came from the same.
    Result<std::uint64_t> id_for(Timestamp time, std::uint64_t hash) const;

    /// Whether a sample there would come before what can still be judged.
    bool is_too_old(Timestamp time, std::uint64_t id) const { return trimmed_ && index_of({time, id}) < frozen(); }

    /// Another definition from `from` on. A new version only if it judges otherwise; it keeps the limits if chart and unit stay and none are given.
    void redefine(Characteristic definition, Timestamp from, Listener& listener);
    /// Errors: `sample_exists`, `too_old`, those of check_sample.
    Result<void> add(SpcSample sample, Listener& listener);
    /// A part that is absent stays. Errors: `unknown_sample`, `too_old`, `sample_exists` never, those of check_sample.
    struct Correction {
        std::optional<Timestamp> time{};
        std::optional<std::vector<double>> values{};
        std::optional<double> size{}, nominal{}, part_sigma{};
        std::optional<bool> excluded{};
    };
    Result<void> correct(std::uint64_t sample_id, const Correction& correction, Listener& listener);
    /// A new version with these limits.
    Result<void> set_limits(const analytics::ControlLimits& limits, Timestamp from, std::string origin, Listener& listener);

    /// Samples of a stretch of time [from, to), excluded ones left out. Errors: those of analytics::estimate.
    struct Estimate {
        analytics::PhaseOne phase1;
        std::vector<std::uint64_t> samples, excluded;  ///< ids
    };
    /// `origin` of limits that were estimated.
    static std::string origin_of(const Estimate& found);
    Result<Estimate> estimate(Timestamp from, Timestamp to, const analytics::PhaseOneOptions& options, std::size_t samples_max = SIZE_MAX) const;
    /// Of the readings in [from, to). Errors: those of analytics::capability; `counts_have_no_capability`.
    Result<analytics::Capability> capability(Timestamp from, Timestamp to) const;
    /// Running: over all samples since the unit or the chart last changed.
    Result<analytics::Capability> capability() const;

    /// Errors: `unknown_violation`, `already_acknowledged`.
    Result<const SpcViolation*> acknowledge(std::uint64_t violation, SpcAcknowledgement ack);

    // State, as it stands in the log: spc_state.cc.
    void save(std::vector<std::pair<std::string, std::optional<std::string>>>& puts);
    /// Takes back what `save` gave, all keys of one characteristic without their prefix; then `judge_restored`.
    Result<void> restore(std::string_view key, std::string_view bytes);
    Result<void> judge_restored();

private:
    struct Pen;  // what evaluates at one place: charts and rules of a version
    using Place = std::pair<Timestamp, std::uint64_t>;
    static Place place_of(const SpcRecord& r) { return {r.sample.time, r.sample.id}; }

    std::uint32_t version_at(Timestamp t) const;
    std::size_t index_of(Place place) const;
    Result<void> check(const SpcSample& sample) const;
    std::size_t frozen() const { return trimmed_ ? std::min(context, records_.size()) : 0; }
    std::uint32_t new_block(std::size_t values);
    void touch(const SpcRecord& record);
    void touch_violation(const SpcViolation& violation);
    const Pen& fresh(std::uint32_t version);
    void put(SpcSample sample, std::uint32_t revision, std::vector<std::uint64_t> violations, std::size_t also_from, Listener& listener);
    /// Judges from `from` on, at least until `until`. With `listener` null nothing is told: a restore.
    void judge(std::size_t from, std::size_t until, Listener* listener);
    void violations_at(std::size_t i, Pen& pen, Listener* listener);
    /// The samples of a pattern with what judged them, as JSON.
    std::string pattern_of(const Pen& pen, std::size_t chart, analytics::RuleId rule) const;
    void withdraw(std::uint64_t id, Listener& listener);
    void forget(const SpcRecord& record);
    void try_phase_one(Listener& listener);
    void trim(Listener& listener);
    void add_version(SpcVersion version, Listener& listener);

    Characteristic definition_;
    std::size_t history_;
    const analytics::ConstantsTable* table_;
    std::vector<SpcVersion> versions_;
    std::vector<SpcRecord> records_;
    std::map<std::uint64_t, Timestamp> times_;  ///< of samples, by id
    std::map<std::uint64_t, SpcViolation> violations_;
    std::size_t phase_one_next_ = 0;            ///< samples at which phase I is tried (again)
    bool trimmed_ = false;
    std::optional<SpcRecord> before_;           ///< the last sample that was trimmed: EWMA, CUSUM and moving range go on from it
    std::unique_ptr<Pen> pen_;                  ///< behind the last record, if it is known
    std::map<std::uint32_t, std::unique_ptr<Pen>> fresh_;  ///< of versions that were needed: to be copied, as making one is dearer

    std::uint32_t last_block_ = 0;
    struct Block {
        std::size_t samples = 0, values = 0;
        std::size_t bytes() const { return samples * 60 + values * 8; }
    };
    Block last_block_size_;  ///< with what was in it and has moved
    std::map<std::uint32_t, Block> blocks_;
    std::size_t values_ = 0;  ///< of all records
    std::size_t* unsaved_bytes_;
    std::set<std::uint32_t> dirty_;
    std::set<std::uint64_t> dirty_violations_;
    bool dirty_definition_ = true;
};

/// 53 bits of a hash, never 0.
std::uint64_t spc_hash(std::initializer_list<std::string_view> parts);

}  // namespace weir
