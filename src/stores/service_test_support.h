#pragma once
// For tests only: a service whose answers are written down before, and one that keeps objects in memory.
#include <doctest/doctest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "net/digest.h"
#include "stores/object_service.h"

namespace weir {

/// Answers requests in the order in which the answers were given to it, and keeps the requests.
class ScriptedTransport final : public ServiceTransport {
public:
    void answer(int status, std::vector<std::pair<std::string, std::string>> headers = {}, std::string body = {}) {
        net::HttpClientResponse response;
        response.status = status;
        response.headers = std::move(headers);
        response.body = std::move(body);
        answers_.push_back(std::move(response));
    }
    void fail(Error error) { answers_.push_back(std::move(error)); }
    Result<net::HttpClientResponse> send(net::HttpClientRequest request) override {
        requests.push_back(std::move(request));
        REQUIRE_MESSAGE(!answers_.empty(), requests.back().method << " " << requests.back().url << " was not expected");
        auto next = std::move(answers_.front());
        answers_.pop_front();
        return next;
    }
    std::size_t left() const { return answers_.size(); }
    std::vector<net::HttpClientRequest> requests;

private:
    std::deque<Result<net::HttpClientResponse>> answers_;
};

inline std::string header(const net::HttpClientRequest& request, std::string_view name) {
    for (const auto& [n, value] : request.headers)
        if (n == name) return value;
    return {};
}

/// Objects in memory with tags and conditions, as a service keeps them; it can fail before or after it has done what it was asked.
class MemoryService final : public ObjectService {
public:
    struct Object {
        std::string bytes, etag;
        std::optional<ObjectVersion> version;
    };
    enum class Fault { none, before, after };

    Result<std::optional<StoredObject>> look(const std::string& name) override {
        ++requests;
        if (next_fault() != Fault::none) return Error{"timeout", "the service did not answer"};
        const auto found = objects->find(name);
        if (found == objects->end()) return std::optional<StoredObject>();
        return std::optional(StoredObject{found->second.etag, found->second.version, net::base64(net::md5(found->second.bytes))});
    }
    Result<std::string> read(const std::string& name) override { return objects->at(name).bytes; }
    Result<void> write(const ObjectWrite& object, const std::string& name, const std::string& md5, const std::string& etag) override {
        ++requests;
        const Fault now = next_fault();
        if (now == Fault::before) return Error{"timeout", "the service did not answer"};
        CHECK(md5 == net::base64(net::md5(object.bytes)));
        const auto there = objects->find(name);
        if (etag.empty() ? there != objects->end() : there == objects->end() || there->second.etag != etag) return Error{"precondition_failed", "changed"};
        (*objects)[name] = {object.bytes, "\"" + std::to_string(++writes) + "\"", ObjectVersion{object.epoch, object.revision}};
        if (now == Fault::after) return Error{"timeout", "the service did not answer"};
        return ok();
    }
    Result<void> remove(const std::string& name, const std::string& etag) override {
        const auto there = objects->find(name);
        if (there != objects->end() && there->second.etag != etag) return Error{"precondition_failed", "changed"};
        objects->erase(name);
        return ok();
    }

    std::shared_ptr<std::map<std::string, Object>> objects = std::make_shared<std::map<std::string, Object>>();
    std::function<Fault()> fault;
    int requests = 0, writes = 0;

private:
    Fault next_fault() { return fault ? fault() : Fault::none; }
};

}  // namespace weir
