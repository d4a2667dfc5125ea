#include "gateway/http/answer.h"

#include "event/json.h"
#include "net/gzip.h"

namespace weir {

HttpAnswer error_answer(GatewayError error, std::string_view detail) {
    const auto& r = row(error);
    HttpAnswer answer;
    answer.status = r.http_status ? r.http_status : 400;
    JsonWriter json(answer.body);
    json.object().name("error").object().member("code", r.code).member("message", r.text).member("detail", detail).end().end();
    if (r.retry == Retry::later) answer.headers.emplace_back("Retry-After", "1");
    return answer;
}

HttpAnswer rate_limited_answer(Duration wait) {
    const auto& r = row(GatewayError::rate_limited);
    HttpAnswer answer;
    answer.status = r.http_status;
    const std::int64_t ms = (wait.count() + 999) / 1000;
    JsonWriter json(answer.body);
    json.object().name("error").object().member("code", r.code).member("message", r.text).member("retry_after_ms", ms).end().end();
    answer.headers.emplace_back("Retry-After", std::to_string((ms + 999) / 1000));
    return answer;
}

void send_answer(net::HttpExchange& exchange, const HttpAnswer& answer) {
    std::vector<net::HttpHeader> headers{{"Content-Type", answer.type}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
    for (const auto& [name, value] : answer.headers) headers.push_back({name, value});
    exchange.respond_with(answer.status, headers, answer.body);
}

void compress(HttpAnswer& answer) {
    if (answer.body.size() < 1400) return;  // one packet either way
    std::string packed = net::gzip(answer.body);
    if (packed.size() >= answer.body.size()) return;
    answer.body = std::move(packed);
    answer.headers.emplace_back("Content-Encoding", "gzip");
    answer.headers.emplace_back("Vary", "Accept-Encoding");
}

bool takes_gzip(const net::HttpRequest& request) {
    const auto accept = request.header("Accept-Encoding");
    if (!accept) return false;
    const auto at = accept->find("gzip");
    if (at == std::string_view::npos) return false;
    const std::string_view rest = accept->substr(at + 4, 6);
    return !rest.starts_with(";q=0") || rest.starts_with(";q=0.");
}

}  // namespace weir
