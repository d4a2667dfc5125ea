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
    // RFC 9110, 12.5.3: a list of codings, each perhaps with a weight; a weight of 0 says not to.
    const std::string list = request.header_list("Accept-Encoding");
    const auto next = [](std::string_view& rest, char separator) {
        const auto end = std::min(rest.find(separator), rest.size());
        std::string_view part = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        while (part.starts_with(' ') || part.starts_with('\t')) part.remove_prefix(1);
        while (part.ends_with(' ') || part.ends_with('\t')) part.remove_suffix(1);
        return part;
    };
    for (std::string_view rest = list; !rest.empty();) {
        std::string_view one = next(rest, ',');
        const std::string_view coding = next(one, ';'), weight = next(one, ';');
        if (!net::equals_ignoring_case(coding, "gzip") && !net::equals_ignoring_case(coding, "x-gzip")) continue;
        const bool is_weight = weight.starts_with("q=") || weight.starts_with("Q=");
        return !is_weight || weight.find_first_of("123456789") != std::string_view::npos;
    }
    return false;
}

}  // namespace weir
