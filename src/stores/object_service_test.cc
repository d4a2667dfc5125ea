#include <doctest/doctest.h>

#include "base/prng.h"
#include "net/gzip.h"
#include "stores/service_test_support.h"
#include "stores/stores_test_support.h"

using namespace weir;

namespace {

ObjectWrite made(const std::string& name, std::uint64_t epoch, std::uint64_t revision, std::string bytes) {
    ObjectWrite object;
    object.name = name;
    object.bytes = std::move(bytes);
    object.epoch = Epoch{epoch};
    object.revision = revision;
    return object;
}

struct Rig {
    MemoryService* service = new MemoryService;
    ServiceStore store{std::unique_ptr<ObjectService>(service), std::make_shared<ScriptedTransport>()};
    std::string bytes(const std::string& name) const { return service->objects->contains(name) ? service->objects->at(name).bytes : "-"; }
};

using Put = ObjectStore::Put;

}  // namespace

TEST_CASE("object service: an object is replaced only by a higher revision of the same epoch (decisions.md 12)") {
    Rig rig;
    CHECK(*rig.store.put(made("d/10-00.json", 1, 1, "first")) == Put::written);
    CHECK(*rig.store.put(made("d/10-00.json", 1, 1, "first")) == Put::unchanged);
    REQUIRE(rig.store.flush().ok());
    CHECK(*rig.store.put(made("d/10-00.json", 1, 1, "first")) == Put::unchanged);
    CHECK(*rig.store.put(made("d/10-00.json", 1, 0, "older")) == Put::older);
    CHECK(*rig.store.put(made("d/10-00.json", 1, 1, "the same revision again")) == Put::older);
    CHECK(rig.bytes("d/10-00.json") == "first");
    CHECK(*rig.store.put(made("d/10-00.json", 1, 2, "second")) == Put::written);
    CHECK(rig.bytes("d/10-00.json") == "second");
    CHECK(*rig.store.put(made("d/10-00.json", 2, 0, "another log's")) == Put::sibling);
    CHECK(rig.bytes("d/10-00.json") == "second");
    CHECK(rig.bytes("d/10-00~0000000000000002.json") == "another log's");
    CHECK(*rig.store.put(made("d/10-00.json", 2, 1, "another log's second")) == Put::sibling);
    CHECK(*rig.store.put(made("d/10-00.json", 2, 0, "another log's")) == Put::older);
    CHECK(rig.bytes("d/10-00~0000000000000002.json") == "another log's second");
}

TEST_CASE("object service: what weir did not write is read, and never replaced or removed") {
    Rig rig;
    (*rig.service->objects)["a.json"] = {"somebody's", "\"x\"", std::nullopt};
    CHECK(*rig.store.put(made("a.json", 1, 5, "mine")) == Put::sibling);
    CHECK(rig.bytes("a.json") == "somebody's");
    REQUIRE(rig.store.remove("a.json", Epoch{1}).ok());
    CHECK(rig.bytes("a.json") == "somebody's");
    CHECK(rig.bytes("a~0000000000000001.json") == "-");
    // Copied there from a folder, without metadata: the document says whose it is.
    (*rig.service->objects)["b.json"] = {R"({"revision":1,"epoch":"0000000000000001"})", "\"y\"", std::nullopt};
    CHECK(*rig.store.put(made("b.json", 1, 2, "newer")) == Put::written);
    CHECK(rig.bytes("b.json") == "newer");
}

TEST_CASE("object service: remove takes what this epoch wrote, and leaves the rest") {
    Rig rig;
    REQUIRE(rig.store.put(made("a.json", 1, 0, "mine")).ok());
    REQUIRE(rig.store.put(made("a.json", 2, 0, "theirs")).ok());
    REQUIRE(rig.store.remove("a.json", Epoch{3}).ok());
    CHECK(rig.service->objects->size() == 2);
    REQUIRE(rig.store.remove("a.json", Epoch{1}).ok());
    CHECK(rig.bytes("a.json") == "-");
    CHECK(rig.bytes("a~0000000000000002.json") == "theirs");
    CHECK(*rig.store.put(made("a.json", 1, 0, "mine")) == Put::written);
}

TEST_CASE("object service: a write that was done and not answered is found by the next try, and not done twice") {
    Rig rig;
    int call = 0;
    rig.service->fault = [&] { return ++call == 2 ? MemoryService::Fault::after : MemoryService::Fault::none; };
    const auto first = rig.store.put(made("a.json", 1, 0, "bytes"));
    REQUIRE_FALSE(first.ok());
    CHECK(first.error().code == "timeout");
    CHECK(rig.bytes("a.json") == "bytes");
    CHECK(*rig.store.put(made("a.json", 1, 0, "bytes")) == Put::unchanged);
    CHECK(rig.service->writes == 1);
}

TEST_CASE("object service: who loses a race looks again") {
    Rig rig;
    REQUIRE(rig.store.put(made("a.json", 1, 0, "first")).ok());
    int call = 0;
    rig.service->fault = [&] {
        // Another process of the same log writes a newer one between the look and the write.
        if (++call == 2) (*rig.service->objects)["a.json"] = {"newest", "\"z\"", ObjectVersion{Epoch{1}, 9}};
        return MemoryService::Fault::none;
    };
    CHECK(*rig.store.put(made("a.json", 1, 1, "second")) == Put::older);
    CHECK(rig.bytes("a.json") == "newest");
}

TEST_CASE("object service: what another log wrote is joined under its tag, and who was faster is joined too (decisions.md 12)") {
    Rig rig;
    const auto joined_with = [](std::uint64_t epoch, std::uint64_t revision, std::string bytes) {
        ObjectWrite object = made("a.json", epoch, revision, bytes);
        object.merge = [bytes](const std::string& there) { return std::optional(there.find(bytes) != there.npos ? there : there + "+" + bytes); };
        return object;
    };
    CHECK(*rig.store.put(joined_with(1, 3, "one")) == Put::written);
    CHECK(*rig.store.put(joined_with(2, 0, "two")) == Put::merged);
    CHECK(rig.bytes("a.json") == "one+two");
    CHECK(rig.service->objects->at("a.json").version->epoch == several_epochs);
    // Again, also within the same batch: nothing is written.
    const int writes = rig.service->writes;
    CHECK(*rig.store.put(joined_with(2, 0, "two")) == Put::unchanged);
    CHECK(*rig.store.put(joined_with(1, 3, "one")) == Put::unchanged);
    CHECK(rig.service->writes == writes);
    // A third log loses the race against a fourth: 412, and it looks again.
    int call = 0;
    rig.service->fault = [&] {
        if (++call == 2) (*rig.service->objects)["a.json"] = {"one+two+four", "\"z\"", ObjectVersion{several_epochs, 0}};
        return MemoryService::Fault::none;
    };
    CHECK(*rig.store.put(joined_with(3, 0, "three")) == Put::merged);
    CHECK(rig.bytes("a.json") == "one+two+four+three");
    CHECK(call == 4);
    rig.service->fault = nullptr;
    // What cannot be joined lies beside it; what was joined is nobody's to remove.
    ObjectWrite refused = made("a.json", 5, 0, "five");
    refused.merge = [](const std::string&) { return std::optional<std::string>(); };
    CHECK(*rig.store.put(refused) == Put::sibling);
    CHECK(*rig.store.put(refused) == Put::sibling);
    CHECK(rig.bytes("a~0000000000000005.json") == "five");
    REQUIRE(rig.store.remove("a.json", Epoch{1}).ok());
    CHECK(rig.bytes("a.json") == "one+two+four+three");
}

TEST_CASE("object service: joined bytes are packed where the object would be, whatever the service hands out") {
    Rig rig;
    (*rig.service->objects)["a.json"] = {"there", "\"x\"", ObjectVersion{Epoch{9}, 0}};  // unpacked on the way, as HTTP clients may
    ObjectWrite packed = made("a.json", 1, 0, net::gzip("ours"));
    packed.content_encoding = "gzip";
    packed.merge = [](const std::string& there) { return std::optional(there + "+ours"); };
    CHECK(*rig.store.put(packed) == Put::merged);
    CHECK(*net::gunzip(rig.bytes("a.json"), 1000) == "there+ours");
    ObjectWrite plain = made("a.json", 2, 0, "plain");
    plain.merge = [](const std::string& there) { return std::optional(net::gzip(*net::gunzip(there, 1000) + "+plain")); };
    CHECK(*rig.store.put(plain) == Put::merged);
    CHECK(rig.bytes("a.json") == "there+ours+plain");
}

// C-14, S1-15 to S1-17: an hour's outage costs only lag. Every third request fails, half of them after they were done.
TEST_CASE("object service: behind a service that fails again and again the store ends with the same objects as a folder, each written once") {
    LogRig rig;
    StoreRig folder, remote;
    folder.options.path = rig.path("files");
    remote.name = "remote";
    remote.options.kind = StoreKind::azure;
    const Timestamp first = "2026-02-17T10:00:00Z"_utc;
    for (int w = 0; w < 40; ++w) {
        MadeWindow window;
        window.start = first + w * Duration(5min);
        window.end = window.start + 5min;
        window.first_seq = rig.read("SSD-7", window.start + 10s, std::to_string(40 + w));
        window.last_seq = window.first_seq;
        window.statistics = R"({"count":1,"min":1,"max":1,"avg":1,"median":1,"first":1,"last":1})";
        rig.close({window});
    }
    folder.run(rig);

    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        CAPTURE(seed);
        auto service = std::make_unique<MemoryService>();
        MemoryService& memory = *service;
        const auto objects = memory.objects;
        Prng prng(seed);
        bool down = true;
        memory.fault = [&] {
            if (down) return MemoryService::Fault::before;
            const double drawn = prng.uniform();
            return drawn < 0.15 ? MemoryService::Fault::before : drawn < 0.3 ? MemoryService::Fault::after : MemoryService::Fault::none;
        };
        StoreRig each = {};
        each.name = "remote" + std::to_string(seed);
        each.options = remote.options;
        BlobStore store(each.name, each.options, each.sources,
                        std::make_unique<ServiceStore>(std::move(service), std::make_shared<ScriptedTransport>()), rig.log(), rig.clock, each.metrics,
                        each.board, seed);
        REQUIRE(store.prepare().ok());
        // Down for an hour: tried at most once a minute, nothing written, nothing committed.
        const Timestamp up = rig.clock.now() + 1h;
        int tries = 0;
        while (rig.clock.now() < up) {
            const auto next = store.poll();
            REQUIRE(next.has_value());
            ++tries;
            rig.clock.advance_to(*next);
        }
        CHECK(tries >= 60);
        CHECK(tries <= 140);
        CHECK(objects->empty());
        CHECK(store.position() == CommitNo{0});
        down = false;
        int rounds = 0;
        while (const auto next = store.poll()) {
            REQUIRE(++rounds < 300);
            rig.clock.advance_to(*next);
        }
        std::map<std::string, std::string> found;
        for (const auto& [name, object] : *objects) found[name] = object.bytes;
        CHECK(difference(found, files_below(folder.options.path)).empty());
        CHECK(memory.writes == 80);
    }
}
