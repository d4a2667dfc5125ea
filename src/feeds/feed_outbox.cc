#include "feeds/feed_outbox.h"

#include "base/guarded.h"

namespace weir {
namespace {

constexpr Duration retry_spacing = 1s;
constexpr std::size_t waiting_commits_max = 64;  // small ones: the bound on bytes would let thousands wait

/// Whether the same commit may succeed later: there is room again, or the program that holds the log's file has let it go.
bool passes(const Error& error) { return error.code == "disk_full" || error.code == "io_error" || error.code == "locked"; }

}  // namespace

struct FeedOutbox::Answers {
    struct One {
        std::uint64_t number;
        Result<Committed> result;
    };
    Guarded<std::vector<One>> list;
    Guarded<net::Signal*> signal{nullptr};  ///< null once the feed is gone
};

FeedOutbox::FeedOutbox(Setup setup, Owner& owner)
    : setup_(std::move(setup)),
      owner_(owner),
      answers_(std::make_shared<Answers>()),
      answered_(*setup_.reactor, [this] { take_answers(); }),
      retry_timer_(*setup_.reactor, [this] { hand_over(); }) {
    answers_->signal.with([&](net::Signal*& signal) { signal = &answered_; });
}

FeedOutbox::~FeedOutbox() {
    answers_->signal.with([](net::Signal*& signal) { signal = nullptr; });
}

void FeedOutbox::send(EventList events, Notes notes, std::optional<Timestamp> at) {
    if (++number_ <= setup_.there_already) return;
    UnderWay one{number_, {}, events.text_bytes() + 256, false};
    one.commit.appends.push_back({setup_.stream, std::move(events), std::move(notes)});
    one.commit.at = at;
    count(one);
    bytes_ += one.bytes;
    under_way_.push_back(std::move(one));
    wait(under_way_.back());
    hand_over();
}

/// Its place in the recording: what is sent behind a commit that the log could not write is refused too, and sent again in order.
void FeedOutbox::count(UnderWay& one) const {
    if (setup_.progress.empty()) return;
    one.commit.reader = setup_.progress;
    one.commit.position = CommitNo{one.number};
    one.commit.expected_position = CommitNo{one.number - 1};
}

void FeedOutbox::wait(UnderWay& one) {
    waiting_count_ += !one.waiting;
    one.waiting = true;
}

/// Hands the log what waits, in order, as far as it takes it.
void FeedOutbox::hand_over() {
    // Sought from the end, where what is new waits: before it stand thousands that a recording has with the log.
    std::size_t first = under_way_.size();
    for (std::size_t left = waiting_count_; left > 0;) left -= under_way_[--first].waiting;
    for (; first < under_way_.size(); ++first) {
        UnderWay& one = under_way_[first];
        if (!one.waiting) continue;
        Commit copy = one.commit;
        const bool taken = setup_.log->try_submit(copy, [answers = answers_, number = one.number](Result<Committed> result) {
            answers->list.with([&](auto& list) { list.push_back({number, std::move(result)}); });
            answers->signal.with([](net::Signal* signal) { if (signal) signal->raise(); });
        });
        if (!taken) {
            retry_timer_.start(5ms);
            break;
        }
        one.waiting = false;
        --waiting_count_;
    }
    press_back();
}

void FeedOutbox::press_back() {
    const bool is_waiting = !under_way_.empty() && under_way_.back().waiting;
    if (!is_full_ && (bytes_ > setup_.bytes_max || (is_waiting && under_way_.size() > waiting_commits_max))) {
        is_full_ = true;
        owner_.on_pressure(true);
        if (admit_line()) diag::warn("feed " + setup_.feed + ": the log is behind; reading pauses, nothing is lost");
    } else if (is_full_ && bytes_ <= setup_.bytes_max / 2 && !is_waiting) {
        is_full_ = false;
        owner_.on_pressure(false);
    }
}

void FeedOutbox::take_answers() {
    auto taken = answers_->list.with([](auto& list) { return std::exchange(list, {}); });
    for (auto& answer : taken) {
        const auto one = std::find_if(under_way_.begin(), under_way_.end(), [&](const UnderWay& u) { return u.number == answer.number; });
        if (one == under_way_.end()) continue;
        if (answer.result.ok()) {
            owner_.on_appended(*answer.result);
        } else if (answer.result.error().code == "stale_position" && !stopping_) {
            wait(*one);
            retry_timer_.start(retry_spacing);
            continue;
        } else if (passes(answer.result.error())) {
            wait(*one);
            retry_timer_.start(retry_spacing);
            if (admit_line())
                diag::error("feed " + setup_.feed + ": the log could not write (" + answer.result.error().message + "); tried again in 1s, nothing is lost");
            if (!stopping_) continue;
            drop(*one, answer.result.error());
        } else {
            drop(*one, answer.result.error());
            if (!setup_.progress.empty() && !stopping_ && answer.result.error().code != "closed") {
                // Its place in the count is kept without it.
                one->commit = {};
                count(*one);
                wait(*one);
                retry_timer_.start(Duration(0));
                continue;
            }
        }
        bytes_ -= one->bytes;
        waiting_count_ -= one->waiting;
        under_way_.erase(one);
    }
    press_back();
    owner_.on_answers();
}

void FeedOutbox::drop(const UnderWay& one, const Error& error) {
    if (one.commit.appends.empty()) return;
    owner_.on_dropped(one.commit.appends.front().events, error);
}

bool FeedOutbox::admit_line() { return lines_.admit(setup_.reactor->clock().monotonic().count()); }

}  // namespace weir
