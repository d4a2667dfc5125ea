#include "gateway/delivery.h"

#include "base/assert.h"
#include "event/excerpt.h"
#include "event/json.h"
#include "gateway/audience.h"

namespace weir {
namespace {

constexpr std::string_view bounds[] = {"disconnect", "drop_oldest", "conflate"};

Error bad(std::string message) { return {"bad_delivery", std::move(message)}; }

}  // namespace

Result<DeliveryPolicy> DeliveryPolicy::parse(const Json& json) {
    DeliveryPolicy policy;
    if (!json.is_object()) return bad("`delivery` is an object");
    for (const auto& [name, value] : json.members()) {
        if (value.is_null()) continue;
        if (name == "conflate") {
            if (value.kind() != Json::Kind::boolean) return bad("`delivery.conflate` is true or false");
            policy.conflate = value.as_boolean();
        } else if (name == "max_rate") {
            if (!value.is_number() || !(value.as_double() >= 0.001 && value.as_double() <= 1'000'000))
                return bad("`delivery.max_rate` is a number of events a second from 0.001 to 1000000");
            policy.max_rate = value.as_double();
        } else if (name == "batch_ms") {
            const auto ms = value.as_integer();
            if (!ms || *ms < 0 || *ms > 60'000) return bad("`delivery.batch_ms` is a whole number from 0 to 60000");
            policy.batch = Duration(*ms * 1000);
        } else if (name == "at_bound") {
            const auto at = value.is_string() ? std::find(std::begin(bounds), std::end(bounds), value.as_string()) : std::end(bounds);
            if (at == std::end(bounds)) return bad("`delivery.at_bound` is disconnect, drop_oldest or conflate");
            policy.at_bound = static_cast<AtBound>(at - std::begin(bounds));
        } else {
            return bad("`delivery." + cut(name, 64) + "`; allowed: conflate, max_rate, batch_ms, at_bound");
        }
    }
    return policy;
}

void DeliveryPolicy::print(JsonWriter& json) const {
    json.object().member("conflate", conflate);
    json.name("max_rate");
    if (max_rate > 0) json.value(max_rate);
    else json.null();
    json.member("batch_ms", batch.count() / 1000).member("at_bound", bounds[static_cast<std::size_t>(at_bound)]).end();
}

Governor::Part& Governor::part(const Audience& audience) {
    for (Part& p : parts)
        if (p.audience == &audience) return p;
    WEIR_ASSERT(!"the governor knows every audience of its subscription");
    return parts.front();
}

bool Governor::superseded(const Part& part, std::uint64_t frame, std::uint64_t key) const {
    if (!part.conflating) return false;
    const auto at = part.newest.find(key);
    return at != part.newest.end() && at->second > frame;
}

// A bucket of a hundredth of a second's events, at least one: in any second at most 1.01 max_rate + 1 go out.
void Governor::refill(Duration now) {
    if (policy.max_rate == 0) return;
    const double seconds = static_cast<double>((now - tokens_at).count()) / 1e6;
    tokens = std::min(std::max(1.0, policy.max_rate / 100), tokens + seconds * policy.max_rate);
    tokens_at = now;
}

Duration Governor::next_token() const {
    return tokens_at + Duration(static_cast<std::int64_t>((1 - tokens) / policy.max_rate * 1e6) + 1);
}

}  // namespace weir
