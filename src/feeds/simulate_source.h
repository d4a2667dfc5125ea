#pragma once
#include <memory>

#include "feeds/generators.h"
#include "feeds/source.h"
#include "net/reactor.h"

namespace weir {

/// A source that makes its messages up, one each `interval` at a fixed rate. What it sends says that it is simulated.
class SimulateSource final : public Source {
public:
    SimulateSource(net::Reactor& reactor, SourceOptions options)
        : reactor_(reactor), options_(std::move(options)), timer_(reactor, [this] { send(); }) {}

    void start(SourceListener& listener) override {
        listener_ = &listener;
        generator_ = MessageGenerator::make(options_);
        started_ = reactor_.clock().monotonic();
        sent_ = 0;
        timer_.start(Duration(0));
    }
    void stop() override {
        listener_ = nullptr;
        timer_.cancel();
        health_.state = Health::State::idle;
    }
    void give_up(const Error&) override {}
    void pause() override { paused_ = true; }
    void resume() override { paused_ = false; }
    SourceKind kind() const override { return SourceKind::simulate; }
    Duration spacing() const override { return options_.interval; }
    std::string shown() const override { return "simulated"; }

private:
    void send() {
        if (!listener_) return;
        const Duration now = reactor_.clock().monotonic();
        if (health_.state != Health::State::connected) {
            health_.state = Health::State::connected;
            ++health_.connections;
            listener_->on_connected(*this);
        }
        if (listener_ && !paused_) listener_->on_message(*this, generator_->message(reactor_.clock().now()), reactor_.clock().now());
        // The grid stands; what was missed (a stopped machine) is not made up for.
        sent_ = std::max(sent_ + 1, (now - started_).count() / options_.interval.count() + 1);
        timer_.start(started_ + Duration(sent_ * options_.interval.count()) - now);
    }

    net::Reactor& reactor_;
    const SourceOptions options_;
    SourceListener* listener_ = nullptr;
    std::unique_ptr<MessageGenerator> generator_;
    net::Timer timer_;
    Duration started_{0};
    std::int64_t sent_ = 0;
    bool paused_ = false;
};

}  // namespace weir
