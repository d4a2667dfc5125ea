#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "event/json.h"
#include "gateway/http/answer.h"
#include "gateway/hub.h"
#include "net/http_server.h"

namespace weir {

/// What clients ask of a processor over HTTP, asked in the log and answered from it (docs/decisions/0002): a request becomes an event on `input`, and the
/// event on `answers` that names it becomes its answer. Who does what is asked is not known here; of two requests at one moment on two
/// connections the log's order tells which was first.
///
/// Thread: its reactor's. Bounds: `waiting_max` requests wait, each at most `patience`.
class CommandDesk {
public:
    static constexpr std::size_t waiting_max = 4096;
    static constexpr Duration patience = 10s;

    CommandDesk(Hub& hub, std::string_view input, std::string_view answers, std::uint64_t id_seed) : hub_(hub), input_(input), answers_(answers), id_seed_(id_seed) {}

    void ask(net::HttpExchange& exchange, std::string_view type, const Json& data, int status = 200);
    /// Called for each event: answers are its business.
    void on_event(std::string_view stream, const EventView& event);
    /// Once a second: who waited too long is told so.
    void sweep();
    /// For events that a request becomes otherwise; unique over restarts.
    std::string next_id();

private:
    struct Waiting {
        net::HttpExchangeRef exchange;
        Timestamp since;
        int status = 200;
    };
    void fail(const std::string& command, GatewayError error, std::string_view detail);
    void refuse(net::HttpExchange& exchange, GatewayError error, std::string_view detail = {});

    Hub& hub_;
    const StreamName input_;
    const std::string answers_;
    std::uint64_t id_seed_, next_id_ = 1;
    std::unordered_map<std::string, Waiting> waiting_;  ///< by command
};

}  // namespace weir
