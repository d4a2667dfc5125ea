#include "event/json.h"
#include "gateway/auth/audit.h"
#include "gateway/auth/door.h"
#include "gateway/auth/reauthentication.h"
#include "gateway/dialects/broadcast_messages.h"
#include "gateway/dialects/dialects.h"
#include "gateway/hub.h"

namespace weir {
namespace {

class BroadcastDialect final : public Dialect {
public:
    BroadcastDialect(Hub& hub, std::string stream, BroadcastOptions options)
        : hub_(hub), stream_(std::move(stream)), options_(std::move(options)) {}

    DialectKind kind() const override { return DialectKind::broadcast; }
    void opened(Session& session) override {
        const HubStream* stream = hub_.stream(stream_);
        const Permissions& may = session.identity()->permissions;
        if (!stream || !may.sees(stream->name, stream->type)) return session.end(GatewayError::unknown_stream, Drop::closed);
        std::string text;
        broadcast_messages::append_welcome(text, options_, Seq{stream->next.value - 1});
        session.reply(text);
        Hub::Wanted wanted;
        wanted.dialect = DialectKind::broadcast;
        wanted.type = stream->type;
        wanted.streams = {stream_};
        wanted.filter = may.filter;
        wanted.deflate_window = session.connection().deflate_window();
        session.hold(hub_.subscription(std::move(wanted)), {});
    }

    // Nothing else is ever sent on this path: its clients take any other message for a record (spec.md 5).
    // A token may be renewed all the same, without a word (S4-9).
    void message(Session& session, net::MessageKind kind, std::string_view payload) override {
        Duration ignored{0};
        if (!hub_.authenticator().required() || kind != net::MessageKind::text || !session.admit(hub_.reactor().now(), ignored)) return;
        const auto message = Json::parse(payload);
        if (message.ok() && message->find_string("type") == "auth") reauthenticate(session, token_of(*message));
    }
    void lost(Session& session, const LostRights&) override { session.end(GatewayError::forbidden, Drop::closed); }

private:
    Hub& hub_;
    const std::string stream_;
    const BroadcastOptions options_;
};

class SseDialect final : public Dialect {
public:
    DialectKind kind() const override { return DialectKind::sse; }
    void opened(Session&) override {}
    void message(Session&, net::MessageKind, std::string_view) override {}
};

}  // namespace

std::unique_ptr<Dialect> make_broadcast_dialect(Hub& hub, std::string stream, BroadcastOptions options) {
    return std::make_unique<BroadcastDialect>(hub, std::move(stream), std::move(options));
}
std::unique_ptr<Dialect> make_sse_dialect() { return std::make_unique<SseDialect>(); }

}  // namespace weir
