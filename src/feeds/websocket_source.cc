#include "feeds/websocket_source.h"

#include "net/http_client.h"

namespace weir {

WebSocketSource::WebSocketSource(net::Reactor& reactor, SourceOptions options, Backoff::Options backoff, std::uint64_t seed)
    : reactor_(reactor), options_(std::move(options)), backoff_(backoff, seed), retry_(reactor, [this] { connect(); }), silence_(reactor, [this] {
          if (!heard_) send_open_message();
      }) {}

std::string WebSocketSource::shown() const { return net::shown_url(options_.url); }

void WebSocketSource::start(SourceListener& listener) {
    listener_ = &listener;
    connect();
}

void WebSocketSource::stop() {
    listener_ = nullptr;
    client_.reset();
    retry_.cancel();
    silence_.cancel();
    health_.state = Health::State::idle;
    health_.next_try.reset();
}

void WebSocketSource::connect() {
    health_.state = Health::State::connecting;
    health_.next_try.reset();
    heard_ = false;
    net::WebSocketClientOptions o;
    o.url = options_.url;
    for (const auto& [name, value] : options_.headers) o.headers.emplace_back(name, value.reveal());
    if (!options_.token.empty()) o.headers.emplace_back("Authorization", "Bearer " + options_.token.reveal());
    if (!options_.subprotocol.empty()) o.subprotocols = {options_.subprotocol};
    o.connect_timeout = options_.timeout;
    o.ping_interval = options_.ping_interval;
    o.ping_timeout = std::max<Duration>(options_.timeout, 1s);
    o.message_bytes_max = options_.message_bytes;
    o.tls_verify = options_.tls_verify;
    o.tls_ca_file = options_.tls_ca_file;

    net::WebSocketClient::Callbacks callbacks;
    callbacks.on_open = [this](std::string_view) {
        health_.state = Health::State::connected;
        ++health_.connections;
        connected_at_ = reactor_.clock().monotonic();
        listener_->on_connected(*this);
        if (!client_ || !options_.open_message) return;
        if (options_.open_silence > Duration(0))
            silence_.start(options_.open_silence);
        else
            send_open_message();
    };
    callbacks.on_text = [this](std::string_view text) {
        heard_ = true;
        listener_->on_message(*this, text, reactor_.clock().now());
    };
    // JSON in binary frames is JSON all the same.
    callbacks.on_binary = callbacks.on_text;
    callbacks.on_close = [this](net::CloseCode code, std::string_view reason) {
        const auto number = static_cast<int>(code);
        failed({"upstream_closed", shown() + " closed the connection (" + std::to_string(number) + (reason.empty() ? "" : ", " + std::string(reason)) + ")"});
    };
    callbacks.on_error = [this](const Error& error) { failed(error); };
    client_ = std::make_unique<net::WebSocketClient>(reactor_, std::move(o), std::move(callbacks));
    if (paused_) client_->pause_reading();
}

void WebSocketSource::send_open_message() {
    if (client_ && options_.open_message) client_->send_text(*options_.open_message);
}

void WebSocketSource::failed(const Error& error) {
    if (health_.state == Health::State::connected) backoff_.was_healthy_for(reactor_.clock().monotonic() - connected_at_);
    client_.reset();
    silence_.cancel();
    ++health_.failures;
    health_.last_error = error.message;
    health_.state = Health::State::waiting;
    const Duration wait = backoff_.failed();
    health_.next_try = reactor_.clock().now() + wait;
    retry_.start(wait);
    listener_->on_failed(*this, error);
}

void WebSocketSource::give_up(const Error& why) {
    if (listener_ && client_) failed(why);
}

void WebSocketSource::pause() {
    paused_ = true;
    if (client_) client_->pause_reading();
}

void WebSocketSource::resume() {
    paused_ = false;
    if (client_) client_->resume_reading();
}

}  // namespace weir
