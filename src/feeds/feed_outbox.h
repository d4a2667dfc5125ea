#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/diag.h"
#include "log/log.h"
#include "net/reactor.h"

namespace weir {

/// What a feed has under way to the log: commits in their order, handed over as far as the log takes them, kept until it has answered.
///
/// A commit that failed for the disk's sake, or because another program holds the log's file, is sent again until it succeeds; one that the
/// log refuses for good is dropped, and its owner told. Bound: at `bytes_max` the owner is asked to pause, and at half of it to go on; nothing is lost. Thread: the reactor's.
class FeedOutbox {
public:
    class Owner {
    public:
        virtual void on_appended(const Committed& committed) = 0;
        /// Events that are not going to be in the log.
        virtual void on_dropped(const EventList& events, const Error& error) = 0;
        /// Whether to read on.
        virtual void on_pressure(bool is_full) = 0;
        /// After some were answered.
        virtual void on_answers() = 0;

    protected:
        ~Owner() = default;
    };
    struct Setup {
        std::string feed;  ///< for the diagnostics
        StreamName stream;
        Log* log;
        net::Reactor* reactor;
        /// A reader in the log whose position counts these commits; empty: none (Feed::Setup::progress).
        std::string progress;
        std::uint64_t there_already = 0;  ///< so many commits are there from an earlier run: they are not sent again
        std::size_t bytes_max;
    };
    FeedOutbox(Setup setup, Owner& owner);
    ~FeedOutbox();

    /// `at`: the time that the commit bears; nullopt: the log's own.
    void send(EventList events, Notes notes, std::optional<Timestamp> at);
    /// Looks for answers of the log, which else come by themselves.
    void take_answers();
    /// From here on nothing is tried again: what fails is dropped.
    void stop() { stopping_ = true; }
    bool empty() const { return under_way_.empty(); }
    bool is_full() const { return is_full_; }

private:
    /// The log's answers, from the writer's thread. It outlives the feed as long as the log still owes one.
    struct Answers;
    struct UnderWay {
        std::uint64_t number;
        Commit commit;  ///< kept to be sent again
        std::size_t bytes;
        bool waiting;   ///< not with the log: refused for now, or to be tried again
    };
    void wait(UnderWay& one);
    void count(UnderWay& one) const;
    void hand_over();
    void press_back();
    void drop(const UnderWay& one, const Error& error);
    bool admit_line();

    const Setup setup_;
    Owner& owner_;
    std::deque<UnderWay> under_way_;
    std::size_t bytes_ = 0, waiting_count_ = 0;
    std::uint64_t number_ = 0;
    bool is_full_ = false, stopping_ = false;
    diag::RateLimiter lines_{1'000'000};
    std::shared_ptr<Answers> answers_;
    net::Signal answered_;
    net::Timer retry_timer_;
};

}  // namespace weir
