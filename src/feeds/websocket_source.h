#pragma once
#include <memory>

#include "base/backoff.h"
#include "feeds/source.h"
#include "net/reactor.h"
#include "net/websocket_client.h"

namespace weir {

/// A ws:// or wss:// server that pushes. Sends `open_message` once a connection, at once or after `open_silence`. A connection that ends
/// is made again after a backoff, never in a loop (S0-R12, C-17); one that was healthy long enough starts the backoff over.
class WebSocketSource final : public Source {
public:
    /// `options.kind` is websocket. `seed`: of the backoff's jitter.
    WebSocketSource(net::Reactor& reactor, SourceOptions options, Backoff::Options backoff, std::uint64_t seed);

    void start(SourceListener& listener) override;
    void stop() override;
    void give_up(const Error& why) override;
    void pause() override;
    void resume() override;
    SourceKind kind() const override { return SourceKind::websocket; }
    std::string shown() const override;

private:
    void connect();
    void failed(const Error& error);
    void send_open_message();

    net::Reactor& reactor_;
    const SourceOptions options_;
    Backoff backoff_;
    SourceListener* listener_ = nullptr;
    std::unique_ptr<net::WebSocketClient> client_;
    net::Timer retry_, silence_;
    Duration connected_at_{0};
    bool paused_ = false, heard_ = false;
};

}  // namespace weir
