#include "gateway/auth/permissions.h"

#include <algorithm>

#include "event/excerpt.h"
#include "event/json.h"
#include "gateway/dialects/analytics_messages.h"

namespace weir {
namespace {

constexpr std::uint8_t kEveryType = 0x3f;

std::uint8_t bit(StreamType type) { return static_cast<std::uint8_t>(1U << static_cast<unsigned>(type)); }

Error bad(std::string what) { return {"bad_permissions", "permissions: " + std::move(what)}; }

Result<std::vector<std::string>> texts(const Json& list, const std::string& name) {
    if (!list.is_array()) return bad("`" + name + "` is no list");
    std::vector<std::string> found;
    for (const Json& item : list.items()) {
        if (!item.is_string()) return bad("`" + name + "` holds what is no text");
        found.push_back(item.as_string());
    }
    return found;
}

}  // namespace

Permissions Permissions::all() {
    Permissions permissions;
    permissions.types = kEveryType;
    permissions.every_stream = permissions.publish = permissions.acknowledge = permissions.administer = true;
    return permissions;
}

Result<Permissions> Permissions::of(const TokenOptions& token) {
    Permissions permissions;
    for (const auto& name : token.types) {
        const auto type = subscription_type(name);
        if (!type) return bad("`" + name + "` is no subscription type");
        permissions.types |= bit(*type);
    }
    if (token.types.empty()) permissions.types = kEveryType;
    permissions.every_stream = token.streams.empty();
    permissions.streams = token.streams;
    std::sort(permissions.streams.begin(), permissions.streams.end());
    if (!token.filter.empty()) {
        WEIR_TRY(permissions.filter, Filter::parse_text(token.filter));
    }
    permissions.publish = token.publish;
    permissions.acknowledge = token.acknowledge;
    permissions.administer = token.administer;
    return permissions;
}

Result<Permissions> Permissions::of_claim(const Json& claim) {
    if (!claim.is_object()) return bad("not an object");
    Permissions permissions;
    permissions.types = kEveryType;
    permissions.every_stream = true;
    for (const auto& [name, value] : claim.members()) {
        if (name == "types") {
            WEIR_TRY(const auto names, texts(value, name));
            permissions.types = 0;
            for (const auto& text : names) {
                const auto type = subscription_type(text);
                if (!type) return bad("`" + cut(text, 64) + "` is no subscription type");
                permissions.types |= bit(*type);
            }
        } else if (name == "streams") {
            WEIR_TRY(permissions.streams, texts(value, name));
            std::sort(permissions.streams.begin(), permissions.streams.end());
            permissions.every_stream = false;
        } else if (name == "filter") {
            WEIR_TRY(permissions.filter, Filter::parse(value));
        } else if (name == "publish" || name == "acknowledge" || name == "administer") {
            if (!value.is_boolean()) return bad("`" + name + "` is neither true nor false");
            (name == "publish" ? permissions.publish : name == "acknowledge" ? permissions.acknowledge : permissions.administer) = value.as_boolean();
        } else {
            return bad("`" + cut(name, 64) + "` is not known");
        }
    }
    return permissions;
}

bool Permissions::sees(std::string_view stream, StreamType type) const {
    return allows(type) && (every_stream || std::binary_search(streams.begin(), streams.end(), stream));
}

bool Permissions::bounded() const { return types != kEveryType || !every_stream || !filter.matches_all(); }

bool Permissions::meets(Needs needs) const {
    switch (needs) {
        case Needs::nothing:
        case Needs::token: return true;
        case Needs::reading: return !blind();
        case Needs::overview: return administer || !bounded();
        case Needs::publish: return publish;
        case Needs::acknowledge: return acknowledge;
        case Needs::administer:
        case Needs::undeclared: break;
    }
    return administer;
}

std::string_view needs_name(Needs needs) {
    constexpr std::string_view names[] = {"undeclared", "nothing", "token", "reading", "overview", "publish", "acknowledge", "administer"};
    return names[static_cast<std::size_t>(needs)];
}

bool Permissions::covers(const Permissions& other) const {
    if ((other.types & ~types) != 0) return false;
    if (!every_stream && (other.every_stream || !std::includes(streams.begin(), streams.end(), other.streams.begin(), other.streams.end()))) return false;
    return filter.matches_all() || filter.canonical() == other.filter.canonical();
}

bool Permissions::operator==(const Permissions& other) const {
    return types == other.types && every_stream == other.every_stream && streams == other.streams && filter.canonical() == other.filter.canonical() &&
           publish == other.publish && acknowledge == other.acknowledge && administer == other.administer;
}

Boundary::Boundary(const Filter& filter) {
    if (filter.matches_all()) return;
    index_ = std::make_unique<FilterIndex>();
    index_->add(filter);
}

bool Boundary::sees(std::string_view stream, const EventView& event) { return !index_ || !index_->match(stream, event).empty(); }

}  // namespace weir
