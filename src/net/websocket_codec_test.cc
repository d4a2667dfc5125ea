#include "net/websocket_codec.h"

#include <doctest/doctest.h>

#include "base/prng.h"
#include "net/websocket_deflate.h"
#include "net/websocket_handshake.h"

using namespace weir;
using namespace weir::net;

namespace {

constexpr std::uint32_t kMask = 0x3d21fa37;  // 37 fa 21 3d on the wire, as in RFC 6455, 5.7

std::string bytes(std::initializer_list<int> list) {
    std::string out;
    for (const int b : list) out.push_back(static_cast<char>(b));
    return out;
}

/// Everything that a stream of frames means, however it is cut.
std::string meaning(std::string_view stream, const std::vector<std::size_t>& cuts, Role role = Role::server, std::size_t max = 1 << 20,
                    bool deflate = false) {
    WebSocketDecoder decoder(role);
    Inflater inflater;
    const WebSocketLimits limits{.message_bytes_max = max};
    std::string out;
    std::size_t start = 0;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
        const std::size_t end = i < cuts.size() ? cuts[i] : stream.size();
        std::vector<char> copy(stream.begin() + static_cast<std::ptrdiff_t>(start), stream.begin() + static_cast<std::ptrdiff_t>(end));
        copy.resize(copy.size() + WebSocketDecoder::kPadding);
        std::span<char> input(copy.data(), end - start);
        start = end;
        for (;;) {
            const auto event = decoder.next(input, limits, deflate ? &inflater : nullptr);
            if (event.kind == WebSocketDecoder::Kind::more) break;
            // Readable behind the end, as promised to parsers that read ahead.
            volatile char sink = 0;
            for (std::size_t k = 0; k < WebSocketDecoder::kPadding && !event.data.empty() && event.kind != WebSocketDecoder::Kind::error; ++k)
                sink = *(event.data.data() + event.data.size() + k);
            (void)sink;
            static constexpr const char* kNames[] = {"more", "text", "binary", "ping", "pong", "close", "error"};
            out.append(kNames[static_cast<int>(event.kind)]).append(" ");
            if (event.kind == WebSocketDecoder::Kind::close || event.kind == WebSocketDecoder::Kind::error)
                out.append(std::to_string(static_cast<int>(event.code))).append(" ");
            if (event.kind == WebSocketDecoder::Kind::error) return out + "\n";
            out.append(event.data).append("\n");
        }
        CHECK(input.empty());
    }
    return out;
}

std::string masked(int first, std::string_view payload) {
    std::string out;
    append_masked_frame(out, Opcode::text, payload, kMask);
    out[0] = static_cast<char>(first);
    return out;
}

}  // namespace

TEST_CASE("codec: the examples of RFC 6455, 5.7") {
    CHECK(meaning(bytes({0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}), {}, Role::client) == "text Hello\n");
    const std::string masked_hello = bytes({0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58});
    CHECK(meaning(masked_hello, {}) == "text Hello\n");
    std::string made;
    append_masked_frame(made, Opcode::text, "Hello", kMask);
    CHECK(made == masked_hello);
    CHECK(meaning(bytes({0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f}), {}, Role::client) == "text Hello\n");
    CHECK(meaning(bytes({0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}), {}, Role::client) == "ping Hello\n");
    CHECK(meaning(bytes({0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}), {}) == "pong Hello\n");
    for (const std::size_t size : {256u, 65536u}) {
        std::string frame;
        append_frame(frame, Opcode::binary, std::string(size, 'b'));
        CHECK(frame.substr(0, 4) == (size == 256 ? bytes({0x82, 0x7e, 0x01, 0x00}) : bytes({0x82, 0x7f, 0, 0})));
        CHECK(meaning(frame, {}, Role::client) == "binary " + std::string(size, 'b') + "\n");
    }
}

TEST_CASE("codec: lengths around each form go out and come back") {
    for (const std::size_t size : {0u, 1u, 125u, 126u, 127u, 65534u, 65535u, 65536u, 65537u, 200'000u}) {
        const std::string payload(size, 'p');
        std::string frame;
        append_frame(frame, Opcode::text, payload);
        CHECK(frame.size() == frame_header_bytes(size) + size);
        CHECK(frame_bytes(frame) == frame.size());
        CHECK(meaning(frame, {}, Role::client) == "text " + payload + "\n");
        CHECK(meaning(masked(0x82, payload), {1, 2, 3}) == "binary " + payload + "\n");
    }
    CHECK(frame_bytes("\x81") == 0);
    CHECK(frame_bytes(bytes({0x81, 0x7e, 0x01})) == 0);
}

TEST_CASE("codec: the mask is applied as the slow way does it, at any place and phase") {
    Prng prng(1);
    for (int i = 0; i < 500; ++i) {
        std::string data(prng.below(100), '\0');
        for (auto& c : data) c = static_cast<char>(prng.next());
        const auto mask = static_cast<std::uint32_t>(prng.next());
        const std::size_t phase = prng.below(10), offset = prng.below(data.size() + 1);
        std::string expected = data;
        unsigned char key[4];
        std::memcpy(key, &mask, 4);
        for (std::size_t k = offset; k < data.size(); ++k) expected[k] = static_cast<char>(expected[k] ^ key[(phase + k - offset) & 3]);
        apply_mask(data.data() + offset, data.size() - offset, mask, phase);
        CHECK(data == expected);
    }
}

TEST_CASE("codec: what breaks the protocol fails with its code (RFC 6455, 5.2, 5.4, 5.5, 7.4)") {
    const std::vector<std::pair<std::string, int>> table = {
        {bytes({0x81, 0x02, 'h', 'i'}), 1002},  // not masked
        {masked(0xc1, "hi"), 1002}, {masked(0xa1, "hi"), 1002}, {masked(0x91, "hi"), 1002},
        {masked(0x83, "hi"), 1002}, {masked(0x87, "hi"), 1002}, {masked(0x8b, "hi"), 1002}, {masked(0x8f, "hi"), 1002},
        {masked(0x09, "hi"), 1002}, {masked(0x89, std::string(126, 'x')), 1002},
        {masked(0x80, "hi"), 1002}, {masked(0x00, "hi"), 1002},
        {bytes({0x82, 0xfe, 0, 125, 0, 0, 0, 0}), 1002},
        {bytes({0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}), 1002},
        {bytes({0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 1002},
        {bytes({0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}), 1009},
        {masked(0x82, std::string(1001, 'x')), 1009},
        {masked(0x88, "\x03"), 1002},
        {masked(0x88, bytes({0x03, 0xe8, 0xff})), 1007},
        {masked(0x81, "\xff"), 1007}, {masked(0x81, "\xc3"), 1007},
    };
    for (const auto& [stream, code] : table) {
        CHECK(meaning(stream, {}, Role::server, 1000) == "error " + std::to_string(code) + " \n");
    }
    CHECK(meaning(masked(0x01, "a") + masked(0x81, "b"), {}) == "error 1002 \n");
    CHECK(meaning(masked(0x02, std::string(600, 'x')) + masked(0x80, std::string(401, 'x')), {}, Role::server, 1000) == "error 1009 \n");
    CHECK(meaning(masked(0x02, std::string(600, 'x')) + masked(0x80, std::string(400, 'x')), {}, Role::server, 1000).starts_with("binary x"));
    CHECK(meaning(masked(0x81, "hi"), {}, Role::client) == "error 1002 \n");  // a server must not mask
}

TEST_CASE("codec: close codes that must not be sent are refused, the others taken") {
    for (int code = 0; code < 5100; ++code) {
        const std::string frame = masked(0x88, bytes({code >> 8, code & 0xff}) + "why");
        const bool good = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
        if (meaning(frame, {}) != (good ? "close " + std::to_string(code) + " why\n" : "error 1002 \n")) FAIL(code);
    }
    CHECK(meaning(masked(0x88, ""), {}) == "close 1005 \n");
}

TEST_CASE("codec: wrong UTF-8 fails at once, before the frame or message has ended (RFC 6455, 8.1)") {
    // A frame that promises 1,000 bytes, of which only the first few come.
    std::string start = bytes({0x81, 0xfe, 0x03, 0xe8, 0, 0, 0, 0}) + "abc\xed\xa0";
    CHECK(meaning(start, {}) == "error 1007 \n");
    CHECK(meaning(masked(0x01, "\xf4") + masked(0x00, "\x90"), {}) == "error 1007 \n");
    CHECK(meaning(masked(0x01, "\xf0\x9d") + masked(0x00, "\x84") + masked(0x80, "\x9e"), {}) == "text \xf0\x9d\x84\x9e\n");
    CHECK(meaning(masked(0x01, "\xf0\x9d") + masked(0x80, ""), {}) == "error 1007 \n");
    CHECK(meaning(masked(0x82, "\xff\xfe"), {}) == "binary \xff\xfe\n");
}

TEST_CASE("codec: cutting the input anywhere gives the same events") {
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        const bool deflate = prng.chance(0.4);
        Deflater deflater;
        std::string stream;
        for (int n = 0; n < 8; ++n) {
            std::string payload(prng.chance(0.1) ? prng.below(70'000) : prng.below(300), 'x');
            for (auto& c : payload) c = static_cast<char>('a' + prng.below(4));
            if (prng.chance(0.3)) payload += "\xc3\xbc\xe2\x82\xac\xf0\x9d\x84\x9e";
            std::string compressed;
            const bool pressed = deflate && prng.chance(0.7) && deflater.deflate(payload, compressed);
            if (pressed) payload = compressed;
            int first = (prng.chance(0.5) && !pressed ? 2 : 1) | (pressed ? 0x40 : 0);
            // Fragments, with control frames between them.
            std::string_view rest = payload;
            for (;;) {
                const bool last = prng.chance(0.5);
                const auto part = last ? rest : rest.substr(0, prng.below(rest.size() + 1));
                stream += masked(first | (last ? 0x80 : 0), part);
                rest.remove_prefix(part.size());
                first = 0;
                if (prng.chance(0.3)) stream += masked(prng.chance(0.5) ? 0x89 : 0x8a, std::string(prng.below(126), 'c'));
                if (last) break;
            }
        }
        if (prng.chance(0.3)) stream += masked(0x88, bytes({0x03, 0xe8}) + "bye");
        if (prng.chance(0.3)) stream[prng.below(stream.size())] ^= static_cast<char>(1 << prng.below(8));
        const std::string expected = meaning(stream, {}, Role::server, 1 << 20, deflate);
        std::vector<std::size_t> cuts;
        const std::size_t step = prng.chance(0.3) && stream.size() < 3000 ? 1 : prng.below(200) + 1;
        for (std::size_t at = 1; at < stream.size(); at += prng.below(step) + 1) cuts.push_back(at);
        CHECK(meaning(stream, cuts, Role::server, 1 << 20, deflate) == expected);
    }
}

TEST_CASE("codec: between messages a decoder keeps nothing") {
    WebSocketDecoder decoder;
    const WebSocketLimits limits;
    std::string stream = masked(0x01, std::string(50'000, 'x')) + masked(0x80, std::string(50'000, 'x'));
    stream.resize(stream.size() + WebSocketDecoder::kPadding);
    std::span<char> input(stream.data(), stream.size() - WebSocketDecoder::kPadding);
    CHECK(decoder.idle());
    CHECK(decoder.next(input, limits).kind == WebSocketDecoder::Kind::text);
    CHECK(!decoder.idle());
    CHECK(decoder.next(input, limits).kind == WebSocketDecoder::Kind::more);
    CHECK(decoder.idle());
}

TEST_CASE("codec: a promised length reserves no memory") {
    WebSocketDecoder decoder;
    const WebSocketLimits limits;
    std::string start = bytes({0x82, 0xff, 0, 0, 0, 0, 0, 0x0f, 0xff, 0xff, 0, 0, 0, 0}) + "few";
    start.resize(start.size() + WebSocketDecoder::kPadding);
    std::span<char> input(start.data(), start.size() - WebSocketDecoder::kPadding);
    CHECK(decoder.next(input, limits).kind == WebSocketDecoder::Kind::more);
    CHECK(decoder.buffered_bytes() < 200);
}

TEST_CASE("codec: a close's reason is cut at a whole character") {
    CHECK(close_payload(CloseCode::none, "x").empty());
    CHECK(close_payload(CloseCode::normal, "bye") == bytes({0x03, 0xe8}) + "bye");
    std::string reason(122, 'a');
    reason += "\xe2\x82\xac";
    CHECK(close_payload(CloseCode::going_away, reason).size() == 124);
    CHECK(is_valid_utf8(std::string_view(close_payload(CloseCode::going_away, reason)).substr(2)));
}

TEST_CASE("utf8: every code point in every length agrees with the definition (RFC 3629)") {
    const auto encode = [](std::uint32_t c, int length) {
        std::string out;
        if (length == 1) return std::string(1, static_cast<char>(c));
        static constexpr int kLead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        out.push_back(static_cast<char>(kLead[length] | (c >> (6 * (length - 1)))));
        for (int i = length - 2; i >= 0; --i) out.push_back(static_cast<char>(0x80 | ((c >> (6 * i)) & 0x3f)));
        return out;
    };
    for (int length = 1; length <= 4; ++length) {
        const std::uint32_t end = length == 1 ? 0x80 : 1u << (length == 2 ? 11 : length == 3 ? 16 : 21);
        for (std::uint32_t c = 0; c < end; ++c) {
            const int shortest = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
            const bool good = length == shortest && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
            if (is_valid_utf8(encode(c, length)) != good) FAIL(c);
        }
    }
    for (int b = 0x80; b < 0xc2; ++b) CHECK(!is_valid_utf8(std::string(1, static_cast<char>(b))));
    for (int b = 0xf5; b <= 0xff; ++b) CHECK(!is_valid_utf8(bytes({b, 0x80, 0x80, 0x80})));
}

TEST_CASE("utf8: pieces give the same answer as the whole, and a broken character is wrong as soon as it can be known") {
    const std::string text = std::string(40, 'a') + "\xc3\xbc" + std::string(20, 'b') + "\xf0\x9d\x84\x9e" + "\xe2\x82\xac" + std::string(33, 'c');
    for (std::size_t at = 0; at <= text.size(); ++at) {
        Utf8Checker checker;
        CHECK(checker.add(std::string_view(text).substr(0, at)));
        CHECK(checker.add(std::string_view(text).substr(at)));
        CHECK(checker.complete());
    }
    for (const char* start : {"\xc0", "\xe0\x9f", "\xed\xa0", "\xf0\x8f", "\xf4\x90", "\xf5", "a\x80"}) {
        Utf8Checker checker;
        CHECK(!checker.add(start));
        CHECK(!checker.add("a"));
    }
    CHECK(!is_valid_utf8("\xe2\x82"));
}

TEST_CASE("handshake: the example of RFC 6455, 1.3") {
    CHECK(websocket_accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("handshake: what a client of ours asks for, a server of ours accepts, and the other way round") {
    ClientHandshake ask{.host = "example.com:80", .target = "/feed/pools?x=1", .subprotocols = {"weir.cbor", "weir.json"}, .extra = "Authorization: Bearer t\r\n", .offer_deflate = true};
    const std::string key = websocket_key("0123456789abcdef");
    const std::string text = websocket_client_request(ask, key);
    const HttpLimits limits;
    HttpParser parser(limits);
    HttpRequest request;
    std::string_view input = text;
    REQUIRE(parser.next(input, request).kind == HttpParser::Kind::head);
    CHECK(check_upgrade(request) == UpgradeCheck::good);
    CHECK(request.header("Authorization") == "Bearer t");
    CHECK(offered_subprotocols(request) == std::vector<std::string_view>{"weir.cbor", "weir.json"});
    const auto agreed = accept_deflate_offer(*request.header("Sec-WebSocket-Extensions"), {});
    REQUIRE(agreed.has_value());

    const auto answer = [&](const std::string& accept, const std::string& more) {
        return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + "\r\n" + more + "\r\n";
    };
    const std::string good = answer(websocket_accept_key(key), "Sec-WebSocket-Protocol: weir.json\r\nSec-WebSocket-Extensions: " + deflate_response(*agreed) + "\r\n");
    const auto agreement = check_websocket_response(*parse_response_head(good), key, ask);
    REQUIRE(agreement.ok());
    CHECK(agreement->subprotocol == "weir.json");
    CHECK(agreement->deflate->server_no_context_takeover);
    for (const std::string& bad : {answer("wrong", ""), answer(websocket_accept_key(key), "Sec-WebSocket-Protocol: other\r\n"),
                                   answer(websocket_accept_key(key), "Sec-WebSocket-Extensions: x-webkit\r\n")})
        CHECK(!check_websocket_response(*parse_response_head(bad), key, ask).ok());
    CHECK(check_websocket_response(*parse_response_head("HTTP/1.1 401 No\r\n\r\n"), key, ask).error().code == "refused");
}
