#include <doctest/doctest.h>

#include "net/digest.h"
#include "stores/aws_signature.h"
#include "stores/service_test_support.h"

using namespace weir;

namespace {

constexpr std::string_view empty_hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string signature(const net::HttpClientRequest& request) {
    const std::string value = header(request, "Authorization");
    const auto at = value.find("Signature=");
    return at == std::string::npos ? value : value.substr(at + 10);
}

net::HttpClientRequest asked(std::string method, std::string url, std::vector<std::pair<std::string, std::string>> headers = {}) {
    net::HttpClientRequest request;
    request.method = std::move(method);
    request.url = std::move(url);
    request.headers = std::move(headers);
    return request;
}

}  // namespace

// AWS's Signature Version 4 test suite (aws-sig-v4-test-suite): its keys, its service, its moment.
TEST_CASE("aws signature: the published test suite") {
    const AwsKeys keys{"AKIDEXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), {}};
    struct Case {
        const char *name, *method, *url, *signature;
    };
    for (const Case& c : {Case{"get-vanilla", "GET", "https://example.amazonaws.com/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
                          Case{"get-vanilla-query-order-key-case", "GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1",
                               "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
                          Case{"post-vanilla", "POST", "https://example.amazonaws.com/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"}}) {
        CAPTURE(c.name);
        auto request = asked(c.method, c.url);
        sign_aws(request, keys, "us-east-1", "service", "2015-08-30T12:36:00Z"_utc, empty_hash);
        CHECK(header(request, "x-amz-date") == "20150830T123600Z");
        CHECK(header(request, "Authorization").starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,SignedHeaders=host;x-amz-date,"));
        CHECK(signature(request) == c.signature);
    }
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples: Signature Calculations".
TEST_CASE("aws signature: the examples of S3's documentation") {
    const AwsKeys keys{"AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), {}};
    const Timestamp moment = "2013-05-24T00:00:00Z"_utc;
    SUBCASE("GET Object") {
        auto request = asked("GET", "https://examplebucket.s3.amazonaws.com/test.txt", {{"Range", "bytes=0-9"}, {"x-amz-content-sha256", std::string(empty_hash)}});
        sign_aws(request, keys, "us-east-1", "s3", moment, empty_hash);
        CHECK(header(request, "Authorization") ==
              "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
              "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    }
    SUBCASE("PUT Object") {
        const std::string hash = net::hex(net::sha256("Welcome to Amazon S3."));
        auto request = asked("PUT", "https://examplebucket.s3.amazonaws.com/test%24file.text",
                             {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}, {"x-amz-content-sha256", hash}});
        sign_aws(request, keys, "us-east-1", "s3", moment, hash);
        CHECK(signature(request) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    }
    SUBCASE("GET Bucket Lifecycle") {
        auto request = asked("GET", "https://examplebucket.s3.amazonaws.com/?lifecycle", {{"x-amz-content-sha256", std::string(empty_hash)}});
        sign_aws(request, keys, "us-east-1", "s3", moment, empty_hash);
        CHECK(signature(request) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    }
    SUBCASE("GET Bucket (List Objects)") {
        auto request = asked("GET", "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J", {{"x-amz-content-sha256", std::string(empty_hash)}});
        sign_aws(request, keys, "us-east-1", "s3", moment, empty_hash);
        CHECK(signature(request) == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }
}

TEST_CASE("aws signature: a session's token is sent and signed") {
    auto request = asked("GET", "https://example.amazonaws.com/");
    sign_aws(request, {"ASIA", Secret("key"), Secret("token")}, "eu-central-2", "s3", "2026-02-17T10:00:00Z"_utc, empty_hash);
    CHECK(header(request, "x-amz-security-token") == "token");
    CHECK(header(request, "Authorization").find("SignedHeaders=host;x-amz-date;x-amz-security-token,") != std::string::npos);
}
