#include "net/http_parser.h"

#include <doctest/doctest.h>

#include "base/prng.h"

using namespace weir;
using namespace weir::net;

namespace {

/// Everything that a stream of bytes means, as text: bodies joined, so that it does not depend on how the bytes were cut.
std::string meaning(std::string_view bytes, const std::vector<std::size_t>& cuts, const HttpLimits& limits = {}) {
    HttpParser parser(limits);
    HttpRequest request;
    std::string out;
    std::size_t start = 0;
    bool body = false;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
        const std::size_t end = i < cuts.size() ? cuts[i] : bytes.size();
        // A copy of its own, so that reading outside of what was given shows under the sanitizer.
        std::unique_ptr<char[]> copy(new char[end - start]);
        std::memcpy(copy.get(), bytes.data() + start, end - start);
        std::string_view input(copy.get(), end - start);
        start = end;
        for (;;) {
            const auto event = parser.next(input, request);
            if (body && event.kind != HttpParser::Kind::body && event.kind != HttpParser::Kind::more) {
                out += "]\n";
                body = false;
            }
            if (event.kind == HttpParser::Kind::more) break;
            if (event.kind == HttpParser::Kind::error) return out + "error " + std::to_string(event.status) + "\n";
            if (event.kind == HttpParser::Kind::complete) out += "complete\n";
            if (event.kind == HttpParser::Kind::body) {
                if (!body) out += "body [";
                body = true;
                out.append(event.data);
            }
            if (event.kind == HttpParser::Kind::head) {
                out.append(request.method).append(" ").append(request.path).append(" ? ").append(request.query);
                for (const auto& header : request.headers) out.append(" | ").append(header.name).append("=").append(header.value);
                out += (request.keep_alive ? " keep" : " close");
                if (request.expect_continue) out += " expect";
                out += "\n";
            }
        }
        CHECK(input.empty());
    }
    return out;
}

std::string whole(std::string_view bytes) { return meaning(bytes, {}); }

const std::vector<std::string> kStreams = {
    "GET /a/b?c=d&e HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\nHost:x\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHOST: \t x \t\r\nConnection: close\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello worldGET / HTTP/1.0\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nWiki\r\n5;a=b\r\npedia\r\nE\r\n in\r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "PUT /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    "GET http://example.com/path?q HTTP/1.1\r\nHost: other\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\nBad\x01Name: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x\n\r\n",
};

}  // namespace

TEST_CASE("http: a request is taken apart") {
    CHECK(whole(kStreams[0]) == "GET /a/b ? c=d&e | Host=example.com | Accept=*/* keep\ncomplete\n");
    CHECK(whole(kStreams[1]) == "GET / ?  | Host=x keep\ncomplete\nGET /2 ?  | HOST=x | Connection=close close\ncomplete\n");
    CHECK(whole(kStreams[2]) == "POST /p ?  | Host=x | Content-Length=11 keep\nbody [hello world]\ncomplete\nGET / ?  close\ncomplete\n");
}

TEST_CASE("http: chunks are joined, extensions and trailers dropped (RFC 9112, 7.1)") {
    CHECK(whole(kStreams[3]) ==
          "POST /p ?  | Host=x | Transfer-Encoding=Chunked keep\nbody [Wikipedia in\r\n\r\nchunks.]\ncomplete\nGET / ?  | Host=x keep\ncomplete\n");
}

TEST_CASE("http: the absolute form's host stands for Host (RFC 9112, 3.2.2)") {
    CHECK(whole(kStreams[5]) == "GET /path ? q | Host=example.com keep\ncomplete\nOPTIONS * ?  | Host=x keep\ncomplete\n");
}

TEST_CASE("http: cutting the input anywhere gives the same events") {
    for (const auto& stream : kStreams) {
        CAPTURE(stream);
        const std::string expected = whole(stream);
        std::vector<std::size_t> each;
        for (std::size_t i = 1; i < stream.size(); ++i) {
            CHECK(meaning(stream, {i}) == expected);
            each.push_back(i);
        }
        CHECK(meaning(stream, each) == expected);
    }
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        Prng prng(seed);
        std::string stream;
        for (int i = 0; i < 4; ++i) stream += kStreams[prng.below(6)];
        // Some are damaged: then the error must be the same, too.
        if (prng.chance(0.5)) stream[prng.below(stream.size())] = static_cast<char>(prng.below(256));
        std::vector<std::size_t> cuts;
        for (std::size_t at = prng.below(20) + 1; at < stream.size(); at += prng.below(40) + 1) cuts.push_back(at);
        CHECK(meaning(stream, cuts) == whole(stream));
    }
}

TEST_CASE("http: what could mean two things to two readers is refused") {
    const std::string get = "GET / HTTP/1.1\r\nHost: x\r\n", post = "POST / HTTP/1.1\r\nHost: x\r\n";
    const std::vector<std::pair<std::string, int>> table = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {get + "Host: y\r\n\r\n", 400},
        {"GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", 400},
        {post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400},
        {post + "Content-Length: 3, 3\r\n\r\n", 400},
        {post + "Content-Length: -1\r\n\r\n", 400},
        {post + "Content-Length: +1\r\n\r\n", 400},
        {post + "Content-Length: 0x1\r\n\r\n", 400},
        {post + "Content-Length: \r\n\r\n", 400},
        {post + "Content-Length: 99999999999999999999\r\n\r\n", 400},
        {post + "Content-Length : 3\r\n\r\n", 400},
        {post + "Content-Length: 3\r\n folded\r\n\r\n", 400},
        {post + "Content-Length: 3\n\r\n", 400},
        {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {post + "Transfer-Encoding: identity\r\n\r\n", 501},
        {post + "Transfer-Encoding: chunked, gzip\r\n\r\n", 501},
        {post + "Transfer-Encoding: \x0b" "chunked\r\n\r\n", 400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {get + "A: b\rc\r\n\r\n", 400},
        {get + std::string("A: b\0c\r\n\r\n", 10), 400},
        {get + ": b\r\n\r\n", 400},
        {get + "no colon\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
        {"GET /\r\nHost: x\r\n\r\n", 400},
        {"GET / http/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET / HTTP/1.11\r\nHost: x\r\n\r\n", 400},
        {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505},
        {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501},
        {"GET http://user@x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {get + "Expect: miracles\r\n\r\n", 417},
        {"\x16\x03\x01", 400},
        {"\n", 400},
        {"\rGET", 400},
        {"GET / HTTP/1.1\r\nHost: x y\r\n\r\n", 400},
    };
    for (const auto& [bytes, status] : table) {
        CAPTURE(bytes);
        CHECK(whole(bytes) == "error " + std::to_string(status) + "\n");
    }
    for (const char* chunks : {"x\r\n", "\r\n", " 3\r\nabc\r\n", "3 \r\nabc\r\n", "3\nabc\r\n", "3\r\nabc\n", "3\r\nabcd\r\n", "0x3\r\nabc\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "3;\rx\r\n"}) {
        CAPTURE(chunks);
        const std::string result = whole(post + "Transfer-Encoding: chunked\r\n\r\n" + chunks);
        CHECK(result.ends_with("error 400\n"));
    }
}

TEST_CASE("http: a head that is too long is refused as soon as that is known, never stored further") {
    const HttpLimits limits{.head_bytes_max = 100, .headers_max = 3};
    const auto judge = [&](std::string_view bytes) {
        const std::string at_once = meaning(bytes, {}, limits);
        std::vector<std::size_t> each;
        for (std::size_t i = 1; i < bytes.size(); ++i) each.push_back(i);
        CHECK(meaning(bytes, each, limits) == at_once);
        return at_once;
    };
    const std::string start = "GET / HTTP/1.1\r\nHost: x\r\nA: ";
    CHECK(judge(start + std::string(100 - start.size() - 4, 'a') + "\r\n\r\n").ends_with("complete\n"));
    CHECK(judge(start + std::string(100 - start.size() - 3, 'a') + "\r\n\r\n") == "error 431\n");
    CHECK(judge(start + std::string(500, 'a')) == "error 431\n");
    CHECK(judge("GET /" + std::string(500, 'a')) == "error 414\n");
    CHECK(judge("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\n\r\n").ends_with("complete\n"));
    CHECK(judge("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n") == "error 431\n");
}

TEST_CASE("http: headers, lists of tokens and parameters are found") {
    const HttpLimits limits;
    HttpParser parser(limits);
    HttpRequest request;
    std::string_view input = "GET /x?stream=pools&empty=&flag&text=a%20b+c%26&bad=%zz HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nconnection: more\r\n\r\n";
    REQUIRE(parser.next(input, request).kind == HttpParser::Kind::head);
    CHECK(request.header("HOST") == "x");
    CHECK(request.header("none") == std::nullopt);
    CHECK(request.header_has_token("Connection", "upgrade"));
    CHECK(request.header_has_token("connection", "MORE"));
    CHECK(!request.header_has_token("connection", "grade"));
    CHECK(request.query_parameter("stream") == "pools");
    CHECK(request.query_parameter("empty") == "");
    CHECK(request.query_parameter("flag") == "");
    CHECK(request.query_parameter("text") == "a b c&");
    CHECK(request.query_parameter("bad") == std::nullopt);
    CHECK(request.query_parameter("none") == std::nullopt);
    CHECK(percent_decode("%2Fa%2f") == "/a/");
    CHECK(percent_decode("%") == std::nullopt);
    CHECK(percent_decode("%00") == std::nullopt);
}

TEST_CASE("http: a header that is written cannot be split by what a client sent") {
    std::string out;
    append_header(out, "Location", "/a\r\nSet-Cookie: b");
    CHECK(out == "Location: /aSet-Cookie: b\r\n");
    out.clear();
    append_http_chunk(out, "0123456789abcdef0");
    append_http_chunk(out, "");
    CHECK(out == "11\r\n0123456789abcdef0\r\n");
}

TEST_CASE("http: a response's head is read, and what is none is refused") {
    const auto head = parse_response_head("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: a, Upgrade\r\n\r\n");
    REQUIRE(head.ok());
    CHECK(head->status == 101);
    CHECK(head->reason == "Switching Protocols");
    CHECK(head->header_has_token("upgrade", "websocket"));
    CHECK(parse_response_head("HTTP/1.1 200\r\n\r\n").ok());
    for (const char* text : {"", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nA b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n"})
        CHECK_MESSAGE(!parse_response_head(text).ok(), text);
}
