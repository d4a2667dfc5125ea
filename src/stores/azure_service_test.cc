#include <doctest/doctest.h>

#include <deque>

#include "net/digest.h"
#include "stores/azure_service.h"
#include "stores/service_test_support.h"

using namespace weir;

namespace {

const Timestamp now = "2026-02-17T10:05:00Z"_utc;

StoreOptions with_key() {
    StoreOptions options;
    options.kind = StoreKind::azure;
    options.connection_string = Secret("DefaultEndpointsProtocol=https;AccountName=weirtest;AccountKey=" + net::base64("the account's key") + ";EndpointSuffix=core.windows.net");
    return options;
}

struct Rig {
    explicit Rig(StoreOptions o = with_key(), AzureIdentity identity = {}) : options(std::move(o)) {
        auto account = AzureAccount::from(options);
        REQUIRE_MESSAGE(account.ok(), (account.ok() ? "" : account.error().message));
        store = std::make_unique<ServiceStore>(std::make_unique<AzureService>(*std::move(account), options, std::move(identity), script, clock), script);
    }
    ManualClock clock{now};
    StoreOptions options;
    std::shared_ptr<ScriptedTransport> script = std::make_shared<ScriptedTransport>();
    std::unique_ptr<ServiceStore> store;
};

ObjectWrite summary(std::uint64_t revision = 0) {
    ObjectWrite object;
    object.name = "scraped-data/summaries/2026-02-17/10-00.json";
    object.bytes = R"({"revision":)" + std::to_string(revision) + "}";
    object.tier = BlobTier::hot;
    object.epoch = Epoch{7};
    object.revision = revision;
    return object;
}

}  // namespace

TEST_CASE("azure: the string to sign is that of the documentation (Authorize with Shared Key, version 2015-02-21)") {
    net::HttpClientRequest request;
    request.url = "https://myaccount.blob.core.windows.net/mycontainer?comp=metadata&restype=container&timeout=20";
    request.headers = {{"x-ms-version", "2015-02-21"}, {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}};
    CHECK(azure_string_to_sign("myaccount", request) ==
          "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");

    // The documentation's canonicalized resources: a query in any order, one name several times.
    request.headers.clear();
    request.url = "http://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=list&include=snapshots&include=metadata&include=uncommittedblobs";
    CHECK(azure_string_to_sign("myaccount", request) ==
          "GET\n\n\n\n\n\n\n\n\n\n\n\n/myaccount/mycontainer\ncomp:list\ninclude:metadata,snapshots,uncommittedblobs\nrestype:container");
    request.url = "https://myaccount-secondary.blob.core.windows.net/mycontainer/myblob";
    CHECK(azure_string_to_sign("myaccount", request) == "GET\n\n\n\n\n\n\n\n\n\n\n\n/myaccount/mycontainer/myblob");
}

TEST_CASE("azure: a connection string names account, key and address (S0-33, S0-34)") {
    StoreOptions options;
    const auto account = [&](const std::string& text) {
        options.connection_string = Secret(text);
        return AzureAccount::from(options);
    };
    const auto usual = account("DefaultEndpointsProtocol=https;AccountName=badi;AccountKey=a2V5;EndpointSuffix=core.windows.net");
    REQUIRE(usual.ok());
    CHECK(usual->endpoint == "https://badi.blob.core.windows.net");
    CHECK(usual->name == "badi");
    CHECK(usual->key.reveal() == "key");

    const auto emulator = account("UseDevelopmentStorage=true");
    REQUIRE(emulator.ok());
    CHECK(emulator->endpoint == "http://127.0.0.1:10000/devstoreaccount1");
    CHECK(emulator->name == "devstoreaccount1");
    CHECK_FALSE(emulator->key.empty());

    const auto elsewhere = account("AccountName=devstoreaccount1; AccountKey=a2V5; BlobEndpoint=http://127.0.0.1:4321/devstoreaccount1/;QueueEndpoint=http://x");
    REQUIRE(elsewhere.ok());
    CHECK(elsewhere->endpoint == "http://127.0.0.1:4321/devstoreaccount1");

    const auto shared = account("BlobEndpoint=https://badi.blob.core.windows.net;SharedAccessSignature=?sv=2021&sig=x%3D");
    REQUIRE(shared.ok());
    CHECK(shared->sas.reveal() == "sv=2021&sig=x%3D");
    CHECK(shared->key.empty());

    for (const char* bad : {"hello", "AccountName=a", "AccountName=a;AccountKey=geheim!", "AccountKey=a2V5", "AccountName=a;AccountKey=a2V5;BlobEndpoint=ftp://x"}) {
        CAPTURE(bad);
        const auto refused = account(bad);
        REQUIRE_FALSE(refused.ok());
        CHECK(refused.error().code == "bad_connection_string");
        CHECK(refused.error().message.find("geheim") == std::string::npos);
    }
}

TEST_CASE("azure: a new object is one conditional Put Blob with checksum, tier and who wrote it (S0-33, S1-17)") {
    Rig rig;
    rig.script->answer(404);
    rig.script->answer(201, {{"etag", "\"0x1\""}});
    ObjectWrite object = summary();
    object.content_encoding = "gzip";
    const auto put = rig.store->put(object);
    REQUIRE(put.ok());
    CHECK(*put == ObjectStore::Put::written);
    REQUIRE(rig.script->requests.size() == 2);
    CHECK(rig.script->requests[0].method == "HEAD");
    const auto& request = rig.script->requests[1];
    CHECK(request.method == "PUT");
    CHECK(request.url == "https://weirtest.blob.core.windows.net/scraped-data/scraped-data/summaries/2026-02-17/10-00.json");
    CHECK(request.body == object.bytes);
    CHECK(header(request, "If-None-Match") == "*");
    CHECK(header(request, "x-ms-blob-type") == "BlockBlob");
    CHECK(header(request, "x-ms-version") == AzureService::version);
    CHECK(header(request, "x-ms-date") == "Tue, 17 Feb 2026 10:05:00 GMT");
    CHECK(header(request, "x-ms-access-tier") == "Hot");
    CHECK(header(request, "Content-MD5") == net::base64(net::md5(object.bytes)));
    CHECK(header(request, "Content-Type") == "application/json");
    CHECK(header(request, "x-ms-blob-content-encoding") == "gzip");
    CHECK(header(request, "x-ms-meta-weir_epoch") == "0000000000000007");
    CHECK(header(request, "x-ms-meta-weir_revision") == "0");
    CHECK(header(request, "Authorization").starts_with("SharedKey weirtest:"));
}

TEST_CASE("azure: a missing container is made, once, and the object is written into it") {
    Rig rig;
    rig.script->answer(404);
    rig.script->answer(404, {{"x-ms-error-code", "ContainerNotFound"}});
    SUBCASE("by us") { rig.script->answer(201); }
    SUBCASE("by somebody at the same moment") { rig.script->answer(409, {{"x-ms-error-code", "ContainerAlreadyExists"}}); }
    rig.script->answer(201);
    CHECK(*rig.store->put(summary()) == ObjectStore::Put::written);
    REQUIRE(rig.script->requests.size() == 4);
    CHECK(rig.script->requests[2].url == "https://weirtest.blob.core.windows.net/scraped-data?restype=container");
}

TEST_CASE("azure: without key and signature the machine's identity gives a token, which is kept until shortly before its end") {
    StoreOptions options;
    options.kind = StoreKind::azure;
    options.account_url = "https://badi.blob.core.windows.net/";
    // Recorded forms of the answers: "How to use managed identities ... to acquire an access token" and App Service's page.
    SUBCASE("of a virtual machine") {
        Rig rig(options);
        rig.script->answer(200, {}, R"({"access_token":"eyJ0eXAi","client_id":"x","expires_in":"3599","expires_on":"1771326300","ext_expires_in":"3599","not_before":"1771322400","resource":"https://storage.azure.com/","token_type":"Bearer"})");
        for (int i = 0; i < 2; ++i) {
            rig.script->answer(404);
            rig.script->answer(201);
        }
        CHECK(rig.store->put(summary()).ok());
        rig.clock.advance(50min);
        CHECK(rig.store->put(summary(1)).ok());
        REQUIRE(rig.script->requests.size() == 5);
        CHECK(rig.script->requests[0].url == "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F");
        CHECK(header(rig.script->requests[0], "Metadata") == "true");
        CHECK(header(rig.script->requests[2], "Authorization") == "Bearer eyJ0eXAi");

        rig.clock.advance(5min);
        rig.script->answer(200, {}, R"({"access_token":"second","expires_in":"3599"})");
        rig.script->answer(404);
        rig.script->answer(201);
        CHECK(rig.store->put(summary(2)).ok());
        CHECK(header(rig.script->requests.back(), "Authorization") == "Bearer second");
    }
    SUBCASE("of a function app") {
        Rig rig(options, {"http://localhost:4141/msi/token", Secret("853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"), "my-identity"});
        rig.script->answer(200, {}, R"({"access_token":"eyJ0eXAi","expires_on":"1771326300","resource":"https://storage.azure.com/","token_type":"Bearer","client_id":"x"})");
        rig.script->answer(404);
        rig.script->answer(201);
        CHECK(rig.store->put(summary()).ok());
        CHECK(rig.script->requests[0].url == "http://localhost:4141/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=my-identity");
        CHECK(header(rig.script->requests[0], "X-IDENTITY-HEADER") == "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a");
    }
    SUBCASE("of a machine without one") {
        Rig rig(options);
        rig.script->answer(400, {}, R"({"error":"invalid_request","error_description":"Identity not found"})");
        const auto refused = rig.store->put(summary());
        REQUIRE_FALSE(refused.ok());
        CHECK(refused.error().message.find("no managed identity; assign one") != std::string::npos);
    }
}

TEST_CASE("azure: what went wrong is one line that says what to do, without a secret") {
    struct Case {
        int status;
        const char* code;
        const char* date;
        const char* error;
        const char* says;
    };
    for (const Case& c : {Case{403, "AuthenticationFailed", "Tue, 17 Feb 2026 10:05:02 GMT", "no_permission", "AccountKey is not this account's"},
                          Case{403, "AuthenticationFailed", "Tue, 17 Feb 2026 11:05:00 GMT", "no_permission", "clock is 1h behind"},
                          Case{403, "AuthenticationFailed", "Tue, 17 Feb 2026 09:35:00 GMT", "no_permission", "clock is 30min ahead"},
                          Case{403, "AuthorizationPermissionMismatch", "", "no_permission", "Storage Blob Data Contributor"},
                          Case{403, "AuthorizationFailure", "", "no_permission", "network rules"},
                          Case{400, "InvalidResourceName", "", "refused", "3 to 63"},
                          Case{503, "ServerBusy", "", "busy", "503 ServerBusy"},
                          Case{500, "InternalError", "", "io_error", "500 InternalError"}}) {
        CAPTURE(c.says);
        Rig rig;
        rig.script->answer(404);
        rig.script->answer(c.status, {{"x-ms-error-code", c.code}, {"date", c.date}}, "<Error>SharedKey weirtest:geheim</Error>");
        const auto failed = rig.store->put(summary());
        REQUIRE_FALSE(failed.ok());
        CHECK(failed.error().code == c.error);
        CHECK_MESSAGE(failed.error().message.find(c.says) != std::string::npos, failed.error().message);
        CHECK(failed.error().message.find("SharedKey") == std::string::npos);
        CHECK(failed.error().message.find('\n') == std::string::npos);
    }
}

TEST_CASE("azure: a shared access signature goes with every request and into no message") {
    StoreOptions options;
    options.kind = StoreKind::azure;
    options.account_url = "https://badi.blob.core.windows.net";
    options.sas = Secret("?sv=2021-12-02&sp=racwd&sig=geheim%3D");
    Rig rig(options);
    rig.script->answer(404);
    rig.script->answer(403, {{"x-ms-error-code", "AuthenticationFailed"}});
    const auto failed = rig.store->put(summary());
    REQUIRE_FALSE(failed.ok());
    CHECK(rig.script->requests[1].url.ends_with("/10-00.json?sv=2021-12-02&sp=racwd&sig=geheim%3D"));
    CHECK(header(rig.script->requests[1], "Authorization").empty());
    CHECK(failed.error().message.find("geheim") == std::string::npos);
    CHECK(failed.error().message.find("make a new one") != std::string::npos);
}
