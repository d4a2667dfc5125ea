#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weir::net {

class Reactor;

struct HttpClientRequest {
    std::string method = "GET";
    std::string url;                                           ///< http or https; a user and password in it are refused
    std::vector<std::pair<std::string, std::string>> headers;  ///< CR and LF in them are dropped
    std::string body;
    Duration timeout = 10s;                        ///< for the whole, from the call to the last byte
    std::size_t body_bytes_max = 8 * 1024 * 1024;  ///< of the answer, decompressed
    bool cut_body = false;  ///< a longer answer is no error: what is beyond is not fetched
    /// Answers 301, 302, 303, 307, 308 to a GET or HEAD that are followed; other methods get the answer itself. Never from https to
    /// http; to another host only without the headers named in `headers` (tokens stay at home), and not at all with `same_host_only`.
    int redirects_max = 3;
    bool same_host_only = false;
    bool tls_verify = true;   ///< false: anyone on the way can read and change everything
    std::string tls_ca_file;  ///< PEM; empty: the system's authorities
};

struct HttpClientResponse {
    int status = 0;  ///< any: whether 404 is an error is the caller's business
    std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
    std::string body;
    std::string url;  ///< that answered, after redirects

    std::optional<std::string_view> header(std::string_view lower_case_name) const;
    bool ok() const { return status >= 200 && status < 300; }
};

/// HTTP requests to the outside, many at once on one thread of its own, with kept connections. For polled feeds, object stores
/// and webhooks; few a second, so curl does the work.
///
/// Errors: `bad_url`, `resolve_failed`, `connect_failed`, `tls_failed`, `timeout`, `too_large`, `too_many_redirects`, `bad_redirect`,
/// `cancelled` (the client was destroyed), `http_failed` (the rest). The message names host and cause, never a header or the
/// query of the url.
///
/// At most `waiting_max` requests at a time; above, `start` answers `busy` at once.
/// Thread: any. The destructor answers what is under way with `cancelled` and joins the worker.
class HttpClient {
public:
    using Done = std::function<void(Result<HttpClientResponse>)>;
    static constexpr std::size_t waiting_max = 1024;

    HttpClient();
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    /// `done` runs on the client's worker thread, exactly once, and must be short.
    void start(HttpClientRequest request, Done done);
    /// The same, `done` running on the reactor's thread; the reactor outlives this client.
    void start(HttpClientRequest request, Reactor& reactor, Done done);
    /// Waits for the answer; for threads that may block (store workers, commands).
    Result<HttpClientResponse> fetch(HttpClientRequest request);

private:
    struct Worker;
    std::unique_ptr<Worker> worker_;
};

/// What a Retry-After header asks for: seconds or an HTTP date, never negative, at most a day. nullopt when there is none that parses.
std::optional<Duration> retry_after(const HttpClientResponse& response, Timestamp now);

/// `Fri, 26 Jun 2015 23:39:12 GMT`, as headers have it (RFC 9110, 5.6.7), and back; the older forms are read too.
std::string http_date(Timestamp t);
std::optional<Timestamp> parse_http_date(std::string_view text);

/// `text` percent-encoded for use in a path or query: all but letters, digits and `-._~`, and `/` where `slash` says so.
enum class Slash : std::uint8_t { encode, keep };
std::string percent_encode(std::string_view text, Slash slash = Slash::encode);

/// The url without user, query and fragment: what a diagnostic may show.
std::string shown_url(std::string_view url);

}  // namespace weir::net
