#include "feeds/user_server.h"

#include <charconv>
#include <thread>

#include "base/filesystem.h"
#include "feeds/generators.h"
#include "net/gzip.h"
#include "net/http_server.h"
#include "net/reactor.h"

namespace weir {
namespace {

constexpr std::uint64_t results_max = 5000;
constexpr std::size_t clients_max = 10'000;

std::uint64_t fingerprint(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

/// The number of a parameter, or 1 where there is none in the range: the service answers so too.
std::uint64_t number_or_one(const std::optional<std::string>& text, std::uint64_t max) {
    std::uint64_t number = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ptr != text->data() + text->size()) return 1;
    return number >= 1 && number <= max ? number : 1;
}

bool lists(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(','), list.size());
        if (net::equals_ignoring_case(list.substr(0, end), word)) return true;
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

std::string error_body(std::string_view text) {
    std::string out;
    JsonWriter(out).object().member("error", text).end();
    return out;
}

}  // namespace

Result<UserApi> UserApi::load(const std::vector<std::string>& files, Limit limit, std::uint64_t seed) {
    UserApi api(limit, seed);
    for (const std::string& file : files) {
        WEIR_TRY(std::string text, Filesystem().read(file));
        if (net::is_gzip(text)) {
            auto unpacked = net::gunzip(text, 256 << 20);
            if (!unpacked.ok()) return std::move(unpacked).error().within(file);
            text = *std::move(unpacked);
        }
        auto body = Json::parse(text);
        if (!body.ok()) return std::move(body).error().within(file);
        const Json* results = body->find("results");
        if (!results || !results->is_array()) return Error{"bad_recording", file + ": no array `results`; expected a body of randomuser.me/api"};
        for (const Json& person : results->items()) {
            const Json* login = person.find("login");
            if (!login || !login->find_string("uuid")) return Error{"bad_recording", file + ": a result without login.uuid"};
            api.people_.push_back(person);
        }
    }
    if (api.people_.empty()) return Error{"bad_recording", "no user in the recorded bodies"};
    return api;
}

std::optional<Duration> UserApi::over_limit(const std::string& client, std::uint64_t wanted, Duration now) {
    if (!reset_ || now - *reset_ >= limit_.per) {
        reset_ = reset_ ? *reset_ + (now - *reset_) / limit_.per * limit_.per : now;
        counts_.clear();
    }
    std::uint64_t& count = counts_[counts_.size() < clients_max || counts_.contains(client) ? client : std::string()];
    count += wanted;
    if (count <= limit_.users) return std::nullopt;
    return *reset_ + limit_.per - now;
}

UserApi::Answer UserApi::answer(const net::HttpRequest& request, const std::string& client, Duration now) {
    std::string_view path = request.path;
    if (path.ends_with('/')) path.remove_suffix(1);
    if (path != "/api" && path != "/api/1.4") return {404, "Not Found", std::nullopt};
    const auto parameter = [&](std::string_view name) { return request.query_parameter(name); };
    const auto format = parameter("format") ? parameter("format") : parameter("fmt");
    if (format && *format != "json" && *format != "pretty") return {400, error_body("the stand-in speaks JSON alone"), std::nullopt};
    const std::uint64_t results = number_or_one(parameter("results"), results_max), page = number_or_one(parameter("page"), 10'000);
    if (const auto wait = over_limit(client, results, now))
        return {429,
                error_body("Whoa, ease up there cowboy. You've requested " + std::to_string(counts_[counts_.contains(client) ? client : std::string()]) +
                           " users in the last minute. Help us keep this service free and spare some bandwidth for other users please :)"),
                wait};

    const auto seed = parameter("seed"), inc = parameter("inc"), exc = parameter("exc"), nat = parameter("nat"), gender = parameter("gender");
    const auto wanted = [&](const Json& person) {
        return (!nat || lists(*nat, person.find_string("nat").value_or(""))) && (seed || !gender || person.find_string("gender") == *gender);
    };
    // What nobody recorded has asks for nothing, as an unknown nationality does with the service.
    const bool any = std::any_of(people_.begin(), people_.end(), wanted);
    std::uint64_t at = seed ? fingerprint(*seed + '/' + std::to_string(page)) % people_.size() : given_;
    Answer answer;
    JsonWriter json(answer.body);
    json.object().name("results").array();
    for (std::uint64_t n = 0; n < results; ++at) {
        Json person = people_[at % people_.size()];
        if (any && !wanted(person)) continue;
        if (at >= people_.size() && !seed)
            for (auto& [name, member] : person.members())
                if (name == "login") member.set("uuid", Json::string(random_uuid(prng_)));
        std::erase_if(person.members(), [&](const Json::Member& member) {
            return (inc && !inc->empty() && !lists(*inc, member.first)) || (exc && lists(*exc, member.first));
        });
        json.raw(person.text());
        ++n;
    }
    json.end();
    if (!seed) given_ = at;
    if (!parameter("noinfo"))
        json.name("info").object().member("seed", seed ? *seed : "stand-in").member("results", results).member("page", page).member("version", "1.4").end();
    json.end();
    return answer;
}

struct UserServer::Impl final : net::HttpHandler {
    Impl(UserApi a, const Clock& k) : api(std::move(a)), clock(k), reactor(k), server(reactor, net::ServerOptions{}, *this) {}

    void on_request(net::HttpExchange& exchange) override {
        const auto answer = api.answer(exchange.request(), exchange.peer().ip.to_text(), clock.monotonic());
        const std::string_view type = answer.status == 404 ? "text/plain; charset=utf-8" : "application/json; charset=utf-8";
        if (!answer.retry_after) return exchange.respond(answer.status, {{"Content-Type", type}, {"Cache-Control", "no-cache"}}, answer.body);
        const std::string seconds = std::to_string((*answer.retry_after + 999'999us) / 1s);
        exchange.respond(answer.status, {{"Content-Type", type}, {"Cache-Control", "no-cache"}, {"Retry-After", seconds}}, answer.body);
    }

    UserApi api;
    const Clock& clock;
    net::Reactor reactor;
    net::HttpServer server;
    std::string address;
    std::thread thread;
};

Result<std::unique_ptr<UserServer>> UserServer::start(const std::string& listen, UserApi api, const Clock& clock) {
    WEIR_TRY(const auto where, net::ListenAddress::parse(listen));
    auto impl = std::make_unique<Impl>(std::move(api), clock);
    WEIR_TRY(const auto bound, impl->server.listen(where));
    impl->address = bound.to_text();
    Impl& running = *impl;
    impl->thread = std::thread([&running] { running.reactor.run(); });
    return std::unique_ptr<UserServer>(new UserServer(std::move(impl)));
}

UserServer::UserServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UserServer::~UserServer() { stop(); }

void UserServer::stop() {
    if (!impl_ || !impl_->thread.joinable()) return;
    impl_->reactor.stop();
    impl_->thread.join();
}

const std::string& UserServer::address() const { return impl_->address; }

}  // namespace weir
