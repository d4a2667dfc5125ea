#include "analytics/quantile_sketch.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "base/prng.h"

using weir::Prng;
using weir::analytics::QuantileSketch;

namespace {

// The largest distance between the rank of an answer and the rank asked for, as a part of the count.
double worst_error(const QuantileSketch& sketch, std::vector<double> values) {
    std::sort(values.begin(), values.end());
    double worst = 0;
    const auto n = static_cast<double>(values.size());
    for (int i = 0; i <= 100; ++i) {
        const double p = i / 100.0, found = sketch.quantile(p);
        const auto low = static_cast<double>(std::lower_bound(values.begin(), values.end(), found) - values.begin());
        const auto high = static_cast<double>(std::upper_bound(values.begin(), values.end(), found) - values.begin());
        const double wanted = p * n;
        worst = std::max(worst, wanted < low ? (low - wanted) / n : wanted > high ? (wanted - high) / n : 0.0);
    }
    return worst;
}

}  // namespace

TEST_CASE("quantile sketch: the stated error holds for sorted, reversed, random, zigzag and repeated values") {
    for (const std::uint32_t size : {16u, 256u, 2048u}) {
        for (int shape = 0; shape < 5; ++shape) {
            CAPTURE(size);
            CAPTURE(shape);
            Prng prng(static_cast<std::uint64_t>(shape) + 1);
            QuantileSketch sketch(size);
            std::vector<double> values;
            constexpr int n = 200'000;
            for (int i = 0; i < n; ++i) {
                const double v = shape == 0   ? i
                                 : shape == 1 ? n - i
                                 : shape == 2 ? prng.normal() * 1e9
                                 : shape == 3 ? (i % 2 ? i : -i)
                                              : static_cast<double>(prng.below(7));
                values.push_back(v);
                sketch.add(v);
            }
            CHECK(sketch.count() == n);
            const double bound = std::ceil(std::log2(static_cast<double>(n) / size)) / size;
            CHECK(sketch.rank_error() <= bound * 1.01);
            CHECK(worst_error(sketch, values) <= sketch.rank_error() + 1.0 / n);
        }
    }
}

TEST_CASE("quantile sketch: merged sketches keep the error of the whole") {
    Prng prng(9);
    QuantileSketch merged(256);
    std::vector<double> values;
    for (int part = 0; part < 40; ++part) {
        QuantileSketch sketch(256);
        for (std::uint64_t i = 0, n = prng.below(9000); i < n; ++i) {
            values.push_back(prng.normal() + part);
            sketch.add(values.back());
        }
        merged.merge(sketch);
    }
    CHECK(merged.count() == values.size());
    CHECK(worst_error(merged, values) <= merged.rank_error() + 1e-5);
    CHECK(merged.rank_error() < 0.05);
}

TEST_CASE("quantile sketch: saved and loaded, it goes on to the same bytes") {
    QuantileSketch a(64);
    for (int i = 0; i < 10'007; ++i) a.add(i * 7919 % 10'007);
    std::string bytes;
    a.save(bytes);
    std::string_view in = bytes;
    auto b = QuantileSketch::load(in);
    REQUIRE(b);
    CHECK(in.empty());
    for (int i = 0; i < 999; ++i) {
        a.add(i);
        b->add(i);
    }
    std::string after_a, after_b;
    a.save(after_a);
    b->save(after_b);
    CHECK(after_a == after_b);
    for (std::size_t cut = 0; cut < bytes.size(); cut += 97) {
        std::string_view torn = std::string_view(bytes).substr(0, cut);
        CHECK_FALSE(QuantileSketch::load(torn));
    }
}
