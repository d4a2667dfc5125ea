#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/errors.h"
#include "net/http_server.h"

namespace weir {

/// A whole answer, made on any thread and sent on the reactor's.
struct HttpAnswer {
    int status = 200;
    std::string type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers = {};
};

/// `{"error":{"code","message","detail"}}` with the row's status.
HttpAnswer error_answer(GatewayError error, std::string_view detail = {});
/// 429 with `Retry-After` in seconds and `retry_after_ms` in the body.
HttpAnswer rate_limited_answer(Duration wait);
void send_answer(net::HttpExchange& exchange, const HttpAnswer& answer);
/// Compresses the body of an answer for a client that takes gzip, where it pays.
void compress(HttpAnswer& answer);
/// Whether the request's Accept-Encoding allows gzip.
bool takes_gzip(const net::HttpRequest& request);

}  // namespace weir
