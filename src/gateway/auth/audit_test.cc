#include "gateway/auth/audit.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "base/diag.h"
#include "net/utf8.h"

using namespace weir;

namespace {

/// What `write` puts into the diagnostics.
template <class Write>
std::string lines_of(const Write& write) {
    const std::string file = "/tmp/weir-audit-test-" + std::to_string(::getpid());
    diag::configure({.level = diag::Level::info, .format = diag::Format::text, .file = file});
    write();
    diag::configure({});
    std::ifstream in(file);
    std::string lines{std::istreambuf_iterator<char>(in), {}};
    ::unlink(file.c_str());
    return lines;
}

}  // namespace

TEST_CASE("audit: a flood of one kind of lines is bounded, and hides no other kind (S4-R17)") {
    const std::string lines = lines_of([] {
        for (int i = 0; i < 5000; ++i) audit(Audit::note, {.what = "subscribed", .peer = "192.0.2.1:1"});
        audit(Audit::warning, {.what = "denied", .peer = "192.0.2.2:2"});
    });
    CHECK(lines.find("audit: denied peer=192.0.2.2:2 ") != std::string::npos);
    CHECK(lines.size() < 5000 * std::string_view("audit: subscribed peer=192.0.2.1:1").size());
}

TEST_CASE("audit: what a peer chose neither ends a line, nor looks like a field of it, nor leaves half a character") {
    std::string accents = "/feed/a";
    while (accents.size() < 300) accents += "\u00e9";
    const std::string lines = lines_of([&] {
        audit(Audit::warning, {.what = "auth_failed", .peer = "192.0.2.1:1", .path = "/feed/x who=token admin path=/\r\naudit: auth_ok \u009b31m", .detail = "a peer=b"});
        audit(Audit::warning, {.what = "auth_failed", .peer = "192.0.2.1:1", .path = accents});
    });
    CHECK(lines.find("audit: auth_failed peer=192.0.2.1:1 who=- path=/feed/x?who=token admin?path=/\?\?audit: auth_ok ?31m: a?peer=b\n") != std::string::npos);
    CHECK(net::is_valid_utf8(lines));
    CHECK(std::count(lines.begin(), lines.end(), '\n') == 2);
}
