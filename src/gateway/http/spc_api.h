#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/spc_options.h"
#include "gateway/auth/authenticator.h"
#include "gateway/http/answer.h"
#include "gateway/http/command_desk.h"
#include "gateway/http/spc_reader.h"
#include "gateway/hub.h"
#include "gateway/reader_pool.h"
#include "net/http_server.h"

namespace weir {

/// `/api/v1/characteristics`, `/samples` and `/violations` (docs/http-api.md).
///
/// What changes something becomes a command on `spc.in`, which CommandDesk asks and answers; a request's samples become one event each, with one answer for
/// all. What only reads is SpcReader's.
///
/// Thread: its reactor's; reads run on the pool. Bounds: those of CommandDesk, for requests with samples once more.
class SpcApi {
public:
    static constexpr std::string_view input = "spc.in", answers = "spc.answers";
    /// Streams that only who judges writes to.
    static std::vector<std::string_view> computed() { return {SpcReader::samples_stream, SpcReader::violations_stream, SpcReader::characteristics_stream, answers}; }

    SpcApi(Hub& hub, ReaderPool& pool, const SpcOptions& options, const GatewayOptions& gateway, std::uint64_t id_seed)
        : hub_(hub), pool_(pool), options_(options), gateway_(gateway), reader_(hub, options), desk_(hub, input, answers, id_seed) {}

    /// `rest` is the path behind `/api/v1/`. False: none of its paths. `who` has what the endpoint needs, and bounds what
    /// is shown, corrected and acknowledged, as if the rest were not there.
    bool handle(net::HttpExchange& exchange, std::string_view rest, const IdentityPtr& who);
    /// Called for each event: answers are its business.
    void on_event(std::string_view stream, const EventView& event);
    /// Once a second: who waited too long is told so.
    void sweep();

private:
    /// A request with samples: what became of each.
    struct Waiting {
        net::HttpExchangeRef exchange;
        Timestamp since;
        std::uint64_t accepted = 0, duplicates = 0;
        std::size_t commits_left = 0;  ///< whose duplicates are not known yet
        bool judged = false;
        std::map<std::string, std::size_t> indexes;  ///< by event id
        std::map<std::size_t, std::pair<std::string, std::string>> rejected;
    };

    void refuse(net::HttpExchange& exchange, GatewayError error, std::string_view detail = {});
    void handle_characteristics(net::HttpExchange& exchange, const std::vector<std::string_view>& parts, const IdentityPtr& who);
    void handle_samples(net::HttpExchange& exchange, const std::vector<std::string_view>& parts, const IdentityPtr& who);
    void handle_violations(net::HttpExchange& exchange, const std::vector<std::string_view>& parts, const IdentityPtr& who);
    void get_samples(net::HttpExchange& exchange, const IdentityPtr& who, std::uint64_t characteristic);
    void get_violations(net::HttpExchange& exchange, const IdentityPtr& who);
    /// Reads a JSON object (an empty body is {}), lets `shape` make the command's data of it, and asks.
    void ask_with_body(net::HttpExchange& exchange, const IdentityPtr& who, std::string type, std::function<Json(Json)> shape, int status = 200);
    /// `ask`, if `who` sees what it is about.
    void ask_as(net::HttpExchange& exchange, const IdentityPtr& who, std::string_view type, Json data, int status = 200);
    // Samples in: spc_samples_in.cc.
    void post_samples(net::HttpExchange& exchange, const IdentityPtr& who);
    void answer_samples(Waiting& waiting);
    struct ReadSamples;
    void read_samples(const std::string& command, const IdentityPtr& who, std::string_view body, bool ndjson);
    void submit_samples(const std::string& command, const std::shared_ptr<ReadSamples>& read);
    void samples_committed(const std::string& command, const Result<Committed>& result);
    void fail(const std::string& command, GatewayError error, std::string detail);
    void answer_later(net::HttpExchange& exchange, std::function<HttpAnswer()> work);

    Hub& hub_;
    ReaderPool& pool_;
    const SpcOptions& options_;
    const GatewayOptions& gateway_;
    SpcReader reader_;
    CommandDesk desk_;
    std::atomic<std::int64_t> last_undated_{0};  ///< microseconds: samples without a time get times of their own, in the order in which they stand
    std::unordered_map<std::string, Waiting> waiting_;                     ///< by command
    std::unordered_map<std::string, std::string> samples_waiting_;         ///< event of a sample to its command
};

}  // namespace weir
