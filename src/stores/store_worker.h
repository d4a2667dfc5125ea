#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/mailbox.h"
#include "base/metrics.h"
#include "base/status_board.h"
#include "event/json.h"
#include "log/log.h"

namespace weir {

/// What every store is: one thread that reads streams in commit order, hands them on, and remembers how far it is. A kind of store
/// says what one step is and what it shows; when to take a step, when to try again and when to end is decided here.
///
///     class WebhookStore final : public StoreWorker { Result<void> open() override; Result<bool> step() override; ... };
///
/// When a step fails it is taken again after `backoff_first` to `backoff_cap`, with jitter, on the monotonic clock; nothing is skipped.
/// Retention waits for the store's position, up to a stream's hard size; beyond that it goes on with what is kept, and says so.
///
/// Thread: `start` makes one; without it the owner calls `poll`. A derived class calls `stop` in its destructor: the thread uses it.
class StoreWorker {
public:
    /// What the stores of one weir share.
    struct Surroundings {
        Log& log;
        const Clock& clock;
        Metrics& metrics;
        StatusBoard& status;
        std::uint64_t seed = 0;  ///< of the backoff's jitter
    };
    /// How a kind of store works.
    struct Manner {
        std::string_view unit;      ///< what it is behind by, in words: `window events`
        Backoff::Options backoff;
        Duration spacing = 50ms;    ///< least time between two looks: a busy log commits hundreds of times a second
    };
    virtual ~StoreWorker() = default;
    StoreWorker(const StoreWorker&) = delete;
    StoreWorker& operator=(const StoreWorker&) = delete;

    /// Reads the position. A new store begins with the oldest event that is kept.
    Result<void> prepare();
    /// Takes steps until there is nothing to do. Returns when to call again if nothing is committed before.
    std::optional<Timestamp> poll();
    Result<void> start();
    /// Works off what the log holds by now, for at most 5 s, then ends the thread. Idempotent.
    void stop();

    /// Whether the log's position of it covers all that its streams hold. Thread: any.
    bool caught_up() const;
    const std::string& name() const { return name_; }
    CommitNo position() const { return position_; }
    bool is_stopping() const { return ending_.closed(); }

protected:
    /// `streams`: what it reads; none: all but weir's own.
    StoreWorker(std::string name, const Manner& manner, std::vector<StreamName> streams, const Surroundings& around);

    /// Streams whose retention waits for this store; called by `prepare`.
    virtual std::vector<StreamName> held() const;
    /// Takes one step; false when there was nothing to do. What it did is durable when it returns true.
    virtual Result<bool> step() = 0;
    /// `stop` was called: from now on nothing may take longer than `within`, also what is under way. Called on the thread that stops.
    virtual void ending(Duration) {}
    /// Called on the worker's thread before it ends.
    virtual void ended() {}
    /// What this kind shows of itself, as members of an open object.
    virtual void show(JsonWriter& json) const = 0;
    virtual std::string_view kind() const = 0;

    /// Batches behind the position.
    struct Next {
        std::vector<BatchPtr> batches;
        CommitNo upto;  ///< the position when they are done; the old one when there is nothing
    };
    /// Whether all that retention has removed of a stream was written before, though it lies behind the position; unset: it was not.
    using WasWritten = std::function<bool(const StreamInfo&)>;
    /// At most `events_max` events (but whole commits), in commit order. What retention has removed is told once, and what is left follows.
    Result<Next> read_next(CommitNo after, std::size_t events_max, const WasWritten& was_written = {});
    /// To be called with what was read before it is worked on and when it is done: so that `behind` is right.
    void note_begun(const std::vector<BatchPtr>& batches);
    void note_done(const std::vector<BatchPtr>& batches);
    /// Nothing is left to read: everything up to these heads, taken before the reading, is done.
    std::map<StreamName, Seq> heads() const;
    void note_idle(std::map<StreamName, Seq> heads) { done_ = std::move(heads); }
    /// Commits the position to the log: what retention waits for. `state`: changed keys of what the store has to remember, in the same commit.
    Result<void> commit_position(CommitNo upto, std::vector<StatePut> state = {});
    /// For a store of all streams: retention of those that came since waits for it, too.
    void hold_new_streams();

    /// Retention was faster than the store: counts it, and says so.
    void lost();
    void lost(const std::string& what, diag::RateLimiter& warnings);
    std::uint64_t behind();
    /// Stopping, and the time for what is left to do is over. The worker's.
    bool is_over();
    void post_status(std::string_view state);
    /// Whether a stream's events are for this store.
    bool reads(const StreamName& stream) const;
    std::string label() const { return "store " + name_; }

    const std::string name_, reader_;
    Log& log_;
    const Clock& clock_;
    StatusBoard& status_;
    std::vector<StreamName> streams_;
    CommitNo position_{};
    CommitNo logged_{};   ///< the position that the log has
    bool fresh_ = false;  ///< there is no position yet
    std::string last_error_;
    diag::RateLimiter warnings_{60'000'000};

private:
    void tell_holes(const std::vector<StreamInfo>& holes, const WasWritten& was_written);
    void note_waiting();
    void failed(const Error& error);
    void loop();

    const std::string unit_;
    const Duration spacing_;
    std::vector<StreamName> holding_;
    std::map<StreamName, CommitNo> told_;  ///< up to here it has been told what retention removed
    std::map<StreamName, Seq> done_;  ///< worked off up to here, as far as this process knows
    Backoff backoff_;
    std::optional<Duration> retry_at_;  ///< monotonic
    Metrics::Counter &failures_, &gaps_;
    Metrics::Gauge& behind_;
    std::shared_ptr<Mailbox<CommitNo>> wakes_;
    std::unique_ptr<Log::Wake> wake_;
    Mailbox<char> ending_{1};  ///< closed by `stop`
    std::optional<Duration> stop_by_;  ///< monotonic
    std::thread thread_;
};

}  // namespace weir
