#include "stores/azure_service.h"

#include <algorithm>
#include <map>

#include "event/json.h"
#include "net/digest.h"

namespace weir {
namespace {

// The emulator's account, the same everywhere and published: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
constexpr std::string_view development_account = "devstoreaccount1";
constexpr std::string_view development_key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
constexpr Duration token_reserve = 5min;

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return out;
}

std::string header_of(const net::HttpClientRequest& request, std::string_view lower_name) {
    for (const auto& [name, value] : request.headers)
        if (lower(name) == lower_name) return value;
    return {};
}

std::string percent_decode(std::string_view text) {
    const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
            out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string tier_text(BlobTier tier) {
    switch (tier) {
        case BlobTier::standard: return {};
        case BlobTier::hot: return "Hot";
        case BlobTier::cool: return "Cool";
        case BlobTier::cold: return "Cold";
        case BlobTier::archive: return "Archive";
    }
    return {};
}

std::string without_slash(std::string url) {
    while (url.ends_with('/')) url.pop_back();
    return url;
}

// `https://name.blob.core.windows.net` and, for an emulator or an address, `http://127.0.0.1:10000/name`.
std::string account_in(const std::string& endpoint) {
    const auto scheme = endpoint.find("://");
    const std::string rest = scheme == std::string::npos ? endpoint : endpoint.substr(scheme + 3);
    if (const auto slash = rest.find('/'); slash != std::string::npos) return rest.substr(slash + 1);
    return rest.substr(0, rest.find('.'));
}

}  // namespace

Result<AzureAccount> AzureAccount::from(const StoreOptions& options) {
    const auto bad = [](const std::string& what) {
        return Error{"bad_connection_string", "connection_string " + what + "; allowed: what the portal shows under \"Access keys\", or UseDevelopmentStorage=true"};
    };
    AzureAccount account;
    std::string sas = options.sas.reveal();
    if (options.connection_string.empty()) {
        account.endpoint = without_slash(options.account_url);
        account.name = account_in(account.endpoint);
    } else {
        std::map<std::string, std::string> members;
        std::string_view rest = options.connection_string.reveal();
        while (!rest.empty()) {
            const auto end = std::min(rest.find(';'), rest.size());
            const std::string_view part = rest.substr(0, end);
            rest.remove_prefix(std::min(end + 1, rest.size()));
            const auto equals = part.find('=');
            if (part.find_first_not_of(" \t\r\n") == std::string_view::npos) continue;
            if (equals == std::string_view::npos) return bad("has a part without \"=\"");
            const auto first = part.find_first_not_of(" \t\r\n");
            std::string value(part.substr(equals + 1));
            while (value.ends_with(' ') || value.ends_with('\n') || value.ends_with('\r')) value.pop_back();
            members[lower(part.substr(first, equals - first))] = std::move(value);
        }
        if (lower(members["usedevelopmentstorage"]) == "true") {
            members["accountname"] = development_account;
            members["accountkey"] = development_key;
            if (members["blobendpoint"].empty()) members["blobendpoint"] = "http://127.0.0.1:10000/" + std::string(development_account);
        }
        account.name = members["accountname"];
        account.endpoint = without_slash(members["blobendpoint"]);
        if (account.endpoint.empty()) {
            if (account.name.empty()) return bad("names neither AccountName nor BlobEndpoint");
            const std::string& protocol = members["defaultendpointsprotocol"];
            const std::string& suffix = members["endpointsuffix"];
            account.endpoint = (protocol.empty() ? "https" : lower(protocol)) + "://" + account.name + ".blob." + (suffix.empty() ? "core.windows.net" : suffix);
        }
        if (account.name.empty()) account.name = account_in(account.endpoint);
        if (!members["accountkey"].empty()) {
            auto key = net::base64_decode(members["accountkey"]);
            if (!key || key->empty()) return bad("has an AccountKey that is not base64 (cut off?)");
            account.key = Secret(*std::move(key));
        } else if (sas.empty()) {
            sas = members["sharedaccesssignature"];
            if (sas.empty()) return bad("has neither AccountKey nor SharedAccessSignature");
        }
    }
    if (!account.endpoint.starts_with("http://") && !account.endpoint.starts_with("https://")) return bad("has an endpoint that is no http or https address");
    if (sas.starts_with('?')) sas.erase(0, 1);
    account.sas = Secret(std::move(sas));
    return account;
}

std::string azure_string_to_sign(const std::string& account, const net::HttpClientRequest& request) {
    std::string text = request.method + "\n";
    text += header_of(request, "content-encoding") + "\n" + header_of(request, "content-language") + "\n";
    text += (request.body.empty() ? "" : std::to_string(request.body.size())) + "\n";
    // The date stands in x-ms-date.
    text += header_of(request, "content-md5") + "\n" + header_of(request, "content-type") + "\n\n";
    for (const char* name : {"if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"}) text += header_of(request, name) + "\n";

    std::map<std::string, std::string> own;
    for (const auto& [name, value] : request.headers)
        if (const std::string key = lower(name); key.starts_with("x-ms-")) own[key] = value;
    for (const auto& [name, value] : own) text += name + ":" + value + "\n";

    const std::string& url = request.url;
    const auto host = url.find("://");
    const std::string after_scheme = host == std::string::npos ? url : url.substr(host + 3);
    const auto question = after_scheme.find('?');
    const std::string address = after_scheme.substr(0, question);
    const auto slash = address.find('/');
    text += "/" + account + (slash == std::string::npos ? "/" : address.substr(slash));
    std::map<std::string, std::vector<std::string>> query;
    std::string rest = question == std::string::npos ? std::string() : after_scheme.substr(question + 1);
    while (!rest.empty()) {
        const auto end = rest.find('&');
        const std::string part = rest.substr(0, end);
        rest = end == std::string::npos ? std::string() : rest.substr(end + 1);
        const auto equals = part.find('=');
        query[lower(percent_decode(part.substr(0, equals)))].push_back(equals == std::string::npos ? std::string() : percent_decode(part.substr(equals + 1)));
    }
    for (auto& [name, values] : query) {
        std::sort(values.begin(), values.end());
        text += "\n" + name + ":";
        for (std::size_t i = 0; i < values.size(); ++i) text += (i ? "," : "") + values[i];
    }
    return text;
}

AzureService::AzureService(AzureAccount account, StoreOptions options, AzureIdentity identity, std::shared_ptr<ServiceTransport> transport, const Clock& clock)
    : account_(std::move(account)), options_(std::move(options)), identity_(std::move(identity)), transport_(std::move(transport)), clock_(clock) {}

Result<std::string> AzureService::token() {
    if (!token_.empty() && clock_.now() + token_reserve < token_until_) return token_.reveal();
    const bool named = !identity_.url.empty();
    net::HttpClientRequest request;
    // https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token and .../app-service/overview-managed-identity
    request.url = (named ? identity_.url + "?api-version=2019-08-01" : "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01") +
                  "&resource=" + net::percent_encode("https://storage.azure.com/");
    if (!identity_.client_id.empty()) request.url += "&client_id=" + net::percent_encode(identity_.client_id);
    if (named) request.headers.emplace_back("X-IDENTITY-HEADER", identity_.header.reveal());
    else request.headers.emplace_back("Metadata", "true");
    request.timeout = std::min<Duration>(options_.timeout, 10s);
    request.redirects_max = 0;
    const std::string what = "Azure: asking this machine's identity for a token";
    auto answer = transport_->send(std::move(request));
    if (!answer.ok())
        return std::move(answer).error().within(what + " (without a connection_string or sas it is needed, and only a machine in Azure has one)");
    if (!answer->ok())
        return service_error(what, *answer, "", answer->status == 400 ? "this machine has no managed identity; assign one to it, or set connection_string" : "");
    const auto document = Json::parse(answer->body);
    const auto text = document.ok() ? document->find_string("access_token") : std::nullopt;
    if (!text || text->empty()) return Error{"io_error", what + " brought an answer without access_token"};
    const auto number = [&](const char* name) -> std::optional<std::int64_t> {
        const Json* found = document->find(name);
        if (!found) return std::nullopt;
        if (found->is_number()) return found->as_integer();
        if (!found->is_string() || found->as_string().empty() || found->as_string().size() > 12 ||
            found->as_string().find_first_not_of("0123456789") != std::string::npos)
            return std::nullopt;
        return std::stoll(found->as_string());
    };
    if (const auto in = number("expires_in")) token_until_ = clock_.now() + std::chrono::seconds(*in);
    else if (const auto on = number("expires_on")) token_until_ = Timestamp::from_seconds(*on);
    else token_until_ = clock_.now() + 10min;
    token_ = Secret(std::string(*text));
    return token_.reveal();
}

Result<net::HttpClientResponse> AzureService::send(const char* method, const std::string& name, Headers headers, std::string body) {
    net::HttpClientRequest request;
    request.method = method;
    request.url = account_.endpoint + "/" + net::percent_encode(options_.container);
    if (name.empty()) request.url += "?restype=container";
    else request.url += "/" + net::percent_encode(name, net::Slash::keep);
    request.headers = std::move(headers);
    request.headers.emplace_back("x-ms-version", version);
    request.headers.emplace_back("x-ms-date", net::http_date(clock_.now()));
    request.body = std::move(body);
    request.timeout = options_.timeout;
    request.tls_ca_file = options_.tls_ca_file;
    request.redirects_max = 0;
    request.body_bytes_max = 256u << 20;
    if (!account_.key.empty()) {
        const std::string signature = net::base64(net::hmac_sha256(account_.key.reveal(), azure_string_to_sign(account_.name, request)));
        request.headers.emplace_back("Authorization", "SharedKey " + account_.name + ":" + signature);
    } else if (!account_.sas.empty()) {
        request.url += (name.empty() ? "&" : "?") + account_.sas.reveal();
    } else {
        WEIR_TRY(const std::string bearer, token());
        request.headers.emplace_back("Authorization", "Bearer " + bearer);
    }
    return transport_->send(std::move(request));
}

Error AzureService::error(const std::string& what, const net::HttpClientResponse& response) {
    std::string code(response.header("x-ms-error-code").value_or(""));
    if (code.size() > 100) code.resize(100);
    std::string advice;
    const bool with_key = !account_.key.empty(), with_sas = !with_key && !account_.sas.empty();
    if (response.status == 401 || response.status == 403) {
        advice = clock_skew(response, clock_.now());
        token_ = {};
        if (!advice.empty()) {
        } else if (code == "AuthenticationFailed" || code == "InvalidAuthenticationInfo" || code.empty()) {
            advice = with_key ? "the AccountKey is not this account's (has it been rotated?)"
                     : with_sas ? "the shared access signature is wrong or has expired; make a new one"
                                : "the machine's identity is not accepted";
        } else if (code.starts_with("AuthorizationPermission") || code == "AuthorizationServiceMismatch" || code == "AuthorizationResourceTypeMismatch") {
            advice = with_sas ? "the shared access signature needs the rights to read, add, create, write and delete (racwd)"
                              : "give the identity the role \"Storage Blob Data Contributor\" on the container";
        } else if (code == "AuthorizationFailure" || code == "PublicAccessNotPermitted") {
            advice = with_key ? "the AccountKey is not this account's, or the account's network rules do not let this machine in"
                              : "the account's network rules do not let this machine in";
        } else if (code == "KeyBasedAuthenticationNotPermitted") {
            advice = "the account forbids keys; use account_url with sas or a managed identity";
        } else if (code == "AccountIsDisabled") {
            advice = "the account is disabled";
        }
    } else if (code == "InvalidResourceName") {
        advice = "a container's name has 3 to 63 small letters, digits and single hyphens";
    } else if (code == "Md5Mismatch") {
        advice = "the bytes were changed on the way";
    } else if (code == "ContainerBeingDeleted") {
        advice = "the container was deleted a moment ago, and cannot be made anew yet";
    }
    Error error = service_error("Azure container " + options_.container + " at " + account_.endpoint + ": " + what, response, code, advice);
    if (response.status == 409 && code == "BlobAlreadyExists") error.code = "precondition_failed";
    return error;
}

Result<std::optional<StoredObject>> AzureService::look(const std::string& name) {
    WEIR_TRY(const auto answer, send("HEAD", name, {}));
    if (answer.status == 404) return std::optional<StoredObject>();
    if (!answer.ok()) return error("looking for " + name, answer);
    StoredObject found;
    found.etag = answer.header("etag").value_or("");
    found.md5 = answer.header("content-md5").value_or("");
    const auto epoch = epoch_from_text(answer.header("x-ms-meta-weir_epoch").value_or(""));
    if (epoch) found.version = {*epoch, std::strtoull(std::string(answer.header("x-ms-meta-weir_revision").value_or("0")).c_str(), nullptr, 10)};
    return std::optional(std::move(found));
}

Result<std::string> AzureService::read(const std::string& name) {
    WEIR_TRY(auto answer, send("GET", name, {}));
    if (!answer.ok()) return error("reading " + name, answer);
    return std::move(answer.body);
}

Result<void> AzureService::make_container() {
    WEIR_TRY(const auto answer, send("PUT", "", {}));
    if (answer.ok() || (answer.status == 409 && answer.header("x-ms-error-code") == "ContainerAlreadyExists")) return ok();
    return error("making it", answer);
}

Result<void> AzureService::write(const ObjectWrite& object, const std::string& name, const std::string& md5, const std::string& etag) {
    for (bool made = false;; made = true) {
        Headers headers{{"x-ms-blob-type", "BlockBlob"}, {"Content-Type", object.content_type}, {"Content-MD5", md5}};
        // Of the blob; as the request's own it would tell who is in between that the body may be unpacked.
        if (!object.content_encoding.empty()) headers.emplace_back("x-ms-blob-content-encoding", object.content_encoding);
        if (const std::string tier = tier_text(object.tier); !tier.empty()) headers.emplace_back("x-ms-access-tier", tier);
        headers.emplace_back("x-ms-meta-weir_epoch", to_text(object.epoch));
        headers.emplace_back("x-ms-meta-weir_revision", std::to_string(object.revision));
        if (etag.empty()) headers.emplace_back("If-None-Match", "*");
        else headers.emplace_back("If-Match", etag);
        WEIR_TRY(const auto answer, send("PUT", name, std::move(headers), object.bytes));
        if (answer.ok()) return ok();
        if (made || answer.status != 404 || answer.header("x-ms-error-code") != "ContainerNotFound") return error("writing " + name, answer);
        WEIR_CHECK_OK(make_container());
    }
}

Result<void> AzureService::remove(const std::string& name, const std::string& etag) {
    WEIR_TRY(const auto answer, send("DELETE", name, {{"If-Match", etag}}));
    if (answer.ok() || answer.status == 404) return ok();
    return error("removing " + name, answer);
}

}  // namespace weir
