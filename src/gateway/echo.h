#pragma once
#include "net/connection.h"

namespace weir {

/// Sends every message back as it came: `gateway.echo_path`, for conformance suites. Who sends faster than he reads is not read from meanwhile.
/// Thread: a reactor's. One serves all its connections.
class Echo final : public net::ConnectionHandler {
    void on_message(net::Connection& connection, net::MessageKind kind, std::string_view payload) override {
        if (!connection.send(kind, payload)) return connection.close(net::CloseCode::try_again_later, "what is sent back is not read");
        if (connection.pending_bytes() < pause_bytes) return;
        connection.pause_reading();
        connection.mark_dirty();
    }
    /// Comes before what waits is written: it looks once more behind that.
    void on_writable(net::Connection& connection) override {
        if (connection.pending_bytes() < pause_bytes) connection.resume_reading();
        else connection.mark_dirty();
    }
    void on_closed(net::Connection&, const net::Closed&) override {}

public:
    /// A message may come while as much waits: ServerOptions::send_buffer_bytes_max has to hold both.
    static constexpr std::size_t pause_bytes = 256 * 1024;
};

}  // namespace weir
