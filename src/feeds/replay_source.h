#pragma once
#include <optional>

#include "feeds/recording.h"
#include "feeds/source.h"
#include "net/reactor.h"

namespace weir {

/// A recorded feed, played at its own speed, N times faster, or as fast as it is taken.
///
/// What comes out does not depend on the speed: each message bears the time it had arrived at, and so does the commit (see
/// Feed::Times::recorded). Where the recording is silent, `on_time` tells the moments of a fixed grid (decisions.md 7), so that
/// windows close as they would have. Speed and backpressure only decide when things are handed over.
///
/// With `repeat` it starts again at the end, all times moved on by the length of the recording plus its median spacing.
/// A line that cannot be read is reported as a failure, counted, and left out.
class ReplaySource final : public Source {
public:
    struct Pace {
        Duration tick_grid = 5s;             ///< of recorded time
        std::size_t records_per_turn = 256;  ///< as fast as possible: so many, then the reactor has its turn
    };
    ReplaySource(net::Reactor& reactor, SourceOptions options) : ReplaySource(reactor, std::move(options), Pace{}) {}
    ReplaySource(net::Reactor& reactor, SourceOptions options, Pace pace);

    void start(SourceListener& listener) override;
    void stop() override;
    void give_up(const Error&) override {}  // a recording has no half-open socket
    void pause() override { paused_ = true; }
    void resume() override;
    SourceKind kind() const override { return SourceKind::replay; }
    std::string shown() const override { return options_.file; }

private:
    void play();
    Result<bool> fetch();
    Duration due(Timestamp recorded) const;

    net::Reactor& reactor_;
    const SourceOptions options_;
    const Pace pace_;
    SourceListener* listener_ = nullptr;
    net::Timer timer_;
    std::optional<Recording> recording_;
    Recording::Record record_;
    bool have_record_ = false, paused_ = false;
    std::optional<Timestamp> first_, last_;
    Timestamp ticked_;          ///< the grid's moment that was told last
    Duration moved_{0};         ///< by repeats
    Duration started_{0};       ///< monotonic, when the first record was due
    std::uint64_t records_ = 0, rounds_ = 0;
};

}  // namespace weir
