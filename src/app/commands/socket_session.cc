#include "app/commands/socket_session.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "app/commands/commands.h"
#include "base/backoff.h"
#include "net/reactor.h"
#include "net/websocket_client.h"

namespace weir {
namespace {

// Ctrl-C as a readable descriptor, so that the reactor sees it like everything else.
class EndSignal final : public net::Pollable {
public:
    EndSignal(net::Reactor& reactor, std::function<void()> end) : reactor_(reactor), end_(std::move(end)) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &set, nullptr);
        fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        reactor_.add(fd_, *this, EPOLLIN);
    }
    ~EndSignal() {
        reactor_.remove(fd_, *this);
        ::close(fd_);
    }
    void on_ready(std::uint32_t) override { end_(); }

private:
    net::Reactor& reactor_;
    std::function<void()> end_;
    int fd_;
};

}  // namespace

int SocketSession::run(const Clock& clock) {
    ::signal(SIGPIPE, SIG_IGN);
    net::Reactor reactor(clock);
    int code = exit_done;
    const auto end = [&](int with) {
        code = with;
        reactor.stop();
    };
    EndSignal signal(reactor, [&] { end(exit_done); });
    Backoff backoff({.first = 500ms, .cap = 10s, .reset_after = 10s}, static_cast<std::uint64_t>(clock.now().micros()));
    std::unique_ptr<net::WebSocketClient> client;
    Duration opened{};
    std::function<void()> connect;
    net::Timer again(reactor, [&] { connect(); });

    const auto lost = [&](const std::string& why) {
        if (!reconnect) {
            std::fprintf(stderr, "weir: %s: %s\n", url.c_str(), why.c_str());
            end(exit_failed);
            return;
        }
        const Duration wait = backoff.failed();
        std::fprintf(stderr, "weir: %s: %s; next try in %.1f s\n", url.c_str(), why.c_str(), static_cast<double>(wait.count()) / 1e6);
        again.start(wait);
    };
    connect = [&] {
        net::WebSocketClientOptions options;
        options.url = url;
        if (!token.empty()) options.headers.emplace_back("Authorization", "Bearer " + token);
        net::WebSocketClient::Callbacks callbacks;
        callbacks.on_open = [&](std::string_view) {
            opened = reactor.now();
            if (greet)
                for (const std::string& message : greet()) client->send_text(message);
        };
        callbacks.on_text = [&](std::string_view text) {
            if (!on_text(text)) end(exit_done);
        };
        callbacks.on_close = [&](net::CloseCode close_code, std::string_view reason) {
            backoff.was_healthy_for(reactor.now() - opened);
            lost("closed with " + std::to_string(static_cast<int>(close_code)) + (reason.empty() ? "" : " (" + std::string(reason) + ")"));
        };
        callbacks.on_error = [&](const Error& error) {
            // A mistake in the address does not mend itself.
            if (error.code == "bad_url") reconnect = false;
            lost(error.message);
        };
        client = std::make_unique<net::WebSocketClient>(reactor, std::move(options), std::move(callbacks));
    };
    connect();
    reactor.run();
    return code;
}

}  // namespace weir
