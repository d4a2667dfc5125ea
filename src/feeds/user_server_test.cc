#include "feeds/user_server.h"

#include <doctest/doctest.h>

#include <set>

#include "feeds/http_source.h"
#include "net/http_server.h"

using namespace weir;

namespace {

UserApi people(UserApi::Limit limit = {}) {
    auto loaded = UserApi::load({WEIR_SOURCE_DIR "/demo/randomuser-stream1.json.gz", WEIR_SOURCE_DIR "/demo/randomuser-stream1-page2.json.gz"}, limit, 1);
    REQUIRE(loaded.ok());
    return *std::move(loaded);
}

UserApi::Answer ask(UserApi& api, std::string_view target, Duration now = Duration(0), const std::string& client = "192.0.2.1") {
    net::HttpRequest request;
    request.target = target;
    request.path = target.substr(0, target.find('?'));
    if (request.path.size() < target.size()) request.query = target.substr(request.path.size() + 1);
    return api.answer(request, client, now);
}

Json body(const UserApi::Answer& answer) {
    auto parsed = Json::parse(answer.body);
    REQUIRE(parsed.ok());
    return *std::move(parsed);
}

}  // namespace

TEST_CASE("user api: one recorded person a request, in the service's shape, and nobody twice (S2-R2)") {
    UserApi api = people();
    CHECK(api.size() == 200);
    std::set<std::string> ids;
    for (int i = 0; i < 500; ++i) {
        const Json answer = body(ask(api, "/api/"));
        REQUIRE(answer.find("results")->items().size() == 1);
        const Json& person = answer.find("results")->items()[0];
        if (i == 0) CHECK(person.find("name")->find_string("first") == "Nagesh");
        CHECK(ids.insert(std::string(*person.find("login")->find_string("uuid"))).second);
        CHECK(answer.find("info")->find_string("version") == "1.4");
    }
}

TEST_CASE("user api: fields, numbers and pages are chosen as with the service (S2-R2)") {
    UserApi api = people();
    const std::string_view fields = "gender,name,email,login,dob,registered,phone,cell,picture,location,nat";
    const Json one = body(ask(api, "/api/1.4?inc=gender,name,email,login,dob,registered,phone,cell,picture,location,nat"));
    CHECK(one.find("results")->items()[0].members().size() == 11);
    for (const auto& [name, value] : one.find("results")->items()[0].members()) CHECK(fields.find(name) != fields.npos);
    CHECK(body(ask(api, "/api/?results=25")).find("results")->items().size() == 25);
    for (const char* odd : {"0", "5001", "-1", "x", "", "99999999999999999999"})
        CHECK(body(ask(api, "/api/?results=" + std::string(odd))).find("results")->items().size() == 1);
    const Json chosen = body(ask(api, "/api/?results=20&nat=ch,us"));
    for (const Json& person : chosen.find("results")->items())
        CHECK((person.find_string("nat") == "CH" || person.find_string("nat") == "US"));
    CHECK(body(ask(api, "/api/?nat=xx")).find("results")->items().size() == 1);
    CHECK(!body(ask(api, "/api/?noinfo")).find("info"));
    CHECK(ask(api, "/api/?seed=a&page=3&results=5").body == ask(api, "/api/?seed=a&page=3&results=5").body);
    CHECK(ask(api, "/api/?seed=a&page=3").body != ask(api, "/api/?seed=a&page=4").body);
    CHECK(ask(api, "/api/2.0/").status == 404);
    CHECK(ask(api, "/").status == 404);
    CHECK(ask(api, "/api/?format=xml").status == 400);
}

TEST_CASE("user api: who asks for too many is told 429 and for how long, alone, until the reset (S2-10, S2-R11)") {
    UserApi api = people({.users = 10, .per = 60s});
    CHECK(ask(api, "/api/?results=10", 5s).status == 200);
    const auto refused = ask(api, "/api/", 25s);
    CHECK(refused.status == 429);
    CHECK(refused.retry_after == Duration(40s));
    CHECK(body(refused).find_string("error")->starts_with("Whoa, ease up there cowboy. You've requested 11 users"));
    CHECK(ask(api, "/api/", 25s, "192.0.2.2").status == 200);
    CHECK(ask(api, "/api/", 64s).status == 429);
    CHECK(ask(api, "/api/", 65s).status == 200);
    CHECK(UserApi::load({"/nowhere"}, {}, 1).error().code == "not_found");
    CHECK(!UserApi::load({WEIR_SOURCE_DIR "/demo/ssd7-5s.csv.gz"}, {}, 1).ok());
}
