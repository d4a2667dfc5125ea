#include "app/commands/spc.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "app/commands/spc_report.h"
#include "base/filesystem.h"
#include "event/json.h"

using namespace weir;

namespace {

struct Ran {
    int code = 0;
    std::string out, err;
};

Ran spc(std::vector<std::string> words) {
    words.insert(words.begin(), "spc");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    Ran ran;
    ran.code = run_spc(static_cast<int>(argv.size()), argv.data(), ran.out, ran.err);
    return ran;
}

std::string dataset(const std::string& name) { return std::string(WEIR_SOURCE_DIR "/tests/data/spc/datasets/").append(name).append(".csv"); }

/// A file that is gone when the test is.
class Written {
public:
    explicit Written(std::string_view text) {
        path_ = "/tmp/weir-spc-test-" + std::to_string(getpid()) + "-" + std::to_string(++count_) + ".csv";
        REQUIRE(Filesystem().write_atomically(path_, text, Fsync::no).ok());
    }
    ~Written() { (void)Filesystem().remove(path_); }
    const std::string& path() const { return path_; }

private:
    std::string path_;
    static inline int count_ = 0;
};

/// Whether `found` holds everything that `expected` does, numbers to 1e-9. A one-value list stands for equal values.
bool agrees(const Json& expected, const Json& found, std::string& where) {
    if (expected.is_number()) {
        if (!found.is_number()) return false;
        const double a = expected.as_double(), b = found.as_double();
        return std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(a));
    }
    if (expected.is_array()) {
        if (!found.is_array()) return false;
        const std::size_t count = std::max(expected.items().size(), found.items().size());
        const auto nth = [](const Json& list, std::size_t i) -> const Json* {
            if (list.items().size() == 1) return &list.items()[0];
            return i < list.items().size() ? &list.items()[i] : nullptr;
        };
        for (std::size_t i = 0; i < count; ++i) {
            const Json *a = nth(expected, i), *b = nth(found, i);
            if (!a || !b || !agrees(*a, *b, where)) return false;
        }
        return true;
    }
    if (expected.is_object()) {
        for (const auto& [name, value] : expected.members()) {
            const Json* other = found.find(name);
            if (!other || !agrees(value, *other, where)) {
                where = name + (where.empty() ? "" : "/") + where;
                return false;
            }
        }
        return true;
    }
    return expected == found;
}

/// The options that chart an element of charts.json.
std::vector<std::string> options_for(const Json& element) {
    const std::string id(*element.find_string("id")), set(*element.find_string("dataset")), chart(*element.find_string("chart"));
    std::vector<std::string> words{dataset(set), "--json", "--constants", "qcc", "--rules", "every"};
    const auto add = [&](std::initializer_list<std::string> more) { words.insert(words.end(), more); };
    const auto number = [&](const char* name) { return element.find(name)->number_text(); };
    add({"--chart", chart == "capability" ? (set == "volume_ca" ? "xbar.one" : "xbar") : chart});
    if (set == "pistonrings") add({"--group", "sample", "--column", "diameter"});
    if (set == "montgomery_tbl_6_3_rings") add({"--group", "sample", "--column", "obs"});
    if (set == "humidity_pb2") add({"--group", "pb.group", "--column", "pb.humidity"});
    if (set == "viscosity") add({"--column", "viscosity"});
    if (set == "montgomery_tbl_6_7_loan_cost") add({"--column", "cost"});
    if (set == "montgomery_tbl_9_1") add({"--column", "x", "--centre", "10", "--sigma", "1"});
    if (set == "orangejuice") add({"--column", "D", "--size-column", "size"});
    if (set == "dyedcloth" || set == "circuit") add({"--column", "x", "--size-column", "size"});
    if (set == "orangejuice") add({"--drop", id == "orangejuice_p_revised" ? "15,23" : "31-54"});
    if (set == "circuit") add({"--drop", id == "circuit_c_revised" ? "6,20" : "27-46"});
    if (id == "pistonrings_xbar_sigma_from_S" || id == "rings_6_3_xbar") add({"--sigma-from", "s"});
    if (id == "volume_cap") add({"--sigma-from", "sd"});
    if (chart == "capability") {
        if (set == "pistonrings") add({"--phase1", "25"});
        for (const char* limit : {"lsl", "usl", "target"}) {
            if (!element.find(limit)->is_null() && !(limit == std::string("target") && id == "pistonrings_cap_upper_only")) add({std::string("--") + limit, number(limit)});
        }
        return words;
    }
    if (set != "montgomery_tbl_9_1") add({"--phase1", number("phase1")});
    if (const Json* sigmas = element.find("nsigmas")) add({"--sigmas", sigmas->number_text()});
    if (const Json* lambda = element.find("lambda")) add({"--lambda", lambda->number_text()});
    if (chart == "cusum") add({"--k", number("k"), "--h", number("decision_interval"), "--head-start", number("head_start")});
    return words;
}

}  // namespace

TEST_CASE("weir spc: --json has every statistic, limit, signal and index of charts.json, in its names, to 1e-9 (D8)") {
    const auto text = Filesystem().read(WEIR_SOURCE_DIR "/tests/data/spc/charts.json");
    REQUIRE(text.ok());
    const auto elements = Json::parse(*text);
    REQUIRE(elements.ok());
    int compared = 0;
    for (const Json& element : elements->items()) {
        const std::string id(*element.find_string("id")), chart(*element.find_string("chart"));
        CAPTURE(id);
        const Ran ran = spc(options_for(element));
        CAPTURE(ran.err);
        REQUIRE(ran.code == 0);
        const auto found = Json::parse(ran.out);
        REQUIRE(found.ok());
        const Json& answer = chart == "capability" ? found->items().back() : found->items().front();
        // Not numbers of the chart: its name there, remarks, how the reference counts a given limit's phases, the unit it writes.
        std::vector<Json::Member> members;
        for (const auto& [name, value] : element.members()) {
            if (name == "id" || name == "note" || name == "published" || name == "units") continue;
            if (id.starts_with("montgomery_9_1") && (name == "phase1" || name == "phase2")) continue;
            if (id == "pistonrings_cap_upper_only" && name == "target") continue;  // qcc takes the one limit for the target
            if (name.starts_with("expected_")) continue;                           // qcc prints less than 0.01 % as 0: capability_test
            members.push_back({name, value});
        }
        std::string where;
        const bool same = agrees(Json::object(std::move(members)), answer, where);
        CAPTURE(where);
        CHECK(same);
        ++compared;
    }
    CHECK(compared == 34);
}

TEST_CASE("weir spc: the drawings name the chart, its limits and what signals, and hold no script") {
    const std::string folder = "/tmp/weir-spc-test-" + std::to_string(getpid());
    const Ran ran = spc({dataset("viscosity"), "--column", "viscosity", "--phase1", "20", "--svg", folder + ".svg", "--html", folder + ".html", "--title", "a <b> & c"});
    CHECK(ran.code == 0);
    const auto svg = Filesystem().read(folder + ".svg"), html = Filesystem().read(folder + ".html");
    REQUIRE(svg.ok());
    REQUIRE(html.ok());
    (void)Filesystem().remove(folder + ".svg");
    (void)Filesystem().remove(folder + ".html");
    CHECK(svg->find("Individuals chart") != std::string::npos);
    CHECK(svg->find("Moving range chart") != std::string::npos);
    CHECK(svg->find("UCL 35.61") != std::string::npos);
    CHECK(svg->find("a &lt;b&gt; &amp; c") != std::string::npos);
    CHECK(svg->find("nan") == std::string::npos);
    CHECK(html->find("one point beyond 3 sigma") != std::string::npos);
    CHECK(html->find("<script") == std::string::npos);
}

TEST_CASE("weir spc: wide, long and counted subgroups are the same samples") {
    const Written wide("a,b,c\n1,2,3\n2,2,5\n4,1,3\n"), label("g,x\nA,1\nA,2\nA,3\nB,2\nB,2\nB,5\nC,4\nC,1\nC,3\n"), plain("x\n1\n2\n3\n2\n2\n5\n4\n1\n3\n");
    const auto statistics = [](const Ran& ran) {
        REQUIRE(ran.code == 0);
        return Json::parse(ran.out)->items().front().find("statistics")->text();
    };
    const std::string expected = statistics(spc({wide.path(), "--chart", "xbar-R", "--json"}));
    CHECK(expected.starts_with("[2,3,2.66666"));
    CHECK(statistics(spc({label.path(), "--group", "g", "--json"})) == expected);
    CHECK(statistics(spc({plain.path(), "--subgroup-size", "3", "--json"})) == expected);
}

TEST_CASE("weir spc: decimal commas, quotes, CRLF, a byte order mark and blank lines are taken; an empty field makes a row shorter") {
    const Written file("\xEF\xBB\xBF\"a \"\"x\"\"\";b\r\n1,5;2\r\n\r\n2,5;\r\n3;4\r\n");
    const Ran ran = spc({file.path(), "--chart", "xbar-R", "--json"});
    CAPTURE(ran.err);
    // The second row holds one reading, which has no range: the R chart says so and where.
    CHECK(ran.code == 1);
    CHECK(ran.err.find(":4: ") != std::string::npos);
    const Ran means = spc({file.path(), "--chart", "xbar", "--json"});
    REQUIRE(means.code == 0);
    CHECK(Json::parse(means.out)->items().front().find("sizes")->text() == "[2,1,2]");
}

TEST_CASE("weir spc: what is wrong is told with file, line, what was found and what is allowed") {
    const auto fails = [](const Ran& ran, int code, std::string_view part) {
        CAPTURE(ran.err);
        CHECK(ran.code == code);
        CHECK(ran.out.empty());
        CHECK(ran.err.find(part) != std::string::npos);
    };
    const Written text("x\n1\n2\nn/a\n"), equal("x\n1\n1\n1\n"), open("x\n\"1\n2\n"), counts("d,n\n3,10\n12,10\n"), none(""), header("x,y\n"), many("x,y\n1,2\n2,3\n3,5\n");
    fails(spc({text.path()}), 1, ":4: column \"x\" is \"n/a\", expected a number");
    fails(spc({equal.path()}), 1, "no variation");
    fails(spc({open.path()}), 1, ":2: a quote is opened and never closed");
    fails(spc({counts.path(), "--chart", "p", "--column", "d", "--size-column", "n"}), 1, ":3: ");
    fails(spc({none.path()}), 1, "is empty");
    fails(spc({header.path()}), 1, "no row below it");
    fails(spc({many.path()}), 1, "say with --column");
    fails(spc({many.path(), "--column", "z"}), 1, "it has x, y");
    fails(spc({"/nowhere/at/all.csv"}), 1, "/nowhere/at/all.csv");
    fails(spc({many.path(), "--column", "x", "--phase1", "9"}), 1, "there are 3 samples");
    fails(spc({many.path(), "--column", "x", "--svg", "/nowhere/at/all.svg"}), 1, "/nowhere/at/all.svg");
    fails(spc({}), 2, "file");
    fails(spc({many.path(), "--chart", "pie"}), 2, "allowed: i-mr, xbar-R");
    fails(spc({many.path(), "--column", "x", "--phase1", "3-1"}), 2, "allowed: a range");
    fails(spc({many.path(), "--column", "x", "--drop", "2,x"}), 2, "allowed: samples and ranges");
    fails(spc({many.path(), "--column", "x", "--drop", "4"}), 1, "there are 3");
    fails(spc({many.path(), "--column", "x", "--drop", "1-3"}), 1, "leaves no sample");
    fails(spc({many.path(), "--column", "x", "--rules", "9000"}), 2, "allowed: applying");
    fails(spc({many.path(), "--column", "x", "--chart", "p"}), 2, "--size");
    fails(spc({many.path(), "--column", "x", "--sigma", "1"}), 2, "--centre is not");
    fails(spc({many.path(), "--nonsense"}), 2, "--nonsense");
}

TEST_CASE("weir spc: a target and a specification limit of 0 count (S3-R13)") {
    const Written file("x\n-1\n0\n1\n0.5\n-0.5\n");
    const Ran ran = spc({file.path(), "--lsl", "-3", "--usl", "3", "--target", "0", "--json"});
    REQUIRE(ran.code == 0);
    const auto found = Json::parse(ran.out);
    CHECK(found->items().back().find("target")->as_double() == 0);
    CHECK(spc({file.path(), "--lsl", "0"}).code == 0);
}

TEST_CASE("weir spc: --help starts work with an example") {
    const Ran ran = spc({"--help"});
    CHECK(ran.code == 0);
    CHECK(ran.out.find("weir spc tests/data/spc/datasets/parts.csv") != std::string::npos);
}
