#include "net/websocket_deflate.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include "base/prng.h"

using namespace weir;
using namespace weir::net;

namespace {

std::string bytes(std::initializer_list<int> list) {
    std::string out;
    for (const int b : list) out.push_back(static_cast<char>(b));
    return out;
}

std::string random_text(Prng& prng, std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += static_cast<char>('a' + prng.below(26));
    return text;
}

}  // namespace

TEST_CASE("deflate: the examples of RFC 7692, 7.2.3") {
    Inflater inflater(15, Deflater::Context::kept);
    std::string out;
    const auto inflated = [&](const std::string& compressed) {
        CHECK(inflater.inflate(compressed, out, 1000) == Inflater::Outcome::done);
        return out;
    };
    const std::string hello = bytes({0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00});
    CHECK(inflated(hello) == "Hello");
    CHECK(inflated(bytes({0xf2, 0x00, 0x11, 0x00, 0x00})) == "Hello");                    // 7.2.3.2, refers to the message before
    CHECK(inflated(bytes({0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00})) == "Hello");  // 7.2.3.3, stored
    CHECK(inflated(bytes({0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00})) == "Hello");   // 7.2.3.4, a final block
    CHECK(inflated(bytes({0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00})) == "Hello");  // 7.2.3.5, two blocks
    CHECK(inflated(bytes({0x00})) == "");                                                  // 7.2.3.6
}

TEST_CASE("deflate: messages come back as they were, each on its own, and what does not shrink is not compressed") {
    for (const int window : {9, 12, 15}) {
        Deflater deflater(window);
        Inflater inflater;
        std::string out;
        for (std::uint64_t seed = 1; seed <= 100; ++seed) {
            Prng prng(seed);
            std::string message(prng.below(20'000), 'x');
            const auto kinds = prng.chance(0.3) ? 256 : prng.below(20) + 1;
            for (auto& c : message) c = static_cast<char>(prng.below(kinds));
            std::string compressed = "before";
            if (deflater.deflate(message, compressed)) {
                CHECK(compressed.size() - 6 < message.size());
                // A fresh inflater each time: nothing refers to an earlier message.
                Inflater fresh;
                CHECK(fresh.inflate(std::string_view(compressed).substr(6), out, 20'000) == Inflater::Outcome::done);
                CHECK(out == message);
                CHECK(inflater.inflate(std::string_view(compressed).substr(6), out, 20'000) == Inflater::Outcome::done);
                CHECK(out == message);
                CHECK(out.capacity() >= out.size() + 64);
            } else {
                CHECK(compressed == "before");
            }
        }
    }
}

TEST_CASE("deflate: the same message is compressed to the same bytes, whatever went before") {
    Deflater used;
    std::string a, b, junk;
    for (int i = 0; i < 20; ++i) used.deflate(std::string(5000, static_cast<char>(i)), junk);
    const std::string message(1000, 'm');
    CHECK(used.deflate(message, a));
    Deflater fresh;
    CHECK(fresh.deflate(message, b));
    CHECK(a == b);
}

TEST_CASE("deflate: with a kept context later messages refer to earlier ones") {
    Deflater deflater(15, Deflater::Context::kept);
    Inflater inflater(15, Deflater::Context::kept);
    Prng prng(1);
    std::string message(500, 'x'), out;
    for (auto& c : message) c = static_cast<char>(prng.next());
    std::string first, second, none;
    CHECK(deflater.deflate(message, first));
    CHECK(deflater.deflate(message, second));
    CHECK(second.size() < 50);
    CHECK(deflater.deflate("", none));
    for (const auto& [compressed, expected] : {std::pair{first, message}, {second, message}, {none, std::string()}}) {
        CHECK(inflater.inflate(compressed, out, 1000) == Inflater::Outcome::done);
        CHECK(out == expected);
    }
}

TEST_CASE("deflate: a bomb costs no more than the bound, and the bound is exact") {
    Deflater deflater;
    std::string compressed;
    CHECK(deflater.deflate(std::string(10'000'000, '\0'), compressed));
    CHECK(compressed.size() < 60'000);
    Inflater inflater;
    std::string out;
    CHECK(inflater.inflate(compressed, out, 100'000) == Inflater::Outcome::too_big);
    CHECK(out.capacity() < 400'000);
    CHECK(inflater.inflate(compressed, out, 9'999'999) == Inflater::Outcome::too_big);
    CHECK(inflater.inflate(compressed, out, 10'000'000) == Inflater::Outcome::done);
    CHECK(out.size() == 10'000'000);
}

TEST_CASE("deflate: what is not deflate is corrupt, and the next message is read all the same") {
    Inflater inflater;
    std::string out, good;
    Deflater().deflate(std::string(100, 'g'), good);
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Prng prng(seed);
        std::string junk(prng.below(100) + 1, 'x');
        for (auto& c : junk) c = static_cast<char>(prng.next());
        (void)inflater.inflate(junk, out, 1000);
        CHECK(out.size() <= 1001);
        CHECK(inflater.inflate(good, out, 1000) == Inflater::Outcome::done);
        CHECK(out == std::string(100, 'g'));
    }
    CHECK(inflater.inflate("\xff\xff\xff", out, 1000) == Inflater::Outcome::corrupt);
}

TEST_CASE("deflate: offers are answered by the rules, wrong ones passed over (RFC 7692, 5 and 7.1)") {
    const DeflatePolicy policy;
    const auto answer = [&](std::string_view offer) -> std::string {
        const auto agreed = accept_deflate_offer(offer, policy);
        return agreed ? deflate_response(*agreed) : "none";
    };
    const std::string base = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12";
    CHECK(answer("permessage-deflate") == base);
    CHECK(answer("permessage-deflate; client_max_window_bits") == base);
    CHECK(answer("permessage-deflate; client_max_window_bits=10") == base + "; client_max_window_bits=10");
    CHECK(answer("permessage-deflate; client_max_window_bits=8") == base);  // a hint that the client could not keep itself
    CHECK(answer("permessage-deflate; server_max_window_bits=15; client_no_context_takeover") == base);
    CHECK(answer("permessage-deflate; server_max_window_bits=\"12\"") == base);
    CHECK(answer("x-other; a=\"b, c; d\", permessage-deflate") == base);
    const std::string small = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=";
    for (const char* bits : {"9", "10", "11"}) CHECK(answer(std::string("permessage-deflate; server_max_window_bits=") + bits) == small + "9");
    CHECK(answer("permessage-deflate; server_max_window_bits=8") == small + "8");
    CHECK(answer("permessage-deflate; server_max_window_bits=7, permessage-deflate") == base);  // the first is no offer
    for (const char* offer : {"", "x-webkit-deflate-frame", "permessage-deflate; unknown", "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=7",
                              "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=012",
                              "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; client_max_window_bits=abc",
                              "permessage-deflate; server_no_context_takeover; server_no_context_takeover", "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
                              "permessage-deflate;", "permessage-deflate; =", "permessage-deflate; client_max_window_bits=\"\""})
        CHECK_MESSAGE(answer(offer) == "none", offer);
    DeflatePolicy off;
    off.enabled = false;
    CHECK(!accept_deflate_offer("permessage-deflate", off));
}

TEST_CASE("deflate: what is compressed for a small window can be read with one of 8 bits (RFC 7692, 7.1.2.1)") {
    Deflater deflater(DeflatePolicy::small_window_bits);
    Prng prng(7);
    for (int round = 0; round < 2000; ++round) {
        // Repeats at every distance, just inside and just outside of 256 bytes most of all.
        std::string message = random_text(prng, 40);
        while (message.size() < 3000) {
            const std::size_t back = std::min<std::size_t>(message.size(), round % 2 ? 236 + prng.below(40) : 1 + prng.below(600));
            message += message.substr(message.size() - back, std::min<std::size_t>(back, 3 + prng.below(60)));
            if (prng.below(3) == 0) message += random_text(prng, prng.below(9));
        }
        std::string packed;
        REQUIRE(deflater.deflate(message, packed));
        packed.append("\0\0\xff\xff", 4);
        z_stream stream{};
        REQUIRE(::inflateInit2(&stream, -8) == Z_OK);
        stream.next_in = reinterpret_cast<Bytef*>(packed.data());
        stream.avail_in = static_cast<uInt>(packed.size());
        std::string read;
        // Into little room, or zlib finds in it what its window no longer holds.
        for (int result = Z_OK; result == Z_OK && read.size() < message.size();) {
            char room[16];
            stream.next_out = reinterpret_cast<Bytef*>(room);
            stream.avail_out = sizeof room;
            result = ::inflate(&stream, Z_SYNC_FLUSH);
            read.append(room, sizeof room - stream.avail_out);
            REQUIRE_MESSAGE(result == Z_OK, round);
        }
        ::inflateEnd(&stream);
        REQUIRE(read == message);
    }
}

TEST_CASE("deflate: a client understands its server's answer, and refuses what it did not offer") {
    const auto read = [](std::string_view text) { return read_deflate_response(text); };
    CHECK(!read("")->has_value());
    const auto full = read("permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=10");
    REQUIRE(full.ok());
    CHECK(**full == DeflateParameters{true, true, 12, 10});
    CHECK(**read("permessage-deflate") == DeflateParameters{});
    CHECK((**read("permessage-deflate; client_max_window_bits=8")).client_max_window_bits == 8);  // nothing is sent compressed, so any window is kept
    for (const char* text : {"other", "permessage-deflate, other", "permessage-deflate; x", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_max_window_bits=20",
                             "permessage-deflate; client_no_context_takeover; client_no_context_takeover"})
        CHECK_MESSAGE(!read(text).ok(), text);
}
