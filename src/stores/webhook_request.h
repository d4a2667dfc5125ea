#pragma once
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "log/log.h"
#include "stores/webhook_alert.h"

namespace weir {

/// One event on its way, as it will stand in a body.
struct WebhookItem {
    BatchPtr batch;
    std::size_t event = 0;              ///< of the batch
    std::string json;
    std::optional<WebhookAlert> alert;  ///< in format alertmanager
};

/// What is sent at once.
struct WebhookRequest {
    std::vector<WebhookItem> items;  ///< at least one; in format alertmanager all of one rule
    std::optional<CommitNo> upto;    ///< the position when it has been taken, if it ends a commit
    int refusals = 0;                ///< times that the peer has refused this content
};

struct WebhookLimits {
    std::size_t events_max, bytes_max;  ///< of a request; an event that is larger goes alone
};

/// The events of `batches` as `{"stream","epoch","seq","id","type","key","source","time","ingested","data"}`, in their order. `upto` is the position after all of them.
/// `reads` says which streams' events are sent.
std::vector<WebhookRequest> event_requests(const std::vector<BatchPtr>& batches, CommitNo upto, const std::function<bool(const StreamName&)>& reads, const WebhookLimits& limits);

/// The alerts of `batches` that are news, a rule after the other in the order in which they had news; of one alert only the newest. Only the last request has
/// a position: an alert's event may lie before one of a rule that is told first.
///
/// `was_told`: whether the peer knows that this alert fires. `bad`: is called with each event that is no alert.
std::vector<WebhookRequest> alert_requests(const std::vector<BatchPtr>& batches, CommitNo upto, const std::function<bool(const StreamName&)>& reads, const WebhookLimits& limits,
                                           const std::function<bool(const std::string& id)>& was_told, const std::function<void(const Batch&, std::size_t event, const Error&)>& bad);

/// The two halves of a request that has at least two events.
std::pair<WebhookRequest, WebhookRequest> halves(WebhookRequest request);

/// `receiver`: the store's name.
std::string webhook_body(const WebhookRequest& request, const std::string& receiver);
/// The same for the same events of the same log, however often they are sent: 32 hexadecimal digits.
std::string idempotency_key(const WebhookRequest& request);

}  // namespace weir
