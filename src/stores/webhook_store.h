#pragma once
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/store_options.h"
#include "stores/object_service.h"
#include "stores/store_worker.h"
#include "stores/webhook_request.h"

namespace weir {

/// Events to a URL: each request is a POST of some of them, as events or as Alertmanager's alerts (docs/webhooks.md).
///
/// **At least once, in order.** A request is sent when the one before has been answered with 2xx; then the position goes on to the last commit
/// that is all sent. A kill in between sends again what was sent since the position: the same events, perhaps cut into other requests.
/// Within one process nothing that was taken is sent again.
///
/// **What is not taken is sent again**, after the backoff and what Retry-After asks for (an hour at most): no answer, 429, 5xx, redirects, and what tells of a
/// wrong address or token (401, 403, 404, ...), for as long as it takes. Only 400, 413 and 422 tell of the content: a request with several events is
/// halved until the one is found that is not taken; that is tried `refusals_max` times, and then goes to the stream `_dead/<store>`.
///
/// **Alerts that were told** are remembered in the log with the position, by id, until they are told to be over: so that the end of one that is shelved
/// is told to whoever was told its beginning, and to nobody else. At most `told_max`; beyond it each end is told.
///
/// Thread: StoreWorker's. Memory: some two requests' texts. Kill points: `store.before_request`, `store.after_request`, and those of StoreWorker.
class WebhookStore final : public StoreWorker {
public:
    static constexpr int refusals_max = 5;
    static constexpr std::size_t request_bytes_max = 1u << 20, told_max = 10'000;
    static constexpr Duration retry_after_max = 1h;  ///< to be given to HttpTransport

    struct Setup {
        std::string name;
        StoreOptions options;
        std::string version;  ///< in User-Agent
    };
    WebhookStore(Setup setup, std::unique_ptr<ServiceTransport> transport, const Surroundings& around);
    ~WebhookStore() override;

private:
    Result<bool> step() override;
    void ending(Duration within) override { transport_->end_within(within); }
    void show(JsonWriter& json) const override;
    std::string_view kind() const override { return "webhook"; }

    Result<void> load_told();
    void plan(Next next);
    std::vector<WebhookRequest> plan_alerts(const Next& next, const WebhookLimits& limits);
    Result<void> deliver();
    Result<void> keep_position();
    net::HttpClientRequest post_of(const WebhookRequest& request, std::string body) const;
    void taken(const WebhookRequest& request);
    Result<void> refused(const net::HttpClientResponse& answer, std::size_t body_bytes);
    Result<void> set_aside(const WebhookRequest& request, const std::string& reason);
    Error error_of(const net::HttpClientResponse& answer) const;
    std::string excerpt_of(const net::HttpClientResponse& answer) const;
    Error without_path(Error error) const;

    Setup setup_;
    std::string peer_;  ///< scheme, host and port of the url: what is shown of it
    std::unique_ptr<ServiceTransport> transport_;
    std::vector<BatchPtr> batches_;          ///< that are being worked on
    std::deque<WebhookRequest> requests_;    ///< made of them, to be sent one after the other
    std::optional<CommitNo> due_;            ///< sent up to here: the position to be committed next
    std::size_t read_events_;                ///< of the next reading, at most
    std::size_t bytes_max_ = request_bytes_max;  ///< less where the peer has said that it takes no more
    bool told_loaded_ = false;
    std::set<std::string> told_;             ///< ids of alerts that the peer knows to be firing
    std::map<std::string, bool> told_news_;  ///< since the position: true where one was added
    std::string last_dead_;
    Metrics::Counter &posts_, &sent_, &dead_, &bad_;
    Metrics::Histogram& seconds_;
    diag::RateLimiter dead_warnings_{60'000'000}, bad_warnings_{60'000'000};
};

}  // namespace weir
