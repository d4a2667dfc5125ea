#pragma once
#include <string>
#include <vector>

#include "gateway/http/answer.h"
#include "gateway/hub.h"
#include "net/http_server.h"

namespace weir {

/// The gateway's own numbers in the Prometheus text format: sums over the reactors, each taken between two of its turns, so that for each
/// stream matched = delivered + merged + dropped + queued in every scrape (D14, decision 23).
void append_gateway_metrics(std::string& out, const std::vector<HubCounts>& all, const net::ServerStatistics& server);

/// The data of an event of the stream `metrics`: the same numbers in short (decisions.md 21).
std::string metrics_event(const std::vector<HubCounts>& all, Duration uptime);

/// Source 004's statistics (S4-29) and more.
HttpAnswer stats_answer(const std::vector<HubCounts>& all, const GatewayOptions& options, const net::ServerStatistics& server);

}  // namespace weir
