#include "feeds/recording.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>

#include "event/decoder.h"
#include "event/json.h"
#include "event/json_path.h"
#include "feeds/feed.h"
#include "feeds/generators.h"
#include "log/log_test_support.h"

using namespace weir;
using namespace weir::literals;

namespace {

std::string all(const std::string& path) {
    auto recording = Recording::open(path);
    if (!recording.ok()) return recording.error().code;
    std::string out;
    Recording::Record record;
    for (;;) {
        const auto more = recording->next(record);
        if (!more.ok()) {
            out += "!" + more.error().message.substr(path.size()) + "\n";
            continue;
        }
        if (!*more) return out;
        out += to_rfc3339_short(record.at) + " " + (record.is_event ? record.id + "/" + record.type + "/" + record.key + "/" + record.source + " " : "") + record.message + "\n";
    }
}

std::string file(const TemporaryFolder& folder, const std::string& text) {
    const std::string path = folder.path() + "/r";
    std::ofstream(path) << text;
    return path;
}

}  // namespace

TEST_CASE("recording: CSV rows are messages, numbers as numbers, empty cells left out, quotes undone") {
    TemporaryFolder folder;
    CHECK(all(file(folder, "\xef\xbb\xbftimestamp,occupancy,name\r\n2025-11-12T14:40:57+01:00,147,\"a \"\"b\"\", c\"\r\n2025-11-12T14:41:02+01:00,,x\n2025-11-12T14:41:03Z,007,\"two\nlines\"\n")) ==
          "2025-11-12T13:40:57Z {\"timestamp\":\"2025-11-12T14:40:57+01:00\",\"occupancy\":147,\"name\":\"a \\\"b\\\", c\"}\n"
          "2025-11-12T13:41:02Z {\"timestamp\":\"2025-11-12T14:41:02+01:00\",\"name\":\"x\"}\n"
          "2025-11-12T14:41:03Z {\"timestamp\":\"2025-11-12T14:41:03Z\",\"occupancy\":\"007\",\"name\":\"two\\nlines\"}\n");
    CHECK(all(file(folder, "a,b\n1,2\n")) == "bad_recording");
    CHECK(all(file(folder, "time,v\nyesterday,2\n2025-11-12T14:41:03Z,3\n")) == "!:2: \"yesterday\" is no RFC 3339 time\n2025-11-12T14:41:03Z {\"time\":\"2025-11-12T14:41:03Z\",\"v\":3}\n");
    CHECK(all(folder.path() + "/none") == "file_not_found");
    CHECK(all(file(folder, "")) == "");
}

TEST_CASE("recording: NDJSON holds messages or events, and a bad line is told and left out") {
    TemporaryFolder folder;
    CHECK(all(file(folder, "{\"received\":\"2026-02-17T10:00:00Z\",\"message\":[{\"uid\":\"A\"}]}\n\n{\"broken\n"
                           "{\"seq\":1,\"id\":\"i\",\"type\":\"reading\",\"key\":\"A\",\"source\":\"http\",\"time\":\"2026-02-17T10:00:04Z\",\"ingested\":\"2026-02-17T10:00:05Z\",\"data\":{\"v\":1.50}}")) ==
          "2026-02-17T10:00:00Z [{\"uid\":\"A\"}]\n!:3: no JSON object\n2026-02-17T10:00:05Z i/reading/A/http {\"v\":1.50}\n");
}

TEST_CASE("recording: a byte order mark before NDJSON is no part of its first line") {
    TemporaryFolder folder;
    const std::string file = folder.path() + "/bom.ndjson";
    std::ofstream(file) << "\xef\xbb\xbf" << R"({"received":"2026-05-01T13:02:50Z","message":{"v":1}})" << "\n";
    auto recording = Recording::open(file);
    REQUIRE(recording.ok());
    Recording::Record record;
    for (int round = 0; round < 2; ++round) {
        const auto more = recording->next(record);
        REQUIRE(more.ok());
        CHECK(*more);
        CHECK(record.message == R"({"v":1})");
        REQUIRE(recording->rewind().ok());
    }
}

TEST_CASE("recording: gzip is told by its content, and a damaged file ends with an error, not a crash") {
    TemporaryFolder folder;
    const std::string path = file(folder, "time,v\n2026-02-17T10:00:00Z,1\n");
    REQUIRE(std::system(("gzip -f " + path).c_str()) == 0);
    CHECK(all(path + ".gz") == "2026-02-17T10:00:00Z {\"time\":\"2026-02-17T10:00:00Z\",\"v\":1}\n");
    std::string bytes;
    {
        std::ifstream in(path + ".gz", std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    bytes[bytes.size() - 6] ^= 0x55;
    std::ofstream(path + ".gz", std::ios::binary) << bytes;
    auto lines = net::LineFile::open(path + ".gz");
    REQUIRE(lines.ok());
    std::string line;
    bool damaged = false;
    for (int i = 0; i < 5 && !damaged; ++i) damaged = !lines->next(line).ok();
    CHECK(damaged);
}

TEST_CASE("generators: the same seed gives the same messages, and all say that they are simulated") {
    for (const auto generator : {Generator::day, Generator::walk, Generator::sine, Generator::constant, Generator::line, Generator::users}) {
        SourceOptions options;
        options.generator = generator;
        options.keys = {"A", "B"};
        auto first = MessageGenerator::make(options), second = MessageGenerator::make(options);
        options.seed = 2;
        auto other = MessageGenerator::make(options);
        bool differs = false;
        for (int i = 0; i < 50; ++i) {
            const auto at = "2026-02-17T10:00:00Z"_utc + Duration(i * 1min);
            const std::string message = first->message(at);
            REQUIRE(Json::parse(message).ok());
            CHECK(message.find("simulated") != std::string::npos);
            CHECK(second->message(at) == message);
            differs = differs || other->message(at) != message;
        }
        CHECK(differs == (generator != Generator::constant && generator != Generator::sine));
    }
}

TEST_CASE("generators: a pool is empty at night and visited by day, and its messages decode like the real feed's") {
    SourceOptions options;
    options.keys = {"A"};
    options.high = 200;
    auto day = MessageGenerator::make(options);
    DecodeOptions decode;
    decode.key = {"/uid"};
    decode.value = {"/currentfill"};
    decode.numeric_text.everywhere = true;
    auto decoder = *Decoder::make(decode_rules(decode));
    std::uint64_t next = 1;
    double most = 0, night = 0;
    for (int minute = 0; minute < 24 * 60; ++minute) {
        const auto at = "2026-02-17T00:00:00Z"_utc + Duration(minute * 1min);
        EventList events;
        Notes notes;
        decoder.decode(day->message(at), {at, "simulate", "f/1/", &next}, events, notes);
        REQUIRE(events.size() == 1);
        const double visitors = *JsonPath::parse("/currentfill")->number(events[0].data);
        CHECK(visitors >= 0);
        most = std::max(most, visitors);
        if (minute > 23 * 60) night = std::max(night, visitors);  // midnight in Switzerland
    }
    CHECK(most > 40);
    CHECK(night <= 3);
}

TEST_CASE("generators: special causes of a line are told with their samples") {
    SourceOptions options;
    options.generator = Generator::line;
    options.keys = {"L1"};
    options.low = 7;
    options.high = 13;  // sigma 1 around 10
    auto line = MessageGenerator::make(options);
    int outliers = 0, shifted = 0, plain_far = 0;
    for (int i = 0; i < 5000; ++i) {
        const auto message = Json::parse(line->message(Timestamp()));
        const Json& item = message->items()[0];
        const double mean = item.find("value")->as_double();
        CHECK(item.find("values")->items().size() == 5);
        if (item.find("cause")->is_null())
            plain_far += std::abs(mean - 10) > 4 / std::sqrt(5.0);
        else if (item.find("cause")->as_string() == "outlier")
            outliers += std::abs(mean - 10) > 2;
        else
            ++shifted;
    }
    CHECK(outliers > 5);
    CHECK(shifted > 100);
    CHECK(plain_far <= 3);  // beyond 4 sigma of the mean: 6 in 100,000
}
