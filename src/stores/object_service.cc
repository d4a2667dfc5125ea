#include "stores/object_service.h"

#include <algorithm>

#include "base/assert.h"
#include "base/mailbox.h"
#include "net/digest.h"
#include "net/gzip.h"

namespace weir {

Result<net::HttpClientResponse> HttpTransport::send(net::HttpClientRequest request) {
    const std::string where = net::shown_url(request.url);
    if (const Duration wait = not_before_ - clock_.monotonic(); wait > 0s)
        return Error{"busy", where + " has asked not to be asked for another " + to_text(wait - wait % Duration(1ms) + 1ms)};
    // The answer may come when nobody waits any more.
    auto arrived = std::make_shared<Mailbox<Result<net::HttpClientResponse>>>(1);
    client_.start(std::move(request), [arrived](Result<net::HttpClientResponse> result) { (void)arrived->try_send(std::move(result)); });
    for (;;) {
        auto answers = arrived->receive(100ms);
        if (!answers.empty()) {
            auto& answer = answers.front();
            if (answer.ok() && (answer->status == 429 || answer->status == 503))
                if (const auto wait = net::retry_after(*answer, clock_.now())) not_before_ = clock_.monotonic() + std::min(*wait, retry_after_max_);
            return std::move(answer);
        }
        const std::int64_t end_by = end_by_.load(std::memory_order_acquire);
        if (end_by != 0 && clock_.monotonic().count() >= end_by) return Error{"cancelled", where + " had not answered when weir stopped; the next start tries again"};
    }
}

void HttpTransport::end_within(Duration time) { end_by_.store(std::max<std::int64_t>(1, (clock_.monotonic() + time).count()), std::memory_order_release); }

namespace {

/// The same bytes as text or packed: a service hands out what is stored with `Content-Encoding: gzip` either way.
bool is_same(const std::string& there, const ObjectWrite& object) {
    if (there == object.bytes) return true;
    if (object.content_encoding.empty()) return false;
    const auto text = net::gunzip(object.bytes, 256u << 20);
    return text.ok() && there == *text;
}

/// The joined bytes in the form in which this object would stand there: packed or not.
std::optional<std::string> in_form_of(const ObjectWrite& object, std::string joined) {
    const bool packed = net::is_gzip(joined);
    if (packed == net::is_gzip(object.bytes)) return joined;
    if (!packed) return net::gzip(joined);
    auto text = net::gunzip(joined, 256u << 20);
    return text.ok() ? std::optional(*std::move(text)) : std::nullopt;
}

}  // namespace

Result<ObjectStore::Put> ServiceStore::put(const ObjectWrite& object) {
    const std::string md5 = net::base64(net::md5(object.bytes));
    std::string known = to_text(object.epoch) + " " + std::to_string(object.revision) + " " + md5;
    if (const auto done = done_.find(object.name); done != done_.end() && done->second.what == known)
        return done->second.outcome == Put::written ? Put::unchanged : done->second.outcome;
    bool asked = false;
    ObjectWrite asking = object;
    if (object.merge)
        asking.merge = [&](const std::string& there) {
            asked = true;
            return object.merge(there);
        };
    WEIR_TRY(auto outcome, put_at(object.name, asking, md5, false));
    if (!outcome) {
        WEIR_TRY(outcome, put_at(sibling_name(object.name, object.epoch), object, md5, true));
        WEIR_ASSERT(outcome.has_value());
        if (*outcome == Put::written || *outcome == Put::unchanged) outcome = Put::sibling;
        asked = false;
    }
    // Who asks again after a join must be told what stands there now.
    if (asked) done_.erase(object.name);
    else done_[object.name] = {std::move(known), *outcome};
    return *outcome;
}

Result<std::optional<ObjectVersion>> ServiceStore::version_of(const std::string& name, const StoredObject& there, std::optional<std::string>& bytes) {
    if (there.version) return there.version;
    // Copied there by another tool, or no document of ours: its bytes say.
    WEIR_TRY(bytes, service_->read(name));
    return version_in_document(*bytes);
}

Result<std::optional<ObjectStore::Put>> ServiceStore::put_at(const std::string& name, const ObjectWrite& object, const std::string& md5, bool is_sibling) {
    Error last;
    for (int round = 0; round < 3; ++round) {
        WEIR_TRY(const auto there, service_->look(name));
        std::optional<ObjectWrite> joined;
        if (there) {
            if (!there->md5.empty() && there->md5 == md5) return std::optional(Put::unchanged);
            std::optional<std::string> bytes;
            WEIR_TRY(const auto version, version_of(name, *there, bytes));
            if (bytes && is_same(*bytes, object)) return std::optional(Put::unchanged);
            if (!is_sibling && (!version || version->epoch != object.epoch || version->epoch == several_epochs)) {
                if (!object.merge) return std::optional<Put>();
                if (!bytes) {
                    WEIR_TRY(bytes, service_->read(name));
                }
                auto together = object.merge(*bytes);
                if (together == bytes) return std::optional(Put::unchanged);
                if (together) together = in_form_of(object, *std::move(together));
                if (!together) return std::optional<Put>();
                joined = object;
                joined->bytes = *std::move(together);
                joined->epoch = several_epochs;
            } else if (version && (version->revision > object.revision || (!is_sibling && version->revision == object.revision))) {
                // The same revision with other bytes: the first one stays.
                return std::optional(Put::older);
            }
        }
        const ObjectWrite& wanted = joined ? *joined : object;
        auto written = service_->write(wanted, name, joined ? net::base64(net::md5(joined->bytes)) : md5, there ? there->etag : std::string());
        if (written.ok()) return std::optional(joined ? Put::merged : Put::written);
        if (written.error().code != "precondition_failed") return std::move(written).error();
        last = std::move(written).error();
    }
    return Error{"refused", last.message + "; three times something else was there when it was written. It must be allowed to read the object, too"};
}

Result<void> ServiceStore::remove(const std::string& name, Epoch epoch) {
    done_.erase(name);
    const auto remove_at = [&](const std::string& at, bool is_ours) -> Result<void> {
        WEIR_TRY(const auto there, service_->look(at));
        if (!there) return ok();
        if (!is_ours) {
            std::optional<std::string> bytes;
            WEIR_TRY(const auto version, version_of(at, *there, bytes));
            if (!version || version->epoch != epoch) return ok();
        }
        auto removed = service_->remove(at, there->etag);
        // Who replaced it in between made it theirs.
        if (!removed.ok() && removed.error().code == "precondition_failed") return ok();
        return removed;
    };
    WEIR_CHECK_OK(remove_at(name, false));
    return remove_at(sibling_name(name, epoch), true);
}

Result<void> ServiceStore::flush() {
    done_.clear();
    return ok();
}

Error service_error(const std::string& what, const net::HttpClientResponse& response, const std::string& service_code, const std::string& advice) {
    const int status = response.status;
    const char* code = status == 412                   ? "precondition_failed"
                       : status == 401 || status == 403 ? "no_permission"
                       : status == 429 || status == 503 ? "busy"
                       : status == 408 || status == 504 ? "timeout"
                       : status >= 500                  ? "io_error"
                                                        : "refused";
    std::string message = what + " was answered with " + std::to_string(status);
    if (!service_code.empty()) message += " " + service_code;
    if (!advice.empty()) message += ": " + advice;
    return {code, std::move(message)};
}

std::string clock_skew(const net::HttpClientResponse& response, Timestamp now) {
    const auto date = response.header("date");
    const auto theirs = date ? net::parse_http_date(*date) : std::nullopt;
    if (!theirs) return {};
    const Duration ahead = now - *theirs;
    const Duration away = ahead < 0s ? -ahead : ahead;
    if (away <= 5min) return {};
    return "this machine's clock is " + to_text(away - away % Duration(1s)) + (ahead > 0s ? " ahead of" : " behind") + " the service's; set it right";
}

}  // namespace weir
