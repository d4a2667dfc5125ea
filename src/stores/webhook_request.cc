#include "stores/webhook_request.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "event/event_json.h"
#include "net/digest.h"

namespace weir {
namespace {

CommitNo commit_of(const WebhookItem& item) { return item.batch->commit; }

/// Cuts a list of events into requests within the limits; none has a position yet.
std::vector<WebhookRequest> cut(std::vector<WebhookItem> items, const WebhookLimits& limits) {
    std::vector<WebhookRequest> requests;
    std::size_t bytes = 0;
    for (WebhookItem& item : items) {
        const std::size_t more = item.json.size() + 1;
        if (requests.empty() || requests.back().items.size() >= limits.events_max || bytes + more > limits.bytes_max) {
            requests.emplace_back();
            bytes = 0;
        }
        bytes += more;
        requests.back().items.push_back(std::move(item));
    }
    return requests;
}

}  // namespace

std::vector<WebhookRequest> event_requests(const std::vector<BatchPtr>& batches, CommitNo upto, const std::function<bool(const StreamName&)>& reads, const WebhookLimits& limits) {
    std::vector<WebhookItem> items;
    for (const BatchPtr& batch : batches) {
        if (!reads(batch->stream)) continue;
        const std::string epoch = to_text(batch->epoch);
        for (std::size_t i = 0; i < batch->events.size(); ++i) {
            WebhookItem item{batch, i, {}, {}};
            JsonWriter json(item.json);
            json.object().member("stream", batch->stream).member("epoch", epoch);
            write_event_members(json, batch->seq_of(i), batch->events[i]);
            json.end();
            items.push_back(std::move(item));
        }
    }
    auto requests = cut(std::move(items), limits);
    for (std::size_t r = 0; r + 1 < requests.size(); ++r) {
        // A commit may go on in the next request: done is what lies before that.
        const CommitNo next = commit_of(requests[r + 1].items.front());
        for (const WebhookItem& item : requests[r].items)
            if (commit_of(item) < next) requests[r].upto = commit_of(item);
    }
    if (!requests.empty()) requests.back().upto = upto;
    return requests;
}

std::vector<WebhookRequest> alert_requests(const std::vector<BatchPtr>& batches, CommitNo upto, const std::function<bool(const StreamName&)>& reads, const WebhookLimits& limits,
                                           const std::function<bool(const std::string& id)>& was_told, const std::function<void(const Batch&, std::size_t event, const Error&)>& bad) {
    std::vector<std::pair<std::string, std::vector<WebhookItem>>> rules;
    std::set<std::string> rings;  // told by these requests
    const auto add = [&](WebhookItem item) {
        auto rule = std::find_if(rules.begin(), rules.end(), [&](const auto& known) { return known.first == item.alert->rule; });
        if (rule == rules.end()) rule = rules.insert(rules.end(), {item.alert->rule, {}});
        std::erase_if(rule->second, [&](const WebhookItem& older) { return older.alert->id == item.alert->id; });
        rule->second.push_back(std::move(item));
    };
    for (const BatchPtr& batch : batches) {
        if (!reads(batch->stream)) continue;
        for (std::size_t i = 0; i < batch->events.size(); ++i) {
            auto read = read_alert(batch->events[i].data);
            if (!read.ok()) {
                bad(*batch, i, read.error());
                continue;
            }
            const std::string& id = read->alert.id;
            if (read->news == AlertNews::none) continue;
            if (read->news == AlertNews::resolved_while_shelved && !rings.contains(id) && !was_told(id)) continue;
            if (read->news == AlertNews::firing) rings.insert(id);
            WebhookItem item{batch, i, alert_json(read->alert), {}};
            item.alert = std::move(read->alert);
            add(std::move(item));
        }
    }
    std::vector<WebhookRequest> requests;
    for (auto& [rule, items] : rules) {
        auto cut_rule = cut(std::move(items), limits);
        requests.insert(requests.end(), std::make_move_iterator(cut_rule.begin()), std::make_move_iterator(cut_rule.end()));
    }
    if (!requests.empty()) requests.back().upto = upto;
    return requests;
}

std::pair<WebhookRequest, WebhookRequest> halves(WebhookRequest request) {
    WebhookRequest first;
    const auto middle = request.items.begin() + static_cast<std::ptrdiff_t>(request.items.size() / 2);
    first.items.assign(std::make_move_iterator(request.items.begin()), std::make_move_iterator(middle));
    request.items.erase(request.items.begin(), middle);
    request.refusals = 0;
    return {std::move(first), std::move(request)};
}

std::string webhook_body(const WebhookRequest& request, const std::string& receiver) {
    AlertEnvelope envelope{"{\"events\":[", "]}"};
    if (request.items.front().alert) {
        std::vector<const WebhookAlert*> alerts;
        for (const WebhookItem& item : request.items) alerts.push_back(&*item.alert);
        envelope = alert_envelope(receiver, alerts);
    }
    std::string body = std::move(envelope.before);
    for (const WebhookItem& item : request.items) {
        if (&item != &request.items.front()) body += ',';
        body += item.json;
    }
    return body + envelope.behind;
}

std::string idempotency_key(const WebhookRequest& request) {
    std::string text;
    for (const WebhookItem& item : request.items)
        text += item.batch->stream + " " + to_text(item.batch->epoch) + " " + std::to_string(item.batch->seq_of(item.event).value) + "\n";
    return net::hex(net::sha256(text)).substr(0, 32);
}

}  // namespace weir
