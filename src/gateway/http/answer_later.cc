#include "gateway/http/answer_later.h"

#include <memory>

namespace weir {

void refuse(Hub& hub, net::HttpExchange& exchange, GatewayError error, std::string_view detail) {
    hub.count(error);
    send_answer(exchange, error_answer(error, detail));
}

void answer_later(Hub& hub, ReaderPool& pool, net::HttpExchange& exchange, std::function<HttpAnswer()> work) {
    const bool submitted = pool.submit([&hub, ref = exchange.ref(), gzip = takes_gzip(exchange.request()), work = std::move(work)] {
        auto answer = std::make_shared<HttpAnswer>(work());
        if (gzip) compress(*answer);
        (void)hub.reactor().post([ref, answer] {
            if (auto* waiting = ref.get()) send_answer(*waiting, *answer);
        });
    });
    if (!submitted) refuse(hub, exchange, GatewayError::busy);
}

}  // namespace weir
