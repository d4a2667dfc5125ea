#include "app/banner.h"

#include "net/http_client.h"

namespace weir {

std::vector<std::string> broadcast_banner(const Options& options, const std::string& address) {
    std::vector<std::string> lines;
    const auto& gateway = options.gateway;
    auto streams = gateway.broadcast;
    if (!gateway.broadcast_root().empty()) streams.try_emplace(std::string(gateway.broadcast_root()));
    const std::string base = (gateway.tls_cert_file.empty() ? "ws://" : "wss://") + address + gateway.path_prefix;
    for (const auto& [stream, texts] : streams) {
        lines.push_back("WebSocket URL: " + base + (stream == gateway.broadcast_root() ? "" : "/feed/" + stream));
        lines.push_back("Stream rate: " + texts.stream_rate);
        for (const auto& [name, feed] : options.feeds) {
            if (feed.stream != stream) continue;
            for (const auto& source : feed.sources)
                if (!source.url.empty()) lines.push_back("API source: " + net::shown_url(source.url));
        }
    }
    if (!lines.empty()) lines.push_back("Server started successfully");
    return lines;
}

}  // namespace weir
