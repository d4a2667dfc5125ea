#include "gateway/http/answer.h"

#include <doctest/doctest.h>

using namespace weir;

TEST_CASE("answer: it is packed for those who say that they take that (RFC 9110, 12.5.3)") {
    const auto takes = [](std::vector<std::string_view> lines) {
        net::HttpRequest request;
        for (const auto line : lines) request.headers.push_back({"accept-encoding", line});
        return takes_gzip(request);
    };
    for (const char* yes : {"gzip", "GZIP", "x-gzip", "deflate, gzip;q=1.0, *;q=0.5", "br;q=0, gzip ; q=0.001", "gzip;q=0.8", "identity;q=0,gzip"}) CHECK_MESSAGE(takes({yes}), std::string(yes));
    for (const char* no : {"", "identity", "br", "gzip;q=0", "gzip; q=0", "gzip ;\tq=0.000", "gzip;Q=0.0, br", "not-gzip", "gzipped", "*;q=0", ";q=1", ","}) CHECK_MESSAGE(!takes({no}), std::string(no));
    CHECK(takes({"br", "gzip"}));
    CHECK(!takes({"br", "gzip; q=0"}));
    CHECK(!takes({}));
}
