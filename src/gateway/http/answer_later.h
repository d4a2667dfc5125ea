#pragma once
#include <functional>

#include "gateway/http/answer.h"
#include "gateway/hub.h"
#include "gateway/reader_pool.h"

namespace weir {

/// Answers with a row of the table of errors, counted.
void refuse(Hub& hub, net::HttpExchange& exchange, GatewayError error, std::string_view detail = {});
/// Runs `work` on the pool and answers with what it made, compressed for who takes that. Thread: the reactor's.
void answer_later(Hub& hub, ReaderPool& pool, net::HttpExchange& exchange, std::function<HttpAnswer()> work);

}  // namespace weir
