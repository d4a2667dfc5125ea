#include "feeds/pool_server.h"

#include <doctest/doctest.h>

#include "event/json.h"

using namespace weir;

namespace {

PoolRecording recording() {
    auto loaded = PoolRecording::load(WEIR_SOURCE_DIR "/demo/ssd7-5s.csv.gz");
    REQUIRE(loaded.ok());
    return *std::move(loaded);
}

}  // namespace

TEST_CASE("pool recording: plays what was recorded at that time of day, and 0 when nothing was") {
    const PoolRecording r = recording();
    CHECK(r.size() == 17'596);
    CHECK(r.at("2025-11-12T13:40:57Z"_utc) == 147);
    CHECK(r.at("2025-11-14T14:28:21Z"_utc) == 85);
    CHECK(r.at("2026-07-01T02:00:00Z"_utc) == 0);
    CHECK(PoolRecording::load("/nowhere").error().code == "not_found");
}

TEST_CASE("pool messages: 32 pools in the wire form, simulated ones labelled (S0-R3)") {
    PoolMessages messages(recording(), 1);
    const auto message = Json::parse(messages.next("2026-11-12T13:40:57Z"_utc));
    REQUIRE(message.ok());
    REQUIRE(message->items().size() == 32);
    for (const Json& pool : message->items()) {
        CHECK(pool.members().size() == 5);
        CHECK(pool.find("currentfill")->is_string());
        CHECK(pool.find("freespace")->is_number());
        const bool simulated = pool.find("name")->as_string().ends_with("(simulated)");
        CHECK(simulated == (pool.find("uid")->as_string() != "SSD-7"));
        CHECK(pool.find("maxspace")->as_double() - pool.find("freespace")->as_double() == std::stod(pool.find("currentfill")->as_string()));
    }
}
