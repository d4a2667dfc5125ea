#pragma once
#include <string>
#include <string_view>

#include "base/time.h"
#include "config/secret.h"
#include "net/http_client.h"

namespace weir {

/// Whose request it is. `session_token` with temporary keys only.
struct AwsKeys {
    std::string access_key;
    Secret secret_key;
    Secret session_token;
};

/// Signature Version 4: adds `x-amz-date`, `x-amz-security-token` where there is one, and `Authorization`. Every header that is there
/// already, and the host, is signed. `payload_hash`: SHA-256 of the body in hex; S3 wants it as `x-amz-content-sha256`, too. The path of
/// the url is encoded once, as S3 has it.
/// Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. Thread: any. Cost: six HMACs.
void sign_aws(net::HttpClientRequest& request, const AwsKeys& keys, std::string_view region, std::string_view service, Timestamp now,
              std::string_view payload_hash);

}  // namespace weir
