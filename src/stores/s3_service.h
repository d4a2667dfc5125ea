#pragma once
#include <string>
#include <utility>
#include <vector>

#include "stores/aws_signature.h"
#include "stores/object_service.h"

namespace weir {

/// S3 and what is compatible with it: objects of one bucket, which must be there. Each is written by one conditional PutObject
/// (If-None-Match, If-Match) with Content-MD5 and x-amz-checksum-sha256, its storage class, and epoch, revision and MD5 as metadata.
///
/// A service that takes no notice of the conditions (older compatible ones) is still looked at before each write; what is lost there
/// is the certainty when two processes write one object at the same moment.
///
/// Without an access key requests are not signed. Thread, errors: as ObjectService.
class S3Service final : public ObjectService {
public:
    S3Service(StoreOptions options, std::shared_ptr<ServiceTransport> transport, const Clock& clock);
    Result<std::optional<StoredObject>> look(const std::string& name) override;
    Result<std::string> read(const std::string& name) override;
    Result<void> write(const ObjectWrite& object, const std::string& name, const std::string& md5, const std::string& etag) override;
    Result<void> remove(const std::string& name, const std::string& etag) override;

private:
    using Headers = std::vector<std::pair<std::string, std::string>>;
    Result<net::HttpClientResponse> send(const char* method, const std::string& name, Headers headers, std::string body = {});
    Error error(const std::string& what, const net::HttpClientResponse& response) const;

    StoreOptions options_;
    AwsKeys keys_;
    std::string base_;  ///< of every address: with the bucket, without a slash at its end
    std::shared_ptr<ServiceTransport> transport_;
    const Clock& clock_;
};

}  // namespace weir
