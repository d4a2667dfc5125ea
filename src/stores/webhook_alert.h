#pragma once
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

/// An alert in the words of Prometheus' Alertmanager: one of those that it sends to its webhook receivers (version "4",
/// https://prometheus.io/docs/alerting/latest/configuration/#webhook_config; docs/webhooks.md).
struct WebhookAlert {
    std::string id;    ///< of one episode: the fingerprint
    std::string rule;  ///< alertname, and what alerts are grouped by
    bool firing = false;
    std::map<std::string, std::string> labels, annotations;
    std::string starts, ends;  ///< RFC 3339; ends is year 1 while it fires
};

/// Whether an event of a stream of alerts is for a receiver. Who shelved an alert is not told of it; but who was told that it fires
/// is told its end, shelved or not.
enum class AlertNews : std::uint8_t { none, firing, resolved, resolved_while_shelved };

struct ReadAlert {
    WebhookAlert alert;
    AlertNews news = AlertNews::none;
};
/// `data`: of an event `alert`. Error `bad_alert` with the member that is missing or wrong.
Result<ReadAlert> read_alert(std::string_view data);

/// One member of `alerts`.
std::string alert_json(const WebhookAlert& alert);
/// What stands before and behind the members of `alerts` in the body that tells these, which are of one rule, to `receiver`.
struct AlertEnvelope {
    std::string before, behind;
};
AlertEnvelope alert_envelope(const std::string& receiver, std::span<const WebhookAlert* const> alerts);

}  // namespace weir
