#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace weir {

/// A WebSocket of a command: connects, says its first messages, hands over what comes, and comes back after a while when the other
/// side goes away. Ends by Ctrl-C, by `on_text` answering false, or, with `reconnect` off, with the connection.
struct SocketSession {
    std::string url;
    std::string token;                              ///< sent as `Authorization: Bearer`
    std::function<std::vector<std::string>()> greet;  ///< what to send after each connect; may be unset
    std::function<bool(std::string_view text)> on_text;
    bool reconnect = true;

    /// Runs until it ends; an ExitCode. Blocks SIGINT and SIGTERM and takes them as the end. Thread: main.
    int run(const Clock& clock);
};

}  // namespace weir
