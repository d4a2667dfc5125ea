#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/spc_options.h"
#include "gateway/auth/permissions.h"
#include "gateway/http/answer.h"
#include "gateway/hub.h"

namespace weir {

/// What there is of characteristics, samples and violations, as HTTP answers: events of the derived streams, folded.
///
/// Samples are found by their times, however long ago they were taken. What is searched for one answer is bounded by `searched_max` events, and where
/// that ended a search the answer says so: `"complete":false`.
///
/// `who` bounds what is shown, as if the rest were not there. Thread: any; it reads the log, so a worker of the reader pool.
class SpcReader {
public:
    static constexpr std::string_view samples_stream = "spc.samples", violations_stream = "spc.violations", characteristics_stream = "spc.characteristics";
    static constexpr std::size_t limit_max = 10'000, searched_max = 200'000;
    /// Further back than this behind the last definition that was found there is none: they are told again that often
    /// (SpcProcessor::definitions_every), and half as much again for logs in which they were not.
    static constexpr std::size_t definitions_within = 30'000;

    SpcReader(Hub& hub, const SpcOptions& options) : hub_(hub), options_(options) {}

    HttpAnswer characteristics(const Permissions& who) const;
    HttpAnswer characteristic(const Permissions& who, std::uint64_t id) const;
    HttpAnswer limits(const Permissions& who, std::uint64_t id) const;

    struct SampleQuery {
        std::uint64_t characteristic = 0;
        std::optional<Timestamp> from{}, to{};
        std::uint64_t before = 0;  ///< of the samples at `to` itself those with a smaller id: where the page behind it ended
        std::size_t limit = 200;
    };
    HttpAnswer samples(const Permissions& who, const SampleQuery& query) const;

    struct ViolationQuery {
        std::string state = "open";  ///< `open`, `acknowledged`, `withdrawn`, `all`
        std::optional<std::uint64_t> characteristic{};
        std::optional<Timestamp> from{}, to{};  ///< of the samples that complete them
        std::size_t limit = 500;
    };
    HttpAnswer violations(const Permissions& who, const ViolationQuery& query) const;
    HttpAnswer violation(const Permissions& who, std::uint64_t id) const;

    /// The first characteristic or violation of a command that `who` does not see. All open violations of a characteristic become a list
    /// of those that are seen.
    std::optional<std::pair<GatewayError, std::uint64_t>> what_is_outside(const Permissions& who, Json& data) const;

private:
    using Use = std::function<bool(const EventView&)>;
    /// Newest first, what `who` sees, until `use` says false. False when it ended at `searched_max` instead.
    Result<bool> backwards(const Permissions& who, std::string_view stream, const Use& use) const;
    /// The same of events of a stretch of time, of one key where `key` is not empty. Where it is false, the newest are missing.
    Result<bool> backwards_within(const Permissions& who, std::string_view stream, const std::string& key, Timestamp from, Timestamp to, const Use& use) const;
    /// The newest definition of each characteristic, or of one, with its running capability.
    Result<std::map<std::uint64_t, std::string>> definitions(const Permissions& who, std::optional<std::uint64_t> only) const;

    Hub& hub_;
    const SpcOptions& options_;
};

}  // namespace weir
