#pragma once
#include <functional>
#include <memory>

#include "base/backoff.h"
#include "feeds/source.h"
#include "net/http_client.h"
#include "net/reactor.h"

namespace weir {

/// A JSON API that is asked again and again, or a page with a number in it (see html_source.h).
///
/// - At a fixed rate (C-19): polls stand on a grid of `interval` from the start, or on the schedule, however long an answer takes;
///   a poll that would overlap the one before is left out. So one request is in flight at most.
/// - ETag and Last-Modified of the last answer come back as If-None-Match and If-Modified-Since; 304 is a sign of life without a reading.
/// - A failed poll (no answer, another status than 200 or 304) is reported, and the next one waits at least as long as the backoff;
///   429 and 503 with Retry-After at least as long as that says (S2-R5).
class HttpSource final : public Source {
public:
    /// Makes the message out of an answer's body; identity for JSON.
    using Read = std::function<Result<std::string>(std::string body)>;
    HttpSource(net::Reactor& reactor, net::HttpClient& http, SourceOptions options, Backoff::Options backoff, std::uint64_t seed, Read read = nullptr);
    ~HttpSource() override;

    void start(SourceListener& listener) override;
    void stop() override;
    void give_up(const Error& why) override;
    void pause() override { paused_ = true; }
    void resume() override { paused_ = false; }
    SourceKind kind() const override { return options_.kind; }
    Duration spacing() const override;
    bool is_polled() const override { return true; }
    std::string shown() const override { return net::shown_url(options_.url); }

private:
    struct Life;
    void plan();
    void poll();
    void answered(Result<net::HttpClientResponse> answer);
    void failed(const Error& error, std::optional<Duration> wait_at_least);

    net::Reactor& reactor_;
    net::HttpClient& http_;
    const SourceOptions options_;
    Backoff backoff_;
    const Read read_;
    SourceListener* listener_ = nullptr;
    net::Timer timer_;
    std::shared_ptr<Life> life_;  ///< of the request in flight; an answer to an earlier one is dropped
    Duration started_{0}, not_before_{0}, healthy_since_{0};
    std::string etag_, last_modified_;
    bool in_flight_ = false, paused_ = false;
};

}  // namespace weir
