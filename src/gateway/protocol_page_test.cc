// docs/protocol.md and the table that it is printed from, held to each other.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "gateway/errors.h"

using namespace weir;

namespace {

std::string table() {
    std::string out = "| code | text | close | HTTP | try again | when |\n| --- | --- | --- | --- | --- | --- |\n";
    for (const auto& r : gateway_errors()) {
        const char* retry = r.retry == Retry::no ? "no" : r.retry == Retry::later ? "later" : "changed";
        out += "| `" + std::string(r.code) + "` | " + std::string(r.text) + " | " + (r.close_code ? std::to_string(r.close_code) : "") + " | " +
               (r.http_status ? std::to_string(r.http_status) : "") + " | " + retry + " | " + std::string(r.doc) + " |\n";
    }
    return out;
}

}  // namespace

TEST_CASE("errors: the protocol page's table is the table (run with WEIR_WRITE_DOCS=1 to print it anew)") {
    const char* const path = WEIR_SOURCE_DIR "/docs/protocol.md";
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    std::string page = text.str();
    const std::string begin = "<!-- errors -->\n", end = "<!-- /errors -->";
    const auto from = page.find(begin), to = page.find(end);
    REQUIRE(from != std::string::npos);
    REQUIRE(to != std::string::npos);
    if (std::getenv("WEIR_WRITE_DOCS")) {
        page = page.substr(0, from + begin.size()) + table() + page.substr(to);
        std::ofstream(path) << page;
        return;
    }
    CHECK(page.substr(from + begin.size(), to - from - begin.size()) == table());
}
