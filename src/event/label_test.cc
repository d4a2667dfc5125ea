#include "event/label.h"

#include <doctest/doctest.h>

using namespace weir;

TEST_CASE("label: pointers in braces are filled from the event's data, and what is missing is a question mark (S2-14)") {
    const Label label("{/name/first} {/name/last} ({/location/country})");
    CHECK(label.of(R"({"name":{"first":"Jane","last":"Doe"},"location":{"country":"Canada"}})") == "Jane Doe (Canada)");
    CHECK(label.of(R"({"name":{"first":"Jane"}})") == "Jane ? (?)");
    CHECK(Label("{/n} of {/m}").of(R"({"n":3,"m":[1,2]})") == "3 of [1,2]");
    CHECK(Label("").empty());
    CHECK(Label("no braces").of("{}") == "no braces");
    CHECK(Label("open {/n").of(R"({"n":1})") == "open {/n");
    CHECK(Label("{/n}").of(R"({"n":"a\nb"})").find('\n') == std::string::npos);
}
