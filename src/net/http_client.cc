#include "net/http_client.h"

#include <curl/curl.h>

#include <condition_variable>
#include <cstdio>

#include "base/assert.h"
#include "base/mailbox.h"
#include "net/reactor.h"

namespace weir::net {
namespace {

void set_up_curl_once() {
    static const bool done = [] {
        WEIR_ASSERT(::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
        return true;
    }();
    (void)done;
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return out;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
    return text;
}

/// Environment's no_proxy plus this machine, and the address at which a cloud's machine asks about itself: nobody means a proxy for these.
std::string direct_hosts() {
    std::string hosts = "localhost,127.0.0.1,::1,169.254.169.254";
    for (const char* name : {"no_proxy", "NO_PROXY"})
        if (const char* more = std::getenv(name); more && *more) return hosts + "," + more;
    return hosts;
}

struct UrlParts {
    std::string scheme, host, port;
    bool has_user = false;
};

std::optional<UrlParts> split_url(const std::string& url) {
    CURLU* handle = ::curl_url();
    if (!handle) return std::nullopt;
    std::optional<UrlParts> parts;
    if (::curl_url_set(handle, CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK) {
        const auto part = [&](CURLUPart which, unsigned flags = 0) {
            char* text = nullptr;
            std::string out;
            if (::curl_url_get(handle, which, &text, flags) == CURLUE_OK && text) out = text;
            ::curl_free(text);
            return out;
        };
        parts = UrlParts{part(CURLUPART_SCHEME), lower(part(CURLUPART_HOST)), part(CURLUPART_PORT, CURLU_DEFAULT_PORT),
                         !part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty()};
    }
    ::curl_url_cleanup(handle);
    return parts;
}

bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

}  // namespace

std::optional<std::string_view> HttpClientResponse::header(std::string_view name) const {
    for (const auto& [n, value] : headers)
        if (n == name) return value;
    return std::nullopt;
}

struct HttpClient::Worker {
    struct Transfer {
        HttpClientRequest request;
        Done done;
        HttpClientResponse response;
        CURL* easy = nullptr;
        curl_slist* header_list = nullptr;
        char error[CURL_ERROR_SIZE] = "";
        bool too_large = false;
        int redirects = 0;
        std::size_t sent = 0;
        std::chrono::steady_clock::time_point deadline;

        ~Transfer() { release(); }
        void release() {
            if (easy) ::curl_easy_cleanup(easy);
            ::curl_slist_free_all(header_list);
            easy = nullptr;
            header_list = nullptr;
        }
    };

    Worker() {
        set_up_curl_once();
        multi = ::curl_multi_init();
        WEIR_ASSERT(multi);
        ::curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 32L);
        thread = std::thread([this] { run(); });
    }
    ~Worker() {
        {
            std::lock_guard lock(mutex);
            stopping = true;
        }
        ::curl_multi_wakeup(multi);
        thread.join();
        for (auto& transfer : running) {
            ::curl_multi_remove_handle(multi, transfer->easy);
            answer(*transfer, Error{"cancelled", "the request to " + shown_url(transfer->request.url) + " was cancelled"});
        }
        running.clear();
        for (auto& transfer : arrived) answer(*transfer, Error{"cancelled", "the request to " + shown_url(transfer->request.url) + " was cancelled"});
        arrived.clear();
        ::curl_multi_cleanup(multi);
    }

    void start(HttpClientRequest request, Done done) {
        auto transfer = std::make_unique<Transfer>();
        transfer->request = std::move(request);
        transfer->done = std::move(done);
        transfer->deadline = std::chrono::steady_clock::now() + transfer->request.timeout;
        {
            std::lock_guard lock(mutex);
            if (!stopping && count < waiting_max) {
                ++count;
                arrived.push_back(std::move(transfer));
            }
        }
        if (transfer) return transfer->done(Error{"busy", "more than 1024 HTTP requests are waiting; this one was not sent"});
        ::curl_multi_wakeup(multi);
    }

    void run() {
        for (;;) {
            std::vector<std::unique_ptr<Transfer>> fresh;
            {
                std::lock_guard lock(mutex);
                if (stopping) return;
                fresh.swap(arrived);
            }
            for (auto& transfer : fresh) {
                if (auto begun = begin(*transfer); !begun.ok())
                    answer(*transfer, std::move(begun).error());
                else
                    running.push_back(std::move(transfer));
            }
            int active = 0;
            ::curl_multi_perform(multi, &active);
            int left = 0;
            while (CURLMsg* message = ::curl_multi_info_read(multi, &left))
                if (message->msg == CURLMSG_DONE) finished(message->easy_handle, message->data.result);
            ::curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
        }
    }

    static std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) {
        auto& t = *static_cast<Transfer*>(user);
        if (t.response.body.size() + size > t.request.body_bytes_max) {
            if (t.request.cut_body) t.response.body.append(data, t.request.body_bytes_max - t.response.body.size());
            t.too_large = true;
            return 0;
        }
        t.response.body.append(data, size);
        return size;
    }
    static std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) {
        auto& t = *static_cast<Transfer*>(user);
        const std::string_view line(data, size);
        if (line.starts_with("HTTP/")) t.response.headers.clear();  // an interim answer or a proxy's came before
        const auto colon = line.find(':');
        if (colon != std::string_view::npos && t.response.headers.size() < 200)
            t.response.headers.emplace_back(lower(trimmed(line.substr(0, colon))), std::string(trimmed(line.substr(colon + 1))));
        return size;
    }
    static std::size_t on_upload(char* to, std::size_t, std::size_t room, void* user) {
        auto& t = *static_cast<Transfer*>(user);
        const auto n = std::min(room, t.request.body.size() - t.sent);
        std::memcpy(to, t.request.body.data() + t.sent, n);
        t.sent += n;
        return n;
    }
    static int on_seek(void* user, curl_off_t offset, int origin) {
        auto& t = *static_cast<Transfer*>(user);
        if (origin != SEEK_SET || offset < 0 || static_cast<std::size_t>(offset) > t.request.body.size()) return CURL_SEEKFUNC_FAIL;
        t.sent = static_cast<std::size_t>(offset);
        return CURL_SEEKFUNC_OK;
    }

    Result<void> begin(Transfer& t) {
        const auto& r = t.request;
        const auto parts = split_url(r.url);
        if (!parts || (parts->scheme != "http" && parts->scheme != "https") || parts->host.empty())
            return Error{"bad_url", shown_url(r.url) + " is no http or https address"};
        if (parts->has_user) return Error{"bad_url", shown_url(r.url) + " holds a user or password; send an Authorization header instead"};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(t.deadline - std::chrono::steady_clock::now()).count();
        if (left <= 0) return Error{"timeout", shown_url(r.url) + " did not answer in " + to_text(r.timeout)};

        t.release();
        t.response = {};
        t.sent = 0;
        t.easy = ::curl_easy_init();
        if (!t.easy) return Error{"http_failed", "curl has no memory for a request"};
        CURL* e = t.easy;
        ::curl_easy_setopt(e, CURLOPT_URL, r.url.c_str());
        ::curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
        ::curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
        ::curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        ::curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, static_cast<long>(left));
        ::curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(left));
        ::curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, r.tls_verify ? 1L : 0L);
        ::curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, r.tls_verify ? 2L : 0L);
        ::curl_easy_setopt(e, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
        if (!r.tls_ca_file.empty()) ::curl_easy_setopt(e, CURLOPT_CAINFO, r.tls_ca_file.c_str());
        ::curl_easy_setopt(e, CURLOPT_NOPROXY, direct_hosts().c_str());
        ::curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
        ::curl_easy_setopt(e, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
        ::curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, &on_body);
        ::curl_easy_setopt(e, CURLOPT_WRITEDATA, &t);
        ::curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, &on_header);
        ::curl_easy_setopt(e, CURLOPT_HEADERDATA, &t);
        ::curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t.error);
        ::curl_easy_setopt(e, CURLOPT_PRIVATE, &t);
        ::curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 64L * 1024);

        const bool has_body = !r.body.empty() || r.method == "POST" || r.method == "PUT" || r.method == "PATCH";
        if (r.method == "HEAD") {
            ::curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
        } else if (has_body) {
            ::curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
            ::curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(r.body.size()));
            ::curl_easy_setopt(e, CURLOPT_READFUNCTION, &on_upload);
            ::curl_easy_setopt(e, CURLOPT_READDATA, &t);
            ::curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, &on_seek);
            ::curl_easy_setopt(e, CURLOPT_SEEKDATA, &t);
            ::curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r.method.c_str());
        } else if (r.method != "GET") {
            ::curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r.method.c_str());
        }
        const auto add = [&](std::string line) {
            std::erase_if(line, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
            t.header_list = ::curl_slist_append(t.header_list, line.c_str());
        };
        add("Expect:");  // no round trip before a body
        bool has_agent = false;
        for (const auto& [name, value] : r.headers) {
            has_agent |= lower(name) == "user-agent";
            add(value.empty() ? name + ";" : name + ": " + value);
        }
        if (!has_agent) add("User-Agent: weir");
        ::curl_easy_setopt(e, CURLOPT_HTTPHEADER, t.header_list);
        ::curl_multi_add_handle(multi, e);
        return ok();
    }

    void finished(CURL* easy, CURLcode code) {
        char* user = nullptr;
        ::curl_easy_getinfo(easy, CURLINFO_PRIVATE, &user);
        auto* t = reinterpret_cast<Transfer*>(user);
        const auto place = std::find_if(running.begin(), running.end(), [&](const auto& r) { return r.get() == t; });
        WEIR_ASSERT(place != running.end());
        ::curl_multi_remove_handle(multi, easy);
        if (code == CURLE_OK || (t->too_large && t->request.cut_body)) {
            long status = 0;
            ::curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
            t->response.status = static_cast<int>(status);
            t->response.url = t->request.url;
            char* target = nullptr;
            ::curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &target);
            const bool may_follow = t->request.redirects_max > 0 && (t->request.method == "GET" || t->request.method == "HEAD");
            if (is_redirect(t->response.status) && target && may_follow) {
                if (auto begun = follow(*t, target); begun.ok()) return;  // goes on under way
                else return end(place, std::move(begun).error());
            }
            return end(place, std::move(t->response));
        }
        end(place, failure(*t, code));
    }

    Result<void> follow(Transfer& t, const std::string target) {
        const auto from = split_url(t.request.url), to = split_url(target);
        if (++t.redirects > t.request.redirects_max)
            return Error{"too_many_redirects", shown_url(t.request.url) + " redirects more than " + std::to_string(t.request.redirects_max) + " times"};
        if (!to || !from || (to->scheme != "http" && to->scheme != "https") || (from->scheme == "https" && to->scheme == "http"))
            return Error{"bad_redirect", shown_url(t.request.url) + " redirects to " + shown_url(target) + ", which is not followed: only http and https, never from https to http"};
        if (to->host != from->host || to->port != from->port || to->scheme != from->scheme) {
            if (t.request.same_host_only) return Error{"bad_redirect", shown_url(t.request.url) + " redirects to another host, " + shown_url(target)};
            t.request.headers.clear();
        }
        t.request.url = target;
        return begin(t);
    }

    Error failure(const Transfer& t, CURLcode code) const {
        const std::string where = shown_url(t.request.url);
        if (t.too_large) return {"too_large", where + " answered with more than " + std::to_string(t.request.body_bytes_max) + " bytes"};
        const std::string why = t.error[0] ? t.error : ::curl_easy_strerror(code);
        switch (code) {
            case CURLE_URL_MALFORMAT:
            case CURLE_UNSUPPORTED_PROTOCOL: return {"bad_url", where + " is no http or https address"};
            case CURLE_COULDNT_RESOLVE_HOST:
            case CURLE_COULDNT_RESOLVE_PROXY: return {"resolve_failed", where + ": the name could not be resolved"};
            case CURLE_COULDNT_CONNECT: return {"connect_failed", where + ": connection refused or unreachable (" + why + ")"};
            case CURLE_OPERATION_TIMEDOUT: return {"timeout", where + " did not answer in " + to_text(t.request.timeout)};
            case CURLE_SSL_CONNECT_ERROR:
            case CURLE_PEER_FAILED_VERIFICATION:
            case CURLE_SSL_CERTPROBLEM:
            case CURLE_SSL_CACERT_BADFILE:
            case CURLE_SSL_ISSUER_ERROR: return {"tls_failed", where + ": " + why};
            default: return {"http_failed", where + ": " + why};
        }
    }

    void end(std::vector<std::unique_ptr<Transfer>>::iterator place, Result<HttpClientResponse> result) {
        const auto transfer = std::move(*place);
        running.erase(place);
        answer(*transfer, std::move(result));
    }
    void answer(Transfer& transfer, Result<HttpClientResponse> result) {
        {
            std::lock_guard lock(mutex);
            --count;
        }
        transfer.done(std::move(result));
    }

    CURLM* multi = nullptr;
    std::thread thread;
    std::mutex mutex;
    bool stopping = false;
    std::size_t count = 0;
    std::vector<std::unique_ptr<Transfer>> arrived;
    std::vector<std::unique_ptr<Transfer>> running;  // the worker's own
};

HttpClient::HttpClient() : worker_(std::make_unique<Worker>()) {}
HttpClient::~HttpClient() = default;

void HttpClient::start(HttpClientRequest request, Done done) { worker_->start(std::move(request), std::move(done)); }

void HttpClient::start(HttpClientRequest request, Reactor& reactor, Done done) {
    // std::function copies what it holds, and a Result moves: the shared box is for that.
    worker_->start(std::move(request), [&reactor, done = std::move(done)](Result<HttpClientResponse> result) {
        auto box = std::make_shared<Result<HttpClientResponse>>(std::move(result));
        // A reactor with 65,536 posts waiting is stuck or stopped; the answer is lost with it.
        (void)reactor.post([done, box] { done(std::move(*box)); });
    });
}

Result<HttpClientResponse> HttpClient::fetch(HttpClientRequest request) {
    std::mutex mutex;
    std::condition_variable arrived;
    std::optional<Result<HttpClientResponse>> answer;
    worker_->start(std::move(request), [&](Result<HttpClientResponse> result) {
        std::lock_guard lock(mutex);
        answer.emplace(std::move(result));
        arrived.notify_one();
    });
    std::unique_lock lock(mutex);
    arrived.wait(lock, [&] { return answer.has_value(); });
    return std::move(*answer);
}

std::optional<Duration> retry_after(const HttpClientResponse& response, Timestamp now) {
    const auto value = response.header("retry-after");
    if (!value || value->empty()) return std::nullopt;
    Duration wait{};
    if (value->find_first_not_of("0123456789") == std::string_view::npos) {
        wait = std::chrono::seconds(value->size() > 6 ? 999'999 : std::stol(std::string(*value)));
    } else {
        const auto at = parse_http_date(*value);
        if (!at) return std::nullopt;
        wait = *at - now;
    }
    return std::clamp(wait, Duration(0), Duration(24h));
}

std::string http_date(Timestamp t) {
    static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const CivilTime c = to_civil(t);
    char text[40];
    std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[c.weekday], c.day, months[c.month - 1], c.year, c.hour, c.minute,
                  c.second);
    return text;
}

std::optional<Timestamp> parse_http_date(std::string_view text) {
    const std::time_t at = ::curl_getdate(std::string(text).c_str(), nullptr);
    return at == -1 ? std::nullopt : std::optional(Timestamp::from_seconds(at));
}

std::string percent_encode(std::string_view text, Slash slash) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain || (c == '/' && slash == Slash::keep)) {
            out += c;
        } else {
            out += '%';
            out += hex[static_cast<unsigned char>(c) >> 4];
            out += hex[static_cast<unsigned char>(c) & 15];
        }
    }
    return out;
}

std::string shown_url(std::string_view url) {
    std::string out(url.substr(0, url.find_first_of("?#")));
    const auto scheme = out.find("://");
    if (scheme == std::string::npos) return out;
    const auto path = out.find('/', scheme + 3);
    const auto at = out.rfind('@', path);
    if (at != std::string::npos && at > scheme) out.erase(scheme + 3, at - scheme - 2);
    return out;
}

}  // namespace weir::net
