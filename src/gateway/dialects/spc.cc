#include <unordered_set>

#include "event/cbor.h"
#include "event/excerpt.h"
#include "event/json.h"
#include "gateway/auth/audit.h"
#include "gateway/auth/door.h"
#include "gateway/auth/reauthentication.h"
#include "gateway/dialects/dialects.h"
#include "gateway/dialects/read_since.h"
#include "gateway/dialects/spc_messages.h"
#include "gateway/http/endpoints.h"
#include "gateway/hub.h"
#include "gateway/session_cold.h"

namespace weir {
namespace {

namespace messages = spc_messages;

class SpcDialect final : public Dialect {
public:
    explicit SpcDialect(Hub& hub) : hub_(hub) {}
    DialectKind kind() const override { return DialectKind::spc; }

    void opened(Session&) override {}  // source 003 has no greeting
    bool needs_heartbeat() const override { return true; }

    void message(Session& session, net::MessageKind kind, std::string_view payload) override {
        if (hub_.defer(session, kind, payload)) return;
        const bool binary = kind == net::MessageKind::binary;
        if (binary && !session.is_cbor()) return refuse(session, GatewayError::binary_message);
        const auto parsed = binary ? read_cbor(payload) : Json::parse(payload);
        const Json* type_member = parsed.ok() ? parsed->find("type") : nullptr;
        const std::string_view type = type_member && type_member->is_string() ? std::string_view(type_member->as_string()) : std::string_view();
        if (type == "ping") {
            text_.clear();
            messages::append_pong(text_);
            return session.reply(text_);
        }
        Duration retry_after{0};
        if (!session.admit(hub_.reactor().now(), retry_after)) {
            text_.clear();
            messages::append_error(text_, GatewayError::rate_limited, {}, {}, retry_after.count() / 1000);
            hub_.count(GatewayError::rate_limited);
            return session.reply(text_);
        }
        // Malformed input gets an answer and keeps its connection (S3-R3 is the bug that this is not).
        if (!parsed.ok()) return refuse(session, GatewayError::malformed_message, parsed.error().message);
        if (!parsed->is_object()) return refuse(session, GatewayError::malformed_message, "a message is a JSON object");
        if (type.empty()) return refuse(session, GatewayError::malformed_message, "`type` is missing or no text");
        // What its row needs is asked for here, whatever it does; what there is no row for is no message.
        if (const auto needs = message_needs("spc", type); needs && !session.identity()->permissions.meets(*needs)) {
            audit(Audit::warning, {.what = "denied", .peer = session.connection().peer().to_text(), .who = session.identity()->name, .detail = std::string(type) + " needs " + std::string(needs_name(*needs))});
            return refuse(session, GatewayError::forbidden, "needs `" + std::string(needs_name(*needs)) + "`");
        }
        if (type == "auth") return reauthenticate(session, token_of(*parsed));
        if (type == "resume_token") return resume_token(session);
        if (type == "resume") return resume(session, *parsed);
        if (type != "subscribe" && type != "unsubscribe")
            return refuse(session, GatewayError::unknown_message_type,
                          "`" + cut(type, 64) + "`; allowed: auth, subscribe, unsubscribe, resume_token, resume, ping");
        std::vector<std::uint64_t> ids;
        std::vector<std::string> groups;
        if (!read_rooms(session, *parsed, ids, groups)) return;
        if (type == "unsubscribe") return unsubscribe(session, ids, groups);
        Since since;
        for (const auto& [member, read] : {std::pair("since", &read_since), std::pair("last", &read_last)}) {
            const Json* value = parsed->find(member);
            if (!value || value->is_null()) continue;
            auto found = read(*value);
            if (!found) return refuse(session, GatewayError::bad_since, kSinceForms);
            since = *std::move(found);
        }
        subscribe(session, ids, groups, since);
    }

    void authenticated(Session& session, bool right) override {
        text_.clear();
        right ? messages::append_auth_success(text_, session.client_id()) : messages::append_error(text_, GatewayError::auth_failed);
        session.reply(text_);
    }
    void lost(Session& session, const LostRights& lost) override {
        std::vector<std::uint64_t> numbers;
        for (const auto& id : lost.ids) numbers.push_back(std::strtoull(id.c_str(), nullptr, 10));
        text_.clear();
        messages::append_unsubscribed(text_, numbers, lost.groups);
        session.reply(text_);
    }

private:
    void refuse(Session& session, GatewayError error, std::string_view detail = {}, std::span<const std::uint64_t> ids = {}) {
        text_.clear();
        messages::append_error(text_, error, detail, ids);
        hub_.count(error);
        session.reply(text_);
    }

    static bool read_ids(const Json& list, std::vector<std::uint64_t>& ids) {
        if (!list.is_array()) return false;
        std::unordered_set<std::uint64_t> seen;
        for (const Json& item : list.items()) {
            const auto id = item.as_integer();
            if (!id || *id < 0 || *id >= (std::int64_t(1) << 53)) return false;
            if (seen.insert(static_cast<std::uint64_t>(*id)).second) ids.push_back(static_cast<std::uint64_t>(*id));
        }
        return true;
    }

    /// Each once, in the order in which they were named: what stands there twice costs nothing more. False when it was refused.
    bool read_rooms(Session& session, const Json& message, std::vector<std::uint64_t>& ids, std::vector<std::string>& groups) {
        const Json* list = message.find("characteristic_ids");
        const Json* rooms = message.find("groups");
        if (!list && !rooms) return refuse(session, GatewayError::ids_required), false;
        if (list && !read_ids(*list, ids)) return refuse(session, GatewayError::bad_ids, "integers from 0 to 9007199254740991"), false;
        if (!rooms) return true;
        if (!rooms->is_array()) return refuse(session, GatewayError::bad_groups), false;
        std::unordered_set<std::string> seen;
        for (const Json& room : rooms->items()) {
            if (!room.is_string()) return refuse(session, GatewayError::bad_groups), false;
            std::string name = room.as_string();
            while (name.ends_with('/')) name.pop_back();
            if (name.empty() || name.size() > 255) return refuse(session, GatewayError::bad_groups, "a path of 1 to 255 bytes, such as plant1/line2"), false;
            if (seen.insert(name).second) groups.push_back(std::move(name));
        }
        return true;
    }

    /// Whether the session may hold that many more.
    bool has_room(Session& session, const std::vector<std::uint64_t>& ids, const std::vector<std::string>& groups) {
        // A list of more than a session may hold is too long whatever it names: nothing of it is looked up, however long it is.
        const std::size_t most = hub_.options().subscriptions_per_session;
        if (ids.size() > most || groups.size() > most) return false;
        const auto held = session.characteristics();
        std::size_t more = groups.size();
        for (const auto id : ids) more += !held.contains(id);
        for (const auto& group : groups) more += hub_.room_members(group).size();
        return held.size() + more <= most;
    }

    void subscribe(Session& session, const std::vector<std::uint64_t>& ids, const std::vector<std::string>& groups, const Since& since) {
        if (!has_room(session, ids, groups))
            return refuse(session, GatewayError::too_many_subscriptions, "at most " + std::to_string(hub_.options().subscriptions_per_session), ids);
        text_.clear();
        messages::append_subscribed(text_, ids, groups);
        session.reply(text_);
        session.take_rooms(ids, groups, since);
        if (hub_.authenticator().required())
            audit(Audit::note, {.what = "subscribed", .peer = session.connection().peer().to_text(), .who = session.identity()->name,
                                .detail = std::to_string(ids.size()) + " characteristics, " + std::to_string(groups.size()) + " groups"});
        // They are subscribed all the same, and deliver as soon as they exist.
        std::vector<std::uint64_t> unknown;
        for (const auto id : ids)
            if (!hub_.knows_characteristic(id, session.identity()->permissions)) unknown.push_back(id);
        if (!unknown.empty()) refuse(session, GatewayError::unknown_ids, {}, unknown);
    }

    void unsubscribe(Session& session, const std::vector<std::uint64_t>& ids, const std::vector<std::string>& groups) {
        session.leave_rooms(ids, groups);
        text_.clear();
        messages::append_unsubscribed(text_, ids, groups);
        session.reply(text_);
    }

    /// What it asked for, by name and by group.
    void resume_token(Session& session) {
        std::string text;
        JsonWriter json(text);
        json.object().name("characteristic_ids").array();
        const auto* rooms = session.rooms();
        for (const auto& held : session.held())
            if (!rooms || rooms->own.contains(held.subscription->characteristic)) json.value(held.subscription->characteristic);
        json.end().name("groups").array();
        if (rooms)
            for (const auto& group : rooms->groups) json.value(group);
        json.end().end();
        text_.clear();
        messages::append_resume_token(text_, hub_.resume_tokens().make("spc", {hub_.handed_out(), *Json::parse(text, Json::own_levels_max)}));
        session.reply(text_);
    }

    void resume(Session& session, const Json& message) {
        const auto token = message.find_string("token");
        if (!token) return refuse(session, GatewayError::bad_resume_token, "`token` is missing or no text");
        const auto content = hub_.resume_tokens().read("spc", *token);
        if (!content.ok()) return refuse(session, GatewayError::bad_resume_token, content.error().message);
        const Json none = Json::object();
        const Json* given = message.find("positions");
        auto positions = read_positions(given && !given->is_null() ? *given : none);
        if (!positions) return refuse(session, GatewayError::bad_resume_token, R"(`positions` is {"<stream>":{"epoch":"<16 hex digits>","seq":n}, ...})");
        std::vector<std::uint64_t> ids;
        std::vector<std::string> groups;
        if (!read_rooms(session, content->subscriptions, ids, groups)) return;
        if (!has_room(session, ids, groups))
            return refuse(session, GatewayError::too_many_subscriptions, "at most " + std::to_string(hub_.options().subscriptions_per_session));
        text_.clear();
        messages::append_resumed(text_, ids, groups);
        session.reply(text_);
        Since since;
        since.at = *std::move(positions);
        since.otherwise = content->at;
        session.take_rooms(ids, groups, since);
    }

    Hub& hub_;
    std::string text_;
};

}  // namespace

std::unique_ptr<Dialect> make_spc_dialect(Hub& hub) { return std::make_unique<SpcDialect>(hub); }

}  // namespace weir
