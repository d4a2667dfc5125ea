#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config/gateway_options.h"
#include "config/spc_options.h"
#include "gateway/auth/authenticator.h"
#include "gateway/http/answer.h"
#include "gateway/http/command_desk.h"
#include "gateway/hub.h"
#include "gateway/reader_pool.h"
#include "net/http_server.h"

namespace weir {

/// `/api/v1/alerts` (docs/http-api.md): what there is, folded from the newest events of `alerts`; acknowledging and shelving are commands.
///
/// Alerts that clients pushed are listed like weir's own; only weir's own can be acknowledged and shelved.
/// Thread: its reactor's; reads run on the pool.
class AlertsApi {
public:
    static constexpr std::string_view stream = "alerts", input = "alert.in", answers = "alert.answers";
    static constexpr std::size_t limit_max = 10'000, searched_max = 200'000;
    /// Further back than this there is nothing open: it is told again that often (AlertProcessor::told_every), and half as much again.
    static constexpr std::size_t open_within = 30'000;

    /// `has_rules`: somebody answers commands.
    AlertsApi(Hub& hub, ReaderPool& pool, const GatewayOptions& gateway, const SpcOptions& spc, std::uint64_t id_seed, bool has_rules)
        : hub_(hub), pool_(pool), gateway_(gateway), spc_(spc), desk_(hub, input, answers, id_seed), has_rules_(has_rules) {}

    /// `rest` is the path behind `/api/v1/`. False: none of its paths. `who` bounds what is shown, acknowledged and shelved.
    bool handle(net::HttpExchange& exchange, std::string_view rest, const IdentityPtr& who);
    void on_event(std::string_view of_stream, const EventView& event) { desk_.on_event(of_stream, event); }
    void sweep() { desk_.sweep(); }

private:
    struct Query {
        std::string state = "open";
        std::optional<std::string> rule, key;
        std::size_t limit = 500;
    };
    void list(net::HttpExchange& exchange, const IdentityPtr& who);
    void command(net::HttpExchange& exchange, const IdentityPtr& who, std::string id, std::string_view type);
    HttpAnswer read(const Permissions& who, const Query& query);
    HttpAnswer read(const Permissions& who, const std::string& id);
    void answer_later(net::HttpExchange& exchange, std::function<HttpAnswer()> work);
    void refuse(net::HttpExchange& exchange, GatewayError error, std::string_view detail = {});

    Hub& hub_;
    ReaderPool& pool_;
    const GatewayOptions& gateway_;
    const SpcOptions& spc_;  ///< its reason codes are everybody's
    CommandDesk desk_;
    const bool has_rules_;
};

}  // namespace weir
