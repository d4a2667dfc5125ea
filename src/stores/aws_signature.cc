#include "stores/aws_signature.h"

#include <algorithm>
#include <map>
#include <vector>

#include "net/digest.h"

namespace weir {
namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return out;
}

// Blanks around a value and runs of them inside do not count.
std::string squeezed(std::string_view value) {
    std::string out;
    for (const char c : value) {
        const bool blank = c == ' ' || c == '\t';
        if (!blank) out += c;
        else if (!out.empty() && out.back() != ' ') out += ' ';
    }
    while (out.ends_with(' ')) out.pop_back();
    return out;
}

// The names and values are encoded in the url already.
std::string sorted_query(std::string query) {
    std::vector<std::string> parts;
    while (!query.empty()) {
        const auto end = query.find('&');
        std::string part = query.substr(0, end);
        query = end == std::string::npos ? std::string() : query.substr(end + 1);
        if (part.find('=') == std::string::npos) part += '=';
        parts.push_back(std::move(part));
    }
    std::sort(parts.begin(), parts.end());
    std::string out;
    for (const std::string& part : parts) out += (out.empty() ? "" : "&") + part;
    return out;
}

}  // namespace

void sign_aws(net::HttpClientRequest& request, const AwsKeys& keys, std::string_view region, std::string_view service, Timestamp now,
              std::string_view payload_hash) {
    std::string stamp;  // 20130524T000000Z
    for (const char c : to_rfc3339_short(Timestamp::from_seconds(now.floor_to(1s).micros() / 1'000'000)))
        if (c != '-' && c != ':') stamp += c;
    request.headers.emplace_back("x-amz-date", stamp);
    if (!keys.session_token.empty()) request.headers.emplace_back("x-amz-security-token", keys.session_token.reveal());

    const auto scheme = request.url.find("://");
    const std::string after_scheme = scheme == std::string::npos ? request.url : request.url.substr(scheme + 3);
    const auto question = after_scheme.find('?');
    const std::string address = after_scheme.substr(0, question);
    const std::string query = question == std::string::npos ? std::string() : after_scheme.substr(question + 1);
    const auto path_at = address.find('/');
    const std::string host = address.substr(0, path_at), path = path_at == std::string::npos ? "/" : address.substr(path_at);

    std::map<std::string, std::string> headers{{"host", host}};
    for (const auto& [name, value] : request.headers) headers[lower(name)] = squeezed(value);
    std::string canonical = request.method + "\n" + path + "\n" + sorted_query(query) + "\n", names;
    for (const auto& [name, value] : headers) {
        canonical += name + ":" + value + "\n";
        names += (names.empty() ? "" : ";") + name;
    }
    canonical += "\n" + names + "\n" + std::string(payload_hash);

    const std::string date = stamp.substr(0, 8);
    const std::string scope = date + "/" + std::string(region) + "/" + std::string(service) + "/aws4_request";
    const std::string to_sign = "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + net::hex(net::sha256(canonical));
    std::string key = net::hmac_sha256("AWS4" + keys.secret_key.reveal(), date);
    for (const std::string_view part : {region, service, std::string_view("aws4_request")}) key = net::hmac_sha256(key, part);
    request.headers.emplace_back("Authorization", "AWS4-HMAC-SHA256 Credential=" + keys.access_key + "/" + scope + ",SignedHeaders=" + names +
                                                      ",Signature=" + net::hex(net::hmac_sha256(key, to_sign)));
}

}  // namespace weir
