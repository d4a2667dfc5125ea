#include "net/gzip.h"

#include <doctest/doctest.h>

#include "base/prng.h"

using namespace weir;

TEST_CASE("gzip: what goes in comes out, and the same text gives the same bytes") {
    Prng prng(7);
    std::string text;
    for (int i = 0; i < 200'000; ++i) text += static_cast<char>('a' + prng.below(4));
    for (const std::string& t : {std::string(), std::string("0"), text}) {
        const std::string packed = net::gzip(t);
        CHECK(packed == net::gzip(t));
        const auto back = net::gunzip(packed, 1 << 20);
        REQUIRE(back.ok());
        CHECK(*back == t);
        const auto twice = net::gunzip(packed + packed, 1 << 20);
        REQUIRE(twice.ok());
        CHECK(*twice == t + t);
    }
}

TEST_CASE("gzip: damaged, cut and oversized files are errors") {
    const std::string packed = net::gzip(std::string(100'000, 'x'));
    CHECK(net::gunzip(packed, 99'999).error().code == "too_large");
    for (std::size_t n = 0; n < packed.size(); ++n) CHECK(!net::gunzip(packed.substr(0, n), 1 << 20).ok());
    std::string damaged = packed;
    damaged[packed.size() - 6] = static_cast<char>(damaged[packed.size() - 6] ^ 1);
    CHECK(net::gunzip(damaged, 1 << 20).error().code == "bad_gzip");
    CHECK(net::gunzip("plain text", 100).error().code == "bad_gzip");
}
