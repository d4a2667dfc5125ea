#include "gateway/http/command_desk.h"

#include <cstdio>
#include <vector>

#include "gateway/http/answer_later.h"

namespace weir {
namespace {

/// What a command was refused with, as an HTTP answer: where the table of errors knows the code, as it says; else 422.
HttpAnswer refusal(std::string_view code, std::string_view message) {
    for (const auto& row : gateway_errors())
        if (row.code == code) return error_answer(row.error, message);
    const bool conflict = code == "characteristic_retired" || code == "too_old" || code == "too_many_versions" || code == "too_many_characteristics" ||
                          code == "alert_not_open" || code == "not_shelved";
    HttpAnswer answer = error_answer(conflict ? GatewayError::conflict : GatewayError::refused, message);
    // The table's row for the kind, the processor's word for the case.
    std::string body;
    JsonWriter(body).object().name("error").object().member("code", code).member("message", row(conflict ? GatewayError::conflict : GatewayError::refused).text)
        .member("detail", message).end().end();
    answer.body = std::move(body);
    return answer;
}

}  // namespace

std::string CommandDesk::next_id() {
    char id[64];
    std::snprintf(id, sizeof id, "command/%016llx/%llu", static_cast<unsigned long long>(id_seed_), static_cast<unsigned long long>(next_id_++));
    return id;
}

void CommandDesk::ask(net::HttpExchange& exchange, std::string_view type, const Json& data, int status) {
    if (waiting_.size() >= waiting_max) return refuse(exchange, GatewayError::busy);
    const std::string id = next_id(), text = data.text();
    if (text.size() > 256 * 1024) return refuse(exchange, GatewayError::too_large);
    EventView event;
    event.id = id;
    event.type = type;
    event.source = "push";
    event.data = text;
    event.time = event.ingested = hub_.clock().now();
    Commit commit;
    commit.appends.push_back({input_, {}, {}});
    commit.appends[0].events.add(event);
    waiting_[id] = {exchange.ref(), event.time, status};
    const bool taken = hub_.log().try_submit(commit, [this, id, reactor = &hub_.reactor()](Result<Committed> done) {
        if (!done.ok()) (void)reactor->post([this, id, message = done.error().message] { fail(id, GatewayError::log_unavailable, message); });
    });
    if (!taken) fail(id, GatewayError::busy, "the log's writer has no room; try again");
}

void CommandDesk::on_event(std::string_view stream, const EventView& event) {
    if (waiting_.empty() || stream != answers_) return;
    const auto at = waiting_.find(std::string(event.key));
    if (at == waiting_.end()) return;
    const Waiting waiting = at->second;
    waiting_.erase(at);
    auto* exchange = waiting.exchange.get();
    if (!exchange) return;
    const auto answer = Json::parse(event.data);
    if (!answer.ok()) return refuse(*exchange, GatewayError::log_unavailable, answer.error().message);
    if (!answer->find("ok") || !answer->find("ok")->as_boolean())
        return send_answer(*exchange, refusal(answer->find_string("code").value_or("refused"), answer->find_string("message").value_or("")));
    HttpAnswer done;
    done.status = waiting.status;
    done.body = answer->find("result") ? answer->find("result")->text() : "{}";
    send_answer(*exchange, done);
}

void CommandDesk::sweep() {
    const Timestamp now = hub_.clock().now();
    std::vector<std::string> late;
    for (const auto& [id, waiting] : waiting_)
        if (now - waiting.since > patience) late.push_back(id);
    for (const auto& id : late) fail(id, GatewayError::not_judged, id);
}

void CommandDesk::fail(const std::string& command, GatewayError error, std::string_view detail) {
    const auto at = waiting_.find(command);
    if (at == waiting_.end()) return;
    if (auto* exchange = at->second.exchange.get()) refuse(*exchange, error, detail);
    waiting_.erase(at);
}

void CommandDesk::refuse(net::HttpExchange& exchange, GatewayError error, std::string_view detail) { weir::refuse(hub_, exchange, error, detail); }

}  // namespace weir
