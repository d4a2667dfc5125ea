#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client.h"
#include "stores/object_store.h"

namespace weir {

/// Sends the requests of a service and waits for the answers. A test answers them itself.
class ServiceTransport {
public:
    virtual ~ServiceTransport() = default;
    virtual Result<net::HttpClientResponse> send(net::HttpClientRequest request) = 0;
    /// From now on nothing takes longer than this, also what is under way: it is given up with `cancelled`. Thread: any.
    virtual void end_within(Duration) {}
};

/// The real one. After a 429 or 503 with Retry-After it answers `busy` by itself until that time is over.
class HttpTransport final : public ServiceTransport {
public:
    explicit HttpTransport(const Clock& clock, Duration retry_after_max = 24h) : clock_(clock), retry_after_max_(retry_after_max) {}
    Result<net::HttpClientResponse> send(net::HttpClientRequest request) override;
    void end_within(Duration time) override;

private:
    const Clock& clock_;
    const Duration retry_after_max_;
    Duration not_before_{0};               ///< monotonic
    std::atomic<std::int64_t> end_by_{0};  ///< monotonic, in microseconds; 0: never
    net::HttpClient client_;
};

/// What a service says of one object.
struct StoredObject {
    std::string etag;                      ///< to be named in the next condition
    std::optional<ObjectVersion> version;  ///< nullopt: not written by weir, or copied there
    std::string md5;                       ///< of its bytes, in base64; empty where the service does not know it
};

/// The four requests that objects are kept with: Azure Blob Storage, S3. Each is one try; who calls tries again.
///
/// Errors: `precondition_failed` (somebody else was quicker), `no_permission`, `refused` (it will not work like this: wrong name,
/// wrong account, wrong region), `busy`, `timeout`, `io_error`, and those of HttpClient. The message says what to do, and holds no secret.
/// Thread: the store's worker.
class ObjectService {
public:
    virtual ~ObjectService() = default;
    virtual Result<std::optional<StoredObject>> look(const std::string& name) = 0;
    virtual Result<std::string> read(const std::string& name) = 0;
    /// Only if its tag is still `etag`; empty: only if nothing is there.
    virtual Result<void> write(const ObjectWrite& object, const std::string& name, const std::string& md5, const std::string& etag) = 0;
    /// Only if its tag is still `etag`. What is not there is no error.
    virtual Result<void> remove(const std::string& name, const std::string& etag) = 0;
};

/// Objects in such a service, by the rule of ObjectStore. Epoch and revision stand in the object's metadata (`several_epochs` where logs
/// were joined).
///
/// Who finds another log's object reads it, joins, and writes under the tag that it had when it was looked at: a 412 begins it anew.
///
/// A write that was sent and not answered may have been done: the next try sees the object with its checksum, and leaves it. All
/// objects since the last `flush` are remembered, so that a batch that is begun again after a failure goes on where it stopped: at a
/// service that fails one request in a hundred, a batch of a thousand objects would else never end. Joined ones are not: what they hold
/// has to be read anyway, for the summary.
///
/// Thread: the store's worker, `end_within` any. Cost: two requests an object (look, write), one that is there already, three to join.
class ServiceStore final : public ObjectStore {
public:
    ServiceStore(std::unique_ptr<ObjectService> service, std::shared_ptr<ServiceTransport> transport)
        : service_(std::move(service)), transport_(std::move(transport)) {}
    Result<Put> put(const ObjectWrite& object) override;
    Result<void> remove(const std::string& name, Epoch epoch) override;
    Result<void> flush() override;
    void end_within(Duration time) override { transport_->end_within(time); }

private:
    /// nullopt: somebody else's is there, and cannot be joined.
    Result<std::optional<Put>> put_at(const std::string& name, const ObjectWrite& object, const std::string& md5, bool is_sibling);
    /// Of the metadata, else of the document; `bytes` then holds what was read for it.
    Result<std::optional<ObjectVersion>> version_of(const std::string& name, const StoredObject& there, std::optional<std::string>& bytes);

    std::unique_ptr<ObjectService> service_;
    std::shared_ptr<ServiceTransport> transport_;
    struct Done {
        std::string what;  ///< epoch, revision and checksum
        Put outcome;
    };
    std::map<std::string, Done> done_;  ///< by name; since the last flush, which a batch bounds
};

/// An answer that is no success, as an error: `what` is the request for people, `advice` what to do.
Error service_error(const std::string& what, const net::HttpClientResponse& response, const std::string& service_code, const std::string& advice);
/// By how much the service's clock is away from ours, where it says its time and it is more than five minutes; for messages.
std::string clock_skew(const net::HttpClientResponse& response, Timestamp now);

}  // namespace weir
