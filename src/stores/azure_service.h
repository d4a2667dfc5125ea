#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stores/object_service.h"

namespace weir {

/// Where a machine asks for a token of its own: App Service and Functions name it in the environment (IDENTITY_ENDPOINT,
/// IDENTITY_HEADER); empty: the address that virtual machines ask (169.254.169.254).
struct AzureIdentity {
    std::string url;
    Secret header;
    std::string client_id;  ///< AZURE_CLIENT_ID: which identity, where the machine has several
};

/// A storage account, and what requests to it are signed with: its key, a shared access signature, or else the machine's identity.
struct AzureAccount {
    std::string endpoint;  ///< without a slash at its end: `https://name.blob.core.windows.net`
    std::string name;
    Secret key;  ///< decoded
    Secret sas;  ///< without `?`

    /// From `connection_string` (AccountName, AccountKey, BlobEndpoint, EndpointSuffix, DefaultEndpointsProtocol, SharedAccessSignature,
    /// UseDevelopmentStorage), else from `account_url` and `sas`. Error `bad_connection_string`: what is missing; never its text.
    static Result<AzureAccount> from(const StoreOptions& options);
};

/// What is signed, as "Authorize with Shared Key" has it (versions from 2015-02-21; the request's headers need x-ms-date).
std::string azure_string_to_sign(const std::string& account, const net::HttpClientRequest& request);

/// Azure Blob Storage: block blobs of one container, which is made if it is missing. Each is written by one conditional Put Blob with
/// its MD5 (which the service checks, and keeps), its access tier, and epoch and revision as metadata.
class AzureService final : public ObjectService {
public:
    static constexpr const char* version = "2021-12-02";  ///< x-ms-version: the first with the tier `cold`
    AzureService(AzureAccount account, StoreOptions options, AzureIdentity identity, std::shared_ptr<ServiceTransport> transport, const Clock& clock);
    Result<std::optional<StoredObject>> look(const std::string& name) override;
    Result<std::string> read(const std::string& name) override;
    Result<void> write(const ObjectWrite& object, const std::string& name, const std::string& md5, const std::string& etag) override;
    Result<void> remove(const std::string& name, const std::string& etag) override;

private:
    using Headers = std::vector<std::pair<std::string, std::string>>;
    /// `name` empty: the container.
    Result<net::HttpClientResponse> send(const char* method, const std::string& name, Headers headers, std::string body = {});
    Result<void> make_container();
    Result<std::string> token();
    Error error(const std::string& what, const net::HttpClientResponse& response);

    AzureAccount account_;
    StoreOptions options_;
    AzureIdentity identity_;
    std::shared_ptr<ServiceTransport> transport_;
    const Clock& clock_;
    Secret token_;
    Timestamp token_until_;
};

}  // namespace weir
