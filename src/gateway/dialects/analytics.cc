
#include "event/cbor.h"
#include "event/excerpt.h"
#include "event/json.h"
#include "gateway/auth/audit.h"
#include "gateway/auth/door.h"
#include "gateway/auth/reauthentication.h"
#include "gateway/dialects/analytics_messages.h"
#include "gateway/dialects/dialects.h"
#include "gateway/dialects/read_since.h"
#include "gateway/http/acknowledging_user.h"
#include "gateway/http/endpoints.h"
#include "gateway/http/push.h"
#include "gateway/hub.h"

namespace weir {
namespace {

namespace messages = analytics_messages;

constexpr std::size_t kOwnIdBytesMax = 128, kMetadataBytesMax = 1024, kGroupBytesMax = 128;
constexpr std::string_view kNoDelivery = "a group hands over every event, each to one member: `delivery` would take some away";

struct Refusal {
    GatewayError error;
    std::string detail;
};

class AnalyticsDialect final : public Dialect {
public:
    explicit AnalyticsDialect(Hub& hub) : hub_(hub) {}
    DialectKind kind() const override { return DialectKind::analytics; }

    void opened(Session&) override {}  // source 004 has no greeting

    void message(Session& session, net::MessageKind kind, std::string_view payload) override {
        const bool binary = kind == net::MessageKind::binary;
        if (binary && !session.is_cbor()) return refuse(session, {GatewayError::binary_message, {}});
        const auto parsed = binary ? read_cbor(payload) : Json::parse(payload);
        if (!parsed.ok()) return refuse(session, {GatewayError::malformed_message, parsed.error().message}, true);
        if (!parsed->is_object()) return refuse(session, {GatewayError::malformed_message, "a message is a JSON object"}, true);
        const auto type = parsed->find_string("type");
        if (!type) return refuse(session, {GatewayError::malformed_message, "`type` is missing or no text"}, true);
        // What there is no row for is no message, and what its row needs is asked for here, whatever it does.
        const auto needs = message_needs("analytics", *type);
        const bool may = needs && session.identity()->permissions.meets(*needs);
        if (*type == "ping") {  // free, however many (C-26)
            text_.clear();
            messages::append_pong(text_);
            return session.reply(text_);
        }
        if (*type == "ack" && may) return acknowledge(session, *parsed);  // free too: it comes as often as events do
        if (*type == "publish" && may) return publish(session, *parsed);  // it has a bucket of its own
        Duration retry_after{0};
        if (!session.admit(hub_.reactor().now(), retry_after)) {
            text_.clear();
            messages::append_error(text_, GatewayError::rate_limited, {.retry_after_ms = retry_after.count() / 1000});
            hub_.count(GatewayError::rate_limited);
            return session.reply(text_);
        }
        for (const auto& [name, value] : parsed->members())
            if (name != "type" && name != "data" && name != "subscription_id" && name != "timestamp" && name != "metadata") ++hub_.ignored_members;
        if (needs && !may) return deny(session, *parsed, *type, *needs);

        if (*type == "auth") return reauthenticate(session, token_of(*parsed));
        if (*type == "subscribe") return subscribe(session, *parsed);
        if (*type == "unsubscribe") return unsubscribe(session, *parsed);
        if (*type == "update") return update(session, *parsed);
        if (*type == "resume_token") return resume_token(session);
        if (*type == "resume") return resume(session, *parsed);
        refuse(session, {GatewayError::unknown_message_type, "`" + cut(*type, 64) + "`; allowed: auth, subscribe, unsubscribe, update, ack, publish, resume_token, resume, ping"});
    }

    void authenticated(Session& session, bool right) override {
        text_.clear();
        right ? messages::append_auth_success(text_, session.client_id()) : messages::append_auth_failed(text_);
        session.reply(text_);
    }
    void lost(Session& session, const LostRights& lost) override {
        for (const auto& id : lost.ids) {
            text_.clear();
            messages::append_unsubscribed(text_, id);
            session.reply(text_);
        }
    }

private:
    /// Content errors never close (decisions.md 22); what cannot even be read counts as a control message.
    void refuse(Session& session, const Refusal& refusal, bool counts = false, std::string_view id = {}) {
        Duration retry_after{0};
        if (counts && !session.admit(hub_.reactor().now(), retry_after)) {
            text_.clear();
            messages::append_error(text_, GatewayError::rate_limited, {.retry_after_ms = retry_after.count() / 1000});
            hub_.count(GatewayError::rate_limited);
            return session.reply(text_);
        }
        text_.clear();
        messages::append_error(text_, refusal.error, {.detail = refusal.detail, .subscription_id = id});
        hub_.count(refusal.error);
        session.reply(text_);
    }

    void deny(Session& session, const Json& message, std::string_view type, Needs needs) {
        audit(Audit::warning, {.what = "denied", .peer = session.connection().peer().to_text(), .who = session.identity()->name, .detail = std::string(type) + " needs " + std::string(needs_name(needs))});
        const Json* request = message.find("metadata");
        const std::string metadata = request && !request->is_null() ? request->text() : std::string();
        text_.clear();
        messages::append_error(text_, GatewayError::forbidden, {.detail = "needs `" + std::string(needs_name(needs)) + "`", .metadata = metadata.size() <= kMetadataBytesMax ? std::string_view(metadata) : std::string_view()});
        hub_.count(GatewayError::forbidden);
        session.reply(text_);
    }

    void subscribe(Session& session, const Json& message) {
        const Json* data = message.find("data");
        if (!data || !data->is_object()) return refuse(session, {GatewayError::malformed_message, "`data` of a subscribe is an object"});
        std::string own_id, told;
        if (const auto refusal = read_own_id(message, *data, own_id)) return refuse(session, *refusal);
        // What it is told stands in front of all that it gets: frames are sent at the end of the turn.
        if (const auto refusal = take(session, *data, own_id, std::nullopt, told)) return refuse(session, *refusal, false, own_id);
        session.reply(told);
    }

    /// Some thousand values cost some hundred kilobytes in the index of each stream, and a session may have a thousand subscriptions. What its
    /// token adds to each is the operator's, and not counted.
    bool has_room_for_filter(const Session& session, const Subscription& more) const {
        const std::size_t boundary = session.identity()->permissions.filter.weight();
        const auto own = [&](const Subscription& subscription) { return subscription.filter.weight() - std::min(boundary, subscription.filter.weight()); };
        const std::size_t added = own(more);
        if (added == 0) return true;
        std::size_t held = 0;
        for (const auto& one : session.held()) held += own(*one.subscription);
        return held == 0 || held + added <= hub_.options().filter_bytes_per_session;
    }

    /// Gives the session one subscription. `told` becomes the message that confirms it. `resumed` says where it begins, whatever `data` says.
    std::optional<Refusal> take(Session& session, const Json& data, const std::string& own_id, const std::optional<Since>& resumed, std::string& told) {
        Hub::Wanted wanted;
        Since since;
        DeliveryPolicy policy;
        if (const auto refusal = read_subscription(session, data, resumed.has_value(), wanted, since, policy)) return refusal;
        if (resumed) since = *resumed;
        wanted.deflate_window = session.connection().deflate_window();
        wanted.cbor = session.is_cbor();
        if (!own_id.empty()) {
            // An id that weir gave may be brought again, for the same subscription.
            if (own_id.starts_with("sub_")) {
                Subscription& derived = hub_.subscription(wanted);
                const bool same = derived.id == own_id;
                if (derived.users == 0) hub_.forget(derived);
                // The boundary is part of what an id is made of: a client that resumes has brought nothing of its own.
                if (!same) return Refusal{GatewayError::bad_subscription_id, resumed ? "under the token of this session it is another subscription: subscribe again" : "ids that start with `sub_` are weir's"};
            } else {
                wanted.own_id = own_id;
            }
        }
        Subscription& subscription = hub_.subscription(std::move(wanted));
        const Session::Held* held = session.find(subscription.id);
        if (held && held->subscription != &subscription) {
            if (subscription.users == 0) hub_.forget(subscription);
            return Refusal{GatewayError::subscription_exists, "unsubscribe first"};
        }
        if (!held && session.held().size() >= hub_.options().subscriptions_per_session) {
            if (subscription.users == 0) hub_.forget(subscription);
            return Refusal{GatewayError::too_many_subscriptions, "at most " + std::to_string(hub_.options().subscriptions_per_session)};
        }
        if (!held && !has_room_for_filter(session, subscription)) {
            if (subscription.users == 0) hub_.forget(subscription);
            return Refusal{GatewayError::too_many_subscriptions, "filters of at most " + std::to_string(hub_.options().filter_bytes_per_session) + " bytes together (gateway.filter_bytes_per_session)"};
        }
        Groups::Begins begins;
        if (!subscription.group.empty() && !held) {
            auto entry = hub_.groups().enter(subscription.group, subscription.shared, begins_of(subscription, since), hub_.clock().now());
            if (entry.refused) {
                const std::string detail = *entry.refused == GatewayError::group_differs ? "`" + subscription.group + "` shares out another subscription" : std::string();
                if (subscription.users == 0) hub_.forget(subscription);
                return Refusal{*entry.refused, detail};
            }
            begins = std::move(entry.begins);
        }
        const std::string delivery = policy_text(policy);
        messages::Subscribed subscribed{.subscription_id = subscription.id,
                                        .type = subscription.type,
                                        .filters = subscription.filter.canonical(),
                                        .streams = {},
                                        .producer = hub_.has_type(subscription.type),
                                        .delivery = policy.plain() ? std::string_view() : delivery,
                                        .group = subscription.group,
                                        .acknowledged = subscription.acknowledged};
        for (const auto& audience : subscription.audiences)
            subscribed.streams.push_back({audience->stream.name, audience->stream.epoch, Seq{audience->stream.next.value - 1}});
        for (const auto& [name, begin] : begins)
            if (const auto* position = std::get_if<Since::Position>(&begin)) subscribed.streams.push_back({name, position->epoch, position->seq});
        messages::append_subscribed(told, subscribed);
        if (hub_.authenticator().required())
            audit(Audit::note, {.what = "subscribed", .peer = session.connection().peer().to_text(), .who = session.identity()->name, .detail = subscription.id});
        if (!subscription.group.empty() && !held) {
            session.join_group(subscription, begins);
            return std::nullopt;
        }
        session.hold(subscription, since);
        session.set_policy(subscription, policy);
        return std::nullopt;
    }

    /// Where a group begins that has no position yet: of each stream where `since` says, or else where the hub stands.
    Groups::Begins begins_of(const Subscription& subscription, const Since& since) const {
        Groups::Begins begins;
        for (const auto& [name, stream] : hub_.streams()) {
            if (stream->type != subscription.type) continue;
            if (!subscription.streams.empty() && !std::binary_search(subscription.streams.begin(), subscription.streams.end(), name)) continue;
            begins.emplace(name, since.begin(name).value_or(Since::Position{stream->epoch, Seq{stream->next.value - 1}}));
        }
        return begins;
    }

    /// It is not answered: what is acknowledged twice, or too late, was handed to another meanwhile.
    void acknowledge(Session& session, const Json& message) {
        const Json* data = message.find("data");
        const auto id = subscription_named(message);
        if (!id) return refuse(session, {GatewayError::subscription_id_required, {}}, true);
        const std::string name = cut(*id, kOwnIdBytesMax);  // as it is repeated in an answer
        const Session::Held* held = session.find(*id);
        if (!held) return refuse(session, {GatewayError::subscription_not_found, {}}, true, name);
        const Json* given = data ? data->find("positions") : nullptr;
        const auto positions = given ? read_positions(*given) : std::nullopt;
        if (!positions) return refuse(session, {GatewayError::bad_ack, R"(`data.positions` is {"<stream>":{"epoch":"<16 hex digits>","seq":n}, ...})"}, true, name);
        if (!session.acknowledge(*held->subscription, *positions)) return refuse(session, {GatewayError::bad_ack, "the subscription was not made with `group` and `ack`"}, true, name);
    }

    // Publishing: one answer a message, in the order of the messages, when it is committed.

    void publish(Session& session, const Json& message) {
        const Json* data = message.find("data");
        const Json* request = message.find("metadata");
        const std::string metadata = request && !request->is_null() ? request->text() : std::string();
        const auto refused = [&](GatewayError error, std::string_view detail, std::optional<std::int64_t> retry_after_ms = {}) {
            text_.clear();
            messages::append_error(text_, error, {.detail = detail, .retry_after_ms = retry_after_ms, .metadata = metadata});
            hub_.count(error);
            session.reply(text_);
        };
        const auto stream = data ? data->find_string("stream") : std::nullopt;
        const Json* one = data ? data->find("event") : nullptr;
        const Json* events = data ? data->find("events") : nullptr;
        if (metadata.size() > kMetadataBytesMax) return refused(GatewayError::malformed_message, "`metadata` of a publish is larger than 1 KiB");
        if (!stream) return refused(GatewayError::stream_required, {});
        if (!is_stream_name(*stream) || StreamDirectory::is_hidden(*stream) || hub_.directory().is_computed(*stream))
            return refused(GatewayError::stream_required, "`" + cut(*stream, 128) + "`");
        const Permissions& may = session.identity()->permissions;
        if (*stream == Hub::kNoticeStream && !may.administer) return refused(GatewayError::forbidden, "needs `administer`");
        // Whoever may only see some streams may only write to these.
        if (!may.every_stream && !may.sees(*stream, hub_.directory().type_of(*stream)))
            return refused(GatewayError::unknown_stream, "`" + cut(*stream, 128) + "`");
        if (!hub_.has_room_for(*stream)) return refused(GatewayError::too_many_streams, "`" + cut(*stream, 128) + "`");
        if (!one == !(events && events->is_array())) return refused(GatewayError::bad_event, "either `data.event` or a list `data.events`");
        const std::size_t count = one ? 1 : events->items().size();
        Duration retry_after{0};
        if (!session.admit_events(hub_.reactor().now(), count, retry_after)) return refused(GatewayError::rate_limited, {}, retry_after.count() / 1000);
        auto pushed = std::make_shared<PushedEvents>(read_pushed(one ? *one : *events, hub_.clock().now(), [this] { return hub_.next_id(); }));
        if (const auto missing = missing_for(may, *stream, *pushed)) return deny(session, message, "publish", *missing);
        name_user(*session.identity(), *stream, *pushed);
        const auto answer = [this, number = session.number(), name = std::string(*stream), metadata](PushAnswer made) {
            auto text = std::make_shared<std::string>();
            if (made.error) messages::append_error(*text, *made.error, {.detail = made.detail, .metadata = metadata});
            else messages::append_published(*text, name, made.body, metadata);
            // From the writer's thread: a full reactor has other worries than this answer, and the client repeats with the same ids.
            (void)hub_.reactor().post([this, number, text] {
                if (Session* found = hub_.find(number)) found->reply(*text);
            });
        };
        if (!push_now(hub_.log(), StreamName(*stream), pushed, answer)) refused(GatewayError::busy, "the log's writer has no room");
    }

    // Coming back.

    void resume_token(Session& session) {
        std::string text;
        JsonWriter json(text);
        json.array();
        for (const auto& held : session.held()) {
            const Subscription& subscription = *held.subscription;
            json.object().member("type", subscription_type_name(subscription.type)).member("subscription_id", subscription.id);
            json.name("filters").raw(subscription.filter.canonical());
            if (!subscription.streams.empty()) {
                json.name("stream").array();
                for (const auto& name : subscription.streams) json.value(name);
                json.end();
            }
            if (const Governor* governor = session.governor(subscription)) governor->policy.print(json.name("delivery"));
            if (!subscription.group.empty()) json.member("group", subscription.group).member("ack", subscription.acknowledged);
            if (held.count > 1) json.member("count", held.count);
            json.end();
        }
        json.end();
        const std::string token = hub_.resume_tokens().make("analytics", {hub_.handed_out(), *Json::parse(text, Json::own_levels_max)});
        if (token.size() + 256 > hub_.options().max_message_size) return refuse(session, {GatewayError::too_many_subscriptions, "a token of them is larger than a message"});
        text_.clear();
        messages::append_resume_token(text_, token);
        session.reply(text_);
    }

    void resume(Session& session, const Json& message) {
        const Json* data = message.find("data");
        const auto token = data ? data->find_string("token") : std::nullopt;
        if (!token) return refuse(session, {GatewayError::bad_resume_token, "`data.token` is missing or no text"});
        const auto content = hub_.resume_tokens().read("analytics", *token);
        if (!content.ok()) return refuse(session, {GatewayError::bad_resume_token, content.error().message});
        // By stream for all subscriptions, or by subscription and stream where those were not the same.
        const Json none = Json::object();
        const Json* given = data->find("positions");
        if (!given || given->is_null()) given = &none;
        const auto shared = read_positions(*given);
        std::map<std::string, Since::Positions> own;
        if (!shared) {
            if (!given->is_object()) return refuse(session, bad_positions());
            for (const auto& [id, positions] : given->members()) {
                auto read = read_positions(positions);
                if (!read) return refuse(session, bad_positions());
                own[id] = *std::move(read);
            }
        }
        messages::Resumed resumed;
        for (const Json& one : content->subscriptions.items()) {
            const std::string id(one.find_string("subscription_id").value_or(""));
            Since since;
            since.at = shared ? *shared : own[id];
            since.otherwise = content->at;
            Json asked = one;
            std::erase_if(asked.members(), [](const auto& member) { return member.first == "count"; });
            // What the session holds already is not held more often by a token of it.
            const Session::Held* before = session.find(id);
            const Json* count = one.find("count");
            const std::int64_t times = std::max<std::int64_t>(before ? before->count : 1, count ? count->as_integer().value_or(1) : 1);
            std::string told;
            if (const auto refusal = take(session, asked, id, since, told)) {
                resumed.refused.push_back({id, refusal->error, refusal->detail});
                continue;
            }
            session.hold_times(id, static_cast<std::uint32_t>(std::min<std::int64_t>(times, Session::times_max)));
            resumed.subscribed.push_back(std::move(told));
        }
        text_.clear();
        messages::append_resumed(text_, resumed);
        session.reply(text_);
    }

    static Refusal bad_positions() {
        return {GatewayError::bad_resume_token,
                R"(`data.positions` is {"<stream>":{"epoch":"<16 hex digits>","seq":n}, ...}, or one such map for each subscription_id)"};
    }

    static std::string policy_text(const DeliveryPolicy& policy) {
        std::string text;
        JsonWriter json(text);
        policy.print(json);
        return text;
    }

    /// How a subscription is delivered, while it runs.
    void update(Session& session, const Json& message) {
        const Json* data = message.find("data");
        const auto id = subscription_named(message);
        if (!id) return refuse(session, {GatewayError::subscription_id_required, {}});
        const std::string name = cut(*id, kOwnIdBytesMax);  // as it is repeated in an answer
        const Session::Held* held = session.find(*id);
        if (!held) return refuse(session, {GatewayError::subscription_not_found, {}}, false, name);
        const Json* delivery = data ? data->find("delivery") : nullptr;
        if (!delivery) return refuse(session, {GatewayError::bad_delivery, "`data.delivery` is missing"}, false, name);
        const auto policy = DeliveryPolicy::parse(*delivery);
        if (!policy.ok()) return refuse(session, {GatewayError::bad_delivery, policy.error().message}, false, name);
        if (!held->subscription->group.empty() && !policy->plain()) return refuse(session, {GatewayError::bad_group, std::string(kNoDelivery)}, false, name);
        text_.clear();
        messages::append_updated(text_, name, policy_text(*policy));
        session.reply(text_);
        if (held->subscription->group.empty()) session.set_policy(*held->subscription, *policy);
    }

    /// The subscription that a message is about, beside its data or in them. nullopt: it names none.
    static std::optional<std::string> subscription_named(const Json& message) {
        const Json* data = message.find("data");
        const Json* id = data ? data->find("subscription_id") : nullptr;
        if (!id) id = message.find("subscription_id");
        if (!id || !id->is_string()) return std::nullopt;
        return id->as_string();
    }

    static std::optional<Refusal> read_own_id(const Json& message, const Json& data, std::string& id) {
        for (const Json* at : {data.find("subscription_id"), message.find("subscription_id")}) {
            if (!at || at->is_null()) continue;
            if (!at->is_string() || at->as_string().empty() || at->as_string().size() > kOwnIdBytesMax)
                return Refusal{GatewayError::bad_subscription_id, "a text of 1 to 128 bytes"};
            id = at->as_string();
            return std::nullopt;
        }
        return std::nullopt;
    }

    std::optional<Refusal> read_subscription(Session& session, const Json& data, bool resumed, Hub::Wanted& wanted, Since& since, DeliveryPolicy& policy) {
        const auto type_name = data.find_string("type");
        if (!type_name) return Refusal{GatewayError::unknown_subscription_type, "`data.type` is missing or no text"};
        const auto type = subscription_type(*type_name);
        if (!type)
            return Refusal{GatewayError::unknown_subscription_type, "`" + cut(*type_name, 64) +
                                                                        "`; allowed: events, metrics, alerts, predictions, aggregations, system_status"};
        wanted.type = *type;
        const Permissions& may = session.identity()->permissions;
        if (!may.allows(*type)) {
            audit(Audit::warning, {.what = "denied", .peer = session.connection().peer().to_text(), .who = session.identity()->name, .detail = "subscription type " + std::string(*type_name)});
            return Refusal{GatewayError::forbidden, "needs `" + std::string(*type_name) + "` among the token's types"};
        }
        for (const auto& [name, value] : data.members()) {
            if (name == "type" || name == "subscription_id" || value.is_null()) continue;
            if (name == "filters") {
                auto filter = Filter::parse(value);
                if (!filter.ok()) return Refusal{filter_error(filter.error().code), filter.error().message};
                wanted.filter = *std::move(filter);
            } else if (name == "stream") {
                if (auto refusal = read_streams(may, value, *type, resumed, wanted.streams)) return refusal;
            } else if (name == "since") {
                auto read = read_since(value);
                if (!read) return bad_since();
                since = *std::move(read);
            } else if (name == "delivery") {
                const auto parsed = DeliveryPolicy::parse(value);
                if (!parsed.ok()) return Refusal{GatewayError::bad_delivery, parsed.error().message};
                policy = *parsed;
            } else if (name == "group") {
                const auto is_control = [](unsigned char c) { return c < 0x20; };
                wanted.group = value.is_string() ? value.as_string() : std::string();
                if (wanted.group.empty() || wanted.group.size() > kGroupBytesMax || std::any_of(wanted.group.begin(), wanted.group.end(), is_control))
                    return Refusal{GatewayError::bad_group, "`group` is a text of 1 to 128 bytes without control characters"};
            } else if (name == "ack") {
                if (!value.is_boolean()) return Refusal{GatewayError::bad_group, "`ack` is true or false"};
                wanted.acknowledged = value.as_boolean();
            } else if (name == "last") {
                auto read = read_last(value);
                if (!read) return bad_since();
                since = *std::move(read);
            } else {
                return Refusal{GatewayError::unknown_subscription_member,
                               "`" + cut(name, 64) + "`; allowed: type, filters, stream, since, last, delivery, group, ack, subscription_id"};
            }
        }
        if (wanted.acknowledged && wanted.group.empty()) return Refusal{GatewayError::bad_group, "`ack` needs a `group`"};
        if (!wanted.group.empty() && !policy.plain()) return Refusal{GatewayError::bad_group, std::string(kNoDelivery)};
        // The token's boundary: from here on it is part of what is asked for.
        if (wanted.streams.empty() && !may.every_stream) {
            for (const auto& name : may.streams)
                if (hub_.directory().type_of(name) == *type) wanted.streams.push_back(name);
            if (wanted.streams.empty()) return Refusal{GatewayError::forbidden, "needs a stream of `" + std::string(*type_name) + "` among the token's streams"};
        }
        if (!may.filter.matches_all()) wanted.filter = wanted.filter.and_also(may.filter);
        if (const auto* positions = std::get_if<Since::Positions>(&since.at)) {
            for (const auto& [name, position] : *positions) {
                const HubStream* stream = hub_.stream(name);
                const bool asked = wanted.streams.empty() || std::find(wanted.streams.begin(), wanted.streams.end(), name) != wanted.streams.end();
                if (!stream || stream->type != *type || !asked)
                    return Refusal{GatewayError::bad_since, "`since` names `" + cut(name, 128) + "`, which this subscription does not cover"};
            }
        }
        return std::nullopt;
    }

    std::optional<Refusal> read_streams(const Permissions& may, const Json& value, StreamType type, bool resumed, std::vector<StreamName>& streams) {
        auto add = [&](const Json& one) -> std::optional<Refusal> {
            if (!one.is_string()) return Refusal{GatewayError::unknown_stream, "`stream` is a name or a list of names"};
            const HubStream* stream = hub_.stream(one.as_string());
            // A subscription within a boundary names the streams of its token, those that are still to come as well: it comes back with them.
            if (!stream && resumed && !may.every_stream && may.sees(one.as_string(), type) && hub_.directory().type_of(one.as_string()) == type) {
                streams.push_back(one.as_string());
                return std::nullopt;
            }
            // What may not be seen is told from what is not there by nothing (S3-R12).
            if (!stream || !may.sees(stream->name, stream->type)) return Refusal{GatewayError::unknown_stream, "`" + cut(one.as_string(), 128) + "`"};
            if (stream->type != type)
                return Refusal{GatewayError::unknown_stream, "`" + stream->name + "` carries " + std::string(subscription_type_name(stream->type)) +
                                                                 ", not " + std::string(subscription_type_name(type))};
            streams.push_back(stream->name);
            return std::nullopt;
        };
        if (!value.is_array()) return add(value);
        if (value.items().empty()) return Refusal{GatewayError::unknown_stream, "the list of streams is empty"};
        for (const Json& one : value.items())
            if (auto refusal = add(one)) return refusal;
        return std::nullopt;
    }

    static Refusal bad_since() { return {GatewayError::bad_since, std::string(kSinceForms)}; }

    void unsubscribe(Session& session, const Json& message) {
        const auto id = subscription_named(message);
        if (!id) return refuse(session, {GatewayError::subscription_id_required, {}});
        const std::string name = cut(*id, kOwnIdBytesMax);  // as it is repeated in an answer
        if (!session.drop(*id)) return refuse(session, {GatewayError::subscription_not_found, {}}, false, name);
        text_.clear();
        messages::append_unsubscribed(text_, name);
        session.reply(text_);
    }

    Hub& hub_;
    std::string text_;
};

}  // namespace

std::unique_ptr<Dialect> make_analytics_dialect(Hub& hub) { return std::make_unique<AnalyticsDialect>(hub); }

}  // namespace weir
