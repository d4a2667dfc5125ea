#include "stores/s3_service.h"

#include "net/digest.h"

namespace weir {
namespace {

constexpr std::string_view metadata_epoch = "x-amz-meta-weir-epoch", metadata_revision = "x-amz-meta-weir-revision", metadata_md5 = "x-amz-meta-weir-md5";

std::string element(std::string_view xml, std::string_view name) {
    const std::string open = "<" + std::string(name) + ">";
    const auto at = xml.find(open);
    if (at == std::string_view::npos) return {};
    const auto begin = at + open.size(), end = xml.find('<', begin);
    return end == std::string_view::npos || end - begin > 100 ? std::string() : std::string(xml.substr(begin, end - begin));
}

std::string base_of(const StoreOptions& options) {
    std::string endpoint = options.endpoint.empty() ? "https://s3." + options.region + ".amazonaws.com" : options.endpoint;
    while (endpoint.ends_with('/')) endpoint.pop_back();
    const std::string bucket = net::percent_encode(options.bucket);
    if (options.path_style) return endpoint + "/" + bucket;
    const auto host = endpoint.find("://") + 3;
    return endpoint.substr(0, host) + bucket + "." + endpoint.substr(host);
}

}  // namespace

S3Service::S3Service(StoreOptions options, std::shared_ptr<ServiceTransport> transport, const Clock& clock)
    : options_(std::move(options)),
      keys_{options_.access_key, options_.secret_key, options_.session_token},
      base_(base_of(options_)),
      transport_(std::move(transport)),
      clock_(clock) {}

Result<net::HttpClientResponse> S3Service::send(const char* method, const std::string& name, Headers headers, std::string body) {
    net::HttpClientRequest request;
    request.method = method;
    request.url = base_ + "/" + net::percent_encode(name, net::Slash::keep);
    request.headers = std::move(headers);
    const std::string hash = net::hex(net::sha256(body));
    request.headers.emplace_back("x-amz-content-sha256", hash);
    request.body = std::move(body);
    request.timeout = options_.timeout;
    request.tls_ca_file = options_.tls_ca_file;
    request.redirects_max = 0;
    request.body_bytes_max = 256u << 20;
    if (!keys_.access_key.empty()) sign_aws(request, keys_, options_.region, "s3", clock_.now(), hash);
    return transport_->send(std::move(request));
}

Error S3Service::error(const std::string& what, const net::HttpClientResponse& response) const {
    const std::string code = element(response.body, "Code");
    std::string advice;
    if (response.status == 401 || response.status == 403) {
        advice = clock_skew(response, clock_.now());
        if (!advice.empty()) {
        } else if (code == "SignatureDoesNotMatch") {
            advice = "secret_key does not belong to access_key";
        } else if (code == "InvalidAccessKeyId") {
            advice = "the service does not know this access_key";
        } else if (code == "RequestTimeTooSkewed") {
            advice = "this machine's clock is wrong; set it right";
        } else {
            advice = "the key must be allowed s3:GetObject, s3:PutObject and s3:DeleteObject in the bucket";
        }
    } else if (code == "ExpiredToken" || code == "InvalidToken" || code == "TokenRefreshRequired") {
        advice = "the session_token has expired or is wrong";
    } else if (code == "NoSuchBucket") {
        advice = "the bucket does not exist; make it, or set another bucket";
    } else if (response.status == 301 || response.status == 307 || code == "AuthorizationHeaderMalformed") {
        std::string region(response.header("x-amz-bucket-region").value_or(""));
        if (region.empty()) region = element(response.body, "Region");
        advice = "the bucket is in another region" + (region.empty() ? std::string() : ", " + region.substr(0, 40)) + "; set region";
    } else if (code == "BadDigest" || code == "InvalidDigest" || code == "XAmzContentSHA256Mismatch") {
        advice = "the bytes were changed on the way";
    } else if (code == "InvalidStorageClass") {
        advice = "the service does not know this storage class";
    }
    Error error = service_error("S3 bucket " + options_.bucket + " at " + net::shown_url(base_) + ": " + what, response, code, advice);
    // Another write of this object was under way: the next look shows what became of it.
    if (response.status == 409 && code == "ConditionalRequestConflict") error.code = "precondition_failed";
    return error;
}

Result<std::optional<StoredObject>> S3Service::look(const std::string& name) {
    WEIR_TRY(const auto answer, send("HEAD", name, {}));
    // Who may not list a bucket is told 403 for what is not there. The conditional write then shows which it is.
    if (answer.status == 404 || answer.status == 403) return std::optional<StoredObject>();
    if (!answer.ok()) return error("looking for " + name, answer);
    StoredObject found;
    found.etag = answer.header("etag").value_or("");
    found.md5 = answer.header(metadata_md5).value_or("");
    if (const auto epoch = epoch_from_text(answer.header(metadata_epoch).value_or("")))
        found.version = {*epoch, std::strtoull(std::string(answer.header(metadata_revision).value_or("0")).c_str(), nullptr, 10)};
    return std::optional(std::move(found));
}

Result<std::string> S3Service::read(const std::string& name) {
    WEIR_TRY(auto answer, send("GET", name, {}));
    if (!answer.ok()) return error("reading " + name, answer);
    return std::move(answer.body);
}

Result<void> S3Service::write(const ObjectWrite& object, const std::string& name, const std::string& md5, const std::string& etag) {
    Headers headers{{"Content-Type", object.content_type}, {"Content-MD5", md5}, {"x-amz-checksum-sha256", net::base64(net::sha256(object.bytes))}};
    if (!object.content_encoding.empty()) headers.emplace_back("Content-Encoding", object.content_encoding);
    if (!object.storage_class.empty()) headers.emplace_back("x-amz-storage-class", object.storage_class);
    headers.emplace_back(metadata_epoch, to_text(object.epoch));
    headers.emplace_back(metadata_revision, std::to_string(object.revision));
    headers.emplace_back(metadata_md5, md5);
    if (etag.empty()) headers.emplace_back("If-None-Match", "*");
    else headers.emplace_back("If-Match", etag);
    WEIR_TRY(const auto answer, send("PUT", name, std::move(headers), object.bytes));
    if (answer.ok()) return ok();
    return error("writing " + name, answer);
}

Result<void> S3Service::remove(const std::string& name, const std::string& etag) {
    WEIR_TRY(const auto answer, send("DELETE", name, {{"If-Match", etag}}));
    // If-Match on a delete is for some kinds of buckets only; the others say that they do not know it.
    if (answer.status == 501 || element(answer.body, "Code") == "NotImplemented") {
        WEIR_TRY(const auto again, send("DELETE", name, {}));
        if (again.ok() || again.status == 404) return ok();
        return error("removing " + name, again);
    }
    if (answer.ok() || answer.status == 404) return ok();
    return error("removing " + name, answer);
}

}  // namespace weir
