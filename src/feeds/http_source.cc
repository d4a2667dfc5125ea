#include "feeds/http_source.h"

namespace weir {

struct HttpSource::Life {
    HttpSource* source;
};

HttpSource::HttpSource(net::Reactor& reactor, net::HttpClient& http, SourceOptions options, Backoff::Options backoff, std::uint64_t seed, Read read)
    : reactor_(reactor), http_(http), options_(std::move(options)), backoff_(backoff, seed), read_(std::move(read)), timer_(reactor, [this] { poll(); }) {}

HttpSource::~HttpSource() { stop(); }

void HttpSource::start(SourceListener& listener) {
    listener_ = &listener;
    health_.state = Health::State::connecting;
    started_ = reactor_.clock().monotonic();
    not_before_ = started_;
    if (options_.schedule)
        plan();
    else
        poll();
}

void HttpSource::stop() {
    listener_ = nullptr;
    timer_.cancel();
    if (life_) life_->source = nullptr;
    life_.reset();
    in_flight_ = false;
    health_.state = Health::State::idle;
    health_.next_try.reset();
}

void HttpSource::give_up(const Error& why) {
    if (!listener_) return;
    if (life_) life_->source = nullptr;
    life_.reset();
    in_flight_ = false;
    failed(why, std::nullopt);
}

Duration HttpSource::spacing() const {
    if (!options_.schedule) return options_.interval;
    const Timestamp next = options_.schedule->next(reactor_.clock().now());
    return options_.schedule->next(next) - next;
}

/// Sets the timer for the next place on the grid.
void HttpSource::plan() {
    const Duration now = reactor_.clock().monotonic();
    Duration wait{0};
    if (options_.schedule) {
        const Timestamp wall = reactor_.clock().now();
        wait = options_.schedule->next(wall + std::max(Duration(0), not_before_ - now)) - wall;
    } else {
        const auto interval = options_.interval.count();
        const auto from = std::max(now, not_before_);
        const auto steps = (from - started_).count() / interval + 1;
        wait = started_ + Duration(steps * interval) - now;
        // A wait that ends exactly on the grid is over there.
        if (not_before_ > now && (not_before_ - started_).count() % interval == 0) wait = not_before_ - now;
    }
    health_.next_try = reactor_.clock().now() + wait;
    timer_.start(wait);
}

void HttpSource::poll() {
    if (!listener_) return;
    plan();
    if (in_flight_ || paused_) return;
    in_flight_ = true;
    net::HttpClientRequest request;
    request.url = options_.url;
    for (const auto& [name, value] : options_.headers) request.headers.emplace_back(name, value.reveal());
    if (!options_.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + options_.token.reveal());
    if (!etag_.empty()) request.headers.emplace_back("If-None-Match", etag_);
    if (!last_modified_.empty()) request.headers.emplace_back("If-Modified-Since", last_modified_);
    request.timeout = options_.timeout;
    request.body_bytes_max = options_.message_bytes;
    request.tls_verify = options_.tls_verify;
    request.tls_ca_file = options_.tls_ca_file;
    life_ = std::make_shared<Life>(Life{this});
    http_.start(std::move(request), reactor_, [life = life_](Result<net::HttpClientResponse> answer) {
        if (life->source) life->source->answered(std::move(answer));
    });
}

void HttpSource::answered(Result<net::HttpClientResponse> answer) {
    in_flight_ = false;
    life_.reset();
    if (!answer.ok()) return failed(answer.error(), std::nullopt);
    const bool unchanged = answer->status == 304;
    if (answer->status != 200 && !unchanged) {
        const auto wait = net::retry_after(*answer, reactor_.clock().now());
        return failed({answer->status == 429 ? "rate_limited" : "bad_status", shown() + " answered with status " + std::to_string(answer->status) +
                                                                                   (wait ? ", asking to wait " + to_text(*wait) : "")},
                      wait);
    }
    Result<std::string> message = std::string();
    if (!unchanged) {
        etag_ = answer->header("etag").value_or("");
        last_modified_ = answer->header("last-modified").value_or("");
        message = read_ ? read_(std::move(answer->body)) : std::move(answer->body);
        if (!message.ok()) return failed(message.error(), std::nullopt);
    }
    const Duration now = reactor_.clock().monotonic();
    if (health_.state != Health::State::connected) {
        health_.state = Health::State::connected;
        ++health_.connections;
        healthy_since_ = now;
        listener_->on_connected(*this);
        if (!listener_) return;
    }
    backoff_.was_healthy_for(now - healthy_since_);
    if (unchanged)
        listener_->on_alive(*this);
    else
        listener_->on_message(*this, *message, reactor_.clock().now());
}

void HttpSource::failed(const Error& error, std::optional<Duration> wait_at_least) {
    ++health_.failures;
    health_.last_error = error.message;
    health_.state = Health::State::waiting;
    const Duration wait = std::max(backoff_.failed(), wait_at_least.value_or(Duration(0)));
    not_before_ = reactor_.clock().monotonic() + wait;
    plan();
    listener_->on_failed(*this, error);
}

}  // namespace weir
