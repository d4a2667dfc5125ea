#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <future>
#include <iostream>

#include "app/commands/commands.h"
#include "app/commands/config_arguments.h"
#include "app/commands/verbs.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "event/json.h"
#include "net/http_client.h"

namespace weir {
namespace {

constexpr std::size_t lines_a_request = 1000;

}  // namespace

int run_publish(int argc, char** argv) {
    CLI::App app{
        "Sends events to a weir: each line of stdin is one, as {\"key\",\"type\",\"time\",\"id\",\"data\":{...}}, all but data optional.\n"
        "Tries again until weir has acknowledged; a line without an id gets one first, so that trying again repeats nothing.\n\n"
        "  echo '{\"key\":\"kitchen\",\"data\":{\"temperature\":21.5}}' | weir publish http://127.0.0.1:8765 room",
        "weir publish"};
    std::string url, stream, token;
    bool once = false;
    app.add_option("url", url, "http:// or https:// of the weir")->required();
    app.add_option("stream", stream, "Stream to append to")->required();
    app.add_option("--token", token, "Access token")->envname("WEIR_TOKEN");
    app.add_flag("--once", once, "Fail instead of trying again when weir cannot be reached");
    if (const auto code = parse_arguments(app, argc, argv)) return *code;
    while (url.ends_with('/')) url.pop_back();

    ::signal(SIGPIPE, SIG_IGN);  // a weir that goes away in mid-request is tried again
    static const SystemClock clock;
    net::HttpClient client;
    const std::string run = std::to_string(clock.now().micros()) + "-" + std::to_string(::getpid());
    Backoff backoff({.first = 500ms, .cap = 10s, .reset_after = 10s}, static_cast<std::uint64_t>(clock.now().micros()));
    std::uint64_t line_number = 0, accepted = 0, duplicates = 0, rejected = 0;

    // Sends what was gathered; false when weir said no for good, or cannot be reached and --once was given.
    const auto send = [&](const std::string& body) {
        for (;;) {
            net::HttpClientRequest request;
            request.method = "POST";
            request.url = url + "/api/v1/streams/" + stream + "/events";
            request.headers = {{"Content-Type", "application/x-ndjson"}};
            if (!token.empty()) request.headers.emplace_back("Authorization", "Bearer " + token);
            request.body = body;
            auto answer = client.fetch(std::move(request));
            if (answer.ok() && answer->status == 200) {
                const auto parsed = Json::parse(answer->body);
                if (!parsed.ok()) return false;
                const auto number = [&](const char* name) {
                    const Json* member = parsed->find(name);
                    return static_cast<std::uint64_t>(member ? member->as_integer().value_or(0) : 0);
                };
                accepted += number("accepted");
                duplicates += number("duplicates");
                if (const Json* refused = parsed->find("rejected"))
                    for (const Json& one : refused->items()) {
                        ++rejected;
                        std::fprintf(stderr, "weir publish: %s\n", one.text().c_str());
                    }
                return true;
            }
            const std::string why = answer.ok() ? "answered " + std::to_string(answer->status) + ": " + answer->body.substr(0, 300) : answer.error().message;
            const bool for_good = once || (answer.ok() && answer->status >= 400 && answer->status < 500 && answer->status != 429);
            const Duration wait = backoff.failed();
            std::fprintf(stderr, "weir publish: %s: %s%s\n", url.c_str(), why.c_str(), for_good ? "" : "; trying again");
            if (for_good) return false;
            ::usleep(static_cast<useconds_t>(wait.count()));
        }
    };

    std::string line, body;
    std::size_t lines = 0;
    while (std::getline(std::cin, line)) {
        ++line_number;
        if (line.empty()) continue;
        auto event = Json::parse(line);
        if (!event.ok() || !event->is_object()) {
            ++rejected;
            std::fprintf(stderr, "weir publish: line %llu is no JSON object\n", static_cast<unsigned long long>(line_number));
            continue;
        }
        if (!event->find("id")) event->set("id", Json::string(run + "-" + std::to_string(line_number)));
        event->print(body);
        body += '\n';
        // What is typed by hand or comes slowly goes at once; what comes fast goes together.
        if (++lines >= lines_a_request || std::cin.rdbuf()->in_avail() <= 0) {
            if (!send(body)) return exit_failed;
            body.clear();
            lines = 0;
        }
    }
    if (lines > 0 && !send(body)) return exit_failed;
    std::fprintf(stderr, "weir publish: %llu accepted, %llu there already, %llu rejected\n", static_cast<unsigned long long>(accepted),
                 static_cast<unsigned long long>(duplicates), static_cast<unsigned long long>(rejected));
    return rejected == 0 ? exit_done : exit_failed;
}

}  // namespace weir
