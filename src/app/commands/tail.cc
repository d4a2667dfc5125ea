#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/socket_session.h"
#include "app/commands/verbs.h"
#include "base/clock.h"
#include "event/json.h"

namespace weir {

int run_tail(int argc, char** argv) {
    CLI::App app{
        "Follows a weir, or any WebSocket that sends text, and prints each message on a line. With --stream it asks for events of\n"
        "that stream and, after an interruption, goes on behind the last one it printed.\n\n"
        "  weir tail ws://127.0.0.1:8765/feed/pools\n"
        "  weir tail ws://127.0.0.1:8765/stream --stream pools --filter '{\"payload.uid\":\"SSD-7\"}' --last 10",
        "weir tail"};
    std::string url, stream, type = "events", filter, token, send;
    std::uint64_t count = 0, last = 0;
    app.add_option("url", url, "ws:// or wss://")->required();
    app.add_option("--stream", stream, "Subscribe to this stream (analytics dialect)");
    app.add_option("--type", type, "Subscription type, with --stream")->capture_default_str();
    app.add_option("--filter", filter, "Filters as JSON, with --stream");
    app.add_option("--last", last, "Begin this many events back, with --stream");
    app.add_option("--send", send, "A text to send after connecting, for foreign feeds: --send all");
    app.add_option("--count", count, "End after this many messages; 0: never");
    app.add_option("--token", token, "Access token")->envname("WEIR_TOKEN");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;

    Json filters = Json::object();
    if (!filter.empty()) {
        auto parsed = Json::parse(filter);
        if (!parsed.ok() || !parsed->is_object()) {
            std::fprintf(stderr, "weir tail: --filter is %s; expected a JSON object such as '{\"payload.uid\":\"SSD-7\"}'\n", filter.c_str());
            return exit_misused;
        }
        filters = *std::move(parsed);
    }

    // Where to go on after an interruption: (epoch, seq) of the last event that was printed.
    std::string epoch;
    std::int64_t seq = 0;
    std::uint64_t printed = 0;
    SocketSession session;
    session.url = url;
    session.token = token;
    session.greet = [&]() -> std::vector<std::string> {
        std::vector<std::string> messages;
        if (!send.empty()) messages.push_back(send);
        if (stream.empty()) return messages;
        std::string out;
        JsonWriter json(out);
        json.object().member("type", "subscribe").name("data").object().member("type", type).member("stream", stream);
        json.name("filters").raw(filters.text());
        if (!epoch.empty())
            json.name("since").object().name(stream).object().member("epoch", epoch).member("seq", seq).end().end();
        else if (last > 0)
            json.name("since").object().member("last", last).end();
        json.end().end();
        messages.push_back(std::move(out));
        return messages;
    };
    session.on_text = [&](std::string_view text) {
        if (!stream.empty()) {
            const auto message = Json::parse(text);
            if (!message.ok()) return true;
            const auto kind = message->find_string("type");
            if (kind == "error") std::fprintf(stderr, "weir: %.*s\n", static_cast<int>(text.size()), text.data());
            if (kind != "data" && kind != "gap") return true;
            if (const Json* metadata = message->find("metadata")) {
                if (const auto e = metadata->find_string("epoch")) epoch = *e;
                if (const Json* s = metadata->find("seq"); s && s->as_integer()) seq = *s->as_integer();
            }
        }
        std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
        if (std::fflush(stdout) != 0) return false;
        return count == 0 || ++printed < count;
    };
    static const SystemClock clock;
    return session.run(clock);
}

}  // namespace weir
