#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "log/log.h"

namespace weir {

/// Where a processor puts the events that it derives from one input commit.
///
/// Streams come in the order in which they are first named: with one writer that is the order of the processor's own code, so
/// that derived seqs replay. Thread: one owner.
class Output {
public:
    void add(const StreamName& stream, const EventView& event);
    bool empty() const { return event_count_ == 0; }
    std::size_t event_count() const { return event_count_; }
    std::vector<Append> take();

private:
    std::vector<Append> appends_;
    std::size_t event_count_ = 0;
};

/// A moment of the log's clock from which something is due on a stream even if no event comes: a window closes, an alert's
/// silence is over. The runner commits a tick to `stream` then (decisions.md 7).
struct Due {
    Timestamp at;
    StreamName stream;
};

/// A processor's state as it stands in the log: (key, bytes).
using SavedState = std::vector<std::pair<std::string, std::string>>;

/// Reads streams, keeps state, derives events for other streams. Deterministic: the same batches give the same output, down to the
/// byte, however they are grouped into commits of the same times. So it may not ask for time, chance, or anything but its input.
///
/// The runner keeps it alive over crashes: it saves the changed keys of its state now and then, restores them, and shows it the
/// batches since then again.
///
/// Thread: the runner's. Cost: `process` is on the path of every event.
class Processor {
public:
    virtual ~Processor() = default;

    /// Unique and stable over restarts: it is the name of the reader in the log (`window/5min`).
    virtual const std::string& name() const = 0;
    /// Hash of everything in the configuration that changes the output, and of the format of the state. Another one than the
    /// saved state's makes a new version, which starts anew (decisions.md 3).
    virtual std::uint64_t version() const = 0;
    virtual const std::vector<StreamName>& inputs() const = 0;
    virtual const std::vector<StreamName>& outputs() const = 0;

    /// Said before anything is processed: this input is written by another processor. The commit times of such a stream tell how far a
    /// recording had been read by the time the output was written, which is chance; the time of what caused an event is its `ingested`.
    virtual void input_is_derived(const StreamName&) {}

    /// Replaces all state by what `save` once gave; nothing is a new beginning. Error `bad_state` if it cannot be read: the
    /// runner then starts the processor anew and says so.
    virtual Result<void> restore(const SavedState& state) = 0;
    /// One batch of one of the inputs, in commit order, ticks included.
    virtual void process(const Batch& batch, Output& output) = 0;
    /// Keys of the state that changed since the last `save` or `restore`. Keys that begin with `@` are the runner's.
    virtual std::vector<StatePut> save() = 0;
    /// About how much `save` would give, if that can be much: the runner does not let it grow beyond what a commit holds.
    virtual std::size_t unsaved_bytes() const { return 0; }
    /// The next moment that `process` must hear of, nullopt for none. After a tick at or after it, it has moved on.
    virtual std::optional<Due> next_due() const { return std::nullopt; }
};

/// Id of a derived event: 128 bits of a hash of what it is (decisions.md 3), as 32 hexadecimal digits. The parts are kept
/// apart by their lengths, so that ("a", "bc") is not ("ab", "c").
/// Source of the hash: FNV-1a, Fowler, Noll, Vo; http://www.isthe.com/chongo/tech/comp/fnv.
std::string derived_id(std::initializer_list<std::string_view> parts);
/// The same as 64 bits, for versions.
std::uint64_t derived_hash(std::initializer_list<std::string_view> parts);

/// Checks that no processor reads, over any number of steps, what it writes, and that names are unique.
/// Error `stream_cycle`, whose message names the path; `duplicate_processor`.
Result<void> check_streams(const std::vector<const Processor*>& processors);

}  // namespace weir
