#include "feeds/replay_source.h"

namespace weir {

ReplaySource::ReplaySource(net::Reactor& reactor, SourceOptions options, Pace pace)
    : reactor_(reactor), options_(std::move(options)), pace_(pace), timer_(reactor, [this] { play(); }) {}

void ReplaySource::start(SourceListener& listener) {
    listener_ = &listener;
    have_record_ = false;
    first_.reset();
    last_.reset();
    moved_ = Duration(0);
    records_ = rounds_ = 0;
    auto opened = Recording::open(options_.file);
    if (!opened.ok()) {
        // Reported from the next turn, like every other failure; tried again, since the file may be on its way.
        health_.last_error = opened.error().message;
        ++health_.failures;
        health_.state = Health::State::waiting;
        recording_.reset();
        timer_.start(Duration(0));
        return;
    }
    recording_ = std::move(*opened);
    health_.state = Health::State::connected;
    ++health_.connections;
    timer_.start(Duration(0));
}

void ReplaySource::stop() {
    listener_ = nullptr;
    timer_.cancel();
    recording_.reset();
    health_.state = Health::State::idle;
}

void ReplaySource::resume() {
    paused_ = false;
    if (listener_ && recording_ && health_.state == Health::State::connected) timer_.start(Duration(0));
}

/// The next record into `record_`, repeats included; false at the very end. Error: the rest of the file cannot be read.
Result<bool> ReplaySource::fetch() {
    while (!have_record_) {
        auto more = recording_->next(record_);
        if (!more.ok()) {
            ++health_.failures;
            health_.last_error = more.error().message;
            if (more.error().code != "bad_recording") return std::move(more).error();
            continue;
        }
        if (*more) {
            ++records_;
            record_.at = record_.at + moved_;
            record_.time = record_.time + moved_;
            record_.ingested = record_.ingested + moved_;
            have_record_ = true;
            // A recording is in order of arrival; what stands earlier than what was played comes at the same moment as that.
            if (last_) record_.at = std::max(record_.at, *last_);
            return true;
        }
        if (!options_.repeat || records_ == 0 || !first_) return false;
        WEIR_CHECK_OK(recording_->rewind());
        const Duration spacing = records_ > 1 ? (*last_ - *first_) / static_cast<std::int64_t>(records_ - 1) : Duration(1s);
        moved_ += (*last_ - (*first_ + moved_)) + std::max<Duration>(spacing, 1ms);
        records_ = 0;
        ++rounds_;
    }
    return true;
}

/// The monotonic moment at which something recorded is to be handed over.
Duration ReplaySource::due(Timestamp recorded) const {
    if (options_.speed <= 0) return started_;
    return started_ + Duration(std::llround(static_cast<double>((recorded - *first_).count()) / options_.speed));
}

void ReplaySource::play() {
    if (!listener_) return;
    if (!recording_) {
        const Error error{"bad_recording", health_.last_error};
        listener_->on_failed(*this, error);
        if (listener_) timer_.start(10s);
        if (auto opened = Recording::open(options_.file); opened.ok()) {
            recording_ = std::move(*opened);
            health_.state = Health::State::connected;
            ++health_.connections;
            timer_.start(Duration(0));
        }
        return;
    }
    for (std::size_t handed = 0; handed < pace_.records_per_turn; ++handed) {
        if (paused_ || !listener_) return;
        const auto failures = health_.failures;
        const Result<bool> more = fetch();
        if (health_.failures > failures) {
            const Error error{"bad_recording", health_.last_error};
            listener_->on_failed(*this, error);
            if (!listener_) return;
        }
        if (!more.ok() || !*more) {
            health_.state = Health::State::idle;
            listener_->on_finished(*this, more.ok() ? ok() : Result<void>(more.error()));
            return;
        }
        const Duration now = reactor_.clock().monotonic();
        if (!first_) {
            first_ = record_.at;
            started_ = now;
            ticked_ = record_.at.floor_to(pace_.tick_grid);
            listener_->on_connected(*this);
            if (!listener_) return;
        }
        const Timestamp tick = ticked_ + pace_.tick_grid;
        const bool tick_first = tick < record_.at;
        const Timestamp next = tick_first ? tick : record_.at;
        if (const Duration wait = due(next) - now; wait > Duration(0)) {
            timer_.start(wait);
            return;
        }
        if (tick_first) {
            ticked_ = tick;
            // A message within the last step of the grid bore the time already.
            if (!last_ || tick - *last_ >= pace_.tick_grid) listener_->on_time(*this, tick);
            continue;
        }
        have_record_ = false;
        last_ = record_.at;
        if (record_.is_event) {
            EventView event;
            event.id = record_.id;
            event.type = record_.type;
            event.key = record_.key;
            event.source = record_.source;
            event.data = record_.message;
            event.time = record_.time;
            event.ingested = record_.ingested;
            listener_->on_event(*this, event);
        } else {
            listener_->on_message(*this, record_.message, record_.at);
        }
    }
    timer_.start(Duration(0));
}

}  // namespace weir
