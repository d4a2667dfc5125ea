#include "gateway/http/push.h"

#include <doctest/doctest.h>

#include "event/json.h"
#include "log/empty_log.h"

using namespace weir;

namespace {

/// Takes one event after the other, and fails the commits that it was told to.
class FailingLog final : public EmptyLog {
public:
    std::vector<bool> fails;  ///< by the number of the commit

    bool try_submit(Commit& commit, Done done) override {
        const std::size_t n = commits_++;
        if (n < fails.size() && fails[n]) return done(Error{"disk", "no space is left"}), true;
        Committed committed;
        Appended& appended = committed.appended.emplace_back();
        for (std::size_t i = 0; i < commit.appends[0].events.size(); ++i) appended.seqs.push_back(Seq{++events_});
        return done(committed), true;
    }

private:
    std::size_t commits_ = 0;
    std::uint64_t events_ = 0;
};

}  // namespace

TEST_CASE("push: of a push in several commits each event is told as its own commit ended") {
    // Three of 200 KiB: a commit each. One in the middle is none.
    const std::string one = R"({"data":{"text":")" + std::string(200 * 1024, 'x') + R"("}})";
    const auto events = Json::parse("[" + one + ",1," + one + "," + one + "]");
    REQUIRE(events.ok());
    for (unsigned bits = 0; bits < 8; ++bits) {
        CAPTURE(bits);
        const std::vector<bool> fails = {bool(bits & 1), bool(bits & 2), bool(bits & 4)};
        for (const bool now : {false, true}) {
            FailingLog log;
            log.fails = fails;
            int ids = 0;
            const auto pushed = std::make_shared<PushedEvents>(read_pushed(*events, Timestamp(), [&] { return std::to_string(++ids); }));
            std::string body;
            bool unavailable = false;
            if (now) CHECK(push_now(log, "events", pushed, [&](PushAnswer answer) { body = answer.body, unavailable = answer.error == GatewayError::log_unavailable; }));
            else push(log, "events", pushed, [&](HttpAnswer answer) { body = answer.body, unavailable = answer.status == 503; });
            CHECK(unavailable == (bits == 7));
            if (unavailable) continue;
            const auto answer = Json::parse(body);
            REQUIRE(answer.ok());
            std::int64_t accepted = 0;
            std::vector<std::int64_t> rejected;
            for (const Json& item : answer->find("rejected")->items()) rejected.push_back(item.find("index")->as_integer().value_or(-1));
            const std::size_t places[] = {0, 2, 3};
            std::vector<std::int64_t> failed = {1};
            for (std::size_t i = 0; i < 3; ++i) {
                const Json& told = answer->find("events")->items()[places[i]];
                CHECK(told.is_null() == fails[i]);
                if (fails[i]) failed.push_back(static_cast<std::int64_t>(places[i]));
                else CHECK(told.find("seq")->as_integer() == ++accepted);
            }
            CHECK(rejected == failed);
            CHECK(answer->find("accepted")->as_integer() == accepted);
        }
    }
}
