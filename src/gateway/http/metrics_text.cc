#include "gateway/http/metrics_text.h"

#include "gateway/auth/authenticator.h"

#include "event/json.h"

namespace weir {
namespace {

HubCounts sum_of(const std::vector<HubCounts>& all) {
    HubCounts sum;
    for (const auto& one : all) {
        sum.sessions += one.sessions;
        sum.sessions_opened += one.sessions_opened;
        sum.subscriptions += one.subscriptions;
        sum.audiences += one.audiences;
        sum.encodes += one.encodes;
        sum.spliced += one.spliced;
        sum.events += one.events;
        sum.messages_in += one.messages_in;
        sum.history_reads += one.history_reads;
        sum.ignored_members += one.ignored_members;
        sum.ring_bytes += one.ring_bytes;
        sum.groups.groups += one.groups.groups;
        sum.groups.members += one.groups.members;
        sum.groups.unacknowledged += one.groups.unacknowledged;
        for (const auto& [name, counts] : one.streams) {
            auto& s = sum.streams[name];
            s.matched += counts.matched;
            s.delivered += counts.delivered;
            s.merged += counts.merged;
            s.queued += counts.queued;
            for (std::size_t i = 0; i < std::size(s.dropped); ++i) s.dropped[i] += counts.dropped[i];
        }
        for (const auto& [code, n] : one.errors) sum.errors[code] += n;
    }
    return sum;
}

class Printer {
public:
    explicit Printer(std::string& out) : out_(out) {}
    void family(const char* name, const char* type, const char* help) {
        name_ = name;
        out_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
    }
    void value(std::uint64_t v, std::initializer_list<std::pair<const char*, std::string_view>> labels = {}) {
        out_ += name_;
        const char* separator = "{";
        for (const auto& [label, text] : labels) {
            out_.append(separator).append(label).append("=\"");
            for (const char c : text) {
                if (c == '"' || c == '\\') out_ += '\\';
                out_ += c;
            }
            out_ += '"';
            separator = ",";
        }
        if (labels.size() > 0) out_ += '}';
        out_.append(" ").append(std::to_string(v)).append("\n");
    }
    void one(const char* name, const char* type, const char* help, std::uint64_t v) {
        family(name, type, help);
        value(v);
    }

private:
    std::string& out_;
    const char* name_ = "";
};

}  // namespace

void append_gateway_metrics(std::string& out, const std::vector<HubCounts>& all, const net::ServerStatistics& server) {
    const HubCounts sum = sum_of(all);
    Printer print(out);
    print.one("weir_gateway_sessions", "gauge", "Open sessions: WebSocket and Server-Sent Events.", sum.sessions);
    print.one("weir_gateway_sessions_total", "counter", "Sessions opened since the start.", sum.sessions_opened);
    print.one("weir_gateway_subscriptions", "gauge", "Subscriptions held by sessions.", sum.subscriptions);
    print.one("weir_gateway_audiences", "gauge", "Different subscriptions, a stream each: what an event is encoded for.", sum.audiences);
    print.one("weir_gateway_ring_bytes", "gauge", "Memory of the rings that sessions send from.", sum.ring_bytes);
    print.one("weir_gateway_groups", "gauge", "Groups that share a subscription out and have members.", sum.groups.groups);
    print.one("weir_gateway_group_members", "gauge", "Members of these groups.", sum.groups.members);
    print.one("weir_gateway_group_unacknowledged", "gauge", "Events handed to members of groups and not acknowledged.", sum.groups.unacknowledged);
    print.one("weir_gateway_encodes_total", "counter", "Events turned into a dialect's bytes: once each, however many subscribe.", sum.encodes);
    print.one("weir_gateway_splices_total", "counter", "Encoded events that were given a subscription's id.", sum.spliced);
    print.one("weir_gateway_events_total", "counter", "Events read from the log's tail.", sum.events);
    print.one("weir_gateway_history_reads_total", "counter", "Steps of history read for sessions.", sum.history_reads);
    print.one("weir_gateway_messages_received_total", "counter", "Messages from clients.", sum.messages_in);
    print.one("weir_gateway_ignored_members_total", "counter", "Members of messages that no one knows.", sum.ignored_members);
    print.family("weir_gateway_matched_total", "counter", "Events that sessions asked for: matched = delivered + merged + dropped + queued.");
    for (const auto& [name, counts] : sum.streams) print.value(counts.matched, {{"stream", name}});
    print.family("weir_gateway_delivered_total", "counter", "Events that the kernel took.");
    for (const auto& [name, counts] : sum.streams) print.value(counts.delivered, {{"stream", name}});
    print.family("weir_gateway_merged_total", "counter", "Events that a newer one of their key replaced.");
    for (const auto& [name, counts] : sum.streams) print.value(counts.merged, {{"stream", name}});
    print.family("weir_gateway_dropped_total", "counter", "Events that were not sent, and why.");
    for (const auto& [name, counts] : sum.streams)
        for (std::size_t i = 0; i < std::size(counts.dropped); ++i)
            print.value(counts.dropped[i], {{"stream", name}, {"reason", drop_name(static_cast<Drop>(i))}});
    print.family("weir_gateway_queued", "gauge", "Events that wait for their sessions.");
    for (const auto& [name, counts] : sum.streams) print.value(counts.queued, {{"stream", name}});
    print.family("weir_gateway_errors_total", "counter", "Errors told to clients, by code.");
    for (const auto& [code, n] : sum.errors) print.value(n, {{"code", code}});
    print.one("weir_gateway_connections", "gauge", "Open connections, of the reactor that answers.", server.open);
    print.one("weir_gateway_connections_total", "counter", "Connections accepted, by the reactor that answers.", server.accepted);
    print.one("weir_gateway_connections_refused_total", "counter", "Connections refused, by the reactor that answers.", server.refused);
    print.one("weir_gateway_bytes_sent_total", "counter", "Bytes that the kernel took, of the reactor that answers.", server.bytes_out);
    print.one("weir_gateway_sends_total", "counter", "Calls of send, by the reactor that answers: deliveries in one share its cost.", server.sends);
    print.one("weir_gateway_http_requests_total", "counter", "HTTP requests, at the reactor that answers.", server.requests);
}

std::string metrics_event(const std::vector<HubCounts>& all, Duration uptime) {
    const HubCounts sum = sum_of(all);
    DeliveryCounts total;
    std::uint64_t dropped = 0;
    for (const auto& [name, counts] : sum.streams) {
        total.matched += counts.matched;
        total.delivered += counts.delivered;
        total.merged += counts.merged;
        total.queued += counts.queued;
        for (const auto n : counts.dropped) dropped += n;
    }
    std::string text;
    JsonWriter json(text);
    json.object().member("uptime_seconds", uptime.count() / 1'000'000).member("sessions", sum.sessions).member("sessions_opened", sum.sessions_opened);
    json.member("subscriptions", sum.subscriptions).member("audiences", sum.audiences).member("events", sum.events).member("encodes", sum.encodes);
    json.member("messages_received", sum.messages_in).member("matched", total.matched).member("delivered", total.delivered).member("merged", total.merged);
    json.member("dropped", dropped).member("queued", total.queued).member("ring_bytes", sum.ring_bytes).end();
    return text;
}

HttpAnswer stats_answer(const std::vector<HubCounts>& all, const GatewayOptions& options, const net::ServerStatistics& server) {
    const HubCounts sum = sum_of(all);
    std::uint64_t delivered = 0, dropped = 0, queued = 0;
    for (const auto& [name, counts] : sum.streams) {
        delivered += counts.delivered;
        queued += counts.queued;
        for (const auto n : counts.dropped) dropped += n;
    }
    HttpAnswer answer;
    JsonWriter json(answer.body);
    json.object().member("is_running", true).member("active_clients", sum.sessions).member("total_connections", sum.sessions_opened);
    json.member("total_subscriptions", sum.subscriptions).member("messages_sent", delivered + server.messages_sent).member("messages_received", sum.messages_in);
    json.name("config").object().member("host", options.host).member("port", options.port).member("max_connections", options.max_connections);
    json.member("require_auth", needs_auth(options)).end();
    json.member("delivered", delivered).member("dropped", dropped).member("queued", queued).member("encodes", sum.encodes).end();
    return answer;
}

}  // namespace weir
