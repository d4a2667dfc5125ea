#include "gateway/resume_token.h"

#include "base/assert.h"
#include "gateway/auth/base64url.h"
#include "log/log.h"

namespace weir {
namespace {

constexpr std::string_view kReader = "_gateway", kKey = "resume_key";
constexpr std::size_t kKeyBytes = 32;

Error bad(std::string why) { return {"bad_resume_token", std::move(why)}; }

}  // namespace

Result<ResumeTokens> ResumeTokens::open(Log& log) {
    WEIR_TRY(const auto state, log.state(kReader));
    std::string secret;
    for (const auto& [name, value] : state)
        if (name == kKey) secret = base64url_decode(value).value_or("");
    if (secret.size() != kKeyBytes) {
        WEIR_TRY(secret, net::random_bytes(kKeyBytes));
        Commit commit;
        commit.reader = kReader;
        commit.state.push_back({std::string(kKey), base64url_encode(secret)});
        WEIR_TRY(const auto ignored, log.commit(std::move(commit)));
        (void)ignored;
    }
    WEIR_TRY(auto key, net::SigningKey::from_secret(secret));
    return ResumeTokens(std::move(key));
}

std::string ResumeTokens::make(std::string_view dialect, const Content& content) const {
    std::string payload;
    JsonWriter json(payload);
    json.object().member("v", 1).member("dialect", dialect).member("at", content.at.micros()).name("subscriptions").raw(content.subscriptions.text()).end();
    std::string token = base64url_encode(payload);
    const auto signature = key_.sign(token);
    WEIR_ASSERT(signature.ok());
    return token + "." + base64url_encode(*signature);
}

Result<ResumeTokens::Content> ResumeTokens::read(std::string_view dialect, std::string_view token) const {
    const auto dot = token.find('.');
    if (dot == std::string_view::npos) return bad("the token is damaged");
    const auto signature = base64url_decode(token.substr(dot + 1));
    const auto expected = key_.sign(token.substr(0, dot));
    if (!signature || !expected.ok() || !net::equal_in_constant_time(*signature, *expected)) return bad("the token is damaged, or of another log");
    const auto payload = base64url_decode(token.substr(0, dot));
    const auto json = payload ? Json::parse(*payload) : Result<Json>(bad(""));
    const Json* version = json.ok() ? json->find("v") : nullptr;
    if (!version || version->as_integer() != 1) return bad("the token is of another version of weir");
    if (json->find_string("dialect") != dialect) return bad("the token is of another path");
    return Content{Timestamp::from_micros(json->find("at")->as_integer().value_or(0)), *json->find("subscriptions")};
}

}  // namespace weir
