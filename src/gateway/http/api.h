#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status_board.h"
#include "gateway/auth/authenticator.h"
#include "gateway/http/alerts_api.h"
#include "gateway/http/answer.h"
#include "gateway/http/latest_events.h"
#include "gateway/http/push.h"
#include "gateway/http/series.h"
#include "gateway/http/spc_api.h"
#include "gateway/hub.h"
#include "gateway/reader_pool.h"
#include "gateway/stream_directory.h"
#include "net/http_server.h"

namespace weir {

/// Plain HTTP: the API of docs/http-api.md, the page, metrics and health. What reads the log runs on the reader pool and answers
/// later; the reactor only parses and prints small things. Thread: its reactor's.
class Api {
public:
    struct Parts {
        Hub& hub;
        ReaderPool& pool;
        StatusBoard& status;
        Metrics& metrics;
        const StreamDirectory& directory;
        const std::vector<WindowInfo>& windows;
        const GatewayOptions& options;
        const SpcOptions& spc;
        bool has_alerts;  ///< rules are configured
        std::string version;
        Timestamp started;
        std::uint64_t id_seed;  ///< makes ids of pushed events unique over restarts
        /// Counts of all reactors; calls back on this reactor.
        std::function<void(std::function<void(const std::vector<HubCounts>&)>)> collect;
        /// Asks every reactor's hub; calls back on this reactor.
        std::function<void(std::function<std::string(Hub&)>, std::function<void(const std::vector<std::string>&)>)> ask_all;
        std::function<std::string()> why_not_ready;  ///< thread: any
        const net::HttpServer& server;
    };
    explicit Api(Parts parts);

    /// `path` without the prefix of a reverse proxy, not decoded: names in it are, one by one. `who` is null where nobody has shown a right token, `wrong_token` where somebody has shown
    /// another. What the endpoint's row needs is asked for here, whatever the endpoint does; what there is no row for, but for the page's files, is not there.
    /// `who` also bounds what is shown: what lies outside is answered as if it were not there.
    void handle(net::HttpExchange& exchange, std::string_view path, const IdentityPtr& who, bool wrong_token);

    /// Called by the hub for each event.
    void on_event(const HubStream& stream, const Batch& batch, std::size_t i);
    /// Once a second.
    void sweep() {
        spc_.sweep();
        alerts_.sweep();
    }

private:
    void answer(net::HttpExchange& exchange, std::string_view path, const IdentityPtr& who);
    void handle_api(net::HttpExchange& exchange, std::string_view rest, const IdentityPtr& who);
    void page(net::HttpExchange& exchange, std::string_view path);
    void streams(net::HttpExchange& exchange, const IdentityPtr& who, std::string only);
    void events(net::HttpExchange& exchange, const IdentityPtr& who, std::string stream);
    void push_events(net::HttpExchange& exchange, const IdentityPtr& who, std::string stream);
    void notice(net::HttpExchange& exchange);
    void windows(net::HttpExchange& exchange, const IdentityPtr& who);
    void results(net::HttpExchange& exchange, const IdentityPtr& who, std::string_view name);
    void series(net::HttpExchange& exchange, const IdentityPtr& who);
    void keys(net::HttpExchange& exchange, const IdentityPtr& who);
    void feeds(net::HttpExchange& exchange, const IdentityPtr& who);
    void status(net::HttpExchange& exchange);
    void session(net::HttpExchange& exchange, std::string_view number);
    void groups(net::HttpExchange& exchange);
    void forget_group(net::HttpExchange& exchange, std::string_view encoded);
    void stats(net::HttpExchange& exchange);
    void metrics(net::HttpExchange& exchange);
    void ready(net::HttpExchange& exchange);
    void server_sent_events(net::HttpExchange& exchange, const IdentityPtr& who);

    void refuse_method(net::HttpExchange& exchange, std::string_view allowed);
    void refuse(net::HttpExchange& exchange, GatewayError error, std::string_view detail = {});
    /// The stream, if there is one of this name and it may be seen; else answered and null.
    const HubStream* visible(net::HttpExchange& exchange, const IdentityPtr& who, const std::optional<std::string>& name);
    void deny(net::HttpExchange& exchange, const IdentityPtr& who, Needs needs);
    /// Runs `work` on the pool and answers with what it made.
    void answer_later(net::HttpExchange& exchange, std::function<HttpAnswer()> work);
    void load_latest();
    std::optional<Timestamp> time_parameter(const net::HttpRequest& request, const char* name, bool& bad);

    Parts parts_;
    LatestEvents latest_;
    SpcApi spc_;
    AlertsApi alerts_;
    std::unique_ptr<Dialect> sse_;
    std::atomic<std::uint64_t> next_id_{1};
};

}  // namespace weir
