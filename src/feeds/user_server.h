#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/prng.h"
#include "base/result.h"
#include "base/time.h"
#include "event/json.h"
#include "net/http_parser.h"

namespace weir {

/// What a stand-in of the API at https://randomuser.me/api/ (version 1.4) answers, out of bodies that the service itself made.
///
/// - Without `seed`, people come in the order in which they were recorded; from the second round on each has a new `login.uuid`, so that
///   nobody comes twice. With `seed` (and `page`), the same people each time.
/// - `results` (1 to 5000, anything else is 1), `inc`, `exc`, `nat`, `gender` and `noinfo` as with the service; no other format than JSON.
/// - At most `users` people between two resets for each client address, then 429 with the service's words and Retry-After until the reset.
///
/// Thread: one owner. Memory: the bodies, and a number for each client address until the next reset (at most 10,000; beyond them all
/// share one).
class UserApi {
public:
    struct Limit {
        std::uint64_t users = 20'000;
        Duration per = 300s;
    };
    struct Answer {
        int status = 200;
        std::string body;
        std::optional<Duration> retry_after;  ///< with 429
    };
    /// `files`: bodies of the service, plain or gzip. Errors: `not_found`, `bad_recording`.
    static Result<UserApi> load(const std::vector<std::string>& files, Limit limit, std::uint64_t seed);

    /// `now` is monotonic.
    Answer answer(const net::HttpRequest& request, const std::string& client, Duration now);
    std::size_t size() const { return people_.size(); }

private:
    UserApi(Limit limit, std::uint64_t seed) : limit_(limit), prng_(seed) {}
    std::optional<Duration> over_limit(const std::string& client, std::uint64_t wanted, Duration now);

    Limit limit_;
    Prng prng_;
    std::vector<Json> people_;
    std::uint64_t given_ = 0;
    std::optional<Duration> reset_;  ///< when the counts began
    std::map<std::string, std::uint64_t> counts_;
};

/// UserApi behind an HTTP server, for the demo and for tests of polled feeds (source 002).
///
/// Thread: its own reactor; start and stop from one thread.
class UserServer {
public:
    static Result<std::unique_ptr<UserServer>> start(const std::string& listen, UserApi api, const Clock& clock);
    ~UserServer();
    void stop();
    /// Where it listens, with the port that was chosen.
    const std::string& address() const;

private:
    struct Impl;
    explicit UserServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir
