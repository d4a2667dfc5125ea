#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "feeds/source.h"

namespace weir {

/// `live`: the first source delivers. `polled`, `degraded`: another one does, by asking or by being sent. `stale`: connected, but silent for
/// longer than it should. `down`: nothing delivers.
enum class FeedState : std::uint8_t { live, degraded, polled, stale, down };
std::string_view to_text(FeedState state);

/// A feed's sources in order of preference, of which exactly one counts at a time (decisions.md 27).
///
/// - **Takeover.** The first one runs always. When it fails, or is silent for `late_after`, the next is started beside it, and so on; the
///   first that delivers becomes the active one.
/// - **Return.** Better sources go on trying meanwhile. What they send then is counted as standby, not handed on; once
///   one has delivered for `return_after` without a break it becomes the active one again, and worse ones are stopped. If the
///   active one fails meanwhile, a better one that delivers takes over at once.
/// - **Half-open.** A connection that is silent for `dead_after` is given up and made again.
///
/// Moved by its owner: call `check` about four times an expected interval. Thread: the feed's reactor. Time: the given clock's
/// monotonic scale for spans, the wall clock for what is reported.
class SourceChain {
public:
    struct Limits {
        Duration late_after = 30s;  ///< silence after which a pushing source is late: the state becomes `stale`, the next source starts
        Duration dead_after = 60s;  ///< silence after which its connection is given up
        Duration return_after = 60s;
    };
    /// The limits that the options give: with `interval` set, late after 3 of them (D12) or `silence` if that is shorter; with a
    /// learned one, or none known yet (0), `silence` alone where it is set. Dead after `silence`, else 5 intervals, at least 10 s.
    static Limits limits(const FeedOptions& options, Duration learned_interval);

    struct StateChange {
        FeedState state = FeedState::down;
        std::string cause;   ///< as Notes::FeedState names them
        Timestamp since;     ///< the last message's time where silence is the cause
        std::string source;  ///< kind of the active source; empty where there is none
        std::string detail;
    };
    class Observer {
    public:
        virtual void on_connected(std::size_t source) = 0;
        /// Of the active source only.
        virtual void on_message(std::size_t source, std::string_view text, Timestamp at) = 0;
        virtual void on_event(std::size_t source, const EventView& event) = 0;
        virtual void on_standby_message(std::size_t source) = 0;
        virtual void on_failed(std::size_t source, const Error& error) = 0;
        virtual void on_state(const StateChange& change) = 0;
        virtual void on_time(Timestamp now) = 0;
        virtual void on_finished(const Result<void>& end) = 0;

    protected:
        ~Observer() = default;
    };

    SourceChain(const Clock& clock, Limits limits, std::vector<std::unique_ptr<Source>> sources, Observer& observer);
    ~SourceChain();

    void start();
    void stop();
    void check();
    void set_limits(Limits limits) { limits_ = limits; }
    /// Backpressure for all of them; silence does not count meanwhile.
    void pause();
    void resume();

    std::size_t size() const { return entries_.size(); }
    const Source& source(std::size_t i) const;
    /// -1 while none has delivered yet.
    int active() const { return active_; }
    const StateChange& state() const { return state_; }

private:
    struct Entry;
    bool fresh(const Entry& entry) const;
    Duration late_after(const Entry& entry) const;
    Duration dead_after(const Entry& entry) const;
    bool delivered(Entry& entry);
    void activate(std::size_t i);
    void run_what_is_needed();
    void judge();

    const Clock& clock_;
    Limits limits_;
    Observer& observer_;
    std::vector<std::unique_ptr<Entry>> entries_;
    int active_ = -1;
    bool running_ = false, paused_ = false, source_changed_ = false;
    StateChange state_;
};

}  // namespace weir
