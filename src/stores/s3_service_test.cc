#include <doctest/doctest.h>

#include "net/digest.h"
#include "stores/s3_service.h"
#include "stores/service_test_support.h"

using namespace weir;

// The e2e tests run against an S3 server that checks signatures and keeps metadata. It takes no notice of If-None-Match, If-Match, checksums and storage
// classes; what these do is checked here against exchanges as AWS documents them (PutObject, "Conditional writes", error responses).
namespace {

StoreOptions options_for(bool path_style = false) {
    StoreOptions options;
    options.kind = StoreKind::s3;
    options.bucket = "weir";
    options.region = "eu-central-2";
    options.access_key = "AKIDEXAMPLE";
    options.secret_key = Secret("geheim");
    options.path_style = path_style;
    return options;
}

struct Rig {
    explicit Rig(StoreOptions options = options_for())
        : store(std::make_unique<ServiceStore>(std::make_unique<S3Service>(std::move(options), script, clock), script)) {}
    ManualClock clock{"2026-02-17T10:05:00Z"_utc};
    std::shared_ptr<ScriptedTransport> script = std::make_shared<ScriptedTransport>();
    std::unique_ptr<ServiceStore> store;
};

ObjectWrite raw(std::uint64_t revision = 0) {
    ObjectWrite object;
    object.name = "raw-events/%C3%BC/2026-02-17/10-00-to-10-05.json.gz";
    object.bytes = "bytes " + std::to_string(revision);
    object.storage_class = "STANDARD_IA";
    object.epoch = Epoch{7};
    object.revision = revision;
    return object;
}

std::string xml(const std::string& code) {
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code + "</Code><Message>x</Message><StringToSign>geheim</StringToSign></Error>";
}

}  // namespace

TEST_CASE("s3: a new object is one conditional, checksummed PutObject with its storage class and who wrote it") {
    Rig rig;
    rig.script->answer(404);
    rig.script->answer(200, {{"etag", "\"5d41402abc4b2a76b9719d911017c592\""}});
    const ObjectWrite object = raw();
    CHECK(*rig.store->put(object) == ObjectStore::Put::written);
    REQUIRE(rig.script->requests.size() == 2);
    const auto& request = rig.script->requests[1];
    CHECK(request.method == "PUT");
    // A name's percent sign is part of it, as in a folder.
    CHECK(request.url == "https://weir.s3.eu-central-2.amazonaws.com/raw-events/%25C3%25BC/2026-02-17/10-00-to-10-05.json.gz");
    CHECK(header(request, "If-None-Match") == "*");
    CHECK(header(request, "Content-MD5") == net::base64(net::md5(object.bytes)));
    CHECK(header(request, "x-amz-checksum-sha256") == net::base64(net::sha256(object.bytes)));
    CHECK(header(request, "x-amz-content-sha256") == net::hex(net::sha256(object.bytes)));
    CHECK(header(request, "x-amz-storage-class") == "STANDARD_IA");
    CHECK(header(request, "x-amz-meta-weir-epoch") == "0000000000000007");
    CHECK(header(request, "Authorization").find("SignedHeaders=content-md5;content-type;host;if-none-match;x-amz-") != std::string::npos);
}

TEST_CASE("s3: the bucket stands in the host's name, or in the path where that is asked for") {
    StoreOptions options = options_for(true);
    options.endpoint = "http://127.0.0.1:9000/";
    Rig rig(options);
    rig.script->answer(404);
    rig.script->answer(200);
    CHECK(rig.store->put(raw()).ok());
    CHECK(rig.script->requests[0].url.starts_with("http://127.0.0.1:9000/weir/raw-events/"));
    options.path_style = false;
    options.endpoint = "https://objects.example.org";
    Rig other(options);
    other.script->answer(404);
    other.script->answer(200);
    CHECK(other.store->put(raw()).ok());
    CHECK(other.script->requests[0].url.starts_with("https://weir.objects.example.org/raw-events/"));
}

TEST_CASE("s3: a newer revision replaces exactly what was looked at") {
    Rig rig;
    rig.script->answer(200, {{"etag", "\"tag\""}, {"x-amz-meta-weir-epoch", "0000000000000007"}, {"x-amz-meta-weir-revision", "0"}, {"x-amz-meta-weir-md5", "x"}});
    rig.script->answer(200);
    CHECK(*rig.store->put(raw(1)) == ObjectStore::Put::written);
    CHECK(header(rig.script->requests[1], "If-Match") == "\"tag\"");
    CHECK(header(rig.script->requests[1], "If-None-Match").empty());
}

TEST_CASE("s3: who was overtaken (412, 409) looks again") {
    for (const auto& [status, code] : std::vector<std::pair<int, std::string>>{{412, "PreconditionFailed"}, {409, "ConditionalRequestConflict"}}) {
        CAPTURE(code);
        Rig rig;
        rig.script->answer(404);
        rig.script->answer(status, {}, xml(code));
        rig.script->answer(200, {{"etag", "\"t\""}, {"x-amz-meta-weir-epoch", "0000000000000007"}, {"x-amz-meta-weir-revision", "3"}, {"x-amz-meta-weir-md5", "x"}});
        CHECK(*rig.store->put(raw(1)) == ObjectStore::Put::older);
    }
}

TEST_CASE("s3: who may not list the bucket is told 403 for what is not there, and writes all the same") {
    Rig rig;
    rig.script->answer(403);
    rig.script->answer(200);
    CHECK(*rig.store->put(raw()) == ObjectStore::Put::written);
}

TEST_CASE("s3: what went wrong is one line that says what to do, without a secret") {
    struct Case {
        int status;
        const char *code, *date, *error, *says;
    };
    for (const Case& c : {Case{403, "SignatureDoesNotMatch", "Tue, 17 Feb 2026 10:05:02 GMT", "no_permission", "secret_key does not belong"},
                          Case{403, "RequestTimeTooSkewed", "Tue, 17 Feb 2026 10:35:00 GMT", "no_permission", "clock is 30min behind"},
                          Case{403, "InvalidAccessKeyId", "", "no_permission", "does not know this access_key"},
                          Case{403, "AccessDenied", "", "no_permission", "s3:PutObject"},
                          Case{400, "ExpiredToken", "", "refused", "session_token has expired"},
                          Case{404, "NoSuchBucket", "", "refused", "make it"},
                          Case{301, "PermanentRedirect", "", "refused", "another region"},
                          Case{400, "AuthorizationHeaderMalformed", "", "refused", "another region"},
                          Case{503, "SlowDown", "", "busy", "503 SlowDown"},
                          Case{500, "InternalError", "", "io_error", "500 InternalError"}}) {
        CAPTURE(c.code);
        Rig rig;
        rig.script->answer(404);
        rig.script->answer(c.status, {{"date", c.date}}, xml(c.code));
        const auto failed = rig.store->put(raw());
        REQUIRE_FALSE(failed.ok());
        CHECK(failed.error().code == c.error);
        CHECK_MESSAGE(failed.error().message.find(c.says) != std::string::npos, failed.error().message);
        CHECK(failed.error().message.find("geheim") == std::string::npos);
        CHECK(failed.error().message.find('\n') == std::string::npos);
    }
}
