#include "app/banner.h"

#include <doctest/doctest.h>

using namespace weir;

TEST_CASE("banner: where a broadcast is, how fast and from what; secrets of the url stay out (S2-13)") {
    Options options;
    CHECK(broadcast_banner(options, "127.0.0.1:8765").empty());
    options.gateway.root = "broadcast:users";
    auto& feed = options.feeds["people"];
    feed.stream = "users";
    feed.sources.emplace_back();
    feed.sources[0].url = "https://me:secret@randomuser.me/api/?key=secret";
    CHECK(broadcast_banner(options, "127.0.0.1:8765") ==
          std::vector<std::string>{"WebSocket URL: ws://127.0.0.1:8765", "Stream rate: 1 user/second", "API source: https://randomuser.me/api/", "Server started successfully"});
    options.gateway.broadcast["pools"].stream_rate = "32 pools every 4 seconds";
    const auto lines = broadcast_banner(options, "127.0.0.1:8765");
    CHECK(lines[0] == "WebSocket URL: ws://127.0.0.1:8765/feed/pools");
    CHECK(lines[1] == "Stream rate: 32 pools every 4 seconds");
}
