#include "gateway/http/ndjson_stream.h"

#include "base/diag.h"
#include "gateway/auth/audit.h"

namespace weir {
namespace {
constexpr std::size_t kPieceBytes = 128 * 1024;  ///< below HttpExchange's own bound, so that one piece always fits an empty buffer
}

NdjsonStream::NdjsonStream(net::HttpExchange& exchange, const Parts& parts, IdentityPtr who, EventPage page)
    : reactor_(exchange.reactor()), exchange_(exchange.ref()), parts_(parts), who_(std::move(who)), page_(std::move(page)) {}

void NdjsonStream::start(net::HttpExchange& exchange, const Parts& parts, IdentityPtr who, EventPage page) {
    std::shared_ptr<NdjsonStream> stream(new NdjsonStream(exchange, parts, std::move(who), std::move(page)));
    stream->ask();
}

void NdjsonStream::ask() {
    const bool submitted = parts_.pool.submit([self = shared_from_this()] {
        auto piece = std::make_shared<Result<NdjsonPiece>>(next_ndjson(self->parts_.log, self->page_, kPieceBytes));
        (void)self->reactor_.post([self, piece] { self->arrived(std::move(*piece)); });
    });
    if (submitted) return;
    auto* exchange = exchange_.get();
    if (!exchange) return;
    if (!exchange->begun()) return send_answer(*exchange, error_answer(GatewayError::busy));
    exchange->cut();
}

void NdjsonStream::arrived(Result<NdjsonPiece> piece) {
    auto* exchange = exchange_.get();
    if (!exchange) return;
    if (!piece.ok()) {
        if (!exchange->begun()) return send_answer(*exchange, error_answer(GatewayError::log_unavailable, piece.error().message));
        diag::warn("gateway: events of " + page_.stream + ": " + piece.error().message);
        return exchange->cut();
    }
    if (!who_->holds(parts_.clock.now())) {
        audit(Audit::note, {.what = "auth_expired", .peer = exchange->peer().to_text(), .who = who_->name});
        if (!exchange->begun()) return send_answer(*exchange, error_answer(GatewayError::auth_expired));
        return exchange->cut();
    }
    if (!exchange->begun()) exchange->begin(200, {{"Content-Type", "application/x-ndjson"}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
    piece_ = *std::move(piece);
    write();
}

void NdjsonStream::write() {
    auto* exchange = exchange_.get();
    if (!exchange) return;
    if (!piece_.lines.empty() && !exchange->write(piece_.lines)) return exchange->on_drained([self = shared_from_this()](net::HttpExchange&) { self->write(); });
    if (piece_.done) return exchange->finish();
    piece_.lines.clear();
    ask();
}

}  // namespace weir
