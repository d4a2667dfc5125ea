#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <deque>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/function_payload.h"
#include "app/commands/signals.h"
#include "app/commands/verbs.h"
#include "app/commands/window_choice.h"
#include "app/server.h"
#include "app/version.h"
#include "base/clock.h"
#include "base/diag.h"
#include "event/json.h"
#include "net/http_client.h"
#include "net/http_server.h"

namespace weir {
namespace {

constexpr std::size_t body_bytes_max = 1 << 20, waiting_max = 16;
constexpr Duration turn_wait = 50ms;
// How long the process of the deployment before may still be busy with the folder.
constexpr Duration patience_for_folder = 60s;

/// One call of the host, from its request to our answer.
struct Invocation {
    net::HttpExchangeRef exchange;
    FunctionTrigger trigger;
    Timestamp arrived;
    std::vector<std::string> logs;
    std::optional<Timestamp> window;  ///< start of the one that is waited for; known once weir records
};

/// The custom handler of an Azure function with a timer (S0-1, S0-10, S0-25).
///
/// The host calls it every five minutes, one call at a time, and lets a call that falls due meanwhile fall out. A collector that listens
/// for five minutes within the call therefore loses every second window, and what is sent while it saves (S0-R7). So recording goes on
/// between calls: a call answers with the windows that have been closed and stored since the one before, and the first one waits for the
/// window that is open. Recording ends when no call has come for two windows.
///
/// Thread: main's; the server it holds has its own.
class FunctionHost final : public net::HttpHandler {
public:
    FunctionHost(const Config& config, std::string window, Duration patience, const Clock& clock)
        : config_(config), name_(std::move(window)), window_(config_.options.windows.at(name_)), patience_(patience), clock_(clock) {}

    void on_request(net::HttpExchange& exchange) override {
        const std::string_view path = exchange.request().path;
        if (exchange.request().method == "GET" || exchange.request().method == "HEAD") {
            if (path == "/healthz" || path == "/") return exchange.respond(200, {{"Content-Type", "application/json"}}, health());
            return exchange.respond(404, {}, "not found\n");
        }
        if (exchange.request().method != "POST") return exchange.respond(405, {{"Allow", "GET, POST"}}, "not allowed\n");
        exchange.read_body(body_bytes_max, [this](net::HttpExchange& asked, std::string_view body) {
            Invocation call{asked.ref(), {}, clock_.now(), {}, std::nullopt};
            auto trigger = parse_trigger(body);
            if (!trigger.ok()) return answer(call, 400, trigger.error().message);
            call.trigger = *std::move(trigger);
            if (calls_.size() >= waiting_max) return answer(call, 503, "more than 16 calls are waiting; this one was not begun");
            calls_.push_back(std::move(call));
        });
    }

    /// What there is to do now.
    void step() {
        const Timestamp now = clock_.now();
        if (calls_.empty()) {
            if (server_ && now - last_call_ > 2 * window_.size + window_.lateness) {
                diag::info("function: no call for " + to_text(2 * window_.size) + "; recording ends");
                stop();
            }
            return;
        }
        last_call_ = now;
        Invocation& call = calls_.front();
        if (!call.window && !begin(call)) return;
        if (is_stored(*call.window)) return finish(call);
        if (now >= *call.window + window_.size + window_.lateness + patience_) return fail(call, why_not());
    }

    void stop() {
        if (server_) server_->stop();
        server_.reset();
        reported_.reset();
    }

private:
    // True when the window to wait for is known.
    bool begin(Invocation& call) {
        if (!call.trigger.function.empty() && !call.trigger.is_noted) {
            say(call, call.trigger.function + " started, window " + name_);
            if (call.trigger.is_past_due) {
                say(call, "Timer is past due" + (call.trigger.due.empty() ? std::string() : " (it was due " + call.trigger.due + ")"));
                diag::warn("function: the timer's call is past due");
            }
            call.trigger.is_noted = true;
        }
        if (!server_) {
            if (clock_.now() < try_again_) return false;
            auto started = Server::start(config_, clock_);
            if (!started.ok() && started.error().code == "in_use" && clock_.now() - call.arrived < patience_for_folder) {
                try_again_ = clock_.now() + 200ms;
                return false;
            }
            if (!started.ok()) {
                fail(call, started.error().message);
                return false;
            }
            server_ = *std::move(started);
            since_ = clock_.now();
            for (const auto& [name, feed] : config_.options.feeds)
                for (const SourceOptions& source : feed.sources)
                    if (!source.url.empty()) say(call, "Listening to " + net::shown_url(source.url));
        }
        const Timestamp open = (clock_.now() - window_.offset).floor_to(window_.size) + window_.offset, before = open - window_.size;
        // The one before was recorded whole, and nobody has been told of it.
        const bool is_whole = since_ <= before && (!reported_ || *reported_ < before);
        call.window = is_whole ? before : open;
        return true;
    }

    bool is_stored(Timestamp start) const {
        if (clock_.now() < start + window_.size + window_.lateness) return false;
        const auto info = server_->log().info(window_.output);
        return info && info->last_time && *info->last_time >= start && server_->caught_up();
    }

    std::string why_not() const {
        for (const auto& [name, text] : server_->status("stores/")) {
            const auto status = Json::parse(text);
            const auto error = status.ok() ? status->find_string("last_error") : std::nullopt;
            if (error && !error->empty()) return "store " + name.substr(name.find('/') + 1) + ": " + std::string(*error);
        }
        return "the window was not closed and stored within " + to_text(patience_) + " of its end";
    }

    void finish(Invocation& call) {
        const Timestamp from = reported_ ? *reported_ + Duration(1) : *call.window;
        const auto found = server_->log().find(window_.output, {.from = std::min(from, *call.window), .to = *call.window + Duration(1), .key = std::nullopt, .events_max = 10'000});
        if (!found.ok()) return fail(call, found.error().message);
        std::vector<WindowReport> windows;
        for (std::size_t i = 0; i < found->size(); ++i)
            if (auto report = report_of(found->event(i).data)) windows.push_back(*std::move(report));
        for (const WindowReport& w : windows) {
            if (w.count == 0) say(call, "No updates received in window " + w.start + " to " + w.end + (w.key.empty() ? "" : " of " + w.key) + (w.reason.empty() ? "" : " (" + w.reason + ")"));
            else say(call, to_text(window_.size) + " window complete. Collected " + std::to_string(w.count) + " updates" + (w.key.empty() ? "" : " of " + w.key));
            if (w.count > 0) say(call, "Stats: min=" + w.min + ", max=" + w.max + ", avg=" + w.average);
        }
        std::string objects;
        JsonWriter json(objects);
        json.array();
        for (const auto& [name, text] : server_->status("stores/")) {
            const auto status = Json::parse(text);
            const auto object = status.ok() ? status->find_string("last_object") : std::nullopt;
            if (!object || object->empty()) continue;
            say(call, "Saved data to blob: " + std::string(*object));
            json.value(std::string(*object));
        }
        json.end();
        reported_ = call.window;
        respond(call, 200, return_value(windows, objects));
    }

    void say(Invocation& call, const std::string& line) {
        diag::info("function: " + line);
        call.logs.push_back(line);
    }
    void fail(Invocation& call, const std::string& why) {
        diag::error("function: " + why);
        call.logs.push_back("Error: " + why);
        respond(call, 500, "null");
    }
    // Before it stands in the queue.
    void answer(Invocation& call, int status, const std::string& why) {
        diag::warn("function: " + why);
        call.logs.push_back("Error: " + why);
        send(call, status, "null");
    }
    void respond(const Invocation& call, int status, const std::string& value) {
        send(call, status, value);
        calls_.pop_front();
    }
    static void send(const Invocation& call, int status, const std::string& value) {
        // The host may have given up meanwhile.
        if (net::HttpExchange* exchange = call.exchange.get())
            exchange->respond(status, {{"Content-Type", "application/json"}}, function_answer(call.logs, value));
    }

    std::string health() const {
        std::string text;
        JsonWriter json(text);
        json.object().member("status", "healthy").member("version", version).member("time", clock_.now()).member("recording", server_ != nullptr);
        json.member("waiting", calls_.size()).end();
        return text;
    }

    const Config& config_;
    const std::string name_;
    const WindowOptions& window_;
    const Duration patience_;
    const Clock& clock_;
    std::unique_ptr<Server> server_;
    std::deque<Invocation> calls_;
    Timestamp since_, last_call_, try_again_;
    std::optional<Timestamp> reported_;  ///< start of the newest window that a call was answered with
};

}  // namespace

int run_function(int argc, char** argv) {
    CLI::App app{
        "The custom handler of an Azure function with a timer trigger: answers each call of the host with the windows that were closed and\n"
        "stored since the one before. Records on between calls, so that nothing is lost at a window's edge. deploy/azure has the rest.\n\n"
        "  FUNCTIONS_CUSTOMHANDLER_PORT=8080 weir function -c weir.toml --window 5min",
        "weir function"};
    ConfigArguments arguments;
    arguments.declare(app);
    std::string name, patience_text = "4min";
    int port = 0;
    app.add_option("--window", name, "Which of the configured windows (default: the only one)");
    app.add_option("--port", port, "Where the host calls (default: FUNCTIONS_CUSTOMHANDLER_PORT)")->check(CLI::Range(1, 65535));
    app.add_option("--patience", patience_text, "How long after a window's end it may take to be stored; then the call fails");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    auto config = arguments.load(app.remaining());
    if (!config.ok()) return report(config.error());
    config->options.gateway.enabled = false;
    diag::configure(config->options.diag);
    if (!choose_tumbling_window("function", config->options.windows, name)) return exit_misused;
    const auto patience = parse_duration(patience_text);
    if (!patience) {
        std::fprintf(stderr, "weir function: --patience is \"%s\"; allowed: a duration such as 4min\n", patience_text.c_str());
        return exit_misused;
    }
    if (port == 0)
        if (const char* given = std::getenv("FUNCTIONS_CUSTOMHANDLER_PORT")) port = std::atoi(given);
    if (port <= 0 || port > 65535) {
        std::fprintf(stderr, "weir function: no port; allowed: FUNCTIONS_CUSTOMHANDLER_PORT, as the Functions host sets it, or --port\n");
        return exit_misused;
    }

    SignalWait signals({SIGINT, SIGTERM});
    static const SystemClock clock;
    FunctionHost host(*config, name, *patience, clock);
    net::Reactor reactor(clock);
    net::ServerOptions options;
    options.answer_timeout = Duration(0);  // a call takes as long as its window; the host has functionTimeout
    net::HttpServer server(reactor, options, host);
    const auto address = net::ListenAddress::parse("127.0.0.1:" + std::to_string(port));
    if (!address.ok()) return report(address.error());
    if (const auto listening = server.listen(*address); !listening.ok()) return report(listening.error());
    diag::info("function: waiting for the host's calls on 127.0.0.1:" + std::to_string(port));
    while (!signals.wait_for(Duration(0))) {
        reactor.turn(turn_wait);
        host.step();
    }
    host.stop();
    server.end_all();
    return exit_done;
}

}  // namespace weir
